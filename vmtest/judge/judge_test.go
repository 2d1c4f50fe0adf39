// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/kver"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/guest/object"
)

// Events of openat, written by hand: the comparison must not depend on the current
// table.
var openCase = guest.Case{
	Name: "creates a file",
	Want: []guest.Binding{
		{Name: "fd", Expr: "$ret"}, {Name: "dirfd", Expr: "-100"}, {Name: "name", Expr: "$dir/new"},
		{Name: "flags", Expr: "O_RDWR|O_CREAT|O_F_CREATED"}, {Name: "mode", Expr: "0640"}, {Name: "dev", Expr: "$st.dev"}, {Name: "ino", Expr: "$st.ino"},
	},
}

const testTID = 1234

type openParams struct {
	fd, dirfd int64
	name      string
	flags     uint32
	mode, dev uint32
	ino       uint64
}

const (
	openatEnter = 306
	openatExit  = 307
)

func openExit(t testing.TB, p openParams) []byte {
	t.Helper()
	var b event.Builder
	b.Begin(openatExit, 1, testTID, 7)
	b.AddInt64(p.fd)
	b.AddInt64(p.dirfd)
	b.AddString(p.name)
	b.AddUint32(p.flags)
	b.AddUint32(p.mode)
	b.AddUint32(p.dev)
	b.AddUint64(p.ino)
	raw, err := b.End()
	require.NoError(t, err)
	return bytes.Clone(raw)
}

func openEnter(t testing.TB, flags uint32) []byte {
	t.Helper()
	var b event.Builder
	b.Begin(openatEnter, 1, testTID, 4)
	b.AddInt64(-100)
	b.AddString("/tmp/d/new")
	b.AddUint32(flags)
	b.AddUint32(0o640)
	raw, err := b.End()
	require.NoError(t, err)
	return bytes.Clone(raw)
}

const (
	openFlags = 3 | 4 // O_RDWR, O_CREAT of events
	created   = 1 << 14
)

var goodOpen = openParams{5, -100, "/tmp/d/new", openFlags | created, 0o640, 0x11, 1 << 63}

func openSyscall(t *testing.T) *guest.Syscall {
	t.Helper()
	return &guest.Syscall{
		Name: "openat", NR: map[string]int{"amd64": 257}, Exit: openatExit, Enter: openatEnter,
		Since: map[string]string{"amd64": "5.11"},
	}
}

func openResult(events ...[]byte) *guest.CaseResult {
	return &guest.CaseResult{
		Case: "openat/creates-a-file", Outcome: guest.Ran, Ret: 5, Return: true, TID: testTID, Args: []uint64{1},
		Facts: object.Facts{
			"ret": object.IntFact(5), "dir": object.TextFact("/tmp/d"), "st.dev": object.IntFact(0x11), "st.ino": object.UintFact(1 << 63),
		},
		Capture: guest.Capture{Driver: guest.EBPF, Events: events},
	}
}

func testMachine(release string) *Machine {
	return &Machine{Release: kver.MustParse(release), Arch: "amd64", Drivers: guest.OnlyEBPF, Refused: map[string]string{}}
}

