// SPDX-License-Identifier: Apache-2.0

//go:build unix

package savefile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

func mustClose(tb testing.TB, f *File) {
	tb.Helper()
	require.NoError(tb, f.Close())
}

// events returns the numbers of shown and of hidden events in a capture.
func events(tb testing.TB, name string) (shown, hidden int, state *proc.State) {
	tb.Helper()
	r, err := Open(name, Options{})
	require.NoError(tb, err)
	evs, err := delivered(tb, r)
	require.NoError(tb, err)
	for i := range evs {
		if evs[i].Hidden() {
			hidden++
		} else {
			shown++
		}
	}
	require.NoError(tb, r.Close())
	return shown, hidden, r.State()
}

func TestACaptureIsForItsOwnerOnly(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	for _, name := range []string{"plain", "there"} {
		path := filepath.Join(t.TempDir(), name)
		if name == "there" {
			require.NoError(t, os.WriteFile(path, []byte("other"), 0o666))
		}
		f, err := Create(path, FileOptions{})
		require.NoError(t, err)
		mustClose(t, f)
		st, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), st.Mode())
	}
}

func TestACaptureIsNotWrittenThroughALink(t *testing.T) {
	dir := t.TempDir()
	victim, link := filepath.Join(dir, "victim"), filepath.Join(dir, "link")
	require.NoError(t, os.WriteFile(victim, []byte("precious"), 0o600))
	require.NoError(t, os.Symlink(victim, link))
	_, err := Create(link, FileOptions{})
	require.ErrorContains(t, err, "link: it is a symbolic link")
	require.NoError(t, os.Symlink(filepath.Join(dir, "new"), filepath.Join(dir, "dangling")))
	_, err = Create(filepath.Join(dir, "dangling"), FileOptions{})
	require.ErrorContains(t, err, "dangling: it is a symbolic link")
	require.NoFileExists(t, filepath.Join(dir, "new"))
	_, err = Create(dir, FileOptions{})
	require.ErrorContains(t, err, "neither a file, a pipe nor a device")

	hard := filepath.Join(dir, "hard")
	require.NoError(t, os.Link(victim, hard))
	f, err := Create(hard, FileOptions{})
	require.NoError(t, err)
	mustClose(t, f)
	b, err := os.ReadFile(victim)
	require.NoError(t, err)
	require.Equal(t, "precious", string(b), "a file of that name is replaced, not written")

	f, err = Create("/dev/null", FileOptions{})
	require.NoError(t, err)
	mustClose(t, f)
	st, err := os.Stat("/dev/null")
	require.NoError(t, err)
	require.NotZero(t, st.Mode()&fs.ModeDevice)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	f, err = Create(fmt.Sprint("/dev/fd/", w.Fd()), FileOptions{})
	require.NoError(t, err, "the shell's >(...)")
	mustClose(t, f)
	require.NoError(t, w.Close())
}

func TestWhatIsPlantedAtTheNextNameIsReplaced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	victim := filepath.Join(dir, "victim")
	require.NoError(t, os.WriteFile(victim, []byte("precious"), 0o600))
	require.NoError(t, os.Symlink(victim, path+"0"))
	require.NoError(t, os.Symlink(victim, path+"1"))
	require.NoError(t, os.WriteFile(path+"2", []byte("open to others"), 0o666))
	spy, err := os.Open(path + "2")
	require.NoError(t, err)
	f, err := Create(path, FileOptions{MaxEvents: 2})
	require.NoError(t, err)
	for i := range 6 {
		require.NoError(t, f.Write(mustEvent(t, event.TypeCloseExit, uint64(i), 1, 0, 3)))
	}
	mustClose(t, f)
	for i := range 3 {
		name := fmt.Sprint(path, i)
		st, err := os.Lstat(name)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), st.Mode())
		shown, _, _ := events(t, name)
		require.Equal(t, 2, shown)
	}
	b := make([]byte, 100)
	n, err := spy.Read(b)
	require.NoError(t, err)
	require.Equal(t, "open to others", string(b[:n]))
	require.NoError(t, spy.Close())
	b, err = os.ReadFile(victim)
	require.NoError(t, err)
	require.Equal(t, "precious", string(b))
}

