// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The other end of fetch.c: a program begins on the peer's host from a replica of this host, and reads
 * it page by page while it runs.
 *
 *   ASK	what is there, and could the peer have it? Nothing changes
 *   TAKE	the conditions are those of a promotion, and that no program waits here. The peer's
 *		term is on this host's disk before the answer. The replica is frozen, and not promoted;
 *		that ends with the link, with LEAVE, or by a person's force: the replica is what it was
 *   READ	pages of the frozen replica
 *   DONE	all of it is there: that the replica is outdated is on disk before the answer
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "fetch_frame.h"
#include "fetching.h"
#include "log.h"
#include "uuid.h"

struct lend {
	LIST_ENTRY(lend) entry;
	struct in *in;
	u32 id;
	u64 term;
	int fd;				/* the replica, frozen */
	char name[CPTDEV_NAME_MAX];
	u64 bytes;			/* that were read */
};

static struct lend *lend_find(struct daemon *d, const char *name)
{
	struct lend *l;

	LIST_FOREACH(l, &d->lends, entry)
		if (!strcmp(l->name, name))
			return l;
	return NULL;
}

static struct lend *lend_of(struct in *in, u32 id)
{
	struct lend *l;

	LIST_FOREACH(l, &in->d->lends, entry)
		if (l->in == in && l->id == id)
			return l;
	return NULL;
}

/* Closing the replica thaws it. */
static void lend_free(struct lend *l)
{
	struct daemon *d = l->in->d;

	LIST_REMOVE(l, entry);
	d->kernel->ops->close(d->kernel, l->fd);
	free(l);
}

static void lend_end(struct lend *l, int level, const char *why)
{
	tell(&l->in->d->tell, level, TELL_REPLAY, l->name,
	     "%s (term %llu) for a program on %s: %s; %llu KiB were read", l->name, l->term,
	     l->in->node.name, why, l->bytes >> 10);
	lend_free(l);
}

bool lend_gives(struct daemon *d, const char *name)
{
	return lend_find(d, name);
}

void lend_stop(struct daemon *d, const char *name, const char *why)
{
	struct lend *l = lend_find(d, name);

	if (l)
		lend_end(l, LOG_WARNING, why);
}

void lend_close(struct in *in)
{
	struct lend *l, *next;

	for (l = LIST_FIRST(&in->d->lends); l; l = next) {
		next = LIST_NEXT(l, entry);
		if (l->in == in)
			lend_end(l, LOG_WARNING, "the link was lost before all of it was there, so it stays the spare's");
	}
}

/*
 * The conditions
 */

static int refuse_record(struct in *in, const struct msg_fetch *m, enum lending said,
			 struct fault *f)
{
	const struct record *r = record_of(in->d, m->name);
	const char *self = in->d->self.name;

	if (said == LENDING_FENCED)
		return fault_set(f, WIRE_E_FENCED,
				 r->role == RECORD_PROMOTED ?
				 "the replica on %s was promoted, with term %llu: start the program there" :
				 "%s knows term %llu of this session", self, r->term);
	if (said == LENDING_LACKS)
		return fault_set(f, WIRE_E_STALE,
				 "the replica on %s may lack data that was acknowledged. Next: cptdevctl status, there",
				 self);
	return fault_set(f, WIRE_E_OTHER, "%s has no replica of this session", self);
}

/*
 * The program that fed the replica, or whoever may go on with its term. Its host is heard, and hasn't
 * said that the program ended; or it isn't heard, but may answer reads until its lease is over.
 */
static int check_owner(struct in *in, const struct record *r, struct fault *f)
{
	struct peer *p = NULL;

	if (uuid_same(r->owner, in->node.uuid) || r->ended || r->failed || r->unseen)
		return 0;
	LIST_FOREACH(p, &in->d->peers, entry) {
		if (p == in->peer)
			continue;
		if (p->in && uuid_same(p->in->node.uuid, r->owner))
			/* It may be lost a moment ago: it is asked again for a while. */
			return fault_set(f, WIRE_E_BUSY,
					 "the program may be alive on %s. Next: cptdevctl switchover, there",
					 p->in->node.name);
		if (peer_lent(p, r->owner))
			return fault_set(f, WIRE_E_BUSY,
					 "the lease of the program's host isn't over yet");
	}
	return 0;
}

