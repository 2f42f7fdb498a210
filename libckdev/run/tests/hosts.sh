#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A program as it is moves between two cptdevd that are two hosts to each other: its host's part is
# killed while it works, and it goes on with the other one: the same output as without. And it is seen
# when something is left out. TAP on stdout. Needs root.
#
#	hosts.sh DIR [TEST...]	DIR: where cptdev-run was built; all tests by default

set -u
here=$(cd "$(dirname "$0")" && pwd)
built=$(cd "${1:?usage: hosts.sh DIR [TEST...]}" && pwd)
shift

[ "$(id -u)" = 0 ] || { echo "1..0 # SKIP needs root"; exit 4; }
# A network of its own: nobody else's ports.
if [ -z "${IN_NETWORK:-}" ]; then
	IN_NETWORK=1 exec unshare --net "$0" "$built" "$@"
fi
only=" $* "
ip link set lo up

# shellcheck source=libckdev/run/tests/moves.sh
. "$here/moves.sh"
# shellcheck source=libckdev/tests/tap.sh
. "$here/../../tests/tap.sh"

daemons=''

# Whoever connects to one of these addresses comes from 127.0.0.1.
host() { # NAME OWN-ADDRESS OTHER-ADDRESS
	cat >"$1.conf" <<-END
		[node]
		name = host-$1
		log_level = info
		engine = soft
		control = $work/$1.control
		programs = $work/$1.programs
		state_dir = $work/$1.state
		[listen]
		address = $2
		port = 7411
		allow = any
		[peer]
		address = $3
		port = 7411
		psk_file = $work/key
		[failover]
		failover = auto
		heartbeat_interval_ms = 200
		timeout_ms = 5000
	END
	"$built/../../daemon/cptdevd" --foreground --config "$1.conf" 2>"$1.log" &
	daemons+=" $!"
	until_true test -S "$1.programs"
}

