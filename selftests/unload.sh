#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Loading and unloading: refused while anything is in use, clean otherwise.

module=/usr/lib/cptdev/cptdev.ko
tests=$(dirname "$0")

echo 1..7
point=0

check() {
	local text=$1 result=ok
	shift
	point=$((point + 1))
	"$@" || result='not ok'
	echo "$result $point $text"
}

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

user() {
	"$tests/hold" "$1" & # prints a line when it has what it is to hold
	holder=$!
	until [ -s "/tmp/hold.$1" ]; do sleep 0.05; done
}

cycles() {
	for _ in {1..20}; do
		insmod $module || return 1
		"$tests/hold" all-and-exit || return 1
		unload || return 1
	done
}

for what in device session snapshot replica; do
	user $what
	check "refused with a $what in use" refused
	kill $holder
	wait $holder 2>/dev/null
done
"$tests/hold" remove
check 'unloaded when all is closed' unload
check 'loaded, used and unloaded twenty times' cycles
check 'loaded again' insmod $module
