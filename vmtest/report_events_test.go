// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
	"github.com/scaplab/scaplab/vmtest/shard"
)

func TestEventsAreKeptOfFailuresAndOfTheFirstKernel(t *testing.T) {
	list := []Kernel{{Kernel: kernels.Kernel{Name: "5.10"}}, {Kernel: kernels.Kernel{Name: "6.1"}}, {Kernel: kernels.Kernel{Name: "6.12"}}}
	raw := &guest.CaseResult{Outcome: guest.Ran, Return: true, Ret: 42, TID: testTID, Capture: guest.Capture{Driver: guest.EBPF, Events: [][]byte{getppidExit(t, 42), {1}}},
		Second: &guest.Capture{Driver: guest.Kmod, Events: [][]byte{getppidExit(t, 43)}}}
	run := func(o Options) *Report {
		o.Drivers, o.Cases = []guest.Drivers{guest.OnlyEBPF, guest.OnlyKmod, guest.Both}, guest.IDs("getppid")
		r := newReport(o)
		for i := len(o.Kernels) - 1; i >= 0; i-- { // in any order
			for _, d := range o.Drivers {
				v := judge.Verdict{Status: judge.Pass}
				if o.Kernels[i].Name == "6.12" {
					v = judge.Failf(judge.ClassDiffer, "they differ")
				}
				r.add(o.Kernels[i], d, o.Cases[0], raw, v)
			}
		}
		r.finish()
		return r
	}
	eventsByCell := func(r *Report) map[string][]DriverEvents {
		all := map[string][]DriverEvents{}
		for _, x := range r.Results {
			all[x.Kernel+" "+x.Drivers.String()] = x.Events
		}
		return all
	}
	ebpf := DriverEvents{guest.EBPF, []string{"< getppid res=42", "event: 1 bytes, the header alone has 26: 01"}}
	kmod := DriverEvents{guest.Kmod, []string{"< getppid res=43"}}
	whole := eventsByCell(run(Options{Kernels: list}))
	got := whole["5.10 ebpf"][0].Text[1]
	require.Contains(t, got, ": 01", "bytes that are no event are shown")
	ebpf.Text[1] = got
	require.Equal(t, map[string][]DriverEvents{
		"5.10 ebpf": {ebpf}, "5.10 kmod": {kmod}, "5.10 ebpf=kmod": nil,
		"6.1 ebpf": nil, "6.1 kmod": nil, "6.1 ebpf=kmod": nil,
		"6.12 ebpf": {ebpf}, "6.12 kmod": {kmod}, "6.12 ebpf=kmod": {ebpf, kmod},
	}, whole)

	var shards []io.Reader
	for i := range list {
		var b bytes.Buffer
		require.NoError(t, run(Options{Kernels: list[i : i+1], Shard: shard.Shard{Index: i + 1, Count: 3}}).WriteJSON(&b))
		shards = append(shards, &b)
	}
	joined, err := ReadJSON(shards[2], shards[0], shards[1])
	require.NoError(t, err)
	require.Equal(t, whole, eventsByCell(joined), "shards have what one run has")
}

func TestTheEventOfAnotherThreadIsNamed(t *testing.T) {
	require.Equal(t, "< getppid res=7", eventText(getppidExit(t, 7), testTID))
	require.Equal(t, "< getppid (thread 1234) res=7", eventText(getppidExit(t, 7), testTID+1))
}
