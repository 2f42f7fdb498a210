// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptbench: options.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cptbench.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

/* So much fits into a checkpoint's meta-data. */
#define HEADERS_MAX	4096

/* Each is two mappings, with the one behind it, and a process has 65530 by default. */
#define REGIONS_MAX	30000

struct knobs knobs = {
	.memory = 64 << 20, .regions = 4, .share = 10, .contiguity = 4,
	.interval_ms = 100, .count = 20, .methods = 5, .output = "/dev/null",
};

static const struct option longopts[] = {
	{ "memory", required_argument, NULL, 'm' },
	{ "regions", required_argument, NULL, 'r' },
	{ "descriptors", required_argument, NULL, 'd' },
	{ "threads", required_argument, NULL, 't' },
	{ "signals", required_argument, NULL, 's' },
	{ "modify", required_argument, NULL, 'p' },
	{ "contiguity", required_argument, NULL, 'c' },
	{ "scattered", no_argument, NULL, 'x' },
	{ "untouched", required_argument, NULL, 'u' },
	{ "huge", no_argument, NULL, 'H' },
	{ "interval", required_argument, NULL, 'i' },
	{ "count", required_argument, NULL, 'n' },
	{ "method", required_argument, NULL, 'M' },
	{ "full", no_argument, NULL, 'f' },
	{ "output", required_argument, NULL, 'o' },
	{ "verify", no_argument, NULL, 'v' },
	{ "spoil", required_argument, NULL, 'S' },
	{ "json", no_argument, NULL, 'j' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 }
};

static void usage(void)
{
	size_t i;

	printf("usage: cptbench [options]\n"
	       "How long does a program stand still for its checkpoints?\n"
	       "\n"
	       "What is checkpointed, and how it changes:\n"
	       "  -m, --memory SIZE        of all regions, such as 64M, 512K, 4G (64M)\n"
	       "  -r, --regions N          the memory is in so many mappings (4)\n"
	       "  -d, --descriptors N      open files whose state goes with it (0)\n"
	       "  -t, --threads N          threads that modify; 0: main does (0)\n"
	       "  -s, --signals N          handlers whose state goes with it (0)\n"
	       "  -p, --modify PERCENT     pages modified between two checkpoints (10)\n"
	       "  -c, --contiguity N       so many in a row, then one is left out (4)\n"
	       "  -x, --scattered          single pages all over the memory instead\n"
	       "  -u, --untouched SIZE     address space in the regions, never written to (none)\n"
	       "  -H, --huge               in transparent huge pages, where the kernel has them\n"
	       "  -i, --interval MS        from one checkpoint to the next (100)\n"
	       "  -n, --count N            checkpoints to measure, after a first one (20)\n"
	       "\n"
	       "How:\n"
	       "  -M, --method LIST        all, or some of these (snapshot,fork):\n");
	for (i = 0; i < NR_METHODS; i++)
		printf("                             %-10s%s\n", methods[i].name,
		       methods[i].help);
	printf("  -f, --full               snapshot: all memory each time\n"
	       "  -o, --output FILE        where checkpoints are written (/dev/null)\n"
	       "  -v, --verify             check what was written, byte by byte\n"
	       "      --spoil byte|page    to test --verify: a wrong byte, or a page left\n"
	       "                           out, in the last checkpoint\n"
	       "\n"
	       "  -j, --json               a line of JSON for each method\n"
	       "  -V, --version            print the version and exit\n"
	       "  -h, --help               print this and exit\n"
	       "\n"
	       "Exit status: 0 done, 1 failed, or a checkpoint was wrong, 2 wrong usage,\n"
	       "3 the module can't be used. See cptbench(1).\n");
}

void die(int status, const char *format, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "cptbench: ");
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(status);
}

static const char *name_of(int option)
{
	size_t i = 0;

	while (longopts[i].val != option)
		i++;
	return longopts[i].name;
}

static unsigned int number(int option, const char *text, unsigned int min,
			   unsigned int max)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *text < '0' || *text > '9' || *end || value < min || value > max)
		die(EXIT_USAGE, "--%s %s: want a whole number from %u to %u",
		    name_of(option), text, min, max);
	return (unsigned int)value;
}

