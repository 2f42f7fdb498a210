#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kvstore and kvload as far as they need no module: the protocol, repeats, bad input,
# back-pressure, loss of connections. TAP on stdout; exit status 0 if all is well.
#
#	test-kvstore.sh DIR		DIR: where the programs are

set -u
here=$(cd "$(dirname "$0")" && pwd)
bin=${1:?usage: test-kvstore.sh DIR}
work=$(mktemp -d)
server=
trap 'stop_server; rm -rf "$work"' EXIT

# shellcheck source=libckdev/tests/tap.sh
. "$here/../tests/tap.sh"

# Start a server; $port is where it serves.
start_server() {
	stop_server
	: >"$work/out"		# or the last one's port would be read
	"$bin/kvstore" --role alone --port 0 --bind 127.0.0.1 "$@" >"$work/out" 2>"$work/err" &
	server=$!
	for _ in $(seq 100); do
		port=$(sed -n 's/^kvstore: serving .*port=\([0-9]*\).*/\1/p' "$work/out")
		[ -z "$port" ] || return 0
		sleep 0.05
	done
	fail "the server didn't start: $(cat "$work/err")"
}

stop_server() {
	[ -n "$server" ] || return 0
	kill -CONT "$server" 2>/dev/null
	kill -KILL "$server" 2>/dev/null
	wait "$server" 2>/dev/null
	server=
}

# A connection by hand: $c is its descriptor.
dial() {
	exec {c}<>"/dev/tcp/127.0.0.1/$port"
}

hang_up() {
	exec {c}>&-
}

say() {
	# shellcheck disable=SC2059
	printf -- "$@" >&"$c"
}

# Say it, and one line comes back.
ask() {
	say "$1\n"
	hears "$2" "$1"
}

hears() { # wanted, [to what]
	local line=

	IFS= read -r -t 5 -u "$c" line || fail "no answer to '${2:-}', wanted '$1'" || return 1
	same "answer to '${2:-}'" "$line" "$1"
}

closed() {
	local line

	IFS= read -r -t 5 -u "$c" line
	same "the end" "$?$line" 1
}

# A real text, in which each word has to be found again.
text() {
	cat "$here"/../../COPYING "$here"/../../LICENSES/preferred/*
}

count() {
	LC_ALL=C tr -cs 'A-Za-z0-9' '\n' | grep . | LC_ALL=C sort | uniq -c |
		awk '{ print $2, $1 }' | LC_ALL=C sort
}

load() {
	timeout 60 "$bin/kvload" --ledger "$work/ledger" --dump "$work/dump" "$@" \
		>"$work/load" 2>"$work/load.err"
}

# Until a line of kvload's output says so.
await_load() { # pattern
	for _ in $(seq 200); do
		! grep -q "$1" "$work/load" 2>/dev/null || return 0
		sleep 0.05
	done
	fail "no '$1' in: $(tail -n 3 "$work/load")"
}

# What kvload brought to the store is what the text has.
exact() {
	count <"$work/text" >"$work/want"
	LC_ALL=C sort "$work/dump" | cmp -s - "$work/want" ||
		fail "the store's counts aren't the text's" || return 1
	grep -v '^#' "$work/ledger" | LC_ALL=C sort | cmp -s - "$work/want" ||
		fail "the ledger's counts aren't the text's"
}

loaded() {
	sed -n "s/^kvload: done .* $1=\([0-9]*\).*/\1/p" "$work/load"
}

test_help() { # --help explains, a wrong option says so
	"$bin/kvstore" --help | grep -q -- '--role ROLE' || fail "no help" || return 1
	"$bin/kvload" --help | grep -q -- '--window N' || fail "no help" || return 1
	"$bin/kvstore" --port 70000 2>"$work/err"
	same "status" $? 2 || return 1
	has 'from 0 to 65535' "$work/err" || return 1
	"$bin/kvstore" --role king 2>/dev/null
	same "status" $? 2 || return 1
	"$bin/kvload" 127.0.0.1 /dev/null 2>/dev/null
	same "status" $? 2 || return 1
	"$bin/kvload" --window 0 127.0.0.1:1 /dev/null 2>/dev/null
	same "status" $? 2
}

