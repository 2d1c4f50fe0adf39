// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/guest/object"
	"github.com/scaplab/scaplab/vmtest/judge"
	"github.com/scaplab/scaplab/vmtest/session"
)

var allThree = []guest.Drivers{guest.OnlyEBPF, guest.OnlyKmod, guest.Both}

const pair = "ebpf=kmod"

func TestVerdictsThatComeOfOneRun(t *testing.T) {
	only := func(d guest.Drivers) []guest.Drivers { return []guest.Drivers{d} }
	require.Equal(t, [][]guest.Drivers{allThree}, lanes(allThree))
	require.Equal(t, [][]guest.Drivers{only(guest.OnlyEBPF), only(guest.OnlyKmod)}, lanes(allThree[:2]))
	require.Equal(t, [][]guest.Drivers{only(guest.Both)}, lanes(only(guest.Both)))
	require.Equal(t, guest.Both, captureOf(allThree))
	require.Equal(t, guest.OnlyKmod, captureOf(only(guest.OnlyKmod)))
}

// A case that ran once has a verdict for each driver and one for their comparison.
func TestEachDriverHasItsVerdict(t *testing.T) {
	const works = "getppid/works"
	good, bad := getppidExit(t, 42), getppidExit(t, 43)
	result := func(first, second [][]byte) guest.CaseResult {
		return guest.CaseResult{
			Case: works, Outcome: guest.Ran, Return: true, Ret: 42, TID: testTID, Facts: object.Facts{"ppid": object.IntFact(42)},
			Capture: guest.Capture{Driver: "ebpf", Events: first}, Second: &guest.Capture{Driver: "kmod", Events: second},
		}
	}
	// answer runs the case like a guest with the requested driver.
	answer := func(first, second [][]byte) fakeGuest {
		return func(c *fakeConn, _ io.Writer) {
			for c.nextRun() {
				for _, id := range c.req.Cases {
					c.start(id)
					r := result(first, second)
					if !c.req.Drivers.Pair() {
						own := r.By(c.req.Drivers.A)
						r = *own
					}
					_ = c.Send(guest.KindResult, r)
				}
				c.done()
			}
		}
	}
	dies := func(c *fakeConn, console io.Writer) {
		if c.nextRun() {
			c.start(c.req.Cases[0])
			fmt.Fprintln(console, "[    1.0] BUG: kernel NULL pointer dereference")
		}
	}
	fine := [][]byte{good}
	for _, row := range []struct {
		name   string
		guests []fakeGuest
		kmod   string // why the driver does not work
		want   map[string]string
	}{
		{name: "all is well", guests: []fakeGuest{answer(fine, fine)}, want: map[string]string{"ebpf": "pass", "kmod": "pass", pair: "pass"}},
		{name: "one driver is wrong", guests: []fakeGuest{answer(fine, [][]byte{bad})},
			want: map[string]string{"ebpf": "pass", "kmod": "fail param", pair: "fail drivers-differ"}},
		{name: "both are wrong in the same way", guests: []fakeGuest{answer([][]byte{bad}, [][]byte{bad})},
			want: map[string]string{"ebpf": "fail param", "kmod": "fail param", pair: "pass"}},
		{name: "one driver loses an event, thrice", guests: []fakeGuest{answer(nil, fine)},
			want: map[string]string{"ebpf": "fail missing-event", "kmod": "pass", pair: "fail drivers-differ"}},
		{name: "one driver does not load", guests: []fakeGuest{answer(fine, nil)}, kmod: "no such module",
			want: map[string]string{"ebpf": "pass", "kmod": "fail driver", pair: "fail driver"}},
		{name: "one driver kills the kernel", guests: []fakeGuest{dies, answer(fine, nil), dies},
			want: map[string]string{"ebpf": "pass", "kmod": "fail crash", pair: "fail crash"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := Options{Drivers: allThree, Cases: []string{works}, Kernels: []Kernel{{Kernel: kernels.Kernel{Name: "6.12", Arch: "amd64"}}}}
			require.NoError(t, o.setDefaults())
			o.Log = t.Logf
			raw := 0
			o.OnResult = func(r *guest.CaseResult) {
				raw++
				require.NotNil(t, r)
			}
			rep := newReport(o)
			l := &fakeLauncher{t: t, guests: row.guests, hello: guest.Hello{Release: "6.12.1", Arch: "amd64",
				Drivers: []guest.DriverState{{Name: "ebpf"}, {Name: "kmod", Error: row.kmod}}}}
			p := piece{0, o.Drivers, 1, o.Cases}
			require.NoError(t, o.runPiece(t.Context(), rep, o.Kernels[0], p, l))
			rep.finish()
			got := map[string]string{}
			for _, r := range rep.Results {
				text := string(r.Status)
				if r.Class != "" {
					text += " " + r.Class
				}
				require.NotContains(t, got, r.Drivers.String(), "one verdict each")
				got[r.Drivers.String()] = text
			}
			require.Equal(t, row.want, got)
			require.Equal(t, len(row.guests), l.started)
			require.Equal(t, 1, raw, "each result is told of once")
		})
	}
}

func TestAKernelWithoutModuleRunsTheOtherDriver(t *testing.T) {
	o := Options{Drivers: allThree, Cases: []string{"getppid/works"},
		Kernels: []Kernel{{Kernel: kernels.Kernel{Name: "6.12"}, Module: "scap.ko"}, {Kernel: kernels.Kernel{Name: "7.0"}, NoModule: "no headers"}}}
	rep := newReport(o)
	pieces := plan(o)
	rep.expect(pieces)
	require.Equal(t, 6, rep.total)
	require.Equal(t, []piece{{0, o.Drivers, 1, o.Cases}, {1, []guest.Drivers{guest.OnlyEBPF}, 1, o.Cases}}, skipWithoutModule(rep, o.Kernels, pieces))
	require.Len(t, rep.Results, 2)
	for _, r := range rep.Results {
		require.Equal(t, "7.0", r.Kernel)
		require.Equal(t, judge.Skip, r.Status)
		require.Equal(t, "no module: no headers", r.Reason)
	}
	o.Kernels[1].ModuleError = "error: no such member"
	skipWithoutModule(rep, o.Kernels, pieces)
	require.Equal(t, judge.Fail, rep.Results[3].Status, "a module that does not compile is no excuse")
	require.Equal(t, judge.ClassBuild, rep.Results[3].Class)
	o.Drivers = []guest.Drivers{guest.OnlyKmod}
	require.Len(t, skipWithoutModule(rep, o.Kernels, plan(o)), 1)
}

var _ session.Launcher = failingLauncher{}

// failingLauncher never starts a guest.
type failingLauncher struct{}

func (failingLauncher) Launch(context.Context) (*session.Session, error) {
	return nil, errors.New("no machine")
}

func TestWithoutAGuestEveryDriverFails(t *testing.T) {
	o := Options{Drivers: allThree, Cases: []string{"getppid/works"}, Kernels: []Kernel{{Kernel: kernels.Kernel{Name: "6.12"}}}}
	require.NoError(t, o.setDefaults())
	rep := newReport(o)
	require.NoError(t, o.runPiece(t.Context(), rep, o.Kernels[0], piece{0, o.Drivers, 1, o.Cases}, failingLauncher{}))
	require.Len(t, rep.Results, 3)
	for _, r := range rep.Results {
		require.Equal(t, judge.ClassBoot, r.Class)
	}
}
