// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/testutil"
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

// Times of events are those of the machine, also for a recorder whose time namespace counts from another boot.
func TestTheTimeOfBootIsTheMachinesInATimeNamespace(t *testing.T) {
	const inside = "CLOCK_INSIDE"
	if os.Getenv(inside) != "" {
		boot, err := BootOffset()
		require.NoError(t, err)
		fmt.Println(boot, SinceBoot())
		return
	}
	outside, err := BootOffset()
	require.NoError(t, err)
	out := testutil.InNamespaces(t, []string{"--time", "--fork", "--boottime", "93600"}, inside+"=1", "-test.run", "^"+t.Name()+"$")
	words := bytes.Fields(out)
	require.GreaterOrEqual(t, len(words), 2, "%s", out)
	boot, err := strconv.ParseInt(string(words[0]), 10, 64)
	require.NoError(t, err)
	since, err := strconv.ParseInt(string(words[1]), 10, 64)
	require.NoError(t, err)
	require.InDelta(t, outside, boot, float64(time.Second), "two readings, and not 26 h apart")
	require.InDelta(t, SinceBoot(), since, float64(time.Hour))
}
