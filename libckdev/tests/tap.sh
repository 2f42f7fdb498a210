# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# For test scripts: functions test_*, each with what it shows as a comment behind its
# brace, are run in order and reported in TAP.

fail() {
	echo "# $*"
	return 1
}

same() { # what, got, wanted
	[ "$2" = "$3" ] || fail "$1: got '$2', want '$3'"
}

has() { # pattern, file
	grep -q -- "$1" "$2" || fail "no '$1' in: $(tail -n 3 "$2")"
}

# The names are read off the script itself: the plan can't be forgotten.
tap_run() { # script
	local all number=0 failed=0 ok name

	all=$(sed -n 's/^\(test_[a-z_0-9]*\)() { # .*/\1/p' "$1")
	echo "TAP version 13"
	echo "1..$(wc -w <<<"$all")"
	for t in $all; do
		number=$((number + 1))
		name=$(sed -n "s/^$t() { # //p" "$1")
		ok="ok"
		"$t" || ok="not ok"
		[ "$ok" = ok ] || failed=$((failed + 1))
		echo "$ok $number $name"
	done
	[ "$failed" -eq 0 ]
}
