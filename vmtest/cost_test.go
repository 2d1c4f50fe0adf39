// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/vmtest/guest"
)

func TestCostsAreWhatDriversAdd(t *testing.T) {
	receive := func(messages ...any) ([]Cost, error) {
		l := &fakeLauncher{t: t, guests: []fakeGuest{func(c *fakeConn, _ io.Writer) {
			for _, m := range messages {
				kind := guest.KindCost
				if _, ok := m.(guest.Error); ok {
					kind = guest.KindError
				}
				_ = c.Send(kind, m)
			}
			c.done()
		}}}
		s, err := l.Launch(t.Context())
		require.NoError(t, err)
		defer s.Finish()
		return receiveCosts(t.Context(), Kernel{Kernel: kernels.Kernel{Name: "6.1", Arch: "amd64"}}, s, time.Minute)
	}
	bare := guest.Cost{Calls: []guest.CallCost{{Name: "getppid", NS: 300}, {Name: "read 1", NS: 500}}}
	costs, err := receive(bare,
		guest.Cost{Driver: "ebpf", Calls: []guest.CallCost{{Name: "getppid", NS: 1300.5}, {Name: "read 1", NS: 1700}}},
		guest.Cost{Driver: "kmod", Error: "does not load"})
	require.NoError(t, err)
	require.Equal(t, []Cost{
		{Kernel: "6.1", Arch: "amd64", Driver: "ebpf", Call: "getppid", Bare: 300, Added: 1000.5},
		{Kernel: "6.1", Arch: "amd64", Driver: "ebpf", Call: "read 1", Bare: 500, Added: 1200},
		{Kernel: "6.1", Arch: "amd64", Driver: "kmod", Error: "does not load"},
	}, costs)

	_, err = receive(guest.Cost{Driver: "ebpf"})
	require.ErrorContains(t, err, "calls without a driver were not measured")
	_, err = receive(bare, guest.Error{Text: "no /dev/null"})
	require.ErrorContains(t, err, "guest: no /dev/null")

	r := testReport(t)
	r.Costs = append(costs, Cost{Kernel: "6.1", Driver: "kmod", Call: "getppid", Bare: 300, Added: 200})
	var text, js bytes.Buffer
	require.NoError(t, r.WriteText(&text))
	require.Contains(t, text.String(), `
Added to each call, in instructions:
    kernel     call  the call itself  ebpf adds  kmod adds
       6.1  getppid              300       1000        200
       6.1   read 1              500       1200          -
  6.1, kmod: not measured: does not load
`)
	require.NoError(t, r.WriteJSON(&js))
	again, err := ReadJSON(&js)
	require.NoError(t, err)
	require.Equal(t, r.Costs, again.Costs)
}
