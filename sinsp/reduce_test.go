// SPDX-License-Identifier: Apache-2.0

package sinsp_test

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/scap/scaptest"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/tables"
)

// states returns the events of the table that change state, by code.
func states(tb testing.TB) map[event.Type]*tables.Event {
	tb.Helper()
	table, err := tables.Load("../tables")
	require.NoError(tb, err)
	out := map[event.Type]*tables.Event{}
	add := func(e *tables.Event) {
		if e.State != nil && e.State.None == "" {
			out[event.Type(e.Code)] = e
		}
	}
	for _, s := range table.Syscalls {
		add(s.Exit)
	}
	for _, e := range table.Events {
		add(e)
	}
	require.NotEmpty(tb, out)
	return out
}

// expected returns the call that the table asks for, as recorder writes it; "": none.
func expected(e *tables.Event, ev *event.Event) string {
	number := func(i int) int64 {
		v := ev.Param(i)
		if len(v) == 0 {
			return 0
		}
		full := make([]byte, 8)
		copy(full, v)
		if slices.Contains(tables.ReducerTypes["s64"], e.Params[i].Type) || slices.Contains([]string{"fd", "fd32", "pid", "pid32"}, e.Params[i].Type) {
			for j := len(v); v[len(v)-1] >= 0x80 && j < 8; j++ {
				full[j] = 0xff
			}
		}
		return int64(binary.LittleEndian.Uint64(full))
	}
	signed := len(e.Params) > 0 && (strings.HasPrefix(e.Params[0].Type, "int") || slices.Contains([]string{"errno", "fd", "pid"}, e.Params[0].Type))
	failed := e.Source == "syscall" && e.Dir == "exit" && signed && number(0) < 0
	if failed && (e.State.Reducer == nil || !e.State.Reducer.Any) {
		return ""
	}
	if e.State.Manual {
		return e.Symbol
	}
	var args []string
	for i, a := range e.State.Args {
		typ := e.State.Reducer.Args[i].Type
		switch {
		case a.Param < 0 && slices.Contains([]string{"path", "text", "bytes", "tuple", "addr", "dyn"}, typ):
			args = append(args, `""`)
		case a.Param < 0:
			args = append(args, fmt.Sprint(a.Value))
		case typ == "path" || typ == "text":
			args = append(args, fmt.Sprintf("%q", event.CString(ev.Param(a.Param))))
		case slices.Contains([]string{"bytes", "tuple", "addr", "dyn"}, typ):
			args = append(args, fmt.Sprintf("%q", ev.Param(a.Param)))
		case typ == "u64":
			args = append(args, fmt.Sprint(uint64(number(a.Param))))
		default:
			args = append(args, fmt.Sprint(number(a.Param)))
		}
	}
	name := strings.ReplaceAll(e.State.Reducer.Name, "_", "")
	return name + "(" + strings.Join(args, ", ") + ")"
}

// check reduces ev and compares the call with the table's.
func check(t *testing.T, states map[event.Type]*tables.Event, ev *event.Event) (called bool) {
	t.Helper()
	var r recorder
	require.NoError(t, sinsp.Reduce(&r, ev))
	want := ""
	if e := states[ev.Type()]; e != nil {
		want = expected(e, ev)
	}
	require.Equal(t, want, r.call, "%s: %s", ev.Info().Symbol, ev.AppendArgs(nil))
	return want != ""
}

// corpus calls f for every event of the captures in git.
func corpus(tb testing.TB, f func(*event.Event)) {
	tb.Helper()
	files, err := filepath.Glob("../scap/savefile/testdata/corpus/*.scap")
	require.NoError(tb, err)
	require.NotEmpty(tb, files)
	for _, name := range files {
		r, err := savefile.Open(name, savefile.Options{})
		require.NoError(tb, err)
		for ev, err := range scap.Events(tb.Context(), r) {
			require.NoError(tb, err, name)
			f(ev)
		}
		require.NoError(tb, r.Close())
	}
}

