// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// record is one line of go test -json (see go doc test2json and go help buildjson).
type record struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64 // in seconds
}

// result is a test or, with an empty name, a package.
type result struct {
	pkg, name string
	action    string  // pass, fail, skip; "" while it runs
	elapsed   float64 // with its parts
	parts     float64 // of them alone
	reason    string  // of a skip
	parent    bool    // it has parts
}

// shown returns the name of the result with its package's path below root.
func (r *result) shown(root string) string {
	return strings.TrimSpace(below(root, r.pkg) + " " + r.name)
}

// own returns the time that a result took without its parts.
func (r *result) own() float64 { return r.elapsed - r.parts }

func below(root, pkg string) string {
	return cmp.Or(strings.TrimPrefix(strings.TrimPrefix(pkg, root), "/"), path.Base(pkg))
}

// summary is what is known of a run.
type summary struct {
	packages []*result
	tests    []*result
	running  map[string]*running // by package
}

// running is a package whose tests run.
type running struct {
	pkg    *result
	tests  map[string]*result
	output []record
}

// read reads the records of a run and prints what go test prints without -json:
// of a package that passes its last line, of any other the output of its failures.
func (s *summary) read(in io.Reader, out io.Writer) error {
	s.running = map[string]*running{}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var r record
			if json.Unmarshal(line, &r) != nil {
				r = record{Action: "build-output", Output: string(line)} // go test's own words
			}
			if _, err := io.WriteString(out, s.take(r)); err != nil {
				return fmt.Errorf("write: %w", err)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the output of go test: %w", err)
		}
	}
}

// take notes a record and returns what to print.
func (s *summary) take(r record) string {
	switch {
	case r.Action == "build-output":
		return r.Output
	case r.Package == "": // build-fail: each package that needs the build fails, too
		return ""
	}
	p := s.running[r.Package]
	if p == nil {
		p = &running{pkg: &result{pkg: r.Package}, tests: map[string]*result{}}
		s.running[r.Package] = p
	}
	test := p.pkg
	if r.Test != "" {
		test = p.test(s, r.Test)
	}
	switch r.Action {
	case "output":
		p.output = append(p.output, r)
	case "pass", "fail", "skip":
		test.action, test.elapsed = r.Action, r.Elapsed
		if test == p.pkg {
			delete(s.running, r.Package)
			s.packages = append(s.packages, test)
			return p.end()
		}
		var above *result // the nearest
		for name := range parents(r.Test) {
			above = cmp.Or(p.tests[name], above)
		}
		if above != nil {
			above.parts += r.Elapsed
		}
	}
	return ""
}

// test returns the test of that name, from its first record on.
func (p *running) test(s *summary, name string) *result {
	t := p.tests[name]
	if t == nil {
		t = &result{pkg: p.pkg.pkg, name: name}
		p.tests[name] = t
		s.tests = append(s.tests, t)
		for above := range parents(name) {
			if parent := p.tests[above]; parent != nil {
				parent.parent = true
			}
		}
	}
	return t
}

// parents yields the names of which name can be a part: a name may have slashes of its own.
func parents(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i, c := range name {
			if c == '/' && !yield(name[:i]) {
				return
			}
		}
	}
}

// progress are the lines that only go test -v prints.
var progress = regexp.MustCompile(`^=== (RUN|PAUSE|CONT|NAME) `)

// end takes the reasons of skips from the output of a package that has ended,
// and returns what to print of it.
func (p *running) end() string {
	var b strings.Builder
	text := map[string]*strings.Builder{} // of the tests that were skipped
	for _, r := range p.output {
		t := p.tests[r.Test]
		switch {
		case progress.MatchString(r.Output):
		case t != nil && t.action == "skip":
			if text[r.Test] == nil {
				text[r.Test] = new(strings.Builder)
			}
			text[r.Test].WriteString(r.Output)
		case t != nil && t.action == "pass":
		case p.pkg.action == "fail" || strings.HasPrefix(r.Output, "ok  ") || strings.HasPrefix(r.Output, "?   "):
			b.WriteString(r.Output)
		}
	}
	for name, said := range text {
		p.tests[name].reason = reason(said.String())
	}
	return b.String()
}

