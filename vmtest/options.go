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
)

// Kernel is a kernel to run on, with the module built for it.
type Kernel struct {
	kernels.Kernel
	Module      string // file; "" when there is none
	NoModule    string // why there is none
	Headers     string // tree that it was built against, when that was given
	ModuleError string // why the module that could be there is not: it did not compile
}

// Warning is what limits what a run's results say of a kernel.
type Warning struct {
	Kernel string `json:"kernel"` // name
	Text   string `json:"text"`
}

// Options says what to run and how.
type Options struct {
	Kernels []Kernel              // of one architecture
	Gone    []kernels.Unavailable // kernels asked for that are not available: their cases are skipped
	Drivers []guest.Drivers       // verdicts wanted
	Cases   []string              // IDs
	Arch    string                // of the kernels, those in Gone included; "" is that of the first

	Shard    Shard // that all of these are the share of
	AllCases int   // of all shards, when there are others

	Warnings []Warning // for the report

	Tool       string   // version of this program, for the report
	Command    string   // that runs this program, for a shell; "" is scaplab
	ReproFlags []string // words that `repro` is to be given, too

	Guest    string // static program to be init, for the kernels' architecture; "" is this one
	Jobs     int    // machines at a time; 0 is one for each processor, 8 at most
	MemoryMB int    // of a machine; 0 is 768
	Accel    string // "kvm", "tcg"; "" or "auto" is by trial

	NoSnapshots bool
	Cache       string        // "" is env.CacheDir()
	CaseLimit   time.Duration // of one case; 0 leaves it to the guest
	BootLimit   time.Duration // until a guest is ready; 0 is 5 minutes, ten times and more what it takes
	Silence     time.Duration // without a word from the guest; 0 is 3 minutes

	Costs    bool   // measure what drivers add to calls, too
	Captures string // directory to write what each driver delivered on each kernel to; "" for none

	Console  io.Writer // where to copy what kernels say; nil for nowhere
	Log      func(format string, args ...any)
	Progress func(Progress)            // nil, or called whenever a machine begins something else, one at a time
	Save     func(*Report)             // nil, or called with the unfinished report, one at a time, at the start and now and then
	OnResult func(r *guest.CaseResult) // nil, or called with what guests report
}

const (
	mostJobs         = 8 // there are not many more pieces of work, and each takes memory
	defaultMemoryMB  = 768
	defaultBootLimit = 5 * time.Minute
	defaultSilence   = 3 * time.Minute
)

func (o *Options) setDefaults() error {
	o.Jobs = cmp.Or(o.Jobs, min(runtime.GOMAXPROCS(0), mostJobs)) // each is bound by a processor
	o.MemoryMB = cmp.Or(o.MemoryMB, defaultMemoryMB)
	o.BootLimit = cmp.Or(o.BootLimit, defaultBootLimit)
	o.Silence = cmp.Or(o.Silence, max(defaultSilence, 2*o.CaseLimit)) // a guest says nothing while a case runs
	if o.Shard.Count == 0 {
		o.Shard = Shard{1, 1}
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
