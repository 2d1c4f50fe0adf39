// SPDX-License-Identifier: Apache-2.0

package guest

// Cost is what calls take while a driver captures.
type Cost struct {
	Driver Driver     `json:"driver"` // "": none captures
	Error  string     `json:"error,omitempty"`
	Calls  []CallCost `json:"calls,omitempty"`
}

// CallCost is the time of one call, in ns of the machine's clock.
type CallCost struct {
	Name string  `json:"name"`
	NS   float64 `json:"ns"`
}

// CostArgument on a kernel's command line makes the guest send what calls cost
// with each of its drivers, a KindCost after the other, and power off.
const CostArgument = "scaplab_cost=1"
