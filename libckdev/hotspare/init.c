// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: what a program is started as: master, spare, or from files; and becoming
 * the program that the checkpoint is of.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ask.h"
#include "check.h"
#include "checkpoint.h"
#include "clock.h"
#include "command.h"
#include "detect.h"
#include "environment.h"
#include "fork.h"
#include "hotspare.h"
#include "kept.h"
#include "mirror.h"
#include "module.h"
#include "pipe.h"
#include "private.h"
#include "publish.h"
#include "schedule.h"
#include "takeover.h"
#include "watchdog.h"
#include "written.h"

#define PORT	7411
/* In the environment of a program that hs_rejoin() has started anew. */
#define REJOIN	"HOTSPARE_REJOIN"

/* What hs_rejoin() needs: how the program was started. */
static char **arguments;
static sigset_t mask;
static uint64_t term;			/* of the session */

struct options {
	bool master, spare, check;
	const char *address, *file, *restart, *session;
	uint64_t term;			/* of the promotion that was taken */
	char *absolute;			/* what @file is then */
	/* the newest checkpoint that -r begins from; 0: any */
	long generation;
	struct hs_command command;
	long port, pipes, timeout, watchdog;
	enum hs_wish backend;
	/* what @address says */
	struct sockaddr_storage peer;
	socklen_t peer_len;
	bool anywhere;
};

static const char usage[] =
	"  -m, --master            run, and send checkpoints to the spare\n"
	"  -s, --spare             take them in, and go on when the master has failed\n"
	"  -a, --address ADDRESS   of the other host; a spare takes checkpoints from there only\n"
	"                          (0.0.0.0 or ::  from anywhere; without: from this host)\n"
	"  -p, --port PORT         that the spare listens on (7411)\n"
	"  -n, --pipes N           checkpoints that may be under way at a time (1)\n"
	"  -S, --session NAME      cptdevd brings checkpoints to the other host, and says when the\n"
	"                          spare takes over: a session and a replica of that name; no -a\n"
	"  -f, --file FILE         write checkpoints to a file\n"
	"  -r, --restart FILE      begin as a checkpoint in a file was\n"
	"  -c, --check             with -r: don't begin, say what would break\n"
	"  -g, --generation N      with -r: as of generation N, if there are later ones, too\n"
	"  -t, --timeout SECONDS   after which the other host counts as gone (5)\n"
	"  -w, --watchdog SECONDS  so long the program may give no sign of life (no time)\n"
	"  -b, --backend NAME      who takes checkpoints: module; portable; compare, which is the\n"
	"                          second without the kernel's help; or the first of these that\n"
	"                          is there: auto (auto)\n"
	"  -x, --command COMMAND   run to move the service's address; see hs_init(3)\n";

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
	case 'r':
		o->restart = optarg;
		return 0;
	case 'c':
		o->check = true;
		return 0;
	case 'g':
		return number(optarg, "generation", LONG_MAX, &o->generation, e);
	case 't':
		return number(optarg, "timeout", 3600, &o->timeout, e);
	case 'w':
		return number(optarg, "watchdog", 3600, &o->watchdog, e);
	case 'b':
		return hs_backend_by_name(optarg, &o->backend, e);
	case 'x':
		o->command.text = optarg;
		return 0;
	case 'h':
		printf("Options up to \"--\":\n%s", usage);
		exit(0);
	}
	return hs_fail(e, EINVAL, "unknown option, or one without its argument: see -h");
}

