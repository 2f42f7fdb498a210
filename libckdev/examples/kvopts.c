// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kvstore: options.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ckdev.h>

#include "kvopts.h"

#define CONTROL	"/run/cptdevd/control"

static const char usage_text[] =
"Usage: kvstore [OPTION]...\n"
"A key-value store over TCP that a spare takes over; an example of libckdev.\n"
"\n"
"  --role ROLE       primary: checkpoints go to the spare (default); cptdevd is asked\n"
"                    first, and may say that this is the spare\n"
"                    spare: wait until the replica is promoted, then serve\n"
"                    alone: no checkpoints, no module needed\n"
"  --name NAME       of the session and its replica (default kv)\n"
"  --port PORT       TCP port to serve, 0: any free one (default 7070)\n"
"  --bind ADDRESS    IPv4 address to serve (default: all)\n"
"  --arena MIB       memory for the data, in MiB (default 64; spare: the primary's)\n"
"  --replace         primary: give up what the spare holds from another run\n"
"  --control SOCKET  of cptdevd (default " CONTROL ")\n"
"  --stats SECONDS   print a line of figures that often\n"
"  --stall SECONDS   close clients that don't read for so long (default 30)\n"
"  --pidfile FILE    write the process number there\n"
"  --help            this\n"
"\n"
"Exit status: 0 stopped by SIGTERM or SIGINT, 2 usage, 3 fenced: a spare took over,\n"
"4 the cptdev module isn't there or refuses, 5 cptdevd says that a person has to decide\n"
"first, 1 anything else.\n";

static const struct option options[] = {
	{ "role", required_argument, NULL, 'r' },
	{ "name", required_argument, NULL, 'n' },
	{ "port", required_argument, NULL, 'p' },
	{ "bind", required_argument, NULL, 'b' },
	{ "arena", required_argument, NULL, 'a' },
	{ "replace", no_argument, NULL, 'R' },
	{ "control", required_argument, NULL, 'c' },
	{ "stats", required_argument, NULL, 's' },
	{ "stall", required_argument, NULL, 'S' },
	{ "pidfile", required_argument, NULL, 'P' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 }
};

static const char *const roles[] = { "primary", "spare", "alone" };

void kv_die(int status, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "kvstore: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(status);
}

const char *kv_role_name(enum kv_role role)
{
	return roles[role];
}

static uint64_t number(const char *option, const char *value, uint64_t min, uint64_t max)
{
	char *end;
	uint64_t n;

	errno = 0;
	n = strtoull(value, &end, 10);
	if (errno || end == value || *end || value[0] == '-' || n < min || n > max)
		kv_die(EXIT_USAGE, "--%s %s: want a number from %llu to %llu", option, value,
		       (unsigned long long)min, (unsigned long long)max);
	return n;
}

static enum kv_role role_of(const char *value)
{
	int i;

	for (i = 0; i < 3; i++)
		if (!strcmp(value, roles[i]))
			return (enum kv_role)i;
	kv_die(EXIT_USAGE, "--role %s: want primary, spare or alone", value);
}

static void set(struct kv_options *opt, int c, const char *value)
{
	switch (c) {
	case 'r':
		opt->role = role_of(value);
		break;
	case 'n':
		opt->name = value;
		break;
	case 'p':
		opt->port = (uint16_t)number("port", value, 0, 65535);
		break;
	case 'b':
		opt->bind = value;
		break;
	case 'a':
		opt->arena_size = number("arena", value, 1, 1 << 20) << 20;
		break;
	case 'R':
		opt->session_flags |= CPTDEV_SESSION_REPLACE;
		break;
	case 'c':
		opt->control = value;
		break;
	case 's':
		opt->stats_s = (unsigned int)number("stats", value, 1, 86400);
		break;
	case 'S':
		opt->stall_ms = (unsigned int)number("stall", value, 1, 86400) * 1000;
		break;
	case 'P':
		opt->pidfile = value;
		break;
	case 'h':
		fputs(usage_text, stdout);
		exit(EXIT_SUCCESS);
	default:
		kv_die(EXIT_USAGE, "for the options see kvstore --help");
	}
}

void kv_options_parse(struct kv_options *opt, int argc, char **argv)
{
	int c;

	*opt = (struct kv_options){
		.name = "kv", .port = 7070, .arena_size = 64 << 20, .stall_ms = 30000,
		.control = CONTROL,
	};
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		set(opt, c, optarg);
	if (optind < argc)
		kv_die(EXIT_USAGE, "'%s': no argument wanted; for the options see "
		       "kvstore --help", argv[optind]);
}
