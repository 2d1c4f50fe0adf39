// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"math"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/field"
)

// difference is one that is meant: the reference's manual promises what we do, or
// docs/fields.md says why.
type difference struct {
	fields string // pattern of the fields or filters
	why    string
	// only reports whether the difference is this one; nil: each of these fields is.
	only func(seen) bool
}

// seen is a value of an event that differs.
type seen struct {
	name         string
	ev           *sinsp.Event
	ours, theirs string
	before       uint64            // timestamp of the event that was shown before; 0: none
	news         bool              // the thread of the event is not in the state that the capture begins with
	told         map[string]string // memory and page faults of the thread, as its parent's event tells them; nil: it does not
}

var differences = []difference{
	{`evt\.reltime.*`, "sysdig wraps around below 0 for an event that is older than the first", func(x seen) bool {
		ns := x.ev.Timestamp() - x.ev.Start
		switch x.name {
		case "evt.reltime.s":
			return int64(ns) < 0 && x.theirs == fmt.Sprint(ns/1e9)
		case "evt.reltime.ns":
			return int64(ns) < 0 && x.theirs == fmt.Sprintf("%09d", ns%1e9)
		}
		return int64(ns) < 0 && x.theirs == fmt.Sprint(ns)
	}},
	{`evt\.latency.*|evt\.wait_latency`, "sysdig has 0", func(x seen) bool {
		return x.theirs == "0" || x.theirs == "0ns" || x.theirs == "000000000"
	}},
	{`evt\.deltatime.*`, "sysdig counts from the event for which the same field was asked before", func(x seen) bool {
		var ns uint64
		if x.before != 0 {
			ns = x.ev.Timestamp() - x.before
		}
		switch x.name {
		case "evt.deltatime.s":
			return x.theirs == fmt.Sprint(ns/1e9)
		case "evt.deltatime.ns":
			return x.theirs == fmt.Sprintf("%09d", ns%1e9)
		}
		return x.theirs == fmt.Sprint(ns) || x.theirs == fmt.Sprintf("%09d", ns)
	}},
	{`evt\.hostname`, "sysdig does not have the name that is in the capture", func(x seen) bool { return x.theirs == "" }},
	{`evt\.buffer`, "sysdig has a dot for each byte that does not print", func(x seen) bool { return dots(x.ours) == x.theirs }},
	{`evt\.buffer`, "sysdig prints NULL and the bytes of the buffer before for an empty one", func(x seen) bool {
		return x.ours == "" && (strings.HasPrefix(x.theirs, "NULL") || x.theirs != "" && strings.HasPrefix("NULL", x.theirs))
	}},
	{`evt\.buffer`, "sysdig has an empty buffer for a param without a value", func(x seen) bool { return x.ours == "<NA>" && x.theirs == "" }},
	{`evt\.arg.*|evt\.info`, "this version of sysdig does not know the newest flags, and commands of prctl", func(x seen) bool {
		return newNames.ReplaceAllString(x.ours, "") == x.theirs || newCommands.ReplaceAllString(x.ours, "$1") == x.theirs ||
			x.ours == "PR_SET_VMA" && x.theirs == "1398164801"
	}},
	{`evt\.arg\[.*|evt\.args|evt\.info`, "sysdig rounds a time to six digits", func(x seen) bool {
		return longTime.ReplaceAllStringFunc(x.ours, func(t string) string {
			n, _ := strconv.ParseFloat(strings.TrimSuffix(t, "s"), 64)
			return strconv.FormatFloat(n, 'g', 6, 64) + "s"
		}) == x.theirs
	}},
	{`evt\.arg.*`, "sysdig prints large unsigned numbers as signed ones", func(x seen) bool {
		return large.MatchString("="+x.ours) && asSigned("="+x.ours) == "="+x.theirs
	}},
	{`evt\.arg.*|evt\.info`, "sysdig names a thread that it does not know <NA>, here its number is all", func(x seen) bool {
		_, err := strconv.ParseUint(x.ours, 10, 64)
		return x.ev.Info().Name == "switch" && (fillsIn(x.ours, x.theirs) || err == nil && x.theirs == "<NA>")
	}},
	{`proc\.exe_ino\.ctime_duration_pidns_start`, "sysdig does not read the start of the pid namespace of the threads that a capture begins with, and computes with another time", func(x seen) bool {
		return !x.news && x.ours != "<NA>" && x.ev.Thread != nil && x.ev.Thread.PidnsStart != 0
	}},
	{`proc\.exe_ino\.ctime_duration_.*`, "sysdig does not give a new process the times of its parent's program", func(x seen) bool {
		return x.news && x.ev.Thread != nil && x.ev.Thread.ExecTime == 0
	}},
	{`evt\.arg\[.*`, "sysdig cuts a list of texts", func(x seen) bool {
		begin, ok := strings.CutSuffix(x.theirs, "...")
		return ok && strings.HasPrefix(x.ours, begin)
	}},
	{`evt\.abspath.*`, "sysdig has some calls only", func(x seen) bool {
		return x.theirs == "<NA>" && !slices.Contains(pathCalls, x.ev.Info().Name)
	}},
	{`fd\.(name|containername)`, "sysdig keeps nothing of a connection that failed", func(x seen) bool {
		res, ok := x.ev.Res()
		return ok && res < 0 && x.ev.Info().Name == "connect" && (x.theirs == "" || x.theirs == ":")
	}},
	{`proc\.(fdopencount|fdusage)|fd\.types.*`, "sysdig keeps descriptors that execve closes, if no event tells their flag", func(x seen) bool {
		return x.ev.Thread != nil && x.ev.Thread.ExecTime != 0 && (x.name != "proc.fdopencount" || atLeast(x.theirs, x.ours))
	}},
	{`proc\.vm(size|rss|swap)`, "sysdig has the memory of a process as it was when its main thread ran last", func(x seen) bool {
		return x.ev.Thread != nil && (x.ev.Thread.NumThreads() > 1 || !x.ev.Thread.Main())
	}},
	{`thread\.(exectime|totexectime)`, "sysdig computes no running time", func(x seen) bool { return x.theirs == "0" }},
	{`proc\.pidns_init_start_ts`, "sysdig does not read it of the threads that a capture begins with", func(x seen) bool { return x.theirs == "<NA>" }},
	{`proc\.(env|aenv|fdlimit).*`, "sysdig does not give a new process what it has of its parent", func(x seen) bool {
		return x.news && (x.theirs == "" || x.theirs == "0" || x.name == "proc.aenv")
	}},
	{`thread\.pf.*`, "sysdig keeps what the parent's event says of a new thread, not what its own says", func(x seen) bool {
		return x.news && x.theirs == ofParent(x)
	}},
	{`evt\.arg.*|evt\.info`, "this version of sysdig does not know the newest flags of mount", func(x seen) bool {
		return strings.HasPrefix(x.ev.Info().Name, "mount") && newMountFlags.ReplaceAllString(x.ours, "") == x.theirs
	}},
	{`evt\.abspath.*`, "a directory that is not known is written one way only", func(x seen) bool {
		return strings.Replace(x.theirs, "<UNKNOWN>/", "<UNKNOWN>", 1) == x.ours
	}},
	{`evt\.abspath.*`, "sysdig resolves a path below a directory that is not known to the path itself", func(x seen) bool {
		path, ok := strings.CutPrefix(x.ours, "<UNKNOWN>")
		return ok && upward.ReplaceAllString(path, "") == x.theirs
	}},
	{`evt\.arg.*|evt\.info`, "sysdig resolves a path below a directory that is not known to the path itself", func(x seen) bool {
		return againstUnknown.ReplaceAllString(x.theirs, "$1") == x.ours || x.theirs != x.ours && upward.ReplaceAllString(x.ours, "") == x.theirs
	}},
	{`evt\.arg.*|evt\.info|fd\.(name|containername)`, "sysdig writes a blank after the ends of a unix socket without a path", func(x seen) bool {
		return blankAfter.ReplaceAllString(x.theirs, "$1$2") == x.ours
	}},
	{`evt\.args|evt\.info`, "this version of sysdig does not have the last params", func(x seen) bool {
		in := x.ev.Info()
		old := int(in.OldParams)
		return old > 0 && strings.HasPrefix(x.ours, x.theirs+" "+in.Params[old].Name+"=")
	}},
	{`evt\.arg.*|evt\.info`, "this version of sysdig takes the family of a socket for flags", func(x seen) bool {
		return strings.HasPrefix(x.ours+" ", twoNames.ReplaceAllString(x.theirs, "$1$2")+" ")
	}},
	{`evt\.args|evt\.info`, "sysdig prints large unsigned numbers as signed ones", func(x seen) bool {
		return large.ReplaceAllStringFunc(x.ours, asSigned) == x.theirs
	}},
	{`evt\.abspath.*`, "sysdig has an empty path for a param without a value", func(x seen) bool { return x.ours == "<NA>" && x.theirs == "" }},
	{`fd\.filename`, "sysdig takes / for the name of a file without a directory", func(x seen) bool { return x.theirs == "/" && !strings.Contains(x.ours, "/") }},
	{`fd\.(directory|containerdirectory)`, "a directory that is not known ends no path", func(x seen) bool { return strings.Contains(x.theirs, "<UNKNOWN>") }},
	{`thread\.cgroups`, "io is the name of the subsystem that sysdig calls blkio", func(x seen) bool {
		return strings.ReplaceAll(x.theirs, "blkio=", "io=") == x.ours
	}},
	{`proc\.cwd`, "sysdig has ./ for a directory that is not known", func(x seen) bool { return x.ours == "" && x.theirs == "./" }},
	{`evt\.rawarg\..*`, "sysdig prints 0 for a param without a value", func(x seen) bool {
		return x.ours == "<NA>" && x.theirs == "0"
	}},
	{`evt\.res`, "sysdig prints the number of an error of clone", func(x seen) bool {
		res, ok := x.ev.Res()
		return ok && res < 0 && x.ev.Info().Params[0].Type == event.ParamPID && x.theirs == fmt.Sprint(res)
	}},
	{`evt\.type|syscall\.type|evt\.arg`, "sysdig takes the native number of a generic event for one of its own machine", func(x seen) bool {
		return strings.HasPrefix(x.ours, "syscall(")
	}},
	{`fd\.connected`, "sysdig has a socket connected from the event on that follows the one with both of its ends", func(x seen) bool {
		return x.ev.NameChanged && x.ours == "true" && x.theirs == "false"
	}},
	{`fd\.connected`, "a connection that is not yet made is none", func(x seen) bool {
		return x.ev.FD() != nil && x.ev.FD().State == sinsp.Pending && x.theirs == "true"
	}},
	{`fd\.(containerdirectory|directory|filename)`, "sysdig has a directory of files that it does not know", func(x seen) bool {
		return x.ours == "<NA>" && (x.theirs == "/" || x.theirs == ":/") || x.ours == "<NA>" && x.theirs == ""
	}},
	{`fd\.(name|nameraw|containername|filename|typechar)`, "of a call that failed sysdig tells less, or NULL", func(x seen) bool {
		res, ok := x.ev.Res()
		return x.ev.FD() == nil && ok && res < 0 && slices.Contains([]string{"", ":", "<NA>", "NULL", ":NULL"}, x.theirs)
	}},
	{`fd\.(directory|containerdirectory)`, "sysdig has a directory of the ends of a unix socket", func(x seen) bool { return x.ours == "<NA>" && strings.Contains(x.theirs, "->") }},
	{`fd\.nameraw`, "the addresses of a socket are no path that a call got", func(x seen) bool { return x.ours == "" && strings.Contains(x.theirs, "->") }},
	{`fd\.(name|containername)`, "sysdig has no addresses of a socket that it does not know, even if the event has them", func(x seen) bool {
		return x.ev.FD() == nil && (x.theirs == "" || x.theirs == ":") && strings.Contains(x.ours, "->")
	}},
	{`(proc|thread)\.(vm|pf).*`, "sysdig keeps what the parent's event says of a new thread, not what its own says", func(x seen) bool {
		res, ok := x.ev.Res()
		return strings.HasPrefix(x.ev.Info().Name, "clone") && (x.theirs == "0" || ok && res == 0 && x.theirs == ofParent(x))
	}},
	{`fd\.is_server`, "sysdig takes a new IPv6 socket for a server", func(x seen) bool {
		return x.ev.FD() != nil && x.ev.FD().Type == proc.FDIPv6 && x.ev.FD().Role == sinsp.RoleNone && x.theirs == "true"
	}},
	{`fd\.(num|uid|name_changed)`, "sysdig takes the new descriptor of a dup that it could follow, and else the old one", func(x seen) bool {
		return strings.HasPrefix(x.ev.Info().Name, "dup") && (x.name == "fd.name_changed" || ofDescriptor(x))
	}},
	{`fd\.(num|uid)`, "sysdig takes the new descriptor of a fcntl that copies one", func(x seen) bool {
		return x.ev.Info().Name == "fcntl" && ofDescriptor(x)
	}},
	{`fd\.[cslr]proto`, "sysdig has an empty protocol of sockets that have none", func(x seen) bool { return x.ours == "<NA>" && x.theirs == "" }},
	{`evt\.arg.*|evt\.info|evt\.abspath.*`, "sysdig writes two slashes after the directory /", func(x seen) bool {
		return strings.Replace(x.theirs, "//", "/", 1) == newNames.ReplaceAllString(x.ours, "")
	}},
	{`fs\.path\..*`, "sysdig does not resolve the paths of some calls below the working directory, or below a directory that was opened as a file", func(x seen) bool {
		name, ok := strings.CutPrefix(x.theirs, "<UNKNOWN>")
		return ok && strings.HasSuffix(x.ours, "/"+name)
	}},
	{`proc\.v?pgid.*|proc\.is_v?pgid_leader`, "sysdig does not take a process that begins a session for the leader of a new group", func(x seen) bool {
		t := x.ev.Thread
		return x.news && t != nil && t.PGID > 0 && t.PGID == t.SID
	}},
	{`proc\.vpgid.*|proc\.is_vpgid_leader`, "sysdig gives a process that enters a pid namespace the group of its parent, which is not in the namespace", func(x seen) bool {
		return x.news && x.ev.Thread != nil && x.ev.Thread.VPGID == 0 && x.ev.Thread.InPidns()
	}},
	{`proc\.pidns_init_start_ts`, "sysdig counts from the start of the machine, although its manual says from the epoch", func(x seen) bool {
		return x.ev.Thread != nil && x.ev.Thread.InPidns() && len(x.theirs) < len(x.ours) && atLeast(x.ours, x.theirs)
	}},
	{`proc\.ppid\.ts`, "sysdig tells the start of the thread that made the process, not of the process that the thread is of", func(x seen) bool {
		return x.news && x.ev.Thread != nil && atLeast(x.theirs, x.ours) && x.ours != "0"
	}},
	{`thread\.cap_.*`, "sysdig keeps the capabilities that a process loses by a change of its ids", func(x seen) bool {
		return x.news && x.ev.Thread != nil && x.ev.Thread.UID != 0 && (x.ours == "" || strings.Contains(x.theirs, x.ours))
	}},
	{`(proc|thread)\.(vm|pf).*`, "sysdig keeps what the parent's event says of a new thread, not what its own says", func(x seen) bool {
		return x.news && x.told != nil && x.told[memory(x.name)] != "" && x.theirs == inUnit(x.name, x.told[memory(x.name)])
	}},
	{`thread\.pf.*`, "sysdig counts a page fault of a thread that it did not know until its own event of clone", func(x seen) bool {
		return x.news && x.ev.Thread != nil && x.ev.Thread.InPidns() && x.ours == "0" && x.theirs == "1"
	}},
	{`fd\.(num|uid)`, "the descriptor of a pipe is the end that reads", func(x seen) bool {
		return strings.HasPrefix(x.ev.Info().Name, "pipe") && ofDescriptor(x)
	}},
	{`fd\.types`, "sysdig has them in no order", func(x seen) bool { return sorted(x.ours) == sorted(x.theirs) }},
	{`fs\.path\..*`, "sysdig has some calls only, and failed opens", func(x seen) bool {
		res, ok := x.ev.Res()
		failedOpen := ok && res < 0 && strings.HasPrefix(x.ev.Info().Name, "open")
		return x.theirs == "<NA>" && !slices.Contains(pathCalls, x.ev.Info().Name) || x.ours == "<NA>" && failedOpen
	}},
	{`proc\.a[a-z]+`, "sysdig prints no ancestors without a number", func(x seen) bool { return x.theirs == "<NA>" && !strings.Contains(x.name, "[") }},
	{`proc\.aenv.*`, "sysdig prints an empty text for an ancestor that is not known", func(x seen) bool {
		return x.theirs == "" && x.ours == "<NA>"
	}},
	{`proc\.aenv`, "sysdig prints the environment of the process for that of all ancestors", func(x seen) bool {
		return x.ev.Thread != nil && x.theirs == strings.Join(slices.Collect(sinsp.Items(x.ev.Thread.Env)), " ") || x.ours == "<NA>" && x.theirs == ""
	}},
	{`proc\.cwd`, "sysdig forgets the working directory when execve does not tell it", func(x seen) bool {
		return x.theirs == "" && x.ev.Thread != nil && x.ev.Thread.ExecTime != 0
	}},
	{`proc\.exe_ino\.ctime_duration_.*`, "sysdig computes with times that are not known", func(x seen) bool {
		t := x.ev.Thread
		return x.ours == "<NA>" && t != nil && (t.ExeCtime == 0 || t.CloneTime < t.ExeCtime || t.PidnsStart == 0 || t.ExeCtime < t.PidnsStart)
	}},
	{`proc\.exeline`, "sysdig writes a blank after the last argument", func(x seen) bool { return x.theirs == x.ours+" " }},
	{`proc\.(fdopencount|fdusage|is_.*_leader)`, "sysdig keeps no files and ids of a thread that only events told of", func(x seen) bool {
		unknown := map[string]string{"proc.fdopencount": "0", "proc.fdusage": "0.0"}[x.name]
		return x.ev.Thread != nil && (x.ev.Thread.Placeholder || x.ev.Thread.VPID == -1) && (x.theirs == unknown || unknown == "" && x.theirs == "true")
	}},
	{`proc\.ppid\.(duration|ts)`, "sysdig computes with times that are not known", func(x seen) bool {
		return x.ours == "<NA>" && (x.ev.Thread == nil || x.ev.Thread.Parent() == nil || x.ev.Thread.Parent().CloneTime == 0)
	}},
	{`(proc|thread|user|group)\..*|evt\.arg.*|evt\.info`, "a thread that only events told of is known after its clone", func(x seen) bool {
		return x.news && (x.theirs == "<NA>" || fillsIn(x.ours, x.theirs) ||
			strings.HasPrefix(x.ev.Info().Name, "clone") && (unknown[x.theirs] || strings.HasPrefix(x.theirs, "<NA>")))
	}},
}

