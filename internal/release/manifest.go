// SPDX-License-Identifier: Apache-2.0

// Package release makes the directory of a release: kernel modules and eBPF objects for many kernels, each loaded in exactly
// its kernel, with what they were made of, checksums, provenance and signatures. docs/releases.md describes the directory.
//
// The files depend on the sources, the kernels, the compiler and this program alone: built again elsewhere they have the same
// bytes. So no file has a time or a path of the machine; what differs from run to run, the logs of load tests, is in LogDir, which no
// checksum covers.
package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/kmodbuild"
)

// Files of a release, by their paths in its directory.
const (
	ManifestFile   = "manifest.json"
	SBOMFile       = "sbom.cdx.json"
	ProvenanceFile = "provenance.intoto.json"
	SumsFile       = "SHA256SUMS"      // of every file but itself, signatures and logs
	Minisig        = ".minisig"        // appended to the name of a signed file
	ObjectDir      = "bpf"             // with a directory for each architecture (GOARCH)
	LogDir         = "load-tests"      // for people
	format         = 1                 // of the manifest
	moduleExt      = ".ko"             // of modules
	objectExt      = ".o"              // of eBPF objects
	goModule       = "scaplab/scaplab" // as in go.mod, below github.com
	home           = "https://github.com/" + goModule
)

// Manifest says what is in a release and what it was made of.
type Manifest struct {
	Format   int      `json:"format"`
	Driver   string   `json:"driver"`                  // the first part of the modules' names
	Version  string   `json:"version"`                 // of the project
	Revision string   `json:"revision"`                // of the source, in git; +modified when it was changed; unknown
	Speaks   []Speaks `json:"speaks"`                  // what the drivers can speak; the first by default
	Source   string   `json:"source_sha256,omitempty"` // of the modules' C files, as kmodbuild.SourceSum
	SignedBy string   `json:"signed_by,omitempty"`     // SHA-256 of the certificate (DER) that verifies the modules; "": they are not signed
	Clang    string   `json:"clang,omitempty"`         // version that compiled the objects
	// ObjectSource is the digest of the objects' C files.
	ObjectSource string   `json:"object_source_sha256,omitempty"`
	Objects      []Object `json:"objects,omitempty"`
	Kernels      []Kernel `json:"kernels"`
}

// Speaks is a version of the driver API with its version of the event schema.
type Speaks struct {
	API    string `json:"api"`
	Schema string `json:"schema"`
}

// Object is a file of eBPF programs. It is for all kernels of its architecture.
type Object struct {
	File   string `json:"file"`
	Arch   string `json:"arch"` // GOARCH
	SHA256 string `json:"sha256"`
}

// Kernel is a kernel that the release is for.
type Kernel struct {
	Series  string          `json:"series,omitempty"` // of the catalog; "" if the kernel was given by file
	Release string          `json:"release"`          // uname -r
	Version string          `json:"version"`          // uname -v
	Arch    string          `json:"arch"`             // GOARCH
	Target  string          `json:"target"`           // the distribution, as falcoctl calls it
	Package kernels.Package `json:"package,omitzero"` // with the image
	Image   string          `json:"image_sha256,omitempty"`
	Config  string          `json:"config_sha256,omitempty"` // of the text of its configuration; "" if nothing has it
	Module  *Module         `json:"module,omitempty"`
	Tests   []Test          `json:"tests"`
}

// Module is the kernel module for one kernel.
type Module struct {
	File      string           `json:"file"`
	SHA256    string           `json:"sha256"`          // of the file
	Unsigned  string           `json:"unsigned_sha256"` // of the file without a signature
	Inputs    kmodbuild.Inputs `json:"inputs"`
	KernelAPI map[string]bool  `json:"kernel_api"` // which of driver/kmod/probe compile
}

// Verdicts of load tests.
const (
	Passed  = "passed"
	NotDone = "not done" // with the reason; only with Options.Untested
)

// Test is a load test: the driver was loaded in a machine of the kernel, and its events of some syscalls were right.
type Test struct {
	Driver   string `json:"driver"` // as in the matrix: ebpf, kmod, ebpf=kmod (both, compared)
	Verdict  string `json:"verdict"`
	Reason   string `json:"reason,omitempty"`
	Programs int    `json:"programs,omitempty"` // eBPF programs that the kernel's verifier accepted, which are all
	Cases    int    `json:"cases"`              // that ran
	Passed   int    `json:"passed"`             // that passed, which are all
}

// Read reads the manifest of a release.
func Read(dir string) (*Manifest, error) {
	file := filepath.Join(dir, ManifestFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is no release: there is no %s (scaplab build writes it)", dir, ManifestFile)
	}
	if err != nil {
		return nil, err
	}
	m := new(Manifest)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if m.Format != format {
		return nil, fmt.Errorf("%s: format %d (want %d)", file, m.Format, format)
	}
	return m, nil
}

// ModuleFor returns the path, in the release, of the module for a kernel, or "" if there is none. Of several modules for one
// kernel release it is the one for exactly this image, or else the first: distributions keep the release while modules fit.
func (m *Manifest) ModuleFor(k kernels.Kernel) string {
	file := ""
	for _, x := range m.Kernels {
		switch {
		case x.Module == nil || x.Release != k.Release || x.Arch != k.Arch:
		case x.Image == k.Digest:
			return x.Module.File
		case file == "":
			file = x.Module.File
		}
	}
	return file
}

// sort puts kernels and objects into the order of their files.
func (m *Manifest) sort() {
	slices.SortFunc(m.Objects, func(a, b Object) int { return strings.Compare(a.File, b.File) })
	slices.SortFunc(m.Kernels, func(a, b Kernel) int { return strings.Compare(a.name(m), b.name(m)) })
}

// name returns the path of the kernel's module, without an extension, whether there is a module or not.
func (k *Kernel) name(m *Manifest) string {
	return moduleName(m.Driver, m.Version, *k)
}

func (m *Manifest) text() ([]byte, error) {
	text, err := json.MarshalIndent(m, "", "\t")
	return append(text, '\n'), err
}
