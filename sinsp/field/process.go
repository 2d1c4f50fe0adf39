// SPDX-License-Identifier: Apache-2.0

package field

import (
	"strings"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
)

// ofThread sets v to something about a thread; false: it is missing.
type ofThread func(t *sinsp.Thread, v *Value) bool

func threadOf(ev *sinsp.Event) *sinsp.Thread { return ev.Thread }

func parentOf(ev *sinsp.Event) *sinsp.Thread {
	if ev.Thread == nil {
		return nil
	}
	return ev.Thread.Parent()
}

// mainOf returns the main thread of t's process, which has what belongs to all of its
// threads; t if it is not known.
func mainOf(t *sinsp.Thread) *sinsp.Thread {
	if m := t.Leader(); m != nil {
		return m
	}
	return t
}

// self makes an extract about the thread that made the event.
func self(set ofThread) extract {
	return func(ev *sinsp.Event, _ *Arg, v *Value) bool {
		return ev.Thread != nil && set(ev.Thread, v)
	}
}

// parent makes an extract about the parent process.
func parent(set ofThread) extract {
	return func(ev *sinsp.Event, _ *Arg, v *Value) bool {
		p := parentOf(ev)
		return p != nil && set(p, v)
	}
}

// leader makes an extract about the process that leads a group or session. A leader
// that is not known has an empty text.
func leader(find func(*sinsp.Thread) *sinsp.Thread, set ofThread) extract {
	return func(ev *sinsp.Event, _ *Arg, v *Value) bool {
		if ev.Thread == nil {
			return false
		}
		if t := find(ev.Thread); t != nil {
			return set(t, v)
		}
		return v.SetString("")
	}
}

// maxAncestor is the highest number of an ancestor that is looked for.
const maxAncestor = 1 << 15

// nth returns the ancestor with the number of an argument; nil: there is none.
func nth(ev *sinsp.Event, arg *Arg) *sinsp.Thread {
	if ev.Thread == nil || arg.Index > maxAncestor {
		return nil
	}
	return ev.Thread.Ancestor(int(arg.Index))
}

// ancestor makes an extract about the ancestor with a number, or about all of them.
func ancestor(set ofThread) extract {
	return func(ev *sinsp.Event, arg *Arg, v *Value) bool {
		v.Clear()
		if arg.Form == ArgIndex {
			t := nth(ev, arg)
			return t != nil && set(t, v)
		}
		if ev.Thread == nil {
			return false
		}
		for t := ev.Thread.Parent(); t != nil; t = t.Parent() {
			if !set(t, v.Add()) {
				v.drop()
			}
		}
		return len(v.List) > 0
	}
}

// Programs.

func exe(t *sinsp.Thread, v *Value) bool     { return v.SetString(t.Exe) }
func exePath(t *sinsp.Thread, v *Value) bool { return v.SetString(t.ExePath) }
func comm(t *sinsp.Thread, v *Value) bool    { return v.SetString(t.Comm) }

func cmdline(t *sinsp.Thread, v *Value) bool {
	return v.SetScratch(appendLine(v.Scratch(), t.Comm, t.Args))
}

func exeline(t *sinsp.Thread, v *Value) bool {
	return v.SetScratch(appendLine(v.Scratch(), t.Exe, t.Args))
}

// appendLine appends a name and a list of arguments, separated by blanks.
func appendLine(dst []byte, name, args string) []byte {
	dst = append(dst, name...)
	if args == "" {
		return dst
	}
	return appendItems(append(dst, ' '), args)
}

// appendItems appends items that each end with a NUL, with blanks between them.
func appendItems(dst []byte, list string) []byte {
	n := len(dst)
	dst = append(dst, strings.TrimSuffix(list, "\x00")...)
	for i := n; i < len(dst); i++ {
		if dst[i] == 0 {
			dst[i] = ' '
		}
	}
	return dst
}

func countArgs(t *sinsp.Thread, v *Value) bool {
	n := uint64(0)
	for range sinsp.Items(t.Args) {
		n++
	}
	return v.SetUint(n)
}

func lengthOfArgs(t *sinsp.Thread, v *Value) bool {
	n := 0
	for item := range sinsp.Items(t.Args) {
		n += len(item)
	}
	return v.SetUint(uint64(n))
}

