// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/vmtest/machine"
)

// shown is an event as text.
type shown struct {
	tid    int64
	exit   bool
	name   string
	args   string
	fdName string
	asked  bool   // fdName is known
	raw    record // of our client
}

// verdict is the verdict on one kernel's results.
type verdict struct {
	kernel   string
	out      io.Writer
	failures int
}

func (v *verdict) say(format string, args ...any) {
	fmt.Fprintf(v.out, "kernel %s: %s\n", v.kernel, fmt.Sprintf(format, args...))
}

// fail reports what is wrong, up to a limit.
func (v *verdict) fail(format string, args ...any) {
	if v.failures++; v.failures <= 40 {
		v.say("WRONG: "+format, args...)
	}
}

func (v *verdict) judge(r *results, whyNoReference error) {
	if r.Err != "" {
		v.fail("%s", r.Err)
		return
	}
	if line := machine.Complaint(r.Log); line != "" {
		v.fail("the kernel complains: %s", line)
	}
	// By default our module has the versions of a newer libs.
	if !strings.Contains(r.Refused, "API version") || !strings.Contains(r.Refused, event.APIVersion) || !strings.Contains(r.Refused, "exit status 1") {
		v.fail("sysdig should refuse our module's default API %s, but prints: %s", event.APIVersion, strings.TrimSpace(r.Refused))
	}
	if whyNoReference != nil {
		v.say("the reference module does not compile here: %v", whyNoReference)
	}
	var found [][]*shown
	for i := range r.Legs {
		found = append(found, v.leg(&r.Legs[i], i == 0))
	}
	if len(r.Legs) == 2 {
		v.modules(found[0], found[1])
	}
	if r.Scored != nil {
		v.scored(r.Scored)
	}
}

// scored says how what sysdig recorded of the table's cases does.
func (v *verdict) scored(s *scored) {
	if s.Err != "" {
		v.fail("the cases, recorded by sysdig: %s", s.Err)
		return
	}
	c := s.Score
	v.say("the cases, recorded by sysdig: %d equal, %d different as listed, %d defects; %d generic, %d skipped, of %d not every event is recorded",
		c.Cases.Equal, c.Cases.Listed, c.Cases.Defect, c.Generic, c.Skipped, c.Broken)
	if c.Cases.Equal == 0 {
		v.fail("sysdig recorded no case well")
	}
	for _, d := range s.Deviations {
		if strings.HasPrefix(d, "init_module_exit , ") {
			v.say("known difference: sysdig saves no event of 64 KiB: %s", d)
			continue
		}
		v.fail("the cases, recorded by sysdig: %s", d)
	}
}

// leg judges what sysdig and our client got from one module. It returns, for each
// event that was wanted, what our client had.
func (v *verdict) leg(l *leg, ours bool) []*shown {
	if l.Err != "" {
		v.fail("%s: %s", l.Name, l.Err)
		return nil
	}
	v.say("%s %s, API %s, schema %s", l.Name, l.Module, l.API, l.Schema)
	if l.Dropped > 0 {
		v.fail("%s: %d events were lost", l.Name, l.Dropped)
	}
	records, err := showRecords(l.Records)
	if err != nil {
		v.fail("%s: our client: %v", l.Name, err)
		return nil
	}
	v.wanted(l, "sysdig", parseLines(l.Lines), ours)
	found := v.wanted(l, "our client", records, ours)
	v.same(l, found)
	return found
}

// parseLines reads what sysdig printed in the format it was given.
func parseLines(text string) (all []*shown) {
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 8)
		if len(f) != 8 {
			continue // the rest of a string with a line feed
		}
		tid, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			continue
		}
		all = append(all, &shown{tid: tid, exit: f[4] == "<", name: f[5], fdName: f[6], args: f[7], asked: true})
	}
	return all
}

func showRecords(records []record) (all []*shown, err error) {
	for _, r := range records {
		var ev event.Event
		if err := ev.Reset(r.Bytes, r.CPU); err != nil {
			return nil, err
		}
		s := &shown{tid: int64(ev.TID()), exit: !ev.Type().Enter(), name: ev.Type().String(), args: string(ev.AppendArgs(nil)), raw: r}
		if ev.Type() == event.TypeGenericExit {
			s.name, s.args = genericName(&ev), "" // as sysdig shows it
		}
		all = append(all, s)
	}
	return all, nil
}

func genericName(ev *event.Event) string {
	return cmp.Or(event.SyscallName(binary.NativeEndian.Uint16(ev.Param(0))), "unknown")
}

