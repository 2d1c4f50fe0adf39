// SPDX-License-Identifier: Apache-2.0

// Command bpfobjects compiles each *.bpf.c of the current directory into
// ARCH/NAME.o, for every architecture that has an eBPF driver, and removes
// objects whose source is gone.
package main

import (
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/scaplab/scaplab/driver/bpf"
)

// arches maps each GOARCH to clang's name of the architecture.
var arches = map[string]string{"amd64": "x86", "arm64": "arm64"}

// flags of clang. Paths in an object are relative, so that every checkout gives the
// same bytes. The verifier shows lines but not columns.
var flags = []string{
	"-target", "bpfel", "-mcpu=v3", "-O2", "-g", "-gno-column-info", "-fdebug-compilation-dir=.", "-Wall", "-Werror",
}

// version of clang and of the other programs of LLVM.
var version = bpf.Clang

// dropped are sections that no loader reads; .rel.BTF.ext alone is 3 bytes in 10.
var dropped = []string{"--remove-section=.rel.BTF.ext", "--remove-section=.llvm_addrsig"}

func main() {
	out := flag.String("o", ".", "`directory` of the output")
	flag.StringVar(&version, "clang", version, "`version` of clang; only objects of the default one are committed")
	flag.Parse()
	if err := compileAll(*out); err != nil {
		fmt.Fprintln(os.Stderr, "bpfobjects:", err)
		os.Exit(1)
	}
}

func compileAll(out string) error {
	sources, err := filepath.Glob("*.bpf.c")
	if err != nil || len(sources) == 0 {
		return fmt.Errorf("no *.bpf.c here: %w", errors.Join(err, os.ErrNotExist))
	}
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		errs  []error
		slots = make(chan struct{}, runtime.NumCPU())
	)
	for arch := range arches {
		dir := filepath.Join(out, arch)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		var objects []string
		for _, source := range sources {
			name, _, _ := strings.Cut(source, ".")
			object := filepath.Join(dir, strings.TrimSuffix(name, "_gen")+".o")
			objects = append(objects, object)
			group.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				if err := compile(source, object, arch); err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, fmt.Errorf("%s for %s: %w", source, arch, err))
				}
			})
		}
		if err := removeOthers(dir, objects); err != nil {
			return err
		}
	}
	group.Wait()
	return errors.Join(errs...)
}

func compile(source, object, arch string) error {
	args := append(slices.Clone(flags), "-D__TARGET_ARCH_"+arches[arch], "-c", source, "-o", object)
	if err := run("clang-"+version, args...); err != nil {
		return err
	}
	if err := run("llvm-objcopy-"+version, append([]string{"--strip-debug"}, append(slices.Clone(dropped), object)...)...); err != nil {
		return err
	}
	return noStatic(object)
}

// noStatic returns an error for static functions that are not inlined: the verifier
// checks them again at each call. See SUBPROGRAM in object.h.
func noStatic(object string) error {
	f, err := elf.Open(object)
	if err != nil {
		return err
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		return err
	}
	for _, s := range symbols {
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC && elf.ST_BIND(s.Info) == elf.STB_LOCAL {
			return fmt.Errorf("%s is called but not global here (object.h says which objects have it)", s.Name)
		}
	}
	return nil
}

func run(tool string, args ...string) error {
	if text, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", tool, err, text)
	}
	return nil
}

func removeOthers(dir string, objects []string) error {
	there, err := filepath.Glob(filepath.Join(dir, "*.o"))
	if err != nil {
		return err
	}
	for _, object := range there {
		if slices.Contains(objects, object) {
			continue
		}
		if err := os.Remove(object); err != nil {
			return err
		}
	}
	return nil
}
