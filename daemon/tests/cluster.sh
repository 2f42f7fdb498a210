#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2016 # what sed gets
# shellcheck disable=SC2030,SC2031,SC2034 # each point has a shell, and parameters, of its own
#
# ocf:cptdev:program against players of everything else (tests/cluster): each state of a host, each
# refusal, time-outs, no daemon. Then ocf-tester, and mutants of the agent that a point must notice.
# TOP and BIN are set by the Makefile. By hand, with points as arguments: only these.

players=$TOP/daemon/tests/cluster
OCF_ROOT=/usr/lib/ocf
if [ ! -r $OCF_ROOT/lib/heartbeat/ocf-shellfuncs ]; then
	echo '1..0 # SKIP the package resource-agents is not installed'
	exit 0
fi

dir=$(mktemp -d) || exit 1
number=0
export OCF_ROOT WORLD="$dir/world" HA_SBIN_DIR="$dir/sbin" HA_RSCTMP="$dir/tmp" HA_LOGFACILITY=none
export HA_debug=0 HA_LOGFILE="$dir/log" HA_DEBUGLOG="$dir/log" CPTDEV_OCF_LIB="$TOP/daemon/cluster"
export OCF_RESKEY_crm_feature_set=3.16.2 OCF_RESOURCE_INSTANCE=kv:0 OCF_RESOURCE_TYPE=program
export OCF_RESKEY_session=kv OCF_RESKEY_cptdevctl="$players/cptdevctl" OCF_RESKEY_log="$dir/output"
export OCF_RESKEY_primary="$players/program primary" OCF_RESKEY_spare="$players/program spare"
OCF_RESKEY_user=$(id -un)
export OCF_RESKEY_user
agent=$TOP/daemon/cluster/program

mkdir -p "$dir/sbin" "$dir/bin"
for tool in crm_attribute attrd_updater crm_mon; do
	ln -s "$players/crm" "$dir/sbin/$tool"
done
# This host is alpha.
ln -s "$players/crm" "$dir/bin/uname"
PATH=$dir/bin:$PATH

new_world() {
	end_program
	rm -rf "$WORLD" "$HA_RSCTMP"
	mkdir -p "$WORLD" "$HA_RSCTMP"
	echo fresh >"$WORLD/begin"
}

end_program() {
	[ -e "$WORLD/program" ] || return 0
	read -r process _ <"$WORLD/program"
	kill -s KILL -- "-$process" 2>/dev/null
}

cleanup() {
	end_program
	rm -rf "$dir"
}
trap cleanup EXIT

# act ACTION WANTED-STATUS [SECONDS]: true if it is that; $said has what the agent wrote. The time-out
# is short only where it has to be reached.
act() {
	said=$(OCF_RESKEY_CRM_meta_timeout=$((${3:-600} * 1000)) "$agent" "$1" 2>&1)
	status=$?
	[ $status -eq "$2" ] || {
		echo "# $1: status $status, not $2: $said"
		return 1
	}
}

# says TEXT: the last action gave that as the reason
says() {
	case $said in
	*"$1"*) return 0 ;;
	esac
	echo "# no '$1' in: $said"
	return 1
}

fact() {
	echo "$2" >"$WORLD/fact-$1"
}

# has FILE [TEXT]: of the world; without a text: it isn't there, or is empty
has() {
	have=$(cat "$WORLD/$1" 2>/dev/null)
	[ "$have" = "${2:-}" ] || {
		echo "# $1 has '$have', not '${2:-}'"
		return 1
	}
}

replica() { # term generation: one that can be promoted
	fact term "$1"
	fact record_term "$1"
	fact generation "$2"
	fact promotable yes
	echo spare >"$WORLD/begin"
}

# serving: a primary that the agent has started, of term 1
serving() {
	act start 0 && act promote 0 && : >"$WORLD/calls"
}

# cluster QUORUM FENCING ONLINE UNCLEAN: of beta
cluster() {
	cat >"$WORLD/crm_mon" <<-END
	<current_dc present="true" version="2.1.5" name="alpha" id="1" with_quorum="$1"/>
	<cluster_options stonith-enabled="$2" symmetric-cluster="true" no-quorum-policy="stop"/>
	<node name="alpha" id="1" online="true" standby="false" unclean="false"/>
	<node name="beta" id="2" online="$3" standby="false" unclean="$4"/>
	<resource id="kv"><node name="beta" id="2" cached="true"/></resource>
	END
}

