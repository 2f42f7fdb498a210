#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The library as its users find it: header, symbols, man pages. TAP on stdout.
#
#	check.sh DIR		DIR: where it was built

set -u
here=$(cd "$(dirname "$0")/.." && pwd)
built=$(realpath "${1:?usage: check.sh DIR}")
man=$here/../../Documentation/man/man3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
CC=${CC:-cc}
CXX=${CXX:-c++}

# shellcheck source=libckdev/tests/tap.sh
. "$here/../tests/tap.sh"

warnings="-Wall -Wextra -Wconversion -Wundef -pedantic -Werror"

quietly() {
	"$@" >"$work/log" 2>&1 || {
		echo "# $*"
		sed 's/^/#   /' "$work/log" | head -n 20
		return 1
	}
}

functions() {
	sed -n 's/^[a-z].*[ *]\(hs_[a-z0-9_]*\)(.*/\1/p' "$here/hotspare.h" | LC_ALL=C sort
}

test_header_c() { # the header alone compiles as strict C
	local std

	echo '#include <hotspare.h>' >"$work/h.c"
	for std in c99 c11 gnu17; do
		# shellcheck disable=SC2086
		quietly "$CC" -std=$std $warnings -I"$here" -fsyntax-only "$work/h.c" || return 1
	done
}

test_header_cxx() { # and as C++
	local std

	echo '#include <hotspare.h>' >"$work/h.cc"
	for std in c++11 c++17 c++20; do
		# shellcheck disable=SC2086
		quietly "$CXX" -std=$std $warnings -I"$here" -fsyntax-only "$work/h.cc" || return 1
	done
}

test_documented() { # each function has its description, and a page
	local f

	for f in $(functions); do
		grep -q "^\(/\*\*\| \*\) $f - " "$here/hotspare.h" || fail "$f() has none" || return 1
		grep -lq "^\.Nm $f\b" "$man"/hs_*.3 || fail "no page for $f" || return 1
	done
}

test_symbols() { # the header declares what the map lists and the library exports
	functions >"$work/header"
	sed -n 's/^\t\([a-z0-9_]*\);/\1/p' "$here/libhotspare.map" | LC_ALL=C sort >"$work/map"
	nm -D --defined-only "$built/libhotspare.so" |
		awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | LC_ALL=C sort >"$work/so"
	[ "$(wc -l <"$work/header")" -gt 15 ] || fail "the header wasn't understood" || return 1
	quietly diff "$work/header" "$work/map" && quietly diff "$work/map" "$work/so"
}

# What a program has that was built with what is installed, shared and static.
installed_program() {
	local flags
	flags=$(PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_LIBDIR=$root/usr/lib/here/pkgconfig:$(pkg-config \
		--variable pc_path pkg-config) pkg-config --cflags --libs "$@" hotspare)
	# shellcheck disable=SC2086 # options
	quietly "$CC" -Wall -Werror -o "$work/program" "$here/../examples/hello-hotspare.c" $flags
}

installing() { # install or uninstall
	quietly make -C "$here" -s O="$built" DESTDIR="$root" PREFIX=/usr LIBDIR=/usr/lib/here "$1"
}

test_installed() { # a program is built with what is installed, and all of it goes away again
	local f
	root=$work/root
	installing install || return 1
	for f in $(functions); do
		[ -e "$root/usr/share/man/man3/$f.3" ] || fail "no page of $f" || return 1
	done
	[ -x "$root/usr/sbin/hotspare-address" ] || fail 'no hotspare-address' || return 1
	installed_program || return 1
	LD_LIBRARY_PATH=$root/usr/lib/here "$work/program" -h | grep -q -- --master ||
		fail "the program doesn't run" || return 1
	rm "$root"/usr/lib/here/*.so*
	installed_program --static || return 1
	"$work/program" -h | grep -q -- --master || fail "the static one doesn't run" || return 1
	installing uninstall || return 1
	[ -z "$(find "$root" ! -type d)" ] || fail "left: $(find "$root" ! -type d | head -n 3)"
}

# The errors that the header tells of a function.
errors_of() {
	awk -v name="$1 - " '
		index($0, name) { on = 1 }
		on { print }
		on && /\*\// { exit }' "$here/hotspare.h" |
		grep -oE '\bE[A-Z]{3,}\b' | sort -u
}

test_errors() { # a page names each error that the header names
	local f e page nr=0

	for f in $(functions); do
		page=$(grep -l "^\.Nm $f\b" "$man"/hs_*.3)
		while read -r e; do
			nr=$((nr + 1))
			grep -q "^\.It Bq Er.*\b$e\b" "$page" || fail "$page lacks $e of $f()" ||
				return 1
		done < <(errors_of "$f")
	done
	[ $nr -gt 30 ] || fail "only $nr errors were found"
}

# A program's own checkpoints, a whole one and two increments, in $work/hello.
make_checkpoints() {
	local pid

	"$built/hello-hotspare" -m -f "$work/hello" -- >"$work/log" 2>&1 &
	pid=$!
	while [ ! -e "$work/hello.3" ] && kill -0 $pid 2>/dev/null; do
		sleep 0.1
	done
	kill $pid
	wait $pid 2>/dev/null
	[ -e "$work/hello.3" ] || fail "no checkpoints: $(tail -n 1 "$work/log")"
}

test_inspect() { # cptdevctl shows what a program has written, and that a file is missing
	local ctl=$built/../../daemon/cptdevctl f=$work/hello

	if ! setarch -R true 2>/dev/null; then
		echo "# address randomisation can't be switched off here"
		return 0
	fi
	# "make check" in this directory doesn't build it.
	if [ ! -x "$ctl" ]; then
		ctl=$work/daemon/cptdevctl
		quietly env -u MAKEFLAGS make -s -C "$here/../../daemon" O="$work/daemon" "$ctl" || return 1
	fi
	make_checkpoints || return 1
	quietly "$ctl" inspect "$f.3" "$f" "$f.2" || return 1
	"$ctl" inspect "$f.3" "$f" "$f.2" >"$work/text"
	has '^The files follow one another; a restart continues from generation 3\.$' "$work/text" &&
		has '^  application: hello-hotspare$' "$work/text" &&
		has 'libhotspare\.so\.1' "$work/text" || return 1
	! grep -E 'not readable|PROBLEMS|DAMAGED' "$work/text" || return 1
	! "$ctl" inspect "$f.3" "$f" >"$work/text" ||
		fail "a checkpoint is missing, and the status says nothing" || return 1
	has "hello.3: an increment of generation 2, but the file before it has generation 1" "$work/text"
}

tap_run "$here/tests/check.sh"