func TestCapturesCallWhatTheTableSays(t *testing.T) {
	states := states(t)
	seen := map[event.Type]bool{}
	corpus(t, func(ev *event.Event) {
		if check(t, states, ev) {
			seen[ev.Type()] = true
		}
	})
	require.Greater(t, len(seen), 15, "types of events that called a method")
}

// Each param gets a different value, so that the test sees swapped params.
func TestEveryEventWithStateCallsItsMethod(t *testing.T) {
	for code, e := range states(t) {
		for name, first := range map[string]int64{"success": 7, "failure": -7} {
			var b event.Builder
			b.Begin(code, 1, 2, len(e.Params))
			for i, p := range e.Params {
				v := int64(i + 1)
				if i == 0 {
					v = first
				}
				info := event.Lookup(code).Params[i]
				size, fixed := info.Type.Size()
				switch {
				case fixed:
					b.Add(binary.LittleEndian.AppendUint64(nil, uint64(v))[:size])
				case info.Type == event.ParamSocktuple || info.Type == event.ParamSockaddr || info.Type == event.ParamDyn || info.Type == event.ParamBytebuf:
					b.Add([]byte(fmt.Sprintf("%d bytes", v)))
				default:
					b.AddString(fmt.Sprintf("%s %d", p.Name, v))
				}
			}
			raw, err := b.End()
			require.NoError(t, err, e.Symbol)
			var ev event.Event
			require.NoError(t, ev.Reset(raw, 0), e.Symbol)
			called := check(t, map[event.Type]*tables.Event{code: e}, &ev)
			if name == "success" {
				require.True(t, called, e.Symbol)
			}
		}
	}
}

func TestAnEventThatIsCutCallsNothing(t *testing.T) {
	var b event.Builder
	b.Begin(event.TypeCloseExit, 1, 2, 2)
	b.AddInt64(0)
	b.AddInt32(3) // a descriptor has 8 bytes
	raw, err := b.End()
	require.NoError(t, err)
	var ev event.Event
	require.NoError(t, ev.Reset(raw, 0))
	var r recorder
	require.ErrorIs(t, sinsp.Reduce(&r, &ev), event.ErrCorrupt)
	require.Empty(t, r.call)
}

func TestReduceDoesNotAllocate(t *testing.T) {
	corpus(t, func(ev *event.Event) {
		require.Zero(t, testing.AllocsPerRun(10, func() { _ = sinsp.Reduce(sinsp.Ignore{}, ev) }), ev.Info().Symbol)
	})
}

func BenchmarkReduce(b *testing.B) {
	var events []event.Event
	corpus(b, func(ev *event.Event) {
		var copied event.Event
		require.NoError(b, copied.Reset(slices.Clone(ev.Bytes()), 0))
		events = append(events, copied)
	})
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if err := sinsp.Reduce(sinsp.Ignore{}, &events[n%len(events)]); err != nil {
			b.Fatal(err)
		}
	}
}

// recorder writes down the last call.
type recorder struct{ call string }

func (r *recorder) add(name string, args ...any) {
	text := make([]string, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case []byte, event.SockTuple, event.SockAddr, event.Dyn:
			text[i] = fmt.Sprintf("%q", a)
		default:
			text[i] = fmt.Sprintf("%d", a)
		}
	}
	r.call = strings.ToLower(name) + "(" + strings.Join(text, ", ") + ")"
}

// whole records a call with the whole event and all its values.
func (r *recorder) whole(ev *event.Event, d any) {
	again := reflect.New(reflect.TypeOf(d))
	if again.Interface().(event.Typed).Decode(ev) == nil && reflect.DeepEqual(again.Elem().Interface(), d) {
		r.call = ev.Info().Symbol
	}
}

