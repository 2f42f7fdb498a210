// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptdevctl: what the kernel and the daemon know, and what a person may decide. A table
 * of verbs prints its own help; without a verb the status is shown.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "programs.h"
#include "verbs.h"

/* Until the other host has answered, and its program goes on. */
#define SWITCH_MORE_S	45
/* So that wait says itself what is missing. */
#define WAIT_MORE_S	5

static int bad_number(struct ctl *c, const char *option, const char *value,
		      const char *allowed)
{
	return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl --help",
			"%s %s: allowed are %s", option, value, allowed);
}

static bool number(const char *text, u64 min, u64 max, u64 *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	return !errno && *text >= '0' && *text <= '9' && !*end && *value >= min &&
		*value <= max;
}

static int parse_timeout(struct ctl *c, const char *text)
{
	u64 value;

	if (!number(text, 1, 86400, &value))
		return bad_number(c, "--timeout", text, "1 to 86400 seconds");
	c->timeout_s = value;
	return -1;
}

static int parse_term(struct ctl *c, const char *text)
{
	c->term_given = true;
	if (!number(text, 1, ~0ULL, &c->term))
		return bad_number(c, "--term", text, "whole numbers from 1");
	return -1;
}

static int parse_generation(struct ctl *c, const char *text)
{
	if (!number(text, 1, ~0ULL, &c->generation))
		return bad_number(c, "--generation", text, "whole numbers from 1");
	return -1;
}

/* Returns an exit status, or -1 to go on. */
static int parse_option(struct ctl *c, int option)
{
	switch (option) {
	case 'j':
		c->json = true;
		return -1;
	case 't':
		return parse_timeout(c, optarg);
	case 's':
		c->socket = optarg;
		return -1;
	case 'T':
		return parse_term(c, optarg);
	case 'g':
		return parse_generation(c, optarg);
	case 'a':
		c->all = true;
		return -1;
	case 'p':
		c->peer = optarg;
		return -1;
	case 'f':
		c->force = true;
		return -1;
	case 'c':
		c->check = true;
		return -1;
	case 'w':
		c->watch = true;
		return -1;
	case 'C':
		c->cancel = true;
		return -1;
	case 'P':
		c->protection = true;
		return -1;
	case 'V':
		fprintf(c->out, "cptdevctl %s\n", VERSION);
		return EXIT_DONE;
	case 'h':
		verbs_usage(c->out);
		return EXIT_DONE;
	}
	return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl --help",
			"unknown option, or its value is missing");
}

static int parse_options(struct ctl *c, int argc, char **argv)
{
	int option, i, status = -1;

	/* So that a mistake before it is told in JSON as well. */
	for (i = 1; i < argc; i++)
		c->json |= !strcmp(argv[i], "--json") || !strcmp(argv[i], "-j");
	opterr = 0;
	while (status < 0 &&
	       (option = getopt_long(argc, argv, "jt:s:T:g:ap:fcwCPVh", verbs_options, NULL)) != -1)
		status = parse_option(c, option);
	return status;
}

/*
 * The time-out: whatever hangs, a call into the kernel included. The message is made
 * before, since a signal handler may do little.
 */
static char timeout_text[256];

static void on_alarm(int sig)
{
	ssize_t n = write(STDOUT_FILENO, timeout_text, strlen(timeout_text));

	(void)sig;
	(void)n;
	_exit(EXIT_TIMEOUT);
}

static void arm_timeout(const struct ctl *c, const char *verb)
{
	u32 seconds = c->timeout_s ? c->timeout_s : TIMEOUT_S;

	/* There it is the daemon's, as long as nothing is handed over. */
	if (!strcmp(verb, "switchover"))
		seconds += SWITCH_MORE_S;
	if (!strcmp(verb, "wait") || !strcmp(verb, "checkpoint"))
		seconds += WAIT_MORE_S;

	if (c->json)
		snprintf(timeout_text, sizeof(timeout_text),
			 "{ \"schema_version\": %d, \"error\": { \"code\": \"timeout\", \"message\": \"%s took longer than %u s\" } }\n",
			 JSON_SCHEMA_VERSION, verb, seconds);
	else
		snprintf(timeout_text, sizeof(timeout_text),
			 "cptdevctl: %s took longer than %u s\n", verb, seconds);
	signal(SIGALRM, on_alarm);
	alarm(seconds);
}

