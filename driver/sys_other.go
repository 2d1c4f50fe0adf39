// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package driver

import (
	"errors"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

func pageShift() int { return 12 }

func attach(*ebpf.Program, string) (link.Link, error) { return nil, errors.ErrUnsupported }
