// SPDX-License-Identifier: Apache-2.0

package judge

// Status is the outcome of a cell.
type Status string

const (
	Pass Status = "pass"
	Fail Status = "fail"
	Skip Status = "skip"
)

// Classes of failure that the harness itself finds. The comparison of wants
// with what came has its own.
const (
	ClassBoot    = "boot"    // the guest did not become ready
	ClassBuild   = "build"   // the kernel module did not compile
	ClassDriver  = "driver"  // the driver did not load or attach
	ClassCrash   = "crash"   // the guest died while the case ran
	ClassHang    = "hang"    // the guest stopped answering while the case ran
	ClassChannel = "channel" // what the guest sent was damaged
	ClassHarness = "harness" // the guest left a case out
	ClassKernel  = "kernel"  // the guest's kernel complained while the case ran, and went on
)

// Broke reports whether a failure of a class is that a case could not be carried through, or
// ended its machine: what the drivers say of the call was not compared, or is of no weight.
func Broke(class string) bool {
	switch class {
	case ClassBoot, ClassBuild, ClassDriver, ClassCrash, ClassHang, ClassChannel, ClassHarness, ClassKernel, ClassTimeout, ClassSetup:
		return true
	}
	return false
}

// Verdict is what the host says of one case.
type Verdict struct {
	Status Status
	Class  string // of a failure: the kind of difference
	Reason string // of a failure or skip, in words; the first line says most
	Params []Param
}

// Param compares one parameter of an event.
type Param struct {
	Name string `json:"name"`
	Want string `json:"want"`
	Got  string `json:"got"`
	OK   bool   `json:"ok"`
}