/* Up to "--", which getopt takes. */
static int parse(int argc, char **argv, struct options *o, struct hs_error *e)
{
	static const struct option longs[] = {
		{ "address", 1, NULL, 'a' }, { "backend", 1, NULL, 'b' },
		{ "check", 0, NULL, 'c' }, { "command", 1, NULL, 'x' },
		{ "file", 1, NULL, 'f' }, { "generation", 1, NULL, 'g' },
		{ "master", 0, NULL, 'm' },
		{ "pipes", 1, NULL, 'n' }, { "port", 1, NULL, 'p' },
		{ "restart", 1, NULL, 'r' }, { "session", 1, NULL, 'S' },
		{ "spare", 0, NULL, 's' },
		{ "timeout", 1, NULL, 't' }, { "watchdog", 1, NULL, 'w' }, { "help", 0, NULL, 'h' }, { NULL, 0, NULL, 0 },
	};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "+a:b:cf:g:mn:p:r:sS:t:w:x:h", longs, NULL)) != -1)
		if (option(c, o, e))
			return -1;
	/* By hs_rejoin(): the arguments are still those of the master. */
	if (getenv(REJOIN)) {
		o->master = false;
		o->spare = true;
		o->restart = NULL;
	}
	if (o->master == o->spare)
		return hs_fail(e, EINVAL, "either -m or -s is needed, before \"--\": see -h");
	if (o->spare && o->restart)
		return hs_fail(e, EINVAL, "a spare gets what it needs from the master: no -r");
	if (o->generation && !o->restart)
		return hs_fail(e, EINVAL, "-g says how far -r goes: there is no -r");
	if (o->check && !o->restart)
		return hs_fail(e, EINVAL, "-c says what would break if -r went on: there is no -r");
	if (o->address && o->file)
		return hs_fail(e, EINVAL, "either -a or -f: checkpoints go to one place");
	if (o->session && (o->address || o->file))
		return hs_fail(e, EINVAL, "with -S cptdevd knows where checkpoints go: no -a, no -f");
	return 0;
}

/*
 * What is relative is meant as of now. The program may change its directory before its first
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

static int resolve(struct options *o, struct hs_error *e)
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

/*
 * Masters
 */

static void tell_backend(void)
{
	const char *teller;
	struct hs_error e;

	if (hs_by_module()) {
		hs_say("%s: checkpoints by the cptdev module", program_invocation_short_name);
		return;
	}
	teller = hs_written_by(&e);
	hs_say("%s: checkpoints by fork: %s\n%s: what changed is told by %s%s",
	       program_invocation_short_name, hs_not_by_module(), program_invocation_short_name,
	       teller ?: "comparison: ", teller ? "" : e.text);
}

/* Who has taken over goes on in any case: whether there is a module was asked at the start. */
static void choose_backend(enum hs_wish wish)
{
	struct hs_error e;

	if (hs_backend_choose(wish, &e)) {
		hs_say("%s: %s", program_invocation_short_name, e.text);
		hs_backend_choose(HS_PORTABLE, NULL);
	}
	tell_backend();
}

static int load_files(const struct options *o, struct hs_error *e)
{
	long i;

	if (!o->file)
		return 0;
	if (hs_cpipe_init((int)o->pipes))
		return hs_fail(e, errno, "no pipes: %s", strerror(errno));
	for (i = 0; i < o->pipes; i++)
		if (hs_cpipe_loadfile(o->file))
			return hs_fail(e, errno, "%s: %s", o->file, strerror(errno));
	return 0;
}

static struct hs_private private_of(const struct options *o)
{
	return (struct hs_private) {
		.peer = o->address && !o->anywhere ? (const struct sockaddr *)&o->peer : NULL,
		.peer_len = o->peer_len, .port = (unsigned int)o->port, .anywhere = o->anywhere,
		.timeout = (unsigned int)o->timeout, .asked = hs_det_asked(),
	};
}

/* The program's own cptdevd: a master's begins here, a spare's is told that it is a master's. */
static int open_private(struct options *o, struct hs_error *e)
{
	const struct hs_private how = private_of(o);
	int ret = o->spare ? hs_private_took_over(e) : hs_private_master(&how, e);

	o->session = hs_private_session();
	hs_publish_private((unsigned int)o->pipes);
	return ret;
}

/*
 * The session, if there is one: with the rights that the program begins with, which it may have
 * given up. A program that has taken over goes on in any case: hs_cpt() tells its failures.
 */
static int open_session(struct options *o, struct hs_error *e)
{
	bool own = o->spare ? !!hs_private_programs() : o->address && !o->session;
	int ret = own ? open_private(o, e) : 0;

	term = o->term ?: 1;
	if (!ret && o->session)
		ret = hs_publish_start(o->session, o->term, (unsigned int)o->timeout, e);
	if (!ret || !o->spare)
		return ret;
	hs_say("%s: going on without a spare: %s", program_invocation_short_name, e->text);
	return 0;
}

