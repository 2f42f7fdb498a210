#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A program goes on from a replica that the module has: the daemon "beta" uses it, and the daemons of
# the first program and of the next one have soft engines. TAP.

# shellcheck source=selftests/tap.sh
. "$(dirname "$0")/tap.sh"

dir=$(mktemp -d)
cd "$dir" || exit
export MEMORY_MIB=4
program=/tests/hosts_program
nodes=(alpha beta gamma)

conf() { # NODE ENGINE PORT PEER...
	local node=$1 first=1
	cat >"$node.conf" <<-END
		[node]
		name = $node
		log_level = info
		engine = $2
		control = $dir/$node.control
		programs = $dir/$node.programs
		state_dir = $dir/$node.state
		[listen]
		address = 127.0.0.1
		port = $3
		[failover]
		failover = manual
		heartbeat_interval_ms = 200
		timeout_ms = 2000
	END
	shift 3
	for peer; do
		[ $first = 1 ] && printf '[peer]\ninsecure = yes\nname = %s\n' "${nodes[$peer]}" >>"$node.conf"
		[ $first = 1 ] || echo "[peer ${nodes[$peer]}]" >>"$node.conf"
		printf 'address = 127.0.0.1\nport = 741%s\n' "$peer" >>"$node.conf"
		first=0
	done
}

# Its process.
declare -A daemon

start() { # NODE
	cptdevd --foreground --config "$1.conf" 2>>"$1.log" &
	daemon[$1]=$!
}

until_true() { # COMMAND...
	local end=$((SECONDS + 40))
	while [ $SECONDS -lt $end ]; do
		"$@" >/dev/null 2>&1 && return
		sleep 0.2
	done
	echo "# not within 40 s: $*"
	tail -n 5 ./*.log ./*.err | sed 's/^/# /'
	return 1
}

# In the background, under the session's name; what it says is in a file.
server() { # NODE OPTION...
	local node=$1
	shift
	HOST=$node CPTDEVD_PROGRAMS=$dir/$node.programs CPTDEVD_CONTROL=$dir/$node.control \
		setarch -R "$program" "$@" -S svc -t 5 -- 127.0.0.1 >>"on-$node" 2>>"on-$node.err" &
	last=$!
}

says() { # PATTERN FILE
	grep -q -- "$1" "$2"
}

status_has() { # NODE PATTERN
	cptdevctl --socket "$dir/$1.control" status | grep -q -- "$2"
}

# Once; a client gives up after a moment, and a slow machine needs longer for the first answers.
ask() {
	"$program" ask 127.0.0.1 1 >>client
}

# alpha serves, and beta has its replica; then it is lost with its program.
begin() {
	server alpha -m -b portable
	local first=$last
	until_true says serves on-alpha && until_true ask && until_true status_has alpha followed &&
		until_true ask || return
	kill -KILL "${daemon[alpha]}" "$first"
	wait "${daemon[alpha]}" "$first" 2>/dev/null
	return 0
}

goes_on() {
	server gamma -m -F beta -b portable
	until_true says "all of the memory is in place" on-gamma.err && until_true ask || return
	! says wrong client && says '^gamma [0-9]*$' client
}

# The last number of alpha is below the first one of gamma.
counts_on() {
	[ "$(sed -n 's/^alpha \([0-9]*\).*/\1/p' client | tail -n 1)" -lt \
		"$(sed -n 's/^gamma \([0-9]*\).*/\1/p' client | head -n 1)" ]
}

# What beta has now is gamma's.
is_followed() {
	until_true status_has gamma followed && until_true status_has beta 'svc .*follows'
}

ip link set lo up
conf alpha soft 7410 1
conf beta module 7411 0 2
conf gamma soft 7412 1
for node in "${nodes[@]}"; do
	start "$node"
done
# The programs begin when they can connect.
for node in alpha gamma; do
	until_true test -S "$node.programs"
done
t "the replica is in the module, and its program is lost" begin
t "a program goes on from it, on a host with the soft engine" goes_on
t "nothing is lost" counts_on
t "and the module's replica is its spare" is_followed
# shellcheck disable=SC2046 # numbers
kill -KILL $(jobs -p) 2>/dev/null
wait
# The module keeps it, and has to be unloaded.
cptdevctl replica remove svc >/dev/null
rm -rf "$dir"
printf '1..%d\n' $points
