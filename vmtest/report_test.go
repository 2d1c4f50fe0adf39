// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/vmtest/guest"
)

func TestCellsAreReadBack(t *testing.T) {
	for _, cell := range []string{"openat/creates-a-file@6.12/ebpf", "getppid/works@host/ebpf", "read/x@/boot/vmlinuz-6.1/kmod", "clone/a@b@newest/ebpf"} {
		id, kernel, driver, err := ParseCell(cell)
		require.NoError(t, err)
		require.Equal(t, cell, id+"@"+kernel+"/"+driver)
	}
	for _, bad := range []string{"", "openat", "openat/x", "openat@6.1/ebpf", "openat/x@6.1", "openat/x@/ebpf", "openat/x@6.1/"} {
		_, _, _, err := ParseCell(bad)
		require.ErrorContains(t, err, "want SYSCALL/CASE@KERNEL/DRIVER", bad)
	}
}

func TestShards(t *testing.T) {
	sh, err := ParseShard("")
	require.NoError(t, err)
	require.Equal(t, Shard{1, 1}, sh)
	for _, bad := range []string{"0/2", "3/2", "1", "1/", "/2", "1/0", "-1/2", "1/2x", "01/2", "a/b"} {
		_, err := ParseShard(bad)
		require.ErrorContains(t, err, "want i/n", bad)
	}
	// Every part of a run is in exactly one shard.
	o := Options{Kernels: []kernels.Kernel{{Name: "5.10"}, {Name: "6.1"}, {Name: "6.12"}}, Drivers: []string{"ebpf", "kmod"}, Cases: []string{"a/x", "a/y", "b/x", "c/x", "d/x"}, Jobs: 1}
	for n := 1; n <= 35; n++ {
		seen := map[string]int{}
		for i := 1; i <= n; i++ {
			o.Shard, err = ParseShard(fmt.Sprintf("%d/%d", i, n))
			require.NoError(t, err)
			for _, p := range plan(o) {
				for _, id := range p.ids {
					seen[fmt.Sprint(p.kernel, p.drivers, id)]++
				}
			}
		}
		require.Len(t, seen, 30, "%d shards", n)
		for cell, times := range seen {
			require.Equal(t, 1, times, "%s in %d shards", cell, n)
		}
	}
}

func TestALongPieceIsSplitForIdleMachines(t *testing.T) {
	o := Options{Kernels: []kernels.Kernel{{Name: "6.1"}}, Drivers: []string{"ebpf"}, Jobs: 2}
	for i := range 100 {
		o.Cases = append(o.Cases, fmt.Sprintf("s%d/x", i/3)+fmt.Sprint(i))
	}
	pieces := plan(o)
	require.Len(t, pieces, 2)
	require.Equal(t, o.Cases, append(append([]string{}, pieces[0].ids...), pieces[1].ids...))
	last, first := pieces[0].ids[len(pieces[0].ids)-1], pieces[1].ids[0]
	require.NotEqual(t, syscallOf(last), syscallOf(first), "a syscall's cases stay together")

	o.Cases = o.Cases[:20]
	require.Len(t, plan(o), 1, "not worth a second machine")
}

// testReport has a pass, a failure of several lines, skips and a kernel that is gone.
// foreignArch is not this machine's.
var foreignArch = map[bool]string{true: "arm64", false: "amd64"}[runtime.GOARCH == "amd64"]