func TestACaptureGoesOnWhileTheNextFileCannotBegin(t *testing.T) {
	for _, every := range []bool{false, true} {
		dir := t.TempDir()
		path := filepath.Join(dir, "x")
		require.NoError(t, os.Mkdir(path+"1", 0o700))
		var warnings []error
		states := 0
		f, err := Create(path, FileOptions{
			MaxEvents: 2, Warn: func(err error) { warnings = append(warnings, err) },
			NewState: func() (*proc.State, error) {
				if states++; states == 1 && every {
					return nil, errors.New("not now")
				}
				return &proc.State{}, nil
			},
		})
		require.NoError(t, err)
		write := func(from, n int) {
			for i := range n {
				require.NoError(t, f.Write(mustEvent(t, event.TypeCloseExit, uint64(from+i), 1, 0, 3)))
			}
		}
		write(0, 5)
		require.Equal(t, path+"0", f.Name())
		require.Len(t, warnings, 1, "it is reported once")
		require.ErrorContains(t, warnings[0], "x0 goes on, since the next file cannot begin: ")
		require.NoError(t, os.Remove(path+"1"))
		f.retry = 0
		write(5, 2)
		require.Equal(t, path+"1", f.Name())
		require.EqualValues(t, 7, f.Events())
		mustClose(t, f)
		shown, hidden, _ := events(t, path+"0")
		require.Equal(t, 5, shown)
		require.Zero(t, hidden)
		shown, hidden, _ = events(t, path+"1")
		require.Equal(t, 2, shown)
		require.Equal(t, 3, hidden, "the next file has what changed the state since it was read")
	}
}

func TestAFileThatAnotherPutIntoTheRingStays(t *testing.T) {
	dir := t.TempDir()
	var warnings []error
	f, err := Create(filepath.Join(dir, "%S"), FileOptions{Every: time.Second, MaxFiles: 2, Warn: func(err error) { warnings = append(warnings, err) }})
	require.NoError(t, err)
	for i := range 4 {
		require.NoError(t, f.Write(mustEvent(t, event.TypeCloseExit, uint64(1_700_006_400+i)*1e9, 1, 0, 3)))
		if i == 0 {
			require.NoError(t, os.Rename(filepath.Join(dir, "00"), filepath.Join(dir, "mine")))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "00"), []byte("other"), 0o600))
		}
	}
	mustClose(t, f)
	require.FileExists(t, filepath.Join(dir, "00"))
	require.NoFileExists(t, filepath.Join(dir, "01"))
	require.Empty(t, warnings)
}

func TestEventsGoOnWhileTheStateIsScanned(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	scanned := make(chan *proc.State)
	var told context.Context
	began := make(chan struct{})
	f, err := Create(path, FileOptions{MaxEvents: 10, MaxSize: 1 << 40, ScanState: func(ctx context.Context) (*proc.State, error) {
		told = ctx
		close(began)
		return <-scanned, nil
	}})
	require.NoError(t, err)
	write := func(n int) {
		for range n {
			require.NoError(t, f.Write(mustEvent(t, event.TypeCloseExit, 1, 1, 0, 3)))
			require.NoError(t, f.Write(mustEvent(t, event.TypeReadExit, 1, 1, 0, nil, 3, uint32(0))))
		}
	}
	write(9)
	<-began
	require.NoError(t, told.Err())
	require.Equal(t, path+"0", f.Name(), "no event waits for the scan")
	write(1)
	require.NoError(t, told.Err())
	f.opts.MaxSize, f.slack = f.size()/2, 0
	write(1)
	require.Error(t, told.Err(), "a scan does not let a file grow for ever")
	f.opts.MaxSize = 1 << 40
	scanned <- &proc.State{Machine: proc.Machine{Hostname: "later"}}
	<-f.next.scanned
	f.opts.ScanState = nil
	write(1)
	require.Equal(t, path+"1", f.Name())
	require.EqualValues(t, 24, f.Events(), "hidden copies do not count")
	write(4)
	require.Equal(t, path+"1", f.Name(), "nor for the limit")
	write(1)
	require.Equal(t, path+"2", f.Name())
	mustClose(t, f)
	shown, hidden, _ := events(t, path+"0")
	require.Equal(t, 22, shown)
	require.Zero(t, hidden)
	shown, hidden, state := events(t, path+"1")
	require.Equal(t, 10, shown)
	require.Equal(t, 6, hidden, "those that change the state since the scan began")
	require.Equal(t, "later", state.Machine.Hostname)
}

func TestCloseEndsAScan(t *testing.T) {
	f, err := Create(filepath.Join(t.TempDir(), "x"), FileOptions{MaxEvents: 1, ScanState: func(ctx context.Context) (*proc.State, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, f.Write(mustEvent(t, event.TypeCloseExit, 1, 1, 0, 3)))
	}
	mustClose(t, f)
	require.Equal(t, 1, f.Files())
	require.EqualValues(t, 2, f.Events())
}
