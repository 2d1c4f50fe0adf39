// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package env

import "errors"

func mayLoad() error { return errors.New("eBPF programs need Linux") }
