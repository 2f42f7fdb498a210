// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The replicas of this host, as the kernel tells: their terms, and how many programs wait for
 * them. Dumped with the sessions, then kept up to date by events. Waiting is no event: who has
 * to know asks anew, held_refresh().
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"

struct held *held_find(struct daemon *d, const char *name)
{
	struct held *h;

	LIST_FOREACH(h, &d->replicas, entry)
		if (!strcmp(h->name, name))
			return h;
	return NULL;
}

static void held_remove(struct held *h)
{
	LIST_REMOVE(h, entry);
	free(h);
}

static void held_update(struct daemon *d, const struct replica_rec *rec)
{
	struct held *h = held_find(d, rec->name);

	if (!h) {
		h = calloc(1, sizeof(*h));
		if (!h)
			return;
		strcpy(h->name, rec->name);
		LIST_INSERT_HEAD(&d->replicas, h, entry);
	}
	h->seen = true;
	h->waiters = rec->waiters;
	/* An event may be older than the dump that it comes after: a term doesn't go back. */
	if (rec->term <= h->term)
		return;
	h->term = rec->term;
	fence_held(d, h);
}

/* A commit of this daemon's own, of the term that is known, says nothing new: don't ask about it. */
static bool is_own_commit(struct daemon *d, const struct kernel_event *ev)
{
	const struct held *h = held_find(d, ev->replica->name);

	return h && ev->cmd == CPTDEV_CMD_REPLICA_COMMITTED_NTF &&
		chan_committed(d, h->name, h->term, ev->replica->generation);
}

/* Likewise a generation of a session of this host, which the engine has kept. */
static bool is_kept(struct daemon *d, const struct kernel_event *ev)
{
	const struct held *h = held_find(d, ev->replica->name);
	const struct known *k = known_find_name(d, ev->replica->name);

	return h && k && ev->cmd == CPTDEV_CMD_REPLICA_COMMITTED_NTF &&
		ev->replica->flags & CPTDEV_GENL_REPLICA_KEPT && h->term == k->rec.term;
}

static void held_changed(struct daemon *d, const struct kernel_event *ev)
{
	struct replica_rec rec = *ev->replica;

	/* If it is gone by now, that will be told. */
	if (is_own_commit(d, ev) || is_kept(d, ev) || kernel_replica_whole(d->kernel, &rec))
		return;
	if (ev->cmd == CPTDEV_CMD_REPLICA_PROMOTED_NTF)
		promotion_seen(d, &rec);
	held_update(d, &rec);
}

void held_event(struct daemon *d, const struct kernel_event *ev)
{
	struct held *h;

	if (ev->cmd != CPTDEV_CMD_REPLICA_GONE_NTF) {
		held_changed(d, ev);
		return;
	}
	h = held_find(d, ev->replica->name);
	if (h)
		held_remove(h);
	records_replica_gone(d, ev->replica->name);
	chan_replica_gone(d, ev->replica->name);
}

static void held_dumped(const struct kernel_event *ev, void *arg)
{
	if (ev->replica)
		held_update(arg, ev->replica);
}

int held_refresh(struct daemon *d)
{
	struct held *h, *next;
	int ret;

	LIST_FOREACH(h, &d->replicas, entry)
		h->seen = false;
	ret = d->kernel->ops->dump(d->kernel, CPTDEV_CMD_REPLICA_GET, held_dumped, d);
	if (ret && ret != -ENOENT)
		return ret;
	for (h = LIST_FIRST(&d->replicas); h; h = next) {
		next = LIST_NEXT(h, entry);
		if (!h->seen)
			held_remove(h);
	}
	return ret;
}

void held_close(struct daemon *d)
{
	while (!LIST_EMPTY(&d->replicas))
		held_remove(LIST_FIRST(&d->replicas));
}
