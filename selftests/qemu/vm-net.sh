# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The network of guests: NET=1 and NET=2 see each other as 10.77.0.1 and 10.77.0.2. With LAN=1
# there is NET=3, too, as 10.77.0.3, whose QEMU is the switch. With MESH=1 there are three of the same
# kind, each with a cable to each other one: they see each other whichever of them is off. With FWD= a
# program on this machine reaches a TCP port of the guest. To be sourced by lib.sh.

# The interface is known by its address: names depend on the order of detection.
vm_set_address() {
	vm_run "$1" "for i in /sys/class/net/*; do
		read -r a <\$i/address
		[ \$a != $2 ] || { ip addr add $3 dev \${i##*/} && ip link set \${i##*/} up; exit; }
	done; echo no interface $2; exit 1" >&2
}

vm_setup_net() {
	local number n
	number=$(vm_setting "$1" NET)
	if [ -n "$(vm_setting "$1" MESH)" ]; then
		for n in 1 2 3; do
			[ "$n" = "$number" ] ||
				vm_set_address "$1" "52:54:00:77:1$n:0$number" "10.77.0.$number peer 10.77.0.$n"
		done
	elif [ -n "$number" ]; then
		vm_set_address "$1" "52:54:00:77:00:0$number" "10.77.0.$number/24"
	fi
	[ -z "$(vm_setting "$1" FWD)" ] ||
		vm_set_address "$1" "52:54:00:77:01:0${number:-0}" 10.0.2.15/24
}

# vm_net name what [other]: the private network.
#   down, up	pull the cable, put it back: the guest sees the carrier go and come
#   drop, pass	lose every packet, in both directions and without a sign; no more so. With MESH=1 on all
#		cables of the guest, or on the one to the other guest
vm_net() {
	case $2 in
	up) vm_set_link "$1" true ;;
	down) vm_set_link "$1" false ;;
	drop) vm_hide_sockets .dropped '' "$1" "${3:-}" ;;
	pass) vm_hide_sockets '' .dropped "$1" "${3:-}" ;;
	*) die "vm_net: '$2' is none of down, up, drop, pass" ;;
	esac
}

vm_set_link() {
	local cable
	for cable in $(vm_cables "$1"); do
		vm_qmp "$1" "{\"execute\":\"set_link\",\"arguments\":{\"name\":\"$cable\",\"up\":$2}}" >/dev/null
	done
}

vm_cables() {
	[ -n "$(vm_setting "$1" MESH)" ] || {
		echo private
		return
	}
	echo cable1 cable2 cable3 | sed "s/cable$(vm_setting "$1" NET)//"
}

# vm_ends guest [other]: both ends of its cables
vm_ends() {
	local number n
	[ -n "$(vm_setting "$1" MESH)" ] || {
		echo net-1 net-2 lan-1 lan-2
		return
	}
	number=$(vm_setting "$1" NET)
	for n in $(if [ -n "$2" ]; then vm_setting "$2" NET; else echo 1 2 3; fi); do
		echo "net-$number-$n net-$n-$number"
	done
}

# vm_hide_sockets new-ending old-ending guest [other]: QEMU looks its peer's socket up by name for
# each packet
vm_hide_sockets() {
	local end
	for end in $(vm_ends "$3" "$4"); do
		[ ! -e "$vm_root/$end$2" ] || mv "$vm_root/$end$2" "$vm_root/$end$1"
	done
}

# vm_port name guest-port: the port of 127.0.0.1 here that leads to it
vm_port() {
	vm_qmp "$1" '{"execute":"human-monitor-command","arguments":{"command-line":"info usernet"}}' |
		sed 's/\\r\\n/\n/g' |
		awk -v port="$2" '$1 == "TCP[HOST_FORWARD]" && $6 == port {print $4; found = 1}
			END {exit !found}'
}
