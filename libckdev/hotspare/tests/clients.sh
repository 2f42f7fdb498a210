# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Clients that never connect again, and whether a take-over has harmed them; to be sourced after
# hosts.sh. The script has started them on host c, $clients in number; they write to the file "ask",
# and send no more when there is a file "stop".

answers() {
	sed -n 's/^answers //p' ask | tail -n 1
}

more_than() { # N
	[ "$(answers)" -gt "$1" ]
}

# Each client has had some more, on the average.
has_progress() {
	until_true says "^answers" ask && until_true more_than $(($(answers) + 10 * clients))
}

at_a_random_moment() {
	sleep "0.$(printf %03d $((RANDOM % 1000)))"
}

# The clients' counts at the end: "wrong resets stuck".
harm() {
	: >stop
	until_true says "^clients" ask >&2
	sed -n 's/^clients .* wrong \(.*\) resets \(.*\) stuck \(.*\)/\1 \2 \3/p' ask
}

no_harm() {
	same "wrong, resets, stuck" "$(harm)" "0 0 0" || return
	sed -n 's/^longest \(.*\)/# longest time without an answer: \1 ms/p' ask
}

some_harm() {
	local found

	found=$(harm)
	echo "# wrong, resets, stuck: $found"
	[ -n "$found" ] || return
	[ "$found" != "0 0 0" ] || fail "no client has noticed anything"
}

finish() { # STATUS
	[ "$1" = 0 ] || tail -n 5 ./*.err ask | sed 's/^/# /'
	end_hosts
	return "$1"
}
