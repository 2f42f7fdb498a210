// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: sessions. Opening the device creates a session, which is bound to the opener's address
 * space. It needs little memory before its first range. The list of sessions has those that have
 * a name or have had a range.
 */
#include <linux/poll.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "track/track.h"
#include "mutants.h"

/*
 * The list, that what is found on it isn't gone yet, and the arrays of ranges. Held for
 * moments: nobody waits for a process's memory under it.
 */
DEFINE_MUTEX(cptdev_sessions_lock);
LIST_HEAD(cptdev_sessions);
static atomic64_t last_id;
static u64 last_listing;		/* under cptdev_sessions_lock */

static void session_free(struct kref *ref)
{
	struct cptdev_session *s = container_of(ref, struct cptdev_session, ref);

	mmdrop(s->mm);
	put_task_struct(s->opener);
	cptdev_user_put(s->user);
	kfree_rcu(s, rcu);
}

void cptdev_session_put(struct cptdev_session *s)
{
	kref_put(&s->ref, session_free);
}

/* The session of this number, referenced, or NULL. */
struct cptdev_session *cptdev_session_find(u64 id)
{
	struct cptdev_session *s, *found = NULL;

	mutex_lock(&cptdev_sessions_lock);
	list_for_each_entry(s, &cptdev_sessions, entry) {
		if (s->id == id) {
			found = s;
			cptdev_session_get(s);
			break;
		}
	}
	mutex_unlock(&cptdev_sessions_lock);
	return found;
}

u64 cptdev_sessions_count(void)
{
	struct cptdev_session *s;
	u64 n = 0;

	mutex_lock(&cptdev_sessions_lock);
	list_for_each_entry(s, &cptdev_sessions, entry)
		n++;
	mutex_unlock(&cptdev_sessions_lock);
	return n;
}

/* Let others see it. Under cptdev_sessions_lock. */
void cptdev_session_list(struct cptdev_session *s)
{
	lockdep_assert_held(&cptdev_sessions_lock);
	if (s->listed || s->dead)
		return;
	s->listed = true;
	s->listing = ++last_listing;
	list_add_tail(&s->entry, &cptdev_sessions);
	cptdev_event_session(s, CPTDEV_CMD_SESSION_NEW_NTF);
}

/* Nobody finds it any more, and what it had published is given up. */
static void session_unlist(struct cptdev_session *s)
{
	mutex_lock(&cptdev_sessions_lock);
	if (s->listed) {
		s->listed = false;
		list_del(&s->entry);
		cptdev_event_session(s, CPTDEV_CMD_SESSION_GONE_NTF);
	}
	mutex_unlock(&cptdev_sessions_lock);
	cptdev_alive_stop(s);
	cptdev_unpublish_all(s);
}

/*
 * It ends. The first reason counts: a program that is killed loses its address space, and
 * then its descriptor.
 */
static void session_ends(struct cptdev_session *s)
{
	u32 code = 0, end = cptdev_end_reason(s, &code);

	spin_lock(&s->pub_lock);
	if (!s->ended) {
		s->ended = true;
		s->end = end;
		s->end_code = code;
		cptdev_state_show(s);
	}
	spin_unlock(&s->pub_lock);
	WRITE_ONCE(s->dead, true);
}

/*
 * The address space went away under the session: the process ended, or called exec with
 * the descriptor open. Runs in the exit path of the address space, so the work is left to a
 * worker.
 */
void cptdev_session_mm_gone(struct cptdev_session *s)
{
	session_ends(s);
	cptdev_session_get(s);
	if (!queue_work(cptdev_wq, &s->gone_work))
		cptdev_session_put(s);
}

static void session_gone(struct work_struct *work)
{
	struct cptdev_session *s = container_of(work, struct cptdev_session, gone_work);

	session_unlist(s);
	cptdev_session_put(s);
}

/* A call that needs the session's own address space. */
int cptdev_session_enter(struct cptdev_session *s)
{
	if (current->mm != s->mm)
		return -EXDEV;
	return READ_ONCE(s->dead) ? -ESRCH : 0;
}

/* See to it that all is there to track: a range is about to be added. */
int cptdev_session_start(struct cptdev_session *s)
{
	int ret;

	lockdep_assert_held(&s->lock);
	ret = cptdev_proxy_create(s);
	if (ret || s->has_notifier)
		return ret;
	s->notifier.ops = &cptdev_notifier_ops;
	cptdev_session_get(s);
	ret = mmu_notifier_register(&s->notifier, s->mm);
	if (ret) {
		cptdev_session_put(s);
	} else {
		s->has_notifier = true;
		cptdev_tracker_add(s);
	}
	/* It gives up for any signal; the caller needn't know: he is called again. */
	return ret == -EINTR ? -ERESTARTNOINTR : ret;
}

static struct cptdev_session *session_alloc(void)
{
	struct cptdev_session *s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);

	if (!s)
		return ERR_PTR(-ENOMEM);
	s->user = cptdev_user_take(CPTDEV_SESSIONS);
	if (IS_ERR(s->user)) {
		int ret = PTR_ERR(s->user);

		kfree(s);
		return ERR_PTR(ret);
	}
	kref_init(&s->ref);
	INIT_LIST_HEAD(&s->entry);
	mutex_init(&s->lock);
	xa_init(&s->chunks);
	spin_lock_init(&s->pub_lock);
	INIT_LIST_HEAD(&s->published);
	INIT_LIST_HEAD(&s->following);
	init_waitqueue_head(&s->wq);
	INIT_WORK(&s->gone_work, session_gone);
	cptdev_alive_init(s);
	s->id = atomic64_inc_return(&last_id);
	s->term = 1;
	s->pub_base = CPTDEV_NO_BASE;
	s->uid = current_euid();
	s->capable = cptdev_capable();
	s->pid = task_tgid_nr(current);
	s->opener = get_task_struct(current->group_leader);
	uuid_gen(&s->uuid);
	s->mm = current->mm;
	mmgrab(s->mm);
	return s;
}

