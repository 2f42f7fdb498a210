#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What isn't covered is found before the first checkpoint, and refused by its name; what is wrong on
# the command line, or in a file, is told. TAP on stdout. Needs root.
#
#	refuse.sh DIR	DIR: where cptdev-run was built

set -u
here=$(cd "$(dirname "$0")" && pwd)
built=$(cd "${1:?usage: refuse.sh DIR}" && pwd)
run=$built/cptdev-run

# shellcheck source=libckdev/run/tests/moves.sh
. "$here/moves.sh"
# shellcheck source=libckdev/tests/tap.sh
. "$here/../../tests/tap.sh"

# Until the program is as far as that: on a busy machine that takes longer. Returns the status of --check.
check() { # WHAT, pattern of the list
	local after ret

	for after in 100 1000 5000 30000; do
		"$run" --check --after $after -- "$built/refused" "$1" >list 2>errors
		ret=$?
		! grep -q -- "$2" list || break
	done
	return $ret
}

# --check lists it as refused, with these words, and nothing else.
lists() { # WHAT, pattern
	local ret

	check "$1" "^refused .*$2"
	ret=$?
	same "status of --check with '$1'" "$ret" 1 && has "^refused .*$2" list &&
		same "refusals of '$1'" "$(grep -c "^refused  " list)" 1
}

test_nothing() { # a program that has nothing special can be protected
	check nothing "can be protected" || fail "status $?" || return
	has "^covered  descriptor 1: .*list" list && has "^covered  1 thread" list &&
		has "can be protected" list && ! grep -q "^refused  " list
}

test_memory() { # shared memory that others may have, or that no process has as a whole
	local pid

	lists shared-file "mapping 0x[0-9a-f]*.*shared memory" &&
		lists shared-segment "mapping 0x[0-9a-f]*.*shared memory" || return
	[ "$(stat -f -c %T .)" = tmpfs ] || lists shared-on-disk "mapping 0x[0-9a-f]*.*shared memory" || return
	# The parent doesn't know how far the child is, so it may take several looks.
	check shared-part "^refused .*shared memory of which no process has all of its 8 KiB"
	same "status of --check" $? 1 && has "^refused .*shared memory of which no process" list || return
	check shared "^covered  mapping .*rw-s" || fail "refused: $(grep ^refused list)" || return
	has "^covered  mapping .*rw-s" list || return
	rm -f out
	"$built/refused" shared >out </dev/null &
	pid=$!
	until_true grep -q ready out || return
	lists_pid "mapping 0x[0-9a-f]*: shared memory, which a process outside of the program may have"
}

# A file without a name in memory: @outside has it, too.
unlinked_with() { # pattern of the list
	lists shared-unlinked "$1"
	local ret=$?

	kill "$outside"
	wait "$outside" 2>/dev/null
	rm -f /dev/shm/refused-of-a-test
	return $ret
}

test_unlinked() { # files of /dev/shm that have lost their names, unless a process outside has them as well
	local outside

	check shared-unlinked "^covered  mapping .*rw-s .*/dev/shm/" || fail "refused: $(grep ^refused list)" || return
	has "^covered  mapping .*rw-s .*/dev/shm/.* (deleted)" list || return
	rm -f out
	"$built/refused" shared-named >out </dev/null &
	outside=$!
	until_true grep -q ready out &&
		unlinked_with "mapping 0x[0-9a-f]*: shared memory, which process $outside has, too" || return
	sleep 1000 5<>/dev/shm/refused-of-a-test &
	outside=$!
	until_true test -e /dev/shm/refused-of-a-test && truncate -s 4096 /dev/shm/refused-of-a-test &&
		unlinked_with "mapping 0x[0-9a-f]*: shared memory, which process $outside has, too"
}

test_descriptors() { # descriptors by their numbers
	lists memfd "descriptor 3.*memfd" && lists inotify "descriptor 3.*inotify" &&
		lists directory "descriptor 3 (/): a directory" &&
		lists deleted "descriptor 3.*deleted" && lists lock "descriptor 3.*record lock" &&
		lists packet "descriptor 3" &&
		lists pair "descriptor 4.*other end of this socket pair" || return
	check unix "^refused  descriptor 5"
	has "^refused  descriptor 4: a connection can't be saved" list &&
		has "^refused  descriptor 5: a connection can't be saved" list
}

test_connections() { # sockets of TCP that aren't connected, or not any more
	lists bound "descriptor 3.*neither listens nor is connected" &&
		lists closing "descriptor 4.*state FIN_WAIT2"
}

