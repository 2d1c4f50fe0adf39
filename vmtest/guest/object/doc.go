// SPDX-License-Identifier: Apache-2.0

// Package object makes the objects that cases need and reads what calls left behind: files,
// memory, sockets, processes, keys. helpers.yaml declares its functions for `given` and
// `after`. Their results become facts for the host.
package object
