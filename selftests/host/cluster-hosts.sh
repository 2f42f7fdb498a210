# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Three hosts with Debian's corosync and pacemaker, made of namespaces: each has its own processes,
# network, name and IPC, and its own disk over one cached root file system. A host that is killed
# loses all its memory at one instant; its disk stays. To be sourced by tests that run as root.
#
#	alpha .1 ---+
#	beta  .2 ---+--- bridge, in a network namespace of its own (192.0.2.0/24)
#	gamma .3 ---+
#
# cptdevd has the soft engine: this machine's kernel has no module. The power switch is a directory that
# all hosts see (/power): it works whatever happens to the network, as a fence device should.

# shellcheck source=selftests/qemu/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../qemu/lib.sh"
# shellcheck source=selftests/qemu/setup-apt.sh
. "$cptdev_qemu/setup-apt.sh"
# shellcheck source=selftests/qemu/setup-rootfs.sh
. "$cptdev_qemu/setup-rootfs.sh"

hosts=(alpha beta gamma)
work=$(mktemp -d "${TMPDIR:-/tmp}/cluster.XXXXXX")
switch=cptdev-$$
key=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
power=''

hosts_cleanup() {
	local host
	for host in "${hosts[@]}"; do
		host_kill "$host"
	done
	[ -z "$power" ] || kill "$power" 2>/dev/null || true
	ip netns del "$switch" 2>/dev/null || true
	rm -rf "$work"
}

# The switch

switch_make() {
	ip netns add "$switch"
	ip -n "$switch" link add bridge type bridge
	ip -n "$switch" link set bridge up
}

# cable host up|down
cable() {
	ip -n "$switch" link set "$1" "$2"
}

# The hosts

address() {
	case $1 in
	alpha) echo 192.0.2.1 ;;
	beta) echo 192.0.2.2 ;;
	gamma) echo 192.0.2.3 ;;
	esac
}

other() {
	case $1 in
	alpha) echo beta ;;
	beta) echo alpha ;;
	esac
}

# host_disk host: what is on it before it boots for the first time
host_disk() {
	local disk=$work/$1/disk peer
	mkdir -p "$disk"/{etc/corosync,etc/cptdev,usr/local/bin,usr/local/sbin,usr/local/lib,usr/sbin,power} \
		"$disk"/usr/lib/ocf/{resource.d,lib}/cptdev
	corosync_conf >"$disk/etc/corosync/corosync.conf"
	cp "$cptdev_top/daemon/cluster/program" "$disk/usr/lib/ocf/resource.d/cptdev/"
	cp "$cptdev_top/daemon/cluster/program.sh" "$disk/usr/lib/ocf/lib/cptdev/"
	install -m 755 "$cptdev_top/selftests/host/cluster-fence" "$disk/usr/sbin/fence_cptdev_test"
	cp "$cptdev_build"/daemon/{cptdevd,cptdevctl} "$cptdev_build/libckdev/hotspare/sqlite-hotspare" \
		"$disk/usr/local/bin/"
	cp "$cptdev_build/libckdev/hotspare/libhotspare.so.1" "$disk/usr/local/lib/"
	host_init >"$disk/usr/local/sbin/host-init"
	chmod 755 "$disk/usr/local/sbin/host-init"
	peer=$(other "$1")
	[ -n "$peer" ] || return 0
	(umask 077; echo $key >"$disk/etc/cptdev/key")
	cat >"$disk/etc/cptdev/cptdevd.conf" <<-END
		[node]
		name = $1
		engine = soft
		[peer]
		address = $(address "$peer")
		name = $peer
		psk_file = /etc/cptdev/key
		[failover]
		timeout_ms = 10000
		failover = manual
		[sessions]
		alone = block
	END
}

