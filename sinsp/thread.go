// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"iter"
	"strings"

	"github.com/scaplab/scaplab/scap/event"
)

// Thread is a thread. The fields are for reading.
type Thread struct {
	*Process // never nil

	TID  event.PID // in the initial pid namespace
	Comm string

	Last     uint64 // timestamp of its last event, switches not counted
	LastType event.Type

	// Placeholder: an event named the thread, but nothing else is known of it. Its
	// name is "<NA>".
	Placeholder bool
	// Exited: its procexit has come. The main thread of a process stays as long as
	// another thread of the process lives.
	Exited bool

	files *fdTable
	enter enterEvent // its type is the last of what most events need, which shares a cache line

	VTID event.PID // in the thread's own pid namespace; -1: not known

	Cgroups     string // subsystem=path, each ended by a NUL
	ContainerID string // by the cgroups; "" on the host

	UID      event.UID // effective; event.NoUID: not known
	GID      event.GID
	LoginUID event.UID // event.NoUID: none

	CapInheritable uint64
	CapPermitted   uint64
	CapEffective   uint64

	Flags     uint32 // clone_flags with which it was made
	CloneTime uint64 // 0: not known
	PFMajor   uint64
	PFMinor   uint64
	TotalRun  uint64 // ns that it ran, by the switch events

	ruid, suid event.UID // real and saved, for the capabilities
	keepCaps   bool
	inverted   bool // the event of the child came first
	elsewhere  bool // its children enter another pid namespace
	fs         *fsInfo
	cpuTime    [2]uint64 // user, system: of the last procinfo event
	next, prev *Thread   // of the process
}

// Process is what the threads of a process share. The fields are for reading.
type Process struct {
	PID   event.PID // -1: not known
	PTID  event.PID // thread id of the parent; 0: none known
	VPID  event.PID // in its own pid namespace; -1: not known
	SID   event.PID // session; in its own pid namespace if setsid told it; -1: not known
	PGID  event.PID // process group; -1: not known
	VPGID event.PID // process group in its own pid namespace; 0: the group is outside of it; -1: not known

	Exe     string // argv[0]
	ExePath string
	Args    string // the other arguments, each ended by a NUL: see [Items]
	Env     string // NAME=value, each ended by a NUL

	ExeIno        uint64
	ExeCtime      uint64 // ns since the Unix epoch, as all times
	ExeMtime      uint64
	ExeWritable   bool
	ExeUpperLayer bool
	ExeLowerLayer bool
	ExeFromMemfd  bool

	TTY        uint32
	FDLimit    int64
	VMSize     uint32 // kB
	VMRSS      uint32
	VMSwap     uint32
	ExecTime   uint64 // of the last execve; 0: none seen
	PidnsStart uint64 // start of the init of its pid namespace

	s       *state
	leader  *Thread // nil: not known
	threads *Thread // list
	alive   int
	reaper  bool      // adopts the children of its descendants
	adopter event.PID // thread that the kernel named to adopt the children; 0: none

	parent                   *Process
	children                 *Process // list
	nextSibling, prevSibling *Process
}

// fsInfo is what threads share by CLONE_FS.
type fsInfo struct {
	cwd, root string
	refs      int
}

// Main reports whether t is the main thread of its process.
func (t *Thread) Main() bool { return t.TID == t.PID }

// Leader returns the main thread of the process; nil: not known.
func (p *Process) Leader() *Thread { return p.leader }

// Parent returns the main thread of the parent process; nil: none or not known.
func (p *Process) Parent() *Thread {
	if p.parent == nil {
		return nil
	}
	return p.parent.leader
}

// Ancestor returns the n-th ancestor: the main thread of t's own process for 0, of its
// parent for 1; nil: not known.
func (p *Process) Ancestor(n int) *Thread {
	for ; n > 0 && p != nil && p.leader != nil; n-- {
		p = p.parent
	}
	if n < 0 || p == nil {
		return nil
	}
	return p.leader
}

// Ancestors ranges over the main threads of the parent, its parent, and so on.
func (p *Process) Ancestors() iter.Seq[*Thread] {
	return func(yield func(*Thread) bool) {
		for a := p.Parent(); a != nil; a = a.Parent() {
			if !yield(a) {
				return
			}
		}
	}
}

// SessionLeader returns the thread that leads t's session or, if that one is not known
// or t is in another pid namespace, the oldest ancestor in the session; nil: none.
func (t *Thread) SessionLeader() *Thread {
	return t.oldest(t.SID, true, func(p *Process) event.PID { return p.SID })
}

// GroupLeader does what SessionLeader does, for the process group PGID.
func (t *Thread) GroupLeader() *Thread {
	return t.oldest(t.PGID, false, func(p *Process) event.PID { return p.PGID })
}

// VGroupLeader does what SessionLeader does, for the process group VPGID.
func (t *Thread) VGroupLeader() *Thread {
	return t.oldest(t.VPGID, true, func(p *Process) event.PID { return p.VPGID })
}

// oldest returns the thread with that id, which counts in the initial pid namespace
// unless it is virtual, or the oldest of the direct ancestors that share the id.
func (t *Thread) oldest(id event.PID, virtual bool, of func(*Process) event.PID) (found *Thread) {
	if id == -1 {
		return nil
	}
	if !virtual || !t.InPidns() {
		if leader := t.s.threads.find(id); leader != nil {
			return leader
		}
	}
	for a := range t.Ancestors() {
		if of(a.Process) != id {
			break
		}
		found = a
	}
	return found
}

