// SPDX-License-Identifier: Apache-2.0

// Package sinsp is the state of a system as its events change it.
//
// The table says for each event which reducer handles it, and with which of its
// params. From that come the interface [Reducers], one method per reducer with
// typed arguments, and [Reduce], which decodes an event and calls its method.
// What the methods do is written by hand.
package sinsp
