# SPDX-License-Identifier: GPL-2.0-only
#
# Judges what a test program printed (TAP, as kselftest has it) and how it ended:
#
#	awk -v how=exit -v value=0 -f tap.awk output
#
# how and value are those of execd: exit 0, signal 11, timeout 60, ... Prints a line for
# each point, and one more if the program as a whole failed or was skipped:
#
#	pass|fail|skip <tab> text
#
# "not ok" with TODO or XFAIL is a failure that is known: it counts as skipped, with its
# reason, so that it neither fails nor passes for something that works.

function result(verdict, text) {
	print verdict "\t" text
	if (verdict == "fail")
		failed++
}

function end_as_text() {
	if (how == "signal")
		return "killed by signal " value
	if (how == "timeout")
		return "not done after its time limit of " value " s"
	if (how == "output")
		return "printed without end (" value " bytes)"
	if (how == "stuck")
		return "can't be killed"
	if (how == "lost")
		return "the machine ended under it, or didn't answer any more"
	if (value == 127 && !points)
		return "exit status 127: there is no such program, or it lacks a library"
	if (value != 0 && value != 4 && !failed)
		return "exit status " value ", but no point failed"
	return ""
}

function plan_as_text() {
	if (bail != "")
		return "Bail out! " bail
	if (plans > 1)
		return "more than one plan"
	if (!plans)
		return "no plan (1..N)"
	if (points != plan)
		return "planned " plan " points, ran " points + 0
	if (disorder != "")
		return disorder
	return ""
}

function join(a, b) {
	return a != "" && b != "" ? a "; " b : a b
}

BEGIN {
	if (how == "")
		how = "exit"
}

/^1\.\.[0-9]+/ {
	plans++
	plan = substr($1, 4) + 0
	if (match($0, /# *SKIP */))
		skip_all = substr($0, RSTART + RLENGTH)
	if (plan == 0 && skip_all == "")
		skip_all = "no reason given"
}

/^Bail out!/ {
	bail = substr($0, 11)
	sub(/^ */, "", bail)
}

/^(not )?ok( |$)/ {
	points++
	verdict = $1 == "ok" ? "pass" : "fail"
	text = $0
	sub(/^(not )?ok */, "", text)
	if (match(text, /^[0-9]+/)) {
		if (substr(text, 1, RLENGTH) + 0 != points && disorder == "")
			disorder = "point " points " calls itself " substr(text, 1, RLENGTH)
	}
	if (match(text, /# *(SKIP|skip)/)) {
		verdict = "skip"
		last_skip = substr(text, RSTART + RLENGTH)
		sub(/^[ :]*/, "", last_skip)
	} else if (verdict == "fail" && match(text, /# *(TODO|todo|XFAIL)/)) {
		verdict = "skip"
	}
	result(verdict, text)
}

END {
	ending = end_as_text()
	if (how == "exit" && value == 4 && !failed && !points) {
		result("skip", skip_all != "" ? skip_all : "exit status 4")
	} else if (how == "exit" && value == 4 && !failed && points < plan) {
		# What would have come is skipped for the reason given last.
		for (i = points + 1; i <= plan; i++)
			result("skip", i " # SKIP " last_skip)
	} else if (how == "exit" && value == 0 && plans == 1 && plan == 0) {
		result("skip", skip_all)
	} else {
		text = join(ending, plan_as_text())
		if (text != "")
			result("fail", text)
	}
}
