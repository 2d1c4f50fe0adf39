// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/vmtest/guest"
)

func TestShards(t *testing.T) {
	sh, err := Parse("")
	require.NoError(t, err)
	require.Equal(t, Shard{1, 1}, sh)
	for _, bad := range []string{"0/2", "3/2", "1", "1/", "/2", "1/0", "-1/2", "1/2x", "01/2", "a/b"} {
		_, err := Parse(bad)
		require.ErrorContains(t, err, "want i/n", bad)
	}
}

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
							call := fmt.Sprint(k, " ", guest.SyscallOf(id))
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
