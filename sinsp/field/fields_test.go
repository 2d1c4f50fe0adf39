// SPDX-License-Identifier: Apache-2.0

package field

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/scaptest"
	"github.com/scaplab/scaplab/sinsp"
)

// absent is what the tests below write for a missing value.
const absent = "(missing)"

// show prints a value as outputs do, lists as (a,b).
func show(ref *Ref, ev *sinsp.Event, v *Value) string {
	if !ref.Get(ev, v) {
		return absent
	}
	if ref.Many == One || len(v.List) == 0 {
		return string(v.AppendText(nil, ref.Type, ref.Format))
	}
	var items []string
	for i := range v.List {
		items = append(items, string(v.List[i].AppendText(nil, ref.Type, ref.Format)))
	}
	return "(" + strings.Join(items, ",") + ")"
}

func mustParse(tb testing.TB, text string) *Ref {
	tb.Helper()
	ref, n, err := Parse(text)
	require.NoError(tb, err, text)
	require.Equal(tb, len(text), n, text)
	return &ref
}

func localTime(ns uint64, layout string) string {
	return time.Unix(int64(ns/second), int64(ns%second)).Format(layout)
}

// values are what fields have in newWorld: the event, the field, the text.
var values = [][3]string{
	{"openat", "evt.num", "1"},
	{"openat", "evt.time", localTime(first, "15:04:05.000000000")},
	{"openat", "evt.time.s", localTime(first, "15:04:05")},
	{"openat failed", "evt.time.iso8601", "2023-11-14T22:15:01.500000000+0000"},
	{"openat", "evt.datetime", localTime(first, "2006-01-02 15:04:05.000000000")},
	{"openat", "evt.datetime.s", localTime(first, "2006-01-02 15:04:05")},
	{"openat failed", "evt.rawtime", "1700000101500000000"},
	{"openat failed", "evt.rawtime.s", "1700000101"},
	{"openat failed", "evt.rawtime.ns", "500000000"},
	{"openat", "evt.reltime", "000000000"},
	{"overlay", "evt.reltime", "3000000000"},
	{"overlay", "evt.reltime.s", "3"},
	{"openat failed", "evt.reltime.ns", "500000000"},
	{"openat", "evt.deltatime", "0"},
	{"overlay", "evt.deltatime", "1500000000"},
	{"overlay", "evt.deltatime.s", "1"},
	{"overlay", "evt.deltatime.ns", "500000000"},
	{"openat", "evt.outputtime", localTime(first, "15:04:05.000000000")},
	{"openat", "evt.source", "syscall"},
	{"openat", "evt.is_async", "false"},
	{"async", "evt.is_async", "true"},
	{"async", "evt.asynctype", "probe"},
	{"dropped", "evt.asynctype", "drop"},
	{"openat", "evt.asynctype", absent},
	{"openat", "evt.hostname", "box"},
	{"openat", "evt.pluginname", absent},
	{"openat", "evt.plugininfo", absent},
	{"openat", "evt.latency", "0"},
	{"openat", "evt.latency.s", "0"},
	{"openat", "evt.latency.ns", "000000000"},
	{"openat", "evt.latency.quantized", "0"},
	{"openat", "evt.latency.human", "0ns"},
	{"nanosleep", "evt.wait_latency", "0"},

	{"openat", "evt.dir", "<"},
	{"switch", "evt.dir", ">"},
	{"openat", "evt.type", "openat"},
	{"generic", "evt.type", "time"},
	{"async", "evt.type", "probe"},
	{"getppid", "evt.type", "getppid"},
	{"openat", "evt.type.is.openat", "1"},
	{"read", "evt.type.is.openat", "0"},
	{"openat", "evt.type.is.307", "1"},
	{"openat", "evt.type.is.306", "0"},
	{"openat", "syscall.type", "openat"},
	{"generic", "syscall.type", "time"},
	{"new syscall", "evt.type", "syscall(470)"},
	{"new syscall", "syscall.type", "syscall(470)"},
	{"new syscall", "evt.arg.ID", "syscall(470)"},
	{"switch", "syscall.type", absent},
	{"openat", "evt.category", "file"},
	{"read", "evt.category", "file"},
	{"send", "evt.category", "net"},
	{"syslog", "evt.category", "ipc"},
	{"unknown thread", "evt.category", "unknown"},
	{"poll", "evt.category", "wait"},
	{"generic", "evt.category", "other"},
	{"openat", "evt.cpu", "1"},

	{"openat", "evt.args", "fd=5(<f>/home/alice/doc/a.txt) dirfd=-100(AT_FDCWD) name=doc//a.txt(/home/alice/doc/a.txt) flags=16391(O_CREAT|O_RDWR|O_F_CREATED) mode=0755 dev=FE12 ino=99"},
	{"openat failed", "evt.info", "fd=-2(ENOENT) dirfd=4(<d>/srv) name=no/file(/srv/no/file) flags=1(O_RDONLY) mode=0 dev=0 ino=0"},
	{"kill", "evt.args", "res=0 pid=100(bash) sig=9(SIGKILL)"},
	{"setuid failed", "evt.args", "res=-1(EPERM) uid=1000(alice)"},
	{"nanosleep", "evt.args", "res=0 interval=1500000000(1.5s)"},
	{"connect", "evt.args", "res=0 tuple=10.0.0.5:4000->93.184.216.34:80 fd=10(<4t>10.0.0.5:4000->93.184.216.34:80) addr=93.184.216.34:80"},
	{"poll", "evt.args", "res=1 fds=3:f1 10:41 12:41 99:?1 timeout=5"},
	{"generic", "evt.args", ""},
	{"openat", "evt.arg[0]", "<f>/home/alice/doc/a.txt"},
	{"openat", "evt.arg[1]", "AT_FDCWD"},
	{"openat", "evt.arg[7]", absent},
	{"openat", "evt.arg.flags", "O_CREAT|O_RDWR|O_F_CREATED"},
	{"openat", "evt.arg.name", "/home/alice/doc/a.txt"},
	{"openat failed", "evt.arg.fd", "ENOENT"},
	{"overlay", "evt.arg.name", "/o"},
	{"kill", "evt.arg.pid", "bash"},
	{"kill", "evt.arg.sig", "SIGKILL"},
	{"read", "evt.arg.flags", absent},
	{"umask", "evt.arg.mask", "077"},
	{"ftruncate", "evt.arg.length", "-3"},
	{"openat", "evt.rawarg.flags", "4007"},
	{"openat", "evt.rawarg.mode", "755"},
	{"openat", "evt.rawarg.name", "doc//a.txt"},
	{"ftruncate", "evt.rawarg.fd", "5"},
	{"read failed", "evt.rawarg.res", "-9"},
	{"read failed", "evt.rawarg.data", absent},
	{"read", "evt.rawarg.flags", absent},
	{"read", "evt.buffer", "ro\x00t"},
	{"openat", "evt.buffer", absent},
	{"read", "evt.buflen", "4"},
	{"read failed", "evt.buflen", absent},
	{"read", "evt.buflen.in", "4"},
	{"write", "evt.buflen.in", absent},
	{"write", "evt.buflen.out", "5"},
	{"write", "evt.buflen.file", "5"},
	{"read", "evt.buflen.file.in", "4"},
	{"write", "evt.buflen.file.out", "5"},
	{"send", "evt.buflen.net", "3"},
	{"recv", "evt.buflen.net.in", "2"},
	{"send", "evt.buflen.net.out", "3"},
	{"write", "evt.buflen.net", absent},
	{"openat", "evt.res", "SUCCESS"},
	{"openat failed", "evt.res", "ENOENT"},
	{"switch", "evt.res", absent},
	{"generic", "evt.res", absent},
	{"openat failed", "evt.rawres", "-2"},
	{"openat", "evt.failed", "false"},
	{"openat failed", "evt.failed", "true"},
	{"read", "evt.is_io", "true"},
	{"read", "evt.is_io_read", "true"},
	{"write", "evt.is_io_write", "true"},
	{"read", "evt.is_io_write", "false"},
	{"read", "evt.io_dir", "read"},
	{"write", "evt.io_dir", "write"},
	{"openat", "evt.io_dir", absent},
	{"poll", "evt.is_wait", "true"},
	{"read", "evt.is_wait", "false"},
	{"syslog", "evt.is_syslog", "true"},
	{"write", "evt.is_syslog", "false"},
	{"openat", "evt.is_open_read", "true"},
	{"overlay", "evt.is_open_read", "false"},
	{"overlay", "evt.is_open_write", "true"},
	{"openat failed", "evt.is_open_write", "false"},
	{"openat", "evt.is_open_exec", "true"},
	{"creat", "evt.is_open_exec", "true"},
	{"overlay", "evt.is_open_exec", "false"},
	{"openat", "evt.is_open_create", "true"},
	{"openat failed", "evt.is_open_create", "false"},
	{"read", "evt.is_open_read", "false"},
	{"openat", "evt.abspath", "/home/alice/doc/a.txt"},
	{"mkdirat", "evt.abspath", "/srv/new"},
	{"renameat2", "evt.abspath.src", "/home/alice/x"},
	{"renameat2", "evt.abspath.dst", "/srv/y"},
	{"read", "evt.abspath", absent},
	{"openat", "evt.count", "1"},
	{"openat failed", "evt.count.error", "1"},
	{"openat", "evt.count.error", "0"},
	{"switch", "evt.count.error", absent},
	{"openat failed", "evt.count.error.file", "1"},
	{"read failed", "evt.count.error.file", "1"},
	{"recv failed", "evt.count.error.file", absent},
	{"recv failed", "evt.count.error.net", "1"},
	{"mmap failed", "evt.count.error.memory", "1"},
	{"setuid failed", "evt.count.error.other", "1"},
	{"read failed", "evt.count.error.other", absent},
	{"openat", "evt.count.exit", "1"},
	{"switch", "evt.count.exit", absent},
	{"procinfo", "evt.count.procinfo", "1"},
	{"openat", "evt.count.procinfo", "0"},
	{"procinfo", "evt.count.threadinfo", "1"},
	{"openat failed", "evt.around[1700000100000000000]", "1500"},
	{"openat failed", "evt.around[1700000101500000001]", "1"},
	{"infra", "evt.infra.docker.name", "start"},
	{"infra", "evt.infra.docker.container.id", "3ad7b26ded6d"},
	{"infra", "evt.infra.docker.container.name", "web"},
	{"infra", "evt.infra.docker.container.image", "nginx"},
	{"openat", "evt.infra.docker.name", absent},

	{"openat", "proc.exe", "/bin/cat"},
	{"openat", "proc.pexe", "-bash"},
	{"openat", "proc.aexe[2]", "/sbin/init"},
	{"openat", "proc.exepath", "/usr/bin/cat"},
	{"openat", "proc.pexepath", "/usr/bin/bash"},
	{"openat", "proc.aexepath[1]", "/usr/bin/bash"},
	{"openat", "proc.name", "cat"},
	{"read", "proc.name", "worker"},
	{"unknown thread", "proc.name", "<NA>"},
	{"dropped", "proc.name", absent},
	{"openat", "proc.pname", "bash"},
	{"unknown thread", "proc.pname", absent},
	{"openat", "proc.aname[0]", "cat"},
	{"openat", "proc.aname[1]", "bash"},
	{"openat", "proc.aname[3]", absent},
	{"openat", "proc.aname[99999999999]", absent},
	{"openat", "proc.aname", "(bash,init)"},
	{"openat", "proc.apid", "(100,1)"},
	{"openat", "proc.args", "-n a b"},
	{"openat", "proc.args[0]", "-n"},
	{"openat", "proc.args[1]", "a b"},
	{"openat", "proc.args[2]", ""},
	{"openat", "proc.aargs[1]", "-l"},
	{"openat", "proc.aargs", "-l"},
	{"openat", "proc.cmdline", "cat -n a b"},
	{"openat", "proc.pcmdline", "bash -l"},
	{"openat", "proc.acmdline[1]", "bash -l"},
	{"openat", "proc.acmdline", "(bash -l,init)"},
	{"openat", "proc.cmdnargs", "2"},
	{"openat", "proc.cmdlenargs", "5"},
	{"openat", "proc.exeline", "/bin/cat -n a b"},
	{"openat", "proc.env", "HOME=/home/alice LANG=C"},
	{"openat", "proc.env[HOME]", "/home/alice"},
	{"openat", "proc.env[NONE]", ""},
	{"openat", "proc.aenv[SHLVL]", "1"},
	{"openat", "proc.aenv[1]", "SHLVL=1"},
	{"openat", "proc.cwd", "/home/alice/"},
	{"openat", "proc.loginshellid", "100"},
	{"web", "proc.loginshellid", absent},
	{"openat", "proc.tty", "34816"},
	{"read", "proc.pid", "200"},
	{"openat", "proc.ppid", "100"},
	{"openat", "proc.apid[1]", "100"},
	{"web", "proc.vpid", "1"},
	{"openat", "proc.pvpid", "100"},
	{"openat", "proc.sid", "100"},
	{"openat", "proc.sname", "bash"},
	{"openat", "proc.sid.exe", "-bash"},
	{"openat", "proc.sid.exepath", "/usr/bin/bash"},
	{"openat", "proc.vpgid", "200"},
	{"openat", "proc.vpgid.name", "cat"},
	{"openat", "proc.vpgid.exe", "/bin/cat"},
	{"openat", "proc.vpgid.exepath", "/usr/bin/cat"},
	{"openat", "proc.pgid", "200"},
	{"openat", "proc.pgid.name", "cat"},
	{"openat", "proc.pgid.exe", "/bin/cat"},
	{"openat", "proc.pgid.exepath", "/usr/bin/cat"},
	{"openat", "proc.duration", "10000000000"},
	{"openat", "proc.ppid.duration", "50000000000"},
	{"openat", "proc.pid.ts", "1700000090000000000"},
	{"openat", "proc.ppid.ts", "1700000050000000000"},
	{"openat", "proc.is_exe_writable", "true"},
	{"web", "proc.is_exe_writable", "false"},
	{"openat", "proc.is_exe_upper_layer", "true"},
	{"openat", "proc.is_exe_lower_layer", "true"},
	{"openat", "proc.is_exe_from_memfd", "true"},
	{"openat", "proc.is_sid_leader", "false"},
	{"openat", "proc.is_vpgid_leader", "true"},
	{"openat", "proc.is_pgid_leader", "true"},
	{"openat", "proc.exe_ino", "4242"},
	{"web", "proc.exe_ino", absent},
	{"openat", "proc.exe_ino.ctime", "1700000005000000000"},
	{"openat", "proc.exe_ino.mtime", "1700000004000000000"},
	{"openat", "proc.exe_ino.ctime_duration_proc_start", "85000000000"},
	{"read", "proc.exe_ino.ctime_duration_proc_start", "85000000000"}, // of another thread of the process
	{"openat", "proc.exe_ino.ctime_duration_pidns_start", "3000000000"},
	{"openat", "proc.pidns_init_start_ts", "1700000002000000000"},
	{"openat", "proc.fdopencount", "7"},
	{"openat", "proc.fdlimit", "1024"},
	{"openat", "proc.fdusage", "0.7"},
	{"openat", "proc.vmsize", "5000"},
	{"read", "proc.vmrss", "700"},
	{"openat", "proc.vmswap", "9"},
	{"openat", "proc.nthreads", "2"},
	{"openat", "proc.nchilds", "1"},
	{"openat", "proc.stdin.type", "pipe"},
	{"openat", "proc.stdout.type", "file"},
	{"openat", "proc.stderr.type", "file"},
	{"openat", "proc.stdin.name", "pipe:[5]"},
	{"openat", "proc.stdout.name", "/dev/pts/0"},
	{"openat", "proc.stderr.name", "/dev/null"},
	{"web", "proc.stdin.name", absent},
	{"web", "proc.is_container_healthcheck", absent},
	{"web", "proc.is_container_liveness_probe", absent},
	{"web", "proc.is_container_readiness_probe", absent},

	{"read", "thread.tid", "201"},
	{"unknown thread", "thread.tid", "7777"},
	{"dropped", "thread.tid", "-1"},
	{"openat", "thread.ismain", "true"},
	{"read", "thread.ismain", "false"},
	{"read", "thread.vtid", "201"},
	{"read", "thread.nametid", "worker201"},
	{"switch", "thread.exectime", "1500000000"},
	{"openat", "thread.exectime", "0"},
	{"switch", "thread.totexectime", "1500000000"},
	{"openat", "thread.cgroups", "cpuset=/ memory=/user.slice"},
	{"openat", "thread.cgroup.memory", "/user.slice"},
	{"openat", "thread.cgroup.pids", absent},
	{"openat", "thread.cap_permitted", "CAP_CHOWN CAP_SETUID"},
	{"openat", "thread.cap_inheritable", "CAP_SYS_ADMIN"},
	{"openat", "thread.cap_effective", "CAP_CHECKPOINT_RESTORE CAP_62"},
	{"openat", "thread.pfmajor", "3"},
	{"openat", "thread.pfminor", "44"},
	{"procinfo", "thread.cpu", "35.0"},
	{"procinfo", "thread.cpu.user", "25.0"},
	{"procinfo", "thread.cpu.system", "10.0"},
	{"openat", "thread.cpu", absent},
	{"openat", "thread.vmsize", "5000"},
	{"read", "thread.vmsize", "0"},
	{"openat", "thread.vmrss", "700"},
	{"openat", "thread.vmsize.b", "5120000"},
	{"openat", "thread.vmrss.b", "716800"},

	{"openat", "user.uid", "1000"},
	{"openat", "user.name", "alice"},
	{"openat", "user.homedir", "/home/alice"},
	{"openat", "user.shell", "/bin/bash"},
	{"openat", "user.loginuid", "1000"},
	{"openat", "user.loginname", "alice"},
	{"web", "user.name", "root"},
	{"web", "user.homedir", "/root"},
	{"web", "user.shell", "<NA>"},
	{"web", "user.loginuid", "-1"},
	{"web", "user.loginname", "<NA>"},
	{"openat", "group.gid", "100"},
	{"openat", "group.name", "users"},
	{"web", "group.name", "root"},

	{"openat", "fd.num", "5"},
	{"openat failed", "fd.num", "-1"},
	{"getppid", "fd.num", absent},
	{"openat", "fd.type", "file"},
	{"connect", "fd.type", "ipv4"},
	{"openat failed", "fd.type", absent},
	{"openat", "fd.typechar", "f"},
	{"connect", "fd.typechar", "4"},
	{"openat failed", "fd.typechar", "f"},
	{"pipe failed", "fd.typechar", "p"},
	{"openat", "fd.name", "/home/alice/doc/a.txt"},
	{"openat failed", "fd.name", "/srv/no/file"},
	{"socket", "fd.name", ""},
	{"connect", "fd.name", "10.0.0.5:4000->93.184.216.34:80"},
	{"bind", "fd.name", "0.0.0.0:8080"},
	{"close", "fd.name", "/etc/passwd"},
	{"openat", "fd.directory", "/home/alice/doc"},
	{"overlay", "fd.directory", "/"},
	{"mkdirat", "fd.directory", "/srv"},
	{"openat", "fd.filename", "a.txt"},
	{"mkdirat", "fd.filename", absent},
	{"connect", "fd.filename", absent},
	{"connect", "fd.ip", "(10.0.0.5,93.184.216.34)"},
	{"bind", "fd.ip", "(0.0.0.0)"},
	{"openat", "fd.ip", absent},
	{"connect", "fd.cip", "10.0.0.5"},
	{"socket", "fd.cip", absent},
	{"connect", "fd.sip", "93.184.216.34"},
	{"accept", "fd.cip", "192.0.2.9"},
	{"accept", "fd.sip", "10.0.0.5"},
	{"connect", "fd.lip", "10.0.0.5"},
	{"connect", "fd.rip", "93.184.216.34"},
	{"accept", "fd.lip", "10.0.0.5"},
	{"accept", "fd.rip", "192.0.2.9"},
	{"connect", "fd.port", "(4000,80)"},
	{"connect", "fd.cport", "4000"},
	{"connect", "fd.sport", "80"},
	{"bind", "fd.sport", "8080"},
	{"accept", "fd.lport", "8080"},
	{"accept", "fd.rport", "5555"},
	{"connect", "fd.l4proto", "tcp"},
	{"openat", "fd.l4proto", "<NA>"},
	{"connect", "fd.sockfamily", "ip"},
	{"syslog", "fd.sockfamily", "unix"},
	{"openat", "fd.sockfamily", absent},
	{"bind", "fd.is_server", "true"},
	{"accept", "fd.is_server", "true"},
	{"connect", "fd.is_server", "false"},
	{"openat", "fd.is_server", "false"},
	{"openat", "fd.uid", "2005"},
	{"openat", "fd.containername", ":/home/alice/doc/a.txt"},
	{"web", "fd.containername", "3ad7b26ded6d:/var/log/nginx.log"},
	{"web", "fd.containerdirectory", "3ad7b26ded6d:/var/log"},
	{"connect", "fd.proto", "(4000,80)"},
	{"connect", "fd.cproto", "4000"},
	{"connect", "fd.sproto", "80"},
	{"connect", "fd.lproto", "4000"},
	{"connect", "fd.rproto", "80"},
	{"connect", "fd.net", "(10.0.0.5,93.184.216.34)"},
	{"connect", "fd.cnet", "10.0.0.5"},
	{"connect", "fd.snet", "93.184.216.34"},
	{"connect", "fd.lnet", "10.0.0.5"},
	{"connect", "fd.rnet", "93.184.216.34"},
	{"connect", "fd.connected", "true"},
	{"socket", "fd.connected", "false"},
	{"connect", "fd.name_changed", "true"},
	{"send", "fd.name_changed", "false"},
	{"connect", "fd.cip.name", "10.0.0.5"},
	{"connect", "fd.sip.name", "93.184.216.34"},
	{"connect", "fd.lip.name", "10.0.0.5"},
	{"connect", "fd.rip.name", "93.184.216.34"},
	{"openat", "fd.dev", "FE12"},
	{"openat", "fd.dev.major", "254"},
	{"openat", "fd.dev.minor", "18"},
	{"openat", "fd.ino", "99"},
	{"openat", "fd.nameraw", "doc/a.txt"},
	{"openat failed", "fd.nameraw", "no/file"},
	{"openat", "fd.types", "(pipe,file,directory,unix)"},
	{"openat", "fd.types[4]", "(directory)"},
	{"openat", "fd.types[99]", absent},
	{"getppid", "fd.types", absent},
	{"overlay", "fd.is_upper_layer", "true"},
	{"overlay", "fd.is_lower_layer", "true"},
	{"openat", "fd.is_upper_layer", "false"},

	{"openat", "fs.path.name", "/home/alice/doc/a.txt"},
	{"openat", "fs.path.nameraw", "doc//a.txt"},
	{"openat failed", "fs.path.name", absent},
	{"mkdirat", "fs.path.name", "/srv/new"},
	{"unlink failed", "fs.path.name", absent},
	{"fchmod", "fs.path.name", "/etc/passwd"},
	{"fchmod", "fs.path.source", absent},
	{"renameat2", "fs.path.name", absent},
	{"renameat2", "fs.path.source", "/home/alice/x"},
	{"renameat2", "fs.path.sourceraw", "x"},
	{"renameat2", "fs.path.target", "/srv/y"},
	{"renameat2", "fs.path.targetraw", "y"},
	{"symlink", "fs.path.source", "/l"},
	{"symlink", "fs.path.target", "/home/alice/old"},
	{"link", "fs.path.source", "/new"},
	{"link", "fs.path.target", "/old"},
	{"openat", "fs.path.source", absent},

	{"datagram", "fd.name", "10.0.0.5:53000->10.0.0.9:53"},
	{"datagram", "fd.lip", "10.0.0.5"},
	{"mmap failed again", "proc.vmsize", "77"},
	{"mmap failed again", "evt.count.error.memory", "1"},
	{"execve", "proc.name", "ls"},
	{"execve", "proc.vpid", "8888"},
	{"execve", "thread.vtid", "8888"},
	{"execve", "thread.pfminor", "61"},
	{"execve", "proc.pname", "bash"},
	{"execve", "evt.arg.pid", "ls"},

	{"openat", "util.cnt", "1"},
	{"poll", "fdlist.nums", "3,10,12,99"},
	{"poll", "fdlist.names", "/etc/passwd,10.0.0.5:4000->93.184.216.34:80,192.0.2.9:5555->10.0.0.5:8080,<NA>"},
	{"poll without names", "fdlist.nums", "20,1,99"},
	{"poll without names", "fdlist.names", "<NA>,/dev/pts/0,<NA>"},
	{"poll without names", "fdlist.cips", absent},
	{"poll", "fdlist.cips", "10.0.0.5,192.0.2.9"},
	{"poll", "fdlist.sips", "93.184.216.34,10.0.0.5"},
	{"poll", "fdlist.cports", "4000,5555"},
	{"poll", "fdlist.sports", "80,8080"},
	{"read", "fdlist.nums", absent},

	{"openat", "container.id", "host"},
	{"web", "container.id", "3ad7b26ded6d"},
	{"web", "container.full_id", fullID},
	{"openat", "container.full_id", absent},
	{"openat", "container.name", "host"},
	{"web", "container.name", "web"},
	{"web", "container.image", "nginx:1.27"},
	{"web", "container.image.id", "sha256:1234"},
	{"openat", "container.type", "host"},
	{"web", "container.type", "docker"},
	{"web", "container.privileged", "true"},
	{"web", "container.mounts", "/data/a:/a:ro:false:rprivate /data/b:/b::true:shared"},
	{"web", "container.mount[0]", "/data/a:/a:ro:false:rprivate"},
	{"web", "container.mount[/data/*]", "/data/a:/a:ro:false:rprivate"},
	{"web", "container.mount[/none]", absent},
	{"web", "container.mount.source[/b]", "/data/b"},
	{"web", "container.mount.dest[/data/b]", "/b"},
	{"web", "container.mount.mode[0]", "ro"},
	{"web", "container.mount.rdwr[/b]", "true"},
	{"web", "container.mount.propagation[/b]", "shared"},
	{"web", "container.image.repository", "docker.io/library/nginx"},
	{"web", "container.image.tag", "1.27"},
	{"web", "container.image.digest", "sha256:abcd"},
	{"web", "container.healthcheck", "/bin/check -q x"},
	{"web", "container.liveness_probe", "/bin/live"},
	{"web", "container.readiness_probe", "/bin/ready 1"},
	{"web", "container.start_ts", "1700000010000000000"},
	{"web", "container.duration", fmt.Sprint(webTime - 1_700_000_010*second)},
	{"web", "container.ip", "172.17.0.2"},
	{"web", "container.cni.json", `{"a":1}`},
	{"web", "container.host_pid", "true"},
	{"web", "container.host_network", "true"},
	{"web", "container.host_ipc", "true"},
	{"web", "container.label[app]", "web"},
	{"web", "container.label[none]", absent},
	{"web", "container.labels", "app:web, io.kubernetes.pod.name:web-1, io.kubernetes.pod.namespace:shop, io.kubernetes.pod.uid:u-1"},
	{"web", "k8s.pod.name", "web-1"},
	{"web", "k8s.ns.name", "shop"},
	{"web", "k8s.pod.id", "u-1"},
	{"web", "k8s.pod.uid", "u-1"},
	{"web", "k8s.pod.sandbox_id", "feedfacecafe"},
	{"web", "k8s.pod.full_sandbox_id", "feedfacecafebeef"},
	{"web", "k8s.pod.label[tier]", "front"},
	{"web", "k8s.pod.labels", "app:shop, tier:front"},
	{"web", "k8s.pod.ip", "172.17.0.2"},
	{"web", "k8s.pod.cni.json", `{"a":1}`},
	{"openat", "k8s.pod.name", absent},
}

