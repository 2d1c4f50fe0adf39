// SPDX-License-Identifier: Apache-2.0

package proc

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/scaplab/scaplab/scap/event"
)

// State is an operating system at one moment.
type State struct {
	Machine    Machine
	Interfaces []Interface
	Users      []User
	Groups     []Group
	Threads    []Thread // process leaders before their other threads
	Cut        Cut
}

// Cut says what a scan left out because it reached a limit. The zero value: nothing.
type Cut struct {
	Processes uint64 // that were not read
	Tables    uint64 // processes with open files that were not read
	Why       string // the limits
}

// String returns a message; "" for nothing.
func (c Cut) String() string {
	if c.Why == "" {
		return ""
	}
	return fmt.Sprintf("the state lacks %d processes, and open files of %d others: %s", c.Processes, c.Tables, c.Why)
}

// Machine is what does not change while a capture runs.
type Machine struct {
	NumCPUs  uint32
	Memory   uint64 // bytes
	MaxPID   uint64 // highest pid; most captures have 0
	Hostname string
	BootTime uint64 // ns since the Unix epoch
	Flags    uint64
}

// Interface is one address of a network interface.
type Interface struct {
	Name      string
	Addr      netip.Addr
	Netmask   netip.Addr
	Broadcast netip.Addr // all zeros when it has none
	Speed     uint64     // of the link; 0 when not known
}

// User is an entry of the user list.
type User struct {
	UID               event.UID
	GID               event.GID
	Name, Home, Shell string
}

// Group is an entry of the group list.
type Group struct {
	GID  event.GID
	Name string
}

// Thread is one thread. A process is its main thread (TID == PID), which alone
// has FDs.
type Thread struct {
	TID   event.PID
	PID   event.PID
	PTID  event.PID // thread id of the parent
	SID   event.PID // session
	VPGID event.PID // process group, in the thread's own pid namespace
	PGID  event.PID // process group, in the initial pid namespace; -1: not known
	VTID  event.PID // in the thread's own pid namespace
	VPID  event.PID

	Comm    string
	Exe     string // first word of the command line
	ExePath string // the executable's path
	Args    string // the other words, each ended by a NUL: see [Items]
	Env     string // NAME=value, each ended by a NUL
	Cgroups string // subsys=path, each ended by a NUL
	CWD     string
	Root    string

	FDLimit   int64
	Flags     uint32 // clone flags as events carry them
	UID       event.UID
	GID       event.GID
	LoginUID  event.UID // event.NoUID: none
	TTY       uint32
	VMSize    uint32 // kB
	VMRSS     uint32 // kB
	VMSwap    uint32 // kB
	PFMajor   uint64
	PFMinor   uint64
	CloneTime uint64 // ns since the Unix epoch; captures do not keep it

	PidnsInitStart uint64 // start of the init of its pid namespace, ns since the Unix epoch
	CapInheritable uint64
	CapPermitted   uint64
	CapEffective   uint64
	ExeIno         uint64
	ExeCtime       uint64 // ns since the Unix epoch
	ExeMtime       uint64 // ns since the Unix epoch
	ExeWritable    bool   // the thread may write the file it runs
	ExeUpperLayer  bool   // on the upper layer of an overlay
	ExeLowerLayer  bool
	ExeFromMemfd   bool

	FDs []FD
}

// Leader reports whether the thread is its process's main thread.
func (t *Thread) Leader() bool { return t.TID == t.PID }

// Items splits a list of NUL-terminated items. The NUL of the last item is optional.
func Items(list string) []string {
	list = strings.TrimSuffix(list, "\x00")
	if list == "" {
		return nil
	}
	return strings.Split(list, "\x00")
}

// FDType is the kind of an open file, with the numbers of the capture format.
type FDType uint8

const (
	FDUnknown     FDType = 0
	FDFile        FDType = 1 // a file in old captures: no flags and device
	FDDirectory   FDType = 2
	FDIPv4        FDType = 3
	FDIPv6        FDType = 4
	FDIPv4Server  FDType = 5 // listening, or bound and not connected
	FDIPv6Server  FDType = 6
	FDPipe        FDType = 7
	FDUnix        FDType = 8
	FDEvent       FDType = 9
	FDUnsupported FDType = 10
	FDSignal      FDType = 11
	FDEventPoll   FDType = 12
	FDInotify     FDType = 13
	FDTimer       FDType = 14
	FDNetlink     FDType = 15
	FDRegular     FDType = 16 // a file
	FDBPF         FDType = 17
	FDUserfault   FDType = 18
	FDIOUring     FDType = 19
	FDMemfd       FDType = 20
	FDPidfd       FDType = 21
)

var fdTypeNames = [...]string{
	"unknown", "file", "directory", "ipv4", "ipv6", "ipv4", "ipv6", "pipe", "unix", "event", "unsupported",
	"signalfd", "eventpoll", "inotify", "timerfd", "netlink", "file", "bpf", "userfaultfd", "io_uring", "memfd", "pidfd",
}

// String returns the type's name in filters and output.
func (t FDType) String() string {
	if int(t) < len(fdTypeNames) {
		return fdTypeNames[t]
	}
	return "unknown"
}

// Transport protocols of IP sockets, with the numbers of the capture format.
const (
	L4Unknown uint8 = 0
	L4None    uint8 = 1
	L4TCP     uint8 = 2
	L4UDP     uint8 = 3
	L4ICMP    uint8 = 4
	L4Raw     uint8 = 5
)

// FD is one open file of a process.
type FD struct {
	Num  event.FD
	Ino  uint64
	Type FDType
	L4   uint8 // IP sockets

	OpenFlags uint32 // FDRegular: as events carry them
	Dev       uint32 // FDRegular: device, the kernel's 32-bit form

	CloseOnExec bool // execve closes it; captures keep it for FDRegular only, in OpenFlags

	Name string // path, or the name in /proc; "" for IP sockets

	Src, Dst         netip.AddrPort // IP sockets; a server has only Src
	UnixSrc, UnixDst uint64         // FDUnix: kernel addresses, 0 when not known; of sockets with a name only clients have UnixDst
}
