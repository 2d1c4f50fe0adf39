// SPDX-License-Identifier: Apache-2.0

package release

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/kmodbuild"
)

// mustRun returns a run that has built modules for two kernels of two architectures, but for their bytes.
func mustRun(t *testing.T) *run {
	t.Helper()
	r := &run{tmp: t.TempDir(), manifest: &Manifest{Format: format, Driver: "scap", Version: "1.2.3", Revision: strings.Repeat("ab", 20), Source: kmodbuild.SourceSum(), Speaks: speaks()}}
	r.Options = Options{Modules: true, Objects: true}
	r.modules = [2]map[string][]byte{{}, {}}
	headers := kernels.Package{Name: "linux-headers-6.12.1-amd64", Version: "6.12.1-1", SHA256: files.Sum([]byte("headers")), File: "/cache/h.deb"}
	for i, arch := range []string{"arm64", "amd64"} {
		k := Kernel{Series: "6.12", Release: "6.12.1-" + arch, Version: "#1 SMP Debian 6.12.1-1 (2026-01-02)", Arch: arch, Target: "debian",
			Package: kernels.Package{Name: "linux-image-6.12.1-" + arch, Version: "6.12.1-1", SHA256: files.Sum([]byte(arch)), File: "/cache/i.deb"}, Image: files.Sum([]byte{byte(i)}),
			Tests: []Test{{Driver: "kmod", Verdict: Passed, Cases: 3, Passed: 3}}}
		module := []byte("module for " + arch)
		k.Module = &Module{File: k.name(r.manifest) + moduleExt, SHA256: files.Sum(module), Unsigned: files.Sum(module),
			Inputs: kmodbuild.Inputs{Release: k.Release, Headers: []kernels.Package{headers}, Compiler: "gcc 14"}, KernelAPI: map[string]bool{"always": true, "never": false}}
		r.modules[0][k.Module.File], r.modules[1][k.Module.File] = module, module
		r.manifest.Kernels = append(r.manifest.Kernels, k)
		r.tools = append(r.tools, Toolchain{arch, "gcc 14", []kernels.Package{{Name: "gcc-14", Version: "14.2.0-19", SHA256: files.Sum([]byte("gcc")), File: "/cache/g.deb"}}})
	}
	require.NoError(t, r.addObjects())
	r.manifest.sort()
	return r
}

func TestAReleaseIsTheSameEachTime(t *testing.T) {
	r := mustRun(t)
	first, second := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "another/place")
	require.NoError(t, r.write(first, r.modules[0]))
	require.NoError(t, otherwise(func() error { return r.write(second, r.modules[1]) }))
	require.NoError(t, sameFiles(first, second))
	require.Equal(t, "", os.Getenv("LANGUAGE"), "the surroundings are as before")

	for _, name := range []string{ManifestFile, SBOMFile, ProvenanceFile, SumsFile} {
		text, err := os.ReadFile(filepath.Join(first, name))
		require.NoError(t, err)
		require.NotContains(t, string(text), "/cache/", "%s has no path of this machine", name)
		require.NotContains(t, string(text), first, name)
		require.NotRegexp(t, regexp.MustCompile(`\d\d:\d\d:\d\d`), string(text), "%s has no time", name)
	}
	if _, err := exec.LookPath("sha256sum"); err == nil {
		check := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "--quiet", SumsFile)
		check.Dir = first
		out, err := check.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}

	module := filepath.Join(second, r.manifest.Kernels[0].Module.File)
	text, err := os.ReadFile(module)
	require.NoError(t, err)
	text[3] ^= 1
	require.NoError(t, os.WriteFile(module, text, 0o644))
	require.ErrorContains(t, sameFiles(first, second), r.manifest.Kernels[0].Module.File+" is not reproducible")
	require.NoError(t, os.Remove(module))
	require.Error(t, sameFiles(first, second))
	require.Error(t, sameFiles(second, first))
}

func TestTheManifestIsReadAsItWasWritten(t *testing.T) {
	r := mustRun(t)
	dir := t.TempDir()
	_, err := Read(dir)
	require.ErrorContains(t, err, dir+" is no release: there is no manifest.json")
	require.NoError(t, r.write(dir, r.modules[0]))
	m, err := Read(dir)
	require.NoError(t, err)
	want := *r.manifest
	for i := range want.Kernels { // where packages are is no part of it
		want.Kernels[i].Package.File = ""
		want.Kernels[i].Module.Inputs.Headers[0].File = ""
	}
	require.Equal(t, &want, m)

	k := kernels.Kernel{Release: "6.12.1-amd64", Arch: "amd64", Digest: "another image of this release"}
	require.Equal(t, "1.2.3+driver/x86_64/scap_debian_6.12.1-1-amd64_1.ko", m.ModuleFor(k))
	k.Arch = "arm64"
	require.Empty(t, m.ModuleFor(k))
	exact := m.Kernels[1]
	other := exact
	other.Image, other.Module = "x", &Module{File: "other"}
	m.Kernels = []Kernel{other, exact}
	require.Equal(t, exact.Module.File, m.ModuleFor(kernels.Kernel{Release: exact.Release, Arch: exact.Arch, Digest: exact.Image}), "exactly this image")

	require.NoError(t, os.WriteFile(filepath.Join(dir, ManifestFile), []byte(`{"format": 2}`), 0o644))
	_, err = Read(dir)
	require.ErrorContains(t, err, "manifest.json: format 2 (want 1)")
}