// LoginShell returns the oldest among t's process and its ancestors whose name ends in
// "sh"; nil: none.
func (t *Thread) LoginShell() (found *Thread) {
	if strings.HasSuffix(t.Comm, "sh") {
		found = t
	}
	for a := range t.Ancestors() {
		if strings.HasSuffix(a.Comm, "sh") {
			found = a
		}
	}
	return found
}

// InPidns reports whether t is in another pid namespace than the initial one.
func (t *Thread) InPidns() bool {
	return t.Flags&(cloneChildInPidns|cloneNewPID) != 0 || t.VTID != -1 && t.VTID != t.TID
}

// CWD returns the working directory, with a slash at its end; "": not known.
func (t *Thread) CWD() string {
	if t.fs == nil {
		return ""
	}
	return t.fs.cwd
}

// Root returns the root directory: "/" unless the process called chroot; "": not known.
func (t *Thread) Root() string {
	if t.fs == nil {
		return ""
	}
	return t.fs.root
}

// Getenv returns the value of an environment variable.
func (p *Process) Getenv(name string) (value string, ok bool) { return lookup(p.Env, name) }

// Cgroup returns the path of a cgroup subsystem. io, the name in cgroup version 2 and in events, and blkio, the name in
// version 1 and in captures by sysdig, are one subsystem.
func (t *Thread) Cgroup(subsystem string) (path string, ok bool) {
	path, ok = lookup(t.Cgroups, subsystem)
	if other := blockIO[subsystem]; !ok && other != "" {
		path, ok = lookup(t.Cgroups, other)
	}
	return path, ok
}

var blockIO = map[string]string{"io": "blkio", "blkio": "io"}

// lookup returns the value of the first item name=value of a list.
func lookup(list, name string) (value string, ok bool) {
	for item := range Items(list) {
		if v, ok := strings.CutPrefix(item, name); ok && v != "" && v[0] == '=' {
			return v[1:], true
		}
	}
	return "", false
}

// NumThreads returns the number of live threads of the process.
func (p *Process) NumThreads() int { return p.alive }

// NumChildren returns the number of live threads without the main thread, which the
// reference calls children.
func (p *Process) NumChildren() int {
	if p.leader != nil && !p.leader.Exited {
		return p.alive - 1
	}
	return p.alive
}

// FD returns an open file by its number; nil: not known.
func (t *Thread) FD(num event.FD) *FD {
	fd, _ := t.files.get(num)
	return fd
}

// FDs ranges over the open files, in the order of their numbers.
func (t *Thread) FDs() iter.Seq2[event.FD, *FD] { return t.files.all() }

// NumFDs returns the number of open files.
func (t *Thread) NumFDs() int { return t.files.len() }

// CloseOnExec reports whether execve closes that descriptor.
func (t *Thread) CloseOnExec(num event.FD) bool {
	_, cloexec := t.files.get(num)
	return cloexec
}

// User returns the entry of UID in the user list of the thread's container; nil: none.
func (t *Thread) User() *User { return t.s.users.user(t.ContainerID, t.UID) }

// LoginUser returns the entry of LoginUID; nil: none.
func (t *Thread) LoginUser() *User { return t.s.users.user(t.ContainerID, t.LoginUID) }

// Group returns the entry of GID; nil: none.
func (t *Thread) Group() *Group { return t.s.users.group(t.ContainerID, t.GID) }

// Container returns what is known of the thread's container; nil: the thread is on the
// host, or nothing but the id is known.
func (t *Thread) Container() *Container {
	if t.ContainerID == "" {
		return nil
	}
	return t.s.container(t.ContainerID)
}

// Items ranges over a list of items, each ended by a NUL. The NUL of the last is
// optional. It does not allocate.
func Items(list string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for list != "" {
			item, rest, _ := strings.Cut(list, "\x00")
			if !yield(item) {
				return
			}
			list = rest
		}
	}
}

// setExeFlags takes over what execve tells of the file in its flags.
func (p *Process) setExeFlags(flags uint32) {
	p.ExeWritable = flags&exeWritable != 0
	p.ExeUpperLayer = flags&exeUpperLayer != 0
	p.ExeLowerLayer = flags&exeLowerLayer != 0
	p.ExeFromMemfd = flags&exeFromMemfd != 0
}

// Values as events carry them.
var (
	cloneFiles        = event.MustValue("clone_flags", "CLONE_FILES")
	cloneFS           = event.MustValue("clone_flags", "CLONE_FS")
	cloneThread       = event.MustValue("clone_flags", "CLONE_THREAD")
	cloneParent       = event.MustValue("clone_flags", "CLONE_PARENT")
	cloneVfork        = event.MustValue("clone_flags", "CLONE_VFORK")
	cloneNewNS        = event.MustValue("clone_flags", "CLONE_NEWNS")
	cloneNewPID       = event.MustValue("clone_flags", "CLONE_NEWPID")
	cloneNewUser      = event.MustValue("clone_flags", "CLONE_NEWUSER")
	cloneChildInPidns = event.MustValue("clone_flags", "CLONE_CHILD_IN_PIDNS")

	exeWritable   = event.MustValue("execve_flags", "EXE_WRITABLE")
	exeUpperLayer = event.MustValue("execve_flags", "EXE_UPPER_LAYER")
	exeLowerLayer = event.MustValue("execve_flags", "EXE_LOWER_LAYER")
	exeFromMemfd  = event.MustValue("execve_flags", "EXE_FROM_MEMFD")

	openDirectory  = event.MustValue("open_flags", "O_DIRECTORY")
	openCloexec    = event.MustValue("open_flags", "O_CLOEXEC")
	openPathOnly   = event.MustValue("open_flags", "O_PATH")
	openUpperLayer = event.MustValue("open_flags", "FD_UPPER_LAYER")
	openLowerLayer = event.MustValue("open_flags", "FD_LOWER_LAYER")
)
