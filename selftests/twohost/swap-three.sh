#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Swap torture with three hosts, each of which has the two others as its peers, under TLS with
# certificates. The policy of acknowledgement changes from swap to swap, and replicas are compared all
# the time. There are two spares, so cptdevd promotes nothing by itself: this script is the cluster
# manager, and where that must not decide, the person.
#
#	a ----- b	each two of them have a cable of their own
#	 \     /
#	  \   /
#	    c
#
# What is expected: the failure of one host loses nothing, whatever the policy is. With "all" and "2" two
# hosts that fail lose nothing either, and nobody needs --force. With "any" the second host that fails
# before all had the same again may have the last copy of what was acknowledged since. Then cptdevd must
# not promote what is left without --force, and only rows since then may be lost.
#
# MUTANT=older: the person takes the spare with the older generation, in all swaps.

# shellcheck source=selftests/twohost/database.sh
. "$(dirname "$0")/database.sh"
# shellcheck source=selftests/twohost/swapping.sh
. "$(dirname "$0")/swapping.sh"

# shellcheck disable=SC2034 # database.sh and swapping.sh use these
{
	hosts=(a b c)
	host_settings=(MESH=1)
	failover=manual
	# Three such hosts are more work for this machine.
	timeout_ms=8000
	SWAPS=${SWAPS:-$([ "${CPTDEV_TIER:-}" != all ] && echo 10 || echo 100)}
	swaps=(host cut program move lag spare_and_host two_hosts)
	seconds=(none program host spare daemon daemon_new short_cut long_cut stop cable policy move)
}
mutant=${MUTANT:-}

# The policy in all files, and the policies that a command has set.
policies=(all any 2)
policy=all
declare -A commanded=()

# Since all hosts had the same: the last row then, which hosts have failed, and whether a host may have
# had the policy "any".
mark=0
declare -A failed=()
weak=''

# Hosts that are cut off; and those on which replicas are compared all the time, with the command's number.
declare -A cut=() comparing=()

# The hosts

make_keys() {
	local host peer key
	for host in "${hosts[@]}"; do
		"$ctl" pki init "$host" "$work/pki-$host" >/dev/null
	done
	for host in "${hosts[@]}"; do
		key=$("$ctl" --json pki show "$work/pki-$host" | jq -r .key)
		for peer in "${hosts[@]}"; do
			[ "$peer" = "$host" ] || "$ctl" pki add-peer "$host" "$key" "$work/pki-$peer" >/dev/null
		done
	done
}

peers() { # host
	local host first=yes
	for host in "${hosts[@]}"; do
		[ "$host" != "$1" ] || continue
		if [ $first = yes ]; then
			printf '%s\n' '[peer]' "name=$host" pki_dir=/tmp/pki
		else
			printf '%s\n' "[peer $host]"
		fi
		printf '%s\n' "address=10.77.0.$(vm_setting "$host" NET)"
		first=no
	done
}

host_ready() {
	local file
	vm_ready "$1" && vm_run "$1" 'mkdir -m 700 /tmp/pki' || return
	for file in cert.pem key.pem peers; do
		vm_put "$1" "$work/pki-$1/$file" "/tmp/pki/$file" 600
	done
}

third() { # host host
	local host
	for host in "${hosts[@]}"; do
		[ "$host" = "$1" ] || [ "$host" = "$2" ] || echo "$host"
	done
}

# two_others host: to $one and $two, in any order
two_others() {
	local host others=()
	for host in "${hosts[@]}"; do
		[ "$host" = "$1" ] || others+=("$host")
	done
	below 2
	one=${others[$chosen]} two=${others[1 - chosen]}
}

fails() { # why: whatever goes on
	say_why "$what: $*"
	touch "$work/failed"
}

lose() { # host: its power
	watched "$1"
	vm_kill "$1"
	failed[$1]=1
	unset "commanded[$1]"
}

cut_off() { # host
	vm_net "$1" drop
	cut[$1]=1
}

link_again() { # host
	vm_net "$1" pass
	unset "cut[$1]"
}

end_program() { # host
	program_signal "$1" KILL
	failed[$1]=1
}

# Comparisons. A guest's output is gone when it is started anew.