test_no_module() { # without the module a primary says what is missing
	[ ! -e /dev/cptdev ] || return 0
	"$bin/kvstore" --role primary --port 0 2>"$work/err"
	same "status" $? 4 || return 1
	has 'is the module loaded' "$work/err"
}

# A cptdevd that answers one request with $1; what it was asked is in $work/asked.
control() {
	rm -f "$work/control" "$work/asked"
	perl -MIO::Socket::UNIX -e '
		my $s = IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 1) or die;
		my $c = $s->accept;
		open my $asked, ">", $ARGV[1];
		print $asked scalar <$c>;
		close $asked;
		print $c $ARGV[2];
	' "$work/control" "$work/asked" "$1" &
	for _ in $(seq 100); do
		[ ! -S "$work/control" ] || return 0
		sleep 0.05
	done
	fail "no control socket"
}

# A primary under the name kv2: $status is how it ended, or 124: it goes on.
primary() {
	timeout 2 "$bin/kvstore" --port 0 --name kv2 --control "$work/control" "$@" \
		>"$work/out" 2>"$work/err"
	status=$?
}

test_ask_start() { # a primary asks cptdevd before it begins
	control '{"name":"kv2","answer":"refused","term":1,"text":"both \"went\" on"}
' || return 1
	primary
	same "status" $status 5 || return 1
	same "what was asked" "$(cat "$work/asked")" '{"command":"start","name":"kv2"}' || return 1
	has 'both "went" on' "$work/err" || return 1
	control '{"name":"kv2","answer":"spare","term":1,"text":"the state is lost here"}
' || return 1
	primary
	has 'becomes-spare .*the state is lost here' "$work/out" || return 1
	! grep -q 'serving' "$work/out" || fail "it serves" || return 1
	control '{"name":"kv2","answer":"take-back","term":1,"text":"it is taken back"}
' || return 1
	primary
	has 'takes-back .*it is taken back' "$work/out" || return 1
	! grep -q 'serving' "$work/out" || fail "it serves" || return 1
	# The control: without a word against it, it begins (with the module), as a primary.
	control '{"name":"kv2","answer":"fresh","term":7,"text":"nothing"}
' || return 1
	primary
	! grep -q 'becomes-spare\|not-asked' "$work/out" || fail "$(cat "$work/out")"
}

test_ask_nobody() { # where no daemon answers it begins, and says so
	rm -f "$work/control"
	primary
	has 'not-asked .*No such file' "$work/out" || return 1
	control 'nonsense
' || return 1
	primary
	has 'not-asked .*nonsense' "$work/out" || return 1
	# A person has decided, or wants no checkpoints: nobody is asked.
	control 'nonsense
' || return 1
	primary --replace
	! grep -q 'not-asked' "$work/out" || fail "asked" || return 1
	primary --role alone
	! grep -q 'not-asked' "$work/out" || fail "asked" || return 1
	kill %% 2>/dev/null
	wait %% 2>/dev/null
	return 0
}

test_text() { # a text is counted as sort and uniq count it
	start_server || return 1
	text >"$work/text"
	load --connections 8 --window 500 "127.0.0.1:$port" "$work/text" ||
		fail "$(cat "$work/load.err")" || return 1
	exact || return 1
	same "words" "$(loaded acked)" "$(awk '{ n += $2 } END { print n }' "$work/want")"
}

test_text_one_by_one() { # one connection, one word at a time
	start_server || return 1
	text | head -c 20000 >"$work/text"
	load --connections 1 --window 1 "127.0.0.1:$port" "$work/text" ||
		fail "$(cat "$work/load.err")" || return 1
	exact
}

