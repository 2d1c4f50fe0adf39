// SPDX-License-Identifier: Apache-2.0

package object

import "golang.org/x/sys/unix"

func openCall(path uintptr) (uintptr, []uintptr, int, error) {
	return unix.SYS_OPEN, []uintptr{path, unix.O_RDONLY}, unix.O_WRONLY, nil
}

func creatCall(path uintptr) (uintptr, []uintptr, int, error) {
	return unix.SYS_CREAT, []uintptr{path, 0o600}, unix.O_RDONLY, nil
}
