// SPDX-License-Identifier: Apache-2.0

// Package oci writes artifacts as an OCI image layout, which tools as oras and skopeo copy to registries
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md).
package oci

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/scaplab/scaplab/internal/files"
)

// Artifact is a set of files that is pulled as one.
type Artifact struct {
	Tag         string            // see [Tag]
	Type        string            // media type that says what the artifact is
	Platform    *v1.Platform      // that it is for; may be nil
	Annotations map[string]string // such as [v1.AnnotationVersion]
	Files       []File
}

// File is a file of an artifact.
type File struct {
	Name        string // path with slashes, relative to where the artifact is pulled to; it becomes [v1.AnnotationTitle]
	MediaType   string
	Data        []byte
	Annotations map[string]string // besides the title
}

// notInTags are the characters that tags cannot have (OCI distribution specification, section "Pulling manifests").
var notInTags = regexp.MustCompile(`[^a-zA-Z0-9_.-]|^[.-]`)

// longestTag is the length of a tag at most.
const longestTag = 128

// Tag returns text as a tag: each character that tags cannot have is an underscore, such as the + of a kernel's release.
func Tag(text string) string {
	text = notInTags.ReplaceAllString(text, "_")
	return text[:min(len(text), longestTag)]
}

// Write writes a layout with the artifacts, in their order, into a directory that is new or empty. Equal artifacts give
// equal files. When it fails, the directory has no index.
func Write(dir string, artifacts []Artifact) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s: has files (want a new or an empty directory)", dir)
	}
	index := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{}}
	seen := map[string]bool{}
	for i := range artifacts {
		a := &artifacts[i]
		switch {
		case a.Tag == "" || a.Tag != Tag(a.Tag):
			return fmt.Errorf("artifact %d: %q is no tag (want at most %d letters, digits, _ . -)", i+1, a.Tag, longestTag)
		case seen[a.Tag]:
			return fmt.Errorf("artifact %d: tag %s is that of another one, too", i+1, a.Tag)
		}
		seen[a.Tag] = true
		d, err := writeArtifact(dir, a)
		if err != nil {
			return fmt.Errorf("artifact %s: %w", a.Tag, err)
		}
		index.Manifests = append(index.Manifests, d)
	}
	for _, f := range []struct {
		name    string
		content any
	}{{v1.ImageLayoutFile, v1.ImageLayout{Version: v1.ImageLayoutVersion}}, {v1.ImageIndexFile, index}} {
		text, err := json.Marshal(f.content)
		if err != nil {
			return err
		}
		if err := files.WriteAtomic(filepath.Join(dir, f.name), text); err != nil {
			return err
		}
	}
	return nil
}

// writeArtifact writes the blobs of an artifact, and returns its line of the index.
func writeArtifact(dir string, a *Artifact) (v1.Descriptor, error) {
	config := v1.DescriptorEmptyJSON
	if err := writeBlob(dir, config, config.Data); err != nil {
		return v1.Descriptor{}, err
	}
	config.Data = nil // some registries refuse data in descriptors
	manifest := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		ArtifactType: a.Type, Config: config, Annotations: a.Annotations, Layers: []v1.Descriptor{},
	}
	if len(a.Files) == 0 {
		return v1.Descriptor{}, errors.New("has no files")
	}
	seen := map[string]bool{}
	for _, f := range a.Files {
		if !filepath.IsLocal(f.Name) {
			return v1.Descriptor{}, fmt.Errorf("file %q: its name leads out of the directory", f.Name)
		}
		if seen[f.Name] {
			return v1.Descriptor{}, fmt.Errorf("file %s: is there twice", f.Name)
		}
		seen[f.Name] = true
		d := v1.Descriptor{MediaType: f.MediaType, Digest: digest.FromBytes(f.Data), Size: int64(len(f.Data)), Annotations: with(f.Annotations, v1.AnnotationTitle, f.Name)}
		if err := writeBlob(dir, d, f.Data); err != nil {
			return v1.Descriptor{}, err
		}
		manifest.Layers = append(manifest.Layers, d)
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		return v1.Descriptor{}, err
	}
	d := v1.Descriptor{
		MediaType: manifest.MediaType, ArtifactType: a.Type, Digest: digest.FromBytes(text), Size: int64(len(text)),
		Platform: a.Platform, Annotations: with(nil, v1.AnnotationRefName, a.Tag),
	}
	return d, writeBlob(dir, d, text)
}

// with returns annotations and one more.
func with(annotations map[string]string, key, value string) map[string]string {
	all := map[string]string{key: value}
	for k, v := range annotations {
		all[k] = cmp.Or(all[k], v)
	}
	return all
}

// writeBlob writes the content of a descriptor. Equal content is one file.
func writeBlob(dir string, d v1.Descriptor, content []byte) error {
	name := filepath.Join(dir, v1.ImageBlobsDir, d.Digest.Algorithm().String(), d.Digest.Encoded())
	if files.Exists(name) {
		return nil
	}
	return files.WriteAtomic(name, content)
}
