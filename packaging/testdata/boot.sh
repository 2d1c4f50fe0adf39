#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# boot.sh ROOT PACKAGE: runs as the first process of its own namespaces. Puts a copy of this machine's files, which
# forgets all changes, on ROOT, which is a tmpfs, and starts systemd there with the units of this directory and no
# others. It cannot change the kernel's settings.
set -eu
root=$1/root package=$2 here=$(cd "$(dirname "$0")" && pwd)
mount --make-rprivate /
mkdir "$root" "$1/upper" "$1/work" "$1/shared"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$root"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"

rm -rf "$root/etc/systemd/system" "$root/var/lib/private"
mkdir -p "$root/etc/systemd/system/scap-record.service.d"
cp "$here/check.target" "$here/check.service" "$root/etc/systemd/system/"
# The targets before it would start what this machine starts.
printf '[Unit]\nDefaultDependencies=no\n' >"$root/etc/systemd/system/scap-record.service.d/alone.conf"
mkdir "$root/run/check"
mount --bind "$1/shared" "$root/run/check"
cp "$here/check.sh" "$package" "$root/run/check/"
echo 00112233445566778899aabbccddeeff >"$root/etc/machine-id"
exec chroot "$root" env -i container=other PATH="$PATH" \
	/lib/systemd/systemd --unit=check.target --log-target=console --show-status=no
