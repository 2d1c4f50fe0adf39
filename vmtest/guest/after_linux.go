// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func statObject(st *unix.Stat_t) any {
	return &object{what: "stat", fields: map[string]any{
		"dev": encodeDev(uint64(st.Dev)), "ino": int64(st.Ino), "mode": int64(st.Mode), "size": st.Size,
		"uid": int64(st.Uid), "gid": int64(st.Gid), "nlink": int64(st.Nlink), "rdev": encodeDev(uint64(st.Rdev)),
		"ctime": st.Ctim.Nano(), "mtime": st.Mtim.Nano(), "atime": st.Atim.Nano(),
	}}
}

func fstat(_ *child, args []any) (any, error) {
	fd, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(fd), &st); err != nil {
		return nil, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	return statObject(&st), nil
}

func stat(_ *child, args []any) (any, error)  { return statPath(args, unix.Stat) }
func lstat(_ *child, args []any) (any, error) { return statPath(args, unix.Lstat) }

func statPath(args []any, call func(string, *unix.Stat_t) error) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := call(path, &st); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return statObject(&st), nil
}

// lookAt reads size bytes at an object's address, or a number's.
func lookAt(c *child, args []any, size int) ([]byte, error) {
	if len(args) == 0 {
		return nil, errors.New("argument 1 is missing")
	}
	p, err := c.register(args[0], "")
	if err != nil {
		return nil, err
	}
	off, err := argIntOr(args, 1, 0)
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	// The kernel looks for us: a bad address is an error then, not a crash.
	local := []unix.Iovec{{Base: &b[0], Len: uint64(size)}}
	remote := []unix.RemoteIovec{{Base: p + uintptr(off), Len: size}}
	n, err := unix.ProcessVMReadv(os.Getpid(), local, remote, 0)
	if err == nil && n != size {
		err = unix.EFAULT
	}
	if err != nil {
		return nil, fmt.Errorf("read %d bytes at %#x: %w", size, uint64(p)+uint64(off), err)
	}
	return b, nil
}

func s32At(c *child, args []any) (any, error) {
	b, err := lookAt(c, args, 4)
	if err != nil {
		return nil, err
	}
	return int64(int32(binary.NativeEndian.Uint32(b))), nil
}

func u32At(c *child, args []any) (any, error) {
	b, err := lookAt(c, args, 4)
	if err != nil {
		return nil, err
	}
	return int64(binary.NativeEndian.Uint32(b)), nil
}

func memAt(c *child, args []any) (any, error) {
	n, err := argSize(args, 1)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return []byte{}, nil
	}
	return lookAt(c, args[:1], n)
}

func u64At(c *child, args []any) (any, error) {
	b, err := lookAt(c, args, 8)
	if err != nil {
		return nil, err
	}
	return int64(binary.NativeEndian.Uint64(b)), nil
}

// builtins sets the variables every case has.
func (c *child) builtins() error {
	parent, err := strconv.Atoi(os.Getenv(envParent))
	if err != nil {
		return fmt.Errorf("thread of the parent: %w", err)
	}
	me, err := taskFacts(os.Getpid(), c.tid, parent)
	if err != nil {
		return fmt.Errorf("look at myself: %w", err)
	}
	tid := c.tid
	me.update = func(o *object) error {
		now, err := taskFacts(os.Getpid(), tid, parent)
		if err == nil {
			o.fields = now.fields
		}
		return err
	}
	c.bind("self", me)
	for _, name := range []string{"pid", "tid", "ppid", "pgid", "sid", "uid", "euid", "suid", "gid", "egid", "sgid", "loginuid", "comm", "exe", "cwd"} {
		c.bind(name, me.fields[name])
	}
	page, err := newRegion(1)
	if err != nil {
		return err
	}
	page.b[0] = 'x'
	c.bind("page", int64(pageSize))
	c.bind("end", int64(page.addr()))
	c.bind("bad", int64(page.addr()+1))
	cpus, err := onlineCPUs()
	if err != nil {
		return err
	}
	c.bind("cpus", int64(cpus))
	for name, clock := range map[string]int32{"now": unix.CLOCK_REALTIME, "mono": unix.CLOCK_MONOTONIC} {
		var ts unix.Timespec
		if err := unix.ClockGettime(clock, &ts); err != nil {
			return fmt.Errorf("clock: %w", err)
		}
		c.bind(name, ts.Nano())
	}
	return nil
}

// onlineCPUs counts processors of the machine, not those this thread may use.
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

func self(c *child, _ []any) (any, error) { return c.Lookup("self") }

func childSelf(c *child, args []any) (any, error) {
	pid, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	return taskFacts(int(pid), int(pid), c.tid)
}

// statusFields are the lines of /proc/TID/status that become facts, and which
// column of them: a base-16 one when hex.
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

// taskFacts is what /proc and the kernel tell of a thread.
//
// The thread that made a process is known of our own only: parent.
func taskFacts(pid, tid, parent int) (*object, error) {
	dir := fmt.Sprintf("/proc/%d/task/%d/", pid, tid)
	st, err := readStat(dir + "stat")
	if err != nil {
		return nil, err
	}
	// Numbers of fields are those of proc(5), counted from 1; rest starts at 3.
	field := func(n int) int64 {
		v, _ := strconv.ParseInt(st.rest[n-3], 10, 64)
		return v
	}
	f := map[string]any{
		"pid": int64(pid), "tid": int64(tid), "ppid": int64(st.ppid), "ptid": int64(parent), "pgid": field(5), "sid": field(6),
		"tty": field(7), "min_flt": field(10), "maj_flt": field(12), "nice": field(19), "priority": field(18),
		"start": field(22), "state": string(st.state), "vm_size": int64(0), "vm_rss": int64(0), "vm_swap": int64(0),
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

// eventControllers are the controllers whose paths events carry, in order.
var eventControllers = []string{"cpuset", "cpu", "cpuacct", "io", "memory"}

// cgroupParam is /proc/PID/cgroup as events have it: "controller=path" items,
// each with its NUL. On the unified hierarchy the path is the same for all.
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
