# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Swap torture: a database over cptdevd that is moved from host to host again and again, by
# hand and by failures, each time with another failure while the first is being mended. On
# each host something starts the program anew. A client keeps a ledger and asks all hosts: a row
# that it was told is safe is there once in every answer of every host from then on; one that it
# was told nothing of is there once or not at all; and there is no other. To be sourced behind
# database.sh by tests that say what the hosts are, which failures they have, and how many SWAPS there
# are. TAP.
#
# SEED is of the schedule: the run prints it.

# In rows is the last one that was written; the ledger has a line for each: safe, maybe, or gone if a
# person has accepted its loss.
work=$vm_root
ledger_file=$work/ledger

# A random number below $1.
RANDOM=$((SEED % 32768))
below() {
	chosen=$((RANDOM % $1))
}

# write host: one row, tried once. What its answer says goes into the ledger.
write_row() {
	local word=maybe
	rows=$((rows + 1))
	! says_safe "$1" "insert into t values ($rows, $((rows * 7919)))" || word=safe
	printf '%s %s\n' "$rows" "$word" >>"$ledger_file"
	[ $word = safe ]
}

# agrees: is an answer of all rows what the ledger says? Its copy, made before the question.
agrees() { # ledger
	awk '
		NR == FNR { word[$1] = $2; next }
		/"ok":/ { whole = 1; next }
		/"error":/ { print; wrong = 1 }
		match($0, /"a":-?[0-9]+/) {
			a = substr($0, RSTART + 4, RLENGTH - 4)
			match($0, /"n":[0-9]+/); n = substr($0, RSTART + 4, RLENGTH - 4)
			match($0, /"bad":[0-9]+/); bad = substr($0, RSTART + 6, RLENGTH - 6)
			if (n != 1 || bad != 0) { print "row " a " is there " n " times, " bad " wrong"; wrong = 1 }
			if (!(a in word) && a > last) { print "row " a " was never written"; wrong = 1 }
			if (word[a] == "gone") { print "row " a " was given up and is back"; wrong = 1 }
			there[a] = 1
		}
		END {
			for (a in word)
				if (whole && word[a] == "safe" && !(a in there)) { print "row " a " was safe and is lost"; wrong = 1 }
			exit wrong ? 1 : whole ? 0 : 2
		}' last="$rows" "$1" -
}

# look host: 0 it answered what is right, 1 it answered something wrong, 2 it didn't answer
look() {
	local answer ret=0
	cp "$ledger_file" "$ledger_file.$1"
	answer=$(ask "$1" 'select a, count(*) n, sum(b <> a * 7919) bad from t group by a')
	printf '%s\n' "$answer" | agrees "$ledger_file.$1" >"$work/wrong" || ret=$?
	[ $ret -ne 1 ] || say_why "$1: $(paste -sd ';' "$work/wrong")"
	return $ret
}

# Whoever answers, answers right.
all_right() {
	local host ret
	for host in "${hosts[@]}"; do
		ret=0
		look "$host" || ret=$?
		[ $ret -ne 1 ] || return 1
	done
}

right() { # host: it answers, and right
	local ret=0
	look "$1" || ret=$?
	[ $ret -eq 0 ]
}

# The swaps. $1 has the database.

swap_hand() {
	vm_run "${other[$1]}" 'cptdevctl promote --force db >/dev/null'
}

swap_host() {
	vm_kill "$1"
}

swap_cut() {
	vm_net "$1" drop
}

# A program that dies while another one waits is taken over from at once.
swap_program() {
	program_signal "$1" KILL
}

# Planned, while both work. A program that was fenced a moment ago may not wait yet.
swap_move() {
	until_true vm_run "$1" 'cptdevctl --timeout 60 switchover db >/dev/null 2>&1' 90
}

# What was broken is mended.
mend() { # swap host
	"mend_$1" "$2"
}

mend_hand() {
	:
}

mend_move() {
	:
}

mend_program() {
	:
}

mend_host() {
	host_launch "$1"
	host_ready "$1"
	host_begin "$1" s
}

mend_cut() {
	vm_net "$1" pass
}

# The second failure: $1 had the database, $2 has it now.

second_none() {
	:
}

second_program() {
	program_signal "$1" KILL
}

second_daemon() {
	daemon_end "$1" 9
	host_daemon "$1"
}

second_daemon_new() {
	daemon_end "$2" 9
	host_daemon "$2"
}

second_short_cut() {
	vm_net "$2" drop
	sleep 2.5
	vm_net "$2" pass
}

second_long_cut() {
	vm_net "$2" drop
	sleep $(((timeout_ms + margin_ms) / 1000 + 1))
	vm_net "$2" pass
}

second_stop() {
	program_signal "$2" STOP
	sleep 2
	program_signal "$2" CONT
}

swaps=(hand host cut program move)
seconds=(none program daemon daemon_new short_cut long_cut stop)

# swap host: a swap that fails is the last one, since nobody knows who has what
swap() {
	swap_from "$1" || {
		touch "$work/failed"
		keep_reports
		return 1
	}
}

