// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package scaptest

import "time"

// cpuTime returns 0: the processor time is not available here.
func cpuTime() time.Duration { return 0 }
