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
#   headers/usr/src/linux-headers-<release>	KDIR
#   stamp	made last: all the rest is there

debs=$cptdev_cache/debs

# fetch_kernel name: unless it is there
fetch_kernel() {
	local dir how
	dir=$(kernel_dir "$1")
	[ ! -e "$dir/stamp" ] || [ -n "${REFRESH:-}" ] || return 0
	how=$(kernel_field "$1" 3)
	apt_scratch_update
	rm -rf "$dir.new"
	mkdir -p "$dir.new"
	"fetch_$how" "$1" "$dir.new" "$dir"
	touch "$dir.new/stamp"
	rm -rf "$dir"
	mv "$dir.new" "$dir"
	say "setup: kernel $1 is $(kernel_release "$1"), package version $(cat "$dir/version")"
}

# The meta package depends on the current image.
kernel_image_package() {
	apt_show "$1" "$2" Depends | grep -oE 'linux-image-[0-9][^ ,]*' | head -n 1
}

# fetch_deb name new-directory final-directory
fetch_deb() {
	local name=$1 new=$2 final=$3 suite image
	suite=$(kernel_field "$name" 5)
	image=$(kernel_image_package "$(kernel_field "$name" 4)" "$suite")
	[ -n "$image" ] || die "the suite names no kernel for '$name'" \
		"Next: see that the mirror has bookworm-backports and security updates."
	case ${image#linux-image-} in
	"${name%%-*}".*) ;;
	*) die "the kernel of the suite is $image, not a ${name%%-*}" \
		"Next: bring selftests/qemu/kernels up to date." ;;
	esac
	printf '%s\n' "${image#linux-image-}" >"$new/release"
	apt_show "$image" "$suite" Version >"$new/version"
	fetch_image "$image" "$suite" "$new"
	fetch_headers "linux-headers-${image#linux-image-}" "$suite" "$new" "$final"
}

fetch_image() {
	local image=$1 suite=$2 new=$3 release=${1#linux-image-}
	apt_fetch "$image" "$suite" "$debs"
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
	local headers=$1 suite=$2 new=$3 final=$4 package flavour
	for package in "$headers" $(headers_depend_on "$headers" "$suite"); do
		apt_fetch "$package" "$suite" "$debs"
		apt_unpack "$package" "$debs" "$new/headers"
	done
	flavour=$new/headers/usr/src/$headers
	# The one absolute path in there; everything else is a relative link.
	sed -i "s,^include /usr/src/,include $final/headers/usr/src/," "$flavour/Makefile"
	# With a vmlinux, kbuild would want pahole to make type information for modules.
	rm -f "$flavour/vmlinux"
	prune_architectures "$new"/headers/usr/src/linux-headers-*-common/arch
	rm -rf "$new/headers/usr/share"
}

headers_depend_on() {
	apt_show "$1" "$2" Depends |
		grep -oE 'linux-(headers-[^ ,]*-common|kbuild-[^ ,]*)' | sort -u
}

prune_architectures() {
	find "$1" -mindepth 1 -maxdepth 1 -type d ! -name x86 -exec rm -rf {} +
}

