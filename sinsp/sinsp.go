// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"iter"

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
	// Lookup asks the running system about a process: of an event whose thread is not
	// known, or that got descriptors by a message. proc.ScanThread does it. nil: nobody
	// is asked.
	Lookup func(tid event.PID) (*proc.Thread, error)
	// Alive reports whether the running system has a thread. From time to time threads
	// that made no events for long, and are not alive, are forgotten: their exits were
	// lost. nil: threads are only forgotten by their exit events.
	Alive func(tid event.PID) bool
	// Runtime asks a container runtime about a container that no event describes; nil:
	// nobody is asked.
	Runtime Runtime
}

// Runtime tells what a container runtime knows.
type Runtime interface {
	// Container describes the container with that id; nil: not known.
	Container(id string) *Container
}

// Limits bound the memory of the state. What comes after a limit is dropped and counted
// in [Stats]. With the defaults the state takes at most about 1.5 GiB, whatever the
// source delivers.
type Limits struct {
	Threads int // default 262144
	FDs     int // descriptors per process; default 4096
	AllFDs  int // descriptors of all processes together; default 2097152
	Text    int // bytes of names, arguments, environments, paths; default 512 MiB
}

// Stats counts what the state has, and how often it lacked something.
type Stats struct {
	Events  uint64 // events read, hidden ones included
	Corrupt uint64 // events whose params contradict their type: they changed no state

	Threads int // in the table
	FDs     int // descriptors of all processes, those kept for expected children included
	Text    int // bytes of text

	// Events of the past were lost, or the capture began after them.
	UnknownThreads uint64 // events of a thread that the table did not have
	UnknownFDs     uint64 // successful calls on a descriptor that the table did not have
	UnknownParents uint64 // new threads whose maker the table did not have
	StaleThreads   uint64 // threads replaced by a new thread with the same id: their exit is missing
	ReusedFDs      uint64 // descriptors replaced by an open with the same number: their close is missing
	PurgedThreads  uint64 // threads forgotten as Options.Alive says
	LostBirths     uint64 // children of which only the event of their maker came, which does not say which thread they are

	// Limits were reached.
	DroppedThreads uint64
	DroppedFDs     uint64
	DroppedText    uint64 // strings that were left empty
	DroppedBirths  uint64 // children that were not told as LostBirths says: what they inherit was forgotten, as too many were expected
}

// Inspector reads the events of a source and keeps the state of the system that they
// change: threads, open files, users, containers.
//
// One goroutine at a time may use an Inspector and everything that it returns. What its
// methods return (events, threads, files) is valid until the next call of Next; strings
// stay valid.
type Inspector struct {
	src     scap.Source
	section func() (int, *proc.State) // of the source; nil: it has none
	current int

	batch    []event.Event
	at, n    int
	st       state
	ev       Event
	last     uint64   // timestamp of the last event
	switched []uint64 // timestamp of the last switch, by CPU
}

// batchSize is how many events are read at once.
const batchSize = 256

// sectioned is a source of captures: see package savefile.
type sectioned interface {
	Section() int
	State() *proc.State
}

// New returns an Inspector of the events of src. It does not close src.
func New(src scap.Source, opts Options) *Inspector {
	in := &Inspector{src: src, batch: make([]event.Event, batchSize)}
	in.ev.in = in
	if src, ok := src.(sectioned); ok {
		in.section = func() (int, *proc.State) { return src.Section(), src.State() }
		var own *proc.State
		if in.current, own = in.section(); opts.State == nil {
			opts.State = own
		}
	}
	in.st.init(opts)
	return in
}

// Next returns the next event, after it changed the state. Threads and files that end
// with the event stay until the next call. The errors are those of the source: [io.EOF]
// at the end, [scap.ErrTimeout] if nothing happened for some time. Each call returns the
// same object, and Next does not allocate unless the state grows.
//
// Next also returns events that only update the state: see [event.Event.Hidden]. The
// enter events that some calls have next to their exit events are among them.
//
// In a file with several captures, each begins with its own state, and the numbers go on.
func (in *Inspector) Next() (*Event, error) {
	s, ev := &in.st, &in.ev
	if s.closing != nil || s.leaving != nil {
		s.before()
	}
	if in.at == in.n {
		if err := in.read(); err != nil {
			return nil, err
		}
	}
	raw := &in.batch[in.at]
	in.at++
	ts, tid, typ := raw.Head()
	kind := kinds.At(typ)
	s.stats.Events++
	ev.Event, ev.Num, ev.Prev = raw, s.stats.Events, in.last
	ev.Switched, ev.Latency, ev.CPUUser, ev.CPUSystem = 0, 0, 0, 0
	ev.NameChanged, ev.looked = false, false
	in.last = ts
	t := s.threads.recent[tid&(recentThreads-1)]
	if t == nil || t.TID != tid || kind.flags != 0 || ev.Start == 0 || s.opts.Alive != nil {
		t = in.prepare(raw, kind.flags)
	} else if t.Placeholder {
		s.stats.UnknownThreads++
	}
	ev.Thread, s.cur = t, t
	if t != nil && t.LastType == typ-1 && typ&1 != 0 && ts >= t.Last && t.Last != 0 {
		ev.Latency = ts - t.Last
	}
	if kind.reduce != nil && (kind.shortcut == noShortcut || t == nil || !s.reduceShort(t, raw, kind)) {
		s.ev = ev
		if err := kind.reduce(s, raw); err != nil {
			s.stats.Corrupt++
		}
		t = ev.Thread
	}
	if t == nil {
		return ev, nil
	}
	if kind.flags&switches == 0 {
		t.Last, t.LastType = ts, typ
	} else {
		t.TotalRun += ev.Switched
	}
	if t.enter.typ != 0 && typ&1 != 0 {
		t.enter.typ = 0
	}
	return ev, nil
}

