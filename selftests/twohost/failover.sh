#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The spare takes over: by hand after the network was cut, so that the old primary lives
# and is fenced when it is back; by itself after the primary's host was lost. What it goes
# on from is what the application had, byte for byte, with all that was acknowledged. TAP.

# shellcheck source=selftests/twohost/hosts.sh
. "$(dirname "$0")/hosts.sh"
link_key=''

status_says() {
	vm_run "$1" 'cptdevctl status' | grep -q -- "$2"
}

# dead_in_time: when did b's daemon decide?
dead_in_time() {
	local silence
	silence=$(vm_run b 'cptdevctl status --json' |
		sed -n '/"failover": *{/,/}/s/.*"silence_ms": *\([0-9]*\).*/\1/p')
	say_why "decided after $silence ms of silence; timeout_ms is $timeout_ms"
	[ "${silence:-0}" -ge "$timeout_ms" ] && [ "$silence" -le $((timeout_ms + margin_ms)) ]
}

promoted_once() {
	say_why "promoted: $(vm_run b 'cat /tmp/promotions')"
	[ "$(vm_run b 'cat /tmp/promotions')" = "kv $generation 2" ]
}

# unchanged seed generation: the promoted replica is what it was
unchanged() {
	local seed=$1
	read_replica && [ "$generation $term $promoted" = "$2 2 1" ] && same_as_generation "$2"
}

# test_fenced when number: a program with the old term doesn't get at the promoted replica.
test_fenced() {
	local of=$seed last=$generation from
	app_start "$2" -r
	t "$1: a program of the old term is fenced" until_true app_said fenced
	from=$(published)
	until_true published_since $((from + 10))
	t "$1: nothing of it is acknowledged" not app_said acked
	t "$1: the replica is as it was" unchanged "$of" "$last"
	app_kill
}

# Deltas so small that some of them are in a's socket when the network is cut: sent, but
# nobody may call them acknowledged.
test_manual() {
	local last from gap=80
	pages=16
	app_start 1
	t 'checkpoints are acknowledged' until_true acked_since 3
	vm_net a drop
	t 'manual: a that is not heard counts as dead' until_true status_is b detector dead
	t 'manual: in time' dead_in_time
	t 'manual: status says so' status_says b dead
	t 'manual: the log has the next step' daemon_said b 'run: cptdevctl promote kv$'
	t 'manual: nothing is promoted' replica_is promoted false
	t 'promoted by hand' vm_run b 'cptdevctl promote kv >/dev/null'
	t 'the replica is right' replica_right
	last=$generation
	t 'its term is higher' [ "$term $promoted" = '2 1' ]
	vm_net a pass
	t 'network back: the old primary is told' until_true app_said fenced
	t 'and status says so there' status_says a FENCED
	from=$(published)
	t 'it goes on in vain' until_true published_since $((from + 10))
	t 'it was told of nothing that is not in the replica' not acked_since "$last"
	t 'the replica is as it was' unchanged "$seed" "$last"
	app_kill
	test_fenced 'started again' 2
	vm_run b 'cptdevctl replica remove kv >/dev/null'
}

waiter_said() {
	vm_output b "$waiter" O | grep -q "^$1"
}

# Only a's daemon is gone. A program waits on b: it would take over if it could.
test_without_daemon() {
	local waiter
	waiter=$(vm_spawn b 'exec ./ledger wait kv')
	t 'a program on b waits' until_true waiter_said waiting
	daemon_end a 9
	t "auto: a's daemon is gone, a answers" until_true status_is b detector 'no daemon'
	sleep $((2 * timeout_ms / 1000))
	t 'auto: nothing is promoted because of that' replica_is promoted false
	daemon_start a
	t 'started again, it goes on' goes_on
	t 'and nobody was fenced' not app_said fenced
	vm_signal b "$waiter" 9
	vm_wait b "$waiter" $limit >/dev/null || true
}

test_auto() {
	local waiter
	daemon_end b 15
	daemon_start b auto
	pages=128
	app_start 3
	t 'auto: checkpoints are acknowledged' until_true acked_since 3
	daemon_end a 9
	daemon_start a
	t "auto: a's daemon killed and started again: it goes on" goes_on
	t 'auto: that was no reason to promote' replica_is promoted false
	test_without_daemon
	link_slow
	until_seen staging
	vm_kill a
	t 'auto: host lost: a counts as dead' until_true status_is b detector dead
	t 'auto: in time' dead_in_time
	nap
	t 'auto: nobody waits on b, so nothing is promoted' replica_is promoted false
	waiter=$(vm_spawn b 'exec ./ledger wait kv')
	t 'auto: a program waits: the spare is promoted' until_true replica_is promoted true
	t 'and the program is told' until_true waiter_said promoted
	t 'the replica is right' replica_right
	t 'the command was told once' promoted_once
}

test_host_back() {
	host_launch a 1
	host_ready a
	daemon_start a
	test_fenced 'host back' 4
}

# What b is short of when its daemon starts: room for the control socket, and the address to
# listen on, which comes when the interface has it. SIGHUP goes to the daemon as it is.
test_short() {
	daemon_end b 15
	vm_run b 'mkdir -p /tmp/full && mount -t tmpfs -o nr_inodes=1 none /tmp/full'
	daemon_start b manual '[listen]' address=10.77.0.99 '[node]' control=/tmp/full/control
	t 'a full /run: the daemon says so' \
		until_true daemon_said b 'no control socket /tmp/full/control: No space left'
	t 'an address that is not there: it says so' \
		until_true daemon_said b "can't listen on 10.77.0.99:7475: Cannot assign"
	t 'it works all the same' until_true daemon_said b 'linked to a: shipping'
	vm_run b 'ip address add 10.77.0.99/24 dev eth0'
	t 'the address comes: it listens' until_true daemon_said b 'listening on 10.77.0.99:7475'
	vm_run b 'mount -o remount,nr_inodes=10 /tmp/full'
	t 'there is room: it can be asked' until_true vm_run b \
		'cptdevctl -s /tmp/full/control status --json | grep -q "\"listen_error\": null"'
	vm_run b 'sed -i s/failover=manual/failover=auto/ /tmp/conf'
	daemon_signal b 1
	t 'SIGHUP: the configuration is read anew' \
		until_true daemon_said b 'configuration: .failover. failover has changed'
	vm_run b 'echo frob=1 >>/tmp/conf'
	daemon_signal b 1
	t 'a mistake in it changes nothing' \
		until_true daemon_said b 'the new configuration has mistakes; the previous one stays in use'
}

main() {
	begin
	daemon_start b
	daemon_start a
	test_manual
	test_auto
	test_host_back
	test_short
	finish
}

main
