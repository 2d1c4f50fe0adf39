// SPDX-License-Identifier: Apache-2.0

package vmtest

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

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/vmtest/guest"
)

// Check is one thing the workbench uses.
type Check struct {
	Name   string // what is looked at
	Use    string // what it is for
	OK     bool
	Needed bool // matrix does not work without it
	Detail string
	Fix    string // how to get it
}

// Doctor looks at everything the workbench uses. mirror is as in Store.
func Doctor(ctx context.Context, mirror string) []Check {
	checks := []Check{checkSelf(), checkQEMU(ctx)}
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
func checkErr(c Check, err error) Check {
	if err == nil {
		c.OK = true
		return c
	}
	c.Detail = firstLine(err.Error())
	var env *env.Error
	if errors.As(err, &env) {
		c.Detail, c.Fix = env.What, cmp.Or(env.Fix, c.Fix)
	}
	return c
}

func checkSelf() Check {
	c := Check{Name: "this program", Use: "matrix: it is the guest's init", Needed: true, Fix: "build it with CGO_ENABLED=0"}
	exe, err := os.Executable()
	if err != nil {
		return checkErr(c, err)
	}
	b, err := os.ReadFile(exe)
	if err != nil {
		return checkErr(c, err)
	}
	c.Detail = fmt.Sprintf("static, %d syscalls in its table", len(guest.Syscalls))
	if len(guest.Syscalls) == 0 {
		c.Fix = "run scaplab gen, then build again"
		return checkErr(c, errors.New("has no cases"))
	}
	return checkErr(c, checkStatic(b))
}

func checkQEMU(ctx context.Context) Check {
	c := Check{Name: "qemu", Use: "matrix, repro", Needed: true}
	p, err := FindQEMU(runtime.GOARCH)
	if err != nil {
		return checkErr(c, err)
	}
	out, err := exec.CommandContext(ctx, p, "--version").Output()
	c.Detail = p + ": " + firstLine(string(out))
	return checkErr(c, err)
}

func checkKVM() Check {
	c := Check{Name: "kvm", Use: "faster guests", Fix: "not needed: guests are emulated, at some 2 s a boot"}
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return checkErr(c, err)
	}
	f.Close()
	c.Detail = "/dev/kvm opens; matrix finds out whether it runs a guest"
	if cache, err := env.CacheDir(); err == nil {
		if kept, ok := keptAccel(cache, runtime.GOARCH); ok {
			c.Detail = "tried: " + kept.String()
			c.OK = kept.Name == string(accelKVM)
			return c
		}
	}
	c.OK = true
	return c
}

func checkCache() Check {
	c := Check{Name: "cache", Use: "kernels, snapshots", Needed: true}
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

func checkMirror(ctx context.Context, mirror string) Check {
	c := Check{Name: "kernel packages", Use: "matrix, kernels fetch"}
	m, err := (&kernels.Store{Mirror: mirror}).FindMirror(ctx)
	if err == nil {
		c.Detail = fmt.Sprintf("%s and %s, keys in %s", m.Main, m.Security, m.Keyring)
	}
	return checkErr(c, err)
}

func checkKernels() Check {
	c := Check{Name: "kernels", Use: "matrix", Fix: "matrix fetches them; or: scaplab kernels fetch"}
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

func checkBTF() Check {
	c := Check{Name: "btf", Use: "host, scap record", Detail: "/sys/kernel/btf/vmlinux", Fix: "needs a kernel with CONFIG_DEBUG_INFO_BTF"}
	_, err := os.Stat("/sys/kernel/btf/vmlinux")
	return checkErr(c, err)
}

func checkRights() Check {
	c := Check{Name: "rights", Use: "host, scap record", Detail: "may load programs", Fix: "run those with sudo"}
	return checkErr(c, mayLoadPrograms())
}

func checkTool(ctx context.Context, name, use, fix string) Check {
	c := Check{Name: name, Use: use, Fix: fix}
	p, err := exec.LookPath(name)
	if err != nil {
		return checkErr(c, errors.New("not installed"))
	}
	out, err := exec.CommandContext(ctx, p, "--version").Output()
	c.Detail = firstLine(strings.TrimSpace(string(out)))
	return checkErr(c, err)
}
