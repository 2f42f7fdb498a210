# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2016 # what sed and eval get
#
# The units of a program, and cptdev-service, which they run: the part with which it starts the
# program, the target that follows the role, and a program with two real cptdevds that is killed and
# fenced. systemctl, and in the first points cptdevctl, are players (tests/service). TAP. TOP and BIN
# are set by the Makefile.

# shellcheck source=libckdev/tests/tap.sh
. "$TOP/libckdev/tests/tap.sh"
players=$TOP/daemon/tests/service
service=$TOP/daemon/etc/cptdev-service
hello=$BIN/../libckdev/hotspare/hello-hotspare

dir=$(mktemp -d) || exit 1
# What runs in the background is in groups of its own.
groups=
end_groups() {
	for group in $groups; do
		kill -s KILL -- "-$group" 2>/dev/null
	done
	groups=
}
trap 'end_groups; rm -rf "$dir"' EXIT

mkdir "$dir/played" "$dir/real"
ln -s "$players/cptdevctl" "$players/systemctl" "$dir/played/"
ln -s "$players/systemctl" "$BIN/cptdevctl" "$dir/real/"

export CPTDEV_LOOK=0.2 CPTDEV_GRACE=1 CPTDEV_FIRST=alpha
export CPTDEV_PRIMARY='echo runs as the primary' CPTDEV_SPARE="sh -c 'echo runs as the spare'"

# group COMMAND...: in the background, in a group of its own, which is $!
group() {
	set -m
	"$@" &
	set +m
	groups="$groups $!"
	# The shell doesn't tell when it is killed.
	disown
}

# until_true COMMAND...: what is waited for comes sooner, on any machine
tries=2400
until_true() {
	for _ in $(seq $tries); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.05
	done
	fail "not within two minutes: $*"
}

#
# The part: "start" and "role" are played
#

# Each has a directory of its own: a process of the one before may still ask.
worlds=0
new_world() {
	worlds=$((worlds + 1))
	export WORLD=$dir/world-$BASHPID-$worlds
	mkdir "$WORLD"
	facts alpha spare none gone
}

# facts NODE ROLE STATE PRIMARY: what "role" answers
facts() {
	printf '%s\n' name=kv "node=$1" peer=beta "role=$2" "state=$3" "primary=$4" 'why=a=b' >"$WORLD/role.new"
	mv "$WORLD/role.new" "$WORLD/role"
}

# answers WORD...: what "start" answers, one after the other
answers() {
	printf '%s\n' "$@" >"$WORLD/start"
}

# runs PART: now
runs() {
	PATH=$dir/played:$PATH timeout 60 "$service" run kv >"$WORLD/out" 2>"$WORLD/err"
	same "output" "$(cat "$WORLD/out")" "runs as the $1"
}

# waits_for TEXT: instead of starting the program, with that reason, which is written once
waits_for() {
	PATH=$dir/played:$PATH group "$service" run kv >"$WORLD/out" 2>"$WORLD/err"
	until_true eval '[ "$(grep -c ^start "$WORLD/asked")" -ge 2 ]' || return 1
	same "reasons" "$(grep -c waits "$WORLD/err")" 1 || return 1
	has "waits: .*$1" "$WORLD/err" || return 1
	same "output" "$(cat "$WORLD/out")" "" || return 1
}

# then_runs PART: what waited
then_runs() {
	until_true grep -q "^runs as the $1\$" "$WORLD/out"
}

test_fresh() { # with nothing to go on from, the program begins on the first host, and is the spare on the other
	new_world
	answers fresh
	runs primary || return 1
	facts beta none none gone
	runs spare
}

test_fresh_unlinked() { # not before the other host was heard, unless it is to begin alone
	for primary in unknown unlinked; do
		new_world
		facts alpha none none $primary
		answers fresh
		waits_for 'set CPTDEV_BEGIN=alone' || return 1
		facts alpha none none gone
		then_runs primary || return 1
	done
	new_world
	facts alpha none none unknown
	answers fresh
	CPTDEV_BEGIN=alone runs primary
}

test_spare() { # where data would be lost, it is the spare, also on the first host
	new_world
	answers spare
	runs spare || return 1
	! grep -q role "$WORLD/asked" || fail "the role was asked for"
}

