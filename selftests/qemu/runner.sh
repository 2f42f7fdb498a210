# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Running tests and judging them. To be sourced by check.
#
# Results gather in files of lines
#
#	pass|fail|skip <tab> kernel or "host" <tab> test <tab> text

check_logs=${CPTDEV_LOGS:-$cptdev_build/logs}
check_results=$check_logs/results

# Bits of /proc/sys/kernel/tainted: bad page, oops, warning, soft lockup.
bad_taints=$((1 << 5 | 1 << 7 | 1 << 9 | 1 << 14))

# test_log kernel test ending
test_log() {
	local file=$check_logs/$1/$2.$3
	mkdir -p "${file%/*}"
	printf '%s\n' "$file"
}

short_path() {
	printf '%s\n' "${1#"$PWD"/}"
}

# judge kernel test how value: prints results from the test's .tap
judge() {
	awk -v how="$3" -v value="$4" -f "$cptdev_qemu/tap.awk" "$(test_log "$1" "$2" tap)" |
		sed "s|\t|\t$1\t$2\t|"
}

one_result() {
	printf '%s\t%s\t%s\t%s\n' "$@"
}

# judge_must_fail kernel test pattern how: results of judge on stdin. A negative control
# passes when a point that matches failed, and the program ended by itself.
judge_must_fail() {
	local points
	points=$(awk -F'\t' -v pattern="$3" '$1 == "fail" && $4 ~ /^[0-9]/ && $4 ~ pattern' )
	if [ "$4" = exit ] && [ -n "$points" ]; then
		one_result pass "$1" "$2" "notices: $(head -n 1 <<<"$points" | cut -f 4)"
	else
		one_result fail "$1" "$2" "no point failed that matches '$3' (MUST_FAIL)"
	fi
}

# record kernel test seconds results: to the file of results and the screen
record() {
	local kernel=$1 test=$2 seconds=$3 results=$4 word
	results=$(sed '/^$/d' <<<"$results")
	printf '%s\n' "$results" >>"$check_results.$BASHPID"
	case $(cut -f 1 <<<"$results" | sort -u | xargs) in
	*fail*) word=FAILED ;;
	*pass*) word=ok ;;
	*) word=skipped ;;
	esac
	{
		printf '%-8s %-10s %-28s %s points, %s s\n' "$word" "$kernel" "$test" \
			"$(wc -l <<<"$results")" "$seconds"
		if [ "$word" = FAILED ]; then
			sed -n 's/^fail\t[^\t]*\t[^\t]*\t/    not ok: /p' <<<"$results" | head -n 12
			tell_why "$kernel" "$test"
			tell_logs "$kernel" "$test"
		fi
	} >"$check_logs/screen.$BASHPID"
	# At once, so that two jobs don't mix.
	cat "$check_logs/screen.$BASHPID"
	rm "$check_logs/screen.$BASHPID"
}

# tell_why kernel test: what the program said right before the first point that failed, and
# last of all on stderr
tell_why() {
	local tap=$check_logs/$1/$2.tap err=$check_logs/$1/$2.err
	[ ! -s "$tap" ] || awk -v most=8 '
		/^ok/ {n = 0}
		/^#/ {line[n++ % most] = substr($0, 1, 200)}
		/^not ok/ && !/# *(TODO|todo|XFAIL|SKIP|skip)/ {exit}
		END {for (i = n > most ? n - most : 0; i < n; i++) print "    " line[i % most]}' "$tap"
	[ ! -s "$err" ] || tail -n 5 "$err" | cut -c 1-200 | sed 's/^/    stderr: /'
}

tell_logs() {
	local ending file
	for ending in tap err console; do
		file=$check_logs/$1/$2.$ending
		[ ! -s "$file" ] || printf '    log:    %s\n' "$(short_path "$file")"
	done
}

# seconds_since start: start was $EPOCHREALTIME
seconds_since() {
	local tenths=$(((${EPOCHREALTIME/./} - ${1/./}) / 100000))
	printf '%d.%d\n' $((tenths / 10)) $((tenths % 10))
}

# Tests in guests