begin() {
	rm -rf ./a.* ./b.* ./*.err moved
	head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >key
	chmod 600 key
	host a 127.0.0.1 127.0.0.2 && host b 127.0.0.2 127.0.0.1
}

finish() { # STATUS
	# shellcheck disable=SC2086
	kill $daemons 2>/dev/null
	# shellcheck disable=SC2046
	[ "$1" = 0 ] || kill -9 $(jobs -p) 2>/dev/null
	wait
	daemons=''
	[ "$1" = 0 ] || tail -n 3 ./*.log ./*.err | sed 's/^/# /'
	return "$1"
}

# A program of that host, in the background: $pid.
on_host() { # HOST OPTIONS...
	local host=$1
	shift

	CPTDEVD_PROGRAMS=$work/$host.programs CPTDEVD_CONTROL=$work/$host.control \
		"$built/${RUN:-cptdev-run}" --name job --every "$EVERY" "$@" \
		</dev/null >>moved 2>"$host.err" &
	pid=$!
}

# Its output goes to "moved"; $status is that of the program.
move_once() { # program...
	local first

	on_host b --spare
	local spare=$pid
	until_true grep -q "waiting for the promotion" b.err || return
	on_host a "$@"
	first=$pid
	until_true grep -q "could be continued here" b.err || return
	# What a mutant leaves out is of later checkpoints.
	[ -z "${RUN_MUTANT:-}" ] || until_true has_another 5 || return
	sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
	has_ended $first && { fail "it has ended too early"; return 1; }
	kill -9 $first
	wait $first 2>/dev/null
	until_true has_ended $spare || { kill -9 $spare; return 1; }
	wait $spare
	status=$?
}

test_move() { # the program of a host that is lost goes on with the other one
	local ret

	"$built/ledger" 3000 | sort >wanted
	begin && move_once "$built/ledger" 3000 && same "status" "$status" 0 &&
		sort moved | cmp -s - wanted
	finish $?
}

test_timers() { # and its POSIX timers: no expiration is lost, none comes twice
	local ret

	"$built/timers" 3000 | sort >wanted
	begin && move_once "$built/timers" 3000 && same "status" "$status" 0 &&
		sort moved | cmp -s - wanted
	ret=$?
	[ $ret = 0 ] || grep WRONG moved | sed 's/^/# /'
	finish $ret
}

# Of a process: its descendants.
descendants() { # PID
	local children child

	read -ra children 2>/dev/null <"/proc/$1/task/$1/children"
	for child in "${children[@]}"; do
		echo "$child"
		descendants "$child"
	done
}

# Those of cptdev-run and of its process 1 beside.
has_processes() { # PID NUMBER
	[ "$(descendants "$1" | wc -l)" -ge $(($2 + 1)) ]
}

# A program of so many processes at least: each checkpoint from then on has all of them.
move_tree_once() { # NUMBER program...
	local number=$1 first
	shift

	on_host b --spare
	local spare=$pid
	until_true grep -q "waiting for the promotion" b.err || return
	on_host a "$@"
	first=$pid
	# The next but one is published when the one before it is on the spare.
	until_true grep -q "could be continued here" b.err && until_true has_processes $first "$number" &&
		until_true has_another $(($(generation) + 1)) || return
	sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
	has_ended $first && { fail "it has ended too early"; return 1; }
	has_processes $first "$number" || fail "its processes have ended too early" || return
	kill -9 $first
	wait $first 2>/dev/null
	until_true has_ended $spare || { kill -9 $spare; return 1; }
	wait $spare
	status=$?
}

# The same output as without cptdev-run.
same_tree() { # NUMBER program...
	local number=$1
	shift

	"$@" </dev/null >wanted || { fail "without cptdev-run: status $?"; return; }
	begin && move_tree_once "$number" "$@" && same "status" "$status" 0 &&
		{ cmp -s moved wanted || fail "other output: $(diff wanted moved | head -n 3)"; }
}

# A host is lost after a checkpoint with so many processes: the other one has the program then.
go_over() { # FROM TO NUMBER PID-OF-CPTDEV-RUN
	local asked=$1 number=$3 first=$4

	until_true grep -q "could be continued here" "$2.err" && until_true has_processes "$first" "$number" &&
		until_true has_another $(($(generation) + 1)) || return
	sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
	has_ended "$first" && { fail "it has ended too early on $1"; return 1; }
	kill -9 "$first"
	wait "$first" 2>/dev/null
	return 0
}

# To b, and from there to a, where it ends.
there_and_back() { # NUMBER program...
	local number=$1 there back first
	shift

	begin && RUN=${RUN_THERE:-cptdev-run} on_host b --spare && there=$pid &&
		until_true grep -q "waiting for the promotion" b.err && on_host a "$@" && first=$pid &&
		go_over a b "$number" "$first" && on_host a --spare && back=$pid &&
		until_true grep -q "waiting for the promotion" a.err && go_over b a "$number" "$there" &&
		until_true has_ended "$back" && wait "$back"
}

test_back() { # a program of several processes goes there and back
	there_and_back 4 "$built/family" "$work/numbers" 3000 && same "output" "$(cat moved)" \
		"family: 3000 rounds, nothing lost, nothing twice" && { seq 0 2999 | cmp - numbers ||
		fail "SEED=$SEED: other numbers in the file"; }
	finish $?
}

test_back_pool() { # and python3 with processes, threads and semaphores
	/usr/bin/python3 "$here/semaphores.py" </dev/null >wanted
	there_and_back 4 /usr/bin/python3 "$here/semaphores.py" &&
		{ cmp -s moved wanted || fail "other output: $(diff wanted moved | head -n 3)"; }
	finish $?
}

test_mutant_back() { # it is seen when a child's memory that goes back is that of its first checkpoint there
	local ret

	export RUN_MUTANT=child
	PATIENCE=1500 RUN_THERE=cptdev-run-mutant there_and_back 4 "$built/family" "$work/numbers" 3000 >&2 &&
		seq 0 2999 | cmp -s - numbers
	ret=$?
	export RUN_MUTANT=
	finish 0
	has "could be continued here" a.err && { [ $ret != 0 ] || fail "nobody has noticed"; }
}

test_family() { # a program of several processes: pipes, groups and sessions, one that has ended, a file
	same_tree 4 "$built/family" "$work/numbers" 1500 && { seq 0 1499 | cmp - numbers ||
		fail "SEED=$SEED: other numbers in the file"; }
	finish $?
}

test_common() { # processes that share memory
	same_tree 3 "$built/common" 2500
	finish $?
}

test_semaphores() { # multiprocessing.Pool of python3, whose semaphores are files of /dev/shm without names
	same_tree 4 /usr/bin/python3 "$here/semaphores.py"
	finish $?
}

test_pipeline() { # a shell and four programs, of which each waits for the one before
	# shellcheck disable=SC2016
	same_tree 5 /bin/sh -c "seq 1 2000000 | awk '{ print \$1 * 7919 % 100003 }' | sort -n |
		sha256sum; echo \$?"
	finish $?
}

test_pool() { # python3 with multiprocessing: three processes that are forked, and their pipes
	same_tree 4 /usr/bin/python3 "$here/pool.py"
	finish $?
}

test_make() { # make with two jobs at a time: processes come and go, and vfork(2)
	local first ret

	# shellcheck disable=SC2016
	printf '%s\n' 'all: $(addprefix n,$(shell seq 1 40))' 'n%: again' \
		'	@sleep 0.1; echo $@ $$(expr 7 + 1) >$@' 'again:' >makefile
	make -s -f makefile && cat n? n?? >alone_files && rm -f n? n??
	begin && on_host b --spare && spare=$pid && until_true grep -q "waiting for the promotion" b.err &&
		on_host a /usr/bin/make -s -j 2 -f makefile && first=$pid &&
		until_true grep -q "could be continued here" b.err && until_true test -s n9 &&
		! has_ended "$first" && [ ! -e n40 ] && kill -9 "$first" &&
		until_true has_ended "$spare" && wait "$spare" && cat n? n?? | cmp - alone_files
	ret=$?
	finish $ret
}

test_attach() { # and a process that runs already, when it is attached to
	local own ret

	"$built/ledger" 3000 | sort >wanted
	begin && on_host b --spare && spare=$pid &&
		until_true grep -q "waiting for the promotion" b.err || return
	start_alone "$built/ledger" 3000 </dev/null >>moved 2>/dev/null &
	own=$!
	on_host a --pid $own && until_true grep -q "could be continued here" b.err &&
		! has_ended $own && kill -9 "$pid" && until_true has_ended $own &&
		until_true has_ended "$spare" && wait "$spare" && sort moved | cmp -s - wanted
	ret=$?
	kill -9 $own "$spare" 2>/dev/null
	finish $ret
}

test_attach_family() { # and processes that run already, with their descendants
	local own ret

	rm -f numbers
	begin && on_host b --spare && spare=$pid &&
		until_true grep -q "waiting for the promotion" b.err || return
	start_alone "$built/family" "$work/numbers" 3000 attached </dev/null >moved 2>/dev/null &
	own=$!
	until_true test -s numbers && on_host a --pid $own && until_true grep -q "could be continued here" b.err &&
		! has_ended $own && kill -9 "$pid" && until_true has_ended $own &&
		until_true has_ended "$spare" && wait "$spare" &&
		same "output" "$(cat moved)" "family: 3000 rounds, nothing lost, nothing twice" &&
		seq 0 2999 | cmp - numbers
	ret=$?
	kill -9 $own "$spare" 2>/dev/null
	finish $ret
}

test_let_go() { # a process that is let go has ended for the spare, in order, and goes on
	local own ret

	begin && on_host b --spare && spare=$pid &&
		until_true grep -q "waiting for the promotion" b.err || return
	"$built/ledger" 3000 | sort >wanted
	start_alone "$built/ledger" 3000 </dev/null >>moved 2>/dev/null &
	own=$!
	on_host a --pid $own && until_true grep -q "could be continued here" b.err &&
		kill "$pid" && wait "$pid" && ! has_ended $own &&
		until_true grep -q "its replica stays" b.log && wait $own && ! has_ended "$spare" &&
		sort moved | cmp -s - wanted
	ret=$?
	kill -9 $own "$spare" 2>/dev/null
	finish $ret
}

ctl() {
	"$built/../../daemon/cptdevctl" --socket "${asked:-a}.control" "$@"
}

# The number at which it went on: it isn't greater than the one before.
went_on_at() {
	awk '$1 <= last {print $1; exit} {last = $1}' numbers
}

went_on() {
	[ -n "$(went_on_at)" ]
}

# A program whose checkpoints are an hour apart, after the first; its host is lost. $1: nothing, or
# what is done before.
count_on() {
	local EVERY=3600000

	rm -f numbers
	begin && on_host b --spare && spare=$pid &&
		until_true grep -q "waiting for the promotion" b.err &&
		on_host a /usr/bin/python3 "$here/count.py" numbers &&
		until_true grep -q "could be continued here" b.err && sleep 0.5 &&
		before=$(tail -n 1 numbers) && "$@" && kill -9 "$pid" && until_true went_on
}

checkpoint_said() {
	ctl checkpoint job >said
}

test_checkpoint() { # a checkpoint by command has everything until then; without it that is lost
	local before ret

	count_on checkpoint_said && has "a spare has generation" said &&
		{ [ "$(went_on_at)" -gt "$before" ] || fail "from $(went_on_at), before $before"; }
	ret=$?
	kill -9 "$spare" 2>/dev/null
	finish $ret || return
	count_on true && { [ "$(went_on_at)" -lt "$before" ] || fail "from $(went_on_at), before $before"; }
	ret=$?
	kill -9 "$spare" 2>/dev/null
	finish $ret
}

test_no_checkpoint() { # one that can't be had is told
	local ret

	begin && ! ctl checkpoint job 2>errors && has "no program has this session" errors &&
		on_host a /usr/bin/python3 "$here/count.py" numbers && ctl wait job >said &&
		kill "${daemons##* }" && ! ctl --timeout 1 checkpoint job 2>errors &&
		has "not within 1 s" errors
	ret=$?
	kill -9 "$pid" 2>/dev/null
	finish $ret
}

# A daemon is stopped between two checkpoints: for the next one it marks nothing in time, after 10 seconds.
# Is the checkpoint refused for that, and for nothing else? Then it continues.
refuses_late_mark() {
	local daemon ret EVERY=10000

	stopped=''
	begin && daemon=${daemons# } && daemon=${daemon%% *} &&
		on_host a /usr/bin/python3 "$here/count.py" numbers && ctl wait job >said || return
	kill -STOP "$daemon" && until_true grep -q "no checkpoint: " a.err && stopped=1
	grep -q "no checkpoint: .*held output can't be marked" a.err
	ret=$?
	kill -CONT "$daemon"
	return $ret
}

test_late_mark() { # a daemon that marks held output too late: that checkpoint isn't taken, a later one is
	local ret stopped

	refuses_late_mark && ctl checkpoint job >said && has "a spare has generation" said
	ret=$?
	kill -9 "$pid" 2>/dev/null
	finish $ret
}

test_mutant_mark() { # it is seen when such a mark counts
	local ret stopped

	RUN=cptdev-run-mutant RUN_MUTANT=mark refuses_late_mark
	ret=$?
	kill -9 "$pid" 2>/dev/null
	finish 0
	[ -n "$stopped" ] && { [ $ret != 0 ] || fail "nobody has noticed"; }
}

# The newest checkpoint of the program.
generation() {
	ctl --json status | sed -n '/"generation":/{s/.*: *\([0-9]*\).*/\1/p;q}'
}

