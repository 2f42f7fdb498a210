# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The kernel log of a guest: no test passes when the kernel has complained. To be
# sourced by lib.sh.

# vm_sync_log name: when it returns, everything that the kernel has said is in the file
vm_sync_log() {
	local mark="cptdev harness: mark $BASHPID.$SECONDS.$RANDOM"
	vm_alive "$1" || return 0
	vm_run "$1" "echo '$mark' >/dev/kmsg" 10 || return 0
	vm_wait_for "$1" 10 grep -qF "$mark" "$(vm_dir "$1")/console" || true
}

# vm_log_size name: a point in the log, for vm_check_log
vm_log_size() {
	stat -c %s "$(vm_dir "$1")/console"
}

# vm_check_log name [point]: false if the kernel complained (behind the point); prints
# the lines
vm_check_log() {
	local lines
	vm_sync_log "$1"
	lines=$(tail -c "+$((${2:-0} + 1))" "$(vm_dir "$1")/console" | klog_complaints)
	[ -n "$lines" ] || return 0
	printf '%s\n' "$lines"
	return 1
}

klog_complaints() {
	awk -v bad="$cptdev_qemu/klog-bad" -v harmless="$cptdev_qemu/klog-harmless" \
		-f "$cptdev_qemu/klog.awk"
}
