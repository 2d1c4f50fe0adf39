// SPDX-License-Identifier: Apache-2.0

// Package event reads captured events, as views into one buffer each, and describes
// every known event type.
//
// All drivers and the capture file have the same event layout: packed, in the byte
// order of the machine that made the event. (This package reads host order; package
// savefile converts captures of the other byte order.) The layout is:
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
// There are three ways to read an event, from general to fast:
//
//   - [Event.Param] and [Event.AppendParam] read any event, with the table
//     ([Event.Info]) alone; [ParamInfo.AppendText] prints one value.
//   - [Decoder] returns the struct of any event, for a switch over Go types.
//   - The generated structs ([OpenatExit], …) have one typed field per param
//     and a Decode method, for readers of one type of event.
//
// Byte fields of the structs are views into the event.
//
// Nothing here allocates once the caller's buffers have grown.
package event
