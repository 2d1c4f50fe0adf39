// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/kver"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/vmtest/guest"
)

// Classes of failure that the comparison finds.
const (
	ClassMissing = "missing-event" // an event that should have come did not
	ClassExtra   = "extra-event"   // an event came that should not have
	ClassParam   = "param"         // a value is not the wanted one
	ClassGarbled = "garbled"       // an event's bytes are not what its header says
	ClassTimeout = "timeout"       // the case took too long
	ClassSetup   = "setup"         // what the case needs could not be made or looked at
	ClassENOSYS  = "enosys"        // the call is there and should not be, or the other way round
	ClassTable   = "table"         // the case itself is wrong
	ClassRefused = "refused"       // the kernel did not accept the event's program
)

// Machine is what the comparison must know of where a case ran.
type Machine struct {
	Release kver.Version
	Arch    string // GOARCH
	Driver  string
	Refused map[string]string // symbol of an event -> why its program was not accepted
}

// NewMachine describes the guest that said hello.
func NewMachine(h *guest.Hello, driver string) (*Machine, error) {
	release, err := kver.Parse(h.Release)
	if err != nil {
		return nil, err
	}
	m := &Machine{Release: release, Arch: h.Arch, Driver: driver, Refused: make(map[string]string)}
	for _, d := range h.Drivers {
		if !slices.Contains(guest.Drivers(driver), d.Name) {
			continue
		}
		for _, r := range d.Refused {
			m.Refused[strings.TrimPrefix(r.Program, "x_")] = r.Reason
		}
	}
	return m, nil
}

// Available tells whether the kernel should have the call, and else why not.
func (m *Machine) Available(sc *guest.Syscall) (ok bool, why string) {
	if _, ok := sc.Number(m.Arch); !ok {
		return false, "not on " + m.Arch
	}
	if since := sc.Since[m.Arch]; since != "" && m.before(since) {
		return false, "since " + since
	}
	if sc.Until != "" && !m.before(sc.Until) {
		return false, "until " + sc.Until
	}
	return true, ""
}

// SkipReason says why a case has nothing to prove here; "" when it has.
func (m *Machine) SkipReason(sc *guest.Syscall, cs *guest.Case) string {
	if ok, why := m.Available(sc); !ok {
		return sc.Name + " " + why
	}
	if cs.Since != "" && m.before(cs.Since) {
		return "since " + cs.Since
	}
	if cs.Until != "" && !m.before(cs.Until) {
		return "until " + cs.Until
	}
	for _, d := range guest.Drivers(m.Driver) {
		if why, ok := cs.Except[d]; ok {
			return d + ": " + why
		}
	}
	return ""
}

func (m *Machine) before(version string) bool {
	v, err := kver.Parse(version)
	return err == nil && m.Release.Less(v)
}

// CompareAbsent judges a call this kernel should lack.
func CompareAbsent(sc *guest.Syscall, res *guest.CaseResult, m *Machine) Verdict {
	if v, done := judgeOutcome(new(guest.Case), res); done {
		return v
	}
	const enosys = -38
	if res.Ret == enosys {
		return Verdict{Status: Pass}
	}
	_, why := m.Available(sc)
	return failure(ClassENOSYS, "%s returned %s on %v (want ENOSYS: %s)", sc.Name, errnoText(res.Ret), m.Release, why)
}

// Compare judges a case by what the guest tells of it. Verdict.Params has the
// params that were compared; wanted values of `any` are not.
func Compare(sc *guest.Syscall, cs *guest.Case, res *guest.CaseResult, m *Machine) Verdict {
	if why := m.SkipReason(sc, cs); why != "" {
		return Verdict{Status: Skip, Reason: why}
	}
	if v, done := judgeOutcome(cs, res); done {
		return v
	}
	c := comparison{sc: sc, cs: cs, res: res, m: m}
	c.excuse()
	c.compare()
	return c.verdict()
}

