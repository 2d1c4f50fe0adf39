// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package driver

import "errors"

// BootOffset fails: there is no Linux kernel here.
func BootOffset() (uint64, error) { return 0, errors.ErrUnsupported }

func pageShift() int { return 12 }
