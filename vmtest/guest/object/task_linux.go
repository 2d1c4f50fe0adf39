// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// builtinFields are the fields of self that are variables, too.
var builtinFields = []string{"pid", "tid", "ppid", "pgid", "sid", "uid", "euid", "suid", "gid", "egid", "sgid", "loginuid", "comm", "exe", "cwd"}

// Builtins binds the variables that every case has, if this one mentions them, and always tid.
func (c *Maker) Builtins(bind func(name string, v any)) error {
	wants := func(field string) bool {
		return field == "tid" || c.Mentions("self."+field) || slices.Contains(builtinFields, field) && c.Mentions(field)
	}
	me, err := taskFacts(os.Getpid(), c.TID, c.Parent, wants)
	if err != nil {
		return fmt.Errorf("look at myself: %w", err)
	}
	me.update = func(o *Object) error {
		now, err := taskFacts(os.Getpid(), c.TID, c.Parent, wants)
		if err == nil {
			o.fields = now.fields
		}
		return err
	}
	bind("self", me)
	for _, name := range builtinFields {
		if v, ok := me.fields[name]; ok && (name == "tid" || c.Mentions(name)) {
			bind(name, v)
		}
	}
	bind("page", int64(pageSize))
	if c.Mentions("end") || c.Mentions("bad") {
		page, err := NewRegion(1)
		if err != nil {
			return err
		}
		page.b[0] = 'x'
		bind("end", int64(page.Addr()))
		bind("bad", int64(page.Addr()+1))
	}
	if c.Mentions("cpus") {
		cpus, err := onlineCPUs()
		if err != nil {
			return err
		}
		bind("cpus", int64(cpus))
	}
	for name, clock := range map[string]int32{"now": unix.CLOCK_REALTIME, "mono": unix.CLOCK_MONOTONIC} {
		if !c.Mentions(name) {
			continue
		}
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

// taskSource reads some fields of a thread from one place.
type taskSource struct {
	fields []string
	read   func(t *taskFields) error
}

// taskFields holds the fields of a thread that were read so far.
type taskFields struct {
	pid int
	dir string // of the thread in /proc
	set map[string]any
}

var taskSources = []taskSource{
	{[]string{"ppid", "pgid", "sid", "tty", "min_flt", "maj_flt", "nice", "priority", "start", "state"}, (*taskFields).stat},
	{statusNames(), (*taskFields).status},
	{[]string{"cmdline", "argv0", "args"}, (*taskFields).commandLine},
	{[]string{"env"}, (*taskFields).environment},
	{[]string{"comm"}, (*taskFields).comm},
	{[]string{"exe"}, (*taskFields).link},
	{[]string{"cwd"}, (*taskFields).directory},
	{[]string{"exe_ino", "exe_ctime", "exe_mtime"}, (*taskFields).executable},
	{[]string{"loginuid"}, (*taskFields).loginUser},
	{[]string{"fdlimit"}, (*taskFields).descriptorLimit},
	{[]string{"cgroups"}, (*taskFields).cgroups},
}

func statusNames() []string {
	names := []string{"umask"}
	for _, f := range statusFields {
		names = append(names, f.name)
	}
	return names
}

// taskFacts reads the wanted facts of a thread from /proc and from the kernel. parent is the
// thread that is the parent of its process, which neither tells.
func taskFacts(pid, tid, parent int, wants func(field string) bool) (*Object, error) {
	t := &taskFields{pid: pid, dir: fmt.Sprintf("/proc/%d/task/%d/", pid, tid), set: map[string]any{
		"pid": int64(pid), "tid": int64(tid), "ptid": int64(parent),
	}}
	for _, source := range taskSources {
		if slices.ContainsFunc(source.fields, wants) {
			if err := source.read(t); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range namespaceNames {
		var st unix.Stat_t
		if wants("ns_"+name) && unix.Stat(t.dir+"ns/"+name, &st) == nil {
			t.set["ns_"+name] = int64(st.Ino)
		}
	}
	maps.DeleteFunc(t.set, func(field string, _ any) bool { return !wants(field) })
	return number("task", int64(tid), t.set), nil
}

var namespaceNames = []string{"pid", "mnt", "net", "user", "uts", "ipc", "cgroup", "time"}

func (t *taskFields) stat() error {
	st, err := ReadStat(t.dir + "stat")
	if err != nil {
		return err
	}
	t.set["ppid"], t.set["state"] = int64(st.PPID), string(st.State)
	// Numbers of fields are those of proc(5), counted from 1; rest starts at 3.
	for name, n := range map[string]int{"pgid": 5, "sid": 6, "tty": 7, "min_flt": 10, "maj_flt": 12, "priority": 18, "nice": 19, "start": 22} {
		t.set[name], _ = strconv.ParseInt(st.rest[n-3], 10, 64)
	}
	return nil
}

func (t *taskFields) status() error {
	// A kernel thread has no memory.
	t.set["vm_size"], t.set["vm_rss"], t.set["vm_swap"] = int64(0), int64(0), int64(0)
	status, err := os.ReadFile(t.dir + "status")
	if err != nil {
		return err
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
				return fmt.Errorf("%sstatus: %s: %w", t.dir, name, err)
			}
			t.set[want.name] = int64(v)
		}
		if name == "Umask" && len(cols) == 1 {
			v, err := strconv.ParseUint(cols[0], 8, 32)
			if err != nil {
				return fmt.Errorf("%sstatus: %s: %w", t.dir, name, err)
			}
			t.set["umask"] = int64(v)
		}
	}
	return nil
}

// A field that cannot be read is left out: a case that wants it fails.

func (t *taskFields) commandLine() error {
	if b, err := os.ReadFile(t.dir + "cmdline"); err == nil {
		first, rest, _ := strings.Cut(string(b), "\x00")
		t.set["cmdline"], t.set["argv0"], t.set["args"] = b, first, []byte(rest)
	}
	return nil
}

func (t *taskFields) environment() error {
	if b, err := os.ReadFile(t.dir + "environ"); err == nil {
		t.set["env"] = b
	}
	return nil
}

func (t *taskFields) comm() error {
	if b, err := os.ReadFile(t.dir + "comm"); err == nil {
		t.set["comm"] = strings.TrimSuffix(string(b), "\n")
	}
	return nil
}

func (t *taskFields) link() error {
	if path, err := os.Readlink(t.dir + "exe"); err == nil {
		t.set["exe"] = path
	}
	return nil
}

func (t *taskFields) directory() error {
	if path, err := os.Readlink(t.dir + "cwd"); err == nil {
		t.set["cwd"] = path
	}
	return nil
}

func (t *taskFields) executable() error {
	var st unix.Stat_t
	if err := unix.Stat(t.dir+"exe", &st); err == nil {
		t.set["exe_ino"], t.set["exe_ctime"], t.set["exe_mtime"] = int64(st.Ino), st.Ctim.Nano(), st.Mtim.Nano()
	}
	return nil
}

func (t *taskFields) loginUser() error {
	t.set["loginuid"] = int64(0xffffffff)
	if b, err := os.ReadFile(t.dir + "loginuid"); err == nil {
		if v, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32); err == nil {
			t.set["loginuid"] = int64(v)
		}
	}
	return nil
}

func (t *taskFields) descriptorLimit() error {
	var lim unix.Rlimit
	if err := unix.Prlimit(t.pid, unix.RLIMIT_NOFILE, nil, &lim); err == nil {
		t.set["fdlimit"] = int64(lim.Cur)
	}
	return nil
}

func (t *taskFields) cgroups() error {
	if b, err := os.ReadFile(t.dir + "cgroup"); err == nil {
		t.set["cgroups"] = cgroupParam(string(b))
	}
	return nil
}

const cgroupMount = "/sys/fs/cgroup"

// newCgroup moves this process to a new cgroup in which all controllers of events act, below others.
func newCgroup(c *Maker, args []any) (any, error) {
	depth, err := argSize(args, 0)
	if err != nil {
		return nil, err
	}
	path := ""
	for i := range depth {
		err := os.WriteFile(cgroupMount+path+"/cgroup.subtree_control", []byte("+cpuset +cpu +io +memory"), 0)
		if err != nil {
			return nil, err
		}
		if path += fmt.Sprintf("/c%d", i); i == 0 {
			path = fmt.Sprintf("/scaplab%d", os.Getpid())
		}
		if err := os.Mkdir(cgroupMount+path, 0o755); err != nil {
			return nil, err
		}
	}
	return path, os.WriteFile(cgroupMount+path+"/cgroup.procs", []byte("0"), 0)
}

// eventControllers are the controllers whose paths are in events, in order.
var eventControllers = []string{"cpuset", "cpu", "cpuacct", "io", "memory"}

// cgroupParam returns /proc/PID/cgroup in the form of events: "controller=path" items,
// each with a NUL. On the unified hierarchy a controller acts in the innermost cgroup that has it.
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
			for path != "/" && !hasController(path, name) {
				path = filepath.Dir(path)
			}
		}
		out = append(out, name+"="+path+"\x00"...)
	}
	return out
}

func hasController(cgroup, name string) bool {
	b, err := os.ReadFile(cgroupMount + cgroup + "/cgroup.controllers")
	return err == nil && slices.Contains(strings.Fields(string(b)), name)
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
