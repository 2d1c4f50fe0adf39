// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/internal/kver"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
)

// kernelList stands in the place of a case's name in failures that are about what the kernel lists.
const kernelList = "as-the-kernel-lists-it"

// compareCalls reports, once for each kernel, the calls that the kernel lists and the table lacks or has with another number
// of arguments.
func (r *Report) compareCalls(k Kernel, drivers guest.Drivers, h *guest.Hello) {
	for other := range r.guests {
		if other.Kernel == k.Name && other.Drivers != drivers {
			return
		}
	}
	for _, f := range wrongCalls(h, k.Arch) {
		r.addResult(k, drivers, f.call+"/"+kernelList, nil, judge.Verdict{Status: judge.Fail, Class: judge.ClassTable, Reason: f.reason})
	}
}

type wrongCall struct{ call, reason string }

// wrongCalls compares the kernel's list of calls with the table.
func wrongCalls(h *guest.Hello, arch string) (wrong []wrongCall) {
	release, err := kver.Parse(h.Release)
	if err != nil {
		return nil
	}
	names := map[string]string{} // of calls, by the kernel's symbol
	known := map[string]bool{}
	for _, id := range driver.IDs() {
		known[id.Name] = true
		if id.Symbol != "" {
			names[id.Symbol] = id.Name
		}
	}
	for _, c := range h.Calls {
		name := c.Symbol
		if other := names[name]; other != "" {
			name = other
		}
		s := guest.FindSyscall(name)
		switch {
		case s == nil && !known[name]:
			wrong = append(wrong, wrongCall{name, fmt.Sprintf("kernel %s has the call %s with %d arguments, the table lacks it", h.Release, name, c.Args)})
		case s == nil: // without an entry, its events are generic
		case c.Args != s.Args(release):
			wrong = append(wrong, wrongCall{name, fmt.Sprintf("kernel %s has %s with %d arguments, the table with %d (signature, or grown)", h.Release, name, c.Args, s.Args(release))})
		}
	}
	slices.SortFunc(wrong, func(a, b wrongCall) int { return cmp.Compare(a.call, b.call) })
	return wrong
}
