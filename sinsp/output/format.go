// SPDX-License-Identifier: Apache-2.0

// Package output prints events by a template, as text or as JSON.
//
// A template is text with fields in it, as sysdig and falco have them:
//
//	*%evt.num %evt.time %proc.name (%thread.tid) %evt.type %20fd.name %toupper(proc.name)
//
// A number before the field is a width: the value is filled with blanks, or cut, to so
// many characters. An event that lacks one of the fields is not printed, unless the
// template begins with an asterisk: then a missing value is <NA>. %% is a percent sign.
package output

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/scaplab/scaplab/internal/decimal"
	"github.com/scaplab/scaplab/internal/escape"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/field"
	"github.com/scaplab/scaplab/sinsp/filter"
)

// Templates that have a name. Default is a line of sysdig, JSON the same as an object
// with the params one by one.
const (
	Default    = "*%evt.num %evt.outputtime %evt.cpu %proc.name (%thread.tid) %evt.dir %evt.type %evt.info"
	Container  = "*%evt.num %evt.outputtime %evt.cpu %container.name (%container.id) %proc.name (%thread.tid:%thread.vtid) %evt.dir %evt.type %evt.info"
	Kubernetes = "*%evt.num %evt.outputtime %evt.cpu %k8s.pod.name (%container.id) %proc.name (%thread.tid:%thread.vtid) %evt.dir %evt.type %evt.info"
	JSON       = "*%evt.num %evt.rawtime %evt.cpu %proc.name %thread.tid %evt.dir %evt.type %evt.args"
)

// Options say how values print.
type Options struct {
	// Time is the form of evt.outputtime: field.OutputClock and so on.
	Time string
	// Full prints buffers in evt.args as long as they are, rather than their
	// first 80 bytes.
	Full bool
	// Buffers is how evt.buffer prints.
	Buffers Buffers
	// Numbers are always numbers in JSON, those beyond 2^53 too, which readers with
	// doubles round: falco has them so.
	Numbers bool
	// Raw prints texts and buffers as their bytes, unescaped. Not for terminals, and
	// not for JSON, which is always valid.
	Raw bool
}

// Buffers is a way to print the bytes of a buffer.
type Buffers uint8

const (
	Dots     Buffers = iota // a dot for each byte that is not printable ASCII
	Text                    // only the printable bytes and line ends
	Hex                     // hexadecimal
	HexASCII                // lines with 16 bytes in hexadecimal and with dots
	Base64
)

// Format is a compiled template. One goroutine at a time may use it.
type Format struct {
	template string
	opts     Options
	lenient  bool // * in front
	pieces   []piece
	steps    []step
	keys     []piece // for JSON: each field once, by name
	scratch  []byte

	// The text of one param, for evt.args as an object.
	argText *field.Field
	arg     field.Arg
	param   field.Value
}

// piece is a text, or a value if value is not nil.
type piece struct {
	text  string
	value *filter.Value
	one   bool // not several values
	typ   field.Type
	field *field.Ref // value is no more than a field
	plain plainForm
	v     field.Value
	width int // 0: as long as it is
	json  jsonForm
	name  []byte // key of the JSON object, quoted, with its colon
}

// step appends a text and the value behind it.
type step struct {
	before string
	form   plainForm
	piece  *piece // nil: only the text, at the end
	field  *field.Ref
	names  *event.ByCode[nameOfCode] // plainByCode
}

// nameOfCode is the text, escaped, of a field whose value depends on nothing but the code.
type nameOfCode struct {
	made bool
	text string
}

// plainForm is a way to append a value that takes less time than others: most values of a
// line have one.
type plainForm uint8

const (
	notPlain     plainForm = iota
	plainText              // a text that is escaped
	plainSigned            // a decimal number
	plainNumber            // one without a sign
	plainAppends           // the field appends a text, which is then escaped
	plainASCII             // a text that needs no escape
	plainByCode            // a text that depends on the code, for most codes
	noValue                // of a step that is only a text
)

