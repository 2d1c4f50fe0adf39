// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/testutil"
)

func TestStatisticsOfTheVerifierAreRead(t *testing.T) {
	for _, row := range []struct {
		name, log string
		want      Verified
	}{
		{"7.3", "verification time 1234 usec\nstack depth 96+24\nprocessed 5031 insns (limit 1000000) max_states_per_insn 4 total_states 212 peak_states 99 mark_read 21\n",
			Verified{Processed: 5031, States: 212, PeakStates: 99, Stack: 120, Took: 1234 * time.Microsecond}},
		{"without the stack", "processed 3 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0", Verified{Processed: 3}},
		{"nothing", "", Verified{}},
	} {
		require.Equal(t, row.want, parseStats(row.log), row.name)
	}
}

func TestEveryProgramIsVerified(t *testing.T) {
	testutil.SkipUnlessRoot(t)
	testutil.SkipUnlessBTF(t)
	all, err := Verify("")
	require.NoError(t, err)
	require.Greater(t, len(all), len(events))
	for _, v := range all {
		require.NoError(t, v.Err, v.Program)
		require.Positive(t, v.Instructions, v.Program)
		require.Positive(t, v.Processed, v.Program)
	}
	_, err = Verify(t.TempDir())
	require.ErrorContains(t, err, "core.o")
}
