// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: the command line, see options.h. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

#define EVERY_MS	1000
#define AFTER_MS	1000
#define HOOK_S		10
#define HOOK_S_MAX	3600
#define MS_MAX		86400000UL

static const char usage[] =
	"cptdev-run [--name NAME] --file FILE [--every MS] [--untied] [--stats] [--] PROGRAM [ARG...]\n"
	"cptdev-run --name NAME [--programs SOCKET] [--every MS] [-x COMMAND [-t SECONDS]] [--stats]\n"
	"           [--] PROGRAM [ARG...]\n"
	"cptdev-run --name NAME --spare [--programs SOCKET] [--every MS] [-x COMMAND [-t SECONDS]]\n"
	"           [--stats]\n"
	"cptdev-run --pid PID [--name NAME] --file FILE [--every MS] [--untied] [--stats]\n"
	"cptdev-run --pid PID --name NAME [--programs SOCKET] [--every MS] [-x COMMAND [-t SECONDS]]\n"
	"           [--stats]\n"
	"cptdev-run --restart FILE [--file FILE] [--every MS] [--untied] [--stats]\n"
	"cptdev-run --check [--after MS] [--] PROGRAM [ARG...]\n"
	"cptdev-run --check --pid PID\n"
	"\n"
	"Run a program as it is with checkpoints, or restart it from one.\n"
	"\n"
	"  -c, --check         list what of a program is covered and what is refused, then end it\n"
	"      --after MS      let it run so long before the list is made (1000)\n"
	"      --pid PID       a process that runs already, in place of a program that is started; it goes\n"
	"                      on when cptdev-run is ended by SIGINT or SIGTERM\n"
	"  -f, --file FILE     write checkpoints to FILE, each in place of the one before\n"
	"  -e, --every MS      milliseconds between checkpoints (1000); never: only when cptdevd wants one\n"
	"  -n, --name NAME     without --file: the session's name at cptdevd, which brings checkpoints\n"
	"                      to the other host; else only a name for messages\n"
	"  -s, --spare         wait until NAME is promoted on this host, and continue the program\n"
	"      --programs SOCKET   cptdevd's socket for programs (/run/cptdevd/programs)\n"
	"  -x, --hook COMMAND  run by sh(1) before the program begins, waits or continues: it moves the\n"
	"                      service's address, see hotspare-address(8)\n"
	"      --checkpoint-hook COMMAND   run by sh(1) before and after each checkpoint and at a restart\n"
	"  -t, --hook-timeout SECONDS   a command is killed after this time (10)\n"
	"  -r, --restart FILE  restart the program from a checkpoint\n"
	"      --untied        the program goes on without checkpoints if cptdev-run dies\n"
	"      --stats         say at the end how many checkpoints were taken, and their pauses\n"
	"  -h, --help          this text\n"
	"  -V, --version       the version\n"
	"\n"
	"The exit status is the program's; 128 and the signal's number if a signal ended it; 125 if\n"
	"cptdev-run failed. With --check: 0 if nothing was refused, else 1. See cptdev-run(1).\n";

enum { AFTER = 256, AROUND, PID, PROGRAMS, UNTIED, STATS };

static const struct option list[] = {
	{ "check", no_argument, NULL, 'c' },
	{ "after", required_argument, NULL, AFTER },
	{ "pid", required_argument, NULL, PID },
	{ "file", required_argument, NULL, 'f' },
	{ "every", required_argument, NULL, 'e' },
	{ "name", required_argument, NULL, 'n' },
	{ "spare", no_argument, NULL, 's' },
	{ "programs", required_argument, NULL, PROGRAMS },
	{ "hook", required_argument, NULL, 'x' },
	{ "checkpoint-hook", required_argument, NULL, AROUND },
	{ "hook-timeout", required_argument, NULL, 't' },
	{ "restart", required_argument, NULL, 'r' },
	{ "untied", no_argument, NULL, UNTIED },
	{ "stats", no_argument, NULL, STATS },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ 0 }
};

__attribute__((noreturn, format(printf, 1, 2)))
static void wrong(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "cptdev-run: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, ": see cptdev-run --help\n");
	exit(2);
}

static uint64_t number(const char *what, const char *text, uint64_t min, uint64_t max)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || *end || text[0] < '0' || text[0] > '9' || n < min || n > max)
		wrong("%s is a number from %llu to %llu, not '%s'", what, (unsigned long long)min,
		      (unsigned long long)max, text);
	return n;
}

static void check(const struct run_options *o)
{
	if (o->check) {
		if (o->file || o->restart || o->spare || o->around)
			wrong("--check takes neither --file nor --restart nor --spare nor --checkpoint-hook");
		if (!o->program == !o->pid)
			wrong("--check needs a program or --pid, and not both");
		return;
	}
	if (o->pid && (o->program || o->restart || o->spare))
		wrong("--pid is a process that runs: it takes neither a program nor --restart nor --spare");
	if (o->hook && (o->file || o->restart || !o->name))
		wrong("--hook is for programs with a spare: use --name without --file");
	if (!o->every_ms && (o->file || o->restart || !o->name))
		wrong("--every never is for programs with a spare, whose cptdevd asks for checkpoints: use --name without --file");
	if (o->restart && o->program)
		wrong("--restart takes the program from the checkpoint");
	if (o->spare) {
		if (!o->name)
			wrong("--spare needs --name");
		if (o->program || o->restart || o->file)
			wrong("--spare takes the program from the replica, and sends its checkpoints on");
		return;
	}
	if (!o->restart && !o->program && !o->pid)
		wrong("a program is missing");
	if (!o->restart && !o->file && !o->name)
		wrong("--file or --name is missing: where the checkpoints go");
}

void run_options_parse(struct run_options *o, int argc, char **argv)
{
	int c;

	*o = (struct run_options) {
		.every_ms = EVERY_MS, .after_ms = AFTER_MS, .hook_s = HOOK_S,
	};
	while ((c = getopt_long(argc, argv, "+cf:e:n:r:st:x:hV", list, NULL)) >= 0) {
		switch (c) {
		case 'c':
			o->check = true;
			break;
		case AFTER:
			o->after_ms = number("--after", optarg, 0, MS_MAX);
			break;
		case PID:
			o->pid = (pid_t)number("--pid", optarg, 1, 4194304);
			break;
		case 'f':
			o->file = optarg;
			break;
		case 'e':
			o->every_ms = strcmp(optarg, "never") ? number("--every", optarg, 1, MS_MAX) : 0;
			break;
		case 'n':
			o->name = optarg;
			break;
		case 'r':
			o->restart = optarg;
			break;
		case 's':
			o->spare = true;
			break;
		case 'x':
			o->hook = optarg;
			break;
		case AROUND:
			o->around = optarg;
			break;
		case 't':
			o->hook_s = (unsigned int)number("--hook-timeout", optarg, 1, HOOK_S_MAX);
			break;
		case PROGRAMS:
			o->programs = optarg;
			break;
		case UNTIED:
			o->untied = true;
			break;
		case STATS:
			o->stats = true;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		case 'V':
			puts("cptdev-run " VERSION);
			exit(0);
		default:
			exit(2);
		}
	}
	o->programs = o->programs ?: getenv("CPTDEVD_PROGRAMS");
	o->program = optind < argc ? &argv[optind] : NULL;
	check(o);
}
