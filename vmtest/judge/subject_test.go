// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/subject"
)

// older returns a driver whose openat events have so many params, and whose calls make these events.
func older(enter, exit uint16, params int) *subject.Subject {
	names := []string{"fd", "dirfd", "name", "flags", "mode", "dev", "ino"}
	t := &subject.Tables{Events: make([]subject.Event, openatExit+1), Calls: make([]subject.Call, 512)}
	t.Events[openatEnter] = subject.Event{Name: "openat", Params: []string{"dirfd", "name", "flags", "mode"}}
	t.Events[openatExit] = subject.Event{Name: "openat", Params: names[:params]}
	t.Calls[257] = subject.Call{Enter: enter, Exit: exit}
	return &subject.Subject{Name: "other", Tables: t}
}

// genericExit is the event of a call that a driver has no event for.
func genericExit(t *testing.T, nr uint16) []byte {
	t.Helper()
	var b event.Builder
	b.Begin(event.TypeGenericExit, 1, testTID, 2)
	b.AddUint16(7)
	b.AddUint16(nr)
	raw, err := b.End()
	require.NoError(t, err)
	return bytes.Clone(raw)
}

// firstParams returns the event with its first n params only.
func firstParams(t *testing.T, raw []byte, n int) []byte {
	t.Helper()
	var ev event.Event
	require.NoError(t, ev.Reset(raw, 0))
	var b event.Builder
	b.Begin(ev.Type(), 1, testTID, n)
	for i := range n {
		b.Add(ev.Param(i))
	}
	out, err := b.End()
	require.NoError(t, err)
	return bytes.Clone(out)
}

func TestAnotherDriverIsJudgedByWhatItHas(t *testing.T) {
	good, enter := openExit(t, goodOpen), openEnter(t, openFlags)
	bad := goodOpen
	bad.mode++
	unread := goodOpen
	unread.name = ""
	empty := openExit(t, unread)
	capture := &subject.Subject{Name: "file", Capture: true}
	for _, tc := range []struct {
		name        string
		subject     *subject.Subject
		events      [][]byte
		status      Status
		conformance Conformance
		class       string
		reason      string
	}{
		{name: "all of it", subject: older(306, 307, 7), events: [][]byte{enter, good}, status: Pass, conformance: Equal},
		{name: "params that its schema lacks", subject: older(306, 307, 5), events: [][]byte{enter, firstParams(t, good, 5)}, status: Pass, conformance: Equal},
		{name: "a param that its schema has", subject: older(306, 307, 7), events: [][]byte{enter, firstParams(t, good, 5)}, status: Fail, conformance: Defect, class: ClassGarbled, reason: "has 5 params (want 7)"},
		{name: "a param more than its schema has", subject: older(306, 307, 5), events: [][]byte{enter, good}, status: Fail, conformance: Defect, class: ClassGarbled, reason: "has 7 params (want 5)"},
		{name: "no event for the call", subject: older(0, 1, 7), events: [][]byte{genericExit(t, 257)}, status: Pass, conformance: Equal},
		{name: "no event for the call, and not the generic one", subject: older(0, 1, 7), status: Fail, conformance: Defect, class: ClassMissing, reason: "no generic_exit event"},
		{name: "the generic event of another call", subject: older(0, 1, 7), events: [][]byte{genericExit(t, 56)}, status: Fail, conformance: Defect, class: ClassParam, reason: "generic_exit: nativeID: want 257, got 56"},
		{name: "the generic event, where it has one", subject: older(306, 307, 7), events: [][]byte{enter, genericExit(t, 257)}, status: Fail, conformance: Defect, class: ClassMissing, reason: "no openat_exit event"},
		{name: "no enter event in its schema", subject: older(0, 307, 7), events: [][]byte{good}, status: Pass, conformance: Equal},
		{name: "no enter event, which its schema has", subject: older(306, 307, 7), events: [][]byte{good}, status: Fail, conformance: Defect, class: ClassMissing, reason: "no openat_enter event"},
		{name: "a value that is wrong", subject: older(306, 307, 7), events: [][]byte{enter, openExit(t, bad)}, status: Fail, conformance: Defect, class: ClassParam, reason: "mode"},

		{name: "a capture without enter events", subject: capture, events: [][]byte{good}, status: Pass, conformance: Equal},
		{name: "a capture with older events", subject: capture, events: [][]byte{enter, firstParams(t, good, 5)}, status: Pass, conformance: Equal},
		{name: "a capture with generic events", subject: capture, events: [][]byte{genericExit(t, 257)}, status: Pass, conformance: Equal},
		{name: "a capture without an event", subject: capture, status: Fail, conformance: Defect, class: ClassMissing, reason: "no openat_exit event"},
		{name: "a string that is lost, which the table does not list", subject: capture, events: [][]byte{empty}, status: Fail, conformance: Defect, class: ClassParam, reason: "name"},
	} {
		m := testMachine("6.1")
		m.Subject = tc.subject
		v := compare(openSyscall(t), &openCase, openResult(tc.events...), m)
		require.Equal(t, tc.status, v.Status, "%s: %s", tc.name, v.Reason)
		require.Equal(t, tc.conformance, v.Conformance, tc.name)
		require.Equal(t, tc.class, v.Class, "%s: %s", tc.name, v.Reason)
		require.Contains(t, v.Reason, tc.reason, tc.name)
		wrong := slices.ContainsFunc(v.Params, func(p Param) bool { return !p.OK && p.Differs == "" })
		require.Equal(t, tc.conformance == Defect, wrong, "%s: a defect has its row", tc.name)
	}
}

// The table lists that the reference's module loses strings, and what it does with flags of openat.
func TestAListedDifferencePasses(t *testing.T) {
	sc := guest.FindSyscall("openat")
	require.NotNil(t, sc)
	changed := func(change func(*openParams)) [][]byte {
		p := goodOpen
		change(&p)
		return [][]byte{openEnter(t, openFlags), openExit(t, p)}
	}
	judge := func(s *subject.Subject, events [][]byte) Verdict {
		m := testMachine("6.1")
		m.Subject = s
		return compare(sc, &openCase, openResult(events...), m)
	}
	flags := changed(func(p *openParams) { p.flags |= 1 << 9 })
	v := judge(older(306, 307, 7), flags)
	require.Equal(t, Pass, v.Status, v.Reason)
	require.Equal(t, Listed, v.Conformance)
	i := 0
	for v.Params[i].OK {
		i++
	}
	require.Equal(t, "flags", v.Params[i].Name)
	require.Contains(t, v.Params[i].Differs, "O_TMPFILE")

	require.Equal(t, Fail, judge(nil, flags).Status, "our own driver is never excused")

	lost := judge(older(306, 307, 7), changed(func(p *openParams) { p.name = "" }))
	require.Equal(t, Listed, lost.Conformance, lost.Reason)
	other := judge(older(306, 307, 7), changed(func(p *openParams) { p.name = "/tmp/d/old" }))
	require.Equal(t, Defect, other.Conformance, "another name is not a lost one")
	none := judge(older(306, 307, 7), nil)
	require.Equal(t, Defect, none.Conformance, "no differs of openat says that its event is lost")
}
