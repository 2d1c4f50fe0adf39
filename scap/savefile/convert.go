// SPDX-License-Identifier: Apache-2.0

package savefile

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/internal/escape"
	"github.com/scaplab/scaplab/internal/hint"
	"github.com/scaplab/scaplab/scap/event"
)

//go:embed convert.txt
var convertText string

// action is what a rule does.
type action uint8

const (
	actPass action = iota + 1
	actStore
	actStorePass
	actAdd
	actRetype
)

// instr makes one param.
type instr struct {
	op       byte // 'O', 'E', 'D', '-' or 'J'
	arg      uint8
	optional bool // 'E': empty instead of the default
}

// rule converts events of one type and number of params.
type rule struct {
	params uint8
	action action
	to     event.Type // actRetype
	ins    []instr
}

// rules are parsed when the first older event comes, not by every program that imports this.
var rules = sync.OnceValue(func() map[event.Type][]rule { return mustRules(convertText) })

func mustRules(text string) map[event.Type][]rule {
	rules, err := parseRules(text)
	if err != nil {
		panic(err) // the text is part of the program
	}
	return rules
}

func parseRules(text string) (map[event.Type][]rule, error) {
	rules := map[event.Type][]rule{}
	for num, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		code, r, err := parseRule(words)
		if err != nil {
			return nil, fmt.Errorf("convert.txt:%d: %w", num+1, err)
		}
		for _, other := range rules[code] {
			if other.params == r.params {
				return nil, fmt.Errorf("convert.txt:%d: %s with %d params already has a rule", num+1, words[0], r.params)
			}
		}
		rules[code] = append(rules[code], r)
	}
	return rules, nil
}

// symbols are the types by the symbols of the table.
var symbols = sync.OnceValue(func() map[string]event.Type {
	types := make(map[string]event.Type)
	for info := range event.All() {
		types[info.Symbol] = info.Code
	}
	return types
})

func parseSymbol(symbol string) (event.Type, error) {
	t, ok := symbols()[symbol]
	if !ok {
		return 0, fmt.Errorf("unknown event %s%s", symbol, hint.DidYouMean(symbol, slices.Sorted(maps.Keys(symbols()))))
	}
	return t, nil
}

func parseRule(words []string) (t event.Type, r rule, err error) {
	if len(words) < 3 {
		return 0, r, fmt.Errorf("%q: symbol, params and step expected", words)
	}
	if t, err = parseSymbol(words[0]); err != nil {
		return 0, r, err
	}
	params, err := strconv.ParseUint(words[1], 10, 6)
	if err != nil {
		return 0, r, err
	}
	r.params = uint8(params)
	ins := words[3:]
	switch words[2] {
	case "pass":
		r.action = actPass
	case "store":
		r.action = actStore
	case "store+pass":
		r.action = actStorePass
	case "add":
		r.action = actAdd
	case "->":
		r.action = actRetype
		if len(ins) == 0 {
			return 0, r, fmt.Errorf("%q: a type expected after ->", words)
		}
		if r.to, err = parseSymbol(ins[0]); err != nil {
			return 0, r, err
		}
		ins = ins[1:]
	default:
		return 0, r, fmt.Errorf("unknown step %q", words[2])
	}
	for _, word := range ins {
		in, err := parseInstr(word)
		if err != nil {
			return 0, r, err
		}
		r.ins = append(r.ins, in)
	}
	return t, r, nil
}

func parseInstr(word string) (in instr, err error) {
	rest, optional := strings.CutSuffix(word, "?")
	in = instr{op: rest[0], optional: optional}
	switch {
	case rest == "D" || rest == "-" || rest == "J":
		return in, nil
	case in.op == 'O' || in.op == 'E':
		arg, err := strconv.ParseUint(rest[1:], 10, 5)
		in.arg = uint8(arg)
		return in, err
	}
	return in, fmt.Errorf("unknown param %q", word)
}

// decision is what to do with an event by its type.
type decision struct {
	kind    uint8
	params  uint8 // exact: an event with at least this many is current
	unknown bool
}

const (
	pass  uint8 = iota
	drop        // not delivered
	exact       // current unless params are missing
	convert
)

var decisions = decideAll()

func decideAll() *[1 << 16]decision {
	all := new([1 << 16]decision)
	for i := range all {
		all[i].unknown = true
	}
	for info := range event.All() {
		all[info.Code] = decide(info)
	}
	return all
}

// currentParams has, by the type, how many params make an event current.
var currentParams = func() *[1 << 16]uint8 {
	all := new([1 << 16]uint8)
	for t, d := range decisions {
		switch {
		case d.unknown || d.kind == drop || d.kind == convert:
			all[t] = math.MaxUint8 // more than an event may have: next sees to it
		case d.kind == exact:
			all[t] = d.params
		}
	}
	return all
}()

