// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/guest/object"
	"github.com/scaplab/scaplab/vmtest/subject"
)

func TestAScenarioIsJudgedByWhatIsShown(t *testing.T) {
	with := func(change func(*openParams)) []byte {
		p := goodOpen
		change(&p)
		return openExit(t, p)
	}
	good, other := openExit(t, goodOpen), with(func(p *openParams) { p.name = "/tmp/lie" })
	want := []guest.Binding{{Name: "fd", Expr: "$ret"}, {Name: "name", Expr: "$dir/new"}, {Name: "flags", Expr: "O_RDWR|O_CREAT|O_F_CREATED"}}
	shows := guest.Shown{Code: openatExit, By: "$act.tid", With: want}
	missed := shows
	missed.Missed = map[guest.Driver]string{guest.EBPF: "it is late"}
	byOther := shows
	byOther.Missed = map[guest.Driver]string{guest.Kmod: "it is late"}
	never := guest.Shown{Never: true, Code: openatExit, By: "$act.tid", With: []guest.Binding{{Name: "name", Expr: "/tmp/lie"}}}
	lies := never
	lies.Missed = missed.Missed
	elsewhere := shows
	elsewhere.By = "$act.other"
	unknown := shows
	unknown.By = "$nobody"
	for _, tc := range []struct {
		name   string
		items  []guest.Shown
		events [][]byte
		status Status
		class  string
		text   string // of the reason, or of what is missed
	}{
		{"it is shown", []guest.Shown{shows}, [][]byte{good}, Pass, "", ""},
		{"other events do not matter", []guest.Shown{shows}, [][]byte{other, openEnter(t, openFlags), good}, Pass, "", ""},
		{"nothing is shown", []guest.Shown{shows}, nil, Fail, ClassMissing, "no openat_exit event of thread 1234"},
		{"another value is shown", []guest.Shown{shows}, [][]byte{other}, Fail, ClassParam, "openat_exit.name: want /tmp/d/new, got /tmp/lie"},
		{"an event shows one item only", []guest.Shown{shows, shows}, [][]byte{good}, Fail, ClassMissing, "no openat_exit event"},
		{"each item has its event", []guest.Shown{shows, shows}, [][]byte{good, good}, Pass, "", ""},
		{"the event is of another thread", []guest.Shown{elsewhere}, [][]byte{good}, Fail, ClassMissing, "of thread 99"},
		{"what is missed is no failure", []guest.Shown{missed}, [][]byte{other}, Pass, "", "openat_exit: it is late"},
		{"what is missed and shown is a failure", []guest.Shown{missed}, [][]byte{good}, Fail, ClassTable, "openat_exit: shown, but the table says it is missed: it is late"},
		{"another driver misses it", []guest.Shown{byOther}, nil, Fail, ClassMissing, "no openat_exit event"},
		{"one item is missed, another is not shown", []guest.Shown{missed, never}, [][]byte{other}, Fail, ClassExtra, "openat_exit of thread 1234 must never be shown"},
		{"a lie is not told", []guest.Shown{shows, never}, [][]byte{good}, Pass, "", ""},
		{"a lie is told", []guest.Shown{shows, never}, [][]byte{good, other}, Fail, ClassExtra, "openat_exit of thread 1234 must never be shown: fd=5"},
		{"a lie is known", []guest.Shown{lies}, [][]byte{other}, Pass, "", "never openat_exit: it is late"},
		{"a known lie is not told", []guest.Shown{lies}, [][]byte{good}, Fail, ClassTable, "never openat_exit: shown, but the table says it is missed"},
		{"the thread is not known", []guest.Shown{unknown}, [][]byte{good}, Fail, ClassTable, "by: "},
		{"an event is damaged", []guest.Shown{shows}, [][]byte{good, good[:20]}, Fail, ClassGarbled, "event 2 of 2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := openResult(tc.events...)
			res.Facts["act.tid"], res.Facts["act.other"] = object.IntFact(testTID), object.IntFact(99)
			sc := &guest.Syscall{Name: "hidden", Suite: true}
			v := compareScenario(sc, &guest.Case{Name: "opens a file", Act: "opens()", Items: tc.items}, res, testMachine("6.12"))
			require.Equal(t, tc.status, v.Status, v.Reason)
			require.Equal(t, tc.class, v.Class)
			require.Contains(t, v.Reason+v.Missed, tc.text)
			require.Equal(t, tc.status == Pass && tc.text != "", v.Missed != "" && v.Status == Pass)
		})
	}
}

// What somebody else's driver does not show lowers its score, whatever the table says of ours.
func TestAScenarioOfSomebodyElsesDriverNeverFails(t *testing.T) {
	good := openExit(t, goodOpen)
	shows := guest.Shown{Code: openatExit, By: "$act.tid", With: []guest.Binding{{Name: "name", Expr: "$dir/new"}},
		Missed: map[guest.Driver]string{guest.EBPF: "it is late"}}
	never := guest.Shown{Never: true, Code: openatExit, By: "$act.tid", With: []guest.Binding{{Name: "name", Expr: "$dir/new"}}}
	m := testMachine("6.12")
	m.Subject = older(0, openatExit, 7)
	for _, tc := range []struct {
		items  []guest.Shown
		events [][]byte
		missed string
	}{
		{[]guest.Shown{shows}, [][]byte{good}, ""},
		{[]guest.Shown{shows}, nil, "openat_exit: no event"},
		{[]guest.Shown{never}, [][]byte{good}, "never openat_exit: openat_exit of thread 1234 must never be shown: fd="},
		{[]guest.Shown{shows}, [][]byte{good, good[:20]}, "event 2 of 2"},
	} {
		res := openResult(tc.events...)
		res.Facts["act.tid"] = object.IntFact(testTID)
		v := compareScenario(&guest.Syscall{Name: "hidden", Suite: true}, &guest.Case{Items: tc.items}, res, m)
		require.Equal(t, Pass, v.Status)
		require.Empty(t, v.Conformance)
		require.Equal(t, tc.missed == "", v.Missed == "", v.Missed)
		require.Contains(t, v.Missed, tc.missed)
	}
}

func TestAScenarioIsSkippedWhereItCannotBe(t *testing.T) {
	sc := &guest.Syscall{Name: "hidden", Suite: true}
	for want, cs := range map[string]*guest.Case{
		"since 6.13":    {Since: "6.13"},
		"until 5.11":    {Until: "5.11"},
		"only on arm64": {Arch: "arm64"},
	} {
		v := compareScenario(sc, cs, openResult(), testMachine("6.12"))
		require.Equal(t, Verdict{Status: Skip, Reason: want}, v)
	}
	m := testMachine("6.12")
	m.Subject = &subject.Subject{Name: "file", Capture: true}
	require.Equal(t, Skip, compareScenario(sc, &guest.Case{}, openResult(), m).Status)
}