// extractProcArgs sets an empty text if there are fewer arguments.
func extractProcArgs(ev *sinsp.Event, arg *Arg, v *Value) bool {
	if ev.Thread == nil {
		return false
	}
	if arg.Form != ArgIndex {
		return v.SetScratch(appendItems(v.Scratch(), ev.Thread.Args))
	}
	at := arg.Index
	for item := range sinsp.Items(ev.Thread.Args) {
		if at == 0 {
			return v.SetString(item)
		}
		at--
	}
	return v.SetString("")
}

func extractAncestorArgs(ev *sinsp.Event, arg *Arg, v *Value) bool {
	b := v.Scratch()
	if arg.Form == ArgIndex {
		t := nth(ev, arg)
		return t != nil && v.SetScratch(appendItems(b, t.Args))
	}
	if ev.Thread == nil {
		return false
	}
	found := false
	for t := ev.Thread.Parent(); t != nil; t = t.Parent() {
		found = true
		if t.Args == "" {
			continue
		}
		if len(b) > 0 {
			b = append(b, ' ')
		}
		b = appendItems(b, t.Args)
	}
	return v.SetScratch(b) && found
}

// Environments.

func env(t *sinsp.Thread, v *Value) bool {
	return v.SetScratch(appendItems(v.Scratch(), t.Env))
}

// extractEnv sets an empty text for a variable that is not set.
func extractEnv(ev *sinsp.Event, arg *Arg, v *Value) bool {
	if ev.Thread == nil {
		return false
	}
	if arg.Form != ArgKey {
		return env(ev.Thread, v)
	}
	value, _ := ev.Thread.Getenv(arg.Text)
	return v.SetString(strings.Trim(value, " "))
}

// maxAncestorEnv is how many ancestors proc.aenv[NAME] asks.
const maxAncestorEnv = 20

var extractEnvOfAncestor = ancestor(env)

func extractAncestorEnv(ev *sinsp.Event, arg *Arg, v *Value) bool {
	if arg.Form != ArgKey {
		return extractEnvOfAncestor(ev, arg, v)
	}
	v.Clear()
	if ev.Thread == nil {
		return false
	}
	asked := 0
	for t := ev.Thread.Parent(); t != nil; t = t.Parent() {
		if asked++; asked > maxAncestorEnv {
			break
		}
		if value, _ := t.Getenv(arg.Text); value != "" {
			return v.SetString(strings.Trim(value, " "))
		}
	}
	return v.SetString("")
}

// Ids.

func pid(t *sinsp.Thread, v *Value) bool { return v.SetInt(int64(t.PID)) }

func vpid(t *sinsp.Thread, v *Value) bool { return t.VPID != -1 && v.SetInt(int64(t.VPID)) }

// parentID sets 0 for a process whose parent is the kernel, as for init.
func parentID(t *sinsp.Thread, v *Value) bool {
	if p := t.Parent(); p != nil {
		return pid(p, v)
	}
	return !t.Placeholder && t.PTID >= 0 && v.SetInt(int64(t.PTID))
}

func loginShell(t *sinsp.Thread, v *Value) bool {
	shell := t.LoginShell()
	return shell != nil && pid(shell, v)
}

// countThreads is 0 for a process of which only the event's thread is known.
func countThreads(count func(*sinsp.Process) int) ofThread {
	return func(t *sinsp.Thread, v *Value) bool {
		if t.Placeholder {
			return v.SetUint(0)
		}
		return v.SetUint(uint64(count(t.Process)))
	}
}

// Times.

// known sets a number that 0 stands for "not known" of.
func known(n uint64, v *Value) bool { return n != 0 && v.SetUint(n) }

// between sets the time from start to end, if both are known and in that order.
func between(start, end uint64, v *Value) bool {
	return start != 0 && end >= start && v.SetUint(end-start)
}

func cloneTime(t *sinsp.Thread, v *Value) bool { return known(t.CloneTime, v) }

// age makes an extract of the time since a thread started.
func age(of func(*sinsp.Event) *sinsp.Thread) extract {
	return func(ev *sinsp.Event, _ *Arg, v *Value) bool {
		t := of(ev)
		return t != nil && between(t.CloneTime, ev.Timestamp(), v)
	}
}

// Files.

func fdUsage(t *sinsp.Thread, v *Value) bool {
	limit := mainOf(t).FDLimit
	if limit <= 0 {
		return v.SetDouble(0)
	}
	return v.SetDouble(100 * float64(t.NumFDs()) / float64(limit))
}

// standard makes an extract about one of the standard descriptors of the process.
func standard(num event.FD, set ofFile) extract {
	return func(ev *sinsp.Event, _ *Arg, v *Value) bool {
		fd := threadFD(ev, num)
		return fd != nil && set(fd, v)
	}
}