test_take_back() { # the daemon fetches a state while somebody asks: that goes on
	new_world
	answers take-back
	runs spare || return 1
	until_true eval '[ "$(grep -c ^start "$WORLD/asked")" -ge 2 ]' || return 1
	answers refused
}

test_refused() { # where a person has to decide it waits, and doesn't need to be started again
	new_world
	answers refused
	waits_for 'a text' || return 1
	answers spare
	then_runs spare
}

test_no_daemon() { # a daemon that doesn't answer is waited for
	new_world
	waits_for "cptdevd can't be asked" || return 1
	answers spare
	then_runs spare || return 1
	# Also where only the role is missing.
	new_world
	rm "$WORLD/role"
	answers fresh
	waits_for "cptdevd can't be asked" || return 1
	facts alpha none none gone
	then_runs primary
}

# refuses TEXT COMMAND...: status 2, and that text
refuses() {
	local text=$1 status

	shift
	"$@" >"$WORLD/out" 2>"$WORLD/err" </dev/null
	status=$?
	same "status" $status 2 || return 1
	has "$text" "$WORLD/err"
}

test_mistakes() { # what is set wrongly is named, and not tried again
	new_world
	answers fresh
	refuses "CPTDEV_SPARE isn't set. Next: set it in /etc/cptdev/service/kv.conf" \
		env CPTDEV_SPARE= "$service" run kv || return 1
	refuses "CPTDEV_FIRST isn't set" env CPTDEV_FIRST= "$service" run kv || return 1
	refuses "CPTDEV_BEGIN is 'now'" env CPTDEV_BEGIN=now "$service" run kv || return 1
	refuses 'the name of a session' "$service" run 'k v' || return 1
	refuses 'usage: ' "$service" run || return 1
	refuses 'usage: ' "$service" dance kv || return 1
	has '^RestartPreventExitStatus=2$' "$TOP/daemon/etc/cptdev-service@.service.in"
}

#
# The target: "role" and systemctl are played
#

target=cptdev-primary@kv.target

follows() {
	PATH=$dir/played:$PATH group "$service" follow kv 2>"$WORLD/err"
	follower=$!
}

ends() {
	kill -s KILL -- "-$follower"
}

# looked: at least once after this
looked() {
	local before

	before=$(grep -c ^role "$WORLD/asked")
	until_true eval '[ "$(grep -c ^role "$WORLD/asked")" -gt '$((before + 1))' ]'
}

calls() {
	same "calls" "$(cat "$WORLD/calls" 2>/dev/null)" "$1"
}

test_target() { # the target is active while the program may answer, and only then
	new_world
	facts alpha spare none alive
	follows
	until_true looked && calls '' || return 1
	facts alpha primary protected gone
	until_true test -e "$WORLD/$target" && looked && calls "start $target" || return 1
	for state in not-protected alone no-spare switching-over; do
		facts alpha primary $state gone
		looked && calls "start $target" || return 1
	done
	for state in lease-over blocked; do
		: >"$WORLD/calls"
		facts alpha primary $state gone
		until_true test ! -e "$WORLD/$target" && looked && calls "stop $target" || return 1
		facts alpha primary protected gone
		until_true test -e "$WORLD/$target" || return 1
	done
	: >"$WORLD/calls"
	facts alpha none none gone
	until_true test ! -e "$WORLD/$target" && looked && calls "stop $target" || return 1
	ends
}

test_fenced() { # a fenced program that doesn't become a spare itself is started anew
	new_world
	facts alpha primary protected gone
	follows
	until_true test -e "$WORLD/$target" || return 1
	: >"$WORLD/calls"
	facts alpha fenced fenced alive
	until_true test ! -e "$WORLD/$target" || return 1
	until_true grep -q restart "$WORLD/calls" || return 1
	same "calls" "$(head -n 2 "$WORLD/calls")" "stop $target
restart cptdev-service@kv.service" || return 1
	ends
	# One that does so within the time isn't.
	new_world
	facts alpha fenced fenced alive
	CPTDEV_GRACE=1000 follows
	until_true looked || return 1
	facts alpha spare none alive
	looked && calls '' || return 1
	ends
}

