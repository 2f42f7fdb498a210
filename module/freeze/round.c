// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: ROUND. A spare that has nothing of a large session gets it in pieces, while the program
 * runs, instead of in one snapshot of everything.
 *
 * A round is a cut that goes only as far as it has pages to take, so that its pause and the memory
 * that it holds have a limit. It isn't published, and no snapshot continues from it. The rounds
 * of a pass have one generation g. Whatever changes after the round that took it gets a number
 * above g: from a later cut, because each cut numbers what it finds. So "everything that changed
 * after g" completes the pass, and a snapshot with a base of g, or lower, has this. A page that
 * changed before its round, but after the pass began, may also get a number above g, if another
 * cut came in between. It is sent twice then.
 *
 * A pass with a base takes what changed since an earlier pass. It leaves out pages that were
 * written since the newest cut that saw them ("hot" ones), if it is told to: these keep their
 * marks.
 */
#include <linux/sched/mm.h>

#include "cut.h"
#include "../trace.h"
#include "../mutants.h"

static int round_valid(const struct cptdev_round *arg)
{
	if (arg->flags & ~CPTDEV_ROUND_COOL)
		return -EOPNOTSUPP;
	if (arg->reserved || arg->pages < CPTDEV_ROUND_MIN || !PAGE_ALIGNED(arg->addr))
		return -EINVAL;
	/* Without a base everything is wanted. */
	if ((arg->flags & CPTDEV_ROUND_COOL) && !arg->base)
		return -EINVAL;
	return arg->pass && arg->base >= arg->pass ? -EINVAL : 0;
}

static int round_take(struct cut *cut, struct cptdev_session *s, struct cptdev_round *arg,
		      struct cptdev_call *call)
{
	int ret = 0;

	if (arg->base > s->generation || arg->pass > s->generation)
		return -EINVAL;
	if (!arg->pass)
		ret = cptdev_publish_pass(s, arg->base);
	if (!ret)
		ret = cptdev_cut_begin(cut, s, arg->base);
	if (ret)
		return ret;
	cut->pass = arg->pass;
	cut->snap->round = true;
	cut->max = min_t(u64, arg->pages, TASK_SIZE >> PAGE_SHIFT);
	cut->pos = arg->addr;
	cut->pause_max = min_t(u64, arg->pause_ns, KTIME_MAX);
	cut->cool = arg->flags & CPTDEV_ROUND_COOL;
	if (cut->cool)
		cut->walk.quick = NULL;
	ret = cptdev_cut_locked(cut, &arg->pause_ns);
	if (!ret)
		ret = cptdev_cut_seal(cut);
	if (ret)
		return ret;
	call->new_file = cptdev_snapfile(cut->snap);
	if (IS_ERR(call->new_file)) {
		ret = PTR_ERR(call->new_file);
		call->new_file = NULL;
	}
	return ret;
}

static int round_session(struct cptdev_session *s, struct cptdev_round *arg,
			 struct cptdev_call *call)
{
	struct cut cut = {};
	int ret;

	/* The address space stays as long as this takes. */
	if (READ_ONCE(s->dead) || !mmget_not_zero(s->mm))
		return -ESRCH;
	/* The program may be waiting for its memory with this lock. The daemon waits for nobody. */
	if (!mutex_trylock(&s->lock)) {
		mmput_async(s->mm);
		return -EAGAIN;
	}
	ret = round_take(&cut, s, arg, call);
	if (!ret) {
		arg->pass = arg->pass ?: cut.generation;
		arg->addr = cut.pos;
		arg->pages = cptdev_snap_pages(cut.snap);
	}
	trace_cptdev_round(s, arg, ret);
	mutex_unlock(&s->lock);
	/* If the process has ended, its memory is freed by somebody else. */
	mmput_async(s->mm);
	cptdev_snap_put(cut.snap);
	return ret;
}

int cptdev_round(struct cptdev_call *call, void *uarg)
{
	struct cptdev_round *arg = uarg;
	struct cptdev_session *s;
	int ret = round_valid(arg);

	if (ret)
		return ret;
	if (!cptdev_capable())
		return -EPERM;
	s = cptdev_session_find(arg->session_id);
	if (!s)
		return -ENOENT;
	ret = round_session(s, arg, call);
	cptdev_session_put(s);
	return ret;
}