static int check_rivals(struct in *in, const struct msg_fetch *m, struct fault *f)
{
	struct daemon *d = in->d;
	struct lend *l = lend_find(d, m->name);
	struct known *k = known_find_name(d, m->name);
	struct held *h;

	if (k && !(k->rec.flags & CPTDEV_GENL_SESSION_FENCED))
		return fault_set(f, WIRE_E_CONFLICT, "a program of this name runs on %s",
				 d->self.name);
	if (source_gives(d, m->name) || (l && l->in != in))
		return fault_set(f, WIRE_E_BUSY, "the replica on %s is on its way to another program",
				 d->self.name);
	h = held_refresh(d) ? NULL : held_find(d, m->name);
	if (h && h->waiters)
		return fault_set(f, WIRE_E_OTHER,
				 "a program waits for the replica on %s. Next: cptdevctl promote, there",
				 d->self.name);
	return 0;
}

static int check_image(struct in *in, const struct msg_fetch *m,
		       const struct cptdev_image_info *info, struct fault *f)
{
	const struct record *r = record_of(in->d, m->name);
	const char *self = in->d->self.name;

	if (info->state & CPTDEV_IMAGE_PROMOTED)
		return fault_set(f, WIRE_E_FENCED, "the replica on %s was promoted to term %llu",
				 self, info->term);
	if (!info->generation)
		return fault_set(f, WIRE_E_STALE, "the replica on %s is empty", self);
	if (!(m->flags & WIRE_FETCH_AGAIN) && !uuid_same(info->uuid, r->session))
		return fault_set(f, WIRE_E_STALE, "the replica on %s is of an earlier session", self);
	if (info->staging || info->state & CPTDEV_IMAGE_FROZEN)
		return fault_set(f, WIRE_E_BUSY, "the replica on %s is in use", self);
	return 0;
}

/* Returns the replica, or -1 with @f. */
static int check(struct in *in, const struct msg_fetch *m, struct cptdev_image_info *info,
		 struct fault *f)
{
	struct daemon *d = in->d;
	enum lending said;
	int fd, ret;

	if (records_damaged(d, m->name) || records_split(d, m->name) ||
	    records_overtaken(d, m->name))
		return fault_set(f, WIRE_E_OTHER,
				 "the record on %s needs a person's decision. Next: cptdevctl status, there",
				 d->self.name);
	said = record_may_lend(record_of(d, m->name), m->term, in->node.uuid,
			       m->flags & WIRE_FETCH_AGAIN);
	if (said != LENDING_OK)
		return refuse_record(in, m, said, f);
	if (check_owner(in, record_of(d, m->name), f) || check_rivals(in, m, f))
		return -1;
	fd = kernel_replica_open(d->kernel, m->name, 0);
	if (fd < 0)
		return fault_set(f, WIRE_E_STALE, "%s has no replica: %s", d->self.name,
				 strerror(-fd));
	ret = kernel_image_info(d->kernel, fd, info);
	if (!ret && !check_image(in, m, info, f))
		return fd;
	d->kernel->ops->close(d->kernel, fd);
	return ret ? fault_set(f, WIRE_E_KERNEL, "%s can't read its replica: %s", d->self.name,
			       strerror(-ret)) : -1;
}

/*
 * The questions
 */

static int write_term(struct in *in, const struct msg_fetch *m, struct fault *f)
{
	struct record new = *record_of(in->d, m->name);

	record_lend(&new, m->term, in->node.uuid);
	if (!records_write(in->d, &new))
		return 0;
	return fault_set(f, WIRE_E_KERNEL, "%s can't write its record", in->d->self.name);
}