// plainFormOf returns the form of a value.
func (f *Format) plainFormOf(p *piece) plainForm {
	if p.field == nil || !p.one || p.width > 0 {
		return notPlain
	}
	decimal := false
	switch p.field.Format {
	case event.FormatNA, event.FormatDec, event.FormatID:
		decimal = p.field.Field.Type != field.Dynamic // whose values have their own format
	}
	switch {
	case p.typ == field.String && f.opts.Raw:
	case p.typ == field.String && p.field.Append != nil:
		return plainAppends
	case p.typ == field.String && p.field.Flags&field.Plain != 0 && f.opts.Time != field.OutputFull: // which has the name of the zone
		return plainASCII
	case p.typ == field.String && p.field.ByCode != nil:
		return plainByCode
	case p.typ == field.String:
		return plainText
	case p.typ == field.Int && decimal:
		return plainSigned
	case p.typ == field.Uint && decimal:
		return plainNumber
	}
	return notPlain
}

// Compile compiles a template. The error is a [*filter.Errors] with all that is wrong.
func Compile(template string, opts Options) (*Format, error) {
	f := &Format{template: template, opts: opts, argText: field.All()["evt.arg"], arg: field.Arg{Form: field.ArgIndex}}
	errs := &filter.Errors{What: "format", Text: template}
	s := template
	if strings.HasPrefix(s, "*") {
		f.lenient = true
		s = s[1:]
	}
	for s != "" {
		text, rest, found := strings.Cut(s, "%")
		f.addText(text)
		if !found {
			break
		}
		s = f.compileValue(rest, len(template)-len(rest), errs)
	}
	if len(errs.List) > 0 {
		return nil, errs
	}
	f.compileSteps()
	f.compileKeys()
	return f, nil
}

func (f *Format) compileSteps() {
	before := ""
	for i := range f.pieces {
		p := &f.pieces[i]
		if p.value == nil {
			before = p.text
			continue
		}
		s := step{before: before, form: p.plain, piece: p, field: p.field}
		if p.plain == plainByCode {
			s.names = event.MakeByCode(nameOfCode{}, func(*event.Info) nameOfCode { return nameOfCode{} })
		}
		f.steps = append(f.steps, s)
		before = ""
	}
	if before != "" {
		f.steps = append(f.steps, step{before: before, form: noValue})
	}
}

func (f *Format) addText(text string) {
	if text == "" {
		return
	}
	if n := len(f.pieces); n > 0 && f.pieces[n-1].value == nil {
		f.pieces[n-1].text += text
		return
	}
	f.pieces = append(f.pieces, piece{text: text})
}

// compileValue reads what follows a percent sign, at offset off, and returns the rest.
func (f *Format) compileValue(s string, off int, errs *filter.Errors) string {
	if strings.HasPrefix(s, "%") {
		f.addText("%")
		return s[1:]
	}
	var p piece
	start := s
	for s != "" && s[0] >= '0' && s[0] <= '9' {
		if p.width = 10*p.width + int(s[0]-'0'); p.width > maxWidth {
			errs.List = append(errs.List, filter.Problem{Offset: off, Msg: fmt.Sprintf("the width is more than %d", maxWidth)})
			p.width = 0
		}
		s = s[1:]
	}
	off += len(start) - len(s)
	if s == "" || !letter(s[0]) {
		errs.List = append(errs.List, filter.Problem{Offset: off, Msg: "% is not followed by a field (such as %proc.name; a percent sign is %%)"})
		return s
	}
	v, n, err := filter.ParseValue(s)
	if err != nil {
		if e, ok := err.(*filter.Errors); ok {
			for _, p := range e.List {
				p.Offset += off
				errs.List = append(errs.List, p)
			}
		}
		return s[max(n, 1):]
	}
	if rest := s[n:]; rest != "" && (letter(rest[0]) || rest[0] == '_') {
		errs.List = append(errs.List, filter.Problem{Offset: off + n, Msg: fmt.Sprintf("%q right after %s", rest[0], s[:n])})
		return rest
	}
	for _, ref := range v.Fields() {
		if ref.Flags&field.FilterOnly != 0 {
			errs.List = append(errs.List, filter.Problem{Offset: off, Msg: fmt.Sprintf("field %s is for filters only", ref.Name)})
		}
	}
	p.value, p.field = v, v.Field()
	p.typ, p.one = v.Type(), v.Many() == field.One
	p.plain = f.plainFormOf(&p)
	f.configure(v)
	f.pieces = append(f.pieces, p)
	return s[n:]
}

