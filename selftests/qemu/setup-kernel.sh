# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Kernels. They are unpacked into the cache and never installed: that would bring
# initramfs-tools and a boot loader's hooks to the machine. To be sourced by setup.
#
# What fetch_<how> leaves in a kernel's directory:
#
#   release	what uname -r says
#   version	of the package
#   boot	the kernel, to be given to qemu -kernel
#   config
#   lib/modules/<release>	the modules of the list, uncompressed, with modules.dep
#   wanted	the list, or of a kernel that was built, debug.config
#   headers/usr/src/linux-headers-<release>	KDIR
#   userland	of another architecture: static programs for guests
#   stamp	made last: all the rest is there

debs=$cptdev_cache/debs

# The file that decides about a kernel's content, beside its package.
what_is_wanted() { # how
	case $1 in
	built) printf '%s\n' "$cptdev_qemu/debug.config" ;;
	*) printf '%s\n' "$cptdev_qemu/modules" ;;
	esac
}

has_kernel() { # directory how
	[ -e "$1/stamp" ] && cmp -s "$(what_is_wanted "$2")" "$1/wanted"
}

# fetch_kernel name: unless it is there
fetch_kernel() {
	local dir how
	dir=$(kernel_dir "$1")
	how=$(kernel_field "$1" 3)
	! has_kernel "$dir" "$how" || [ -n "${REFRESH:-}" ] || return 0
	apt_scratch_update
	rm -rf "$dir.new"
	mkdir -p "$dir.new"
	"fetch_$how" "$1" "$dir.new" "$dir"
	cp "$(what_is_wanted "$how")" "$dir.new/wanted"
	touch "$dir.new/stamp"
	rm -rf "$dir"
	mv "$dir.new" "$dir"
	say "setup: kernel $1 is $(kernel_release "$1"), package version $(cat "$dir/version")"
}

# The meta package depends on the current image.
kernel_image_package() {
	apt_show "$1" "$2" Depends | grep -oE 'linux-image-[0-9][^ ,]*' | head -n 1
}

# fetch_deb name new-directory final-directory [architecture]: if it isn't this machine's
fetch_deb() {
	local name=$1 new=$2 final=$3 of=${4:+:$4} suite image
	suite=$(kernel_field "$name" 5)
	image=$(kernel_image_package "$(kernel_field "$name" 4)$of" "$suite")
	[ -n "$image" ] || die "the suite names no kernel for '$name'" \
		"Next: see that the mirror has bookworm-backports and security updates."
	case ${image#linux-image-} in
	"${name%%-*}".*) ;;
	*) die "the kernel of the suite is $image, not a ${name%%-*}" \
		"Next: bring selftests/qemu/kernels up to date." ;;
	esac
	printf '%s\n' "${image#linux-image-}" >"$new/release"
	apt_show "$image$of" "$suite" Version >"$new/version"
	fetch_image "$image" "$suite" "$new" "$of"
	fetch_headers "linux-headers-${image#linux-image-}" "$suite" "$new" "$final" "$of"
}

# A kernel of another architecture. Its packages are fetched and unpacked, not installed. kbuild's
# programs are those of this machine (linux-kbuild), which are the same version.

# fetch_cross name new-directory final-directory
fetch_cross() {
	local arch package
	arch=$(kernel_arch "$1")
	fetch_deb "$@" "$arch"
	for package in busybox-static bash-static; do
		apt_fetch "$package:$arch" - "$debs"
		apt_unpack "$package" "$debs" "$2/userland"
	done
	rm -rf "$2/userland/usr"
}

# fetch_sysroot architecture: unless it is there as its list says
fetch_sysroot() {
	local dir list=$cptdev_qemu/sysroot-$1 package
	dir=$(sysroot_dir "$1")
	! cmp -s "$list" "$dir/wanted" || [ -n "${REFRESH:-}" ] || return 0
	apt_scratch_update
	rm -rf "$dir.new"
	for package in $(list_file "$list"); do
		apt_fetch "$package:$1" - "$debs"
		apt_unpack "$package" "$debs" "$dir.new"
	done
	cp "$list" "$dir.new/wanted"
	rm -rf "$dir"
	mv "$dir.new" "$dir"
}

