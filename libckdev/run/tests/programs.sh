#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Programs of Debian, each moved up to ten times at random moments, until it has ended: the same output
# as without. Those that aren't installed are left out, and that is told. TAP on stdout. Needs root.
#
#	programs.sh DIR	DIR: where cptdev-run was built

set -u
here=$(cd "$(dirname "$0")" && pwd)
built=$(cd "${1:?usage: programs.sh DIR}" && pwd)

# shellcheck source=libckdev/run/tests/moves.sh
. "$here/moves.sh"
# shellcheck source=libckdev/tests/tap.sh
. "$here/../../tests/tap.sh"

MOVES=${MOVES:-10}
export LC_ALL=C.UTF-8

# same PROGRAM ARG...: its input is in the file "input"
moved_same() {
	local program ret

	program=$(command -v "/usr/bin/$1" || command -v "/bin/$1") || {
		echo "# $1 isn't installed"
		return 0
	}
	shift
	same_moved "$MOVES" "$program" "$@"
	ret=$?
	echo "# $program: $moved moves"
	rm -f input
	return $ret
}

# Text that packs badly, the same each time: MIB
text() {
	seq 1 $(($1 * 150000)) | /usr/bin/gawk '{ srand($1); print $1, rand(), rand() }' 2>/dev/null |
		head -c $(($1 * 1048576)) >input
}

test_bc() { # bc: digits of pi
	echo 'scale=2500; 4*a(1)' >input
	moved_same bc -ql
}

test_sqlite() { # sqlite3: a database in memory, an index, and its integrity
	cat >input <<-END
		CREATE TABLE t (a INTEGER, b TEXT);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000)
		INSERT INTO t SELECT i, hex(i * 7919 % 100003) FROM n;
		CREATE INDEX x ON t (b, a);
		SELECT count(*), sum(a), min(b), max(b) FROM t;
		SELECT a, b FROM t ORDER BY b, a LIMIT 20;
		PRAGMA integrity_check;
	END
	moved_same sqlite3 :memory:
}

test_gzip() { # gzip
	text 6
	moved_same gzip -9
}

test_xz() { # xz with two threads
	text 3
	moved_same xz -T2 --block-size=1MiB -6
}

test_gawk() { # gawk: arrays and numbers
	# shellcheck disable=SC2016
	moved_same gawk 'BEGIN { for (i = 1; i <= 4000000; i++) { s += sin(i); a[i % 1000] += i }
		for (i = 0; i < 1000; i++) t += a[i] * i; printf "%.12f %d\n", s, t }'
}

test_perl() { # perl: a hash, and a sort
	# shellcheck disable=SC2016
	moved_same perl -e '$x = 1; for (1 .. 4000000) { $x = ($x * 1103515245 + 12345) % 2147483648;
		$h{$x % 5000} .= chr(65 + $x % 26) if $_ % 7 == 0; }
		$s = join "", map { substr $h{$_}, 0, 3 } sort keys %h; print length $s, " $x ", substr($s, 0, 60), "\n"'
}

test_sort() { # sort, which has threads
	text 12
	moved_same sort --parallel=2 -S 64M -k 2
}

test_python() { # python3 with threads, locks and a queue
	moved_same python3 "$here/threads.py"
}

test_bzip2() { # bzip2
	text 8
	moved_same bzip2 -9
}

test_zstd() { # zstd with two threads
	text 10
	moved_same zstd -T2 -15 -q -c
}

test_mawk() { # mawk: a sieve
	# shellcheck disable=SC2016
	moved_same mawk 'BEGIN { n = 3000000; for (i = 2; i <= n; i++) if (!(i in no)) { c++; s += i
		for (j = i * i; j <= n; j += i) no[j] } print c, s }'
}

test_tclsh() { # tclsh: arrays and strings
	# shellcheck disable=SC2016
	printf '%s\n' 'set x 1' 'for {set i 0} {$i < 1500000} {incr i} {' \
		'set x [expr {($x * 1103515245 + 12345) % 2147483648}]' 'append h([expr {$x % 997}]) [expr {$x % 7}] }' \
		'foreach k [lsort -integer [array names h]] { puts "$k [string length $h($k)] [string range $h($k) 0 9]" }' >input
	moved_same tclsh
}

test_openssl() { # openssl: a cipher and a sum
	text 40
	moved_same openssl enc -camellia-256-cbc -K "$(seq -s '' 10 41)" -iv "$(seq -s '' 10 25)" -nosalt
}

test_m4() { # m4: recursion
	echo "define(\`f', \`ifelse(\$1, 0, 0, \$1, 1, 1, \`eval(f(decr(\$1)) + f(decr(decr(\$1))))')')f(25)" >input
	moved_same m4
}

test_factor() { # factor, by GMP
	seq 170141183460469231731687303715884100000 170141183460469231731687303715884100030 >input
	moved_same factor
}

test_jq() { # jq
	echo null >input
	moved_same jq '[range(400000) | {a: (. * 7919 % 100003), b: (. % 97)}] | group_by(.b) |
		map({b: .[0].b, s: (map(.a) | add), m: (map(.a) | max)})'
}

test_bash() { # bash: a loop, arrays, and processes now and then
	# shellcheck disable=SC2016
	moved_same bash -c 'x=1; for ((i = 0; i < 200000; i++)); do x=$(((x * 1103515245 + 12345) % 2147483648))
		a[x % 100]=$x; ((i % 20000)) || a[0]=$(expr "$x" % 7 + 1); done; echo "${a[*]}"'
}

test_static() { # busybox, which is static
	text 12
	moved_same busybox sh -c 'sort | md5sum'
}

test_openmp() { # a solver of two threads that wait for each other (OpenMP)
	[ -x "$built/heat" ] || {
		echo "# the compiler has no OpenMP"
		return 0
	}
	OMP_NUM_THREADS=2 same_moved "$MOVES" "$built/heat" 600
	local ret=$?

	echo "# heat: $moved moves"
	return $ret
}

test_go() { # fzf, a program in Go
	text 6
	moved_same fzf --filter '317'
}

test_ledger() { # the ledger, for longer
	ORDER='sort' same_moved "$MOVES" "$built/ledger" 6000
}

[ "$(id -u)" = 0 ] || { echo "1..0 # SKIP needs root"; exit 4; }
tap_run "$here/programs.sh"
