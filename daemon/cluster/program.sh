# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# Parts of ocf:cptdev:program: time, cptdevctl, the process, the memory of the cluster. To be sourced by
# it, behind ocf-shellfuncs. The actions are in program.

#
# Time: what is waited for ends before the cluster's own time-out, so that the reason is told.
#

# The facts of "cptdevctl role".
r_node='' r_peer='' r_role=unknown r_state='' r_hung='' r_term=0 r_generation=0 r_record='' r_record_term=0
r_promotable='' r_detector='' r_failover='' r_alone='' r_on_restart='' r_why=''

began=$(date +%s)
budget=$((${OCF_RESKEY_CRM_meta_timeout:-20000} * 8 / 10000))

# wait_for seconds command...: until it is true. False after so many seconds of this action.
wait_for() {
	wait_limit=$1
	shift
	[ "$wait_limit" -lt "$budget" ] || wait_limit=$budget
	until "$@"; do
		[ $(($(date +%s) - began)) -lt "$wait_limit" ] || return 1
		sleep 0.2
	done
}

# refuse text: the reason is shown by crm_mon
refuse() {
	ocf_exit_reason "$*"
}

#
# cptdevctl
#

ctl() {
	"$OCF_RESKEY_cptdevctl" --timeout 10 ${OCF_RESKEY_socket:+--socket "$OCF_RESKEY_socket"} "$@"
}

# role_read: what this host is for the session, to variables r_KEY. False if cptdevd or the module
# can't be asked: $role_error says why.
role_read() {
	role_error=''
	role_lines=$(ctl role "$session" 2>&1) || {
		role_error=$role_lines
		r_role=unknown
		return 1
	}
	# shellcheck disable=SC2034 # eval uses it
	while IFS='=' read -r role_key role_value; do
		case $role_key in
		node | peer | role | state | hung | term | generation | record | record_term | \
			promotable | detector | failover | alone | on_restart | why)
			eval "r_$role_key=\$role_value" ;;
		esac
	done <<-END
		$role_lines
	END
}

# role_is role...: now
role_is() {
	role_read || return 1
	for role_wanted; do
		[ "$r_role" != "$role_wanted" ] || return 0
	done
	return 1
}

#
# The program. It leads a process group, so that nothing of it is left.
#

# start_time process: in ticks since the boot, to $start_ticks, so that a number that was used again
# isn't taken for it; nothing for a process that has ended
start_time() {
	start_ticks=''
	read -r start_line 2>/dev/null <"/proc/$1/stat" || return
	# The state is the first word behind the name, the time the twentieth.
	# shellcheck disable=SC2086 # words
	set -- ${start_line##*) }
	case $1 in
	Z | X) ;;
	*) start_ticks=${20} ;;
	esac
}

# program_alive: the one of $pidfile; its number is in $pid
program_alive() {
	pid='' started=''
	[ ! -e "$pidfile" ] || read -r pid started started_as <"$pidfile" || :
	[ -n "$pid" ] && [ -n "$started" ] && start_time "$pid" && [ "$start_ticks" = "$started" ]
}

# shellcheck disable=SC2317 # called by wait_for
program_gone() {
	! program_alive
}

# program_note process primary|spare: what it is by now
program_note() {
	start_time "$1"
	echo "$1 $start_ticks $2" >"$pidfile"
}