test_connection_file() { # a connection isn't part of a file; it is part of what a spare gets
	rm -f ck
	check connected "not with --file" ||
		fail "refused: $(grep ^refused list)" || return
	has "^covered  descriptor 4: .*not with --file" list || return
	"$run" --file ck --every 20 -- "$built/refused" connected >out 2>errors &
	until_true grep -q "no checkpoint: descriptor 4.*a connection.*--name" errors
	kill %%
	wait %%
	same "status" $? 143
}

test_process() { # what a process has beside these
	lists seccomp "seccomp filter" && lists trap "SIGTRAP"
}

test_setuid() { # a program that becomes another user by its file
	local ret

	cp "$built/refused" setuid && chown 65534 setuid && chmod u+s setuid || return
	"$run" --check --after 1000 -- ./setuid nothing >list 2>errors
	ret=$?
	same "status of --check" $ret 1 && has "^refused  process [0-9]*: its credentials (Uid)" list
}

test_identity() { # who it is, and where
	check user "^refused .*credentials"
	same "status of --check" $? 1 && has "^refused  process [0-9]*: its credentials (Uid)" list &&
		lists root "another root directory (chroot)" && lists namespace "it has a 'uts' namespace of its own"
}

# Not each processor and each machine has it: then this program can't have it either.
lists_if_possible() { # WHAT, pattern
	"$built/refused" "$1" >out 2>errors &
	until_true has_ended_or_said $! || return
	kill %% 2>/dev/null
	wait %%
	if grep -q ready out; then
		lists "$1" "$2"
	else
		echo "# $1: $(head -n 1 errors)"
	fi
}

has_ended_or_said() { # PID
	has_ended "$1" || grep -q ready out
}

test_special_memory() { # memory that isn't only memory
	lists_if_possible protection-key "mapping 0x[0-9a-f]*.*protection key" &&
		lists_if_possible huge-page "mapping 0x[0-9a-f]*.*huge pages" || return
	check faults "^refused .*userfaultfd"
	has "^refused  mapping 0x[0-9a-f]*.*userfaultfd" list
}

test_processes() { # children that a restart couldn't make again
	check child "^covered  2 processes" || fail "refused: $(grep ^refused list)" ||
		return
	has "^covered  2 processes" list || return
	lists orphan "process [0-9]* (refused): its parent has ended" &&
		lists shares-memory "process [0-9]* (refused): it shares its memory" &&
		lists other-signal "process [0-9]* (refused): its parent gets another signal" &&
		lists lost-group "process [0-9]* (refused): the first process of its process group has ended" &&
		lists child-epoll "process [0-9]*: descriptor 3: an epoll set of another process than the first"
}

# A process that runs already, and what is said of it.
lists_pid() { # pattern
	local ret

	"$run" --check --pid "$pid" >list 2>errors
	ret=$?
	kill "$pid"
	wait "$pid" 2>/dev/null
	same "status of --check" "$ret" 1 && has "^refused .*$1" list &&
		same "refusals" "$(grep -c "^refused  " list)" 1
}

test_pid_child() { # a child of a process that runs already is covered, and one that shares memory is refused
	local pid child ret

	rm -f out
	"$built/refused" child >out </dev/null &
	pid=$!
	until_true grep -q ready out || return
	read -r child <"/proc/$pid/task/$pid/children"
	"$run" --check --pid "$pid" >list 2>errors
	ret=$?
	grep -q "^TracerPid:.0$" "/proc/$pid/status" && kill -0 "$child" && kill "$child" "$pid" || return
	wait "$pid" 2>/dev/null
	same "status of --check" "$ret" 0 && has "^covered  2 processes" list || return
	rm -f out
	"$built/refused" shares-memory >out </dev/null &
	pid=$!
	until_true grep -q ready out || return
	read -r child <"/proc/$pid/task/$pid/children"
	lists_pid "process [0-9]* (refused): it shares its memory"
	ret=$?
	kill "$child"
	return $ret
}

test_pid_pipe() { # an end of a pipe whose other end another process has
	local pid

	rm -f pid
	# shellcheck disable=SC2016
	sh -c 'echo $$ >pid; exec sleep 1000 5>&1 >out </dev/null 2>&1' | cat >/dev/null &
	until_true test -s pid || return
	pid=$(cat pid)
	until_true grep -q sleep "/proc/$pid/comm" || return
	lists_pid "descriptor 5: the other end of this pipe belongs to a process"
}

