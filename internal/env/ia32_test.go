// SPDX-License-Identifier: Apache-2.0

//go:build linux

package env

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A kernel that kills the caller of a 32-bit call must kill the child only.
func TestHasIA32SurvivesAndLeavesNoChild(t *testing.T) {
	first := HasIA32()
	require.Equal(t, first, HasIA32())
	_, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
	require.Equal(t, syscall.ECHILD, err)
	t.Logf("HasIA32: %v", first)
}
