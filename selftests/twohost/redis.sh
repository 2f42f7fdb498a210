#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Programs as they are, with their connections, in guests: what "make demo-redis" shows. The clients
# know each answer. The controls, in which clients are harmed, are in unit/run-redis.

here=$(cd "$(dirname "$0")" && pwd)
demo=$here/../demo/redis
said=$(mktemp)
trap 'rm -f "$said"' EXIT

point() { # number what pattern
	if grep -q "$3" "$said"; then
		echo "ok $1 $2"
	else
		echo "not ok $1 $2"
	fi
}

echo 1..3
K=${KERNEL:-} CLIENTS=20 "$demo" >"$said" 2>&1
sed 's/^/# /' "$said"
point 1 'redis-server: its host is lost, its connections go on' '\] python3 on b'
point 2 'a server in python3, with a thread for each connection' '\] bc on a'
point 3 'bc at a terminal' '^PASS$'
