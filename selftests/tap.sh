# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Points of TAP, for scripts in guests and on the host. To be sourced; who does prints the
# plan, which is $points in the end.

points=0

# t name command...: a point
t() {
	local name=$1
	shift
	points=$((points + 1))
	if "$@"; then
		printf 'ok %d %s\n' $points "$name"
	else
		printf 'not ok %d %s\n' $points "$name"
	fi
}
