# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Two hosts with a database that survives either of them: sqlite-hotspare over cptdevd. To be
# sourced by the tests here. A client asks it on the host itself.

# shellcheck source=selftests/twohost/hosts.sh
. "$(dirname "${BASH_SOURCE[0]}")/hosts.sh"

built=$cptdev_build/libckdev/hotspare
declare -A program=() number=([a]=1 [b]=2 [c]=3)
# shellcheck disable=SC2034
declare -A other=([a]=b [b]=a)
# Rows that clients were told are safe.
rows=0

# More settings of the hosts, and lines of the daemons' configuration.
host_settings=()
conf_lines=()
# Who promotes: cptdevd, or a person or a cluster.
failover=auto

host_launch() { # name
	local -A kernel=([a]=$KERNEL [b]=$KERNEL_B [c]=$KERNEL)
	local -a files=("$built/sqlite-hotspare:/usr/bin/sqlite-hotspare"
		"$built/libhotspare.so.1:/usr/lib/x86_64-linux-gnu/libhotspare.so.1")
	vm_launch "$1" "${kernel[$1]}" NET="${number[$1]}" SMP=1 MEM=384 FILES="${files[*]}" "${host_settings[@]}"
}

host_ready() {
	vm_ready "$1"
}

# program_start host option...
program_start() {
	local host=$1
	shift
	program[$host]=$(vm_spawn "$host" "exec sqlite-hotspare $* -S db --")
}

# supervise host role: started in that role, and after each end as the spare
supervise() {
	program[$1]=$(vm_spawn "$1" "role=$2
		while :; do sqlite-hotspare -\$role -S db --; role=s; sleep 0.5; done")
}

# program_said host pattern: the one that was started last, or any of its supervisor's
program_said() {
	vm_output "$1" "${program[$1]}" E | grep -qE -- "$2"
}

# How often the programs of a host said that they wait.
waited() {
	vm_output "$1" "${program[$1]}" E | grep -c 'waiting for the promotion' || true
}

waits_since() { # host number
	[ "$(waited "$1")" -gt "$2" ]
}

# ask host line: what the database there answers. One that may not answer keeps the connection open: nc
# itself would wait for ever.
ask() {
	vm_run "$1" "echo '$2' | timeout ${patience:-15} nc 127.0.0.1 7412" $((60 + ${patience:-0})) 2>/dev/null
}

# patiently command...: the answers that it asks for may take long, as they do on a busy machine
patiently() {
	local patience=$limit
	"$@"
}

serves() {
	ask "$1" 'select 1 one' | grep -q '"one":1'
}

says_safe() {
	ask "$1" "$2" | grep -q '"safe":true'
}

safe_again() {
	until_true says_safe "$1" 'delete from t where a < 0'
}

program_signal() { # host signal
	vm_run "$1" "kill -s $2 \$(pidof sqlite-hotspare)" 2>/dev/null || true
}

# program_end host: and its supervisor
program_end() {
	vm_signal "$1" "${program[$1]}" 9
	program_signal "$1" KILL
}

# add host number: so many rows, each of which must be safe
add() {
	local i
	for ((i = 0; i < $2; i++)); do
		patiently says_safe "$1" "insert into t values ($((rows + 1)), $(((rows + 1) * 7919)))" || {
			say_why "row $((rows + 1)) is not safe"
			return 1
		}
		rows=$((rows + 1))
	done
}

# all_there host: the rows that were safe, each once, and no other
all_there() {
	local answer
	answer=$(ask "$1" "select count(*) n, count(distinct a) d, max(a) m, sum(b <> a * 7919) bad from t" | head -n 1)
	say_why "$rows rows were safe; on $1: $answer"
	[ "$answer" = "{\"n\":$rows,\"d\":$rows,\"m\":$rows,\"bad\":0}" ]
}

host_daemon() { # host
	daemon_start "$1" $failover "${conf_lines[@]}"
}

host_begin() { # host role
	host_daemon "$1"
	supervise "$1" "$2"
}

