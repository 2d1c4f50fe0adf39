// SPDX-License-Identifier: Apache-2.0

// Package clock relates the two clocks of events: drivers read the boot clock, which nobody sets, and events have the time of
// the wall clock.
package clock
