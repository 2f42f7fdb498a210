#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# One host has a cptdevd of its own, as a service has it; the program on the other one has a private
# one. They are the same program, so either is the spare of the other. TAP on stdout.
#
#	mixed.sh DIR	DIR: where the library was built

set -u
here=$(cd "$(dirname "$0")/.." && pwd)
built=${1:?usage: mixed.sh DIR}

# shellcheck source=libckdev/hotspare/tests/hosts.sh
. "$here/tests/hosts.sh" ip
# shellcheck source=libckdev/tests/tap.sh
. "$here/../tests/tap.sh"

# The name of the session of a program with a private one.
session=hosts_program

# A program of that host. Its parent is another file than those that are killed.
over_host() { # NAME HOST OPTION
	[ -e keeper ] || cp "$program" keeper
	CPTDEVD_PROGRAMS=$work/$2.programs CPTDEVD_CONTROL=$work/$2.control \
		launch "$1" "$2" ./keeper keep "$program" "$3" -S $session -t 2 -- ::
}

with_private() { # NAME HOST OPTION
	local peer=10.9.0.1

	[ "$2" = b ] || peer=10.9.0.2
	launch "$1" "$2" "$program" "$3" -a $peer -k "$key" -t 2 -- ::
}

# answers HOST FILE: with a spare that has it
answers() {
	until_true says "^$1 [0-9]*$" "$2"
}

# A service goes on alone, by its policy, and doesn't say so to clients.
has_spare() {
	[ ! -e daemon-b.err ] || until_true says "follows from" daemon-b.err
}

# A's program dies, B goes on, A comes back as its spare, B's dies.
there_and_back() { # A-KIND B-KIND
	"$1" master a -m && until_true says serves master &&
		launch client c "$program" ask 10.9.0.1 && answers a client &&
		kill_program a && until_true says serves spare && counts_on &&
		"$1" again a -s && has_spare && : >after && answers b after &&
		kill_program b && until_true says serves again
}

finish() { # STATUS
	[ "$1" = 0 ] || tail -n 4 ./*.err | sed 's/^/# /'
	end_hosts
	return "$1"
}

test_private_spare() { # a program with a private cptdevd is the spare of one of the host's
	fresh_hosts && host_daemon a 10.9.0.2 "on_hang = failover" && with_private spare b -s &&
		until_true is_listening b && there_and_back over_host with_private
	finish $?
}

test_private_master() { # and the other way round
	fresh_hosts && host_daemon b 10.9.0.1 "on_hang = failover" && over_host spare b -s &&
		until_true says "waiting for the promotion" spare.err &&
		there_and_back with_private over_host
	finish $?
}

test_host_lost() { # a host that is lost is taken over from when its lease is over
	fresh_hosts && host_daemon a 10.9.0.2 "on_hang = failover" && with_private spare b -s &&
		until_true is_listening b && over_host master a -m && until_true says serves master &&
		launch client c "$program" ask 10.9.0.1 && answers a client && pull_the_plug &&
		until_true says serves spare && counts_on
	finish $?
}

tap_run "$here/tests/mixed.sh"
