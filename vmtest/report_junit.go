// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/scaplab/scaplab/vmtest/judge"
)

type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Time     junitSeconds `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name       string           `xml:"name,attr"`
		Tests      int              `xml:"tests,attr"`
		Failures   int              `xml:"failures,attr"`
		Errors     int              `xml:"errors,attr"`
		Skipped    int              `xml:"skipped,attr"`
		Time       junitSeconds     `xml:"time,attr"`
		Timestamp  string           `xml:"timestamp,attr,omitempty"` // of the run's start, in UTC
		Properties *junitProperties `xml:"properties"`
		Cases      []junitCase      `xml:"testcase"`
	}
	junitProperties struct {
		List []junitProperty `xml:"property"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    junitSeconds  `xml:"time,attr"`
		Failure *junitFailure `xml:"failure"`
		Error   *junitFailure `xml:"error"`
		Skipped *junitSkipped `xml:"skipped"`
	}
	junitFailure struct {
		Type    string `xml:"type,attr"`
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	junitSkipped struct {
		Message string `xml:"message,attr"`
	}

	junitSeconds float64
)

func (s junitSeconds) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%.6f", float64(s)), nil }

// WriteJUnit writes the results for CI systems: a suite for each kernel and driver. A case that
// was not carried through is an error, a difference is a failure.
func (r *Report) WriteJUnit(w io.Writer) error {
	all := junitSuites{Name: "scaplab"}
	runs := r.RunInfos()
	for i := range r.Results {
		x := &r.Results[i]
		name := x.column().String()
		i := slices.IndexFunc(all.Suites, func(s junitSuite) bool { return s.Name == name })
		if i < 0 {
			i = len(all.Suites)
			all.Suites = append(all.Suites, r.junitSuite(x, runs))
		}
		s := &all.Suites[i]
		c := junitCase{Class: x.Syscall, Name: x.Case, Time: junitSeconds(x.Seconds)}
		s.Tests++
		s.Time += c.Time
		switch text := x.Reason + "\n" + x.Place + "\n" + x.Repro + "\n"; {
		case x.Status == judge.Fail && judge.Broke(x.Class):
			s.Errors++
			c.Error = &junitFailure{x.Class, firstLine(x.Reason), text}
		case x.Status == judge.Fail:
			s.Failures++
			c.Failure = &junitFailure{x.Class, firstLine(x.Reason), text}
		case x.Status == judge.Skip:
			s.Skipped++
			c.Skipped = &junitSkipped{x.Reason}
		}
		s.Cases = append(s.Cases, c)
	}
	if r.Partial != "" { // otherwise the run would seem complete
		all.Suites = append(all.Suites, junitSuite{Name: "scaplab", Tests: 1, Errors: 1, Cases: []junitCase{
			{Class: "scaplab", Name: "the run is complete", Error: &junitFailure{Type: "partial", Message: r.Partial}},
		}})
	}
	for _, s := range all.Suites {
		all.Tests += s.Tests
		all.Failures += s.Failures
		all.Errors += s.Errors
		all.Time += s.Time
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", " ")
	return errors.Join(e.Encode(all), e.Close())
}

// junitSuite starts the suite of a result, with properties of its run and its kernel.
func (r *Report) junitSuite(x *Result, runs []RunInfo) junitSuite {
	s := junitSuite{Name: x.column().String()}
	var p junitProperties
	add := func(name, value string) {
		if value != "" {
			p.List = append(p.List, junitProperty{name, value})
		}
	}
	if i := slices.IndexFunc(runs, func(run RunInfo) bool { return run.ID == x.Run }); i >= 0 {
		run := &runs[i]
		s.Timestamp = run.Started.UTC().Format("2006-01-02T15:04:05")
		add("tool", run.Tool)
		add("schema", run.Schema)
		add("accelerator", run.Accelerator)
		if k := slices.IndexFunc(run.Kernels, func(k KernelInfo) bool { return k.Name == x.Kernel }); k >= 0 {
			add("kernel.release", run.Kernels[k].Release)
			add("kernel.package", run.Kernels[k].Package)
			add("kernel.version", run.Kernels[k].Version)
		}
	}
	for _, w := range r.Warnings {
		if w.Kernel == x.Kernel {
			add("warning", w.Text)
		}
	}
	if len(p.List) > 0 {
		s.Properties = &p
	}
	return s
}