watch() { # host
	[ -z "${comparing[$1]:-}" ] || return 0
	comparing[$1]=$(vm_spawn "$1" 'while :; do cptdevctl --timeout 60 verify db; sleep 0.5; done 2>&1')
}

watched() { # host
	[ -n "${comparing[$1]:-}" ] || return 0
	vm_output "$1" "${comparing[$1]}" O >"$work/compared.$1"
	vm_signal "$1" "${comparing[$1]}" 9
	unset "comparing[$1]"
	! grep -E 'differs|repaired|copying' "$work/compared.$1" || {
		fails "replicas of $1 differ"
	}
}

# The cluster manager. It asks each host that has power what it is: ${is[HOST.role]} and so on.

declare -A is=()
# What a replica has to be beyond: it is written down before a promotion.
known_term=0
undecided=0 before=''

look_around() {
	local host key value facts
	for host in "${hosts[@]}"; do
		is[$host.role]=off
		vm_alive "$host" || continue
		facts=$(vm_run "$host" 'cptdevctl role db' 15 2>/dev/null) || return 1
		while IFS='=' read -r key value; do
			case $key in
			role | term | record | record_term | generation | replica | promotable | primary | why)
				is[$host.$key]=$value ;;
			esac
		done <<<"$facts"
	done
}

# The hosts on which a program waits for a replica, the oldest replica first: for a person.
waiting() {
	local host
	for host in "${hosts[@]}"; do
		! waits "$host" || [ "${is[$host.replica]}" != committed ] ||
			echo "${is[$host.term]} ${is[$host.generation]} $host"
	done | sort -k 1,1n -k 2,2n
}

waits() { # host
	[ "${is[$1.role]}" = spare ] && [ -z "${cut[$1]:-}" ]
}

# Somebody is the primary, or is about to be. A host that is cut off is neither.
has_primary() {
	local host
	for host in "${hosts[@]}"; do
		[ -z "${cut[$host]:-}" ] || continue
		[ "${is[$host.role]}" != primary ] || {
			[ "${is[$host.term]}" -le "$known_term" ] || known_term=${is[$host.term]}
			return 0
		}
		[ "${is[$host.role]} ${is[$host.replica]:-} ${is[$host.record]:-}" != 'spare promoted ok' ] || return 0
	done
	return 1
}

# Before anything is promoted, whoever may serve where nobody sees it.
fence() {
	local host
	for host in "${!cut[@]}"; do
		[ "${is[$host.role]}" = spare ] || [ "${is[$host.role]}" = off ] || {
			say_why "$what: $host is fenced"
			lose "$host"
			is[$host.role]=off
		}
	done
}

# promote host [--force]: with a term above all that are known
promote() {
	local host next=$known_term answer
	for host in "${hosts[@]}"; do
		[ "${is[$host.role]}" != off ] || continue
		[ "${is[$host.term]}" -le "$next" ] || next=${is[$host.term]}
		[ "${is[$host.record_term]}" -le "$next" ] || next=${is[$host.record_term]}
	done
	known_term=$((next + 1))
	answer=$(vm_run "$1" "cptdevctl promote db --term $known_term ${2:-} 2>&1") || {
		# A primary that was lost a moment ago counts as alive yet.
		grep -q 'feeds this replica' <<<"$answer" || say_why "$what: $1: $(paste -sd ';' <<<"$answer")"
		known_term=$next
		return 1
	}
	undecided=0
	say_why "$what: promoted $*, generation ${is[$1.generation]}, term $known_term"
}

# Any that cptdevd would promote has everything; but one of an older term missed a promotion.
cluster_decides() {
	local host fit=()
	for host in "${hosts[@]}"; do
		! waits "$host" || [ "${is[$host.promotable]}" != yes ] || [ "${is[$host.term]}" -lt "$known_term" ] ||
			fit+=("$host")
	done
	[ "${#fit[@]}" -gt 0 ] || return 1
	below ${#fit[@]}
	promote "${fit[$chosen]}" || true
}

# All that is left is there, nobody feeds it, and it doesn't change any more.
settled() {
	local host now='' word
	for host in "${hosts[@]}"; do
		case ${is[$host.role]} in
		off) ;;
		spare) [ "${is[$host.primary]}" != alive ] || return 1 ;;
		*) return 1 ;;
		esac
		now+="$host ${is[$host.role]} ${is[$host.term]:-} ${is[$host.generation]:-};"
	done
	[ "$now" = "$before" ] || undecided=0
	before=$now
	undecided=$((undecided + 1))
	[ $undecided -gt 3 ] && read -r word < <(waiting)
}

