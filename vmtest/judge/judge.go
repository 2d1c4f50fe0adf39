// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/kver"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/subject"
)

// Machine is what the comparison must know about the machine of a case.
type Machine struct {
	Release kver.Version
	Arch    string            // GOARCH
	Drivers guest.Drivers     // that captured
	Refused map[string]string // symbol of an event -> why its program was not accepted
	Subject *subject.Subject  // somebody else's driver, which is judged by what it has; nil: ours
}

// NewMachine returns the machine that a hello describes.
func NewMachine(h *guest.Hello, drivers guest.Drivers) (*Machine, error) {
	release, err := kver.Parse(h.Release)
	if err != nil {
		return nil, err
	}
	m := &Machine{Release: release, Arch: h.Arch, Drivers: drivers, Refused: make(map[string]string)}
	for _, d := range h.Drivers {
		if !drivers.Has(d.Name) {
			continue
		}
		for _, r := range d.Refused {
			m.Refused[strings.TrimPrefix(r.Program, "x_")] = r.Reason
		}
	}
	return m, nil
}

// Available reports whether the kernel should have the call, and if not, why.
func (m *Machine) Available(sc *guest.Syscall) (ok bool, why string) {
	if !sc.OnArch(m.Arch) {
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

// lacks reports whether the kernel should answer ENOSYS. Generated cases are proven there, too: what
// they want of the event follows from the arguments, whatever the call returns.
func (m *Machine) lacks(sc *guest.Syscall) bool {
	ok, _ := m.Available(sc)
	_, onArch := sc.Number(m.Arch)
	return !ok && onArch
}

// skipReason returns why a case proves nothing on this machine, or "".
func (m *Machine) skipReason(sc *guest.Syscall, cs *guest.Case) string {
	ok, why := m.Available(sc)
	switch {
	case !ok && !(cs.Generated && m.lacks(sc)):
		return sc.Name + " " + why
	case ok && cs.Lacking != "":
		return "only where the call is missing: " + cs.Lacking
	}
	if sc.Suite && m.Subject != nil && m.Subject.Capture {
		return "a capture made elsewhere says nothing of the threads that a scenario is about"
	}
	if cs.Arch != "" && cs.Arch != m.Arch {
		return "only on " + cs.Arch
	}
	if cs.Since != "" && m.before(cs.Since) {
		return "since " + cs.Since
	}
	if cs.Until != "" && !m.before(cs.Until) {
		return "until " + cs.Until
	}
	return ""
}

func (m *Machine) before(version string) bool {
	v, err := kver.Parse(version)
	return err == nil && m.Release.Less(v)
}

var enosys = -event.Errno("ENOSYS")

// Compare judges a case by the guest's report. Verdict.Params has the params that
// were compared; it omits those whose wanted value is `any`.
func compare(sc *guest.Syscall, cs *guest.Case, res *guest.CaseResult, m *Machine) Verdict {
	if why := m.skipReason(sc, cs); why != "" {
		return Verdict{Status: Skip, Reason: why}
	}
	if v, done := judgeOutcome(cs, res); done {
		return v
	}
	c := comparison{sc: sc, cs: cs, res: res, m: m}
	c.result()
	c.compare()
	if m.Subject != nil && !c.came && len(c.params) == 0 && len(c.faults) == 0 {
		return Verdict{Status: Skip, Reason: "the driver makes no event of it"}
	}
	if m.Subject == nil && res.LeftOut != uint64(cs.LeftOut) { // others do not count them
		c.fault(ClassMissing, "the driver counts %d messages that get no event (want %d)", res.LeftOut, cs.LeftOut)
	}
	return c.verdict()
}

func Failf(class, format string, args ...any) Verdict {
	return Verdict{Status: Fail, Class: class, Reason: fmt.Sprintf(format, args...)}
}

// judgeOutcome judges cases that ended before their events could be compared.
func judgeOutcome(cs *guest.Case, res *guest.CaseResult) (v Verdict, done bool) {
	switch res.Outcome {
	case guest.Ran:
		return judgeCapture(&res.Capture)
	case guest.Skipped:
		return Verdict{Status: Skip, Reason: res.Reason}, true
	case guest.Crashed:
		if cs.NoEvent != "" && res.Args != nil && !res.Return && res.Signal != "" {
			return judgeCapture(&res.Capture) // the call kills its caller
		}
		return Failf(ClassCrash, "%s", withStderr(res)), true
	case guest.Timeout:
		return Failf(ClassTimeout, "%s", withStderr(res)), true
	case guest.Failed:
		return Failf(ClassSetup, "%s", withStderr(res)), true
	}
	return Failf(ClassSetup, "the guest reports a strange outcome %q", res.Outcome), true
}

// judgeCapture judges events that were lost, and events outside the case.
func judgeCapture(c *guest.Capture) (v Verdict, done bool) {
	if c.Incomplete == "" {
		return v, false
	}
	return Failf(ClassMissing, "%s%s", c.Incomplete, lostText(c)), true
}

func lostText(c *guest.Capture) string {
	if c.Lost == 0 {
		return ""
	}
	return fmt.Sprintf("; the driver dropped %d events", c.Lost)
}

func withStderr(res *guest.CaseResult) string {
	reason := cmp.Or(res.Reason, "the guest gives no reason")
	if s := strings.TrimSpace(res.Stderr); s != "" {
		return reason + "\n" + s
	}
	return reason
}

func errnoText(ret int64) string {
	if name := event.ErrnoName(-ret); ret < 0 && name != "" {
		return name
	}
	return fmt.Sprint(ret)
}

// EnterPrefix marks params of the enter event.
const EnterPrefix = "enter."

// comparison collects the faults of one case.
type comparison struct {
	sc  *guest.Syscall
	cs  *guest.Case
	res *guest.CaseResult
	m   *Machine

	params []Param
	faults []Verdict // those that the table does not list
	listed bool      // it lists one of a driver of others
	came   bool      // an event that is compared
}

func (c *comparison) fault(class, format string, args ...any) {
	c.faults = append(c.faults, Failf(class, format, args...))
}

// differ reports a difference: a fault, unless it is of somebody else's driver and the table
// lists it. out is its row; empty says that the event has nothing for the param.
func (c *comparison) differ(out Param, empty bool, class, format string, args ...any) {
	if c.m.Subject != nil {
		param := strings.TrimPrefix(out.Name, EnterPrefix)
		if param == WholeEvent {
			param = ""
		}
		out.Differs = c.sc.Differs(param, empty)
	}
	if c.m.Subject != nil || out.Name != WholeEvent {
		c.params = append(c.params, out)
	}
	if out.Differs != "" {
		c.listed = true
		return
	}
	c.fault(class, format, args...)
}

// verdict returns the gravest fault. Its reason has all of them.
func (c *comparison) verdict() Verdict {
	v := Verdict{Status: Pass, Params: c.params}
	switch {
	case c.listed:
		v.Conformance = Listed
	case c.m.Subject != nil:
		v.Conformance = Equal
	}
	if len(c.faults) == 0 {
		return v
	}
	if c.m.Subject != nil {
		v.Conformance = Defect
		if !slices.ContainsFunc(v.Params, func(p Param) bool { return !p.OK && p.Differs == "" }) { // whatever is wrong has a row
			v.Params = append(v.Params, Param{Name: WholeEvent, Want: Symbol(c.sc.Exit), Got: c.faults[0].Class})
		}
	}
	slices.SortStableFunc(c.faults, func(a, b Verdict) int {
		return slices.Index(differences, a.Class) - slices.Index(differences, b.Class)
	})
	var reasons []string
	for _, f := range c.faults {
		reasons = append(reasons, f.Reason)
	}
	v.Status, v.Class, v.Reason = Fail, c.faults[0].Class, strings.Join(reasons, "\n")
	return v
}

// result checks the value that the call returned: ENOSYS on a kernel that lacks it. Elsewhere never_fails
// and never_succeeds, which excuse the entry from having a kind of case, must be true.
func (c *comparison) result() {
	failed := c.res.Ret < 0 && c.res.Ret > -4096
	switch {
	case c.m.lacks(c.sc):
		if !c.res.Return || c.res.Ret != enosys {
			_, why := c.m.Available(c.sc)
			c.fault(ClassENOSYS, "%s on %v (want ENOSYS: %s)", c.outcome(), c.m.Release, why)
		}
	case !c.res.Return:
	case failed && c.sc.NeverFails != "":
		c.fault(ClassTable, "never_fails (%s), but the call returned %s", c.sc.NeverFails, errnoText(c.res.Ret))
	case !failed && c.sc.NeverSucceeds != "":
		c.fault(ClassTable, "never_succeeds (%s), but the call returned %d", c.sc.NeverSucceeds, c.res.Ret)
	}
}

// events decodes what the driver delivered. Those that are damaged are faults, and count as used.
func (c *comparison) events() (events []event.Event, used []bool) {
	events = make([]event.Event, len(c.res.Events))
	used = make([]bool, len(events))
	for i, b := range c.res.Events {
		if err := events[i].Reset(b, 0); err != nil {
			c.fault(ClassGarbled, "event %d of %d: %v (%d bytes: % x)", i+1, len(events), err, len(b), b[:min(len(b), 64)])
			used[i] = true
		}
	}
	return events, used
}

func (c *comparison) compare() {
	events, used := c.events()
	// take returns the first unused event of a code and thread.
	take := func(tid uint64, codes ...uint16) *event.Event {
		for i := range events {
			if !used[i] && uint64(events[i].TID()) == tid && slices.Contains(codes, uint16(events[i].Type())) {
				used[i] = true
				c.came = true
				return &events[i]
			}
		}
		return nil
	}
	wants := bindings(c.cs.Want)
	nr, _ := c.sc.Number(c.m.Arch)
	if c.sc.Enter != 0 && c.cs.NoEnter == "" {
		if ev := take(c.res.TID, c.sc.Enter); ev != nil {
			c.compareEvent(ev, wants, 0, true)
		} else if c.m.Subject.Enters(nr, c.sc.Enter) {
			c.missing(c.sc.Enter)
		}
	}
	exit := c.m.Subject.Exit(nr, c.sc.Exit)
	if s := c.m.Subject; s != nil && s.Capture && !slices.ContainsFunc(events, func(ev event.Event) bool { return uint16(ev.Type()) == exit }) &&
		slices.ContainsFunc(events, func(ev event.Event) bool { return ev.Type() == event.TypeGenericExit }) {
		exit = uint16(event.TypeGenericExit)
	}
	switch {
	case c.cs.NoEvent != "":
	case exit != c.sc.Exit:
		if ev := take(c.res.TID, exit); ev != nil {
			c.compareGeneric(ev, nr)
		} else {
			c.missing(exit)
		}
	case c.sc.Exit != 0:
		for i := range c.count(wants) {
			if ev := take(c.res.TID, append([]uint16{c.sc.Exit}, c.sc.Extra...)...); ev != nil {
				c.compareEvent(ev, wants, i, false)
			} else {
				c.missing(c.sc.Exit)
			}
		}
	}
	child := c.sc.ChildCode(c.m.Arch)
	if child != 0 && exit != c.sc.Exit {
		child = uint16(event.TypeGenericExit)
	}
	if len(c.cs.Child) > 0 {
		switch ev := take(c.res.Child, child); {
		case ev == nil:
			c.missing(child)
		case exit != c.sc.Exit:
			c.compareGeneric(ev, nr)
		default:
			c.compareEvent(ev, bindings(c.cs.Child), 0, false)
		}
	}
	for i := range events {
		code := uint16(events[i].Type())
		// A successful clone makes an event in the child, even if the case does not compare it.
		silent := c.res.Child != 0 && uint64(events[i].TID()) == c.res.Child && len(c.cs.Child) == 0 && (code == exit || code == child)
		// Older schemas have enter events of more calls.
		silent = silent || c.m.Subject != nil && events[i].Type().Enter() && (c.m.Subject.Capture || c.m.Subject.Enters(nr, code))
		if !used[i] && !silent {
			c.differ(Param{Name: WholeEvent, Want: "none", Got: Symbol(code)}, false, ClassExtra,
				"extra event %s of thread %d: %s", Symbol(code), events[i].TID(), events[i].AppendArgs(nil))
		}
	}
}

// GenericPrefix marks params of the generic event, which drivers make of calls that they have no event for.
const GenericPrefix = "generic."

// WholeEvent is the row of an event that did not come, or should not have.
const WholeEvent = "(event)"

// compareGeneric checks the generic event that the driver makes instead of the call's own.
func (c *comparison) compareGeneric(ev *event.Event, nr int) {
	const native = 1 // index of nativeID
	p := &event.Lookup(event.TypeGenericExit).Params[native]
	if ev.NumParams() <= native {
		c.fault(ClassGarbled, "%s has %d params (want %d)", Symbol(uint16(ev.Type())), ev.NumParams(), native+1)
		return
	}
	got, want := ev.Param(native), appendInt(nil, uint64(nr), 2)
	out := Param{Name: GenericPrefix + p.Name, Want: string(p.AppendText(nil, want)), Got: string(p.AppendText(nil, got)), OK: bytes.Equal(got, want)}
	if out.OK {
		c.params = append(c.params, out)
		return
	}
	c.differ(out, false, ClassParam, "generic_exit: %s: want %s, got %s", p.Name, out.Want, out.Got)
}

func Symbol(code uint16) string {
	if info := event.Lookup(event.Type(code)); info != nil {
		return info.Symbol
	}
	return fmt.Sprintf("code %d", code)
}

// missing reports an event that did not come, and why if that is known.
func (c *comparison) missing(code uint16) {
	symbol := Symbol(code)
	if why, ok := c.m.Refused[symbol]; ok {
		c.fault(ClassRefused, "%s: the kernel refused its program: %s", symbol, why)
		return
	}
	c.differ(Param{Name: WholeEvent, Want: symbol, Got: "none"}, false, ClassMissing, "no %s event (%s%s)", symbol, c.outcome(), lostText(&c.res.Capture))
}

// outcome says how the call ended.
func (c *comparison) outcome() string {
	if c.res.Return {
		return "the call returned " + errnoText(c.res.Ret)
	}
	return "the call did not return"
}

// bindings are wanted values by the name of the param.
func bindings(list []guest.Binding) map[string]string {
	m := make(map[string]string, len(list))
	for _, b := range list {
		m[b.Name] = b.Expr
	}
	return m
}

// count returns the number of exit events of the call: one, or the length of the longest
// list among the wanted values (sendmmsg has one per message).
func (c *comparison) count(wants map[string]string) int {
	n := 1
	info := event.Lookup(event.Type(c.sc.Exit))
	for name, w := range wants {
		if info == nil || info.ParamIndex(name) < 0 || isList(info.Params[info.ParamIndex(name)].Type) {
			continue
		}
		v, err := evalWant(w, &wantEnv{facts: c.res.Facts, set: info.Params[info.ParamIndex(name)].Names})
		if list, ok := v.([]any); err == nil && ok {
			n = max(n, len(list))
		}
	}
	return n
}

// isList reports whether a value of the type is a list, so that a wanted list is not one
// value for each event.
func isList(t event.ParamType) bool { return t == event.ParamFDList || t == event.ParamNumbers }

// compareEvent checks the params of one event, the nth of its kind. All params of an exit event
// must have a wanted value; those of an enter event are checked if they have one.
func (c *comparison) compareEvent(ev *event.Event, wants map[string]string, nth int, enter bool) {
	info := ev.Info()
	if info == nil {
		c.fault(ClassGarbled, "event of unknown code %d", ev.Type())
		return
	}
	sent := c.m.Subject.Params(info, ev.NumParams())
	if ev.NumParams() != sent {
		c.fault(ClassGarbled, "%s has %d params (want %d)", info.Symbol, ev.NumParams(), sent)
		return
	}
	params := info.Params[:min(sent, len(info.Params))] // a newer schema may have more
	for i := range params {
		p := &params[i]
		w, ok := wants[p.Name]
		switch {
		case !ok && !enter && (uint16(info.Code) == c.sc.Exit || uint16(info.Code) == c.sc.ChildCode(c.m.Arch)):
			c.fault(ClassTable, "the case does not say what %s.%s must be", info.Symbol, p.Name)
			continue
		case !ok:
			continue
		}
		v, err := evalWant(w, &wantEnv{facts: c.res.Facts, set: p.Names})
		if err != nil {
			c.fault(ClassTable, "want %s: %v", p.Name, err)
			continue
		}
		if list, ok := v.([]any); ok && !isList(p.Type) {
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
			name = EnterPrefix + name
		}
		out := paramOf(name, p, result, got)
		if result.ok {
			c.params = append(c.params, out)
			continue
		}
		class := ClassParam
		if c.res.Return && c.res.Ret == enosys && !c.m.lacks(c.sc) && !strings.Contains(w, "ENOSYS") && i == 0 {
			class = ClassENOSYS
		}
		c.differ(out, len(bytes.Trim(got, "\x00")) == 0, class, "%s: %s: want %s, got %s", info.Symbol, name, Brief(out.Want, briefValue), Brief(out.Got, briefValue))
	}
	for name := range wants {
		if !enter && info.ParamIndex(name) < 0 {
			c.fault(ClassTable, "%s has no param %s", info.Symbol, name)
		}
	}
}

// paramOf describes the comparison of a param.
func paramOf(name string, p *event.ParamInfo, result matched, got []byte) Param {
	out := Param{Name: name, Want: result.want, Got: string(p.AppendText(nil, got)), OK: result.ok}
	if !result.ok && out.Want == out.Got { // equal text, different bytes
		out.Want, out.Got = fmt.Sprintf("% x", result.bytes), fmt.Sprintf("% x", got)
	}
	return out
}
