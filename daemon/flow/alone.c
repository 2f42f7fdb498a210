// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sessions without a spare: which go on alone, when that begins and ends, and which need
 * a checkpoint so that their spare has their present state. rules/alone.c decides.
 *
 * What is acknowledged alone is on record (alone_since) before it is acknowledged, and the
 * spare that follows next is told: it counts as outdated. The session is alone until that one
 * has caught up, which may take long. A delta that is fetched after the session has stopped
 * being alone has everything that was acknowledged, and with its commit the spare counts.
 */
#include <errno.h>
#include <string.h>

#include "alone.h"
#include "daemon.h"
#include "log.h"
#include "uuid.h"

/* So often it is looked whether a session's time has come. */
#define LOOK_NS		(200 * NSEC_PER_MSEC)
/* A program that is busy publishes by itself within this time. */
#define WANT_NS		(500 * NSEC_PER_MSEC)

struct ship *alone_spare(const struct known *k)
{
	struct ship *s;

	TAILQ_FOREACH(s, &k->ships, of_session)
		if (ship_follows(s))
			return s;
	return NULL;
}

/* SESSION is on its way, and the spare counts from its answer on. */
static bool was_asked(const struct known *k)
{
	struct ship *s;

	TAILQ_FOREACH(s, &k->ships, of_session)
		if (s->state == SHIP_ASKING)
			return !k->alone;
	return false;
}

static bool serves(const struct known *k)
{
	return *k->rec.name && k->decided && !k->undecided && !*k->barred &&
		!(k->rec.flags & CPTDEV_GENL_SESSION_FENCED);
}

static bool peer_is_gone(const struct peer *p)
{
	unsigned int state = p->detector.state;

	return p->out.state != OUT_UP && (state == DET_DEAD || state == DET_LEFT);
}

/* No host can become the session's spare now. */
static bool peers_are_gone(struct daemon *d, const struct known *k)
{
	struct peer *p;

	LIST_FOREACH(p, &d->peers, entry)
		if (!p->gone && !peer_is_gone(p) &&
		    conf_may_be_spare(&d->conf, k->rec.name,
				      *p->node.name ? p->node.name : peer_conf(p)->name))
			return false;
	return true;
}

/*
 * May the program that this one took over from still answer, by a lease of this host? @node's doesn't
 * count, or NULL. One of several peers counts only if the record says that it was the primary: each of
 * them is lent time, whatever it is.
 */
static bool lent(struct daemon *d, const struct known *k, const u8 *node)
{
	const struct record *r = record_of(d, k->rec.name);
	struct peer *p = LIST_FIRST(&d->peers);

	if (!LIST_NEXT(p, entry))
		return node ? peer_lent_others(p, node) : !peer_lease_over(p);
	LIST_FOREACH(p, &d->peers, entry)
		if (peer_lent(p, r ? r->before_owner : uuid_none))
			return true;
	return false;
}

static bool any_linked(struct daemon *d, bool incoming)
{
	struct peer *p;

	LIST_FOREACH(p, &d->peers, entry)
		if (p->out.state == OUT_UP || (incoming && p->in))
			return true;
	return false;
}

/* Other hosts have the same configuration for it: do they promote its replica by time-out? */
static bool may_be_automatic(struct daemon *d, const struct known *k)
{
	return conf_session(&d->conf, k->rec.name)->failover == FAILOVER_AUTO;
}

/* That one has a lease of this host, if the session took over and had no spare since. */
static bool old_primary_may_serve(struct daemon *d, const struct known *k)
{
	return may_be_automatic(d, k) && k->rec.term > 1 && !k->followed &&
		lent(d, k, NULL);
}

bool alone_replaces(struct daemon *d, const struct known *k, const u8 *node)
{
	const struct recorded *e = recorded_find(d, k->rec.name);

	return may_be_automatic(d, k) && k->rec.term > 1 && !k->alone && e &&
		!e->old_ended && !e->r.nr_followers &&
		lent(d, k, node);
}

static enum alone decide(struct daemon *d, const struct known *k)
{
	const struct record *r = record_of(d, k->rec.name);
	struct alone_facts f = {
		.follows = alone_spare(k),
		.said = r && r->alone_said,
		.go_on = conf_session(&d->conf, k->rec.name)->alone == CONF_GO_ON,
		.spare = !r || r->spare,
		.automatic = may_be_automatic(d, k),
		.asked = was_asked(k),
		.lent = old_primary_may_serve(d, k),
		.gone = peers_are_gone(d, k),
		.without = clock_mono() - k->without,
		.patience = d->conf.timeout_ms * NSEC_PER_MSEC,
	};

	return alone_decide(&f);
}

/* Everything that was published is acknowledged; on record first. */
static void acknowledge(struct daemon *d, struct known *k)
{
	struct cptdev_ack arg = {
		.flags = CPTDEV_ACK_ALONE, .session_id = k->rec.id,
		.generation = k->rec.published,
	};
	int ret = records_progress(d, k->rec.name, k->rec.uuid, k->rec.published);

	if (!ret)
		ret = kernel_tell(d->kernel, &arg);
	if (!ret)
		k->rec.committed = MAX(k->rec.committed, k->rec.published);
	else if (ret != -ENOENT)
		tell(&d->tell, LOG_WARNING, TELL_SESSION, k->rec.name,
		     "session %s: can't acknowledge generation %llu alone: %s", k->rec.name,
		     k->rec.published, strerror(-ret));
}

