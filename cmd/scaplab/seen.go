// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/tables"
	"github.com/scaplab/scaplab/vmtest"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
)

// checkForeign checks what is said of somebody else's module, before kernels are fetched.
func (f *runFlags) checkForeign(o *vmtest.Options) error {
	switch {
	case f.facts != "":
		return cli.Usage(errors.New("--facts is about a capture, and --driver names none (capture=FILE)"))
	case f.isForeign():
		if err := checkModule(f.driver); err != nil {
			return cli.Usage(fmt.Errorf("--driver %s: %w", f.driver, err))
		}
	}
	switch { // the file is about all cases
	case f.seen == "":
		return nil
	case !f.isForeign():
		return cli.Usage(errors.New("--seen is about somebody else's module, and --driver names none (kmod=X)"))
	case len(o.Cases) != len(guest.IDs()) || o.Shard.Partial():
		return cli.Usage(errors.New("--seen is about all cases: it goes with neither --syscall nor --shard"))
	}
	return nil
}

// writeSeen writes the file of --seen, what was seen of somebody else's module.
func (f *runFlags) writeSeen(rep *vmtest.Report) error {
	if f.seen == "" {
		return nil
	}
	text, err := seenOf(rep).Text()
	if err != nil {
		return err
	}
	return env.Disk(files.WriteAtomic(f.seen, text))
}

// seenOf sums up a report about somebody else's module.
func seenOf(rep *vmtest.Report) *tables.Seen {
	seen := &tables.Seen{}
	if s := rep.Subject(); s != nil {
		seen.Module, seen.API, seen.Schema, seen.Origin = s.String(), s.API, s.Schema, s.Origin
	}
	scores, deviations := rep.Conformance()
	for _, s := range scores {
		k := tables.SeenKernel{Kernel: s.Kernel, Release: rep.Release(s.Kernel), Cases: numbers(s.Cases), Events: numbers(s.Events), Params: numbers(s.Params),
			Generic: s.Generic, Skipped: s.Skipped, Broken: s.Broken}
		if i := slices.IndexFunc(rep.Results, func(r vmtest.Result) bool { return r.Kernel == s.Kernel && r.Class == judge.ClassBuild }); i >= 0 {
			k.Build = firstLine(rep.Results[i].Reason)
		}
		seen.Kernels = append(seen.Kernels, k)
	}
	for _, d := range deviations {
		id := d.Example.Syscall + "/" + d.Example.Case
		if d.Differs != "" {
			seen.Differs = append(seen.Differs, tables.SeenDifference{Event: d.Event, Param: d.Param, String: d.Differs == guest.StringLost,
				Kernels: d.Kernels, Cases: d.Cases, Example: id})
			continue
		}
		seen.Defects = append(seen.Defects, tables.SeenDefect{Event: d.Event, Param: d.Param, Kernels: d.Kernels, Example: id,
			Class: d.Example.Class, Reason: firstLine(d.Example.Reason)})
	}
	return seen
}

func numbers(t vmtest.Tally) [3]int { return [3]int{t.Equal, t.Listed, t.Defect} }
