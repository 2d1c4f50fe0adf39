// SPDX-License-Identifier: Apache-2.0

package gen

import "strings"

// goWords are the words that Go names do not spell with one capital letter. A number
// after a word does not change that: fd1 is FD1.
var goWords = map[string]string{
	"bpf": "BPF", "charbufarray": "CharbufArray", "clockid": "ClockID", "cpu": "CPU", "cq": "CQ", "cwd": "CWD", "dirfd": "DirFD",
	"dpid": "DPID", "egid": "EGID", "enumflags": "EnumFlags", "euid": "EUID", "exepath": "ExePath", "fd": "FD", "fdin": "FDIn",
	"fdlimit": "FDLimit", "fdlist": "FDList", "fdout": "FDOut", "fds": "FDs", "fspath": "FSPath", "fsrelpath": "FSRelPath",
	"gid": "GID", "id": "ID", "io": "IO", "ip": "IP", "ipaddr": "IPAddr", "ipc": "IPC", "ipnet": "IPNet", "ipv4addr": "IPv4Addr",
	"ipv4net": "IPv4Net", "ipv6addr": "IPv6Addr", "ipv6net": "IPv6Net", "json": "JSON", "l4proto": "L4Proto",
	"linkdirfd": "LinkDirFD", "linkpath": "LinkPath", "loginuid": "LoginUID", "mountfd": "MountFD", "mq": "MQ", "na": "NA",
	"newdirfd": "NewDirFD", "newfd": "NewFD", "newpath": "NewPath", "nstype": "NSType", "olddirfd": "OldDirFD", "oldfd": "OldFD",
	"oldpath": "OldPath", "pgid": "PGID", "pid": "PID", "pidns": "PIDNS", "ppid": "PPID", "ptid": "PTID",
	"quotafilepath": "QuotaFilePath", "rgid": "RGID", "rss": "RSS", "ruid": "RUID", "semid": "SemID", "semnum": "SemNum",
	"sgid": "SGID", "sid": "SID", "spid": "SPID", "sq": "SQ", "suid": "SUID", "syscallid": "SyscallID", "tgid": "TGID",
	"tid": "TID", "tty": "TTY", "uid": "UID", "vm": "VM", "vpgid": "VPGID", "vpid": "VPID", "vtgid": "VTGID", "vtid": "VTID",
}

// goName makes a Go name: openat_exit becomes OpenatExit, olddirfd OldDirFD,
// io_uring_setup IOUringSetup. The name of a syscall is a single word.
func goName(s string) string {
	var b strings.Builder
	for w := range strings.SplitSeq(s, "_") {
		stem := strings.TrimRight(w, "0123456789")
		switch {
		case w == "":
		case goWords[w] != "":
			b.WriteString(goWords[w])
		case goWords[stem] != "":
			b.WriteString(goWords[stem] + w[len(stem):])
		default:
			b.WriteString(strings.ToUpper(w[:1]) + w[1:])
		}
	}
	return b.String()
}

// fieldName returns the name of a param's Go field. Set and Decode are methods of the type.
func fieldName(param string) string {
	name := goName(param)
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "P" + name
	}
	if name == "Set" || name == "Decode" {
		name += "Param"
	}
	return name
}
