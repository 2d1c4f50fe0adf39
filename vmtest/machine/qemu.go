// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"maps"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/vmtest/wire"
)

// target describes how guests of an architecture are run.
type target struct {
	qemu    string // program
	pkg     string // Debian package that has it
	machine string
	console string // the kernel's name of the first serial port
	channel string // device node of the second one
	port    string // device that is the second serial port; "" if the board has it
	kvm     bool   // whether this machine could run it without emulation
	tcgCPU  string // features of the emulated processor, after "max"
	args    []string
}

// targets has the targets by GOARCH.
var targets = map[string]target{
	"amd64": {
		qemu: "qemu-system-x86_64", pkg: "qemu-system-x86", machine: "pc",
		console: "ttyS0", channel: "/dev/ttyS1", kvm: runtime.GOARCH == "amd64",
		// The emulator of QEMU 7.2 leaves random flags after cmpxchg16b. An interrupt
		// there saves them, and NT or TF among them soon kills the guest.
		tcgCPU: ",-cx16",
		// Each of these only avoids waiting for missing hardware, or a self-test; together they
		// save a quarter of the boot. Options that would change the tested kernel
		// (mitigations=off, nokaslr) do not save any time.
		args: []string{"no_timer_check", "i8042.noaux", "i8042.nokbd", "cryptomgr.notests", "random.trust_cpu=on",
			"raid=noautodetect", "8250.nr_uarts=2"},
	},
	"arm64": {
		qemu: "qemu-system-aarch64", pkg: "qemu-system-arm", machine: "virt",
		console: "ttyAMA0", channel: "/dev/ttyS0", port: "pci-serial", kvm: runtime.GOARCH == "arm64",
		// Emulating the real algorithm of pointer authentication takes half of the time.
		tcgCPU: ",pauth-impdef=on",
		args:   []string{"cryptomgr.notests", "random.trust_cpu=on", "raid=noautodetect"},
	},
}

// Arches returns the architectures of machines, as GOARCH.
func Arches() []string { return slices.Sorted(maps.Keys(targets)) }

// FindQEMU returns the QEMU for guests of an architecture.
func FindQEMU(arch string) (string, error) {
	t, ok := targets[arch]
	if !ok {
		return "", env.Lacks("guests of "+arch+" are not supported", "supported: "+strings.Join(Arches(), ", "))
	}
	p, err := exec.LookPath(t.qemu)
	if err != nil {
		return "", env.Lacks(t.qemu+" is not installed", "install "+t.pkg+", e.g. apt-get install --no-install-recommends "+t.pkg)
	}
	return p, nil
}

// Accelerator is how QEMU runs guest code.
type Accelerator string

const (
	KVM Accelerator = "kvm"
	TCG Accelerator = "tcg" // emulation
)

// device is a part of the machine that is configured with arguments of QEMU.
type device interface{ argv() []string }

type (
	board struct {
		target
		accel        Accelerator
		singleThread bool // one thread of the emulator for all processors
		memoryMB     int
		cpus         int
	}
	// counted makes the machine's clock count instructions, 1 ns each, from a fixed
	// date on. The clock stands still while the machine idles.
	counted   struct{}
	bootImage struct {
		kernel, initrd string
		command        []string
	}
	// serialPort and monitor use an inherited socket: there is no file to remove and
	// no race for a name.
	serialPort struct {
		id     string
		fd     int
		device string // "" means the board's own
	}
	monitor struct{ fd int }
	// mailbox is a PCI device with memory that the host has, too, for two mailboxes. The guest maps it without a driver.
	mailbox  struct{ fd int }
	incoming struct{ fd int }
	// disk is a virtio disk. The file stays as it is, so several machines can start from it.
	disk struct{ file string }
	bare struct{}
)

func (b board) argv() []string {
	cpu := "max" // under KVM: the host's processor
	accel := string(b.accel)
	if b.accel == TCG {
		cpu += b.tcgCPU
		if b.singleThread {
			accel += ",thread=single"
		}
	}
	return []string{"-machine", b.machine, "-accel", accel, "-cpu", cpu,
		"-m", strconv.Itoa(b.memoryMB), "-smp", strconv.Itoa(b.cpus)}
}

func (counted) argv() []string {
	return []string{"-icount", "shift=0,sleep=off", "-rtc", "base=2030-01-01,clock=vm"}
}

func (b bootImage) argv() []string {
	return []string{"-kernel", b.kernel, "-initrd", b.initrd, "-append", strings.Join(b.command, " ")}
}

func (s serialPort) argv() []string {
	chardev := []string{"-chardev", fmt.Sprintf("socket,id=%s,fd=%d", s.id, s.fd)}
	if s.device != "" {
		return append(chardev, "-device", s.device+",chardev="+s.id)
	}
	return append(chardev, "-serial", "chardev:"+s.id)
}

func (m monitor) argv() []string {
	return []string{"-chardev", fmt.Sprintf("socket,id=qmp,fd=%d", m.fd), "-mon", "chardev=qmp,mode=control"}
}

func (m mailbox) argv() []string {
	memory := fmt.Sprintf("memory-backend-file,id=mailbox,share=on,size=%d,mem-path=/proc/self/fd/%d", wire.SharedSize, m.fd)
	return []string{"-object", memory, "-device", "ivshmem-plain,memdev=mailbox,master=on"} // master: saved with the machine
}

func (d disk) argv() []string {
	// A comma in a value is written twice.
	return []string{"-drive", "if=virtio,format=raw,snapshot=on,file=" + strings.ReplaceAll(d.file, ",", ",,")}
}

func (i incoming) argv() []string { return []string{"-incoming", "fd:" + strconv.Itoa(i.fd)} }

// bare turns off default devices, the user's configuration and reboots: a guest that
// resets or panics ends its QEMU.
func (bare) argv() []string {
	return []string{"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"}
}

func argv(devices ...device) []string {
	var a []string
	for _, d := range devices {
		a = append(a, d.argv()...)
	}
	return a
}
