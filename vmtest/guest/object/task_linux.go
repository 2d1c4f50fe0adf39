// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Builtins returns the variables that every case has.
func (c *Maker) Builtins(bind func(name string, v any)) error {
	me, err := taskFacts(os.Getpid(), c.TID, c.Parent)
	if err != nil {
		return fmt.Errorf("look at myself: %w", err)
	}
	me.update = func(o *Object) error {
		now, err := taskFacts(os.Getpid(), c.TID, c.Parent)
		if err == nil {
			o.fields = now.fields
		}
		return err
	}
	bind("self", me)
	for _, name := range []string{"pid", "tid", "ppid", "pgid", "sid", "uid", "euid", "suid", "gid", "egid", "sgid", "loginuid", "comm", "exe", "cwd"} {
		bind(name, me.fields[name])
	}
	page, err := NewRegion(1)
	if err != nil {
		return err
	}
	page.b[0] = 'x'
	bind("page", int64(pageSize))
	bind("end", int64(page.Addr()))
	bind("bad", int64(page.Addr()+1))
	cpus, err := onlineCPUs()
	if err != nil {
		return err
	}
	bind("cpus", int64(cpus))
	for name, clock := range map[string]int32{"now": unix.CLOCK_REALTIME, "mono": unix.CLOCK_MONOTONIC} {
		var ts unix.Timespec
		if err := unix.ClockGettime(clock, &ts); err != nil {
			return fmt.Errorf("clock: %w", err)
		}
		bind(name, ts.Nano())
	}
	return nil
}

// onlineCPUs returns the number of processors of the machine, not of those that this thread may use.
func onlineCPUs() (int, error) {
	b, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return 0, fmt.Errorf("processors: %w", err)
	}
	n := 0
	for r := range strings.SplitSeq(strings.TrimSpace(string(b)), ",") {
		first, last, isRange := strings.Cut(r, "-")
		a, err := strconv.Atoi(first)
		if err != nil {
			return 0, fmt.Errorf("processors: %w", err)
		}
		z := a
		if isRange {
			if z, err = strconv.Atoi(last); err != nil {
				return 0, fmt.Errorf("processors: %w", err)
			}
		}
		n += z - a + 1
	}
	return n, nil
}

// statusFields are the lines of /proc/TID/status that become facts, with
// the column of each; hex ones have base 16.
var statusFields = []struct {
	line string
	name string
	col  int
	hex  bool
}{
	{"Uid", "uid", 0, false}, {"Uid", "euid", 1, false}, {"Uid", "suid", 2, false}, {"Uid", "fsuid", 3, false},
	{"Gid", "gid", 0, false}, {"Gid", "egid", 1, false}, {"Gid", "sgid", 2, false}, {"Gid", "fsgid", 3, false},
	{"PPid", "ppid", 0, false}, {"TracerPid", "tracer", 0, false},
	{"CapInh", "cap_inheritable", 0, true}, {"CapPrm", "cap_permitted", 0, true}, {"CapEff", "cap_effective", 0, true},
	{"CapBnd", "cap_bounding", 0, true}, {"SigBlk", "sigmask", 0, true}, {"SigPnd", "sigpending", 0, true},
	{"VmSize", "vm_size", 0, false}, {"VmRSS", "vm_rss", 0, false}, {"VmSwap", "vm_swap", 0, false},
	{"Threads", "threads", 0, false}, {"Seccomp", "seccomp", 0, false}, {"NoNewPrivs", "no_new_privs", 0, false},
}

