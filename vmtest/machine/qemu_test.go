// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/files"
)

func TestMachineArguments(t *testing.T) {
	m := &Config{Arch: "amd64", QEMU: "/q", Accel: TCG, Kernel: Image{"/k", strings.Repeat("d", 64)}, Initrd: Image{"/i", "guest 1"}, MemoryMB: 512, CPUs: 1}
	got := strings.Join(argv(append(m.devices(), serialPort{"console", 3, ""}, serialPort{"channel", 4, ""}, monitor{5}, incoming{6})...), " ")
	for _, want := range []string{
		"-no-reboot", "-nodefaults", "-machine pc -accel tcg -cpu max,-cx16 -m 512 -smp 1", "-kernel /k -initrd /i -append console=ttyS0 ",
		"panic=-1 oops=panic unknown_nmi_panic scaplab_port=/dev/ttyS1", "-chardev socket,id=channel,fd=4 -serial chardev:channel", "-mon chardev=qmp,mode=control", "-incoming fd:6",
	} {
		require.Contains(t, got, want)
	}
	require.NotContains(t, got, "mitigations=off", "the tested kernel is the real one")
	require.NotContains(t, got, "nokaslr")
	require.NotContains(t, got, "-icount")
	single := *m
	single.SingleThread = true
	got = strings.Join(argv(single.devices()...), " ")
	require.Contains(t, got, "-accel tcg,thread=single -cpu max,-cx16 ", "the emulator's fault does not go with its threads")
	single.Accel = KVM
	require.Contains(t, strings.Join(argv(single.devices()...), " "), "-accel kvm -cpu max -m ")
	arm := *m
	arm.Arch = "arm64"
	got = strings.Join(argv(append(arm.devices(), serialPort{"channel", 4, targets["arm64"].port})...), " ")
	for _, want := range []string{
		"-machine virt -accel tcg -cpu max,pauth-impdef=on ", "-append console=ttyAMA0 ", "scaplab_port=/dev/ttyS0",
		"-chardev socket,id=channel,fd=4 -device pci-serial,chardev=channel",
	} {
		require.Contains(t, got, want)
	}
	costs := *m
	costs.Counted, costs.Arguments = true, []string{"more=1"}
	got = strings.Join(argv(costs.devices()...), " ")
	require.Contains(t, got, "8250.nr_uarts=2 more=1 -icount shift=0,sleep=off -rtc base=2030-01-01,clock=vm", "its clock counts instructions")

	first := m.key()
	moved := *m
	moved.Initrd.File = "/elsewhere"
	require.Equal(t, first, moved.key(), "places do not matter")
	for name, change := range map[string]func(*Config){
		"guest":       func(c *Config) { c.Initrd.Digest = "guest 2" },
		"kernel":      func(c *Config) { c.Kernel.Digest = strings.Repeat("e", 64) },
		"memory":      func(c *Config) { c.MemoryMB = 1024 },
		"processors":  func(c *Config) { c.CPUs = 2 },
		"accelerator": func(c *Config) { c.Accel = KVM },
		"threads":     func(c *Config) { c.SingleThread = true },
		"qemu":        func(c *Config) { c.QEMU = "/other" },
	} {
		c := *m
		change(&c)
		require.NotEqual(t, first, c.key(), name)
	}
}

func TestMissingQEMUSaysHowToGetIt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := FindQEMU("amd64")
	var lack *env.Error
	require.ErrorAs(t, err, &lack)
	require.Contains(t, err.Error(), "qemu-system-x86_64 is not installed (install qemu-system-x86")
	_, err = FindQEMU("vax")
	require.ErrorContains(t, err, "guests of vax are not supported")
}

func TestKVMVerdictIsKeptForOneBoot(t *testing.T) {
	dir := t.TempDir()
	_, ok := KeptAccel(dir, "amd64")
	require.False(t, ok)
	qemu, err := FindQEMU("amd64")
	if err != nil {
		t.Skip(err)
	}
	want := Accel{TCG, "tried"}
	for _, row := range []struct {
		boot, qemu string
		ok         bool
	}{{bootID(), qemuIdentity(qemu), true}, {"another boot", qemuIdentity(qemu), false}, {bootID(), "older", false}, {"", qemuIdentity(qemu), false}} {
		b, err := json.Marshal(accelRecord{want, row.boot, row.qemu})
		require.NoError(t, err)
		require.NoError(t, files.WriteAtomic(accelFile(dir, "amd64"), b))
		got, ok := KeptAccel(dir, "amd64")
		require.Equal(t, row.ok, ok)
		if ok {
			require.Equal(t, want, got)
		}
	}
	c := Config{Arch: "amd64", QEMU: "/no/such/qemu"}
	fails := func(context.Context, Config) (string, error) { return "", errors.New("no hello\nand its console") }
	_, err = ChooseAccel(t.Context(), dir, "kvm", c, fails)
	var lack *env.Error
	require.ErrorAs(t, err, &lack, "KVM was asked for, and is not there")

	a, err := ChooseAccel(t.Context(), dir, "auto", c, fails)
	require.NoError(t, err)
	require.Equal(t, TCG, a.Name)
	require.NotEmpty(t, a.Reason)
}
