#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# hotspare.sh TEST: a test of the hot-spare library, as it runs on the host, with the
# module. That it is the module is asked for: without it there would be an error. "written"
# is of what there is without it.

dir=$(dirname "$0")

# How many take-overs, or checkpoints.
ROUNDS=100
[ "${CPTDEV_LENGTH:-}" != short ] || ROUNDS=6
[ "${CPTDEV_LENGTH:-}" != soak ] || ROUNDS=1000
# Each takes a second or more there, with the threads that write.
[ "$1" != written ] || ROUNDS=$((ROUNDS / 4))
export ROUNDS
HOTSPARE_BACKEND=module CMOCKA_MESSAGE_OUTPUT=TAP exec "$dir/$1_test"
