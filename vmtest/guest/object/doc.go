// SPDX-License-Identifier: Apache-2.0

// Package object makes what cases need and looks at what calls left behind: files,
// memory, sockets, processes, keys. Its functions are those that helpers.yaml declares
// for `given` and `after`; what they return becomes facts for the host.
package object
