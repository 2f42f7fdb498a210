# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What a guest boots into: a few cpio archives, one behind the other, as the kernel
# allows. No root is needed. To be sourced by lib.sh.
#
#   base	of a kernel: busybox, init, execd, a few programs, the stock modules
#   tests	build/selftests as /tests; our programs and libraries in /usr
#   extra	of one guest: cptdev.ko, what PROGS= and FILES= of the test ask for

guest_programs=(bash ip tc mke2fs setpriv)
guest_libdir=usr/lib/x86_64-linux-gnu
guest_work=$cptdev_build/guest

# fresh target source...: the target is there and newer than each of the sources
fresh() {
	local target=$1 source
	shift
	[ -e "$target" ] || return 1
	for source; do
		[ ! -e "$source" ] || [ -z "$(find -L "$source" -newer "$target" -print -quit)" ] || return 1
	done
}

# pack directory target: everything belongs to root
pack() {
	local new=$2.$BASHPID
	(cd "$1" && find . -mindepth 1 | sort | cpio -o -H newc -R 0:0 --quiet) >"$new"
	mv "$new" "$2"
}

is_program() {
	[ -f "$1" ] && [ -x "$1" ]
}

is_elf() {
	[ -f "$1" ] && [ "$(head -c 4 "$1" | tail -c 3)" = ELF ]
}

# stage_libraries root file...: the shared libraries that the files need, and ld.so
stage_libraries() {
	local root=$1 file library
	shift
	mkdir -p "$root/$guest_libdir" "$root/usr/lib64"
	for file; do
		! is_elf "$file" || LD_LIBRARY_PATH=$cptdev_build/libckdev ldd "$file" 2>/dev/null || true
	done | sort -u |
	while read -r library; do
		case $library in
		*'not found'*) die "a guest program needs ${library%% *}, which isn't there" ;;
		*/ld-linux*) cp -Lu "$(sed 's/ (.*//; s/.* //' <<<"$library")" "$root/usr/lib64/" ;;
		*'=> /'*) library=${library#*=> }; cp -Lu "${library% (*}" "$root/$guest_libdir/" ;;
		esac
	done
}

# stage_program root directory program...: by path, or by name as on this machine
stage_program() {
	local root=$1 dir=$2 program path
	shift 2
	mkdir -p "$root/$dir"
	for program; do
		path=$(command -v "$program") || die "there is no program '$program' to put into the guest"
		rm -f "$root/$dir/${program##*/}"
		cp -L "$path" "$root/$dir/"
		stage_libraries "$root" "$path"
	done
}

stage_skeleton() {
	local root=$1 dir
	for dir in usr/bin usr/sbin usr/lib usr/lib64 etc root tests run tmp proc sys dev var/tmp; do
		mkdir -p "$root/$dir"
	done
	for dir in bin sbin lib lib64; do
		ln -s "usr/$dir" "$root/$dir"
	done
	chmod 1777 "$root/tmp" "$root/var/tmp"
	printf '%s\n' 'root:x:0:0::/root:/bin/sh' 'tester:x:1000:1000::/tmp:/bin/sh' \
		'nobody:x:65534:65534::/:/bin/false' >"$root/etc/passwd"
	printf '%s\n' 'root:x:0:' 'cptdev:x:990:tester' 'tester:x:1000:' \
		'nogroup:x:65534:' >"$root/etc/group"
	printf '127.0.0.1\tlocalhost\n10.77.0.1\ta\n10.77.0.2\tb\n10.77.0.3\tc\n' >"$root/etc/hosts"
	printf 'PS1="cptdev:\\w# "\n' >"$root/etc/profile"
}

# stage_busybox root program: the applets are those of this machine's
stage_busybox() {
	local root=$1 applet
	cp -L "$2" "$root/usr/bin/busybox"
	busybox --list | while read -r applet; do
		[ "$applet" = busybox ] || ln -s busybox "$root/usr/bin/$applet"
	done
	# Where the kernel looks for it.
	ln -s ../bin/busybox "$root/usr/sbin/modprobe"
}