// pathCalls are those whose path sysdig has in fs.path.
var pathCalls = []string{"open", "openat", "openat2", "creat", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2",
	"link", "linkat", "symlink", "symlinkat", "chmod", "fchmodat", "chown", "lchown", "fchownat", "mount", "umount", "umount2", "quotactl"}

// ofDescriptor reports whether sysdig's value is that of a descriptor among the params.
func ofDescriptor(x seen) bool {
	for i := range x.ev.Info().Params {
		n, ok := x.ev.Int64(i)
		if ok && (x.theirs == fmt.Sprint(n) || x.theirs == fmt.Sprint(x.ev.TID(), n) || x.theirs == fmt.Sprintf("%d%d", x.ev.TID(), n)) {
			return true
		}
	}
	return false
}

// ofParent returns the value of the parent of the event's thread, for the fields of memory.
func ofParent(x seen) string {
	if x.ev.Thread == nil || x.ev.Thread.Parent() == nil {
		return ""
	}
	p := x.ev.Thread.Parent()
	class, name, _ := strings.Cut(x.name, ".")
	name, inBytes := strings.CutSuffix(name, ".b")
	if strings.HasPrefix(x.name, "thread.pf") {
		return x.told[memory(x.name)]
	}
	n, ok := map[string]uint64{"vmsize": uint64(p.VMSize), "vmrss": uint64(p.VMRSS), "vmswap": uint64(p.VMSwap)}[name]
	if !ok || class != "proc" && class != "thread" {
		return ""
	}
	if inBytes {
		n *= 1024
	}
	return fmt.Sprint(n)
}

