#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A hot-spare program over cptdevd: a database that goes from a to b by hand, and from b back
# to a when b's host is lost. Each row that a client was told is safe must be there, once, with
# its content, wherever the database is. TAP.

# shellcheck source=selftests/twohost/hosts.sh
. "$(dirname "$0")/hosts.sh"

built=$cptdev_build/libckdev/hotspare
declare -A program=()
# Rows that clients were told are safe.
rows=0

# host_launch name number
host_launch() {
	local -A kernel=([a]=$KERNEL [b]=$KERNEL_B)
	local -a files=("$built/sqlite-hotspare:/usr/bin/sqlite-hotspare"
		"$built/libhotspare.so.1:/usr/lib/x86_64-linux-gnu/libhotspare.so.1")
	vm_launch "$1" "${kernel[$1]}" NET="$2" SMP=1 MEM=384 FILES="${files[*]}"
}

host_ready() {
	vm_ready "$1"
}

# program_start host option...
program_start() {
	local host=$1
	shift
	program[$host]=$(vm_spawn "$host" "exec sqlite-hotspare $* -S db --")
}

# program_said host pattern: of the one that was started last
program_said() {
	vm_output "$1" "${program[$1]}" E | grep -qE -- "$2"
}

# ask host line: what the database there answers
ask() {
	vm_run "$1" "echo '$2' | nc -w 20 127.0.0.1 7412" 2>/dev/null
}

says_safe() {
	ask "$1" "$2" | grep -q '"safe":true'
}

# add host number: so many rows, each of which must be safe
add() {
	local i
	for ((i = 0; i < $2; i++)); do
		says_safe "$1" "insert into t values ($((rows + 1)), $(((rows + 1) * 7919)))" || {
			say_why "row $((rows + 1)) is not safe"
			return 1
		}
		rows=$((rows + 1))
	done
}

# safe_again host: a write that changes nothing, so it may be tried until it is safe
safe_again() {
	until_true says_safe "$1" 'delete from t where a < 0'
}

# all_there host: the rows that were safe, each once, and no other
all_there() {
	local answer
	answer=$(ask "$1" "select count(*) n, count(distinct a) d, max(a) m, sum(b <> a * 7919) bad from t" | head -n 1)
	say_why "$rows rows were safe; on $1: $answer"
	[ "$answer" = "{\"n\":$rows,\"d\":$rows,\"m\":$rows,\"bad\":0}" ]
}

serves() {
	ask "$1" 'select 1 one' | grep -q '"one":1'
}

host_end() {
	vm_signal "$1" "${program[$1]}" 9
	vm_wait "$1" "${program[$1]}" $limit >/dev/null || true
	daemon_end "$1" 15
	vm_run "$1" 'cptdevctl replica remove --force db >/dev/null'
}

test_begin() {
	program_start b -s
	t 'the spare waits' until_true program_said b 'waiting for the promotion'
	program_start a -m
	t 'the master serves' until_true serves a
	t 'a table is safe' until_true says_safe a 'create table if not exists t (a integer primary key, b integer)'
	t 'rows are safe' add a 10
	t 'and there' all_there a
	t 'the spare misses nothing' not program_said b 'would miss'
	t 'the spare does not serve' not serves b
}

# The old master is idle: nobody asks it anything.
test_by_hand() {
	t 'promoted by hand' vm_run b 'cptdevctl promote --force db >/dev/null'
	t 'the spare goes on' until_true serves b
	t 'with all that was safe' all_there b
	t 'the old master becomes a spare by itself' until_true program_said a 'starting anew as the spare'
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

test_host_lost() {
	vm_kill b
	t 'host lost: the program on a goes on' until_true serves a
	t 'with all that was safe on b' all_there a
	t 'without a spare nothing is safe' not says_safe a 'create table u (x)'
	host_launch b 2
	host_ready b
	daemon_start b auto
	program_start b -s
	t 'a new spare waits' until_true program_said b 'waiting for the promotion'
	t 'writes are safe again' safe_again a
	t 'rows are safe' add a 5
	t 'and there' all_there a
}

main() {
	begin
	daemon_start b auto
	daemon_start a auto
	test_begin
	test_by_hand
	test_second_taker
	test_host_lost
	# A replica holds the module, and a daemon whose peer has a session makes it again.
	host_end a
	host_end b
	t 'both hosts stop in order: a' vm_stop a
	t 'both hosts stop in order: b' vm_stop b
	printf '1..%d\n' $points
}

main
