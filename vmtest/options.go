// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"cmp"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/shard"
	"github.com/scaplab/scaplab/vmtest/subject"
)

// Kernel is a kernel to run on, with the module built for it.
type Kernel struct {
	kernels.Kernel
	Module      string   // file; "" if there is none
	NoModule    string   // why there is none
	Headers     []string // what it was built against, if that was given: a tree, or packages
	ModuleError string   // compile error of the module; "" if it has none

	// Subject describes the module if it is somebody else's, which is judged by what it has; nil: it is ours.
	Subject *subject.Subject
}

// Warning is a restriction on the results of a kernel.
type Warning struct {
	Kernel string `json:"kernel"` // name
	Text   string `json:"text"`
}

// Options describes a run.
type Options struct {
	Kernels []Kernel              // all of one architecture
	Gone    []kernels.Unavailable // requested kernels that are not available: their cases are skipped
	Drivers []guest.Drivers       // verdicts wanted
	Cases   []string              // IDs
	Arch    string                // of the kernels, also those in Gone; "" means that of the first kernel

	Shard    shard.Shard // whose share the cases are
	AllCases int         // number of cases of all shards, if there are others

	Warnings []Warning // for the report
	Begun    time.Time // when the work for the run began, with kernels to fetch and modules to build; zero means now

	Tool       string   // version of this program, for the report
	Command    string   // command that runs this program, quoted for a shell; "" means scaplab
	ReproFlags []string // additional arguments of `repro`

	Guest    string // static program that is init of the machines; "" means this one
	Jobs     int    // machines at a time; 0 means one per processor, at most 8
	MemoryMB int    // of a machine; 0 means 768
	Accel    string // "kvm" or "tcg"; "" and "auto" mean by trial

	NoSnapshots bool
	Cache       string        // "" means env.CacheDir()
	CaseLimit   time.Duration // of one case; 0 means guest.CaseLimit
	BootLimit   time.Duration // until a guest is ready; 0 means 20 minutes: 6.1 was seen to take more than 4 without other work
	Silence     time.Duration // time without a message from the guest; 0 means twice the limit of a case

	Costs    bool   // also measure what drivers add to calls
	Verifier bool   // also measure how much work the eBPF programs are for the kernels' verifiers
	Captures string // directory for the events that each driver delivered on each kernel; "" means none

	Console  io.Writer // destination of copies of the kernels' consoles, or nil
	Log      func(format string, args ...any)
	Progress func(Progress)            // called by one goroutine at a time when a machine begins something else; may be nil
	Save     func(*Report)             // called by one goroutine at a time with the unfinished report, at the start and now and then; may be nil
	OnResult func(r *guest.CaseResult) // called with the results of guests; may be nil
}

const (
	mostJobs         = 8 // there is not more work than that, and each takes memory
	defaultMemoryMB  = 768
	defaultBootLimit = 20 * time.Minute
)

func (o *Options) setDefaults() error {
	o.Jobs = cmp.Or(o.Jobs, min(runtime.GOMAXPROCS(0), mostJobs)) // each uses one processor
	o.MemoryMB = cmp.Or(o.MemoryMB, defaultMemoryMB)
	o.BootLimit = cmp.Or(o.BootLimit, defaultBootLimit)
	o.CaseLimit = cmp.Or(o.CaseLimit, guest.CaseLimit)
	o.Silence = cmp.Or(o.Silence, 2*max(o.CaseLimit, guest.CaseLimit)) // a guest sends nothing while a case runs, nor while it waits for its events
	if o.Shard.Count == 0 {
		o.Shard = shard.Shard{Index: 1, Count: 1}
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	var err error
	if o.Cache == "" {
		o.Cache, err = env.CacheDir()
	}
	if o.Guest == "" && err == nil {
		o.Guest, err = os.Executable()
	}
	return err
}