func (r *recorder) OpenFile(_ *event.Event, ret event.FD, name []byte, flags uint32, dev uint32, ino uint64, dirfd event.FD) {
	r.add("OpenFile", ret, name, flags, dev, ino, dirfd)
}
func (r *recorder) Creat(_ *event.Event, ret event.FD, name []byte, dev uint32, ino uint64, creatFlags uint32) {
	r.add("Creat", ret, name, dev, ino, creatFlags)
}
func (r *recorder) Close(_ *event.Event, ret int64, fd event.FD) { r.add("Close", ret, fd) }
func (r *recorder) CloseRange(_ *event.Event, first uint32, last uint32, flags uint32) {
	r.add("CloseRange", first, last, flags)
}
func (r *recorder) Dup(_ *event.Event, ret event.FD, oldfd event.FD, flags uint32) {
	r.add("Dup", ret, oldfd, flags)
}
func (r *recorder) Fcntl(_ *event.Event, ret event.FD, fd event.FD, cmd uint32, arg uint64) {
	r.add("Fcntl", ret, fd, cmd, arg)
}
func (r *recorder) Pipe(_ *event.Event, fd1 event.FD, fd2 event.FD, ino uint64, flags uint32) {
	r.add("Pipe", fd1, fd2, ino, flags)
}
func (r *recorder) OpenPath(_ *event.Event, ret event.FD, name []byte, flags uint32, dev uint32, ino uint64, dirfd event.FD) {
	r.add("OpenPath", ret, name, flags, dev, ino, dirfd)
}
func (r *recorder) OpenAnon(_ *event.Event, ret event.FD, kind proc.FDType, flags uint64) {
	r.add("OpenAnon", ret, kind, flags)
}
func (r *recorder) Signalfd(_ *event.Event, ret event.FD, fd event.FD, flags uint32) {
	r.add("Signalfd", ret, fd, flags)
}
func (r *recorder) MemfdCreate(_ *event.Event, ret event.FD, name []byte, flags uint32) {
	r.add("MemfdCreate", ret, name, flags)
}
func (r *recorder) BPF(_ *event.Event, ret event.FD, cmd uint32) { r.add("BPF", ret, cmd) }
func (r *recorder) PidfdOpen(_ *event.Event, ret event.FD, pid event.PID, flags uint32) {
	r.add("PidfdOpen", ret, pid, flags)
}
func (r *recorder) PidfdGetfd(_ *event.Event, ret event.FD, pidFD event.FD, targetFD event.FD) {
	r.add("PidfdGetfd", ret, pidFD, targetFD)
}
func (r *recorder) Read(_ *event.Event, ret int64, fd event.FD, data []byte) {
	r.add("Read", ret, fd, data)
}
func (r *recorder) Write(_ *event.Event, ret int64, fd event.FD, data []byte) {
	r.add("Write", ret, fd, data)
}
func (r *recorder) Recv(_ *event.Event, ret int64, fd event.FD, tuple event.SockTuple, data []byte, msgcontrol []byte) {
	r.add("Recv", ret, fd, tuple, data, msgcontrol)
}
func (r *recorder) Send(_ *event.Event, ret int64, fd event.FD, tuple event.SockTuple, data []byte) {
	r.add("Send", ret, fd, tuple, data)
}
func (r *recorder) Socket(_ *event.Event, ret event.FD, domain uint32, typ uint32, proto uint32, flags uint32) {
	r.add("Socket", ret, domain, typ, proto, flags)
}
func (r *recorder) Socketpair(_ *event.Event, fd1 event.FD, fd2 event.FD, source uint64, peer uint64, domain uint32, typ uint32, proto uint32) {
	r.add("Socketpair", fd1, fd2, source, peer, domain, typ, proto)
}
func (r *recorder) Bind(_ *event.Event, fd event.FD, addr event.SockAddr) { r.add("Bind", fd, addr) }
func (r *recorder) Connect(_ *event.Event, ret int64, fd event.FD, tuple event.SockTuple, addr event.SockAddr) {
	r.add("Connect", ret, fd, tuple, addr)
}
func (r *recorder) Listen(_ *event.Event, fd event.FD) { r.add("Listen", fd) }
func (r *recorder) Accept(_ *event.Event, ret event.FD, tuple event.SockTuple, flags uint32) {
	r.add("Accept", ret, tuple, flags)
}
func (r *recorder) Shutdown(_ *event.Event, fd event.FD, how uint32) { r.add("Shutdown", fd, how) }
func (r *recorder) Getsockopt(_ *event.Event, fd event.FD, level uint32, optname uint32, val event.Dyn) {
	r.add("Getsockopt", fd, level, optname, val)
}
func (r *recorder) Chdir(_ *event.Event, path []byte)    { r.add("Chdir", path) }
func (r *recorder) Fchdir(_ *event.Event, fd event.FD)   { r.add("Fchdir", fd) }
func (r *recorder) Chroot(_ *event.Event, path []byte)   { r.add("Chroot", path) }
func (r *recorder) Fchroot(_ *event.Event, fd event.FD)  { r.add("Fchroot", fd) }
func (r *recorder) Setuid(_ *event.Event, uid event.UID) { r.add("Setuid", uid) }
func (r *recorder) Setgid(_ *event.Event, gid event.GID) { r.add("Setgid", gid) }
func (r *recorder) Setreuid(_ *event.Event, ruid event.UID, euid event.UID) {
	r.add("Setreuid", ruid, euid)
}
func (r *recorder) Setregid(_ *event.Event, rgid event.GID, egid event.GID) {
	r.add("Setregid", rgid, egid)
}
func (r *recorder) Setresuid(_ *event.Event, ruid event.UID, euid event.UID, suid event.UID) {
	r.add("Setresuid", ruid, euid, suid)
}
func (r *recorder) Setresgid(_ *event.Event, rgid event.GID, egid event.GID, sgid event.GID) {
	r.add("Setresgid", rgid, egid, sgid)
}
func (r *recorder) Capset(_ *event.Event, capInheritable uint64, capPermitted uint64, capEffective uint64) {
	r.add("Capset", capInheritable, capPermitted, capEffective)
}
func (r *recorder) Setpgid(_ *event.Event, pid event.PID, pgid event.PID) {
	r.add("Setpgid", pid, pgid)
}
func (r *recorder) Setsid(_ *event.Event, ret event.PID) { r.add("Setsid", ret) }
func (r *recorder) Rlimit(_ *event.Event, cur int64, max int64, resource uint32) {
	r.add("Rlimit", cur, max, resource)
}
func (r *recorder) Prlimit(_ *event.Event, newcur int64, newmax int64, oldcur int64, oldmax int64, pid event.PID, resource uint32) {
	r.add("Prlimit", newcur, newmax, oldcur, oldmax, pid, resource)
}
func (r *recorder) Prctl(_ *event.Event, option uint32, arg2Str []byte, arg2Int int64) {
	r.add("Prctl", option, arg2Str, arg2Int)
}
func (r *recorder) VM(_ *event.Event, vmSize uint32, vmRSS uint32, vmSwap uint32) {
	r.add("VM", vmSize, vmRSS, vmSwap)
}
func (r *recorder) Unshare(_ *event.Event, flags uint32)             { r.add("Unshare", flags) }
func (r *recorder) Setns(_ *event.Event, fd event.FD, nstype uint32) { r.add("Setns", fd, nstype) }
func (r *recorder) Switch(_ *event.Event, pgftMaj uint64, pgftMin uint64, vmSize uint32, vmRSS uint32, vmSwap uint32) {
	r.add("Switch", pgftMaj, pgftMin, vmSize, vmRSS, vmSwap)
}
func (r *recorder) Procexit(_ *event.Event, status int64, reaperTID event.PID) {
	r.add("Procexit", status, reaperTID)
}
func (r *recorder) Mount(_ *event.Event, dev []byte, dir []byte, typ []byte) {
	r.add("Mount", dev, dir, typ)
}
func (r *recorder) Umount(_ *event.Event, name []byte) { r.add("Umount", name) }
func (r *recorder) CPUHotplug(_ *event.Event, cpu uint32, action uint32) {
	r.add("CPUHotplug", cpu, action)
}
func (r *recorder) UserAdded(_ *event.Event, uid event.UID, gid event.GID, name []byte, home []byte, shell []byte, containerID []byte) {
	r.add("UserAdded", uid, gid, name, home, shell, containerID)
}
func (r *recorder) UserDeleted(_ *event.Event, uid event.UID, containerID []byte) {
	r.add("UserDeleted", uid, containerID)
}
func (r *recorder) GroupAdded(_ *event.Event, gid event.GID, name []byte, containerID []byte) {
	r.add("GroupAdded", gid, name, containerID)
}
func (r *recorder) GroupDeleted(_ *event.Event, gid event.GID, containerID []byte) {
	r.add("GroupDeleted", gid, containerID)
}
func (r *recorder) Container(_ *event.Event, json []byte)          { r.add("Container", json) }
func (r *recorder) Async(_ *event.Event, name []byte, data []byte) { r.add("Async", name, data) }
func (r *recorder) Procinfo(_ *event.Event, cpuUsr uint64, cpuSys uint64) {
	r.add("Procinfo", cpuUsr, cpuSys)
}
func (r *recorder) Clone(ev *event.Event, d event.CloneExit)       { r.whole(ev, d) }
func (r *recorder) Fork(ev *event.Event, d event.ForkExit)         { r.whole(ev, d) }
func (r *recorder) Vfork(ev *event.Event, d event.VforkExit)       { r.whole(ev, d) }
func (r *recorder) Execve(ev *event.Event, d event.ExecveExit)     { r.whole(ev, d) }
func (r *recorder) Execveat(ev *event.Event, d event.ExecveatExit) { r.whole(ev, d) }
func (r *recorder) Clone3(ev *event.Event, d event.Clone3Exit)     { r.whole(ev, d) }

