// SPDX-License-Identifier: Apache-2.0

//go:build unix

package savefile

import "syscall"

const noFollow = syscall.O_NOFOLLOW
