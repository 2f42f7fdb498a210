// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: what a program is started as, see options.h. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "options.h"
#include "touch.h"

static const char usage[] =
	"  -m, --master            run, and send checkpoints to the spare\n"
	"  -s, --spare             receive checkpoints, and continue when the master has failed\n"
	"  -a, --address ADDRESS   of the other host; a spare accepts checkpoints from there only\n"
	"                          (0.0.0.0 or ::  from any host; without -a: from this host)\n"
	"  -p, --port PORT         on which the spare listens (7411)\n"
	"  -k, --key FILE          with -a or -s: the key for TLS, the same on both hosts; fd:N is a\n"
	"                          descriptor. Required if the other host isn't this one\n"
	"  -n, --pipes N           checkpoints that may be under way at a time (1)\n"
	"  -S, --session NAME      the host's cptdevd sends checkpoints to the other host, and decides\n"
	"                          when the spare takes over; NAME is the session there; no -a\n"
	"  -f, --file FILE         write checkpoints to a file\n"
	"  -r, --restart FILE      continue from a checkpoint in a file\n"
	"  -F, --from NODE         with -m and -S: continue from the replica that the host NODE has, before\n"
	"                          all of it is here; see hs_init(3)\n"
	"  -l, --lazy              with -r: continue before all of the memory is read; the rest is read\n"
	"                          meanwhile\n"
	"  -c, --check             with -r: report what would break, and exit\n"
	"  -g, --generation N      with -r: continue from generation N, and ignore later ones\n"
	"  -t, --timeout SECONDS   of silence after which the other host counts as lost (5)\n"
	"  -w, --watchdog SECONDS  without a sign of life after which the program hangs (no limit)\n"
	"  -b, --backend NAME      how to take checkpoints: module; portable; compare (portable, without\n"
	"                          the kernel's help); auto: module if there is one, else portable\n"
	"                          (auto)\n"
	"  -u, --touched WINDOW    after a checkpoint note which pages are accessed, for -l: auto (with the\n"
	"                          module and -f, window by the speed of the store), no, or milliseconds\n"
	"                          (auto)\n"
	"  -x, --command COMMAND   that moves the service's address; see hs_init(3)\n";

/*
 * Options
 */

static int number(const char *text, const char *what, long max, long *to, struct hs_error *e)
{
	char *end;

	errno = 0;
	*to = strtol(text, &end, 10);
	if (!*text || *end || errno || *to < 1 || *to > max)
		return hs_fail(e, EINVAL, "%s '%.60s' isn't a number from 1 to %ld", what, text, max);
	return 0;
}

static int option(int c, struct options *o, struct hs_error *e)
{
	switch (c) {
	case 'm':
		o->master = true;
		return 0;
	case 's':
		o->spare = true;
		return 0;
	case 'a':
		o->address = optarg;
		return 0;
	case 'k':
		o->key = optarg;
		return 0;
	case 'S':
		o->session = optarg;
		return 0;
	case 'p':
		return number(optarg, "port", 65535, &o->port, e);
	case 'n':
		return number(optarg, "pipes", 64, &o->pipes, e);
	case 'f':
		o->file = optarg;
		return 0;
	case 'F':
		o->from = optarg;
		return 0;
	case 'r':
		o->restart = optarg;
		return 0;
	case 'c':
		o->check = true;
		return 0;
	case 'l':
		o->lazy = true;
		return 0;
	case 'g':
		return number(optarg, "generation", LONG_MAX, &o->generation, e);
	case 't':
		return number(optarg, "timeout", 3600, &o->timeout, e);
	case 'w':
		return number(optarg, "watchdog", 3600, &o->watchdog, e);
	case 'b':
		return hs_backend_by_name(optarg, &o->backend, e);
	case 'u':
		return hs_touch_set(optarg, e);
	case 'x':
		o->command.text = optarg;
		return 0;
	case 'h':
		printf("Options up to \"--\":\n%s", usage);
		exit(0);
	}
	return hs_fail(e, EINVAL, "unknown option, or an option without its argument: see -h");
}

/* Returns 0, or -1 with errno and @e. */
static int lazy_by_environment(struct options *o, struct hs_error *e)
{
	const char *text = getenv(LAZY) ?: "no";

	if (strcmp(text, "yes") && strcmp(text, "no"))
		return hs_fail(e, EINVAL, LAZY " must be yes or no, and is '%.60s'", text);
	o->lazy |= o->restart && !strcmp(text, "yes");
	return 0;
}

static int touched_by_environment(struct hs_error *e)
{
	struct hs_error what;

	if (!hs_touch_set(getenv(HS_TOUCH) ?: "auto", &what))
		return 0;
	return hs_fail(e, EINVAL, HS_TOUCH ": %s", what.text);
}

