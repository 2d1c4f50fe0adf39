// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
	"github.com/scaplab/scaplab/vmtest/shard"
)

// reportFormat is the version of jsonReport, which docs/report.schema.json describes.
const reportFormat = 1

// jsonReport is the form for other programs.
type jsonReport struct {
	Format   int             `json:"format"`
	Runs     []RunInfo       `json:"runs"`
	Kernels  []string        `json:"kernels"`
	Drivers  []guest.Drivers `json:"drivers"`
	Results  []Result        `json:"results"`
	Warnings []Warning       `json:"warnings,omitempty"`
	Costs    []Cost          `json:"costs,omitempty"`
	Verifier []Verifier      `json:"verifier,omitempty"`

	name  string // of the file
	index int    // of the shard
}

// WriteJSON writes all results.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	return e.Encode(jsonReport{Format: reportFormat, Runs: orEmpty(r.RunInfos()), Kernels: orEmpty(r.Kernels), Drivers: orEmpty(r.Drivers),
		Results: orEmpty(r.Results), Warnings: r.Warnings, Costs: r.Costs, Verifier: r.Verifier})
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// ReadJSON reads reports that WriteJSON wrote and joins them, e.g. the shards of a run.
// A cell of a run counts once, even if it is read several times.
func ReadJSON(files ...io.Reader) (*Report, error) {
	r := &Report{guests: map[judge.Column]string{}}
	var reports []jsonReport
	for i, f := range files {
		j, err := readReport(f, i+1)
		if err != nil {
			return nil, err
		}
		reports = append(reports, j)
	}
	// Like the kernels and cases of one run, whatever the order of the files.
	slices.SortStableFunc(reports, func(a, b jsonReport) int { return a.index - b.index })
	if err := r.joinRuns(reports); err != nil {
		return nil, err
	}
	read := map[[2]string]bool{} // run and cell
	costs := map[Cost]bool{}
	for _, j := range reports {
		r.Kernels = union(r.Kernels, j.Kernels)
		r.Drivers = union(r.Drivers, j.Drivers)
		r.Warnings = union(r.Warnings, j.Warnings)
		for _, c := range j.Costs {
			if !costs[c] {
				costs[c] = true
				r.Costs = append(r.Costs, c)
			}
		}
		for _, v := range j.Verifier { // time differs from run to run
			if !slices.ContainsFunc(r.Verifier, func(x Verifier) bool {
				return x.Kernel == v.Kernel && x.Arch == v.Arch && x.Program == v.Program && x.Clang == v.Clang
			}) {
				r.Verifier = append(r.Verifier, v)
			}
		}
		for _, x := range j.Results {
			if x.Status != judge.Pass && x.Status != judge.Fail && x.Status != judge.Skip {
				return nil, fmt.Errorf("read %s: %s: unknown status %q", j.name, x.Cell(), x.Status)
			}
			if key := [2]string{x.Run, x.Cell()}; !read[key] {
				read[key] = true
				r.join(x)
			}
		}
	}
	r.finish()
	return r, nil
}

// readReport reads one file. A file without a name is named by its number.
func readReport(f io.Reader, number int) (j jsonReport, err error) {
	j.name = fmt.Sprintf("report %d", number)
	if named, ok := f.(interface{ Name() string }); ok {
		j.name = named.Name()
	}
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	switch err := d.Decode(&j); {
	case errors.Is(err, io.EOF):
		return j, fmt.Errorf("read %s: it is empty (a report as matrix --json writes it is expected)", j.name)
	case err != nil:
		return j, fmt.Errorf("read %s: %w", j.name, err)
	case j.Format != reportFormat:
		return j, fmt.Errorf("read %s: format %d (%d is expected)", j.name, j.Format, reportFormat)
	}
	for _, run := range j.Runs {
		sh, err := shard.Parse(run.Shard)
		if err != nil {
			return j, fmt.Errorf("read %s: %w", j.name, err)
		}
		if j.index == 0 && sh.Partial() {
			j.index = sh.Index
		}
	}
	return j, nil
}

// joinRuns collects the runs, each once, and the shards that are missing. The complete
// report of a run replaces one that was saved while it ran.
func (r *Report) joinRuns(reports []jsonReport) error {
	r.Runs = []RunInfo{}
	partial := map[string]string{}     // the file that has it, by run
	shards := map[shard.Shard]string{} // the run of each shard
	for _, j := range reports {
		for _, run := range j.Runs {
			if i := slices.IndexFunc(r.Runs, func(x RunInfo) bool { return x.ID == run.ID }); i < 0 {
				r.Runs = append(r.Runs, run)
			} else if run.Partial == "" {
				r.Runs[i] = run
			} else {
				continue
			}
			partial[run.ID] = j.name
			if run.Shard == "" {
				continue
			}
			sh, _ := shard.Parse(run.Shard) // readReport has checked it
			if other, ok := shards[sh]; ok && other != run.ID {
				return fmt.Errorf("read %s: shard %s was read already, of another run", j.name, sh)
			}
			shards[sh] = run.ID
		}
	}
	var why []string
	for _, run := range r.Runs {
		if run.Partial != "" {
			why = append(why, fmt.Sprintf("%s is partial: %s", partial[run.ID], run.Partial))
		}
	}
	r.Partial = strings.Join(why, "; ")
	for _, sh := range slices.SortedFunc(maps.Keys(shards), func(a, b shard.Shard) int { return a.Index - b.Index }) {
		for i := range sh.Count {
			other := shard.Shard{Index: i + 1, Count: sh.Count}
			if _, ok := shards[other]; !ok && !slices.Contains(r.Missing, other) {
				r.Missing = append(r.Missing, other)
			}
		}
	}
	return nil
}

// join adds a result that was read.
func (r *Report) join(x Result) {
	r.Results = append(r.Results, x)
	id := x.Syscall + "/" + x.Case
	sc, _ := guest.Find(id)
	if sc == nil {
		r.notes = append(r.notes, "the table has no case "+id+" any more")
		return
	}
	if !sc.Suite {
		r.coverage.Add(x.column(), sc, x.failed(), judge.Verdict{Status: x.Status, Class: x.Class, Reason: x.Reason, Params: x.Params})
	}
	if !slices.Contains(r.opts.Cases, id) {
		r.opts.Cases = append(r.opts.Cases, id)
	}
}

// union appends the elements of b that a does not have.
func union[T comparable](a, b []T) []T {
	for _, x := range b {
		if !slices.Contains(a, x) {
			a = append(a, x)
		}
	}
	return a
}
