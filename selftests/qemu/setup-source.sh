# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Files of the kernel's source that the project uses and doesn't copy: the kselftest
# frame and checkpatch. To be sourced by setup.

source_files=(
	scripts/checkpatch.pl
	scripts/const_structs.checkpatch
	scripts/spelling.txt
	tools/testing/selftests/kselftest
	tools/testing/selftests/kselftest.h
	tools/testing/selftests/kselftest_harness.h
	tools/testing/selftests/lib.mk
)

fetch_source() {
	local dir tarball=/usr/src/linux-source-6.1.tar.xz
	dir=$(kernel_source)
	[ ! -e "$dir/stamp" ] || [ -n "${REFRESH:-}" ] || return 0
	rm -rf "$dir.new"
	mkdir -p "$dir.new"
	if [ -e "$tarball" ]; then
		unpack_source "$dir.new" <"$tarball"
	else
		apt_scratch_update
		apt_fetch linux-source-6.1 - "$debs"
		dpkg-deb --fsys-tarfile "$debs"/linux-source-6.1_*.deb |
			tar -xO "./usr/src/${tarball##*/}" | unpack_source "$dir.new"
	fi
	check_source "$dir.new"
	touch "$dir.new/stamp"
	rm -rf "$dir"
	mv "$dir.new" "$dir"
}

# unpack_source directory: the files above from a packed archive on stdin
unpack_source() {
	say "setup: unpacking the kselftest frame and checkpatch"
	xz -dc -T0 | tar -x -C "$1" --strip-components=1 --wildcards \
		"${source_files[@]/#/*/}" || true
}

check_source() {
	local file
	for file in "${source_files[@]}"; do
		[ -e "$1/$file" ] || die "linux-source-6.1 has no $file" \
			"Next: remove $debs and run 'make setup' again."
	done
}
