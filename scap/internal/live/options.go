// SPDX-License-Identifier: Apache-2.0

package live

import (
	"errors"
	"fmt"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/scap"
)

// Problems collects everything that is wrong with options.
type Problems []error

// Add adds a problem.
func (p *Problems) Add(format string, args ...any) {
	*p = append(*p, fmt.Errorf("options: "+format, args...))
}

// Err returns all problems as one error; nil if there are none.
func (p Problems) Err() error { return errors.Join(p...) }

// Complete checks the options that all drivers have in common, and sets defaults.
func Complete(sel scap.Selection, set *scap.Settings, p *Problems) {
	if !sel.All && len(sel.Syscalls) == 0 && len(sel.Tracepoints) == 0 {
		p.Add("nothing is selected (set All, Syscalls or Tracepoints)")
	}
	if sel.All && len(sel.Syscalls) > 0 {
		p.Add("All and Syscalls exclude each other")
	}
	if set.Snaplen < 0 || set.Snaplen > driver.SnaplenMax {
		p.Add("Snaplen %d is not within 0 and %d", set.Snaplen, driver.SnaplenMax)
	}
	if set.Snaplen == 0 {
		set.Snaplen = driver.SnaplenDefault
	}
	if set.FullPorts[0] > set.FullPorts[1] {
		p.Add("FullPorts: the first port %d is above the last %d", set.FullPorts[0], set.FullPorts[1])
	}
	if set.FullPorts != [2]uint16{} && !set.DynamicSnaplen {
		p.Add("FullPorts needs DynamicSnaplen")
	}
	if set.Timeout == 0 {
		set.Timeout = scap.DefaultTimeout
	}
}
