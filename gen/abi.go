// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"errors"
	"fmt"

	"github.com/scaplab/scaplab/internal/abi"
)

// cConst is a constant in C: its name, value and comment.
type cConst struct {
	Name, Value, Doc string
}

func dec(name string, v int, doc ...string) cConst { return constant(name, fmt.Sprint(v), doc) }

func hex(name string, v int, doc ...string) cConst { return constant(name, fmt.Sprintf("%#x", v), doc) }

func request(name string, number int, doc ...string) cConst {
	return constant("IOC_"+name, fmt.Sprintf("_IO('s', %d)", number), doc)
}

func constant(name, value string, doc []string) cConst {
	c := cConst{Name: name, Value: value}
	if len(doc) > 0 {
		c.Doc = doc[0]
	}
	return c
}

// cSection is a group of constants under one comment.
type cSection struct {
	Doc    string
	Consts []cConst
}

// limits are the constants of driver/abi/limits_gen.h, which both drivers share with Go.
var limits = []cSection{
	{"The header of an event: offsets of its fields, and its size.", []cConst{
		dec("EVENT_TS", abi.EventTime), dec("EVENT_TID", abi.EventTID), dec("EVENT_LEN", abi.EventLen),
		dec("EVENT_TYPE", abi.EventType), dec("EVENT_NPARAMS", abi.EventNumParams), dec("EVENT_HEADER_SIZE", abi.EventHeaderSize),
	}},
	{"Sizes in bytes.", []cConst{
		dec("EVENT_MAX", abi.EventMax, "a longer event is dropped and counted"),
		dec("PARAM_MAX", abi.ParamMax, "of a param: the limit of the reference's module, which both drivers keep"),
		dec("STRING_MAX", abi.StringMax, "of a string with its NUL; longer ones are cut"),
	}},
	{"Event codes.", []cConst{
		hex("FIRST_OWN_CODE", abi.FirstOwn, "the first code that the reference does not have"),
	}},
	{"Settings, unless the client says otherwise, and their limits.", []cConst{
		dec("SNAPLEN_DEFAULT", abi.SnaplenDefault, "bytes of I/O payload that an event carries"), dec("SNAPLEN_MAX", abi.SnaplenMax),
		dec("SAMPLING_RATIO_MAX", abi.SamplingRatioMax), dec("STATSD_PORT", abi.StatsdPort), dec("RING_BYTES", abi.RingBytes),
	}},
	{"Sizes of tables.", []cConst{
		dec("SYSCALLS", abi.Syscalls, "by native syscall number"),
		dec("CALLS", abi.Calls, "by call: native numbers, then SYSCALLS plus the code of calls that only 32-bit tasks have"),
		dec("FIRST_COMMON_NR", abi.FirstCommon, "from here on calls have the same number on every architecture"),
		dec("UNKNOWN_CALL", abi.UnknownCall, "the place there of numbers that are no known call"), dec("SOCKETCALLS", abi.Socketcalls, "by the number of a sub-call of socketcall"),
	}},
	{"Bits of interest[nr], which tell the eBPF dispatchers what to do with a syscall; 0: nothing.", []cConst{
		dec("INTEREST_EXIT", abi.InterestExit, "it has an exit event"),
		dec("INTEREST_ENTER", abi.InterestEnter, "it has an enter event"),
		dec("INTEREST_NEVER", abi.InterestNever, "dropping mode never drops it"),
		dec("INTEREST_ALWAYS", abi.InterestAlways, "dropping mode always drops it"),
		dec("INTEREST_FAILURE", abi.InterestFailure, "dropping mode drops its failures"),
		dec("INTEREST_UNLESS", abi.InterestUnless, "dropping mode drops it unless dropping_keeps_call()"),
		dec("INTEREST_SILENT_ZERO", abi.InterestSilentZero, "0 makes no event: another tracepoint reports it (exec, new threads)"),
		dec("INTEREST_AFTER_EXEC", abi.InterestAfterExec, "has the number of the other ABI's exec, which returns with it"),
		dec("INTEREST_COMPAT", abi.InterestCompat, "as a number of 32-bit tasks it may have an event"),
	}},
	{"Address families as events carry them.", []cConst{
		dec("EVENT_AF_UNIX", abi.FamilyUnix), dec("EVENT_AF_INET", abi.FamilyIPv4), dec("EVENT_AF_INET6", abi.FamilyIPv6),
	}},
	{"The working directory, whatever the native value is.", []cConst{constant("AT_FDCWD_EVENT", fmt.Sprintf("(%d)", abi.AtFDCWD), nil)}},
}

