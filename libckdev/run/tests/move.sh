#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Programs as they are, killed at random moments, go on from their checkpoints: the same output as
# without. And it is seen when something is left out. TAP on stdout. Needs root.
#
#	move.sh DIR [TEST...]	DIR: where cptdev-run was built; all tests by default

set -u
here=$(cd "$(dirname "$0")" && pwd)
built=$(cd "${1:?usage: move.sh DIR [TEST...]}" && pwd)
shift
only=" $* "

# shellcheck source=libckdev/run/tests/moves.sh
. "$here/moves.sh"
# In a guest all files are in one directory.
tap=$here/../../tests/tap.sh
[ -e "$tap" ] || tap=$here/tap.sh
# shellcheck source=libckdev/tests/tap.sh
. "$tap"

MOVES=${MOVES:-3}
export LC_ALL=C.UTF-8

test_ledger() { # threads, pipes, timers, signals, epoll: nothing lost, nothing twice
	ORDER='sort' same_moved "$MOVES" "$built/ledger" 1500
}

test_timers() { # POSIX timers: numbers, signals, values; no expiration is lost, none comes twice
	same_moved "$MOVES" "$built/timers" 1500
}

test_timers_counted() { # the same where the kernel can't be told a timer's number, and they are counted
	RUN=cptdev-run-mutant RUN_MUTANT=count same_moved 2 "$built/timers" 1000
}

# A program that somebody else has started: its process is $own, that of cptdev-run $pid.
attach() { # PROGRAM HOW-LONG
	rm -f ck moved
	"$built/$1" "$2" | sort >wanted
	start_alone "$built/$1" "$2" </dev/null >moved 2>errors &
	own=$!
	"$built/cptdev-run" --pid "$own" --file ck --every "$EVERY" 2>>errors &
	pid=$!
	until_true written_or_ended "$pid"
}

test_attach() { # a process that runs already, killed, goes on from a checkpoint
	local own pid ended status

	attach ledger 4000 && kill_later "$pid" || return
	[ -z "$ended" ] || fail "it has ended too early: $(tail -n 1 errors)" || return
	until_true has_ended "$own" || return
	wait "$own"
	"$built/cptdev-run" --restart ck --file ck </dev/null 2>>errors
	same "status" $? 0 && sort moved | cmp -s - wanted
}

# The same with several processes; their file is "numbers".
attach_family() {
	"$built/family" "$work/numbers" 100 attached >/dev/null || return
	rm -f ck moved numbers
	start_alone "$built/family" "$work/numbers" 3000 attached </dev/null >moved 2>errors &
	own=$!
	until_true test -s numbers || return
	"$built/${RUN:-cptdev-run}" --pid "$own" --file ck --every "$EVERY" 2>>errors &
	pid=$!
	until_true written_or_ended "$pid"
}

has_family() {
	same "output" "$(cat moved)" "family: 3000 rounds, nothing lost, nothing twice" &&
		seq 0 2999 | cmp - numbers
}

family_goes_on() {
	local own pid ended status

	attach_family && kill_later "$pid" || return
	[ -z "$ended" ] || fail "it has ended too early: $(tail -n 1 errors)" || return
	until_true has_ended "$own" || return
	wait "$own" 2>/dev/null
	until_true test ! -d "/proc/$own" || return
	"$built/cptdev-run" --restart ck --file ck </dev/null 2>>errors
	same "status" $? 0 && has_family
}

test_attach_family() { # processes that run already, with their descendants
	family_goes_on
}

test_let_go_family() { # and they go on without cptdev-run
	local own pid child

	attach_family || return
	read -r child _ <"/proc/$own/task/$own/children"
	same "who traces a child" "$(sed -n 's/^TracerPid:.//p' "/proc/$child/status")" "$pid" &&
		kill "$pid" && wait "$pid" && ! has_ended "$own" &&
		grep -q "^TracerPid:.0$" "/proc/$own/status" "/proc/$child/status" && wait "$own" && has_family
}

test_let_go_make() { # also processes that are made at that moment
	local own pid i

	# shellcheck disable=SC2016
	printf '%s\n' 'all: $(addprefix n,$(shell seq 1 300))' 'n%: again' '	@expr $* + 1 >$@' 'again:' >makefile
	rm -f n[1-9]* ck
	start_alone /usr/bin/make -s -j 2 -f makefile </dev/null >out 2>errors &
	own=$!
	until_true test -s n2 || return
	for i in 1 2 3 4 5; do
		has_ended "$own" && break
		"$built/cptdev-run" --pid "$own" --file ck --every 20 2>>errors &
		pid=$!
		sleep 0.1
		kill "$pid" 2>/dev/null
		wait "$pid"
	done
	wait "$own" || fail "make: status $?: $(tail -n 2 errors)" || return
	[ "$i" -gt 1 ] || fail "it has ended too early" || return
	for ((i = 1; i <= 300; i++)); do
		same "n$i" "$(cat "n$i")" $((i + 1)) || return
	done
	rm -f n[1-9]* makefile
}

test_let_go() { # a process that runs already goes on without cptdev-run, if that is ended
	local own pid

	attach ledger 3000 && let_go
}

let_go() {
	kill "$pid" && wait "$pid" && ! has_ended "$own" &&
		grep -q "^TracerPid:.0$" "/proc/$own/status" && wait "$own" && sort moved | cmp -s - wanted
}

test_let_go_timers() { # and its POSIX timers do
	local own pid

	attach timers 5000 && let_go
}

test_pair() { # a socket pair within the program, and its data
	ORDER='sort' same_moved "$MOVES" "$built/ledger" 1500 pair
}

