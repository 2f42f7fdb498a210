// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kvstore: a key-value store whose memory survives the loss of its host. An example of
 * libckdev; kvnet.c has the protocol, kvstate.c what it keeps.
 *
 * On one host it runs with --role primary, on the other with --role spare, under the same
 * name. A primary asks cptdevd before it begins: started anew after a crash, it has nothing,
 * and becomes the spare of whoever has its state. cptdevd ships the checkpoints. When the primary's host is lost and the replica is
 * promoted, the spare goes on with all that clients were told.
 *
 * Group commit: requests are applied as they come, and their answers held back. If no
 * checkpoint is under way one is taken, and all answers so far wait for it. Meanwhile
 * requests go on, their answers wait for the next. When the spare has it the answers go
 * out: however many there are, they share one round trip.
 *
 * A primary that was started as one is strict: no answer without the spare, for however
 * long; so is one whose state came back from its spare (on_restart = take-back). A primary that
 * took over has no spare: it is the only copy, and answers at once, until a spare is attached.
 * From then on it is strict as well.
 *
 * One thread. Each event is one line on stdout: "kvstore: <event> t=<ms> key=value...",
 * with CLOCK_MONOTONIC in milliseconds.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ckdev.h>

#include "kvnet.h"
#include "kvopts.h"
#include "kvstart.h"
#include "kvstats.h"

#define TICK_MS		200

struct app {
	struct kv_options opt;
	int session;		/* -1: none */
	bool strict;		/* no answer without the spare */
	bool takes_back;	/* its state comes back from the spare */
	uint64_t asked_ms;	/* cptdevd was asked */
	bool starved;		/* it was said that the limit is reached */
	uint64_t term;		/* of a session that begins anew, 0: the first */
	uint64_t generation;	/* under way to the spare, 0: none */
	uint64_t started_ms;	/* when that was taken */
	bool wanted;		/* a newer one is, that has what isn't answered yet */
	bool waits;		/* it was said that it takes long */
	struct kv_net net;
	struct kv_stats stats;
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

/*
 * Telling
 */

static __attribute__((format(printf, 2, 3)))
void event(const char *what, const char *fmt, ...)
{
	va_list ap;

	printf("kvstore: %s t=%" PRIu64 " ", what, kv_now_ms());
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

/* A call of the library failed: its words say what to do. */
static __attribute__((noreturn)) void die_ckdev(const char *what, int err)
{
	kv_die(EXIT_CKDEV, "%s: %s: %s", what, strerror(-err), ckdev_strerror(err));
}

/*
 * The session
 */

static void session_open(struct app *a, uint64_t term)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLPRI, .data.ptr = a };
	int ret;

	a->session = ckdev_open();
	if (a->session < 0)
		die_ckdev(CPTDEV_DEVICE, a->session);
	ret = ckdev_session(a->session, a->opt.name, term, a->opt.session_flags, 0);
	if (ret == -EEXIST)
		kv_die(EXIT_CKDEV, "another program here has the name '%s'. Next: stop it, or "
		    "choose another name with --name.", a->opt.name);
	if (ret < 0)
		die_ckdev("session", ret);
	if (epoll_ctl(a->net.epoll, EPOLL_CTL_ADD, a->session, &ev) < 0)
		kv_die(EXIT_FAILURE, "epoll: %s", strerror(errno));
}

static void session_track(struct app *a)
{
	struct ckdev_refusal why;
	char text[256];
	int ret;

	ret = ckdev_range_add(a->session, KV_ARENA, a->opt.arena_size, 0, &why);
	if (ret == 0)
		return;
	if (why.reason == CPTDEV_REASON_NONE)
		die_ckdev("arena", ret);
	ckdev_describe_refusal(&why, text, sizeof(text));
	kv_die(EXIT_CKDEV, "arena: %s", text);
}

static void arena_map(uint64_t size)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;

	if (mmap(KV_ARENA, size, PROT_READ | PROT_WRITE, flags, -1, 0) != KV_ARENA)
		kv_die(EXIT_FAILURE, "can't map %" PRIu64 " MiB at %p: %s. Next: choose less "
		    "with --arena.", size >> 20, KV_ARENA, strerror(errno));
	/* A huge page is copied bit by bit after a snapshot; small ones are just reused. */
	madvise(KV_ARENA, size, MADV_NOHUGEPAGE);
}

/*
 * Group commit
 */