# guest_command test program arguments length: in the guest, the test in a cgroup, so that nothing of it is left afterwards.
# shellcheck disable=SC2016 # for the shell there
guest_command() {
	local program=$2
	[[ $program == /* ]] || program=./$program
	program="env CPTDEV_TIER=$tier CPTDEV_LENGTH=$4 $program"
	printf 'mkdir -p /sys/fs/cgroup/test && echo $$ >/sys/fs/cgroup/test/cgroup.procs
		echo "cptdev harness: test %s" >/dev/kmsg
		exec %s %s' "$1" "$program" "$3"
}

# Ends what the test left running, prints the taint.
# shellcheck disable=SC2016 # for the shell there
guest_clean_command='t=/sys/fs/cgroup/test
	left=$(cat $t/cgroup.procs 2>/dev/null)
	[ -z "$left" ] || {
		for pid in $left; do read -r name </proc/$pid/comm; echo "left running: $name" >&2; done
		echo 1 >$t/cgroup.kill
		while [ -n "$(cat $t/cgroup.procs)" ]; do usleep 20000; done
	}
	rmdir $t/*/ $t 2>/dev/null
	cat /proc/sys/kernel/tainted'

# guest_taint guest: only the bits that matter
guest_taint() {
	local taint
	taint=$(vm_run "$1" "$guest_clean_command" 30 2>>"${2:-/dev/null}") || taint=0
	printf '%d\n' $((taint & bad_taints))
}

# kernel_results kernel test guest point taint-before: a failure if the kernel complained
kernel_results() {
	local kernel=$1 test=$2 guest=$3 point=$4 taint lines
	taint=$(guest_taint "$guest" "$(test_log "$kernel" "$test" err)")
	lines=$(vm_check_log "$guest" "$point") || {
		one_result fail "$kernel" "$test" "kernel log: $(head -n 1 <<<"$lines")"
		return
	}
	[ $((taint & ~$5)) -eq 0 ] || one_result fail "$kernel" "$test" \
		"the kernel is tainted ($taint), by something that isn't in its log"
}

# run_guest_test kernel test guest: false if the guest can't be used any more
run_guest_test() {
	local kernel=$1 test=$2 guest=$3 start=$EPOCHREALTIME dir number how value point taint results
	local before
	local -A set=()
	cpu_of_guest "$guest"
	before=$cpu
	dir=$(vm_dir "$guest")
	test_settings set "$test"
	set[TIMEOUT]=$(on_time "$kernel" "${set[TIMEOUT]}")
	point=$(vm_log_size "$guest")
	taint=$(guest_taint "$guest")
	number=$(vm_spawn "$guest" "$(guest_command "$test" "${set[PROG]}" "${set[ARGS]:-}" "$(length_on "$kernel")")" \
		"${set[TIMEOUT]}") || number=''
	if [ -n "$number" ]; then
		vm_wait "$guest" "$number" $((set[TIMEOUT] + 30)) \
			>"$(test_log "$kernel" "$test" tap)" 2>"$(test_log "$kernel" "$test" err)" || true
		read -r how value <"$dir/requests/$number.end"
	else
		: >"$(test_log "$kernel" "$test" tap)"
		how=lost
	fi
	results=$(judge "$kernel" "$test" "$how" "${value:-0}")
	[ -z "${set[MUST_FAIL]:-}" ] ||
		results=$(judge_must_fail "$kernel" "$test" "${set[MUST_FAIL]}" "$how" <<<"$results")
	results+=$'\n'$(kernel_results "$kernel" "$test" "$guest" "$point" "$taint")
	tail -c "+$((point + 1))" "$dir/console" | tr -d '\r' >"$(test_log "$kernel" "$test" console)"
	cpu_of_guest "$guest"
	note_time "$(seconds_since "$start")" $((cpu < before ? 0 : cpu - before)) 1 "$kernel" "$test"
	record "$kernel" "$test" "$(seconds_since "$start")" "$results"
	tell_lost_guest "$guest" "$test" "$how"
	[ "$how" = exit ] || [ "$how" = signal ] || return 1
	[[ $results != *'kernel log: '* ]] && vm_alive "$guest"
}

tell_lost_guest() {
	[ "$3" = lost ] || return 0
	if vm_alive "$1"; then
		vm_tell_end "$1" "doesn't answer since test $2" 2>&1
	else
		vm_tell_end "$1" "ended during test $2" 2>&1
	fi
}

# run_group kernel number test...: tests that share a guest
run_group() {
	local kernel=$1 guest=guest-$2 test settings module loaded before running='' tests=()
	shift 2
	vm_root=$check_logs/$kernel/guests
	for test; do
		! has_no_file "$kernel" "$test" || continue
		tests+=("$test")
	done
	[ ${#tests[@]} -gt 0 ] || return 0
	mapfile -t settings < <(guest_settings "${tests[0]}"; file_settings "${tests[@]}")
	for test in "${tests[@]}"; do
		mapfile -t module < <(module_settings "$test")
		if [ -n "$running" ] && [ "${module[*]}" != "$loaded" ]; then
			reload_module "$kernel" "$guest" "$before" "${module[@]}" || {
				vm_kill "$guest"
				running=''
			}
		fi
		if [ -z "$running" ]; then
			start_guest "$kernel" "$guest" "$test" "${settings[@]}" "${module[@]}" || continue
			running=1
		fi
		loaded=${module[*]}
		before=$test
		run_guest_test "$kernel" "$test" "$guest" || {
			vm_kill "$guest"
			running=''
		}
	done
	[ -z "$running" ] || finish_guest "$kernel" "$guest" "$test"
}

# has_no_file kernel test: what wasn't built is the failure of the test that needs it, not
# of all that share its guest
has_no_file() {
	local file
	file=$(missing_file "$2" "$1")
	[ -n "$file" ] || return 1
	record "$1" "$2" 0 "$(one_result fail "$1" "$2" "FILES names $file, which isn't there")"
}

# start_guest kernel guest test settings...
start_guest() {
	local kernel=$1 guest=$2 test=$3 start=$EPOCHREALTIME log
	shift 3
	log=$(test_log "$kernel" "$test" err)
	vm_launch "$guest" "$kernel" "$@"
	if vm_ready "$guest" >"$log" 2>&1; then
		cpu_of_guest "$guest"
		note_time "$(seconds_since "$start")" "$cpu" 1 "$kernel" "boot/$test"
		return
	fi
	vm_kill "$guest"
	cp "$(vm_dir "$guest")/console" "$(test_log "$kernel" "$test" console)"
	record "$kernel" "$test" "$(seconds_since "$start")" \
		"$(one_result fail "$kernel" "$test" "its guest didn't start: $(head -n 1 "$log")")"
	return 1
}

# reload_module kernel guest test-before settings...: those of the module that the next test
# wants. A guest where it can't be unloaded is that test's failure, as at the end; one that
# can't load it is replaced by one that says why.
reload_module() {
	local kernel=$1 guest=$2 test=$3.end log
	local -A set=()
	shift 3
	settings_take set "${vm_module_keys[*]}" "$@"
	log=$(test_log "$kernel" "$test" err)
	if ! vm_unload "$guest" >"$log" 2>&1; then
		record "$kernel" "$test" 0 "$(one_result fail "$kernel" "$test" \
			"after the test: $(head -n 1 "$log")")"
		return 1
	fi
	rm -f "$log"
	vm_load_module "$guest" "${set[MODPARAMS]:-}" "${set[MUTANT]:-}" 2>/dev/null
}

# The module must go and the machine stop in order; else it is the group's failure, told
# with the name of the last test.
finish_guest() {
	local kernel=$1 guest=$2 test=$3.end log start=$EPOCHREALTIME
	log=$(test_log "$kernel" "$test" err)
	if vm_stop "$guest" >"$log" 2>&1; then
		rm -f "$log"
		return
	fi
	cp "$(vm_dir "$guest")/console" "$(test_log "$kernel" "$test" console)"
	record "$kernel" "$test" "$(seconds_since "$start")" \
		"$(one_result fail "$kernel" "$test" "after the test: $(head -n 1 "$log")")"
}

# Tests on the host

# exit_as_how status: as execd would say it
exit_as_how() {
	case $1 in
	124) printf 'timeout %s\n' "$2" ;;
	1[3-9]? | 12[89]) printf 'signal %d\n' $(($1 - 128)) ;;
	*) printf 'exit %d\n' "$1" ;;
	esac
}

# run_host_test kernel-label test program limit slots: the program prints TAP
run_host_test() {
	local kernel=$1 test=$2 program=$3 limit=$4 slots=$5 start=$EPOCHREALTIME status=0 how value results
	local guests
	guests=$(test_log "$kernel" "$test" guests)
	rm -rf "$guests"
	CPTDEV_VM_ROOT=$guests CMOCKA_MESSAGE_OUTPUT=TAP \
		setpriv --pdeathsig TERM timeout -k 10 "$limit" "$program" \
		>"$(test_log "$kernel" "$test" tap)" 2>"$(test_log "$kernel" "$test" err)" </dev/null || status=$?
	cpu_of_children
	note_time "$(seconds_since "$start")" "$cpu" "$slots" "$kernel" "$test"
	read -r how value < <(exit_as_how "$status" "$limit")
	results=$(judge "$kernel" "$test" "$how" "$value")
	results+=$'\n'$(host_test_guests "$kernel" "$test" "$guests")
	record "$kernel" "$test" "$(seconds_since "$start")" "$results"
}

# The logs of all guests that the script had, however they ended.
host_test_guests() {
	local console lines
	for console in "$3"/*/console; do
		[ -e "$console" ] || continue
		lines=$(klog_complaints <"$console")
		[ -z "$lines" ] || one_result fail "$1" "$2" \
			"kernel log: $(head -n 1 <<<"$lines") ($(short_path "$console"))"
	done
}
