# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Settings: of a guest (KEY=VALUE arguments of vm_start) and of a test (a file
# <test>.vm beside it). Documentation/testing.rst describes each key. To be sourced by
# lib.sh.

# What a guest has of its own: tests that agree in all of these share one.
vm_guest_keys=(MEM SMP NUMA MODULES CMDLINE DISK NOINSMOD CPU ICOUNT ALONE)
# How cptdev.ko is loaded: a guest that several tests share loads it anew where the next
# one wants it otherwise.
vm_module_keys=(MODPARAMS MUTANT)
# What tests bring along: a guest that several share has what any of them names.
vm_file_keys=(PROGS FILES)
# A test's guest where its settings don't say otherwise: one that most tests can share.
# /dev/vda is to read from, /dev/vdb to swap to.
vm_test_defaults=(MEM=768 'DISK=64 256' CMDLINE=secretmem.enable=1)
# What only vm_start knows.
vm_start_keys=(NET LAN MESH FWD TERMINAL)
# What is about the test.
vm_test_keys=(TIMEOUT TIER KERNELS CHECK_KERNELS PROG ARGS MUST_FAIL SHORT)
# What a test on the host has.
host_test_keys=(TIMEOUT TIER KERNELS CHECK_KERNELS SLOTS)

# settings_read array-name file allowed-key...: from a file, strictly
settings_read() {
	local -n read_into=$1
	local file=$2 line key number=0
	shift 2
	while IFS= read -r line || [ -n "$line" ]; do
		number=$((number + 1))
		case $line in
		'' | '#'*) continue ;;
		esac
		key=${line%%=*}
		[[ $line == *=* && " $* " == *" $key "* ]] ||
			die "$file:$number: '$line' isn't a setting" "The keys are: $*"
		read_into["$key"]=${line#*=}
	done <"$file"
}

# settings_take array-name allowed-keys argument...: from arguments KEY=VALUE
settings_take() {
	local -n take_into=$1
	local allowed=$2 argument
	shift 2
	for argument; do
		[[ $argument == *=* && " $allowed " == *" ${argument%%=*} "* ]] ||
			die "'$argument' isn't a setting" "The keys are: $allowed"
		take_into["${argument%%=*}"]=${argument#*=}
	done
}