# program_run primary|spare: start it, and don't wait
program_run() {
	case $1 in
	primary) run_command=$OCF_RESKEY_primary ;;
	*) run_command=$OCF_RESKEY_spare ;;
	esac
	run_log=${OCF_RESKEY_log:-/dev/null}
	if [ -z "$OCF_RESKEY_log" ] && [ -S /run/systemd/journal/stdout ] && have_binary systemd-cat; then
		run_command="systemd-cat --identifier=$attribute $run_command"
	fi
	mkdir -p "$HA_RSCTMP" && cd "$OCF_RESKEY_directory" || return
	set -- "$1" /bin/sh -c "exec $run_command"
	[ "$(id -u "$OCF_RESKEY_user")" = "$(id -u)" ] || set -- "$1" setpriv --init-groups \
		--reuid "$OCF_RESKEY_user" --regid "$(id -g "$OCF_RESKEY_user")" "$2" "$3" "$4"
	setsid sh -c 'shift; exec "$@"' sh "$@" </dev/null >>"$run_log" 2>&1 &
	run_pid=$!
	program_note "$run_pid" "$1"
	ocf_log info "$session: started as $1, process $run_pid: $run_command"
}

# program_end signal seconds: false if it is still there
program_end() {
	program_alive || return 0
	kill -s "$1" -- "-$pid" 2>/dev/null || kill -s "$1" "$pid" 2>/dev/null || :
	wait_for $(($(date +%s) - began + $2)) program_gone
}

# A program that serves is killed: that is the only end after which cptdevd's record says that the
# memory is still wanted. The spare has everything that was acknowledged. A spare may end in order.
program_stop() {
	if program_alive && [ "$started_as" = spare ] && { role_read && [ "$r_role" = spare ]; }; then
		program_end TERM 5 || :
	fi
	program_end KILL "$budget" || return 1
	rm -f "$pidfile"
}

# shellcheck disable=SC2317 # called by wait_for
# ready role...: the program lives and has the part; false as well when it has ended
ready() {
	program_alive || return 0
	role_is "$@"
}

# program_becomes role: wait for it
program_becomes() {
	if ! wait_for "$budget" ready "$1"; then
		refuse "$session: the program isn't $1 in time: ${role_error:-it is $r_role. $r_why}"
		return 1
	elif ! program_alive; then
		refuse "$session: the program has ended; see ${OCF_RESKEY_log:-the journal of $attribute}"
		return 1
	fi
	program_note "$pid" "$1"
}

#
# The memory of the cluster
#

# cluster_read: to c_term, c_generation, c_node; c_term is empty if there never was a primary. False
# if the cluster can't be asked.
cluster_read() {
	cluster_text=$("$HA_SBIN_DIR/crm_attribute" --type crm_config --name "$attribute" --query \
		--quiet --default '' 2>/dev/null) || {
		refuse "$session: the cluster's property $attribute can't be read"
		return 1
	}
	read -r c_term c_generation c_node c_old <<-END
		$cluster_text
	END
	# This host was to go on with that term, and didn't: nobody has it.
	if [ -n "$c_old" ] && [ "$c_node" = "$r_node" ] && [ "$r_record_term" -lt "$c_term" ]; then
		c_term=${c_old% *} c_generation=${c_old#* }
	fi
}

# cluster_write term generation node [old-term old-generation]
cluster_write() {
	"$HA_SBIN_DIR/crm_attribute" --type crm_config --set-name cptdev --name "$attribute" \
		--update "$*" >/dev/null 2>&1 || {
		refuse "$session: the cluster's property $attribute can't be written"
		return 1
	}
	c_term=$1 c_generation=$2 c_node=$3
	ocf_log info "$session: the cluster knows: $*"
}

cluster_forget() {
	"$HA_SBIN_DIR/crm_attribute" --type crm_config --name "$attribute" --delete >/dev/null 2>&1
}

# is_current term generation: has it everything that the cluster knows to be acknowledged?
is_current() {
	[ -z "$c_term" ] || [ "$1" -gt "$c_term" ] ||
		{ [ "$1" -eq "$c_term" ] && [ "$2" -gt "$c_generation" ]; }
}

behind_text() {
	echo "$session: this host has term $r_term and generation $r_generation, and the cluster knows" \
		"that $c_node had term $c_term and more than generation $c_generation"
}

# publish_replica: what this host could go on from, for the others
publish_replica() {
	publish_text='0 0'
	[ "$r_promotable" != yes ] || publish_text="$r_term $r_generation"
	"$HA_SBIN_DIR/attrd_updater" --name "$attribute" --update "$publish_text" >/dev/null 2>&1
}

# better_elsewhere: does another node have a newer replica? Its name and what it has are in $better.
better_elsewhere() {
	better=$("$HA_SBIN_DIR/attrd_updater" --name "$attribute" --query --all 2>/dev/null |
		sed -n 's/.*host="\([^"]*\)".*value="\([0-9]*\) \([0-9]*\)".*/\1 \2 \3/p' |
		awk -v node="$(ocf_local_nodename)" -v term="$r_term" -v generation="$r_generation" '
			$1 != node && ($2 > term || ($2 == term && $3 > generation)) {
				print $1 " (term " $2 ", generation " $3 ")"; exit}')
	[ -n "$better" ]
}

# node_is_out node: it isn't a part of the cluster, which has switched it off or seen it leave. Only
# a cluster that has quorum and fences knows that.
node_is_out() {
	out_xml=$("$HA_SBIN_DIR/crm_mon" --one-shot --output-as=xml 2>/dev/null) || return 1
	case $out_xml in *'with_quorum="true"'*) ;; *) return 1 ;; esac
	case $out_xml in *'stonith-enabled="true"'*) ;; *) return 1 ;; esac
	printf '%s\n' "$out_xml" | grep -F "<node name=\"$1\" " | grep -F 'online="false"' |
		grep -qF 'unclean="false"'
}

