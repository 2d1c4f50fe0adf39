// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package driver

import "errors"

func bootOffset() (uint64, error) { return 0, errors.ErrUnsupported }

func pageShift() int { return 12 }
