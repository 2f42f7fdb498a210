// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Several spares of a session. Those that may be promoted are its *members*; they are on record. A
 * generation is acknowledged when the session's policy is fulfilled (rules/ack.c).
 *
 * Each member is told by SESSION whether another host may be promoted as well (OTHERS: then it isn't
 * promoted by itself), and whether something may be acknowledged before it has it (UNSURE: then only a
 * person promotes it). It writes that down before it answers, and then the record here says that it
 * knows. What is more than a member knows waits until it does: a spare becomes a member after all
 * others know of OTHERS, and until all know of UNSURE each of them has to have a generation.
 */
#include <errno.h>
#include <string.h>

#include "ack.h"
#include "daemon.h"
#include "log.h"
#include "uuid.h"

const char *members_policy_text(struct daemon *d, const char *name)
{
	const struct record *r = record_of(d, name);
	const char *text = r && *r->ack ? r->ack : conf_session(&d->conf, name)->ack;

	return *text ? text : "all";
}

void members_policy(struct daemon *d, const char *name, struct ack_policy *p)
{
	char why[256];

	/* It was looked at where it came from. */
	if (ack_parse(members_policy_text(d, name), p, why, sizeof(why)))
		memset(p, 0, sizeof(*p));
}

/* Is the peer, or could it be, that node? */
static bool is_node(const struct peer *p, const struct record_follower *f)
{
	const u8 *linked = p->out.state == OUT_UP ? p->out.node.uuid :
		p->in ? p->in->node.uuid : NULL;

	if (p->gone)
		return false;
	if (linked)
		return uuid_same(linked, f->node);
	return !*peer_conf(p)->name || !*f->name || !strcmp(peer_conf(p)->name, f->name);
}

bool members_configured(struct daemon *d, const char *name, const struct record_follower *f)
{
	struct peer *p;

	if (!conf_may_be_spare(&d->conf, name, f->name))
		return false;
	LIST_FOREACH(p, &d->peers, entry)
		if (is_node(p, f))
			return true;
	return false;
}

/* Those on record, or NULL: nobody may be promoted, or all of them lack what was acknowledged. */
static const struct record *members_of(struct daemon *d, const struct known *k)
{
	const struct record *r = record_of(d, k->rec.name);

	return r && r->spare && !r->alone_since ? r : NULL;
}

static const struct record_follower *follower(const struct record *r, const u8 *node)
{
	u32 i;

	for (i = 0; r && i < r->nr_followers; i++)
		if (uuid_same(r->followers[i].node, node))
			return &r->followers[i];
	return NULL;
}

bool members_has(struct daemon *d, const struct known *k, const u8 *node)
{
	const struct record_follower *f = follower(members_of(d, k), node);

	return f && !f->left;
}

/* It may be promoted, and isn't about to be forgotten. */
static bool counts(struct daemon *d, const struct record *r, const struct record_follower *f)
{
	return !f->left && members_configured(d, r->name, f);
}

static u32 nr_counting(struct daemon *d, const struct record *r)
{
	u32 i, n = 0;

	for (i = 0; r && i < r->nr_followers; i++)
		n += counts(d, r, &r->followers[i]);
	return n;
}

bool members_first(struct daemon *d, const struct known *k)
{
	return !nr_counting(d, members_of(d, k));
}

/* The spare's state as it was heard on its present link. */
static struct ship *ship_to(const struct known *k, const u8 *node)
{
	struct ship *s;

	TAILQ_FOREACH(s, &k->ships, of_session)
		if (s->followed && s->out->state == OUT_UP && uuid_same(s->out->node.uuid, node))
			return s;
	return NULL;
}

/* Does it get what is published from now on, and what was before? */
static bool fed(const struct ship *s)
{
	return s && ship_follows(s) && !s->lacks;
}

static u64 has(const struct known *k, const u8 *node)
{
	const struct ship *s = ship_to(k, node);

	return s ? s->committed : 0;
}

/*
 * Those that count. With @but, as it will be when each that is fed has what is published, but @but, which
 * may never have it.
 */
static u32 list_members(struct daemon *d, const struct known *k, const struct ship *but,
			struct ack_member *m)
{
	const struct record *r = members_of(d, k);
	const struct record_follower *f;
	const struct ship *s;
	u32 i, n = 0;

	for (i = 0; r && i < r->nr_followers; i++) {
		f = &r->followers[i];
		if (!counts(d, r, f))
			continue;
		s = ship_to(k, f->node);
		m[n++] = (struct ack_member) {
			.name = f->name, .knows = f->unsure,
			.committed = but && s != but && fed(s) ? k->rec.published :
				s ? s->committed : 0,
		};
	}
	return n;
}

u32 members_list(struct daemon *d, const struct known *k, struct ack_member *m)
{
	return list_members(d, k, NULL, m);
}

