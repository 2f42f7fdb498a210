# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Two hosts, a daemon on each, a program on a. To be sourced by the tests here.
#
#	a 10.77.0.1                       b 10.77.0.2
#	ledger write kv                   ledger read kv
#	cptdevd  ------------------------ cptdevd
#
# What was in the program's memory is known in two ways that don't lead through cptdev:
# its ledger (a line for each generation, printed before it is published), and the same
# writes done once more on this machine. Waiting for a state has a limit; nothing that
# failed is done again.

# shellcheck source=selftests/qemu/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../qemu/lib.sh"
# shellcheck source=selftests/tap.sh
. "$cptdev_top/selftests/tap.sh"

# Silence that means death. Long, since an emulated host under load may stall; the time
# in which a loaded machine may react to it.
timeout_ms=4000
# Of the links; empty: they are plain.
link_key=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
margin_ms=4000
# The user and group of the daemons, empty: root's; and their capabilities, those of
# daemon/etc/cptdevd.service.in.
daemon_user=
daemon_caps=-all,+checkpoint_restore,+setuid
# Of the memory's content; the run prints it.
SEED=${SEED:-$EPOCHSECONDS}
# Seconds that a state may take to come; for hangs only, since a loaded machine may need a minute.
limit=180

hosts=(a b)
ledger=$cptdev_build/selftests/ledger
# That the program changes in each generation, and ms between two of them: that many more would only
# keep the hosts busy, since a link that was made slow has something to carry all the same.
pages=128
gap=250
app=''
seed=0

say_why() {
	printf '# %s\n' "$*"
}

not() {
	! "$@"
}

begin() {
	local host nr=0
	printf 'TAP version 13\n'
	say_why "SEED=$SEED"
	for host in "${hosts[@]}"; do
		nr=$((nr + 1))
		host_launch "$host" $nr
	done
	for host in "${hosts[@]}"; do
		host_ready "$host"
	done
}

finish() {
	# A replica holds the module. It isn't removed as long as b takes its session for alive.
	until_true vm_run b 'cptdevctl replica remove kv >/dev/null 2>&1'
	t 'both hosts stop in order: a' vm_stop a
	t 'both hosts stop in order: b' vm_stop b
	printf '1..%d\n' "$points"
}

# until_true command...: wait for it, and rest as long as the question took. To ask is work for the
# guests, and theirs is to become what is asked for.
until_true() {
	wait_until rest "$@"
}

# until_seen command...: the same for what passes quickly: asks all the time
until_seen() {
	wait_until nap "$@"
}

wait_until() {
	local pause=$1 end=$((SECONDS + limit)) asked_at
	shift
	while :; do
		asked_at=${EPOCHREALTIME/[.,]/}
		! "$@" || return 0
		[ "$SECONDS" -lt "$end" ] || {
			say_why "not so within $limit s: $*"
			return 1
		}
		"$pause"
	done
}

# rest: as long as it is since $asked_at, up to two seconds
rest() {
	local us=$((${EPOCHREALTIME/[.,]/} - asked_at)) seconds
	[ $us -lt 2000000 ] || us=2000000
	printf -v seconds '%d.%06d' $((us / 1000000)) $((us % 1000000))
	nap_for "$seconds"
	nap
}

# The hosts

# host_launch name number: a's link can be made slow, and the kernels can encrypt (the guests' modprobe
# doesn't find ciphers by what the kernel calls them)
host_launch() {
	local -A kernel=([a]=$KERNEL [b]=$KERNEL_B)
	local modules='sch_netem tls gcm'
	[ "$(kernel_arch "${kernel[$1]}")" != x86_64 ] || modules+=' aesni_intel'
	vm_launch "$1" "${kernel[$1]}" NET="$2" SMP=1 MEM=320 MODULES="$modules"
}

# host_ready name
host_ready() {
	vm_ready "$1"
	# Little is in the sockets: what isn't staged on b is with the daemon of a.
	vm_run "$1" 'echo 4096 16384 131072 >/proc/sys/net/ipv4/tcp_wmem'
}

# peers name: the other hosts, in its configuration
peers() {
	local peer=10.77.0.2 protection=psk_file=/tmp/key
	[ -n "$link_key" ] || protection='insecure=yes anywhere'
	[ "$1" = a ] || peer=10.77.0.1
	printf '%s\n' '[peer]' "address=$peer" "$protection"
}