#
# Points
#

first_start() { # the spare waits; a promotion begins with empty memory where nobody ever had any
	act monitor 7 && act start 0 && has starts "spare user $(id -u)" && act monitor 0 &&
		has score 10 && act promote 0 && has calls 'property 0 0 alpha
property 1 0 alpha' && act monitor 8 && has score 1000 && has signals 'TERM spare' &&
		has starts "spare user $(id -u)
primary user $(id -u)"
}

takes_over() { # a replica that has everything is promoted with the next term, known before
	replica 3 118
	echo '3 0 beta' >"$WORLD/property"
	act start 0 && has score 100 && act promote 0 && has calls 'property 4 0 alpha 3 0
promote kv --term 4
property 4 0 alpha' && act monitor 8 && has score 1000 && has starts "spare user $(id -u)"
}

lower_term() { # a replica of an earlier term than the cluster knows is not promoted
	replica 2 500
	echo '3 0 beta' >"$WORLD/property"
	act start 0 && has score && act promote 1 && says 'beta had term 3' && has calls && has score
}

lower_generation() { # nor one that lacks what was acknowledged without it
	replica 3 118
	echo '3 118 beta' >"$WORLD/property"
	act start 0 && has score && act promote 1 && says 'more than generation 118' && has calls || return 1
	# Since it followed again it has more.
	replica 3 119
	act monitor 0 && has score 100 && act promote 0
}

no_empty_program() { # empty memory doesn't take the place of what the cluster knows
	echo '3 0 beta' >"$WORLD/property"
	act start 0 && has score && act promote 1 && says 'the cluster knows of a primary on beta' &&
		has calls && has starts "spare user $(id -u)"
}

begin_again() { # a host that was interrupted when it was about to begin may try again, no other one
	echo '0 0 alpha' >"$WORLD/property"
	act start 0 && has score 10 && act promote 0 && has property '1 0 alpha' && act stop 0 || return 1
	new_world
	echo '0 0 beta' >"$WORLD/property"
	act start 0 && has score && act promote 1
}

daemon_refuses_empty() { # nor of what cptdevd knows
	echo spare >"$WORLD/begin"
	act start 0 && has score && act promote 1 && says "doesn't begin with empty memory" && has calls
}

split_brain() { # what cptdevd can't promote isn't tried
	replica 3 118
	fact promotable no
	fact record split-brain
	fact why 'split brain: both hosts went on'
	echo '3 0 beta' >"$WORLD/property"
	act start 0 && has score && act promote 1 && says 'both hosts went on' && has calls
}

asked_again() { # a primary that just ends is waited for, without --force
	replica 3 118
	printf 'primary-alive it feeds\nno-answer it runs\n' >"$WORLD/refusals"
	act start 0 && act promote 0 && has calls 'property 4 0 alpha 0 0
promote kv --term 4
promote kv --term 4
promote kv --term 4
property 4 0 alpha'
}

alive_too_long() { # but not forever
	replica 3 118
	yes 'primary-alive beta is linked and feeds' | head -n 100 >"$WORLD/refusals"
	act start 0 && act promote 1 3 && says 'beta is linked and feeds' && act monitor 0
}

refused() { # a refusal ends it at once; the next attempt isn't kept from going on by this one
	replica 3 118
	echo '3 7 beta' >"$WORLD/property"
	echo 'failed the replica is outdated' >"$WORLD/refusals"
	act start 0 && act promote 1 && says 'the replica is outdated' && has score &&
		has property '4 0 alpha 3 7' && act monitor 0 && has score 100 && act promote 0 &&
		has property '4 0 alpha'
}

interrupted_elsewhere() { # a promotion of another host that nobody saw the end of may have happened
	replica 3 118
	echo '4 0 beta 3 0' >"$WORLD/property"
	act start 0 && has score && act promote 1 && has calls
}

newer_elsewhere() { # of two replicas the newer one is promoted
	replica 3 118
	act start 0 || return 1
	echo 'beta 3 119' >"$WORLD/attributes"
	export OCF_RESKEY_CRM_meta_notify_type=pre OCF_RESKEY_CRM_meta_notify_operation=promote
	act notify 0 && has attributes 'beta 3 119
alpha 3 118' && act promote 1 && says 'beta (term 3, generation 119)' && has calls &&
		has score 10 || return 1
	echo 'beta 2 900' >"$WORLD/attributes"
	act promote 0
}

