#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A program that crashes while its host is well goes on on the spot (keep = restart): kvstore on a is
# killed twenty times under load, and started again as its unit would do it. Nothing that was acknowledged
# is lost, and kvstore on b doesn't take over; until the one on a isn't started again. TAP.

# shellcheck disable=SC2016 # commands are for the shells of the guests

# shellcheck source=selftests/twohost/hosts.sh
. "$(dirname "$0")/hosts.sh"
link_key=''

kills=${KILLS:-20}
port=7070

# The unit of the program on a, Restart=always; and what kills it. Each waits for an answer in between.
unit_script() {
	cat <<-'END'
		#!/bin/bash
		# The kernel makes the process's end known when its memory is free: that is a part of the time.
		while [ ! -e /tmp/enough ]; do
			kvstore --role primary --name kv --arena "$1" >>/tmp/kvstore 2>&1 &
			echo $! >/tmp/pid
			wait $!
		done
	END
}

kill_script() {
	cat <<-'END'
		#!/bin/bash
		answers() { grep -c first-answer /tmp/load; }
		for ((i = 0; i < $1; i++)); do
			sleep "$((RANDOM % 2 + 1)).$((RANDOM % 10))"
			n=$(answers)
			kill -9 "$(</tmp/pid)"
			for ((k = 0; k < 600; k++)); do
				[ "$(answers)" -gt "$n" ] && break
				sleep 0.1
			done
			[ "$(answers)" -gt "$n" ] || exit 1
		done
	END
}

guest_script() { # name script
	local file=$vm_root/script
	"$2" >"$file"
	vm_put a "$file" "/tmp/$1" && vm_run a "chmod +x /tmp/$1"
}

said() { # host file pattern
	vm_run "$1" "grep -qE -- '$3' '/tmp/$2' 2>/dev/null"
}

both_begin() { # line of the configuration...
	local host
	for host in b a; do
		daemon_start $host auto '[sessions]' "$@"
	done
	until_true daemon_said a 'linked to b' || return
	spare=$(vm_spawn b 'exec kvstore --role spare --name kv >/tmp/kvstore 2>&1')
	until_true said b kvstore waiting || return
	vm_run a 'rm -f /tmp/enough /tmp/kvstore /tmp/load'
	unit=$(vm_spawn a "exec bash /tmp/unit ${ARENA:-64}" 3600)
	until_true said a kvstore serving || {
		say_why "a: $(vm_run a 'tail -n 3 /tmp/kvstore' 2>&1; vm_output a "$unit" E)"
		return 1
	}
}

both_end() {
	local host
	vm_run a 'touch /tmp/enough; kill -9 $(pidof kvstore kvload) 2>/dev/null' || true
	vm_run b 'kill -9 $(pidof kvstore) 2>/dev/null' || true
	vm_wait a "$unit" $limit >/dev/null 2>&1 || true
	vm_wait b "$spare" $limit >/dev/null 2>&1 || true
	for host in a b; do
		daemon_end $host 9
		vm_run $host 'cptdevctl replica remove --force kv >/dev/null 2>&1; rm -rf /var/lib/cptdev' || true
	done
}

load_begin() {
	# Words for long enough: the rate is limited.
	vm_run a "awk 'BEGIN {for (i = 0; i < 40000; i++) print \"word\" i * 7919 % 4001, \"all\"}' >/tmp/words"
	vm_spawn a "exec kvload --rate ${RATE:-150} --timeout 20 --ledger /tmp/ledger \
		127.0.0.1:$port,10.77.0.2:$port /tmp/words >/tmp/load 2>&1" 3600 >/dev/null
	until_true said a load ' connected '
}

# Nobody of the load's clients has missed anything that it was told: status 3 would say so.
load_lives() {
	vm_run a 'pidof kvload >/dev/null' || {
		say_why "kvload: $(vm_run a 'tail -n 1 /tmp/load')"
		return 1
	}
}