func testReport(t *testing.T) *Report {
	t.Helper()
	sc := guest.FindSyscall("openat")
	require.NotNil(t, sc)
	first, second := sc.ID(&sc.Cases[0]), sc.ID(&sc.Cases[1])
	o := Options{Kernels: []kernels.Kernel{{Name: "6.1", Arch: runtime.GOARCH}, {Name: "/boot/my kernel", Arch: foreignArch}}, Drivers: []string{"ebpf"}, Cases: []string{first, second},
		Gone: []kernels.Unavailable{{Request: kernels.Request{Series: "5.10"}, Reason: errors.New("no package")}}}
	r := newReport(o)
	r.expect(plan(o))
	k := o.Kernels[0]
	r.welcome(k, "ebpf", &guest.Hello{Release: "6.1.9-test", Drivers: []guest.DriverState{{Name: "ebpf", Refused: []guest.Refusal{{Program: "x_bpf_exit", Reason: "too complex\nlog"}}}}}, "cold boot in 2.0s")
	// Out of order, as machines finish.
	r.add(o.Kernels[1], "ebpf", second, nil, Verdict{Status: Skip, Reason: "needs ipv6"})
	r.add(o.Kernels[1], "ebpf", first, nil, Verdict{Status: Fail, Class: ClassHang, Reason: "no word"})
	r.add(k, "ebpf", second, nil, Verdict{Status: Fail, Class: ClassCrash, Reason: "guest ended: <BUG> & more\nline two"})
	r.add(k, "ebpf", first, &guest.CaseResult{Outcome: guest.Ran, Return: true}, Verdict{Status: Pass, Params: []Param{{"fd", "3", "3", true}}})
	r.add(k, "ebpf", "openat/absent", nil, Verdict{Status: Pass})
	r.finish()
	return r
}

func TestReportAsJSON(t *testing.T) {
	r := testReport(t)
	var b bytes.Buffer
	require.NoError(t, r.WriteJSON(&b))
	var all map[string]any
	require.NoError(t, json.Unmarshal(b.Bytes(), &all))
	require.Len(t, all, 3)
	require.Equal(t, []any{"6.1", "/boot/my kernel", "5.10"}, all["kernels"])
	require.Equal(t, []any{"ebpf"}, all["drivers"])
	results := all["results"].([]any)
	require.Len(t, results, 7)
	require.Equal(t, "absent", results[0].(map[string]any)["case"], "in order: kernel, driver, table")
	pass := results[1].(map[string]any)
	id := r.opts.Cases[0]
	require.Equal(t, map[string]any{
		"kernel": "6.1", "arch": runtime.GOARCH, "driver": "ebpf", "syscall": "openat", "case": strings.TrimPrefix(id, "openat/"),
		"status": "pass", "class": "", "reason": "", "repro": "scaplab repro " + id + "@6.1/ebpf",
		"params": []any{map[string]any{"name": "fd", "want": "3", "got": "3", "ok": true}},
	}, pass)
	hang := results[3].(map[string]any)
	require.Equal(t, "scaplab repro '"+id+"@/boot/my kernel/ebpf' --arch "+foreignArch, hang["repro"])
	require.Equal(t, []any{}, hang["params"])

	r.opts.Shard = Shard{2, 3}
	var part bytes.Buffer
	require.NoError(t, r.WriteJSON(&part))
	joined, err := ReadJSON(&part)
	require.NoError(t, err)
	require.Equal(t, []Shard{{1, 3}, {3, 3}}, joined.Missing)

	require.Equal(t, "amd64", results[5].(map[string]any)["arch"], "of a kernel that is gone, too")

	// Joined with itself nothing changes but the number of results.
	again, err := ReadJSON(bytes.NewReader(b.Bytes()))
	require.NoError(t, err)
	require.Equal(t, r.Results, again.Results)
	require.Len(t, again.Failures(), 2)
	for _, bad := range []string{"", "{}x", `{"kernels":[],"drivers":[],"results":[],"more":1}`, `{"results":[{"status":"good"}]}`} {
		_, err := ReadJSON(strings.NewReader(bad))
		if bad == "{}x" {
			continue // what follows the object is not read
		}
		require.ErrorContains(t, err, "read report 1", bad)
	}
}

