// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Promotions, whoever made them: the kernel tells of each. Those of this daemon are logged
 * in failover.c; that of another process leaves its trace here, so that the journal of the
 * daemon has all of them.
 */
#include <errno.h>
#include <string.h>

#include "daemon.h"
#include "log.h"

static void note(struct daemon *d, const char *name, u64 generation, u64 term, bool own)
{
	struct promotion *p = &d->promotion;

	*p = (struct promotion) {
		.generation = generation, .term = term, .wall = clock_wall(), .own = own,
	};
	snprintf(p->name, sizeof(p->name), "%s", name);
}

static void promotion_own(struct daemon *d, const char *name, u64 generation, u64 term)
{
	note(d, name, generation, term, true);
	snprintf(d->own_promotion, sizeof(d->own_promotion), "%s %llu", name, term);
}

/* With @back the replica goes back to that generation, and the record has it. */
static int promote(struct daemon *d, int fd, const char *name, u64 *term, u64 *generation,
		   u64 back, bool force)
{
	struct cptdev_image_info info;
	int ret = back ? kernel_replica_at(d->kernel, fd, back) : 0;

	if (!ret)
		ret = kernel_image_info(d->kernel, fd, &info);
	if (!ret && !info.generation)
		ret = -ENODATA;
	if (!ret)
		ret = records_promote(d, name, term, &info, force);
	if (ret)
		return ret;
	ret = back ? kernel_replica_back(d->kernel, fd, term, generation) :
		kernel_replica_promote(d->kernel, fd, term, generation);
	records_promoted(d, name, !ret);
	if (!ret)
		promotion_own(d, name, *generation, *term);
	return ret;
}

static int promotion(struct daemon *d, const char *name, u64 *term, u64 *generation, u64 back,
		     bool force)
{
	int fd, ret;

	/* The other host may have everything at any moment, and go on with it. */
	if ((source_gives(d, name) || lend_gives(d, name)) && !force)
		return -EBUSY;
	source_stop(d, name, "the replica is promoted by force");
	lend_stop(d, name, "the replica is promoted by force");
	fd = kernel_replica_open(d->kernel, name, CPTDEV_REPLICA_WRITE);
	if (fd < 0)
		return fd;
	ret = promote(d, fd, name, term, generation, back, force);
	d->kernel->ops->close(d->kernel, fd);
	return ret;
}

int promotion_do(struct daemon *d, const char *name, u64 *term, u64 *generation, bool force)
{
	return promotion(d, name, term, generation, 0, force);
}

int promotion_back(struct daemon *d, const char *name, u64 *term, u64 *generation)
{
	return promotion(d, name, term, generation, *generation, true);
}

/* The replica was promoted after its host counted as dead: that is the end of that failover. */
static void promotion_of_feed(struct daemon *d, const char *name)
{
	struct feed *f;
	struct peer *p;

	LIST_FOREACH(p, &d->peers, entry) {
		if (p->detector.state != DET_DEAD)
			continue;
		LIST_FOREACH(f, &p->feeds, entry)
			p->failover.by_hand += !strcmp(f->name, name);
	}
}

void promotion_seen(struct daemon *d, const struct replica_rec *r)
{
	char this[CPTDEV_NAME_MAX + 24];

	snprintf(this, sizeof(this), "%s %llu", r->name, r->term);
	if (!strcmp(this, d->own_promotion))
		return;
	records_promoted_by_others(d, r->name, r->term, r->generation);
	note(d, r->name, r->generation, r->term, false);
	promotion_of_feed(d, r->name);
	tell_event(&d->tell, EVENT_PROMOTED, LOG_NOTICE, TELL_REPLAY, r->name,
		   "replica %s was promoted by another process: generation %llu, term %llu", r->name,
		   r->generation, r->term);
}
