// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: checkpoints that cptdevd brings to the spare, see publish.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ckdev.h>

#include "../internal.h"
#include "clock.h"
#include "detect.h"
#include "handover.h"
#include "hotspare.h"
#include "job.h"
#include "lazy.h"
#include "lock.h"
#include "module.h"
#include "private.h"
#include "publish.h"
#include "schedule.h"
#include "watchdog.h"

/* How long a program with a private cptdevd waits for a spare. */
#define MOMENT_NS	1000000000ULL
/* A program that waits looks as often whether it is stopped for a switch-over. */
#define LOOK_NS		5000000ULL
/* One that is idle looks as often whether its cptdevd has ended. */
#define LOST_NS		100000000ULL

static bool publishing;
static unsigned int most;		/* asynchronous ones; 0: no limit */
static uint64_t timeout_ns;
/* No spare is attached, as the last wait has found out: the next one doesn't wait for that. */
static bool alone;
/* Asynchronous ones that nobody has waited for yet: the newest, and how many. */
static uint64_t newest;
static unsigned int unsettled;

int hs_publish_start(const char *name, uint64_t term, unsigned int timeout, struct hs_error *e)
{
	hs_snapshot_name(name, term);
	timeout_ns = timeout * 1000000000ULL;
	publishing = true;
	return hs_snapshot_session(e) < 0 ? -1 : 0;
}

void hs_publish_private(unsigned int nr)
{
	most = nr;
}

static unsigned int port_of(const struct sockaddr *addr)
{
	const struct sockaddr_in *v4 = (const void *)addr;
	const struct sockaddr_in6 *v6 = (const void *)addr;

	return ntohs(addr->sa_family == AF_INET ? v4->sin_port : v6->sin6_port);
}

int hs_publish_peer(const struct sockaddr *addr, socklen_t len, struct hs_error *e)
{
	const struct hs_private how = {
		.peer = addr, .peer_len = len, .port = port_of(addr), .timeout = hs_timeout(),
		.asked = hs_det_asked(),
	};

	if (publishing && most && hs_private_is(&how)) {
		most++;
		return 0;
	}
	if (publishing)
		return hs_fail(e, EOPNOTSUPP, "the program has another spare already");
	if (hs_private_master(&how, e))
		return -1;
	hs_publish_private(1);
	return hs_publish_start(hs_private_session(), 0, hs_timeout(), e);
}

bool hs_publishing(void)
{
	return publishing;
}

/*
 * Waiting
 */

static int fenced(struct hs_error *e)
{
	return hs_fail(e, ESTALE, "fenced: a spare has taken over, and this program must not serve "
		       "any more: hs_rejoin(3) restarts it as the spare");
}

static bool attached(int fd)
{
	struct cptdev_info info = { .size = sizeof(info) };

	return !ckdev_info(fd, &info) && info.attached;
}

static int no_spare(struct hs_error *e)
{
	hs_fail(e, ENOTCONN, "no spare is attached: see \"cptdevctl status\"");
	if (hs_private_control())
		hs_private_absent(e);
	return -1;
}

static int no_answer(int fd, struct hs_error *e)
{
	alone = !attached(fd);
	if (alone)
		return no_spare(e);
	return hs_fail(e, ETIMEDOUT, "the spare doesn't have the checkpoint yet");
}

static bool flag(uint32_t state)
{
	const struct cptdev_session_page *page = hs_session_page();

	return page && __atomic_load_n(&page->flags, __ATOMIC_ACQUIRE) & state;
}

/* It is stopped, and its last checkpoint is wanted, although this one isn't acknowledged. */
static bool last_wanted(void)
{
	return flag(CPTDEV_STATE_BLOCKED) && flag(CPTDEV_STATE_WANTED);
}

/*
 * As ckdev_wait(), until @end, also if signals come. A program that waits here doesn't hang. Where
 * the last checkpoint is wanted it returns -ECANCELED: the caller takes one.
 */
static int wait_until(int fd, uint64_t generation, uint64_t end)
{
	uint64_t left, now, pause = hs_watchdog_pause();
	int ret;

	if (pause > LOOK_NS)
		pause = LOOK_NS;
	do {
		hs_watchdog_sign(fd);
		now = hs_now_ns();
		left = end > now ? end - now : 0;
		ret = ckdev_wait(fd, generation, left < pause ? left : pause, NULL);
		if (ret == -ETIMEDOUT && last_wanted())
			return -ECANCELED;
	} while (ret == -EINTR || (ret == -ETIMEDOUT && left > pause));
	return ret;
}