# daemon_start name [failover [line of the configuration]...]: the number to wait for and
# signal is in daemon_<name>
daemon_start() {
	local name=$1 failover=${2:-manual} number
	shift $(($# < 2 ? $# : 2))
	set -- "$name" "$failover" "$@"
	vm_run "$1" "(umask 077; echo $link_key >/tmp/key)
		printf '%s\n' '[node]' name=$1 '$(peers "$1")' '[failover]' \
		timeout_ms=$timeout_ms failover=$failover on_promote=/tmp/promoted ${*:3} >/tmp/conf
		printf '%s\n' '#!/bin/sh' 'echo \$* >>/tmp/promotions' >/tmp/promoted
		chmod +x /tmp/promoted"
	# With daemon_user as the unit runs it: a user of its own, and no rights but those.
	number=$(vm_spawn "$1" "[ -n '$daemon_user' ] || exec cptdevd -f -c /tmp/conf
		mkdir -p /run/cptdevd /var/lib/cptdev
		: >>/tmp/promotions
		chown -R $daemon_user /tmp/promotions /run/cptdevd /var/lib/cptdev /tmp/key
		[ ! -e /dev/cptdev ] || chown 0:${daemon_user#*:} /dev/cptdev
		exec setpriv --reuid=${daemon_user%:*} --regid=${daemon_user#*:} \
		--clear-groups --no-new-privs --bounding-set=$daemon_caps --inh-caps=$daemon_caps \
		--ambient-caps=$daemon_caps cptdevd -f -c /tmp/conf")
	printf -v "daemon_$1" %s "$number"
}

# daemon_signal name signal
daemon_signal() {
	local number=daemon_$1
	vm_signal "$1" "${!number}" "$2"
}

# daemon_end name signal
daemon_end() {
	local number=daemon_$1
	daemon_signal "$1" "$2"
	vm_wait "$1" "${!number}" $limit >/dev/null 2>&1 || true
}

# daemon_said name pattern: since it was started
daemon_said() {
	local number=daemon_$1
	vm_output "$1" "${!number}" E | grep -qE -- "$2"
}

# A megabyte in a second, so that whatever happens happens while a delta is on its way.
link_slow() {
	vm_run a 'tc qdisc replace dev eth0 root netem rate 8mbit'
}

link_fast() {
	vm_run a 'tc qdisc del dev eth0 root'
}

# status name key: the first value of that key; numbers, words, true, false
status() {
	vm_run "$1" 'cptdevctl status --json' 2>/dev/null |
		sed -n "s/^.*\"$2\": *\"\\{0,1\\}\\([^,\"}]*\\).*/\\1/p" | head -n 1
}

# status_is name key value
status_is() {
	[ "$(status "$1" "$2")" = "$3" ]
}

# replica key: of the first replica on b, as the kernel has it; the daemon isn't needed
replica() {
	vm_run b 'cptdevctl replica list --json' 2>/dev/null |
		sed -n "s/^.*\"$1\": *\"\\{0,1\\}\\([^,\"}]*\\).*/\\1/p" | head -n 1
}

replica_is() {
	[ "$(replica "$1")" = "$2" ]
}

# A delta is on its way, and some of it is there. All memory is 1279 pages: whoever is
# told of less than half has time to act on it.
staging() {
	local staged
	staged=$(replica staged)
	[ "${staged:-0}" -gt 0 ] && [ "$staged" -lt 640 ]
}

# The program

# app_start number option...: another one has another content
app_start() {
	seed=$((SEED + $1))
	shift
	app=$(vm_spawn a "exec ./ledger -g $gap -p $pages $* write kv $seed")
}

app_output() {
	vm_output a "$app" O
}

app_said() {
	app_output | grep -q "^$1"
}

app_kill() {
	vm_signal a "$app" 9
	vm_wait a "$app" $limit >/dev/null || true
}

# The newest generation that the program knows to be on the spare.
acked() {
	app_output | sed -n 's/^acked //p' | tail -n 1 | grep . || echo 0
}

published() {
	app_output | sed -n 's/^gen \([0-9]*\) .*/\1/p' | tail -n 1 | grep . || echo 0
}

acked_since() {
	[ "$(acked)" -gt "$1" ]
}

published_since() {
	[ "$(published)" -gt "$1" ]
}

# Generations that are published and acknowledged after all that there are now.
goes_on() {
	local from
	from=$(published)
	until_true acked_since $((from + 2))
}

# The comparison

ledger_sum() {
	app_output | awk -v g="$1" '$1 == "gen" && $2 == g {print $4}'
}

# read_replica: its generation, sum, term; and all of it in /tmp/replica of b
read_replica() {
	local word what
	what=$(vm_run b './ledger read kv /tmp/replica') || {
		say_why "reading the replica: $what"
		return 1
	}
	read -r word generation word sum word term word promoted <<<"$what"
}

# same_as_generation g: is what was read what the program had then? Byte for byte with
# the writes done anew on b, and by its sum with those done on this machine.
same_as_generation() {
	local again
	again=$("$ledger" -p "$pages" replay "$seed" "$1")
	[ "${again#sum }" = "$sum" ] &&
		vm_run b "./ledger -p $pages replay $seed $1 /tmp/program >/dev/null && cmp /tmp/program /tmp/replica"
}

# The ledger of a program whose host was lost may lack its last lines.
same_as_ledger() {
	local line
	line=$(ledger_sum "$1")
	[ -z "$line" ] && ! vm_alive a && say_why "the ledger of the lost host ends before $1" &&
		return
	[ "$line" = "$sum" ] || {
		say_why "the ledger has '$line' for generation $1, the replica $sum"
		return 1
	}
}

# replica_right: the replica is a generation of the program, byte for byte, and nothing
# that was acknowledged is newer.
replica_right() {
	local before
	before=$(acked)
	read_replica || return
	say_why "seed $seed: replica $generation, acknowledged $before, published $(published)"
	[ "$before" -le "$generation" ] || {
		say_why "an acknowledged generation is lost"
		return 1
	}
	same_as_ledger "$generation" || return
	same_as_generation "$generation"
}
