// SPDX-License-Identifier: Apache-2.0

// Command fielddiff compares fields, filters and formats with those of sysdig in a
// Debian tree (see ../filediff/prepare): both read the same captures, and must tell the
// same of each event.
//
//	internal/cmd/filediff/prepare /var/tmp/sid
//	go run ./internal/cmd/fielddiff [--values] /var/tmp/sid CAPTURE...
//
// The values of all fields are compared for each capture. Of filters, for each of which
// sysdig starts, each operator of each field is tried with the first capture where the
// field has a value, so that the most interesting captures come first.
//
// It prints how many values and filters agree, and for each field that does not the
// first event where. What is meant to differ is in differences.go, with its reason. The
// exit status is 1 if anything else differs.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/field"
	"github.com/scaplab/scaplab/sinsp/filter"
	"github.com/scaplab/scaplab/sinsp/output"
)

func main() {
	values := flag.Bool("values", false, "compare the values of fields only, no filters, which takes a tenth of the time")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: fielddiff [--values] TREE CAPTURE...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() < 2 {
		flag.Usage()
		os.Exit(2)
	}
	ok, err := compare(flag.Arg(0), flag.Args()[1:], *values)
	if err != nil {
		fmt.Fprintln(os.Stderr, "fielddiff:", err)
		os.Exit(3)
	}
	if !ok {
		os.Exit(1)
	}
}

func compare(tree string, captures []string, values bool) (ok bool, err error) {
	t := newTally()
	for _, path := range captures {
		c := &comparison{tree: tree, path: path, values: values, tally: t}
		if err := c.run(); err != nil {
			return false, fmt.Errorf("%s: %w", path, err)
		}
	}
	return t.print(), nil
}

// comparison is that of one capture.
type comparison struct {
	*tally
	tree, path string
	values     bool   // no filters
	copy       string // what both read
	inTree     string // its path in the tree

	// explained has the events for which a field differs as meant: filters on it
	// differ there, too.
	explained map[string]map[uint64]bool
	before    uint64 // timestamp of the event that was shown before; 0: none
	known     map[event.PID]bool
	faults    map[event.PID][2]string // of threads: the page faults that their parents' events tell
}

func (c *comparison) run() error {
	c.inTree = fmt.Sprintf("/tmp/fielddiff-%d.scap", os.Getpid())
	c.copy = filepath.Join(c.tree, c.inTree)
	defer os.Remove(c.copy)
	c.explained, c.faults = map[string]map[uint64]bool{}, map[event.PID][2]string{}
	text, err := os.ReadFile(c.path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.copy, text, 0o644); err != nil {
		return err
	}
	if _, err := c.sysdig("-p", "%evt.num"); err != nil {
		// sysdig is older than the capture.
		if err := rewrite(c.path, c.copy); err != nil {
			return err
		}
	}
	if err := c.formats(); err != nil || c.values {
		return err
	}
	return c.filters()
}

// rewrite writes a capture so that older readers understand it.
func rewrite(from, to string) error {
	r, err := savefile.Open(from, savefile.Options{})
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := savefile.NewWriter(f, savefile.WriterOptions{State: r.State(), Compat: true})
	if err != nil {
		return err
	}
	for {
		ev, err := r.Next()
		if errors.Is(err, io.EOF) {
			return w.Close()
		}
		if err != nil {
			return err
		}
		if err := w.Write(ev); err != nil {
			return err
		}
	}
}

// sysdig runs sysdig on the capture and returns what it prints. Whatever it talks
// besides, the caller sees by what is missing.
func (c *comparison) sysdig(args ...string) (stdout []byte, err error) {
	cmd := exec.Command("chroot", append([]string{c.tree, "sysdig", "-r", c.inTree}, args...)...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=/root"}
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("sysdig %s: %w: %s", args, err, bytes.TrimSpace(talk.Bytes()))
	}
	return out.Bytes(), nil
}