/* Besides @node, those that wait for the others to know of them. */
static u32 nr_ready(const struct known *k, const struct record *r, const u8 *node)
{
	struct ship *s;
	u32 n = 0;

	TAILQ_FOREACH(s, &k->ships, of_session)
		n += s->ready && s->followed && !k->alone && !uuid_same(s->out->node.uuid, node) &&
			!follower(r, s->out->node.uuid);
	return n;
}

/*
 * What SESSION has to say to @node. Those that are about to be forgotten count: they stay until all that
 * remain have everything.
 */
u16 members_flags(struct daemon *d, const struct known *k, const struct node *node)
{
	const struct record *r = members_of(d, k);
	u32 n = nr_counting(d, r) ? r->nr_followers : 0;
	u16 flags = WIRE_SESSION_OTHERS;
	struct ack_policy p;

	n += !n || !follower(r, node->uuid);
	n += nr_ready(k, r, node->uuid);
	if (n < 2)
		return 0;
	members_policy(d, k->rec.name, &p);
	if (ack_unsure(&p, node->name, n) || has(k, node->uuid) < k->rec.committed)
		flags |= WIRE_SESSION_UNSURE;
	return flags;
}

/* On record: 0 or a negative errno. */
static int knows(struct daemon *d, const char *name, const u8 *node, bool others, bool unsure)
{
	const struct record *r = record_of(d, name);
	struct record new;
	u32 i;

	if (!r)
		return 0;
	new = *r;
	for (i = 0; i < new.nr_followers; i++) {
		if (!uuid_same(new.followers[i].node, node))
			continue;
		new.followers[i].others = others;
		new.followers[i].unsure = unsure;
	}
	return memcmp(&new, r, sizeof(new)) ? records_write(d, &new) : 0;
}

int members_telling(struct ship *s, u16 flags)
{
	struct daemon *d = s->out->d;
	const struct record_follower *f = follower(record_of(d, s->session->rec.name),
						   s->out->node.uuid);
	int ret;

	if (!f)
		return 0;
	ret = knows(d, s->session->rec.name, f->node, f->others && flags & WIRE_SESSION_OTHERS,
		    f->unsure && flags & WIRE_SESSION_UNSURE);
	/* From its answer on it may be promoted by itself. */
	if (!ret && !(flags & WIRE_SESSION_OTHERS) && s->followed &&
	    members_has(d, s->session, s->out->node.uuid))
		ret = lease_begin(s->out, s->session);
	return ret;
}

int members_told(struct ship *s)
{
	return knows(s->out->d, s->session->rec.name, s->out->node.uuid,
		     s->told & WIRE_SESSION_OTHERS, s->told & WIRE_SESSION_UNSURE);
}

/* Would @but be the first that the others don't know of? */
static bool all_know(struct daemon *d, const struct known *k, const u8 *but)
{
	const struct record *r = members_of(d, k);
	u32 i;

	for (i = 0; r && i < r->nr_followers; i++)
		if (!uuid_same(r->followers[i].node, but) && !r->followers[i].left &&
		    !r->followers[i].others)
			return false;
	return true;
}

bool members_may_join(const struct ship *s)
{
	struct daemon *d = s->out->d;
	const struct known *k = s->session;

	if (k->alone || members_first(d, k))
		return true;
	return s->told & WIRE_SESSION_OTHERS && all_know(d, k, s->out->node.uuid);
}

/*
 * Looking
 */

/* The kernel knows the spares by their descriptors; any of them does. */
static struct ship *attached(const struct known *k)
{
	struct ship *s;

	TAILQ_FOREACH(s, &k->ships, of_session)
		if (s->followed && s->dev >= 0)
			return s;
	return NULL;
}

u64 members_generation(struct daemon *d, const struct known *k)
{
	struct ack_member m[RECORD_FOLLOWERS_MAX];
	struct ack_policy p;

	members_policy(d, k->rec.name, &p);
	return ack_generation(&p, m, members_list(d, k, m));
}

/*
 * A generation isn't given up for one spare that lacks what is before it as long as those that
 * are fed are enough, or the session needs none.
 */
bool members_suffice(const struct ship *s)
{
	struct daemon *d = s->out->d;
	const struct known *k = s->session;
	struct ack_member m[RECORD_FOLLOWERS_MAX];
	u32 n = list_members(d, k, s, m);
	struct ack_policy p;

	members_policy(d, k->rec.name, &p);
	return k->alone || (n && ack_generation(&p, m, n) >= k->rec.published);
}

static void acknowledge(struct daemon *d, struct known *k)
{
	u64 generation = members_generation(d, k);
	struct ship *s = attached(k);
	int ret;

	if (k->alone || !s || !generation || generation <= k->rec.committed)
		return;
	ret = records_progress(d, k->rec.name, k->rec.uuid, generation);
	if (!ret)
		ret = kernel_ack(d->kernel, s->dev, k->rec.id, generation, 0);
	if (!ret)
		k->rec.committed = generation;
	else if (ret != -ENOENT)
		tell(&d->tell, LOG_WARNING, TELL_SESSION, k->rec.name,
		     "session %s: can't acknowledge generation %llu: %s", k->rec.name,
		     generation, strerror(-ret));
}