no_cib() { # if the cluster can't be asked, nothing is promoted
	replica 3 118
	act start 0 && : >"$WORLD/no-cib" && act promote 1 && says "can't be read" && has calls
}

no_program() { # without a program that waits nothing is promoted
	replica 3 118
	act promote 7 && has calls || return 1
	: >"$WORLD/broken"
	act start 1 && says 'the program has ended' && act monitor 7
}

stands_still() { # a primary without a spare goes on only if the cluster has its host out
	serving || return 1
	fact state no-spare
	fact term 1
	fact generation 55
	for case in 'true true true false' 'true true false true' 'false true false false' \
		'true false false false'; do
		# shellcheck disable=SC2086 # four words
		cluster $case
		act monitor 8 && has calls || return 1
	done
	rm "$WORLD/crm_mon"
	act monitor 8 && has calls || return 1
	cluster true true false false
	# The cluster knows it before.
	act monitor 8 && has calls 'property 1 55 alpha
alone kv' && act monitor 8 && has calls 'property 1 55 alpha
alone kv'
}

left_in_order() { # or if that left in order; a node that stopped is told of at once
	serving || return 1
	fact state no-spare
	fact generation 55
	fact detector left
	export OCF_RESKEY_CRM_meta_notify_type=post OCF_RESKEY_CRM_meta_notify_operation=stop
	act notify 0 && has calls 'property 1 55 alpha
alone kv'
}

alone_by_hand() { # what a person said is known to the cluster as well
	serving || return 1
	fact state alone
	fact generation 60
	act monitor 8 && has calls 'property 1 60 alpha' && act monitor 8 &&
		has calls 'property 1 60 alpha' || return 1
	fact state protected
	act monitor 8 && fact state alone && fact generation 90 && act monitor 8 &&
		has property '1 90 alpha'
}

promoted_by_hand() { # so is a promotion
	serving && fact term 5 && act monitor 8 && has calls 'property 5 0 alpha'
}

no_daemon() { # a daemon that restarts is waited for; one that is gone is a failure
	serving || return 1
	echo 3 >"$WORLD/down"
	act monitor 8 || return 1
	: >"$WORLD/down"
	act monitor 9 3 && says "can't be asked" || return 1
	# The old program is gone all the same.
	act demote 1 3 && act monitor 7 && act start 1 3 && says "can't be asked"
}

fenced() { # a program that was overtaken, or hangs, has failed; one that is blocked is left alone
	serving && fact fenced yes && act monitor 9 && has score || return 1
	rm "$WORLD/fact-fenced"
	fact hung yes
	act monitor 9 && says 'no sign of life' || return 1
	fact hung no
	fact state blocked
	act monitor 8
}

demotes() { # a primary is killed, without a chance to end in order, and becomes the spare
	serving || return 1
	: >"$WORLD/signals"
	fact promotable no
	act demote 0 && has signals && act monitor 0 && has score && act demote 0
}

stops() { # a spare may end in order; nothing of it is left
	replica 3 118
	act start 0 && act stop 0 && has signals 'TERM spare' && has score && act monitor 7 &&
		act stop 0
}

other_process() { # a number that was used again isn't the program
	sleep 1000 &
	echo "$! 12345 spare" >"$HA_RSCTMP/cptdev-kv.pid"
	# A mutant would wait for a role of that process.
	act monitor 7 5 && act stop 0 5 && kill $!
}

not_ours() { # a program that somebody else started isn't joined by another
	setsid "$players/program" primary &
	until [ -e "$WORLD/program" ]; do sleep 0.1; done
	act start 1 && says "didn't start"
}

