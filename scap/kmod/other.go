// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package kmod

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/scaplab/scaplab/scap"
)

func open(scap.Selection, *Options) (*Source, error) {
	return nil, fmt.Errorf("live capture on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