int cptdev_session_open(struct inode *inode, struct file *filp)
{
	struct cptdev_session *s;

	if (!current->mm)
		return -EINVAL;
	s = session_alloc();
	if (IS_ERR(s))
		return PTR_ERR(s);
	filp->private_data = s;
	return 0;
}

/*
 * The rest of the end. It has to run in the session's address space or in a kernel
 * thread, which can step into it; close() by another process is neither.
 */
static void session_end(struct cptdev_session *s)
{
	cptdev_proxy_destroy(s);
	if (s->has_notifier) {
		cptdev_tracker_del(s);
		mmu_notifier_put(&s->notifier);	/* drops its reference later */
	}
	mutex_lock(&s->lock);
	cptdev_ranges_free(s);
	cptdev_chunks_free(s);
	cptdev_layout_put(s->layout);
	s->layout = NULL;
	mutex_unlock(&s->lock);
	cptdev_session_put(s);
}

static void session_end_work(struct work_struct *work)
{
	session_end(container_of(work, struct cptdev_session, end_work));
}

int cptdev_session_release(struct inode *inode, struct file *filp)
{
	struct cptdev_session *s = filp->private_data;

	session_ends(s);
	cptdev_unfollow_all(s);
	session_unlist(s);
	cptdev_session_page_free(s);
	/* It may take a while to be free: the notifier's last call comes later. */
	cptdev_user_give(s->user, CPTDEV_SESSIONS);
	if (current->mm == s->mm || !s->proxy.file) {
		session_end(s);
	} else {
		INIT_WORK(&s->end_work, session_end_work);
		queue_work(cptdev_wq, &s->end_work);
	}
	return 0;
}

/* Readable: a newer generation is acknowledged than at the last WAIT. */
__poll_t cptdev_session_poll(struct file *filp, poll_table *wait)
{
	struct cptdev_session *s = filp->private_data;
	__poll_t mask = 0;

	poll_wait(filp, &s->wq, wait);
	spin_lock(&s->pub_lock);
	if (s->committed > s->committed_seen && cptdev_state_allows(s))
		mask |= EPOLLIN | EPOLLRDNORM;
	if ((s->state & (CPTDEV_STATE_FENCED | CPTDEV_STATE_WANTED)) ||
	    s->cancelled > s->cancelled_seen)
		mask |= EPOLLPRI;
	spin_unlock(&s->pub_lock);
	return mask;
}

static struct cptdev_session *session_named(const char *name)
{
	struct cptdev_session *s;

	lockdep_assert_held(&cptdev_sessions_lock);
	list_for_each_entry(s, &cptdev_sessions, entry)
		if (!strcmp(s->name, name))
			return s;
	return NULL;
}

/* Has a session of another user than @uid this name? Under cptdev_replicas_lock. */
bool cptdev_session_of_other(const char *name, kuid_t uid)
{
	struct cptdev_session *s;
	bool other;

	lockdep_assert_held(&cptdev_replicas_lock);
	mutex_lock(&cptdev_sessions_lock);
	s = session_named(name);
	other = s && !uid_eq(s->uid, uid);
	mutex_unlock(&cptdev_sessions_lock);
	return other;
}

/*
 * A name is one user's, for sessions and replicas alike: a program of another user would go on
 * under it without the state, or keep the spare of its owner out.
 */
static int name_free(const struct cptdev_session *s, const char *name)
{
	if (session_named(name))
		return -EEXIST;
	return cptdev_replica_of_other(name, s->uid) && !cptdev_capable() ? -EACCES : 0;
}

int cptdev_session_setup(struct cptdev_call *call, void *uarg)
{
	struct cptdev_session *s = call->filp->private_data;
	struct cptdev_session_setup *arg = uarg;
	int ret;

	if (arg->flags & ~CPTDEV_SESSION_REPLACE)
		return -EOPNOTSUPP;
	if (arg->term > CPTDEV_TERM_MAX)
		return -EINVAL;
	ret = cptdev_check_name(arg->name);
	if (!ret)
		ret = cptdev_session_enter(s);
	if (ret)
		return ret;

	mutex_lock(&s->lock);
	mutex_lock(&cptdev_replicas_lock);
	mutex_lock(&cptdev_sessions_lock);
	if (s->generation || s->name[0])
		ret = -EBUSY;
	else
		ret = name_free(s, (const char *)arg->name);
	if (!ret) {
		strscpy(s->name, arg->name, sizeof(s->name));
		s->term = arg->term ?: 1;
		s->flags = arg->flags;
		s->held_max = arg->held_max;
		/* It may be known without a name. */
		if (s->listed)
			cptdev_event_session(s, CPTDEV_CMD_SESSION_NEW_NTF);
		cptdev_session_list(s);
	}
	mutex_unlock(&cptdev_sessions_lock);
	mutex_unlock(&cptdev_replicas_lock);
	mutex_unlock(&s->lock);
	return ret;
}
