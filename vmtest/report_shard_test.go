// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
	"github.com/scaplab/scaplab/vmtest/shard"
)

func TestJoinedShardsAreTheWholeRun(t *testing.T) {
	var list []Kernel
	for _, name := range []string{"5.10", "6.1", "6.12"} {
		list = append(list, Kernel{Kernel: kernels.Kernel{Name: name, Arch: "amd64"}})
	}
	gone := kernels.Unavailable{Request: kernels.Request{Series: "7.0"}, Reason: errors.New("no package")}
	cases := slices.Concat(guest.IDs("getppid"), guest.IDs("openat"), guest.IDs("close"))
	require.Greater(t, len(cases), 6)
	// The report of a run in which some cases of each kind fail and others are skipped.
	run := func(o Options) *Report {
		o.Drivers = []guest.Drivers{guest.OnlyEBPF, guest.OnlyKmod}
		r := newReport(o)
		r.begun = time.Unix(1, 0)
		pieces := plan(o)
		r.expect(pieces)
		for _, p := range pieces {
			for _, id := range p.ids {
				for _, d := range p.drivers {
					v := []judge.Verdict{{Status: judge.Pass}, {Status: judge.Fail, Class: judge.ClassCrash, Reason: "ended"}, {Status: judge.Skip, Reason: "needs ipv6"}}[len(id)%3]
					r.add(o.Kernels[p.kernel], d, id, nil, v)
				}
			}
		}
		r.finish()
		return r
	}
	text := func(r *Report) (table, junit string) {
		var a, b bytes.Buffer
		require.NoError(t, r.coverage.WriteTable(&a))
		require.NoError(t, r.WriteJUnit(&b))
		return a.String(), b.String()
	}
	whole := run(Options{Kernels: list, Gone: []kernels.Unavailable{gone}, Cases: cases})
	wantTable, wantJUnit := text(whole)
	for n := 1; n <= 20; n++ {
		var files []io.Reader
		for i := 1; i <= n; i++ {
			share := shard.Shard{Index: i, Count: n}.Share(len(list)+1, cases)
			o := Options{Shard: shard.Shard{Index: i, Count: n}, Arch: "amd64", Cases: share.Cases, AllCases: len(cases)}
			for k := share.From; k < share.To; k++ {
				if k < len(list) {
					o.Kernels = append(o.Kernels, list[k])
				} else {
					o.Gone = append(o.Gone, gone)
				}
			}
			var b bytes.Buffer
			require.NoError(t, run(o).WriteJSON(&b))
			files = append(files, &b)
		}
		rand.Shuffle(n, func(i, j int) { files[i], files[j] = files[j], files[i] })
		joined, err := ReadJSON(files...)
		require.NoError(t, err)
		require.Empty(t, joined.Missing)
		require.Equal(t, whole.Kernels, joined.Kernels, "%d shards", n)
		table, junit := text(joined)
		for i := range joined.Results {
			require.NotEmpty(t, joined.Results[i].Run)
			joined.Results[i].Run = whole.id
		}
		require.Equal(t, whole.Results, joined.Results, "%d shards", n)
		require.Equal(t, wantTable, table, "%d shards", n)
		require.Equal(t, wantJUnit, junit, "%d shards", n)
	}
}

func TestAReportSaysWhichShardItIsOf(t *testing.T) {
	text := func(o Options) string {
		var b bytes.Buffer
		require.NoError(t, newReport(o).WriteText(&b))
		return b.String()
	}
	k := Kernel{Kernel: kernels.Kernel{Name: "6.1"}}
	require.Contains(t, text(Options{Shard: shard.Shard{Index: 2, Count: 3}, Kernels: []Kernel{k}, Cases: []string{"a/b"}, AllCases: 7}), "shard 2/3: 1 of 7 cases on 6.1\n")
	require.Contains(t, text(Options{Shard: shard.Shard{Index: 3, Count: 3}}), "shard 3/3: the other shards have all cases\n")
	require.NotContains(t, text(Options{Shard: shard.Shard{Index: 1, Count: 1}, Kernels: []Kernel{k}}), "shard")

	// A shard without cases is a complete run of no cases.
	r, err := Run(t.Context(), Options{Shard: shard.Shard{Index: 3, Count: 3}, Cache: t.TempDir()})
	require.NoError(t, err)
	require.Empty(t, r.Results)
}
