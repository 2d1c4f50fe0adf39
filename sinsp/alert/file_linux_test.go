// SPDX-License-Identifier: Apache-2.0

package alert

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// /dev/full is a disk without room.
func TestAFullDiskIsCounted(t *testing.T) {
	sink, err := File("/dev/full")
	require.NoError(t, err)
	o := Start(Options{Queue: 100}, sink)
	send(o, 7)
	s := o.Close(time.Minute)[0]
	require.EqualValues(t, 7, s.Failed)
}
