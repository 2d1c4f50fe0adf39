// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/scaplab/scaplab/driver/bpf"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/machine"
	"github.com/scaplab/scaplab/vmtest/machine/machineexec"
	"github.com/scaplab/scaplab/vmtest/session"
)

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

// VerifyCommand is the command that measures in a machine: `bpf load` of the program that is its init prints JSON.
func VerifyCommand(objects string) []string {
	args := []string{"/init", "bpf", "load", "--json"}
	if objects != "" {
		args = append(args, "--objects", objects)
	}
	return args
}

// Verify measures the eBPF programs in a machine of a kernel. objects is a directory with objects that clang compiled in
// another version; "" measures those of the machine's init, of [bpf.Clang].
func Verify(ctx context.Context, machines *machineexec.Machines, kernel, arch, objects, clang string) ([]Verifier, error) {
	const inside = "/objects"
	var out, complaints bytes.Buffer
	c := machineexec.Command{Args: VerifyCommand(""), Stdout: &out, Stderr: &complaints}
	if objects != "" {
		c.Args = VerifyCommand(inside)
		c.In = []machineexec.Copy{{From: objects, To: inside}}
	}
	err := machines.Run(ctx, &c)
	if errors.As(err, new(*machineexec.ExitError)) {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(complaints.String()))
	}
	if err != nil {
		return nil, err
	}
	var list []Verifier
	if err := json.Unmarshal(out.Bytes(), &list); err != nil {
		return nil, fmt.Errorf("measurements of %s: %w", kernel, err)
	}
	for i := range list {
		list[i].Kernel, list[i].Arch, list[i].Clang = kernel, arch, cmp.Or(clang, bpf.Clang)
	}
	return list, nil
}

// addVerifier measures on one kernel. If that fails, the error takes the place of the numbers.
func (r *Report) addVerifier(ctx context.Context, k Kernel, config machine.Config, o *Options) error {
	config.Arguments = append(slices.Clone(config.Arguments), guest.CommandArgument)
	launcher := &session.Machines{Config: config, Kernel: k.Name, BootLimit: o.BootLimit, Log: o.Log, Console: o.Console}
	list, err := Verify(ctx, machineexec.Of(launcher, o.Cache), k.Name, k.Arch, "", "")
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		list = []Verifier{{Kernel: k.Name, Arch: k.Arch, Clang: bpf.Clang, Error: err.Error()}}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Verifier = append(r.Verifier, list...)
	return nil
}

// writeVerifier prints, for each kernel, a summary and what was refused.
func (r *Report) writeVerifier(w io.Writer) {
	if len(r.Verifier) == 0 {
		return
	}
	fmt.Fprintln(w, "\nThe verifier's work:")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "  kernel\tprograms\trefused\tmost instructions processed\tpeak states\tstack\tseconds\t")
	for _, kernel := range r.Kernels {
		var n, refused, stack, peak int
		var seconds float64
		var most Verifier
		for _, v := range r.Verifier {
			if v.Kernel != kernel {
				continue
			}
			n++
			if v.Error != "" {
				refused++
			}
			if v.Processed > most.Processed {
				most = v
			}
			stack, peak, seconds = max(stack, v.Stack), max(peak, v.PeakStates), seconds+v.Seconds
		}
		if n > 0 {
			fmt.Fprintf(t, "  %s\t%d\t%d\t%d (%s)\t%d\t%d\t%.1f\t\n", kernel, n, refused, most.Processed, most.Program, peak, stack, seconds)
		}
	}
	_ = t.Flush() // to memory
	for _, v := range r.Verifier {
		if v.Error != "" {
			fmt.Fprintf(w, "  %s: %s: %s\n", v.Kernel, cmp.Or(v.Program, "not measured"), firstLine(v.Error))
		}
	}
}
