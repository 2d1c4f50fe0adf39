// SPDX-License-Identifier: Apache-2.0

package expr

// Vars are the variables every case has without binding them; the guest sets
// them before `given`, except ret and child, which the call gives.
var Vars = map[string]string{
	"ret":      "what the call returned: >= 0, or the negated errno",
	"child":    "pid of the process the call made (clone family)",
	"pid":      "process id of the caller, as the initial namespace has it",
	"tid":      "thread id of the caller",
	"ppid":     "process id of its parent",
	"pgid":     "its process group",
	"sid":      "its session",
	"uid":      "its real user id",
	"euid":     "its effective user id",
	"suid":     "its saved user id",
	"gid":      "its real group id",
	"egid":     "its effective group id",
	"sgid":     "its saved group id",
	"loginuid": "its audit login uid, 4294967295 when unset",
	"self": "the calling thread, from /proc and the kernel, as it is after the call, or before one that does not return: " +
		"fields pid tid ppid ptid (the thread that made the process) pgid sid uid gid euid egid suid sgid comm exe argv0 args env " +
		"cgroups loginuid tty fdlimit maj_flt min_flt vm_size vm_rss vm_swap cap_inheritable cap_permitted cap_effective exe_ino " +
		"exe_ctime exe_mtime cwd umask",
	"comm": "its name, at most 15 bytes",
	"exe":  "path of its executable",
	"cwd":  "its working directory",
	"page": "bytes of a page",
	"cpus": "number of processors",
	"now":  "realtime clock, ns since the epoch, before the call",
	"mono": "monotonic clock, ns, before the call",
	"end":  "an address right before an unmapped page",
	"bad":  "an address that is not mapped",
}

// Functions are the calls that Eval itself knows, with their meaning.
var Functions = map[string]string{
	"between": "between(low, high): a wanted number in that range, both ends included",
	"bytes":   "bytes(part, ...): the parts (numbers 0 to 255, strings, buffers) joined",
}

// Keywords are names that are not constants.
var Keywords = map[string]string{
	"empty": "the zero-length value",
	"any":   "a wanted value that is not compared",
	"NULL":  "the null pointer",
}