# For whoever looks for the cause: what all hosts know, and the ledger. The guests' logs are there, too.
keep_reports() {
	local host
	for host in "${hosts[@]}"; do
		vm_run "$host" 'rm -f /tmp/report; cptdevctl report /tmp/report >/dev/null' 120 &&
			vm_get "$host" /tmp/report "$work/report-$host.tar.gz"
	done
	say_why "reports of all hosts, and the ledger: $work"
}

# For tests with more hosts: what comes before a swap and after it, and whoever decides when a host is
# lost.
prepare() { # host
	:
}

finish_swap() {
	:
}

decide() {
	:
}

# gone_on host: another one serves, $to
gone_on() {
	decide
	for to in "${hosts[@]}"; do
		[ "$to" = "$1" ] || ! serves "$to" || return 0
	done
	return 1
}

# swap_from host: the database goes from there to another one
swap_from() {
	below ${#swaps[@]}
	local first=${swaps[$chosen]}
	below ${#seconds[@]}
	swap_by "$first" "${seconds[$chosen]}" "$1"
}

# swap_by first second host
swap_by() {
	local first=$1 second=$2 from=$3 to
	what="swap $i, $first and $second, from $from"
	prepare "$from" || return 1
	write_row "$from" || say_why "$what: row $rows isn't safe yet"
	all_right || return 1
	"swap_$first" "$from"
	until_true gone_on "$from" || return 1
	what+=" to $to"
	all_right || return 1
	write_row "$to" || true
	# Whoever was cut off doesn't know that row: it mustn't answer any more.
	all_right || return 1
	mend "$first" "$from"
	"second_$second" "$from" "$to"
	all_right || return 1
	write_row "$to" || true
	until_true safe_somewhere || return 1
	all_right || return 1
	one_serves "$at" && intact "$at" && finish_swap
}

# intact host: no page of the replica differs from what was sent to it, as far as that is known. A daemon
# that was started anew knows nothing.
intact() {
	local answer
	answer=$(vm_run "$1" 'cptdevctl --timeout 120 verify db' 150)
	! grep -qw same <<<"$answer" || compared=$((compared + 1))
	! grep -E 'differs|repaired|copying' <<<"$answer" || {
		say_why "verify on $1: $(paste -sd ';' <<<"$answer")"
		return 1
	}
}

# Somebody serves, and another one is the spare. Who it is, is in $at: a cut that lasts longer
# than the time-out moves the database back if the spare was in step already.
safe_somewhere() {
	decide
	all_right || touch "$work/failed"
	for at in "${hosts[@]}"; do
		! says_safe "$at" 'delete from t where a < 0' || return 0
	done
	return 1
}

one_serves() {
	local host
	[ ! -e "$work/failed" ] && patiently right "$1" || return 1
	for host in "${hosts[@]}"; do
		[ "$host" = "$1" ] || not serves "$host" || return 1
	done
}

# The comparison can fail.
test_controls() {
	cp "$ledger_file" "$work/kept"
	printf '%s safe\n' $((rows + 1)) >>"$ledger_file"
	t 'control: a row that is lost is noticed' not right a
	sed '$d' "$work/kept" >"$ledger_file"
	rows=$((rows - 1))
	t 'control: a row that was never written is noticed' not right a
	rows=$((rows + 1))
	cp "$work/kept" "$ledger_file"
	says_safe a "insert into t values (1, 7919)"
	t 'control: a row that counts twice is noticed' not right a
	says_safe a "delete from t where a = 1"
	says_safe a "insert into t values (1, 7918)"
	t 'control: a row that is wrong is noticed' not right a
	says_safe a "update t set b = 7919 where a = 1"
	t 'control: that is all' right a
}

# For tests with controls that break something for good.
last_controls() {
	:
}

main() {
	local at=a what i host compared=0
	mkdir -p "$work"
	: >"$ledger_file"
	begin
	for host in "${hosts[@]:1}"; do
		host_begin "$host" s
		t "the spare waits on $host" until_true waits_since "$host" 0
	done
	host_begin a m
	t 'the master serves' until_true serves a
	t 'a table is safe' until_true says_safe a 'create table if not exists t (a integer, b integer)'
	write_row a
	write_row a
	test_controls
	# shellcheck disable=SC2153 # of the test that sources this
	for ((i = 1; i <= SWAPS; i++)); do
		what=''
		t "swap $i" swap "$at"
		say_why "$what"
		[ ! -e "$work/failed" ] || break
	done
	say_why "$rows rows, $(grep -c safe "$ledger_file") of them safe; $compared comparisons found all pages the same"
	t 'replicas were compared' [ "$compared" -gt 0 ]
	[ -e "$work/failed" ] || last_controls
	for host in "${hosts[@]}"; do
		program_end "$host"
	done
	for host in "${hosts[@]}"; do
		daemon_end "$host" 15
		# A host that came back may have none yet.
		vm_run "$host" '! cptdevctl replica list | grep -qw db || cptdevctl replica remove --force db >/dev/null'
	done
	for host in "${hosts[@]}"; do
		t "all hosts stop in order: $host" vm_stop "$host"
	done
	printf '1..%d\n' "$points"
}
