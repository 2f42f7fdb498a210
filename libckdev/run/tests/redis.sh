#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Debian's redis-server as it is, with its connections: clients that never connect again count with it,
# its host is lost at a random moment, and they go on with the other host. TAP on stdout. Needs root.
#
#	redis.sh DIR	DIR: where cptdev-run was built
#	SEED=n		of the moments
#	ROUNDS=n	hosts that are lost (2)
#	CLIENTS=n	(20)
#
# 10.9.0.9 belongs to the service; hosts.sh has the whole picture.

set -u
here=$(cd "$(dirname "$0")" && pwd)
built=$(cd "${1:?usage: redis.sh DIR}" && pwd)
tests=$here/../../hotspare/tests
hook=$here/../../hotspare/hotspare-address
service=10.9.0.9
SEED=${SEED:-$RANDOM}
clients=${CLIENTS:-20}

# shellcheck source=libckdev/hotspare/tests/hosts.sh
. "$tests/hosts.sh" ip arping iptables iptables-restore redis-check-rdb
# shellcheck source=libckdev/hotspare/tests/clients.sh
. "$tests/clients.sh"
# shellcheck source=libckdev/tests/tap.sh
. "$here/../../tests/tap.sh"
RANDOM=$SEED

# The program is one, and looks at the name by which it is called. It is in Debian's redis-tools; the
# package redis-server adds a unit, which would be started on the machine of whoever runs this test.
server=/run/redis-server
ln -s "$(command -v redis-check-rdb)" $server

hold=('[hold]' session=cache "address=$service" port=7000 queue=7)

run() { # NAME HOST ARGUMENT...
	local name=$1 host=$2

	shift 2
	CPTDEVD_PROGRAMS=$work/$host.programs CPTDEVD_CONTROL=$work/$host.control \
		launch "$name" "$host" "$built/${RUN:-cptdev-run}" --name cache --stats \
		--hook "$hook eth0 $service" "$@"
}

redis() { # HOST
	run "on-$1" "$1" -- $server --bind $service --port 7000 --protected-mode no --save '' \
		--appendonly no
	until_true says "Ready to accept connections" "on-$1"
}

prefork() { # HOST
	run "on-$1" "$1" -- "$built/prefork" $service 7000 3
	until_true says "Ready to accept connections" "on-$1"
}

spare() { # HOST
	run "on-$1" "$1" --spare
	until_true says "waiting for the promotion" "on-$1.err"
}

is_protected() { # HOST: of the spare
	says "could be continued here" "on-$1.err"
}

begin() { # [no]: nothing is held
	local lines=("${hold[@]}")

	[ -z "${1:-}" ] || lines=()
	echo "# SEED=$SEED"
	fresh_hosts && host_daemon a 10.9.0.2 "${lines[@]}" && host_daemon b 10.9.0.1 "${lines[@]}" &&
		spare b && "${SERVER:-redis}" a && until_true is_protected b || return
	launch ask c "$built/ledger_clients" $service "$clients" stop
	has_progress && has_progress
}

kill_all() { # HOST PROGRAM [SIGNAL]
	ip netns pids "$1" | while read -r pid; do
		[ "$(basename "$(readlink "/proc/$pid/exe")")" != "$2" ] || kill "-${3-KILL}" "$pid"
	done
}

# The host is lost: nothing comes from it any more.
lose() { # HOST
	ip link set "to-$1" down && kill_all "$1" cptdev-run && kill_all "$1" cptdevd
}

test_host_lost() { # clients notice nothing of a lost host: each INCR that was answered is there once
	local ret=0 i

	for ((i = 0; i < ${ROUNDS:-2} && !ret; i++)); do
		begin && at_a_random_moment && lose a && has_progress && no_harm
		ret=$?
		finish $ret
	done
	return $ret
}

test_processes() { # the same with a server of several processes, which accept from one listener
	local SERVER=prefork

	begin && at_a_random_moment && lose a && has_progress && no_harm
	finish $?
}

test_processes_not_held() { # the control: they are harmed without [hold]
	local SERVER=prefork

	lose_not_held
}

# Data that comes for a connection whose program was killed would end what the kernel has of it.
deaf() { # -I or -D
	in_host a iptables "$1" INPUT -d $service -p tcp -j DROP
}

there_and_back() {
	begin && at_a_random_moment && deaf -I && kill_all a redis-check-rdb && has_progress &&
		spare a && until_true is_protected a && has_progress && at_a_random_moment &&
		deaf -D && kill_all b redis-check-rdb
}

test_program_lost() { # nor of a lost program on a host that lives on, there and back
	there_and_back && has_progress && no_harm
	finish $?
}

test_not_destroyed() { # the control: what the kernel has of old connections is in the way of new ones
	export RUN_MUTANT=destroy RUN=cptdev-run-mutant
	there_and_back && until_true says "the connection is lost" on-a.err && some_harm
	finish $?
	local ret=$?

	unset RUN_MUTANT RUN
	return $ret
}

lose_not_held() {
	# Output that leaves now is in no checkpoint that the spare has, whichever moment this is.
	begin no && kill_all b cptdevd STOP && sleep 0.3 && lose a && kill_all b cptdevd CONT &&
		until_true has_address b && some_harm
	finish $?
}

test_not_held() { # the control: without [hold] clients are harmed
	lose_not_held
}

has_address() { # HOST
	[ -n "$(ip -o -n "$1" addr show dev eth0 to $service)" ]
}

tap_run "$here/redis.sh"