// tabled reports whether this project's table has an event for the call, its own or the
// reference schema's. Our module sends the generic event for other calls.
func tabled(name string) bool {
	return slices.ContainsFunc(driver.Events(), func(e driver.Event) bool {
		return slices.ContainsFunc(e.Calls, func(c driver.Call) bool {
			return c.Name == name || strings.TrimSuffix(c.Name, "64") == name // pread64 makes the event pread
		})
	})
}

// tracepointEvents are names of wanted events that are not syscalls.
var tracepointEvents = []string{"procexit"}

// wanted looks for each event of the workload among those a client showed, in
// order, and returns them; nil stands for one that is missing.
func (v *verdict) wanted(l *leg, client string, all []*shown, ours bool) (found []*shown) {
	next := map[int64]int{} // of each thread
	good, generic := map[string]int{}, map[string]int{}
	total := 0
	for i := range l.Account.Wanted {
		w := &l.Account.Wanted[i]
		noParams := ours && !slices.Contains(tracepointEvents, w.Event) && !tabled(w.Event)
		hit, near := (*shown)(nil), ""
		for at := next[w.TID]; at < len(all); at++ {
			s := all[at]
			if s.tid != w.TID || s.name != w.Event || !s.exit && w.Event != "procexit" {
				continue
			}
			if missing := w.missing(s); missing == "" || noParams && s.args == "" {
				hit = s
				next[w.TID] = at + 1
				break
			} else if near == "" {
				near = missing + " in: " + s.args
			}
		}
		found = append(found, hit)
		switch {
		case hit == nil && near == "":
			v.fail("%s, %s: no %s of thread %d (want %s)", l.Name, client, w.Event, w.TID, strings.Join(w.Params, " "))
		case hit == nil:
			v.fail("%s, %s: %s of thread %d: no %s", l.Name, client, w.Event, w.TID, near)
		case noParams && hit.args == "":
			generic[w.Event]++
		default:
			total += len(w.Params) / 2
			good[w.Event]++
		}
	}
	v.say("%s, %s: %d of the workload's %d events with right params (%d of them compared): %s", l.Name, client, sum(good), len(found), total, counts(good))
	if len(generic) > 0 {
		v.say("%s, %s: %d more as generic events, the table having no entry for them: %s", l.Name, client, sum(generic), counts(generic))
	}
	return found
}

func sum(m map[string]int) (n int) {
	for _, k := range m {
		n += k
	}
	return n
}

func counts(m map[string]int) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		all = append(all, fmt.Sprintf("%s %d", name, m[name]))
	}
	return strings.Join(all, ", ")
}

// missing returns the first param that the event lacks; "" if it has all. A client may
// add in parentheses what a value means.
func (w *wanted) missing(s *shown) string {
	for i := 0; i < len(w.Params); i += 2 {
		param := w.Params[i] + "=" + w.Params[i+1]
		if !hasParam(s.args, param) {
			return param
		}
	}
	if s.asked && w.FDName != "" && s.fdName != w.FDName {
		return "fd.name=" + w.FDName + " but " + s.fdName
	}
	return ""
}

func hasParam(args, param string) bool {
	for from := 0; ; {
		at := strings.Index(args[from:], param)
		if at < 0 {
			return false
		}
		at += from
		end := at + len(param)
		if (at == 0 || args[at-1] == ' ') && (end == len(args) || args[end] == ' ' || args[end] == '(') {
			return true
		}
		from = at + 1
	}
}

