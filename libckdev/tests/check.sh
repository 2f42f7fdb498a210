#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The library as its users find it: headers, symbols, installation, man pages. Needs no
# module. TAP on stdout.
#
#	check.sh DIR		DIR: where it was built (make -C libckdev O=DIR)

set -u
here=$(cd "$(dirname "$0")/.." && pwd)
built=$(realpath "${1:?usage: check.sh DIR}")
man=$here/../Documentation/man
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
CC=${CC:-cc}
CXX=${CXX:-c++}

# shellcheck source=libckdev/tests/tap.sh
. "$here/tests/tap.sh"

warnings="-Wall -Wextra -Wconversion -Wundef -pedantic -Werror"

# What a command says is only of interest when it fails.
quietly() {
	"$@" >"$work/log" 2>&1 || {
		echo "# $*"
		sed 's/^/#   /' "$work/log" | head -n 20
		return 1
	}
}

# Into a directory of its own, as root would into /usr.
root=$work/root
installing() { # install or uninstall
	quietly make -C "$here" -s O="$built" DESTDIR="$root" PREFIX=/usr \
		LIBDIR=/usr/lib/here "$1"
}

pkg_config() {
	PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_LIBDIR=$root/usr/lib/here/pkgconfig \
		pkg-config "$@" ckdev
}

headers() {
	printf '%s\n' ckdev.h sys/cpt.h sys/mwrwatch.h
}

functions_of_headers() {
	(cd "$here" && headers | xargs sed -n 's/^[a-z].*[ *]\([a-z_]*\)(.*/\1/p') |
		LC_ALL=C sort
}

inline_functions() {
	(cd "$here" && headers | xargs sed -n 's/^static inline .*[ *]\([a-z_]*\)(.*/\1/p')
}

consumer() {
	cat <<-'END'
		#include <ckdev.h>
		#include <linux/cptdev_netlink.h>
		#include <stdio.h>
		#include <string.h>

		int main(void)
		{
			struct cptdev_info info;
			int fd = ckdev_open();

			memset(&info, 0, sizeof(info));
			info.size = sizeof(info);
			printf("%s\n", ckdev_strerror(fd));
			return fd >= 0 ? ckdev_info(fd, &info) : 0;
		}
	END
}

test_header_c() { # each header alone compiles as strict C
	local std header

	while read -r header; do
		echo "#include <$header>" >"$work/h.c"
		for std in c99 c11 gnu17; do
			# shellcheck disable=SC2086
			quietly "$CC" -std=$std $warnings -I"$here" -I"$here/../uapi" \
				-fsyntax-only "$work/h.c" || return 1
		done
	done < <(headers)
}

test_header_cxx() { # and as C++
	local std header

	while read -r header; do
		echo "#include <$header>" >"$work/h.cc"
		for std in c++11 c++17 c++20; do
			# shellcheck disable=SC2086
			quietly "$CXX" -std=$std $warnings -I"$here" -I"$here/../uapi" \
				-fsyntax-only "$work/h.cc" || return 1
		done
	done < <(headers)
}

test_header_documented() { # each function and struct of a header has its description
	local f

	headers | (cd "$here" && xargs cat) >"$work/all.h"
	for f in $(functions_of_headers); do
		grep -q "^ \* $f() - " "$work/all.h" || fail "$f() has none" || return 1
	done
	while read -r f; do
		grep -q "^ \* struct $f - " "$work/all.h" || fail "$f has none" || return 1
	done < <(sed -n 's/^struct \([a-z_]*\) {/\1/p' "$work/all.h")
}

test_symbols() { # the headers declare what the map lists and the library exports
	functions_of_headers | grep -vxF "$(inline_functions)" >"$work/header"
	sed -n 's/^\t\([a-z_]*\);/\1/p' "$here/libckdev.map" | LC_ALL=C sort >"$work/map"
	nm -D --defined-only "$built/libckdev.so" |
		awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | LC_ALL=C sort >"$work/so"
	[ "$(wc -l <"$work/header")" -gt 30 ] || fail "the headers weren't understood" || return 1
	quietly diff "$work/header" "$work/map" && quietly diff "$work/map" "$work/so"
}

test_no_state() { # the library has a soname, needs libc only, and ckdev.h's calls keep no state
	readelf -d "$built/libckdev.so" >"$work/dynamic"
	has 'SONAME.*\[libckdev\.so\.1\]' "$work/dynamic" || return 1
	same "needed" "$(grep NEEDED "$work/dynamic" | grep -vc '\[libc\.so')" 0 || return 1
	# Those of cptctl() and mwrwatch(), which have a session for the process.
	same "variables in" "$(objdump -h "$built/libckdev.a" | awk '
		/file format/ { file = $1 }
		$2 ~ /^\.t?(data|bss)$/ && $3 !~ /^0+$/ { print file }' |
		sort -u | tr '\n' ' ')" "cpt.o: mwrwatch.o: "
}

