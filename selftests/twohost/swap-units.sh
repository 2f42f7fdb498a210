#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Swap torture on hosts as operators have them: Debian with systemd, what "make install" installs, and
# the units. cptdevd.service starts the daemon, and cptdev-service@db.service the program: at the boot,
# and after each end, as what cptdevctl says. A disk outlasts its host's power. Root makes the disks.

export CPTDEV_BOOT_LIMIT=600
# shellcheck source=selftests/twohost/database.sh
. "$(dirname "$0")/database.sh"
# shellcheck source=selftests/qemu/setup-apt.sh
. "$cptdev_qemu/setup-apt.sh"
# shellcheck source=selftests/qemu/setup-rootfs.sh
. "$cptdev_qemu/setup-rootfs.sh"
# shellcheck source=selftests/qemu/debian.sh
. "$cptdev_qemu/debian.sh"
# shellcheck source=selftests/twohost/swapping.sh
. "$(dirname "$0")/swapping.sh"

# shellcheck disable=SC2034 # swapping.sh uses it
SWAPS=${SWAPS:-100}
# Two such hosts are more work for this machine, and a boot takes minutes if it is loaded.
timeout_ms=8000
limit=900

debian_work=$(mktemp -d "${TMPDIR:-/tmp}/swap-units.XXXXXX")
debian_root=$debian_work/root
trap 'vm_cleanup; rm -rf "$debian_work"' EXIT

# The disks

make_root() {
	fetch_rootfs
	rootfs_unpack "$debian_root"
	# The harness's kernels take the place of its own.
	rm -rf "${debian_root:?}"/boot/* "$debian_root"/lib/modules/*
	rootfs_run "$debian_root" bash -c 'apt-get -qq update && apt-get -qq install -y --no-install-recommends \
		libmnl0 libxxhash0 libjson-c5 libinih1 libsqlite3-0 libzstd1 libssl3'
	make -C "$cptdev_top" install DESTDIR="$debian_root" PREFIX=/usr INSTALL_MODULE=no
	install -m 755 "$built/sqlite-hotspare" "$(dirname "$0")/ask-database" "$debian_root/usr/local/bin/"
	debian_prepare
	install -d "$debian_root/etc/cptdev/service"
	(umask 077 && echo "$link_key" >"$debian_root/etc/cptdev/key")
	printf '%s\n' 'CPTDEV_PRIMARY=/usr/local/bin/sqlite-hotspare -m -S db --' \
		'CPTDEV_SPARE=/usr/local/bin/sqlite-hotspare -s -S db --' 'CPTDEV_FIRST=a' \
		>"$debian_root/etc/cptdev/service/db.conf"
	rootfs_run "$debian_root" sh -c 'ldconfig && systemd-sysusers && chown cptdev /etc/cptdev/key &&
		systemctl enable cptdevd.service cptdev-service@db.service'
}

# make_disk host number-of-the-peer
make_disk() {
	printf '%s\n' '[node]' "name = $1" '[peer]' "address = 10.77.0.$2" 'psk_file = /etc/cptdev/key' \
		'[failover]' 'failover = auto' "timeout_ms = $timeout_ms" >"$debian_root/etc/cptdev/cptdevd.conf"
	debian_disk "$1" 4G
}

make_disks() {
	make_root
	debian_runs[a]=$(debian_kernel "$KERNEL")
	debian_runs[b]=$(debian_kernel "$KERNEL_B")
	make_disk a 2
	make_disk b 1
}

# The hosts, in the place of those of database.sh

host_launch() { # name
	local -A kernel=([a]=$KERNEL [b]=$KERNEL_B)
	vm_launch "$1" "${kernel[$1]}" NET="${number[$1]}" SMP=1 MEM=640 NOINSMOD=1
}

host_begin() { # host role: the units do it
	:
}

daemon_start() { # systemd starts it anew
	:
}

daemon_end() { # host signal
	vm_run "$1" "systemctl kill --kill-whom=main --signal=$2 cptdevd"
}

program_signal() { # host signal
	vm_run "$1" "systemctl kill --kill-whom=main --signal=$2 cptdev-service@db" 2>/dev/null || true
}

program_end() {
	vm_run "$1" 'systemctl stop cptdev-service@db'
}

waited() { # host
	vm_run "$1" "journalctl --unit=cptdev-service@db --output=cat | grep -c 'waiting for the promotion'" || true
}

ask() { # host line
	vm_run "$1" "ask-database '$2' ${patience:-15}" $((60 + ${patience:-0})) 2>/dev/null
}

[ "$(id -u)" = 0 ] || { echo '1..0 # SKIP root makes the disks'; exit 0; }
make_disks >&2
main
