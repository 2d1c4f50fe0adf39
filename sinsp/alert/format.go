// SPDX-License-Identifier: Apache-2.0

package alert

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/scaplab/scaplab/internal/escape"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/output"
	"github.com/scaplab/scaplab/sinsp/rule"
)

// Alert is an event for which a rule holds, as it is delivered.
type Alert struct {
	Rule *rule.Rule
	Time uint64 // of the event, in ns since the Unix epoch
	Line []byte // text or JSON, without a line end
	JSON bool
}

// Format says how alerts look.
type Format struct {
	JSON    bool
	ISO8601 bool // the time in text is in UTC and has the date

	// Of JSON: message is the text without time and priority, the others are there
	// unless they are left out.
	WithMessage                      bool
	NoOutput, NoOutputFields, NoTags bool

	Hostname string // "": that of the machine that the events come from
}

// Formatter makes alerts. One goroutine at a time may use it.
type Formatter struct {
	format Format
	rules  map[*rule.Rule]*formats
	buf    []byte
}

// formats are the compiled templates of a rule.
type formats struct {
	line    *output.Format // with time and priority; as JSON it has the fields
	message *output.Format
	tail    []byte // members of the object that do not depend on the event
}

// NewFormatter returns a formatter.
func NewFormatter(f Format) *Formatter {
	return &Formatter{format: f, rules: map[*rule.Rule]*formats{}}
}

func (f *Formatter) of(r *rule.Rule) (*formats, error) {
	if fs := f.rules[r]; fs != nil {
		return fs, nil
	}
	at := "evt.time"
	if f.format.ISO8601 {
		at = "evt.time.iso8601"
	}
	fs := &formats{}
	var err error
	opts := output.Options{Numbers: true}
	if fs.line, err = output.Compile("*%"+at+": "+r.Priority.String()+" "+r.Output, opts); err != nil {
		return nil, fmt.Errorf("output of rule %s: %w", r.Name, err)
	}
	if fs.message, err = output.Compile("*"+r.Output, opts); err != nil {
		return nil, fmt.Errorf("output of rule %s: %w", r.Name, err)
	}
	fs.tail = append(fs.tail, `,"priority":"`+r.Priority.String()+`","rule":`...)
	fs.tail = append(escape.AppendJSON(fs.tail, []byte(r.Name)), `,"source":`...)
	fs.tail = escape.AppendJSON(fs.tail, []byte(r.Source))
	if !f.format.NoTags {
		tags := slices.Sorted(slices.Values(r.Tags))
		if tags == nil {
			tags = []string{}
		}
		text, _ := json.Marshal(tags)
		fs.tail = append(append(fs.tail, `,"tags":`...), escape.SafeJSON(text)...)
	}
	f.rules[r] = fs
	return fs, nil
}

// Make returns the alert of an event.
func (f *Formatter) Make(r *rule.Rule, ev *sinsp.Event) (*Alert, error) {
	fs, err := f.of(r)
	if err != nil {
		return nil, err
	}
	a := &Alert{Rule: r, Time: ev.Timestamp(), JSON: f.format.JSON}
	if !f.format.JSON {
		f.buf, _ = fs.line.Append(f.buf[:0], ev)
	} else {
		f.buf = f.appendJSON(f.buf[:0], fs, ev)
	}
	a.Line = slices.Clone(f.buf)
	return a, nil
}

// appendJSON appends an object with its members in the order of their names.
func (f *Formatter) appendJSON(dst []byte, fs *formats, ev *sinsp.Event) []byte {
	host := f.format.Hostname
	if host == "" {
		host = ev.Inspector().Machine().Hostname
	}
	dst = append(dst, `{"hostname":`...)
	dst = escape.AppendJSON(dst, []byte(host))
	if f.format.WithMessage {
		text, _ := fs.message.Append(nil, ev)
		dst = escape.AppendJSON(append(dst, `,"message":`...), text)
	}
	if !f.format.NoOutput {
		text, _ := fs.line.Append(nil, ev)
		dst = escape.AppendJSON(append(dst, `,"output":`...), text)
	}
	if !f.format.NoOutputFields {
		dst = append(dst, `,"output_fields":`...)
		dst, _ = fs.line.AppendJSON(dst, ev)
	}
	dst = append(dst, fs.tail...)
	dst = append(dst, `,"time":"`...)
	dst = time.Unix(0, int64(ev.Timestamp())).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000000Z")
	return append(dst, `"}`...)
}
