// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/scap/scaptest"
	"github.com/scaplab/scaplab/sinsp"
)

// block returns a block of a capture or of another file of that style.
func block(kind uint32, body []byte) []byte {
	o := binary.NativeEndian
	size := uint32(len(body) + 12)
	return o.AppendUint32(slices.Concat(o.AppendUint32(o.AppendUint32(nil, kind), size), body), size)
}

// mustInsert writes a copy of a capture with a block before its last one, and returns its name.
func mustInsert(tb testing.TB, path string, inserted []byte) string {
	tb.Helper()
	data, err := os.ReadFile(path)
	require.NoError(tb, err)
	at := len(data) - int(binary.NativeEndian.Uint32(data[len(data)-4:]))
	name := filepath.Join(tb.TempDir(), "inserted.scap")
	require.NoError(tb, os.WriteFile(name, slices.Concat(data[:at], inserted, data[at:]), 0o600))
	return name
}

func TestBlocksOfUnknownTypeAreToldOf(t *testing.T) {
	path := mustInsert(t, mustCapture(t, savefile.FileOptions{}, someEvents(t)...), block(0xbad, make([]byte, 8)))
	for _, args := range [][]string{{"read", "-r", path}, {"convert", path, path + ".out"}, {"convert", path, path, path + ".out"}} {
		code, _, stderr := runCommand(t, args...)
		require.Equal(t, cli.ExitFound, code, args)
		require.Contains(t, stderr, path+": 1 blocks of unknown type were left out (0xbad)\n", args)
	}
	code, stdout, _ := runCommand(t, "verify", path)
	require.Equal(t, cli.ExitFound, code)
	require.Contains(t, stdout, ": 1 blocks of unknown type 0xbad\n")
	require.Contains(t, mustRun(t, "info", path), "compatible  no: 1 blocks of unknown type (0xbad)\n")
}

func TestANetworkCaptureIsNoCapture(t *testing.T) {
	o := binary.NativeEndian
	header := block(0x0a0d0d0a, slices.Concat(o.AppendUint32(nil, 0x1a2b3c4d), o.AppendUint16(nil, 1), o.AppendUint16(nil, 0), bytes.Repeat([]byte{0xff}, 8)))
	packets := slices.Concat(header, block(1, make([]byte, 8)), block(6, make([]byte, 40)), block(6, make([]byte, 60)))
	path := filepath.Join(t.TempDir(), "packets.pcapng")
	require.NoError(t, os.WriteFile(path, packets, 0o600))
	for _, args := range [][]string{{"read", "-r", path}, {"convert", path, path + ".out"}, {"info", path}, {"verify", path}} {
		code, stdout, stderr := runCommand(t, args...)
		require.Equal(t, cli.ExitFound, code, args)
		require.Contains(t, stdout+stderr, "no block is of a capture of system events (types 0x1 0x6): not a capture\n", args)
	}
	require.NoFileExists(t, path+".out")
	// The kinds can be in one file.
	capture, err := os.ReadFile(mustCapture(t, savefile.FileOptions{}, someEvents(t)...))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, slices.Concat(header, block(1, make([]byte, 8)), capture[o.Uint32(capture[4:]):]), 0o600)) // behind its own header
	code, stdout, stderr := runCommand(t, "read", "-r", path)
	require.Equal(t, cli.ExitFound, code)
	require.Equal(t, 10, bytes.Count([]byte(stdout), []byte("\n")))
	require.Contains(t, stderr, "1 blocks of unknown type were left out (0x1)\n")
}

func TestAFileWithoutEventsIsNotCalledCompatible(t *testing.T) {
	path := mustCapture(t, savefile.FileOptions{})
	require.Contains(t, mustRun(t, "info", path), "compatible  not known: there are no events\n")
	var info map[string]any
	require.NoError(t, json.Unmarshal([]byte(mustRun(t, "info", "--json", path)), &info))
	require.Contains(t, info, "compatible")
	require.Nil(t, info["compatible"])
}

