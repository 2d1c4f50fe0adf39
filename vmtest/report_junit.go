// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"

	"github.com/scaplab/scaplab/vmtest/judge"
)

type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name       string           `xml:"name,attr"`
		Tests      int              `xml:"tests,attr"`
		Failures   int              `xml:"failures,attr"`
		Errors     int              `xml:"errors,attr"`
		Skipped    int              `xml:"skipped,attr"`
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
)

// WriteJUnit writes the results for CI systems: a suite for each kernel and driver.
func (r *Report) WriteJUnit(w io.Writer) error {
	var all junitSuites
	for _, x := range r.Results {
		name := x.column().String()
		i := slices.IndexFunc(all.Suites, func(s junitSuite) bool { return s.Name == name })
		if i < 0 {
			i = len(all.Suites)
			all.Suites = append(all.Suites, junitSuite{Name: name})
			var warnings junitProperties
			for _, w := range r.Warnings {
				if w.Kernel == x.Kernel {
					warnings.List = append(warnings.List, junitProperty{"warning", w.Text})
				}
			}
			if len(warnings.List) > 0 {
				all.Suites[i].Properties = &warnings
			}
		}
		s := &all.Suites[i]
		c := junitCase{Class: x.Syscall, Name: x.Case}
		s.Tests++
		switch x.Status {
		case judge.Fail:
			s.Failures++
			c.Failure = &junitFailure{x.Class, firstLine(x.Reason), x.Reason + "\n" + x.Repro + "\n"}
		case judge.Skip:
			s.Skipped++
			c.Skipped = &junitSkipped{x.Reason}
		}
		s.Cases = append(s.Cases, c)
	}
	if r.Partial != "" { // else what ran would pass for everything
		all.Suites = append(all.Suites, junitSuite{Name: "scaplab", Tests: 1, Errors: 1, Cases: []junitCase{
			{Class: "scaplab", Name: "the run is complete", Error: &junitFailure{Type: "partial", Message: r.Partial}},
		}})
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", " ")
	return errors.Join(e.Encode(all), e.Close())
}
