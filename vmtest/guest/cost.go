// SPDX-License-Identifier: Apache-2.0

package guest

// Cost is the time of calls while a driver captures.
type Cost struct {
	Driver Driver     `json:"driver"` // "": no driver
	Error  string     `json:"error,omitempty"`
	Calls  []CallCost `json:"calls,omitempty"`
}

// CallCost is the time of one call, in ns of the machine's clock.
type CallCost struct {
	Name string  `json:"name"`
	NS   float64 `json:"ns"`
}

// CostArgument on a kernel's command line makes the guest send a KindCost without a
// driver and for each driver, and power off.
const CostArgument = "scaplab_cost=1"
