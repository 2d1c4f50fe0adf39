// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"bytes"

	"github.com/scaplab/scaplab/scap/event"
)

const (
	maxPath     = 1024
	tooLong     = "/DIR_TOO_LONG/FILENAME_TOO_LONG"
	unknownPath = "<UNKNOWN>"
)

// appendPath appends the absolute path that thread t means by path and dirfd.
func appendPath(dst []byte, t *Thread, dirfd event.FD, path []byte) []byte {
	begin := len(dst)
	if len(path) == 0 || path[0] != '/' {
		switch {
		case dirfd == event.AtFDCWD:
			if cwd := t.cwd(); cwd != "" {
				dst = append(dst, cwd...)
			} else {
				dst = append(dst, "./"...)
			}
		case t.path(dirfd) != "":
			if dst = append(dst, t.path(dirfd)...); dst[len(dst)-1] != '/' {
				dst = append(dst, '/')
			}
		default:
			dst = append(dst, unknownPath...)
		}
	}
	return clean(dst, begin, path)
}

// isClean reports whether appendPath would append path as it is. It may be false for
// paths that have a component beginning with a dot.
func isClean(path []byte) bool {
	n := len(path)
	if n < 2 || n >= maxPath || path[0] != '/' || path[n-1] == '/' {
		return false
	}
	for i, c := range path[1:] {
		if path[i] == '/' && (c == '/' || c == '.') {
			return false
		}
	}
	return true
}

func (t *Thread) cwd() string {
	if t == nil {
		return ""
	}
	return t.CWD()
}

// path returns the path of a descriptor; "" if it is not known.
func (t *Thread) path(num event.FD) string {
	if t == nil {
		return ""
	}
	if fd := t.FD(num); fd != nil {
		return fd.Path
	}
	return ""
}

// clean appends path to the path that dst has from begin on, component by component. A
// component ".." removes the one before, but none of what is before begin.
func clean(dst []byte, begin int, path []byte) []byte {
	if len(path) > 0 && path[0] == '/' {
		dst = append(dst[:begin], '/')
	}
	floor := begin
	if bytes.HasPrefix(dst[begin:], []byte(unknownPath)) {
		floor += len(unknownPath)
	}
	for len(path) > 0 {
		name := path
		if i := bytes.IndexByte(path, '/'); i >= 0 {
			name, path = path[:i], path[i+1:]
		} else {
			path = nil
		}
		switch string(name) {
		case "", ".":
		case "..":
			last := bytes.TrimSuffix(dst[floor:], slash)
			parent := last[:bytes.LastIndexByte(last, '/')+1]
			if floor > begin && (len(last) == 0 || string(last[len(parent):]) == "..") {
				dst = append(dst, "../"...) // above a directory that is not known
				break
			}
			if len(parent) == 0 && bytes.HasPrefix(dst[floor:], slash) {
				parent = slash // of the root
			}
			dst = dst[:floor+len(parent)]
		default:
			dst = append(append(dst, name...), '/')
		}
		if len(dst)-begin > maxPath {
			return append(dst[:begin], tooLong...)
		}
	}
	if n := len(dst); n > begin+1 && dst[n-1] == '/' {
		dst = dst[:n-1]
	}
	return dst
}

var slash = []byte{'/'}