func failure(class, format string, args ...any) Verdict {
	return Verdict{Status: Fail, Class: class, Reason: fmt.Sprintf(format, args...)}
}

// judgeOutcome handles cases that did not get as far as to be compared.
func judgeOutcome(cs *guest.Case, res *guest.CaseResult) (v Verdict, done bool) {
	switch res.Outcome {
	case guest.Ran:
		return judgeCapture(&res.Capture)
	case guest.Skipped:
		return Verdict{Status: Skip, Reason: res.Reason}, true
	case guest.Crashed:
		if cs.NoEvent != "" && res.Args != nil && !res.Return && res.Signal != "" {
			return judgeCapture(&res.Capture) // the call is one that kills its caller
		}
		return failure(ClassCrash, "%s", withStderr(res)), true
	case guest.Timeout:
		return failure(ClassTimeout, "%s", withStderr(res)), true
	case guest.Failed:
		return failure(ClassSetup, "%s", withStderr(res)), true
	}
	return failure(ClassSetup, "the guest reports a strange outcome %q", res.Outcome), true
}

// judgeCapture handles what a driver did not deliver around the case's own events.
func judgeCapture(c *guest.Capture) (v Verdict, done bool) {
	if c.Incomplete == "" {
		return v, false
	}
	return failure(ClassMissing, "%s%s", c.Incomplete, lostText(c)), true
}

func lostText(c *guest.Capture) string {
	if c.Lost == 0 {
		return ""
	}
	return fmt.Sprintf("; the driver dropped %d events", c.Lost)
}

func withStderr(res *guest.CaseResult) string {
	if s := strings.TrimSpace(res.Stderr); s != "" {
		return res.Reason + "\n" + s
	}
	return res.Reason
}

func errnoText(ret int64) string {
	if name := event.ErrnoName(-ret); ret < 0 && name != "" {
		return name
	}
	return fmt.Sprint(ret)
}

// enterPrefix marks params of the enter event.
const enterPrefix = "enter."

// comparison collects what is wrong with one case.
type comparison struct {
	sc  *guest.Syscall
	cs  *guest.Case
	res *guest.CaseResult
	m   *Machine

	params []Param
	faults []Verdict
}

func (c *comparison) fault(class, format string, args ...any) {
	c.faults = append(c.faults, failure(class, format, args...))
}

// verdict is the gravest fault, with all of them as its reason.
func (c *comparison) verdict() Verdict {
	v := Verdict{Status: Pass, Params: c.params}
	if len(c.faults) == 0 {
		return v
	}
	order := []string{ClassTable, ClassGarbled, ClassRefused, ClassENOSYS, ClassMissing, ClassExtra, ClassParam, ClassDiffer}
	slices.SortStableFunc(c.faults, func(a, b Verdict) int {
		return slices.Index(order, a.Class) - slices.Index(order, b.Class)
	})
	var reasons []string
	for _, f := range c.faults {
		reasons = append(reasons, f.Reason)
	}
	v.Status, v.Class, v.Reason = Fail, c.faults[0].Class, strings.Join(reasons, "\n")
	return v
}

// excuse holds the table to never_fails and never_succeeds, which excuse it from
// a kind of case: whatever the call was given, it must not end that way.
func (c *comparison) excuse() {
	if !c.res.Return {
		return
	}
	failed := c.res.Ret < 0 && c.res.Ret > -4096
	switch {
	case failed && c.sc.NeverFails != "":
		c.fault(ClassTable, "never_fails (%s), but the call returned %s", c.sc.NeverFails, errnoText(c.res.Ret))
	case !failed && c.sc.NeverSucceeds != "":
		c.fault(ClassTable, "never_succeeds (%s), but the call returned %d", c.sc.NeverSucceeds, c.res.Ret)
	}
}

