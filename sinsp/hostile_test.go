// SPDX-License-Identifier: Apache-2.0

package sinsp_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/scap/scaptest"
	"github.com/scaplab/scaplab/sinsp"
)

// stateful are the types of events that change the state.
func stateful(tb testing.TB) (types []event.Type) {
	for typ := range states(tb) {
		types = append(types, typ)
	}
	types = append(types, event.TypeExecveEnter, event.TypeExecveatEnter, event.TypeOpenatEnter, event.TypeConnectEnter, event.TypeGetpidExit)
	return types
}

// hostile makes an event whose params are of the right types and otherwise anything, of a
// few threads and descriptors, so that they meet.
func hostile(tb testing.TB, rng *rand.Rand, typ event.Type, ts uint64) []byte {
	info := event.Lookup(typ)
	params := make([]any, len(info.Params))
	for i, p := range info.Params {
		size, fixed := p.Type.Size()
		switch n := rng.IntN(40); {
		case n == 0:
			params[i] = nil
		case fixed && size == 8 && i == 0 && n < 20:
			params[i] = rng.IntN(40)
		case fixed && n < 30:
			params[i] = rng.IntN(40) - 3
		case fixed:
			params[i] = int(rng.Uint64())
		case p.Type == event.ParamSocktuple && n < 20:
			params[i] = tuple(fmt.Sprintf("10.0.0.%d:%d", rng.IntN(3), rng.IntN(3)), fmt.Sprintf("10.0.0.%d:%d", rng.IntN(3), rng.IntN(3)))
		case p.Type == event.ParamSockaddr && n < 20:
			params[i] = address(fmt.Sprintf("10.0.0.%d:%d", rng.IntN(3), rng.IntN(3)))
		case p.Name == "msgcontrol":
			params[i] = rights(int32(rng.IntN(40)), int32(rng.Uint32()))
		case n < 30:
			params[i] = strings.Repeat("../x/", rng.IntN(4)) + "name"
		default:
			b := make([]byte, rng.IntN(3000))
			for j := range b {
				b[j] = byte(rng.Uint32())
			}
			params[i] = b
		}
	}
	return build(tb, typ, ts, event.PID(rng.IntN(40)), params...)
}

func TestAnyStreamOfEventsLeavesTheStateSound(t *testing.T) {
	types := stateful(t)
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 1))
		src := &scaptest.Source{Poison: true}
		limits := sinsp.Limits{Threads: 24, FDs: 12, AllFDs: 100, Text: 20_000}
		if seed%2 == 0 {
			limits = sinsp.Limits{}
		}
		in := sinsp.New(src, sinsp.Options{State: someState(), Limits: limits, Alive: func(tid event.PID) bool { return tid%3 == 0 }})
		ts := uint64(1_700_000_000 * second)
		for i := range 10_000 {
			if ts += uint64(rng.IntN(1000)); rng.IntN(1000) == 0 {
				ts += 1000 * second
			}
			src.Add(hostile(t, rng, types[rng.IntN(len(types))], ts), rng.IntN(4))
			_, err := in.Next()
			require.NoError(t, err)
			if i%50 == 0 {
				require.NoError(t, sinsp.Check(in), "seed %d, event %d", seed, i)
			}
		}
		if stats := in.Stats(); seed%2 != 0 {
			require.NotZero(t, stats.DroppedThreads)
			require.NotZero(t, stats.DroppedFDs)
			require.NotZero(t, stats.DroppedText)
		}
	}
}

// Each of these streams grows one part of the state as fast as it can.
func TestAHostileStreamCannotGrowMemoryWithoutBound(t *testing.T) {
	long := strings.Repeat("x", 900)
	for name, tt := range map[string]func(w *world, i int){
		"threads": func(w *world, i int) { w.fork(100, event.PID(1000+i)) },
		"children of which only the makers tell": func(w *world, i int) {
			w.inPidns(event.PID(1000+i), 100, 100, 1, 2, 2, cloneInPidns, 5)
			w.send(event.TypeOpenExit, 100, i%1000, fmt.Sprint("/", i, long), 1, 0, 0, 0)
		},
		"unknown ones": func(w *world, i int) { w.send(event.TypeGetpidExit, event.PID(1000+i), 1) },
		"descriptors":  func(w *world, i int) { w.send(event.TypeDupExit, 100, i, 3) },
		"far ones":     func(w *world, i int) { w.send(event.TypeDupExit, 100, i*1_000_003, 3) },
		"of all": func(w *world, i int) {
			w.fork(100, event.PID(1000+i))
			w.send(event.TypeOpenExit, event.PID(1000+i), i%1000, fmt.Sprint("/", i, long), 1, 0, 0, 0)
		},
		"environments": func(w *world, i int) {
			pid := event.PID(1000 + i)
			w.send(event.TypeExecveExit, pid, 0, fmt.Sprint(i, long), []byte(fmt.Sprint(i, long)), int(pid), int(pid), 1, "", 99, 0, 0, 1, 2, 3, "c",
				[]byte(fmt.Sprint("cpu=", i, long)), []byte(fmt.Sprint("A=", i, long, long, long, long)))
		},
		"paths that were never opened": func(w *world, i int) { w.send(event.TypeOpenEnter, event.PID(1000+i), fmt.Sprint("/", i, long), 0, 0) },
		"users": func(w *world, i int) {
			w.send(event.TypeUseraddedEnter, -1, i, i, fmt.Sprint(i, long), long, long, fmt.Sprint(i))
		},
		"groups": func(w *world, i int) { w.send(event.TypeGroupaddedEnter, -1, i, fmt.Sprint(i, long), fmt.Sprint(i)) },
		"containers": func(w *world, i int) {
			w.send(event.TypeContainerJSONEnter, -1, fmt.Sprintf(`{"container":{"id":"%d","image":"%s"}}`, i, long))
		},
		"cpus": func(w *world, i int) {
			w.cpu = i % 65536
			w.send(event.TypeSwitchEnter, 100, 1, 5, 6, 7, 8, 9)
		},
	} {
		t.Run(name, func(t *testing.T) {
			limits := sinsp.Limits{Threads: 1000, FDs: 100, AllFDs: 5000, Text: 2 << 20}
			w := mustWorld(t, sinsp.Options{Limits: limits})
			const bound = 32 << 20 // of the limits, the strings kept for reuse, and what is fixed
			before := memory()
			for i := range 10_000 {
				tt(w, i)
				if i%1000 == 0 {
					w.src.Forget()
				}
			}
			w.src.Forget()
			require.NoError(t, sinsp.Check(w.in))
			require.Less(t, memory()-before, int64(bound))
			runtime.KeepAlive(w)
		})
	}
}

func memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// replay reads a capture with the state.
func replay(tb testing.TB, data []byte) (events int) {
	r, err := savefile.NewReader(bytes.NewReader(data), savefile.Options{})
	if err != nil {
		return 0
	}
	defer r.Close()
	in := sinsp.New(r, sinsp.Options{Limits: sinsp.Limits{Threads: 2000, FDs: 500, AllFDs: 10_000, Text: 1 << 20}})
	for {
		ev, err := in.Next()
		if err != nil {
			break
		}
		events++
		if th := ev.Thread; th != nil {
			if fd := ev.FD(); fd != nil {
				fd.AppendName(nil)
			}
			th.SessionLeader()
			th.Container()
			th.User()
		}
	}
	require.NoError(tb, sinsp.Check(in))
	in.Snapshot()
	return events
}

// captures returns the captures in git, and those beside the repository.
func captures(tb testing.TB) (files []string) {
	tb.Helper()
	for _, pattern := range []string{"../scap/savefile/testdata/corpus/*.scap", "../../shared/data/captures/*.scap"} {
		found, err := filepath.Glob(pattern)
		require.NoError(tb, err)
		files = append(files, found...)
	}
	require.NotEmpty(tb, files)
	return files
}

func TestCapturesLeaveTheStateSound(t *testing.T) {
	for _, name := range captures(t) {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NotZero(t, replay(t, data), name)
	}
}

// Any prefix of a capture with any bytes changed.
func FuzzReplay(f *testing.F) {
	for _, name := range captures(f) {
		data, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(data[:min(len(data), 60_000)], uint32(len(data)/2), byte(1))
	}
	f.Fuzz(func(t *testing.T, data []byte, at uint32, x byte) {
		if len(data) > 0 {
			data = bytes.Clone(data)
			data[int(at)%len(data)] ^= x
		}
		replay(t, data)
	})
}

func TestALostEventLeavesTheStateUsable(t *testing.T) {
	for _, name := range captures(t) {
		for lost := range 5 {
			r, err := savefile.Open(name, savefile.Options{})
			require.NoError(t, err)
			in := sinsp.New(&lossy{Source: r, every: 3 + lost}, sinsp.Options{State: r.State()})
			for {
				if _, err = in.Next(); err != nil {
					break
				}
			}
			require.True(t, errors.Is(err, errEnd), "%v", err)
			require.NoError(t, sinsp.Check(in), name)
			require.NoError(t, r.Close())
		}
	}
}

var errEnd = errors.New("end")

// lossy is a source that loses one event of some.
type lossy struct {
	scap.Source
	every, n int
}

func (l *lossy) ReadBatch(evs []event.Event) (int, error) {
	for {
		if err := l.Source.NextInto(&evs[0]); err != nil {
			return 0, errEnd
		}
		if l.n++; l.n%l.every != 0 {
			return 1, nil
		}
	}
}

// Every path has a meaning, whatever is known of the directory that it is below.
func FuzzPath(f *testing.F) {
	for _, path := range []string{"", "x", "../../x", "/../x", "a/../..", "./.././../", "//a/./b//..", "<UNKNOWN>/..", strings.Repeat("../", 400), strings.Repeat("/long", 300)} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, below := string(sinsp.Clean([]byte(path))), string(sinsp.CleanBelow([]byte(path)))
		require.LessOrEqual(t, len(got), len(path)+len("./")+1)
		if strings.HasPrefix(path, "/") {
			require.Equal(t, got, below)
			require.True(t, strings.HasPrefix(got, "/"))
			require.Equal(t, got, string(sinsp.Clean([]byte(got))), "it has no dots and doubled slashes left")
			return
		}
		require.True(t, strings.HasPrefix(below, "<UNKNOWN>") || len(path) > 900, below)
	})
}
