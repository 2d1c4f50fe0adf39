// SPDX-License-Identifier: Apache-2.0

//go:build linux

package vmtest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/ebpf"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
)

// recordCases performs cases while a driver of this project captures everything they may make, and returns their facts and the events.
func recordCases(t *testing.T, ids []string) (*Facts, []event.Event) {
	t.Helper()
	testutil.SkipUnlessRoot(t)
	testutil.SkipUnlessKernel(t, "5.8", "ring buffers")
	testutil.SkipUnlessBTF(t)
	src, err := ebpf.Open(scap.Selection{All: true}, ebpf.Options{Settings: scap.Settings{Timeout: 50 * time.Millisecond, RingSize: 32 << 20}})
	require.NoError(t, err)
	defer src.Close()
	const last = 0x3ffffff0 // a descriptor that is not open
	read := make(chan error, 1)
	var events []event.Event
	go func() {
		for {
			ev, err := src.Next()
			switch {
			case errors.Is(err, scap.ErrTimeout):
			case err != nil:
				read <- err
				return
			case ev.Type() == event.TypeCloseExit && binary.NativeEndian.Uint64(ev.Param(1)) == last:
				read <- nil
				return
			default:
				events = append(events, ev.Clone())
			}
		}
	}()
	facts, err := RecordFacts(t.Context(), Options{Cases: ids, Cache: t.TempDir(), Log: t.Logf})
	require.ErrorIs(t, unix.Close(last), unix.EBADF)
	require.NoError(t, <-read)
	require.NoError(t, err)
	return facts, events
}

// save writes a capture file.
func save(t *testing.T, events []event.Event) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.scap")
	f, err := savefile.Create(name, savefile.FileOptions{})
	require.NoError(t, err)
	for i := range events {
		require.NoError(t, f.Write(&events[i]))
	}
	require.NoError(t, f.Close())
	return name
}

func TestACaptureIsJudgedWithTheFactsOfItsCases(t *testing.T) {
	ids := guest.IDs("openat", "close", "connect", "getppid", "clone", "execve", "exit")
	facts, events := recordCases(t, ids)
	var text bytes.Buffer
	require.NoError(t, facts.Write(&text))
	judged := func(events []event.Event) *Report {
		again, err := ReadFacts(bytes.NewReader(text.Bytes()))
		require.NoError(t, err)
		rep, err := JudgeCapture(Options{Cases: ids}, again, save(t, events))
		require.NoError(t, err)
		return rep
	}
	rep := judged(events)
	require.Empty(t, rep.Failures())
	scores, deviations := rep.Conformance()
	require.Len(t, scores, 1)
	require.Greater(t, scores[0].Cases.Equal, 50)
	require.Zero(t, scores[0].Broken)
	require.Empty(t, deviations)
	require.Equal(t, "x.scap", rep.Subject().Name)
	for _, x := range rep.Results {
		if x.Status == judge.Skip {
			require.Empty(t, x.Conformance)
			continue
		}
		require.Equal(t, judge.Equal, x.Conformance, x.Cell())
	}

	// A driver that sends another value, and one that loses an event.
	wrong := make([]event.Event, len(events))
	for i := range events {
		wrong[i] = events[i].Clone()
		if wrong[i].Type() == event.TypeGetppidExit {
			b := bytes.Clone(wrong[i].Bytes())
			b[len(b)-1] ^= 1
			require.NoError(t, wrong[i].Reset(b, 0))
		}
	}
	var out strings.Builder
	rep = judged(wrong)
	require.NoError(t, rep.WriteText(&out))
	_, deviations = rep.Conformance()
	require.Len(t, deviations, 1, out.String())
	require.Equal(t, "getppid_exit", deviations[0].Event)
	require.Empty(t, deviations[0].Differs)
	require.Contains(t, out.String(), "defect: getppid_exit ")
	for _, x := range rep.Failures() {
		require.Equal(t, judge.Defect, x.Conformance)
		require.Contains(t, x.Repro, "matrix --syscall getppid/")
	}

	without := func(typ event.Type) *Report {
		return judged(slices.DeleteFunc(slices.Clone(events), func(ev event.Event) bool { return ev.Type() == typ }))
	}
	rep = without(event.TypeConnectExit)
	_, deviations = rep.Conformance()
	require.Len(t, deviations, 1)
	require.Equal(t, judge.ClassMissing, rep.Failures()[0].Class)
	rep = without(event.TypeGetppidExit)
	require.Empty(t, rep.Failures(), "the reference has no event of it, and its programs do not ask for the call")

	rep = judged(events[:0])
	scores, _ = rep.Conformance()
	require.Zero(t, scores[0].Cases, "a recorder that saw nothing says nothing about a driver")
	require.Positive(t, scores[0].Broken)
	require.NotEmpty(t, rep.Failures())
}

func TestFactsThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "it is empty (facts as scaplab cases --facts writes them are expected)",
		"{}":                        "format 0 (1 is expected)",
		`{"format": 1, "runs": []}`: `unknown field "runs"`,
		"text":                      "invalid character",
	} {
		_, err := ReadFacts(strings.NewReader(text))
		require.ErrorContains(t, err, want)
	}
	file := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(file, []byte("text"), 0o600))
	_, err := JudgeCapture(Options{Cache: t.TempDir()}, &Facts{Hello: guest.Hello{Release: "6.1.0", Arch: "amd64"}}, file)
	require.ErrorContains(t, err, file)
}
