// SPDX-License-Identifier: Apache-2.0

// Package sinsp keeps the state of a system as its events change it.
//
// The table names for each event the reducer that handles it, and the params that the
// reducer gets. The generator makes from it the interface [Reducers], one method per
// reducer with typed arguments, and the code of [Reduce], which decodes an event and
// calls its method. The methods themselves are written by hand.
package sinsp
