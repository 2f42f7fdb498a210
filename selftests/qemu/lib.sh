# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Guests for scripts that run on the host. To be sourced:
#
#	. "$(dirname "$0")/../qemu/lib.sh"
#
#   vm_start NAME KERNEL [KEY=VALUE...]	boot, insmod cptdev.ko, network
#   vm_launch NAME KERNEL [KEY=VALUE...]	the same in two steps: two guests boot
#   vm_ready NAME			at once
#   vm_run NAME COMMAND [SECONDS]	its output and exit status
#   vm_spawn NAME COMMAND [SECONDS]	in the background; prints a number
#   vm_wait NAME NUMBER [SECONDS]	its output and exit status
#   vm_output NAME NUMBER O|E		what it has printed so far
#   vm_signal NAME NUMBER SIGNAL
#   vm_put NAME FILE GUEST-PATH [MODE]
#   vm_get NAME GUEST-PATH FILE
#   vm_net NAME down|up|drop|pass [OTHER]	pull the cable, put it back; lose packets, or not
#   vm_port NAME GUEST-PORT		prints the port here that FWD= made
#   vm_qmp NAME JSON			a command to QEMU
#   vm_alive NAME
#   vm_check_log NAME			false if its kernel complained
#   vm_kill NAME				the power goes
#   vm_stop NAME				end orderly; false if anything was wrong
#
# Start guests from the script's own shell, not from a subshell: they end with it.
# Documentation/testing.rst tells the settings.

# shellcheck source=selftests/qemu/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=selftests/qemu/initramfs.sh
. "$cptdev_qemu/initramfs.sh"
# shellcheck source=selftests/qemu/vm-settings.sh
. "$cptdev_qemu/vm-settings.sh"
# shellcheck source=selftests/qemu/vm-guest.sh
. "$cptdev_qemu/vm-guest.sh"
# shellcheck source=selftests/qemu/vm-channel.sh
. "$cptdev_qemu/vm-channel.sh"
# shellcheck source=selftests/qemu/vm-log.sh
. "$cptdev_qemu/vm-log.sh"
# shellcheck source=selftests/qemu/vm-net.sh
. "$cptdev_qemu/vm-net.sh"

# Guests' directories are kept for reading, until the script runs again.
vm_root=${CPTDEV_VM_ROOT:-$cptdev_build/vm/$(basename "$0" .sh)}
vm_names=()

# The runner says which kernels; by hand, it is the first of the table.
KERNEL=${KERNEL:-$(kernel_names default | head -n 1)}
KERNEL_B=${KERNEL_B:-$KERNEL}

[ -n "${CPTDEV_VM_ROOT:-}" ] || rm -rf "$vm_root"

vm_cleanup() {
	local name
	for name in "${vm_names[@]}"; do
		vm_kill "$name"
	done
}

trap vm_cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
