// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: checkpoints that cptdevd brings to the spare, see publish.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ckdev.h>

#include "clock.h"
#include "handover.h"
#include "hotspare.h"
#include "job.h"
#include "lock.h"
#include "module.h"
#include "publish.h"
#include "schedule.h"

static bool publishing;
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

bool hs_publishing(void)
{
	return publishing;
}

/*
 * Waiting
 */

static int fenced(struct hs_error *e)
{
	return hs_fail(e, ESTALE, "fenced: a spare has taken over, and this program must not serve any "
		       "more: hs_rejoin(3) starts it anew as the spare");
}

static bool attached(int fd)
{
	struct cptdev_info info = { .size = sizeof(info) };

	return !ckdev_info(fd, &info) && info.attached;
}

static int no_answer(int fd, struct hs_error *e)
{
	alone = !attached(fd);
	if (alone)
		return hs_fail(e, ENOTCONN, "no spare is attached: see \"cptdevctl status\"");
	return hs_fail(e, ETIMEDOUT, "the spare doesn't have the checkpoint yet");
}

/* Until the spare has @generation. Returns 0, or -1 with errno and @e. */
static int wait_for(int fd, uint64_t generation, struct hs_error *e)
{
	uint64_t now = hs_now_ns(), end = now + timeout_ns;
	int ret;

	if (alone && !attached(fd))
		end = now;
	do {
		now = hs_now_ns();
		ret = ckdev_wait(fd, generation, end > now ? end - now : 0, NULL);
	} while (ret == -EINTR);
	if (ret == -ESTALE)
		return fenced(e);
	if (ret == -ETIMEDOUT)
		return no_answer(fd, e);
	if (ret == -ECONNRESET)
		return hs_fail(e, ECONNRESET, "cptdevd has ended: the next checkpoint looks for it again");
	if (ret)
		return hs_fail(e, -ret, "waiting for the spare: %s", ckdev_strerror(ret));
	alone = false;
	return 0;
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

/*
 * Publishing
 */

/* A program that was fenced publishes nothing any more. */
static int check_fence(int fd, struct hs_error *e)
{
	int ret = ckdev_wait(fd, 0, 0, NULL);

	if (ret == -ECONNRESET)
		return hs_fail(e, ECONNRESET, "cptdevd has ended");
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
	int ret = hs_by_module() ? 0 : hs_handover_end(generation, e);

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

/* The soft engine gets it from a thread, which the next one waits for. */
static int take_later(struct hs_error *e)
{
	uint64_t before;

	settle(&before, e);
	if (take_cut(&newest, e) || (!hs_by_module() && hs_handover_later(e)))
		return -1;
	unsettled++;
	return 0;
}

int hs_publish_take(int flags, struct hs_error *e)
{
	int fd = session(e);

	if (fd < 0)
		return -1;
	return flags & HSCPT_ASYNC ? take_later(e) : take_and_wait(fd, e);
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
		return take_and_wait(fd, e);
	err = errno;
	for (; unsettled; unsettled--)
		hs_stats_end(ret ? err : 0);
	errno = err;
	return ret;
}

void hs_publish_stop(void)
{
	uint64_t generation;
	struct hs_error ignored;

	if (!publishing)
		return;
	settle(&generation, &ignored);
	hs_backend_release();
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
	page = hs_session_page();
	if (!page)
		return fd >= 0 && ckdev_wait(fd, 0, 0, NULL) == -ESTALE ? overtaken() : 1;
	if (ckdev_may_serve(page))
		return 1;
	return __atomic_load_n(&page->flags, __ATOMIC_ACQUIRE) & CPTDEV_STATE_FENCED ?
		overtaken() : 0;
}

int hs_wanted(void)
{
	const struct cptdev_session_page *page = publishing ? hs_session_page() : NULL;

	return page && __atomic_load_n(&page->flags, __ATOMIC_ACQUIRE) & CPTDEV_STATE_WANTED;
}
