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

// Snapshots are saved states of machines, in a directory of that name.
type Snapshots string

// ErrNoSnapshot says that no state of a machine was saved yet.
var ErrNoSnapshot = errors.New("no snapshot")

// snapshotMeta stands beside a saved state.
type snapshotMeta struct {
	Key  string          `json:"key"`
	Size int64           `json:"size"`
	Note json.RawMessage `json:"note"`
}

// saveLimit bounds the saving of a state, which takes a tenth of a second.
const saveLimit = 15 * time.Second

// Open opens the saved state of a machine for [Start]. note gets what [Snapshots.Save]
// was given.
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

// Used marks a state as just used: the one used longest ago is removed first.
func (s Snapshots) Used(c *Config) {
	now := time.Now()
	_ = os.Chtimes(s.base(c)+".state", now, now)
}

// Save saves the state of a running machine, with a note.
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
		remove(base) // a state that nothing describes only takes room
		return err
	}
	s.prune(c)
	return nil
}

// keptSnapshots is how many there are of a stem, about 100 MB each: two, so
// that two builds of this program in turn do not throw out each other's.
const keptSnapshots = 2

// snapshotAge is how long one is kept that nothing uses, e.g. of a kernel that
// a newer one has replaced.
const snapshotAge = 14 * 24 * time.Hour

// prune removes the snapshots that were used longest ago.
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

// Remove removes the state of a machine. What cannot be removed costs disk space only.
func (s Snapshots) Remove(c *Config) { remove(s.base(c)) }

func remove(base string) {
	_ = os.Remove(base + ".json")
	_ = os.Remove(base + ".state")
}

// stem is the start of the names of a kernel's snapshots with a number of processors.
func (s Snapshots) stem(c *Config) string {
	return filepath.Join(string(s), fmt.Sprintf("%s-%d-", c.Kernel.Digest[:16], c.CPUs))
}

// base is the path, without extension, of a machine's snapshot.
func (s Snapshots) base(c *Config) string { return s.stem(c) + c.key()[:16] }