fetch_image() {
	local image=$1 suite=$2 new=$3 release=${1#linux-image-}
	apt_fetch "$image${4:-}" "$suite" "$debs"
	apt_unpack "$image" "$debs" "$new/unpacked"
	mv "$new/unpacked/boot/config-$release" "$new/config"
	unpack_vmlinux "$new/unpacked/boot/vmlinuz-$release" "$new/boot"
	keep_modules "$new/unpacked" "$release" "$new"
	rm -rf "$new/unpacked"
}

# unpack_vmlinux bzImage target: the ELF image inside. QEMU enters it by the PVH
# protocol, which saves the guest from unpacking it: 1 to 5 s of software emulation.
# Documentation/x86/boot.rst tells where the payload is.
unpack_vmlinux() {
	local image=$1 sectors offset length unpacked
	# arm64's isn't packed (Documentation/arm64/booting.rst).
	if [ "$(od -An -tx1 -j 56 -N 4 "$image" | tr -d ' ')" = 41524d64 ]; then
		cp "$image" "$2"
		return
	fi
	sectors=$(od -An -tu1 -j $((0x1f1)) -N 1 "$image")
	offset=$(od -An -tu4 -j $((0x248)) -N 4 "$image")
	length=$(od -An -tu4 -j $((0x24c)) -N 4 "$image")
	tail -c "+$(((sectors + 1) * 512 + offset + 1))" "$image" | head -c "$length" >"$2.packed" || true
	# Its last four bytes are its unpacked length, and no business of the unpacker.
	decompress "$2.packed" >"$2" 2>/dev/null || true
	unpacked=$(tail -c 4 "$2.packed" | od -An -tu4)
	rm -f "$2.packed"
	[ "$((unpacked))" = "$(stat -c %s "$2")" ] ||
		die "$image isn't packed in a way that set-up knows" \
			"Next: teach decompress() in setup-kernel.sh its format."
}

decompress() {
	case $(od -An -tx1 -N 4 "$1" | tr -d ' ') in
	fd377a58) xz -dc "$1" ;;
	28b52ffd) zstd -dcq "$1" ;;
	02214c18) lz4 -dc "$1" ;;
	esac
}

# keep_modules unpacked release new-directory
keep_modules() {
	local root=$1 release=$2 new=$3 module file
	depmod -b "$root" "$release"
	mkdir -p "$new/lib/modules/$release/kernel"
	cp "$root/lib/modules/$release"/modules.{builtin,builtin.modinfo,order} "$new/lib/modules/$release/"
	for module in $(list_file "$cptdev_qemu/modules"); do
		modprobe -d "$root" -S "$release" --show-depends "$module" 2>/dev/null || true
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u |
	while read -r file; do
		case $file in
		*.xz) xz -dc "$file" >"$new/lib/modules/$release/kernel/$(basename "$file" .xz)" ;;
		*) cp "$file" "$new/lib/modules/$release/kernel/" ;;
		esac
	done
	depmod -b "$new" "$release"
}

# fetch_headers package suite new-directory final-directory
fetch_headers() {
	local headers=$1 suite=$2 new=$3 final=$4 of=${5:-} package flavour
	for package in "$headers$of" $(headers_depend_on "$headers$of" "$suite"); do
		apt_fetch "$package" "$suite" "$debs"
		apt_unpack "$package" "$debs" "$new/headers"
	done
	flavour=$new/headers/usr/src/$headers
	# The one absolute path in there; everything else is a relative link.
	sed -i "s,^include /usr/src/,include $final/headers/usr/src/," "$flavour/Makefile"
	# With a vmlinux, kbuild would want pahole to make type information for modules.
	rm -f "$flavour/vmlinux"
	prune_architectures "$new"/headers/usr/src/linux-headers-*-common*/arch "${of:-x86}"
	rm -rf "$new/headers/usr/share"
}

headers_depend_on() {
	apt_show "$1" "$2" Depends |
		grep -oE 'linux-(headers-[^ ,]*-common(-rt)?|kbuild-[^ ,]*)' | sort -u
}

prune_architectures() { # directory the-one-that-is-kept
	find "$1" -mindepth 1 -maxdepth 1 -type d ! -name "${2#:}" -exec rm -rf {} +
}


# A kernel whose kbuild runs in the userland of its suite only: <directory>/chroot.

# fetch_chroot name new-directory final-directory
fetch_chroot() {
	local name=$1 new=$2 root=$2/chroot suite release
	suite=$(kernel_field "$name" 5)
	need_root "debootstrap, for kernel $name"
	[ -z "$(apt_missing debootstrap)" ] ||
		apt_run "install debootstrap" apt_with apt-get install -y --no-install-recommends \
			-o DPkg::Lock::Timeout=300 debootstrap
	say "setup: a userland of $suite, to build for kernel $name"
	apt_run "make a userland of $suite" debootstrap --variant=minbase \
		--include="make,gcc,$(kernel_field "$name" 4)" "$suite" "$root" "$(apt_mirror)"
	release=$(basename "$root"/usr/src/linux-headers-*-amd64)
	release=${release#linux-headers-}
	case $release in
	"$name".*) ;;
	*) die "the kernel of $suite is $release, not a $name" \
		"Next: bring selftests/qemu/kernels up to date." ;;
	esac
	printf '%s\n' "$release" >"$new/release"
	dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${Version}\n' "linux-headers-$release" \
		>"$new/version"
	# A mirror may be behind; what it has is signed all the same.
	apt_run "read the package lists of $suite" chroot "$root" \
		apt-get -o Acquire::Check-Valid-Until=no update
	mkdir "$root/debs"
	apt_run "fetch kernel $name" chroot "$root" sh -c \
		"cd /debs && apt-get download linux-binary-$release linux-modules-$release"
	unpack_new_layout "$root" "$release" "$new"
	rm -rf "$root/debs" "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
}