static int open_way_out(const struct options *o, struct hs_error *e)
{
	if (!o->session) {
		choose_backend(o->backend);
		return load_files(o, e);
	}
	tell_backend();
	if (!hs_private_programs())
		hs_say("%s: session '%s' of cptdevd", program_invocation_short_name, o->session);
	return 0;
}

/* Before descriptors come back: those of the library make room for them. */
static int make_room(const struct hs_fds *fds, struct hs_error *e)
{
	return hs_private_make_room(fds, e) || hs_backend_make_room(fds, e) ? -1 : 0;
}

/*
 * To go on matters more than in which directory, or as how nice a process: but not with
 * rights that the program had given up.
 */
static int restore_process(const struct hs_process *p, struct hs_error *e)
{
	if (!hs_process_restore(p, e))
		return 0;
	if (!geteuid() && p->uid[1])
		return -1;
	hs_say("%s: going on, but %s", program_invocation_short_name, e->text);
	return 0;
}

/*
 * What there is besides memory. The address is there for what is bound to it, and connects
 * from it; it is announced when somebody listens, and before rights are given up.
 */
static int bring_back(struct hs_state *s, const struct hs_image_head *head,
		      const struct options *o, struct hs_error *e)
{
	if (o->spare)
		hs_command_try(&o->command, HS_EVENT_TAKEOVER, head);
	else if (hs_command_run(&o->command, HS_EVENT_MASTER, head, e))
		return -1;
	if (hs_fds_restore(&s->fds, e))
		return -1;
	hs_fds_tell_changed(&s->fds);
	if (o->spare)
		hs_command_try(&o->command, HS_EVENT_SERVE, head);
	if (hs_signals_restore(&s->signals, e) || restore_process(&s->process, e))
		return -1;
	hs_fds_arm(&s->fds);
	return 0;
}

/* What the checkpoint is of, from here on. Returns only if that fails. */
static int become(struct hs_mirror *m, struct options *o, struct hs_error *e)
{
	if (hs_mirror_restore(m, e))
		return -1;
	/* Their numbers may be among those that come back. */
	hs_mirror_close(m);
	if (open_session(o, e) || make_room(&m->state.fds, e))
		return -1;
	if (bring_back(&m->state, &m->head, o, e))
		return -1;
	if (!m->state.threads.nr)
		hs_say("%s: no thread was registered (hs_threadreg): nothing goes on",
		       program_invocation_short_name);
	/* The next checkpoint has them again; so with the others, which have seen to that. */
	hs_fds_adopt(&m->state.fds);
	hs_threads_adopt(&m->state.threads);
	hs_hooks_adopt(&m->state.hooks);
	hs_syncs_adopt(&m->state.syncs);
	hs_sections_adopt(&m->state.own);
	hs_fork_own();
	if (hs_cpt_start(&m->head))
		return hs_fail(e, errno, "no random numbers: %s", strerror(errno));
	/* The descriptors are those of the checkpoint: now there may be others. */
	if (open_way_out(o, e))
		return -1;
	hs_mirror_free(m);
	if (hs_hooks_restarted(e) || hs_threads_run(e))
		return -1;
	exit(0);
}

/*
 * Files
 */

static int read_file(struct hs_mirror *m, const char *path, struct hs_error *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret, err;
	struct hs_error what;

	if (fd < 0)
		return hs_fail(e, errno, "%s: %s", path, strerror(errno));
	ret = hs_mirror_read(m, fd, &what);
	err = errno;
	close(fd);
	return ret < 0 ? hs_fail(e, err, "%.80s: %.230s", path, what.text) : 0;
}

/* Generations of increments that follow @head. */
struct following {
	const struct hs_image_head *head;
	size_t nr;
	uint64_t *v;
	bool failed;
};

/*
 * Those behind @head. Others may be left from before the whole one was written; one whose
 * head can't be read may be the one that is missed, and reading it tells why.
 */