test_asyncio() { # python3 with asyncio, whose event loop wakes itself up by a socket pair
	same_moved "$MOVES" /usr/bin/python3 "$here/loop.py"
}

test_static() { # a static program
	ORDER='sort' same_moved "$MOVES" "$built/ledger-static" 1000
}

test_python() { # python3 with threads, locks and a queue
	same_moved "$MOVES" /usr/bin/python3 "$here/threads.py"
}

test_family() { # processes, pipes, a socket pair, groups and sessions, one that has ended; one file offset
	same_moved "$MOVES" "$built/family" "$work/numbers" 1500 || return
	seq 0 1499 | cmp - numbers || fail "SEED=$SEED: other numbers in the file"
}

test_common() { # processes that share memory, with a mutex and a condition in it
	same_moved "$MOVES" "$built/common" 1500
}

test_unlinked() { # the same in files of /dev/shm that have lost their names
	same_moved "$MOVES" "$built/common" 1500 unlinked
}

test_semaphores() { # python3 with multiprocessing.Pool, whose semaphores are such files
	same_moved "$MOVES" /usr/bin/python3 "$here/semaphores.py"
}

sees_own_memory() { # program...
	local ret

	: >input
	PATIENCE=500 RUN=cptdev-run-mutant RUN_MUTANT=shared run_moved 2 "$@" >&2
	ret=$?
	[ "$moved" -gt 0 ] || fail "it was never moved" || return
	[ $ret != 0 ] || fail "nobody has noticed"
}

test_mutant_shared() { # it is seen when they have memory of their own instead
	sees_own_memory "$built/common" 1500
}

test_mutant_unlinked() { # also when that were such files
	sees_own_memory "$built/common" 1500 unlinked
}

test_pipeline() { # a shell and four programs, of which each waits for the one before
	# shellcheck disable=SC2016
	same_moved "$MOVES" /bin/sh -c "seq 1 800000 | awk '{ print \$1 * 7919 % 100003 }' | sort -n |
		sha256sum; echo \$?"
}

test_make() { # make with two jobs at a time: processes come and go, and vfork(2)
	# shellcheck disable=SC2016
	printf '%s\n' 'all: $(addprefix n,$(shell seq 1 24))' 'n%: again' \
		'	@sleep 0.1; echo $@ $$(expr 7 + 1) >$@' 'again:' >makefile
	/usr/bin/make -s -f "$work/makefile" && cat n? n?? >alone_files && rm -f n? n??
	same_moved "$MOVES" /usr/bin/make -s -j 2 -f "$work/makefile" || return
	cat n? n?? | cmp - alone_files || fail "SEED=$SEED: other files"
}

test_bc() { # bc, which reads its program from a file
	local ret

	echo 'scale=1500; 4*a(1)' >input
	same_moved "$MOVES" /usr/bin/bc -ql
	ret=$?
	rm -f input
	return $ret
}

test_terminal() { # an interactive bc goes on in another terminal
	if [ ! -x /usr/bin/python3 ] || [ ! -x /usr/bin/bc ]; then
		echo "# python3 or bc isn't installed"
		return 0
	fi
	/usr/bin/python3 "$here/terminal.py" "$built/cptdev-run" 2>errors || fail "$(tail -n 1 errors)"
}

# Something must be wrong with a program that was restored without a part: in some of the moves.
sees_mutant() { # NAME [PROGRAM]
	local i program=$built/${2:-ledger}

	[ -e input ] || : >input
	"$program" 1000 | sort >wanted
	for i in 1 2 3; do
		PATIENCE=500 RUN=cptdev-run-mutant RUN_MUTANT=$1 run_moved 3 "$program" 1000 || return 0
		sort moved | cmp -s - wanted || return 0
	done
	fail "nobody has noticed '$1' in $i runs"
}

# A program that waits for ever has noticed it, too.
sees_family() { # NAME
	local i

	: >input
	for i in 1 2 3; do
		rm -f numbers
		PATIENCE=500 RUN=cptdev-run-mutant RUN_MUTANT=$1 run_moved 3 "$built/family" numbers 1500 >&2 ||
			return 0
		seq 0 1499 | cmp -s - numbers || return 0
	done
	fail "nobody has noticed '$1' in $i runs"
}

test_mutant_page() { # it is seen when a page is left out
	sees_mutant page
}

test_mutant_thread() { # it is seen when the threads weren't stopped
	sees_mutant thread
}

test_mutant_child() { # it is seen when a child's memory is that of its first checkpoint
	sees_family child
}

test_mutant_attached() { # the same with processes that ran already
	local i

	for i in 1 2 3; do
		RUN_MUTANT=child RUN=cptdev-run-mutant PATIENCE=500 family_goes_on >&2 || return 0
	done
	fail "nobody has noticed 'child' in $i runs"
}

test_mutant_pipe() { # it is seen when what waits in pipes is left out
	sees_family pipe
}

test_mutant_registers() { # it is seen when registers are those of the checkpoint before
	sees_mutant registers
}

test_mutant_timer() { # it is seen when an expiration of a timer is lost
	sees_mutant timer timers && has "expirations are lost" moved
}

# Those that are asked for, in the script that the plan is read from.
if [ "$only" != "  " ]; then
	grep -E "^test_($(tr ' ' '|' <<<"$*"))\(\) \{ #" "$here/move.sh" >plan
else
	cp "$here/move.sh" plan
fi

[ "$(id -u)" = 0 ] || { echo "1..0 # SKIP needs root"; exit 4; }
export RUN_MUTANT=
tap_run plan
