#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A program and its spare, each with a cptdevd of its own: when the spare takes over, and that only
# one of the two serves afterwards. TAP on stdout.
#
#	detect.sh DIR	DIR: where the library was built

set -u
here=$(cd "$(dirname "$0")/.." && pwd)
built=${1:?usage: detect.sh DIR}

# shellcheck source=libckdev/hotspare/tests/hosts.sh
. "$here/tests/hosts.sh" ip
# shellcheck source=libckdev/tests/tap.sh
. "$here/../tests/tap.sh"

# A master in a, with a client, and its spare in b.
begin() { # SECONDS
	launch spare b "$program" -s -a 10.9.0.1 -k "$key" -t "$1" -- ::
	until_true is_listening b || return
	launch master a "$program" -m -a 10.9.0.2 -k "$key" -t "$1" -- ::
	until_true says serves master || return
	launch client c "$program" ask 10.9.0.1
	until_true says "^a [0-9]*$" client
}

# It works and has its spare: an answer comes that wasn't there yet.
goes_on() {
	: >client
	until_true says "^a [0-9]*$" client && ! says serves spare
}

test_host_lost() { # a host that is lost is taken over from when its time is up
	local ret

	fresh_hosts && begin 2 && pull_the_plug && until_true says serves spare && counts_on
	ret=$?
	end_hosts
	return $ret
}

test_program_lost() { # a program that has died is at once, though its host lives
	local ret

	fresh_hosts && begin 60 && kill_program a && until_true says serves spare && counts_on
	ret=$?
	end_hosts
	return $ret
}

# The network of a is cut until b serves, and for a moment longer; then a is asked again.
cut() {
	fresh_hosts && begin 2 && ip link set to-a down && until_true says serves spare &&
		counts_on && ip link set to-a up && until_true can_talk 10.9.0.1 &&
		{ in_host c "$program" ask 10.9.0.1 100 >later || true; }
}

test_cut() { # a network that is cut and comes back leaves one server, with all that was told
	local ret

	cut && ! says "^a " later && until_true no_program a && says "fenced" master.err &&
		until_true says "^b [0-9]*" after
	ret=$?
	end_hosts
	return $ret
}

test_careless() { # which a program that doesn't look whether it may serve would not
	local ret

	CARELESS=1 cut && says "^a " later
	ret=$?
	end_hosts
	return $ret
}

test_started_anew() { # a master that is started anew, as by a unit, is the spare of the one that took over
	local ret

	fresh_hosts && begin 60 && kill_program a && until_true says serves spare && counts_on &&
		launch anew a "$program" -m -a 10.9.0.2 -k fd:9 -t 60 -- :: 9<"$key" &&
		until_true says "restarting as the spare" anew.err &&
		until_true says "^b [0-9]*$" after && ! says serves anew &&
		kill_program b && until_true says serves anew
	ret=$?
	end_hosts
	return $ret
}

test_spare_lost() { # a spare whose program has died is no reason not to serve
	local ret

	fresh_hosts && begin 2 && kill_program b && sleep 4 && : >client &&
		until_true says "^a [0-9]* alone$" client
	ret=$?
	end_hosts
	return $ret
}

tap_run "$here/tests/detect.sh"