test_text_slowly() { # --rate spreads the words over the time, silence is no loss
	start_server || return 1
	text | head -c 600 >"$work/text"
	load --connections 4 --rate 50 --timeout 1 "127.0.0.1:$port" "$work/text" ||
		fail "$(cat "$work/load.err")" || return 1
	exact || return 1
	# The n-th word isn't sent before its time; the first one is due at once.
	[ "$(loaded ms)" -ge $((($(loaded acked) - 1) * 20)) ] ||
		fail "$(loaded acked) words took $(loaded ms) ms" || return 1
	# Four words; from one to the next of a connection it is longer than the time-out.
	echo a b c d >"$work/text"
	load --connections 2 --rate 1 --timeout 1 "127.0.0.1:$port" "$work/text" ||
		fail "$(cat "$work/load.err")" || return 1
	same "losses" "$(loaded losses)" 0
}

test_text_odd() { # an empty text, one word without an end, bytes that are no text
	start_server || return 1
	: >"$work/text"
	load "127.0.0.1:$port" "$work/text" || fail "$(cat "$work/load.err")" || return 1
	printf 'word' >"$work/text"
	load "127.0.0.1:$port" "$work/text" || fail "$(cat "$work/load.err")" || return 1
	exact || return 1
	start_server || return 1
	{
		head -c 30000 "$bin/kvload"
		# Words of the protocol are words.
		echo "ERR OK SEEN DUMP 1 HELLO"
	} >"$work/text"
	load "127.0.0.1:$port" "$work/text" || fail "$(cat "$work/load.err")" || return 1
	exact || return 1
	head -c 300 /dev/zero | tr '\0' 'a' >"$work/text"
	load "127.0.0.1:$port" "$work/text" && fail "took a word that is too long"
	has 'byte 0 is longer' "$work/load.err"
}

test_requests() { # each request has its answer
	start_server || return 1
	dial
	ask "HELLO me" "OK 0" &&
		ask "1 INCR a" "1 OK 1" &&
		ask "2 INCR a" "2 OK 2" &&
		ask "7 INCR b" "7 OK 1" &&
		ask "8 GET a" "8 VALUE 2" &&
		ask "9 GET nothing" "9 VALUE 0" &&
		ask "10 COUNT" "10 COUNT 2 3" &&
		ask "11 INCR ~!x" "11 OK 1" &&
		ask "12 GET b\r" "12 VALUE 1" &&
		ask "13 DUMP" "13 DUMP 3" || return 1
	for _ in 1 2 3; do
		IFS= read -r -t 5 -u "$c" line
		echo "$line"
	done | LC_ALL=C sort | tr '\n' ' ' >"$work/got"
	same "dump" "$(cat "$work/got")" "a 2 b 1 ~!x 1 " || return 1
	hang_up
}

test_repeats() { # a repeat is seen, and not counted twice
	start_server || return 1
	dial
	ask "HELLO me" "OK 0" && ask "5 INCR a" "5 OK 1" && ask "6 INCR a" "6 OK 2" || return 1
	hang_up
	dial
	ask "HELLO me" "OK 6" &&
		ask "5 INCR a" "5 SEEN 2" &&
		ask "6 INCR a" "6 SEEN 2" &&
		ask "7 INCR a" "7 OK 3" &&
		ask "8 COUNT" "8 COUNT 1 3" || return 1
	hang_up
	dial
	ask "HELLO you" "OK 0" && ask "5 INCR a" "5 OK 4" || return 1
	hang_up
}

test_pieces() { # lines may come in pieces, and many at once
	start_server || return 1
	dial
	say 'HEL'
	sleep 0.1
	say 'LO me\n1 IN'
	sleep 0.1
	say 'CR a\n2 INCR a\n3 GET a\n4 COU'
	hears "OK 0" && hears "1 OK 1" && hears "2 OK 2" && hears "3 VALUE 2" || return 1
	say 'NT\n'
	hears "4 COUNT 1 2" || return 1
	hang_up
}

