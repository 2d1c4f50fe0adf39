// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"fmt"
	"slices"
	"strings"
)

// Status is the outcome of a cell.
type Status string

const (
	Pass Status = "pass"
	Fail Status = "fail"
	Skip Status = "skip"
)

// Classes of failure: the case was not carried through, or it ended or upset its machine.
const (
	ClassBoot    = "boot"    // the guest did not become ready
	ClassBuild   = "build"   // the kernel module did not compile
	ClassDriver  = "driver"  // the driver did not load or attach
	ClassCrash   = "crash"   // the guest died while the case ran
	ClassHang    = "hang"    // the guest stopped answering while the case ran
	ClassChannel = "channel" // what the guest sent was damaged
	ClassHarness = "harness" // the guest left a case out
	ClassKernel  = "kernel"  // the guest's kernel complained while the case ran, and went on
	ClassTimeout = "timeout" // the case took too long
	ClassSetup   = "setup"   // what the case needs could not be made or looked at
)

var broken = []string{ClassBoot, ClassBuild, ClassDriver, ClassCrash, ClassHang, ClassChannel, ClassHarness, ClassKernel, ClassTimeout, ClassSetup}

// Classes of failure: what a driver delivered differs from what the call did.
const (
	ClassTable   = "table"          // the case itself is wrong
	ClassGarbled = "garbled"        // an event's bytes are not what its header says
	ClassRefused = "refused"        // the kernel did not accept the event's program
	ClassENOSYS  = "enosys"         // the call exists and should not, or the reverse
	ClassMissing = "missing-event"  // an event that should have come did not
	ClassExtra   = "extra-event"    // an event came that should not have
	ClassParam   = "param"          // a value is not the wanted one
	ClassDiffer  = "drivers-differ" // the drivers delivered different events
)

// differences has the gravest first.
var differences = []string{ClassTable, ClassGarbled, ClassRefused, ClassENOSYS, ClassMissing, ClassExtra, ClassParam, ClassDiffer}

// Broke reports whether a failure of the class is not a difference: the case was not
// carried through, or it ended or upset its machine.
func Broke(class string) bool { return slices.Contains(broken, class) }

// Upset reports whether a failure of the class is that the case ended or upset its machine.
func Upset(class string) bool {
	return slices.Contains([]string{ClassCrash, ClassHang, ClassKernel}, class)
}

// Classes returns all classes.
func Classes() []string { return slices.Concat(broken, differences) }

// Verdict is what the host says of one case.
type Verdict struct {
	Status Status
	Class  string // of a failure: the kind of difference
	Reason string // of a failure or skip, in words; the first line says most
	Params []Param
	Missed string // of a scenario that passes: what the driver does not show, as the table says, and why

	Conformance Conformance // of somebody else's driver
	Console     string      // of a failure that Reason does not quote it for: the end of what the kernel said while the case ran
}

// Conformance says how a driver of others did in a case.
type Conformance string

const (
	Equal  Conformance = "equal"  // all that it has is as wanted
	Listed Conformance = "listed" // it differs as the table says that the reference does
	Defect Conformance = "defect" // it differs otherwise
)

// Param compares one parameter of an event.
type Param struct {
	Name string `json:"name"`
	Want string `json:"want"`
	Got  string `json:"got"`
	OK   bool   `json:"ok"`

	// Differs is the table's text that lists the difference of somebody else's driver.
	Differs string `json:"differs,omitempty"`
}

// Lengths in bytes of what a reason quotes.
const (
	briefValue = 300
	briefEvent = 1000
)

// Brief returns a text for a line: the first n bytes and the length of a longer one.
func Brief(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return fmt.Sprintf("%s... (%d bytes)", strings.ToValidUTF8(text[:n], ""), len(text))
}
