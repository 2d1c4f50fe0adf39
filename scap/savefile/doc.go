// SPDX-License-Identifier: Apache-2.0

// Package savefile reads and writes capture files (.scap): blocks in the style
// of pcapng, first the state of the machine, then events. Files written here
// open in sysdig, falco and stratoshark, and theirs here, back to the first
// versions.
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
// A file, like a pipe, is read once, front to back, in constant memory; what is
// delivered are views into the read buffer, valid until the next read. gzip is
// recognised, also several members one after the other. Captures of the other
// byte order are turned around. Events of older schemas come out as the current
// ones (convert.txt says how), unless [Options].Raw.
//
// Damage costs as little as the format allows: an event that contradicts itself
// or that cannot be converted is counted in [Reader.Counts] and reading goes on.
package savefile