// each calls see with all events of the capture that are shown.
func (c *comparison) each(see func(ev *sinsp.Event)) error {
	r, err := savefile.Open(c.copy, savefile.Options{})
	if err != nil {
		return err
	}
	defer r.Close()
	if c.known == nil {
		c.known = map[event.PID]bool{}
		for i := range r.State().Threads {
			c.known[r.State().Threads[i].TID] = true
		}
	}
	in := sinsp.New(r, sinsp.Options{})
	for {
		ev, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		// sysdig does not show internal events and metaevents.
		if in := ev.Info(); !ev.Hidden() && (in == nil || in.Category != event.CategoryInternal && in.Source != event.SourceMetaevent) {
			see(ev)
		}
	}
}

// separator is between the fields of a line; nothing in captures has it.
const separator = "@~@"

// formats compares the values of all fields in formats.
func (c *comparison) formats() error {
	const together = 24
	chunks := slices.Collect(slices.Chunk(fieldTexts(), together))
	outputs, errs := make([][]byte, len(chunks)), make([]error, len(chunks))
	var group errgroup.Group
	group.SetLimit(2 * runtime.NumCPU()) // sysdig mostly waits for its start
	for i := range chunks {
		group.Go(func() error {
			outputs[i], errs[i] = c.sysdig("-p", templateOf(chunks[i]))
			return nil
		})
	}
	_ = group.Wait() // errs has the errors
	for i, fields := range chunks {
		if aborted(errs[i]) {
			if err := c.oneByOne(fields); err != nil {
				return err
			}
			continue
		}
		if errs[i] != nil {
			return errs[i]
		}
		if err := c.format(fields, outputs[i]); err != nil {
			return err
		}
	}
	return nil
}

