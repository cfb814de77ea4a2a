#!/bin/bash
# A machine in namespaces: this one's programs, a /dev, /run, /tmp and /var of its own, and systemd as its first process.
# Arguments: its directory, and below that `etc` and `opt` with what it has beside this one's; then, in pairs, what is mounted
# read-only from this one, and where. CONSOLE is its terminal, CONTROL_GROUPS are its own, each as HIERARCHY:DIRECTORY.
# Run by machine.py, in new namespaces, as root.
set -euo pipefail
place=$1
shift
mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs "$place/layers"
mkdir "$place"/layers/{upper,work,root}
root="$place/layers/root"
mount -t overlay -o "lowerdir=/,upperdir=$place/layers/upper,workdir=$place/layers/work" overlay "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs -o mode=0755 tmpfs "$root/sys/fs/cgroup"
for group in $CONTROL_GROUPS; do
  mkdir -p "$root${group%%:*}"
  mount --bind "${group#*:}" "$root${group%%:*}"
done
for own in run tmp var; do mount -t tmpfs -o mode=0755 tmpfs "$root/$own"; done
chmod 1777 "$root/tmp"
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
mkdir "$root/dev/shm" "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
touch "$root/dev/console"
mount --bind "$CONSOLE" "$root/dev/console"
rm -rf "$root"/etc/systemd/system/* "$root/opt"
mkdir "$root/opt" "$root/var/told" "$root/before"
cp -R "$place/etc/." "$root/etc/"
cp -R "$place/opt/." "$root/opt/"
while (($#)); do
  mkdir -p "$root$2"
  mount --bind "$1" "$root$2"
  mount -o remount,bind,ro "$root$2"
  shift 2
done
mount --bind "$place/told" "$root/var/told"
cd "$root"
pivot_root . before
cd /
umount -l /before
# As systemd does it on a machine that the kernel starts. In a container it leaves mounts as they are; and with private ones, as
# `unshare --mount` makes them, what it mounts for LoadCredential= in a namespace of its own is seen nowhere else: the
# directory of a unit's credentials is there, and empty.
mount --make-rshared /
exec env -i container=unshare PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /usr/lib/systemd/systemd --system --log-target=console --log-level=info