/* Options that only one verb knows. */
static int check_options(struct ctl *c, verb_fn fn)
{
	const char *wrong = NULL;

	if (c->term_given && fn != verb_promote)
		wrong = "--term is only for promote";
	else if (c->generation && fn != verb_promote)
		wrong = "--generation is only for promote";
	else if ((c->all || c->peer) && fn != verb_promote)
		wrong = "--all and --peer are only for promote";
	else if (c->force && fn != verb_promote && fn != verb_replica && fn != verb_forget &&
		 fn != verb_alone && fn != verb_switchover && fn != verb_verify)
		wrong = "--force is only for promote, forget, alone, verify, switchover --cancel and replica remove";
	else if (c->cancel && fn != verb_switchover)
		wrong = "--cancel is only for switchover";
	else if (c->check && fn != verb_status)
		wrong = "--check is only for status";
	else if (c->watch && fn != verb_status)
		wrong = "--watch is only for status";
	else if (c->protection && fn != verb_wait)
		wrong = "--protected is only for wait";
	return wrong ? ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl --help", "%s", wrong) : 0;
}

static int run_verb(struct ctl *c, int argc, char **argv)
{
	const char *name = argc ? argv[0] : "status";
	const struct verb *v = verbs_find(name);
	int ret;

	if (!v)
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl --help", "unknown verb '%s'",
				name);
	if (argc > 1 && (!*v->args || v->fn == verb_status))
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl --help",
				"%s takes no argument '%s'", name, argv[1]);
	ret = check_options(c, v->fn);
	if (ret)
		return ret;
	/* Some mind it themselves, or become another program; the files of the last two may be large. */
	if (v->fn != verb_monitor && v->fn != verb_top && v->fn != verb_report &&
	    v->fn != verb_restart && v->fn != verb_verify && !c->watch &&
	    ((v->fn != verb_inspect && v->fn != verb_plot) || c->timeout_s))
		arm_timeout(c, name);
	return v->fn(c, argc ? argc - 1 : 0, argv + 1);
}

/* Why the output failed. stdio forgets it when that was long ago; a lost reader stays lost. */
static int output_error(FILE *to)
{
	struct pollfd pfd = { .fd = fileno(to) };

	errno = 0;
	if (!fflush(to) && !ferror(to))
		return 0;
	if (errno)
		return errno;
	return poll(&pfd, 1, 0) == 1 ? EPIPE : EIO;
}

/* An answer that nobody got is a failure, but not of what was done. */
static int finish(struct ctl *c, int status)
{
	int err = output_error(c->out);

	if (!err || (err == EPIPE && c->streams))
		return status;
	if (err != EPIPE)
		fprintf(c->err, "cptdevctl: can't write the answer: %s\n", strerror(err));
	return status == EXIT_DONE && !c->changed ? EXIT_FAILED : status;
}

int main(int argc, char **argv)
{
	struct ctl c = {
		.socket = CONTROL_SOCKET, .kernel = kernel_module(),
		.page_size = sysconf(_SC_PAGESIZE), .out = stdout, .err = stderr,
	};
	int status;

	/* Something is done to the end, even if nobody reads how it went. */
	signal(SIGPIPE, SIG_IGN);
	status = parse_options(&c, argc, argv);
	if (status < 0 && programs_kernel(c.socket))
		c.kernel = programs_kernel(c.socket);
	if (status < 0)
		status = run_verb(&c, argc - optind, argv + optind);
	return finish(&c, status);
}
