# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Which tests run, and on which kernels. To be sourced by check.
#
# A test belongs to a tier (TIER in its settings): quick, check or all. A tier contains
# those before it. Names in T= select tests of every tier, and with K= a test runs on all
# of these kernels that it can run on: only a run that names neither is limited.

tier=${CPTDEV_TIER:-check}
# Tests that look at less in check-quick ask for it.
export CPTDEV_TIER=$tier
tests_source=${CPTDEV_TESTS:-$cptdev_top/selftests}
tests_built=${CPTDEV_TESTS:-$cptdev_build/selftests}
kernels=()

# kselftest keeps the default time limit, in seconds, in the file settings.
default_limit=$(sed -n 's/^timeout=//p' "$cptdev_top/selftests/settings")

wanted() {
	local name
	[ -n "${T:-}" ] || return 0
	for name in $T; do
		case $1 in
		"$name" | "$name".* | "$name"/*) return 0 ;;
		esac
	done
	return 1
}

# tier_rank tier file: tiers in their order
tier_rank() {
	case $1 in
	quick) tier_rank=1 ;;
	check) tier_rank=2 ;;
	all) tier_rank=3 ;;
	*) die "$2: '$1' isn't a tier" "The tiers are: quick check all" ;;
	esac
}

# in_tier array-name test kernel: are the settings those of a test that this run has there?
in_tier() {
	local -n tier_of=$1
	local mine
	tier_rank "${tier_of[TIER]:-check}" "$2.vm"
	mine=$tier_rank
	tier_rank "$tier" CPTDEV_TIER
	[ -z "${T:-}" ] || return 0
	[ "$mine" -le "$tier_rank" ] || return 1
	[ "$tier" != all ] && [ -z "${K:-}" ] && [ -n "${tier_of[CHECK_KERNELS]:-}" ] || return 0
	[[ " ${tier_of[CHECK_KERNELS]} " == *" $3 "* ]]
}

choose_kernels() {
	case ${K:-} in
	'') default_kernels ;;
	all) mapfile -t kernels < <(kernel_names all) ;;
	*) read -ra kernels <<<"$K" ;;
	esac
}

default_kernels() {
	mapfile -t kernels < <(kernel_names default)
	case $tier in
	quick) kernels=("${kernels[0]}") ;;
	all) mapfile -t -O "${#kernels[@]}" kernels < <(kernel_names debug; kernel_names foreign) ;;
	esac
}

# longer array-name: who soaks has time
# shellcheck disable=SC2034,SC2178 # a reference
longer() {
	local -n limits=$1
	[ "${CPTDEV_LENGTH:-}" != soak ] || limits[TIMEOUT]=$((limits[TIMEOUT] * 20))
}

# length_on kernel: what tests there find in CPTDEV_LENGTH: soak, short or nothing
length_on() {
	local length=${CPTDEV_LENGTH:-}
	[ ${#kernels[@]} -eq 1 ] || [ "$(kernel_field "$1" 2)" != debug ] || length=${length:-short}
	printf '%s\n' "$length"
}

# Tests in guests

# guest_program test: x, x.sh, or for x.variant the same without the variant
guest_program() {
	local name
	for name in "$1" "$1.sh" "${1%%.*}" "${1%%.*}.sh"; do
		[ ! -f "$tests_built/$name" ] || { printf '%s\n' "$name"; return; }
	done
	printf '%s\n' "$1"
}

# The settings of tests in guests by name, as words for an array: files are read once.
declare -A known_settings=()

# test_settings array-name test: of a test in a guest
# shellcheck disable=SC2034 # a reference
test_settings() {
	local -n into=$1
	[ -n "${known_settings[$2]:-}" ] || read_test_settings "$2"
	eval "into=(${known_settings[$2]})"
}

# read_test_settings test: to known_settings
read_test_settings() {
	local -A read=()
	settings_take read "${vm_guest_keys[*]}" "${vm_test_defaults[@]}"
	read[TIMEOUT]=$default_limit
	read[PROG]=$(guest_program "$1")
	[ ! -e "$tests_source/$1.vm" ] ||
		settings_read read "$tests_source/$1.vm" "${vm_guest_keys[@]}" \
			"${vm_module_keys[@]}" "${vm_file_keys[@]}" "${vm_test_keys[@]}"
	longer read
	known_settings[$1]=${read[*]@K}
}

# know_settings: of all tests that this run may have. What a subshell reads is lost, so this is
# for the run's own shell; after the tests are built, which decides about programs.
know_settings() {
	local test
	while read -r test; do
		! wanted "$test" || read_test_settings "$test"
	done < <(guest_test_names)
}

# print_settings test key...: those of these that it has, KEY=VALUE, one per line
print_settings() {
	local -A all=()
	local key
	test_settings all "$1"
	shift
	for key; do
		[ -z "${all[$key]+set}" ] || printf '%s=%s\n' "$key" "${all[$key]}"
	done
}

# guest_settings test: those that its guest has
guest_settings() {
	print_settings "$1" "${vm_guest_keys[@]}"
}

# module_settings test: how it wants the module
module_settings() {
	print_settings "$1" "${vm_module_keys[@]}"
}

# file_settings test...: of a guest that these share, KEY=VALUE, one per line
file_settings() {
	local key test
	for key in "${vm_file_keys[@]}"; do
		printf '%s=' "$key"
		for test; do
			local -A all=()
			test_settings all "$test"
			tr -s ' ' '\n' <<<"${all[$key]:-}"
		done | sed '/^$/d' | sort -u | xargs
	done
}

# missing_file test kernel: one of FILES that isn't there
missing_file() {
	local -A all=()
	local file
	test_settings all "$1"
	for file in ${all[FILES]:-}; do
		file=${file//@KERNEL@/$2}
		file=${file%%:*}
		[[ $file == /* ]] || file=$cptdev_top/$file
		[ -e "$file" ] || { short_path "$file"; return; }
	done
}

guest_test_names() {
	{
		[ ! -e "$tests_built/kselftest-list.txt" ] ||
			sed 's/^[^:]*://; s/\.sh$//' "$tests_built/kselftest-list.txt"
		find "$tests_source" -maxdepth 1 -name '*.vm' -printf '%f\n' | sed 's/\.vm$//'
	} | sort -u
}

# on_kernel test kernel: its settings may name some; a kernel of another architecture has only
# those that name it. A mutant shows that a test can fail: once is enough, and not where it takes
# longest.
on_kernel() {
	local -A all=()
	test_settings all "$1"
	in_tier all "$1" "$2" || return 1
	if [ "${all[SHORT]:-}" = no ] && [ "$(length_on "$2")" = short ]; then
		return 1
	elif [ -n "${all[KERNELS]:-}" ]; then
		[[ " ${all[KERNELS]} " == *" $2 "* ]]
	else
		case $(kernel_field "$2" 2) in
		foreign) return 1 ;;
		debug) [ -z "${all[MUTANT]:-}" ] ;;
		esac
	fi
}

# guest_tests kernel: their names
guest_tests() {
	local test
	while read -r test; do
		! wanted "$test" || ! on_kernel "$test" "$1" || printf '%s\n' "$test"
	done < <(guest_test_names)
}

# settings_word array-name key...: those that it has, as one word that is never empty, to the variable word
settings_word() {
	local -n word_of=$1
	local key
	shift
	word='='
	for key; do
		[ -z "${word_of[$key]+set}" ] || word+=$key=${word_of[$key]@Q},
	done
}

# Lines "<guest settings> <tab> <module settings> <tab> <test>", sorted: tests with the
# same settings follow each other. Mutants share guests only with mutants: another test's
# guest shall not have been through one. A test that wants a guest of its own gets settings
# that nobody else has.
guest_tests_by_settings() {
	local test guest word
	while read -r test; do
		local -A all=()
		test_settings all "$test"
		[ -z "${all[ALONE]:-}" ] || all[ALONE]=$test
		settings_word all "${vm_guest_keys[@]}"
		guest=$word
		[ -z "${all[MUTANT]:-}" ] || guest+=mutants
		settings_word all "${vm_module_keys[@]}"
		printf '%s\t%s\t%s\n' "$guest" "$word" "$test"
	done < <(guest_tests "$1") | sort -s -t $'\t' -k1,2
}

# guest_groups kernel: tests that share a guest, "time limits of all <tab> kernel <tab>
# number <tab> test test..."
guest_groups() {
	local key='' new_key test limit=0 number=0 group=()
	while IFS=$'\t' read -r new_key _ test; do
		if [ "$new_key" != "$key" ]; then
			print_group "$1"
			limit=0
			group=()
		fi
		local -A all=()
		test_settings all "$test"
		limit=$((limit + all[TIMEOUT]))
		key=$new_key
		group+=("$test")
	done < <(guest_tests_by_settings "$1")
	print_group "$1"
}

# print_group kernel: for guest_groups
print_group() {
	[ ${#group[@]} -gt 0 ] || return 0
	number=$((number + 1))
	printf '%d\t%s\t%d\t%s\n' "$limit" "$1" "$number" "${group[*]}"
}

# all_guest_groups: those with the longest time limits first, so that no long one is left
# to the end
all_guest_groups() {
	local kernel
	for kernel in "${kernels[@]}"; do
		guest_groups "$kernel" || return
	done | sort -s -k1,1nr
}

# kernels_with_mutants: those where a test asks for one
kernels_with_mutants() {
	local kernel test
	for kernel in "${kernels[@]}"; do
		while read -r test; do
			local -A all=()
			test_settings all "$test"
			[ -z "${all[MUTANT]:-}" ] || printf '%s\n' "$kernel"
		done < <(guest_tests "$kernel")
	done | sort -u
}

# Tests on the host

# host_settings array-name test program: x.vm beside x and x.sh; a unit test, which is
# built, has it in selftests/unit, and is quick by default; its twin with sanitizers is for
# check-all.
# shellcheck disable=SC2034,SC2178 # a reference
host_settings() {
	local -n host=$1
	local file=${3%.sh}.vm
	[[ $2 != unit/* ]] || file=$cptdev_top/selftests/$2.vm
	host[TIMEOUT]=$default_limit
	case $2 in
	unit/*-asan) host[TIER]=all ;;
	unit/*) host[TIER]=quick ;;
	esac
	[ ! -e "$file" ] || settings_read "$1" "$file" "${host_test_keys[@]}"
	longer "$1"
}

# A host test is a line "label <tab> test <tab> program <tab> kernel <tab> second kernel
# <tab> slots <tab> seconds". The label is a kernel, two of them, or "host".

# host_test array-name label test program kernel second-kernel default-slots
host_test() {
	local -n line_of=$1
	shift
	wanted "$2" || return 0
	printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "${@:1:5}" "${line_of[SLOTS]:-$6}" "${line_of[TIMEOUT]}"
}

host_tests() {
	local program
	for program in "$cptdev_qemu"/selftest-*; do
		host_test_on_kernels "qemu/${program##*/selftest-}" "$program" 1
	done
	for program in "$cptdev_build"/unit/*; do
		host_test_on_kernels "unit/${program##*/}" "$program" 0.25
	done
	for program in "$cptdev_top"/selftests/host/*; do
		host_test_on_kernels "host/$(basename "$program" .sh)" "$program" 1
	done
}

# host_test_on_kernels test program slots: what needs no kernel, or one that this machine
# can build for: the first. Or its settings name some.
host_test_on_kernels() {
	local -A all=()
	local kernel
	[ -f "$2" ] && [ -x "$2" ] || return 0
	host_settings all "$1" "$2"
	for kernel in "${kernels[@]}"; do
		if [[ " ${all[KERNELS]:-} " == *" $kernel "* ]]; then
			! in_tier all "$1" "$kernel" ||
				host_test all "$kernel" "$1" "$2" "$kernel" "$kernel" "$3"
		elif [ -z "${all[KERNELS]:-}" ] && [ "$(kernel_field "$kernel" 2)" = default ]; then
			! in_tier all "$1" "$kernel" ||
				host_test all host "$1" "$2" "$kernel" "$kernel" "$3"
			return
		fi
	done
}

# not_foreign kernel...: those that run on this architecture
not_foreign() {
	local kernel
	for kernel; do
		[ "$(kernel_field "$kernel" 2)" = foreign ] || printf '%s\n' "$kernel"
	done
}

# A script of selftests/twohost runs once for each kernel, or for each pair "6.1+6.12"
# that its settings name. Those with the longest time limits come first.
twohost_tests() {
	twohost_tests_by_name | sort -s -t $'\t' -k7,7nr
}

twohost_tests_by_name() {
	local program pair test
	for program in "$cptdev_top"/selftests/twohost/*.sh; do
		[ -x "$program" ] || continue
		test=twohost/$(basename "$program" .sh)
		local -A all=()
		host_settings all "$test" "$program"
		for pair in ${all[KERNELS]:-$(not_foreign "${kernels[@]}")}; do
			[[ " ${kernels[*]} " == *" ${pair%+*} "* && " ${kernels[*]} " == *" ${pair#*+} "* ]] || continue
			! in_tier all "$test" "$pair" ||
				host_test all "$pair" "$test" "$program" "${pair%+*}" "${pair#*+}" 1
		done
	done
}

# list_tests: "kernel <tab> test", all that this run has
list_tests() {
	local kernel
	if [ -z "$guests_only" ]; then
		{ host_tests && twohost_tests; } | cut -f 1,2 || return
	fi
	for kernel in "${kernels[@]}"; do
		guest_tests "$kernel" | sed "s/^/$kernel\t/" || return
	done
}