// Every reference of the bill leads somewhere, and what is released depends on its sources, compiler and headers.
func TestTheBillOfMaterialsIsWhole(t *testing.T) {
	r := mustRun(t)
	text, err := sbom(r.manifest, r.tools)
	require.NoError(t, err)
	bom := new(cdx.BOM)
	require.NoError(t, cdx.NewBOMDecoder(strings.NewReader(string(text)), cdx.BOMFileFormatJSON).Decode(bom))
	require.Equal(t, cdx.SpecVersion1_6, bom.SpecVersion)
	require.Regexp(t, `^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, bom.SerialNumber)
	known := map[string]bool{bom.Metadata.Component.BOMRef: true, "scaplab": true}
	for _, c := range *bom.Components {
		require.False(t, known[c.BOMRef], "%s is there twice", c.BOMRef)
		require.NotEmpty(t, c.Name, c.BOMRef)
		require.NotEmpty(t, c.Type, c.BOMRef)
		known[c.BOMRef] = true
	}
	on := map[string][]string{}
	for _, d := range *bom.Dependencies {
		require.True(t, known[d.Ref], d.Ref)
		if d.Dependencies == nil {
			continue
		}
		for _, x := range *d.Dependencies {
			require.True(t, known[x], x)
		}
		on[d.Ref] = *d.Dependencies
	}
	module := r.manifest.Kernels[0].Module
	require.Contains(t, on["release"], module.File)
	require.Contains(t, on[module.File], "sources:kmod")
	require.Contains(t, on["bpf/arm64/core.o"], "sources:ebpf")
	require.Contains(t, on[module.File], "compiler:arm64")
	require.Contains(t, on[module.File], packageURL(module.Inputs.Headers[0]))
	require.Contains(t, on["compiler:arm64"], packageURL(r.tools[0].Packages[0]))
	info, ok := debug.ReadBuildInfo()
	require.True(t, ok)
	require.Len(t, on["scaplab"], len(info.Deps), "the Go modules of this program: none are noted in a test")
	for _, name := range []string{"driver/kmod/main.c", "driver/bpf/core.bpf.c", "driver/fillers/task.h"} {
		require.Contains(t, string(text), `"`+name+`"`)
	}
}

func TestPackagesHaveURLs(t *testing.T) {
	require.Equal(t, "pkg:deb/debian/libstdc%2B%2B6@1:14.2.0-19%2Bdeb13u1?checksum=sha256:ab", packageURL(kernels.Package{Name: "libstdc++6", Version: "1:14.2.0-19+deb13u1", SHA256: "ab"}))
	require.Equal(t, "pkg:generic/my%20kernel-devel.rpm?checksum=sha256:cd", packageURL(kernels.Package{Name: "my kernel-devel.rpm", SHA256: "cd"}))
}

func TestProvenanceNamesWhatWasMadeOfWhat(t *testing.T) {
	r := mustRun(t)
	text, err := provenance(r.manifest, r.tools)
	require.NoError(t, err)
	type resource struct {
		Name   string            `json:"name"`
		URI    string            `json:"uri"`
		Digest map[string]string `json:"digest"`
	}
	var s struct {
		Type          string     `json:"_type"`
		Subject       []resource `json:"subject"`
		PredicateType string     `json:"predicateType"`
		Predicate     struct {
			BuildDefinition struct {
				BuildType            string         `json:"buildType"`
				ExternalParameters   map[string]any `json:"externalParameters"`
				ResolvedDependencies []resource     `json:"resolvedDependencies"`
			} `json:"buildDefinition"`
			RunDetails struct {
				Builder struct {
					ID string `json:"id"`
				} `json:"builder"`
			} `json:"runDetails"`
		} `json:"predicate"`
	}
	require.NoError(t, json.Unmarshal(text, &s))
	require.Equal(t, "https://in-toto.io/Statement/v1", s.Type)
	require.Equal(t, "https://slsa.dev/provenance/v1", s.PredicateType)
	require.Len(t, s.Subject, len(r.manifest.Objects)+len(r.manifest.Kernels))
	digests := map[string]string{}
	for _, x := range s.Subject {
		digests[x.Name] = x.Digest["sha256"]
	}
	for _, k := range r.manifest.Kernels {
		require.Equal(t, k.Module.SHA256, digests[k.Module.File])
	}
	source := s.Predicate.BuildDefinition.ResolvedDependencies[0]
	require.Equal(t, r.manifest.Revision, source.Digest["gitCommit"])
	require.Equal(t, r.manifest.Source, source.Digest["sha256"])
	var names []string
	for _, x := range s.Predicate.BuildDefinition.ResolvedDependencies {
		names = append(names, x.Name)
	}
	require.Subset(t, names, []string{"gcc-14 14.2.0-19", "linux-headers-6.12.1-amd64 6.12.1-1", "linux-image-6.12.1-arm64 6.12.1-1"})
	require.NotEmpty(t, s.Predicate.RunDetails.Builder.ID)

	r.manifest.Revision += modified
	text, err = provenance(r.manifest, r.tools)
	require.NoError(t, err)
	require.NotContains(t, string(text), "gitCommit", "no commit has a tree that was changed")
}

// What identifies the sources of modules is the same text as in kmodbuild, which builds them.
func TestSourcesAreThoseThatAreBuilt(t *testing.T) {
	all, err := moduleSources()
	require.NoError(t, err)
	require.Equal(t, kmodbuild.SourceSum(), sumOf(all))
	objects, err := objectSources()
	require.NoError(t, err)
	var names []string
	for _, s := range objects {
		names = append(names, s.name)
	}
	require.Subset(t, names, []string{"abi/event.h", "fillers/all.h", "bpf/core.bpf.c", "bpf/maps.h"})
	require.NotContains(t, names, "kmod/main.c")
}

func TestBytesThatDifferAreNotReleased(t *testing.T) {
	a := built{unsigned: []byte("module"), released: []byte("module+sig")}
	require.NoError(t, sameBytes(a, a))
	b := a
	b.unsigned = []byte("moduLe!")
	require.EqualError(t, sameBytes(a, b), "the module is not reproducible: built twice it has 6 and 7 bytes, which differ from byte 4 on")
	b = a
	b.released = []byte("module+sIg")
	require.ErrorContains(t, sameBytes(a, b), "its signature is not reproducible")
}

func TestADirectoryIsReplacedAsAWhole(t *testing.T) {
	target := filepath.Join(t.TempDir(), "out")
	for _, version := range []string{"1", "2"} {
		s, err := newStage(target)
		require.NoError(t, err)
		require.NoError(t, s.write(ManifestFile, []byte(version)))
		require.NoError(t, s.write("only/"+version, nil))
		require.NoError(t, s.commit())
		s.remove()
	}
	text, err := os.ReadFile(filepath.Join(target, ManifestFile))
	require.NoError(t, err)
	require.Equal(t, "2", string(text))
	require.NoFileExists(t, filepath.Join(target, "only/1"))
	left, err := os.ReadDir(filepath.Dir(target))
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing is left beside it")

	s, err := newStage(target)
	require.NoError(t, err)
	s.remove() // broken off
	require.FileExists(t, filepath.Join(target, "only/2"))

	require.NoError(t, os.Remove(filepath.Join(target, ManifestFile)))
	o := Options{Dir: target, Driver: "scap"}
	require.ErrorContains(t, o.Check(), target+" has files and is no release")
	_, err = Build(t.Context(), nil, o)
	require.ErrorContains(t, err, "has files and is no release")
	require.FileExists(t, filepath.Join(target, "only/2"))
}

func TestTheRevisionIsThatOfTheBuildOrOfTheCheckout(t *testing.T) {
	info := &debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "false"}}}
	require.Equal(t, "abc", noted(info))
	info.Settings[1].Value = "true"
	require.Equal(t, "abc+modified", noted(info))
	require.Empty(t, noted(nil))

	root, err := git(t.Context(), "rev-parse", "--show-toplevel")
	if err != nil {
		t.Skip("not in a checkout: ", err)
	}
	require.True(t, sameDrivers(root))
	require.Regexp(t, `^[0-9a-f]{40}(\+modified)?$`, Revision(t.Context()))
	t.Chdir(t.TempDir())
	require.Equal(t, "unknown", Revision(t.Context()))
	require.False(t, sameDrivers(t.TempDir()))
}

func TestALayoutHasTheReleaseAndItsModules(t *testing.T) {
	r := mustRun(t)
	dir, into := t.TempDir(), filepath.Join(t.TempDir(), "oci")
	require.NoError(t, r.write(dir, r.modules[0]))
	require.NoError(t, writeFile(dir, LogDir+"/x.log", []byte("differs")))
	require.NoError(t, WriteOCI(dir, into))
	text, err := os.ReadFile(filepath.Join(into, "index.json"))
	require.NoError(t, err)
	require.Contains(t, string(text), `"1.2.3"`)
	require.Contains(t, string(text), `"1.2.3_aarch64_scap_debian_6.12.1-1-arm64_1"`)
	module := r.modules[0][r.manifest.Kernels[0].Module.File]
	blob, err := os.ReadFile(filepath.Join(into, "blobs/sha256", files.Sum(module)))
	require.NoError(t, err)
	require.Equal(t, module, blob)
	require.NoFileExists(t, filepath.Join(into, "blobs/sha256", files.Sum([]byte("differs"))), "logs are no part of a release")
	require.ErrorContains(t, WriteOCI(dir, into), "has files")
}