/* Whoever remains has what was acknowledged with the others. */
static bool others_have_all(struct daemon *d, const struct known *k, const struct record *r)
{
	u32 i;

	for (i = 0; i < r->nr_followers; i++)
		if (counts(d, r, &r->followers[i]) &&
		    has(k, r->followers[i].node) < k->rec.committed)
			return false;
	return nr_counting(d, r);
}

static void forget_gone(struct daemon *d, const struct known *k)
{
	const struct record *r = members_of(d, k);
	struct record_follower f;
	u32 i;

	if (!r || nr_counting(d, r) == r->nr_followers || !others_have_all(d, k, r))
		return;
	for (i = r->nr_followers; i-- > 0;) {
		f = r->followers[i];
		if (counts(d, r, &f) || records_unfollow(d, k->rec.name, f.node))
			continue;
		tell(&d->tell, LOG_NOTICE, TELL_SESSION, k->rec.name,
		     "session %s: %s isn't one of its spares any more: it %s", k->rec.name,
		     *f.name ? f.name : "the old spare",
		     f.left ? "left in order" : "isn't configured as one");
		/* The record may have moved. */
		r = record_of(d, k->rec.name);
	}
}

/* True as long as a member may be promoted by time-out: it is the only one, or doesn't know better. */
static bool needs_lease(struct daemon *d, const struct known *k)
{
	const struct record *r = members_of(d, k);
	u32 i;

	for (i = 0; r && i < r->nr_followers; i++)
		if (!r->followers[i].others && !r->followers[i].left)
			return true;
	return !r;
}

static void look_at_ship(struct daemon *d, struct known *k, struct ship *s)
{
	u16 flags = members_flags(d, k, &s->out->node);

	if (!s->followed || !ship_follows(s))
		return;
	if (flags && !(s->out->features & WIRE_FEATURE_SPARES)) {
		tell(&d->tell, LOG_WARNING, TELL_SESSION, k->rec.name,
		     "session %s: cptdevd of %s is too old for several spares: only one of them can be promoted",
		     k->rec.name, s->out->node.name);
		return;
	}
	/* Others were enough, and aren't any more. */
	if (s->lacks && s->spared && s->state == SHIP_WAITING && !members_suffice(s))
		ship_event(s, SHIP_SNAPSHOT);
	s->ask_again = flags != s->told || (verify_wants_copy(s) && !s->copying);
	if (s->ask_again && s->state == SHIP_WAITING && !s->in_flight && !s->delta)
		ship_event(s, SHIP_RETRY);
	else if (s->ready && !s->ask_again)
		ship_join(s);
}

static bool serves(const struct known *k)
{
	return *k->rec.name && k->decided && !k->undecided && !*k->barred &&
		!(k->rec.flags & CPTDEV_GENL_SESSION_FENCED);
}

static void settle(struct daemon *d, struct known *k)
{
	struct ship *s, *next;

	forget_gone(d, k);
	for (s = TAILQ_FIRST(&k->ships); s; s = next) {
		next = TAILQ_NEXT(s, of_session);
		look_at_ship(d, k, s);
	}
	acknowledge(d, k);
	/* One that has joined needs a checkpoint. */
	alone_known(d, k);
	if (k->lease_until && !needs_lease(d, k))
		lease_stop(d, k);
}

/* Not within an event of a ship: there may be another one to come. */
static void members_timer(struct timer *t)
{
	struct daemon *d = container_of(t, struct daemon, members);
	struct known *k;

	LIST_FOREACH(k, &d->sessions, entry) {
		if (!k->look)
			continue;
		k->look = false;
		if (serves(k))
			settle(d, k);
	}
}

void members_open(struct daemon *d)
{
	d->members.fn = members_timer;
}

void members_close(struct daemon *d)
{
	loop_disarm(&d->members);
}

void members_look(struct daemon *d, struct known *k)
{
	if (serves(k))
		acknowledge(d, k);
	k->look = true;
	loop_arm(&d->loop, &d->members, 0);
}

void members_look_all(struct daemon *d)
{
	struct known *k;

	LIST_FOREACH(k, &d->sessions, entry)
		members_look(d, k);
}

int members_set(struct daemon *d, const char *name, const char *text, const char **why)
{
	static char reason[256];
	struct known *k = known_find_name(d, name);
	struct ack_policy p;
	int ret;

	*why = reason;
	if (*text && ack_parse(text, &p, reason, sizeof(reason)))
		return -EINVAL;
	if (!k || !k->decided || *k->barred)
		*why = k ? "its program isn't served" : "no program of this host has that name";
	if (*why != reason)
		return -EINVAL;
	ret = records_ack(d, name, text);
	if (ret) {
		*why = strerror(-ret);
		return ret;
	}
	members_look(d, k);
	return 0;
}