// webTime is the time of the event "web".
const webTime = first + 43*step

// alwaysMissing are the fields whose values no event tells; docs/fields.md says so. All
// others have a value in the test below.
var alwaysMissing = map[string]bool{
	"evt.pluginname": true, "evt.plugininfo": true, "k8s.ns.id": true, "k8s.ns.label": true, "k8s.ns.labels": true, "k8s.rc.name": true,
	"k8s.rc.id": true, "k8s.rc.label": true, "k8s.rc.labels": true, "k8s.svc.name": true, "k8s.svc.id": true, "k8s.svc.label": true,
	"k8s.svc.labels": true, "k8s.rs.name": true, "k8s.rs.id": true, "k8s.rs.label": true, "k8s.rs.labels": true, "k8s.deployment.name": true,
	"k8s.deployment.id": true, "k8s.deployment.label": true, "k8s.deployment.labels": true, "proc.is_container_healthcheck": true,
	"proc.is_container_liveness_probe": true, "proc.is_container_readiness_probe": true,
}

func TestFieldsHaveTheirValues(t *testing.T) {
	byLabel := map[string][][3]string{}
	for _, row := range values {
		byLabel[row[0]] = append(byLabel[row[0]], row)
	}
	present := map[string]bool{}
	newWorld(t).each(t, machine(), func(label string, ev *sinsp.Event) {
		for _, row := range byLabel[label] {
			ref := mustParse(t, row[1])
			got := show(ref, ev, new(Value))
			if got != row[2] {
				t.Errorf("%s: %s\n got %q\nwant %q", label, row[1], got, row[2])
			}
			present[ref.Name] = present[ref.Name] || got != absent
			codes := ref.CodeSet()
			if got != absent && !codes.Has(ev.Type()) {
				t.Errorf("%s: %s has a value, but not by its codes", label, row[1])
			}
		}
		delete(byLabel, label)
	})
	require.Empty(t, slices.Collect(maps.Keys(byLabel)), "events that did not come")
	for _, name := range slices.Sorted(maps.Keys(All())) {
		require.Equal(t, !alwaysMissing[name], present[name], "%s has a value in this test", name)
		require.Equal(t, alwaysMissing[name], strings.Contains(All()[name].Desc, "; missing"), "%s is described as missing", name)
	}
}