func (c *comparison) compare() {
	events := make([]event.Event, len(c.res.Events))
	used := make([]bool, len(events))
	for i, b := range c.res.Events {
		if err := events[i].Reset(b, 0); err != nil {
			c.fault(ClassGarbled, "event %d of %d: %v (%d bytes: % x)", i+1, len(events), err, len(b), b[:min(len(b), 64)])
			used[i] = true
		}
	}
	// take finds the first unused event of a code by a thread.
	take := func(tid uint64, codes ...uint16) *event.Event {
		for i := range events {
			if !used[i] && uint64(events[i].TID()) == tid && slices.Contains(codes, uint16(events[i].Type())) {
				used[i] = true
				return &events[i]
			}
		}
		return nil
	}
	wants := bindings(c.cs.Want)
	if c.sc.Enter != 0 {
		if ev := take(c.res.TID, c.sc.Enter); ev != nil {
			c.compareEvent(ev, wants, 0, true)
		} else {
			c.missing(c.sc.Enter)
		}
	}
	switch {
	case c.cs.NoEvent != "":
	case c.sc.Exit != 0:
		for i := range c.count(wants) {
			if ev := take(c.res.TID, append([]uint16{c.sc.Exit}, c.sc.Extra...)...); ev != nil {
				c.compareEvent(ev, wants, i, false)
			} else {
				c.missing(c.sc.Exit)
			}
		}
	}
	if len(c.cs.Child) > 0 {
		if ev := take(c.res.Child, c.sc.ChildCode(c.m.Arch)); ev != nil {
			c.compareEvent(ev, bindings(c.cs.Child), 0, false)
		} else {
			c.missing(c.sc.ChildCode(c.m.Arch))
		}
	}
	for i := range events {
		// A successful clone makes an event in the child whether the case looks at it or not.
		silent := c.res.Child != 0 && uint64(events[i].TID()) == c.res.Child && len(c.cs.Child) == 0 &&
			(uint16(events[i].Type()) == c.sc.Exit || uint16(events[i].Type()) == c.sc.ChildCode(c.m.Arch))
		if !used[i] && !silent {
			c.fault(ClassExtra, "extra event %s of thread %d: %s", symbolOf(uint16(events[i].Type())), events[i].TID(), events[i].AppendArgs(nil))
		}
	}
}

func symbolOf(code uint16) string {
	if info := event.Lookup(event.Type(code)); info != nil {
		return info.Symbol
	}
	return fmt.Sprintf("code %d", code)
}

// missing says that an event did not come, and why if that is known.
func (c *comparison) missing(code uint16) {
	symbol := symbolOf(code)
	if why, ok := c.m.Refused[symbol]; ok {
		c.fault(ClassRefused, "%s: the kernel refused its program: %s", symbol, why)
		return
	}
	outcome := "the call did not return"
	if c.res.Return {
		outcome = "the call returned " + errnoText(c.res.Ret)
	}
	c.fault(ClassMissing, "no %s event (%s%s)", symbol, outcome, lostText(&c.res.Capture))
}

// bindings are wanted values by the param's name.
func bindings(list []guest.Binding) map[string]string {
	m := make(map[string]string, len(list))
	for _, b := range list {
		m[b.Name] = b.Expr
	}
	return m
}

// count is how many exit events the call makes: one, or as many as the longest
// list among the wanted values has elements (sendmmsg sends one per message).
func (c *comparison) count(wants map[string]string) int {
	n := 1
	info := event.Lookup(event.Type(c.sc.Exit))
	for name, w := range wants {
		if info == nil || info.ParamIndex(name) < 0 || info.Params[info.ParamIndex(name)].Type == event.ParamFDList {
			continue
		}
		v, err := evalWant(w, &wantEnv{facts: c.res.Facts, set: info.Params[info.ParamIndex(name)].Names})
		if list, ok := v.([]any); err == nil && ok {
			n = max(n, len(list))
		}
	}
	return n
}

