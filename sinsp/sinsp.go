// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"errors"
	"iter"
	"net/netip"

	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

// Options configure an Inspector. The zero value is usable.
type Options struct {
	// State is the system at the start; nil: that of the source, if the source has one
	// (captures do).
	State *proc.State
	// Limits bound what the state keeps; zero fields have the defaults.
	Limits Limits
	// Lookup asks the running system about a thread that no event and no scan told of,
	// such as proc.ScanThread does. nil: the thread gets a placeholder.
	Lookup func(tid event.PID) (*proc.Thread, error)
	// Runtime asks a container runtime about a container that the capture does not
	// describe; nil: only the capture does.
	Runtime Runtime
}

// Runtime tells what a container runtime knows.
type Runtime interface {
	// Container describes the container with that id; nil: not known.
	Container(id string) *Container
}

// Limits bound the memory of the state. What comes after a limit is dropped and
// counted in [Stats].
type Limits struct {
	Threads int // default 262144
	FDs     int // open files per process; default 4096
	AllFDs  int // open files of all processes together; default 1 << 21
	Text    int // bytes of names, arguments, environments, paths; default 1 << 29
}

// Stats counts what the state has and where it lacked events.
type Stats struct {
	Events  uint64 // events read, hidden ones included
	Corrupt uint64 // events whose params contradict their type; they change no state

	Threads int // in the table
	FDs     int // descriptors of all processes
	Text    int // bytes of text

	// Guesses: events of the past must have been lost, or the capture began later.
	UnknownThreads uint64 // events of a thread that the table did not have
	UnknownFDs     uint64 // successful calls on a descriptor that the table did not have
	UnknownParents uint64 // new threads whose parent the table did not have
	StaleThreads   uint64 // threads replaced by a new thread with the same id: their exit is missing
	ReusedFDs      uint64 // descriptors replaced by an open with the same number: their close is missing

	// Limits reached.
	DroppedThreads uint64
	DroppedFDs     uint64
	DroppedText    uint64 // strings that were left empty
}

// Inspector reads the events of a source and keeps the state of the system that they
// change: threads, open files, users, containers.
//
// One goroutine at a time may use an Inspector and all that it returns. What its
// methods return (events, threads, files, their strings excepted) is valid until the
// next call of Next; strings stay valid.
type Inspector struct {
	src scap.Source
	st  state
	ev  Event
}

// New returns an Inspector of the events of src. It does not close src.
func New(src scap.Source, opts Options) *Inspector {
	in := &Inspector{src: src}
	in.ev.in = in
	in.st.init(opts)
	return in
}

// Next returns the next event, after the state has changed by it. Threads and files
// that end with the event stay until the next call. The errors are those of the source:
// [io.EOF] at the end, [scap.ErrTimeout] if nothing happened for some time. The event
// is the same object in each call, and Next does not allocate unless the state grows.
//
// Events that only update the state are returned, too: see [event.Event.Hidden].
func (in *Inspector) Next() (*Event, error) { return nil, errors.ErrUnsupported }

// Stats returns the counts so far.
func (in *Inspector) Stats() Stats { return in.st.stats }

// Machine returns the machine that the events come from.
func (in *Inspector) Machine() *proc.Machine { return &in.st.machine }

// Thread returns the thread with an id of the initial pid namespace; nil: not known.
func (in *Inspector) Thread(tid event.PID) *Thread { return in.st.threads.find(tid) }

// Threads ranges over all threads, in no order.
func (in *Inspector) Threads() iter.Seq[*Thread] { return in.st.threads.all() }

// User returns a user of a container, or of the host if the id is empty; nil: not known.
func (in *Inspector) User(container string, uid event.UID) *User {
	return in.st.users.user(container, uid)
}

// Group returns a group of a container, or of the host if the id is empty; nil: not known.
func (in *Inspector) Group(container string, gid event.GID) *Group {
	return in.st.users.group(container, gid)
}

// Container returns the container with that id; nil: not described.
func (in *Inspector) Container(id string) *Container { return in.st.containers.find(id) }

// Interfaces returns the addresses of the network interfaces. The caller must not
// change them.
func (in *Inspector) Interfaces() []proc.Interface { return in.st.interfaces }

// Event is an event with what the state knows of it. Its methods describe the state
// after the event.
type Event struct {
	*event.Event
	Num    uint64  // of the event in the source, from 1; hidden events count
	Thread *Thread // that made the event; nil for events that no thread makes. Placeholder if not known

	Start uint64 // timestamp of the first event that is no metaevent; 0 before it
	Prev  uint64 // timestamp of the event before, of any thread; 0: none
	// Switched is the time, in ns, since the last switch on the event's CPU, of a
	// switch event: how long Thread ran. 0: none.
	Switched uint64
	// Latency is the time, in ns, since the enter event of the same call; 0 if the
	// source has no enter event of it.
	Latency uint64
	// CPUUser and CPUSystem are the CPU time, in ns, that the thread used since its
	// procinfo event before, of a procinfo event. 0: it is the first.
	CPUUser, CPUSystem uint64
	// NameChanged says that the event changed the name of FD.
	NameChanged bool

	in  *Inspector
	fd  *FD
	num event.FD
}

// Inspector returns the Inspector that the event comes from.
func (ev *Event) Inspector() *Inspector { return ev.in }

// FDNum returns the number of the file that the event is about; ok is false if it is
// about none. The number is negative if a call that returns a file failed, and may be
// event.AtFDCWD.
func (ev *Event) FDNum() (num event.FD, ok bool) { return ev.num, false }

// FD returns the file that the event is about; nil: it is about none, or not known. An
// event that closes a file has it, too.
func (ev *Event) FD() *FD { return ev.fd }

// Res returns the result of a call; ok is false for events without one.
func (ev *Event) Res() (res int64, ok bool) { return 0, false }

// AppendPath appends the absolute path that a call means by path and dirfd: below the
// directory of dirfd, or below the working directory for event.AtFDCWD. "<UNKNOWN>/"
// stands for a directory that is not known.
func (ev *Event) AppendPath(dst []byte, dirfd event.FD, path []byte) []byte {
	return appendPath(dst, ev.Thread, dirfd, path)
}

// Local reports whether ip is an address of the machine that the events come from, or
// of the thread's container.
func (ev *Event) Local(ip netip.Addr) bool { return false }