/* Up to "--", which getopt takes. */
int hs_options_parse(int argc, char **argv, struct options *o, struct hs_error *e)
{
	static const struct option longs[] = {
		{ "address", 1, NULL, 'a' }, { "backend", 1, NULL, 'b' },
		{ "check", 0, NULL, 'c' }, { "command", 1, NULL, 'x' },
		{ "file", 1, NULL, 'f' }, { "from", 1, NULL, 'F' },
		{ "generation", 1, NULL, 'g' },
		{ "key", 1, NULL, 'k' }, { "lazy", 0, NULL, 'l' }, { "master", 0, NULL, 'm' },
		{ "pipes", 1, NULL, 'n' }, { "port", 1, NULL, 'p' },
		{ "restart", 1, NULL, 'r' }, { "session", 1, NULL, 'S' },
		{ "spare", 0, NULL, 's' },
		{ "timeout", 1, NULL, 't' }, { "touched", 1, NULL, 'u' },
		{ "watchdog", 1, NULL, 'w' }, { "help", 0, NULL, 'h' }, { NULL, 0, NULL, 0 },
	};
	int c;

	optind = 0;
	if (touched_by_environment(e))
		return -1;
	while ((c = getopt_long(argc, argv, "+a:b:cf:F:g:k:lmn:p:r:sS:t:u:w:x:h", longs, NULL)) != -1)
		if (option(c, o, e))
			return -1;
	/* By hs_rejoin(): the arguments are still those of the master. */
	if (getenv(REJOIN)) {
		o->master = false;
		o->spare = true;
		o->restart = NULL;
		o->from = NULL;
		o->lazy = false;
	}
	if (o->master == o->spare)
		return hs_fail(e, EINVAL, "either -m or -s is needed, before \"--\": see -h");
	if (o->spare && o->restart)
		return hs_fail(e, EINVAL, "a spare gets its state from the master: -r isn't for a "
			       "spare");
	if (o->from && (o->spare || !o->session || o->restart))
		return hs_fail(e, EINVAL, "-F continues from a replica that another host's cptdevd has: it "
			       "goes with -m and -S, and without -r");
	if (o->generation && !o->restart)
		return hs_fail(e, EINVAL, "-g limits the generations of -r: -r is missing");
	if (o->check && !o->restart)
		return hs_fail(e, EINVAL, "-c checks the files of -r: -r is missing");
	if (o->lazy && !o->restart)
		return hs_fail(e, EINVAL, "-l reads the files of -r while the program runs: -r is missing");
	if (o->address && o->file)
		return hs_fail(e, EINVAL, "either -a or -f: checkpoints go to one place");
	if (o->key && (o->session || o->file))
		return hs_fail(e, EINVAL, "-k is for the private cptdevd: with -S the host's "
			       "cptdevd has the key, with -f there is no link");
	if (o->session && (o->address || o->file))
		return hs_fail(e, EINVAL, "with -S cptdevd knows where checkpoints go: leave out "
			       "-a and -f");
	return lazy_by_environment(o, e);
}

/*
 * A relative name is meant as of now. The program may change its directory before its first
 * checkpoint, and one that is restored has the directory of the checkpoint.
 */
static int resolve_file(struct options *o, struct hs_error *e)
{
	if (!o->file)
		return 0;
	o->absolute = hs_file_absolute(o->file);
	if (!o->absolute)
		return hs_fail(e, errno, "%s: %s", o->file, strerror(errno));
	o->file = o->absolute;
	return 0;
}

static int resolve_address(struct options *o, struct hs_error *e)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	const struct sockaddr_in *v4 = (const void *)&o->peer;
	const struct sockaddr_in6 *v6 = (const void *)&o->peer;
	struct addrinfo *list;
	char port[8];
	int err;

	if (!o->address)
		return 0;
	snprintf(port, sizeof(port), "%ld", o->port);
	err = getaddrinfo(o->address, port, &hints, &list);
	if (err)
		return hs_fail(e, EINVAL, "address '%.60s': %s", o->address, gai_strerror(err));
	memcpy(&o->peer, list->ai_addr, list->ai_addrlen);
	o->peer_len = list->ai_addrlen;
	freeaddrinfo(list);
	o->anywhere = o->peer.ss_family == AF_INET ? v4->sin_addr.s_addr == INADDR_ANY :
		IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
	if (o->anywhere && o->master)
		return hs_fail(e, EINVAL, "a master needs the address of its spare");
	return 0;
}

int hs_options_resolve(struct options *o, struct hs_error *e)
{
	return resolve_address(o, e) || resolve_file(o, e) ? -1 : 0;
}