# What the ledger has is in the store: SIGTERM ends the load, SIGUSR1 writes what was acknowledged.
ledger_holds() {
	vm_run a 'kill -USR1 $(pidof kvload); sleep 1; grep -c "^word" /tmp/ledger' >/dev/null && load_lives
}

tell_times() {
	vm_run a "sed -n 's/.*first-answer.*gap_ms=\([0-9]*\).*/\1/p' /tmp/load | grep -v '^0$' | sort -n" >"$vm_root/gaps"
	say_why "$1: gaps of a client's answers, ms: smallest $(head -n 1 "$vm_root/gaps"), median $(
		sed -n "$(($(wc -l <"$vm_root/gaps") / 2 + 1))p" "$vm_root/gaps"), largest $(tail -n 1 "$vm_root/gaps")"
	say_why "$1: restoring, ms: $(vm_run a "sed -n 's/.*restored.*ms=\([0-9]*\).*/\1/p' /tmp/kvstore" | sort -n | tr '\n' ' ')"
}

restarts() {
	vm_run a 'grep -c restored /tmp/kvstore'
}

test_on_the_spot() {
	t 'keep = restart: begin' both_begin keep=restart restart_s=60 keep_s=120
	t 'load' load_begin
	t 'status shows what is kept' until_true vm_run a \
		'cptdevctl status | grep -q "generation .* is kept on this host for a restart"'
	t "killed $kills times, each time there is an answer again" vm_run a "bash /tmp/kill $kills" $((kills * 60))
	t 'each time it went on on the spot' [ "$(restarts)" = "$kills" ]
	t 'nothing that was acknowledged is missing' ledger_holds
	t 'the spare has not taken over' not said b kvstore promoted
	tell_times 'killed'
	both_end
}

test_not_back() {
	t 'not back: begin' both_begin keep=restart restart_s=3 keep_s=120
	t 'not back: load' load_begin
	vm_run a 'touch /tmp/enough; sleep 2; kill -9 $(</tmp/pid)'
	t 'not back: the spare takes over after restart_s' until_true said b kvstore serving
	t 'not back: and answers' until_true vm_run a 'tail -n 3 /tmp/load | grep -q 10.77.0.2'
	t 'not back: nothing that was acknowledged is missing' ledger_holds
	t 'not back: what was kept is replaced by what b sends' until_true not vm_run a \
		'cptdevctl status | grep -q "is kept on this host"'
	both_end
}

# Either the program on a or the one on b goes on, whoever is faster: restart_s is over when it begins.
test_both_at_once() {
	local i a b
	for i in 1 2 3; do
		t "both at once, $i: begin" both_begin keep=restart restart_s=1 keep_s=120
		t "both at once, $i: load" load_begin
		vm_run a 'touch /tmp/enough; sleep 2; kill -9 $(</tmp/pid)'
		sleep 0.9
		again=$(vm_spawn a 'exec kvstore --role primary --name kv --arena 64 >/tmp/again 2>&1')
		t "both at once, $i: somebody answers" until_true vm_run a \
			'grep -q first-answer /tmp/load'
		sleep 2
		a=$(vm_run a 'grep -c "serving" /tmp/again' || true) b=$(vm_run b 'grep -c serving /tmp/kvstore' || true)
		say_why "serving: a $a, b $b"
		t "both at once, $i: exactly one goes on" [ "$((a + b))" = 1 ]
		t "both at once, $i: nothing that was acknowledged is missing" ledger_holds
		t "both at once, $i: no split brain" not vm_run a 'cptdevctl status | grep -q "SPLIT BRAIN"'
		both_end
		vm_wait a "$again" 5 >/dev/null 2>&1 || true
	done
}

main() {
	begin
	guest_script unit unit_script
	guest_script kill kill_script
	test_on_the_spot
	test_not_back
	test_both_at_once
	t 'both hosts stop in order: a' vm_stop a
	t 'both hosts stop in order: b' vm_stop b
	printf '1..%d\n' "$points"
}

main
