#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# hotspare.sh TEST [TELLER]: a test of the hot-spare library, as it runs on the host, with the
# module. That it is the module is asked for: without it there would be an error. "written"
# and "mutants" are of what there is without it: the kernel has to have that TELLER.

dir=$(dirname "$0")

# How many take-overs, or checkpoints; fewer unless "make check-all" runs it.
ROUNDS=100
if [ "${CPTDEV_TIER:-all}" != all ]; then
	ROUNDS=30
	# A take-over of the database costs three seconds of an emulated processor.
	[ "$1" != sqlite ] || ROUNDS=6
fi
[ "${CPTDEV_LENGTH:-}" != short ] || ROUNDS=6
[ "${CPTDEV_LENGTH:-}" != soak ] || ROUNDS=1000
# Each takes a second or more there, with the threads that write.
[ -z "${2:-}" ] || ROUNDS=$((ROUNDS / 4))
# Wherever it is installed.
export CPTDEVD=cptdevd
export ROUNDS CMOCKA_MESSAGE_OUTPUT=TAP
if [ -n "${2:-}" ]; then
	echo 10 >/sys/kernel/mm/ksm/sleep_millisecs
	echo 1 >/sys/kernel/mm/ksm/run
fi
case $1 in
written) TELLER=$2 exec "$dir/written_test" ;;
mutants) exec "$dir/mutants.sh" "$dir/written_mutant" "$2" ;;
*) HOTSPARE_BACKEND=module exec "$dir/$1_test" ;;
esac