func decide(info *event.Info) decision {
	old, managed := info.Flags&event.OldVersion != 0, info.Flags&event.ConverterManaged != 0
	switch {
	case info.Flags&event.Unused != 0:
		return decision{kind: drop}
	case !managed && old && info.Code.Enter():
		return decision{kind: drop}
	case !managed:
		return decision{kind: pass}
	case info.Code.Enter(), old:
		return decision{kind: convert}
	}
	return decision{kind: exact, params: uint8(len(info.Params))}
}

// outcome is the result of converting an event.
type outcome uint8

const (
	unchanged   outcome = iota // to be delivered
	converted                  // to be delivered, in another shape
	merged                     // kept for the exit event
	obsolete                   // not wanted
	unconverted                // no rule matches
	corrupt
)

const (
	// Limit on the steps for one event, in case the rules form a circle.
	maxSteps = 50
	// Limit on threads with a stored enter event.
	maxStored = 1 << 17
	// Limit on the bytes of all stored events: a corrupt capture can have large
	// enter events.
	maxStoredBytes = 64 << 20
)

// converter converts older events to current ones. Enter events wait for their exit
// events in two generations: when the younger is full, the older, whose exits did not come
// for as long as that took, is forgotten.
type converter struct {
	rules  *[1 << 16][]rule        // by type; nil before the first event
	short  *event.ByCode[shortcut] // nil before the first event
	stored map[event.PID]*slot
	older  map[event.PID]*slot
	bytes  int // of memory in stored
	json   []byte

	// The last slot, since an exit event often follows its enter event.
	last    *slot
	lastTID event.PID

	params [event.MaxParams][]byte // of the event that is made

	defaults bool // Options.Defaults
}

// slot has the enter event of a thread; empty: memory for reuse.
type slot struct{ buf []byte }

func newConverter(defaults bool) *converter {
	return &converter{stored: map[event.PID]*slot{}, defaults: defaults}
}

func (c *converter) reset() {
	clear(c.stored)
	c.older, c.last = nil, nil
	c.bytes = 0
}

// find returns the slot of a thread; nil if there is none.
func (c *converter) find(tid event.PID) *slot {
	if c.last != nil && c.lastTID == tid {
		return c.last
	}
	s := c.stored[tid]
	if s == nil {
		if s = c.older[tid]; s == nil {
			return nil
		}
		delete(c.older, tid)
		c.stored[tid] = s
		c.bytes += cap(s.buf)
	}
	c.last, c.lastTID = s, tid
	return s
}

func (c *converter) store(ev *event.Event) {
	tid := ev.TID()
	s := c.find(tid)
	if s == nil {
		if len(c.stored) >= maxStored/2 || c.bytes >= maxStoredBytes/2 {
			c.older, c.stored, c.bytes = c.stored, map[event.PID]*slot{}, 0
		}
		s = &slot{}
		c.stored[tid] = s
		c.last, c.lastTID = s, tid
	}
	old := cap(s.buf)
	s.buf = append(s.buf[:0], ev.Bytes()...)
	c.bytes += cap(s.buf) - old
}

// enter makes enter a view of the stored event of ev's thread, and reports whether it
// is the enter event of ev.
func (c *converter) enter(ev *event.Event, enter *event.Event) bool {
	s := c.find(ev.TID())
	if s == nil || len(s.buf) == 0 {
		return false
	}
	enter.ResetUnchecked(s.buf, 0)
	// In a capture that lost events, it may belong to another call.
	return enter.Type() == ev.Type()-1
}

// used forgets the event of a slot that find has returned last.
func (c *converter) used() {
	s := c.last
	if cap(s.buf) <= 4096 {
		s.buf = s.buf[:0]
		return
	}
	c.bytes -= cap(s.buf)
	delete(c.stored, c.lastTID)
	c.last = nil
}

// convert makes ev current. It appends rebuilt events to arena and returns the grown
// arena.
func (c *converter) convert(ev *event.Event, arena []byte) ([]byte, outcome) {
	out := unchanged
	if c.rules == nil {
		c.rules = rulesOf()
		c.short = event.MakeByCode(shortcut{}, c.shortcutOf)
	}
	for range maxSteps {
		r := c.findRule(ev)
		if r == nil {
			if out == unchanged {
				out = unconverted
			}
			return arena, out
		}
		switch r.action {
		case actPass:
			return arena, out
		case actStore:
			c.store(ev)
			return arena, merged
		case actStorePass:
			c.store(ev)
			return arena, out
		}
		var ok bool
		if arena, ok = c.step(ev, r, arena); !ok {
			return arena, unconverted
		}
		out = converted
		switch d := decisions[ev.Type()]; {
		case d.kind == drop:
			return arena, obsolete
		case d.kind == pass, d.kind == exact && ev.NumParams() >= int(d.params):
			return arena, out
		}
	}
	return arena, out
}