static int begin(struct daemon *d, struct known *k, enum alone why)
{
	int ret = records_alone(d, k->rec.name, why == ALONE_SAID);

	if (ret)
		return ret;
	k->alone = true;
	lease_stop(d, k);
	acknowledge(d, k);
	tell_event(&d->tell, EVENT_ALONE, LOG_WARNING, TELL_SESSION, k->rec.name,
		   "session %s (pid %u) goes on ALONE, its data is on this host only: %s", k->rec.name,
		   k->rec.pid, alone_why(why));
	news_session(d, k, "alone");
	return 0;
}

/*
 * A spare that has everything that was published and is outdated all the same becomes a spare by
 * its next commit; one that lacks what isn't kept any more, or what was never published, by the
 * next checkpoint.
 */
static bool needs_checkpoint(const struct known *k, const struct ship *s)
{
	return s->state == SHIP_WAITING && !s->in_flight &&
		(s->lacks || !k->rec.published || s->outdated || s->rounds.step == ROUNDS_LAST);
}

/* Ask for it once the program has had time to publish by itself. True: later. */
static bool want(struct daemon *d, struct known *k, struct ship *s)
{
	struct cptdev_ack arg = { .flags = CPTDEV_ACK_WANT, .session_id = k->rec.id };
	int ret;

	if (!needs_checkpoint(k, s) || k->rec.flags & CPTDEV_GENL_SESSION_WANTED) {
		s->needs_since = 0;
		return false;
	}
	if (!s->needs_since)
		s->needs_since = clock_mono();
	if (clock_mono() - s->needs_since < WANT_NS)
		return true;
	s->needs_since = 0;
	ret = kernel_tell(d->kernel, &arg);
	if (!ret)
		k->rec.flags |= CPTDEV_GENL_SESSION_WANTED;
	/* An engine that doesn't know it is as it was before. */
	return ret && ret != -ENOENT && ret != -EOPNOTSUPP;
}

static bool want_for_any(struct daemon *d, struct known *k)
{
	bool later = false;
	struct ship *s;

	TAILQ_FOREACH(s, &k->ships, of_session)
		if (ship_follows(s))
			later |= want(d, k, s);
	return later;
}

/* True: look again soon. */
static bool look_at(struct daemon *d, struct known *k)
{
	struct ship *s = alone_spare(k);
	enum alone a;

	if (!serves(k))
		return false;
	if (s && k->alone && k->rec.published > k->rec.committed)
		acknowledge(d, k);
	if (s)
		return want_for_any(d, k);
	a = decide(d, k);
	/* The configuration may have changed. */
	if (a == ALONE_NO)
		k->alone = false;
	if (a == ALONE_NO || a == ALONE_SOON)
		return a == ALONE_SOON;
	if (!k->alone)
		return begin(d, k, a);
	if (k->rec.published > k->rec.committed)
		acknowledge(d, k);
	return false;
}

static void alone_timer(struct timer *t)
{
	struct daemon *d = container_of(t, struct daemon, alone);
	bool again = false;
	struct known *k;
	u64 next;

	LIST_FOREACH(k, &d->sessions, entry)
		again |= look_at(d, k);
	next = lease_look(d);
	if (again)
		loop_arm(&d->loop, t, LOOK_NS);
	else if (next)
		loop_arm(&d->loop, t, next > d->loop.now ? next - d->loop.now + 1 : 0);
}

void alone_open(struct daemon *d)
{
	d->alone.fn = alone_timer;
}

void alone_close(struct daemon *d)
{
	loop_disarm(&d->alone);
}

void alone_look(struct daemon *d)
{
	loop_arm(&d->loop, &d->alone, 0);
}

void alone_known(struct daemon *d, struct known *k)
{
	if (look_at(d, k) && !d->alone.armed)
		loop_arm(&d->loop, &d->alone, LOOK_NS);
}

int alone_end(struct daemon *d, struct known *k, const struct node *node)
{
	int ret = records_follow(d, k->rec.name, node);

	if (ret)
		return ret;
	if (k->alone)
		news_session(d, k, "followed");
	k->alone = false;
	k->followed = true;
	return 0;
}

void alone_lost(struct daemon *d, struct known *k)
{
	k->without = clock_mono();
	alone_look(d);
}

/*
 * The name stands still for a host that is gone for good, or that a person keeps off. If it comes back
 * with what it had, it says so, and the name stands still again.
 */
static void give_up_other(struct daemon *d, const char *name)
{
	struct recorded *e = recorded_find(d, name);

	if (e && !e->damaged && record_stands_still(&e->r) && !any_linked(d, true))
		lost_resolve(d, e);
}

int alone_say(struct daemon *d, const char *name, bool force, const char **why)
{
	struct known *k = known_find_name(d, name);
	int ret;

	*why = NULL;
	if (k && force)
		give_up_other(d, name);
	if (!k)
		*why = "no program of this host has that name";
	else if (!serves(k))
		*why = *k->barred ? k->barred : "the program is fenced, or was just started";
	else if (any_linked(d, false))
		*why = "the peer is linked. Next: remove the reason why it is no spare (cptdevctl status), or stop cptdevd there";
	if (*why)
		return -EINVAL;
	ret = k->alone ? records_alone(d, name, true) : begin(d, k, ALONE_SAID);
	if (ret)
		*why = strerror(-ret);
	return ret;
}
