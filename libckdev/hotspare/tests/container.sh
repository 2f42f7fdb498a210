#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Documentation/containers.rst: a program and its spare in containers, with the profile of that page, and
# what happens without it. TAP on stdout.
#
#	container.sh DIR	DIR: where the library was built

set -u
here=$(cd "$(dirname "$0")/.." && pwd)
built=${1:?usage: container.sh DIR}

# shellcheck source=libckdev/hotspare/tests/hosts.sh
. "$here/tests/hosts.sh" ip jq
# shellcheck source=libckdev/tests/tap.sh
. "$here/../tests/tap.sh"

contained=$built/contained
page=$here/../../Documentation/containers.rst

client_is_served() {
	until_true says serves master || return
	launch client c "$program" ask 10.9.0.1
	until_true says "^a [0-9]*$" client
}

test_filter() { # control: the filter denies what it says
	! "$contained" setarch -R true 2>/dev/null || fail "personality(2) is allowed" || return
	! "$contained" -p unshare -m true 2>/dev/null || fail "unshare(2) is allowed" || return
	"$contained" -p setarch -R true || fail "personality(2) is denied" || return
	[ "$("$contained" sh -c 'echo $$')" = 1 ] || fail "it isn't process 1"
}

test_default_profile() { # with the default profile of a runtime the program doesn't begin, and says why
	"$contained" "$program" -m -a 10.9.0.2 -k "$key" -- :: >said 2>&1 && fail "it began" && return 1
	says "a security profile forbids personality(2)" said
}

test_private() { # each container with a cptdevd of its program's
	local ret

	fresh_hosts && launch spare b "$contained" -p "$program" -s -a 10.9.0.1 -k "$key" -t 2 -- :: &&
		until_true is_listening b &&
		launch master a "$contained" -p "$program" -m -a 10.9.0.2 -k "$key" -t 2 -- :: &&
		client_is_served && pull_the_plug && until_true says serves spare && counts_on
	ret=$?
	end_hosts
	return $ret
}

test_host_daemon() { # the hosts' cptdevd, whose socket is in the containers
	local ret

	fresh_hosts && host_daemon a 10.9.0.2 && host_daemon b 10.9.0.1 &&
		launch spare b env CPTDEVD_PROGRAMS="$work/b.programs" CPTDEVD_CONTROL="$work/b.control" \
			"$contained" -p "$program" -s -S shop -- :: &&
		until_true says 'waiting for the promotion' spare.err &&
		launch master a env CPTDEVD_PROGRAMS="$work/a.programs" CPTDEVD_CONTROL="$work/a.control" \
			"$contained" -p "$program" -m -S shop -- :: &&
		client_is_served && pull_the_plug && until_true says serves spare && counts_on
	ret=$?
	end_hosts
	return $ret
}

# The profile that the page makes of the runtime's.
test_profile() { # the page's command adds the two calls to a profile, and nothing else
	local command

	command=$(sed -n "/jq '/,/profile.json\$/s/^\t//p" "$page")
	[ -n "$command" ] || fail "the page has no command" || return
	echo '{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}' >default.json
	sh -c "$command" || return
	jq -e '.syscalls | length == 3 and .[0].names == ["read"]
		and (.[1] | .names == ["personality"] and .action == "SCMP_ACT_ALLOW" and
			.args == [{"index": 0, "value": 262144, "op": "SCMP_CMP_EQ"}])
		and (.[2] | .names == ["kcmp"] and .action == "SCMP_ACT_ALLOW")' profile.json >/dev/null
}

tap_run "$here/tests/container.sh"
