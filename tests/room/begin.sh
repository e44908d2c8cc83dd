#!/bin/bash
# First process of a room: lays the layers over each other, gives the system devices of its own, starts its systemd.
# Called by room.py inside fresh namespaces: begin.sh WORK LOWER_LAYERS. Nothing of this reaches the host.
set -eu
work=$1 lower=$2 tree=$1/tree
mount --make-rprivate /
mkdir -p "$work/upper" "$work/scratch" "$tree"
mount -t overlay -o "lowerdir=$lower,upperdir=$work/upper,workdir=$work/scratch" room "$tree"
mount -t tmpfs -o mode=755 devices "$tree/dev"
node() { mknod -m "$2" "$tree/dev/$1" c "$3" "$4"; }
node null 666 1 3
node zero 666 1 5
node full 666 1 7
node random 666 1 8
node urandom 666 1 9
node tty 666 5 0
node console 600 1 3
mkdir "$tree/dev/pts" "$tree/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 terminals "$tree/dev/pts"
ln -s pts/ptmx "$tree/dev/ptmx"
ln -s /proc/self/fd "$tree/dev/fd"
mount -t proc proc "$tree/proc"
mount -t sysfs -o ro sysfs "$tree/sys"  # as in every container: networkd and NetworkManager then wait for no udev
mount -t cgroup2 cgroup2 "$tree/sys/fs/cgroup"
mount -t tmpfs runtime "$tree/run"
mount -t tmpfs -o mode=1777 temporary "$tree/tmp"
ip link set lo up
cd "$tree"  # and no chroot, in which nobody but root may make namespaces, as sandboxes of users do
pivot_root . .
umount -l .
if [ "${3:-boot}" = boot ]; then
  export container=other
  exec /lib/systemd/systemd --log-target=console --show-status=0
fi
shift 2
exec "$@"