func TestAWrongEndOfTheFirstBlockCostsNothing(t *testing.T) {
	path := mustCapture(t, savefile.FileOptions{}, someEvents(t)...)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	data[binary.NativeEndian.Uint32(data[4:])-4] ^= 0xff
	require.NoError(t, os.WriteFile(path, data, 0o600))
	code, stdout, stderr := runCommand(t, "read", "-r", path)
	require.Equal(t, cli.ExitFound, code)
	require.Equal(t, 10, bytes.Count([]byte(stdout), []byte("\n")))
	require.Contains(t, stderr, "x.scap: 1 blocks end with a wrong length\n")
}

// fullDisk takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestNoCommandSucceedsOnAFullDisk(t *testing.T) {
	path := mustCapture(t, savefile.FileOptions{}, someEvents(t)[0])
	for _, args := range [][]string{{"verify", path}, {"read", "-r", path}, {"info", path}, {"info", "--json", path}, {"events"}, {"events", "--json"}, {"--help"}, {"--version"}} {
		var stderr bytes.Buffer
		require.Equal(t, cli.ExitEnvironment, run(t.Context(), args, fullDisk{}, &stderr), args)
		require.Contains(t, stderr.String(), "no space left on device")
	}
}

func TestACloneInAPidNamespaceDoesNotNameAnotherThread(t *testing.T) {
	src := scaptest.New()
	in := sinsp.New(src, sinsp.Options{State: &proc.State{Threads: []proc.Thread{{TID: 5, PID: 5, VTID: 5, VPID: 5, Comm: "kworker"}}}})
	apply := func(ev *event.Event) {
		src.Add(ev.Bytes(), 0)
		_, err := in.Next()
		require.NoError(t, err)
	}
	comm := func(tid event.PID) string {
		require.NotNil(t, in.Thread(tid), tid)
		return in.Thread(tid).Comm
	}
	// Thread 4711, number 2 of its namespace, has made the namespace's number 5.
	apply(cloneEventInside(t, start, 4711, 2, 5, 4711, "curl", 0))
	require.Equal(t, "kworker", comm(5))
	require.Equal(t, "curl", comm(4711))
	apply(cloneEventInside(t, start, 4711, 2, 6, 4711, "curl", 0))
	require.Nil(t, in.Thread(6), "which thread of the machine that is, is not known")
	// The child tells it itself.
	apply(cloneEventInside(t, start, 4712, 6, 0, 4712, "curl", 0))
	require.Equal(t, "curl", comm(4712))
}

func TestTheSummarySaysWhatAFileLacks(t *testing.T) {
	socket := mustEvent(t, event.TypeSocketExit, start, 10, func(b *event.Builder) {
		b.AddInt64(3)
		b.AddUint32(2)
		b.AddUint32(1)
		b.AddUint32(0)
		b.AddUint32(1)
	}, 5)
	getppid := mustEvent(t, event.TypeGetppidExit, start, 10, func(b *event.Builder) { b.AddInt64(1) }, 1)
	path := mustCapture(t, savefile.FileOptions{}, socket, getppid, getppid)
	code, _, stderr := runCommand(t, "convert", path, path+".out")
	require.Zero(t, code)
	require.Equal(t, "so that released readers can read the file, 2 events have no arguments, 1 events lack their last argument (--native keeps everything)\n", stderr)
	require.Contains(t, mustRun(t, "info", path+".out"), "compatible  yes\n")
	for _, args := range [][]string{{path + ".out", path + ".again"}, {"--native", path, path + ".native"}} {
		code, _, stderr = runCommand(t, append([]string{"convert"}, args...)...)
		require.Zero(t, code)
		require.Empty(t, stderr, "%s: nothing is lost", args)
	}
	require.Equal(t, 2, bytes.Count([]byte(mustRun(t, "read", path+".native")), []byte(" < getppid res=1")))
}
