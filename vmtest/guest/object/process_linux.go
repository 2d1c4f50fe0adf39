// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// become changes the ids of this thread only; the functions of x/sys would change
// those of all threads.
func become(c *Maker, args []any) (any, error) {
	uid, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	gid, err := argInt(args, 1)
	if err != nil {
		return nil, err
	}
	for _, call := range [][4]uintptr{
		{unix.SYS_SETGROUPS, 0, 0, 0},
		{unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)},
		{unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)},
	} {
		if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
			return nil, errno
		}
	}
	return uid, nil
}

// setIDs makes a call that sets three ids of this thread.
func setIDs(nr uintptr) func(*Maker, []any) (any, error) {
	return func(_ *Maker, args []any) (any, error) {
		var ids [3]int64
		for i := range ids {
			n, err := argInt(args, i)
			if err != nil {
				return nil, err
			}
			ids[i] = n
		}
		if _, _, errno := unix.RawSyscall(nr, uintptr(ids[0]), uintptr(ids[1]), uintptr(ids[2])); errno != 0 {
			return nil, errno
		}
		return ids[1], nil
	}
}

func ownGroup(_ *Maker, args []any) (any, error) {
	pid, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Setpgid(int(pid), 0); err != nil {
		return nil, err
	}
	pgid, err := unix.Getpgid(int(pid))
	return int64(pgid), err
}

func ioPriority(_ *Maker, args []any) (any, error) {
	pid, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	priority, err := argInt(args, 1)
	if err != nil {
		return nil, err
	}
	const process = 1 // IOPRIO_WHO_PROCESS
	if _, _, errno := unix.RawSyscall(unix.SYS_IOPRIO_SET, process, uintptr(pid), uintptr(priority)); errno != 0 {
		return nil, errno
	}
	return priority, nil
}

// scheduler sets policy and priority of a process, and returns the policy.
func scheduler(_ *Maker, args []any) (any, error) {
	var n [3]int64
	for i := range n {
		v, err := argInt(args, i)
		if err != nil {
			return nil, err
		}
		n[i] = v
	}
	param := int32(n[2]) // struct sched_param
	_, _, errno := unix.RawSyscall(unix.SYS_SCHED_SETSCHEDULER, uintptr(n[0]), uintptr(n[1]), uintptr(unsafe.Pointer(&param)))
	if errno != 0 {
		return nil, errno
	}
	return n[1], nil
}

// schedule makes sched_setattr with a struct that the case made, and returns the pid.
func schedule(_ *Maker, args []any) (any, error) {
	pid, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	attr, err := argObject(args, 1)
	if err != nil {
		return nil, err
	}
	if attr.what != "sched_attr" {
		return nil, fmt.Errorf("argument 2 is a %s (want a sched_attr)", attr.what)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SCHED_SETATTR, uintptr(pid), uintptr(attr.addr), 0); errno != 0 {
		return nil, errno
	}
	return pid, nil
}

// setPersonality sets the personality of the calling thread.
func setPersonality(_ *Maker, args []any) (any, error) {
	persona, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_PERSONALITY, uintptr(persona), 0, 0); errno != 0 {
		return nil, errno
	}
	return persona, nil
}

// setGroups sets the supplementary groups of the calling thread, and returns their number.
func setGroups(_ *Maker, args []any) (any, error) {
	groups := make([]uint32, len(args))
	for i := range args {
		id, err := argInt(args, i)
		if err != nil {
			return nil, err
		}
		groups[i] = uint32(id)
	}
	_, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(unsafe.SliceData(groups))), 0)
	if errno != 0 {
		return nil, errno
	}
	return int64(len(groups)), nil
}

func pidFD(_ *Maker, args []any) (any, error) {
	pid, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	fd, err := unix.PidfdOpen(int(pid), 0)
	return int64(fd), err
}

func setUmask(_ *Maker, args []any) (any, error) {
	mask, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	unix.Umask(int(mask))
	return mask, nil
}

// noFDs makes every new descriptor fail with EMFILE during the call.
func noFDs(c *Maker, _ []any) (any, error) { return noMore(c, unix.RLIMIT_NOFILE) }

// noTasks makes every new process or thread fail with EAGAIN during the call,
// unless the caller is root or has CAP_SYS_ADMIN or CAP_SYS_RESOURCE.
func noTasks(c *Maker, _ []any) (any, error) { return noMore(c, unix.RLIMIT_NPROC) }

// noMore lowers a soft limit to 0 during the call. Its value is the old limit.
func noMore(c *Maker, resource int) (any, error) {
	var was unix.Rlimit
	if err := unix.Prlimit(0, resource, nil, &was); err != nil {
		return nil, err
	}
	set := func(cur uint64) {
		lim := unix.Rlimit{Cur: cur, Max: was.Max}
		if _, _, errno := unix.RawSyscall6(unix.SYS_PRLIMIT64, 0, uintptr(resource), uintptr(unsafe.Pointer(&lim)), 0, 0, 0); errno != 0 {
			panic(fmt.Sprintf("set limit %d to %d: %v", resource, cur, errno))
		}
	}
	c.Before = append(c.Before, func() { set(0) })
	c.Behind = append(c.Behind, func() { set(was.Cur) })
	return int64(was.Cur), nil
}

