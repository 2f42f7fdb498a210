// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: the spare whose copy is a replica, see takeover.h. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ckdev.h>

#include "area.h"
#include "ask.h"
#include "clock.h"
#include "detect.h"
#include "handover.h"
#include "hotspare.h"
#include "kept.h"
#include "module.h"
#include "private.h"
#include "takeover.h"
#include "warm.h"

/* How often the replica is looked at while commits come, or an old promotion is in the way. */
#define LOOK_MS		1000
#define LOOK_MAX_MS	60000
#define ASK_MS		200
/* How often cptdevd is asked whether the state comes back. */
#define BACK_MS		1000

struct waiting {
	const char *name;
	int fd;
	bool told_old;
	uint64_t commits;		/* that were looked at */
	int64_t next_look, look_ms;	/* when the state is looked at again, and how long after */
	struct hs_error told;		/* what was told last */
	/* The state comes back: ask again, and bear a refusal so long. 0: it isn't asked. */
	long patience_ms;
	int64_t next_ask, refused_ms;	/* since when it is refused, 0: it isn't */
	bool comes;			/* the last answer */
	struct hs_error refusal;	/* what was told last */
	atomic_bool over;		/* of the program's function */
	atomic_bool dead;		/* which says so */
};

static int wait_for_promotion(struct waiting *w, uint64_t *term, struct hs_error *e);

static int open_replica(const char *name, struct hs_error *e)
{
	int dev = hs_engine_open(e), fd;

	if (dev < 0)
		return -1;
	fd = ckdev_replica_open(dev, name, CPTDEV_REPLICA_CREATE, 0);
	close(dev);
	if (fd == -EACCES)
		return hs_fail(e, EACCES, "the replica '%s' belongs to another user: run the spare as "
			       "that user, or remove the replica: cptdevctl replica remove", name);
	if (fd < 0)
		return hs_fail(e, -fd, "the replica '%s': %s", name, ckdev_strerror(fd));
	return fd;
}

/* Of hs_area_read(). */
static int read_replica(void *arg, void *buf, size_t len, uint64_t addr)
{
	const int *fd = arg;
	char *p = buf;
	ssize_t n;

	for (; len; p += n, addr += (uint64_t)n, len -= (size_t)n) {
		n = pread(*fd, p, len, (off_t)addr);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n <= 0) {
			errno = n ? errno : EIO;
			return -1;
		}
	}
	return 0;
}

static void tell(struct waiting *w, const struct hs_error *e)
{
	if (e->text[0] && strcmp(e->text, w->told.text))
		hs_say("libhotspare: after a take-over the program would lack this here: %s",
		       e->text);
	w->told = *e;
}

/*
 * The state of the replica @fd, which stays frozen. Returns a descriptor of its memory, or -1
 * with errno and @e.
 */
static int read_state(int fd, uint64_t *generation, struct hs_state *state,
		      struct hs_image_head *head, struct hs_error *e)
{
	int ret = ckdev_replica_freeze(fd, generation), content, err;

	content = ret ? ret : ckdev_replica_content(fd);
	if (content < 0)
		return hs_fail(e, -content, "the replica can't be read: %s", ckdev_strerror(content));
	if (!hs_area_read(read_replica, &content, state, head, e))
		return content;
	err = errno;
	close(content);
	errno = err;
	return -1;
}

/*
 * Say what the program would miss here: better known now than when the master is gone. Returns 0, or
 * -1 with errno and @refusal: nothing can go on here, for the master is another program. With a
 * cptdevd of its own such a spare ends, and the master learns that it has none.
 */
static int look(struct waiting *w, struct hs_error *refusal)
{
	struct cptdev_image_info info = { .size = sizeof(info) };
	struct hs_image_head head;
	struct hs_state state;
	struct hs_error e = { "" };
	uint64_t generation;
	int content;
	bool other;

	/* A replica that is looked at takes no commit meanwhile: less and less often. */
	if (hs_now_ms() < w->next_look || ckdev_image_info(w->fd, &info) || !info.generation)
		return 0;
	w->look_ms = w->look_ms ? w->look_ms * 2 : LOOK_MS;
	if (w->look_ms > LOOK_MAX_MS)
		w->look_ms = LOOK_MAX_MS;
	w->next_look = hs_now_ms() + w->look_ms;
	content = read_state(w->fd, &generation, &state, &head, &e);
	other = content < 0 && errno == ENOEXEC && hs_private_control();
	if (content >= 0) {
		close(content);
		if (!hs_process_missing(&state.process, &e))
			hs_fds_missing(&state.fds, &e);
		hs_state_free(&state);
	}
	ckdev_replica_thaw(w->fd);
	if (other)
		return hs_fail(refusal, ENOEXEC, "%s", e.text);
	tell(w, &e);
	return 0;
}

