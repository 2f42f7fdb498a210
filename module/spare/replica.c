// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: replicas. A replica is a named copy of a session's memory, in pages of the module. It
 * outlives the processes that create and fill it, and keeps the module loaded.
 *
 * Staged pages are separate from the content. A commit moves them into the content while it
 * excludes all readers. Both are arrays by page number, whose entries are a page or nothing. A
 * staged entry may also say that the page becomes a hole.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>

#include "../cptdev.h"

/* The list, the names on it, and which replicas can still be found by name. */
DEFINE_MUTEX(cptdev_replicas_lock);
LIST_HEAD(cptdev_replicas);
static u64 last_listing;		/* under cptdev_replicas_lock */

u64 cptdev_replicas_count(void)
{
	struct cptdev_replica *r;
	u64 n = 0;

	mutex_lock(&cptdev_replicas_lock);
	list_for_each_entry(r, &cptdev_replicas, entry)
		n++;
	mutex_unlock(&cptdev_replicas_lock);
	return n;
}

static void replica_free_work(struct work_struct *work)
{
	struct cptdev_replica *r = container_of(work, struct cptdev_replica, free_work);
	u64 pages = r->nr_pages + r->past_pages;

	cptdev_past_exit(r);
	cptdev_pages_free(r, r->pages);
	cptdev_pool_free(r);
	cptdev_since_exit(r);
	cptdev_layout_put(r->layout);
	cptdev_blob_put(r->meta);
	cptdev_user_put(r->user);
	kfree(r);
	cptdev_gone_done("replica", pages);
	module_put(THIS_MODULE);
}

static void replica_free(struct kref *ref)
{
	struct cptdev_replica *r = container_of(ref, struct cptdev_replica, ref);

	INIT_WORK(&r->free_work, replica_free_work);
	cptdev_gone_run(&r->free_work, r->nr_pages + r->past_pages);
}

void cptdev_replica_put(struct cptdev_replica *r)
{
	kref_put(&r->ref, replica_free);
}

static struct cptdev_replica *replica_find(const char *name)
{
	struct cptdev_replica *r;

	lockdep_assert_held(&cptdev_replicas_lock);
	list_for_each_entry(r, &cptdev_replicas, entry)
		if (!strcmp(r->name, name))
			return r;
	return NULL;
}

/* Belongs the replica of this name to another user than @uid? */
bool cptdev_replica_of_other(const char *name, kuid_t uid)
{
	struct cptdev_replica *r = replica_find(name);

	return r && !READ_ONCE(r->removed) && !uid_eq(r->uid, uid);
}

/* For the owner and holders of the capability. Others that got a descriptor may only read. */
int cptdev_replica_may(const struct cptdev_replica *r)
{
	return uid_eq(r->uid, current_euid()) || cptdev_capable() ? 0 : -EACCES;
}

/* The replica of this name, referenced, or NULL. */
struct cptdev_replica *cptdev_replica_find(const char *name)
{
	struct cptdev_replica *r;

	mutex_lock(&cptdev_replicas_lock);
	r = replica_find(name);
	if (r)
		kref_get(&r->ref);
	mutex_unlock(&cptdev_replicas_lock);
	return r;
}

/* @user: with a reference, which is taken over; or an error. */
static struct cptdev_replica *replica_alloc(const char *name, u64 max_bytes,
					    struct cptdev_user *user, kuid_t uid)
{
	struct cptdev_replica *r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);

	if (IS_ERR(user)) {
		kfree(r);
		return ERR_CAST(user);
	}
	if (!r)
		goto err_user;
	r->user = user;
	r->pages = cptdev_pages_alloc();
	if (!r->pages)
		goto err_user;
	kref_init(&r->ref);
	spin_lock_init(&r->pool_lock);
	INIT_LIST_HEAD(&r->pool);
	mutex_init(&r->stage_lock);
	init_rwsem(&r->sem);
	init_waitqueue_head(&r->wq);
	INIT_LIST_HEAD(&r->copiers);
	INIT_LIST_HEAD(&r->past);
	INIT_LIST_HEAD(&r->views);
	cptdev_since_init(r);
	strscpy(r->name, name, sizeof(r->name));
	r->uid = uid;
	r->max_bytes = max_bytes;
	/* The caller's descriptor holds the module now; this does from then on. */
	__module_get(THIS_MODULE);
	return r;

