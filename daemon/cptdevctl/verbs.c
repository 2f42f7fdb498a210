// SPDX-License-Identifier: GPL-2.0-or-later
/* The verbs and options of cptdevctl. */
#include <string.h>

#include "verbs.h"

static const struct verb verbs[] = {
	{ "status", " [--check] [--watch]", verb_status,
	  "sessions, replicas, peers, and how far behind they are (default)" },
	{ "monitor", "", verb_monitor,
	  "the present state, then a line for each change" },
	{ "top", "", verb_top,
	  "the state and rates of everything, each second" },
	{ "plot", " NAME [FILE]", verb_plot,
	  "draw pause, lag and rate, from what monitor --json wrote" },
	{ "wait", " NAME [--protected]", verb_wait,
	  "wait for a session, or until a spare may take it over" },
	{ "metrics", "", verb_metrics,
	  "the status as OpenMetrics text, for monitoring" },
	{ "alone", " NAME [--force]", verb_alone,
	  "let a session go on without a spare, on this host only" },
	{ "checkpoint", " NAME", verb_checkpoint,
	  "ask a program for a checkpoint, until a spare has it" },
	{ "hold", " NAME [SECONDS]", verb_hold,
	  "hold checkpoints of a program off, for 60 seconds at most" },
	{ "release", " NAME", verb_release,
	  "end that before the time is over" },
	{ "ack", " NAME all|any|N|NODE...|default", verb_ack,
	  "the spares that must have acknowledged data" },
	{ "verify", " NAME [--force]", verb_verify,
	  "compare the replicas of a session with what was sent" },
	{ "forget", " NAME [--force]", verb_forget,
	  "delete the record of a name: its data may be lost" },
	{ "history", " NAME", verb_history,
	  "the past generations that a replica has kept" },
	{ "promote", " NAME|--all|--peer PEER", verb_promote,
	  "promote the replica: this host goes on from it" },
	{ "switchover", " NAME [PEER] [--cancel]", verb_switchover,
	  "move a service to the spare's host without a loss" },
	{ "start", " NAME", verb_start,
	  "how a program under this name has to start" },
	{ "role", " NAME", verb_role,
	  "the role of this host for a name, for scripts" },
	{ "replica", " list | remove NAME [--force]", verb_replica,
	  "the replicas that this host keeps" },
	{ "key", " FILE", verb_key,
	  "a new key for the links of two hosts" },
	{ "pki", " init|add-peer|remove-peer|renew|show", verb_pki,
	  "certificates for the links of hosts" },
	{ "inspect", " FILE...", verb_inspect,
	  "show and verify a checkpoint of libhotspare" },
	{ "restart", " FILE [-- OPTIONS]", verb_restart,
	  "restart a checkpoint that cptdev-run wrote" },
	{ "check", " [module]", verb_check,
	  "check the installation; next steps for problems" },
	{ "report", " [FILE]", verb_report,
	  "an archive for a report of a problem" },
	{ "completion", " bash|zsh", verb_completion,
	  "print a script for completion in the shell" },
	{ "version", "", verb_version, "the versions of this tool, the module and the daemon" },
};

const struct option verbs_options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "timeout", required_argument, NULL, 't' },
	{ "socket", required_argument, NULL, 's' },
	{ "term", required_argument, NULL, 'T' },
	{ "generation", required_argument, NULL, 'g' },
	{ "all", no_argument, NULL, 'a' },
	{ "peer", required_argument, NULL, 'p' },
	{ "force", no_argument, NULL, 'f' },
	{ "check", no_argument, NULL, 'c' },
	{ "watch", no_argument, NULL, 'w' },
	{ "cancel", no_argument, NULL, 'C' },
	{ "protected", no_argument, NULL, 'P' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{}
};

const struct verb *verbs_at(size_t i)
{
	return i < ARRAY_SIZE(verbs) ? &verbs[i] : NULL;
}

const struct verb *verbs_find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

void verbs_usage(FILE *to)
{
	size_t i;

	fprintf(to, "usage: cptdevctl [VERB] [options]\n\n");
	for (i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(to, "  %s%-*s %s\n", verbs[i].name,
			34 - (int)strlen(verbs[i].name), verbs[i].args, verbs[i].help);
	fprintf(to,
		"\n"
		"  -j, --json             answer in JSON, errors too\n"
		"  -t, --timeout SECONDS  give up after this time (default %d; monitor,\n"
		"                         top, status --watch, inspect, plot: never)\n"
		"  -s, --socket PATH      control socket of the daemon\n"
		"  -T, --term N           promote: the new term\n"
		"  -g, --generation N     promote: go back to a past generation, with --force\n"
		"  -a, --all              promote: every replica of this host\n"
		"  -p, --peer PEER        promote: every replica that this peer feeds\n"
		"  -f, --force            promote: even if the primary is alive and linked;\n"
		"                         replica remove: even if it follows a living session;\n"
		"                         verify: send anew what can't be compared\n"
		"  -c, --check            status: the exit status reports the worst problem\n"
		"  -w, --watch            status: again each second\n"
		"  -P, --protected        wait: until a spare may take the session over\n"
		"  -C, --cancel           switchover: the program goes on here\n"
		"  -V, --version          print the version and exit\n"
		"  -h, --help             print this and exit\n"
		"\n"
		"Exit status: 0 done, 1 failed, 2 wrong usage, 3 the module can't be asked,\n"
		"4 time-out; of status --check also 5 no daemon, 6 a peer isn't linked, 7 a session\n"
		"isn't protected; of start 0 fresh, 8 spare, 9 refused. See cptdevctl(8).\n", TIMEOUT_S);
}
