#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Service addresses move with the program, and clients go on talking to them. TAP on stdout.
#
#	address.sh DIR		DIR: where the library was built
#
# 10.9.0.9 and fd09::9 belong to the service. A client remembers for an hour where an address is:
# hosts.sh has the whole picture.

set -u
here=$(cd "$(dirname "$0")/.." && pwd)
built=${1:?usage: address.sh DIR}
hook=$here/hotspare-address
service=(10.9.0.9 fd09::9)

# shellcheck source=libckdev/hotspare/tests/hosts.sh
. "$here/tests/hosts.sh" ip arping ndptool
# shellcheck source=libckdev/tests/tap.sh
. "$here/../tests/tap.sh"

# -t is what the command may take, too.
master() { # NAME HOST OTHER
	launch "$1" "$2" "$program" -m -a "$3" -k "$key" -t 10 -x "$hook eth0 ${service[*]}" -- \
		"${service[@]}"
}

spare() { # NAME HOST OTHER [COMMAND [TIMEOUT]]
	launch "$1" "$2" "$program" -s -a "$3" -k "$key" -t "${5:-10}" \
		-x "${4:-$hook eth0 ${service[*]}}" -- "${service[@]}"
}

client() { # NAME ADDRESS
	launch "$1" c "$program" ask "$2"
}

has_address() { # HOST ADDRESS
	[ -n "$(ip -o -n "$1" addr show dev eth0 to "$2")" ]
}

# Both have spoken to the service in a, of which there is a spare in b.
begin() { # [COMMAND OF THE SPARE] [ITS -t]
	fresh_hosts || return
	spare spare b 10.9.0.1 "${1:-}" "${2:-}"
	until_true is_listening b || return
	master master a 10.9.0.2
	until_true says serves master || return
	client c4 10.9.0.9
	client c6 fd09::9
	until_true says "^a [0-9]*$" c4 && until_true says "^a [0-9]*$" c6 &&
		points_to 10.9.0.9 a && points_to fd09::9 a
}

# No number comes twice, and none is less than one before.
ascending() {
	cat c4 c6 >all
	[ -z "$(awk '/^[ab] / { print $2 }' all | sort | uniq -d)" ] &&
		awk '/^[ab] / { if ($2 <= last) exit 1; last = $2 }' c4 &&
		awk '/^[ab] / { if ($2 <= last) exit 1; last = $2 }' c6
}

test_host_lost() { # a host is lost with its addresses: clients go on with the spare, IPv4 and IPv6
	local ret

	begin "" 5 && pull_the_plug &&
		until_true says "^b [0-9]" c4 && until_true says "^b [0-9]" c6 &&
		points_to 10.9.0.9 b && points_to fd09::9 b &&
		has_address a 10.9.0.9 && has_address a fd09::9 && ascending &&
		! says "continues without" spare.err
	ret=$?
	end_hosts
	return $ret
}

test_unannounced() { # without an announcement they would not: the addresses alone aren't enough
	local ret

	# shellcheck disable=SC2016
	begin '[ "$HOTSPARE_EVENT" = serve ] || '"$hook eth0 ${service[*]}" 5 && pull_the_plug &&
		until_true says serves spare &&
		has_address b 10.9.0.9 && has_address b fd09::9 &&
		until_true in_host b "$program" ask 10.9.0.9 1 &&
		until_true in_host b "$program" ask fd09::9 1 &&
		points_to 10.9.0.9 a && points_to fd09::9 a &&
		! says "^b" c4 && ! says "^b" c6
	ret=$?
	end_hosts
	return $ret
}

test_program_lost() { # its host lives on: it gives the addresses up as a spare, and gets them back
	local ret

	begin && kill_program a &&
		until_true says "^b [0-9]" c4 && until_true says "^b [0-9]" c6 &&
		has_address a 10.9.0.9 && has_address a fd09::9 &&
		spare_again && kill_program b &&
		until_true says "^a [0-9]" after4 && until_true says "^a [0-9]" after6 && ascending
	ret=$?
	end_hosts
	return $ret
}

