# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Hosts in network namespaces, for test scripts; to be sourced with the tools that are needed as
# arguments. $built is the script's. It goes on in namespaces of its own; where that can't be, it
# prints why and ends.
#
#	      +--- switch ---+--------------+
#	      |              |              |
#	  10.9.0.1       10.9.0.2       10.9.0.3
#	   fd09::1        fd09::2        fd09::3
#	  namespace a    namespace b    namespace c
#
# A host knows where an address is for an hour: it asks the network only when it has heard that
# the address has moved.

skip() {
	echo "1..0 # SKIP $*"
	exit 4
}

# Nothing of ours is seen outside, and all of it ends with us.
if [ -z "${HOSTS_INSIDE:-}" ]; then
	alone=(unshare --net --mount --pid --fork --kill-child --mount-proc)
	[ "$(id -u)" = 0 ] || alone+=(--map-root-user)
	for tool in "$@" setarch; do
		command -v "$tool" >/dev/null || skip "there is no $tool"
	done
	"${alone[@]}" sh -c 'mount -t tmpfs none /run && ip netns add a && ip netns exec a true' \
		>/dev/null 2>&1 || skip "namespaces aren't permitted here"
	setarch -R true 2>/dev/null || skip "address randomisation can't be switched off here"
	HOSTS_INSIDE=1 exec "${alone[@]}" "$0" "$built"
fi

program=$built/hosts_program
mount -t tmpfs none /run
# For the links: without one a program has no spare on another host.
key=/run/key
(umask 077 && head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >$key)
work=/run/test
mkdir $work
cd $work || exit
# The files of the programs' own cptdevd go with it.
export TMPDIR=$work

in_host() { # NAME COMMAND...
	local host=$1

	shift
	ip netns exec "$host" "$@"
}

make_host() { # NAME NUMBER
	ip netns add "$1"
	ip link add "to-$1" type veth peer name eth0 netns "$1"
	ip link set "to-$1" master switch up
	ip -n "$1" link set lo up
	ip -n "$1" addr add "10.9.0.$2/24" dev eth0
	ip -n "$1" addr add "fd09::$2/64" dev eth0 nodad
	ip -n "$1" link set eth0 up
	# shellcheck disable=SC2016
	in_host "$1" sh -c 'for ip in ipv4 ipv6; do
		echo 7200000 >/proc/sys/net/$ip/neigh/eth0/base_reachable_time_ms; done'
}

until_true() { # COMMAND...
	for _ in $(seq 600); do
		"$@" >until && return
		sleep 0.05
	done
	fail "not within 30 s: $*"
}

says() { # PATTERN FILE
	grep -q -- "$1" "$2" 2>/dev/null
}

can_talk() { # both protocols, between hosts
	in_host c bash -c "echo >/dev/udp/$1/9" 2>/dev/null &&
		ip -n c neigh show "$1" | grep -q lladdr
}

fresh_hosts() {
	local host

	ip link add name switch type bridge
	ip link set switch up
	make_host a 1
	make_host b 2
	make_host c 3
	for host in 10.9.0.1 10.9.0.2 fd09::1 fd09::2; do
		until_true can_talk $host || return
	done
}

end_hosts() {
	local pid host

	for host in a b c; do
		for pid in $(ip netns pids $host); do
			kill -KILL "$pid" 2>/dev/null
		done
		until_true no_processes $host
		# Without it the other end would go later.
		ip link del to-$host
		ip netns del $host
	done
	ip link del switch
	rm -rf ./*
}

no_processes() {
	[ -z "$(ip netns pids "$1")" ]
}

# In the background; what it says is in a file.
launch() { # NAME HOST COMMAND...
	local name=$1 host=$2

	shift 2
	HOST=$host in_host "$host" "$@" >>"$name" 2>>"$name.err" </dev/null &
}

# With the children that write its checkpoints.
pids_of_program() { # HOST
	ip netns pids "$1" | while read -r pid; do
		[ "$(readlink "/proc/$pid/exe")" != "$program" ] || echo "$pid"
	done
}

kill_program() { # HOST
	local all

	all=$(pids_of_program "$1")
	[ -n "$all" ] || fail "nothing runs in $1" || return
	# shellcheck disable=SC2086
	kill -KILL $all 2>/dev/null
	until_true no_program "$1"
}

no_program() {
	[ -z "$(pids_of_program "$1")" ]
}

mac_of() { # HOST
	ip -o -n "$1" link show dev eth0 | sed 's/.*link.ether \([^ ]*\).*/\1/'
}

# Where client c sends what is for ADDRESS.
points_to() { # ADDRESS HOST
	ip -n c neigh show "$1" | grep -q "lladdr $(mac_of "$2")"
}

is_listening() {
	[ -n "$(in_host "$1" ss -Hltn "sport = :7411")" ]
}

# A host is lost: nothing comes from it any more.
pull_the_plug() {
	ip link set to-a down && kill_program a
}

# The last answer of A counts on in those of B: all that was told is there. The client on c writes to "client".
counts_on() {
	local last next

	last=$(sed -n 's/^a \([0-9]*\)$/\1/p' client | tail -n 1)
	launch after c "$program" ask 10.9.0.2
	until_true says "^b [0-9]*" after || return
	next=$(sed -n 's/^b \([0-9]*\).*/\1/p' after | head -n 1)
	[ "$next" -gt "$last" ] || fail "b says $next, a had said $last"
}

# The host's cptdevd, without the module. LINE: more of [sessions], or further sections.
host_daemon() { # HOST PEER [LINE]...
	local host=$1

	cat >"conf-$1" <<-END
		[node]
		name = host-$1
		log_level = info
		engine = soft
		control = $work/$1.control
		programs = $work/$1.programs
		state_dir = $work/$1.state
		[listen]
		address = ::
		port = 7411
		[peer]
		address = $2
		port = 7411
		psk_file = $key
		[failover]
		failover = auto
		heartbeat_interval_ms = 200
		timeout_ms = 2000
		[sessions]
		alone = go-on
	END
	shift 2
	printf '%s\n' "$@" >>"conf-$host"
	launch "daemon-$host" "$host" "$built/../../daemon/cptdevd" --foreground --config "conf-$host"
	until_true says "engine soft" "daemon-$host.err"
}
