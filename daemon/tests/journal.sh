# SPDX-License-Identifier: GPL-2.0-or-later
# Two cptdevds whose standard error is the journal: what a monitor finds there, by its fields.
# The journal is a program of this test, in a mount namespace of its own. TAP.

if [ -z "$IN_NAMESPACE" ]; then
	IN_NAMESPACE=1 exec unshare -m sh "$0"
fi

points=0
failed=0
dir=$(mktemp -d) || exit 1
trap 'kill $pids 2>/dev/null; wait; rm -rf "$dir"' EXIT
mount -t tmpfs none /run && mkdir -p /run/systemd/journal || exit 1

# Each entry becomes a line, its fields joined by "|".
cat >"$dir/journald" <<'END'
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("/run/systemd/journal/socket")
print("READY", flush=True)
while True:
    print("|" + s.recv(65536).decode().replace("\n", "|"), flush=True)
END
/usr/bin/python3 "$dir/journald" >"$dir/entries" &
journald=$!
pids=$journald

# until_true COMMAND...: what is waited for comes sooner, on any machine
until_true() {
	tries=0
	until "$@" >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ $tries -lt 1200 ] || return 1
		sleep 0.1
	done
}

# point NAME COMMAND...
point() {
	points=$((points + 1))
	name=$1
	shift
	if "$@"; then
		echo "ok $points - $name"
	else
		echo "not ok $points - $name"
		tail -n 12 "$dir/entries" | sed 's/^/# /'
		failed=1
	fi
}

# entry PATTERN...: one entry has all of them, as whole fields
entry() {
	awk -v want="$*" 'BEGIN {n = split(want, field, " ")}
		{for (i = 1; i <= n && index($0, "|" field[i] "|"); i++);
		 if (i > n) {found = 1; exit}}
		END {exit !found}' "$dir/entries"
}

found() {
	until_true entry "$@"
}

# host NAME ADDRESS PEER PEER-ADDRESS
host() {
	mkdir "$dir/$1"
	cat >"$dir/$1/conf" <<-END
		[node]
		name = $1
		control = $dir/$1/control
		state_dir = $dir/$1/state
		engine = soft
		programs = $dir/$1/programs
		[listen]
		address = $2
		allow = any
		[peer]
		name = $3
		address = $4
		insecure = yes
	END
	# A file of its own is what the journal's stream is to a unit.
	: >"$dir/$1/stderr"
	run "$1"
}

run() {
	JOURNAL_STREAM=$(stat -c %d:%i "$dir/$1/stderr") \
		"$BIN/cptdevd" -f -c "$dir/$1/conf" 2>>"$dir/$1/stderr" &
	pids="$pids $!"
}

until_true grep -q READY "$dir/entries" || exit 1
host alpha 127.0.0.71 beta 127.0.0.72
alpha=$!
host beta 127.0.0.72 alpha 127.0.0.71
beta=$!

point 'a start is a message, and no event' found PRIORITY=5 SYSLOG_IDENTIFIER=cptdevd
point 'nothing is written to standard error as well' test ! -s "$dir/alpha/stderr"
point 'a link that is made' found MESSAGE_ID=71a660b9f3e64e8d91d4e60a8fbe61b4 \
	CPTDEV_EVENT=link-made CPTDEV_PEER=beta
kill -9 $beta
point 'a link that is lost' found MESSAGE_ID=707b3dd311a74521a53a604e9fac2dba \
	CPTDEV_EVENT=link-lost CPTDEV_PEER=beta

# A record that can't be read, given up by a person: who that was is on record.
kill $alpha
wait $alpha
echo nonsense >"$dir/alpha/state/orders.json"
run alpha
point 'a record of a person' until_true "$BIN/cptdevctl" --socket "$dir/alpha/control" \
	forget --force orders
point 'and what it did, with its number' found CPTDEV_EVENT=person CPTDEV_SESSION=orders \
	"CPTDEV_USER=$(id -u)" MESSAGE_ID=52110a80b5f3408388e5e7a07458b3da
point 'an event that nobody caused is not there' sh -c "! grep -q 'CPTDEV_EVENT=promoted' '$dir/entries'"
# The journal ends: what is written then goes to standard error.
kill $journald
wait $journald 2>/dev/null
kill $!
point 'without a journal it is standard error' until_true grep -q 'shutting down' "$dir/alpha/stderr"
echo "1..$points"
exit $failed
