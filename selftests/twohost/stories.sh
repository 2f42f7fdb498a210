#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Stories of two failures: a database over cptdevd, and what must not become of it when the second
# thing fails while the first is being mended, or long after. TAP.

# shellcheck source=selftests/twohost/database.sh
. "$(dirname "$0")/database.sh"

# As the unit runs it.
daemon_user=990:997

# Longer than a time-out with all that is added to it.
silence=$(((timeout_ms + margin_ms) / 1000 + 1))

# story_begin [line of both configurations]...: a is the master, b the spare, rows are safe
story_begin() {
	rows=0
	daemon_start b auto "$@"
	daemon_start a auto "$@"
	program_start b -s
	until_true program_said b 'waiting for the promotion' || return
	program_start a -m
	until_true says_safe a 'create table t (a integer, b integer)' && add a 5 || return
	# The spare's has made a replica for root's program, and has come back from root.
	daemon_rights a && daemon_rights b
}

# daemon_rights host: it runs as its user, with CAP_CHECKPOINT_RESTORE and CAP_SETUID
daemon_rights() {
	local got
	# shellcheck disable=SC2016
	got=$(vm_run "$1" 'grep -E "^(Uid|CapEff|CapPrm)" /proc/$(pidof cptdevd)/status' | tr -s '\t\n ' ' ')
	[ "${got% }" = "Uid: 990 990 990 990 CapPrm: 0000010000000080 CapEff: 0000010000000080" ] ||
		not say_why "the daemon of $1 has: $got"
}

# Nothing is left, on disk neither.
story_end() {
	local host
	vm_net a pass
	link_fast 2>/dev/null || true
	for host in a b; do
		daemon_end $host 9
	done
	for host in a b; do
		program_signal $host KILL
		vm_wait $host "${program[$host]}" $limit >/dev/null 2>&1 || true
		vm_run $host 'cptdevctl replica remove --force db >/dev/null 2>&1; rm -rf /var/lib/cptdev' || true
	done
}

# a is lost, as far as b can know, and needn't boot afterwards. That its power goes is part of the
# story failed_before, of failover, hotspare and swap.
cut_off_a() {
	vm_net a drop
}

linked() {
	vm_run a 'cptdevctl status --json' | tr -d '\n' | grep -q '"outgoing": *{ *"state": *"up"'
}

# reboot host [keep]: its power goes and comes back, with its disk or without
reboot() {
	local disk=$vm_root/disk.tar host=$1
	rm -f "$disk"
	[ -z "${2:-}" ] || {
		vm_run "$host" 'tar -C /var/lib -cf /tmp/disk.tar cptdev' &&
			vm_get "$host" /tmp/disk.tar "$disk"
	} || return
	vm_kill "$host"
	host_launch "$host"
	host_ready "$host"
	[ ! -e "$disk" ] || {
		vm_put "$host" "$disk" /tmp/disk.tar &&
			vm_run "$host" 'mkdir -p /var/lib && tar -C /var/lib -xf /tmp/disk.tar'
	}
}

reboot_b() {
	reboot b "$@"
}

# status_tells host pattern: for people
status_tells() {
	vm_run "$1" 'cptdevctl status' 2>&1 | grep -qiE -- "$2"
}

# Reads, and when they were asked for by the guest's own CLOCK_BOOTTIME, in ticks of 10 ms: /proc/uptime
# shows it. What the lease forbids must not be answered at all, however busy this machine is.

lease_ticks=$((timeout_ms * 3 / 4 / 10))

# shellcheck disable=SC2016 # for the shell there
boottime() { # host
	vm_run "$1" 'awk "{print int(\$1 * 100)}" /proc/uptime'
}