// same compares what sysdig saved with what our client read at the same time from
// the same module, byte by byte.
func (v *verdict) same(l *leg, found []*shown) {
	r, err := savefile.NewReader(bytes.NewReader(l.Saved), savefile.Options{Raw: true})
	if err != nil {
		v.fail("%s: what sysdig saved: %v", l.Name, err)
		return
	}
	mine := map[string]bool{} // after the CPU
	for _, m := range l.Records {
		mine[key(m.CPU, m.Bytes)] = true
	}
	theirs := map[string]bool{}
	alike, added, switches, differ := 0, 0, 0, 0
	for {
		ev, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			v.fail("%s: what sysdig saved: %v", l.Name, err)
			return
		}
		k := key(ev.CPU(), ev.Bytes())
		theirs[k] = true
		switch {
		case mine[k]:
			alike++
		case ev.TID() == -1 || ev.Type() == event.TypeProcinfoEnter:
			added++ // sysdig's own, of users, groups and processes
		case ev.Type() == event.TypeSwitchEnter:
			switches++ // our client did not ask for them
		default:
			if differ++; differ <= 5 {
				v.fail("%s: sysdig has, and our client has not: %s of thread %d, CPU %d: %s", l.Name, ev.Type(), ev.TID(), ev.CPU(), ev.AppendArgs(nil))
			}
		}
	}
	// The other direction, for events that all pass sysdig's filter.
	for _, s := range found {
		if s != nil && !theirs[key(s.raw.CPU, s.raw.Bytes)] {
			v.fail("%s: our client has, and sysdig has not: %s of thread %d: %s", l.Name, s.name, s.tid, s.args)
		}
	}
	if alike == 0 {
		v.fail("%s: sysdig saved nothing that our client has", l.Name)
	}
	v.say("%s: %d events that sysdig saved are what our client read, byte by byte; %d differ (%d switches and %d of sysdig's own apart)",
		l.Name, alike, differ, switches, added)
}

func key(cpu int, event []byte) string { return strconv.Itoa(cpu) + " " + string(event) }

// known are params in which our module differs from the reference's of libs 0.23 on
// purpose, and why. All others must be equal.
var known = map[string]string{
	"accept4 flags":          "the reference sends 0 for them",
	"timerfd_create clockid": "the reference sends 0 for it",
	"prctl arg2_str":         "as the reference's eBPF driver, an empty string where there is none; its module sends nothing",
	"clone cgroups":          "as the reference's eBPF driver, five controllers in its order; its module sends all",
	"execve cgroups":         "as clone",
}

// varies are params that differ from one run of the workload to the next.
var varies = map[string]bool{
	"ino": true, "exe_ino": true, "exe_ino_ctime": true, // files are made again
	"vm_size": true, "vm_rss": true, "pgft_maj": true, "pgft_min": true, // and memory used
	"mmap res": true, "mprotect addr": true, "munmap addr": true, // where memory is mapped
	"source": true, "peer": true, // kernel addresses of sockets
	"reaper_tid": true,
}

// modules compares the same events of our module and of the reference module, all
// their params.
func (v *verdict) modules(ours, reference []*shown) {
	if len(ours) != len(reference) {
		v.fail("the workload made %d calls on our module and %d on the reference module", len(ours), len(reference))
		return
	}
	params, events, generic := 0, 0, 0
	said := map[string]bool{}
	for i, o := range ours {
		r := reference[i]
		if o == nil || r == nil {
			continue // reported before
		}
		var mine, their event.Event
		if mine.Reset(o.raw.Bytes, 0) != nil || their.Reset(r.raw.Bytes, 0) != nil {
			continue // not possible: they were shown
		}
		if mine.Type() != their.Type() {
			if mine.Type() == event.TypeGenericExit {
				generic++
				continue
			}
			v.fail("%s: event %d of our module, %d of the reference module", o.name, mine.Type(), their.Type())
			continue
		}
		events++
		info := mine.Info()
		if mine.NumParams() != their.NumParams() {
			v.fail("%s: %d params of our module, %d of the reference module", o.name, mine.NumParams(), their.NumParams())
		}
		for n := range min(mine.NumParams(), their.NumParams(), len(info.Params)) {
			p := &info.Params[n]
			x, y := string(p.AppendArg(nil, mine.Param(n))), string(p.AppendArg(nil, their.Param(n)))
			params++
			if x == y || p.Type == event.ParamPID || varies[p.Name] || varies[o.name+" "+p.Name] {
				continue
			}
			if why := known[o.name+" "+p.Name]; why != "" {
				if !said[o.name+p.Name] {
					v.say("known difference: %s, %s: %q, reference module %q: %s", o.name, p.Name, x, y, why)
				}
				said[o.name+p.Name] = true
				continue
			}
			v.fail("%s, %s: %q of our module, %q of the reference module", o.name, p.Name, x, y)
		}
	}
	v.say("our module and the reference module: %d events alike in type, %d params compared (%d events are generic of ours only)", events, params, generic)
}

func saveRecords(path string, records []record) error {
	f, err := savefile.Create(path, savefile.FileOptions{})
	if err != nil {
		return err
	}
	for _, r := range records {
		var ev event.Event
		if err := ev.Reset(r.Bytes, r.CPU); err != nil {
			return errors.Join(err, f.Close())
		}
		if err := f.Write(&ev); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}