static size_t size(int option, const char *text)
{
	static const char units[] = "KMG";
	unsigned long long value;
	const char *unit;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (errno || *text < '0' || *text > '9' || !unit || end[1] || !value ||
	    value > 1 << 20)
		die(EXIT_USAGE, "--%s %s: want a number with K, M or G, such as 64M",
		    name_of(option), text);
	return (size_t)value << (10 * (unit - units + 1));
}

static unsigned int method_bits(const char *list)
{
	unsigned int bits = 0, i;
	char *copy = strdup(list), *word, *save;

	for (word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		for (i = 0; i < NR_METHODS && strcmp(word, methods[i].name); i++)
			;
		if (!strcmp(word, "all"))
			bits |= (1U << NR_METHODS) - 1;
		else if (i < NR_METHODS)
			bits |= 1U << i;
		else
			die(EXIT_USAGE, "--method %s: there is no '%s'; see cptbench --help",
			    list, word);
	}
	free(copy);
	if (!bits)
		die(EXIT_USAGE, "--method: none is named; see cptbench --help");
	return bits;
}

static enum spoil spoil(const char *text)
{
	if (!strcmp(text, "byte"))
		return SPOIL_BYTE;
	if (!strcmp(text, "page"))
		return SPOIL_PAGE;
	die(EXIT_USAGE, "--spoil %s: want byte or page", text);
}

static void set(int option, const char *value)
{
	switch (option) {
	case 'm':
		knobs.memory = size(option, value);
		break;
	case 'u':
		knobs.untouched = size(option, value);
		break;
	case 'H':
		knobs.huge = true;
		break;
	case 'x':
		knobs.scattered = true;
		break;
	case 'r':
		knobs.regions = number(option, value, 1, REGIONS_MAX);
		break;
	case 'd':
		knobs.descriptors = number(option, value, 0, HEADERS_MAX);
		break;
	case 't':
		knobs.threads = number(option, value, 0, 1000);
		break;
	case 's':
		knobs.signals = number(option, value, 0, 20);
		break;
	case 'p':
		knobs.share = number(option, value, 0, 100);
		break;
	case 'c':
		knobs.contiguity = number(option, value, 1, 1U << 30);
		break;
	case 'i':
		knobs.interval_ms = number(option, value, 0, 3600000);
		break;
	case 'n':
		knobs.count = number(option, value, 1, 1000000);
		break;
	case 'M':
		knobs.methods = method_bits(value);
		break;
	case 'f':
		knobs.full = true;
		break;
	case 'o':
		knobs.output = value;
		break;
	case 'v':
		knobs.verify = true;
		break;
	case 'S':
		knobs.spoil = spoil(value);
		break;
	case 'j':
		knobs.json = true;
		break;
	case 'V':
		printf("cptbench %s\n", VERSION);
		exit(0);
	case 'h':
		usage();
		exit(0);
	default:
		die(EXIT_USAGE, "for the options see cptbench --help");
	}
}

/* What fits together. */
static void check(void)
{
	size_t pages = knobs.memory / (size_t)sysconf(_SC_PAGESIZE);
	size_t most = knobs.scattered ? pages : pages - pages / (knobs.contiguity + 1ULL);

	if (pages < knobs.regions)
		die(EXIT_USAGE, "--regions %u: the memory has only %zu pages; take fewer, or more --memory",
		    knobs.regions, pages);
	if (pages * knobs.share / 100 > most)
		die(EXIT_USAGE, "--modify %u: with one page left out after each %u at most %zu %% can be; take --contiguity %zu or more",
		    knobs.share, knobs.contiguity, most * 100 / pages,
		    knobs.share == 100 ? pages : 99 / (100 - knobs.share));
	if (knobs.descriptors + knobs.threads + knobs.signals > HEADERS_MAX)
		die(EXIT_USAGE, "--descriptors, --threads and --signals: at most %u in all",
		    HEADERS_MAX);
	if (knobs.spoil && !knobs.verify)
		die(EXIT_USAGE, "--spoil is of use with --verify only");
}

void options_parse(int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "m:r:d:t:s:p:c:xu:Hi:n:M:fo:vjVh", longopts,
				     NULL)) != -1)
		set(option, optarg);
	if (optind < argc)
		die(EXIT_USAGE, "'%s': no argument wanted; for the options see cptbench --help",
		    argv[optind]);
	check();
}