static void add_following(void *arg, int dir, const char *name, uint64_t number,
		      const uint8_t run[16])
{
	static const uint8_t none[16];
	struct following *f = arg;
	uint64_t *v;

	(void)dir;
	(void)name;
	if (number <= f->head->generation ||
	    (memcmp(run, f->head->run, sizeof(f->head->run)) && memcmp(run, none, sizeof(none))))
		return;
	v = reallocarray(f->v, f->nr + 1, sizeof(*v));
	f->failed |= !v;
	if (!v)
		return;
	f->v = v;
	v[f->nr++] = number;
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* In their order, found in one pass through the directory. Returns 0, or -1 and @e. */
static int find_following(struct following *f, const char *path, struct hs_error *e)
{
	hs_increments(path, add_following, f);
	if (f->failed)
		return hs_fail(e, ENOMEM, "no memory for the list of increments");
	if (f->nr)
		qsort(f->v, f->nr, sizeof(*f->v), by_number);
	return 0;
}

/* The mirror is what it was: whoever starts it may choose to lose what can't be read. */
static int advise(const struct hs_mirror *m, struct hs_error *e)
{
	const struct hs_error why = *e;

	return hs_fail(e, errno, "%.120s: to go on without it, as of generation %llu: -g %llu",
		       why.text, (unsigned long long)m->head.generation,
		       (unsigned long long)m->head.generation);
}

/* The increments that there are, but none behind the generation that was asked for. */
static int read_increments(struct hs_mirror *m, const struct options *o, struct hs_error *e)
{
	struct following f = { .head = &m->head };
	char path[PATH_MAX];
	int ret = find_following(&f, o->restart, e);
	size_t i;

	for (i = 0; !ret && i < f.nr && (!o->generation || f.v[i] <= (uint64_t)o->generation); i++) {
		snprintf(path, sizeof(path), "%s.%llu", o->restart, (unsigned long long)f.v[i]);
		if (read_file(m, path, e))
			ret = advise(m, e);
	}
	free(f.v);
	if (ret)
		return -1;
	if (!o->generation || m->head.generation == (uint64_t)o->generation)
		return 0;
	return hs_fail(e, ESTALE, "%.80s has no generation %ld, but %llu", o->restart,
		       o->generation, (unsigned long long)m->head.generation);
}

/* A whole checkpoint, and what has followed. */
static int restart(struct options *o, struct hs_error *e)
{
	struct hs_mirror m;
	int ret;

	hs_mirror_init(&m);
	ret = read_file(&m, o->restart, e) || read_increments(&m, o, e) ? -1 : 0;
	if (!ret && o->check) {
		hs_dry_run(&m, false);
		hs_say("%s: %u findings in %s", program_invocation_short_name, hs_findings(), o->restart);
		exit(hs_findings() ? 1 : 0);
	}
	if (!ret)
		ret = become(&m, o, e);
	hs_mirror_free(&m);
	return ret;
}

/*
 * Spares
 */

/* With the time, since others measure from there. */
static void tell_death(const struct hs_image_head *head)
{
	struct timespec now;
	struct tm tm;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	hs_say("%s: %s.%03ldZ the master is dead: going on as of generation %llu",
	       program_invocation_short_name, text, now.tv_nsec / 1000000,
	       (unsigned long long)head->generation);
}

static int be_spare(struct options *o, struct hs_error *e)
{
	struct hs_mirror m;
	int ret;

	hs_mirror_init(&m);
	hs_command_try(&o->command, HS_EVENT_SPARE, NULL);
	ret = hs_takeover_wait(o->session, &m, &o->term, e);
	/* In order: hs_stop(). */
	if (ret && errno == ECANCELED)
		exit(0);
	if (!ret) {
		tell_death(&m.head);
		ret = become(&m, o, e);
	}
	hs_mirror_free(&m);
	return ret;
}

/* Of a master that knows its address: with a cptdevd of its own. */
static int be_private_spare(struct options *o, struct hs_error *e)
{
	const struct hs_private how = private_of(o);

	if (hs_private_spare(&how, e))
		return -1;
	o->session = hs_private_session();
	return be_spare(o, e);
}

/* Better now than when the master has died. */
static int look_for_backend(const struct options *o, struct hs_error *e)
{
	int fd;

	if (hs_backend_wish(o->backend, e))
		return -1;
	if (!o->session) {
		if (hs_backend_choose(o->backend, e))
			return -1;
		hs_backend_release();
		return 0;
	}
	fd = hs_engine_open(e);
	return fd < 0 ? -1 : close(fd);
}

/*
 * A master whose state is elsewhere becomes the spare, and goes on from there when it can: with
 * -r a person has to decide between two states. Without an answer it begins: it is
 * acknowledged nothing then if it mustn't.
 */
static int ask_first(struct options *o, struct hs_error *e)
{
	switch (hs_ask_start(o->session, &o->term, e)) {
	case HS_START_SPARE:
		if (o->restart)
			break;
		hs_say("%s: not the master now: %s", program_invocation_short_name, e->text);
		o->spare = true;
		return 0;
	case HS_START_REFUSED:
		break;
	default:
		return 0;
	}
	errno = EBUSY;
	return -1;
}

/* Returns only on failure, -1 with errno and @e. */
static int start_as_spare(struct hs_error *e)
{
	if (setenv(REJOIN, "1", 1))
		return hs_fail(e, errno, "the program can't be started anew: %s", strerror(errno));
	hs_say("%s: starting anew as the spare", program_invocation_short_name);
	fflush(NULL);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	execv("/proc/self/exe", arguments);
	unsetenv(REJOIN);
	return hs_fail(e, errno, "the program can't be started anew: %s", strerror(errno));
}

/* What @o says. */
static int begin(struct options *o, struct hs_error *e)
{
	hs_set_timeout((unsigned int)o->timeout);
	hs_watchdog_set((unsigned int)o->watchdog);
	unsetenv(REJOIN);
	hs_kept_find();
	if (look_for_backend(o, e))
		return -1;
	o->command.limit = (unsigned int)o->timeout;
	o->command.env = environ;
	if (o->session && !o->spare && ask_first(o, e))
		return -1;
	if (o->spare)
		return o->session ? be_spare(o, e) : be_private_spare(o, e);
	if (o->restart)
		return restart(o, e);
	hs_fork_own();
	if (hs_cpt_start(NULL))
		return hs_fail(e, errno, "no random numbers: %s", strerror(errno));
	if (open_session(o, e))
		return -1;
	if (hs_private_programs() && hs_publish_overtaken())
		return start_as_spare(e);
	if (open_way_out(o, e))
		return -1;
	return hs_command_run(&o->command, HS_EVENT_MASTER, NULL, e);
}

static int init(int argc, char **argv, struct hs_error *e)
{
	struct options o = { .port = PORT, .pipes = 1, .timeout = HS_TIMEOUT };
	int ret = -1, err;

	if (!parse(argc, argv, &o, e) && !resolve(&o, e) && !hs_start_anew(argv, e) &&
	    !hs_environment_check(e) && !resolve_file(&o, e))
		ret = begin(&o, e);
	err = errno;
	free(o.absolute);
	errno = err;
	return ret;
}

int hs_init(int argc, char *argv[])
{
	struct hs_error e = { "" };
	int done;

	hs_dry_run_if_asked();
	hs_check_start();
	arguments = argv;
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	if (hs_fork_child(&e) || init(argc, argv, &e)) {
		hs_say("%s: %s", program_invocation_short_name, e.text);
		return -1;
	}
	/* "--" is what argv[0] was. The program may have options of its own. */
	done = optind - 1;
	optind = 0;
	return done;
}

int hs_stop(void)
{
	int ret = hs_cpt_wait();

	/* It has told that. */
	if (hs_in_hook() || hs_fork_child(NULL))
		return ret;
	hs_pool_lock();
	hs_publish_stop();
	hs_private_end();
	hs_pool_unlock();
	return ret;
}

int hs_rejoin(void)
{
	struct hs_error *why = hs_why();

	if (hs_fork_child(why))
		return -1;
	if (!hs_publishing())
		return hs_fail(why, EINVAL, "only a program with a spare (-S, -a) can become the spare of the "
			       "program that took over");
	if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC))
		return hs_fail(why, errno, "descriptors can't be closed: %s", strerror(errno));
	hs_kept_make(term);
	return start_as_spare(why);
}