// compareEvent checks the params of one event, the nth of its kind. Of an enter event it checks
// those that have a wanted value; an exit event must have one for each.
func (c *comparison) compareEvent(ev *event.Event, wants map[string]string, nth int, enter bool) {
	info := ev.Info()
	if info == nil {
		c.fault(ClassGarbled, "event of unknown code %d", ev.Type())
		return
	}
	if ev.NumParams() != len(info.Params) {
		c.fault(ClassGarbled, "%s has %d params (want %d)", info.Symbol, ev.NumParams(), len(info.Params))
		return
	}
	for i := range info.Params {
		p := &info.Params[i]
		w, ok := wants[p.Name]
		switch {
		case !ok && !enter && (uint16(info.Code) == c.sc.Exit || uint16(info.Code) == c.sc.ChildCode(c.m.Arch)):
			c.fault(ClassTable, "the case does not say what %s.%s must be", info.Symbol, p.Name)
			continue
		case !ok:
			continue
		}
		if since := c.sc.ParamSince[p.Name]; since != "" && c.m.before(since) {
			continue
		}
		if _, differs := c.sc.ParamExcept[p.Name][c.m.Driver]; differs {
			continue
		}
		v, err := evalWant(w, &wantEnv{facts: c.res.Facts, set: p.Names})
		if err != nil {
			c.fault(ClassTable, "want %s: %v", p.Name, err)
			continue
		}
		if list, ok := v.([]any); ok && p.Type != event.ParamFDList {
			if nth >= len(list) {
				c.fault(ClassTable, "want %s: %s has no element for event %d", p.Name, w, nth+1)
				continue
			}
			v = list[nth]
		}
		if _, isAny := v.(expr.Any); isAny {
			continue
		}
		got := ev.Param(i)
		result, err := match(p, v, got, enter)
		if err != nil {
			c.fault(ClassTable, "want %s: %s: %v", p.Name, w, err)
			continue
		}
		name := p.Name
		if enter {
			name = enterPrefix + name
		}
		out := Param{Name: name, Want: result.want, Got: string(p.AppendText(nil, got)), OK: result.ok}
		if !result.ok && out.Want == out.Got { // text forms leave something out
			out.Want, out.Got = fmt.Sprintf("% x", result.bytes), fmt.Sprintf("% x", got)
		}
		c.params = append(c.params, out)
		if result.ok {
			continue
		}
		class := ClassParam
		const enosys = -38
		if c.res.Return && c.res.Ret == enosys && !strings.Contains(w, "ENOSYS") && i == 0 {
			class = ClassENOSYS
		}
		c.fault(class, "%s: %s: want %s, got %s", info.Symbol, name, out.Want, out.Got)
	}
	for name := range wants {
		if !enter && info.ParamIndex(name) < 0 {
			c.fault(ClassTable, "%s has no param %s", info.Symbol, name)
		}
	}
}

// matched is the outcome of comparing one value.
type matched struct {
	ok    bool
	want  string
	bytes []byte // the wanted value as the event would carry it, when there is just one
}

// match compares a value as the event carries it with a wanted one.
func match(p *event.ParamInfo, v any, got []byte, enter bool) (matched, error) {
	if cmp, ok := v.(expr.Comparison); ok {
		return matchComparison(p, cmp, got)
	}
	if t, ok := v.(expr.Tuple); ok {
		return matchTuple(p, t, got)
	}
	b, err := encode(p, v, got)
	if err != nil {
		return matched{}, err
	}
	m := matched{ok: slices.Equal(b, got), want: string(p.AppendText(nil, b)), bytes: b}
	if !m.ok && enter && p.Names != nil && len(b) == len(got) {
		m.ok = unsignedOf(b)&^afterBits(p.Names) == unsignedOf(got)
	}
	return m, nil
}

// afterBits are the bits of a set that nobody knows before the call is over.
func afterBits(set *event.NameSet) uint64 {
	var bits uint64
	for _, name := range []string{"O_F_CREATED", "FD_UPPER_LAYER", "FD_LOWER_LAYER"} {
		if v, ok := set.Value(name); ok {
			bits |= uint64(v)
		}
	}
	return bits
}

