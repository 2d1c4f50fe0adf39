#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the package, lets its service record, and removes it. Each line must succeed; the last says so.
trap 'systemctl status --no-pager --lines=0 scap-record.service' EXIT
cd /run/check
files=/var/lib/private/scap-record
recorded() { # FILE TARGET: waits until the file has a link to the target
	for n in $(seq 600); do
		ln -sf "$2" /tmp/link
		sleep 1
		scap read "$1" 'evt.type in (symlink, symlinkat)' 2>/dev/null | grep "target=$2 " && return
		systemctl is-active scap-record.service
	done
	return 1
}

dpkg --install scaplab_*.deb
scap version --json
scaplab table show openat
test -s /usr/share/bash-completion/completions/scap
zcat /usr/share/man/man1/scap-record.1.gz | grep 'scap record'

# The package starts nothing by itself.
test "$(systemctl is-enabled scap-record.service)" = disabled
test "$(systemctl is-active scap-record.service)" = inactive

echo 'SCAP_RECORD_FILTER="symlink symlinkat"' >>/etc/default/scap-record
echo 'SCAP_RECORD_OPTIONS="-e 1000000 -W 3"' >>/etc/default/scap-record
systemctl enable --now scap-record.service
recorded $files/trace.scap0 /first
pid=$(systemctl show --property MainPID --value scap-record.service)
test "$(stat -c %a $files)" = 700
test "$(stat -c %a $files/trace.scap0)" = 600
test "$(stat -c %u $files/trace.scap0)" = "$(stat -c %u "/proc/$pid")"
test "$(stat -c %u $files/trace.scap0)" != 0
grep '^CapEff:.000000c000080004$' "/proc/$pid/status" # BPF PERFMON SYS_PTRACE DAC_READ_SEARCH
grep '^CapBnd:.000000c000080004$' "/proc/$pid/status"
grep '^NoNewPrivs:.1$' "/proc/$pid/status"
grep '^Seccomp:.2$' "/proc/$pid/status"

# A restart keeps what was recorded.
systemctl restart scap-record.service
recorded $files/trace.scap0 /second
scap read $files/previous/trace.scap0 symlink symlinkat | grep 'target=/first '
scap verify $files/previous/trace.scap0

# An installation of the same or a newer version goes on with the new program.
dpkg --install scaplab_*.deb
recorded $files/trace.scap0 /third
test "$(systemctl show --property MainPID --value scap-record.service)" != "$pid"

# The package takes its service with it, and leaves the recorded files.
test -e /etc/systemd/system/multi-user.target.wants/scap-record.service
dpkg --remove scaplab
test "$(systemctl is-active scap-record.service)" = inactive
test ! -e /etc/systemd/system/multi-user.target.wants/scap-record.service
test ! -e /usr/bin/scap
test -s $files/trace.scap0
test -s /etc/default/scap-record
dpkg --purge scaplab
test ! -e /etc/default/scap-record
trap - EXIT
echo all is well
