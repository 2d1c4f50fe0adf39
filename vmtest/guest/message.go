// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"encoding/json"
	"time"

	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/vmtest/guest/object"
)

// Messages between host and guest: a kind and a JSON value, framed by package
// wire. The host sends KindPing, KindState, KindRun and KindQuit; the guest sends the rest.
//
// The guest opens with Hello. Run is answered by Started and Result for each
// case, in the order asked for, then Done. When the guest dies between
// Started and Result, the case named by Started killed it.
const (
	KindPing  = "ping"  // Ping
	KindRun   = "run"   // RunRequest
	KindState = "state" // nothing; the answer is State
	KindQuit  = "quit"  // nothing: as init the guest powers the machine off, else it exits

	KindHello   = "hello"   // Hello
	KindPong    = "pong"    // Ping
	KindStarted = "started" // Started
	KindResult  = "result"  // CaseResult
	KindDone    = "done"    // Done
	KindCost    = "cost"    // Cost
	KindError   = "error"   // Error
)

// ModuleFile is where a machine has the kernel module, when it has one.
const ModuleFile = "/scap.ko"

// Conn carries messages; *wire.Conn is one.
type Conn interface {
	Send(kind string, v any) error
	Receive() (kind string, value json.RawMessage, err error) // io.EOF when the other side has gone
}

// Ping asks for a pong with the same number, e.g. after a restore. Clock, when
// not zero, is the host's time in ns since the epoch: the guest sets its own.
type Ping struct {
	N     uint64 `json:"n"`
	Clock int64  `json:"clock,omitempty"`
}

// Hello is what the host must know of the guest before it asks for cases.
type Hello struct {
	Release  string            `json:"release"` // uname -r
	Version  string            `json:"version"` // uname -v
	Arch     string            `json:"arch"`    // GOARCH
	Init     bool              `json:"init"`    // the guest is pid 1: unsafe cases may run
	CPUs     int               `json:"cpus"`
	BTF      bool              `json:"btf"`
	Present  []string          `json:"present,omitempty"` // syscalls the kernel has, by kernel symbol; nil when it cannot be told
	From     string            `json:"from,omitempty"`    // where Present comes from: btf, kallsyms
	Lacks    map[string]string `json:"lacks,omitempty"`   // `needs` word -> why it is not met here
	Drivers  []DriverState     `json:"drivers"`
	Warnings []string          `json:"warnings,omitempty"` // mounts and the like that failed
}

// DriverState is whether a driver works here, and what of it does not.
type DriverState struct {
	Name    Driver    `json:"name"`
	Error   string    `json:"error,omitempty"` // why it does not work at all
	Detail  string    `json:"detail,omitempty"`
	Refused []Refusal `json:"refused,omitempty"`
	Object  string    `json:"object,omitempty"` // build of it that was loaded
}

// Refusal is a program this kernel did not accept.
type Refusal struct {
	Program string `json:"program"`
	Reason  string `json:"reason"`
}

// RunRequest asks for cases, one after the other.
type RunRequest struct {
	Cases   []string      `json:"cases"`             // IDs
	Drivers Drivers       `json:"drivers"`           // none: no capture, facts only
	Snaplen int           `json:"snaplen,omitempty"` // default for cases that name none
	Timeout time.Duration `json:"timeout,omitempty"` // of one case, default 30 s
	Unsafe  bool          `json:"unsafe,omitempty"`  // run cases that change the machine, too
	// Absent lists syscalls that this kernel should lack: the call runs
	// with zero arguments, its cases do not.
	Absent []string `json:"absent,omitempty"`
}

// State is what /proc of the guest says.
type State struct {
	State *proc.State `json:"state,omitempty"`
	Error string      `json:"error,omitempty"`
}

// Started announces a case, before anything of it runs.
type Started struct {
	Case string `json:"case"`
}

// Outcome of a case as the guest sees it; whether it passes is for the host to say.
type Outcome string

const (
	Ran     Outcome = "ran"     // the call was made (and returned, unless it never does)
	Crashed Outcome = "crashed" // the child died before it could report
	Timeout Outcome = "timeout" // the time limit killed the child
	Skipped Outcome = "skipped" // a need is not met
	Failed  Outcome = "failed"  // given or after did not work: Reason says which
)

// Capture is what one driver delivered of a case.
type Capture struct {
	Driver     Driver   `json:"driver,omitempty"`
	Incomplete string   `json:"incomplete,omitempty"` // why it may not be all: an event around the case's own did not come
	Events     [][]byte `json:"events,omitempty"`     // raw, of the calling thread and its child, in time order
	Others     int      `json:"others,omitempty"`     // selected events of other threads, not sent
	Lost       uint64   `json:"lost,omitempty"`       // events the driver dropped meanwhile
}

// CaseResult is what a case really did and which events came of it.
type CaseResult struct {
	Case    string  `json:"case"`
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason,omitempty"`

	Facts  object.Facts `json:"facts,omitempty"`  // variables, their fields flattened: "st.dev"; "ret", "tid"
	Args   []uint64     `json:"args,omitempty"`   // the call's registers
	Ret    int64        `json:"ret"`              // raw: -errno
	Return bool         `json:"return"`           // false: the call never came back (exit, exec)
	TID    uint64       `json:"tid,omitempty"`    // of the calling thread, initial pid namespace
	Child  uint64       `json:"child,omitempty"`  // tid of the process a clone made
	Signal string       `json:"signal,omitempty"` // that ended the child
	Stderr string       `json:"stderr,omitempty"` // last lines of it

	Capture          // of the driver asked for, of a pair's first one
	Second  *Capture `json:"second,omitempty"` // of a pair's second one

	Took time.Duration `json:"took"`

	// Absent tells of a call made only to see whether the kernel has it.
	Absent bool `json:"absent,omitempty"`
}

// By is the result as one driver has it: nil when that one did not capture.
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
	Stats map[string]uint64 `json:"stats,omitempty"` // of the driver: seen, delivered, drops by cause
	Error string            `json:"error,omitempty"` // why the run stopped early, or never began
}

// Error is a request the guest could not make sense of.
type Error struct {
	Text string `json:"text"`
}