// memory returns the param of clone that a field of memory or page faults has the value
// of.
func memory(name string) string {
	_, name, _ = strings.Cut(strings.TrimSuffix(name, ".b"), ".")
	return map[string]string{"vmsize": "vm_size", "vmrss": "vm_rss", "vmswap": "vm_swap", "pfmajor": "pgft_maj", "pfminor": "pgft_min"}[name]
}

// inUnit returns a number of kB in the unit of a field.
func inUnit(name, n string) string {
	if !strings.HasSuffix(name, ".b") {
		return n
	}
	kb, _ := strconv.ParseUint(n, 10, 64) // it was printed as a number
	return fmt.Sprint(kb * 1024)
}

// fillsIn reports whether ours is theirs with something in place of each (<NA>).
func fillsIn(ours, theirs string) bool {
	const gap = "(<NA>)"
	if !strings.Contains(theirs, gap) {
		return false
	}
	pattern := strings.ReplaceAll(regexp.QuoteMeta(theirs), regexp.QuoteMeta(gap), `(?:\([^()]*\))?`)
	return regexp.MustCompile("^" + pattern + "$").MatchString(ours)
}

// atLeast reports whether a number is at least another.
func atLeast(a, b string) bool {
	n, err1 := strconv.ParseUint(a, 10, 64)
	m, err2 := strconv.ParseUint(b, 10, 64)
	return err1 == nil && err2 == nil && n >= m
}

