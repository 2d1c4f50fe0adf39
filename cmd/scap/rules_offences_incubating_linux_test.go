// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Users that every machine has.
const (
	daemonUser = 1
	nobodyUser = 65534
)

// incubatingOffences are in the order of the rules.
var incubatingOffences = []offence{
	{rule: "Modify Shell Configuration File", do: writes("/home/user/.bashrc", "/home/user/bashrc"),
		fields: map[string]any{"fd.name": "/home/user/.bashrc", "evt.type": "openat"}},
	{rule: "Schedule Cron Jobs", do: writes("/etc/cron.d/job", "/etc/job"), fields: map[string]any{"fd.name": "/etc/cron.d/job"}},
	{rule: "Read ssh information", do: reads("/root/.ssh/id_rsa", "/root/ssh/id_rsa"), fields: map[string]any{"fd.name": "/root/.ssh/id_rsa"}},
	{rule: "DB program spawned process", program: "mysqld", do: starts([]string{"sh", "-c", "exit"}, []string{"postgres"}),
		fields: map[string]any{"proc.pname": "mysqld", "proc.cmdline": "sh -c exit"}},
	{rule: "Change thread namespace", do: func(_ string, innocent bool) error {
		f, err := os.Open("/proc/self/ns/net")
		if err != nil || innocent {
			return err
		}
		return unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
	}, fields: map[string]any{"evt.type": "setns", "proc.name": "offender"}},
	{rule: "Change namespace privileges via unshare", container: true, user: nobodyUser, do: calls(unix.SYS_UNSHARE, unix.CLONE_NEWNS),
		fields: map[string]any{"evt.type": "unshare", "evt.res": "EPERM", "user.uid": float64(nobodyUser)}},
	{rule: "Launch Excessively Capable Container", container: true, do: startsFirst(
		&syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID},
		&syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Credential: &syscall.Credential{Uid: nobodyUser, Gid: nobodyUser}},
	), fields: map[string]any{"thread.cap_permitted": has("CAP_SYS_ADMIN"), "proc.name": "first", "proc.pname": "offender"}},
	{rule: "System procs network activity", program: "sleep", do: connects(unix.SOCK_STREAM, "203.0.113.1:443", "127.0.0.1:443"),
		fields: map[string]any{"proc.name": "sleep", "fd.name": has("->203.0.113.1:443"), "fd.type": "ipv4", "fd.l4proto": "tcp"}},
	{rule: "Program run with disallowed http proxy env", program: "curl", env: "http_proxy=http://203.0.113.1/",
		fields: map[string]any{"proc.name": "curl", "proc.env": has("http_proxy=http://203.0.113.1/")}},
	{rule: "Unexpected UDP Traffic", do: connects(unix.SOCK_DGRAM, "203.0.113.1:4242", "203.0.113.1:53"),
		fields: map[string]any{"fd.l4proto": "udp", "fd.name": has("->203.0.113.1:4242"), "evt.type": "connect"}},
	{rule: "Non sudo setuid", user: daemonUser, do: calls(unix.SYS_SETUID, daemonUser),
		fields: map[string]any{"user.name": "daemon", "evt.type": "setuid", "evt.arg.uid": "daemon"}},
	{rule: "User mgmt binaries", program: "useradd", args: []string{"mallory"}, innocent: []string{"-D"},
		fields: map[string]any{"proc.cmdline": "useradd mallory"}},
	{rule: "Create files below dev", do: writes("/dev/hidden", "/dev/null"), fields: map[string]any{"fd.name": "/dev/hidden"}},
	{rule: "Contact EC2 Instance Metadata Service From Container", container: true,
		do:     connects(unix.SOCK_STREAM, "169.254.169.254:80", "169.254.169.253:80"),
		fields: map[string]any{"fd.name": has("->169.254.169.254:80"), "evt.type": "connect"}},
	{rule: "Contact cloud metadata service from container", container: true,
		do:     connects(unix.SOCK_STREAM, "169.254.169.254:80", "169.254.169.253:80"),
		fields: map[string]any{"fd.name": has("->169.254.169.254:80"), "evt.type": "connect"}},
	{rule: "Launch Package Management Process in Container", program: "apk", container: true, fields: map[string]any{"proc.name": "apk"}},
	{rule: "Launch Suspicious Network Tool in Container", program: "nmap", container: true, fields: map[string]any{"proc.name": "nmap"}},
	{rule: "Launch Suspicious Network Tool on Host", program: "nmap", fields: map[string]any{"proc.name": "nmap"}},
	{rule: "Delete or rename shell history", do: removes("/home/user/.bash_history", "/home/user/history"),
		fields: map[string]any{"evt.type": "unlinkat", "evt.arg.name": has("/home/user/.bash_history")}},
	{rule: "Set Setuid or Setgid bit", do: chmods(0o4755, 0o755), fields: map[string]any{"evt.arg.mode": has("S_ISUID"), "evt.arg.filename": has("/file")}},
	{rule: "Launch Remote File Copy Tools in Container", program: "rsync", container: true, fields: map[string]any{"proc.name": "rsync"}},
	{rule: "Launch Ingress Remote File Copy Tools in Container", program: "curl", container: true,
		args: []string{"-o", "file", "http://203.0.113.1/"}, innocent: []string{"http://203.0.113.1/"},
		fields: map[string]any{"proc.cmdline": "curl -o file http://203.0.113.1/"}},
	{rule: "Read environment variable from /proc files", container: true, do: func(_ string, innocent bool) error {
		return readFile(either(innocent, "/proc/self/status", "/proc/self/environ"))
	}, fields: map[string]any{"fd.name": has("/environ")}},
	{rule: "Exfiltrating Artifacts via Kubernetes Control Plane", program: "runc", container: true, do: packs,
		fields: map[string]any{"proc.name": "tar", "proc.pname": "runc", "proc.tty": 0.0, "fd.name": has("/secret")}},
	{rule: "Adding ssh keys to authorized_keys", do: writes("/home/user/.ssh/authorized_keys", "/home/user/.ssh/known_hosts"),
		fields: map[string]any{"fd.name": "/home/user/.ssh/authorized_keys"}},
	{rule: "Potential Local Privilege Escalation via Environment Variables Misuse", env: "GLIBC_TUNABLES=glibc.malloc.check=0",
		fields: map[string]any{"proc.env": has("GLIBC_TUNABLES=glibc.malloc.check=0")}},
	{rule: "Backdoored library loaded into SSHD (CVE-2024-3094)", program: "sshd", do: reads("/usr/lib/liblzma.so.5.6.1", "/usr/lib/liblzma.so.5.6.2"),
		fields: map[string]any{"fd.name": "/usr/lib/liblzma.so.5.6.1", "proc.name": "sshd"}},
	{rule: "BPF Program Not Profiled", do: calls(unix.SYS_BPF, unix.BPF_PROG_LOAD), fields: map[string]any{"evt.type": "bpf", "evt.arg.cmd": has("BPF_PROG_LOAD")}},
}

// packs lets a program named tar read a file. It is another program than this one, which
// would also read one below /sys.
func packs(dir string, innocent bool) error {
	secret, tar := filepath.Join(dir, "secret"), filepath.Join(dir, "tar")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		return err
	}
	if err := copyProgram("cat", tar); err != nil {
		return err
	}
	cmd := exec.Command(tar, either(innocent, "/etc/hostname", secret))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal
	return cmd.Run()
}