func TestReportAsJUnit(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, testReport(t).WriteJUnit(&b))
	var got junitSuites
	require.NoError(t, xml.Unmarshal(b.Bytes(), &got))
	require.Len(t, got.Suites, 3)
	s := got.Suites[0]
	require.Equal(t, []any{"6.1 ebpf", 3, 1, 0}, []any{s.Name, s.Tests, s.Failures, s.Skipped})
	f := s.Cases[2].Failure
	require.Equal(t, []string{"crash", "guest ended: <BUG> & more"}, []string{f.Type, f.Message})
	require.Contains(t, f.Text, "line two\nscaplab repro openat/")
	require.Equal(t, "this kernel cannot be had: no package", got.Suites[2].Cases[0].Skipped.Message)
}

func TestReportAsText(t *testing.T) {
	r := testReport(t)
	var b bytes.Buffer
	require.NoError(t, r.WriteText(&b))
	text := b.String()
	for _, want := range []string{
		"FAIL 1/3",
		"\nSkipped:\n",
		"  /boot/my kernel ebpf: needs ipv6 (" + r.opts.Cases[1] + ")\n",
		"  5.10 ebpf: this kernel cannot be had: no package (",
		"\nNotes:\n  6.1: ebpf: x_bpf_exit refused: too complex\n",
		"\nFailures:\n  " + r.opts.Cases[1] + "@6.1/ebpf: crash: guest ended: <BUG> & more\n      line two\n    scaplab repro " + r.opts.Cases[1] + "@6.1/ebpf\n",
		"\n6.1 ebpf: 2 passed, 1 failed, 0 skipped (6.1.9-test, cold boot in 2.0s)\n",
		"\ntotal: 2 passed, 2 failed, 3 skipped in ",
	} {
		require.Contains(t, text, want)
	}
}

func TestConsoleTellsWhyAGuestDied(t *testing.T) {
	text := "[    0.1] booting\n[    1.0] <mod>\n[   12.3][  T77] BUG: kernel NULL pointer dereference, address: 0\n[   12.4] #PF: supervisor\nlast\n"
	require.Equal(t, "BUG: kernel NULL pointer dereference, address: 0", crashHeadline(text))
	require.Equal(t, "[   12.3][  T77] BUG: kernel NULL pointer dereference, address: 0\n[   12.4] #PF: supervisor", crashExcerpt(text, 2))
	require.Empty(t, crashHeadline("all is well\n"))
	require.Equal(t, "b\nc", crashExcerpt("a\nb\nc\n", 2), "without a complaint the last lines")
	require.Equal(t, "plain\ttext\n", cleanConsole([]byte("\x1b[2J\x1b[1;1H\x1bcplain\ttext\r\n\x00\x07")))
}

func TestConsoleKeepsBothEnds(t *testing.T) {
	c := &console{died: make(chan struct{})}
	c.add([]byte("first line\n"))
	line := []byte(strings.Repeat("x", 99) + "\n")
	for range 3 * consoleLimit / len(line) {
		c.add(line)
	}
	c.add([]byte("Kernel panic - not syncing: te"))
	select {
	case <-c.died:
		t.Fatal("the line is not over")
	default:
	}
	c.add([]byte("st\n"))
	<-c.died
	text := c.text()
	require.True(t, strings.HasPrefix(text, "first line\n"))
	require.True(t, strings.HasSuffix(text, "test\n"))
	require.LessOrEqual(t, len(text), 2*consoleLimit)
}

