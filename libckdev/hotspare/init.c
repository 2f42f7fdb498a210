// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: a program begins as what it is started as: master, spare, or from files; and becomes
 * the program that the checkpoint is of.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ask.h"
#include "check.h"
#include "checkpoint.h"
#include "clock.h"
#include "detect.h"
#include "environment.h"
#include "fetch.h"
#include "fork.h"
#include "hotspare.h"
#include "kept.h"
#include "key.h"
#include "lazy.h"
#include "mirror.h"
#include "module.h"
#include "options.h"
#include "pipe.h"
#include "private.h"
#include "publish.h"
#include "schedule.h"
#include "takeover.h"
#include "watchdog.h"
#include "written.h"

/* What hs_rejoin() needs: how the program was started. */
static char **arguments;
static sigset_t mask;
static uint64_t term;			/* of the session */

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
	hs_say("%s: checkpoints by fork: %s\n%s: changed pages are found by %s%s",
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

/* The private cptdevd: it is started for a master; the one of a spare becomes that of a master. */
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
	hs_say("%s: continuing without a spare: %s", program_invocation_short_name, e->text);
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
	hs_say("%s: continuing, but %s", program_invocation_short_name, e->text);
	return 0;
}

/*
 * What there is besides memory. The address is there for what is bound to it, and connects
 * from it; established connections are there before it, so that no peer meets a host without them.
 * It is announced when somebody listens, and before rights are given up.
 */
static int bring_back(struct hs_state *s, const struct hs_image_head *head,
		      const struct options *o, struct hs_error *e)
{
	if (hs_fds_prepare(&s->fds, e))
		return -1;
	if (o->spare || o->from)
		hs_command_try(&o->command, HS_EVENT_TAKEOVER, head);
	else if (hs_command_run(&o->command, HS_EVENT_MASTER, head, e))
		return -1;
	if (hs_fds_restore(&s->fds, e))
		return -1;
	hs_fds_tell_changed(&s->fds);
	hs_fds_go_on(&s->fds);
	if (o->spare || o->from)
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
		hs_say("%s: no thread was registered (hs_threadreg): nothing runs",
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
	m->path = path;
	/* What is passed over needn't be read ahead. */
	if (m->index)
		posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
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

	return hs_fail(e, errno, "%.120s: to continue without it, from generation %llu: -g %llu",
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
	return hs_fail(e, ESTALE, "%.80s has no generation %ld, but has generation %llu",
		       o->restart,
		       o->generation, (unsigned long long)m->head.generation);
}

/* A whole checkpoint, and what has followed. */
static int read_files(struct hs_mirror *m, const struct options *o, struct hs_error *e)
{
	return read_file(m, o->restart, e) || read_increments(m, o, e) ? -1 : 0;
}

/* What is in a pipe can't be read later. */
static bool can_be_read_later(const char *path)
{
	struct stat st;

	if (stat(path, &st) || S_ISREG(st.st_mode))
		return true;
	hs_say("libhotspare: all of the memory is read before the program continues: %s isn't a regular "
	       "file", path);
	return false;
}

/*
 * Only heads are read, and where memory is is noted. Returns 0, 1: it has to be the eager way, or -1
 * with errno and @e: it would fail as well.
 */
static int read_lazily(struct hs_mirror *m, const struct options *o, struct hs_error *e)
{
	int ret, err;

	if (!o->lazy || o->check || !can_be_read_later(o->restart) || !hs_lazy_start())
		return 1;
	m->index = hs_index_create();
	ret = m->index ? 0 : hs_fail(e, ENOMEM, "no memory for an index of the checkpoint");
	if (!ret)
		ret = read_files(m, o, e) || hs_mirror_indexed(m, e) ? -1 : 0;
	if (!ret)
		return 0;
	err = errno;
	hs_lazy_end();
	hs_mirror_free(m);
	errno = err;
	if (err != EOPNOTSUPP && err != EFBIG && err != EMFILE && err != ENFILE)
		return -1;
	hs_say("libhotspare: all of the memory is read before the program continues: %s", e->text);
	return 1;
}

static int restart(struct options *o, struct hs_error *e)
{
	struct hs_mirror m;
	int ret;

	hs_mirror_init(&m);
	ret = read_lazily(&m, o, e);
	if (ret > 0)
		ret = read_files(&m, o, e);
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

/* From a replica of another host, which keeps it until all of it is here. */
static int go_on_from(struct options *o, struct hs_error *e)
{
	struct hs_mirror m;
	int ret, err;

	hs_mirror_init(&m);
	ret = hs_fetch(o->session, o->from, (unsigned int)o->timeout * 2, &m, &o->term, e);
	if (!ret) {
		hs_say("%s: continuing from generation %llu of the replica on %s",
		       program_invocation_short_name, (unsigned long long)m.head.generation, o->from);
		ret = become(&m, o, e);
	}
	err = errno;
	hs_mirror_free(&m);
	errno = err;
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
	hs_say("%s: %s.%03ldZ the master is dead: continuing from generation %llu",
	       program_invocation_short_name, text, now.tv_nsec / 1000000,
	       (unsigned long long)head->generation);
}

static int be_spare(struct options *o, struct hs_error *e)
{
	struct hs_mirror m;
	int ret, err;

	hs_mirror_init(&m);
	hs_command_try(&o->command, HS_EVENT_SPARE, NULL);
	ret = hs_takeover_wait(o->session, o->takes_back ? o->timeout * 1000L : 0, &m, &o->term, e);
	/* In order: hs_stop(). */
	if (ret && errno == ECANCELED)
		exit(0);
	if (!ret) {
		tell_death(&m.head);
		ret = become(&m, o, e);
	}
	err = errno;
	hs_mirror_free(&m);
	errno = err;
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
	case HS_START_TAKE_BACK:
		o->takes_back = true;
		/* fall through */
	case HS_START_SPARE:
		if (o->restart)
			break;
		hs_say("%s: this program can't begin as the master now: %s",
		       program_invocation_short_name, e->text);
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
		return hs_fail(e, errno, "the program can't be restarted: %s", strerror(errno));
	hs_key_pass_on();
	hs_say("%s: restarting as the spare", program_invocation_short_name);
	fflush(NULL);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	execv("/proc/self/exe", arguments);
	unsetenv(REJOIN);
	return hs_fail(e, errno, "the program can't be restarted: %s", strerror(errno));
}

/* What @o says. */
static int begin(struct options *o, struct hs_error *e)
{
	int ret;

	hs_set_timeout((unsigned int)o->timeout);
	hs_watchdog_set((unsigned int)o->watchdog);
	unsetenv(REJOIN);
	hs_kept_find();
	if (look_for_backend(o, e) || hs_key_read(o->key, e))
		return -1;
	o->command.limit = (unsigned int)o->timeout;
	o->command.env = environ;
	if (o->from)
		return go_on_from(o, e);
	if (o->session && !o->spare && ask_first(o, e))
		return -1;
	if (o->spare) {
		ret = o->session ? be_spare(o, e) : be_private_spare(o, e);
		if (!ret || !o->takes_back || errno != EAGAIN)
			return ret;
		o->spare = false;
	}
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

	if (!hs_options_parse(argc, argv, &o, e) && !hs_options_resolve(&o, e) &&
	    !hs_start_anew(argv, e) && !hs_environment_check(e))
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