var (
	newNames      = regexp.MustCompile(`\|(CLONE_PIDFD|O_NOCTTY|O_NOFOLLOW|O_PATH|O_NOATIME|O_ASYNC)`)
	newCommands   = regexp.MustCompile(`(option=\d+)\(PR_[A-Z_]+\)`)
	longTime      = regexp.MustCompile(`\b\d+\.\d+s\b`)
	twoNames      = regexp.MustCompile(`\b(AF_LOCAL)\|AF_UNIX|\b(AF_ROUTE)\|AF_NETLINK`)
	blankAfter    = regexp.MustCompile(`(->[0-9a-f]{8,16}) ( |\)|$)`)
	upward        = regexp.MustCompile(`^(?:\.\.?/)+`)
	newMountFlags = regexp.MustCompile(`\|(NOSYMFOLLOW|SUBMOUNT|NOREMOTELOCK)`)
	large         = regexp.MustCompile(`=\d{10,20}\b`)
)

// asSigned writes =N as a signed number of 32 or 64 bits if it has its upper bit.
func asSigned(text string) string {
	n, err := strconv.ParseUint(text[1:], 10, 64)
	switch {
	case err != nil:
		return text
	case n == math.MaxUint32:
		return "=-1"
	}
	return "=" + strconv.FormatInt(int64(n), 10)
}

