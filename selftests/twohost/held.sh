#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Established connections survive their host, where the module takes the checkpoints: the server of
# unit/hotspare-held on two hosts. TAP.
#
#	c: clients, switch ---- a: server, cptdevd, module
#	               \
#	                `------ b: its spare, cptdevd, module
#
# Clients connect once, to 10.77.0.9, which moves with the server, and check each answer: it has the sum of
# all bytes of the connection. [hold] needs the engine "soft", which takes what changed from the module.
#
#	SEED=	of the moments, and of what clients send
#	ROUNDS=	take-overs, 10 by default

# shellcheck source=selftests/qemu/lib.sh
. "$(dirname "$0")/../qemu/lib.sh"
# shellcheck source=selftests/tap.sh
. "$cptdev_top/selftests/tap.sh"

SEED=${SEED:-$EPOCHSECONDS}
rounds=${ROUNDS:-10}
clients=20
service=10.77.0.9
# Seconds that a state may take to come; for hangs only.
limit=180
declare -A job=() peer=([a]=10.77.0.2 [b]=10.77.0.1) other=([a]=b [b]=a)
RANDOM=$SEED

until_true() { # command...
	local end=$((SECONDS + limit))
	until "$@"; do
		[ $SECONDS -lt $end ] || {
			echo "# not within $limit s: $*"
			return 1
		}
		nap
	done
}

# start HOST.NAME COMMAND
start() {
	job[$1]=$(vm_spawn "${1%.*}" "$2")
}

# end HOST.NAME: killed, if it runs
end() {
	[ -n "${job[$1]:-}" ] || return 0
	vm_signal "${1%.*}" "${job[$1]}" 9
	vm_wait "${1%.*}" "${job[$1]}" $limit >/dev/null 2>&1 || true
	unset "job[$1]"
}

says() { # pattern host.name
	vm_output "${2%.*}" "${job[$2]}" O | grep -q -- "$1"
}

reports() { # pattern host.name: on its standard error
	vm_output "${2%.*}" "${job[$2]}" E | grep -q -- "$1"
}

# The hosts

launch() { # host
	local lib=/usr/lib/x86_64-linux-gnu/xtables
	local -A number=([a]=1 [b]=2)
	vm_launch "$1" "$KERNEL" NET="${number[$1]}" LAN=1 SMP=1 MEM=384 PROGS='iptables iptables-restore arping' \
		MODULES='nfnetlink_queue nf_tables nft_compat xt_NFQUEUE xt_tcpudp tcp_diag tls gcm aesni_intel' \
		FILES="$cptdev_build/libckdev/hotspare/held_program:/usr/bin/held_program \
			libckdev/hotspare/hotspare-address:/usr/bin/hotspare-address \
			$lib/libxt_NFQUEUE.so:$lib/libxt_NFQUEUE.so $lib/libxt_tcp.so:$lib/libxt_tcp.so"
}

boot() {
	vm_launch c "$KERNEL" NET=3 SMP=1 NOINSMOD=1 \
		FILES="$cptdev_build/libckdev/hotspare/held_program:/usr/bin/held_program"
	launch a
	launch b
	vm_ready c && vm_ready a && vm_ready b
}

# start_daemon host [no]: nothing is held
start_daemon() {
	vm_run "$1" "printf '%s\n' '[node]' name=$1 engine=soft '[peer]' address=${peer[$1]} 'insecure=yes anywhere' \
		'[failover]' failover=auto timeout_ms=4000 '[sessions]' alone=go-on >/tmp/conf
		[ -n '${2:-}' ] || printf '%s\n' '[hold]' session=held address=$service port=7000 >>/tmp/conf"
	start "$1.cptdevd" 'exec cptdevd -f -c /tmp/conf'
	until_true reports 'engine soft' "$1.cptdevd"
}

# The interface is known by its address.
# shellcheck disable=SC2016 # for the shell there
interface='$(basename $(dirname $(grep -l 52:54:00:77:00 /sys/class/net/*/address)))'

server() { # host option
	start "$1.server" "export CPTDEVD_PROGRAMS=/run/cptdevd/programs
		exec held_program $2 -S held -t 5 -x \"hotspare-address $interface $service\" -- $service"
}

spare() { # host
	server "$1" -s
	until_true reports 'waiting for the promotion' "$1.server"
}