test_timers() { # POSIX timers that can't be restored
	lists timer-thread-clock "POSIX timer 0 .*a thread's processor time" &&
		lists timer-trap "POSIX timer 0 .*SIGTRAP" &&
		lists timer-of-none "POSIX timer 0 .*thread that it signals has ended" || return
	# Only where there is a clock that wakes the machine.
	[ -e /sys/class/rtc/rtc0 ] || { echo "# no real-time clock"; return 0; }
	lists timer-alarm "POSIX timer 0 .*its clock (9)"
}

test_pid() { # a process that runs already is listed, and goes on
	local pid ret

	"$built/refused" nothing >out </dev/null &
	pid=$!
	until_true grep -q ready out || return
	"$run" --check --pid $pid >list 2>errors
	ret=$?
	kill -0 $pid && kill $pid
	wait $pid
	same "how it ended" $? 143 && same "status of --check" "$ret" 0 && has "can be protected" list
}

test_checkpoint() { # the same is said instead of a checkpoint; the program goes on
	rm -f ck
	"$run" --file ck --every 20 -- "$built/refused" shared-file >out 2>errors &
	until_true grep -q "no checkpoint: mapping 0x.*shared memory" errors || return
	# One may have been taken before there was any.
	rm -f ck
	sleep 0.2
	kill %%
	wait %%
	same "status" $? 143 && same "messages" "$(grep -c "no checkpoint" errors)" 1 &&
		{ [ ! -e ck ] || fail "there is a checkpoint"; }
}

# Each event is a line of "events"; a file with its name lets it fail.
cat >hook <<-'END'
	echo "$HOTSPARE_EVENT" >>events
	[ ! -e "fail-$HOTSPARE_EVENT" ]
END

test_hook() { # a command before and after each checkpoint, and at a restart
	local ret

	rm -f ck events fail-*
	"$run" --file ck --every 20 --checkpoint-hook 'sh ./hook' -- "$built/refused" nothing \
		>out </dev/null 2>errors &
	until_true test -s ck && until_true grep -q post-checkpoint events || return
	kill %%
	wait %%
	same "status" $? 143 && same "events" "$(head -n 2 events | tr '\n' ' ')" \
		"pre-checkpoint post-checkpoint " &&
		same "unpaired" "$(grep -c pre- events)" "$(grep -c post- events)" || return
	touch fail-restart
	"$run" --restart ck --checkpoint-hook 'sh ./hook' </dev/null >out 2>errors
	ret=$?
	same "status" $ret 125 && has "failed with exit status 1 for 'restart'" errors &&
		same "the last event" "$(tail -n 1 events)" restart
}

three_events() {
	[ -e events ] && [ "$(grep -c pre- events)" -gt 2 ]
}

test_hook_fails() { # no checkpoint is taken if the command before fails, or takes too long
	rm -f ck events fail-*
	touch fail-pre-checkpoint
	"$run" --file ck --every 20 --checkpoint-hook 'sh ./hook' -- "$built/refused" nothing \
		>out </dev/null 2>errors &
	until_true three_events || return
	has "failed with exit status 1 for 'pre-checkpoint'" errors || return
	[ ! -e ck ] || fail "there is a checkpoint" || return
	rm fail-pre-checkpoint
	until_true test -s ck || return
	kill %%
	wait %%
	rm -f ck
	"$run" --file ck --every 20 --checkpoint-hook 'sleep 60' -t 1 -- "$built/refused" nothing \
		>out </dev/null 2>errors &
	until_true grep -q "more than 1 seconds for 'pre-checkpoint'" errors || return
	[ ! -e ck ] || fail "there is a checkpoint" || return
	kill %%
	wait %%
	same "status" $? 143
}