// A newer producer sends types and params that are not known.
func TestFieldsOfUnknownEvents(t *testing.T) {
	const newer = event.Type(0x7001)
	w := &world{src: &scaptest.Source{}, labels: map[int]string{0: "newer", 1: "longer"}, n: 2}
	var b event.Builder
	b.Begin(newer, first, 200, 1)
	b.Add([]byte("a\x00b"))
	raw, err := b.End()
	require.NoError(t, err)
	w.src.Add(raw, 0)
	b.Begin(event.TypeGetppidExit, first, 200, 2)
	b.AddInt64(1)
	b.Add([]byte("a\x00b"))
	raw, err = b.End()
	require.NoError(t, err)
	w.src.Add(raw, 0)
	want := map[string][2]string{ // by the field, of newer and longer
		"evt.type":     {"unknown(28673)", "getppid"},
		"evt.category": {"unknown", "process"},
		"evt.dir":      {"<", "<"},
		"evt.arg[0]":   {"a.b", "1"},
		"evt.arg[1]":   {absent, "a.b"},
		"evt.args":     {"", "res=1"},
		"evt.rawres":   {absent, "1"},
		"syscall.type": {absent, "getppid"},
		"evt.source":   {absent, "syscall"},
		"proc.name":    {"cat", "cat"},
	}
	w.each(t, machine(), func(label string, ev *sinsp.Event) {
		for text, values := range want {
			ref := mustParse(t, text)
			got := show(ref, ev, new(Value))
			require.Equal(t, values[map[string]int{"newer": 0, "longer": 1}[label]], got, "%s: %s", label, text)
			codes := ref.CodeSet()
			require.True(t, got == absent || codes.Has(ev.Type()), "%s: %s", label, text)
		}
	})
}

