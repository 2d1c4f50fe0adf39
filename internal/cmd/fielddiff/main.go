// SPDX-License-Identifier: Apache-2.0

// Command fielddiff compares fields, filters and formats with those of sysdig in a
// Debian tree (see ../filediff/prepare): both read the same captures, and must tell the
// same of each event.
//
//	internal/cmd/filediff/prepare /var/tmp/sid
//	go run ./internal/cmd/fielddiff [--values] [--few] /var/tmp/sid CAPTURE...
//
// The values of all fields are compared for each capture. Of filters, for each of which
// sysdig starts, each operator of each field is tried with the first capture where the
// field has a value, so that the most interesting captures come first.
//
// It prints how many values and filters agree, for each field that does not the first
// event where, and for how many pairs of an operator and a type a filter agrees. What is meant to differ is in differences.go, with its reason. The
// exit status is 1 if anything else differs.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/bits"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/field"
	"github.com/scaplab/scaplab/sinsp/filter"
	"github.com/scaplab/scaplab/sinsp/output"
)

func main() {
	var o options
	flag.BoolVar(&o.valuesOnly, "values", false, "compare the values of fields only, no filters, which takes a tenth of the time")
	flag.BoolVar(&o.few, "few", false, "of filters, try one of each field, of each operator with each type, and the language: for large captures")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: fielddiff [--values] [--few] TREE CAPTURE...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() < 2 {
		flag.Usage()
		os.Exit(2)
	}
	ok, err := compare(flag.Arg(0), flag.Args()[1:], o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "fielddiff:", err)
		os.Exit(3)
	}
	if !ok {
		os.Exit(1)
	}
}

// options say what is compared.
type options struct{ valuesOnly, few bool }

func compare(tree string, captures []string, o options) (ok bool, err error) {
	t := newTally()
	for _, path := range captures {
		c := &comparison{tree: tree, path: path, options: o, tally: t}
		if err := c.run(); err != nil {
			return false, fmt.Errorf("%s: %w", path, err)
		}
	}
	return t.print(), nil
}

// comparison is that of one capture.
type comparison struct {
	*tally
	options
	tree, path string
	copy       string // what both read
	inTree     string // its path in the tree

	known map[event.PID]bool // the threads of the state that the capture begins with

	mu sync.Mutex
	// explained has the events for which a field differs as meant: filters on it
	// differ there, too.
	explained map[string]eventSet
}

// eventSet is a set of events, by number.
type eventSet []uint64

func (s *eventSet) add(num uint64) {
	for uint64(len(*s)) <= num/64 {
		*s = append(*s, 0)
	}
	(*s)[num/64] |= 1 << (num % 64)
}

func (s eventSet) has(num uint64) bool { return num/64 < uint64(len(s)) && s[num/64]>>(num%64)&1 != 0 }

func (c *comparison) run() error {
	c.inTree = fmt.Sprintf("/tmp/fielddiff-%d.scap", os.Getpid())
	c.copy = filepath.Join(c.tree, c.inTree)
	defer os.Remove(c.copy)
	c.explained = map[string]eventSet{}
	text, err := os.ReadFile(c.path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.copy, text, 0o644); err != nil {
		return err
	}
	if err := c.sysdig(discard, "-p", "%evt.num"); err != nil {
		// sysdig is older than the capture.
		if err := rewrite(c.path, c.copy); err != nil {
			return err
		}
	}
	r, err := savefile.Open(c.copy, savefile.Options{})
	if err != nil {
		return err
	}
	c.known = map[event.PID]bool{}
	for i := range r.State().Threads {
		c.known[r.State().Threads[i].TID] = true
	}
	if err := r.Close(); err != nil {
		return err
	}
	if err := c.formats(); err != nil || c.valuesOnly {
		return err
	}
	return c.filters()
}

