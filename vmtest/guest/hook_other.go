// SPDX-License-Identifier: Apache-2.0

//go:build !linux || !(amd64 || arm64)

package guest

import "os"

// Hook does nothing: this system cannot run a guest.
func Hook() {}

// Environ is the environment in which this program, started again, would serve requests.
func Environ() []string { return os.Environ() }

// BareEnviron is Environ for a guest that has no drivers.
func BareEnviron() []string { return os.Environ() }