// maxWidth bounds what one template makes of one event.
const maxWidth = 1 << 16

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// configure passes the options on to the fields that have some.
func (f *Format) configure(v *filter.Value) {
	for _, ref := range v.Fields() {
		switch ref.Name {
		case "evt.outputtime":
			ref.Arg.Text = f.opts.Time
		case "evt.args", "evt.info":
			if f.opts.Full {
				ref.Arg.Text = field.Full
			}
		}
	}
}

// Fields ranges over the fields that the format looks at.
func (f *Format) Fields() []*field.Ref {
	var refs []*field.Ref
	for i := range f.pieces {
		if v := f.pieces[i].value; v != nil {
			refs = append(refs, v.Fields()...)
		}
	}
	return refs
}

// String returns the template.
func (f *Format) String() string { return f.template }

// Append appends the text of ev, without a line end. If the event lacks one of the
// fields and the template does not begin with an asterisk, ok is false and out is dst,
// unchanged.
func (f *Format) Append(dst []byte, ev *sinsp.Event) (out []byte, ok bool) {
	begin := len(dst)
	for i := range f.steps {
		s := &f.steps[i]
		if len(s.before) == 1 {
			dst = append(dst, s.before[0])
		} else {
			dst = append(dst, s.before...)
		}
		switch s.form {
		case noValue:
			return dst, true
		case plainAppends:
			dst = f.escaped(s.field.Append(dst, ev, &s.field.Arg), len(dst))
			continue
		case plainByCode:
			if name := s.names.At(ev.Type()); name.made {
				dst = append(dst, name.text...)
				continue
			}
		}
		p := s.piece
		v, ok := p.get(ev)
		start := len(dst)
		switch {
		case !ok && f.lenient:
			dst = append(dst, missing...)
		case !ok:
			return dst[:begin], false
		case s.form == plainText:
			dst = escape.AppendText(dst, v.Str)
		case s.form == plainNumber:
			dst = decimal.AppendUint(dst, v.Num)
		case s.form == plainSigned:
			dst = decimal.AppendInt(dst, v.Signed())
		case s.form == plainASCII:
			dst = append(dst, v.Str...)
		case s.form == plainByCode:
			dst = escape.AppendText(dst, v.Str)
			if t := ev.Type(); event.Lookup(t) != nil && s.field.ByCode(t) {
				*s.names.At(t) = nameOfCode{true, string(dst[start:])}
			}
		default:
			dst = f.appendValue(dst, p.value, v)
		}
		if p.width > 0 {
			dst = fit(dst, start, p.width)
		}
	}
	return dst, true
}

// escaped escapes the text that begins at start.
func (f *Format) escaped(dst []byte, start int) []byte {
	if escape.Plain(dst[start:]) {
		return dst
	}
	f.scratch = append(f.scratch[:0], dst[start:]...)
	return escape.AppendText(dst[:start], f.scratch)
}

const missing = "<NA>"

// get returns the value for ev; ok is false if it is missing. So is the name of a host:
// nobody is asked about the addresses of a capture.
func (p *piece) get(ev *sinsp.Event) (v *field.Value, ok bool) {
	switch {
	case p.typ == field.Host:
		return &p.v, false
	case p.field != nil:
		return &p.v, p.field.Extract(ev, &p.field.Arg, &p.v)
	}
	return p.value.Get(ev)
}

// fit fills or cuts dst[start:] to a number of characters.
func fit(dst []byte, start, width int) []byte {
	n := 0
	for i := start; i < len(dst); n++ {
		if n == width {
			return dst[:i]
		}
		_, size := utf8.DecodeRune(dst[i:])
		i += size
	}
	for ; n < width; n++ {
		dst = append(dst, ' ')
	}
	return dst
}

// Unescape replaces \n, \t, \e and \\ in a template from a command line, as sysdig
// does.
func Unescape(template string) string {
	return unescaper.Replace(template)
}

var unescaper = strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\e`, "\x1b", `\\`, `\`)

// compileKeys collects the fields for JSON, in the order of their names.
func (f *Format) compileKeys() {
	for _, p := range f.pieces {
		if p.value == nil || slices.ContainsFunc(f.keys, func(k piece) bool { return k.value.Text() == p.value.Text() }) {
			continue
		}
		p.json = jsonFormOf(p.value)
		p.name = append(escape.AppendJSON(nil, []byte(p.value.Text())), ':')
		f.keys = append(f.keys, p)
	}
	slices.SortFunc(f.keys, func(a, b piece) int { return strings.Compare(a.value.Text(), b.value.Text()) })
}
