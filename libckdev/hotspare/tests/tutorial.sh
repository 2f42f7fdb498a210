#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Documentation/tutorial.rst, word for word: its programs are compiled, its changes applied, its
# commands typed into the terminals that the prompts name, and the output is compared. TAP on stdout.
#
#	tutorial.sh DIR		DIR: where the library was built
#
# alpha$ and beta$ are terminals on two hosts of hosts.sh, all others are on a third one. The hosts
# share the directory. What differs between the page and this test: programs get -t 60, so that a
# busy machine isn't a lost host.

set -u
here=$(cd "$(dirname "$0")/.." && pwd)
built=$(realpath "${1:?usage: tutorial.sh DIR}")

# shellcheck source=libckdev/hotspare/tests/hosts.sh
. "$here/tests/hosts.sh" ip patch pkg-config cc
# shellcheck source=libckdev/tests/tap.sh
. "$here/../tests/tap.sh"

page=$here/../../Documentation/tutorial.rst
examples=$here/../examples
patience=600	# seconds until a line counts as missing

# The page

# blocks PAGE: the literal blocks become files, block-01 and so on
blocks() {
	awk '/::$/ { n++; on = 1; next }
		/^[^\t]/ { on = 0 }
		on && (/^\t/ || seen[n]) {
			seen[n] = 1; sub(/^\t/, ""); print >sprintf("block-%02d", n) }' "$1"
	# Blank lines behind a block belong to the page.
	sed -i -e :a -e '/^\n*$/ { $d; N; ba' -e '}' block-*
}

# The kind of a block: a program, a change, commands, or a file that others read.
kind_of() { # FILE
	case $(head -n 1 "$1") in
	"// SPDX"*) echo program ;;
	@@*) echo change ;;
	*'$ '* | *'$') echo commands ;;
	*) echo other ;;
	esac
}

# The parts of a line that differ from run to run.
normal() {
	sed -E -e 's/[0-9]{4}(-[0-9]{2}){2}T[0-9:.]+Z/TIME/' -e 's/generation [0-9]+$/generation N/' \
		-e 's/[0-9]+ of [0-9]+ KiB/N of N KiB/' -e 's/0x[0-9a-f]+/ADDRESS/g' \
		-e 's/^savings [0-9]+/savings N/' -e 's/descriptor [0-9]+/descriptor N/'
}

# Terminals: a shell each, whose output this script reads line by line

declare -A host_of=([alpha]=a [beta]=b) input=() output=()

terminal() { # NAME
	[ -z "${input[$1]:-}" ] || return 0
	local in out

	mkfifo "$1.in" "$1.out"
	in_host "${host_of[$1]:-c}" bash --noprofile --norc <"$1.in" >"$1.out" 2>&1 &
	exec {in}>"$1.in" {out}<"$1.out"
	input[$1]=$in
	output[$1]=$out
	: >"$1.seen"
}

# next NAME: the next line in $got, apart from what the page says that it doesn't show
next() {
	while IFS= read -r -t $patience got <&"${output[$1]}"; do
		[[ ! $got =~ ^bash:\ line\ [0-9]+:\ +[0-9]+\ Killed ]] &&
			[[ ! $got =~ ^[a-z]+:\ (checkpoints\ by|changed\ pages\ are\ found\ by)\  ]] && return
	done
	return 1
}

expect() { # NAME LINE: the next line there
	local got want

	# Lines that came while a command ran are first.
	if [ -s "$1.seen" ]; then
		read -r got <"$1.seen"
		sed -i 1d "$1.seen"
	else
		next "$1" || fail "$1 doesn't print '$2'" || return
	fi
	echo "$1: $got" >>transcript
	[[ $got != savings* ]] || echo "$got" >>savings
	[ "$got" != "$2" ] || return 0
	got=$(normal <<<"$got")
	want=$(normal <<<"$2")
	case $want in
	*" ...") [[ $got = "${want% ...}"* ]] ;;
	*) [ "$got" = "$want" ] ;;
	esac || fail "$1 prints '$got', and the page shows '$want'"
}