spare_again() {
	spare again a 10.9.0.2
	until_true is_listening a && until_true is_given_up || return
	until_true points_to 10.9.0.9 b && until_true points_to fd09::9 b || return
	client after4 10.9.0.9
	client after6 fd09::9
	# The master has found it.
	until_true says "^b [0-9]*$" after4 && until_true says "^b [0-9]*$" after6
}

is_given_up() {
	! has_address a 10.9.0.9 && ! has_address a fd09::9
}

test_two_masters() { # who would be a second master is told that there is one, and doesn't begin
	local ret

	begin && master second b 10.9.0.1 && wait $! # it ends
	ret=$?
	[ $ret = 3 ] && says "another host has 10.9.0.9" second.err &&
		says "another host has fd09::9" second.err &&
		says "failed with exit status 1 for 'master'" second.err &&
		! has_address b 10.9.0.9 && ! has_address b fd09::9
	ret=$?
	end_hosts
	return $ret
}

test_no_link() { # nor who can't ask
	local ret

	fresh_hosts && ip link set to-a down && until_true has_no_link a &&
		master master a 10.9.0.2 && wait $!
	ret=$?
	[ $ret = 3 ] && says "can't be asked who has 10.9.0.9: is its link up" master.err &&
		says "can't be asked who has fd09::9: is its link up" master.err &&
		! has_address a 10.9.0.9
	ret=$?
	end_hosts
	return $ret
}

has_no_link() {
	ip -n "$1" link show dev eth0 | grep -q NO-CARRIER
}

test_command_fails() { # a spare whose command fails goes on, and tells
	local ret

	begin "echo \$HOTSPARE_EVENT \$HOTSPARE_NAME \$HOTSPARE_GENERATION; exit 7" &&
		kill_program a && until_true says serves spare &&
		says "^spare hosts_program 0$" spare.err &&
		says "^takeover hosts_program [1-9]" spare.err &&
		says "^serve hosts_program [1-9]" spare.err &&
		says "failed with exit status 7 for 'spare'; hosts_program continues without it" \
			spare.err &&
		says "failed with exit status 7 for 'takeover'; hosts_program continues without it" spare.err &&
		says "failed with exit status 7 for 'serve'; hosts_program continues without it" spare.err &&
		! says . <(grep -v ^serves spare)
	ret=$?
	end_hosts
	return $ret
}

runs_in() { # HOST PROGRAM
	ip netns pids "$1" | while read -r pid; do
		readlink "/proc/$pid/exe"
	done | grep "/$2$"
}

test_command_hangs() { # one that hangs is ended, with all that it has started
	local ret

	begin 'sleep 4711 & sleep 4712' 1 && kill_program a && until_true says serves spare &&
		says "took more than 1 seconds for 'takeover', and was killed" spare.err &&
		! runs_in b sleep
	ret=$?
	end_hosts
	return $ret
}

test_mistakes() { # the script tells what is wrong with its arguments
	local ret

	fresh_hosts && ! in_host a "$hook" -e spare eth9 10.9.0.9 2>no-interface &&
		says "eth9" no-interface &&
		! in_host a "$hook" -e nonsense eth0 10.9.0.9 2>event &&
		says "unknown event 'nonsense'" event &&
		! in_host a "$hook" eth0 10.9.0.9 2>event && says "unknown event ''" event &&
		! in_host a "$hook" -e spare eth0 2>usage && says "^usage:" usage &&
		! in_host a "$hook" -e takeover eth0 10.9.0.999 2>bad && says "10.9.0.999" bad &&
		mkdir bin && ln -s "$(command -v ip)" "$(command -v grep)" bin &&
		! PATH=$work/bin in_host a /bin/sh "$hook" -e spare eth0 "${service[@]}" 2>tools &&
		says "arping of iputils is needed" tools
	ret=$?
	end_hosts
	return $ret
}

tap_run "$here/tests/address.sh"
