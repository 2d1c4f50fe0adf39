// SPDX-License-Identifier: Apache-2.0

package field

import (
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/scaptest"
	"github.com/scaplab/scaplab/sinsp"
)

// world is a small system and what happens on it. Each event has a label, by which
// tests ask for it; the events between two labels only change the state.
type world struct {
	src    *scaptest.Source
	labels map[int]string // by the number of the event, from 0
	n      int
	ts     uint64
}

const (
	began  = uint64(1_700_000_000) * second // when the machine booted
	first  = began + 100*second             // the first event
	step   = 1_500_000_000                  // ns between events
	fullID = "3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e"
	web    = event.PID(300)
)

// with has values by the names of params: a number, a text, or bytes.
type with map[string]any

// add adds an event of thread tid on CPU 1. A param without a value is empty.
func (w *world) add(t *testing.T, label string, typ event.Type, tid event.PID, values with) {
	t.Helper()
	in := event.Lookup(typ)
	require.NotNil(t, in, typ)
	var b event.Builder
	w.ts += step
	b.Begin(typ, w.ts, tid, len(in.Params))
	used := 0
	for _, p := range in.Params {
		value, ok := values[p.Name]
		if ok {
			used++
		}
		size, fixed := p.Type.Size()
		switch v := value.(type) {
		case nil:
			b.AddEmpty()
		case int:
			require.True(t, fixed, "%s: %s", label, p.Name)
			b.Add(binary.NativeEndian.AppendUint64(nil, uint64(v))[:size])
		case string:
			if p.Type == event.ParamBytebuf {
				b.Add([]byte(v))
			} else {
				b.AddString(v)
			}
		case []byte:
			b.Add(v)
		default:
			require.Fail(t, "a value of a type that no param has", "%s: %s: %T", label, p.Name, value)
		}
	}
	require.Len(t, values, used, "%s: the event has no such param", label)
	raw, err := b.End()
	require.NoError(t, err)
	w.src.Add(raw, 1)
	if label != "" {
		w.labels[w.n] = label
	}
	w.n++
}

// each calls check with every labelled event, after the state has changed by it.
func (w *world) each(t *testing.T, state *proc.State, check func(label string, ev *sinsp.Event)) {
	t.Helper()
	in := sinsp.New(w.src, sinsp.Options{State: state})
	for n := 0; ; n++ {
		ev, err := in.Next()
		if errors.Is(err, io.EOF) {
			require.Equal(t, w.n, n)
			return
		}
		require.NoError(t, err)
		if label := w.labels[n]; label != "" {
			check(label, ev)
		}
	}
}

func tuple4(src, dst string) []byte {
	b := []byte{event.FamilyIPv4}
	for _, s := range []string{src, dst} {
		ap := netip.MustParseAddrPort(s)
		b = append(b, ap.Addr().AsSlice()...)
		b = binary.NativeEndian.AppendUint16(b, ap.Port())
	}
	return b
}

func address4(s string) []byte {
	ap := netip.MustParseAddrPort(s)
	b := append([]byte{event.FamilyIPv4}, ap.Addr().AsSlice()...)
	return binary.NativeEndian.AppendUint16(b, ap.Port())
}

func fdList(nums ...int) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(len(nums)))
	for _, num := range nums {
		b = binary.NativeEndian.AppendUint64(b, uint64(num))
		b = binary.NativeEndian.AppendUint16(b, 1)
	}
	return b
}