/* @fd is closed if it fails. */
static int take(struct in *in, const struct msg_fetch *m, int fd, struct fault *f)
{
	struct daemon *d = in->d;
	struct lend *l = calloc(1, sizeof(*l));
	int ret = l ? kernel_replica_freeze(d->kernel, fd) : -ENOMEM;

	if (ret)
		fault_set(f, WIRE_E_KERNEL, "%s can't read its replica: %s", d->self.name,
			  strerror(-ret));
	if (ret || write_term(in, m, f)) {
		d->kernel->ops->close(d->kernel, fd);
		free(l);
		return -1;
	}
	l->in = in;
	l->id = m->id;
	l->term = m->term;
	l->fd = fd;
	strcpy(l->name, m->name);
	LIST_INSERT_HEAD(&d->lends, l, entry);
	/* Whoever has gone on with a lower one learns of it. */
	fence_announce(d, m->name, m->term, in->node.uuid, 0);
	return 0;
}

static void ask_or_take(struct in *in, const struct msg_fetch *m, struct msg_fetch_state *a)
{
	struct daemon *d = in->d;
	struct cptdev_image_info info;
	struct lend *old = m->what == WIRE_FETCH_TAKE ? lend_find(d, m->name) : NULL;
	int fd;

	/* Of a program that this peer has given up. */
	if (old && old->in == in)
		lend_end(old, LOG_NOTICE, "another one begins");
	fd = check(in, m, &info, &a->fault);
	if (fd < 0)
		return;
	if (m->what == WIRE_FETCH_ASK)
		d->kernel->ops->close(d->kernel, fd);
	else if (take(in, m, fd, &a->fault))
		return;
	memcpy(a->uuid, info.uuid, sizeof(a->uuid));
	a->generation = info.generation;
	a->pages = info.pages;
	a->uid = info.uid;
}

/* From the answer on the peer's program may acknowledge. */
static void done(struct in *in, const struct msg_fetch *m, struct msg_fetch_state *a)
{
	struct lend *l = lend_of(in, m->id);
	const struct record *r = record_of(in->d, m->name);
	struct cptdev_image_info info;
	struct record new;

	if (!l || strcmp(l->name, m->name) || l->term != m->term || !r ||
	    r->role != RECORD_SPARE || r->term != m->term || !uuid_same(r->owner, in->node.uuid) ||
	    kernel_image_info(in->d->kernel, l->fd, &info) ||
	    info.state & (CPTDEV_IMAGE_PROMOTED | CPTDEV_IMAGE_REMOVED)) {
		fault_set(&a->fault, WIRE_E_STALE, "the replica on %s isn't this program's any more",
			  in->d->self.name);
		return;
	}
	new = *r;
	record_lent(&new);
	if (records_write(in->d, &new)) {
		fault_set(&a->fault, WIRE_E_KERNEL, "%s can't write its record", in->d->self.name);
		return;
	}
	a->generation = info.generation;
	a->pages = info.pages;
	lend_end(l, LOG_NOTICE, "all of it is there, and the program goes on");
}

static void leave(struct in *in, const struct msg_fetch *m)
{
	struct lend *l = lend_of(in, m->id);

	if (l)
		lend_end(l, LOG_NOTICE, "that program has ended before all of it was there, so it stays the spare's");
}

static void answer(struct in *in, const struct msg_fetch *m, struct msg_fetch_state *a)
{
	u8 buf[WIRE_TEXT_MAX + 192];
	struct writer w = { .p = buf, .cap = sizeof(buf) };

	a->term = m->term ? m->term : MAX(fence_highest(in->d, m->name, NULL), 1U);
	a->id = m->id;
	a->what = m->what;
	strcpy(a->name, m->name);
	fetch_state_encode(&w, a);
	conn_send(in->conn, WIRE_FETCH_STATE, 0, &w);
	if (a->fault.code != WIRE_OK && a->fault.code != WIRE_E_BUSY)
		tell(&in->d->tell, LOG_NOTICE, TELL_REPLAY, m->name,
		     "a program on %s wants to go on from the replica of %s: refused: %s",
		     in->node.name, m->name, a->fault.text);
	else if (a->fault.code == WIRE_OK && m->what == WIRE_FETCH_TAKE)
		tell(&in->d->tell, LOG_NOTICE, TELL_REPLAY, m->name,
		     "a program on %s goes on from the replica of %s: generation %llu, term %llu",
		     in->node.name, m->name, a->generation, m->term);
}

