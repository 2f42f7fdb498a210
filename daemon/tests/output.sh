#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Messages and answers that can't be written: nobody reads, nobody reads any more, no room.
# The programs as they are; TOP and BIN are set by the Makefile.

dir=$(mktemp -d) || exit 1
number=0
daemon=

cleanup() {
	[ -z "$daemon" ] || kill "$daemon" 2>/dev/null
	exec 8<&- 9>&-
	rm -rf "$dir"
}
trap cleanup EXIT

# t NAME COMMAND...
t() {
	name=$1
	shift
	number=$((number + 1))
	if "$@"; then
		echo "ok $number - $name"
	else
		echo "not ok $number - $name"
	fi
}

cat >"$dir/conf" <<END
[node]
name = alpha
control = $dir/control
state_dir = $dir/state
engine = module
log_level = debug
[listen]
address = 127.0.0.77
port = 7475
allow = any
[peer]
insecure = yes
END

ask() {
	"$BIN/cptdevctl" --socket "$dir/control" "$@"
}

# The daemon is asked many times and logs each time, so that a pipe would be full.
answers() {
	tries=0
	while [ ! -S "$dir/control" ] && [ $tries -lt 200 ]; do
		sleep 0.05
		tries=$((tries + 1))
	done
	tries=0
	while [ $tries -lt 20 ]; do
		ask --json version | grep -q '"daemon_version": "' || return 1
		tries=$((tries + 1))
	done
	kill -0 "$daemon"
}

ends() {
	kill "$daemon" && wait "$daemon"
}

# A pipe without a reader, from the first message on.
mkfifo "$dir/fifo"
(exec <"$dir/fifo") &
reader=$!
exec 9>"$dir/fifo"
wait $reader
"$BIN/cptdevd" -f -c "$dir/conf" 2>&9 &
daemon=$!
t 'a daemon whose log has lost its reader' answers
t 'and it ends when it is told to' ends
exec 9>&-

# A pipe that nobody reads, full but for a few bytes.
exec 8<>"$dir/fifo"
dd if=/dev/zero of="$dir/fifo" bs=4096 count=16 oflag=nonblock 2>/dev/null
"$BIN/cptdevd" -f -c "$dir/conf" 2>"$dir/fifo" &
daemon=$!
t 'a daemon whose log nobody reads' answers
t 'and it ends when it is told to' ends
exec 8<&-

"$BIN/cptdevd" -f -c "$dir/conf" 2>/dev/full &
daemon=$!
t 'a daemon whose log has no room' answers

# The status of a command whose standard output has lost its reader.
unread() {
	want=$1
	shift
	mkfifo "$dir/out"
	(exec <"$dir/out") &
	exec 7>"$dir/out"
	wait $!
	"$@" >&7 2>/dev/null
	have=$?
	exec 7>&-
	rm "$dir/out"
	[ $have = "$want" ] || {
		echo "# exit status $have instead of $want"
		return 1
	}
}

full() {
	want=$1
	shift
	"$@" >/dev/full 2>"$dir/err"
	have=$?
	if [ $have != "$want" ] || ! grep -q "can't write" "$dir/err"; then
		echo "# exit status $have instead of $want: $(cat "$dir/err")"
		return 1
	fi
}

t 'an answer that nobody reads is a failure' unread 1 ask version
t 'and so is one that has no room' full 1 ask version
t 'a failure stays the one that it was' unread 2 ask --json frobnicate
t 'monitor ends when nobody reads it' unread 0 timeout 60 "$BIN/cptdevctl" \
	--socket "$dir/control" monitor
t 'help that nobody reads' unread 0 "$BIN/cptdevd" --help
t 'cptbench says that its report has no room' full 1 "$BIN/../libckdev/cptbench" --method fork \
	--memory 1M --count 2 --interval 10
t 'and ends in order when nobody reads it' unread 1 "$BIN/../libckdev/cptbench" --method fork \
	--memory 1M --count 2 --interval 10
# Status again and again: as long as it is read, and wanted.
looks() {
	ask status --watch --timeout 3 >"$dir/looks"
	[ "$(grep -c '^Daemon' "$dir/looks")" -ge 2 ]
}
refused() {
	ask "$@" >/dev/null 2>&1
	[ $? = 2 ]
}
t 'status is shown again each second, until its time is over' looks
t 'and ends with its reader' unread 3 timeout 60 "$BIN/cptdevctl" --socket "$dir/control" status --watch
t 'of status only, and not as JSON' eval 'refused top --watch && refused status --watch --json'

echo "1..$number"
