// SPDX-License-Identifier: Apache-2.0

package kmod

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap"
)

func TestOptionsReportAllErrors(t *testing.T) {
	_, err := Options{Settings: scap.Settings{RingSize: 12345, Snaplen: 65001, FullPorts: [2]uint16{9, 3}, SamplingRatio: 3}, Name: "a/b"}.complete(scap.Selection{})
	for _, want := range []string{"nothing is selected", `"a/b" is not the name`, "RingSize 12345", "Snaplen 65001", "first port 9 is above", "FullPorts needs DynamicSnaplen", "SamplingRatio 3"} {
		require.ErrorContains(t, err, want)
	}
	_, err = Options{Settings: scap.Settings{SamplingRatio: 256}}.complete(scap.Selection{All: true, Syscalls: []string{"openat"}})
	require.ErrorContains(t, err, "All and Syscalls exclude each other")
	require.ErrorContains(t, err, "SamplingRatio 256")
	o, err := Options{Settings: scap.Settings{RingSize: 1 << 20, Snaplen: 65000, SamplingRatio: 128}}.complete(scap.Selection{All: true})
	require.NoError(t, err)
	require.Equal(t, DefaultName, o.Name)
	require.Equal(t, scap.DefaultTimeout, o.Timeout)
	for _, size := range []int{4096, 8192, 1<<31 + 1, 1 << 32, -16384} {
		_, err := Options{Settings: scap.Settings{RingSize: size}}.complete(scap.Selection{All: true})
		require.Error(t, err, size)
	}
}