// unknown are the values of sysdig for what it does not know.
var unknown = map[string]bool{"": true, "0": true, "-1": true, "4294967295": true, "false": true, "<NA>": true}

// dots is text with a dot for each byte that does not print.
func dots(text string) string {
	b := []byte(text)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '.'
		}
	}
	return string(b)
}

// sorted is a list with its elements in order.
func sorted(list string) string {
	elems := strings.Split(strings.Trim(list, "()"), ",")
	slices.Sort(elems)
	return strings.Join(elems, ",")
}

// filterDifference is one that is meant, of filters only.
type filterDifference struct {
	fields string
	why    string
	never  string // pattern of filters that select nothing in sysdig; empty: any
	only   func(ev *sinsp.Event, ref *field.Ref) bool
}

var filterDifferences = []filterDifference{
	{`proc\.fd(usage|limit)`, "sysdig takes a query of the limit for the limit 0, and overlooks a new limit in an event that the filter does not select", "", func(ev *sinsp.Event, _ *field.Ref) bool {
		if ev.Thread == nil {
			return false
		}
		for a := range ev.Thread.Ancestors() { // the limit was changed here, or between here and there
			if a.FDLimit != ev.Thread.FDLimit {
				return true
			}
		}
		return false
	}},
	{`fd\.ip|proc\.apid|evt\.rawarg`, "in and intersects never hold for several values, and for numbers of params, in sysdig", `\S+ (in|intersects) \(.*`, nil},
	{`fd\.([cslr])?net`, "sysdig never takes an address to intersect a network", `\S+ intersects \(.*`, nil},
	{`fd\.(ip|net|port|proto)`, "sysdig compares a socket that has no address yet as one with the address and the port 0", "", func(ev *sinsp.Event, _ *field.Ref) bool {
		fd := ev.FD()
		return fd != nil && fd.IP() && !fd.Src.IsValid() && !fd.Dst.IsValid()
	}},
	{`evt\.(arg|rawarg)`, "this version of sysdig does not have the last params", "", func(ev *sinsp.Event, ref *field.Ref) bool {
		old := int(ev.Info().OldParams)
		return old > 0 && ref.Arg.Param(ev.Type()) >= old
	}},
	{`evt\.(arg|rawarg)|fs\.path\..*`, "sysdig takes <NA> for the text of a path without a value", "", func(ev *sinsp.Event, _ *field.Ref) bool {
		for i := range ev.Info().Params {
			if t := ev.Info().Params[i].Type; (t == event.ParamFSPath || t == event.ParamFSRelPath) && len(ev.Param(i)) == 0 {
				return true
			}
		}
		return false
	}},
}