has_another() { # GENERATION
	[ "$(generation)" -gt "$1" ]
}

# A program with many checkpoints, which are held off for so long. $last: the newest of them.
hold_one() { # SECONDS
	begin && on_host a /usr/bin/python3 "$here/count.py" numbers && ctl wait job >said &&
		until_true has_another 5 && ctl hold job "$1" >said && has "HELD OFF since .* more" said &&
		until_true grep -q "checkpoints are held off for at most" a.err && last=$(generation)
}

end_one() { # STATUS
	kill -9 "$pid" 2>/dev/null
	finish "$1"
}

test_hold() { # while a person holds them off there are no checkpoints, and the status says so
	local last EVERY=20

	hold_one 3600 && before=$(tail -n 1 numbers) && until_true counts_past $((before + 20)) &&
		same generation "$(generation)" "$last" && ctl status >said &&
		has "job .*HELD OFF" said && has "after generation $last nothing is saved" said &&
		{ ctl status --check >said; same "status of --check" $? 7; } &&
		has "Problem: .*held off" said &&
		! ctl checkpoint job 2>errors && has "Next: cptdevctl release" errors &&
		ctl release job >said && has "are taken again" said && until_true has_another "$last" &&
		until_true grep -q "held off no longer" a.err && ! ctl release job 2>errors &&
		has "aren't held off" errors
	end_one $?
}

