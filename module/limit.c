// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: limits beyond those of a session: the limits of a user, so that one user can't take
 * all the memory that all users share, and the room that is left in the control group of a
 * process.
 *
 * A user with the capability to see other processes' memory has no limit as a user.
 */
#include <linux/cgroup.h>
#include <linux/memcontrol.h>
#include <linux/moduleparam.h>
#include <linux/page_counter.h>
#include <linux/slab.h>
#include <linux/swap.h>

#include "cptdev.h"

static unsigned int user_held_max_mib;
module_param(user_held_max_mib, uint, 0644);
MODULE_PARM_DESC(user_held_max_mib,
		 "Most memory held by the snapshots of one user, MiB (0: half of what all may hold)");

static unsigned int user_sessions_max = 256;
module_param(user_sessions_max, uint, 0644);
MODULE_PARM_DESC(user_sessions_max, "Most sessions of one user");

static unsigned int user_replicas_max = 32;
module_param(user_replicas_max, uint, 0644);
MODULE_PARM_DESC(user_replicas_max, "Most replicas of one user");

/* What a user has; as long as there is anything. */
struct cptdev_user {
	refcount_t ref;
	struct list_head entry;		/* users_lock */
	kuid_t uid;
	atomic64_t held;		/* pages */
	atomic_t count[CPTDEV_NR_COUNTED];
};

/* The last reference may go in a callback of SRCU, which mustn't sleep: free_notifier(). */
static DEFINE_SPINLOCK(users_lock);
static LIST_HEAD(users);

static struct cptdev_user *user_find(kuid_t uid)
{
	struct cptdev_user *u;

	list_for_each_entry(u, &users, entry) {
		if (uid_eq(u->uid, uid)) {
			refcount_inc(&u->ref);
			return u;
		}
	}
	return NULL;
}

static struct cptdev_user *user_get(kuid_t uid)
{
	struct cptdev_user *u, *new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);

	spin_lock(&users_lock);
	u = user_find(uid);
	if (!u && new) {
		refcount_set(&new->ref, 1);
		new->uid = uid;
		list_add(&new->entry, &users);
		u = new;
		new = NULL;
	}
	spin_unlock(&users_lock);
	kfree(new);
	return u;
}

void cptdev_user_put(struct cptdev_user *u)
{
	if (!refcount_dec_and_lock(&u->ref, &users_lock))
		return;
	list_del(&u->entry);
	spin_unlock(&users_lock);
	kfree(u);
}

/*
 * One more of @what for the caller: cptdev_user_give() when it is no more to be seen, and
 * cptdev_user_put() when it is free. EDQUOT: there are enough.
 */
struct cptdev_user *cptdev_user_take(enum cptdev_counted what)
{
	const unsigned int max = READ_ONCE(*(what == CPTDEV_SESSIONS ? &user_sessions_max :
					     &user_replicas_max));
	struct cptdev_user *u = user_get(current_euid());

	if (!u)
		return ERR_PTR(-ENOMEM);
	if (atomic_inc_return(&u->count[what]) <= max || cptdev_capable())
		return u;
	cptdev_user_give(u, what);
	cptdev_user_put(u);
	return ERR_PTR(-EDQUOT);
}

/* The same for a user that is known; @capable: the user has the capability. */
struct cptdev_user *cptdev_user_share(struct cptdev_user *u, enum cptdev_counted what,
				      bool capable)
{
	const unsigned int max = READ_ONCE(*(what == CPTDEV_SESSIONS ? &user_sessions_max :
					     &user_replicas_max));

	refcount_inc(&u->ref);
	if (atomic_inc_return(&u->count[what]) <= max || capable)
		return u;
	cptdev_user_give(u, what);
	cptdev_user_put(u);
	return ERR_PTR(-EDQUOT);
}

void cptdev_user_give(struct cptdev_user *u, enum cptdev_counted what)
{
	atomic_dec(&u->count[what]);
}

/* Pages held; returns how many there are then. */
u64 cptdev_user_hold(struct cptdev_user *u, s64 pages)
{
	return atomic64_add_return(pages, &u->held);
}

u64 cptdev_user_held(const struct cptdev_user *u)
{
	return atomic64_read(&u->held);
}

/* Pages that the snapshots of a user may hold; @capable: the user has the capability. */
u64 cptdev_user_held_max(bool capable)
{
	unsigned int mib = READ_ONCE(user_held_max_mib);

	if (capable)
		return U64_MAX;
	return (mib ? (u64)mib << 20 : cptdev_held_max() / 2) >> PAGE_SHIFT;
}

