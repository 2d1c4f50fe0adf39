// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/expr"
)

// Maker makes the objects of one case.
type Maker struct {
	Dir    string // empty directory of this case
	TID    int    // of the thread that makes the call
	Parent int    // thread that is the parent of this process
	// Mentions reports whether the case mentions a variable, or a field of one as NAME.FIELD.
	Mentions func(name string) bool
	Before   []func() // called right before the call
	Behind   []func() // called right after the call
	// Number is the number of the case's call, and First its first argument, once all arguments are known.
	Number, First uintptr
	// Caught is the signal of catches(), 0 without one.
	Caught uintptr
	// ChildWrite is an address and what the task that the call starts writes there; 0: nothing.
	ChildWrite [2]uintptr

	made int // number of files made so far, for their names
}

// Functions returns the names of the functions that a case may call.
func Functions() []string { return slices.Sorted(maps.Keys(functions)) }

// Call calls a function.
func (c *Maker) Call(name string, args []any) (any, error) {
	if _, ok := structs[name]; ok && len(args) == 1 {
		if s, ok := args[0].(*expr.StructValue); ok {
			return newStruct(name, s)
		}
	}
	f, ok := functions[name]
	if !ok {
		return nil, fmt.Errorf("the guest has no function %s", name)
	}
	v, err := f(c, args)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}

// unused returns a path that does not exist.
func (c *Maker) unused(prefix string) string {
	c.made++
	return filepath.Join(c.Dir, fmt.Sprintf("%s%d", prefix, c.made))
}

// functions are the functions that `given`, `call`, `after` and `act` may call. helpers.yaml
// declares them.
var functions map[string]func(c *Maker, args []any) (any, error)

