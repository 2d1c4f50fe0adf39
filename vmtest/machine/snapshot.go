// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/scaplab/scaplab/internal/files"
)

// Snapshots is a directory with saved states of machines.
type Snapshots string

// ErrNoSnapshot: no state of the machine was saved yet.
var ErrNoSnapshot = errors.New("no snapshot")

// snapshotMeta describes a saved state, in a file beside it.
type snapshotMeta struct {
	Key  string          `json:"key"`
	Size int64           `json:"size"`
	Note json.RawMessage `json:"note"`
}

// saveLimit bounds the saving of a state, which takes a tenth of a second.
const saveLimit = 15 * time.Second

// Open opens the saved state of a machine for [Start]. It stores the value that
// [Snapshots.Save] was given in note.
func (s Snapshots) Open(c *Config, note any) (*os.File, error) {
	base := s.base(c)
	b, err := os.ReadFile(base + ".json")
	if err != nil {
		return nil, ErrNoSnapshot
	}
	var meta snapshotMeta
	if err := json.Unmarshal(b, &meta); err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	if err := json.Unmarshal(meta.Note, note); err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	f, err := os.Open(base + ".state")
	if err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	if st, err := f.Stat(); err != nil || meta.Key != c.key() || st.Size() != meta.Size {
		f.Close()
		return nil, errors.New("read snapshot: state and description do not belong together")
	}
	return f, nil
}

// Lock keeps other programs that call it from booting a machine to save its state, until unlock.
func (s Snapshots) Lock(ctx context.Context, c *Config) (unlock func(), err error) {
	if err := os.MkdirAll(string(s), 0o755); err != nil {
		return nil, err
	}
	return files.TemporaryLock(ctx, s.stem(c)+"lock")
}

// Used marks a state as just used: the least recently used one is removed first.
func (s Snapshots) Used(c *Config) {
	now := time.Now()
	_ = os.Chtimes(s.base(c)+".state", now, now)
}

// Save saves the state of a running machine, and a note.
func (s Snapshots) Save(ctx context.Context, v *VM, c *Config, note any) error {
	if err := os.MkdirAll(string(s), 0o755); err != nil {
		return err
	}
	base := s.base(c)
	f, err := os.CreateTemp(string(s), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := v.qmp.save(ctx, saveLimit, f); err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	text, err := json.Marshal(note)
	if err != nil {
		return err
	}
	b, err := json.Marshal(snapshotMeta{Key: c.key(), Size: st.Size(), Note: text})
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), base+".state"); err != nil {
		return err
	}
	if err := files.WriteAtomic(base+".json", b); err != nil {
		remove(base) // a state without description is useless
		return err
	}
	s.prune(c)
	return nil
}

// keptSnapshots is the number of snapshots with the same stem, about 100 MB each: two, so
// that two builds of this program that run in turn do not remove each other's.
const keptSnapshots = 2

// snapshotAge is the time after which an unused snapshot is removed, e.g. that of a kernel
// that a newer one has replaced.
const snapshotAge = 14 * 24 * time.Hour

// prune removes the least recently used snapshots.
func (s Snapshots) prune(c *Config) {
	all, _ := filepath.Glob(filepath.Join(string(s), "*.state")) // a bad pattern would find nothing
	used := func(file string) time.Time {
		st, err := os.Stat(file)
		if err != nil {
			return time.Time{} // another process removed it
		}
		return st.ModTime()
	}
	slices.SortFunc(all, func(a, b string) int { return used(b).Compare(used(a)) })
	same := 0
	for _, f := range all {
		if strings.HasPrefix(f, s.stem(c)) {
			same++
		}
		if strings.HasPrefix(f, s.stem(c)) && same > keptSnapshots || time.Since(used(f)) > snapshotAge {
			remove(strings.TrimSuffix(f, ".state"))
		}
	}
}

// Remove removes the state of a machine. An error is ignored: it only costs disk space.
func (s Snapshots) Remove(c *Config) { remove(s.base(c)) }

func remove(base string) {
	_ = os.Remove(base + ".json")
	_ = os.Remove(base + ".state")
}

// stem returns the beginning of the names of a kernel's snapshots with a number of processors.
func (s Snapshots) stem(c *Config) string {
	return filepath.Join(string(s), fmt.Sprintf("%s-%d-", c.Kernel.Digest[:16], c.CPUs))
}

// base returns the path of a machine's snapshot, without extension.
func (s Snapshots) base(c *Config) string { return s.stem(c) + c.key()[:16] }