// meantInFilter returns why a filter on a field differs for an event, if it is meant to;
// ours is whether the filter selects the event here.
func meantInFilter(text string, ref *field.Ref, ev *sinsp.Event, ours bool) (why string, ok bool) {
	for i := range filterDifferences {
		d := &filterDifferences[i]
		if matches(d.fields, ref.Name) && (d.never == "" || ours && matches(d.never, text)) && (d.only == nil || d.only(ev, ref)) {
			return d.why, true
		}
	}
	return "", false
}

// matches reports whether a pattern matches all of a name.
func matches(pattern, name string) bool { return compiled(pattern).MatchString(name) }

// compiled has the patterns of all differences.
func compiled(pattern string) *regexp.Regexp {
	if re, ok := patterns.Load(pattern); ok {
		return re.(*regexp.Regexp)
	}
	re := regexp.MustCompile(`^(?:` + pattern + `)$`)
	patterns.Store(pattern, re)
	return re
}

var patterns sync.Map

// againstUnknown matches a path and, in parentheses, the same path.
var againstUnknown = regexp.MustCompile(`((?:name|filename|path|pathname|oldpath|newpath|linkpath)=(?:\./|\.\./)*([^ ()]+))\((?:[^ ()]+)\)`)

// rulesOf returns the differences that a field may have.
func rulesOf(name string) (rules []*difference) {
	base, _, _ := strings.Cut(name, "[")
	for i := range differences {
		if d := &differences[i]; matches(d.fields, name) || matches(d.fields, base) {
			rules = append(rules, d)
		}
	}
	return rules
}

