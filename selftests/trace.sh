#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The tracepoints: they are there, and what they show is what happened.

events=/sys/kernel/tracing/events/cptdev
[ -d "$events" ] || { echo "1..0 # SKIP no tracefs"; exit 4; }

echo 1..4
# shellcheck source=selftests/tap.sh
. "$(dirname "$0")/tap.sh"

has() {
	grep -qE "$1" /sys/kernel/tracing/trace
}

t 'there is one for each of scan, snapshot and commit' \
	test -d $events/cptdev_scan -a -d $events/cptdev_snapshot -a -d $events/cptdev_commit

echo > /sys/kernel/tracing/trace
echo 1 > $events/enable
"$(dirname "$0")/hold" all-and-exit
echo 0 > $events/enable

t 'a scan: pages, dirty ones' \
	has 'cptdev_scan: session=[0-9]+ flags=0x1 pages=64 dirty=64 regions=0 ret=0'
t 'a snapshot: pages visited, changed, the pause' \
	has 'cptdev_snapshot: session=[0-9]+ flags=0x2 generation=1 base=0 visited=64 changed=64 holes=0 copied=0 pause=[1-9][0-9]*ns ret=0'
t 'a commit: which generation, how much was staged' \
	has 'cptdev_commit: replica=hold term=1 generation=1 staged=1 pages=1 visited=0 ret=0'