/* Has the master ended in order? */
static bool said_bye(const struct waiting *w)
{
	char text[sizeof(HS_BYE)] = "";
	uint64_t pos = 0;

	return ckdev_image_meta(w->fd, text, sizeof(text), &pos) == (int)sizeof(text) &&
		!memcmp(text, HS_BYE, sizeof(text));
}

static void rest(void)
{
	const struct timespec t = { .tv_sec = LOOK_MS / 1000, .tv_nsec = LOOK_MS % 1000 * 1000000L };

	nanosleep(&t, NULL);
}

/*
 * Returns 1: it is ours; 0: it isn't, go on waiting; or -1 with errno and @e. A promotion from
 * before this program waited is another program's: what the replica has may be long past. The
 * replica is a spare's again when the program that took over sends its first checkpoint.
 */
static int claim(struct waiting *w, uint64_t *term, struct hs_error *e)
{
	int ret;

	*term = 0;
	ret = ckdev_replica_claim(w->fd, term, NULL, 0);
	if (!ret)
		return 1;
	if (ret != -EALREADY && ret != -EINVAL)
		return hs_fail(e, -ret, "the promotion of '%s' can't be taken: %s", w->name,
			       ckdev_strerror(ret));
	if (ret == -EALREADY && !w->told_old) {
		hs_say("libhotspare: the replica '%s' was promoted before this spare was started, or another "
		       "program has taken over: waiting until a master sends checkpoints", w->name);
		w->told_old = true;
	}
	rest();
	return 0;
}

/* The function is asked here, and by nobody else. */
static void *ask_function(void *arg)
{
	const struct timespec little = { .tv_nsec = ASK_MS * 1000000L };
	struct waiting *w = arg;

	while (!w->over && !hs_det_dead())
		nanosleep(&little, NULL);
	w->dead = !w->over;
	return NULL;
}

/* The program's function has said that the master is dead. */
static int promote(struct waiting *w, uint64_t *term, struct hs_error *e)
{
	int ret = hs_private_promote(e);

	w->dead = false;
	return ret ? -1 : wait_for_promotion(w, term, e);
}

static int wait_with_function(struct waiting *w, uint64_t *term, struct hs_error *e)
{
	pthread_t thread;
	int ret, err;

	ret = pthread_create(&thread, NULL, ask_function, w);
	if (ret)
		return hs_fail(e, ret, "no thread for the detection function");
	hs_say("libhotspare: a function of the program decides whether the master is dead");
	ret = wait_for_promotion(w, term, e);
	err = errno;
	w->over = true;
	pthread_join(thread, NULL);
	errno = err;
	return ret;
}

/* The daemon of the host was started anew, as for an update: a full copy comes to the next one. */
static int open_again(struct waiting *w, struct hs_error *e)
{
	hs_warm_anew();
	close(w->fd);
	hs_say("libhotspare: cptdevd has ended: waiting for the next one");
	for (;;) {
		w->fd = open_replica(w->name, e);
		w->commits = 0;
		if (w->fd >= 0 || (errno != ENOENT && errno != ECONNREFUSED && errno != ECONNRESET))
			return w->fd < 0 ? -1 : 0;
		rest();
	}
}

/*
 * A refusal is told once, and begins a new question: it is over when two answers in turn say that the
 * state comes.
 */
static int refused(struct waiting *w, const struct hs_error *why, struct hs_error *e)
{
	w->comes = false;
	if (!w->refused_ms)
		w->refused_ms = hs_now_ms();
	if (hs_now_ms() - w->refused_ms >= w->patience_ms) {
		*e = *why;
		errno = EBUSY;
		return -1;
	}
	if (strcmp(why->text, w->refusal.text))
		hs_say("libhotspare: asking again for %ld s: %s", w->patience_ms / 1000, why->text);
	w->refusal = *why;
	return 0;
}

