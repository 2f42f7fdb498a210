#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A program on host a has its spare's replica on host b. When a is lost, a program on host c goes on from
# that replica, over a slow network, before all of it is there. TAP on stdout.
#
#	from.sh DIR	DIR: where the library was built

set -u
here=$(cd "$(dirname "$0")/.." && pwd)
built=${1:?usage: from.sh DIR}

# shellcheck source=libckdev/hotspare/tests/hosts.sh
. "$here/tests/hosts.sh" ip tc
# shellcheck source=libckdev/tests/tap.sh
. "$here/../tests/tap.sh"
export MEMORY_MIB=32
# Of index.h: the program doesn't end when a page can't be read.
GO_ON=32

peer() { # NAME NUMBER
	printf '%s\n' "[peer $1]" "address = 10.9.0.$2" "port = 7411"
}

daemon() { # HOST PEER NUMBER [LINE]...
	local host=$1 name=$2 number=$3

	cat >"conf-$host" <<-END
		[node]
		name = host-$host
		log_level = info
		engine = soft
		control = $work/$host.control
		programs = $work/$host.programs
		state_dir = $work/$host.state
		[listen]
		address = ::
		port = 7411
		[peer]
		name = $name
		address = 10.9.0.$number
		port = 7411
		psk_file = $key
		[failover]
		failover = manual
		heartbeat_interval_ms = 200
		timeout_ms = 2000
		[sessions]
		alone = block
	END
	shift 3
	printf '%s\n' "$@" >>"conf-$host"
	launch "daemon-$host" "$host" "$built/../../daemon/cptdevd" --foreground --config "conf-$host"
	until_true says "engine soft" "daemon-$host.err"
}

ctl() { # HOST ARGUMENT...
	local host=$1

	shift
	"$built/../../daemon/cptdevctl" --socket "$work/$host.control" "$@"
}

server() { # HOST OPTION...
	local host=$1

	shift
	: >"on-$host"
	CPTDEVD_PROGRAMS=$work/$host.programs CPTDEVD_CONTROL=$work/$host.control \
		launch "on-$host" "$host" sh -c "setarch -R \"\$0\" \"\$@\"; echo \"status \$?\"" \
		"$program" "$@" -S svc -t 5 -- 0.0.0.0
}

status_has() { # HOST PATTERN
	ctl "$1" status | grep -q -- "$2"
}

# The last number that the program on HOST has told.
last_of() { # HOST
	sed -n "s/^$1 \([0-9]*\)\$/\1/p" client | tail -n 1
}

# a serves, b has its replica, c is linked with b; what leaves b is slow from then on.
begin() {
	fresh_hosts && daemon a host-b 2 && daemon b host-a 1 "$(peer host-c 3)" && daemon c host-b 2 &&
		server a -m && until_true says serves on-a || return
	launch client c "$program" ask 10.9.0.1
	until_true says '^a [0-9]*$' client && until_true status_has a followed &&
		in_host b tc qdisc add dev eth0 root tbf rate 100mbit burst 64kb latency 100ms
}

lose_a() {
	ip link set to-a down && kill_program a
}

runs_on_c() {
	until_true says '^begins\|program continues' on-c.err
}

# Clients ask c, and get what follows: a number above all that were told, and nothing is wrong.
counts_on() { # HOST NUMBER
	local next

	launch after c "$program" ask "10.9.0.$2"
	until_true says "^$1 [0-9]*" after || return
	next=$(sed -n "s/^$1 \([0-9]*\).*/\1/p" after | head -n 1)
	[ "$next" -gt "$(last_of a)" ] || fail "$1 says $next, a had said $(last_of a)" || return
	! says wrong after
}

end() { # STATUS
	[ "$1" = 0 ] || tail -n 8 ./on-*.err ./daemon-*.err | sed 's/^/# /'
	end_hosts
	return "$1"
}

test_goes_on() { # it runs before all of it is there, answers nobody until then, and nothing is lost
	begin && lose_a && server c -m -F host-b && runs_on_c && {
		in_host c "$program" ask 10.9.0.3 1 >early
		says "nothing" early || fail "an answer before all of it was there: $(cat early)"
	} &&
		until_true says "all of the memory is in place" on-c.err && counts_on c 3 &&
		until_true status_has c followed
	end $?
}

test_source_lost() { # the source is cut off in the middle: the program ends; b's replica goes on instead
	begin && lose_a && server c -m -F host-b && runs_on_c && ip link set to-b down &&
		until_true says "status 74" on-c && says "the program ends, because" on-c.err &&
		ip link set to-b up && server b -s &&
		until_true says "waiting for the promotion" on-b.err && until_true ctl b promote svc &&
		until_true says serves on-b && counts_on b 2
	end $?
}

test_daemon_lost() { # so it does when its own cptdevd is killed
	begin && lose_a && server c -m -F host-b && runs_on_c && {
		ip netns pids c | while read -r pid; do
			[ "$(basename "$(readlink "/proc/$pid/exe")")" != cptdevd ] || kill -KILL "$pid"
		done
	} && until_true says "status 74" on-c
	end $?
}

test_zeros_are_seen() { # the control: without the end, a client would see memory that is wrong
	local ret

	program=$built/hosts_mutant
	begin && lose_a && CARELESS=1 MUTANT=$GO_ON server c -m -F host-b && runs_on_c &&
		ip link set to-b down &&
		until_true says "all of the memory is in place" on-c.err && {
		in_host c "$program" ask 10.9.0.3 1 >early
		says "c wrong" early || fail "the client saw: $(cat early)"
	}
	ret=$?
	end $ret
	program=$built/hosts_program
	return $ret
}

tap_run "$here/tests/from.sh"
