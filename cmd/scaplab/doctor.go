// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/machine"
)

func newDoctorCmd() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine lacks and how to get it",
		Long: "Doctor looks at everything the other commands use. The exit status is 3 when\n" +
			"something that matrix needs is missing; what only others use is told, too.",
		Example: "  scaplab doctor",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			checks := diagnose(cmd.Context(), f.mirror)
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			missing := 0
			for _, c := range checks {
				state := "ok"
				switch {
				case !c.OK && c.Needed:
					state = "MISSING"
					missing++
				case !c.OK:
					state = "absent"
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", state, c.Name, c.Use, c.Detail)
				if !c.OK && c.Fix != "" {
					fmt.Fprintf(t, "\t\t\t-> %s\n", c.Fix)
				}
			}
			if err := t.Flush(); err != nil {
				return cli.Lacking(err)
			}
			if missing > 0 {
				return cli.Lacking(fmt.Errorf("%d things that matrix needs are missing", missing))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&f.mirror, "mirror", "", "Debian archive to look at, URI[,SECURITY-URI]; default is the one apt is set up for")
	return cmd
}

// diagnosis is what doctor says of one thing that the workbench uses.
type diagnosis struct {
	Name   string // what is looked at
	Use    string // what it is for
	OK     bool
	Needed bool // matrix does not work without it
	Detail string
	Fix    string // how to get it
}

// diagnose looks at everything the workbench uses. mirror is as in kernels.Store.
func diagnose(ctx context.Context, mirror string) []diagnosis {
	checks := []diagnosis{checkSelf(), checkQEMU(ctx)}
	checks = append(checks, checkKVM(), checkCache(), checkMirror(ctx, mirror))
	checks = append(checks, checkKernels(), checkBTF(), checkRights())
	for _, tool := range [][3]string{
		{"clang-19", "build bpf", "install clang-19"},
		{"llvm-strip-19", "build bpf", "install llvm-19"},
	} {
		checks = append(checks, checkTool(ctx, tool[0], tool[1], tool[2]))
	}
	return checks
}

// checkErr fills a check from an error.
func checkErr(c diagnosis, err error) diagnosis {
	if err == nil {
		c.OK = true
		return c
	}
	c.Detail = firstLine(err.Error())
	if lack, ok := errors.AsType[*env.Error](err); ok {
		c.Detail, c.Fix = lack.What, cmp.Or(lack.Fix, c.Fix)
	}
	return c
}

func checkSelf() diagnosis {
	exe, err := os.Executable()
	if err != nil {
		return checkErr(diagnosis{Name: guestName, Use: guestUse, Needed: true}, err)
	}
	program, err := os.ReadFile(exe)
	if err != nil {
		return checkErr(diagnosis{Name: guestName, Use: guestUse, Needed: true}, err)
	}
	return checkGuest(program)
}

const (
	guestName = "this program"
	guestUse  = "matrix: it is the guest's init"
)

// checkGuest says whether matrix has an init for its guests: this program, or one
// that it builds because this one needs libraries, as findGuest does.
func checkGuest(program []byte) diagnosis {
	c := diagnosis{Name: guestName, Use: guestUse, Needed: true, Fix: "build it with CGO_ENABLED=0, or run it in the project's source, with Go installed"}
	if len(guest.Syscalls()) == 0 {
		c.Fix = "run scaplab gen, then build again"
		return checkErr(c, errors.New("has no cases"))
	}
	cases := fmt.Sprintf("%d syscalls in its table", len(guest.Syscalls()))
	static := machine.CheckStatic(program)
	if static == nil {
		c.OK, c.Detail = true, "static, "+cases
		return c
	}
	root, goTool, err := guestSource()
	if err != nil {
		return checkErr(c, fmt.Errorf("%w, and no other can be built: %w", static, err))
	}
	c.OK, c.Detail = true, fmt.Sprintf("needs libraries, so matrix builds a static one from %s with %s; %s", root, goTool, cases)
	return c
}

func checkQEMU(ctx context.Context) diagnosis {
	c := diagnosis{Name: "qemu", Use: "matrix, repro", Needed: true}
	p, err := machine.FindQEMU(runtime.GOARCH)
	if err != nil {
		return checkErr(c, err)
	}
	out, err := exec.CommandContext(ctx, p, "--version").Output()
	c.Detail = p + ": " + firstLine(string(out))
	return checkErr(c, err)
}

func checkKVM() diagnosis {
	c := diagnosis{Name: "kvm", Use: "faster guests", Fix: "not needed: guests are emulated, at some 2 s a boot"}
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return checkErr(c, err)
	}
	f.Close()
	c.Detail = "/dev/kvm opens; matrix finds out whether it runs a guest"
	if cache, err := env.CacheDir(); err == nil {
		if kept, ok := machine.KeptAccel(cache, runtime.GOARCH); ok {
			c.Detail = "tried: " + kept.String()
			c.OK = kept.Name == machine.KVM
			return c
		}
	}
	c.OK = true
	return c
}

func checkCache() diagnosis {
	c := diagnosis{Name: "cache", Use: "kernels, snapshots", Needed: true}
	dir, err := env.CacheDir()
	if err != nil {
		return checkErr(c, err)
	}
	var size int64
	_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil {
			return nil // a file that has just gone
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
		return nil
	})
	c.Detail = fmt.Sprintf("%s, %d MB", dir, size>>20)
	f, err := os.CreateTemp(dir, ".tmp-*")
	if err == nil {
		f.Close()
		err = os.Remove(f.Name())
	}
	return checkErr(c, err)
}

func checkMirror(ctx context.Context, mirror string) diagnosis {
	c := diagnosis{Name: "kernel packages", Use: "matrix, kernels fetch"}
	m, err := (&kernels.Store{Mirror: mirror}).FindMirror(ctx)
	if err == nil {
		c.Detail = fmt.Sprintf("%s and %s, keys in %s", m.Main, m.Security, m.Keyring)
	}
	return checkErr(c, err)
}

func checkKernels() diagnosis {
	c := diagnosis{Name: "kernels", Use: "matrix", Fix: "matrix fetches them; or: scaplab kernels fetch"}
	catalog, err := kernels.LoadCatalog()
	if err != nil {
		return checkErr(c, err)
	}
	list, err := (&kernels.Store{Catalog: catalog}).List()
	if err != nil {
		return checkErr(c, err)
	}
	var have []string
	for _, k := range list {
		if k.Kernel != nil {
			have = append(have, k.Series)
		}
	}
	if len(have) == 0 {
		return checkErr(c, errors.New("none fetched yet"))
	}
	c.OK, c.Detail = true, "fetched: "+strings.Join(have, ", ")
	return c
}

func checkBTF() diagnosis {
	return checkErr(diagnosis{Name: "btf", Use: "host, scap record", Detail: env.BTFFile}, env.HasBTF())
}

func checkRights() diagnosis {
	return checkErr(diagnosis{Name: "rights", Use: "host, scap record", Detail: "may load programs"}, env.MayLoadPrograms())
}

func checkTool(ctx context.Context, name, use, fix string) diagnosis {
	c := diagnosis{Name: name, Use: use, Fix: fix}
	p, err := exec.LookPath(name)
	if err != nil {
		return checkErr(c, errors.New("not installed"))
	}
	out, err := exec.CommandContext(ctx, p, "--version").Output()
	c.Detail = firstLine(strings.TrimSpace(string(out)))
	return checkErr(c, err)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
