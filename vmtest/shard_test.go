// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
)

func TestSharesAreTheWholeRunAndPrepareNoMoreThanTheyMust(t *testing.T) {
	for _, sizes := range [][]int{{1}, {5}, {1, 1, 1, 1, 1, 1, 1}, {3, 1, 4, 1, 5, 9, 2, 6}, {20, 1, 1}} {
		var cases []string
		for i, n := range sizes {
			for j := range n {
				cases = append(cases, fmt.Sprintf("s%d/c%d", i, j))
			}
		}
		for count := 1; count <= 6; count++ {
			for n := 1; n <= 40; n++ {
				what := fmt.Sprintf("%v cases on %d kernels in %d shards", sizes, count, n)
				runs := map[string]int{}    // number of cells
				where := map[string]int{}   // shard, by kernel and syscall
				first := make([]int, count) // number of shards that are the first of a kernel
				prepared, busy, order := 0, 0, []string(nil)
				for i := 1; i <= n; i++ {
					share := Shard{i, n}.Share(count, cases)
					prepared += share.To - share.From
					if share.To > share.From {
						busy++
						require.NotEmpty(t, share.Cases, what)
					} else {
						require.Empty(t, share.Cases, what)
					}
					if n <= count {
						require.InDelta(t, float64(count)/float64(n), share.To-share.From, 1, what)
					} else {
						require.LessOrEqual(t, share.To-share.From, 1, what)
						parts := n / count // or one more
						require.Less(t, len(share.Cases), (len(cases)+parts-1)/parts+slices.Max(sizes), what)
					}
					for k := share.From; k < share.To; k++ {
						if share.First {
							first[k]++
						}
						for _, id := range share.Cases {
							cell := fmt.Sprint(k, " ", id)
							runs[cell]++
							order = append(order, cell)
							call := fmt.Sprint(k, " ", syscallOf(id))
							if where[call] == 0 {
								where[call] = i
							}
							require.Equal(t, where[call], i, "%s: the cases of %s are together", what, call)
						}
					}
				}
				require.Len(t, runs, count*len(cases), what)
				for cell, times := range runs {
					require.Equal(t, 1, times, "%s: %s", what, cell)
				}
				require.Equal(t, max(count, busy), prepared, what)
				for _, times := range first {
					require.Equal(t, 1, times, what)
				}
				var whole []string
				for k := range count {
					for _, id := range cases {
						whole = append(whole, fmt.Sprint(k, " ", id))
					}
				}
				require.Equal(t, whole, order, "%s: in order", what)
			}
		}
	}
	require.Zero(t, Shard{1, 2}.Share(3, nil))
	require.Zero(t, Shard{2, 2}.Share(0, []string{"a/b"}))
	require.Equal(t, Share{0, 3, []string{"a/b"}, true}, Shard{}.Share(3, []string{"a/b"}))
}

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
			share := Shard{i, n}.Share(len(list)+1, cases)
			o := Options{Shard: Shard{i, n}, Arch: "amd64", Cases: share.Cases, AllCases: len(cases)}
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
	require.Contains(t, text(Options{Shard: Shard{2, 3}, Kernels: []Kernel{k}, Cases: []string{"a/b"}, AllCases: 7}), "shard 2/3: 1 of 7 cases on 6.1\n")
	require.Contains(t, text(Options{Shard: Shard{3, 3}}), "shard 3/3: the other shards have all cases\n")
	require.NotContains(t, text(Options{Shard: Shard{1, 1}, Kernels: []Kernel{k}}), "shard")

	// A shard without cases is a complete run of no cases.
	r, err := Run(t.Context(), Options{Shard: Shard{3, 3}, Cache: t.TempDir()})
	require.NoError(t, err)
	require.Empty(t, r.Results)
}
