# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A guest: its QEMU process from start to end. To be sourced by lib.sh.
#
# A guest's directory has
#
#   settings	KEY=VALUE, one per line
#   kernel	name of its kernel
#   pid		of QEMU
#   console	what the kernel and init wrote to ttyS0
#   in, out	the port of execd: a pipe to it, a file from it
#   qmp.in, qmp.out	QEMU's monitor, likewise
#   terminal	with TERMINAL=1: a socket, the other end of the guest's /dev/hvc0
#   qemu.log	what QEMU itself said
#   initrd, disk0...	until it ends

vm_boot_limit=${CPTDEV_BOOT_LIMIT:-400}

vm_dir() {
	printf '%s/%s\n' "$vm_root" "$1"
}

# vm_setting name key
vm_setting() {
	sed -n "s/^$2=//p" "$(vm_dir "$1")/settings"
}

# Asked all the time: without starting a program.
vm_alive() {
	local dir=$vm_root/$1 state
	[ -e "$dir/pid" ] || return 1
	{ read -r state <"/proc/$(<"$dir/pid")/stat"; } 2>/dev/null || return 1
	state=${state##*) }
	# A process that ended and waits for its parent is no machine.
	[[ -n $state && $state != Z* && $state != X* ]]
}

# vm_accel: "kvm" or "tcg". That /dev/kvm is there says little; so something is booted
# with it, once per boot of this machine.
vm_accel() {
	local file=$cptdev_cache/accel boot answer=''
	if [ "$(kernel_arch "$1")" != x86_64 ]; then
		printf 'tcg\n'
		return
	fi
	if [ -n "${CPTDEV_ACCEL:-}" ]; then
		printf '%s\n' "$CPTDEV_ACCEL"
		return
	fi
	boot=$(</proc/sys/kernel/random/boot_id)
	[ ! -e "$file" ] || answer=$(sed -n "s/^$boot //p" "$file")
	if [ -z "$answer" ]; then
		answer=tcg
		! vm_kvm_works "$1" || answer=kvm
		printf '%s %s\n' "$boot" "$answer" >"$file"
	fi
	printf '%s\n' "$answer"
}

# The kernel finds no root file system and gives up: far enough.
vm_kvm_works() {
	local log works=1
	[ -w /dev/kvm ] || return 1
	log=$(mktemp)
	# It may abort; that the shell would tell, too.
	{ timeout -k 1 6 qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
		-accel kvm -cpu host -m 256 -kernel "$(kernel_dir "$1")/boot" \
		-append 'console=ttyS0 panic=-1' -serial "file:$log" || true
	} >/dev/null 2>&1 </dev/null
	! grep -q 'Unable to mount root fs' "$log" || works=0
	rm -f "$log"
	return $works
}

# vm_module kernel mutant: where its cptdev.ko is
vm_module() {
	printf '%s/module/cptdev.ko\n' "$cptdev_build/$1${2:+-mutants}"
}

vm_build_initrd() {
	local name=$1 kernel=$2 dir base tests module
	dir=$(vm_dir "$name")
	module=$(vm_module "$kernel" "$(vm_setting "$name" MUTANT)")
	[ -e "$module" ] || module=''
	base=$(build_base "$kernel")
	tests=$(build_tests "$(kernel_arch "$kernel")")
	build_extra "$dir/extra" "$module" "$(vm_setting "$name" PROGS)" \
		"$(vm_setting "$name" FILES | sed "s/@KERNEL@/$kernel/g")" "$(arch_tools "$(kernel_arch "$kernel")")"
	cat "$base" "$tests" "$dir/extra" >"$dir/initrd"
	rm -f "$dir/extra"
}

# Each of these prints QEMU arguments, one per line.

vm_args_machine() {
	local name=$1 kernel=$2 accel cpu icount mem
	icount=$(vm_setting "$name" ICOUNT)
	cpu=$(vm_setting "$name" CPU)
	accel=$(vm_accel "$kernel")
	# Instructions are counted by the emulator only.
	[ -z "$icount" ] || accel=tcg
	# The signatures of pointers that arm64 itself computes are slow to emulate.
	case $accel/$(kernel_arch "$kernel") in
	kvm/*) printf '%s\n' -accel kvm -cpu "${cpu:-host}" ;;
	*/arm64) printf '%s\n' -machine virt -accel tcg -cpu "${cpu:-max,pauth-impdef=on}" ;;
	*) printf '%s\n' -accel tcg -cpu "${cpu:-max}" ;;
	esac
	[ -z "$icount" ] || printf '%s\n' -icount "shift=$icount"
	mem=$(($(vm_setting "$name" MEM) + $(kernel_field "$kernel" 7)))
	printf '%s\n' -m $mem -smp "$(vm_setting "$name" SMP)"
	vm_args_numa "$name" $mem
}

