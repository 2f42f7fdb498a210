# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# For test scripts: a program is killed at random moments, with cptdev-run, and goes on from its
# checkpoint in a new process; at the end its output must be that of a run that nobody disturbed.
# SEED= repeats a run; the random numbers are told.

SEED=${SEED:-$RANDOM}
RANDOM=$SEED
EVERY=${EVERY:-50}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# Until it succeeds; two minutes are for hangs only.
until_true() {
	local i

	for ((i = 0; i < ${PATIENCE:-6000}; i++)); do
		"$@" && return 0
		sleep 0.02
	done
	fail "never came true: $*"
}

has_ended() { # PID: or is about to
	local state

	state=$(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null)
	[ -z "$state" ] || [ "$state" = Z ]
}

written_or_ended() { # PID
	[ -s ck ] || has_ended "$1"
}

# A program is killed after so many ms at most. On a fast machine that is less.
leg=400

# Kill it a while after its first checkpoint. It may have ended before: then $ended is set.
kill_later() { # PID
	until_true written_or_ended "$1" || return
	sleep "0.$(printf %03d $((RANDOM % leg)))"
	ended=''
	has_ended "$1" && ended=1
	kill -9 "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	status=$?
}

# Output goes to the file "moved". Returns the program's status; $moved: how often it was moved.
run_moved() { # MOVES, program...
	local moves=$1 run=${RUN:-cptdev-run} pid
	shift

	rm -f ck moved
	moved=0
	"$built/$run" --file ck --every "$EVERY" -- "$@" <input >moved 2>errors &
	pid=$!
	while [ "$moved" -lt "$moves" ]; do
		kill_later $pid || return 1
		[ -z "$ended" ] || return "$status"
		[ -s ck ] || return 1
		mv ck from
		"$built/$run" --restart from --file ck --every "$EVERY" </dev/null >>nothing 2>>errors &
		pid=$!
		moved=$((moved + 1))
	done
	# One of them may hang for ever, if something was left out.
	until_true has_ended $pid || { kill -9 $pid; return 1; }
	wait $pid
}

# Undisturbed once, moved then: the same output, by all means ended in order.
same_moved() { # MOVES, program...
	local moves=$1 ret start leg
	shift

	[ -e input ] || : >input
	start=${EPOCHREALTIME/[.,]/}
	"$@" <input >alone || { fail "without cptdev-run: status $?"; return; }
	# As many moves as that, on the average.
	leg=$(((${EPOCHREALTIME/[.,]/} - start) / 500 / moves + 10))
	[ $leg -lt 400 ] || leg=400
	run_moved "$moves" "$@"
	ret=$?
	[ "$ret" -eq 0 ] || fail "SEED=$SEED, move $moved: status $ret: $(tail -n 2 errors) $(tail -n 1 moved)" || return
	${ORDER:-cat} alone >wanted
	${ORDER:-cat} moved >got
	cmp -s wanted got || fail "SEED=$SEED, $moved moves: other output: $(diff wanted got | head -n 3)" ||
		return
	[ "$moved" -gt 0 ] || fail "it was never moved: $(tail -n 2 errors)"
}

# Without what this script has inherited, and cptdev-run would have closed before it starts a program.
start_alone() { # PROGRAM...
	local fd

	for fd in /proc/"$BASHPID"/fd/*; do
		fd=${fd##*/}
		[ "$fd" -le 2 ] || eval "exec $fd>&-"
	done
	exec "$@"
}