err_user:
	cptdev_user_give(user, CPTDEV_REPLICAS);
	cptdev_user_put(user);
	kfree(r);
	return ERR_PTR(-ENOMEM);
}

static void replica_unlist(struct cptdev_replica *r)
{
	lockdep_assert_held(&cptdev_replicas_lock);
	if (!r->listed)
		return;
	r->listed = false;
	list_del(&r->entry);
	cptdev_user_give(r->user, CPTDEV_REPLICAS);
	cptdev_event_replica(r, CPTDEV_CMD_REPLICA_GONE_NTF);
	cptdev_replica_put(r);
}

/* A new one, which the caller has a reference to. */
static void replica_list(struct cptdev_replica *r)
{
	r->listed = true;
	r->listing = ++last_listing;
	kref_get(&r->ref);		/* of the list */
	list_add_tail(&r->entry, &cptdev_replicas);
}

/* Find or create, referenced. Under cptdev_replicas_lock. */
static struct cptdev_replica *replica_get(const struct cptdev_replica_open *arg,
					  bool *created)
{
	struct cptdev_replica *r = replica_find((const char *)arg->name);

	/* On its way out already: nobody could fill it. */
	if (r && READ_ONCE(r->removed)) {
		replica_unlist(r);
		r = NULL;
	}
	if (r) {
		if (arg->flags & CPTDEV_REPLICA_EXCL)
			return ERR_PTR(-EEXIST);
		if (cptdev_replica_may(r))
			return ERR_PTR(-EACCES);
		kref_get(&r->ref);
		return r;
	}
	if (!(arg->flags & CPTDEV_REPLICA_CREATE))
		return ERR_PTR(-ENOENT);
	if (cptdev_session_of_other((const char *)arg->name, current_euid()) &&
	    !cptdev_capable())
		return ERR_PTR(-EACCES);
	r = replica_alloc((const char *)arg->name, arg->max_bytes,
			  cptdev_user_take(CPTDEV_REPLICAS), current_euid());
	if (IS_ERR(r))
		return r;
	replica_list(r);
	*created = true;
	return r;
}

/*
 * The replica of the session's name, referenced: one that is created belongs to the session's
 * user. Or an error.
 */
struct cptdev_replica *cptdev_replica_for(struct cptdev_session *s, bool create)
{
	struct cptdev_replica *r;

	mutex_lock(&cptdev_replicas_lock);
	r = replica_find(s->name);
	if (r && READ_ONCE(r->removed)) {
		replica_unlist(r);
		r = NULL;
	}
	if (r) {
		kref_get(&r->ref);
	} else if (!create) {
		r = ERR_PTR(-ENOENT);
	} else {
		r = replica_alloc(s->name, s->keep_max,
				  cptdev_user_share(s->user, CPTDEV_REPLICAS, s->capable), s->uid);
		if (!IS_ERR(r)) {
			replica_list(r);
			cptdev_event_replica(r, CPTDEV_CMD_REPLICA_NEW_NTF);
		}
	}
	mutex_unlock(&cptdev_replicas_lock);
	return r;
}

static struct file *replica_file(struct cptdev_replica *r, bool write)
{
	struct cptdev_replica_file *rf = kzalloc(sizeof(*rf), GFP_KERNEL_ACCOUNT);
	struct file *file;

	if (!rf)
		return ERR_PTR(-ENOMEM);
	rf->replica = r;
	rf->write = write;
	INIT_LIST_HEAD(&rf->copier);
	down_read(&r->sem);
	rf->promotions = r->promoted ? r->promotions : 0;
	up_read(&r->sem);
	file = anon_inode_getfile("[cptdev-replica]", &cptdev_replica_fops, rf,
				  write ? O_RDWR : O_RDONLY);
	if (IS_ERR(file)) {
		kfree(rf);
		return file;
	}
	/* An anonymous inode can't seek unless told. */
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
	atomic_inc(&r->openers);
	return file;
}

