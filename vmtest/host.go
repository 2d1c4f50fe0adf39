// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"cmp"
	"context"
	"errors"
	"os"
	"runtime"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/machine"
	"github.com/scaplab/scaplab/vmtest/session"
)

// HostKernel is the name of the running kernel in reports.
const HostKernel = "host"

// RunHost runs the cases on the running kernel, in a child process. It skips cases that
// would change the machine.
func RunHost(ctx context.Context, o Options) (*Report, error) {
	o.Cache = cmp.Or(o.Cache, os.TempDir()) // no state is kept
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	if runtime.GOOS != "linux" {
		return nil, env.Lacks("this is not a Linux kernel: "+runtime.GOOS, "use scaplab matrix")
	}
	for _, check := range []func() error{env.MayLoadPrograms, env.HasBTF} {
		if lack, ok := errors.AsType[*env.Error](check()); ok {
			return nil, env.Lacks("no eBPF programs can be loaded here: "+lack.What, lack.Fix)
		}
	}
	k := Kernel{Kernel: kernels.Kernel{Name: HostKernel, Arch: runtime.GOARCH}}
	o.Kernels, o.Gone, o.Jobs = []Kernel{k}, nil, 1
	return o.reported(func(rep *Report, pieces []piece) error {
		rep.setAccel(machine.Accel{Name: "none", Reason: "the running kernel"})
		for _, p := range pieces {
			l := &session.Process{Program: o.Guest, Env: guest.Environ(), Limit: o.BootLimit, Log: o.Console}
			if err := o.runPiece(ctx, rep, k, p, l); err != nil {
				return err
			}
		}
		return nil
	})
}
