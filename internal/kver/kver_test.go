// SPDX-License-Identifier: Apache-2.0

package kver

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]Version{
		"5.10":                       {5, 10, 0},
		"5.1":                        {5, 1, 0},
		"6.1.192":                    {6, 1, 192},
		"6.12.117+deb13-cloud-amd64": {6, 12, 117},
		"5.10.0-46-cloud-amd64":      {5, 10, 0},
		"7.0-rc3":                    {7, 0, 0},
		"6.1.y":                      {6, 1, 0},
		"2.6.16":                     {2, 6, 16},
		"2.6.32.71":                  {2, 6, 32},
		"6.18.44-fc-v669":            {6, 18, 44},
	} {
		got, err := Parse(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	for _, in := range []string{"", "6", "6.", ".1", "v6.1", "six", "99999999999999999999.1", "6..1", "-6.1"} {
		_, err := Parse(in)
		require.ErrorContains(t, err, "want MAJOR.MINOR", in)
		require.Panics(t, func() { MustParse(in) })
	}
}

func TestCompare(t *testing.T) {
	older, newer := Version{5, 1, 9}, Version{5, 10, 0}
	require.Equal(t, newer, MustParse("5.10"))
	require.Panics(t, func() { MustParse("five") })
	require.True(t, older.Less(newer))
	require.False(t, newer.Less(older))
	require.Zero(t, newer.Compare(newer))
	require.Equal(t, "5.10", newer.String())
	require.Equal(t, "5.1.9", older.String())
}

func TestVersionsAreOrdered(t *testing.T) {
	want := []Version{{}, {2, 6, 16}, {2, 6, 32}, {4, 3, 0}, {5, 1, 0}, {5, 9, 9}, {5, 10, 0}, {5, 10, 1}, {6, 1, 0}, {7, 0, 0}}
	got := slices.Clone(want)
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
	slices.SortFunc(got, Version.Compare)
	require.Equal(t, want, got)
	require.True(t, want[0].IsZero())
	require.False(t, want[1].IsZero())
}

func TestStringParses(t *testing.T) {
	for _, s := range []string{"5.10", "6.1.12", "2.6.16"} {
		require.Equal(t, s, MustParse(s).String())
	}
}

func TestRunning(t *testing.T) {
	v, err := Running()
	if runtime.GOOS != "linux" {
		require.Error(t, err)
		return
	}
	require.NoError(t, err)
	require.False(t, v.Less(MustParse("2.6.32")), "%v", v)
	release, err := Release()
	require.NoError(t, err)
	require.Equal(t, v, MustParse(release))
}
