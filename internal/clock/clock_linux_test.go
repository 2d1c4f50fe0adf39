// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBootOffsetStaysUntilTheClockIsSet(t *testing.T) {
	first := reading{1000, 5}
	require.Equal(t, first, first.or(reading{1008, 3}), "both may be readings of 1005")
	require.Equal(t, first, first.or(reading{990, 5}), "both may be readings of 995")
	require.Equal(t, reading{1009, 3}, first.or(reading{1009, 3}), "no time fits both")
	require.Equal(t, reading{989, 5}, first.or(reading{989, 5}))

	a, err := BootOffset()
	require.NoError(t, err)
	require.WithinRange(t, time.Unix(0, int64(a)), time.Unix(1, 0), time.Now())
	for range 100 {
		b, err := BootOffset()
		require.NoError(t, err)
		require.Equal(t, a, b)
	}
}

func TestAWatchOfAQuietClockEndsWhenItIsClosed(t *testing.T) {
	w, err := NewWatch(func(_ uint64, by time.Duration) { t.Log("the clock of this machine moved by", by) })
	require.NoError(t, err)
	require.NoError(t, w.Close())
}