// references has each field with an argument, if it takes one.
func references(t testing.TB) (refs []*Ref) {
	for _, name := range slices.Sorted(maps.Keys(All())) {
		f := All()[name]
		var texts []string
		for _, form := range []struct {
			form ArgForm
			text string
		}{
			{ArgOptional, ""}, {ArgIndex, "[1]"}, {ArgKey, "[HOME]"}, {ArgParam, ".fd"}, {ArgParam, ".data"}, {ArgParam, ".name"},
			{ArgParam, ".res"}, {ArgParam, ".flags"}, {ArgEvent, ".openat"},
		} {
			if f.Arg&form.form != 0 {
				texts = append(texts, name+form.text)
			}
		}
		switch {
		case f.Arg == 0:
			texts = append(texts, name)
		case f.Arg&ArgWord != 0 && f.Words == nil:
			texts = append(texts, name+".memory")
		}
		for _, w := range f.Words {
			texts = append(texts, name+"."+w)
		}
		for _, text := range texts {
			refs = append(refs, mustParse(t, text))
		}
	}
	return refs
}

// Filters rely on ByCode and Codes to skip events.
func TestFieldsKeepToTheirCodes(t *testing.T) {
	refs := references(t)
	newWorld(t).each(t, machine(), func(label string, ev *sinsp.Event) {
		for _, ref := range refs {
			var v Value
			ok := ref.Get(ev, &v)
			if ok {
				codes := ref.CodeSet()
				require.True(t, codes.Has(ev.Type()), "%s: %s has a value", label, ref.Text)
			}
			if ref.ByCode == nil || !ref.ByCode(ev.Type()) {
				continue
			}
			var b event.Builder
			b.Begin(ev.Type(), 0, 0, 0)
			raw, err := b.End()
			require.NoError(t, err)
			bare := &sinsp.Event{Event: new(event.Event)}
			require.NoError(t, bare.Event.Reset(raw, 0))
			var w Value
			require.Equal(t, ok, ref.Get(bare, &w), "%s: %s", label, ref.Text)
			require.Equal(t, string(v.Str), string(w.Str), "%s: %s", label, ref.Text)
			require.Equal(t, v.Num, w.Num, "%s: %s", label, ref.Text)
		}
	})
}

