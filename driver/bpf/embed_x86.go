// SPDX-License-Identifier: Apache-2.0

//go:build 386 || amd64

package bpf

import "github.com/scaplab/scaplab/driver/bpf/amd64"

const haveObjects = true

var objects = amd64.Objects