# guest MiB: nodes of equal size; QEMU gives them the processors in turn.
vm_args_numa() {
	local nodes mem=$2 n
	nodes=$(vm_setting "$1" NUMA)
	for ((n = 0; n < ${nodes:-0}; n++)); do
		printf '%s\n' -object "memory-backend-ram,id=node$n,size=$((mem / nodes))M" \
			-numa "node,memdev=node$n"
	done
}

vm_args_boot() {
	# An oops ends the guest: what comes after it proves nothing. About maxcpus see
	# guest/init. On a busy host the timer may be too slow for the kernel's check of it.
	# Tests write to memory that is read-only, as debuggers do: newer kernels ask for it.
	local console=ttyS0
	[ "$(kernel_arch "$2")" != arm64 ] || console=ttyAMA0
	printf '%s\n' -kernel "$(kernel_dir "$2")/boot" -initrd initrd -append \
		"console=$console ignore_loglevel printk.devkmsg=on maxcpus=1 no_timer_check panic=-1 oops=panic proc_mem.force_override=always $(vm_setting "$1" CMDLINE)"
}

vm_args_ports() {
	printf '%s\n' \
		-device virtio-serial-pci \
		-chardev "file,id=port,path=out,input-path=in" \
		-device "virtserialport,chardev=port,name=cptdev" \
		-chardev "file,id=qmp,path=qmp.out,input-path=qmp.in" \
		-mon chardev=qmp,mode=control
}

# For a person, or who plays one.
vm_args_terminal() {
	[ -z "$(vm_setting "$1" TERMINAL)" ] || printf '%s\n' \
		-chardev "socket,id=terminal,path=terminal,server=on,wait=off" \
		-device "virtconsole,chardev=terminal"
}

# Disks are scratch: nothing needs to survive a crash of this machine.
vm_args_disks() {
	local size n=0
	for size in $(vm_setting "$1" DISK); do
		truncate -s "${size}M" "$(vm_dir "$1")/disk$n"
		printf '%s\n' -drive "file=disk$n,format=raw,if=none,id=disk$n,cache=unsafe" \
			-device "virtio-blk-pci,drive=disk$n"
		n=$((n + 1))
	done
}

# A cable is a pair of datagram sockets in the directory above: net-1 is the end in guest 1, and
# the other end is net-2 there, or lan-1 in the switch.
vm_args_cable() { # id own-end other-end
	rm -f "$vm_root/$2" "$vm_root/$2.dropped"
	printf '%s\n' -netdev "dgram,id=$1,local.type=unix,local.path=../$2,remote.type=unix,remote.path=../$3"
}

# The private network: a cable between guests 1 and 2, or with LAN=1 from each of them to guest 3,
# whose QEMU is the switch. With MESH=1 a cable between each two of three guests: net-1-2 is the end in
# guest 1 of the cable to guest 2.
vm_args_private() { # guest number
	local number=$2 n
	if [ -n "$(vm_setting "$1" MESH)" ]; then
		vm_args_mesh "$number"
		return
	fi
	case $number in
	3)
		for n in 1 2; do
			vm_args_cable "cable$n" "lan-$n" "net-$n"
			printf '%s\n' -netdev "hubport,id=plug$n,hubid=0,netdev=cable$n"
		done
		printf '%s\n' -netdev hubport,id=private,hubid=0
		;;
	*)
		if [ -n "$(vm_setting "$1" LAN)" ]; then
			vm_args_cable private "net-$number" "lan-$number"
		else
			vm_args_cable private "net-$number" "net-$((3 - number))"
		fi
		;;
	esac
	printf '%s\n' -device "virtio-net-pci,netdev=private,mac=52:54:00:77:00:0$number"
}

vm_args_mesh() { # number
	local n
	for n in 1 2 3; do
		[ "$n" != "$1" ] || continue
		vm_args_cable "cable$n" "net-$1-$n" "net-$n-$1"
		printf '%s\n' -device "virtio-net-pci,netdev=cable$n,mac=52:54:00:77:1$n:0$1"
	done
}