func init() {
	functions = map[string]func(c *Maker, args []any) (any, error){
		"tempdir": tempDir, "tempfile": tempFile, "file": newFile, "mkdir": mkDir, "symlink": symlink, "xattr": setXattr,
		"open": openFile, "close": closeFD, "write": writeAll, "file_handle": fileHandle, "fsopen": fsOpen, "fscreate": fsCreate, "fsmount": fsMount, "inotify": newInotify, "fanotify": newFanotify, "mount": mount, "pipe": newPipe,
		"memfd": memFD, "deep": deepDir, "names": lastNames, "program": newProgram, "cgroup": newCgroup, "epoll": newEpoll, "io_uring": newIOURing, "semaphores": newSemaphores, "shm": newShm, "shm_attach": attachShm,
		"messages": newMessages, "landlock": newLandlock, "aio": newAIO, "submit": submitAIO, "mqueue": newMQueue, "mq_send": mqSend, "msgqueue": newMsgQueue,

		"tcp": tcpBound, "tcp_listen": tcpListen, "tcp_connect": tcpConnect, "tcp_pair": tcpPair,
		"udp": udpBound, "udp_connect": udpConnect, "unix_dgram": unixDgram, "unix_listen": unixListen,
		"unix_stream": unixStream, "unix_connect": unixConnect, "socket": plainSocket, "sockopt": socketOption, "socketpair": socketPair, "send": sendBytes, "sendto": sendTo, "send_fds": sendFDs,
		"sockaddr": sockaddrMemory,

		"pattern": pattern, "join": join, "times": times, "zeros": zeros, "cstr": cString, "text": letters, "unmapped": unmapped, "mapped": mapped, "bound": bindMemory, "pkey": newPkey,
		"s32s": s32s, "u64s": u64s, "timespec": pairOf("timespec"), "timeval": pairOf("timeval"), "clock": clockNow, "itimer": startTimer,
		"timer": newTimer, "timerfd": newTimerFD, "arm": armTimer,
		"iovec": ioVec, "msghdr": msgHdr, "mmsghdrs": mmsgHdrs, "pollfds": pollFDs,
		"cap_header": capHeader, "cap_data": capData, "argv": argVector,
		"pointers": pointers,

		"become": become, "umask": setUmask, "no_fds": noFDs, "no_tasks": noTasks, "child_writes": childWrites, "child": sleepingChild, "ended": endedChild, "killed": killedChild, "thread": sleepingThread, "traced": tracedChild,
		"uids": setIDs(unix.SYS_SETRESUID), "gids": setIDs(unix.SYS_SETRESGID), "group": ownGroup, "ioprio": ioPriority, "scheduler": scheduler, "groups": setGroups, "pidfd": pidFD, "schedule": schedule, "personality": setPersonality, "dying": dyingChild,
		"blocked": blockSignals, "catches": catchSignal, "kill": sendSignal, "sigqueue": sendValue, "refused": refuseCall, "chroot": changeRoot, "mount_id": mountID,

		"key": newKey, "keyring": newKeyring, "module": newModule, "load_module": loadImage,

		"fstat": fstat, "stat": stat, "lstat": lstat, "getsockname": getSockName, "getpeername": getPeerName,
		"ring_open": ringOpen, "ring_open_polled": ringOpenPolled, "ring_open_and_read": ringOpenAndRead, "ring_connect": ringConnect,
		"ring_read": ringRead, "ring_write": ringWrite, "ring_unlink": ringUnlink,
		"ia32_open": ia32Path(ia32Open, 0, 0, unix.O_RDWR), "ia32_openat": ia32Path(ia32Openat, 1, atCWD, 0, unix.O_RDWR), "ia32_unlink": ia32Path(ia32Unlink, 0, 0),
		"ia32_connect": ia32Connects(false), "ia32_socketcall": ia32Connects(true), "ia32_exec": ia32Exec, "ia32_attach": ia32Attach, "ia32_kill": ia32Kills, "x32_open": x32Open,
		"exec_program": execProgram, "exec_memfd": execMemfd, "exec_deleted": execDeleted, "exec_script": execScript, "exec_vfork": execVfork, "exec_thread": execThread,
		"race_open": raceOpen, "open_absent": openAbsent, "race_absent": raceAbsent, "race_link": raceLink, "race_connect": raceConnect, "race_write": raceWrite,
		"open_long": openLong, "open_strange": openStrange, "open_dots": openDots, "open_below": openBelow, "open_removed": openRemoved, "connect_abstract": connectAbstract, "connect_nul": connectNUL,
		"exec_chroot": execChroot, "exec_pivot": execPivot, "exec_bind": execBind, "exec_lower": execLower, "exec_upper": execUpper, "open_upper": openUpper,
		"exec_pid_namespace": inPIDNamespace, "exec_user_namespace": inUserNamespace, "thread_becomes": threadBecomes, "exec_orphan": hiddenParent, "exec_sibling": sibling, "exec_renamed": renamed,

		"s32": s32At, "u32": u32At, "u64": u64At, "mem": memAt, "string": stringAt,
	}
}

// argInt and the next functions return the i-th argument of a function, or an error if
// it is missing.

func argInt(args []any, i int) (int64, error) {
	if i >= len(args) {
		return 0, fmt.Errorf("argument %d is missing", i+1)
	}
	n, err := expr.ToInt(args[i])
	if err != nil {
		return 0, fmt.Errorf("argument %d: %w", i+1, err)
	}
	return n, nil
}

func argIntOr(args []any, i int, def int64) (int64, error) {
	if i >= len(args) {
		return def, nil
	}
	return argInt(args, i)
}

func argText(args []any, i int) (string, error) {
	if i >= len(args) {
		return "", fmt.Errorf("argument %d is missing", i+1)
	}
	s, err := expr.ToText(args[i])
	if err != nil {
		return "", fmt.Errorf("argument %d: %w", i+1, err)
	}
	return s, nil
}

func argBytes(args []any, i int) ([]byte, error) {
	if i >= len(args) {
		return nil, nil
	}
	b, err := expr.ToBytes(args[i])
	if err != nil {
		return nil, fmt.Errorf("argument %d: %w", i+1, err)
	}
	return b, nil
}

func argObject(args []any, i int) (*Object, error) {
	if i < len(args) {
		if o, ok := args[i].(*Object); ok {
			return o, nil
		}
	}
	return nil, fmt.Errorf("argument %d must be an object of `given`", i+1)
}