test_install() { # installed, a program finds all with nothing but pkg-config
	installing install || return 1
	consumer >"$work/c.c"
	# shellcheck disable=SC2046,SC2086
	quietly "$CC" -std=c11 $warnings -o "$work/c" "$work/c.c" \
		$(pkg_config --cflags --libs) || return 1
	LD_LIBRARY_PATH=$root/usr/lib/here quietly "$work/c"
}

test_install_cxx() { # so does a C++ program
	consumer >"$work/c.cc"
	# shellcheck disable=SC2046,SC2086
	quietly "$CXX" -std=c++11 $warnings -o "$work/cc" \
		"$work/c.cc" $(pkg_config --cflags --libs) || return 1
	LD_LIBRARY_PATH=$root/usr/lib/here quietly "$work/cc"
}

test_install_static() { # and one without shared libraries
	# shellcheck disable=SC2046
	quietly "$CC" -static -o "$work/cs" "$work/c.c" \
		$(pkg_config --static --cflags --libs) || return 1
	quietly "$work/cs"
}

test_man_all() { # each function has an installed page with its name
	local f page

	for f in $(functions_of_headers); do
		page=$root/usr/share/man/man3/$f.3
		grep -q "^\.Nm $f\b" "$page" 2>/dev/null ||
			fail "no page for $f" || return 1
	done
	[ -s "$root/usr/share/man/man7/ckdev.7" ] || fail "no ckdev.7"
}

test_man_lint() { # the pages are clean
	command -v mandoc >/dev/null || fail "mandoc is missing: apt-get install mandoc" ||
		return 1
	# What other rooms install, and the system's own index, is not these pages' fault.
	mandoc -T lint "$man"/man3/*.3 "$man/man7/ckdev.7" 2>/dev/null |
		grep -v 'referenced manual not found' >"$work/lint"
	quietly diff /dev/null "$work/lint"
}

test_man_references() { # what they refer to exists
	local ref

	while read -r ref; do
		[ -e "$root/usr/share/man/man${ref##*.}/$ref" ] ||
			fail "no page $ref" || return 1
	done < <(sed -n 's/^\.Xr \(ckdev[a-z_]*\|cpt[a-z]*\|mwrwatch\) \([37]\).*/\1.\2/p' \
		"$man"/man3/*.3 "$man/man7/ckdev.7")
}

# What the header says that a function returns, errors with and without a sign.
header_errors() {
	awk -v begin="^ \\\\* $1\\\\(\\\\) - " '
		$0 ~ begin { on = 1 }
		on && /^ \* Returns/ { returns = 1 }
		returns { print }
		on && /\*\// { exit }' "$work/all.h" |
		grep -oE -- '(^ \* |-)E[A-Z0-9]+' | grep -o 'E.*' | sort -u
}

test_man_errors() { # a page names each error that the header names
	local f e

	for f in $(functions_of_headers); do
		for e in $(header_errors "$f"); do
			grep -q "^\.It Er.*\b$e\b\|^\.Pq Er.*\b$e\b" \
				"$root/usr/share/man/man3/$f.3" ||
				fail "$f.3 lacks $e" || return 1
		done
	done
}

# The n-th example of a page, as C.
example() { # page, n
	awk -v want="$2" '
		/^\.Sh / { on = $2 == "EXAMPLES" }
		on && /^\.Bd -literal/ { n++; take = n == want; next }
		/^\.Ed/ { take = 0 }
		take { gsub(/\\e/, "\\"); print }' "$1"
}

test_man_examples() { # all examples compile, and the overview's is a whole program
	local page n nr=0

	for page in "$man"/man3/*.3 "$man/man7/ckdev.7"; do
		for n in 1 2 3 4 5; do
			example "$page" "$n" >"$work/example.c"
			[ -s "$work/example.c" ] || break
			nr=$((nr + 1))
			# shellcheck disable=SC2046
			quietly "$CC" -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -c \
				-o "$work/example.o" "$work/example.c" \
				$(pkg_config --cflags) -I"$here/hotspare" ||
				fail "example $n of $page" || return 1
		done
		[ "$n" -gt 1 ] || fail "$page has no example" || return 1
	done
	# shellcheck disable=SC2046
	quietly "$CC" -o "$work/example" "$work/example.o" $(pkg_config --libs) || return 1
	[ "$nr" -gt 20 ] || fail "only $nr examples were found"
}

test_uninstall() { # uninstall takes away what install put there, and nothing else
	touch "$root/usr/lib/here/libother.so" "$root/usr/share/man/man3/other.3"
	installing uninstall || return 1
	same "left" "$(cd "$root" && find . ! -type d | sort | tr '\n' ' ')" \
		"./usr/lib/here/libother.so ./usr/share/man/man3/other.3 " || return 1
	[ ! -e "$root/usr/include/cptdev" ] || fail "include/cptdev is left"
}

tap_run "$here/tests/check.sh"
