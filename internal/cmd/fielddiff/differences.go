// SPDX-License-Identifier: Apache-2.0

package main

import (
	"regexp"
	"strings"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/sinsp"
)

// difference is one that is meant: the reference's manual promises what we do, or
// docs/fields.md says why.
type difference struct {
	fields string // pattern of the fields or filters
	why    string
	// only reports whether the difference is this one; nil: each of these fields is.
	only func(ev *sinsp.Event, ours, theirs string) bool
}

var differences = []difference{
	{`evt\.latency.*|evt\.wait_latency`, "sysdig has 0", func(_ *sinsp.Event, _, theirs string) bool {
		return theirs == "0" || theirs == "0ns" || theirs == "000000000"
	}},
	{`evt\.deltatime.*`, "sysdig counts from the event for which the same field was asked before", nil},
	{`evt\.hostname`, "sysdig does not have the name that is in the capture", func(_ *sinsp.Event, _, theirs string) bool { return theirs == "" }},
	{`evt\.buffer`, "sysdig prints an encoding of the text", nil},
	{`util\.cnt`, "sysdig does not ask for events that it hides", nil},
	{`evt\.abspath.*`, "a directory that is not known is written one way only", func(_ *sinsp.Event, ours, theirs string) bool {
		return strings.Replace(theirs, "<UNKNOWN>/", "<UNKNOWN>", 1) == ours
	}},
	{`evt\.arg.*|evt\.info`, "sysdig resolves a path below a directory that is not known to the path itself", func(_ *sinsp.Event, ours, theirs string) bool {
		return againstUnknown.ReplaceAllString(theirs, "$1") == ours || strings.HasSuffix(ours, "/"+theirs)
	}},
	{`evt\.arg.*|evt\.info`, "sysdig writes a blank after the ends of a unix socket without a path", func(_ *sinsp.Event, ours, theirs string) bool {
		return strings.ReplaceAll(theirs+" ", "  ", " ") == ours+" "
	}},
	{`evt\.args|evt\.info`, "this version of sysdig does not have the last params", func(_ *sinsp.Event, ours, theirs string) bool {
		return strings.HasPrefix(ours, theirs+" ")
	}},
	{`evt\.arg.*|evt\.info`, "this version of sysdig takes the family of a socket for flags", func(_ *sinsp.Event, ours, theirs string) bool {
		return strings.HasPrefix(ours+" ", strings.Replace(theirs, "AF_LOCAL|AF_UNIX", "AF_LOCAL", 1)+" ")
	}},
	{`evt\.args|evt\.info`, "sysdig prints large unsigned numbers as signed ones", func(_ *sinsp.Event, ours, theirs string) bool {
		return strings.NewReplacer("=4294967295", "=-1", "=18446744073709551615", "=-1").Replace(ours) == theirs
	}},
	{`evt\.abspath.*`, "sysdig has an empty path for a param without a value", func(_ *sinsp.Event, ours, theirs string) bool { return ours == "<NA>" && theirs == "" }},
	{`fd\.filename`, "sysdig takes / for the name of a file without a directory", func(_ *sinsp.Event, _, theirs string) bool { return theirs == "/" }},
	{`fd\.(directory|containerdirectory)`, "a directory that is not known ends no path", func(_ *sinsp.Event, _, theirs string) bool { return strings.Contains(theirs, "<UNKNOWN>") }},
	{`fd\.(directory|containerdirectory)`, "a socket is in no directory", func(ev *sinsp.Event, _, _ string) bool { return ev.FD() == nil }},
	{`thread\.cgroups`, "io is the name of the subsystem that sysdig calls blkio", func(_ *sinsp.Event, ours, theirs string) bool {
		return strings.ReplaceAll(theirs, "blkio=", "io=") == ours
	}},
	{`proc\.cwd`, "sysdig has ./ for a directory that is not known", func(_ *sinsp.Event, ours, theirs string) bool { return ours == "" && theirs == "./" }},
	{`evt\.rawarg\..*`, "sysdig prints 0 for a param without a value", func(_ *sinsp.Event, ours, theirs string) bool {
		return ours == "<NA>" && theirs == "0"
	}},
	{`evt\.res`, "sysdig prints the number of an error of clone", func(ev *sinsp.Event, _, theirs string) bool {
		return ev.Info().Params[0].Type == event.ParamPID && strings.HasPrefix(theirs, "-")
	}},
	{`evt\.type|syscall\.type`, "sysdig takes the native number of a generic event for one of its own machine", func(_ *sinsp.Event, ours, _ string) bool {
		return ours == "unknown"
	}},
	{`fd\.connected`, "a connection that is not yet made is none", func(ev *sinsp.Event, _, _ string) bool {
		return ev.FD() != nil && ev.FD().State == sinsp.Pending
	}},
	{`fd\.(containerdirectory|directory|filename)`, "sysdig has a directory of files that it does not know", func(_ *sinsp.Event, ours, theirs string) bool {
		return ours == "<NA>" && (theirs == "/" || theirs == ":/") || ours == "<NA>" && theirs == ""
	}},
	{`fd\.(name|nameraw|containername|typechar)`, "of a call that failed sysdig tells less, or NULL", func(ev *sinsp.Event, _, _ string) bool {
		return ev.FD() == nil
	}},
	{`fd\.[cslr]ip\.name`, "we print the address", func(_ *sinsp.Event, _, theirs string) bool { return theirs == "<NA>" }},
	{`fd\.is_server`, "sysdig takes a new IPv6 socket for a server", func(ev *sinsp.Event, ours, theirs string) bool {
		return ev.FD().Type == proc.FDIPv6 && ev.FD().Role == sinsp.RoleNone
	}},
	{`fd\.(num|uid)`, "the descriptor of a pipe is the end that reads", func(ev *sinsp.Event, _, _ string) bool {
		return strings.HasPrefix(ev.Info().Name, "pipe")
	}},
	{`fd\.types`, "sysdig has them in no order", func(_ *sinsp.Event, ours, theirs string) bool { return len(ours) == len(theirs) }},
	{`fs\.path\..*`, "sysdig has some calls only, and failed opens", func(ev *sinsp.Event, ours, theirs string) bool {
		return theirs == "<NA>" || ours == "<NA>" && ev.FD() == nil
	}},
	{`proc\.a[a-z]+`, "sysdig prints no ancestors without a number", func(_ *sinsp.Event, _, theirs string) bool { return theirs == "<NA>" }},
	{`proc\.aenv.*`, "sysdig prints an empty text for an ancestor that is not known", func(_ *sinsp.Event, ours, theirs string) bool {
		return theirs == ""
	}},
	{`proc\.aenv`, "sysdig prints the environment of the process for that of all ancestors", nil},
	{`proc\.cwd`, "this version of sysdig prints no working directory", func(_ *sinsp.Event, _, theirs string) bool { return theirs == "" }},
	{`proc\.exe_ino\.ctime_duration_.*`, "sysdig computes with times that are not known", func(ev *sinsp.Event, ours, _ string) bool { return ours == "<NA>" }},
	{`proc\.exeline`, "sysdig writes a blank after the last argument", func(_ *sinsp.Event, ours, theirs string) bool { return theirs == ours+" " }},
	{`proc\.(fdopencount|fdusage|is_.*_leader)`, "sysdig keeps no files and ids of a thread that only events told of", func(ev *sinsp.Event, _, _ string) bool {
		return ev.Thread.Placeholder || ev.Thread.VPID == -1
	}},
	{`proc\.ppid\.(duration|ts)`, "sysdig computes with times that are not known", func(_ *sinsp.Event, ours, _ string) bool { return ours == "<NA>" }},
	{`(proc|thread|user|group)\..*|evt\.arg.*|evt\.info`, "a thread that only events told of is known after its clone", func(ev *sinsp.Event, _, theirs string) bool {
		return strings.HasPrefix(ev.Info().Name, "clone") || strings.Contains(theirs, "(<NA>)") || theirs == "<NA>"
	}},
}

// againstUnknown matches a path and, in parentheses, the same path.
var againstUnknown = regexp.MustCompile(`((?:name|filename|path|pathname|oldpath|newpath|linkpath)=(?:\./|\.\./)*([^ ()]+))\((?:[^ ()]+)\)`)

var patterns = func() (list []*regexp.Regexp) {
	for _, d := range differences {
		list = append(list, regexp.MustCompile(`^(?:`+d.fields+`)$`))
	}
	return list
}()

// meant returns why a field of an event differs, if it is meant to.
func meant(name string, ev *sinsp.Event, ours, theirs string) (why string, ok bool) {
	base, _, _ := strings.Cut(name, "[")
	for i := range differences {
		if d := &differences[i]; (patterns[i].MatchString(name) || patterns[i].MatchString(base)) && (d.only == nil || d.only(ev, ours, theirs)) {
			return d.why, true
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
