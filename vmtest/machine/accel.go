// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/files"
)

// Accel is how guests run on this machine, and the reason.
type Accel struct {
	Name   Accelerator `json:"accel"`
	Reason string      `json:"reason"`
}

func (a Accel) String() string { return string(a.Name) + " (" + a.Reason + ")" }

// KVMLimit is the time for a guest under KVM to become ready. It takes less than a
// second if KVM works; if KVM only seems to work, it never becomes ready.
const KVMLimit = 20 * time.Second

// accelRecord is the verdict for the current boot of this machine and for this QEMU.
type accelRecord struct {
	Accel
	Boot string `json:"boot"`
	QEMU string `json:"qemu"`
}

// ChooseAccel returns the accelerator for a machine: the requested one ("kvm" or "tcg"), or,
// for "auto", the result of a trial, because a device node that opens proves nothing. cache is
// the directory for the verdict. try boots a machine under KVM within [KVMLimit] and returns
// how long that took.
func ChooseAccel(ctx context.Context, cache, asked string, c Config, try func(context.Context, Config) (how string, err error)) (Accel, error) {
	switch asked {
	case "", "auto":
		return tryAccel(ctx, cache, c, try)
	case string(KVM):
		a, err := tryAccel(ctx, cache, c, try)
		if err == nil && a.Name != KVM {
			err = env.Lacks("KVM was asked for: "+a.Reason, "--accel auto emulates where it has to")
		}
		return a, err
	case string(TCG):
		return Accel{TCG, "asked for"}, nil
	}
	return Accel{}, fmt.Errorf("accelerator %q: want auto, kvm or tcg", asked)
}

func tryAccel(ctx context.Context, cache string, c Config, try func(context.Context, Config) (string, error)) (Accel, error) {
	if !targets[c.Arch].kvm {
		return Accel{TCG, c.Arch + " guests are emulated here"}, nil
	}
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return Accel{TCG, "no KVM: " + err.Error()}, nil
	}
	f.Close()
	if kept, ok := KeptAccel(cache, c.Arch); ok {
		return kept, nil
	}
	record := accelRecord{Boot: bootID(), QEMU: qemuIdentity(c.QEMU)}
	c.Accel = KVM
	how, err := try(ctx, c)
	switch {
	case err == nil:
		record.Accel = Accel{KVM, "a guest answered: " + how}
	case ctx.Err() != nil:
		return Accel{}, ctx.Err()
	default:
		reason, _, _ := strings.Cut(err.Error(), "\n") // the console's output follows
		record.Accel = Accel{TCG, "/dev/kvm opens but ran no guest: " + reason}
	}
	b, err := json.Marshal(record)
	if err != nil {
		return Accel{}, err
	}
	return record.Accel, files.WriteAtomic(accelFile(cache, c.Arch), b)
}

func accelFile(cache, arch string) string { return filepath.Join(cache, "accel-"+arch+".json") }

// KnownAccel returns the accelerator that an earlier trial chose, as a run of the matrix makes one. Without its
// verdict it is TCG, which always works.
func KnownAccel(arch string) Accelerator {
	if cache, err := env.CacheDir(); err == nil {
		if kept, ok := KeptAccel(cache, arch); ok {
			return kept.Name
		}
	}
	return TCG
}

// KeptAccel returns the verdict of an earlier trial, unless the machine was booted or QEMU
// changed since then.
func KeptAccel(cache, arch string) (Accel, bool) {
	qemu, err := FindQEMU(arch)
	if err != nil {
		return Accel{}, false
	}
	b, err := os.ReadFile(accelFile(cache, arch))
	if err != nil {
		return Accel{}, false
	}
	var kept accelRecord
	if json.Unmarshal(b, &kept) != nil || kept.Boot == "" || kept.Boot != bootID() || kept.QEMU != qemuIdentity(qemu) {
		return Accel{}, false
	}
	return kept.Accel, true
}

// qemuIdentity returns a text that changes with the program at path.
func qemuIdentity(path string) string {
	st, err := os.Stat(path)
	if err != nil {
		return path
	}
	return fmt.Sprint(path, " ", st.Size(), " ", st.ModTime().UnixNano())
}

// bootID returns a text that changes with each boot of this machine, or "" if it has none.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
