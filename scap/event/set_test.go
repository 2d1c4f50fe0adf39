// SPDX-License-Identifier: Apache-2.0

package event

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSet(t *testing.T) {
	var s Set
	require.True(t, s.Empty())
	for in := range All() {
		require.False(t, s.Has(in.Code), "%s", in.Symbol)
		s.Add(in.Code)
		require.True(t, s.Has(in.Code), "%s", in.Symbol)
		not := s.Not()
		require.False(t, not.Has(in.Code), "%s", in.Symbol)
	}
	require.Equal(t, len(infos), s.Len(), "no two known codes share a bit")
	require.False(t, s.Has(FirstOwn-1), "codes that are not known are not in the set")

	all := Universe()
	require.True(t, all.Has(FirstOwn-1))
	require.True(t, all.Has(1<<16-1))
	require.True(t, all.Has(TypeOpenExit))
	require.True(t, all.Not().Empty())
	require.Equal(t, s, all.And(s))
	require.Equal(t, all, s.Or(s.Not()))
	require.True(t, s.And(s.Not()).Empty())
}

func TestSetOf(t *testing.T) {
	s := SetOf(func(in *Info) bool { return in.Name == "openat" })
	require.True(t, s.Has(TypeOpenatExit))
	require.False(t, s.Has(TypeOpenExit))
	require.False(t, s.Has(1<<15-1))
}
