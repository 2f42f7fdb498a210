# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What tests cost. To be sourced by check. Each part of a run is a line
#
#	seconds <tab> processor seconds <tab> slots <tab> kernel or "host" <tab> name
#
# of times.<pid>, and in the end of the file times, the longest first. Names are those of
# tests, "build/..." and "boot/..." for the start and the end of the guest that a test is
# the first in.

check_times=$check_logs/times

# cpu_of_children: of this shell, in hundredths of a second, to the variable cpu. What has
# ended and was waited for.
cpu_of_children() {
	local file=$check_times.cpu.$BASHPID line
	times >"$file"
	{ read -r _ && read -r line; } <"$file"
	rm -f "$file"
	minutes_to_hundredths "${line% *}"
	cpu=$hundredths
	minutes_to_hundredths "${line#* }"
	cpu=$((cpu + hundredths))
}

# minutes_to_hundredths 1m2.345s: to the variable hundredths
minutes_to_hundredths() {
	local minutes=${1%m*} seconds=${1#*m}
	seconds=${seconds%s}
	hundredths=$((minutes * 6000 + 10#${seconds%.*} * 100 + 10#${seconds#*.} / 10))
}

# cpu_of_process pid: as above, with all of its threads; 0 if it is gone. The kernel counts
# in hundredths, too (USER_HZ).
cpu_of_process() {
	local line fields
	cpu=0
	{ read -r line <"/proc/$1/stat"; } 2>/dev/null || return 0
	read -ra fields <<<"${line##*) }"
	cpu=$((fields[11] + fields[12]))
}

# cpu_of_guest name
cpu_of_guest() {
	cpu_of_process "$(<"$(vm_dir "$1")/pid")"
}

# note_time seconds hundredths slots kernel name
note_time() {
	printf '%s\t%d.%02d\t%s\t%s\t%s\n' "$1" $(($2 / 100)) $(($2 % 100)) "${@:3}" \
		>>"$check_times.$BASHPID"
}

gather_times() {
	cat "$check_times".* 2>/dev/null | sort -k1,1nr >"$check_times.new" || true
	rm -f "$check_times".[0-9]*
	mv "$check_times.new" "$check_times"
}

# tell_times: the longest; all that takes a second is in the file
tell_times() {
	[ -s "$check_times" ] || return 0
	printf 'The longest (all: %s):\n' "$(short_path "$check_times")"
	head -n 15 "$check_times" | awk -F'\t' '{
		printf "%8.1f s %8.1f s of processor  %4s slots  %-10s %s\n", $1, $2, $3, $4, $5}'
	awk -F'\t' -v elapsed="$SECONDS" '{cpu += $2}
		END {printf "%8.1f s %8.1f s of processor  in all\n", elapsed, cpu}' "$check_times"
}