// rulesOf has the rules by type: a lookup for each old event.
var rulesOf = sync.OnceValue(func() *[1 << 16][]rule {
	byType := new([1 << 16][]rule)
	for t, rs := range rules() {
		byType[t] = rs
	}
	return byType
})

// shortcut is what convert comes to for the most common events of a type. Numbers of
// params are bits: bit n is for events with n params.
type shortcut struct {
	lacks  uint64 // they lack nothing but empty params
	store  uint64 // they wait for the exit event
	merges uint64 // they get the first params of their enter event
	lens   []byte // of these params, which are of fixed sizes, as they are in an event
	size   int    // of their values
}

func (c *converter) shortcutOf(info *event.Info) (s shortcut) {
	d := decisions[info.Code]
	for _, r := range c.rules[info.Code] {
		bit := uint64(1) << r.params
		switch {
		case d.kind == convert && r.action == actStore:
			s.store |= bit
		case d.kind != exact || r.action != actAdd || int(r.params)+len(r.ins) != int(d.params) || d.params > event.MaxParams || info.Code.LargePayload():
		case !slices.ContainsFunc(r.ins, func(in instr) bool { return in.op != '-' && (in.op != 'D' || c.defaults) }):
			s.lacks |= bit
		case s.merges == 0:
			if lens, size, ok := firstOfEnter(info, &r); ok {
				s.merges, s.lens, s.size = bit, lens, size
			}
		}
	}
	return s
}

// firstOfEnter returns the lengths and the size of what a rule adds, if that is the first
// params of the enter event, and all are of fixed sizes that both events have.
func firstOfEnter(info *event.Info, r *rule) (lens []byte, size int, ok bool) {
	enter := event.Lookup(info.Code - 1)
	if enter == nil || enter.Code.LargePayload() || len(r.ins) > len(enter.Params) {
		return nil, 0, false
	}
	for i, in := range r.ins {
		n, fixed := info.Params[int(r.params)+i].Type.Size()
		if from, also := enter.Params[i].Type.Size(); in.op != 'E' || int(in.arg) != i || !fixed || !also || n != from {
			return nil, 0, false
		}
		lens = binary.NativeEndian.AppendUint16(lens, uint16(n))
		size += n
	}
	return lens, size, true
}

// quick does what convert does, for the most common events and in less time: ev becomes
// current, or is stored. In the other cases it reports false, and ev is as it was.
func (c *converter) quick(ev *event.Event, arena []byte) (grown []byte, out outcome, ok bool) {
	if c.short == nil {
		return arena, 0, false
	}
	n := ev.NumParams()
	switch s := c.short.At(ev.Type()); {
	case s.lacks>>n&1 != 0:
		missing := int(decisions[ev.Type()].params) - n
		arena, ok = appendWith(arena, ev, noLengths[:2*missing], nil)
	case s.store>>n&1 != 0:
		c.store(ev)
		return arena, merged, true
	case s.merges>>n&1 != 0:
		var enter event.Event
		if !c.enter(ev, &enter) {
			return arena, 0, false
		}
		raw, lens := enter.Bytes(), event.HeaderSize+2*enter.NumParams()
		if lens < event.HeaderSize+len(s.lens) || !bytes.Equal(raw[event.HeaderSize:event.HeaderSize+len(s.lens)], s.lens) {
			return arena, 0, false
		}
		if arena, ok = appendWith(arena, ev, s.lens, raw[lens:lens+s.size]); ok {
			c.used()
		}
	}
	return arena, converted, ok
}

// appendWith appends ev with further params, given by their lengths and values, and makes
// ev a view of that. It reports false if the event would be too large.
func appendWith(arena []byte, ev *event.Event, lens, values []byte) ([]byte, bool) {
	raw, n := ev.Bytes(), ev.NumParams()
	begin := event.HeaderSize + 2*n
	end := begin
	for i := event.HeaderSize; i < begin; i += 2 {
		end += int(binary.NativeEndian.Uint16(raw[i:]))
	}
	if end+len(lens)+len(values) > event.MaxSize {
		return arena, false
	}
	at := len(arena)
	arena = append(arena, raw[:begin]...)
	arena = append(arena, lens...)
	arena = append(arena, raw[begin:end]...)
	arena = append(arena, values...)
	out := arena[at:len(arena):len(arena)]
	binary.NativeEndian.PutUint32(out[abi.EventLen:], uint32(len(out)))
	binary.NativeEndian.PutUint32(out[abi.EventNumParams:], uint32(n+len(lens)/2))
	ev.ResetUnchecked(out, ev.CPU())
	return arena, true
}

var noLengths [2 * event.MaxParams]byte

func (c *converter) findRule(ev *event.Event) *rule {
	rs := c.rules[ev.Type()]
	n := ev.NumParams()
	for i := range rs {
		if int(rs[i].params) == n {
			return &rs[i]
		}
	}
	return nil
}