func TestCompareSaysWhatIsWrong(t *testing.T) {
	good, enter := openExit(t, goodOpen), openEnter(t, openFlags)
	with := func(change func(*openParams)) []byte {
		p := goodOpen
		change(&p)
		return openExit(t, p)
	}
	for _, tc := range []struct {
		name   string
		result func(*guest.CaseResult)
		events [][]byte
		status Status
		class  string
		reason string
	}{
		{name: "everything is right", events: [][]byte{enter, good}, status: Pass},
		{name: "the exit event is missing", events: [][]byte{enter}, status: Fail, class: ClassMissing, reason: "no openat_exit event (the call returned 5)"},
		{name: "the enter event is missing", events: [][]byte{good}, status: Fail, class: ClassMissing, reason: "no openat_enter event"},
		{name: "the exit event comes twice", events: [][]byte{enter, good, good}, status: Fail, class: ClassExtra, reason: "extra event openat_exit"},
		{name: "a wrong descriptor", events: [][]byte{enter, with(func(p *openParams) { p.fd = 6 })}, status: Fail, class: ClassParam, reason: "openat_exit: fd: want 5, got 6"},
		{name: "a flag too many", events: [][]byte{enter, with(func(p *openParams) { p.flags |= 4096 })}, status: Fail, class: ClassParam, reason: "flags: want "},
		{name: "a longer name", events: [][]byte{enter, with(func(p *openParams) { p.name += "x" })}, status: Fail, class: ClassParam, reason: "name: want /tmp/d/new, got /tmp/d/newx"},
		{name: "only the sign bit differs", events: [][]byte{enter, with(func(p *openParams) { p.ino = 0 })}, status: Fail, class: ClassParam, reason: "ino: want "},
		{name: "the enter event has other flags", events: [][]byte{openEnter(t, 1), good}, status: Fail, class: ClassParam, reason: "enter.flags"},
		{name: "the enter event has a flag nobody can know yet", events: [][]byte{openEnter(t, openFlags|4096), good}, status: Fail, class: ClassParam, reason: "enter.flags"},
		{name: "an event of another thread's kind", events: [][]byte{enter, good, func() []byte { b := bytes.Clone(good); b[8]++; return b }()}, status: Fail, class: ClassExtra, reason: "of thread 1235"},
		{name: "a cut event", events: [][]byte{enter, good[:len(good)-1]}, status: Fail, class: ClassGarbled, reason: "event 2 of 2"},
		{name: "the kernel refused the program", result: func(*guest.CaseResult) {}, events: [][]byte{enter}, status: Fail, class: ClassRefused, reason: "too complex"},
		{name: "the child crashed", result: func(r *guest.CaseResult) {
			r.Outcome, r.Reason, r.Stderr = guest.Crashed, "killed by SIGSEGV", "panic: x"
		}, status: Fail, class: ClassCrash, reason: "panic: x"},
		{name: "it took too long", result: func(r *guest.CaseResult) { r.Outcome, r.Reason = guest.Timeout, "the time limit killed it" }, status: Fail, class: ClassTimeout, reason: "time limit"},
		{name: "an object could not be made", result: func(r *guest.CaseResult) { r.Outcome, r.Reason = guest.Failed, "given dir: x" }, status: Fail, class: ClassSetup, reason: "given dir"},
		{name: "the driver is dead", result: func(r *guest.CaseResult) {
			r.Incomplete = "the driver did not deliver the event that begins the case"
		}, status: Fail, class: ClassMissing, reason: "begins the case"},
		{name: "a need is not met", result: func(r *guest.CaseResult) { r.Outcome, r.Reason = guest.Skipped, "needs root: no" }, status: Skip, reason: "needs root"},
		{name: "a fact is missing", result: func(r *guest.CaseResult) { delete(r.Facts, "st.ino") }, events: [][]byte{enter, good}, status: Fail, class: ClassTable, reason: "$st.ino"},
		{name: "an unknown outcome", result: func(r *guest.CaseResult) { r.Outcome = "" }, status: Fail, class: ClassSetup},
		{name: "events were dropped", result: func(r *guest.CaseResult) { r.Lost = 3 }, events: [][]byte{enter}, status: Fail, class: ClassMissing, reason: "dropped 3 events"},
	} {
		res := openResult(tc.events...)
		if tc.result != nil {
			tc.result(res)
		}
		m := testMachine("6.1")
		if tc.class == ClassRefused {
			m.Refused["openat_exit"] = "too complex"
		}
		v := compare(openSyscall(t), &openCase, res, m)
		require.Equal(t, tc.status, v.Status, "%s: %s", tc.name, v.Reason)
		require.Equal(t, tc.class, v.Class, "%s: %s", tc.name, v.Reason)
		require.Contains(t, v.Reason, tc.reason, tc.name)
		if tc.status == Pass {
			require.Len(t, v.Params, 4+7, tc.name)
		}
	}
}

func TestCompareListsEveryParamItLookedAt(t *testing.T) {
	cs := openCase
	cs.Want = append([]guest.Binding(nil), cs.Want...)
	cs.Want[5].Expr, cs.Want[6].Expr = "any", ">= 1"
	p := goodOpen
	p.mode = 1
	v := compare(openSyscall(t), &cs, openResult(openEnter(t, openFlags), openExit(t, p)), testMachine("6.1"))
	ok := map[string]bool{}
	for _, p := range v.Params {
		ok[p.Name] = p.OK
	}
	require.Equal(t, map[string]bool{
		"enter.dirfd": true, "enter.name": true, "enter.flags": true, "enter.mode": true,
		"fd": true, "dirfd": true, "name": true, "flags": true, "mode": false, "ino": true,
	}, ok, "dev was `any`")
}