type_command() { # NAME COMMAND: until it has ended, or is in the background
	local command=$2 end=@end$RANDOM got

	terminal "$1"
	echo "$1\$ $command" >>transcript
	case $command in
	*"-- &") command="${command%-- &}-t 60 -- &" ;;
	esac
	printf '%s\necho %s\n' "$command" "$end" >&"${input[$1]}"
	while next "$1"; do
		[ "$got" != "$end" ] || return 0
		echo "$got" >>"$1.seen"
	done
	fail "$1: '$command' doesn't end"
}

# Each line with a prompt is typed, and the others are what is printed.
commands() { # FILE
	local line name=

	while IFS= read -r line; do
		if [[ $line =~ ^([a-z]*)\$(\ (.*))?$ ]]; then
			name=${BASH_REMATCH[1]:-client}
			[ -z "${BASH_REMATCH[3]}" ] || type_command "$name" "${BASH_REMATCH[3]}" || return
		elif [ -n "$line" ]; then
			expect "$name" "$line" || return
		fi
	done <"$1"
}

# Nobody has printed more than the page shows.
nothing_left() {
	local name

	for name in "${!input[@]}"; do
		[ ! -s "$name.seen" ] || fail "$name prints more: $(head -n 1 "$name.seen")" || return
	done
}

# follow PAGE: all of it
follow() {
	local file

	mkdir include && ln -s "$here" include/cptdev
	sed -e "s|@PREFIX@||; s|@LIBDIR@|$built|; s|@INCLUDEDIR@|$PWD/include|; s|@VERSION@|0|" \
		"$here/libhotspare.pc.in" >hotspare.pc
	blocks "$1"
	for file in block-*; do
		case $(kind_of "$file") in
		program) cp "$file" ledger.c ;;
		change) patch -s ledger.c "$file" || fail "$file isn't a change of ledger.c" ;;
		commands) commands "$file" ;;
		esac || return
	done
	nothing_left
}

begin() {
	local number=0 host

	export PATH=$built/../../daemon:$PATH PKG_CONFIG_PATH=$PWD LD_LIBRARY_PATH=$built
	fresh_hosts || return
	for host in a b c; do
		number=$((number + 1))
		ip -n $host addr add 192.0.2.$number/24 dev eth0
	done
}

leave_terminals() {
	local fd

	for fd in "${input[@]}" "${output[@]}"; do
		exec {fd}>&-
	done
	input=()
	output=()
}

finish() { # STATUS
	[ "$1" = 0 ] || tail -n 12 transcript | sed 's/^/# /'
	leave_terminals
	end_hosts
	return "$1"
}

test_page() { # each step compiles, runs and prints what the page shows; ledger-hotspare.c is the last
	begin && follow "$page" && cmp block-02 "$examples/ledger.c" &&
		cmp ledger.c "$examples/ledger-hotspare.c" &&
		[ "$(grep -c . savings)" -ge 2 ] && sort -c -n -k 2 savings
	finish $?
}

# The first step with a change, of which the message tells.
finds() { # SED-COMMAND MESSAGE
	local ret

	mkdir try && cd try || return
	sed '/^2\. /,$d' "$page" >right.rst
	sed "$1" right.rst >wrong.rst
	! cmp -s right.rst wrong.rst && ! follow wrong.rst >log && has "$2" log
	ret=$?
	cat transcript >>../transcript
	printf 'kill -9 $!\nwait\nexit\n' >&"${input[master]}"
	cat <&"${output[master]}" >/dev/null
	leave_terminals
	cd ..
	rm -rf try
	return $ret
}

test_control() { # another output than that of the program is found, a line too few and one too many
	begin && finds 's/^\tbob 7$/\tbob 8/' "client prints 'bob 7', and the page shows 'bob 8'" &&
		finds '0,/^\talice -7$/ { /^\talice -7$/d }' "client prints 'alice -7', and the page shows 'bob 7'" &&
		finds 's/^\tbob 7$/&\n\tmaster$ echo 1\n\t2/' "master prints '1', and the page shows '2'"
	finish $?
}

tap_run "$here/tests/tutorial.sh"
