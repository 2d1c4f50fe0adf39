// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"cmp"
	"slices"

	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
)

// piece is the work of one lane.
type piece struct {
	kernel  int             // index in Options.Kernels
	drivers []guest.Drivers // whose verdicts it gives: a pair and its two drivers share one run
	cpus    int
	ids     []string
}

// lanes groups verdicts that come from the same run.
func lanes(drivers []guest.Drivers) [][]guest.Drivers {
	var all [][]guest.Drivers
	rest := slices.Clone(drivers)
	for _, pair := range drivers {
		if !pair.Pair() {
			continue
		}
		var group []guest.Drivers
		rest = slices.DeleteFunc(rest, func(d guest.Drivers) bool {
			of := d == pair || !d.Pair() && pair.Has(d.A)
			if of {
				group = append(group, d)
			}
			return of
		})
		all = append(all, group)
	}
	for _, d := range rest {
		all = append(all, []guest.Drivers{d})
	}
	return all
}

// captureOf returns the drivers that capture for this group: the pair if it has one.
func captureOf(group []guest.Drivers) guest.Drivers {
	if i := slices.IndexFunc(group, guest.Drivers.Pair); i >= 0 {
		return group[i]
	}
	return group[0]
}

// plan divides a run into pieces: one for each kernel and group of drivers. Cases
// that need two processors are apart, and there are more pieces if machines are idle.
func plan(o Options) []piece {
	var pieces []piece
	for k := range o.Kernels {
		for _, g := range lanes(o.Drivers) {
			one, two := piece{k, g, 1, nil}, piece{k, g, 2, nil}
			for _, id := range o.Cases {
				if needsSMP(id) {
					two.ids = append(two.ids, id)
				} else {
					one.ids = append(one.ids, id)
				}
			}
			for _, p := range []piece{one, two} {
				if len(p.ids) > 0 {
					pieces = append(pieces, p)
				}
			}
		}
	}
	// Another machine costs a fraction of a second when it is restored: worth it for many cases.
	const worthSplitting = 60
	for len(pieces) < o.Jobs {
		i := largest(pieces)
		if i < 0 || len(pieces[i].ids) < worthSplitting {
			break
		}
		rest := pieces[i]
		half := len(rest.ids) / 2
		for half < len(rest.ids) && guest.SyscallOf(rest.ids[half]) == guest.SyscallOf(rest.ids[half-1]) {
			half++ // the cases of a syscall stay together
		}
		if half == len(rest.ids) {
			break
		}
		pieces[i].ids, rest.ids = rest.ids[:half], rest.ids[half:]
		pieces = slices.Insert(pieces, i+1, rest)
	}
	return pieces
}

func largest(pieces []piece) int {
	best := -1
	for i, p := range pieces {
		if best < 0 || len(p.ids) > len(pieces[best].ids) {
			best = i
		}
	}
	return best
}

func needsSMP(id string) bool {
	_, c := guest.Find(id)
	return c != nil && slices.Contains(c.Needs, "smp")
}

// skipWithoutModule removes cases that need a kernel module that does not exist. It is
// a failure if the module should exist.
func skipWithoutModule(rep *Report, kernels []Kernel, pieces []piece) []piece {
	var kept []piece
	for _, p := range pieces {
		k := kernels[p.kernel]
		if k.Module != "" {
			kept = append(kept, p)
			continue
		}
		rest := slices.DeleteFunc(slices.Clone(p.drivers), func(d guest.Drivers) bool { return d.Has(guest.Kmod) })
		for _, d := range p.drivers {
			if slices.Contains(rest, d) {
				continue
			}
			v := judge.Verdict{Status: judge.Skip, Reason: "no module: " + cmp.Or(k.NoModule, "none was given")}
			if k.ModuleError != "" {
				v = judge.Verdict{Status: judge.Fail, Class: judge.ClassBuild, Reason: k.ModuleError}
			}
			for _, id := range p.ids {
				rep.add(k, d, id, nil, v)
			}
		}
		if p.drivers = rest; len(rest) > 0 {
			kept = append(kept, p)
		}
	}
	return kept
}
