// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/scaplab/scaplab/internal/files"
)

// Accel is how guests run on this machine, and why.
type Accel struct {
	Name   string `json:"accel"` // kvm or tcg
	Reason string `json:"reason"`
}

func (a Accel) String() string { return a.Name + " (" + a.Reason + ")" }

// kvmLimit is how long a guest under KVM may take to become ready. It takes
// under a second where KVM works; where it only seems to, nothing ever comes.
const kvmLimit = 20 * time.Second

// accelRecord keeps the verdict for this boot of the machine and this QEMU.
type accelRecord struct {
	Accel
	Boot string `json:"boot"`
	QEMU string `json:"qemu"`
}

// chooseAccel finds out by trial whether KVM runs a guest; a device node that
// opens proves nothing. cache is the directory for the verdict.
func chooseAccel(ctx context.Context, cache string, m machineConfig) (Accel, error) {
	if !targets[m.arch].kvm {
		return Accel{string(accelTCG), m.arch + " guests are emulated here"}, nil
	}
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return Accel{string(accelTCG), "no KVM: " + err.Error()}, nil
	}
	f.Close()
	if kept, ok := keptAccel(cache, m.arch); ok {
		return kept, nil
	}
	want := accelRecord{Boot: bootID(), QEMU: qemuIdentity(m.qemu)}
	m.accel = accelKVM
	l := &vmLauncher{config: m, bootLimit: kvmLimit, log: func(string, ...any) {}}
	s, err := l.boot(ctx)
	switch {
	case err == nil:
		s.finish()
		want.Accel = Accel{string(accelKVM), "a guest answered: " + s.how}
	case ctx.Err() != nil:
		return Accel{}, ctx.Err()
	default:
		var b *bootError
		reason := err.Error()
		if errors.As(err, &b) {
			reason = b.reason
		}
		want.Accel = Accel{string(accelTCG), "/dev/kvm opens but ran no guest: " + reason}
	}
	b, err := json.Marshal(want)
	if err != nil {
		return Accel{}, err
	}
	return want.Accel, files.WriteAtomic(accelFile(cache, m.arch), b)
}

func accelFile(cache, arch string) string { return filepath.Join(cache, "accel-"+arch+".json") }

// keptAccel is the verdict of an earlier trial, if the machine was not
// started anew and QEMU not changed since.
func keptAccel(cache, arch string) (Accel, bool) {
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

// qemuIdentity changes when the program at path does.
func qemuIdentity(path string) string {
	st, err := os.Stat(path)
	if err != nil {
		return path
	}
	return fmt.Sprint(path, " ", st.Size(), " ", st.ModTime().UnixNano())
}

// bootID changes with each boot of this machine; "" when it cannot be told.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
