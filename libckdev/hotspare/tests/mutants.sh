#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# written_test with a safeguard taken away must fail, in the test that is for that one. TAP
# on stdout.
#
#	mutants.sh DIR		DIR: where the library was built

set -u
here=$(cd "$(dirname "$0")/.." && pwd)
built=${1:?usage: mutants.sh DIR}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# shellcheck source=libckdev/tests/tap.sh
. "$here/../tests/tap.sh"

# mutant FLAGS: written_test with these, in $work
mutant() {
	# shellcheck disable=SC2046 # a list
	${CC:-cc} -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -O2 -g -pthread -DHS_MUTANT="$1" \
		-I"$here/.." -I"$here/../../uapi" -o "$work/mutant" \
		"$here"/{written,checkpoint}.c "$built/obj/tests/written_test.o" \
		$(find "$built/obj" -maxdepth 1 -name '*.o' ! -name written.o ! -name checkpoint.o \
			! -name '*hotspare.o' ! -name tetris.o ! -name sqlite-load.o) \
		"$built"/obj/ckdev/*.o -ljson-c -lxxhash -lcmocka >"$work/log" 2>&1 ||
		fail "it can't be built: $(head -n 3 "$work/log")"
}

# caught FLAGS TEST: TEST fails, and the mutant has not just fallen over
caught() {
	mutant "$1" || return 1
	CMOCKA_MESSAGE_OUTPUT=TAP timeout 300 "$work/mutant" >"$work/out" 2>/dev/null
	if grep -q '^1\.\.0 # SKIP' "$work/out"; then
		echo "# the kernel doesn't tell what was written"
		return 0
	fi
	grep -q "^not ok [0-9]* - $2\$" "$work/out" || fail "it wasn't caught: $(cat "$work/out")"
}

test_none() { # with none, and a longer time between scan and fork, nothing is missed
	mutant HS_WIDEN || return 1
	CMOCKA_MESSAGE_OUTPUT=TAP timeout 300 "$work/mutant" >"$work/out" 2>/dev/null ||
		fail "$(grep -v ^ok "$work/out")"
}

test_second_scan() { # without the second scan: a write between scan and fork
	caught 'HS_WIDEN+HS_NO_SECOND_SCAN' no_write_is_missed
}

test_lately() { # without a second look at what was written lately: a transfer under way
	caught HS_NO_LATELY a_transfer_under_way_counts
}

test_check() { # without the question whether a mapping is a new one: all counts, always
	caught HS_NO_CHECK little_else_is_looked_at
}

test_fork() { # without the question whether the program has forked
	caught HS_NO_FORK a_program_may_have_forked
}

test_files() { # with pages of files taken for the program's
	caught HS_NO_FILES pages_of_files_count
}

tap_run "$here/tests/mutants.sh"