// machine is the system when the capture begins: init, a shell of alice and, below it,
// cat with a second thread; and a web server in a container.
func machine() *proc.State {
	root := proc.Thread{SID: 1, PGID: 1, VPGID: 1, VTID: 1, VPID: 1, CWD: "/", Root: "/", FDLimit: 1024,
		LoginUID: event.NoUID, CloneTime: began}
	of := func(pid, parent event.PID, change func(*proc.Thread)) proc.Thread {
		t := root
		t.TID, t.PID, t.PTID, t.VTID, t.VPID = pid, pid, parent, pid, pid
		change(&t)
		return t
	}
	file := func(num event.FD, name string) proc.FD {
		return proc.FD{Num: num, Type: proc.FDRegular, Name: name, Dev: 0x801, Ino: 77, OpenFlags: openRead}
	}
	alice := func(t *proc.Thread) {
		t.SID, t.PGID, t.VPGID = 100, 100, 100
		t.UID, t.GID, t.LoginUID = 1000, 100, 1000
		t.TTY, t.CWD = 34816, "/home/alice"
	}
	cat := func(t *proc.Thread) {
		alice(t)
		t.PGID, t.VPGID = 200, 200
		t.Comm, t.Exe, t.ExePath = "cat", "/bin/cat", "/usr/bin/cat"
		t.Args, t.Env = "-n\x00a b\x00", "HOME=/home/alice\x00LANG=C\x00"
		t.Cgroups = "cpuset=/\x00memory=/user.slice\x00"
		t.VMSize, t.VMRSS, t.VMSwap, t.PFMajor, t.PFMinor = 5000, 700, 9, 3, 44
		t.CapPermitted, t.CapInheritable, t.CapEffective = 1|1<<7, 1<<21, 1<<40|1<<62
		t.ExeIno, t.ExeCtime, t.ExeMtime = 4242, began+5*second, began+4*second
		t.ExeWritable, t.ExeUpperLayer, t.ExeLowerLayer, t.ExeFromMemfd = true, true, true, true
		t.CloneTime, t.PidnsInitStart = began+90*second, began+2*second
	}
	return &proc.State{
		Machine: proc.Machine{Hostname: "box", NumCPUs: 2, BootTime: began},
		Interfaces: []proc.Interface{
			{Name: "lo", Addr: netip.MustParseAddr("127.0.0.1"), Netmask: netip.MustParseAddr("255.0.0.0")},
			{Name: "eth0", Addr: netip.MustParseAddr("10.0.0.5"), Netmask: netip.MustParseAddr("255.255.255.0")},
		},
		Users:  []proc.User{{UID: 1000, GID: 100, Name: "alice", Home: "/home/alice", Shell: "/bin/bash"}},
		Groups: []proc.Group{{GID: 100, Name: "users"}},
		Threads: []proc.Thread{
			of(1, 0, func(t *proc.Thread) { t.Comm, t.Exe, t.ExePath = "init", "/sbin/init", "/usr/sbin/init" }),
			of(100, 1, func(t *proc.Thread) {
				alice(t)
				t.Comm, t.Exe, t.ExePath, t.Args, t.Env = "bash", "-bash", "/usr/bin/bash", "-l\x00", "SHLVL=1\x00"
				t.CloneTime = began + 50*second
			}),
			of(200, 100, func(t *proc.Thread) {
				cat(t)
				t.FDs = []proc.FD{
					{Num: 0, Type: proc.FDPipe, Name: "pipe:[5]", Ino: 5},
					file(1, "/dev/pts/0"), file(2, "/dev/null"), file(3, "/etc/passwd"),
					{Num: 4, Type: proc.FDDirectory, Name: "/srv"},
					{Num: 7, Type: proc.FDUnix, Name: "/dev/log", UnixSrc: 0xabc},
				}
			}),
			func() proc.Thread {
				t := of(201, 100, cat)
				t.PID, t.VPID, t.Comm = 200, 200, "worker"
				t.CloneTime = began + 95*second
				return t
			}(),
			of(web, 1, func(t *proc.Thread) {
				t.Comm, t.Exe, t.ExePath, t.VPID, t.VTID = "nginx", "nginx", "/usr/sbin/nginx", 1, 1
				t.Cgroups = "cpuset=/docker/" + fullID + "\x00"
				t.FDs = []proc.FD{file(3, "/var/log/nginx.log")}
			}),
		},
	}
}

const description = `{"container":{"id":"3ad7b26ded6d","full_id":"` + fullID + `","type":0,"name":"web","image":"nginx:1.27",` +
	`"imageid":"sha256:1234","imagerepo":"docker.io/library/nginx","imagetag":"1.27","imagedigest":"sha256:abcd",` +
	`"privileged":true,"created_time":1700000010,"ip":"172.17.0.2","cni_json":"{\"a\":1}",` +
	`"host_pid":true,"host_network":true,"host_ipc":true,"pod_sandbox_id":"feedfacecafebeef",` +
	`"labels":{"io.kubernetes.pod.name":"web-1","io.kubernetes.pod.namespace":"shop","io.kubernetes.pod.uid":"u-1","app":"web"},` +
	`"pod_sandbox_labels":{"tier":"front","app":"shop"},` +
	`"Mounts":[{"Source":"/data/a","Destination":"/a","Mode":"ro","RW":false,"Propagation":"rprivate"},` +
	`{"Source":"/data/b","Destination":"/b","Mode":"","RW":true,"Propagation":"shared"}],` +
	`"Healthcheck":{"exe":"/bin/check","args":["-q","x"]},"LivenessProbe":{"exe":"/bin/live","args":[]},` +
	`"ReadinessProbe":{"exe":"/bin/ready","args":["1"]}}}`

