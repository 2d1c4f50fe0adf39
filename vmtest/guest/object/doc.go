// SPDX-License-Identifier: Apache-2.0

// Package object makes the objects that cases need and reads what calls left behind: files,
// memory, sockets, processes, keys. Files act_*.go have the acts of truth suites. helpers.yaml
// declares its functions for `given`, `after` and `act`. Their results become facts for the host.
package object