static void checkpoint_begin(struct app *a)
{
	struct cptdev_snapshot snap = {
		.size = sizeof(snap),
		.flags = CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD,
	};
	int ret = ckdev_snapshot(a->session, &snap);

	if (ret == -EDQUOT) {
		if (!a->starved)
			event("limit", "what=%s", "\"snapshots hold all that they may; "
			      "answers wait until the spare has caught up\"");
		a->starved = true;
		return;
	}
	if (ret < 0)
		die_ckdev("snapshot", ret);
	a->starved = false;
	a->wanted = false;
	a->generation = snap.generation;
	a->started_ms = kv_now_ms();
	a->net.changed = false;
	kv_net_mark(&a->net);
	kv_stats_snapshot(&a->stats, &snap);
}

static void release(struct app *a)
{
	kv_net_mark(&a->net);
	kv_net_release(&a->net);
}

/* After anything that happened. */
static void checkpoint_step(struct app *a)
{
	/* If all that answers can tell is safe they may go: and so make room for more. */
	while (a->net.held && (!a->strict || (!a->generation && !a->net.changed)))
		release(a);
	if (!a->strict)
		return;
	if (a->wanted || (a->generation == 0 && a->net.changed))
		checkpoint_begin(a);
	else if (a->generation && !a->net.changed)
		kv_net_mark(&a->net);	/* the one under way has it */
}

static void checkpoint_done(struct app *a)
{
	if (a->waits)
		event("spare-caught-up", "generation=%" PRIu64, a->generation);
	a->waits = false;
	a->generation = 0;
	a->stats.commits++;
	kv_net_release(&a->net);
}

static __attribute__((noreturn)) void fenced(const struct app *a)
{
	event("fenced", "generation=%" PRIu64, a->stats.generation);
	kv_die(EXIT_FENCED, "fenced: a spare took over, and this program must not serve any "
	       "more. Next: start it here as a spare of the new primary.");
}

static void checkpoint_look(struct app *a, uint32_t events)
{
	int ret = ckdev_wait(a->session, a->generation, 0, &a->stats.committed);

	if (ret == -ESTALE)
		fenced(a);
	if (ret == 0 && a->generation)
		checkpoint_done(a);
	else if (ret == -ECANCELED)
		a->generation = 0;
	else if (ret < 0 && ret != -ETIMEDOUT && ret != -EINVAL)
		die_ckdev("wait", ret);
	/* Generations were dropped: a spare needs one that reaches back further. */
	if (ret == -ECANCELED || (events & EPOLLPRI))
		a->net.changed = true;
	/* Or one is wanted that has what wasn't answered yet: also while an older one is waited for. */
	a->wanted = a->generation && (events & EPOLLPRI);
}

/* Who took over: has a spare come? */
static void spare_look(struct app *a)
{
	struct cptdev_info info = { .size = sizeof(info) };
	int ret;

	if (a->strict || a->session < 0)
		return;
	ret = ckdev_info(a->session, &info);
	if (ret < 0)
		die_ckdev("info", ret);
	if (info.attached == 0)
		return;
	a->strict = true;
	a->net.changed = true;
	event("spare-attached", "term=%" PRIu64, (uint64_t)info.session_term);
}

/* The checkpoint takes long. */
static void spare_missed(struct app *a)
{
	struct cptdev_info info = { .size = sizeof(info) };

	ckdev_info(a->session, &info);
	event("waiting-for-spare", "generation=%" PRIu64 " attached=%" PRIu64,
	      a->generation, (uint64_t)info.attached);
	fprintf(stderr, "kvstore: no answers until a spare has generation %" PRIu64 ". Next: "
		"see whether cptdevd runs on both hosts. If this program was restarted, the "
		"spare keeps the state of the run before: promote it, or give it up with "
		"--replace.\n", a->generation);
	a->waits = true;
}

static void tick(struct app *a)
{
	uint64_t now = kv_now_ms();

	spare_look(a);
	if (a->generation)
		checkpoint_look(a, 0);
	if (a->generation && !a->waits && now - a->started_ms > 2000)
		spare_missed(a);
	if (a->opt.stats_s && now - a->stats.since_ms >= a->opt.stats_s * 1000ULL)
		kv_stats_print(&a->stats, &a->net, a->generation ? now - a->started_ms : 0);
}