func childWrites(c *Maker, args []any) (any, error) {
	address, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	value, err := argInt(args, 1)
	if err != nil {
		return nil, err
	}
	c.ChildWrite = [2]uintptr{uintptr(address), uintptr(value)}
	return value, nil
}

func sleepingChild(_ *Maker, _ []any) (any, error) {
	pid, err := startProgram(program(opPause, op{nr: opJump}), 0)
	if err != nil {
		return nil, err
	}
	return number("child", int64(pid), map[string]any{"pid": int64(pid)}), nil
}

// endedChild starts a child that ends at once.
func endedChild(_ *Maker, args []any) (any, error) {
	code, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	pid, err := startProgram(program(op{nr: unix.SYS_EXIT_GROUP, arg: [6]uintptr{uintptr(code)}}), 0)
	if err != nil {
		return nil, err
	}
	return int64(pid), untilEnded(pid)
}

// killedChild starts a child and ends it with a signal.
func killedChild(_ *Maker, args []any) (any, error) {
	sig, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	pid, err := startProgram(program(opPause, op{nr: opJump}), 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Kill(pid, unix.Signal(sig)); err != nil {
		return nil, err
	}
	return int64(pid), untilEnded(pid)
}

// untilEnded waits for the end of a child and leaves it to be waited for once more.
func untilEnded(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err
		}
	}
}

// threadProgram stays where it is while a thread runs it, as package variables do.
var threadProgram = program(opPause, op{nr: opJump})

// sleepingThread starts a second thread of this process. It shares all that threads share,
// also the stack, which its program does not use.
func sleepingThread(_ *Maker, _ []any) (any, error) {
	const flags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD | unix.CLONE_SYSVSEM
	tid, err := startTask(threadProgram, cloneArgs{flags: flags})
	if err != nil {
		return nil, err
	}
	return int64(tid), nil
}

// program returns ops whose jumps without a target go to the first op.
func program(ops ...op) []op {
	for i := range ops {
		if ops[i].nr == opJump && ops[i].arg[0] == 0 {
			ops[i].arg[0] = uintptr(unsafe.Pointer(&ops[0]))
		}
	}
	return ops
}

// TracedWord is the value at addr in a traced child.
const TracedWord = 0x7363_6170_6c61_6221

func tracedChild(_ *Maker, _ []any) (any, error) {
	r, err := NewRegion(8)
	if err != nil {
		return nil, err
	}
	word := (*uint64)(unsafe.Pointer(&r.b[0]))
	*word = TracedWord
	pid, err := startProgram(program(opPause, op{nr: opJump}), 0)
	if err != nil {
		return nil, err
	}
	if err := unix.PtraceAttach(pid); err != nil {
		return nil, fmt.Errorf("attach: %w", err)
	}
	if err := untilStopped(pid); err != nil {
		return nil, err
	}
	return number("traced child", int64(pid), map[string]any{
		"pid": int64(pid), "addr": int64(r.Addr()), "word": int64(TracedWord),
	}), nil
}

// dyingChild starts a child and ends it, up to where it tells its tracer: it still has its memory then.
func dyingChild(_ *Maker, _ []any) (any, error) {
	pid, err := startProgram(program(opPause, op{nr: opJump}), 0)
	if err != nil {
		return nil, err
	}
	if err := unix.PtraceAttach(pid); err != nil {
		return nil, fmt.Errorf("attach: %w", err)
	}
	if err := untilStopped(pid); err != nil {
		return nil, err
	}
	if err := unix.PtraceSetOptions(pid, unix.PTRACE_O_TRACEEXIT); err != nil {
		return nil, fmt.Errorf("options: %w", err)
	}
	if err := unix.PtraceCont(pid, int(unix.SIGTERM)); err != nil {
		return nil, fmt.Errorf("end it: %w", err)
	}
	return int64(pid), untilStopped(pid)
}

// untilStopped waits until a traced child stops.
func untilStopped(pid int) error {
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, unix.WALL, nil); err != nil {
		return fmt.Errorf("wait for it to stop: %w", err)
	}
	if !status.Stopped() {
		return fmt.Errorf("the child did not stop (status %#x)", uint32(status))
	}
	return nil
}

// Namespaced are the functions that make objects which end with the case's namespaces.
var Namespaced = []string{"mount", "semaphores", "shm", "messages", "mqueue", "msgqueue"}

// Isolation is the set of namespaces of a case's child that needs its own.
func Isolation() uintptr {
	if os.Geteuid() != 0 {
		return 0
	}
	return unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC
}