person_decides() {
	local host word
	settled || return 0
	read -r word word host < <(if [ "$mutant" = older ]; then waiting | head -n 1; else waiting | tail -n 1; fi)
	say_why "$what: a person compares: $(waiting | paste -sd ';'); $host: ${is[$host.why]}"
	[ -n "$weak" ] || {
		fails 'no host had the policy any, and yet nothing is promotable without force'
		return
	}
	promote "$host" --force && until_true serves "$host" || return 0
	[ ${#failed[@]} -lt 2 ] || accept_loss "$host"
}

# accept_loss host: rows that aren't there, since all hosts had the same
accept_loss() {
	ask "$1" 'select a from t' >"$work/there"
	grep -q '"ok":true' "$work/there" || {
		fails "$1 doesn't tell what is left"
		return
	}
	awk -v mark="$mark" '
		NR == FNR { if (match($0, /"a":[0-9]+/)) there[substr($0, RSTART + 4, RLENGTH - 4)] = 1; next }
		$2 == "safe" && $1 > mark && !($1 in there) { $2 = "gone" }
		{ print }' "$work/there" "$ledger_file" >"$work/ledger.new"
	mv "$work/ledger.new" "$ledger_file"
	say_why "$what: the person accepts that rows after $mark are lost, so far $(grep -c gone "$ledger_file" || true)"
}

decide() {
	look_around || return 0
	has_primary && return 0
	fence
	cluster_decides || person_decides
}

# Before a swap all hosts have the same, under a policy.

# of_session host filter: what jq finds in the status of the host's session that isn't fenced
of_session() {
	vm_run "$1" 'cptdevctl --json status' 2>/dev/null |
		jq -r ".daemon.sessions[] | select(.name == \"db\" and .state != \"fenced\") | $2" 2>/dev/null || true
}

# whole host: both others follow, count, have everything, and programs wait there
whole() {
	local host spares=0
	decide
	[ "$(of_session "$1" '.ack | .in_force and (.spares | length == 2) and
		all(.spares[]; .member and .state == "in-step" and .lag_generations == 0)')" = true ] || return 1
	for host in "${hosts[@]}"; do
		[ "${is[$host.role]}" != spare ] || spares=$((spares + 1))
	done
	[ $spares = 2 ]
}

# has_policy host policy: it is in force there
has_policy() {
	[ "$(of_session "$1" ".ack | .in_force and .policy == \"$2\"")" = true ]
}

command_policy() { # host policy
	vm_run "$1" "cptdevctl ack db $2 >/dev/null" || return
	commanded[$1]=$2
	[ "$2" != any ] || weak=yes
}

# By all files, or by a command on the host of the primary alone.
choose_policy() { # host
	local host wanted
	below ${#policies[@]}
	wanted=${policies[$chosen]}
	what+=", ack $wanted"
	below 3
	if [ "$chosen" = 0 ]; then
		what+=' by command'
		command_policy "$1" "$wanted"
	else
		policy=$wanted
		for host in "${hosts[@]}"; do
			vm_run "$host" "sed -i 's/^ack=.*/ack=$policy/' /tmp/conf && kill -HUP \$(pidof cptdevd)" || return
		done
		vm_run "$1" 'cptdevctl ack db default >/dev/null' || return
		unset "commanded[$1]"
	fi
	until_true has_policy "$1" "$wanted"
}

host_daemon() { # host
	daemon_start "$1" manual '[sessions]' ack="$policy"
}

prepare() { # host
	until_true whole "$1" || return
	weak=''
	choose_policy "$1" || return
	until_true whole "$1" || return
	mark=$rows
	failed=()
	[[ " $policy ${commanded[*]} " != *' any '* ]] || weak=yes
	watch "$1"
}

# Rows that are on their way when something happens.
write_meanwhile() { # host
	local n=$((rows + 1))
	rows=$((rows + 3))
	for ((; n <= rows; n++)); do
		{
			word=maybe
			! says_safe "$1" "insert into t values ($n, $((n * 7919)))" || word=safe
			printf '%s %s\n' $n $word >>"$ledger_file"
		} &
	done
	below 150
	nap_for "0.$(printf %03d "$chosen")"
}

# The swaps

swap_host() {
	write_meanwhile "$1"
	lose "$1"
	wait
}

swap_cut() {
	cut_off "$1"
	! write_row "$1" || fails "row $rows is safe on a host that is cut off"
	all_right || touch "$work/failed"
}

swap_program() {
	write_meanwhile "$1"
	end_program "$1"
	wait
}

swap_move() {
	local one two
	two_others "$1"
	until_true vm_run "$1" "cptdevctl --timeout 60 switchover db $one >/dev/null 2>&1" 90
}

# The primary is lost when one spare lacks rows.
lose_ahead_of() { # primary spare
	cut_off "$2"
	write_row "$1" || true
	write_row "$1" || true
	lose "$1"
}

swap_lag() {
	local one two
	two_others "$1"
	lose_ahead_of "$1" "$one"
	link_again "$one"
}

swap_spare_and_host() {
	local one two
	two_others "$1"
	lose "$one"
	write_row "$1" || true
	lose "$1"
}

# Both hosts that have all acknowledged rows are lost.
swap_two_hosts() {
	local one two
	two_others "$1"
	lose_ahead_of "$1" "$one"
	lose "$two"
	link_again "$one"
}

mend() {
	local host began=()
	for host in "${!cut[@]}"; do
		link_again "$host"
	done
	for host in "${hosts[@]}"; do
		vm_alive "$host" || {
			host_launch "$host"
			began+=("$host")
		}
	done
	for host in "${began[@]}"; do
		host_ready "$host"
		host_begin "$host" s
	done
}

# The second failure: $1 had the database, $2 has it now.

# As long as nobody follows a primary that took over, its host has the only copy that counts.
followed() { # host
	[[ $(of_session "$1" '.ack.spares[].state') == *in-step* ]]
}

second_program() {
	until_true followed "$2" && end_program "$2"
}

second_host() {
	until_true followed "$2" && lose "$2"
	until_true gone_on "$2" || return 0
	all_right || touch "$work/failed"
	mend
}

second_spare() {
	lose "$(third "$1" "$2")"
	write_row "$2" || true
	mend
}

# The cable between the primary and a spare; the other spare sees both.
second_cable() {
	local spare
	spare=$(third "$1" "$2")
	vm_net "$2" drop "$spare"
	write_row "$2" || true
	sleep $(((timeout_ms + margin_ms) / 1000 + 1))
	write_row "$2" || true
	[ "$(of_session "$2" "[.ack.spares[] | select(.name == \"$spare\" and .state != \"not-linked\")] | length")" = 0 ] ||
		fails "$2 hears $spare, although their cable is cut"
	vm_net "$2" pass "$spare"
}

# The policy changes while a spare can't be told.
second_policy() {
	local spare
	spare=$(third "$1" "$2")
	cut_off "$spare"
	below ${#policies[@]}
	command_policy "$2" "${policies[$chosen]}" || true
	what+=" (${policies[$chosen]})"
	write_row "$2" || true
	link_again "$spare"
}

# Back, if that host is ready for it.
second_move() {
	vm_run "$2" "cptdevctl --timeout 60 switchover db $1 >/dev/null 2>&1" 90 || true
}

# Nothing differed on the way.
finish_swap() {
	local host
	for host in "${hosts[@]}"; do
		watched "$host"
	done
	[ ! -e "$work/failed" ]
}

# A person who takes the wrong spare loses rows, and the ledger shows it.

wrong() { # host: it answers, and wrong
	local ret=0
	look "$1" || ret=$?
	[ $ret -eq 1 ]
}

take_the_wrong_one() {
	until_true whole "$at" && command_policy "$at" any && until_true has_policy "$at" any &&
		until_true whole "$at" || return
	mark=$rows failed=()
	swap_lag "$at"
	until_true gone_on "$at"
}

last_controls() {
	local mutant=older to=''
	what=control
	t 'control: a person takes the spare with the older generation' take_the_wrong_one
	t 'control: the rows that are lost are noticed' patiently wrong "$to"
	mend
}

ctl=$cptdev_build/daemon/cptdevctl
mkdir -p "$work"
make_keys
main