func TestACallMayMakeSeveralEvents(t *testing.T) {
	cs := openCase
	cs.Want = append([]guest.Binding(nil), cs.Want...)
	cs.Want[0].Expr, cs.Want[4].Expr = "[5, 6]", "[0640, any]"
	sc := openSyscall(t)
	sc.Enter = 0
	second := goodOpen
	second.fd, second.mode = 6, 1
	first := openExit(t, goodOpen)
	v := compare(sc, &cs, openResult(first, openExit(t, second)), testMachine("6.1"))
	require.Equal(t, Pass, v.Status, v.Reason)
	require.Len(t, v.Params, 7+6)
	require.Equal(t, ClassMissing, compare(sc, &cs, openResult(first), testMachine("6.1")).Class)
	require.Equal(t, ClassParam, compare(sc, &cs, openResult(first, first), testMachine("6.1")).Class)
	require.Equal(t, ClassExtra, compare(sc, &cs, openResult(first, openExit(t, second), first), testMachine("6.1")).Class)
	cs.Want[4].Expr = "[0640]"
	require.Equal(t, ClassTable, compare(sc, &cs, openResult(first, openExit(t, second)), testMachine("6.1")).Class)
}

func TestCompareWantsEachParamNamedOnce(t *testing.T) {
	for name, want := range map[string][]guest.Binding{
		"the case does not say what openat_exit.ino must be": openCase.Want[:6],
		"openat_exit has no param inode":                     append(append([]guest.Binding(nil), openCase.Want...), guest.Binding{Name: "inode", Expr: "1"}),
		"unknown name O_NOTHING":                             append([]guest.Binding{{Name: "fd", Expr: "O_NOTHING"}}, openCase.Want[1:]...),
		"a tuple is wanted of a fd":                          append([]guest.Binding{{Name: "fd", Expr: "$dir -> $dir"}}, openCase.Want[1:]...),
		"does not fit 4 bytes":                               append([]guest.Binding{{Name: "mode", Expr: "0x100000000"}}, append(append([]guest.Binding(nil), openCase.Want[:4]...), openCase.Want[5:]...)...),
	} {
		cs := openCase
		cs.Want = want
		v := compare(openSyscall(t), &cs, openResult(openEnter(t, openFlags), openExit(t, goodOpen)), testMachine("6.1"))
		require.Equal(t, ClassTable, v.Class, "%s: %s", name, v.Reason)
		require.Contains(t, v.Reason, name)
	}
}

func TestCompareSkipsWithAReason(t *testing.T) {
	sc, cs := openSyscall(t), openCase
	skip := func(m *Machine) string {
		v := compare(sc, &cs, openResult(), m)
		require.Equal(t, Skip, v.Status)
		return v.Reason
	}
	require.Equal(t, "openat since 5.11", skip(testMachine("5.10.200")))
	cs.Since = "6.2"
	require.Equal(t, "since 6.2", skip(testMachine("6.1.9")))
	cs.Since, cs.Until = "", "6.1"
	require.Equal(t, "until 6.1", skip(testMachine("6.1")))
	cs.Until = ""
	arm := testMachine("6.1")
	arm.Arch = "arm64"
	require.Equal(t, "openat not on arm64", skip(arm))
}

func TestACallThatEndsItsCaller(t *testing.T) {
	sc := &guest.Syscall{Name: "kill", NR: map[string]int{"amd64": 62}, Exit: openatExit}
	cs := &guest.Case{NoEvent: "the caller is dead"}
	res := &guest.CaseResult{Outcome: guest.Crashed, Signal: "SIGKILL", Args: []uint64{1}, TID: testTID}
	require.Equal(t, Pass, compare(sc, cs, res, testMachine("6.1")).Status)
	res.Args = nil
	require.Equal(t, ClassCrash, compare(sc, cs, res, testMachine("6.1")).Class, "it died before the call")
	res.Args, res.Events = []uint64{1}, [][]byte{openExit(t, goodOpen)}
	require.Equal(t, ClassExtra, compare(sc, cs, res, testMachine("6.1")).Class)
}

