// SPDX-License-Identifier: Apache-2.0

// Package cache lists what commands keep between runs, and removes it. Everything in the cache is made again when it is
// missing, so the only danger is to remove what a running command is using: see [InUse] and [Used].
package cache

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Item is something that is kept, and removed, as a whole.
type Item struct {
	Kind string    `json:"kind"`
	Path string    `json:"path"` // without extension of a snapshot, which is two files
	Size int64     `json:"size"` // bytes
	Used time.Time `json:"used"` // last use
}

// kinds are the directories of the cache and what an item in them is.
var kinds = []struct {
	Name, dir string
	suffix    string // of items that are files; "" if they are directories
}{
	{"snapshot", "snapshot", ".state"},
	{"snapshot", "snapshot/exec", ".state"},
	{"kernel", "kernel", ""},
	{"package", "deb", ".deb"},
	{"module", "module", ""},
	{"headers", "headers", ""},
	{"tools", "toolroot", ""},
	{"index", "apt", ""},
	{"debian", "debian", ""},
}

// Kinds returns the kinds of items: saved states of machines, kernels, packages, modules, unpacked headers, build tools, lists
// of packages, and the Debian that packages are tried in.
func Kinds() []string {
	var names []string
	for _, k := range kinds {
		if !slices.Contains(names, k.Name) {
			names = append(names, k.Name)
		}
	}
	return names
}

// List returns what a cache has, that which was not used for longest first.
func List(dir string) ([]Item, error) {
	var list []Item
	for _, k := range kinds {
		entries, err := os.ReadDir(filepath.Join(dir, k.dir))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			name, isItem := strings.CutSuffix(e.Name(), k.suffix)
			if strings.HasPrefix(name, ".") || !isItem || e.IsDir() != (k.suffix == "") || k.Name == "snapshot" && e.IsDir() {
				continue
			}
			item := Item{Kind: k.Name, Path: filepath.Join(dir, k.dir, e.Name())}
			if err := item.measure(); errors.Is(err, fs.ErrNotExist) {
				continue // another program has removed it
			} else if err != nil {
				return nil, err
			}
			list = append(list, item)
		}
	}
	slices.SortFunc(list, func(a, b Item) int { return cmp.Or(a.Used.Compare(b.Used), strings.Compare(a.Path, b.Path)) })
	return list, nil
}

// measure adds up the item's files. Its last use is the time of its file or directory itself.
func (i *Item) measure() error {
	st, err := os.Stat(i.Path)
	if err != nil {
		return err
	}
	i.Used = st.ModTime()
	return filepath.WalkDir(i.Path, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if st, err := e.Info(); err == nil && st.Mode().IsRegular() {
			i.Size += st.Size()
		}
		return nil
	})
}

// Used marks an item, or the item that a file is in, as just used. An error is ignored: the item is only removed earlier.
func Used(path string) {
	now := time.Now()
	_ = os.Chtimes(path, now, now)
}

// Limits say what is to be removed. A zero limit is none.
type Limits struct {
	Kinds     []string      // only these; none means all
	OlderThan time.Duration // what was not used for so long
	Own       bool          // also what this process has used
	MaxSize   int64         // until everything together has at most so many bytes; that which was not used for longest goes first
}

// Prune removes items and returns them. With try it only says which it would remove. It keeps what has been used since the
// start of any command that still runs and has called [InUse].
func Prune(dir string, l Limits, try bool) (removed []Item, err error) {
	list, err := List(dir)
	if err != nil {
		return nil, err
	}
	inUse, err := oldest(dir, l.Own)
	if err != nil {
		return nil, err
	}
	var total int64
	for _, i := range list {
		total += i.Size
	}
	for _, i := range list {
		tooOld := l.OlderThan > 0 && time.Since(i.Used) > l.OlderThan
		tooMuch := l.MaxSize > 0 && total > l.MaxSize
		switch {
		case !tooOld && !tooMuch, len(l.Kinds) > 0 && !slices.Contains(l.Kinds, i.Kind):
			continue
		case !inUse.IsZero() && !i.Used.Before(inUse):
			continue
		}
		if !try {
			if err := i.remove(dir); err != nil {
				return removed, err
			}
		}
		total -= i.Size
		removed = append(removed, i)
	}
	return removed, nil
}

// remove removes an item. No other program ever sees a part of it: it is moved away first. A snapshot's description goes
// before its state, which is useless without it.
func (i *Item) remove(dir string) error {
	if base, ok := strings.CutSuffix(i.Path, ".state"); ok {
		if err := os.Remove(base + ".json"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	trash, err := os.MkdirTemp(dir, ".removed-")
	if err != nil {
		return err
	}
	err = os.Rename(i.Path, filepath.Join(trash, filepath.Base(i.Path)))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err := errors.Join(err, os.RemoveAll(trash)); err != nil {
		return fmt.Errorf("remove %s: %w", i.Path, err)
	}
	return nil
}
