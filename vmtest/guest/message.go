// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"encoding/json"
	"time"

	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/vmtest/guest/object"
)

// Messages between host and guest have a kind and a JSON value, framed by package
// wire. The host sends KindPing, KindState, KindRun and KindQuit; the guest sends the rest.
//
// The guest first sends Hello. It answers Run with Started and Result for each
// case, in the requested order, then Done. Started may announce several cases, which run
// one after the other in one process; their results follow together. If the guest dies
// between Started and Result, a case that Started named has killed it. A case that is announced
// again before its result has not run yet.
const (
	KindPing  = "ping"  // Ping
	KindRun   = "run"   // RunRequest
	KindState = "state" // no value; the answer is State
	KindQuit  = "quit"  // no value: as init the guest powers the machine off, otherwise it exits

	KindHello   = "hello"   // Hello
	KindPong    = "pong"    // Ping
	KindStarted = "started" // Started
	KindResult  = "result"  // CaseResult
	KindDone    = "done"    // Done
	KindCost    = "cost"    // Cost
	KindError   = "error"   // Error
)

// ModuleFile is the path of the kernel module in a machine that has one.
const ModuleFile = "/scap.ko"

// Conn transports messages; *wire.Conn implements it.
type Conn interface {
	Send(kind string, v any) error
	Receive() (kind string, value json.RawMessage, err error) // io.EOF after the other side has closed the channel
}

// Ping asks for a pong with the same number, e.g. after a restore. Clock, if not
// zero, is the host's time in ns since the epoch, to which the guest sets its clock.
type Ping struct {
	N     uint64 `json:"n"`
	Clock int64  `json:"clock,omitempty"`
}

// Hello describes the guest.
type Hello struct {
	Release  string            `json:"release"` // uname -r
	Version  string            `json:"version"` // uname -v
	Arch     string            `json:"arch"`    // GOARCH
	Init     bool              `json:"init"`    // the guest is pid 1: unsafe cases may run
	CPUs     int               `json:"cpus"`
	Mailbox  bool              `json:"mailbox,omitempty"` // it reads what is in the mailbox
	BTF      bool              `json:"btf"`
	Calls    []KernelCall      `json:"calls,omitempty"` // syscalls that the kernel has, as it lists them; nil if not known
	Lacks    map[string]string `json:"lacks,omitempty"` // word of `needs` -> why this machine does not meet it
	Drivers  []DriverState     `json:"drivers"`
	Warnings []string          `json:"warnings,omitempty"` // mounts and other steps of init that failed
}

// KernelCall is a syscall in the kernel's own list, the events of tracefs.
type KernelCall struct {
	Symbol string `json:"symbol"` // of the function, without sys_
	Args   int    `json:"args"`   // number of arguments
}

// DriverState says whether a driver works here, and what of it does not.
type DriverState struct {
	Name    Driver    `json:"name"`
	Error   string    `json:"error,omitempty"` // why the driver does not work at all
	Detail  string    `json:"detail,omitempty"`
	Refused []Refusal `json:"refused,omitempty"`
	Object  string    `json:"object,omitempty"` // object file that was loaded
}

// Refusal is a program that this kernel refused.
type Refusal struct {
	Program string `json:"program"`
	Reason  string `json:"reason"`
}

// CaseLimit is the time that a case may take. The slowest take a few seconds on a loaded machine without KVM.
const CaseLimit = 5 * time.Minute

// RunRequest requests cases, which run one after the other.
type RunRequest struct {
	Cases   []string      `json:"cases"`             // IDs
	Drivers Drivers       `json:"drivers"`           // none: facts only
	Snaplen int           `json:"snaplen,omitempty"` // for cases that do not set it
	Timeout time.Duration `json:"timeout,omitempty"` // of one case; 0 means CaseLimit
	Unsafe  bool          `json:"unsafe,omitempty"`  // also run cases that change the machine
	Alone   bool          `json:"alone,omitempty"`   // each case in a process of its own
}

// State is the content of the guest's /proc.
type State struct {
	State *proc.State `json:"state,omitempty"`
	Error string      `json:"error,omitempty"`
}

// Started announces a case, before any part of it runs, and those that follow it in the same process.
type Started struct {
	Case string   `json:"case"`
	And  []string `json:"and,omitempty"`
}

// Outcome says how a case ended. The host decides whether it passes.
type Outcome string

const (
	Ran     Outcome = "ran"     // the call was made, and returned unless it never returns
	Crashed Outcome = "crashed" // the child died before it reported
	Timeout Outcome = "timeout" // the time limit killed the child
	Skipped Outcome = "skipped" // this machine does not meet a need
	Failed  Outcome = "failed"  // given or after failed: Reason says which
)

// Capture is what one driver delivered of a case.
type Capture struct {
	Driver     Driver   `json:"driver,omitempty"`
	Incomplete string   `json:"incomplete,omitempty"` // why events may be missing: an event around the case's own is missing
	Events     [][]byte `json:"events,omitempty"`     // raw events of the calling thread and its child, or of a scenario's threads, in time order
	Others     int      `json:"others,omitempty"`     // number of selected events of other threads, which are not sent
	Lost       uint64   `json:"lost,omitempty"`       // number of events that the driver dropped meanwhile
	LeftOut    uint64   `json:"left_out,omitempty"`   // those of them that are messages after the first ones of a call
}

// CaseResult is the outcome of a case and the events that it made.
type CaseResult struct {
	Case    string  `json:"case"`
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason,omitempty"`

	Facts   object.Facts `json:"facts,omitempty"`   // variables, with fields flattened: "st.dev"; "ret", "tid"
	Args    []uint64     `json:"args,omitempty"`    // the call's registers
	Ret     int64        `json:"ret"`               // raw value: -errno for an error
	Return  bool         `json:"return"`            // false: the call did not return (exit, exec)
	TID     uint64       `json:"tid,omitempty"`     // of the calling thread, in the initial pid namespace
	Child   uint64       `json:"child,omitempty"`   // tid of the task that a clone made
	Mark    uint32       `json:"mark,omitempty"`    // number of the case's marks, see ReadMark
	Signal  string       `json:"signal,omitempty"`  // signal that ended the child
	Stderr  string       `json:"stderr,omitempty"`  // the last lines of its standard error
	Threads []uint64     `json:"threads,omitempty"` // of a scenario: those whose events it is about

	Capture          // of the requested driver, or of a pair's first one
	Second  *Capture `json:"second,omitempty"` // of a pair's second one

	Took time.Duration `json:"took"`
}

// By returns the result with the capture of one driver, or nil if that did not capture.
func (r *CaseResult) By(driver Driver) *CaseResult {
	own := *r
	own.Second = nil
	if r.Second != nil && r.Second.Driver == driver {
		own.Capture = *r.Second
	} else if r.Driver != driver {
		return nil
	}
	return &own
}

// Done ends a Run.
type Done struct {
	Cases int               `json:"cases"`
	Took  time.Duration     `json:"took"`
	Stats map[string]uint64 `json:"stats,omitempty"` // statistics of the driver: seen, delivered, drops by cause
	Error string            `json:"error,omitempty"` // why the run ended early or did not begin
	Left  string            `json:"left,omitempty"`  // what its cases changed for others: mounts, names, System V objects
}

// Error is the answer to a request that the guest does not understand.
type Error struct {
	Text string `json:"text"`
}