// taskFacts reads the facts of a thread from /proc and from the kernel.
//
// Only our own threads know the thread that started the process: parent.
func taskFacts(pid, tid, parent int) (*Object, error) {
	dir := fmt.Sprintf("/proc/%d/task/%d/", pid, tid)
	st, err := ReadStat(dir + "stat")
	if err != nil {
		return nil, err
	}
	// Numbers of fields are those of proc(5), from 1; rest begins with field 3.
	field := func(n int) int64 {
		v, _ := strconv.ParseInt(st.rest[n-3], 10, 64)
		return v
	}
	f := map[string]any{
		"pid": int64(pid), "tid": int64(tid), "ppid": int64(st.PPID), "ptid": int64(parent), "pgid": field(5), "sid": field(6),
		"tty": field(7), "min_flt": field(10), "maj_flt": field(12), "nice": field(19), "priority": field(18),
		"start": field(22), "state": string(st.State), "vm_size": int64(0), "vm_rss": int64(0), "vm_swap": int64(0),
	}
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(status)) {
		name, rest, _ := strings.Cut(line, ":")
		cols := strings.Fields(rest)
		for _, want := range statusFields {
			if want.line != name || want.col >= len(cols) {
				continue
			}
			base := 10
			if want.hex {
				base = 16
			}
			v, err := strconv.ParseUint(cols[want.col], base, 64)
			if err != nil {
				return nil, fmt.Errorf("%sstatus: %s: %w", dir, name, err)
			}
			f[want.name] = int64(v)
		}
		if name == "Umask" && len(cols) == 1 {
			v, err := strconv.ParseUint(cols[0], 8, 32)
			if err != nil {
				return nil, fmt.Errorf("%sstatus: %s: %w", dir, name, err)
			}
			f["umask"] = int64(v)
		}
	}
	text := func(name, file string) {
		if b, err := os.ReadFile(dir + file); err == nil {
			f[name] = b
		}
	}
	text("cmdline", "cmdline")
	text("env", "environ")
	if b, err := os.ReadFile(dir + "comm"); err == nil {
		f["comm"] = strings.TrimSuffix(string(b), "\n")
	}
	if b, ok := f["cmdline"].([]byte); ok {
		first, rest, _ := strings.Cut(string(b), "\x00")
		f["argv0"], f["args"] = first, []byte(rest)
	}
	if path, err := os.Readlink(dir + "exe"); err == nil {
		f["exe"] = path
	}
	var est unix.Stat_t
	if err := unix.Stat(dir+"exe", &est); err == nil {
		f["exe_ino"], f["exe_ctime"], f["exe_mtime"] = int64(est.Ino), est.Ctim.Nano(), est.Mtim.Nano()
	}
	if path, err := os.Readlink(dir + "cwd"); err == nil {
		f["cwd"] = path
	}
	f["loginuid"] = int64(0xffffffff)
	if b, err := os.ReadFile(dir + "loginuid"); err == nil {
		if v, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32); err == nil {
			f["loginuid"] = int64(v)
		}
	}
	var lim unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &lim); err == nil {
		f["fdlimit"] = int64(lim.Cur)
	}
	if b, err := os.ReadFile(dir + "cgroup"); err == nil {
		f["cgroups"] = cgroupParam(string(b))
	}
	for _, ns := range []string{"pid", "mnt", "net", "user", "uts", "ipc", "cgroup", "time"} {
		var nst unix.Stat_t
		if err := unix.Stat(dir+"ns/"+ns, &nst); err == nil {
			f["ns_"+ns] = int64(nst.Ino)
		}
	}
	return number("task", int64(tid), f), nil
}

// eventControllers are the controllers whose paths are in events, in order.
var eventControllers = []string{"cpuset", "cpu", "cpuacct", "io", "memory"}

// cgroupParam returns /proc/PID/cgroup in the form of events: "controller=path" items,
// each with a NUL. On the unified hierarchy all controllers have the same path.
func cgroupParam(text string) []byte {
	unified := ""
	paths := map[string]string{}
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		if parts[1] == "" {
			unified = parts[2]
		}
		for name := range strings.SplitSeq(parts[1], ",") {
			if name == "blkio" {
				name = "io"
			}
			paths[name] = parts[2]
		}
	}
	var out []byte
	for _, name := range eventControllers {
		path, ok := paths[name]
		if !ok {
			path = unified
		}
		out = append(out, name+"="+path+"\x00"...)
	}
	return out
}

// ProcStat is a part of a /proc/PID/stat file.
type ProcStat struct {
	State byte
	PPID  int
	rest  []string // from field 3 (state) on
}

// ReadStat reads a /proc/PID/stat file.
func ReadStat(path string) (ProcStat, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return ProcStat{}, err
	}
	_, after, ok := strings.Cut(string(b[max(bytes.LastIndexByte(b, ')'), 0):]), ") ")
	f := strings.Fields(after)
	if !ok || len(f) < 20 {
		return ProcStat{}, fmt.Errorf("%s: strange content", path)
	}
	ppid, err := strconv.Atoi(f[1])
	return ProcStat{State: f[0][0], PPID: ppid, rest: f}, err
}