counts_past() { # NUMBER
	[ "$(tail -n 1 numbers)" -gt "$1" ]
}

test_hold_ends() { # the time ends it if nobody does, even under a daemon that hangs or is killed
	local last ret EVERY=20

	hold_one 1 && until_true has_another "$last" && has "nobody has released it" a.log
	end_one $? || return
	hold_one 5 && kill -STOP "$(pid_of_daemon)" && until_true grep -q "held off no longer" a.err
	ret=$?
	kill -CONT "$(pid_of_daemon)"
	end_one $ret || return
	hold_one 3600 && kill -9 "$(pid_of_daemon)" && until_true grep -q "held off no longer" a.err
	end_one $?
}

is_protected() {
	ctl wait job --protected >said 2>&1
}

test_on_demand() { # without a period: one for the spare, one by command, one for a daemon that is new
	local last EVERY=never

	# A link that is lost for a moment may cost one more.
	begin && on_host a /usr/bin/python3 "$here/count.py" numbers &&
		until_true is_protected && last=$(generation) &&
		before=$(tail -n 1 numbers) && until_true counts_past $((before + 1000)) &&
		! has_another $((last + 3)) && last=$(generation) && ctl --timeout 120 checkpoint job >said &&
		has "a spare has generation" said && has_another "$last" &&
		kill -9 "$(pid_of_daemon)" && host a 127.0.0.1 127.0.0.2 &&
		until_true is_protected
	end_one $?
}