# Emulated or loaded, a host may stall for seconds; real-time priority would disturb this machine.
corosync_conf() {
	local host id=0
	cat <<-END
		totem {
			version: 2
			cluster_name: test
			transport: udpu
			token: 20000
			token_retransmits_before_loss_const: 10
			crypto_cipher: none
			crypto_hash: none
		}
		system {
			sched_rr: no
			move_to_root_cgroup: no
		}
		quorum {
			provider: corosync_votequorum
		}
		logging {
			to_logfile: yes
			logfile: /var/log/corosync.log
			to_syslog: no
		}
		nodelist {
	END
	for host in "${hosts[@]}"; do
		id=$((id + 1))
		printf '\tnode {\n\t\tring0_addr: %s\n\t\tname: %s\n\t\tnodeid: %d\n\t}\n' \
			"$(address "$host")" "$host" $id
	done
	printf '}\n'
}

# Process 1 of a host, in the place of systemd: it starts what a boot starts, and reaps.
host_init() {
	cat <<-'END'
		#!/bin/bash
		export LD_LIBRARY_PATH=/usr/local/lib PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
		mkdir -p /run/lock /run/cptdevd /run/resource-agents /var/lib/cptdev /var/log/pacemaker
		chown hacluster:haclient /var/log/pacemaker
		ip link set lo up
		until ip link set eth0 up 2>/dev/null; do sleep 0.1; done
		ip addr add "$1/24" dev eth0
		[ ! -e /etc/cptdev/cptdevd.conf ] ||
			(while :; do cptdevd -f >>/var/log/cptdevd.log 2>&1; sleep 0.5; done) &
		corosync -f >>/var/log/corosync.out 2>&1 &
		until corosync-cfgtool -s >/dev/null 2>&1; do sleep 0.5; done
		pacemakerd >>/var/log/pacemakerd.out 2>&1 &
		: >/run/booted
		while :; do wait -n || sleep 1; done
	END
}

# host_boot host: its memory is empty, its disk as it was
host_boot() {
	local root=$work/$1/root parent
	mkdir -p "$root" "$work/$1/overlay"
	# shellcheck disable=SC2016 # for the shell there
	setpriv --pdeathsig KILL unshare --mount --pid --net --uts --ipc --fork --kill-child bash -c '
		mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/disk,workdir=$2/overlay" "$2/root" &&
		cd "$2/root" && mount --rbind /dev dev && mount -t tmpfs shm dev/shm && mount -t tmpfs run run &&
		mount -t tmpfs tmp tmp && mount -t proc proc proc && mount --bind "$3" power &&
		hostname "$4" && exec chroot . /usr/local/sbin/host-init "$5"' \
		bash "$rootfs_cache/cluster" "$work/$1" "$work/power" "$1" "$(address "$1")" \
		>"$work/$1/console" 2>&1 </dev/null &
	parent=$!
	disown $parent
	until pgrep -P $parent >"$work/$1/init"; do nap; done
	ip link add "eth-$1-$$" netns "$switch" type veth peer name eth0 netns "$(<"$work/$1/init")"
	ip -n "$switch" link set "eth-$1-$$" name "$1" master bridge up
}

host_alive() {
	[ -e "$work/$1/init" ] && kill -0 "$(<"$work/$1/init")" 2>/dev/null
}

# host_kill host: the power goes. Nothing tells the others: the cable is pulled first.
host_kill() {
	host_alive "$1" || return 0
	ip -n "$switch" link del "$1" 2>/dev/null || true
	kill -KILL "$(<"$work/$1/init")" 2>/dev/null || true
	while host_alive "$1"; do nap; done
}

# in_host host command: its output and exit status
in_host() {
	host_alive "$1" || return 255
	timeout 120 nsenter --target "$(<"$work/$1/init")" --all --root --wd \
		env LD_LIBRARY_PATH=/usr/local/lib PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		bash -c "$2" </dev/null
}

# The power switch: "off HOST" in a file request-N; the answer is the file done-N. While there is a file
# "lie", the host stays on, as behind a fence device that cuts it off from something else.
power_serve() {
	local file action host
	while nap; do
		for file in "$work"/power/request-*; do
			[ -e "$file" ] || continue
			read -r action host <"$file" || continue
			[ "$action" != off ] || [ -e "$work/power/lie" ] || host_kill "$host"
			printf '%s %s\n' "$action" "$host" >>"$work/fenced"
			mv "$file" "${file/request-/done-}"
		done
	done
}

hosts_make() {
	local host
	fetch_cluster_rootfs >&2
	mkdir -p "$work/power"
	chmod 755 "$work"
	: >"$work/fenced"
	switch_make
	for host in "${hosts[@]}"; do
		mkdir -p "$work/$host"
		host_disk "$host"
		host_boot "$host"
	done
	power_serve &
	power=$!
	disown
}
