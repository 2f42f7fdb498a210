# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A bare Debian 12 as a newcomer has it: minbase, init, udev, and a stock kernel; no compiler,
# none of the packages that cptdev needs. Kept in the cache as an archive. To be sourced behind
# setup-apt.sh.

rootfs_cache=$cptdev_cache/rootfs
rootfs_packages=systemd,systemd-sysv,udev,kmod,iproute2,linux-image-cloud-amd64

# rootfs_locked command...: two tests may want it at the same time
rootfs_locked() {
	mkdir -p "$rootfs_cache"
	(flock 9 && "$@") 9>"$rootfs_cache/lock"
}

# fetch_rootfs: unless it is there
fetch_rootfs() {
	rootfs_locked make_rootfs
}

make_rootfs() {
	local root=$rootfs_cache/new
	[ ! -e "$rootfs_cache/bookworm.tar" ] || [ -n "${REFRESH:-}" ] || return 0
	need_root "debootstrap, for a bare Debian 12"
	apt_scratch_update
	[ -z "$(apt_missing debootstrap)" ] ||
		apt_run "install debootstrap" apt_with apt-get install -y --no-install-recommends \
			-o DPkg::Lock::Timeout=300 debootstrap
	rm -rf "$root"
	mkdir -p "$root" "$rootfs_cache/archives/partial"
	say "setup: a bare Debian 12"
	apt_run "make a bare Debian 12" debootstrap --variant=minbase --include="$rootfs_packages" \
		bookworm "$root" "$(apt_mirror)"
	rm -rf "$root"/var/cache/apt/archives/*.deb
	tar -C "$root" -cf "$rootfs_cache/bookworm.tar.new" --numeric-owner .
	mv "$rootfs_cache/bookworm.tar.new" "$rootfs_cache/bookworm.tar"
	rm -rf "$root"
}

# rootfs_unpack directory: a copy of one's own
rootfs_unpack() {
	mkdir -p "$1"
	tar -C "$1" -xf "$rootfs_cache/bookworm.tar" --numeric-owner
	# Names are looked up as this machine does.
	cp -L /etc/resolv.conf "$1/etc/resolv.conf"
}

# For selftests/host/cluster: the cluster, and the libraries of our programs.
rootfs_cluster_packages=(corosync pacemaker pacemaker-cli-utils resource-agents libxml2-utils procps
	libmnl0 libxxhash0 libjson-c5 libinih1 libsqlite3-0)

# fetch_cluster_rootfs: the same with these, as the directory "cluster", unless it is there. It is
# only read: a host that needs a disk has an overlay above it.
fetch_cluster_rootfs() {
	rootfs_locked make_cluster_rootfs
}

make_cluster_rootfs() {
	local root=$rootfs_cache/cluster.new
	[ ! -e "$rootfs_cache/cluster" ] || [ -n "${REFRESH:-}" ] || return 0
	make_rootfs || return
	rm -rf "$root"
	rootfs_unpack "$root"
	say "setup: corosync and pacemaker on it"
	apt_run "install corosync and pacemaker" rootfs_run "$root" bash -c "apt-get update &&
		apt-get install -y --no-install-recommends ${rootfs_cluster_packages[*]}"
	rm -rf "$rootfs_cache/cluster"
	mv "$root" "$rootfs_cache/cluster"
}

# rootfs_release root: of its kernel
rootfs_release() {
	basename "$1"/lib/modules/*-amd64
}

# rootfs_run root command...: what uname tells there is the release of its own kernel, which
# runs only later, in a guest. What apt downloads stays in the cache, which all tests share: apt gives up
# if another one has locked it, so one command runs at a time.
# shellcheck disable=SC2016 # for the shell there
rootfs_run() {
	local root=$1
	shift
	printf '#!/bin/sh\n[ "$*" = -r ] || exec /bin/uname "$@"\necho %s\n' \
		"$(rootfs_release "$root")" >"$root/usr/local/bin/uname"
	chmod 755 "$root/usr/local/bin/uname"
	flock -o "$rootfs_cache/archives.lock" unshare --mount bash -c 'set -e
		mount -t proc proc "$0/proc"
		mount --rbind /dev "$0/dev"
		mount --bind "$1" "$0/var/cache/apt/archives"
		exec chroot "$0" /usr/bin/env -i PATH="$PATH" HOME=/root TERM=dumb \
			DEBIAN_FRONTEND=noninteractive "${@:2}"' \
		"$root" "$rootfs_cache/archives" "$@" || return
	rm -f "$root/usr/local/bin/uname"
}
