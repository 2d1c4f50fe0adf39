// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
)

// jsonReport is the form other programs read.
type jsonReport struct {
	Kernels  []string        `json:"kernels"`
	Drivers  []guest.Drivers `json:"drivers"`
	Results  []Result        `json:"results"`
	Warnings []Warning       `json:"warnings,omitempty"`
	Costs    []Cost          `json:"costs,omitempty"`
	Partial  string          `json:"partial,omitempty"` // why results are missing
	Shard    string          `json:"shard,omitempty"`   // i/n, of a run that was not all of it

	number, index int // of the file, of the shard
}

// WriteJSON writes all results.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	shard := ""
	if r.opts.Shard.Partial() {
		shard = r.opts.Shard.String()
	}
	return e.Encode(jsonReport{Kernels: orEmpty(r.Kernels), Drivers: orEmpty(r.Drivers), Results: orEmpty(r.Results),
		Warnings: r.Warnings, Costs: r.Costs, Partial: r.Partial, Shard: shard})
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// ReadJSON reads reports written by WriteJSON and joins them, e.g. the shards of one run.
func ReadJSON(files ...io.Reader) (*Report, error) {
	r := &Report{guests: map[judge.Column]string{}}
	shards := map[Shard]bool{}
	reports := make([]jsonReport, len(files))
	for i, f := range files {
		d := json.NewDecoder(f)
		d.DisallowUnknownFields()
		j := &reports[i]
		if err := d.Decode(j); err != nil {
			return nil, fmt.Errorf("read report %d: %w", i+1, err)
		}
		if j.Shard != "" {
			sh, err := ParseShard(j.Shard)
			if err != nil {
				return nil, fmt.Errorf("read report %d: %w", i+1, err)
			}
			if shards[sh] {
				return nil, fmt.Errorf("read report %d: shard %s was read already", i+1, sh)
			}
			shards[sh] = true
			j.index = sh.Index
		}
		j.number = i + 1
	}
	// As one run has its kernels and cases, in whatever order its shards are given.
	slices.SortStableFunc(reports, func(a, b jsonReport) int { return a.index - b.index })
	for _, j := range reports {
		for _, k := range j.Kernels {
			if !slices.Contains(r.Kernels, k) {
				r.Kernels = append(r.Kernels, k)
			}
		}
		for _, d := range j.Drivers {
			if !slices.Contains(r.Drivers, d) {
				r.Drivers = append(r.Drivers, d)
			}
		}
		for _, w := range j.Warnings {
			if !slices.Contains(r.Warnings, w) {
				r.Warnings = append(r.Warnings, w)
			}
		}
		r.Costs = append(r.Costs, j.Costs...)
		if j.Partial != "" {
			r.Partial = strings.TrimPrefix(fmt.Sprintf("%s; report %d is partial: %s", r.Partial, j.number, j.Partial), "; ")
		}
		for _, x := range j.Results {
			if x.Status != judge.Pass && x.Status != judge.Fail && x.Status != judge.Skip {
				return nil, fmt.Errorf("read report %d: %s: unknown status %q", j.number, x.Cell(), x.Status)
			}
			r.Results = append(r.Results, x)
			id := x.Syscall + "/" + x.Case
			sc, _ := judge.FindCase(id)
			if sc == nil {
				r.notes = append(r.notes, "the table has no case "+id+" any more")
				continue
			}
			r.coverage.Add(x.column(), sc, x.failed(), judge.Verdict{Status: x.Status, Class: x.Class, Reason: x.Reason, Params: x.Params})
			if !slices.Contains(r.opts.Cases, id) {
				r.opts.Cases = append(r.opts.Cases, id)
			}
		}
	}
	for _, sh := range slices.SortedFunc(maps.Keys(shards), func(a, b Shard) int { return a.Index - b.Index }) {
		for i := range sh.Count {
			other := Shard{i + 1, sh.Count}
			if !shards[other] && !slices.Contains(r.Missing, other) {
				r.Missing = append(r.Missing, other)
			}
		}
	}
	r.opts.Cases = slices.DeleteFunc(r.opts.Cases, func(id string) bool { _, c := guest.Find(id); return c == nil })
	r.finish()
	return r, nil
}