var (
	zeros [16]byte
	ones  = [4]byte{0xff, 0xff, 0xff, 0xff}
)

// defaultValue returns the value of a param that an older capture does not have: none,
// or what the reference puts there.
func (c *converter) defaultValue(p *event.ParamInfo) []byte {
	if !c.defaults {
		return nil
	}
	switch size, _ := p.Type.Size(); {
	case p.Type == event.ParamUID || p.Type == event.ParamGID:
		return ones[:]
	default:
		return zeros[:size]
	}
}

// step applies one rule: ev becomes a view of the new event at the end of arena.
func (c *converter) step(ev *event.Event, r *rule, arena []byte) ([]byte, bool) {
	t, n := ev.Type(), 0
	if r.action == actAdd {
		n = ev.NumParams()
	} else {
		t = r.to
	}
	info := event.Lookup(t)
	if info == nil || n+len(r.ins) > min(len(info.Params), event.MaxParams) {
		return arena, false
	}
	var enter event.Event
	looked, have := false, false
	for i := range r.ins {
		in, p := &r.ins[i], &info.Params[n+i]
		var v []byte
		switch in.op {
		case 'O':
			v = ev.Param(int(in.arg))
			if from := ev.Info(); len(v) > 0 && p.Type != event.ParamDyn && from.Params[in.arg].Type == event.ParamDyn {
				v = v[1:] // the first byte is the type
			}
		case 'D':
			v = c.defaultValue(p)
		case 'E':
			if !looked {
				looked, have = true, c.enter(ev, &enter)
			}
			if have {
				v = enter.Param(int(in.arg))
			}
			if v == nil && !in.optional {
				v = c.defaultValue(p)
			}
		case 'J':
			v = c.containerJSON(ev)
		}
		if size, fixed := p.Type.Size(); fixed && len(v) < size {
			v = nil // not valid as a value of this type
		} else if fixed && len(v) > size {
			if hostIsBigEndian { // keep the low bytes of a number that is narrower now
				v = v[len(v)-size:]
			} else {
				v = v[:size]
			}
		}
		c.params[i] = v
	}
	at := len(arena)
	arena, ok := appendEvent(arena, ev.Timestamp(), ev.TID(), t, c.whole(ev, n, len(r.ins)))
	if have {
		c.used()
	}
	if !ok {
		return arena, false
	}
	ev.ResetUnchecked(arena[at:len(arena):len(arena)], ev.CPU())
	return arena, true
}

// whole returns the first n params of ev and the added ones of c.params after them.
func (c *converter) whole(ev *event.Event, n, added int) [][]byte {
	copy(c.params[n:], c.params[:added])
	for i := range n {
		c.params[i] = ev.Param(i)
	}
	return c.params[:n+added]
}

// appendEvent appends an event to b. It truncates strings and buffers that do not fit
// their length field, and returns false if the event exceeds the limit for events.
func appendEvent(b []byte, ts uint64, tid event.PID, t event.Type, params [][]byte) ([]byte, bool) {
	wide := t.LargePayload()
	o := binary.NativeEndian
	at := len(b)
	b = o.AppendUint64(b, ts)
	b = o.AppendUint64(b, uint64(tid))
	b = o.AppendUint32(b, 0)
	b = o.AppendUint16(b, uint16(t))
	b = o.AppendUint32(b, uint32(len(params)))
	for i, v := range params {
		if wide {
			b = o.AppendUint32(b, uint32(len(v)))
			continue
		}
		if len(v) > math.MaxUint16 {
			params[i] = v[:math.MaxUint16]
		}
		b = o.AppendUint16(b, uint16(len(params[i])))
	}
	for _, v := range params {
		b = append(b, v...)
	}
	if !wide && len(b)-at > event.MaxSize {
		return b[:at], false
	}
	o.PutUint32(b[at+16:], uint32(len(b)-at))
	return b, true
}

// containerJSON returns the JSON that replaces the event's params id, type, name and
// image. Unlike the reference it escapes their text.
func (c *converter) containerJSON(ev *event.Event) []byte {
	kind := ev.Param(1)
	if len(kind) != 4 {
		return nil
	}
	b := append(c.json[:0], `{"id":`...)
	b = escape.AppendJSON(b, event.CString(ev.Param(0)))
	b = append(b, `,"type":`...)
	b = strconv.AppendUint(b, uint64(binary.NativeEndian.Uint32(kind)), 10)
	b = append(b, `,"name":`...)
	b = escape.AppendJSON(b, event.CString(ev.Param(2)))
	b = append(b, `,"image":`...)
	b = escape.AppendJSON(b, event.CString(ev.Param(3)))
	c.json = append(b, '}', 0)
	return c.json
}
