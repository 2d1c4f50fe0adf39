// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/vmtest/guest"
)

// ofBoth returns the events that two drivers delivered of one open.
func ofBoth(first, second [][]byte) *guest.CaseResult {
	r := openResult(first...)
	r.Second = &guest.Capture{Driver: "kmod", Events: second}
	return r
}

func TestDriversAreCompared(t *testing.T) {
	good, enter := openExit(t, goodOpen), openEnter(t, openFlags)
	other := goodOpen
	other.name += "x"
	longer := openExit(t, other)
	foreign := func() []byte { b := append([]byte{}, good...); b[8]++; return b }()
	for _, tc := range []struct {
		name          string
		first, second [][]byte
		change        func(*guest.CaseResult, *guest.Syscall, *Machine)
		status        Status
		class, reason string
	}{
		{name: "they agree", first: [][]byte{enter, good}, second: [][]byte{enter, good}, status: Pass},
		{name: "the events of threads come in another order", first: [][]byte{enter, good, foreign}, second: [][]byte{foreign, enter, good}, status: Pass},
		{name: "a value differs", first: [][]byte{enter, good}, second: [][]byte{enter, longer}, status: Fail, class: ClassDiffer, reason: "openat_exit: name: ebpf says /tmp/d/new, kmod /tmp/d/newx"},

		{name: "the second lacks an event", first: [][]byte{enter, good}, second: [][]byte{enter}, status: Fail, class: ClassDiffer, reason: "only ebpf has openat_exit of thread 1234"},
		{name: "the first lacks an event", first: [][]byte{enter}, second: [][]byte{enter, good}, status: Fail, class: ClassDiffer, reason: "only kmod has openat_exit"},
		{name: "events are of other kinds", first: [][]byte{enter}, second: [][]byte{good}, status: Fail, class: ClassDiffer, reason: "event 1: ebpf has openat_enter"},
		{name: "the second's is cut", first: [][]byte{good}, second: [][]byte{good[:len(good)-1]}, status: Fail, class: ClassGarbled, reason: "kmod: event 1 of 1"},
		{name: "the second lost its marks", first: [][]byte{good}, second: nil, status: Fail, class: ClassMissing, reason: "the driver did not deliver x; the driver dropped 2 events",
			change: func(r *guest.CaseResult, _ *guest.Syscall, _ *Machine) {
				r.Second.Incomplete, r.Second.Lost = "the driver did not deliver x", 2
			}},
		{name: "the kernel refused a program", first: nil, second: [][]byte{good}, status: Skip, reason: "too complex",
			change: func(_ *guest.CaseResult, _ *guest.Syscall, m *Machine) {
				m.Refused["openat_exit"] = "too complex"
			}},
	} {
		sc, m, r := openSyscall(t), testMachine("6.1"), ofBoth(tc.first, tc.second)
		m.Drivers = guest.Both
		if tc.change != nil {
			tc.change(r, sc, m)
		}
		v := compareDrivers(sc, &openCase, r, m)
		require.Equal(t, tc.status, v.Status, "%s: %s", tc.name, v.Reason)
		require.Equal(t, tc.class, v.Class, "%s: %s", tc.name, v.Reason)
		require.Contains(t, v.Reason, tc.reason, tc.name)
	}
}