vm_args_net() {
	local number port forwards=''
	number=$(vm_setting "$1" NET)
	[ -z "$number" ] || vm_args_private "$1" "$number"
	for port in $(vm_setting "$1" FWD); do
		forwards+=",hostfwd=tcp:127.0.0.1:0-10.0.2.15:$port"
	done
	[ -z "$forwards" ] || printf '%s\n' -netdev "user,id=outer,restrict=on$forwards" \
		-device "virtio-net-pci,netdev=outer,mac=52:54:00:77:01:0${number:-0}"
}

# vm_qemu parent name kernel argument...: becomes QEMU. It dies with its parent, the
# shell that started it, however that ends (and if it has ended already, doesn't begin);
# and it holds both ends of its pipes, so that it never sees an end of file.
# shellcheck disable=SC2016 # for the shell there
vm_qemu() {
	local parent=$1 dir args emulator=qemu-system-x86_64
	shift
	dir=$(vm_dir "$1")
	[ "$(kernel_arch "$2")" != arm64 ] || emulator=qemu-system-aarch64
	mapfile -t args < <(vm_args_machine "$1" "$2"; vm_args_boot "$1" "$2"; vm_args_disks "$1"; vm_args_net "$1")
	shift 2
	cd "$dir" || exit
	exec setpriv --pdeathsig KILL bash -c '[ "$PPID" = "$0" ] || exit; exec "$@"' "$parent" \
		"$emulator" -nodefaults -no-user-config -display none -no-reboot \
		"${args[@]}" "$@" 8<>in 9<>qmp.in
}

# A guest of the same name may have lived before: keep what it left to read.
vm_keep_old() {
	local n=1
	[ -e "$1" ] || return 0
	while [ -e "$1.$n" ]; do
		n=$((n + 1))
	done
	mv "$1" "$1.$n"
}

# vm_prepare name kernel KEY=VALUE...
vm_prepare() {
	local name=$1 kernel=$2 dir key
	local -A set=([MEM]=512 [SMP]=2)
	shift 2
	! vm_alive "$name" || die "guest $name is running already"
	kernel_require "$kernel"
	settings_take set "${vm_guest_keys[*]} ${vm_module_keys[*]} ${vm_file_keys[*]} ${vm_start_keys[*]}" "$@"
	dir=$(vm_dir "$name")
	vm_keep_old "$dir"
	mkdir -p "$dir"
	for key in "${!set[@]}"; do
		printf '%s=%s\n' "$key" "${set[$key]}"
	done >"$dir/settings"
	printf '%s\n' "$kernel" >"$dir/kernel"
	vm_build_initrd "$name" "$kernel"
	mkfifo "$dir/in" "$dir/qmp.in"
	: >"$dir/out"
	: >"$dir/console"
}

# vm_launch name kernel [KEY=VALUE...]: start it and don't wait
vm_launch() {
	local dir args parent=$BASHPID
	vm_prepare "$@"
	dir=$(vm_dir "$1")
	mapfile -t args < <(vm_args_ports; vm_args_terminal "$1")
	vm_qemu "$parent" "$1" "$2" "${args[@]}" \
		-chardev file,id=console,path=console -serial chardev:console \
		>"$dir/qemu.log" 2>&1 </dev/null &
	printf '%s\n' $! >"$dir/pid"
	# bash shall not tell when it is killed.
	disown $!
	vm_names+=("$1")
}

# vm_wait_for name seconds command...: until the command is true; false when the guest
# is gone or the time is over
vm_wait_for() {
	local name=$1 end=$((SECONDS + $2))
	shift 2
	until "$@"; do
		vm_alive "$name" || { "$@"; return; }
		[ "$SECONDS" -lt "$end" ] || return 1
		nap
	done
}

# A twentieth of a second.
nap() {
	nap_for 0.05
}

# nap_for seconds: without starting a program
nap_for() {
	[ -n "${nap_fd:-}" ] || exec {nap_fd}<> <(:)
	read -r -t "$1" -u "$nap_fd" _ || true
}

# It is what execd says first.
vm_said_ready() {
	local line=''
	read -r line <"$vm_root/$1/out" || true
	[[ $line == READY* ]]
}

