// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/cilium/ebpf"
)

// Core is the object that the others depend on: it has the dispatchers and all maps.
const Core = "core"

// Clang is the version of the compiler that made the objects.
const Clang = "19"

// Names returns the names of this architecture's objects; none if it has no eBPF driver.
func Names() []string {
	files, _ := fs.Glob(objects, "*.o") // the pattern is good
	for i := range files {
		files[i] = strings.TrimSuffix(files[i], ".o")
	}
	return files
}

// Object returns the bytes of a compiled object of this architecture.
func Object(name string) ([]byte, error) {
	if !haveObjects {
		return nil, fmt.Errorf("no eBPF programs for %s: %w", runtime.GOARCH, ebpf.ErrNotSupported)
	}
	return objects.ReadFile(name + ".o")
}

// Load parses an object of this architecture.
func Load(name string) (*ebpf.CollectionSpec, error) { return LoadFrom("", name) }

// LoadFrom parses an object of a directory, or, if that is "", the object of this architecture.
func LoadFrom(dir, name string) (*ebpf.CollectionSpec, error) {
	var text []byte
	var err error
	if dir == "" {
		text, err = Object(name)
	} else {
		text, err = os.ReadFile(filepath.Join(dir, name+".o"))
	}
	if err != nil {
		return nil, err
	}
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("object %s: %w", name, err)
	}
	return spec, nil
}