// prepare does what Next does in few events only, before their reducer, and returns their
// thread: of events that the table of recent threads does not have, that have flags, of the
// first one, and if threads are to be purged.
func (in *Inspector) prepare(raw *event.Event, k kindFlags) *Thread {
	s, ev, ts := &in.st, &in.ev, raw.Timestamp()
	if ev.Start == 0 && k&metaevent == 0 {
		ev.Start = ts
	}
	if s.opts.Alive != nil {
		in.purge(ts)
	}
	t := s.thread(raw.TID(), k)
	if k&switches != 0 {
		ev.Switched = in.ran(raw.CPU(), ts)
	}
	if k&enters != 0 && t != nil {
		s.enter(t, raw, enterEvents[raw.Type()])
		raw.SetHidden(true)
	}
	return t
}

// Waits reports whether the next call of Next may have to wait for the source: what was
// made of the events so far had better be written before.
func (in *Inspector) Waits() bool { return in.at == in.n && in.n < len(in.batch) }

func (in *Inspector) read() error {
	in.at, in.n = 0, 0
	n, err := in.src.ReadBatch(in.batch)
	if err != nil {
		return err
	}
	in.n = n
	if in.section != nil {
		if number, state := in.section(); number != in.current {
			in.current = number
			in.st.reset(state)
			clear(in.switched)
		}
	}
	return nil
}

// kind is what an Inspector does with the events of a code.
type kind struct {
	flags    kindFlags
	shortcut shortcut
	fd       int8                                    // see reduction.shortcut
	reduce   func(r Reducers, ev *event.Event) error // nil: they change nothing
}

type kindFlags uint8

const (
	metaevent kindFlags = 1 << iota
	ofNoThread
	knowsThread // tells of a new or an ending thread, and adds none
	switches    // the CPU switches to another thread
	enters      // one of enterEvents
)

var kinds = event.MakeByCode(kind{}, func(in *event.Info) (k kind) {
	if in.Source == event.SourceMetaevent {
		k.flags |= metaevent
	}
	if k.flags&metaevent != 0 && in.Code != event.TypeProcinfoEnter {
		k.flags |= ofNoThread
	}
	switch in.Code {
	case event.TypeSwitchEnter:
		k.flags |= knowsThread | switches
	case event.TypeCloneExit, event.TypeForkExit, event.TypeVforkExit, event.TypeClone3Exit, event.TypeProcexitEnter:
		k.flags |= knowsThread
	}
	if _, ok := enterEvents[in.Code]; ok {
		k.flags |= enters
	}
	r := reductions[in.Code]
	k.reduce = r.reduce
	k.shortcut, k.fd = r.shortcut()
	return k
})

// ran returns how long ago the CPU switched last.
func (in *Inspector) ran(cpu int, ts uint64) (ns uint64) {
	if cpu >= len(in.switched) {
		in.switched = append(in.switched, make([]uint64, cpu+1-len(in.switched))...)
	}
	if last := in.switched[cpu]; last != 0 && ts > last {
		ns = ts - last
	}
	in.switched[cpu] = ts
	return ns
}

const (
	idleTime  = 30 * 60 * 1e9 // ns without an event after which a thread may be gone
	purgeTime = 5 * 60 * 1e9  // ns between looks for such threads
)

func (in *Inspector) purge(ts uint64) {
	s := &in.st
	switch {
	case s.purgeAt == 0:
		s.purgeAt = ts + purgeTime
	case ts >= s.purgeAt:
		s.purgeAt = ts + purgeTime
		s.purge(ts, s.opts.Alive)
	}
}

// thread returns the thread of an event; nil: no thread made it. Events that tell of a
// new or an ending thread do not add one.
func (s *state) thread(tid event.PID, k kindFlags) *Thread {
	if tid < 0 || k&ofNoThread != 0 {
		return nil
	}
	t := s.threads.find(tid)
	if t != nil && !t.Placeholder || k&knowsThread != 0 {
		return t
	}
	s.stats.UnknownThreads++
	if t == nil && tid > 0 {
		t = s.lookup(tid)
	}
	return t
}

// lookup asks the running system about a thread, and adds a placeholder if it does not
// know it.
func (s *state) lookup(tid event.PID) *Thread {
	if s.opts.Lookup != nil {
		if from, err := s.opts.Lookup(tid); err == nil && from != nil && from.TID == tid {
			if t := s.seedThread(from, nil); t != nil {
				s.setParent(t.Process, t.PTID)
				return t
			}
		}
	}
	return s.placeholder(tid)
}

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

// Container returns the container with that id; nil: not known.
func (in *Inspector) Container(id string) *Container { return in.st.container(id) }

// Interfaces returns the addresses of the network interfaces. The caller must not change
// them.
func (in *Inspector) Interfaces() []proc.Interface { return in.st.interfaces }
