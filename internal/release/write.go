// SPDX-License-Identifier: Apache-2.0

package release

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/files"
)

// stage is a directory that takes the place of another when it is complete.
type stage struct {
	dir    string
	target string // absolute
}

// replaceable returns an error if a directory has anything but a release.
func replaceable(target string) error {
	if there, err := os.ReadDir(target); err == nil && len(there) > 0 {
		ours := func(e fs.DirEntry) bool { return e.Name() == ManifestFile || e.Name() == LogDir }
		if !slices.ContainsFunc(there, ours) {
			return fmt.Errorf("%s has files and is no release, which would be replaced (want a new or an empty directory)", target)
		}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func newStage(target string) (*stage, error) {
	target, err := filepath.Abs(target)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(target), ".tmp-"+filepath.Base(target)+"-")
	return &stage{dir, target}, err
}

func (s *stage) write(name string, data []byte) error { return writeFile(s.dir, name, data) }

func writeFile(dir, name string, data []byte) error {
	file := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}

func (s *stage) remove() { os.RemoveAll(s.dir) }

// commit puts the directory in its place.
func (s *stage) commit() error {
	if err := os.Chmod(s.dir, 0o755); err != nil {
		return err
	}
	old := s.dir + ".old"
	err := os.Rename(s.target, old)
	if errors.Is(err, fs.ErrNotExist) {
		return os.Rename(s.dir, s.target)
	}
	if err != nil {
		return err
	}
	if err := os.Rename(s.dir, s.target); err != nil {
		return errors.Join(err, os.Rename(old, s.target))
	}
	return os.RemoveAll(old)
}

// write writes all files but logs.
func (r *run) write(dir string, modules map[string][]byte) error {
	all := map[string][]byte{}
	for _, k := range r.manifest.Kernels {
		if k.Module != nil {
			all[k.Module.File] = modules[k.Module.File]
		}
	}
	for _, o := range r.manifest.Objects {
		objects := objectsOf[o.Arch]
		text, err := objects.ReadFile(filepath.Base(o.File))
		if err != nil {
			return err
		}
		all[o.File] = text
	}
	var err error
	for name, text := range map[string]func() ([]byte, error){
		ManifestFile:   r.manifest.text,
		SBOMFile:       func() ([]byte, error) { return sbom(r.manifest, r.tools) },
		ProvenanceFile: func() ([]byte, error) { return provenance(r.manifest, r.tools) },
	} {
		if all[name], err = text(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	all[SumsFile] = sums(all)
	for _, name := range []string{SumsFile, ProvenanceFile} {
		if sig := r.signFile(name, all[name]); sig != nil {
			all[name+Minisig] = sig
		}
	}
	for name, data := range all {
		if err := writeFile(dir, name, data); err != nil {
			return err
		}
	}
	return nil
}

// sums returns what sha256sum prints for the files.
func sums(all map[string][]byte) []byte {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "%s  %s\n", files.Sum(all[name]), name)
	}
	return b.Bytes()
}

// sameFiles returns an error for the first file, besides logs, that the directories do not have alike.
func sameFiles(a, b string) error {
	var all [2]map[string]string
	for i, dir := range []string{a, b} {
		all[i] = map[string]string{}
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			rel, err := filepath.Rel(dir, name)
			if err != nil || strings.HasPrefix(rel, LogDir+string(filepath.Separator)) {
				return err
			}
			all[i][filepath.ToSlash(rel)], err = files.SHA256(name)
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all[0])) {
		if all[0][name] != all[1][name] {
			return fmt.Errorf("%s is not reproducible: made twice it has the digests %s and %q", name, all[0][name], all[1][name])
		}
	}
	if len(all[0]) != len(all[1]) {
		return fmt.Errorf("the release is not reproducible: made twice it has %d and %d files", len(all[0]), len(all[1]))
	}
	return nil
}
