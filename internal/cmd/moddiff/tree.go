// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/scaplab/scaplab/internal/kernels"
)

// tree is a directory with unpacked packages.
type tree struct {
	Dir      string            `json:"-"`
	Packages []kernels.Package `json:"packages"`
}

func (t *tree) version(name string) string {
	for _, p := range t.Packages {
		if p.Name == name {
			return p.Version
		}
	}
	return "?"
}

const treeInfo = "packages.json"

// unpackInto returns the tree of that name in the cache, made by fetch if it is not there.
func unpackInto(ctx context.Context, cache, name string, refresh bool, fetch func() ([]kernels.Package, error)) (*tree, error) {
	t := &tree{Dir: filepath.Join(cache, "interop", name)}
	text, err := os.ReadFile(filepath.Join(t.Dir, treeInfo))
	if err == nil && !refresh && json.Unmarshal(text, t) == nil {
		return t, nil
	}
	if t.Packages, err = fetch(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(t.Dir), 0o755); err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(t.Dir), ".tmp-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	for _, p := range t.Packages {
		if err := kernels.Unpack(ctx, p.File, tmp); err != nil {
			return nil, fmt.Errorf("unpack %s %s: %w", p.Name, p.Version, err)
		}
	}
	if text, err = json.MarshalIndent(t, "", "\t"); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(tmp, treeInfo), text, 0o644); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(t.Dir); err != nil {
		return nil, err
	}
	return t, os.Rename(tmp, t.Dir)
}

// libraryDirs are the default directories of the dynamic loader in a Debian tree.
var libraryDirs = []string{"usr/lib/x86_64-linux-gnu", "usr/lib"}

// pack returns an archive of a program and of all that it needs to be started.
func (t *tree) pack(program string) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	packed := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		if packed[name] {
			return nil
		}
		packed[name] = true
		data, err := fs.ReadFile(os.DirFS(t.Dir), name)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))}); err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
		libraries, loader, err := needed(data)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, library := range libraries {
			at, err := t.library(library)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if err := add(at); err != nil {
				return err
			}
		}
		if loader == "" {
			return nil
		}
		// The tree has no links from / to /usr, which belong to another package.
		data, err = fs.ReadFile(os.DirFS(t.Dir), path.Join("usr", loader))
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: strings.TrimPrefix(loader, "/"), Mode: 0o755, Size: int64(len(data))}); err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	}
	if err := add(program); err != nil {
		return nil, err
	}
	return b.Bytes(), w.Close()
}

func (t *tree) library(name string) (string, error) {
	for _, dir := range libraryDirs {
		at := path.Join(dir, name)
		if _, err := os.Stat(filepath.Join(t.Dir, at)); err == nil {
			return at, nil
		}
	}
	return "", fmt.Errorf("library %s is in none of the packages", name)
}

// needed returns the libraries that a program or library names, and a program's loader.
func needed(data []byte) (libraries []string, loader string, err error) {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, "", err
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			text, err := io.ReadAll(p.Open())
			if err != nil {
				return nil, "", err
			}
			loader = strings.TrimRight(string(text), "\x00")
		}
	}
	libraries, err = f.ImportedLibraries()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return nil, "", err
	}
	return libraries, loader, nil
}
