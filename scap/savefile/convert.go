// SPDX-License-Identifier: Apache-2.0

package savefile

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

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
	stored map[event.PID][]byte // by tid; empty: memory for reuse
	older  map[event.PID][]byte
	bytes  int // of memory in stored
	json   []byte

	defaults bool // Options.Defaults
}

func newConverter(defaults bool) *converter {
	return &converter{stored: map[event.PID][]byte{}, defaults: defaults}
}

func (c *converter) reset() {
	clear(c.stored)
	c.older = nil
	c.bytes = 0
}

func (c *converter) store(ev *event.Event) {
	if len(c.stored) >= maxStored/2 || c.bytes >= maxStoredBytes/2 {
		c.older, c.stored, c.bytes = c.stored, map[event.PID][]byte{}, 0
	}
	tid := ev.TID()
	delete(c.older, tid)
	old := c.stored[tid]
	buf := append(old[:0], ev.Bytes()...)
	c.bytes += cap(buf) - cap(old)
	c.stored[tid] = buf
}

// enter makes enter a view of the stored event of ev's thread, and reports whether it
// is the enter event of ev.
func (c *converter) enter(ev *event.Event, enter *event.Event) bool {
	buf := c.stored[ev.TID()]
	if len(buf) == 0 {
		if buf = c.older[ev.TID()]; len(buf) == 0 {
			return false
		}
	}
	enter.ResetUnchecked(buf, 0)
	// In a capture that lost events, it may belong to another call.
	return enter.Type() == ev.Type()-1
}

func (c *converter) used(tid event.PID) {
	delete(c.older, tid)
	if buf := c.stored[tid]; cap(buf) <= 4096 {
		if buf != nil {
			c.stored[tid] = buf[:0]
		}
		return
	}
	c.bytes -= cap(c.stored[tid])
	delete(c.stored, tid)
}

// convert makes ev current. It appends rebuilt events to arena and returns the grown
// arena.
func (c *converter) convert(ev *event.Event, arena []byte) ([]byte, outcome) {
	out := unchanged
	for range maxSteps {
		r := findRule(ev)
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

func findRule(ev *event.Event) *rule {
	rs := rules()[ev.Type()]
	for i := range rs {
		if int(rs[i].params) == ev.NumParams() {
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
	var params [event.MaxParams][]byte
	if r.action == actAdd {
		for i, v := range ev.Params() {
			params[i] = v
			n++
		}
	} else {
		t = r.to
	}
	info := event.Lookup(t)
	if info == nil || n+len(r.ins) > min(len(info.Params), event.MaxParams) {
		return arena, false
	}
	var enter event.Event
	looked, have := false, false
	for _, in := range r.ins {
		p := &info.Params[n]
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
		params[n] = v
		n++
	}
	at := len(arena)
	arena, ok := appendEvent(arena, ev.Timestamp(), ev.TID(), t, params[:n])
	if have {
		c.used(ev.TID())
	}
	if !ok {
		return arena, false
	}
	ev.ResetUnchecked(arena[at:len(arena):len(arena)], ev.CPU())
	return arena, true
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