test_end_of_input() { # who has said all gets all answers, and then the end
	start_server || return 1
	# A pipe's end closes one direction only when perl says so.
	perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new("127.0.0.1:'"$port"'") or die;
		print $s "HELLO me\n";
		print $s "$_ INCR word\n" for 1 .. 20000;
		print $s "20001 COUNT\n20002 unfinished";
		$s->shutdown(1);
		my $n = 0;
		my $last;
		while (<$s>) { $n++; $last = $_; }
		print "$n $last";
	' >"$work/got"
	same "answers" "$(cat "$work/got")" "20002 20001 COUNT 1 20000"
}

# Each line of bad input gets an error and the end, and harms nobody.
refused() { # what is said after HELLO, text of the error
	dial
	ask "HELLO refused" "OK 0" || return 1
	say "$1\n"
	hears "ERR $2" "$1" || return 1
	closed || return 1
	hang_up
}

test_bad_lines() { # what isn't a request is refused
	local usage="not a request: want <seq> INCR|GET|COUNT|DUMP [key]"
	local key="not a request, or not a key of 1 to 255 bytes, ! to ~"

	start_server || return 1
	refused "" "$usage" &&
		refused "INCR a" "$usage" &&
		refused "0 INCR a" "$usage" &&
		refused "-1 INCR a" "$usage" &&
		refused "1234567890123456789 INCR a" "$usage" &&
		refused "1" "$usage" &&
		refused "1 INCR" "$key" &&
		refused "1 INCR a\\tb" "$key" &&
		refused "1 INCR a b" "too many words in a line" &&
		refused "1 INCR \\001" "$key" &&
		refused "1 INCR \\303\\244" "$key" &&
		refused "1 INCR $(head -c 256 /dev/zero | tr '\0' k)" "$key" &&
		refused "1 SET a" "no such request: want INCR, GET, COUNT or DUMP" &&
		refused "HELLO again" "$usage" || return 1
	dial
	ask "HELLO me" "OK 0" && ask "1 COUNT" "1 COUNT 0 0" || return 1
	ask "2 INCR $(head -c 255 /dev/zero | tr '\0' k)" "2 OK 1" || return 1
	hang_up
}

test_no_hello() { # nobody is served without a name
	local want="ERR say HELLO <client> first, 1 to 63 of A-Za-z0-9._-" line

	start_server || return 1
	for line in "1 INCR a" "HELLO" "HELLO a/b" "HELLO $(head -c 64 /dev/zero | tr '\0' c)"; do
		dial
		say "$line\n"
		hears "$want" "$line" && closed || return 1
		hang_up
	done
	dial
	ask "HELLO $(head -c 63 /dev/zero | tr '\0' c)" "OK 0" || return 1
	hang_up
}

test_garbage() { # overlong lines and binary garbage end the connection, not the server
	start_server || return 1
	dial
	head -c 600 /dev/zero | tr '\0' 'x' >&"$c"
	hears "ERR a line is 512 bytes long at most" && closed || return 1
	hang_up
	dial
	say 'HELLO a\0b\n'
	hears "ERR a NUL byte: this is a protocol of text lines" && closed || return 1
	hang_up
	for _ in $(seq 20); do
		dial
		head -c 100000 /dev/urandom >&"$c"
		hang_up
	done 2>/dev/null
	dial
	ask "HELLO me" "OK 0" && ask "1 COUNT" "1 COUNT 0 0" || return 1
	hang_up
}

test_same_client() { # of two connections of one client the newer one stays
	local old

	start_server || return 1
	dial
	ask "HELLO me" "OK 0" && ask "1 INCR a" "1 OK 1" || return 1
	old=$c
	dial
	ask "HELLO me" "OK 1" && ask "2 INCR a" "2 OK 2" || return 1
	IFS= read -r -t 5 -u "$old" line
	same "the older one" "$?$line" 1 || return 1
	ask "3 COUNT" "3 COUNT 1 2" || return 1
	exec {old}>&-
	hang_up
}

