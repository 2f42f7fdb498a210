#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# written_test, warm_test or lazy_test with a safeguard taken away must fail, in the test that is for
# that one. TAP on stdout.
#
#	mutants.sh PROGRAM [TELLER]	PROGRAM: written_mutant, warm_mutant or lazy_mutant; TELLER, for
#					the first: PAGEMAP_SCAN (default) or soft-dirty

set -u
program=${1:?usage: mutants.sh PROGRAM [TELLER]}
export TELLER=${2:-PAGEMAP_SCAN}
with_none="with none, and more time around the fork, nothing is missed"
limit=300 all='*'
case ${program##*/} in
warm_mutant | lazy_mutant)
	TELLER=${program##*/}
	TELLER=${TELLER%_mutant}
	with_none="with none, nothing is missed" ;;
esac
# Each of its tests starts programs; hotspare-lazy has all of them.
[ "$TELLER" != lazy ] || limit=900 all=each_byte_is_as_in_the_eager_way
out=$(mktemp)
trap 'rm -f "$out"' EXIT

# MUTANT: the test that fails: what is taken away
case $TELLER in
PAGEMAP_SCAN) list='
widen no_second_scan: no_single_write_is_missed: the second scan: a write between scan and fork
no_lately: a_transfer_under_way_counts: a second look at what was written lately
no_check: little_else_is_looked_at: the question whether a mapping is a new one: all count, always
no_fork: a_program_may_have_forked: the question whether the program has forked
no_files: pages_of_files_count: the look at pages of files' ;;
soft-dirty) list='
widen no_second_scan: no_single_write_is_missed: the look behind the clearing: a write before it
widen no_child: no_single_write_is_missed: the look of the child at its own: a page given back
no_check: a_mapping_that_is_replaced_counts: the question whether a mapping is a new one
no_files: pages_of_files_count: the look at pages of files
no_zeros: pages_that_are_given_back_count: the look at pages that are zero
no_canary: others_may_clear_the_bits: the page that tells whether others cleared the bits
widen no_others: another_thread_may_fork: the question whether another thread has forked
widen no_others: the_next_cut_may_come_early: the question whether the next cut has begun
no_ksm: pages_may_be_merged: the question whether pages may be merged' ;;
warm) list='
no_last: a_commit_at_every_moment: the pass after the promotion
late: a_commit_at_every_moment: commits during a pass left to the next one
no_holes: a_commit_at_every_moment: pages that lost their data
no_anew: what_the_replica_forgot: an empty copy when the replica forgot what changed' ;;
lazy) list='
zeros: each_byte_is_as_in_the_eager_way: the content of a page that is asked for
old: each_byte_is_as_in_the_eager_way: the newest increment of a page
old: an_index_has_the_newest_of_each_page: the order of the files in the index
no_remove: what_is_given_back_is_zero: a look at memory that the program gave back
no_sum: what_cannot_be_read_ends_the_program: the checksum of what is read late
no_wait: the_next_checkpoint_has_everything: the wait before a checkpoint
no_wait: a_forked_child_has_everything: the wait before fork(2)
go_on: what_cannot_be_read_ends_the_program: the end of a program whose memory is lost
no_order: what_is_touched_first_is_there_first: the order of the touch set' ;;
*)
	echo "mutants.sh: $TELLER isn't a teller" >&2
	exit 2 ;;
esac

# run MUTANT [TEST]: written_mutant with these, that one test or all, into $out
run() {
	MUTANT=$1 ONLY=${2:-$all} CMOCKA_MESSAGE_OUTPUT=TAP timeout "$limit" "$program" >"$out" 2>/dev/null
}

ROUNDS=5 run widen
if grep -q '^1\.\.0 # SKIP' "$out"; then
	echo "1..0 # SKIP the kernel has no $TELLER"
	exit 0
fi
if [ "$TELLER" = lazy ] && grep -q '^ok.*# SKIP' "$out"; then
	echo "1..0 # SKIP userfaultfd(2) isn't permitted here"
	exit 0
fi
echo "TAP version 13"
echo "1..$(wc -l <<<"$list")"
number=1 failed=0
if grep -q '^not ok' "$out" || ! grep -q '^ok' "$out"; then
	sed 's/^/# /' "$out"
	echo -n "not "
	failed=1
fi
echo "ok 1 $with_none"
while IFS=: read -r mutant test text; do
	number=$((number + 1))
	run "$mutant" "${test# }"
	if ! grep -q "^not ok [0-9]* - ${test# }\$" "$out"; then
		sed 's/^/# /' "$out"
		echo -n "not "
		failed=1
	fi
	echo "ok $number without$text"
done <<<"${list#?}"
exit "$failed"
