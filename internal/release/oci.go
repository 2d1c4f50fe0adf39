// SPDX-License-Identifier: Apache-2.0

package release

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/scaplab/scaplab/internal/oci"
)

// Media types of a release in an OCI layout.
const (
	artifactType = "application/vnd.scaplab.release.v1"
	moduleType   = "application/vnd.scaplab.module.v1"
	objectType   = "application/vnd.scaplab.bpf.v1"
)

// WriteOCI writes a release as an OCI image layout: an artifact with all its files, tagged with its version, and one with the module
// for each kernel, tagged with its architecture, distribution and kernel, as the module's file is named. Logs are left out.
func WriteOCI(dir string, into string) error {
	m, err := Read(dir)
	if err != nil {
		return err
	}
	version := map[string]string{v1.AnnotationVersion: m.Version, v1.AnnotationRevision: m.Revision, v1.AnnotationSource: home}
	whole := oci.Artifact{Tag: oci.Tag(m.Version), Type: artifactType, Annotations: version}
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		if rel = filepath.ToSlash(rel); d.IsDir() {
			if rel == LogDir {
				return fs.SkipDir
			}
			return nil
		}
		data, err := os.ReadFile(name)
		whole.Files = append(whole.Files, oci.File{Name: rel, MediaType: mediaType(rel), Data: data})
		return err
	})
	if err != nil {
		return err
	}
	artifacts := []oci.Artifact{whole}
	for _, k := range m.Kernels {
		if k.Module == nil {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(k.Module.File)))
		if err != nil {
			return err
		}
		name := path.Base(k.Module.File)
		artifacts = append(artifacts, oci.Artifact{
			Tag: oci.Tag(strings.TrimSuffix(m.Version+"_"+unameArch[k.Arch]+"_"+name, moduleExt)), Type: moduleType,
			Platform: &v1.Platform{OS: "linux", Architecture: k.Arch}, Annotations: version,
			Files: []oci.File{{Name: name, MediaType: moduleType, Data: data}},
		})
	}
	return oci.Write(into, artifacts)
}

func mediaType(name string) string {
	switch {
	case strings.HasSuffix(name, moduleExt):
		return moduleType
	case strings.HasSuffix(name, objectExt):
		return objectType
	case name == SBOMFile:
		return "application/vnd.cyclonedx+json"
	case name == ProvenanceFile:
		return "application/vnd.in-toto+json"
	case strings.HasSuffix(name, ".json"):
		return "application/json"
	}
	return "text/plain"
}
