#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Established connections survive their host: clients that never connect again, and check each byte,
# go on with the spare. TAP on stdout.
#
#	held.sh DIR	DIR: where the library was built
#	SEED=n		of the moments of the failures, and of what clients send
#	ROUNDS=n	take-overs of the second test: by default 20, and 1,000 with CPTDEV_TIER=all
#
# 10.9.0.9 belongs to the service; hosts.sh has the whole picture.

set -u
here=$(cd "$(dirname "$0")/.." && pwd)
built=${1:?usage: held.sh DIR}
hook=$here/hotspare-address
service=10.9.0.9
SEED=${SEED:-$EPOCHSECONDS}
clients=20
rounds=${ROUNDS:-$([ "${CPTDEV_TIER:-}" != all ] && echo 20 || echo 1000)}

# shellcheck source=libckdev/hotspare/tests/hosts.sh
. "$here/tests/hosts.sh" ip arping ndptool iptables iptables-restore
# shellcheck source=libckdev/hotspare/tests/clients.sh
. "$here/tests/clients.sh"
# shellcheck source=libckdev/tests/tap.sh
. "$here/../tests/tap.sh"
# Of hosts.sh.
program=$built/held_program
RANDOM=$SEED

other() { # HOST
	[ "$1" = a ] && echo b || echo a
}

hold=('[hold]' session=held "address=$service" port=7000 queue=7)

# Its parent is another file than those that are killed.
server() { # NAME HOST OPTION
	[ -e keeper ] || cp "$built/hosts_program" keeper
	: >"$1"
	CPTDEVD_PROGRAMS=$work/$2.programs CPTDEVD_CONTROL=$work/$2.control \
		launch "$1" "$2" ./keeper keep "$program" "$3" -S held -t 5 -x "$hook eth0 $service" \
		-- $service
}

is_attached() { # HOST
	"$built/../../daemon/cptdevctl" --socket "$work/$1.control" status | grep -q 'held .*followed'
}

spare() { # HOST
	server "on-$1" "$1" -s
	until_true says "waiting for the promotion" "on-$1.err"
}

begin() { # [no]: nothing is held
	local lines=("${hold[@]}")

	[ -z "${1:-}" ] || lines=()
	echo "# SEED=$SEED"
	fresh_hosts && host_daemon a 10.9.0.2 "${lines[@]}" && host_daemon b 10.9.0.1 "${lines[@]}" &&
		spare b && server on-a a -m && until_true says serves on-a || return
	launch ask c "$program" ask $service $clients stop "$SEED"
	has_progress && has_progress
}

kill_daemon() { # HOST [SIGNAL]
	ip netns pids "$1" | while read -r pid; do
		[ "$(basename "$(readlink "/proc/$pid/exe")")" != cptdevd ] || kill "-${2-KILL}" "$pid"
	done
}

# The host is lost: nothing comes from it any more.
lose() { # HOST
	ip link set "to-$1" down && kill_program "$1" && kill_daemon "$1"
}

test_host_lost() { # clients notice nothing of a lost host, and nothing of a lost program
	begin && at_a_random_moment && lose a && until_true says serves on-b && has_progress && no_harm
	finish $?
}

test_program_lost() { # the host lives on: no end and no reset of a connection leaves it; there and back
	local ret=0 at=a now i

	begin || ret=1
	for ((i = 0; i < rounds && !ret; i++)); do
		at_a_random_moment
		now=$(other "$at")
		if kill_program "$at" && until_true says serves "on-$now" && has_progress &&
			spare "$at" && until_true is_attached "$now" && has_progress; then
			at=$now
		else
			ret=1
		fi
	done
	[ $ret = 0 ] && no_harm
	finish $?
}

test_daemon_lost() { # without cptdevd nothing leaves; the next one takes over the rules
	begin && at_a_random_moment && kill_daemon a && until_true is_closed a &&
		host_daemon a 10.9.0.2 "${hold[@]}" && has_progress && no_harm
	finish $?
}

# The rules are there, and nobody reads the queue.
is_closed() { # HOST
	in_host "$1" iptables-save | grep -q "^-A cptdev-hold -s $service/32 .* -j NFQUEUE" &&
		! in_host "$1" grep -q . /proc/net/netfilter/nfnetlink_queue
}

test_not_held() { # the control: without [hold] clients are harmed
	# What leaves now is in no checkpoint that the spare has, in whichever moment this is.
	begin no && kill_daemon b STOP && sleep 0.3 && lose a && kill_daemon b CONT &&
		until_true says serves on-b && some_harm
	finish $?
}

# From here on it takes no checkpoint; the kernel acknowledges what comes.
stop_program() { # HOST
	pids_of_program "$1" | xargs kill -STOP
}

is_acknowledged() {
	in_host c ss -Htin dst $service >sockets && [ -s sockets ] && ! grep -q unacked: sockets
}

test_bare_answers_not_held() { # the control: acknowledgments that leave at once lose bytes
	# An acknowledgment has none of these flags, whatever its options are; an answer has PSH.
	begin && in_host a iptables -I OUTPUT -s $service -p tcp --tcp-flags SYN,FIN,RST,PSH NONE -j ACCEPT &&
		has_progress && stop_program a && until_true is_acknowledged && lose a &&
		until_true says serves on-b && some_harm
	finish $?
}

tap_run "$here/tests/held.sh"
