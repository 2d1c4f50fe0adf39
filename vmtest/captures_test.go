// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/vmtest/guest"
)

// openEvent returns a valid openat event with empty params.
func openEvent(t *testing.T, code event.Type, params int) []byte {
	t.Helper()
	var b event.Builder
	b.Begin(code, 1, testTID, params)
	for range params {
		b.AddEmpty()
	}
	raw, err := b.End()
	require.NoError(t, err)
	return bytes.Clone(raw)
}

// ofBoth returns the events that two drivers delivered of one open.
func ofBoth(first, second [][]byte) *guest.CaseResult {
	return &guest.CaseResult{Outcome: guest.Ran, Capture: guest.Capture{Driver: "ebpf", Events: first}, Second: &guest.Capture{Driver: "kmod", Events: second}}
}

func TestCapturesHoldWhatDriversDelivered(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	c := newCaptures(dir)
	k := Kernel{Kernel: kernels.Kernel{Name: "/boot/my kernel", Release: "6.1.9-test", Arch: "amd64"}}
	enter, exit := openEvent(t, 306, 4), openEvent(t, event.TypeOpenatExit, 7)
	late := append([]byte{}, exit...)
	late[0] = 9 // its timestamp
	c.add(k, "ebpf", ofBoth([][]byte{late, []byte("no event")}, [][]byte{enter, exit}))
	c.add(k, "kmod", ofBoth([][]byte{late}, [][]byte{enter, exit}))
	c.add(k, "ebpf", ofBoth([][]byte{enter, exit}, nil))
	c.add(k, "other", ofBoth(nil, nil))
	c.setState(k, &proc.State{Machine: proc.Machine{NumCPUs: 3, Hostname: "guest"}})
	c.setState(k, &proc.State{Machine: proc.Machine{Hostname: "a later guest"}})
	require.NoError(t, c.write())

	for driver, want := range map[guest.Driver][][]byte{"ebpf": {enter, exit, late}, "kmod": {enter, exit}} {
		base := filepath.Join(dir, "boot_my kernel-"+string(driver))
		text, err := os.ReadFile(base + ".json")
		require.NoError(t, err)
		var info CaptureInfo
		require.NoError(t, json.Unmarshal(text, &info))
		sum := sha256.New()
		for _, b := range want {
			sum.Write(b)
		}
		require.Equal(t, CaptureInfo{
			Kernel: k.Name, Release: k.Release, Arch: k.Arch, Driver: driver, Cases: map[guest.Driver]int{"ebpf": 2, "kmod": 1}[driver],
			Events: len(want), SHA256: hex.EncodeToString(sum.Sum(nil)), Types: map[string]int{"openat_enter": 1, "openat_exit": len(want) - 1},
		}, info)
		r, err := savefile.Open(base+".scap", savefile.Options{Raw: true})
		require.NoError(t, err)
		for i := 0; ; i++ {
			ev, err := r.Next()
			if errors.Is(err, io.EOF) {
				require.Len(t, want, i)
				break
			}
			require.NoError(t, err)
			require.Equal(t, want[i], ev.Bytes())
		}
		require.Equal(t, "guest", r.State().Machine.Hostname, "the first guest's")
		require.NoError(t, r.Close())
	}

	c.dir = filepath.Join(dir, "boot_my kernel-ebpf.json")
	require.Error(t, c.write(), "a file where the directory should be")
}

func TestAGuestIsAskedForItsState(t *testing.T) {
	answer := func(s guest.State) fakeGuest {
		return func(c *fakeConn, _ io.Writer) {
			if kind, _, err := c.Receive(); err != nil || kind != guest.KindState {
				panic(fmt.Sprint(kind, err))
			}
			_ = c.Send(guest.KindState, s)
			_, _, _ = c.Receive() // until the host hangs up
		}
	}
	c := newCaptures(t.TempDir())
	k := Kernel{Kernel: kernels.Kernel{Name: "6.12"}}
	l := stateLauncher{&fakeLauncher{t: t, guests: []fakeGuest{
		answer(guest.State{Error: "no /proc"}), answer(guest.State{State: &proc.State{Machine: proc.Machine{NumCPUs: 2}}}),
	}}, k, c}
	_, err := l.Launch(t.Context())
	require.ErrorContains(t, err, "state of the system: no /proc")
	s, err := l.Launch(t.Context())
	require.NoError(t, err)
	s.Finish()
	require.EqualValues(t, 2, c.states["6.12"].Machine.NumCPUs)
}