/* Does the state still come? Returns 0: go on waiting, or -1 with errno and @e. */
static int ask_again(struct waiting *w, uint64_t *term, struct hs_error *e)
{
	struct hs_error why = { "" };

	if (!w->patience_ms || hs_now_ms() < w->next_ask)
		return 0;
	w->next_ask = hs_now_ms() + BACK_MS;
	switch (hs_ask_start(w->name, term, &why)) {
	case HS_START_REFUSED:
		return refused(w, &why, e);
	case HS_START_FRESH:
		return hs_fail(e, EAGAIN, "%s", why.text);
	case HS_START_SPARE:
		hs_say("libhotspare: the state can't be taken back: %s", why.text);
		w->patience_ms = 0;
		break;
	case HS_START_TAKE_BACK:
		if (w->comes)
			w->refused_ms = 0;
		w->comes = true;
		break;
	case HS_START_UNKNOWN:
		break;
	}
	return 0;
}

/* A person removed the replica, as "cptdevctl forget" does: the daemon knows what follows. */
static int is_given_up(struct waiting *w, uint64_t *term, struct hs_error *e)
{
	w->next_ask = 0;
	if (ask_again(w, term, e))
		return -1;
	hs_warm_anew();
	close(w->fd);
	w->fd = open_replica(w->name, e);
	w->commits = 0;
	return w->fd < 0 ? -1 : 0;
}

/* How long the next wait is: for commits, or between two of them. */
static unsigned long pause_ms(unsigned int commits)
{
	return !commits && hs_warm() ? HS_WARM_MS : LOOK_MS;
}

static uint64_t commits_of(int fd)
{
	struct cptdev_image_info info = { .size = sizeof(info) };

	return ckdev_image_info(fd, &info) ? 0 : info.commits;
}

/*
 * As ckdev_replica_wait(). That waits for commits after the last look at the replica, and what is done
 * about a commit includes such looks: another one may have come meanwhile.
 */
static int wait_once(struct waiting *w, unsigned int commits)
{
	bool more = commits && commits_of(w->fd) != w->commits;
	int ret = ckdev_replica_wait(w->fd, commits, more ? 0 : pause_ms(commits) * 1000000ULL);

	return more && ret == -ETIMEDOUT ? CKDEV_COMMITTED : ret;
}

static int wait_for_promotion(struct waiting *w, uint64_t *term, struct hs_error *e)
{
	unsigned int commits = CKDEV_WAIT_COMMITS;
	int ret;

	for (;;) {
		if (w->dead)
			return promote(w, term, e);
		if (ask_again(w, term, e))
			return -1;
		ret = wait_once(w, commits);
		/* One commit in so long is looked at; a promotion at once. */
		commits = ret > 0 ? 0 : CKDEV_WAIT_COMMITS;
		if (ret > 0 && ret & CKDEV_PROMOTED) {
			ret = claim(w, term, e);
			if (ret)
				return ret < 0 ? -1 : 0;
		} else if (ret > 0) {
			w->told_old = false;
			w->commits = commits_of(w->fd);
			hs_warm_pass(w->fd);
			hs_kept_look(w->fd);
			if (look(w, e))
				return -1;
			if (said_bye(w))
				return hs_fail(e, ECANCELED, "the master has ended");
		} else if (ret == -ENOENT && w->patience_ms) {
			if (is_given_up(w, term, e))
				return -1;
		} else if (ret == -ECONNRESET && !hs_private_control()) {
			if (open_again(w, e))
				return -1;
		} else if (ret != -ETIMEDOUT && ret != -EINTR) {
			return hs_fail(e, -ret, "the replica '%s': %s", w->name, ckdev_strerror(ret));
		}
	}
}

int hs_takeover_wait(const char *name, long patience_ms, struct hs_mirror *m, uint64_t *term, struct hs_error *e)
{
	struct waiting w = {
		.name = name, .fd = open_replica(name, e), .patience_ms = patience_ms,
		.next_ask = hs_now_ms() + BACK_MS,
	};
	struct cptdev_image_info info = { .size = sizeof(info) };
	uint64_t generation;
	bool ask;
	int ret;

	if (w.fd < 0)
		return -1;
	m->replica = w.fd;
	hs_warm_start();
	ret = ckdev_image_info(w.fd, &info);
	if (ret)
		return hs_fail(e, -ret, "the replica '%s': %s", name, ckdev_strerror(ret));
	w.commits = info.commits;
	hs_warm_pass(w.fd);
	hs_kept_look(w.fd);
	hs_say("%s: waiting for the promotion of '%s'", program_invocation_short_name, name);
	ask = hs_det_asked() && hs_private_control();
	ret = (ask ? wait_with_function : wait_for_promotion)(&w, term, e);
	m->replica = w.fd;
	if (ret) {
		hs_warm_end();
		return -1;
	}
	hs_kept_drop();
	m->fd = read_state(m->replica, &generation, &m->state, &m->head, e);
	return m->fd < 0 ? -1 : 0;
}