int lend_frame(struct in *in, const u8 *payload, u32 len)
{
	struct msg_fetch_state a = {};
	struct msg_fetch m;

	if (!(in->features & WIRE_FEATURE_FETCH))
		return fault_set(&in->conn->fault, WIRE_E_PROTOCOL, "FETCH, which wasn't agreed on");
	if (fetch_decode(payload, len, &m, &in->conn->fault) ||
	    (m.term && fence_told(in->d, m.name, m.term, &in->conn->fault)))
		return -1;
	if (m.what == WIRE_FETCH_LEAVE) {
		leave(in, &m);
		return 0;
	}
	if (m.what == WIRE_FETCH_DONE)
		done(in, &m, &a);
	else
		ask_or_take(in, &m, &a);
	answer(in, &m, &a);
	return 0;
}

/*
 * Reading
 */

/* Returns enum wire_code. */
static u32 read_list(const struct lend *l, struct msg_pages *a, struct writer *w)
{
	static struct cptdev_extent runs[WIRE_READ_EXTENTS];
	struct kernel *k = l->in->d->kernel;
	u64 next = a->addr, head = w->len;
	int n, i;

	n = kernel_image_read(k, l->fd, CPTDEV_IOC_IMAGE_EXTENTS, runs, ARRAY_SIZE(runs), next, &next);
	if (n < 0)
		return WIRE_E_KERNEL;
	pages_encode(w, a);
	for (i = 0; i < n; i++) {
		u64 addr = MAX(runs[i].addr, a->addr);

		if (runs[i].kind != CPTDEV_EXTENT_DATA || runs[i].addr + runs[i].len <= addr)
			continue;
		write_u64(w, addr);
		write_u64(w, runs[i].addr + runs[i].len - addr);
		a->nr++;
	}
	next = w->len;
	w->len = head;
	pages_encode(w, a);
	w->len = next;
	return WIRE_OK;
}

static u32 read_pages(struct lend *l, struct msg_pages *a, struct writer *w)
{
	struct kernel *k = l->in->d->kernel;
	ssize_t n;

	pages_encode(w, a);
	n = k->ops->read(k, l->fd, write_room(w, a->len), a->len, a->addr);
	if (n != (ssize_t)a->len)
		return WIRE_E_KERNEL;
	l->bytes += a->len;
	return WIRE_OK;
}

int lend_read(struct in *in, u32 id, const u8 *payload, u32 len)
{
	static u8 buf[sizeof(u64) * 4 + WIRE_READ_BYTES];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct lend *l = lend_of(in, id);
	struct msg_pages a = {};
	struct msg_read m;

	_Static_assert(WIRE_READ_EXTENTS * WIRE_READ_EXTENT_LEN <= WIRE_READ_BYTES, "one buffer");
	if (!(in->features & WIRE_FEATURE_FETCH))
		return fault_set(&in->conn->fault, WIRE_E_PROTOCOL, "READ, which wasn't agreed on");
	if (read_decode(payload, len, in->d->self.page_size, &m, &in->conn->fault))
		return -1;
	/* The answer may be short although much is read for it: that bounds the turn, too. */
	in->conn->taken += m.what == WIRE_READ_LIST ? WIRE_READ_EXTENTS * WIRE_READ_EXTENT_LEN :
		m.len;
	a = (struct msg_pages) { .what = m.what, .addr = m.addr, .len = m.len };
	/* A person may have promoted the replica by force: that the reader learns here. */
	a.code = !l ? WIRE_E_STALE : m.what == WIRE_READ_LIST ? read_list(l, &a, &w) :
		read_pages(l, &a, &w);
	if (a.code) {
		a.nr = 0;
		w.len = 0;
		pages_encode(&w, &a);
	}
	conn_send(in->conn, WIRE_PAGES, id, &w);
	return 0;
}