validates() { # what can't work is refused: the cluster decides, or cptdevd, not both
	act validate-all 0 || return 1
	for case in 'failover auto' 'alone go-on' 'on_restart take-back' 'node gamma'; do
		fact "${case% *}" "${case#* }"
		act validate-all 2 && says 'set ' && act start 2 && has starts || return 1
		rm "$WORLD/fact-${case% *}"
	done
	: >"$WORLD/down"
	act validate-all 1 3 || return 1
	rm "$WORLD/down"
	(OCF_RESKEY_session='k v' && act validate-all 6) && (OCF_RESKEY_session='' && act validate-all 6) &&
		(OCF_RESKEY_spare='' && act validate-all 6) &&
		(OCF_RESKEY_user=no-such-user && act validate-all 5) &&
		(export OCF_RESKEY_directory=/nonexistent && act validate-all 5) &&
		(OCF_RESKEY_primary=/nonexistent/x && act validate-all 5) &&
		(export OCF_RESKEY_CRM_meta_clone_max=2 && act validate-all 6 && says notify=true) &&
		(export OCF_RESKEY_CRM_meta_promoted_max=2 && act validate-all 6)
}

unknown_action() { # an action that isn't there is said to be so
	act dance 3 && says usage
}

ocf_tester() { # ocf-tester has no complaint
	command -v ocf-tester >/dev/null || { echo '# there is no ocf-tester'; return 1; }
	# A replica that can be promoted as often as it likes; and nobody may call the agent.
	replica 1 5
	chmod 755 "$dir"
	mkdir "$dir/agent"
	cp "$TOP/daemon/cluster/"* "$dir/agent/"
	export CPTDEV_OCF_LIB="$dir/agent"
	agent=$dir/agent/program
	ocf-tester -n kv -o CRM_meta_timeout=600000 -o session=kv -o cptdevctl="$OCF_RESKEY_cptdevctl" -o log="$dir/output" \
		-o primary="$OCF_RESKEY_primary" -o spare="$OCF_RESKEY_spare" "$agent" >"$dir/tester" 2>&1 &&
		return
	sed 's/^/# /' "$dir/tester"
	return 1
}

# t FUNCTION NAME: in a world of its own, and a shell of its own
t() {
	number=$((number + 1))
	new_world
	if ("$1"); then
		echo "ok $number $1: $2"
	else
		echo "not ok $number $1: $2"
	fi
}

# mutant FUNCTION FILE SED-COMMAND: without a safeguard, that point fails
mutant() {
	number=$((number + 1))
	new_world
	rm -rf "$dir/mutant"
	mkdir "$dir/mutant"
	cp "$TOP/daemon/cluster/"* "$dir/mutant/"
	sed -i "$3" "$dir/mutant/$2"
	if cmp -s "$dir/mutant/$2" "$TOP/daemon/cluster/$2"; then
		echo "not ok $number mutant of $1: '$3' changes nothing"
	elif (agent=$dir/mutant/program CPTDEV_OCF_LIB=$dir/mutant && export CPTDEV_OCF_LIB && "$1") >/dev/null; then
		echo "not ok $number mutant of $1: '$3' isn't noticed"
	else
		echo "ok $number mutant of $1 is noticed"
	fi
}

sed -n 's/^\([a-z_]*\)() { # \(.*\)/\1 \2/p' "$TOP/daemon/tests/cluster.sh" |
	sed '/ one that can be promoted$/d' >"$dir/points"
while read -r point text; do
	case $point in
	has | act | replica) continue ;;
	esac
	[ $# -eq 0 ] || case " $* " in
	*" $point "*) ;;
	*) continue ;;
	esac
	t "$point" "$text" </dev/null
done <"$dir/points"

[ $# -eq 0 ] || exit 0
mutant lower_term program.sh '/^is_current()/a return 0'
mutant lower_generation program.sh 's/"\$2" -gt "\$c_generation"/"$2" -ge "$c_generation"/'
mutant no_empty_program program 's/if begun; then/if false; then/'
mutant interrupted_elsewhere program.sh 's/\[ "\$c_node" = "\$r_node" \] &&//'
mutant newer_elsewhere program 's/if better_elsewhere; then/if false; then/'
mutant takes_over program 's/cluster_write "\$promote_term"/true "$promote_term"/'
mutant stands_still program.sh '/^node_is_out()/a return 0'
mutant stands_still program.sh '/with_quorum/d'
mutant stands_still program.sh '/stonith-enabled/d'
mutant stands_still program.sh "s/unclean=\"false\"/online/"
mutant demotes program.sh 's/program_end KILL/program_end TERM/'
mutant validates program 's/"\$r_failover" != manual/x = y/'
mutant validates program 's/"\$r_alone" != block/x = y/'
mutant other_process program.sh 's/ \&\& \[ "\$start_ticks" = "\$started" \]//'

echo "1..$number"
