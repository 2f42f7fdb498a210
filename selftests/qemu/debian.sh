# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Guests that are a whole Debian with systemd, as operators have it, in the place of the harness's own
# initramfs. Their disks are made of a root file system in a directory, which the test fills. To be
# sourced behind lib.sh and setup-rootfs.sh.
#
#	debian_work	a directory of the test's own: the disk of guest NAME is NAME.img there
#	debian_root	the root file system
#	debian_runs	the release of the kernel that guest NAME boots, as debian_runs[NAME]; by default
#			the root file system's own

debian_work=''
debian_root=''
declare -A debian_runs=()

debian_release() { # guest
	printf '%s\n' "${debian_runs[$1]:-$(rootfs_release "$debian_root")}"
}

# debian_prepare: execd stands in for the person at the keyboard, when the devices are there
debian_prepare() {
	local system=$debian_root/etc/systemd/system
	build_execd
	build_channel
	install -m 755 "$guest_work/execd" "$debian_root/usr/local/sbin/execd"
	printf '%s\n' '[Unit]' 'Wants=systemd-udev-settle.service' \
		'After=multi-user.target systemd-udev-settle.service' '[Service]' \
		'ExecStart=/usr/local/sbin/execd /dev/virtio-ports/cptdev' >"$system/execd.service"
	mkdir -p "$system/default.target.wants"
	ln -sf ../execd.service "$system/default.target.wants/execd.service"
	printf '/dev/vda / ext4 defaults 0 1\n' >"$debian_root/etc/fstab"
}

# debian_disk guest size: with a copy of the root file system as it is now
debian_disk() {
	rm -f "$debian_work/$1.img"
	truncate -s "$2" "$debian_work/$1.img"
	mke2fs -q -t ext4 -d "$debian_root" "$debian_work/$1.img"
}

# debian_kernel kernel: one of the harness's for it, with cptdev.ko. Prints its release.
debian_kernel() {
	local release modules
	release=$(kernel_release "$1")
	modules=$debian_root/lib/modules/$release
	mkdir -p "$modules" "$debian_root/boot"
	cp -r "$(kernel_dir "$1")/lib/modules/$release/." "$modules/"
	install -D -m 644 "$(vm_module "$1" '')" "$modules/extra/cptdev.ko" || return
	depmod -b "$debian_root" "$release"
	cp "$(kernel_dir "$1")/boot" "$debian_root/boot/vmlinuz-$release"
	cp "$(kernel_dir "$1")/config" "$debian_root/boot/config-$release"
	# Its modules aren't where initramfs-tools looks for those of a disk.
	printf '%s\n' virtio_pci virtio_blk ext4 crc32c_generic >"$debian_root/etc/initramfs-tools/modules"
	rootfs_run "$debian_root" update-initramfs -c -k "$release" >&2 || return
	printf '%s\n' "$release"
}

# These take the place of the harness's own.

vm_build_initrd() {
	cp "$debian_root/boot/initrd.img-$(debian_release "$1")" "$(vm_dir "$1")/initrd"
}

vm_args_boot() {
	printf '%s\n' -kernel "$debian_root/boot/vmlinuz-$(debian_release "$1")" -initrd initrd -append \
		"console=ttyS0 root=/dev/vda rw no_timer_check panic=-1 oops=panic systemd.hostname=$1 $(vm_setting "$1" CMDLINE)"
}

vm_args_disks() {
	printf '%s\n' -drive "file=$debian_work/$1.img,format=raw,if=none,id=disk0,cache=unsafe" \
		-device virtio-blk-pci,drive=disk0
}
