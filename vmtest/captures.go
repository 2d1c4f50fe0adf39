// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
	"github.com/scaplab/scaplab/vmtest/machine"
	"github.com/scaplab/scaplab/vmtest/session"
)

// CaptureInfo describes what a driver delivered. It is written beside the capture file, to
// check readers of the file against.
type CaptureInfo struct {
	Kernel  string         `json:"kernel"`
	Release string         `json:"release"`
	Arch    string         `json:"arch"`
	Driver  guest.Driver   `json:"driver"`
	Cases   int            `json:"cases"`
	Events  int            `json:"events"`
	SHA256  string         `json:"sha256"` // of the bytes of all events in the order of delivery
	Types   map[string]int `json:"types"`  // events by symbol
}

// captures collects what each driver delivered on each kernel.
type captures struct {
	dir string

	mu     sync.Mutex
	states map[string]*proc.State // by kernel; of its first guest
	files  map[captureKey]*captureFile
}

type captureKey struct {
	kernel string
	driver guest.Driver
}

type captureFile struct {
	info   CaptureInfo
	events []recorded
}

// recorded is an event that Reset has accepted.
type recorded struct {
	ev    event.Event
	order int // orders events with equal timestamps
}

// newCaptures returns nil without a directory.
func newCaptures(dir string) *captures {
	if dir == "" {
		return nil
	}
	return &captures{dir: dir, states: make(map[string]*proc.State), files: make(map[captureKey]*captureFile)}
}

// add records a case's events. Bytes that are not an event already are a failure of the case.
func (c *captures) add(k Kernel, driver guest.Driver, r *guest.CaseResult) {
	own := r.By(driver)
	if own == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := captureKey{k.Name, driver}
	f := c.files[key]
	if f == nil {
		f = &captureFile{info: CaptureInfo{Kernel: k.Name, Release: k.Release, Arch: k.Arch, Driver: driver, Types: make(map[string]int)}}
		c.files[key] = f
	}
	f.info.Cases++
	for _, b := range own.Events {
		var ev event.Event
		if ev.Reset(bytes.Clone(b), 0) != nil {
			continue
		}
		f.events = append(f.events, recorded{ev, len(f.events)})
	}
}

func (c *captures) setState(k Kernel, s *proc.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.states[k.Name] == nil {
		c.states[k.Name] = s
	}
}

// write writes a compressed DIR/KERNEL-DRIVER.scap and a .json for each kernel and driver.
func (c *captures) write() error {
	if c == nil {
		return nil
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	for _, f := range c.files {
		slices.SortFunc(f.events, func(a, b recorded) int {
			return cmp.Or(cmp.Compare(a.ev.Timestamp(), b.ev.Timestamp()), a.order-b.order)
		})
		sum := sha256.New()
		for i := range f.events {
			ev := &f.events[i].ev
			sum.Write(ev.Bytes())
			f.info.Types[judge.Symbol(uint16(ev.Type()))]++
		}
		f.info.Events, f.info.SHA256 = len(f.events), hex.EncodeToString(sum.Sum(nil))
		// A kernel may be a file.
		base := filepath.Join(c.dir, strings.ReplaceAll(strings.Trim(f.info.Kernel, "/"), "/", "_")+"-"+string(f.info.Driver))
		if err := f.write(base+".scap", c.states[f.info.Kernel]); err != nil {
			return fmt.Errorf("write capture: %w", err)
		}
		text, err := json.MarshalIndent(f.info, "", "\t")
		if err != nil {
			return err
		}
		if err := os.WriteFile(base+".json", append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (f *captureFile) write(path string, state *proc.State) error {
	w, err := savefile.Create(path, savefile.FileOptions{WriterOptions: savefile.WriterOptions{State: state, Compress: true, Level: 9}})
	if err != nil {
		return err
	}
	for i := range f.events {
		if err := w.Write(&f.events[i].ev); err != nil {
			w.Close()
			return err
		}
	}
	return w.Close()
}

// stateLauncher asks each guest for the state of its system, with which captures begin.
type stateLauncher struct {
	session.Launcher
	kernel   Kernel
	captures *captures
}

func (l stateLauncher) Launch(ctx context.Context) (*session.Session, error) {
	s, err := l.Launcher.Launch(ctx)
	if err != nil {
		return nil, err
	}
	state, err := askState(ctx, s)
	if err != nil {
		s.Finish()
		return nil, &session.BootError{Reason: "state of the system: " + err.Error(), Console: machine.Excerpt(s.Console())}
	}
	l.captures.setState(l.kernel, state)
	return s, nil
}

// stateLimit bounds the reading of /proc, which takes a few ms.
const stateLimit = time.Minute

func askState(ctx context.Context, s *session.Session) (*proc.State, error) {
	if err := s.Send(guest.KindState, struct{}{}); err != nil {
		return nil, err
	}
	m, err := s.Await(ctx, guest.KindState, stateLimit)
	if err != nil {
		return nil, err
	}
	var answer guest.State
	if err := m.Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Error != "" {
		return nil, fmt.Errorf("%s", answer.Error)
	}
	return answer.State, nil
}