test_unknown() { # a daemon that is restarted leaves the target alone, one that is gone doesn't
	new_world
	facts alpha primary protected gone
	CPTDEV_GRACE=1000 follows
	until_true test -e "$WORLD/$target" || return 1
	rm "$WORLD/role"
	looked && calls "start $target" || return 1
	ends
	follows
	until_true test ! -e "$WORLD/$target" || return 1
	facts alpha primary protected gone
	until_true test -e "$WORLD/$target" || return 1
	ends
}

#
# The units
#

# units: as they would be installed, with the programs of the tree
units() {
	mkdir -p "$1"
	for unit in "$TOP"/daemon/etc/cptdev-*@.service.in; do
		sed "s,@SBINDIR@/cptdev-service,$service,; s,@SBINDIR@,$TOP/libckdev/hotspare," "$unit" \
			>"$1/$(basename "$unit" .in)"
	done
	cp "$TOP/daemon/etc/cptdev-primary@.target" "$1"
}

verify() {
	systemd-analyze verify --man=no "$1"/*.service "$1"/*.target 2>&1
}

test_units() { # systemd finds nothing wrong with the units
	units "$dir/units"
	same "units" "$(cd "$dir/units" && echo *)" \
		"cptdev-address@.service cptdev-primary@.target cptdev-role@.service cptdev-service@.service" || return 1
	same "found" "$(verify "$dir/units")" "" || return 1
	# The negative control: a key that systemd doesn't know, a program that isn't there.
	sed -i 's/^RestartSec=/RestartSecs=/; s,cptdev-service run,cptdev-servant run,' \
		"$dir/units/cptdev-service@.service"
	verify "$dir/units" >"$dir/found"
	has "Unknown key\( name\)\? 'RestartSecs'" "$dir/found" && has 'cptdev-servant is not executable' "$dir/found"
}

test_sample() { # the sample sets what the units need
	for setting in CPTDEV_PRIMARY CPTDEV_SPARE CPTDEV_FIRST CPTDEV_ADDRESS; do
		has "^$setting=" "$TOP/daemon/etc/service.conf" || return 1
	done
}

#
# Two hosts: cptdevd and the program are real
#

# host NAME ADDRESS PEER PEER-ADDRESS
host() {
	mkdir "$dir/$1"
	cat >"$dir/$1/conf" <<-END
		[node]
		name = $1
		control = $dir/$1/control
		state_dir = $dir/$1/state
		engine = soft
		programs = $dir/$1/programs
		[listen]
		address = $2
		allow = any
		[peer]
		name = $3
		address = $4
		insecure = yes
		[failover]
		failover = auto
		timeout_ms = 600000
	END
	group "$BIN/cptdevd" -f -c "$dir/$1/conf" 2>"$dir/$1/log"
	echo $! >"$dir/$1/daemon"
}

# by_person: only a person promotes from now on, so that there is no lease to wait for
by_person() {
	local node

	for node in alpha beta; do
		sed -i 's/^failover = .*/failover = manual/' "$dir/$node/conf"
		kill -s HUP "$(cat "$dir/$node/daemon")"
		until_true is $node failover manual || return 1
	done
}

# supervise: as systemd does with cptdev-service@kv.service on this host
supervise() {
	local status

	while :; do
		"$service" run kv >>"$WORLD/out" 2>>"$WORLD/err" &
		echo $! >"$WORLD/program"
		wait $! 2>/dev/null
		status=$?
		[ $status != 2 ] || break
		echo "ended $status" >>"$WORLD/err"
		sleep 0.2
	done
}

# on NAME COMMAND...: on that host
on() {
	local node=$1

	shift
	WORLD=$dir/$node PATH=$dir/real:$PATH CPTDEV_SOCKET=$dir/$node/control \
		CPTDEVD_CONTROL=$dir/$node/control CPTDEVD_PROGRAMS=$dir/$node/programs "$@"
}

ask() {
	on "$1" "$BIN/cptdevctl" --socket "$dir/$1/control" "${@:2}"
}

# is HOST KEY VALUE: a fact of "cptdevctl role"
is() {
	ask "$1" role kv | grep -qx "$2=$3"
}

