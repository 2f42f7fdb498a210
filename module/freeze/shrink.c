// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: published snapshots under memory pressure.
 *
 * When a process writes to a page that a snapshot holds, the kernel charges the copy to the
 * control group of the process. A snapshot that fitted when it was taken may not fit any
 * more when the rest of the group has grown. The shrinker then drops the published snapshots
 * that nobody has fetched: the program goes on, and WAIT answers ECANCELED.
 *
 * The shrinker runs in direct reclaim, under any lock of the task that allocates, mmap_lock
 * and session->lock included. So it takes spinlocks only (see the lock order in cptdev.h),
 * and frees the pages itself: the OOM killer wouldn't wait for a worker.
 */
#include <linux/list_lru.h>
#include <linux/slab.h>

#include "snap.h"

/*
 * The published snapshots, by the control group of the process that took them. A snapshot
 * is charged to that group, and that is how the list finds the group.
 */
static struct list_lru published;
static struct kmem_cache *snap_cache;
static struct shrinker *shrinker;
static bool shrinker_ready;

/* Zeroed, or NULL. */
struct cptdev_snap *cptdev_shrink_alloc(void)
{
	struct cptdev_snap *snap = kmem_cache_alloc_lru(snap_cache, &published,
							GFP_KERNEL | __GFP_ZERO);

	if (snap)
		INIT_LIST_HEAD(&snap->shrink);
	return snap;
}

void cptdev_shrink_free(struct cptdev_snap *snap)
{
	kmem_cache_free(snap_cache, snap);
}

/* Called before @snap is published: the end of the publication removes it from this list. */
void cptdev_shrink_add(struct cptdev_snap *snap)
{
	list_lru_add_obj(&published, &snap->shrink);
}

/* No effect on a snapshot that was never added. */
void cptdev_shrink_del(struct cptdev_snap *snap)
{
	list_lru_del_obj(&published, &snap->shrink);
}

struct shrink_found {
	u64 pages;			/* that the snapshots hold */
	struct cptdev_session *session;	/* of the first one, referenced, if wanted */
	bool want_session;
};

/* The list's lock is held, so that the snapshot has its reference to the session. */
static enum lru_status shrink_look(struct list_head *item, CPTDEV_LRU_WALK_ARGS, void *arg)
{
	struct cptdev_snap *snap = container_of(item, struct cptdev_snap, shrink);
	struct shrink_found *found = arg;

	if (!snap->held.nr || !cptdev_snap_unfetched(snap))
		return LRU_SKIP;
	found->pages += cptdev_snap_pages(snap);
	if (found->want_session && !found->session) {
		cptdev_session_get(snap->session);
		found->session = snap->session;
	}
	return LRU_SKIP;
}

static void shrink_walk(struct shrink_control *sc, struct shrink_found *found)
{
	unsigned long all = ULONG_MAX;

	list_lru_walk_one(&published, sc->nid, sc->memcg, shrink_look, found, &all);
}

static unsigned long shrink_count(struct shrinker *shrink, struct shrink_control *sc)
{
	struct shrink_found found = {};

	/* Pairs with cptdev_shrink_init(): the list is there. */
	if (!smp_load_acquire(&shrinker_ready))
		return 0;
	if (!list_lru_shrink_count(&published, sc))
		return SHRINK_EMPTY;
	shrink_walk(sc, &found);
	return found.pages;
}

/* One session after the other, until there is as much as was asked for. */
static unsigned long shrink_scan(struct shrinker *shrink, struct shrink_control *sc)
{
	unsigned long freed = 0;

	while (freed < sc->nr_to_scan) {
		struct shrink_found found = { .want_session = true };
		u64 pages;

		shrink_walk(sc, &found);
		if (!found.session)
			break;
		pages = cptdev_publish_drop(found.session);
		cptdev_session_put(found.session);
		/* Somebody has fetched it meanwhile. */
		if (!pages)
			break;
		freed += pages;
	}
	return freed ?: SHRINK_STOP;
}

/*
 * With a batch that is never reached the kernel calls shrink_scan() only when it wants all
 * that there is: when reclaim came down to its last priorities and the alternative is the
 * OOM killer. The page cache of the group alone drops no snapshot.
 */
int __init cptdev_shrink_init(void)
{
	int ret = -ENOMEM;

	shrinker = cptdev_shrinker_alloc("cptdev-published", shrink_count, shrink_scan,
					 LONG_MAX);
	if (!shrinker)
		return ret;
	ret = list_lru_init_memcg(&published, shrinker);
	if (ret)
		goto err_shrinker;
	snap_cache = kmem_cache_create("cptdev_snap", sizeof(struct cptdev_snap), 0,
				       SLAB_ACCOUNT, NULL);
	if (!snap_cache) {
		ret = -ENOMEM;
		goto err_lru;
	}
	/* Pairs with shrink_count(). */
	smp_store_release(&shrinker_ready, true);
	cptdev_shrinker_register(shrinker);
	return 0;

err_lru:
	list_lru_destroy(&published);
err_shrinker:
	cptdev_shrinker_free(shrinker);
	return ret;
}

/* No call is under way any more, and what a call gave up is with the workers of gone.c. */
void cptdev_shrink_stop(void)
{
	cptdev_shrinker_free(shrinker);
}

/* All snapshots are free. */
void cptdev_shrink_exit(void)
{
	kmem_cache_destroy(snap_cache);
	list_lru_destroy(&published);
}
