// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHeapGivesTheLowestHead(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	var o Heap
	var model []head
	lowest := func() head {
		return slices.MinFunc(model, func(a, b head) int { return cmp.Or(cmp.Compare(a.ts, b.ts), cmp.Compare(a.num, b.num)) })
	}
	free := r.Perm(50)
	for range 20_000 {
		switch op := r.IntN(3); {
		case op == 0 && len(free) > 0:
			h := head{r.Uint64N(100), free[0]}
			free = free[1:]
			o.Push(h.num, h.ts)
			model = append(model, h)
		case op == 1 && len(model) > 0:
			low := lowest()
			o.Pop()
			model = slices.DeleteFunc(model, func(h head) bool { return h == low })
			free = append(free, low.num)
		case op == 2 && len(model) > 0:
			low := lowest()
			next := low.ts + r.Uint64N(50)
			o.Fix(next)
			model[slices.Index(model, low)].ts = next
		}
		require.Equal(t, len(model), o.Len())
		if len(model) > 0 {
			require.Equal(t, lowest().num, o.Min())
		}
	}
	o.Reset()
	require.Zero(t, o.Len())
}