memory_kib() {
	sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$server/status"
}

test_never_reads() { # who never reads is held back, cut off, and disturbs nobody
	local before slow=()

	start_server --stall 2 || return 1
	text >"$work/text"
	load "127.0.0.1:$port" "$work/text" || fail "$(cat "$work/load.err")" || return 1
	before=$(memory_kib)
	# Requests without end; the pipe blocks when the server reads no more.
	for i in 1 2 3 4; do
		(
			exec 3<>"/dev/tcp/127.0.0.1/$port"
			printf 'HELLO slow%d\n' "$i" >&3
			while printf '%d DUMP\n%d GET a\n' 1 2 >&3; do :; done
		) 2>/dev/null &
		slow+=($!)
	done
	dial
	ask "HELLO me" "OK 0" && ask "1 GET GNU" "1 VALUE $(awk '$1 == "GNU" { print $2 }' \
		"$work/dump")" || return 1
	hang_up
	sleep 1
	[ "$(memory_kib)" -lt $((before + 4096)) ] ||
		fail "memory grew from $before to $(memory_kib) KiB" || return 1
	# Cut off after two seconds each time it is their turn to DUMP, they end by themselves.
	for _ in $(seq 150); do
		kill -0 "${slow[@]}" 2>/dev/null || break
		sleep 0.1
	done
	kill -KILL "${slow[@]}" 2>/dev/null && fail "they weren't cut off" && return 1
	wait "${slow[@]}" 2>/dev/null
	dial
	ask "HELLO me" "OK 0" || return 1
	hang_up
}

test_dumps() { # DUMPs at the same time wait for each other
	local pids=()

	start_server || return 1
	text >"$work/text"
	load "127.0.0.1:$port" "$work/text" || fail "$(cat "$work/load.err")" || return 1
	for i in 1 2 3 4 5 6; do
		printf x >"$work/one$i"
		timeout 20 "$bin/kvload" --dump "$work/dump$i" "127.0.0.1:$port" \
			"$work/one$i" >/dev/null &
		pids+=($!)
	done
	wait "${pids[@]}" || fail "a DUMP failed" || return 1
	for i in 1 2 3 4 5 6; do
		same "lines" "$(grep -vc '^x ' "$work/dump$i")" \
			"$(grep -vc '^x ' "$work/dump")" || return 1
	done
}

test_full() { # a full arena refuses new keys and counts old ones
	start_server --arena 1 || return 1
	seq 1 100000 >"$work/text"
	load --connections 1 "127.0.0.1:$port" "$work/text"
	same "status" $? 3 || return 1
	has 'ERR full' "$work/load.err" || return 1
	dial
	ask "HELLO load" "OK 0" && ask "1 INCR a-new-one" "1 ERR full" || return 1
	hang_up
}

test_loses_state() { # a server that lost acknowledged words is found out
	local pid

	start_server || return 1
	yes 'some words that go on and on' | head -n 500000 >"$work/text"
	: >"$work/load"
	load --window 20 --timeout 1 --progress 1 "127.0.0.1:$port" "$work/text" &
	pid=$!
	await_load '^kvload: progress .*acked=[1-9]' || return 1
	kill -KILL "$server"
	wait "$server" 2>/dev/null
	"$bin/kvstore" --role alone --port "$port" --bind 127.0.0.1 >"$work/out" 2>&1 &
	server=$!
	wait "$pid"
	same "status" $? 3 || return 1
	has 'acknowledged words are lost' "$work/load.err"
}

