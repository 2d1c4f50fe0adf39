// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/vmtest/guest"
)

// vmLauncher brings up machines of one kernel, from a snapshot when there is
// a good one, else by booting. It may be used by several lanes at once.
type vmLauncher struct {
	config    machineConfig
	kernel    kernels.Kernel
	initrdSum string        // of the initramfs
	snapshots string        // directory; "" for none
	bootLimit time.Duration // until a booted guest must be ready
	log       func(format string, args ...any)
	console   io.Writer // nil, or where consoles are copied to

	mu       sync.Mutex // one boot at a time: the next lane then restores
	unusable bool       // snapshots do not work here; no further try
	failures int        // boots in a row that came to nothing
	failure  error      // of the last of them
}

// snapshotMeta stands beside a saved state.
type snapshotMeta struct {
	Key   string      `json:"key"`
	Size  int64       `json:"size"`
	Hello guest.Hello `json:"hello"`
}

// errNoSnapshot says that none was taken yet.
var errNoSnapshot = errors.New("no snapshot")

// restoreLimit bounds each step of a restore, which takes a tenth of a second.
const restoreLimit = 15 * time.Second

// key is all that a saved state depends on.
func (l *vmLauncher) key() string {
	c := l.config
	c.kernel, c.initrd = l.kernel.Digest, l.initrdSum
	all := strings.Join(append([]string{qemuIdentity(c.qemu)}, argv(c.devices()...)...), "\x00")
	sum := sha256.Sum256([]byte(all))
	return hex.EncodeToString(sum[:])
}

// stem is the start of the names of a kernel's snapshots with a number of processors.
func (l *vmLauncher) stem() string {
	return filepath.Join(l.snapshots, fmt.Sprintf("%s-%d-", l.kernel.Digest[:16], l.config.cpus))
}

func (l *vmLauncher) launch(ctx context.Context) (*session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.snapshots != "" && !l.unusable {
		s, err := l.restore(ctx)
		switch {
		case err == nil:
			return s, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case !errors.Is(err, errNoSnapshot):
			l.unusable = true
			l.log("kernel %s: booting, since its snapshot did not work: %v", l.kernel.Name, err)
			l.remove(l.base())
		}
	}
	if l.failures >= bootTries { // another lane has tried
		return nil, l.failure
	}
	s, err := l.boot(ctx)
	if l.failure = err; err != nil {
		l.failures++
	} else {
		l.failures = 0
	}
	return s, err
}

// restore continues the saved machine.
func (l *vmLauncher) restore(ctx context.Context) (_ *session, err error) {
	start := time.Now()
	key, base := l.key(), l.base()
	b, err := os.ReadFile(base + ".json")
	if err != nil {
		return nil, errNoSnapshot
	}
	var meta snapshotMeta
	if err := json.Unmarshal(b, &meta); err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	f, err := os.Open(base + ".state")
	if err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || meta.Key != key || st.Size() != meta.Size {
		return nil, errors.New("read snapshot: state and description do not belong together")
	}
	v, err := startVM(ctx, &l.config, f, l.console)
	if err != nil {
		return nil, err
	}
	s := vmSession(v)
	s.hello = meta.Hello
	defer func() {
		if err != nil {
			if said := s.finish(); said != "" {
				err = fmt.Errorf("%w (%s)", err, said)
			}
		}
	}()
	if err := v.qmp.waitRunning(ctx, restoreLimit); err != nil {
		return nil, err
	}
	if err := ping(ctx, s, restoreLimit); err != nil {
		return nil, err
	}
	now := time.Now()
	_ = os.Chtimes(base+".state", now, now) // the one used longest ago goes first
	s.how = "restored in " + seconds(time.Since(start))
	return s, nil
}

// ping makes the guest answer, and sets its clock, which stood still.
func ping(ctx context.Context, s *session, limit time.Duration) error {
	want := guest.Ping{N: uint64(time.Now().UnixNano()), Clock: time.Now().UnixNano()}
	if err := s.send(guest.KindPing, want); err != nil {
		return err
	}
	m, err := s.await(ctx, guest.KindPong, limit)
	if err != nil {
		return err
	}
	var got guest.Ping
	if err := m.decode(&got); err != nil {
		return err
	}
	if got.N != want.N {
		return fmt.Errorf("guest answered ping %d with %d", want.N, got.N)
	}
	return nil
}

// boot starts the machine from nothing and leaves a snapshot behind.
func (l *vmLauncher) boot(ctx context.Context) (_ *session, err error) {
	start := time.Now()
	v, err := startVM(ctx, &l.config, nil, l.console)
	if err != nil {
		return nil, err
	}
	s := vmSession(v)
	m, err := s.await(ctx, guest.KindHello, l.bootLimit)
	if err == nil {
		err = m.decode(&s.hello)
	}
	if err != nil {
		said := s.finish()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		text := s.console()
		reason := cmp.Or(crashHeadline(text), said)
		return nil, &bootError{strings.TrimSuffix(fmt.Sprintf("%v: %s", err, firstLine(reason)), ": "), crashExcerpt(text, excerptLines)}
	}
	s.how = "cold boot in " + seconds(time.Since(start))
	// A machine that complained when it started, or when drivers were loaded, is to do so the next time, too.
	if l.snapshots == "" || l.unusable || v.console.complains() {
		return s, nil
	}
	if err := l.save(ctx, v, s.hello); err != nil {
		l.unusable = true
		l.log("kernel %s: no snapshot: %v", l.kernel.Name, err)
		if err := ping(ctx, s, restoreLimit); err != nil { // the failed save may have stopped it
			s.finish()
			return nil, &bootError{fmt.Sprintf("no answer after a failed snapshot: %v", err), crashExcerpt(s.console(), excerptLines)}
		}
	}
	return s, nil
}

// save keeps the state of a machine that has just become ready.
func (l *vmLauncher) save(ctx context.Context, v *vm, hello guest.Hello) error {
	if err := os.MkdirAll(l.snapshots, 0o755); err != nil {
		return err
	}
	key, base := l.key(), l.base()
	f, err := os.CreateTemp(l.snapshots, ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := v.qmp.save(ctx, restoreLimit, f); err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	b, err := json.Marshal(snapshotMeta{Key: key, Size: st.Size(), Hello: hello})
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), base+".state"); err != nil {
		return err
	}
	if err := files.WriteAtomic(base+".json", b); err != nil {
		return err
	}
	l.prune()
	return nil
}

// keptSnapshots is how many there are of a stem, about 100 MB each: two, so
// that two builds of this program in turn do not throw out each other's.
const keptSnapshots = 2

// snapshotAge is how long one is kept that nothing uses, e.g. of a kernel that
// a newer one has replaced.
const snapshotAge = 14 * 24 * time.Hour

// prune removes the snapshots that were used longest ago.
func (l *vmLauncher) prune() {
	all, _ := filepath.Glob(filepath.Join(l.snapshots, "*.state")) // a bad pattern would find nothing
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
		if strings.HasPrefix(f, l.stem()) {
			same++
		}
		if strings.HasPrefix(f, l.stem()) && same > keptSnapshots || time.Since(used(f)) > snapshotAge {
			l.remove(strings.TrimSuffix(f, ".state"))
		}
	}
}

// remove removes a snapshot. What cannot be removed costs disk space only.
func (l *vmLauncher) remove(base string) {
	_ = os.Remove(base + ".json")
	_ = os.Remove(base + ".state")
}

// base is the path, without extension, of this configuration's snapshot.
func (l *vmLauncher) base() string { return l.stem() + l.key()[:16] }

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