// Labels are in maps, whose order is not fixed; a duration of a latency is a Go string.
var mayAllocate = []string{"container.labels", "k8s.pod.labels", "evt.latency.human"}

func TestExtractionDoesNotAllocate(t *testing.T) {
	refs := references(t)
	kept := make([]Value, len(refs))
	newWorld(t).each(t, machine(), func(label string, ev *sinsp.Event) {
		for i, ref := range refs {
			if slices.Contains(mayAllocate, ref.Name) {
				continue
			}
			v := &kept[i]
			ref.Get(ev, v) // grows v
			if n := testing.AllocsPerRun(10, func() { ref.Get(ev, v) }); n != 0 {
				t.Errorf("%s: %s: %v allocations", label, ref.Text, n)
			}
		}
	})
}

func TestWhatAFieldAppendsIsWhatItExtracts(t *testing.T) {
	appends := 0
	newWorld(t).each(t, machine(), func(label string, ev *sinsp.Event) {
		for name, f := range All() {
			if f.Append == nil {
				continue
			}
			for _, text := range []string{"", Full} {
				arg, v := Arg{Text: text}, Value{}
				require.True(t, f.Extract(ev, &arg, &v), "%s: %s is never missing", label, name)
				require.Equal(t, "kept:"+string(v.Str), string(f.Append([]byte("kept:"), ev, &arg)), "%s: %s", label, name)
				appends++
			}
		}
	})
	require.NotZero(t, appends)
}
