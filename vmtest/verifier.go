// SPDX-License-Identifier: Apache-2.0

package vmtest

// Verifier is how much work an eBPF program is for a kernel's verifier. A number that the kernel does not report is 0.
type Verifier struct {
	Kernel       string  `json:"kernel"`
	Arch         string  `json:"arch"`
	Program      string  `json:"program"` // "" if none could be measured; see Error
	Clang        string  `json:"clang"`   // version that compiled it
	Instructions int     `json:"instructions"`
	Processed    int     `json:"processed"` // instructions, on all paths
	States       int     `json:"states"`
	PeakStates   int     `json:"peak_states"`
	Stack        int     `json:"stack"`   // bytes, of all functions of the program
	Seconds      float64 `json:"seconds"` // that the verifier took, in the machine
	Error        string  `json:"error,omitempty"`
}
