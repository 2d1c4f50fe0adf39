// SPDX-License-Identifier: Apache-2.0

package guest

import "golang.org/x/sys/unix"

func mayFork(nr uintptr) bool {
	switch nr {
	case unix.SYS_CLONE, unix.SYS_CLONE3:
		return true
	}
	return false
}

// opPause waits for a signal: ppoll of nothing.
var opPause = sys(unix.SYS_PPOLL)

// exitCode is exit_group(0).
const (
	elfMachine = 183
	exitCode   = "\xc8\x0b\x80\xd2\x00\x00\x80\xd2\x01\x00\x00\xd4" // mov x8, 94; mov x0, 0; svc 0
)

const mapLow = 0

// There are no calls of 32-bit tasks here.
func prepareSocketcall() error                  { return nil }
func socketcall(_ uintptr, _ *[6]uintptr) int64 { return -int64(unix.ENOSYS) }