# Of host a.
pid_of_daemon() {
	local first=${daemons# }

	echo "${first%% *}"
}

test_end() { # a program that ends in order isn't continued
	local ret

	begin && on_host b --spare && spare=$pid &&
		until_true grep -q "waiting for the promotion" b.err &&
		on_host a "$built/ledger" 300 && { wait "$pid"; same "status" $? 0; } &&
		grep -q "nothing lost" moved && sleep 1 && ! has_ended "$spare" &&
		same "lines of the ledger" "$(grep -c "nothing lost" moved)" 1
	ret=$?
	kill "$spare"
	finish $ret
}

test_fence() { # a program whose spare was promoted meanwhile is killed
	local old ret

	begin && on_host b --spare && spare=$pid &&
		until_true grep -q "waiting for the promotion" b.err &&
		on_host a "$built/ledger" 100000 && old=$pid &&
		until_true grep -q "could be continued here" b.err &&
		"$built/../../daemon/cptdevctl" --socket b.control promote --force job >promote.err 2>&1 &&
		{ wait "$old"; same "status of the old one" $? 137; } && has fenced a.err &&
		! has_ended "$spare"
	ret=$?
	kill -9 "$old" "$spare" 2>/dev/null
	finish $ret
}

test_mutant() { # it is seen when a page is left out on its way
	local ret

	"$built/ledger" 2000 | sort >wanted
	export RUN_MUTANT=page
	begin && PATIENCE=1500 RUN=cptdev-run-mutant move_once "$built/ledger" 2000 &&
		[ "$status" = 0 ] && sort moved | cmp -s - wanted
	ret=$?
	export RUN_MUTANT=
	finish 0
	has "could be continued here" b.err && { [ $ret != 0 ] || fail "nobody has noticed"; }
}

# It is seen when a program of several processes goes on without a part.
sees_tree() { # NAME
	local ret

	export RUN_MUTANT=$1
	PATIENCE=1500 RUN=cptdev-run-mutant same_tree 4 "$built/family" "$work/numbers" 1500 >&2 &&
		seq 0 1499 | cmp -s - numbers
	ret=$?
	export RUN_MUTANT=
	finish 0
	has "could be continued here" b.err && { [ $ret != 0 ] || fail "nobody has noticed"; }
}

test_mutant_child() { # it is seen when a child's memory is that of its first checkpoint
	sees_tree child
}

test_mutant_slot() { # it is seen when a process gets the memory of another one
	sees_tree slot
}

# Those that are asked for, in the script that the plan is read from.
if [ "$only" != "  " ]; then
	grep -E "^test_($(tr ' ' '|' <<<"$*"))\(\) \{ #" "$here/hosts.sh" >plan
else
	cp "$here/hosts.sh" plan
fi
export RUN_MUTANT=
tap_run plan