func isSigned(t event.ParamType) bool {
	switch t {
	case event.ParamInt8, event.ParamInt16, event.ParamInt32, event.ParamInt64, event.ParamErrno,
		event.ParamFD, event.ParamPID, event.ParamFD32, event.ParamPID32:
		return true
	}
	return false
}

func unsignedOf(b []byte) uint64 {
	var full [8]byte
	if isLittleEndian {
		copy(full[:], b)
		return binary.LittleEndian.Uint64(full[:])
	}
	copy(full[8-min(len(b), 8):], b)
	return binary.BigEndian.Uint64(full[:])
}

var isLittleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

func signedOf(b []byte) int64 {
	shift := 64 - 8*len(b)
	return int64(unsignedOf(b)<<shift) >> shift
}

// appendInt appends the low size bytes of v.
func appendInt(b []byte, v uint64, size int) []byte {
	switch size {
	case 1:
		return append(b, byte(v))
	case 2:
		return binary.NativeEndian.AppendUint16(b, uint16(v))
	case 4:
		return binary.NativeEndian.AppendUint32(b, uint32(v))
	}
	return binary.NativeEndian.AppendUint64(b, v)
}

func matchComparison(p *event.ParamInfo, cmp expr.Comparison, got []byte) (matched, error) {
	m := matched{want: fmt.Sprintf("%s %s", cmp.Op, show(cmp.Bound))}
	if cmp.Op == "between" {
		m.want = fmt.Sprintf("between %s and %s", show(cmp.Bound), show(cmp.High))
	}
	t := p.Type
	if t == event.ParamDyn && len(got) > 0 && int(got[0]) < len(p.Dyn) {
		t, got = p.Dyn[got[0]].Type, got[1:]
	}
	size, fixed := t.Size()
	if !fixed {
		return m, fmt.Errorf("a comparison needs a number, not a %s", t)
	}
	if len(got) != size {
		return m, nil
	}
	v := int64(unsignedOf(got))
	if isSigned(t) {
		v = signedOf(got)
	}
	var err error
	// Bounds may be below 0, of sizes and times too: only 64 bits need unsigned order.
	m.ok, err = cmp.Holds(v, !isSigned(t) && size == 8 && v < 0)
	return m, err
}

func show(v any) string {
	if s, err := expr.ToText(v); err == nil {
		return s
	}
	return fmt.Sprint(v)
}

// encode gives the value as the event would carry it.
func encode(p *event.ParamInfo, v any, got []byte) ([]byte, error) {
	if _, ok := v.(expr.Empty); ok {
		if p.Type == event.ParamDyn && len(got) == 1 && int(got[0]) < len(p.Dyn) {
			return got, nil // of whatever variant
		}
		return []byte{}, nil
	}
	if size, fixed := p.Type.Size(); fixed {
		n, err := expr.ToInt(v)
		if err != nil {
			return nil, err
		}
		if size < 8 && (n < -(1<<(8*size-1)) || n >= 1<<(8*size)) {
			return nil, fmt.Errorf("%d does not fit %d bytes", n, size)
		}
		return appendInt(nil, uint64(n), size), nil
	}
	switch p.Type {
	case event.ParamCharbuf, event.ParamFSPath, event.ParamFSRelPath:
		text, err := expr.ToText(v)
		if err != nil {
			return nil, err
		}
		text, _, _ = strings.Cut(text, "\x00")
		return append([]byte(text), 0), nil
	case event.ParamBytebuf, event.ParamCharbufArray, event.ParamCharbufPairArray:
		return expr.ToBytes(v)
	case event.ParamSockaddr:
		return wireAddress(v)
	case event.ParamFDList:
		return encodeFDList(p, v)
	case event.ParamDyn:
		if len(got) == 0 || int(got[0]) >= len(p.Dyn) {
			return nil, nil // matches nothing that came
		}
		variant := &event.ParamInfo{Name: p.Name, Type: p.Dyn[got[0]].Type, Format: p.Dyn[got[0]].Format, Names: p.Names}
		b, err := encode(variant, v, got[1:])
		if err != nil {
			return nil, err
		}
		return append([]byte{got[0]}, b...), nil
	}
	return expr.ToBytes(v)
}