// A kernel that lacks a call answers ENOSYS, and the driver makes the call's event of it.
func TestACallIsProvenToBeMissing(t *testing.T) {
	sc := openSyscall(t)
	sc.NeverFails = "where it exists"
	probe := openCase
	probe.Generated = true
	m := testMachine("5.10")
	missing := goodOpen
	missing.fd = enosys
	answer := func(ret int64, exit openParams) *guest.CaseResult {
		res := openResult(openEnter(t, openFlags), openExit(t, exit))
		res.Ret, res.Facts["ret"] = ret, object.IntFact(ret)
		return res
	}
	require.Equal(t, "", m.skipReason(sc, &probe))
	require.Equal(t, Verdict{Status: Pass}, withoutParams(compare(sc, &probe, answer(enosys, missing), m)))
	require.Equal(t, "openat since 5.11", m.skipReason(sc, &openCase), "other cases want what the call does")
	arm := testMachine("5.10")
	arm.Arch = "arm64"
	require.Equal(t, "openat not on arm64", arm.skipReason(sc, &probe), "its number is another call's there, or none's")

	there := missing
	there.fd = -22
	v := compare(sc, &probe, answer(-22, there), m)
	require.Equal(t, []string{ClassENOSYS, "the call returned EINVAL on 5.10 (want ENOSYS: since 5.11)"}, []string{v.Class, v.Reason})
	dead := answer(enosys, missing)
	dead.Return = false
	require.Equal(t, ClassENOSYS, compare(sc, &probe, dead, m).Class)
	v = compare(sc, &probe, answer(enosys, goodOpen), m)
	require.Equal(t, []string{ClassParam, "openat_exit: fd: want -38(ENOSYS), got 5"}, []string{v.Class, v.Reason}, "the event")
	silent := answer(enosys, missing)
	silent.Events = silent.Events[:1]
	require.Equal(t, ClassMissing, compare(sc, &probe, silent, m).Class)

	sc.Until, sc.Since = "6.7", nil
	require.Equal(t, "openat until 6.7", testMachine("6.7").skipReason(sc, &openCase))
	require.Equal(t, Pass, compare(sc, &probe, answer(enosys, missing), testMachine("6.7")).Status)

	probe.Lacking = "it would end the machine"
	require.Equal(t, "only where the call is missing: it would end the machine", m.skipReason(sc, &probe))
	require.Equal(t, "", testMachine("6.7").skipReason(sc, &probe))
}

func withoutParams(v Verdict) Verdict {
	v.Params = nil
	return v
}

