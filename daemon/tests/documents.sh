#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The pages say what the program does: the state tables of wire-format.rst, and the keys of the
# configuration in cptdevd.conf(5) and in the sample, and the events of the journal. TOP and BIN are set by the Makefile.

page=$TOP/Documentation/wire-format.rst
manual=$TOP/Documentation/man/man5/cptdevd.conf.5
sample=$TOP/daemon/etc/cptdevd.conf
number=0

# t NAME DIFFERENCES: a test that passes if there are none
t() {
	number=$((number + 1))
	if [ -z "$2" ]; then
		echo "ok $number - $1"
	else
		echo "not ok $number - $1"
		printf '%s\n' "$2" | sed 's/^/# /'
	fi
}

# The literal blocks of the section "State tables", with the line that introduces each.
tables_of_page() {
	awk '/^State tables$/ { in_section = 1; next }
		/^Changing the protocol$/ { in_section = 0 }
		in_section && /::$/ { in_table = 1 }
		in_section && in_table' "$1" | grep .
}

different_tables() {
	tables_of_page "$1" >"$dir/page"
	"$BIN/describe" tables | grep . | diff -u "$dir/page" -
}

# The keys of a section in the manual page: its .It Cm lines below the heading.
keys_of_manual() {
	awk -v section="$1" '/^\.Ss / { in_section = /^\.Ss Sections? / && $0 ~ " " section "( |$)" }
		in_section && /^\.It Cm / { print $3 }' "$manual"
}

missing_keys() {
	"$BIN/describe" keys | while read -r section key; do
		keys_of_manual "$section" | grep -qx "$key" ||
			echo "[$section] $key isn't in cptdevd.conf(5)"
		[ "$key" = private ] || grep -q "^\(; \)\?$key = " "$sample" ||
			echo "[$section] $key isn't in the sample"
	done
}

unknown_keys() {
	"$BIN/describe" keys >"$dir/keys"
	for section in node listen peer failover sessions limits; do
		keys_of_manual "$section" | while read -r key; do
			grep -qx "$section $key" "$dir/keys" ||
				echo "cptdevd.conf(5): there is no key $key in [$section]"
		done
	done
}

# The example with sections [session NAME] in the manual page, as a file that the daemon reads.
example_of_sessions() {
	printf '[node]\nname = alpha\n[listen]\nport = 0\n[peer]\naddress = 192.0.2.2\n'
	printf 'insecure = yes anywhere\n'
	awk '/^\.Sh / { in_section = /EXAMPLES/ }
		in_section && /^\.Bd/ { block = ""; next }
		in_section && /^\.Ed/ { if (block ~ /\n\[session /) printf "%s", block; next }
		{ block = block $0 "\n" }' "$manual"
}

# The words of the daemon about an example, as it is or after the command of sed.
wrong_example() {
	example_of_sessions | sed "$1" >"$dir/conf"
	grep -q '^\[session ' "$dir/conf" || echo "cptdevd.conf(5) has no example with [session NAME]"
	"$BIN/cptdevd" --config "$dir/conf" --check-config 2>&1 | grep -v ': ok$'
}

# Kinds of events with their MESSAGE_ID, in the program and in cptdevd(8).
different_events() {
	sed -n 's/.*= { "\([a-z-]*\)", "\([0-9a-f]*\)" },$/\1 \2/p' "$TOP/daemon/common/journal.c" \
		>"$dir/events"
	[ -s "$dir/events" ] || echo "journal.c has no events"
	sed -n 's/^\.It Cm \([a-z-]*\) Pq \([0-9a-f]*\)$/\1 \2/p' \
		"$TOP/Documentation/man/man8/cptdevd.8" | diff -u "$dir/events" -
}

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

t 'wire-format.rst has the state tables of cptdevd' "$(different_tables "$page")"
# The negative control: a table that differs in one word is found.
sed 's/RETRY       CONNECTING/RETRY       GREETING  /' "$page" >"$dir/wrong"
found=
[ -n "$(different_tables "$dir/wrong")" ] || found='a wrong table was not found'
t 'and a wrong table would be found' "$found"
t 'every key of the configuration is in its manual page and in the sample' "$(missing_keys)"
t 'every key of the manual page exists' "$(unknown_keys)"
t 'the example with rules of single sessions is in order' "$(wrong_example '')"
found=
[ -n "$(wrong_example 's/manual/sometimes/')" ] || found='a wrong value was not found'
t 'and a wrong value in it would be found' "$found"
t 'the events of the journal are in cptdevd(8)' "$(different_events)"
echo "1..$number"