// refusal is a filter that sysdig does not take.
type refusal struct {
	filters string // pattern
	why     string
}

var refusals = []refusal{
	{`fd\.([cslr]?port|[cslr]?proto|ip) intersects .*`, "sysdig does not have intersects for the addresses and ports of both ends, although its manual has it for every type"},
}

// refused returns why sysdig does not take a filter, if it is meant not to.
func refused(text string, err error) (why string, ok bool) {
	if !errors.As(err, new(*exec.ExitError)) {
		return "", false
	}
	for _, r := range refusals {
		if matches(r.filters, text) {
			return r.why, true
		}
	}
	return "", false
}

// inReference reports whether sysdig without plugins has a field.
func inReference(name string) bool {
	for _, class := range []string{"container.", "k8s.", "proc.is_container_"} {
		if strings.HasPrefix(name, class) {
			return false
		}
	}
	return true
}

// arguments are those with which fields are compared.
var arguments = map[string][]string{
	"evt.abspath":   {".src", ".dst"},
	"evt.arg":       {"[0]", "[1]", "[2]", ".fd", ".name", ".flags", ".res", ".path", ".mode", ".addr", ".tuple", ".pid", ".uid"},
	"evt.rawarg":    {".fd", ".name", ".flags", ".res", ".path", ".mode", ".size", ".pid"},
	"proc.aargs":    {"[0]", "[1]", "[2]"},
	"proc.acmdline": {"[0]", "[1]", "[2]", "[9]"},
	"proc.aenv":     {"[1]", "[PATH]", "[HOME]"},
	"proc.aexe":     {"[0]", "[1]", "[2]"},
	"proc.aexepath": {"[0]", "[1]", "[2]"},
	"proc.aname":    {"[0]", "[1]", "[2]", "[9]"},
	"proc.apid":     {"[0]", "[1]", "[2]"},
	"proc.args":     {"[0]", "[1]", "[99]"},
	"proc.env":      {"[PATH]", "[HOME]", "[NOTSET]"},
	"thread.cgroup": {".cpuset", ".memory", ".pids"},
	"fd.types":      {"[0]", "[3]"},
}

// reasons returns why differences are meant, each once.
func reasons() (list []string) {
	list = append(list, aborts)
	for i := range differences {
		list = append(list, differences[i].why)
	}
	for i := range filterDifferences {
		list = append(list, filterDifferences[i].why)
	}
	for _, r := range refusals {
		list = append(list, r.why)
	}
	slices.Sort(list)
	return slices.Compact(list)
}
