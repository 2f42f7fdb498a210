#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests that go wrong in every way that the harness must notice, and one that looks at its
# settings; ../selftest-harness has what it must say about each.

# check name command...: a point
check() {
	local name=$1 verdict=ok
	shift
	number=$((number + 1))
	"$@" >&2 || verdict='not ok'
	printf '%s %d %s\n' "$verdict" "$number" "$name"
}

printf 'TAP version 13\n'

case $1 in
good)
	printf '1..4\nok 1 works\n# a comment\nok 2 # SKIP not here\nnot ok 3 later # TODO some day\nok 4 - works\n'
	;;
fail)
	printf '1..2\nok 1 works\nnot ok 2 does not\n'
	exit 1
	;;
segv)
	printf '1..2\nok 1 works\n'
	kill -SEGV $$
	;;
short)
	printf '1..3\nok 1 one\nok 2 two\n'
	;;
noplan)
	printf 'ok 1 one\n'
	;;
disorder)
	printf '1..2\nok 1 one\nok 1 one again\n'
	;;
status)
	printf '1..1\nok 1 one\n'
	exit 3
	;;
bail)
	printf '1..2\nok 1 one\nBail out! no use\n'
	exit 1
	;;
skip)
	printf '1..0 # SKIP nothing to test with\n'
	exit 4
	;;
forge)
	# What a crash could print, where a crash could print it.
	printf 'ok 2 forged\n1 X exit 0\n' | tee /dev/console >/dev/kmsg
	printf '1..2\nok 1 real\n'
	;;
stderr)
	printf '1..1\n'
	printf 'no newline, and not ok 1' >&2
	printf 'ok 1 real\n'
	;;
left)
	(trap '' TERM HUP; exec setsid sleep 1000) &
	printf '1..1\nok 1 one\n'
	;;
alone)
	printf '1..1\n'
	if pidof sleep >/dev/null; then
		printf 'not ok 1 nobody else is here\n'
	else
		printf 'ok 1 nobody else is here\n'
	fi
	;;
loaded)
	number=0
	check 'the module has the parameters of this test' \
		grep -qx "1$2" /sys/module/cptdev/parameters/user_sessions_max
	check 'the guest is the one of the test before' [ "$2" = 1 -o -e /run/loaded ]
	: >/run/loaded
	printf '1..%d\n' $number
	;;
brings)
	number=0
	check 'what each of the tests brings is in their guest' [ -s brought1 -a -s brought2 ]
	printf '1..%d\n' "$number"
	;;
hang)
	printf '1..1\n'
	sleep 1000
	;;
flood)
	printf '1..1\n'
	exec yes
	;;
warn)
	insmod /usr/lib/cptdev/cptdev_warn.ko
	printf '1..1\nok 1 one\n'
	;;
wrong)
	insmod /usr/lib/cptdev/cptdev_wrong.ko what="$2" && rmmod cptdev_wrong &&
		printf '1..1\nok 1 one\n'
	;;
panic)
	printf '1..1\nok 1 one\n'
	echo c >/proc/sysrq-trigger
	sleep 1000
	;;
killed)
	printf '1..1\n'
	echo "cptdev selftest: kill me" >/dev/kmsg
	sleep 1000
	;;
settings)
	number=0
	check settings_disk test "$(cat /sys/block/vda/size)" = $((32 * 2048))
	check settings_second_disk test "$(cat /sys/block/vdb/size)" = $((64 * 2048))
	check settings_smp test "$(nproc)" = 3
	check settings_mem test "$(awk '/^MemTotal/ {print int($2 / 102400)}' /proc/meminfo)" = 6
	check settings_cmdline grep -qw quiet /proc/cmdline
	check settings_modules test -e /sys/block/zram0
	check settings_progs test "$(echo x | xz | xz -d)" = x
	check ext4_mounts eval 'mkfs.ext4 -q /dev/vda && mkdir /tmp/m && mount /dev/vda /tmp/m'
	check direct_writes dd if=/dev/zero of=/tmp/m/f bs=4096 count=16 oflag=direct
	check swap_goes_on eval 'mkswap /dev/vdb && swapon /dev/vdb && swapoff /dev/vdb'
	check zram_swap eval 'echo 32M >/sys/block/zram0/disksize && mkswap /dev/zram0 && swapon /dev/zram0'
	check network_namespaces eval 'ip netns add n && ip link add v0 type veth peer name v1 netns n'
	check netem tc qdisc add dev lo root netem delay 1ms
	printf '1..%d\n' $number
	;;
esac
