#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# cptbench: that it runs in each way, that what it says is so, and that its checks find a
# checkpoint that is wrong. Not how long anything takes.

# shellcheck source=selftests/tap.sh
. "$(dirname "$0")/tap.sh"
out=$(mktemp)
trap 'rm -f "$out"*' EXIT

# As little as possible: 512 pages.
bench() {
	cptbench --memory 2M --count 3 --interval 1 "$@" >"$out" 2>"$out.err"
}

# ends status option...
ends() {
	local want=$1 got=0
	shift
	bench "$@" || got=$?
	[ "$got" = "$want" ] && return
	echo "# $*: status $got, want $want: $(tail -n 1 "$out.err")"
	return 1
}

# refused text option...: wrong usage, and it says so in one line
refused() {
	local text=$1
	shift
	ends 2 "$@" && [ ! -s "$out" ] && grep -q "^cptbench: .*$text" "$out.err"
}

says() {
	grep -q -- "$1" "$out" || { echo "# no '$1' in: $(tail -n 3 "$out")"; return 1; }
}

every_way() {
	ends 0 --method all --verify --regions 3 --descriptors 5 --threads 2 --signals 2 &&
		says '^snapshot: all 4 checkpoints have' && says '^cptfork: all 4 checkpoints have' &&
		says '^fork: all 4 checkpoints have' && says '^snapshot: the program stands still .*compared with fork'
}

# 10 % of 512 pages, three times, by who knows what changed.
json_pages() {
	ends 0 --method all --json && [ "$(wc -l <"$out")" = 3 ] &&
		says '"method":"snapshot",.*"modified_pages":51,.*"pages":153,' &&
		says '"method":"cptfork",.*"modified_pages":51,.*"pages":153,' &&
		says '"method":"fork",.*"modified_pages":51,.*"pages":1536,'
}

full_pages() {
	ends 0 --method snapshot --full --verify --json && says '"full":true,.*"pages":1536,.*"wrong_pages":0'
}

contiguity() {
	ends 0 --method snapshot --verify --json --modify 95 --contiguity 19 &&
		says '"pages":1458,' && ends 0 --modify 100 --contiguity 512 --verify --json &&
		says '"pages":1536,' && ends 0 --modify 0 --verify --json && says '"pages":0,'
}

# Heaps of other shapes: what is modified comes out all the same. One huge page has all of it, and
# is in the first of three checkpoints as a whole: 512 + 2 * 204.
shapes() {
	ends 0 --method all --verify --regions 500 --scattered &&
		says '^snapshot: all 4 checkpoints have' && says '^cptfork: all 4 checkpoints have' &&
		ends 0 --method snapshot --verify --json --scattered --untouched 1G &&
		says '"scattered":true,"untouched_bytes":1073741824,.*"pages":153,.*"wrong_pages":0' &&
		ends 0 --method snapshot --verify --json --memory 8M --regions 1 --huge &&
		says '"huge":true,.*"pages":920,.*"wrong_pages":0' &&
		ends 0 --modify 100 --scattered --verify --json && says '"pages":1536,'
}

# The last of three, and the first full one before them, all with their headers.
written() {
	ends 0 --method snapshot --json --descriptors 4 --output "$out.file" &&
		[ "$(stat -c %s "$out.file")" -gt $(((512 + 153) * 4096)) ] &&
		cptbench --memory 2M --count 1 --method fork --output /dev/full >"$out" 2>"$out.err"
	[ $? = 1 ] && grep -q 'writing to /dev/full: No space left' "$out.err"
}

spoiled() {
	local what=$1 method
	for method in snapshot cptfork fork; do
		ends 1 --method $method --verify --spoil "$what" &&
			says "^$method: WRONG: 1 pages" || return
	done
}

wrong_arguments() {
	refused 'want a number with K, M or G' --memory 64 &&
		refused 'want a number with K, M or G' --memory 0M &&
		refused 'want a whole number from 1' --regions 0 &&
		refused 'has only 512 pages' --regions 513 &&
		refused 'from 1 to 30000' --regions 30001 &&
		refused 'untouched 3: want a number with K, M or G' --untouched 3 &&
		refused 'want a whole number from 0 to 100' --modify 101 &&
		refused 'want a whole number' --interval -1 &&
		refused 'want a whole number' --count 3x &&
		refused 'take --contiguity 19 or more' --modify 95 &&
		refused 'take --contiguity 512 or more' --modify 100 &&
		refused 'at most 4096 in all' --descriptors 4096 --threads 1 &&
		refused "there is no 'vfork'" --method snapshot,vfork &&
		refused 'none is named' --method , &&
		refused 'want byte or page' --verify --spoil much &&
		refused 'with --verify only' --spoil byte &&
		refused 'no argument wanted' snapshot
}

unknown_option() {
	ends 2 --what && grep -q 'see cptbench --help' "$out.err"
}

as_user() {
	su "$1" -s /bin/sh -c 'cptbench --memory 2M --count 1 --interval 1' >"$out" 2>"$out.err"
}

not_allowed() {
	as_user nobody
	[ $? = 3 ] && grep -q 'Permission denied.*--method fork needs no module' "$out.err"
}

helps() {
	local option
	ends 0 --help && ends 0 --version && says '^cptbench [0-9]' && ends 0 --help || return
	for option in memory regions descriptors threads signals modify contiguity scattered untouched huge interval; do
		says "--$option" || return
	done
}

echo 1..13
t 'each way, with all knobs: every checkpoint is verified' every_way
t 'JSON: a line for each, snapshots have the pages that were modified' json_pages
t 'full snapshots have all pages' full_pages
t 'share and contiguity at their ends' contiguity
t 'many regions, scattered pages, untouched memory, huge pages' shapes
t 'what is written is there, and an error of writing is told' written
t 'a wrong byte is found' spoiled byte
t 'a page left out is found' spoiled page
t 'wrong arguments are refused, with what to do' wrong_arguments
t 'an unknown option is refused' unknown_option
t 'a user of the group may' as_user tester
t 'another is told what is missing' not_allowed
t 'help and version' helps
