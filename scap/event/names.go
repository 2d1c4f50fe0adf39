// SPDX-License-Identifier: Apache-2.0

package event

// SyscallName returns the name of a syscall code (ParamSyscallID), or "". The file
// format defines the codes; they are the same on all architectures.
func SyscallName(code uint16) string {
	if int(code) < len(syscallNames) {
		return syscallNames[code]
	}
	return ""
}

// SignalName returns the name of a Linux signal, or "".
func SignalName(n uint8) string {
	if int(n) < len(signalNames) {
		return signalNames[n]
	}
	return ""
}

var signalNames = [...]string{
	1:  "SIGHUP",
	2:  "SIGINT",
	3:  "SIGQUIT",
	4:  "SIGILL",
	5:  "SIGTRAP",
	6:  "SIGABRT",
	7:  "SIGBUS",
	8:  "SIGFPE",
	9:  "SIGKILL",
	10: "SIGUSR1",
	11: "SIGSEGV",
	12: "SIGUSR2",
	13: "SIGPIPE",
	14: "SIGALRM",
	15: "SIGTERM",
	16: "SIGSTKFLT",
	17: "SIGCHLD",
	18: "SIGCONT",
	19: "SIGSTOP",
	20: "SIGTSTP",
	21: "SIGTTIN",
	22: "SIGTTOU",
	23: "SIGURG",
	24: "SIGXCPU",
	25: "SIGXFSZ",
	26: "SIGVTALRM",
	27: "SIGPROF",
	28: "SIGWINCH",
	29: "SIGIO",
	30: "SIGPWR",
	31: "SIGSYS",
}
