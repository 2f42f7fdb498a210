#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A hot-spare program over cptdevd: a database that goes from a to b by hand, and from b back
# to a when b's host is lost. Each row that a client was told is safe must be there, once, with
# its content, wherever the database is. TAP.

# shellcheck source=selftests/twohost/database.sh
. "$(dirname "$0")/database.sh"

# As the unit runs it: without the module, the daemon has no right to see how root's programs end.
daemon_user=990:997

host_end() {
	vm_signal "$1" "${program[$1]}" 9
	vm_wait "$1" "${program[$1]}" $limit >/dev/null || true
	daemon_end "$1" 15
	# One of the soft engine is gone with its daemon.
	vm_run "$1" '[ ! -e /dev/cptdev ] || cptdevctl replica remove --force db >/dev/null'
}

test_begin() {
	program_start b -s
	t 'the spare waits' until_true program_said b 'waiting for the promotion'
	program_start a -m
	t 'the master serves' until_true serves a
	t 'a table is safe' until_true says_safe a 'create table if not exists t (a integer primary key, b integer)'
	t 'rows are safe' add a 10
	t 'and there' all_there a
	t 'the spare misses nothing' not program_said b 'would lack'
	t 'the spare does not serve' not serves b
}

# The old master is idle: nobody asks it anything.
test_by_hand() {
	t 'promoted by hand' vm_run b 'cptdevctl promote --force db >/dev/null'
	t 'the spare goes on' until_true serves b
	t 'with all that was safe' all_there b
	t 'the old master becomes a spare by itself' until_true program_said a 'restarting as the spare'
	t 'and waits' until_true program_said a 'waiting for the promotion'
	t 'it does not serve any more' not serves a
	t 'writes are safe again' safe_again b
	t 'rows are safe' add b 10
	t 'and there' all_there b
}

# On b the promotion was taken.
test_second_taker() {
	local first=${program[b]}
	program_start b -s
	t 'a second taker is refused' until_true program_said b 'another program has taken over'
	vm_signal b "${program[b]}" 9
	vm_wait b "${program[b]}" $limit >/dev/null || true
	program[b]=$first
	t 'the first one goes on' add b 1
}

# started_anew host: its program has crashed, the other host goes on; it is started as a unit does
started_anew() {
	local host=$1 to=${other[$1]}
	vm_signal "$host" "${program[$host]}" 9
	vm_wait "$host" "${program[$host]}" $limit >/dev/null || true
	program_start "$host" -m
	t "$host crashed: $to goes on" until_true serves "$to"
	t "with all that was safe" all_there "$to"
	t "$host, started as the master, is not it" until_true program_said "$host" "can't begin as the master now"
	t "but waits" until_true program_said "$host" 'waiting for the promotion'
	t "writes are safe again" safe_again "$to"
	t "rows are safe" add "$to" 5
}

# A master that crashes is started anew in the same role, twice in a row.
test_started_anew() {
	started_anew b
	started_anew a
}

test_host_lost() {
	vm_kill b
	t 'host lost: the program on a goes on' until_true serves a
	t 'with all that was safe on b' all_there a
	t 'without a spare nothing is safe' not says_safe a 'create table u (x)'
}

# A mixed pair: b comes back without the module. The database goes from the module to the soft engine and
# back.
test_mixed() {
	host_launch b
	host_ready b
	t 'mixed: b has no module' vm_run b 'rmmod cptdev && [ ! -e /dev/cptdev ]'
	daemon_start b auto
	t 'mixed: its daemon lets programs in' until_true vm_run b 'test -S /run/cptdevd/programs'
	program_start b -s
	t 'mixed: a new spare waits' until_true program_said b 'waiting for the promotion'
	t 'writes are safe again' safe_again a
	t 'rows are safe' add a 5
	t 'and there' all_there a
	started_anew a
	started_anew b
}

main() {
	begin
	daemon_start b auto
	daemon_start a auto
	test_begin
	test_by_hand
	test_second_taker
	test_started_anew
	test_host_lost
	test_mixed
	# A replica holds the module, and a daemon whose peer has a session makes it again.
	host_end a
	host_end b
	t 'both hosts stop in order: a' vm_stop a
	t 'both hosts stop in order: b' vm_stop b
	printf '1..%d\n' $points
}

main
