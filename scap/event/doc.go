// SPDX-License-Identifier: Apache-2.0

// Package event is one captured event as views into one buffer, and every
// known event type.
//
// An event on the wire, as all drivers and the capture file have it (packed,
// in the byte order of the machine that made it; this package reads host
// order, package savefile turns foreign captures around):
//
//	offset  size  field
//	     0     8  timestamp, ns since the Unix epoch
//	     8     8  tid, in the initial pid namespace
//	    16     4  len: the whole event
//	    20     2  type: event code, even enter, odd exit
//	    22     4  nparams
//	    26   2*n  lengths of the params (4*n for large-payload types)
//	     …        the params, back to back
//
// Three ways to read one, from general to quick:
//
//   - [Event.Param] and [Event.AppendParam] work on any event, by the table
//     ([Event.Info]) alone; [ParamInfo.AppendText] prints one value.
//   - [Decoder] gives the struct of any event, for a switch over Go types.
//   - The generated structs ([OpenatExit], …) have one typed field per param
//     and a Decode method, for who wants one type of event.
//
// Byte fields of the structs are views into the event.
//
// Nothing here allocates once the caller's buffers have grown.
package event