// logged is how package testing prints a message, which the lines that continue
// it follow indented.
var logged = regexp.MustCompile(`(?m)^ +\S+\.go:\d+: (.*(?:\n {8,}.*)*)`)

// reason returns why a test skipped itself: its last message.
func reason(output string) string {
	all := logged.FindAllStringSubmatch(output, -1)
	if len(all) == 0 {
		return ""
	}
	return strings.Join(strings.Fields(all[len(all)-1][1]), " ")
}

// failed returns the tests that failed or did not end, and the packages that
// failed without one. A test does not count when a part of it does.
func (s *summary) failed() []*result {
	var list []*result
	covers := map[[2]string]bool{}
	for _, t := range slices.Backward(s.tests) { // parts come after what they are part of
		if t.action == "pass" || t.action == "skip" {
			continue
		}
		if !covers[[2]string{t.pkg, t.name}] {
			list = append(list, t)
		}
		for above := range parents(t.name) {
			covers[[2]string{t.pkg, above}] = true
		}
		covers[[2]string{t.pkg}] = true
	}
	slices.Reverse(list)
	for _, p := range s.packages {
		if p.action == "fail" && !covers[[2]string{p.pkg}] {
			list = append(list, p)
		}
	}
	return list
}

// skipped returns the names of the tests that skipped themselves, by reason and package.
func (s *summary) skipped() (by map[string]map[string][]string, n int) {
	by = map[string]map[string][]string{}
	for _, t := range s.tests {
		if t.action == "skip" {
			if by[t.reason] == nil {
				by[t.reason] = map[string][]string{}
			}
			by[t.reason][t.pkg] = append(by[t.reason][t.pkg], t.name)
			n++
		}
	}
	return by, n
}

// fine reports whether nothing failed and every skip has its reason.
func (s *summary) fine() bool {
	by, _ := s.skipped()
	return len(s.failed()) == 0 && by[""] == nil
}

// What is listed as slow, in number and in seconds.
const (
	slowest = 8
	slow    = 1
)

// write prints the summary. Its last line is for programs.
func (s *summary) write(out io.Writer) {
	root := s.root()
	passed := 0
	for _, t := range s.tests {
		if !t.parent && t.action == "pass" {
			passed++
		}
	}
	for _, list := range []struct {
		title   string
		results []*result
	}{{"slowest packages", s.packages}, {"slowest tests", s.tests}} {
		list.results = slices.Clone(list.results)
		slices.SortStableFunc(list.results, func(a, b *result) int { return cmp.Compare(b.own(), a.own()) })
		for i, r := range list.results[:min(slowest, len(list.results))] {
			if r.own() < slow {
				break
			}
			if i == 0 {
				fmt.Fprintf(out, "\n%s:\n", list.title)
			}
			fmt.Fprintf(out, "%9.1f s  %s\n", r.own(), r.shown(root))
		}
	}
	by, skips := s.skipped()
	if skips > 0 {
		fmt.Fprintf(out, "\nskipped:\n")
	}
	for _, why := range slices.Sorted(maps.Keys(by)) {
		fmt.Fprintf(out, "  %s\n", cmp.Or(why, "NO REASON GIVEN (want t.Skip with one)"))
		for _, pkg := range slices.Sorted(maps.Keys(by[why])) {
			fmt.Fprintf(out, "      %s %s\n", below(root, pkg), strings.Join(by[why][pkg], " "))
		}
	}
	failed := s.failed()
	for i, r := range failed {
		if i == 0 {
			fmt.Fprintf(out, "\nfailed:\n")
		}
		fmt.Fprintf(out, "      %s\n", r.shown(root))
	}
	fmt.Fprintf(out, "\n%d passed, %d failed, %d skipped\n", passed, len(failed), skips)
}

// root returns the path that all packages have in common.
func (s *summary) root() string {
	if len(s.packages) < 2 {
		return ""
	}
	root := s.packages[0].pkg
	for _, p := range s.packages {
		for root != "." && p.pkg != root && !strings.HasPrefix(p.pkg, root+"/") {
			root = path.Dir(root)
		}
	}
	return root
}
