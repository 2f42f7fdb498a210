# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# How a demonstration speaks. To be sourced behind qemu/lib.sh; "work" is its directory.

fail() {
	printf '\nFAIL: %s\n' "$1"
	shift
	[ $# -eq 0 ] || printf '  %s\n' "$@"
	say "  What each part said: $work"
	exit 1
}

step() {
	printf '\n[%3d s] %s\n' "$SECONDS" "$*"
}

# ms: this machine's time, since 1970
ms() {
	local t=${EPOCHREALTIME/[.,]/}
	printf '%s\n' $((t / 1000))
}

# give_key host: the one for the link of the two hosts
give_key() {
	[ -e "$work/key" ] || "$cptdev_build/daemon/cptdevctl" key "$work/key" >/dev/null ||
		fail "no key for the two hosts"
	vm_put "$1" "$work/key" /tmp/key 600
}

await() { # seconds what command...
	local end=$((SECONDS + $1)) what=$2
	shift 2
	until "$@"; do
		[ $SECONDS -lt $end ] || fail "$what: not within the time"
		nap
	done
}
