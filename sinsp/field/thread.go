// SPDX-License-Identifier: Apache-2.0

package field

import (
	"math"
	"strconv"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
)

var threadClass = &Class{
	Name: "thread",
	Desc: "the thread that made the event",
	Fields: []Field{
		{Name: "thread.tid", Type: Int, Format: event.FormatID,
			Desc:    "thread id",
			Extract: extractTID},
		{Name: "thread.ismain", Type: Bool,
			Desc:    "whether it is the main thread of its process",
			Extract: self(func(t *sinsp.Thread, v *Value) bool { return v.SetBool(t.Main()) })},
		{Name: "thread.vtid", Type: Int, Format: event.FormatID,
			Desc:    "thread id in its own pid namespace",
			Extract: self(func(t *sinsp.Thread, v *Value) bool { return t.VTID != -1 && v.SetInt(int64(t.VTID)) })},
		{Name: "thread.nametid", Type: String, Flags: Hidden,
			Desc:    "proc.name and thread.tid, without a blank",
			Extract: self(nameAndTID)},
		{Name: "thread.exectime", Type: RelTime, Format: event.FormatDec,
			Desc: "ns that the thread ran until a switch event; 0 for other events",
			Extract: func(ev *sinsp.Event, _ *Arg, v *Value) bool {
				return v.SetUint(ev.Switched)
			}},
		{Name: "thread.totexectime", Type: RelTime, Format: event.FormatDec,
			Desc:    "ns that the thread ran until now, by switch events",
			Extract: self(func(t *sinsp.Thread, v *Value) bool { return v.SetUint(t.TotalRun) })},
		{Name: "thread.cgroups", Type: String,
			Desc:    "cgroups as SUBSYSTEM=PATH, separated by blanks",
			Extract: self(cgroups)},
		{Name: "thread.cgroup", Type: String, Arg: ArgWord,
			Desc:    "path of the cgroup of a subsystem: thread.cgroup.cpuset",
			Extract: extractCgroup},
		{Name: "thread.cap_permitted", Type: String,
			Desc:    "capabilities that the thread may use, separated by blanks",
			Extract: self(func(t *sinsp.Thread, v *Value) bool { return capabilities(t.CapPermitted, v) })},
		{Name: "thread.cap_inheritable", Type: String,
			Desc:    "capabilities that the thread keeps over execve, separated by blanks",
			Extract: self(func(t *sinsp.Thread, v *Value) bool { return capabilities(t.CapInheritable, v) })},
		{Name: "thread.cap_effective", Type: String,
			Desc:    "capabilities that the thread uses, separated by blanks",
			Extract: self(func(t *sinsp.Thread, v *Value) bool { return capabilities(t.CapEffective, v) })},
		{Name: "thread.pfmajor", Type: Uint, Format: event.FormatDec,
			Desc:    "page faults that needed the disk",
			Extract: self(func(t *sinsp.Thread, v *Value) bool { return v.SetUint(t.PFMajor) })},
		{Name: "thread.pfminor", Type: Uint, Format: event.FormatDec,
			Desc:    "page faults that needed no disk",
			Extract: self(func(t *sinsp.Thread, v *Value) bool { return v.SetUint(t.PFMinor) })},
		{Name: "thread.cpu", Type: Double,
			Desc:    "percent of a CPU that the thread used since its procinfo event before",
			Extract: cpuUse(true, true), Codes: procinfoCodes},
		{Name: "thread.cpu.user", Type: Double,
			Desc:    "thread.cpu in user mode",
			Extract: cpuUse(true, false), Codes: procinfoCodes},
		{Name: "thread.cpu.system", Type: Double,
			Desc:    "thread.cpu in the kernel",
			Extract: cpuUse(false, true), Codes: procinfoCodes},
		{Name: "thread.vmsize", Type: Uint, Format: event.FormatDec,
			Desc:    "proc.vmsize for main threads, 0 for others",
			Extract: self(func(t *sinsp.Thread, v *Value) bool { return ofMain(t, t.VMSize, 1, v) })},
		{Name: "thread.vmrss", Type: Uint, Format: event.FormatDec,
			Desc:    "proc.vmrss for main threads, 0 for others",
			Extract: self(func(t *sinsp.Thread, v *Value) bool { return ofMain(t, t.VMRSS, 1, v) })},
		{Name: "thread.vmsize.b", Type: Uint, Format: event.FormatDec, Flags: Hidden,
			Desc:    "thread.vmsize in bytes",
			Extract: self(func(t *sinsp.Thread, v *Value) bool { return ofMain(t, t.VMSize, 1024, v) })},
		{Name: "thread.vmrss.b", Type: Uint, Format: event.FormatDec, Flags: Hidden,
			Desc:    "thread.vmrss in bytes",
			Extract: self(func(t *sinsp.Thread, v *Value) bool { return ofMain(t, t.VMRSS, 1024, v) })},
	},
}

// extractTID sets the id that the event has, also of a thread that is not known.
func extractTID(ev *sinsp.Event, _ *Arg, v *Value) bool {
	tid := int64(ev.TID())
	return tid >= -1 && tid <= math.MaxUint32 && v.SetInt(tid)
}

func nameAndTID(t *sinsp.Thread, v *Value) bool {
	return v.SetScratch(strconv.AppendInt(append(v.Scratch(), t.Comm...), int64(t.TID), 10))
}

func cgroups(t *sinsp.Thread, v *Value) bool {
	return t.Cgroups != "" && v.SetScratch(appendItems(v.Scratch(), t.Cgroups))
}

func extractCgroup(ev *sinsp.Event, arg *Arg, v *Value) bool {
	if ev.Thread == nil {
		return false
	}
	path, ok := ev.Thread.Cgroup(arg.Text)
	return ok && v.SetString(path)
}

// ofMain sets memory, which the main thread has for its process.
func ofMain(t *sinsp.Thread, kB uint32, unit uint64, v *Value) bool {
	if !t.Main() {
		return v.SetUint(0)
	}
	return v.SetUint(uint64(kB) * unit)
}

func procinfoCodes(*Arg) event.Set {
	return event.SetOf(func(in *event.Info) bool { return in.Code == event.TypeProcinfoEnter })
}

// cpuUse makes an extract of the CPU time between two procinfo events of a thread, of
// which there is one a second.
func cpuUse(user, system bool) extract {
	return func(ev *sinsp.Event, _ *Arg, v *Value) bool {
		if ev.Type() != event.TypeProcinfoEnter || ev.Thread == nil {
			return false
		}
		ns := uint64(0)
		if user {
			ns += ev.CPUUser
		}
		if system {
			ns += ev.CPUSystem
		}
		return v.SetDouble(min(100*float64(ns)/second, 100))
	}
}