/* Until the spare has @generation. Returns 0, or -1 with errno and @e. */
static int wait_for(int fd, uint64_t generation, struct hs_error *e)
{
	uint64_t now = hs_now_ns(), end = now + timeout_ns;
	bool absent = alone && !attached(fd);
	int ret = -ETIMEDOUT;

	if (most && !absent && timeout_ns > MOMENT_NS)
		ret = wait_until(fd, generation, now + MOMENT_NS);
	if (ret == -ETIMEDOUT && most && !attached(fd))
		absent = true;
	if (ret == -ETIMEDOUT)
		ret = wait_until(fd, generation, absent ? now : end);
	/* It came meanwhile. */
	if (ret == -ETIMEDOUT && absent && attached(fd))
		ret = wait_until(fd, generation, end);
	if (ret == -ESTALE)
		return fenced(e);
	if (ret == -ETIMEDOUT)
		return no_answer(fd, e);
	if (ret == -ECONNRESET)
		return hs_fail(e, ECONNRESET, "cptdevd has ended: the next checkpoint looks for it again");
	if (ret)
		return hs_fail(e, -ret, "waiting for the spare: %s", ckdev_strerror(ret));
	/* Acknowledged since the spare is known to be gone: with a session name that is policy. */
	alone = most && flag(CPTDEV_STATE_ALONE);
	return alone ? no_spare(e) : 0;
}

static int wait_unlocked(int fd, uint64_t generation, struct hs_error *e)
{
	int ret, err;

	hs_pool_unlock();
	ret = wait_for(fd, generation, e);
	err = errno;
	hs_pool_lock();
	errno = err;
	return ret;
}

/*
 * Leaves a daemon that has ended: another one may run by now, and gets everything. @ret: of a
 * call, with errno; returned as it is.
 */
static int connection(int ret)
{
	struct hs_error ignored;
	uint64_t generation;

	if (ret && errno == ECONNRESET) {
		hs_handover_end(&generation, &ignored);
		hs_handover_forget();
		hs_backend_release();
		errno = ECONNRESET;
	}
	return ret;
}

bool hs_publish_overtaken(void)
{
	const struct timespec little = { .tv_nsec = 2000000 };
	const uint64_t end = hs_now_ns() + MOMENT_NS;
	int fd = hs_snapshot_session(NULL);

	while (ckdev_wait(fd, 0, 0, NULL) != -ESTALE && !attached(fd) && hs_now_ns() < end &&
	       hs_private_hopes())
		nanosleep(&little, NULL);
	/* The spare may have refused because it has taken over, since that was asked last. */
	return ckdev_wait(fd, 0, 0, NULL) == -ESTALE;
}

/*
 * Publishing
 */

/* A program that was fenced publishes nothing any more. */
static int check_fence(int fd, struct hs_error *e)
{
	int ret = ckdev_wait(fd, 0, 0, NULL);

	if (ret == -ECONNRESET)
		return hs_fail(e, ECONNRESET, "cptdevd has ended");
	if (ret == -ETIME)
		return hs_fail(e, ETIMEDOUT, "%s", ckdev_strerror(ret));
	return ret == -ESTALE ? fenced(e) : 0;
}

/* The session, which is opened anew if its daemon was started anew. Or -1 with errno and @e. */
static int session(struct hs_error *e)
{
	int fd = hs_snapshot_session(e);

	if (fd < 0)
		return -1;
	if (!connection(check_fence(fd, e)))
		return fd;
	if (errno != ECONNRESET)
		return -1;
	fd = hs_snapshot_session(e);
	return fd < 0 || check_fence(fd, e) ? -1 : fd;
}

/* The cut. The module has it then, and gives it a @generation; the soft engine hasn't yet. */
static int take_cut(uint64_t *generation, struct hs_error *e)
{
	struct hs_job *j;
	int ret;

	hs_inside++;
	j = hs_job_new(e);
	if (!j) {
		hs_inside--;
		return -1;
	}
	j->publish = true;
	hs_cpt_head(&j->head);
	ret = hs_cut(j, e);
	*generation = j->snap.generation;
	if (!ret)
		hs_cpt_taken(j);
	hs_job_free(j);
	hs_inside--;
	return ret;
}

/* Ends what is under way. Its failure is of no interest where another one follows. */
static int settle(uint64_t *generation, struct hs_error *e)
{
	int ret = hs_handed_over() ? hs_handover_end(generation, e) : 0;

	return connection(ret);
}

/* Returns 0 and its @generation, or -1 with errno and @e. */
static int publish(uint64_t *generation, struct hs_error *e)
{
	return take_cut(generation, e) || settle(generation, e) ? -1 : 0;
}

/* Once more if the spare needs one that reaches back further: the next one does. */
static int take_and_wait(int fd, struct hs_error *e)
{
	uint64_t generation;
	int ret, tries = 0;

	settle(&generation, e);
	do {
		ret = publish(&generation, e);
		if (!ret)
			ret = connection(wait_unlocked(fd, generation, e));
	} while (ret && errno == ECANCELED && ++tries < 8);
	hs_stats_end(ret ? errno : 0);
	return ret;
}

static bool has_room(const struct cptdev_info *info)
{
	return info->published - info->committed < most;
}

/*
 * May one more be under way? A spare that was started with the program may not be attached yet:
 * it has a moment.
 */