// requests are the ioctls of the module's devices.
var requests = []cConst{
	request("DROPPING_OFF", abi.DroppingOff), request("DROPPING_ON", abi.DroppingOn), request("SNAPLEN", abi.Snaplen),
	request("DYN_SNAPLEN_OFF", abi.DynSnaplenOff), request("DYN_SNAPLEN_ON", abi.DynSnaplenOn), request("VTID", abi.VTID),
	request("VPID", abi.VPID), request("CURRENT_TID", abi.CurrentTID), request("CURRENT_PID", abi.CurrentPID),
	request("PROCLIST", abi.Proclist), request("TP_HITS", abi.TPHits), request("DRIVER_VERSION", abi.DriverVersion),
	request("PORT_RANGE", abi.PortRange), request("STATSD_PORT", abi.Statsd), request("API_VERSION", abi.APIVersion),
	request("SCHEMA_VERSION", abi.SchemaVersion), request("SYSCALL_ON", abi.SyscallOn), request("SYSCALL_OFF", abi.SyscallOff),
	request("TP_ON", abi.TPOn), request("TP_OFF", abi.TPOff), request("DROPFAILED_ON", abi.DropFailedOn),
	request("DROPFAILED_OFF", abi.DropFailedOff),
	request("OWN_EVENTS", abi.OwnEvents, "ours: 1: this consumer accepts event codes from FIRST_OWN_CODE on; 0: no longer"),
}

// moduleTracepoints are the names of enum scap_tp.
var moduleTracepoints = [...]string{
	abi.TPSysEnter: "TP_SYS_ENTER", abi.TPSysExit: "TP_SYS_EXIT", abi.TPProcessExit: "TP_SCHED_PROCESS_EXIT", abi.TPSwitch: "TP_SCHED_SWITCH",
	abi.TPPageFaultUser: "TP_PAGE_FAULT_USER", abi.TPPageFaultKernel: "TP_PAGE_FAULT_KERNEL", abi.TPSignal: "TP_SIGNAL_DELIVER",
	abi.TPFork: "TP_SCHED_PROCESS_FORK", abi.TPExec: "TP_SCHED_PROCESS_EXEC", abi.TPCount: "TP_COUNT",
}

// ringCounters are the names of the counters in struct ring_info.
var ringCounters = [abi.CounterCount]string{
	abi.CounterEvents: "n_evts", abi.CounterDropsBuffer: "n_drops_buffer", abi.CounterDropsCloneFork: "n_drops_buffer_clone_fork_exit",
	abi.CounterDropsExecve: "n_drops_buffer_execve_exit", abi.CounterDropsConnectEnter: "n_drops_buffer_connect_enter",
	abi.CounterDropsConnect: "n_drops_buffer_connect_exit", abi.CounterDropsOpenEnter: "n_drops_buffer_open_enter",
	abi.CounterDropsOpen: "n_drops_buffer_open_exit", abi.CounterDropsDirFile: "n_drops_buffer_dir_file_exit",
	abi.CounterDropsOtherInterest: "n_drops_buffer_other_interest_exit", abi.CounterDropsClose: "n_drops_buffer_close_exit",
	abi.CounterDropsProcExit: "n_drops_buffer_proc_exit", abi.CounterDropsFault: "n_drops_pf", abi.CounterPreemptions: "n_preemptions",
	abi.CounterSwitches: "n_context_switches", abi.CounterDropsMessages: "n_drops_messages",
}

// abiHeaders writes the constants of package abi for C.
func abiHeaders(emit func(path, tmpl string, data any) error) error {
	return errors.Join(
		emit("driver/abi/limits_gen.h", "limits.h.tmpl", limits),
		emit("driver/abi/module_gen.h", "module.h.tmpl", map[string]any{
			"Requests": requests, "Tracepoints": moduleTracepoints, "Counters": ringCounters, "Size": abi.RingInfoSize,
		}))
}