func TestMachineArguments(t *testing.T) {
	m := &machineConfig{arch: "amd64", qemu: "/q", accel: accelTCG, kernel: "/k", initrd: "/i", memoryMB: 512, cpus: 1}
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
	arm := *m
	arm.arch = "arm64"
	got = strings.Join(argv(append(arm.devices(), serialPort{"channel", 4, targets["arm64"].port})...), " ")
	for _, want := range []string{
		"-machine virt -accel tcg -cpu max,pauth-impdef=on ", "-append console=ttyAMA0 ", "scaplab_port=/dev/ttyS0",
		"-chardev socket,id=channel,fd=4 -device pci-serial,chardev=channel",
	} {
		require.Contains(t, got, want)
	}
	costs := *m
	costs.counted, costs.more = true, []string{"more=1"}
	got = strings.Join(argv(costs.devices()...), " ")
	require.Contains(t, got, "8250.nr_uarts=2 more=1 -icount shift=0,sleep=off -rtc base=2030-01-01,clock=vm", "its clock counts instructions")

	l := &vmLauncher{config: *m, kernel: kernels.Kernel{Digest: strings.Repeat("d", 64)}, initrdSum: "guest 1"}
	first := l.key()
	l.config.initrd = "/elsewhere"
	require.Equal(t, first, l.key(), "places do not matter")
	for name, change := range map[string]func(*vmLauncher){
		"guest":       func(l *vmLauncher) { l.initrdSum = "guest 2" },
		"kernel":      func(l *vmLauncher) { l.kernel.Digest = strings.Repeat("e", 64) },
		"memory":      func(l *vmLauncher) { l.config.memoryMB = 1024 },
		"processors":  func(l *vmLauncher) { l.config.cpus = 2 },
		"accelerator": func(l *vmLauncher) { l.config.accel = accelKVM },
		"qemu":        func(l *vmLauncher) { l.config.qemu = "/other" },
	} {
		c := &vmLauncher{config: l.config, kernel: l.kernel, initrdSum: l.initrdSum}
		change(c)
		require.NotEqual(t, first, c.key(), name)
	}
}

func TestMissingQEMUSaysHowToGetIt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := FindQEMU("amd64")
	var env *env.Error
	require.ErrorAs(t, err, &env)
	require.Contains(t, err.Error(), "qemu-system-x86_64 is not installed (install qemu-system-x86")
	_, err = FindQEMU("vax")
	require.ErrorContains(t, err, "guests of vax are not supported")
}

func TestKVMVerdictIsKeptForOneBoot(t *testing.T) {
	dir := t.TempDir()
	_, ok := keptAccel(dir, "amd64")
	require.False(t, ok)
	qemu, err := FindQEMU("amd64")
	if err != nil {
		t.Skip(err)
	}
	want := Accel{"tcg", "tried"}
	for _, row := range []struct {
		boot, qemu string
		ok         bool
	}{{bootID(), qemuIdentity(qemu), true}, {"another boot", qemuIdentity(qemu), false}, {bootID(), "older", false}, {"", qemuIdentity(qemu), false}} {
		b, err := json.Marshal(accelRecord{want, row.boot, row.qemu})
		require.NoError(t, err)
		require.NoError(t, files.WriteAtomic(accelFile(dir, "amd64"), b))
		got, ok := keptAccel(dir, "amd64")
		require.Equal(t, row.ok, ok)
		if ok {
			require.Equal(t, want, got)
		}
	}
	o := Options{Accel: "kvm", Cache: dir}
	_, err = o.accel(t.Context(), machineConfig{arch: "amd64", qemu: "/no/such/qemu"})
	var env *env.Error
	require.ErrorAs(t, err, &env, "KVM was asked for, and is not there")

	a, err := chooseAccel(t.Context(), dir, machineConfig{arch: "amd64", qemu: "/no/such/qemu"})
	require.NoError(t, err)
	require.Equal(t, "tcg", a.Name)
	require.NotEmpty(t, a.Reason)
}

func TestALongCaseIsNoHang(t *testing.T) {
	o := Options{CaseLimit: defaultSilence, Cache: t.TempDir()}
	require.NoError(t, o.setDefaults())
	require.Greater(t, o.Silence, o.CaseLimit)
}

func TestThereIsAMachineForEachProcessor(t *testing.T) {
	o := Options{Cache: t.TempDir()}
	require.NoError(t, o.setDefaults())
	require.Equal(t, min(runtime.GOMAXPROCS(0), 8), o.Jobs)
}

func TestTheNameOfACaseIsNoComplaint(t *testing.T) {
	require.Empty(t, Complaint("[    1.2] "+guest.CaseLine+"prctl/BUG: of old\nall is well\n"))
	require.Equal(t, "BUG: scheduling while atomic", Complaint("[    1.2] BUG: scheduling while atomic\n"))
}
