#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A spare that asks cptdevd(8) whether its master's host lives, and what it makes of a daemon that
# is wrong or gone. The daemon is the real one, as far as it goes without the module. TAP on
# stdout.
#
#	detect.sh DIR	DIR: where the library was built
#
# Without the daemon it would take the connection 60 s to notice that the other host is lost: no
# test waits for so long.

set -u
here=$(cd "$(dirname "$0")/.." && pwd)
built=${1:?usage: detect.sh DIR}
cptdevd=${CPTDEVD:-$built/../../daemon/cptdevd}

# shellcheck source=libckdev/hotspare/tests/hosts.sh
. "$here/tests/hosts.sh" ip "$cptdevd"
# shellcheck source=libckdev/tests/tap.sh
. "$here/../tests/tap.sh"

# A spare's is where it is by default.
control_of() { # HOST
	[ "$1" = b ] && echo /run/cptdevd/control || echo "/run/cptdevd-$1/control"
}

daemon() { # HOST OTHER
	printf '[node]\nname = %s\ncontrol = %s\nstate_dir = %s.state\nengine = module\n[peer]\naddress = %s\n' \
		"$1" "$(control_of "$1")" "$(control_of "$1")" "$2" >"$1.conf"
	launch "cptdevd-$1" "$1" "$cptdevd" -f -c "$1.conf"
}

kill_daemon() { # HOST
	local pid

	for pid in $(ip netns pids "$1"); do
		[ "$(readlink "/proc/$pid/exe")" != "$(realpath "$cptdevd")" ] ||
			kill -KILL "$pid"
	done
}

daemons() {
	daemon a 10.9.0.2
	daemon b 10.9.0.1
	until_true says "receiving from it" cptdevd-b.err
}

# A master in a, with a client, and its spare in b.
begin() {
	launch spare b "$program" -s -a 10.9.0.1 -t 60 -- ::
	until_true is_listening b || return
	launch master a "$program" -m -a 10.9.0.2 -t 60 -- ::
	until_true says serves master || return
	launch client c "$program" ask 10.9.0.1
	until_true says "^a [0-9]*$" client
}

# It works and has its spare: an answer comes that wasn't there yet.
goes_on() {
	: >client
	until_true says "^a [0-9]*$" client && ! says serves spare
}

test_host_lost() { # a host that both lose is taken over from long before the connection's timeout
	local ret

	fresh_hosts && daemons && begin &&
		until_true says "told by its connection, and by cptdevd" spare.err &&
		pull_the_plug && until_true says serves spare &&
		says "the master's host is gone, says cptdevd" spare.err &&
		until_true runs_alone b
	ret=$?
	end_hosts
	return $ret
}

# Nothing is left of what has asked the daemon.
runs_alone() {
	[ "$(pids_of_program "$1" | wc -l)" = 1 ]
}

test_program_lost() { # a program that has died is, though the daemon says that its host lives
	local ret

	fresh_hosts && daemons && begin &&
		until_true says "told by its connection, and by cptdevd" spare.err &&
		kill_program a && until_true says serves spare &&
		! says "host is gone" spare.err
	ret=$?
	end_hosts
	return $ret
}

test_their_daemon_dies() { # a master whose host has lost its daemon isn't dead
	local ret

	fresh_hosts && daemons && begin &&
		until_true says "told by its connection, and by cptdevd" spare.err &&
		kill_daemon a && until_true says "peer a: its host answers" cptdevd-b.err &&
		until_true says "connection alone: .*cptdevd of the other host is gone" spare.err &&
		goes_on && daemon a 10.9.0.2 && until_true heard_twice && goes_on &&
		pull_the_plug && until_true says serves spare
	ret=$?
	end_hosts
	return $ret
}

heard_twice() {
	[ "$(grep -c "told by its connection, and by cptdevd" spare.err)" = 2 ]
}

test_our_daemon_dies() { # nor is one whose spare's host has; that is told, and that it is back
	local ret

	fresh_hosts && daemons && begin &&
		until_true says "told by its connection, and by cptdevd" spare.err &&
		kill_daemon b &&
		until_true says "connection alone: .*control: cptdevd isn't running" spare.err &&
		goes_on && daemon b 10.9.0.1 && until_true heard_twice && goes_on &&
		pull_the_plug && until_true says serves spare
	ret=$?
	end_hosts
	return $ret
}

test_without() { # without a daemon the connection alone decides
	local ret

	fresh_hosts && begin &&
		until_true says "connection alone: .*control: cptdevd isn't running" spare.err &&
		goes_on && kill_program a && until_true says serves spare
	ret=$?
	end_hosts
	return $ret
}

tap_run "$here/tests/detect.sh"