// newWorld has one event of each kind that a field looks for.
func newWorld(t *testing.T) *world {
	w := &world{src: &scaptest.Source{Poison: true}, labels: map[int]string{}, ts: first - step}
	flags := func(names ...string) int { return int(event.MustValue("open_flags", names...)) }
	const at = int(event.AtFDCWD)
	const enoent = -2

	w.add(t, "openat", event.TypeOpenatExit, 200, with{"fd": 5, "dirfd": at, "name": "doc//a.txt",
		"flags": flags("O_RDWR", "O_CREAT", "O_F_CREATED"), "mode": 0o755, "dev": 0xfe12, "ino": 99})
	w.add(t, "openat failed", event.TypeOpenatExit, 200, with{"fd": enoent, "dirfd": 4, "name": "no/file",
		"flags": flags("O_RDONLY"), "mode": 0, "dev": 0, "ino": 0})
	w.add(t, "overlay", event.TypeOpenExit, 200, with{"fd": 6, "name": "/o",
		"flags": flags("O_WRONLY", "FD_UPPER_LAYER", "FD_LOWER_LAYER"), "mode": 0, "dev": 1, "ino": 1})
	w.add(t, "creat", event.TypeCreatExit, 200, with{"fd": 8, "name": "/c", "mode": 0o100, "dev": 1, "ino": 1})
	w.add(t, "read", event.TypeReadExit, 201, with{"res": 4, "data": "ro\x00t", "fd": 3, "size": 4096})
	w.add(t, "read failed", event.TypeReadExit, 200, with{"res": -9, "fd": 3, "size": 1})
	w.add(t, "write", event.TypeWriteExit, 200, with{"res": 5, "data": "hello", "fd": 1, "size": 5})
	w.add(t, "syslog", event.TypeSendtoExit, 200, with{"res": 2, "data": "hi", "fd": 7, "size": 2})
	w.add(t, "mkdirat", event.TypeMkdiratExit, 200, with{"res": 0, "dirfd": 4, "path": "new", "mode": 0o700})
	w.add(t, "renameat2", event.TypeRenameat2Exit, 200, with{"res": 0, "olddirfd": at, "oldpath": "x", "newdirfd": 4, "newpath": "y", "flags": 0})
	w.add(t, "symlink", event.TypeSymlinkExit, 200, with{"res": 0, "target": "old", "linkpath": "/l"})
	w.add(t, "link", event.TypeLinkExit, 200, with{"res": 0, "oldpath": "/old", "newpath": "/new"})
	w.add(t, "fchmod", event.TypeFchmodExit, 200, with{"res": 0, "fd": 3, "mode": 0o600})
	w.add(t, "unlink failed", event.TypeUnlinkExit, 200, with{"res": enoent, "path": "/no"})

	w.add(t, "socket", event.TypeSocketExit, 200, with{"fd": 10, "domain": 2, "type": 1, "proto": 6, "flags": 0})
	w.add(t, "connect", event.TypeConnectExit, 200, with{"res": 0, "tuple": tuple4("10.0.0.5:4000", "93.184.216.34:80"), "fd": 10, "addr": address4("93.184.216.34:80")})
	w.add(t, "send", event.TypeSendtoExit, 200, with{"res": 3, "data": "GET", "fd": 10, "size": 3})
	w.add(t, "recv", event.TypeRecvfromExit, 200, with{"res": 2, "data": "ok", "fd": 10, "size": 64})
	w.add(t, "recv failed", event.TypeRecvfromExit, 200, with{"res": -11, "fd": 10, "size": 64})
	w.add(t, "", event.TypeSocketExit, 200, with{"fd": 11, "domain": 2, "type": 1, "proto": 6, "flags": 0})
	w.add(t, "bind", event.TypeBindExit, 200, with{"res": 0, "addr": address4("0.0.0.0:8080"), "fd": 11})
	w.add(t, "accept", event.TypeAccept4Exit, 200, with{"fd": 12, "tuple": tuple4("192.0.2.9:5555", "10.0.0.5:8080"), "queuepct": 0, "queuelen": 0, "queuemax": 5, "flags": 0})
	w.add(t, "poll", event.TypePollExit, 200, with{"res": 1, "fds": fdList(3, 10, 12, 99), "timeout": 5})

	w.add(t, "getppid", event.TypeGetppidExit, 200, with{"res": 100})
	w.add(t, "umask", event.TypeUmaskExit, 200, with{"res": 0o22, "mask": 0o77})
	w.add(t, "ftruncate", event.TypeFtruncateExit, 200, with{"res": 0, "fd": 5, "length": -3})
	w.add(t, "generic", event.TypeGenericExit, 200, with{"ID": 11, "nativeID": 201})
	w.add(t, "mmap failed", event.TypeMmapExit, 200, with{"res": -12, "vm_size": 1, "vm_rss": 1, "vm_swap": 0, "addr": 0, "length": 1, "prot": 1, "flags": 2, "fd": -1, "offset": 0})
	w.add(t, "setuid failed", event.TypeSetuidExit, 200, with{"res": -1, "uid": 1000})
	w.add(t, "nanosleep", event.TypeNanosleepExit, 200, with{"res": 0, "interval": 1_500_000_000})
	w.add(t, "kill", event.TypeKillExit, 200, with{"res": 0, "pid": 100, "sig": 9})
	w.add(t, "dropped", event.TypeDropEnter, -1, with{"ratio": 4})
	w.add(t, "async", event.TypeAsynceventEnter, -1, with{"plugin_id": 0, "name": "probe", "data": "x"})
	w.add(t, "infra", event.TypeInfraEnter, -1, with{"source": "docker", "name": "Docker Event", "scope": "",
		"description": "Event: start; ID: " + fullID + "; name: web; Image: nginx@sha256:abcd"})
	w.add(t, "", event.TypeProcinfoEnter, 200, with{"cpu_usr": 1000, "cpu_sys": 500})
	w.add(t, "procinfo", event.TypeProcinfoEnter, 200, with{"cpu_usr": 1025, "cpu_sys": 510})
	w.add(t, "", event.TypeSwitchEnter, 100, with{"next": 200, "pgft_maj": 3, "pgft_min": 44, "vm_size": 1, "vm_rss": 1, "vm_swap": 0})
	w.add(t, "switch", event.TypeSwitchEnter, 200, with{"next": 100, "pgft_maj": 3, "pgft_min": 44, "vm_size": 5000, "vm_rss": 700, "vm_swap": 9})

	w.add(t, "", event.TypeSocketExit, 200, with{"fd": 13, "domain": 2, "type": 2, "proto": 17, "flags": 0})
	w.add(t, "datagram", event.TypeSendtoExit, 200, with{"res": 1, "data": "x", "fd": 13, "size": 1, "tuple": tuple4("0.0.0.0:53000", "10.0.0.9:53")})
	w.add(t, "mmap failed again", event.TypeMmapExit, 200, with{"res": -12, "vm_size": 77, "vm_rss": 66, "vm_swap": 5, "addr": 0, "length": 1, "prot": 1, "flags": 2, "fd": -1, "offset": 0})
	w.add(t, "execve", event.TypeExecveExit, 8888, with{"res": 0, "exe": "ls", "args": "-l\x00", "tid": 8888, "pid": 8888, "ptid": 100, "cwd": "/",
		"fdlimit": 64, "pgft_maj": 2, "pgft_min": 61, "vm_size": 360, "vm_rss": 4, "vm_swap": 0, "comm": "ls"})

	w.add(t, "container", event.TypeContainerJSONEnter, -1, with{"json": description})
	w.add(t, "web", event.TypeReadExit, web, with{"res": 4, "data": "ro\x00t", "fd": 3, "size": 4096})
	w.add(t, "unknown thread", event.TypeReadExit, 7777, with{"res": 4, "data": "x", "fd": 3, "size": 4096})
	w.add(t, "close", event.TypeCloseExit, 200, with{"res": 0, "fd": 3})
	w.add(t, "pipe failed", event.TypePipe2Exit, 200, with{"res": -24, "fd1": 0, "fd2": 0, "ino": 0, "flags": 0})
	w.add(t, "", event.TypeSocketExit, 200, with{"fd": 20, "domain": 1, "type": 1, "proto": 0, "flags": 0})
	w.add(t, "poll without names", event.TypePollExit, 200, with{"res": 1, "fds": fdList(20, 1, 99), "timeout": 5})
	w.add(t, "new syscall", event.TypeGenericExit, 200, with{"ID": 0, "nativeID": 470})
	return w
}