// wireAddress is a socket address as events carry it.
func wireAddress(v any) ([]byte, error) {
	if f, ok := v.(factValue); ok {
		if w, err := f.Field("wire"); err == nil {
			return expr.ToBytes(w)
		}
	}
	if s, ok := v.(string); ok {
		a, err := guest.ParseAddress(s)
		if err != nil {
			return nil, err
		}
		return a.Wire(), nil
	}
	return expr.ToBytes(v)
}

// encodeFDList encodes [[fd, events], ...].
func encodeFDList(_ *event.ParamInfo, v any) ([]byte, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, errors.New("a list of [fd, events] is wanted")
	}
	b := appendInt(nil, uint64(len(list)), 2)
	for i, e := range list {
		pair, ok := e.([]any)
		if !ok || len(pair) != 2 {
			return nil, fmt.Errorf("element %d must be [fd, events]", i)
		}
		fd, err := expr.ToInt(pair[0])
		if err != nil {
			return nil, err
		}
		events, err := expr.ToInt(pair[1])
		if err != nil {
			return nil, err
		}
		b = appendInt(appendInt(b, uint64(fd), 8), uint64(events), 2)
	}
	return b, nil
}

// matchTuple compares a tuple. The kernel's addresses of unix sockets are
// checked when the guest could learn them; else they must only be there.
func matchTuple(p *event.ParamInfo, t expr.Tuple, got []byte) (matched, error) {
	if p.Type != event.ParamSocktuple {
		return matched{}, fmt.Errorf("a tuple is wanted of a %s", p.Type)
	}
	from, err := wireAddress(t.From)
	if err != nil {
		return matched{}, err
	}
	to, err := wireAddress(t.To)
	if err != nil {
		return matched{}, err
	}
	if len(from) == 0 || len(to) == 0 || from[0] != to[0] {
		return matched{}, errors.New("the ends are of different families")
	}
	if from[0] != event.FamilyUnix {
		b := append(slices.Clone(from), to[1:]...)
		return matched{ok: slices.Equal(b, got), want: string(p.AppendText(nil, b)), bytes: b}, nil
	}
	m := matched{want: fmt.Sprintf("unix, %q", to[1:])}
	tuple := event.SockTuple(got)
	first, second, ok := tuple.Pointers()
	if !ok || !slices.Equal(got[17:], to[1:]) {
		return m, nil
	}
	// Going out, the local socket is the source and its peer, if any, stands
	// first; coming in it is the destination and stands first itself.
	out := isKernelAddress(second, t.From) && (first != 0) == isConnected(t.From)
	in := isKernelAddress(first, t.To) && (second == 0 && !isConnected(t.To) || isConnected(t.To) && isKernelAddress(second, t.From))
	m.ok = out || in
	if !m.ok {
		m.want += " and other kernel addresses"
	}
	return m, nil
}

// isKernelAddress compares with where the socket is, if the guest could tell.
func isKernelAddress(got uint64, socket any) bool {
	if f, ok := socket.(factValue); ok {
		if k, err := f.Field("kaddr"); err == nil {
			n, err := expr.ToInt(k)
			return err == nil && uint64(n) == got
		}
	}
	return got != 0
}

// isConnected tells whether a socket of the guest has a peer.
func isConnected(socket any) bool {
	if f, ok := socket.(factValue); ok {
		if c, err := f.Field("connected"); err == nil {
			n, err := expr.ToInt(c)
			return err == nil && n != 0
		}
	}
	return true
}

