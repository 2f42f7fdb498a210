#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Loading and unloading: refused while anything is in use, clean otherwise.

module=/usr/lib/cptdev/cptdev.ko
tests=$(dirname "$0")
times=100
[ "${CPTDEV_TIER:-all}" = all ] || times=30
[ "${CPTDEV_LENGTH:-}" != short ] || times=10

echo 1..7
# shellcheck source=selftests/tap.sh
. "$(dirname "$0")/tap.sh"

refused() {
	! rmmod cptdev 2>/dev/null
}

# Work in the kernel that goes on after the last close, for a moment.
unload() {
	for _ in {1..50}; do
		rmmod cptdev 2>/dev/null && return
		sleep 0.1
	done
	return 1
}

# user what: hold it in the background, from when this returns
user() {
	rm -f "/tmp/hold.$1"
	"$tests/hold" "$1" & # writes the file when it has what it is to hold
	holder=$!
	until [ -s "/tmp/hold.$1" ]; do sleep 0.02; done
}

# What is in use ends at the moment at which the module is to go.
cycle() {
	local session snapshot
	insmod $module || return 1
	user session
	session=$holder
	user snapshot
	snapshot=$holder
	refused || return 1
	kill "$session" "$snapshot"
	unload || return 1
	wait "$session" "$snapshot" 2>/dev/null
	return 0
}

cycles() {
	local n
	for ((n = 1; n <= times; n++)); do
		cycle || { echo "# cycle $n"; return 1; }
	done
	insmod $module && "$tests/hold" all-and-exit && unload
}

for what in device session snapshot replica; do
	user $what
	t "refused with a $what in use" refused
	# of a replica nobody is left
	kill $holder 2>/dev/null
	wait $holder 2>/dev/null
done
"$tests/hold" remove
t 'unloaded when all is closed' unload
t "loaded, used and unloaded $times times" cycles
t 'loaded again' insmod $module
