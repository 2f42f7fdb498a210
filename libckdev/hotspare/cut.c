// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: the cut. It comes under the arena's lock and while no thread is in a section that
 * holds checkpoints off. It is one of four:
 *
 * - A snapshot by the module. A thread of ours reads it and writes what it has.
 * - A snapshot by the module that is published, with the state area in it. cptdevd fetches it.
 * - A fork for cptdevd's soft engine, with the state area in it. The child writes what changed to
 *   a memory file, which is handed over (handover.c).
 * - A fork. The child writes what it sees, and takes no memory: other threads may have held
 *   any lock. It ends without a signal, and nobody but us waits for it.
 */
#include <errno.h>
#include <pthread.h>

#include "area.h"
#include "arena.h"
#include "clock.h"
#include "handover.h"
#include "hooks.h"
#include "hotspare.h"
#include "job.h"
#include "lazy.h"
#include "lock.h"
#include "output.h"
#include "schedule.h"
#include "touch.h"
#include "written.h"


/*
 * Sections that hold checkpoints off
 */

static pthread_rwlock_t holding = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static __thread unsigned int held;

void hs_hold(void)
{
	if (!held++)
		pthread_rwlock_rdlock(&holding);
}

void hs_release(void)
{
	if (!held)
		hs_fatal("hs_release() without hs_hold()");
	if (!--held)
		pthread_rwlock_unlock(&holding);
}

/* Those that other threads are in are no sections of the child's, which has but one thread. */
void hs_cpt_in_child(void)
{
	holding = (pthread_rwlock_t)PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
	if (held)
		pthread_rwlock_rdlock(&holding);
}

bool hs_held(void)
{
	return held;
}

/*
 * The cut
 */

static int cut_by_fork(struct hs_job *j, struct hs_error *e)
{
	if (hs_texts_make(&j->texts, e))
		return -1;
	hs_written_before(&j->texts.state.ranges, j->head.generation);
	j->pipe->ended = hs_job_fork(j->pipe->result, hs_job_run, j, e);
	return j->pipe->ended < 0 ? -1 : 0;
}

/* What the process is becomes memory, so it has to be text before the snapshot. */
static int cut_to_publish(struct hs_job *j, struct hs_error *e)
{
	if (hs_texts_make(&j->texts, e) || hs_area_write(&j->texts, &j->head, e))
		return -1;
	/* Which way it goes is known once the session is open, which it isn't after a lost cptdevd. */
	if (hs_snapshot_session(e) < 0)
		return -1;
	if (hs_handed_over())
		return hs_handover_cut(&j->texts.state.ranges, j->head.generation, e);
	return hs_snapshot_publish(&j->snap, &j->texts.state.ranges, e);
}

/* What the process is, and its memory. */
static int cut_now(struct hs_job *j, struct hs_error *e)
{
	uint64_t since = 0;

	if (hs_texts_capture(&j->texts, e))
		return -1;
	if (j->publish)
		return cut_to_publish(j, e);
	if (!hs_by_module())
		return cut_by_fork(j, e);
	if (j->head.flags & HS_IMAGE_INCREMENT)
		since = hs_sums_snapshot(j->pipe->target->sums);
	if (!since)
		j->head.flags &= ~HS_IMAGE_INCREMENT;
	return hs_snapshot_take(&j->snap, &j->texts.state.ranges, since, e);
}

/* The last one, as far as the touch set needs it. */
static struct {
	bool by_module, file;
	uint64_t generation;
} last;

static void remember(const struct hs_job *j)
{
	last.by_module = j->publish ? hs_by_module() : j->snap.fd >= 0;
	last.file = !j->publish && j->pipe->target->kind == HS_TARGET_FILE;
	last.generation = j->head.generation;
}

/* A program that waited for its checkpoint accessed nothing meanwhile. */
void hs_cut_go_on(void)
{
	if (last.by_module)
		hs_touch_cut(last.generation, last.file);
	last.by_module = false;
}

/* The cut itself. Returns 0, or -1 with errno and @e. */
static int cut(struct hs_job *j, struct hs_error *e)
{
	uint64_t ns;
	int ret;

	hs_touch_pause();
	pthread_rwlock_wrlock(&holding);
	ns = hs_now_ns();
	hs_arena_lock();
	ret = cut_now(j, e);
	hs_arena_unlock();
	ns = hs_now_ns() - ns;
	pthread_rwlock_unlock(&holding);
	hs_touch_resume();
	hs_stats_cut(ns);
	if (!ret)
		remember(j);
	return ret;
}


/*
 * Hooks are for the moment of the cut, not for the time until it is delivered: what one
 * locks the other one unlocks. Those after it are those that belong to the ones before it,
 * and change nothing of why it has failed.
 */
int hs_cut(struct hs_job *j, struct hs_error *e)
{
	struct hs_hooks hooks;
	struct hs_error text;
	int ret, err;

	/* Of a page that is missing it would have zeros. */
	hs_lazy_wait();
	/* A hook may accept connections: all that were acknowledged before are there then. */
	if (j->publish && hs_output_mark(e))
		return -1;
	if (hs_hooks_capture(&hooks))
		return hs_fail(e, ENOMEM, "no memory for the list of hooks");
	hs_hooks_before(&hooks);
	if (held)
		ret = hs_fail(e, EDEADLK, "a hook called hs_hold() and not hs_release(): no "
			      "checkpoint can be taken");
	else
		ret = cut(j, e);
	err = errno;
	text = *e;
	hs_hooks_after(&hooks);
	hs_hooks_free(&hooks);
	*e = text;
	errno = err;
	return ret;
}
