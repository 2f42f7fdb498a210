# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Commands in a guest, through execd (guest/execd.c describes the protocol), and
# commands to its QEMU. To be sourced by lib.sh.

# The program that asks execd; its head describes the files that are used below, too.
vm_channel=$guest_work/channel

# vm_send name command...: what the command prints goes to execd, undivided
vm_send() {
	local name=$1 dir
	dir=$(vm_dir "$name")
	shift
	[ -p "$dir/in" ] || return 1
	(
		flock 7
		# Opened for both, so that it doesn't wait for a reader that has died.
		"$@" 1<>"$dir/in"
	) 7>"$dir/lock"
}

# vm_number name: of the next command
vm_number() {
	local dir number=1
	dir=$(vm_dir "$1")
	(
		flock 7
		[ ! -e "$dir/number" ] || number=$(($(<"$dir/number") + 1))
		printf '%s\n' "$number" >"$dir/number"
		printf '%s\n' "$number"
	) 7>"$dir/number.lock"
}

# The answer can't come before this point of the file.
vm_note_request() {
	local dir
	dir=$(vm_dir "$1")
	mkdir -p "$dir/requests"
	stat -c '%s' "$dir/out" >"$dir/requests/$2"
}

vm_print_put() {
	local LC_ALL=C
	printf 'PUT %d %s %d %d\n%s' "$1" "$2" "${#4}" "$(stat -L -c %s "$3")" "$4"
	cat "$3"
}

# vm_spawn name command [seconds]: start a shell command and print its number for
# vm_wait and vm_signal. Without a limit it runs as long as it likes.
vm_spawn() {
	"$vm_channel" "$vm_root/$1" spawn "${3:-0}" "$2"
}

# vm_output name number tag: what a command has printed so far
vm_output() {
	"$vm_channel" "$vm_root/$1" output "$2" "$3"
}

# vm_wait name number [seconds]: print what the command printed, return what it
# returned: its status, 128 and the signal that ended it, 124 when its time was over,
# 255 when the guest is gone or doesn't answer.
vm_wait() {
	"$vm_channel" "$vm_root/$1" wait "$2" "${3:-86400}"
}

# vm_run name command [seconds]: both in one. The guest keeps the limit; that it
# answers at all is given some time more.
vm_run() {
	"$vm_channel" "$vm_root/$1" run "${3:-60}" "$2"
}

# vm_signal name number signal-number: to a spawned command and its children
vm_signal() {
	vm_send "$1" printf 'KILL %d %d\n' "$2" "$3"
}

# vm_put name local-file guest-path [octal mode]
vm_put() {
	local number mode=${4:-}
	[ -n "$mode" ] || mode=$(stat -L -c %a "$2")
	number=$(vm_number "$1")
	vm_note_request "$1" "$number"
	# A guest that has died reads nothing: the pipe gets full.
	if ! vm_alive "$1" || ! vm_send "$1" vm_print_put "$number" "$mode" "$2" "$3" ||
		! vm_wait "$1" "$number" 120; then
		warn "guest $1: couldn't write $3"
		return 1
	fi
}

# vm_get name guest-path local-file
vm_get() {
	vm_run "$1" "cat '$2'" 120 >"$3"
}

# vm_qmp name command-json: print QEMU's answer
vm_qmp() {
	local dir number
	dir=$(vm_dir "$1")
	number=$(vm_number "$1")
	(
		flock 7
		[ -e "$dir/qmp.greeted" ] || printf '{"execute":"qmp_capabilities"}\n' 1<>"$dir/qmp.in"
		: >"$dir/qmp.greeted"
		printf '%s,"id":%d}\n' "${2%\}}" "$number" 1<>"$dir/qmp.in"
	) 7>"$dir/qmp.lock"
	vm_wait_for "$1" 120 vm_qmp_answered "$1" "$number" || return 1
	grep "\"id\": ${number}[,}]" "$dir/qmp.out"
}

vm_qmp_answered() {
	grep -q "\"id\": ${2}[,}]" "$(vm_dir "$1")/qmp.out"
}
