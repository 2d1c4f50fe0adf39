// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package modtest

import (
	"os"
	"testing"

	"github.com/scaplab/scaplab/vmtest/machine/machinetest"
)

func TestMain(m *testing.M) {
	if os.Getenv("MODTEST_CHILD") != "" {
		os.Exit(0) // work starts processes that only exit
	}
	machinetest.Main(m, "TestGuest")
}

// TestModule runs the tests named TestGuest on kernels fetched for it.
func TestModule(t *testing.T) { machinetest.Run(t, machinetest.Offline(1)) }
