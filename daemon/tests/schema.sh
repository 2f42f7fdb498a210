# SPDX-License-Identifier: GPL-2.0-or-later
# Documentation/control.schema.json describes each line that cptdevd sends on its control socket: tests
# keep what is sent (answers.h), and answers.py compares. TAP. TOP, BIN and UNITS are set by the Makefile.

schema=$TOP/Documentation/control.schema.json
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
number=0

# t NAME DIFFERENCES: a test that passes if there are none
t() {
	number=$((number + 1))
	if [ -z "$2" ]; then
		echo "ok $number - $1"
	else
		echo "not ok $number - $1"
		printf '%s\n' "$2" | head -n 40 | sed 's/^/# /'
	fi
}

# Words that no answer has are told at the end; anything else that answers.py says is a mistake.
compare() {
	/usr/bin/python3 "$TOP/daemon/tests/answers.py" "$@" 2>"$dir/said"
	grep '^# ' "$dir/said" >>"$dir/notes"
	grep -v '^# ' "$dir/said"
}

run() {
	"$UNITS/daemon-$1" >"$dir/log" 2>&1 && return
	echo "$1 failed:"
	grep '^not ok' "$dir/log"
}

# Tests whose clients ask for themselves, and those of the daemon's work, with a client that looks on.
run_all() {
	export ANSWERS="$dir/answers"
	for test in control answers history; do
		run $test
	done
	export ANSWERS_LOOK=1
	for test in switchover failover fetch keep; do
		run $test
	done
}

# Words of the source: events and the codes of errors.
words() {
	grep -hoE 'news_(peer|record|session)\([^"]*"[a-z-]+"|(refusal|switch_refuse)\("[a-z-]+"' \
		"$TOP"/daemon/flow/*.c "$TOP"/daemon/cptdevd/*.c | sed 's/.*"\(.*\)"/\1/' | sort -u
}

: >"$dir/answers"
: >"$dir/notes"
t 'each key of the schema has a description, and each object is complete' "$(compare schema "$schema")"
t 'the tests pass with a client that looks on' "$(run_all)"
t 'each answer fits the schema, and each definition has an answer' "$(compare check "$schema" "$dir/answers")"
sort -u "$dir/notes" >"$dir/unseen"
t 'a mistake in an answer would be found' "$(compare mutants "$schema" "$dir/answers")"

# The negative controls: a definition too many, a word too few, a line that isn't JSON.
grep '"event":"outgoing-up"' "$dir/answers" | head -n 1 >"$dir/few"
sed 's/"[$]defs": {/&"new": {"type": "null"},/' "$schema" >"$dir/more.json"
t 'and a definition that no answer has' "$(compare check "$dir/more.json" "$dir/few" |
	grep -qx 'no answer has a new' || echo 'it was not')"
sed 's/"outgoing-up", //' "$schema" >"$dir/less.json"
t 'and a word that the schema lacks' "$(compare check "$dir/less.json" "$dir/few" |
	grep -q "outgoing-up' is not one of" || echo 'it was not')"
printf '{"schema_version":1,\n' >>"$dir/few"
t 'and a line that is no JSON' "$(compare check "$schema" "$dir/few" | grep -q 'JSON' || echo 'it was not')"
# shellcheck disable=SC2046 # words
t 'the schema has the words of the source' "$([ "$(words | wc -l)" -ge 30 ] || echo 'the source was not understood'
	compare words "$schema" $(words))"
cat "$dir/unseen"
echo "# $(sort -u "$dir/answers" | wc -l) of $(wc -l <"$dir/answers") answers differ"
echo "1..$number"