func TestValuesAreComparedByTheirKind(t *testing.T) {
	facts := object.Facts{
		"buf": object.BytesFact([]byte{1, 2, 3}), "buf.addr": object.UintFact(0xffff880000001000), "text": object.TextFact("a\x00b"),
		"s.wire": object.BytesFact([]byte{2, 127, 0, 0, 1, 80, 0}), "s": object.IntFact(4), "neg": object.IntFact(-1),
		"p.wire": object.BytesFact([]byte{2, 10, 0, 0, 1, 1, 1}),
		"u.wire": object.BytesFact([]byte("\x01/x\x00")), "u.kaddr": object.UintFact(0xffff000000000007),
		"n.wire": object.BytesFact([]byte("\x01\x00")), "n": object.IntFact(3), "list.0": object.IntFact(9),
		"alone.wire": object.BytesFact([]byte("\x01\x00")), "alone.connected": object.IntFact(0),
		"o.wire":   object.BytesFact([]byte("\x01/x\x00")),
		"mem.wire": object.BytesFact([]byte("\x01/x\x00")), "mem.len": object.IntFact(5),
	}
	unixTuple := func(first, second uint64, path string) []byte {
		b := appendInt(appendInt([]byte{1}, first, 8), second, 8)
		return append(append(b, path...), 0)
	}
	kinds := []event.DynVariant{{Type: event.ParamUint64}, {Type: event.ParamSigtype}}
	for _, tc := range []struct {
		typ  event.ParamType
		want string
		got  []byte
		ok   bool
	}{
		{event.ParamUint64, "$buf", appendInt(nil, 0xffff880000001000, 8), true},
		{event.ParamUint32, "$neg", []byte{255, 255, 255, 255}, true},
		{event.ParamUint32, "4294967295", []byte{255, 255, 255, 255}, true},
		{event.ParamUint32, "0", []byte{}, false},
		{event.ParamUint32, "empty", []byte{}, true},
		{event.ParamInt32, ">= 0", []byte{255, 255, 255, 255}, false},
		{event.ParamUint32, ">= 0", []byte{255, 255, 255, 255}, true},
		{event.ParamUint64, "between(1, 3)", appendInt(nil, 4, 8), false},
		{event.ParamUint64, "> 1", []byte{9}, false},
		{event.ParamUint32, "between(-5, 3)", []byte{3, 0, 0, 0}, true},
		{event.ParamUint64, ">= 1", appendInt(nil, 1<<63, 8), true},
		{event.ParamCharbuf, "$text", []byte("a\x00"), true},
		{event.ParamCharbuf, `""`, []byte{0}, true},
		{event.ParamCharbuf, `""`, []byte{}, false},
		{event.ParamCharbuf, "empty", []byte{0}, false},
		{event.ParamBytebuf, "$buf[:2]", []byte{1, 2}, true},
		{event.ParamBytebuf, "$buf[:2]", []byte{1, 2, 3}, false},
		{event.ParamInt8, "$buf[1]", []byte{2}, true},
		{event.ParamBytebuf, `bytes("a", 0, $buf)`, []byte("a\x00\x01\x02\x03"), true},
		{event.ParamInt64, "$list[0]", appendInt(nil, 9, 8), true},
		{event.ParamSockaddr, "$s", []byte{2, 127, 0, 0, 1, 80, 0}, true},
		{event.ParamSockaddr, "127.0.0.1:80", []byte{2, 127, 0, 0, 1, 80, 0}, true},
		{event.ParamSocktuple, "$s -> $p", []byte{2, 127, 0, 0, 1, 80, 0, 10, 0, 0, 1, 1, 1}, true},
		{event.ParamSocktuple, "$p -> $s", []byte{2, 127, 0, 0, 1, 80, 0, 10, 0, 0, 1, 1, 1}, false},
		{event.ParamSocktuple, "$n -> $o", unixTuple(1, 2, "/x"), true},
		{event.ParamSocktuple, "$n -> $o", unixTuple(0, 2, "/x"), false},
		{event.ParamSocktuple, "$n -> $mem", unixTuple(0, 2, "/x"), true},
		{event.ParamSocktuple, "$n -> $mem", unixTuple(1, 2, "/x"), false},
		{event.ParamSocktuple, "$alone -> $u", unixTuple(0, 2, "/x"), true},
		{event.ParamSocktuple, "$alone -> $u", unixTuple(1, 2, "/x"), false},
		{event.ParamSocktuple, "$u -> $alone", unixTuple(5, 0, ""), true},
		{event.ParamSocktuple, "$u -> $alone", unixTuple(5, 1, ""), false},
		{event.ParamSocktuple, "$n -> $u", unixTuple(1, 2, "/y"), false},
		{event.ParamSocktuple, "$u -> $n", unixTuple(1, 0xffff000000000007, ""), true},
		{event.ParamSocktuple, "$u -> $n", unixTuple(1, 8, ""), false},
		{event.ParamFDList, "[[$n, 1], [-1, 4]]", append(append([]byte{2, 0}, append(appendInt(nil, 3, 8), 1, 0)...), append(appendInt(nil, 1<<64-1, 8), 4, 0)...), true},
		{event.ParamFDList, "[]", []byte{0, 0}, true},
		{event.ParamDyn, "7", append([]byte{0}, appendInt(nil, 7, 8)...), true},
		{event.ParamDyn, "9", []byte{1, 9}, true},
		{event.ParamDyn, "9", []byte{2, 9}, false},
		{event.ParamDyn, ">= 9", []byte{1, 9}, true},
		{event.ParamDyn, "empty", []byte{1}, true},
		{event.ParamDyn, "empty", []byte{1, 9}, false},
		{event.ParamDyn, "empty", []byte{2}, false},
	} {
		// Without a table: one want is compared with one param.
		p := &event.ParamInfo{Name: "x", Type: tc.typ, DirFD: -1, Dyn: kinds}
		v, err := evalWant(tc.want, &wantEnv{facts: facts})
		require.NoError(t, err, tc.want)
		m, err := match(p, v, tc.got, false)
		require.NoError(t, err, tc.want)
		require.Equal(t, tc.ok, m.ok, "%v %s: % x (want %s)", tc.typ, tc.want, tc.got, m.want)
	}
}

