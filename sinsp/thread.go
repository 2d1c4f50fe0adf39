// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"iter"
	"strings"

	"github.com/scaplab/scaplab/scap/event"
)

// Thread is a thread. A process is its main thread ([Thread.Main]) and all that share
// its PID. The fields are for reading.
type Thread struct {
	TID   event.PID // in the initial pid namespace, as all ids but VTID, VPID and VPGID
	PID   event.PID
	PTID  event.PID // thread id of the parent; 0: none known
	VTID  event.PID // in the thread's own pid namespace
	VPID  event.PID
	SID   event.PID // session, as captures and events tell it: in the thread's own namespace
	PGID  event.PID // -1: not known
	VPGID event.PID

	Comm    string
	Exe     string // argv[0]
	ExePath string
	Args    string // the other arguments, each ended by a NUL: see [Items]
	Cgroups string // subsystem=path, each ended by a NUL
	env     string

	// ContainerID is the container's id by the cgroups, "" on the host. See [Container].
	ContainerID string

	UID      event.UID // effective; event.NoUID: not known
	GID      event.GID
	LoginUID event.UID // event.NoUID: none

	CapInheritable uint64
	CapPermitted   uint64
	CapEffective   uint64

	ExeIno        uint64
	ExeCtime      uint64 // ns since the Unix epoch, as all times
	ExeMtime      uint64
	ExeWritable   bool
	ExeUpperLayer bool
	ExeLowerLayer bool
	ExeFromMemfd  bool

	Flags   uint32 // clone_flags with which it was made
	TTY     uint32
	FDLimit int64

	VMSize  uint32 // kB, of the process
	VMRSS   uint32
	VMSwap  uint32
	PFMajor uint64
	PFMinor uint64

	CloneTime  uint64 // 0: not known
	ExecTime   uint64 // of the last execve; 0: none seen
	PidnsStart uint64 // start of the init of its pid namespace

	// Time that the thread ran, from switch events, ns.
	TotalRun uint64

	// Placeholder: an event named the thread, but nothing is known of it.
	Placeholder bool
	// Exited: its procexit has come. The main thread of a process stays as long as
	// another thread of the process lives.
	Exited bool

	Last     uint64 // timestamp of its last event
	LastType event.Type

	s     *state
	group *group
	files *fdTable
	fs    *fsInfo
}

// Main reports whether t is the main thread of its process.
func (t *Thread) Main() bool { return t.TID == t.PID }

// Leader returns the main thread of the process; nil: not known.
func (t *Thread) Leader() *Thread { return nil }

// Parent returns the main thread of the parent process; nil: none or not known.
func (t *Thread) Parent() *Thread { return nil }

// Ancestor returns the n-th ancestor: the main thread of t's own process for 0, of its
// parent for 1; nil: not known.
func (t *Thread) Ancestor(n int) *Thread { return nil }

// Ancestors ranges over the parent of the process, its parent, and so on.
func (t *Thread) Ancestors() iter.Seq[*Thread] { return func(yield func(*Thread) bool) {} }

// SessionLeader returns the thread that leads t's session, or, if that one is not known,
// the oldest ancestor in the session; nil: none.
func (t *Thread) SessionLeader() *Thread { return nil }

// GroupLeader does what SessionLeader does, for the process group PGID.
func (t *Thread) GroupLeader() *Thread { return nil }

// VGroupLeader does what SessionLeader does, for the process group VPGID.
func (t *Thread) VGroupLeader() *Thread { return nil }

// LoginShell returns the oldest among t and its ancestors whose name ends in "sh"; nil:
// none.
func (t *Thread) LoginShell() *Thread { return nil }

// InPidns reports whether t is in another pid namespace than the initial one.
func (t *Thread) InPidns() bool { return false }

// CWD returns the working directory, with a slash at its end; "": not known.
func (t *Thread) CWD() string { return "" }

// Root returns the root directory of the process: "/" unless it called chroot.
func (t *Thread) Root() string { return "" }

// Env returns the environment of the process: NAME=value, each ended by a NUL.
func (t *Thread) Env() string { return t.env }

// Getenv returns the value of an environment variable.
func (t *Thread) Getenv(name string) (value string, ok bool) {
	for item := range Items(t.Env()) {
		if len(item) > len(name) && item[len(name)] == '=' && item[:len(name)] == name {
			return item[len(name)+1:], true
		}
	}
	return "", false
}

// Cgroup returns the path of a cgroup subsystem.
func (t *Thread) Cgroup(subsystem string) (path string, ok bool) {
	for item := range Items(t.Cgroups) {
		if len(item) > len(subsystem) && item[len(subsystem)] == '=' && item[:len(subsystem)] == subsystem {
			return item[len(subsystem)+1:], true
		}
	}
	return "", false
}

// NumThreads returns the number of live threads of the process.
func (t *Thread) NumThreads() int { return 0 }

// NumChildren returns the number of live threads of the process without the main thread.
func (t *Thread) NumChildren() int { return 0 }

// FD returns an open file of the process by its number; nil: not known.
func (t *Thread) FD(num event.FD) *FD { return nil }

// FDs ranges over the open files of the process, in the order of their numbers.
func (t *Thread) FDs() iter.Seq2[event.FD, *FD] { return func(yield func(event.FD, *FD) bool) {} }

// NumFDs returns the number of open files of the process.
func (t *Thread) NumFDs() int { return 0 }

// CloseOnExec reports whether execve closes that descriptor.
func (t *Thread) CloseOnExec(num event.FD) bool { return false }

// User returns the entry of UID in the user list of the thread's container; nil: none.
func (t *Thread) User() *User { return nil }

// LoginUser returns the entry of LoginUID; nil: none.
func (t *Thread) LoginUser() *User { return nil }

// Group returns the entry of GID; nil: none.
func (t *Thread) Group() *Group { return nil }

// Container returns what is known of the thread's container; nil: the thread is on the
// host, or nothing but the id is known.
func (t *Thread) Container() *Container { return nil }

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

// fsInfo is what threads share by CLONE_FS.
type fsInfo struct {
	cwd, root string
	refs      int
}
