// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which replicas the peer feeds: they are what a failover may promote. A name stays here when its
 * link is lost, since that may be the failure, and goes when it is known that nobody is to take
 * over: its program ended in order, or the peer has named all that it has, and not this one.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon.h"

/* Replicas that are remembered for promotion, for each session that may be shipped. */
#define FEEDS_PER_SESSION	4

static struct feed *find(struct peer *p, const char *name)
{
	struct feed *f;

	LIST_FOREACH(f, &p->feeds, entry)
		if (!strcmp(f->name, name))
			return f;
	return NULL;
}

static void drop(struct peer *p, struct feed *f)
{
	LIST_REMOVE(f, entry);
	p->nr_feeds--;
	free(f);
}

void feeds_clear(struct peer *p)
{
	while (!LIST_EMPTY(&p->feeds))
		drop(p, LIST_FIRST(&p->feeds));
}

void feeds_link(struct peer *p)
{
	struct feed *f;

	LIST_FOREACH(f, &p->feeds, entry)
		f->named = false;
}

bool feeds_add(struct peer *p, const char *name)
{
	struct feed *f = find(p, name);

	if (!f && p->nr_feeds >= FEEDS_PER_SESSION * p->d->conf.max_sessions)
		return false;
	if (!f) {
		f = calloc(1, sizeof(*f));
		if (!f)
			return false;
		strcpy(f->name, name);
		LIST_INSERT_HEAD(&p->feeds, f, entry);
		p->nr_feeds++;
	}
	f->failed = f->decided = false;
	f->named = true;
	return true;
}

void feeds_drop(struct peer *p, const char *name)
{
	struct feed *f = find(p, name);

	if (f)
		drop(p, f);
}

void feeds_named(struct peer *p, const char *name)
{
	struct feed *f = find(p, name);

	if (f)
		f->named = true;
}

void feeds_listed(struct peer *p)
{
	struct feed *f, *next;

	for (f = LIST_FIRST(&p->feeds); f; f = next) {
		next = LIST_NEXT(f, entry);
		if (f->named)
			continue;
		tell(&p->d->tell, LOG_INFO, TELL_REPLAY, f->name,
		     "session %s of %s ended while the hosts weren't linked; its replica stays, and isn't fed any more",
		     f->name, p->node.name);
		drop(p, f);
	}
}