test_half_open() { # connections that die without a word: sent again, counted once
	local pid

	start_server || return 1
	yes 'a text with the same words over and over' | head -n 200000 >"$work/text"
	: >"$work/load"
	load --connections 6 --window 200 --timeout 1 \
		"127.0.0.1:$port,127.0.0.1:$port" "$work/text" &
	pid=$!
	await_load '^kvload: connected .*client=5' || return 1
	for _ in 1 2; do
		kill -STOP "$server"
		sleep 1.5
		kill -CONT "$server"
		sleep 0.2
	done
	wait "$pid" || fail "$(cat "$work/load.err")" || return 1
	exact || return 1
	[ "$(loaded losses)" -ge 6 ] || fail "no connection was lost" || return 1
	[ "$(loaded longest_gap_ms)" -ge 1000 ] || fail "no gap was seen" || return 1
	has '^kvload: reconnected ' "$work/load" &&
		has '^kvload: first-answer .*gap_ms=' "$work/load" &&
		has '^# disconnected ' "$work/ledger"
}

test_closes_at_once() { # an address that accepts and closes, one that nobody has
	local pid closer

	start_server || return 1
	perl -MIO::Socket::INET -e '
		my $l = IO::Socket::INET->new(Listen => 99, LocalAddr => "127.0.0.1") or die;
		open(my $f, ">", $ARGV[0]); print $f $l->sockport; close $f;
		while (my $s = $l->accept) { close $s; }
	' "$work/closer" &
	pid=$!
	for _ in $(seq 100); do
		[ -s "$work/closer" ] && break
		sleep 0.05
	done
	closer=$(cat "$work/closer")
	text | head -c 30000 >"$work/text"
	load "127.0.0.1:$closer,127.0.0.1:1,127.0.0.1:$port" "$work/text"
	same "status" $? 0 || fail "$(cat "$work/load.err")"
	exact || return 1
	timeout 20 "$bin/kvload" --give-up 1 "127.0.0.1:$closer,127.0.0.1:1" "$work/text" \
		>/dev/null 2>"$work/load.err"
	same "status" $? 1 || return 1
	has 'no answer for 1 s, 0 of .* the last attempt: 127' "$work/load.err" || return 1
	kill "$pid"
	wait "$pid" 2>/dev/null
	return 0
}

test_ledger() { # SIGUSR1 writes the ledger as it is, SIGTERM as well
	local pid

	start_server || return 1
	yes 'one two three' | head -n 500000 >"$work/text"
	rm -f "$work/ledger"
	: >"$work/load"
	"$bin/kvload" --ledger "$work/ledger" --window 10 "127.0.0.1:$port" "$work/text" \
		>"$work/load" &
	pid=$!
	await_load '^kvload: connected ' || return 1
	kill -USR1 "$pid"
	for _ in $(seq 100); do
		[ -s "$work/ledger" ] && break
		sleep 0.05
	done
	same "sum" "$(grep -v '^#' "$work/ledger" | awk '{ n += $2 } END { print n }')" \
		"$(sed -n 's/^# written .*acked=\([0-9]*\).*/\1/p' "$work/ledger")" || return 1
	kill -TERM "$pid"
	wait "$pid"
	same "status" $? 1
}

test_stop() { # SIGTERM ends the server well; its pidfile goes
	start_server --pidfile "$work/pid" --stats 1 || return 1
	same "pidfile" "$(cat "$work/pid")" "$server" || return 1
	sleep 1.3
	kill -TERM "$server"
	wait "$server"
	same "status" $? 0 || return 1
	server=
	[ ! -e "$work/pid" ] || fail "the pidfile is still there" || return 1
	has '^kvstore: stats t=[0-9]* checkpoints_per_s=' "$work/out" &&
		has '^kvstore: stopped t=[0-9]* ' "$work/out"
}

test_port_taken() { # a port that is taken is named
	start_server || return 1
	"$bin/kvstore" --role alone --port "$port" --bind 127.0.0.1 2>"$work/err2"
	same "status" $? 1 || return 1
	has "port $port: Address already in use" "$work/err2"
}

tap_run "$here/test-kvstore.sh"
