// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"maps"
	"slices"

	"github.com/scaplab/scaplab/internal/abi"
)

const (
	referenceLast = abi.ReferenceCodes - 1
	oursFrom      = abi.FirstOwn
	oursEnd       = abi.FirstOwn + abi.OwnCodes
	maxParams     = abi.MaxParams
	maxNR         = abi.Syscalls - 1
	maxSnaplen    = abi.SnaplenMax
)

var (
	dropClasses = []string{"never", "always", "sampled"}
	tracepoints = []string{
		"sys_enter", "sys_exit", "sched_switch", "sched_process_exit", "sched_process_exec", "sched_process_fork",
		"page_fault_user", "page_fault_kernel", "signal_deliver", "iter_task", "iter_task_file", "dropping_mode", "cpu_hotplug",
	}
)

// Tracepoints returns the names of what may fire an event.
func Tracepoints() []string { return slices.Clone(tracepoints) }

// Needs are the words for what a case may need of the machine, with their meanings.
// Package vmtest/guest has a probe for each, which a test checks.
var Needs = map[string]string{
	"acct":         "process accounting",
	"aio":          "kernel aio",
	"audit":        "login ids of the audit system",
	"cgroup2":      "a cgroup hierarchy of version 2",
	"ext4":         "ext4 file systems",
	"hugetlb":      "huge pages",
	"ia32":         "32-bit programs",
	"io_uring":     "io_uring, not forbidden by sysctl",
	"ipv4":         "an IPv4 loopback address",
	"ipv6":         "an IPv6 loopback address",
	"kexec":        "kexec",
	"kexec_file":   "kexec of a file",
	"keys":         "kernel keyrings",
	"landlock":     "the landlock security module",
	"lsm":          "calls about security modules",
	"memfd_secret": "memfd_secret switched on",
	"modules":      "a kernel that loads modules",
	"mqueue":       "POSIX message queues",
	"numa":         "NUMA policy calls",
	"overlayfs":    "overlayfs",
	"pkeys":        "a processor with protection keys",
	"quota":        "disk quotas",
	"root":         "user id 0",
	"rseq":         "restartable sequences",
	"rseq_slice":   "more time for restartable sequences",
	"smp":          "two processors",
	"swap":         "swap space",
	"sysvipc":      "System V IPC",
	"userfault":    "userfaultfd for this user",
	"userns":       "user namespaces",
	"vm":           "a virtual machine of the harness",
}

// check applies the rules that need the whole table.
func (l *loader) check() {
	manual := map[string]FlagValue{} // by name; C has them as EVENT_NAME
	for _, s := range l.table.Flags {
		for _, v := range s.Values {
			if s.Kind != "manual" {
				break
			}
			if old, ok := manual[v.Name]; ok && old.Value != v.Value {
				l.errs.Add(v.Pos, s.Name, "%s is %#x, but %#x on line %d (C has one EVENT_%s for all manual sets)", v.Name, v.Value, old.Value, old.Pos.Line, v.Name)
			}
			manual[v.Name] = v
		}
		h := l.helpers["value"][s.Name]
		if s.Kind != "manual" && s.Kind != "" && h != nil {
			l.errs.Add(h.Pos, s.Name, "value helper %s is a conversion of flags.yaml already (kind: manual leaves it to the helper)", s.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.groups)) {
		if g := l.groups[name]; !g.used {
			l.errs.Add(g.group.Pos, name, "group %s is unused", name)
		}
	}
	l.checkParts()
	for _, name := range slices.Sorted(maps.Keys(l.wants)) {
		if g := l.wants[name]; !g.used {
			l.errs.Add(g.f.Pos(g.node), name, "want %s is unused", name)
		}
	}
	for _, r := range l.table.Reducers {
		if !r.used && len(l.errs) == 0 { // an error may be in the state that uses it
			l.errs.Add(r.Pos, r.Name, "reducer %s is unused", r.Name)
		}
	}
	l.checkFacts()
	l.layouts()
	l.checkLock()
	names := map[string]*Syscall{}
	numbers := map[string]map[int]*Syscall{}
	for _, s := range l.table.Syscalls {
		if old := names[s.Name]; old != nil {
			l.errs.Add(s.Pos, s.Name, "%s is described twice (first %s)", s.Name, onLine(old.Pos, s.Pos))
			continue
		}
		names[s.Name] = s
		for _, arch := range slices.Sorted(maps.Keys(s.NR)) {
			nr := s.NR[arch]
			if numbers[arch] == nil {
				numbers[arch] = map[int]*Syscall{}
			}
			if old := numbers[arch][nr]; old != nil {
				l.errs.Add(s.Pos, s.Name, "number %d of %s belongs to %s (%s)", nr, arch, old.Name, lineOf(old.Pos, s.Pos))
				continue
			}
			numbers[arch][nr] = s
		}
	}
}
