// SPDX-License-Identifier: Apache-2.0

package release

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/internal/kmodbuild"
)

// source is a file of a driver.
type source struct {
	name string // relative to driver/
	text []byte
}

// moduleSources returns the files that modules are compiled from.
func moduleSources() (all []source, err error) {
	return readSources(driver.ModuleSource, kmodbuild.Sources())
}

// objectSources returns the files that the eBPF objects are compiled from.
func objectSources() ([]source, error) {
	shared, err := moduleSources()
	if err != nil {
		return nil, err
	}
	shared = slices.DeleteFunc(shared, func(s source) bool { return strings.HasPrefix(s.name, "kmod/") })
	names, err := fs.Glob(driver.ObjectSource, "bpf/*")
	if err != nil {
		return nil, err
	}
	own, err := readSources(driver.ObjectSource, names)
	return append(shared, own...), err
}

func readSources(from fs.FS, names []string) (all []source, err error) {
	for _, name := range names {
		text, err := fs.ReadFile(from, name)
		if err != nil {
			return nil, err
		}
		all = append(all, source{name, text})
	}
	return all, nil
}

// sumOf identifies sources: the digest of their names and contents.
func sumOf(all []source) string {
	h := sha256.New()
	for _, s := range all {
		fmt.Fprintln(h, s.name, len(s.text))
		h.Write(s.text)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// sameDrivers reports whether a checkout has the sources of the drivers, and the compiled objects, that are built into this program.
func sameDrivers(root string) bool {
	all, err := moduleSources()
	if err != nil {
		return false
	}
	more, err := objectSources()
	if err != nil {
		return false
	}
	all = append(all, more...)
	for arch, objects := range objectsOf {
		names, err := fs.Glob(objects, "*"+objectExt)
		if err != nil {
			return false
		}
		compiled, err := readSources(objects, names)
		if err != nil {
			return false
		}
		for _, s := range compiled {
			all = append(all, source{"bpf/" + arch + "/" + s.name, s.text})
		}
	}
	return !slices.ContainsFunc(all, func(s source) bool {
		got, err := os.ReadFile(filepath.Join(root, "driver", filepath.FromSlash(s.name)))
		return err != nil || !bytes.Equal(got, s.text)
	})
}