is_attached() { # host
	vm_run "$1" 'cptdevctl status' 2>/dev/null | grep -q 'held .*followed'
}

by_module() { # host
	reports 'checkpoints by the cptdev module' "$1.server"
}

# Clients

answers() {
	{
		echo 0
		vm_output c "${job[c.clients]}" O | sed -n 's/^answers //p'
	} | tail -n 1
}

more_than() { # n
	[ "$(answers)" -gt "$1" ]
}

# Each has had some more, on the average.
progress() {
	until_true more_than $(($(answers) + 5 * clients))
}

start_clients() {
	vm_run c 'rm -f /tmp/stop'
	start c.clients "exec held_program ask $service $clients /tmp/stop $SEED"
	progress
}

# The clients' counts at the end: "wrong resets stuck".
harm() {
	vm_run c 'touch /tmp/stop'
	until_true says '^clients' c.clients >&2
	vm_output c "${job[c.clients]}" O |
		sed -n 's/^clients .* wrong \(.*\) resets \(.*\) stuck \(.*\)/\1 \2 \3/p'
}

no_harm() {
	local found
	found=$(harm)
	vm_output c "${job[c.clients]}" O | sed -n 's/^\(latency\|longest\)/# &/p'
	[ "$found" = '0 0 0' ] || {
		echo "# wrong, resets, stuck: $found"
		vm_output c "${job[c.clients]}" O | grep '^client ' | head -n 5 | sed 's/^/# /'
		return 1
	}
}

some_harm() {
	local found
	found=$(harm)
	echo "# wrong, resets, stuck: $found"
	[ -n "$found" ] && [ "$found" != '0 0 0' ]
}

a_random_moment() {
	nap_for "0.$(printf %03d $((RANDOM % 1000)))"
}

# The points

test_begin() {
	t 'the hosts boot' boot
	start_daemon a
	start_daemon b
	t 'the spare waits' spare b
	server a -m
	t 'the server serves' until_true says serves a.server
	t 'its checkpoints are the module'\''s' until_true by_module a
	t 'it has a spare' until_true is_attached a
	t 'clients have answers' start_clients
}

# The program is killed on a host that lives on: no end and no reset of a connection leaves it.
program_lost() { # host
	local to=${other[$1]}
	a_random_moment
	end "$1.server"
	until_true says serves "$to.server" && by_module "$to" && progress && spare "$1" &&
		until_true is_attached "$to" && progress
}

test_programs_lost() {
	local at=a i
	for ((i = 0; i < rounds; i++)); do
		t "take-over $((i + 1)): the program on $at is lost" program_lost "$at"
		at=${other[$at]}
	done
	server_at=$at
}

host_lost() { # host
	local to=${other[$1]}
	a_random_moment
	vm_kill "$1"
	unset "job[$1.server]" "job[$1.cptdevd]"
	until_true says serves "$to.server" && progress
}

test_host_lost() {
	t "the host $server_at is lost" host_lost "$server_at"
	t 'no byte was wrong, no connection reset or stuck' no_harm
}

# The control: without [hold], what leaves is in no checkpoint that the spare has.
not_held() {
	local host
	for host in a b; do
		end $host.server
		end $host.cptdevd
		vm_run $host "ip addr flush to $service; iptables -D OUTPUT -j cptdev-hold; iptables -F cptdev-hold
			iptables -X cptdev-hold; rm -rf /var/lib/cptdev/*" >/dev/null 2>&1
	done
	start_daemon a no
	start_daemon b no
	spare b
	server a -m
	until_true says serves a.server && until_true is_attached a && start_clients || return
	vm_signal b "${job[b.cptdevd]}" 19
	a_random_moment
	vm_kill a
	unset 'job[a.server]' 'job[a.cptdevd]'
	vm_signal b "${job[b.cptdevd]}" 18
	until_true says serves b.server && some_harm
}

test_not_held() {
	launch "$server_at"
	t 'the lost host comes back' vm_ready "$server_at"
	t 'the control: without [hold] clients are harmed' not_held
}

main() {
	printf 'TAP version 13\n'
	echo "# SEED=$SEED"
	nap
	test_begin
	test_programs_lost
	test_host_lost
	test_not_held
	end b.server
	end b.cptdevd
	t 'b stops in order' vm_stop b
	t 'c stops in order' vm_stop c
	printf '1..%d\n' $points
}

main