/*
 * Control groups. A page that a snapshot holds is copied when the process writes to it; the
 * kernel charges the copy to the group of the process, and if the group has nothing left the
 * OOM killer comes. The module can't charge what isn't allocated yet, but it knows how many
 * copies there may be.
 */
#ifdef CONFIG_MEMCG
/* Pages of the group that the kernel would take back: those of files. */
static u64 group_file_pages(struct mem_cgroup *memcg)
{
	u64 pages = 0;
	int nid, zone;

	for_each_online_node(nid) {
		struct mem_cgroup_per_node *mz = memcg->nodeinfo[nid];

		for (zone = 0; mz && zone < MAX_NR_ZONES; zone++)
			pages += READ_ONCE(mz->lru_zone_size[zone][LRU_INACTIVE_FILE]) +
				READ_ONCE(mz->lru_zone_size[zone][LRU_ACTIVE_FILE]);
	}
	return pages;
}

static u64 counter_left(struct page_counter *c)
{
	u64 max = READ_ONCE(c->max), usage = page_counter_read(c);

	return max > usage ? max - usage : 0;
}

/* For what the process needs besides: page tables, stacks, its next malloc(). */
static u64 group_reserve(u64 max)
{
	return clamp_t(u64, max / 32, 16, (32 << 20) >> PAGE_SHIFT);
}

/* What may still be copied for other sessions of the group. */
static u64 group_others(struct cptdev_session *s, struct mem_cgroup *memcg)
{
	struct cptdev_session *other;
	u64 pages = 0;

	lockdep_assert_held(&cptdev_sessions_lock);
	list_for_each_entry(other, &cptdev_sessions, entry) {
		struct mem_cgroup *its;

		if (other == s || READ_ONCE(other->dead))
			continue;
		its = get_mem_cgroup_from_mm(other->mm);
		if (its == memcg)
			pages += min_t(u64, atomic64_read(&other->held),
				       READ_ONCE(other->bytes) >> PAGE_SHIFT);
		mem_cgroup_put(its);
	}
	return pages;
}

/* Has the group, or one above it, a limit that is below what the machine has? Mostly none has. */
static bool group_limited(struct cptdev_session *s)
{
	struct mem_cgroup *memcg = get_mem_cgroup_from_mm(s->mm), *m;

	for (m = memcg; m; m = parent_mem_cgroup(m))
		if (READ_ONCE(m->memory.max) < totalram_pages())
			break;
	mem_cgroup_put(memcg);
	return m;
}

/*
 * Pages that the process may still be charged for, U64_MAX where there is no limit. Under
 * cptdev_sessions_lock.
 */
static u64 group_left(struct cptdev_session *s)
{
	struct mem_cgroup *memcg = get_mem_cgroup_from_mm(s->mm), *m;
	u64 left = U64_MAX, swap = max_t(s64, get_nr_swap_pages(), 0), others, file;

	if (!memcg)
		return U64_MAX;
	file = group_file_pages(memcg);
	for (m = memcg; m; m = parent_mem_cgroup(m)) {
		u64 max = READ_ONCE(m->memory.max), room;

		swap = min(swap, counter_left(&m->swap));
		if (max >= totalram_pages())
			continue;
		room = counter_left(&m->memory) + file;
		left = min(left, room - min(room, group_reserve(max)));
	}
	if (left != U64_MAX) {
		left += swap;
		others = group_others(s, memcg);
		left -= min(left, others);
	}
	mem_cgroup_put(memcg);
	return left;
}
#else
static bool group_limited(struct cptdev_session *s)
{
	return false;
}

static u64 group_left(struct cptdev_session *s)
{
	return U64_MAX;
}
#endif

/*
 * Bytes that may still be copied in the control group, as INFO and netlink show it. What this
 * session's own snapshots may cause isn't subtracted. Under cptdev_sessions_lock.
 */
u64 cptdev_group_left(struct cptdev_session *s)
{
	u64 left = mem_cgroup_disabled() ? U64_MAX : group_left(s);

	return left == U64_MAX ? left : left << PAGE_SHIFT;
}

/*
 * Pages that the next snapshot may hold without the control group's limit being passed, even
 * if the process writes to all of them. A page is copied at most once while it is held, so
 * all that is mapped in the ranges is an upper bound, and so is what is held.
 */
u64 cptdev_group_room(struct cptdev_session *s)
{
	u64 left, held;

	lockdep_assert_held(&s->lock);
	if (mem_cgroup_disabled() || !group_limited(s))
		return U64_MAX;
	mutex_lock(&cptdev_sessions_lock);
	left = group_left(s);
	mutex_unlock(&cptdev_sessions_lock);
	held = atomic64_read(&s->held);
	if (s->bytes >> PAGE_SHIFT <= left)
		return U64_MAX;
	return left > held ? left - held : 0;
}