int cptdev_replica_open(struct cptdev_call *call, void *uarg)
{
	struct cptdev_replica_open *arg = uarg;
	bool write = arg->flags & CPTDEV_REPLICA_WRITE;
	bool created = false;
	struct cptdev_replica *r;
	struct file *file;

	if (arg->flags & ~CPTDEV_REPLICA_FLAGS)
		return -EOPNOTSUPP;
	if ((arg->flags & CPTDEV_REPLICA_EXCL) && !(arg->flags & CPTDEV_REPLICA_CREATE))
		return -EINVAL;
	if (arg->reserved || cptdev_check_name(arg->name))
		return -EINVAL;
	if (write && !cptdev_capable())
		return -EPERM;

	mutex_lock(&cptdev_replicas_lock);
	r = replica_get(arg, &created);
	if (IS_ERR(r)) {
		mutex_unlock(&cptdev_replicas_lock);
		return PTR_ERR(r);
	}
	file = replica_file(r, write);
	if (!IS_ERR(file))
		call->new_file = file;
	if (created && IS_ERR(file))
		replica_unlist(r);
	else if (created)
		cptdev_event_replica(r, CPTDEV_CMD_REPLICA_NEW_NTF);
	mutex_unlock(&cptdev_replicas_lock);
	if (IS_ERR(file))
		cptdev_replica_put(r);
	return PTR_ERR_OR_ZERO(file);
}

static int replica_release(struct inode *inode, struct file *filp)
{
	struct cptdev_replica_file *rf = filp->private_data;
	struct cptdev_replica *r = rf->replica;

	mutex_lock(&r->stage_lock);
	if (r->stager == rf)
		cptdev_stage_drop(r);
	cptdev_view_close(rf);
	down_write(&r->sem);
	if (rf->froze)
		r->frozen--;
	cptdev_copied_forget(rf);
	up_write(&r->sem);
	mutex_unlock(&r->stage_lock);
	atomic_dec(&r->openers);
	if (atomic_read(&rf->waits))
		atomic_dec(&r->waiters);
	cptdev_replica_put(r);
	kfree(rf);
	return 0;
}

static int replica_info(struct cptdev_call *call, void *uarg)
{
	struct cptdev_replica_file *rf = call->filp->private_data;
	struct cptdev_replica *r = rf->replica;
	struct cptdev_image_info *info = uarg;
	u32 size = info->size;
	const struct cptdev_layout *layout;
	const struct cptdev_blob *meta;
	struct cptdev_view *v;

	if (info->flags)
		return -EOPNOTSUPP;
	memset(info, 0, sizeof(*info));
	info->size = size;
	info->kind = CPTDEV_IMAGE_REPLICA;
	strscpy((char *)info->name, r->name, sizeof(info->name));
	info->uid = from_kuid(&init_user_ns, r->uid);
	info->max_bytes = cptdev_replica_limit(r);
	mutex_lock(&r->stage_lock);
	info->staged = r->nr_staged;
	info->staging = r->staging.generation;
	mutex_unlock(&r->stage_lock);

	v = cptdev_view_lock(rf);
	if (IS_ERR(v))
		return PTR_ERR(v);
	if (READ_ONCE(r->removed))
		info->state |= CPTDEV_IMAGE_REMOVED;
	if (r->promoted)
		info->state |= CPTDEV_IMAGE_PROMOTED;
	if (r->taken_ns)
		info->state |= CPTDEV_IMAGE_TAKEN;
	if (READ_ONCE(r->kept))
		info->state |= CPTDEV_IMAGE_KEPT;
	info->promoted_ns = r->promoted_ns;
	info->taken_ns = r->taken_ns;
	if (r->frozen)
		info->state |= CPTDEV_IMAGE_FROZEN;
	export_uuid(info->uuid, &r->uuid);
	info->term = v ? v->state.term : r->term;
	info->generation = v ? v->state.generation : r->generation;
	info->pages = v ? v->state.pages : r->nr_pages;
	layout = v ? v->state.layout : r->layout;
	info->segments = layout ? layout->nr : 0;
	meta = v ? v->state.meta : r->meta;
	info->meta_len = meta ? meta->len : 0;
	info->commits = r->commits;
	rf->seen = r->commits;
	up_read(&r->sem);
	return 0;
}

static int replica_layout(struct cptdev_call *call, void *uarg)
{
	struct cptdev_replica_file *rf = call->filp->private_data;
	struct cptdev_replica *r = rf->replica;
	struct cptdev_layout *layout;
	struct cptdev_view *v = cptdev_view_lock(rf);
	int ret;

	if (IS_ERR(v))
		return PTR_ERR(v);
	layout = v ? v->state.layout : r->layout;
	if (layout)
		cptdev_layout_get(layout);
	up_read(&r->sem);
	ret = cptdev_layout_read(layout, uarg);
	cptdev_layout_put(layout);
	return ret;
}