static void serve(struct app *a)
{
	struct epoll_event ev[64];
	uint64_t ticked = 0;

	while (!stop) {
		int i, n = epoll_wait(a->net.epoll, ev, 64, TICK_MS);

		for (i = 0; i < n; i++) {
			if (ev[i].data.ptr == a)
				checkpoint_look(a, ev[i].events);
			else
				kv_net_event(&a->net, &ev[i]);
		}
		if (kv_now_ms() - ticked >= TICK_MS) {
			tick(a);
			ticked = kv_now_ms();
		}
		checkpoint_step(a);
		kv_net_tidy(&a->net);
	}
	kv_stats_print(&a->stats, &a->net, 0);
	event("stopped", "generation=%" PRIu64, a->stats.generation);
}

/*
 * Roles
 */

static void start_fresh(struct app *a)
{
	arena_map(a->opt.arena_size);
	a->net.state = kv_format(KV_ARENA, a->opt.arena_size);
	if (a->opt.role == ROLE_ALONE)
		return;
	session_open(a, a->term);
	session_track(a);
	a->strict = true;
	/* The spare shall have something to take over from the beginning. */
	a->net.changed = true;
}

static int replica_open(const struct app *a)
{
	int dev = ckdev_open(), fd;

	if (dev < 0)
		die_ckdev(CPTDEV_DEVICE, dev);
	fd = ckdev_replica_open(dev, a->opt.name, CPTDEV_REPLICA_CREATE, 0);
	if (fd == -EACCES)
		kv_die(EXIT_CKDEV, "the replica '%s' belongs to another user. Next: run this "
		    "as the one who made it, or remove it.", a->opt.name);
	if (fd < 0)
		die_ckdev("replica", fd);
	close(dev);
	return fd;
}

/*
 * Its state is to come back from the spare: as long as it doesn't, cptdevd is asked why, since the
 * other host may refuse, or go on itself.
 */
static void back_look(struct app *a)
{
	char text[640];
	uint64_t term;

	if (!a->takes_back || kv_now_ms() - a->asked_ms < 1000)
		return;
	a->asked_ms = kv_now_ms();
	switch (kv_start_ask(a->opt.control, a->opt.name, &term, text, sizeof(text))) {
	case START_TAKE_BACK:
	case START_UNKNOWN:
		break;
	case START_SPARE:
		event("becomes-spare", "why=\"%s\"", text);
		a->takes_back = false;
		break;
	default:
		kv_die(EXIT_UNDECIDED, "cptdevd: %s", text);
	}
}

static void promotion_wait(struct app *a, int fd)
{
	struct cptdev_image_info info = { .size = sizeof(info) };
	int ret;

	do {
		ret = ckdev_replica_wait(fd, 0, 1000000000);
		if (ret == -ETIMEDOUT && ckdev_image_info(fd, &info) == 0 && a->opt.stats_s)
			event("replica", "generation=%" PRIu64 " pages=%" PRIu64,
			      (uint64_t)info.generation, (uint64_t)info.pages);
		if (ret == -ETIMEDOUT)
			back_look(a);
		if (stop)
			exit(EXIT_SUCCESS);
	} while (ret == -ETIMEDOUT || ret == -EINTR);
	if (ret < 0)
		die_ckdev("replica", ret);
}

/*
 * A promotion is taken once, and not by a program that is started later: what the replica holds
 * may be long past then, and another one have gone on from it.
 */
static int spare_wait(struct app *a)
{
	int fd = replica_open(a), ret;
	bool told = false;

	event("waiting", "replica=%s", a->opt.name);
	for (;;) {
		promotion_wait(a, fd);
		ret = ckdev_replica_claim(fd, NULL, NULL, 0);
		if (ret == 0)
			return fd;
		/* It is fed again, or was promoted anew, meanwhile. */
		if (ret != -EALREADY && ret != -EINVAL && ret != -ESTALE)
			die_ckdev("replica", ret);
		if (ret == -EALREADY && !told && !a->takes_back)
			event("old-promotion", "replica=%s next=\"cptdevctl promote %s, if this "
			      "host shall go on from it\"", a->opt.name, a->opt.name);
		told |= ret == -EALREADY;
		back_look(a);
		usleep(TICK_MS * 1000);
		if (stop)
			exit(EXIT_SUCCESS);
	}
}

