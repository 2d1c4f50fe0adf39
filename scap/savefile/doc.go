// SPDX-License-Identifier: Apache-2.0

// Package savefile reads and writes capture files (.scap): blocks in the style of
// pcapng, first the state of the machine, then events. sysdig, falco and stratoshark
// open its files, and it opens theirs, back to the first versions.
//
// [Reader] is a scap.Source. Counting which files are opened:
//
//	r, err := savefile.Open("trace.scap", savefile.Options{})
//	if err != nil {
//		return err
//	}
//	defer r.Close()
//	opens := map[string]int{}
//	var open event.OpenatExit
//	for ev, err := range scap.Events(ctx, r) {
//		if errors.Is(err, savefile.ErrTruncated) {
//			break // all complete events were delivered
//		} else if err != nil {
//			return err
//		}
//		if ev.Type() == event.TypeOpenatExit && open.Decode(ev) == nil {
//			opens[string(open.Name)]++ // Name is a view: copied by string()
//		}
//	}
//
// A Reader reads a file or pipe once, front to back, in constant memory. Events are
// views into the read buffer, valid until the next read. The Reader detects gzip, also
// with several members, and converts captures of the other byte order. It converts
// events of older schemas to current ones by the rules of convert.txt, unless
// [Options].Raw is set.
//
// Damage costs as little as the format allows: the Reader counts corrupt events, and
// events that it cannot convert, in [Reader.Counts] and reads on.
package savefile
