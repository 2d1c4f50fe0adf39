// SPDX-License-Identifier: Apache-2.0

package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/vmtest"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
	"github.com/scaplab/scaplab/vmtest/machine"
)

// loadTestCases are the syscalls whose cases drivers must pass to count as load-tested: one of each way into them.
var loadTestCases = []string{"openat", "close", "read", "connect", "execve", "clone", "getppid"}

// drivers returns those whose verdicts are wanted.
func (r *run) drivers() []guest.Drivers {
	switch {
	case r.Modules && r.Objects:
		return []guest.Drivers{guest.OnlyEBPF, guest.OnlyKmod, guest.Both}
	case r.Modules:
		return []guest.Drivers{guest.OnlyKmod}
	}
	return []guest.Drivers{guest.OnlyEBPF}
}

// test loads the module as it is released, and every eBPF program, in a machine of the kernel, and runs some cases. The log has
// the verdicts and what the kernel said. The error is an [env.Error] if this machine lacks what that takes.
func (r *run) test(ctx context.Context, s Subject, module []byte) (tests []Test, log []byte, err error) {
	if s.Image == "" {
		return nil, nil, &env.Error{What: "there is no image of this kernel", Fix: "name it with --kernel FILE"}
	}
	o := s.Machine
	if o.Guest == "" {
		return nil, nil, &env.Error{What: "there is no program that tests drivers on " + s.Arch, Fix: "give it with --guest"}
	}
	k := vmtest.Kernel{Kernel: s.Kernel}
	if module != nil {
		k.Module = filepath.Join(r.tmp, "scap.ko")
		if err := os.WriteFile(k.Module, module, 0o644); err != nil {
			return nil, nil, err
		}
	}
	if r.Objects {
		if err := hasObjects(o.Guest, s.Arch); err != nil {
			return nil, nil, err
		}
	}
	var console, text bytes.Buffer
	o.Kernels, o.Gone, o.Drivers, o.Arch = []vmtest.Kernel{k}, nil, r.drivers(), s.Arch
	o.Cases, o.Verifier = guest.IDs(loadTestCases...), r.Objects
	o.Begun = time.Now() // not when the first kernel's module was built
	o.Console, o.Jobs, o.NoSnapshots, o.Progress, o.Save = &console, 1, true, nil, nil
	rep, err := vmtest.Run(ctx, o)
	if err != nil {
		return nil, []byte(err.Error() + "\n" + console.String()), err
	}
	if err := rep.WriteText(&text); err != nil {
		return nil, nil, err
	}
	fmt.Fprintf(&text, "\nconsole:\n%s", console.Bytes())
	tests, err = verdicts(rep, o.Drivers)
	if line := machine.Complaint(console.String()); err == nil && line != "" {
		err = fmt.Errorf("the kernel complained: %s", line)
	}
	return tests, text.Bytes(), err
}

// verdicts sums the results up. The error is about what failed.
func verdicts(rep *vmtest.Report, drivers []guest.Drivers) (tests []Test, err error) {
	if failures := rep.Failures(); len(failures) > 0 {
		return nil, fmt.Errorf("%d of %d cases failed, the first is %s: %s", len(failures), len(rep.Results), failures[0].Cell(), failures[0].Reason)
	}
	for _, d := range drivers {
		t := Test{Driver: d.String(), Verdict: Passed}
		reason := "there are none"
		for _, x := range rep.Results {
			switch {
			case x.Drivers != d:
			case x.Status == judge.Pass:
				t.Cases++
				t.Passed++
			default:
				reason = x.Reason
			}
		}
		if t.Passed == 0 {
			return nil, fmt.Errorf("no case of driver %s was run: %s", d, reason)
		}
		if d == guest.OnlyEBPF {
			for _, v := range rep.Verifier {
				if v.Error != "" {
					return nil, fmt.Errorf("eBPF program %s is refused: %s", v.Program, v.Error)
				}
				t.Programs++
			}
			if t.Programs == 0 {
				return nil, errors.New("no eBPF program was loaded")
			}
		}
		tests = append(tests, t)
	}
	return tests, nil
}

// hasObjects returns an error unless the program that loads the objects in machines has the same ones as this program.
func hasObjects(program, arch string) error {
	text, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	objects, ok := objectsOf[arch]
	if !ok {
		return fmt.Errorf("there are no eBPF objects for %s", arch)
	}
	return fs.WalkDir(objects, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		object, err := objects.ReadFile(name)
		if err == nil && !bytes.Contains(text, object) {
			err = fmt.Errorf("%s, which would load the eBPF objects in the machine, has another %s than this program: they are of different sources", program, name)
		}
		return err
	})
}