/* The size of the primary's arena, which is all that it tracked. */
static uint64_t replica_arena(const struct app *a, int fd)
{
	struct cptdev_segment seg[2];
	uint64_t pos = 0;
	int n = ckdev_image_layout(fd, seg, 2, &pos);

	if (n < 0)
		die_ckdev("replica", n);
	if (n != 1 || seg[0].addr != CKDEV_PTR(KV_ARENA) ||
	    seg[0].kind != CPTDEV_SEGMENT_ANON)
		kv_die(EXIT_FAILURE, "the replica '%s' isn't a kvstore's. Next: choose the "
		    "primary's name with --name.", a->opt.name);
	return seg[0].len;
}

static void start_spare(struct app *a)
{
	struct ckdev_restore restore = { .size = sizeof(restore) };
	int fd = spare_wait(a), ret;
	uint64_t began = kv_now_ms();

	event("promoted", "replica=%s", a->opt.name);
	a->opt.arena_size = replica_arena(a, fd);
	arena_map(a->opt.arena_size);
	ret = ckdev_restore(fd, &restore);
	if (ret < 0)
		die_ckdev("restore", ret);
	a->net.state = kv_attach(KV_ARENA, a->opt.arena_size);
	if (!a->net.state)
		kv_die(EXIT_FAILURE, "the replica '%s' is another version's. Next: run the "
		    "same program as the primary.", a->opt.name);
	event("restored", "generation=%" PRIu64 " term=%" PRIu64 " bytes=%" PRIu64
	      " ms=%" PRIu64, restore.generation, restore.term, restore.bytes,
	      kv_now_ms() - began);
	session_open(a, restore.term);
	session_track(a);
	close(fd);
	/* Its spare is there, and lacks nothing: no answer without it. */
	a->strict = a->takes_back;
	a->net.changed |= a->takes_back;
}

/* Does a primary begin, or is its state elsewhere? With --replace a person has decided. */
static void ask_start(struct app *a)
{
	char text[640];

	if (a->opt.role != ROLE_PRIMARY || a->opt.session_flags & CPTDEV_SESSION_REPLACE)
		return;
	switch (kv_start_ask(a->opt.control, a->opt.name, &a->term, text, sizeof(text))) {
	case START_FRESH:
		break;
	case START_SPARE:
		event("becomes-spare", "why=\"%s\"", text);
		a->opt.role = ROLE_SPARE;
		break;
	case START_TAKE_BACK:
		event("takes-back", "why=\"%s\"", text);
		a->opt.role = ROLE_SPARE;
		a->takes_back = true;
		a->asked_ms = kv_now_ms();
		break;
	case START_REFUSED:
		kv_die(EXIT_UNDECIDED, "cptdevd: %s", text);
	case START_UNKNOWN:
		event("not-asked", "why=\"%s\"", text);
	}
}

static void pidfile_write(const char *path)
{
	FILE *f = fopen(path, "w");

	if (!f || fprintf(f, "%d\n", (int)getpid()) < 0 || fclose(f))
		kv_die(EXIT_FAILURE, "%s: %s", path, strerror(errno));
}

static void run(struct app *a)
{
	int ret = kv_net_init(&a->net);

	ask_start(a);
	if (ret == 0 && a->opt.role == ROLE_SPARE)
		start_spare(a);
	else if (ret == 0)
		start_fresh(a);
	if (ret == 0)
		ret = kv_net_listen(&a->net, a->opt.bind, a->opt.port);
	if (ret < 0)
		kv_die(EXIT_FAILURE, "can't listen on %s port %u: %s", a->opt.bind ? a->opt.bind : "*",
		    a->opt.port, strerror(-ret));
	event("serving", "port=%u role=%s keys=%" PRIu64 " total=%" PRIu64, a->net.port,
	      kv_role_name(a->opt.role), a->net.state->keys.nr, a->net.state->total);
	if (a->opt.role == ROLE_SPARE && !a->strict)
		event("only-copy", "what=%s", "\"no spare: answers don't wait\"");
	a->stats.since_ms = kv_now_ms();
	serve(a);
}

int main(int argc, char **argv)
{
	static struct app a = { .session = -1 };
	struct sigaction sa = { .sa_handler = on_signal };

	/* A message that nobody reads is no reason to end. */
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	kv_options_parse(&a.opt, argc, argv);
	a.net.stall_ms = a.opt.stall_ms;
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	if (a.opt.pidfile)
		pidfile_write(a.opt.pidfile);
	run(&a);
	if (a.opt.pidfile)
		unlink(a.opt.pidfile);
	return EXIT_SUCCESS;
}