// oneByOne compares fields with one of which sysdig ended.
func (c *comparison) oneByOne(fields []string) error {
	for _, f := range fields {
		one := []string{f}
		want, err := c.sysdig("-p", templateOf(one))
		switch {
		case aborted(err):
			c.valued(classOf(f), meantTo)
			c.means(aborts, fmt.Sprintf("%s: %s", filepath.Base(c.path), err))
			continue
		case err == nil:
			err = c.format(one, want)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// aborts is why a field or a filter cannot be compared.
const aborts = "sysdig ends at an event with a param whose type it cannot print"

// aborted reports whether sysdig ended for that reason.
func aborted(err error) bool { return err != nil && strings.Contains(err.Error(), "wrong param type") }

// templateOf returns the format that prints the number of an event and fields.
func templateOf(fields []string) string {
	template := "*%evt.num"
	for _, f := range fields {
		template += separator + "%" + f
	}
	return template + separator
}

// format compares the values of fields with what sysdig printed.
func (c *comparison) format(fields []string, want []byte) error {
	format, err := output.Compile(templateOf(fields), output.Options{Raw: true})
	if err != nil {
		return err
	}
	theirs := lines(want)
	var buf []byte
	c.before = 0
	err = c.each(func(ev *sinsp.Event) {
		defer func() { c.before = ev.Timestamp() }()
		if child, ok := ev.Res(); ok && child > 0 && strings.HasPrefix(ev.Info().Name, "clone") {
			c.faults[event.PID(child)] = [2]string{number(ev, "pgft_maj"), number(ev, "pgft_min")}
		}
		buf, _ = format.Append(buf[:0], ev)
		ours := strings.Split(string(buf), separator)
		line, ok := theirs[ours[0]]
		if !ok {
			c.differs("events", "", fmt.Sprintf("%s: event %s (%s) is not in sysdig's output", c.path, ours[0], ev.Type()))
			return
		}
		delete(theirs, ours[0])
		for i, f := range fields {
			c.value(f, ev, ours[i+1], line[i+1])
		}
	})
	if err != nil {
		return err
	}
	for num := range theirs {
		c.differs("events", "", fmt.Sprintf("%s: event %s is only in sysdig's output", c.path, num))
	}
	return nil
}

// number returns a param as a number.
func number(ev *sinsp.Event, param string) string {
	n, _ := ev.Number(ev.Info().ParamIndex(param), 8)
	return strconv.FormatUint(n, 10)
}

// value compares the value of a field.
func (c *comparison) value(name string, ev *sinsp.Event, ours, theirs string) {
	if ours == theirs {
		c.valued(classOf(name), agree)
		return
	}
	if why, ok := meant(name, seen{name, ev, ours, theirs, c.before, !c.known[ev.TID()], c.faults[ev.TID()]}); ok {
		c.valued(classOf(name), meantTo)
		c.means(why, fmt.Sprintf("%s: event %d (%s) %s: %q, sysdig %q", filepath.Base(c.path), ev.Num, ev.Type(), name, ours, theirs))
		if c.explained[name] == nil {
			c.explained[name] = map[uint64]bool{}
		}
		c.explained[name][ev.Num] = true
		return
	}
	c.valued(classOf(name), differ)
	c.differs("%"+name, ev.Info().Symbol, fmt.Sprintf("%s: event %d (%s): %q, sysdig %q", filepath.Base(c.path), ev.Num, ev.Info().Symbol, ours, theirs))
}

// lines splits what a format printed, by the number of the event.
func lines(out []byte) map[string][]string {
	byNum := map[string][]string{}
	for _, record := range strings.Split(string(out), separator+"\n") {
		if parts := strings.Split(record, separator); len(parts) > 1 {
			byNum[parts[0]] = parts
		}
	}
	return byNum
}

// fieldTexts has each field that formats may have, with arguments.
func fieldTexts() (texts []string) {
	for _, name := range slices.Sorted(maps.Keys(field.All())) {
		f := field.All()[name]
		if f.Flags&field.FilterOnly != 0 || !inReference(name) {
			continue
		}
		if f.Arg == 0 || f.Arg&field.ArgOptional != 0 {
			texts = append(texts, name)
		}
		for _, arg := range arguments[name] {
			texts = append(texts, name+arg)
		}
	}
	return texts
}

// filters compares which events filters select.
func (c *comparison) filters() error {
	texts, err := c.filterTexts()
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(2 * runtime.NumCPU()) // sysdig mostly waits for its start
	for _, text := range texts {
		group.Go(func() error { return c.filter(text) })
	}
	return group.Wait()
}

// filter compares which events one filter selects.
func (c *comparison) filter(text string) error {
	class := "language"
	if !slices.Contains(language, text) {
		class = classOf(text)
	}
	f, err := filter.Compile(text)
	if err != nil {
		c.filtered(class, differ)
		c.differs(text, "", err.Error())
		return nil
	}
	want, err := c.sysdig("-p", "%evt.num", text)
	switch {
	case aborted(err):
		c.filtered(class, meantTo)
		c.means(aborts, fmt.Sprintf("%s: %s", filepath.Base(c.path), err))
		return nil
	case err != nil:
		c.filtered(class, differ)
		c.differs(text, "", err.Error())
		return nil
	}
	theirs := map[string]bool{}
	for _, num := range strings.Fields(string(want)) {
		theirs[num] = true
	}
	outcome, first := agree, ""
	err = c.each(func(ev *sinsp.Event) {
		num := strconv.FormatUint(ev.Num, 10)
		ours, both := f.Match(ev), theirs[num]
		delete(theirs, num)
		switch {
		case ours == both:
		case c.isExplained(f, ev):
			outcome = max(outcome, meantTo)
		case outcome < differ:
			outcome, first = differ, fmt.Sprintf("event %s (%s): %t, sysdig %t", num, ev.Type(), ours, both)
		}
	})
	if err != nil {
		return err
	}
	for num := range theirs {
		outcome, first = differ, fmt.Sprintf("event %s is not shown here", num)
	}
	c.filtered(class, outcome)
	if outcome == differ {
		c.differs(text, c.path, filepath.Base(c.path)+": "+first)
	}
	return nil
}

// isExplained reports whether a field of f differs for ev as meant.
func (c *comparison) isExplained(f *filter.Filter, ev *sinsp.Event) bool {
	for _, ref := range f.Fields() {
		if ref.Many != field.Any && c.explained[ref.Text][ev.Num] {
			return true
		}
		if why, ok := meantInFilter(ref, ev); ok {
			c.means(why, fmt.Sprintf("%s: event %d (%s) %s", filepath.Base(c.path), ev.Num, ev.Type(), f))
			return true
		}
	}
	return false
}
