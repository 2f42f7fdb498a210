#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The whole way in one machine: kvstore as primary and as spare, ckship between them
# instead of the daemon; the primary is killed, the spare takes over, kvload goes on. TAP.
# Needs root and the module (exit status 4 without).
#
#	test-takeover.sh DIR TEXT	DIR: where the programs are; TEXT is taken 25 times

bin=$1
work=$(mktemp -d)
text=$work/text
for _ in 1 2 3 4 5; do
	cat "$2" "$2" "$2" "$2" "$2"
done >"$text"
pids=

# shellcheck disable=SC2317
cleanup() {
	# shellcheck disable=SC2086
	kill -KILL $pids 2>/dev/null
	"$bin/ckship" --remove kv >/dev/null 2>&1
	"$bin/ckship" --remove kv2 >/dev/null 2>&1
	rm -rf "$work"
}
trap cleanup EXIT

number=0
result() { # status, what it shows
	number=$((number + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $number $2"
	else
		echo "not ok $number $2"
		for f in "$work"/*.out; do
			echo "# $f:"
			tail -n 5 "$f" | sed 's/^/#   /'
		done
		failed=1
	fi
}

await() { # pattern, file
	for _ in $(seq 300); do
		grep -q "$1" "$2" 2>/dev/null && return 0
		sleep 0.1
	done
	return 1
}

start() { # name, command...
	name=$1
	shift
	"$@" >"$work/$name.out" 2>&1 &
	pid=$!
	pids="$pids $pid"
}

echo "TAP version 13"
if [ ! -e /dev/cptdev ]; then
	echo "1..0 # SKIP the module isn't loaded"
	exit 4
fi
echo "1..9"
failed=0

start primary "$bin/kvstore" --role primary --name kv --port 7001 --stats 1
primary=$pid
await "serving" "$work/primary.out"
result $? "the primary serves"
start ship "$bin/ckship" kv
start spare "$bin/kvstore" --role spare --name kv --port 7002 --stats 1
spare=$pid
start load "$bin/kvload" --connections 4 --window 64 --timeout 20 --progress 1 \
	--ledger "$work/ledger" --dump "$work/dump" 127.0.0.1:7001,127.0.0.1:7002 "$text"
load=$pid
await "progress .*acked=[1-9][0-9][0-9]" "$work/load.out"
result $? "words are acknowledged after the spare's commit"

kill -USR1 "$load"
await "written" "$work/ledger"
kill -KILL "$primary"
"$bin/ckship" --promote kv >"$work/promote.out" 2>&1
result $? "the replica is promoted"
await "serving .*role=spare" "$work/spare.out"
result $? "the spare takes over: $(sed -n 's/.*restored.*\(bytes=.*\)/\1/p' "$work/spare.out")"
# One that is started now finds a promotion that is taken.
start late "$bin/kvstore" --role spare --name kv --port 7003
late=$pid
await "old-promotion" "$work/late.out" && ! grep -q "serving" "$work/late.out"
result $? "a spare that is started later doesn't take over from the same promotion"
kill "$late"
wait "$load"
result $? "the client goes on until all is acknowledged, and nothing is forgotten"

LC_ALL=C tr -cs 'A-Za-z0-9' '\n' <"$text" | grep . | LC_ALL=C sort | uniq -c |
	awk '{ print $2, $1 }' | LC_ALL=C sort >"$work/want"
LC_ALL=C sort "$work/dump" | cmp - "$work/want"
result $? "each word was counted exactly once"

# The one that took over is the primary now: a spare of its own makes it strict again.
start ship2 "$bin/ckship" kv2
await "spare-attached" "$work/spare.out"
await "stats .*checkpoints_per_s=.* generation=[1-9][0-9]* lag=0 " "$work/spare.out"
result $? "a spare of the new primary is served"

# And when that one is promoted in turn, who serves now must stop.
"$bin/ckship" --promote kv2 >"$work/promote2.out" 2>&1
echo more >"$work/more"
start load2 "$bin/kvload" --give-up 20 127.0.0.1:7002 "$work/more"
wait "$spare"
[ $? -eq 3 ] && grep -q "fenced: a spare took over" "$work/spare.out"
result $? "a primary that is fenced ends, and says why"
grep -h '^kvload: done' "$work/load.out" | sed 's/^/# /'
grep -h '^kvstore: stats' "$work/primary.out" | tail -n 1 | sed 's/^/# primary /'
exit $failed