static int replica_meta(struct cptdev_call *call, void *uarg)
{
	struct cptdev_replica_file *rf = call->filp->private_data;
	struct cptdev_replica *r = rf->replica;
	struct cptdev_view *v = cptdev_view_lock(rf);
	struct cptdev_blob *meta;
	int ret;

	if (IS_ERR(v))
		return PTR_ERR(v);
	meta = cptdev_blob_get(v ? v->state.meta : r->meta);
	up_read(&r->sem);
	ret = cptdev_blob_read(meta, uarg);
	cptdev_blob_put(meta);
	return ret;
}

/*
 * So long a run is told in one piece. A reader that only asks where data begins needn't wait until
 * all of a large heap has been looked at.
 */
#define RUN_MAX		4096UL

/* The next run of pages with data from @index on. Under replica->sem. */
static bool replica_run(struct cptdev_replica *r, unsigned long index,
			struct cptdev_extent *e)
{
	XA_STATE(xas, r->pages, index);
	unsigned long n = 0;
	void *entry;

	rcu_read_lock();
	xas_for_each(&xas, entry, ULONG_MAX) {
		/* A place that a stage reserved is still empty. */
		if (xas_retry(&xas, entry) || xa_is_zero(entry))
			continue;
		if (n == RUN_MAX || (n && xas.xa_index != index + n))
			break;
		if (!n)
			index = xas.xa_index;
		n++;
	}
	rcu_read_unlock();
	*e = (struct cptdev_extent) {
		.addr = (u64)index << PAGE_SHIFT, .len = (u64)n << PAGE_SHIFT,
		.kind = CPTDEV_EXTENT_DATA,
	};
	return n;
}

/* Extents copied out at a time, without the lock. */
#define EXTENT_BATCH	32U

/* All extents: as cptdev_since_extents(). */
static int replica_batch(struct cptdev_replica *r, u64 *next, struct cptdev_extent *batch,
			 u32 max, bool *more)
{
	u32 n;

	for (n = 0; n < max; n++) {
		if (!replica_run(r, *next >> PAGE_SHIFT, &batch[n]))
			break;
		*next = batch[n].addr + batch[n].len;
	}
	*more = n == max;
	return n;
}

static int replica_extents(struct cptdev_call *call, void *uarg)
{
	struct cptdev_replica_file *rf = call->filp->private_data;
	struct cptdev_replica *r = rf->replica;
	struct cptdev_image_vec *arg = uarg;
	struct cptdev_extent __user *vec = u64_to_user_ptr(arg->vec);
	struct cptdev_extent batch[EXTENT_BATCH];
	struct cptdev_view *v;
	bool more;
	u32 max;
	int n;

	if (arg->flags)
		return -EOPNOTSUPP;
	if (!PAGE_ALIGNED(arg->start))
		return -EINVAL;
	arg->nr = 0;
	arg->next = arg->start;
	do {
		max = min(arg->vec_len - arg->nr, EXTENT_BATCH);
		v = cptdev_view_lock(rf);
		if (IS_ERR(v))
			return PTR_ERR(v);
		if (v && arg->since)
			n = -EINVAL;
		else if (v)
			n = cptdev_view_extents(r, v, &arg->next, batch, max, &more);
		else if (arg->since)
			n = cptdev_since_extents(r, arg->since, &arg->next, batch, max, &more);
		else
			n = replica_batch(r, &arg->next, batch, max, &more);
		up_read(&r->sem);
		if (n < 0)
			return n;
		if (copy_to_user(vec + arg->nr, batch, n * sizeof(*batch)))
			return -EFAULT;
		arg->nr += n;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	} while (more && arg->nr < arg->vec_len);
	return 0;
}

static int replica_freeze(struct cptdev_call *call, void *uarg)
{
	struct cptdev_replica_file *rf = call->filp->private_data;
	struct cptdev_replica *r = rf->replica;
	struct cptdev_replica_freeze *arg = uarg;
	bool freeze = !(arg->flags & CPTDEV_FREEZE_THAW);

	if (arg->flags & ~CPTDEV_FREEZE_THAW)
		return -EOPNOTSUPP;
	if (cptdev_replica_may(r))
		return -EACCES;
	down_write(&r->sem);
	if (rf->froze != freeze) {
		rf->froze = freeze;
		r->frozen += freeze ? 1 : -1;
	}
	arg->generation = r->generation;
	up_write(&r->sem);
	return 0;
}

