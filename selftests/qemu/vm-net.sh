# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The network of guests: NET=1 and NET=2 see each other as 10.77.0.1 and 10.77.0.2. With LAN=1
# there is NET=3, too, as 10.77.0.3, whose QEMU is the switch. With FWD= a program on this machine
# reaches a TCP port of the guest. To be sourced by lib.sh.

# The interface is known by its address: names depend on the order of detection.
vm_set_address() {
	vm_run "$1" "for i in /sys/class/net/*; do
		read -r a <\$i/address
		[ \$a != $2 ] || { ip addr add $3 dev \${i##*/} && ip link set \${i##*/} up; exit; }
	done; echo no interface $2; exit 1" >&2
}

vm_setup_net() {
	local number
	number=$(vm_setting "$1" NET)
	[ -z "$number" ] || vm_set_address "$1" "52:54:00:77:00:0$number" "10.77.0.$number/24"
	[ -z "$(vm_setting "$1" FWD)" ] ||
		vm_set_address "$1" "52:54:00:77:01:0${number:-0}" 10.0.2.15/24
}

# vm_net name what: the private network.
#   down, up	pull the cable, put it back: the guest sees the carrier go and come
#   drop, pass	lose every packet, in both directions and without a sign; no more so
vm_net() {
	case $2 in
	up) vm_set_link "$1" true ;;
	down) vm_set_link "$1" false ;;
	drop) vm_hide_sockets .dropped '' ;;
	pass) vm_hide_sockets '' .dropped ;;
	*) die "vm_net: '$2' is none of down, up, drop, pass" ;;
	esac
}

vm_set_link() {
	vm_qmp "$1" "{\"execute\":\"set_link\",\"arguments\":{\"name\":\"private\",\"up\":$2}}" >/dev/null
}

# vm_hide_sockets new-ending old-ending: QEMU looks its peer's socket up by name for
# each packet
vm_hide_sockets() {
	local end
	for end in net-1 net-2 lan-1 lan-2; do
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