// evalWant parses and computes one wanted value.
func evalWant(src string, env *wantEnv) (any, error) {
	n, err := expr.Parse(src, expr.Pos{File: "want", Line: 1, Col: 1})
	if err != nil {
		return nil, err
	}
	return expr.Eval(n, env)
}

// wantEnv gives names in wanted values their meaning: variables are the
// guest's facts, constants those of the param's flag set, then native ones.
type wantEnv struct {
	facts guest.Facts
	set   *event.NameSet
}

func (e *wantEnv) Lookup(name string) (any, error) {
	v := factValue{e.facts, name}
	if !v.exists() {
		return nil, fmt.Errorf("the guest reported no $%s", name)
	}
	return v, nil
}

func (e *wantEnv) Const(name string) (int64, bool) {
	if e.set != nil {
		if v, ok := e.set.Value(name); ok {
			return int64(v), true
		}
	}
	if v, ok := guest.Consts[name]; ok {
		return int64(v), true
	}
	if n, ok := errnos[name]; ok {
		return n, true
	}
	return 0, false
}

// errnos are the error numbers by name.
var errnos = func() map[string]int64 {
	m := make(map[string]int64)
	for n := int64(1); n < 600; n++ {
		if name := event.ErrnoName(n); name != "" {
			m[name] = n
		}
	}
	return m
}()

func (e *wantEnv) Call(name string, args []any) (any, error) {
	switch name {
	case "pattern":
		if len(args) != 1 {
			break
		}
		n, err := expr.ToInt(args[0])
		if err != nil || n < 0 || n > 1<<20 {
			return nil, fmt.Errorf("pattern: bad size %s", show(args[0]))
		}
		b := make([]byte, n)
		for i := range b {
			b[i] = guest.PatternByte(i)
		}
		return b, nil
	case "sockaddr":
		if len(args) != 1 {
			break
		}
		text, err := expr.ToText(args[0])
		if err != nil {
			return nil, err
		}
		a, err := guest.ParseAddress(text)
		if err != nil {
			return nil, err
		}
		return a.Wire(), nil
	default:
		return nil, fmt.Errorf("unknown function %s in a wanted value", name)
	}
	return nil, fmt.Errorf("%s has 1 argument, not %d", name, len(args))
}

// factValue is a variable, or a field of one, as the guest reported it.
type factValue struct {
	facts guest.Facts
	name  string
}

func (v factValue) exists() bool {
	if _, ok := v.facts[v.name]; ok {
		return true
	}
	for name := range v.facts {
		if strings.HasPrefix(name, v.name+".") {
			return true
		}
	}
	return false
}

func (v factValue) String() string { return "$" + v.name }

// Plain implements expr.Plainer.
func (v factValue) Plain() any {
	f, ok := v.facts[v.name]
	switch {
	case !ok:
		return nil
	case f.IsInt:
		return int64(f.Int)
	}
	return f.Bytes
}

// Address implements expr.Addresser: variables that are memory.
func (v factValue) Address() (int64, bool) {
	if f, ok := v.facts[v.name]; ok && f.IsInt {
		return 0, false
	}
	f, ok := v.facts[v.name+".addr"]
	return int64(f.Int), ok && f.IsInt
}

// Field implements expr.Fielder.
func (v factValue) Field(name string) (any, error) {
	f := factValue{v.facts, v.name + "." + name}
	if !f.exists() {
		return nil, fmt.Errorf("the guest reported no $%s", f.name)
	}
	return f, nil
}

// Index implements expr.Indexer.
func (v factValue) Index(i int) (any, error) {
	f := factValue{v.facts, fmt.Sprintf("%s.%d", v.name, i)}
	if f.exists() {
		return f, nil
	}
	if b, ok := v.Plain().([]byte); ok && i >= 0 && i < len(b) {
		return int64(b[i]), nil
	}
	return nil, fmt.Errorf("the guest reported no $%s[%d]", v.name, i)
}
