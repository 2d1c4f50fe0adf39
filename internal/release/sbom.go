// SPDX-License-Identifier: Apache-2.0

package release

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/url"
	"path"
	"runtime/debug"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/kernels"
)

// Licences of the parts that enter the kernel, and of the rest.
const (
	kernelLicense = "GPL-2.0-only OR MIT"
	license       = "Apache-2.0"
)

// bill collects the components of an SBOM.
type bill struct {
	components   []cdx.Component
	seen         map[string]bool     // by reference
	dependencies map[string][]string // by reference
}

func (b *bill) add(c cdx.Component, needs ...string) string {
	if !b.seen[c.BOMRef] {
		b.seen[c.BOMRef] = true
		b.components = append(b.components, c)
	}
	b.dependencies[c.BOMRef] = append(b.dependencies[c.BOMRef], needs...)
	return c.BOMRef
}

func sha256Of(hex string) *[]cdx.Hash {
	return &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex}}
}

func licensed(expression string) *cdx.Licenses { return &cdx.Licenses{{Expression: expression}} }

// packageURL names a package of Debian, or one that was given by file. https://github.com/package-url/purl-spec
func packageURL(p kernels.Package) string {
	if p.Version == "" {
		return "pkg:generic/" + escaped(p.Name) + "?checksum=sha256:" + p.SHA256
	}
	return "pkg:deb/debian/" + escaped(p.Name) + "@" + escaped(p.Version) + "?checksum=sha256:" + p.SHA256
}

// escaped escapes a part of a package URL, in which a colon stays as it is.
func escaped(part string) string {
	return strings.NewReplacer("%3A", ":", "+", "%20").Replace(url.QueryEscape(part))
}

func (b *bill) addPackage(p kernels.Package, kind string) string {
	return b.add(cdx.Component{
		BOMRef: packageURL(p), Type: cdx.ComponentTypeFile, Name: p.Name, Version: p.Version, Hashes: sha256Of(p.SHA256), PackageURL: packageURL(p), Description: kind,
	})
}

// addSources adds the C files of a driver: all have the licence of what enters the kernel.
func (b *bill) addSources(m *Manifest, driver string, all []source) string {
	var parts []cdx.Component
	for _, s := range all {
		parts = append(parts, cdx.Component{
			BOMRef: driver + ":" + s.name, Type: cdx.ComponentTypeFile, Name: path.Join("driver", s.name), Hashes: sha256Of(files.Sum(s.text)),
		})
	}
	return b.add(cdx.Component{
		BOMRef: "sources:" + driver, Type: cdx.ComponentTypeLibrary, Name: "scaplab sources of the " + driver + " driver", Version: m.Version, Licenses: licensed(kernelLicense),
		Properties: &[]cdx.Property{{Name: "scaplab:source_sha256", Value: sumOf(all)}, {Name: "scaplab:revision", Value: m.Revision}}, Components: &parts,
	})
}

// addModules adds the Go modules of this program, which built the release.
func (b *bill) addModules() (refs []string, goVersion string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil, ""
	}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		ref := "pkg:golang/" + strings.ToLower(m.Path) + "@" + escaped(m.Version) // lower case is what the type golang wants
		c := cdx.Component{BOMRef: ref, Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: ref}
		if m.Sum != "" {
			c.Properties = &[]cdx.Property{{Name: "go:sum", Value: m.Sum}}
		}
		refs = append(refs, b.add(c))
	}
	return refs, info.GoVersion
}

// sbom returns the bill of materials, CycloneDX JSON: the modules and objects, their sources, the headers, compilers and tools they
// were built with, and the Go modules of the program that did it. It has no time, and its serial number follows from its content.
func sbom(m *Manifest, tools []Toolchain) ([]byte, error) {
	b := &bill{seen: map[string]bool{}, dependencies: map[string][]string{}}
	sources, err := moduleSources()
	if err != nil {
		return nil, err
	}
	ofObjects, err := objectSources()
	if err != nil {
		return nil, err
	}
	toolRefs := map[string][]string{}
	for _, t := range tools {
		compiler := b.add(cdx.Component{BOMRef: "compiler:" + t.Arch, Type: cdx.ComponentTypeApplication, Name: t.Compiler, Description: "compiler of modules for " + t.Arch})
		toolRefs[t.Arch] = append(toolRefs[t.Arch], compiler)
		for _, p := range t.Packages {
			b.add(cdx.Component{BOMRef: compiler}, b.addPackage(p, "tool of the module build"))
		}
	}
	var released []string
	for _, k := range m.Kernels {
		if k.Module == nil {
			continue
		}
		needs := append([]string{b.addSources(m, "kmod", sources)}, toolRefs[k.Arch]...)
		for _, p := range k.Module.Inputs.Headers {
			needs = append(needs, b.addPackage(p, "kernel headers"))
		}
		released = append(released, b.add(cdx.Component{
			BOMRef: k.Module.File, Type: cdx.ComponentTypeDeviceDriver, Name: k.Module.File, Version: m.Version, Hashes: sha256Of(k.Module.SHA256),
			Licenses: licensed(kernelLicense), Description: "kernel module for " + k.Release + " " + k.Version,
		}, needs...))
	}
	if len(m.Objects) > 0 {
		clang := b.add(cdx.Component{BOMRef: "clang", Type: cdx.ComponentTypeApplication, Name: "clang", Version: m.Clang, Description: "compiler of the eBPF objects"})
		for _, o := range m.Objects {
			released = append(released, b.add(cdx.Component{
				BOMRef: o.File, Type: cdx.ComponentTypeDeviceDriver, Name: o.File, Version: m.Version, Hashes: sha256Of(o.SHA256),
				Licenses: licensed(kernelLicense), Description: "eBPF programs for " + o.Arch,
			}, clang, b.addSources(m, "ebpf", ofObjects)))
		}
	}
	goModules, goVersion := b.addModules()

	bom := cdx.NewBOM()
	text, err := m.text()
	if err != nil {
		return nil, err
	}
	// A version 8 UUID (RFC 9562): of our own making.
	id := sha256.Sum256(text)
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	bom.SerialNumber = fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:16])
	tool := cdx.Component{
		BOMRef: "scaplab", Type: cdx.ComponentTypeApplication, Name: "scaplab", Version: m.Version, Licenses: licensed(license),
		Properties: &[]cdx.Property{{Name: "scaplab:revision", Value: m.Revision}, {Name: "go:version", Value: goVersion}},
	}
	bom.Metadata = &cdx.Metadata{
		Tools:     &cdx.ToolsChoice{Components: &[]cdx.Component{tool}},
		Component: &cdx.Component{BOMRef: "release", Type: cdx.ComponentTypeApplication, Name: "scaplab drivers", Version: m.Version},
	}
	b.dependencies["release"], b.dependencies["scaplab"] = released, goModules
	slices.SortFunc(b.components, func(x, y cdx.Component) int { return cmp.Compare(x.BOMRef, y.BOMRef) })
	var dependencies []cdx.Dependency
	for _, ref := range slices.Sorted(maps.Keys(b.dependencies)) {
		on := slices.Compact(slices.Sorted(slices.Values(b.dependencies[ref])))
		dependencies = append(dependencies, cdx.Dependency{Ref: ref, Dependencies: &on})
	}
	bom.Components, bom.Dependencies = &b.components, &dependencies
	var out bytes.Buffer
	err = cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
	return out.Bytes(), err
}