static int check_room(int fd, struct hs_error *e)
{
	struct cptdev_info info = { .size = sizeof(info) };

	if (!most || ckdev_info(fd, &info) || has_room(&info))
		return 0;
	if (!info.attached && !alone) {
		hs_pool_unlock();
		wait_until(fd, info.published - most + 1, hs_now_ns() + MOMENT_NS);
		hs_pool_lock();
		if (ckdev_info(fd, &info) || has_room(&info))
			return 0;
	}
	alone = !info.attached;
	return alone ? no_spare(e) : hs_fail(e, EAGAIN, "the maximum number of checkpoints (-n) is "
					     "under way");
}

/* The soft engine gets it from a thread, which the next one waits for. */
static int take_later(int fd, struct hs_error *e)
{
	uint64_t before;

	settle(&before, e);
	if (check_room(fd, e))
		return -1;
	if (take_cut(&newest, e) || (hs_handed_over() && hs_handover_later(e)))
		return -1;
	unsettled++;
	return 0;
}

/* For how long a person holds checkpoints off, in ns; only the soft engine can tell. */
static uint64_t held_off(void)
{
	return hs_handed_over() ? ckdev_held_off(hs_session_page()) : 0;
}

static int still_held_off(int err, struct hs_error *e)
{
	return hs_fail(e, err, "checkpoints are held off for at most %llu s by \"cptdevctl hold\": see "
		       "\"cptdevctl status\"", (unsigned long long)(held_off() / 1000000000 + 1));
}

/*
 * The session, when no person holds checkpoints off. An asynchronous one doesn't wait for that, and others no
 * longer than for a spare. Returns -1 with errno and @e otherwise.
 */
static int session_released(int flags, struct hs_error *e)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };
	uint64_t end = 0, now;
	int fd;

	while ((fd = session(e)) >= 0 && held_off()) {
		now = hs_now_ns();
		end = end ?: now + timeout_ns;
		if (flags & HSCPT_ASYNC)
			return still_held_off(EAGAIN, e);
		if (now >= end)
			return still_held_off(ETIMEDOUT, e);
		hs_watchdog_sign(fd);
		hs_pool_unlock();
		nanosleep(&pause, NULL);
		hs_pool_lock();
	}
	return fd;
}

int hs_publish_take(int flags, struct hs_error *e)
{
	int fd = session_released(flags, e);

	if (fd < 0)
		return -1;
	hs_watchdog_sign(fd);
	return flags & HSCPT_ASYNC ? take_later(fd, e) : take_and_wait(fd, e);
}

int hs_publish_wait(struct hs_error *e)
{
	int fd, ret = 0, err;

	if (!unsettled)
		return 0;
	fd = hs_snapshot_session(e);
	ret = fd < 0 || settle(&newest, e) ? -1 : connection(wait_unlocked(fd, newest, e));
	/* Dropped: what the memory has now is newer. */
	if (ret && errno == ECANCELED)
		return hs_publish_take(0, e);
	err = errno;
	for (; unsettled; unsettled--)
		hs_stats_end(ret ? err : 0);
	errno = err;
	return ret;
}

/* The spare of a program that has a private cptdevd ends with the program. */
static void say_bye(void)
{
	struct hs_error ignored;
	uint64_t generation;
	int fd = hs_snapshot_session(&ignored);

	if (fd >= 0 && attached(fd) && !hs_handover_bye(&generation, &ignored))
		wait_until(fd, generation, hs_now_ns() + timeout_ns);
}

void hs_publish_stop(void)
{
	uint64_t generation;
	struct hs_error ignored;

	if (!publishing)
		return;
	settle(&generation, &ignored);
	if (most)
		say_bye();
	hs_backend_leave();
}

static int overtaken(void)
{
	return fenced(hs_why());
}

/* A fence is told by the call as well: an older module has no page. */
int hs_may_serve(void)
{
	const struct cptdev_session_page *page;
	int fd;

	if (!publishing)
		return 1;
	fd = hs_snapshot_session(NULL);
	hs_watchdog_sign(fd);
	if (hs_lazy_owes())
		return 0;
	page = hs_session_page();
	if (!page)
		return fd >= 0 && ckdev_wait(fd, 0, 0, NULL) == -ESTALE ? overtaken() : 1;
	if (ckdev_may_serve(page))
		return 1;
	return flag(CPTDEV_STATE_FENCED) ? overtaken() : 0;
}

/*
 * The daemon has ended: the next checkpoint looks for another one, which knows nothing of the session. True
 * now and then, as that may fail. Threads that ask at once do no harm.
 */
static bool lost(void)
{
	static _Atomic uint64_t looked;
	const uint64_t now = hs_now_ns();
	const int saved = errno;
	bool ret;

	if (now - looked < LOST_NS)
		return false;
	looked = now;
	ret = hs_session_lost();
	errno = saved;
	return ret;
}

int hs_wanted(void)
{
	return publishing && (flag(CPTDEV_STATE_WANTED) || lost());
}