func TestCoverageShowsWhatIsNotProven(t *testing.T) {
	sc := openSyscall(t)
	var cov Coverage
	good := Verdict{Status: Pass, Params: []Param{{Name: "enter.ino", OK: true}, {Name: "fd", OK: true}, {Name: "ino", OK: false}}}
	on61, on510 := Column{"6.1", guest.OnlyEBPF}, Column{"5.10", guest.OnlyEBPF}
	cov.Add(on61, sc, false, good)
	cov.Add(on61, sc, true, Verdict{Status: Fail, Class: ClassParam, Params: []Param{{Name: "mode", OK: true}}})
	cov.Add(on510, sc, false, Verdict{Status: Skip, Reason: "since 5.11"})
	require.Len(t, cov.rows, 1)
	row := cov.rows["openat"]
	require.Equal(t, &cell{pass: 1, fail: 1}, row.cells[on61])
	gaps := map[string]gap{}
	for _, g := range row.gaps() {
		gaps[g.param] = g
	}
	require.Equal(t, gap{param: "fd", success: true}, gaps["fd"])
	require.Equal(t, gap{param: "mode", failure: true}, gaps["mode"])
	require.Equal(t, gap{param: "ino"}, gaps["ino"], "a wrong value and an enter event prove nothing")
	cov.Add(on61, sc, true, Verdict{Status: Pass, Params: []Param{{Name: "fd", OK: true}}})
	for _, g := range row.gaps() {
		require.NotEqual(t, "fd", g.param)
	}
	var out bytes.Buffer
	require.NoError(t, cov.WriteTable(&out))
	require.Equal(t, `syscall  6.1 ebpf  5.10 ebpf  unproven
openat   FAIL 1/3  skip       at all: dirfd name flags dev ino; on success: mode
`, out.String())

	cov.Add(Column{"5.10", guest.OnlyKmod}, sc, false, Verdict{Status: Skip, Reason: "since 5.11"})
	cov.Add(Column{"6.1", guest.Both}, sc, false, Verdict{Status: Pass, Params: []Param{{Name: "name", OK: true}}})
	cov.Sort([]string{"5.10", "6.1"}, []guest.Drivers{guest.OnlyEBPF, guest.OnlyKmod, guest.Both})
	out.Reset()
	require.NoError(t, cov.WriteTable(&out))
	require.Equal(t, `syscall  5.10 ebpf  kmod  6.1 ebpf  equal  unproven
openat   skip       skip  FAIL 1/3  1      at all: dirfd name flags dev ino; on success: mode
`, out.String(), "that drivers agree proves no value")
}

// A case that the guest skips or cannot set up has no events. The verdict has the
// guest's reason, not a missing event.
func TestNothingIsCapturedOfACaseThatDoesNotRun(t *testing.T) {
	m := &Machine{Drivers: guest.OnlyEBPF}
	result := func(o guest.Outcome, reason string) *guest.CaseResult {
		return &guest.CaseResult{Case: "openat/creates-a-file", Outcome: o, Reason: reason}
	}
	require.Equal(t, Verdict{Status: Skip, Reason: "unsafe"}, Result(m, result(guest.Skipped, "unsafe")))
	v := Result(m, result(guest.Failed, "directory: full"))
	require.Equal(t, Fail, v.Status)
	require.Contains(t, v.Reason, "directory: full")
	v = Result(m, result(guest.Ran, ""))
	require.Contains(t, v.Reason, "did not capture with ebpf")
}

func TestAnExcuseThatIsNotTrueFails(t *testing.T) {
	never := &guest.Syscall{Name: "x", NR: map[string]int{"amd64": 1}, NeverFails: "takes anything"}
	cs := &guest.Case{Name: "probe zeros", NoEvent: "none is wanted here"}
	res := openResult()
	require.Equal(t, Pass, compare(never, cs, res, testMachine("6.12")).Status)
	res.Ret = -22
	v := compare(never, cs, res, testMachine("6.12"))
	require.Equal(t, ClassTable, v.Class)
	require.Equal(t, "never_fails (takes anything), but the call returned EINVAL", v.Reason)

	never.NeverFails, never.NeverSucceeds = "", "is not for users"
	require.Equal(t, Pass, compare(never, cs, res, testMachine("6.12")).Status)
	res.Ret = 5
	v = compare(never, cs, res, testMachine("6.12"))
	require.Equal(t, ClassTable, v.Class)
	require.Equal(t, "never_succeeds (is not for users), but the call returned 5", v.Reason)
	res.Return = false
	require.Equal(t, Pass, compare(never, cs, res, testMachine("6.12")).Status, "a call that did not return did neither")
}

func TestALongValueIsQuotedInPart(t *testing.T) {
	require.Equal(t, "short", Brief("short", 5))
	require.Equal(t, "shor... (5 bytes)", Brief("short", 4))
	require.Equal(t, "... (2 bytes)", Brief("é", 1), "half a character is none")
}