func discard(out io.Reader) error {
	_, err := io.Copy(io.Discard, out)
	return err
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

// sysdig runs sysdig on the capture while read reads what it prints. Whatever it talks
// besides, the caller sees by what is missing.
func (c *comparison) sysdig(read func(out io.Reader) error, args ...string) error {
	cmd := exec.Command("chroot", append([]string{c.tree, "sysdig", "-r", c.inTree}, args...)...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=/root"}
	var talk bytes.Buffer
	cmd.Stderr = &talk
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	readErr := read(out)
	if readErr == nil {
		readErr = discard(out)
	}
	out.Close() // after an error sysdig must not wait for a reader
	if err := cmd.Wait(); err != nil && readErr == nil {
		return fmt.Errorf("sysdig %s: %w: %s", args, err, bytes.TrimSpace(talk.Bytes()))
	}
	return readErr
}

// each calls see with all events of the capture that are shown.
func (c *comparison) each(see func(ev *sinsp.Event)) error {
	r, err := savefile.Open(c.copy, savefile.Options{})
	if err != nil {
		return err
	}
	defer r.Close()
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
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for fields := range slices.Chunk(fieldTexts(), together) {
		group.Go(func() error {
			err := c.format(fields)
			if aborted(err) {
				return c.oneByOne(fields)
			}
			return err
		})
	}
	return group.Wait()
}

// oneByOne compares fields with one of which sysdig ended.
func (c *comparison) oneByOne(fields []string) error {
	for _, f := range fields {
		err := c.format([]string{f})
		if aborted(err) {
			c.valued(classOf(f), meantTo, 1)
			c.means(aborts, func() string { return fmt.Sprintf("%s: %s", filepath.Base(c.path), err) })
			continue
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

// pass is a comparison of the values of some fields.
type pass struct {
	*comparison
	tally  *tally // of this pass: all of it counts, or nothing
	fields []compared

	before uint64                          // timestamp of the event that was shown before; 0: none
	told   map[event.PID]map[string]string // of threads: memory and page faults, as their parents' events tell them
}

// compared is a field whose values are compared.
type compared struct {
	name, class string
	rules       []*difference
	agree       int
	explained   eventSet
}

// format compares the values of fields with what sysdig prints, while it prints it.
func (c *comparison) format(fields []string) error {
	format, err := output.Compile(templateOf(fields), output.Options{Raw: true})
	if err != nil {
		return err
	}
	p := &pass{comparison: c, tally: newTally(), told: map[event.PID]map[string]string{}}
	for _, name := range fields {
		p.fields = append(p.fields, compared{name: name, class: classOf(name), rules: rulesOf(name)})
	}
	err = c.sysdig(func(out io.Reader) error { return p.compare(format, newRecords(out)) }, "-p", templateOf(fields))
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range p.fields {
		f := &p.fields[i]
		p.tally.valued(f.class, agree, f.agree)
		if f.explained != nil {
			c.explained[f.name] = f.explained
		}
	}
	c.tally.merge(p.tally)
	return nil
}

// compare compares the events of the capture with what sysdig prints.
func (p *pass) compare(format *output.Format, theirs *records) error {
	more := theirs.next()
	var buf []byte
	var ours [][]byte
	err := p.each(func(ev *sinsp.Event) {
		defer func() { p.before = ev.Timestamp() }()
		if child, ok := ev.Res(); ok && child > 0 && strings.HasPrefix(ev.Info().Name, "clone") {
			told := map[string]string{}
			for _, param := range []string{"vm_size", "vm_rss", "vm_swap", "pgft_maj", "pgft_min"} {
				told[param] = number(ev, param)
			}
			p.told[event.PID(child)] = told
		}
		for more && theirs.num < ev.Num {
			p.tally.differs("events", "", fmt.Sprintf("%s: event %d is only in sysdig's output", p.path, theirs.num))
			more = theirs.next()
		}
		if !more || theirs.num != ev.Num {
			p.tally.differs("events", "", fmt.Sprintf("%s: event %d (%s) is not in sysdig's output", p.path, ev.Num, ev.Type()))
			return
		}
		buf, _ = format.Append(buf[:0], ev)
		ours = split(ours[:0], buf)
		for i := range p.fields {
			f := &p.fields[i]
			if bytes.Equal(ours[i+1], theirs.parts[i+1]) {
				f.agree++
				continue
			}
			p.value(f, ev, string(ours[i+1]), string(theirs.parts[i+1]))
		}
		more = theirs.next()
	})
	for ; more; more = theirs.next() {
		p.tally.differs("events", "", fmt.Sprintf("%s: event %d is only in sysdig's output", p.path, theirs.num))
	}
	return cmp.Or(err, theirs.err())
}

// number returns a param as a number.
func number(ev *sinsp.Event, param string) string {
	i := ev.Info().ParamIndex(param)
	n, _ := ev.Number(i, len(ev.Param(i)))
	return strconv.FormatUint(n, 10)
}

// value compares a value that is not the same.
func (p *pass) value(f *compared, ev *sinsp.Event, ours, theirs string) {
	x := seen{f.name, ev, ours, theirs, p.before, !p.known[ev.TID()], p.told[ev.TID()]}
	for _, d := range f.rules {
		if d.only != nil && !d.only(x) {
			continue
		}
		p.tally.valued(f.class, meantTo, 1)
		p.tally.means(d.why, func() string {
			return fmt.Sprintf("%s: event %d (%s) %s: %q, sysdig %q", filepath.Base(p.path), ev.Num, ev.Type(), f.name, ours, theirs)
		})
		f.explained.add(ev.Num)
		return
	}
	p.tally.valued(f.class, differ, 1)
	p.tally.differs("%"+f.name, ev.Info().Symbol, fmt.Sprintf("%s: event %d (%s): %q, sysdig %q", filepath.Base(p.path), ev.Num, ev.Info().Symbol, ours, theirs))
}

// records are what a format prints, an event each.
type records struct {
	scan  *bufio.Scanner
	num   uint64 // of the event
	parts [][]byte
	bad   error
}

// maxRecord is the most that a format prints of an event: some fields have the
// environment of each ancestor.
const maxRecord = 64 << 20

func newRecords(out io.Reader) *records {
	const end = separator + "\n"
	r := &records{scan: bufio.NewScanner(out)}
	r.scan.Buffer(make([]byte, 1<<20), maxRecord)
	r.scan.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if i := bytes.Index(data, []byte(end)); i >= 0 {
			return i + len(end), data[:i], nil
		}
		if atEOF {
			return len(data), nil, nil // a last line that is none
		}
		return 0, nil, nil
	})
	return r
}

// next reads the next record, or returns false at the end.
func (r *records) next() bool {
	if r.bad != nil || !r.scan.Scan() {
		return false
	}
	r.parts = split(r.parts[:0], r.scan.Bytes())
	r.num, r.bad = strconv.ParseUint(string(r.parts[0]), 10, 64)
	return r.bad == nil
}

func (r *records) err() error { return cmp.Or(r.bad, r.scan.Err()) }

// split appends the fields of a record to parts.
func split(parts [][]byte, record []byte) [][]byte {
	for {
		part, rest, more := bytes.Cut(record, []byte(separator))
		parts = append(parts, part)
		if !more {
			return parts
		}
		record = rest
	}
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
	list, err := c.probes()
	if err != nil {
		return err
	}
	const together = 64 // share a pass through the capture
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for batch := range slices.Chunk(list, together) {
		group.Go(func() error { return c.selections(batch) })
	}
	return group.Wait()
}

// selection is what a filter selects.
type selection struct {
	probe
	*filter.Filter
	theirs  eventSet
	outcome outcome
	first   string // difference
}

// selections compares which events some filters select.
func (c *comparison) selections(probes []probe) error {
	var list []*selection
	for _, p := range probes {
		s := &selection{probe: p}
		if err := c.selection(s); err != nil {
			why, ok := refused(s.text, err)
			switch {
			case aborted(err):
				why, ok = aborts, true
				fallthrough
			case ok:
				c.filtered(s.probe, meantTo)
				c.means(why, func() string { return fmt.Sprintf("%s: %s", filepath.Base(c.path), err) })
			default:
				c.filtered(s.probe, differ)
				c.differs(s.text, "", err.Error())
			}
			continue
		}
		list = append(list, s)
	}
	err := c.each(func(ev *sinsp.Event) {
		for _, s := range list {
			ours, theirs := s.Match(ev), s.theirs.has(ev.Num)
			if theirs {
				s.theirs[ev.Num/64] &^= 1 << (ev.Num % 64)
			}
			switch {
			case ours == theirs:
			case c.isExplained(s.Filter, ev, ours):
				s.outcome = max(s.outcome, meantTo)
			case s.outcome < differ:
				s.outcome, s.first = differ, fmt.Sprintf("event %d (%s): %t, sysdig %t", ev.Num, ev.Type(), ours, theirs)
			}
		}
	})
	if err != nil {
		return err
	}
	for _, s := range list {
		if i := slices.IndexFunc(s.theirs, func(w uint64) bool { return w != 0 }); i >= 0 {
			s.outcome, s.first = differ, fmt.Sprintf("event %d is not shown here", i*64+bits.TrailingZeros64(s.theirs[i]))
		}
		c.filtered(s.probe, s.outcome)
		if s.outcome == differ {
			c.differs(s.text, c.path, filepath.Base(c.path)+": "+s.first)
		}
	}
	return nil
}

// selection compiles a filter and reads what sysdig selects by it.
func (c *comparison) selection(s *selection) (err error) {
	if s.Filter, err = filter.Compile(s.text); err != nil {
		return err
	}
	return c.sysdig(func(out io.Reader) error {
		scan := bufio.NewScanner(out)
		for scan.Scan() {
			num, err := strconv.ParseUint(scan.Text(), 10, 64)
			if err != nil {
				return err
			}
			s.theirs.add(num)
		}
		return scan.Err()
	}, "-p", "%evt.num", s.text)
}

// isExplained reports whether a field of f differs for ev as meant.
func (c *comparison) isExplained(f *filter.Filter, ev *sinsp.Event, ours bool) bool {
	for _, ref := range f.Fields() {
		if ref.Many != field.Any && c.explained[ref.Text].has(ev.Num) {
			return true
		}
		if why, ok := meantInFilter(f.String(), ref, ev, ours); ok {
			c.means(why, func() string { return fmt.Sprintf("%s: event %d (%s) %s", filepath.Base(c.path), ev.Num, ev.Type(), f) })
			return true
		}
	}
	return false
}