# reader_start host: asks all the time, and prints when each read that was answered was asked for
reader_start() {
	# shellcheck disable=SC2016 # for the shell there
	reader=$(vm_spawn "$1" 'while :; do
			read -r t x </proc/uptime
			case $(echo "select 1 one" | nc -w 1 127.0.0.1 7412 2>/dev/null) in
			*\"one\":1*) echo ${t%.*}${t#*.} ;;
			esac
			sleep 0.2
		done' 3600)
}

reader_end() { # host
	vm_signal "$1" "$reader" 9
	vm_wait "$1" "$reader" $limit >/dev/null 2>&1 || true
}

read_since() { # host ticks
	vm_output "$1" "$reader" O | awk -v t="$2" '$1 > t {n++; last = $1}
		END {if (n) print "# " n " reads since " t ", the last one was asked for at " last; exit !n}'
}

passed() { # host ticks
	[ "$(boottime "$1")" -gt "$2" ]
}

program_ended() { # host
	! vm_run "$1" 'pidof sqlite-hotspare >/dev/null'
}

# It was stopped, not lost: it stays stopped.
story_ended_in_order() {
	t 'stopped in order: begin' story_begin
	vm_net a drop
	program_signal a TERM
	t 'stopped in order: the program ends' until_true program_ended a
	sleep 1
	vm_net a pass
	t 'stopped in order: the hosts are linked again' until_true linked
	t 'stopped in order: b is told' until_true daemon_said b 'its replica stays'
	vm_kill a
	sleep $silence
	t 'stopped in order: when its host is lost, nothing comes back to life' not serves b
	t 'stopped in order: nobody went on' not program_said b 'continuing from'
	host_launch a
	host_ready a
	story_end
}

# A person wanted it to stay where it is: a lost host is another matter.
story_failed_before() {
	t 'failed before: begin' story_begin '[sessions]' on_exit=stay
	program_signal a KILL
	t 'failed before: the program ends' until_true program_ended a
	sleep 3
	t 'failed before: on_exit = stay' not serves b
	vm_kill a
	t 'failed before: when its host is lost, b goes on' until_true serves b
	t 'failed before: with all rows' all_there b
	host_launch a
	host_ready a
	story_end
}

# Never an empty one over a full one.
story_empty_restart() {
	t 'empty restart: begin' story_begin '[sessions]' on_exit=stay
	program_signal a KILL
	until_true program_ended a
	program_start a -m
	sleep 3
	t 'empty restart: an empty table is not safe' not says_safe a 'create table if not exists t (a integer, b integer)'
	t 'empty restart: b still waits' not serves b
	vm_run b 'cptdevctl promote --force db >/dev/null'
	t 'empty restart: promoted by hand, b goes on' until_true serves b
	t 'empty restart: with all rows' all_there b
	t 'empty restart: nothing is safe on a' not says_safe a 'delete from t'
	story_end
}

# Nobody waits on b, so nobody takes over: a gets its state back, and b is its spare again.
story_take_back() {
	local policy=('[sessions]' on_restart=take-back)
	t 'take back: begin' story_begin "${policy[@]}"
	program_signal b KILL
	until_true program_ended b
	program_signal a KILL
	until_true program_ended a
	t 'take back: a boots' reboot a keep
	daemon_start a auto "${policy[@]}"
	until_true linked
	program_start a -m
	t 'take back: a goes on' until_true safe_on a
	t 'take back: with all rows' all_there a
	program_start b -s
	t 'take back: b waits again' until_true program_said b 'waiting for the promotion'
	t 'take back: more rows are safe' add a 3
	cut_off_a
	t 'take back: a is lost, b goes on' until_true serves b
	t 'take back: with those rows, too' all_there b
	story_end
}

# reads_stop what host ticks: of its lease at most the time since @ticks was left
reads_stop() {
	local end=$(($3 + lease_ticks))
	until_true passed "$2" $((end + 200))
	t "$1: no read is answered after the lease" not read_since "$2" $end
	t "$1: control: an earlier end is noticed" read_since "$2" $((end - lease_ticks - 6000))
	reader_end "$2"
}

# A program that isn't asked to write anything, and is overtaken: over a link that works, and over none.
story_old_primary() {
	local at
	t 'old primary: begin' story_begin
	reader_start a
	t 'old primary: its reads are answered' until_true read_since a 0
	vm_run b 'cptdevctl promote --force db >/dev/null'
	at=$(boottime a)
	t 'old primary: promoted by hand, b goes on' until_true serves b
	reads_stop 'old primary: linked' a "$at"
	t 'old primary: a waits' until_true program_said a 'waiting for the promotion'
	t 'old primary: b is safe' until_true safe_on b
	reader_start b
	t 'old primary: the reads of b are answered' until_true read_since b 0
	vm_net a drop
	at=$(boottime b)
	t 'old primary: the link is cut, a goes on' until_true serves a
	t 'old primary: with all rows' all_there a
	reads_stop 'old primary: cut' b "$at"
	story_end
}

slept() { # host
	vm_run "$1" 'grep -qx 1 /sys/power/suspend_stats/success' 5
}

# frozen host: when its programs stopped, as boottime(); the kernel's log has another clock, which is the
# same to some hundredths before the first suspend
frozen() {
	vm_run "$1" 'dmesg | tr -d "[" | grep "Freezing user space processes" | tail -n 1' |
		awk '{print int($1 * 100) + 10}'
}

# Its clocks but CLOCK_BOOTTIME stand still meanwhile, and it wakes with the state that it had before.
story_suspended() {
	t 'suspended: begin' story_begin
	reader_start a
	t 'suspended: the reads of a are answered' until_true read_since a 0
	# Suspend-to-idle, which a key ends: the emulated firmware doesn't come back from S3.
	# shellcheck disable=SC2016 # for the shell there
	vm_run a 'for f in /sys/bus/serio/devices/*/power/wakeup; do echo enabled >$f; done'
	vm_spawn a 'echo freeze >/sys/power/state' >/dev/null
	t 'suspended: b goes on' until_true serves b
	t 'suspended: with all rows' all_there b
	vm_qmp a '{"execute":"send-key","arguments":{"keys":[{"type":"qcode","data":"ret"}]}}' >/dev/null
	t 'suspended: a has slept, and is awake' until_true slept a
	reads_stop 'suspended' a "$(frozen a)"
	t 'suspended: a becomes the spare' until_true program_said a 'waiting for the promotion'
	t 'suspended: rows are safe on b' until_true safe_on b
	t 'suspended: with all rows' all_there b
	story_end
}

# b took over, lost what it had, and a is there again. b served, so a person decides.
story_promoted_host_reboots() {
	t 'promoted host reboots: begin' story_begin
	vm_net a down
	t 'promoted host reboots: b goes on' until_true serves b
	ask b 'insert into t values (0, 0)' >/dev/null
	t 'promoted host reboots: b boots' reboot_b keep
	daemon_start b auto
	program_start b -s
	vm_net a up
	sleep $silence
	t 'promoted host reboots: nothing is safe on a in silence' not says_safe a 'delete from t where a < 0'
	t 'promoted host reboots: b says what it lost' status_tells b "isn't in memory any more"
	t 'promoted host reboots: a says that it stands still' status_tells a 'overtaken'
	t 'promoted host reboots: given up by hand' vm_run b 'cptdevctl forget --force db'
	t 'promoted host reboots: a goes on' until_true safe_on a
	t 'promoted host reboots: with all rows' all_there a
	story_end
}

# Two masters, each by hand, while nobody could see the other.
story_both_promoted() {
	t 'both promoted: begin' story_begin
	vm_run b 'cptdevctl promote --force db >/dev/null'
	t 'both promoted: b goes on' until_true safe_on b
	vm_run a 'cptdevctl promote --force db >/dev/null'
	t 'both promoted: and a again' until_true safe_on a
	vm_net a drop
	vm_run b 'cptdevctl promote --force db >/dev/null'
	vm_run a 'cptdevctl promote --force db >/dev/null' || true
	sleep 2
	vm_net a pass
	t 'both promoted: a says so' until_true status_tells a 'split'
	t 'both promoted: b says so' until_true status_tells b 'split'
	t 'both promoted: nothing is safe on a' not says_safe a 'delete from t where a < 0'
	t 'both promoted: nothing is safe on b' not says_safe b 'delete from t where a < 0'
	t 'both promoted: a is given up' vm_run a 'cptdevctl forget --force db'
	program_signal a KILL
	program_start a -s
	t 'both promoted: b is safe' until_true safe_on b
	t 'both promoted: with all rows' all_there b
	story_end
}

# How often a's daemon woke, its processor time, and the time since the start, in ticks of 10 ms; how
# long the guest's processor ran, and how long it waited for one of this machine, in ms.
# shellcheck disable=SC2016 # for the shell there
daemon_times() {
	{
		vm_run a 'pid=$(pidof cptdevd)
			sed -n "s/^voluntary_ctxt_switches:[[:space:]]*//p" /proc/$pid/status
			awk "{print \$14 + \$15}" /proc/$pid/stat
			awk "{print int(\$1 * 100)}" /proc/uptime'
		# The thread that ran most of all of QEMU's.
		cat "/proc/$(<"$(vm_dir a)/pid")"/task/*/schedstat | sort -n |
			awk 'END {print int($1 / 1000000), int($2 / 1000000)}'
	} | xargs
}

# daemon_idle wakes ticks time ran waited, as before: it neither wakes all the time nor takes 5 % of a
# processor. It wakes for heartbeats, 5 in a second in each direction, and their answers. The guest
# counts time in which its own processor waited for the machine as time of the process that ran, so
# that a share of the daemon's time is subtracted: the part of all time for which the processor waited.
# If that is more than half of the time, the share is only an estimate: 10 % then.
daemon_idle() {
	local wakes ticks time ran waited all most=5
	read -r wakes ticks time ran waited <<<"$(daemon_times)"
	wakes=$((wakes - $1)) ticks=$((ticks - $2)) time=$((time - $3)) ran=$((ran - $4 + 1))
	all=$((ran + waited - $5))
	say_why "in $time ticks the daemon woke $wakes times and ran for $ticks; the guest ran for $ran of $all ms"
	[ $((2 * ran)) -ge $all ] || most=10
	[ "$wakes" -lt "$time" ] && [ $((100 * ticks * ran / all)) -lt $((most * time)) ]
}

replica_begun() {
	local n
	n=$(replica generation)
	[ "${n:-0}" -gt 0 ]
}

whole_within() { # seconds
	local limit=$1
	until_true replica_begun
}

# Nobody asks the program anything, and it has to bring its state all the same.
story_idle_spare() {
	local before wakes ticks time ran waited
	t 'idle program: begin' story_begin
	t 'idle program: b boots' reboot_b
	daemon_start b auto
	program_start b -s
	t 'idle program: its state is with the new spare within 10 s' whole_within 10
	t 'idle program: which says that it is protected' until_true not status_tells a 'not protected'
	before=$(daemon_times)
	# Longer than anything that wakes the daemon takes; in emulation it takes 3 to 4 %.
	sleep 20
	# shellcheck disable=SC2086 # five numbers
	t 'idle program: the daemon is idle, too' daemon_idle $before
	read -r wakes ticks time ran waited <<<"$(daemon_times)"
	t 'idle program: control: one that wakes all the time is noticed' \
		not daemon_idle $((wakes - 5000)) "$ticks" $((time - 500)) $((ran - 5000)) "$waited"
	t 'idle program: control: one that spins is noticed' \
		not daemon_idle "$wakes" $((ticks - 1000)) $((time - 1000)) $((ran - 5000)) "$waited"
	cut_off_a
	t 'idle program: b goes on' until_true serves b
	t 'idle program: with all rows' all_there b
	story_end
}

safe_on() {
	says_safe "$1" 'delete from t where a < 0'
}

# one_safe: somebody serves what is safe; the other one doesn't serve
one_safe() {
	local host
	for host in a b; do
		! safe_on $host || {
			not serves "${other[$host]}" && all_there $host
			return
		}
	done
	return 1
}

story_two_cuts() {
	local i
	t 'two cuts: begin' story_begin
	for i in 1 2; do
		vm_net a drop
		sleep $((timeout_ms / 1000 + 2))
		vm_net a pass
		sleep 2.5
	done
	t 'two cuts: one server is left, with all rows' until_true one_safe
	story_end
}

staged() {
	local n
	n=$(replica staged)
	[ "${n:-0}" -gt 0 ]
}

# What is on its way is nothing yet.
story_long_copy() {
	t 'long copy: begin' story_begin
	t 'long copy: the copy is long' patiently says_safe a 'create table z (z); insert into z values (randomblob(8000000))'
	# Little is in the sockets, so that heartbeats come through.
	vm_run a 'echo 4096 16384 131072 >/proc/sys/net/ipv4/tcp_wmem'
	t 'long copy: b boots' reboot_b
	link_slow
	daemon_start b auto
	program_start b -s
	ask a 'delete from t where a < 0' >/dev/null &
	t 'long copy: it begins' until_seen staged
	daemon_end b 9
	daemon_start b auto
	t 'long copy: b is started anew in the middle, and it begins again' until_seen staged
	vm_kill a
	sleep $silence
	t 'long copy: half of it is not served' not serves b
	host_launch a
	host_ready a
	wait
	story_end
}

# ask_once host: the next row, which isn't there twice however often it is asked for
ask_once() {
	says_safe "$1" "insert into t select $((rows + 1)), $(((rows + 1) * 7919)) where not exists (select 1 from t where a = $((rows + 1)))"
}

# One more row is safe, by whichever host.
add_anywhere() {
	local host end=$((SECONDS + limit))
	while [ "$SECONDS" -lt "$end" ]; do
		for host in a b; do
			ask_once $host || continue
			rows=$((rows + 1))
			return 0
		done
	done
	say_why "row $((rows + 1)) is safe nowhere"
	return 1
}

# moves from to: while a client goes on
moves() {
	local id before text line
	before=$(waited "$1")
	id=$(vm_spawn "$1" "cptdevctl switchover db --timeout 60 >/tmp/moved 2>&1; echo done >>/tmp/moved")
	until vm_run "$1" 'grep -q ^done /tmp/moved'; do
		add_anywhere || return
	done
	vm_wait "$1" "$id" $limit >/dev/null
	text=$(vm_run "$1" 'cat /tmp/moved')
	while IFS= read -r line; do
		printf '# %s\n' "$line"
	done <<<"$text"
	[[ $text == *"switched db over to $2: generation"* && $text == *'down time:'* ]] || return
	add_anywhere && until_true serves "$2" && not serves "$1" || return
	# The old program has become the spare of the one that goes on.
	until_true waits_since "$1" "$before"
}

# A service is moved while a client writes, and back: every row is there once.
story_switch_over() {
	t 'switch over: begin' story_begin
	t 'switch over: from a to b, while a client writes' moves a b
	t 'switch over: with all rows, each once' all_there b
	t 'switch over: a is the spare' until_true status_tells b 'followed'
	t 'switch over: b is in step again' until_true safe_again b
	t 'switch over: and back' moves b a
	t 'switch over: with all rows, each once again' all_there a
	cut_off_a
	t 'switch over: when a is lost then, b goes on' until_true serves b
	t 'switch over: with those rows' all_there b
	story_end
}

stories=(failed_before idle_spare old_primary suspended switch_over)
# Each of these takes a minute, and is played in virtual time in each run of daemon-sim.
[ "${CPTDEV_TIER:-}" != all ] ||
	stories+=(promoted_host_reboots take_back ended_in_order empty_restart both_promoted two_cuts long_copy)

main() {
	local story
	begin
	for story in ${STORIES:-"${stories[@]}"}; do
		"story_$story"
	done
	t 'both hosts stop in order: a' vm_stop a
	t 'both hosts stop in order: b' vm_stop b
	printf '1..%d\n' $points
}

main