# stage_userland root unpacked-packages: what a guest of another architecture has is static
stage_userland() {
	stage_busybox "$1" "$2/bin/busybox"
	rm -f "$1/usr/bin/bash"
	cp "$2/bin/bash-static" "$1/usr/bin/bash"
}

# build_execd [architecture]: guest/execd, or guest/execd-<architecture>
build_execd() {
	local execd=$guest_work/execd${1:+-$1} tools
	fresh "$execd" "$cptdev_qemu/guest/execd.c" && return 0
	mkdir -p "$guest_work"
	tools=$(arch_tools "${1:-}")
	"${tools}gcc" -O2 -Wall -Wextra -Werror -static -o "$execd.$BASHPID" "$cptdev_qemu/guest/execd.c"
	mv "$execd.$BASHPID" "$execd"
}

# What talks to execd from here.
build_channel() {
	fresh "$guest_work/channel" "$cptdev_qemu/channel.c" && return 0
	mkdir -p "$guest_work"
	gcc -O2 -Wall -Wextra -Werror -o "$guest_work/channel.$BASHPID" "$cptdev_qemu/channel.c"
	mv "$guest_work/channel.$BASHPID" "$guest_work/channel"
}

# build_base kernel: prints the archive's name
build_base() {
	local archive=$guest_work/base-$1.cpio root release arch
	arch=$(kernel_arch "$1")
	arch=${arch#x86_64}
	build_execd "$arch"
	build_channel
	printf '%s\n' "$archive"
	fresh "$archive" "$cptdev_qemu/guest" "$cptdev_qemu/initramfs.sh" "$guest_work/execd${arch:+-$arch}" \
		"$(kernel_dir "$1")/stamp" && return 0
	root=$(mktemp -d "$guest_work/root.XXXXXX")
	release=$(kernel_release "$1")
	stage_skeleton "$root"
	if [ -n "$arch" ]; then
		stage_userland "$root" "$(kernel_dir "$1")/userland"
	else
		stage_busybox "$root" "$(command -v busybox)"
		stage_program "$root" usr/sbin "${guest_programs[@]}"
		mv "$root/usr/sbin/bash" "$root/usr/bin/bash"
		ln -s mke2fs "$root/usr/sbin/mkfs.ext4"
	fi
	# Not busybox for sh: its shell would prefer its own applets to the real programs.
	ln -sf bash "$root/usr/bin/sh"
	cp "$cptdev_qemu/guest/init" "$root/init"
	chmod 755 "$root/init"
	cp "$guest_work/execd${arch:+-$arch}" "$root/usr/sbin/execd"
	mkdir -p "$root/usr/lib/modules"
	cp -r "$(kernel_dir "$1")/lib/modules/$release" "$root/usr/lib/modules/"
	pack "$root" "$archive"
	rm -rf "$root"
}

# Our own programs, found by what they are: executables in build/daemon and
# build/libckdev. What is deeper down there is somebody's own business.
own_programs() {
	local file
	for file in "$cptdev_build"/daemon/* "$cptdev_build"/libckdev/*; do
		case $file in
		*.so*) ;;
		*) ! is_program "$file" || ! is_elf "$file" || printf '%s\n' "$file" ;;
		esac
	done
}

own_libraries() {
	local file
	for file in "$cptdev_build"/libckdev/*.so*; do
		[ ! -e "$file" ] || printf '%s\n' "$file"
	done
}

# build_tests architecture: prints the archive's name
build_tests() {
	local archive=$guest_work/tests.cpio tests=${CPTDEV_TESTS:-$cptdev_build/selftests} root
	local programs libraries
	if [ "$1" != x86_64 ]; then
		build_tests_foreign "$1"
		return
	fi
	[ -z "${CPTDEV_TESTS:-}" ] || archive=$guest_work/tests-${CPTDEV_TESTS##*/}.cpio
	mkdir -p "$guest_work"
	printf '%s\n' "$archive"
	fresh "$archive" "$cptdev_qemu/initramfs.sh" "$tests" "$cptdev_build/daemon" \
		"$cptdev_build/libckdev" && return 0
	root=$(mktemp -d "$guest_work/root.XXXXXX")
	mkdir -p "$root/usr/bin" "$root/$guest_libdir" "$root/tests"
	[ ! -d "$tests" ] || cp -rL "$tests/." "$root/tests/"
	mapfile -t programs < <(own_programs)
	mapfile -t libraries < <(own_libraries)
	[ ${#programs[@]} -eq 0 ] || cp "${programs[@]}" "$root/usr/bin/"
	[ ${#libraries[@]} -eq 0 ] || cp -P "${libraries[@]}" "$root/$guest_libdir/"
	mapfile -t programs < <(find "$root/tests" "$root/usr/bin" -type f -perm -u+x)
	stage_libraries "$root" "${programs[@]}" "${libraries[@]}"
	# Without debug information, which is most of a file and of no use in a guest. Scripts aren't ELF.
	strip -g "${programs[@]}" 2>/dev/null || true
	pack "$root" "$archive"
	rm -rf "$root"
}

# build_tests_foreign architecture: what "make <architecture>" has built, with its libraries
build_tests_foreign() {
	local archive=$guest_work/tests-$1.cpio built=$cptdev_build/$1 root
	printf '%s\n' "$archive"
	fresh "$archive" "$cptdev_qemu/initramfs.sh" "$built" && return 0
	root=$(mktemp -d "$guest_work/root.XXXXXX")
	[ ! -d "$built/selftests" ] || cp -r "$built/selftests" "$root/tests"
	mkdir -p "$root/usr/bin"
	cp "$built"/daemon/{cptdevd,cptdevctl} "$root/usr/bin/"
	stage_foreign_libraries "$1" "$root" "$root"/usr/bin/*
	"$(arch_tools "$1")strip" -g "$root"/usr/bin/*
	pack "$root" "$archive"
	rm -rf "$root"
}

# stage_foreign_libraries architecture root file...: all of these that the files need, and they themselves
stage_foreign_libraries() {
	local arch=$1 root=$2 name found
	shift 2
	while [ $# -gt 0 ]; do
		for name in $("$(arch_tools "$arch")readelf" -ld "$1" |
			sed -n 's,.*interpreter: .*/\(.*\)\],\1,p; s/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
			[ ! -e "$root/usr/lib/$name" ] || continue
			found=$(find "$cptdev_build/$arch/libckdev" "$(sysroot_dir "$arch")" -name "$name" -print -quit)
			[ -n "$found" ] || die "a guest program of $arch needs $name, which isn't there" \
				"Next: name its package in selftests/qemu/sysroot-$arch."
			mkdir -p "$root/usr/lib"
			cp -L "$found" "$root/usr/lib/$name"
			set -- "$@" "$root/usr/lib/$name"
		done
		shift
	done
}

# stage_files root file[:path in the guest]...
stage_files() {
	local root=$1 item source target
	shift
	for item; do
		source=${item%%:*}
		target=${item#*:}
		[[ $item == *:* ]] || target=/tests/${source##*/}
		[[ $source == /* ]] || source=$cptdev_top/$source
		[ -e "$source" ] || die "FILES= names $source, which isn't there"
		mkdir -p "$root/$(dirname "$target")"
		cp -rL "$source" "$root/$target"
		! is_program "$source" || stage_libraries "$root" "$source"
	done
}

# build_extra archive module programs files tools: programs and files are lists of words
build_extra() {
	local archive=$1 module=$2 programs files root
	read -ra programs <<<"$3"
	read -ra files <<<"$4"
	root=$(mktemp -d "$guest_work/root.XXXXXX")
	mkdir -p "$root/usr/lib/cptdev"
	# Eleven megabytes for debuggers, to be unpacked and read at each boot.
	[ -z "$module" ] || "$5strip" -g -o "$root/usr/lib/cptdev/cptdev.ko" "$module"
	[ ${#programs[@]} -eq 0 ] || stage_program "$root" usr/bin "${programs[@]}"
	[ ${#files[@]} -eq 0 ] || stage_files "$root" "${files[@]}"
	pack "$root" "$archive"
	rm -rf "$root"
}
