#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A program that crashes goes on on the spot (keep = restart): an SQLite database under load is killed
# again and again, as by SIGKILL, and is started again as its unit would do it. Two cptdevds with the soft
# engine, and both programs, are on this host. TAP on stdout.
#
#	spot.sh DIR	DIR: where the library was built; cptdevd is beside it

set -u
here=$(cd "$(dirname "$0")/.." && pwd)
built=${1:?usage: spot.sh DIR}
daemons=${CPTDEVD_DIR:-$(cd "$built/../../daemon" && pwd)}
server=$built/sqlite-hotspare
kills=${KILLS:-20}

# shellcheck source=libckdev/tests/tap.sh
. "$here/../tests/tap.sh"

if [ ! -x "$server" ] || ! command -v python3 >/dev/null; then
	echo "1..0 # SKIP sqlite-hotspare wasn't built, or there is no python3"
	exit 4
fi

work=$(mktemp -d)
cd "$work" || exit 1
clean_up() {
	stop_all
	cd / && rm -rf "$work"
}
trap clean_up EXIT

free_port() {
	python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

# HOST PORT OTHER-PORT SECONDS
write_conf() {
	cat >"$1.conf" <<-END
		[node]
		name = $1
		control = $work/$1.control
		state_dir = $work/$1.state
		engine = soft
		programs = $work/$1.programs
		[listen]
		address = 127.0.0.1
		port = $2
		[peer]
		address = 127.0.0.1
		port = $3
		insecure = yes
		[failover]
		heartbeat_interval_ms = 200
		timeout_ms = 3000
		failover = auto
		[sessions]
		keep = $4
		restart_s = $5
	END
}

pids=()
stop_all() {
	[ ! -e unit.pid ] || kill "$(<unit.pid)" 2>/dev/null
	[ ! -e a.pid ] || kill -KILL "$(<a.pid)" 2>/dev/null
	[ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null
	wait 2>/dev/null
	pids=()
	rm -f ./*.pid ./*.log ./*.out ./*.control ./*.programs fifo
	rm -rf ./*.state
}

until_true() { # COMMAND...: for at most a minute
	local i

	for ((i = 0; i < 1200; i++)); do
		"$@" && return 0
		sleep 0.05
	done
	fail "not within a minute: $*"
}

linked() {
	grep -q "linked to b" a.log && grep -q "linked to a" b.log
}

over() { # HOST OPTION PORT
	CPTDEVD_PROGRAMS=$work/$1.programs CPTDEVD_CONTROL=$work/$1.control \
		exec "$server" "$2" -S db -t 5 -- -l "$3"
}

# The unit of the program on a: Restart=always, without a pause.
unit() {
	while [ ! -e enough ]; do
		(over a -m "$port_a") >>a.out 2>&1 &
		echo $! >a.pid
		wait $! 2>/dev/null
	done
}

fresh() { # KEEP SECONDS
	local a b

	a=$(free_port) b=$(free_port) port_a=$(free_port) port_b=$(free_port)
	rm -f enough
	write_conf a "$a" "$b" "$1" "$2"
	write_conf b "$b" "$a" "$1" "$2"
	for host in a b; do
		"$daemons/cptdevd" -f -c $host.conf >$host.log 2>&1 &
		pids+=($!)
	done
	until_true linked || return 1
	(over b -s "$port_b") >b.out 2>&1 &
	pids+=($!)
	unit 2>/dev/null &
	echo $! >unit.pid
	pids+=($!)
	until_true sql "$port_a" "create table done(client, n, primary key(client, n)); create table sums(id primary key, n); insert into sums values(1, 0)" &&
		until_true grep -q '"safe":true' answer
}

# PORT SQL: one line, whose answer is in the file "answer"
sql() {
	python3 - "$1" "$2" 2>/dev/null >answer <<-'END'
		import socket, sys
		s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)
		s.settimeout(20)
		f = s.makefile("rw")
		f.write(sys.argv[2] + "\n")
		f.flush()
		for line in f:
		    print(line, end="")
		    if line.startswith(('{"ok":', '{"error":')):
		        sys.exit(line.startswith('{"error":'))
		sys.exit(1)
	END
}

feed() {
	local i=0

	while [ ! -e enough ]; do
		echo "update sums set n = n + 1" || return
		i=$((i + 1))
	done
}

start_load() {
	local i

	for i in 1 2 3; do
		rm -f fifo$i
		mkfifo fifo$i
		feed >fifo$i &
	done
	"$built/sqlite-load" "127.0.0.1:$port_a" fifo1 fifo2 fifo3 >load.out 2>load.err &
	load=$!
}

done_so_far() {
	awk '/progress/ {sub(/.*done=/, ""); n = $1} END {print n + 0}' load.out
}

# From the first client that has lost its connection to the first one that has an answer, in ms.
down_times() {
	awk '{t = $2; sub(/t=/, "", t)}
		$3 == "lost" && !down {down = t}
		$3 == "answer" && down {print t - down; down = 0}' load.out
}

more_answers() { # NUMBER
	[ "$(answers)" -gt "$1" ]
}

answers() {
	awk '$3 == "answer"' load.out | wc -l
}

# What was answered is there, once. Who takes over has the listening socket, and so the port, of the other.
nothing_is_lost() {
	local transactions

	wait "$load" || fail "sqlite-load: status $?: $(tail -n 1 load.err)" || return 1
	transactions=$(sed -n 's/.* done transactions=\([0-9]*\).*/\1/p' load.out)
	sql "$port_a" "select (select count(*) from done), (select n from sums)" || fail "no answer" || return 1
	same "transactions, and the sum" "$(tr -dc '0-9,' <answer | head -c 40 | cut -d, -f1,2)" \
		"$transactions,$transactions"
	echo "# $transactions transactions"
}

test_killed_under_load() { # a program that is killed again and again goes on on the spot, and nothing is lost
	local i n times

	fresh restart 10 || return 1
	start_load
	for ((i = 0; i < kills; i++)); do
		n=$(answers)
		sleep "0.$((RANDOM % 6 + 2))"
		kill -KILL "$(<a.pid)"
		until_true more_answers "$n" || return 1
	done
	touch enough
	times=$(down_times | sort -n)
	# The unit must not end before the last answers are there.
	nothing_is_lost || return 1
	same "restarts" "$(grep -c 'continuing from generation' a.out)" "$kills" || return 1
	! grep -q continuing b.out || fail "the spare has taken over" || return 1
	echo "# killed $kills times; down, ms: smallest $(head -n 1 <<<"$times"), median $(
		sed -n "$(($(wc -l <<<"$times") / 2 + 1))p" <<<"$times"), largest $(tail -n 1 <<<"$times")"
	stop_all
}

test_not_back() { # if it isn't started again, the spare takes over, and nothing is lost
	fresh restart 1 || return 1
	start_load
	sleep 1
	kill "$(<unit.pid)"
	kill -KILL "$(<a.pid)"
	until_true grep -q continuing b.out || return 1
	until_true more_answers 0 || return 1
	touch enough
	nothing_is_lost || return 1
	echo "# down, ms, with restart_s = 1: $(down_times)"
	stop_all
}

test_without_keep() { # without keep = restart the spare takes over at once: that is what the others would miss
	fresh no 1 || return 1
	start_load
	sleep 1
	kill -KILL "$(<a.pid)"
	until_true grep -q continuing b.out || return 1
	! grep -q continuing a.out || fail "it went on on the spot"
	touch enough
	nothing_is_lost || return 1
	stop_all
}

tap_run "$here/tests/spot.sh"
