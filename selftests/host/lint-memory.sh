# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the checks of the source found clean, so that they don't look at it again while nothing has
# changed that they could see. To be sourced by lint, after common.sh.
#
# lint/ in the cache has a directory for each circumstance: the checks themselves with their options,
# a tool, its version, and other files that all of its findings depend on. In it is an empty file for each
# file of the tree that was clean, named by content and path, and by the content of what it includes. Nothing else is remembered: findings
# are found again.

memory=$cptdev_cache/lint
# Entries that weren't used for so many days are forgotten.
memory_days=30

# circumstance tool [word]: its name; other files that findings depend on are on stdin
circumstance() {
	local program
	program=$(command -v "$1") || program=/dev/null
	{
		printf '%s\n' "$@"
		cat "$program" "$cptdev_top"/selftests/host/lint* "$cptdev_qemu/build-module"
		"$1" --version 2>&1 </dev/null || true
		xargs -r -d '\n' sha256sum
	} | sha256sum | cut -c 1-64
}

# entries: of the files on stdin, "name in the memory <tab> file". With $depends, lines of lint-depends.py,
# the name also says what each file depends on.
entries() {
	xargs -r -d '\n' sha256sum | sed -E 's/^([^ ]*)  (.*)$/\1\t\2/' |
		awk -F '\t' -v OFS='\t' '
			known { with[$2] = $1 ","; next }
			{ name = $2; gsub("/", ",", name); print with[$2] $1 " " name, $2 }' \
			known=1 "${depends:-/dev/null}" known=0 -
}

# look_at circumstance command [argument...]: the command gets the names of those files of stdin that it
# has not found clean in this circumstance, on its stdin. Prints its findings. Without any, and with the exit
# status 0, these files are clean.
look_at() {
	local clean=$memory/$1 name file status=0 findings new=() known=()
	shift
	mkdir -p "$clean"
	while IFS=$'\t' read -r name file; do
		if [ -e "$clean/$name" ]; then
			known+=("$clean/$name")
		else
			new+=("$file")
		fi
	done < <(entries)
	[ ${#known[@]} -eq 0 ] || printf '%s\0' "${known[@]}" | xargs -0 touch -c
	[ ${#new[@]} -gt 0 ] || return 0
	printf '%s\n' "${new[@]}" | entries | LC_ALL=C sort >"$work/before"
	findings=$(printf '%s\n' "${new[@]}" | "$@" 2>&1) || status=$?
	if [ -n "$findings" ]; then
		printf '%s\n' "$findings"
	elif [ $status != 0 ]; then
		printf '%s ended with the status %d, and says nothing\n' "$1" $status
	else
		# A file that was changed meanwhile is neither this nor that.
		printf '%s\n' "${new[@]}" | entries | LC_ALL=C sort | LC_ALL=C comm -12 - "$work/before" | cut -f 1 |
			(cd "$clean" && xargs -r -d '\n' touch)
	fi
}

# Others may be about to use a directory that is empty, unless it is old.
forget_the_old() {
	[ ! -d "$memory" ] || find "$memory" -mindepth 1 -mtime "+$memory_days" \( -type f -o -type d -empty \) -delete
}