score() {
	ocf_promotion_score -v "$1" >/dev/null 2>&1 || ocf_log warn "$session: no score could be set"
}

score_none() {
	ocf_promotion_score -D >/dev/null 2>&1
}

# begun: the cluster knows of a primary, other than one that this host was about to run
begun() {
	[ -n "$c_term" ] && [ "$c_term $c_node" != "0 $r_node" ]
}

# may_begin: with empty memory. cptdevd says that nothing is lost on this host, and the cluster
# that there never was a primary.
may_begin() {
	! begun && ctl start "$session" >/dev/null 2>&1
}

score_of_spare() {
	cluster_read || return
	if [ "$r_promotable" = yes ] && is_current "$r_term" "$r_generation"; then
		score "$score_spare"
	elif [ "$r_promotable" = yes ]; then
		ocf_log warn "$(behind_text)"
		score_none
	elif may_begin; then
		score "$score_empty"
	else
		score_none
	fi
}

# primary_alone: a primary that lost its spare stands still (alone = block). It goes on if the
# cluster has the spare's host out, or that left in order and so counts as outdated. The cluster
# knows before that no replica of now is current any more.
primary_alone() {
	case $r_state in
	no-spare) ;;
	alone)
		[ -e "$alonefile" ] || { cluster_write "$r_term" "$r_generation" "$r_node" && : >"$alonefile"; }
		return ;;
	*)
		rm -f "$alonefile"
		return ;;
	esac
	if [ "$r_detector" != left ]; then
		if [ -z "$r_peer" ]; then
			ocf_log warn "$session: no spare, and cptdevd doesn't know the name of its host: give it in [peer]"
			return
		fi
		node_is_out "$r_peer" || return
	fi
	cluster_write "$r_term" "$r_generation" "$r_node" || return
	if alone_text=$(ctl alone "$session" 2>&1); then
		: >"$alonefile"
		ocf_log warn "$session: goes on without a spare, since ${r_peer:-its peer} is out"
	else
		ocf_log info "$session: doesn't go on without a spare: $alone_text"
	fi
}

# A term that the cluster doesn't know: an agent was interrupted, or a person promoted. Or the
# promotion is done by now.
primary_known() {
	cluster_read || return
	if [ "${c_term:-0}" -lt "$r_term" ] || [ -n "$c_old" ]; then
		cluster_write "$r_term" 0 "$r_node"
	fi
}

primary_look() {
	primary_known && primary_alone
	score "$score_primary"
}