serves_on() {
	[ -e "$dir/$1/$target" ]
}

# safe HOST OTHER: the first host serves, its address is there and only there, and the other has all of it
safe() {
	is "$1" state protected && is "$2" role spare && serves_on "$1" && ! serves_on "$2"
}

# The last number that a host's program had acknowledged, and the first one that was so after a line.
last() {
	grep -x '[0-9]*' "$dir/$1/out" | tail -n 1
}

# counts_on HOST NUMBER: from that on, and not from the beginning
counts_on() {
	until_true eval '[ "$(last '"$1"')" -gt '"$2"' ]'
}

# ended HOST: how often its program has ended
ended() {
	grep -c '^ended' "$dir/$1/err"
}

test_story() { # killed, and fenced: the program goes on where the state is, its address with it
	local -x CPTDEV_PRIMARY="$hello -m -S kv --" CPTDEV_SPARE="$hello -s -S kv --"
	local number node count

	host alpha 127.0.0.73 beta 127.0.0.74
	host beta 127.0.0.74 alpha 127.0.0.73
	# The spare's unit may be the first.
	for node in beta alpha; do
		on $node group supervise
		on $node group "$service" follow kv 2>>"$dir/$node/followed"
	done
	until_true safe alpha beta || return 1
	has 'starts as primary: fresh' "$dir/alpha/err" && has 'starts as spare' "$dir/beta/err" || return 1
	until_true eval '[ -n "$(last alpha)" ]' || return 1

	count=$(ended alpha)
	kill -s KILL "$(cat "$dir/alpha/program")"
	until_true safe beta alpha || return 1
	number=$(last alpha)
	counts_on beta "$number" || return 1
	[ "$(ended alpha)" -gt "$count" ] || fail "alpha's program didn't end" || return 1
	has 'starts as spare: spare' "$dir/alpha/err" || return 1

	count=$(ended beta)
	by_person || return 1
	# It doesn't notice that it is fenced.
	kill -s STOP "$(cat "$dir/beta/program")"
	ask alpha promote kv --force >"$dir/promoted" 2>&1 || fail "$(cat "$dir/promoted")" || return 1
	until_true safe alpha beta || return 1
	number=$(last beta)
	counts_on alpha "$number" || return 1
	[ "$(ended beta)" -gt "$count" ] || fail "beta's program wasn't ended" || return 1
	has 'another host took over: restarts' "$dir/beta/followed" || return 1

	# This one notices, and becomes the spare of the other by itself.
	ask beta promote kv --force >"$dir/promoted" 2>&1 || fail "$(cat "$dir/promoted")" || return 1
	until_true safe beta alpha || return 1
	number=$(last alpha)
	counts_on beta "$number" || return 1
	# From the first number to the last, each number was told once.
	same "numbers told twice" "$(cat "$dir"/alpha/out "$dir"/beta/out | grep -x '[0-9]*' | sort | uniq -d)" "" || return 1
	end_groups
}

#
# Mutants of cptdev-service
#

# mutant TEST SED-COMMAND: without a safeguard, that point fails
mutant() {
	sed "$2" "$TOP/daemon/etc/cptdev-service" >"$dir/mutant"
	chmod 755 "$dir/mutant"
	! cmp -s "$dir/mutant" "$TOP/daemon/etc/cptdev-service" || fail "'$2' changes nothing" || return 1
	! (
		service=$dir/mutant tries=30 groups=
		trap end_groups EXIT
		"$1"
	) >/dev/null 2>&1 || fail "$1 doesn't notice '$2'"
}

test_mutants() { # without a safeguard, a point above fails
	mutant test_fresh 's/\[ "\$r_node" != "\$CPTDEV_FIRST" \]/false/' &&
		mutant test_fresh_unlinked 's/|| \[ "\$r_primary" = unlinked \];/;/' &&
		mutant test_spare 's/8) part=spare/8) part=primary/' &&
		mutant test_target 's/lease-over | blocked/blocked/' &&
		mutant test_fenced 's/systemctl restart/true/' &&
		mutant test_unknown 's/! late unknown/true/'
}

tap_run "$0"
