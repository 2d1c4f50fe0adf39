// SPDX-License-Identifier: Apache-2.0

package sinsp

import "github.com/scaplab/scaplab/scap/event"

// appendPath appends the absolute path that thread t means by path and dirfd.
func appendPath(dst []byte, t *Thread, dirfd event.FD, path []byte) []byte {
	return append(dst, path...)
}