# vm_ready name: wait until it runs commands, and make it as its settings want it
vm_ready() {
	local name=$1 kernel modules
	kernel=$(<"$(vm_dir "$name")/kernel")
	if ! vm_wait_for "$name" "$(on_time "$kernel" "$vm_boot_limit")" vm_said_ready "$name"; then
		vm_tell_end "$name" "didn't boot"
		return 1
	fi
	modules=$(vm_setting "$name" MODULES)
	[ -z "$modules" ] || vm_run "$name" "modprobe -a $modules" >&2 || {
		warn "guest $name: kernel $kernel has no module, or not all of: $modules"
		return 1
	}
	vm_insert_module "$name" || return
	vm_setup_net "$name"
}

vm_insert_module() {
	[ -n "$(vm_setting "$1" NOINSMOD)" ] ||
		vm_load_module "$1" "$(vm_setting "$1" MODPARAMS)" "$(vm_setting "$1" MUTANT)"
}

# vm_load_module name parameters mutant: as udev would do it, the device gets its group
vm_load_module() {
	vm_run "$1" "insmod /usr/lib/cptdev/cptdev.ko $2 ${3:+mutant=$3} &&
		chgrp cptdev /dev/cptdev" >&2 || {
		warn "guest $1: cptdev.ko couldn't be loaded; see $(vm_dir "$1")/console"
		return 1
	}
}

# vm_start name kernel [KEY=VALUE...]
vm_start() {
	vm_launch "$@"
	vm_ready "$1"
}

# vm_kill name: as if the power went
vm_kill() {
	local pid
	vm_alive "$1" || return 0
	pid=$(<"$(vm_dir "$1")/pid")
	kill -KILL "$pid" 2>/dev/null || true
	while vm_alive "$1"; do
		nap
	done
	vm_sweep "$1"
}

# What a guest that has ended needs no more, and nobody wants to read.
vm_sweep() {
	local dir
	dir=$(vm_dir "$1")
	rm -rf "$dir"/{initrd,in,qmp.in,lock,terminal,disk[0-9]*}
}

# vm_stop name: everything in it ends, the module goes, it is switched off, and its log
# must be clean
vm_stop() {
	local name=$1 status=0
	vm_alive "$name" || {
		vm_tell_end "$name" "had ended already"
		return 1
	}
	[ -n "$(vm_setting "$name" NOINSMOD)" ] || vm_unload "$name" || status=1
	vm_find_leaks "$name" || status=1
	vm_power_off "$name" || status=1
	vm_check_log "$name" >&2 || status=1
	vm_sweep "$name"
	return $status
}

# shellcheck disable=SC2016 # for the shell there
vm_unload() {
	vm_run "$1" 'kill -9 -1; n=0
		while ! rmmod cptdev 2>/tmp/rmmod && [ $n -lt 50 ]; do n=$((n + 1)); usleep 100000; done
		! grep -q "^cptdev " /proc/modules || { cat /tmp/rmmod; exit 1; }' >&2 || {
		warn "guest $1: the module can't be unloaded once every process has ended"
		return 1
	}
}

# Where the kernel has kmemleak: memory that nobody refers to any more. It looks at what is
# some seconds old, and twice: the first time it may have been looking at the wrong moment.
# What it says goes to the log, which vm_check_log reads.
# shellcheck disable=SC2016 # for the shell there
vm_find_leaks() {
	vm_run "$1" 'f=/sys/kernel/debug/kmemleak
		[ -e $f ] || exit 0
		echo scan >$f && sleep 6 && echo scan >$f || exit 1
		while IFS= read -r line; do echo "kmemleak: $line" >/dev/kmsg; done <$f' 300 >&2 || {
		warn "guest $1: kmemleak doesn't work"
		return 1
	}
}

vm_gone() {
	! vm_alive "$1"
}

vm_power_off() {
	local dir
	dir=$(vm_dir "$1")
	vm_send "$1" printf 'POWEROFF\n'
	if ! vm_wait_for "$1" 30 vm_gone "$1"; then
		vm_kill "$1"
		warn "guest $1: power off took longer than 30 s"
		return 1
	fi
	grep -q '^BYE' "$dir/out" || {
		vm_tell_end "$1" "ended without being asked to"
		return 1
	}
}

# vm_tell_end name what: for whoever has to find out why. A panic is about 60 lines.
vm_tell_end() {
	local dir
	dir=$(vm_dir "$1")
	warn "guest $1 $2. The end of its console ($dir/console):"
	tail -n 70 "$dir/console" 2>/dev/null | tr -d '\r' | sed 's/^/    /' >&2
	[ ! -s "$dir/qemu.log" ] || sed 's/^/    qemu: /' "$dir/qemu.log" >&2
}
