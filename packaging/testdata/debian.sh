# SPDX-License-Identifier: Apache-2.0
# Runs in a Debian as root, in the directory that has the packages: installs them, uses what they bring, and
# purges them. Each step is told with its exit status; debian_linux_amd64_test.go reads that.
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
cd "$(dirname "$0")" || exit
step() { # step NAME COMMAND: the command is of the shell
	echo "=== STEP $1"
	( set -e; eval "$2" ) </dev/null 2>&1
	status=$?
	echo "--- EXIT $status $1 at $(cut -d' ' -f1 /proc/uptime) s"
}
# not fails when the command does not: set -e does not see what ! turns around
not() {
	if "$@"; then return 1; fi
}

# all_files: what is installed or left by packages and the tools, without what changes by itself
all_files() {
	find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /dev -o -path /var/cache -o -path /var/log -o -path /root \
		-o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/lib/systemd -o -path /var/tmp -o -path "/lib/modules/*/modules.*" \
		-o -path "/usr/lib/modules/*/modules.*" \) -prune -o -print | sort
}

all_files >/run/before
echo # what systemd has told the terminal ends with no line
step "install the tools" 'apt-get install -y ./scaplab_*_*.deb'
step "version" 'scap version; scaplab version --json'
step "manual page and completion" 'test -s /usr/share/man/man1/scap-record.1.gz; bash -n /usr/share/bash-completion/completions/scap'
step "unit is off" 'not systemctl is-enabled scap-record; not systemctl is-active scap-record'
step "record by eBPF" 'while sleep 0.5; do cat /etc/hostname >/dev/null; done & scap record -w /tmp/e.scap -d 5s; kill $!; scap read /tmp/e.scap openat >/tmp/e.txt; grep -q /etc/hostname /tmp/e.txt; grep -m 3 /etc/hostname /tmp/e.txt'
step "start the unit" 'printf "%s\n" "SCAP_RECORD_OPTIONS=\"-z -e 20 -W 3\"" "SCAP_RECORD_FILTER=\"\"" >/etc/default/scap-record; systemctl start scap-record; systemctl is-active scap-record'
step "the unit rotates" 'cd /var/lib/private/scap-record; for i in $(seq 120); do cat /etc/hostname >/dev/null; [ "$(ls trace.scap* | wc -l)" = 3 ] && break; sleep 1; done; sleep 2; ls -l; test "$(ls trace.scap* | wc -l)" = 3'
step "rights of the unit" 'pid=$(systemctl show -P MainPID scap-record); grep -E "^(Uid|CapEff|CapBnd|CapAmb|NoNewPrivs)" /proc/$pid/status; grep -q "^CapEff:.000000c000080004$" /proc/$pid/status; not grep -q "^Uid:.0" /proc/$pid/status'
step "stop the unit" 'systemctl stop scap-record; journalctl -u scap-record -o cat --no-pager | tail -n 12; not systemctl is-failed scap-record'
step "files of the unit" 'for f in /var/lib/private/scap-record/trace.scap*; do scap verify $f; scap info $f | head -n 12; done'
step "install the module by DKMS" 'apt-get install -y ./scaplab-dkms_*.deb; dkms status; dkms status | grep -q "^scaplab/.*installed"'
step "configure again what was interrupted" '/var/lib/dpkg/info/scaplab-dkms.postinst configure; dkms status | grep -q "^scaplab/.*installed"'
step "load the module" 'modprobe scap; modinfo scap | grep -E "^(filename|version|api_version|schema_version)"; ls /dev/scap0'
step "record by the module" 'while sleep 0.5; do cat /etc/hostname >/dev/null; done & scap record --driver kmod -w /tmp/k.scap -d 5s; kill $!; scap read /tmp/k.scap openat >/tmp/k.txt; grep -q /etc/hostname /tmp/k.txt; grep -m 3 /etc/hostname /tmp/k.txt'
step "unload the module" 'rmmod scap'
step "persona by modprobe.d" 'echo "options scap persona=8.0.4" >/etc/modprobe.d/scap.conf; modprobe scap; cat /sys/module/scap/parameters/api_version; test "$(cat /sys/module/scap/parameters/api_version)" = 8.0.4; rmmod scap; rm /etc/modprobe.d/scap.conf'
step "install again" 'apt-get install -y --reinstall ./scaplab_*_*.deb ./scaplab-dkms_*.deb; dkms status | grep -q "^scaplab/.*installed"'
step "purge" 'apt-get purge -y scaplab scaplab-dkms; not dpkg -s scaplab; not dpkg -s scaplab-dkms'
step "nothing is left but captures" 'ls /var/lib/private/scap-record/trace.scap0; rm -rf /var/lib/scap-record /var/lib/private/scap-record; all_files >/run/after; diff /run/before /run/after'
echo "=== DONE"
sync
sleep 1
systemctl poweroff --force --force
