// SPDX-License-Identifier: Apache-2.0

package bpf

import "github.com/scaplab/scaplab/driver/bpf/arm64"

const haveObjects = true

var objects = arm64.Objects