test_stats() { # the parts of a pause that --stats tells are the pause, but for a little
	local line whole parts

	rm -f ck
	"$run" --file ck --every 20 --stats -- "$built/refused" nothing >out 2>errors </dev/null &
	until_true test -s ck || return
	sleep 0.2
	kill %%
	wait %%
	line=$(grep 'parts of the median' errors)
	whole=${line#*median }
	whole=${whole%%,*}
	parts=$(sed 's/.*parts of the median: //; s/[a-z]\+ //g; s/, /+/g' <<<"$line")
	same "parts" "$(grep -o + <<<"$parts" | wc -l)" 4 || return
	if [ $((parts)) -gt "$whole" ] || [ $((parts * 10)) -lt $((whole * 7)) ]; then
		fail "$parts isn't $whole: $line"
	fi
}

test_status() { # the exit status is the program's
	"$run" --file ck -- sh -c 'exit 7'
	same "of exit 7" $? 7 || return
	# shellcheck disable=SC2016
	"$run" --file ck -- sh -c 'kill -9 $$'
	same "of SIGKILL" $? 137 || return
	"$run" --file ck -- /nonexistent 2>errors
	same "of nothing" $? 127 && has "/nonexistent: No such file" errors
}

test_words() { # wrong options are told
	"$run" 2>errors
	same "without a program" $? 2 && has "a program is missing" errors || return
	"$run" -- true 2>errors
	same "without a file" $? 2 && has "name is missing" errors || return
	"$run" --every x --file ck -- true 2>errors
	same "a wrong number" $? 2 && has "number from 1" errors || return
	"$run" --every never --file ck -- true 2>errors
	same "never with a file" $? 2 && has "use --name without --file" errors
}

# A good checkpoint of the program.
make_one() {
	rm -f ck
	"$run" --file ck --every 20 -- "$built/refused" nothing >out </dev/null 2>errors &
	until_true test -s ck || return
	kill -9 %%
	wait %% 2>/dev/null
	return 0
}

test_inspect() { # cptdevctl finds nothing wrong with a checkpoint
	make_one || return
	"$built/../../daemon/cptdevctl" inspect ck >list || fail "$(tail -n 2 list)"
}

restart() { # FILE ARGUMENT...
	PATH=$built:$PATH "$built/../../daemon/cptdevctl" restart "$@" </dev/null >out 2>errors
}

test_restart() { # cptdevctl restarts it by cptdev-run, and the program's status is its own
	rm -f ck again
	"$run" --file ck --every 20 -- /usr/bin/python3 -c 'import time
time.sleep(0.5)
raise SystemExit(7)' >/dev/null </dev/null 2>errors &
	until_true test -s ck || return
	kill -9 %%
	wait %% 2>/dev/null
	restart ck -- --file again --every 20
	same "status" $? 7 && { [ -s again ] || fail "no further checkpoint"; }
}

test_restart_refused() { # what can't be restarted is told, with the next step
	local size

	make_one || return
	size=$(stat -c %s ck)
	truncate -s $((size - 9)) ck
	restart ck
	same "status" $? 1 && has "ck can't be restarted: at byte" errors &&
		has "Next: cptdevctl inspect ck" errors || return
	restart /etc/passwd
	same "status of no checkpoint" $? 1 && has "Next: name a checkpoint" errors || return
	restart nowhere
	same "status of no file" $? 1 && has "can't be opened" errors || return
	make_one || return
	PATH=/nowhere "$built/../../daemon/cptdevctl" restart ck >out 2>errors
	same "status without cptdev-run" $? 1 && has "cptdev-run can't be run" errors &&
		has "Next: install" errors || return
	restart
	same "status without a file" $? 2
}

test_damage() { # a checkpoint that was damaged or cut off isn't used
	local size i ret

	make_one || return
	size=$(stat -c %s ck)
	for ((i = 1; i <= 12; i++)); do
		cp ck bad
		if [ $((i % 3)) = 0 ]; then
			truncate -s $((size * i / 13)) bad
		else
			printf '\377\376' |
				dd of=bad bs=1 seek=$((size * i / 13)) conv=notrunc status=none
		fi
		cmp -s ck bad && continue
		"$run" --restart bad </dev/null >out 2>errors
		ret=$?
		same "status of damage $i" "$ret" 125 && has "bad: " errors || return
	done
	"$run" --restart /dev/null 2>errors
	same "status of an empty one" $? 125
}

test_other_file() { # a file that the program has mapped has changed: refused, by its name
	cp "$built/refused" mine
	rm -f ck
	"$run" --file ck --every 20 -- ./mine nothing >out </dev/null 2>errors &
	until_true test -s ck || return
	kill -9 %%
	wait %% 2>/dev/null
	cp mine other && printf x >>other && mv other mine
	"$run" --restart ck </dev/null >out 2>errors
	same "status" $? 125 && has "$work/mine isn't the file" errors
}

test_same_number() { # it has the same process number again, in a space of its own
	rm -f ck
	# shellcheck disable=SC2016
	"$run" --file ck --every 20 -- /usr/bin/python3 -c 'import os, time
a = (os.getpid(), os.getppid(), os.getcwd(), os.umask(0o27), os.nice(0))
time.sleep(0.6)
print(a, a == (os.getpid(), os.getppid(), os.getcwd(), os.umask(0), os.nice(0)),
      os.readlink("/proc/self") == str(os.getpid()))' >/dev/null </dev/null 2>errors &
	until_true test -s ck || return
	sleep 0.15
	kill -9 %%
	wait %% 2>/dev/null
	"$run" --restart ck </dev/null >out 2>errors
	same "status" $? 0
}

[ "$(id -u)" = 0 ] || { echo "1..0 # SKIP needs root"; exit 4; }
tap_run "$here/refuse.sh"