static int promote_valid(const struct cptdev_replica *r, u64 term)
{
	if (r->removed)
		return -ENOENT;
	if (!r->generation)
		return -ENODATA;
	if (term && term <= r->term)
		return -ESTALE;
	if (r->term == CPTDEV_TERM_MAX)
		return -EOVERFLOW;
	return cptdev_term_jumps(r->term, term) ? -ERANGE : 0;
}

/* Under replica->stage_lock the term doesn't change. */
static int replica_promote(struct cptdev_call *call, void *uarg)
{
	struct cptdev_replica_file *rf = call->filp->private_data;
	struct cptdev_replica *r = rf->replica;
	struct cptdev_replica_promote *arg = uarg;
	int ret;

	if (arg->flags & ~CPTDEV_PROMOTE_AT)
		return -EOPNOTSUPP;
	if (arg->term > CPTDEV_TERM_MAX)
		return -EINVAL;
	if (!rf->write)
		return -EBADF;
	mutex_lock(&r->stage_lock);
	ret = promote_valid(r, arg->term);
	if (!ret && arg->flags & CPTDEV_PROMOTE_AT)
		ret = cptdev_view_back(rf);
	down_write(&r->sem);
	if (!ret) {
		r->term = arg->term ?: r->term + 1;
		r->promoted = true;
		r->promotions++;
		r->promoted_ns = ktime_get_real_ns();
		r->taken_ns = 0;
	}
	arg->generation = r->generation;
	arg->term = r->term;
	up_write(&r->sem);
	if (!ret)
		cptdev_stage_drop(r);
	mutex_unlock(&r->stage_lock);
	if (!ret) {
		wake_up_all(&r->wq);
		cptdev_event_replica(r, CPTDEV_CMD_REPLICA_PROMOTED_NTF);
	}
	return ret;
}

/* Under replica->sem, for writing. */
static int claim(struct cptdev_replica *r, const struct cptdev_replica_file *rf,
		 const struct cptdev_replica_claim *arg)
{
	if (READ_ONCE(r->removed))
		return -ENOENT;
	if (!r->promoted)
		return -EINVAL;
	if (arg->term && arg->term != r->term)
		return -ESTALE;
	if (r->taken_ns)
		return -EALREADY;
	if (r->promotions == rf->promotions && !(arg->flags & CPTDEV_CLAIM_OLD))
		return -EALREADY;
	r->taken_ns = ktime_get_real_ns();
	return 0;
}

/*
 * Under the content's lock it is taken by one. If the answer can't be delivered it stays
 * taken: nobody else goes on from it, until a person promotes it again.
 */
static int replica_claim(struct cptdev_call *call, void *uarg)
{
	struct cptdev_replica_file *rf = call->filp->private_data;
	struct cptdev_replica *r = rf->replica;
	struct cptdev_replica_claim *arg = uarg;
	int ret;

	if (arg->flags & ~CPTDEV_CLAIM_OLD)
		return -EOPNOTSUPP;
	if (arg->term > CPTDEV_TERM_MAX)
		return -EINVAL;
	if (cptdev_replica_may(r))
		return -EACCES;
	down_write(&r->sem);
	ret = claim(r, rf, arg);
	arg->term = r->term;
	arg->generation = r->generation;
	arg->promoted_ns = r->promoted_ns;
	up_write(&r->sem);
	if (!ret)
		cptdev_event_replica(r, CPTDEV_CMD_REPLICA_TAKEN_NTF);
	return ret;
}

/* First of all nothing comes in any more: then the name may go. */
void cptdev_replica_drop(struct cptdev_replica *r)
{
	mutex_lock(&r->stage_lock);
	WRITE_ONCE(r->removed, true);
	cptdev_stage_drop(r);
	mutex_unlock(&r->stage_lock);
	mutex_lock(&cptdev_replicas_lock);
	replica_unlist(r);
	mutex_unlock(&cptdev_replicas_lock);
	wake_up_all(&r->wq);
}

