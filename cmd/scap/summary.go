// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/scaplab/scaplab/internal/escape"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/filter"
)

// summary counts events by their type, process, file, connection and error.
type summary struct {
	out  io.Writer
	json bool
	all  bool // also events that only update the state
	rows int  // of each table

	total, failed uint64
	tables        []*table

	typ, proc, pid, name, read, written *filter.Value
	key                                 []byte
}

// table counts by one thing.
type table struct {
	name string
	of   func(s *summary, ev *sinsp.Event) ([]byte, bool) // the key of an event; false: it has none
	rows map[string]*counts
}

// counts is a row of a table.
type counts struct {
	Name    string `json:"name"`
	Events  uint64 `json:"events"`
	Failed  uint64 `json:"failed"`
	Read    uint64 `json:"bytes_read"`
	Written uint64 `json:"bytes_written"`
	Timed   uint64 `json:"timed"` // calls whose begin is known
	Time    uint64 `json:"time_ns"`
	Longest uint64 `json:"longest_ns"`
}

// maxKeys bounds a table, since anyone can make names: what comes after is one row.
const maxKeys = 1 << 16

const others = "(others)"

func newSummary(out io.Writer, asJSON, all bool, rows int) (*summary, error) {
	s := &summary{out: out, json: asJSON, all: all, rows: rows}
	for _, v := range []struct {
		to    **filter.Value
		field string
	}{
		{&s.typ, "evt.type"}, {&s.proc, "proc.name"}, {&s.pid, "proc.pid"}, {&s.name, "fd.name"},
		{&s.read, "evt.buflen.in"}, {&s.written, "evt.buflen.out"},
	} {
		var err error
		if *v.to, _, err = filter.ParseValue(v.field); err != nil {
			return nil, err
		}
	}
	for _, t := range []table{
		{name: "events", of: (*summary).eventKey},
		{name: "processes", of: (*summary).processKey},
		{name: "files", of: (*summary).fileKey},
		{name: "connections", of: (*summary).connectionKey},
		{name: "errors", of: (*summary).errorKey},
	} {
		t.rows = map[string]*counts{}
		s.tables = append(s.tables, &t)
	}
	return s, nil
}

func (s *summary) shown(ev *sinsp.Event) bool { return s.all || isShown(ev) }

// print counts an event.
func (s *summary) print(ev *sinsp.Event) (bool, error) {
	failed := false
	if res, ok := ev.Res(); ok && res < 0 {
		failed = true
		s.failed++
	}
	s.total++
	read, written := number(s.read, ev), number(s.written, ev)
	for _, t := range s.tables {
		key, ok := t.of(s, ev)
		if !ok {
			continue
		}
		c := t.rows[string(key)]
		if c == nil {
			if len(t.rows) >= maxKeys {
				key = []byte(others)
				c = t.rows[others]
			}
			if c == nil {
				c = &counts{Name: string(key)}
				t.rows[c.Name] = c
			}
		}
		c.Events++
		if failed {
			c.Failed++
		}
		c.Read += read
		c.Written += written
		if ev.Latency > 0 {
			c.Timed++
			c.Time += ev.Latency
			c.Longest = max(c.Longest, ev.Latency)
		}
	}
	return true, nil
}

// number returns the number of a field; 0 if it is missing.
func number(v *filter.Value, ev *sinsp.Event) uint64 {
	if n, ok := v.Get(ev); ok {
		return n.Num
	}
	return 0
}

// text returns the text of a field.
func text(v *filter.Value, ev *sinsp.Event) ([]byte, bool) {
	t, ok := v.Get(ev)
	return t.Str, ok
}

func (s *summary) eventKey(ev *sinsp.Event) ([]byte, bool) { return text(s.typ, ev) }

func (s *summary) processKey(ev *sinsp.Event) ([]byte, bool) {
	name, ok := text(s.proc, ev)
	if !ok {
		return nil, false
	}
	s.key = append(append(s.key[:0], name...), " ("...)
	pid, ok := s.pid.Get(ev)
	s.key = fmt.Appendf(s.key, "%d)", pid.Signed())
	return s.key, ok
}

func (s *summary) fileKey(ev *sinsp.Event) ([]byte, bool) {
	if fd := ev.FD(); fd == nil || fd.IP() {
		return nil, false
	}
	name, ok := text(s.name, ev)
	return name, ok && len(name) > 0
}

func (s *summary) connectionKey(ev *sinsp.Event) ([]byte, bool) {
	if fd := ev.FD(); fd == nil || !fd.IP() {
		return nil, false
	}
	name, ok := text(s.name, ev)
	return name, ok && len(name) > 0
}

func (s *summary) errorKey(ev *sinsp.Event) ([]byte, bool) {
	res, ok := ev.Res()
	if !ok || res >= 0 {
		return nil, false
	}
	name, ok := text(s.typ, ev)
	if !ok {
		return nil, false
	}
	s.key = append(append(s.key[:0], name...), ' ')
	if errno := event.ErrnoName(-res); errno != "" {
		s.key = append(s.key, errno...)
	} else {
		s.key = fmt.Appendf(s.key, "%d", res)
	}
	return s.key, true
}

func (s *summary) flush() error { return nil }

// close prints the tables.
func (s *summary) close() error {
	if s.json {
		return s.closeJSON()
	}
	w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%d events, %d of them failed\n", s.total, s.failed)
	for _, t := range s.tables {
		rows := t.sorted()
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s: %d\n", t.name, len(rows))
		fmt.Fprintf(w, "events\tfailed\tread\twritten\tmean time\tlongest\t  \n")
		for _, c := range rows[:min(s.rows, len(rows))] {
			mean, longest := "-", "-"
			if c.Timed > 0 {
				mean, longest = time.Duration(c.Time/c.Timed).String(), time.Duration(c.Longest).String()
			}
			fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%s\t%s\t  %s\n", c.Events, c.Failed, c.Read, c.Written, mean, longest, escape.AppendText(nil, []byte(c.Name)))
		}
	}
	return w.Flush()
}

// sorted returns the rows, those with the most events first.
func (t *table) sorted() []*counts {
	return slices.SortedFunc(maps.Values(t.rows), func(a, b *counts) int {
		return cmp.Or(cmp.Compare(b.Events, a.Events), cmp.Compare(a.Name, b.Name))
	})
}

func (s *summary) closeJSON() error {
	object := map[string]any{"total": s.total, "failed": s.failed}
	for _, t := range s.tables {
		object[t.name] = append([]*counts{}, t.sorted()...)
	}
	b, err := json.Marshal(object)
	if err != nil {
		return err
	}
	_, err = s.out.Write(append(escape.SafeJSON(b), '\n'))
	return err
}