// Read and Write have a shorter way than others, for events of every code that they handle.
func TestDataThatPassesThroughASocketConnectsIt(t *testing.T) {
	codes := 0
	for code, e := range states(t) {
		if r := e.State.Reducer; r == nil || r.Name != "read" && r.Name != "write" {
			continue
		}
		codes++
		for res, want := range map[int64]sinsp.SocketState{7: sinsp.Connected, 0: sinsp.Connected, -7: sinsp.Unconnected} {
			var b event.Builder
			b.Begin(code, 2, 1000, len(e.Params))
			for i := range e.Params {
				size, fixed := event.Lookup(code).Params[i].Type.Size()
				switch {
				case i == 0:
					b.AddInt64(res)
				case i == e.State.Args[1].Param:
					b.AddInt64(9)
				case fixed:
					b.Add(make([]byte, size))
				default:
					b.Add([]byte("text\x00"))
				}
			}
			raw, err := b.End()
			require.NoError(t, err, e.Symbol)
			src := &loop{Source: scaptest.New(), events: make([]event.Event, 2)}
			require.NoError(t, src.events[0].Reset(build(t, event.TypeSocketExit, 1, 1000, 9, 2, 1, 0, 0), 0))
			require.NoError(t, src.events[1].Reset(raw, 0), e.Symbol)
			in := sinsp.New(src, sinsp.Options{State: many(1)})
			for range src.events {
				_, err := in.Next()
				require.NoError(t, err)
			}
			require.Equal(t, want, in.Thread(1000).FD(9).State, "%s returns %d", e.Symbol, res)
			require.Zero(t, in.Stats().Corrupt, e.Symbol)
			require.Zero(t, in.Stats().UnknownFDs, e.Symbol)
		}
	}
	require.GreaterOrEqual(t, codes, 8)
}