# unpack_new_layout root release new-directory: all of a kernel is below /usr/lib/modules
unpack_new_layout() {
	local root=$1 release=$2 new=$3 deb
	for deb in "$root"/debs/*.deb; do
		dpkg-deb -x "$deb" "$new/unpacked"
	done
	mv "$new/unpacked/usr/lib" "$new/unpacked/lib"
	cp -n "$root/usr/lib/modules/$release"/modules.* "$new/unpacked/lib/modules/$release/"
	cp "$root/usr/lib/modules/$release/config" "$new/config"
	unpack_vmlinux "$new/unpacked/lib/modules/$release/vmlinuz" "$new/boot"
	keep_modules "$new/unpacked" "$release" "$new"
	rm -rf "$new/unpacked"
}

# A kernel from source. In its directory are, besides the above, what the headers package
# of a stock kernel has: what building a module needs. There is no type information in it.

# fetch_built name new-directory final-directory
fetch_built() {
	local name=$1 new=$2 tree=$2/tree package suite start=$SECONDS
	package=$(kernel_field "$name" 4)
	suite=$(kernel_field "$name" 5)
	mkdir -p "$tree"
	kernel_tarball "$package" "$suite" | xz -dc -T0 | tar -x -C "$tree" --strip-components=1
	tarball_version "$package" "$suite" >"$new/version"
	say "setup: building kernel $name, 10 to 20 minutes"
	build_kernel "$tree" >"$cptdev_cache/log/build-$name.log" 2>&1 ||
		die "kernel $name can't be built: $(grep -m1 -iE 'error:|\*\*\*' "$cptdev_cache/log/build-$name.log")" \
			"The log: $cptdev_cache/log/build-$name.log"
	make -s -C "$tree" kernelrelease >"$new/release"
	cp "$tree/.config" "$new/config"
	cp "$tree/arch/x86/boot/bzImage" "$new/boot"
	make -s -C "$tree" INSTALL_MOD_PATH="$new/unpacked" modules_install >/dev/null
	keep_modules "$new/unpacked" "$(cat "$new/release")" "$new"
	rm -rf "$new/unpacked"
	keep_headers "$tree" "$new/headers/usr/src/linux-headers-$(cat "$new/release")"
	say "setup: that took $((SECONDS - start)) s"
}

# kernel_tarball package suite: its packed archive, on stdout
kernel_tarball() {
	if [ -e "/usr/src/$1.tar.xz" ]; then
		cat "/usr/src/$1.tar.xz"
	else
		apt_fetch "$1" "$2" "$debs" >&2
		dpkg-deb --fsys-tarfile "$debs/$1"_*.deb | tar -xO "./usr/src/$1.tar.xz"
	fi
}

tarball_version() {
	if [ -e "/usr/src/$1.tar.xz" ]; then
		dpkg-query -W -f '${Version}\n' "$1"
	else
		apt_show "$1" "$2" Version
	fi
}

build_kernel() {
	make -C "$1" KCONFIG_ALLCONFIG="$cptdev_qemu/debug.config" allnoconfig &&
		config_is_whole "$cptdev_qemu/debug.config" "$1/.config" &&
		CCACHE_DISABLE=1 make -C "$1" -j"$(nproc)" bzImage modules
}

# What kconfig drops, it drops in silence.
config_is_whole() {
	local lost
	lost=$(list_file "$1" | grep -vxFf "$2") || return 0
	printf 'error: kconfig drops %s\n' "$lost"
	return 1
}

# keep_headers tree target: what kbuild needs for a module, as in a headers package
keep_headers() {
	mkdir -p "${2%/*}"
	mv "$1" "$2"
	find "$2" -mindepth 1 -maxdepth 1 ! -name Makefile ! -name .config ! -name Module.symvers \
		! -name include ! -name arch ! -name scripts ! -name tools -exec rm -rf {} +
	find "$2/arch/x86" -mindepth 1 -maxdepth 1 ! -name Makefile\* ! -name include -exec rm -rf {} +
	find "$2/tools" -mindepth 1 -maxdepth 1 ! -name objtool -exec rm -rf {} +
	find "$2" -name '*.o' -delete
}
