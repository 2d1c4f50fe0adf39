// SPDX-License-Identifier: Apache-2.0

// Package vmtest proves the table's entries on real kernels: it boots each in
// a virtual machine with this program as init, has the guest make every call
// while a driver captures, and judges what came.
//
// No privilege, server or disk image is needed: QEMU runs as the current user,
// kernels come from packages, results over a serial port.
package vmtest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/vmtest/guest"
)

// Options says what to run and how.
type Options struct {
	Kernels []kernels.Kernel      // of one architecture
	Gone    []kernels.Unavailable // kernels asked for that cannot be had: their cases are skipped
	Drivers []string              // verdicts wanted: of "ebpf", of "kmod", of a pair compared, "ebpf=kmod"
	Cases   []string              // IDs
	Shard   Shard

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
	Progress func(Progress)                                             // nil, or called after each case, one at a time
	OnResult func(k kernels.Kernel, driver string, r *guest.CaseResult) // nil, or called with each raw result, of a driver or a pair
}

// Progress is how far a run has come.
type Progress struct {
	Done, Total, Failed int
	Kernel, Driver      string // of the case that was finished last
	Case                string
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

// Run boots the kernels and runs the cases. The error is about the machine
// that runs it; what is wrong with kernels and drivers is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	if len(o.Kernels) == 0 {
		return nil, env.Lacks("no kernel to run on", goneText(o.Gone))
	}
	rep := newReport(o)
	pieces := plan(o)
	rep.expect(pieces)
	if pieces = skipWithoutModule(rep, o.Kernels, pieces); len(pieces) > 0 {
		machines, err := newFleet(ctx, &o, pieces[0].kernel)
		if err != nil {
			return nil, err
		}
		defer machines.close()
		rep.Accel = machines.accel
		if err := o.runAll(ctx, rep, machines, pieces); err != nil {
			return nil, err
		}
	}
	rep.finish()
	return rep, rep.captures.write()
}

// runAll runs the pieces, some at a time, then measures costs if that is asked for.
func (o *Options) runAll(ctx context.Context, rep *Report, machines *fleet, pieces []piece) error {
	work, runCtx := errgroup.WithContext(ctx)
	work.SetLimit(o.Jobs)
	for _, p := range pieces {
		work.Go(func() error {
			var l launcher = machines.launcher(p.kernel, p.cpus)
			if rep.captures != nil {
				l = stateLauncher{l, o.Kernels[p.kernel], rep.captures}
			}
			return o.runPiece(runCtx, rep, o.Kernels[p.kernel], p, l, true)
		})
	}
	if err := work.Wait(); err != nil || !o.Costs || o.Shard.Index != 1 {
		return err
	}
	work, runCtx = errgroup.WithContext(ctx)
	work.SetLimit(o.Jobs)
	for i, k := range o.Kernels {
		work.Go(func() error { return rep.addCosts(runCtx, k, machines.config(i, 1), o.Console) })
	}
	return work.Wait()
}

func goneText(gone []kernels.Unavailable) string {
	var s []string
	for _, g := range gone {
		s = append(s, fmt.Sprintf("%s: %v", g.Request, g.Reason))
	}
	return strings.Join(s, "; ")
}