static int replica_remove(struct cptdev_call *call, void *uarg)
{
	struct cptdev_replica_file *rf = call->filp->private_data;
	struct cptdev_replica *r = rf->replica;
	struct cptdev_replica_remove *arg = uarg;

	if (arg->flags)
		return -EOPNOTSUPP;
	if (cptdev_replica_may(r))
		return -EACCES;
	cptdev_replica_drop(r);
	return 0;
}

/*
 * A descriptor that was once polled for the promotion represents a waiting program until it is
 * closed: the program also waits between two calls of poll(). A program that only reads doesn't
 * count. The daemon promotes no replica automatically unless a program waits for it.
 */
static void replica_count_waiter(struct cptdev_replica_file *rf, poll_table *wait)
{
	if (wait && (poll_requested_events(wait) & EPOLLPRI) &&
	    !atomic_xchg(&rf->waits, 1))
		atomic_inc(&rf->replica->waiters);
}

/* Readable: a commit since the last IMAGE_INFO. Urgent: promoted. Hung up: removed. */
static __poll_t replica_poll(struct file *filp, poll_table *wait)
{
	struct cptdev_replica_file *rf = filp->private_data;
	struct cptdev_replica *r = rf->replica;
	__poll_t mask = 0;

	replica_count_waiter(rf, wait);
	poll_wait(filp, &r->wq, wait);
	if (READ_ONCE(r->commits) != rf->seen)
		mask |= EPOLLIN | EPOLLRDNORM;
	if (READ_ONCE(r->promoted))
		mask |= EPOLLPRI;
	if (READ_ONCE(r->removed))
		mask |= EPOLLHUP;
	return mask;
}

static const struct cptdev_ioctl_op replica_ops[] = {
	CPTDEV_OP(CPTDEV_IOC_IMAGE_INFO, replica_info, cptdev_image_info, max_bytes),
	CPTDEV_OP(CPTDEV_IOC_IMAGE_LAYOUT, replica_layout, cptdev_image_vec, next),
	CPTDEV_OP(CPTDEV_IOC_IMAGE_EXTENTS, replica_extents, cptdev_image_vec, next),
	CPTDEV_OP(CPTDEV_IOC_IMAGE_META, replica_meta, cptdev_image_vec, next),
	CPTDEV_OP(CPTDEV_IOC_REPLICA_BEGIN, cptdev_stage_begin, cptdev_replica_begin,
		  meta),
	CPTDEV_OP(CPTDEV_IOC_REPLICA_STAGE, cptdev_stage, cptdev_replica_stage,
		  reserved),
	CPTDEV_OP(CPTDEV_IOC_REPLICA_COMMIT, cptdev_stage_commit,
		  cptdev_replica_commit, pages),
	CPTDEV_OP(CPTDEV_IOC_REPLICA_ABORT, cptdev_stage_abort, cptdev_replica_commit,
		  pages),
	CPTDEV_OP(CPTDEV_IOC_REPLICA_FREEZE, replica_freeze, cptdev_replica_freeze,
		  generation),
	CPTDEV_OP(CPTDEV_IOC_REPLICA_PROMOTE, replica_promote, cptdev_replica_promote,
		  generation),
	CPTDEV_OP(CPTDEV_IOC_REPLICA_REMOVE, replica_remove, cptdev_replica_remove,
		  flags),
	CPTDEV_OP(CPTDEV_IOC_REPLICA_CLAIM, replica_claim, cptdev_replica_claim,
		  promoted_ns),
	CPTDEV_OP(CPTDEV_IOC_REPLICA_COPIED, cptdev_copied, cptdev_replica_copied,
		  behind),
	CPTDEV_OP(CPTDEV_IOC_REPLICA_HISTORY, cptdev_history, cptdev_replica_history,
		  bytes),
	CPTDEV_OP(CPTDEV_IOC_REPLICA_AT, cptdev_view_at, cptdev_replica_at, generation),
};

static long replica_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	return cptdev_ioctl(filp, cmd, arg, replica_ops, ARRAY_SIZE(replica_ops));
}

const struct file_operations cptdev_replica_fops = {
	.owner		= THIS_MODULE,
	.read_iter	= cptdev_replica_read,
	.write_iter	= cptdev_replica_write,
	.splice_write	= iter_file_splice_write,
	.poll		= replica_poll,
	.llseek		= default_llseek,
	.release	= replica_release,
	.unlocked_ioctl	= replica_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};
