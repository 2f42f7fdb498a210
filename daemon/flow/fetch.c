// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A program of this host goes on from a replica of another host, before all of it is here. It asks at
 * the control socket, and that connection is the way for its pages (fetchwire.h); the other end of the
 * link is lend.c.
 *
 *   asking	what does the other host have?
 *   taking	the next term is this host's, on disk, before the other host is told
 *   running	the program runs, and reads. Its session, which has the term after that, is barred:
 *		nothing of it is acknowledged, and it answers nobody (record_awaits())
 *   ending	the program has everything; the other host writes down that its replica is outdated
 *   over	the term after that is on disk, and the session is like one that was promoted
 *
 * Whatever goes wrong before that closes the program's connection, and the program ends: what it lacks is
 * nowhere else on this host. The other host's replica is what it was.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon.h"
#include "fetch.h"
#include "fetch_frame.h"
#include "fetching.h"
#include "fetchwire.h"
#include "json.h"
#include "log.h"
#include "uuid.h"

#define FETCHES_MAX	16U
#define ASK_AGAIN_NS	(200 * NSEC_PER_MSEC)

enum fetch_phase { FETCH_ASKING, FETCH_TAKING, FETCH_RUNNING, FETCH_ENDING, FETCH_OVER };

struct fetch {
	LIST_ENTRY(fetch) entry;
	struct daemon *d;
	struct out *out;		/* the link, NULL: it isn't needed any more */
	u32 id;
	enum fetch_phase phase;
	char name[CPTDEV_NAME_MAX];
	u32 uid;
	bool may;			/* whoever it is: root, or this daemon's user */
	u64 term;			/* this host's; the session's is the next one */
	bool again;			/* see WIRE_FETCH_AGAIN */
	bool had;			/* a record, which is back if the other host refuses */
	struct record before;
	struct msg_fetch_state there;
	struct timer timer;		/* to ask again */
	u64 until;			/* it is asked no longer, ns */
	u64 since;
	u64 bytes;			/* of pages that the program has */
	/* The program: */
	struct watch watch;
	struct garbage garbage;
	struct fetch_request in;
	size_t in_len;
	struct msg_read asked[FETCH_WINDOW];	/* the oldest first */
	u32 nr_asked;
	u8 *buf;			/* for the program */
	size_t len;
	size_t sent;
};

static void fetch_garbage(struct garbage *g)
{
	struct fetch *f = container_of(g, struct fetch, garbage);

	free(f->buf);
	free(f);
}

static void fetch_free(struct fetch *f)
{
	int fd = f->watch.fd;

	loop_unwatch(&f->d->loop, &f->watch);
	close(fd);
	loop_disarm(&f->timer);
	LIST_REMOVE(f, entry);
	loop_discard(&f->d->loop, &f->garbage, fetch_garbage);
}

static void ask(struct fetch *f, enum wire_fetch what)
{
	u8 buf[128];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct msg_fetch m = { .id = f->id, .what = what };

	if (what != WIRE_FETCH_ASK)
		m.term = f->term;
	if (f->again)
		m.flags = WIRE_FETCH_AGAIN;
	strcpy(m.name, f->name);
	fetch_encode(&w, &m);
	conn_send(f->out->conn, WIRE_FETCH, 0, &w);
}

/*
 * To the program
 */

static void update(struct fetch *f)
{
	bool reads = f->phase != FETCH_OVER && f->nr_asked < FETCH_WINDOW && !f->len;

	loop_change(&f->d->loop, &f->watch, (f->len ? EPOLLOUT : 0) | (reads ? EPOLLIN : 0));
}

/* False: it can't be kept for the program. */
static bool put(struct fetch *f, const void *data, size_t len)
{
	u8 *buf = realloc(f->buf, f->len + len);

	if (!buf)
		return false;
	f->buf = buf;
	memcpy(f->buf + f->len, data, len);
	f->len += len;
	return true;
}

static void put_line(struct fetch *f, struct json_object *o)
{
	const char *line = js_line(o);

	if (put(f, line, strlen(line)))
		put(f, "\n", 1);
	json_object_put(o);
}

/* One that is about to be dropped: as much as the socket takes. */
static void flush(struct fetch *f)
{
	ssize_t n = send(f->watch.fd, f->buf + f->sent, f->len - f->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

	f->sent += MAX(n, 0);
}

/*
 * The end
 */

/*
 * Nothing was changed by the other host: neither is it here. But what was learned meanwhile stays:
 * that another host went on, or feeds this one.
 */
static void restore_record(struct fetch *f)
{
	const struct record *r = record_of(f->d, f->name);

	if (f->phase != FETCH_TAKING || !r || r->role != RECORD_TAKING || r->term != f->term)
		return;
	f->before.outdated |= r->outdated;
	records_undo(f->d, f->name, f->had ? &f->before : NULL);
}

static void fail(struct fetch *f, const char *code, const char *why)
{
	struct json_object *o;

	tell(&f->d->tell, f->phase < FETCH_RUNNING ? LOG_NOTICE : LOG_ERR, TELL_SESSION, f->name,
	     "%s can't go on from the replica on %s: %s%s", f->name, f->out->node.name, why,
	     f->phase < FETCH_RUNNING ? "" : "; the program ends, and has acknowledged nothing");
	if (f->phase < FETCH_RUNNING) {
		o = js_document();
		js_error(o, code, why);
		put_line(f, o);
		flush(f);
	}
	fetch_free(f);
}

/* The program is gone, or has broken the rules. */
static void left(struct fetch *f, const char *why)
{
	if (f->phase == FETCH_OVER) {
		fetch_free(f);
		return;
	}
	if (f->phase > FETCH_ASKING)
		ask(f, WIRE_FETCH_LEAVE);
	tell(&f->d->tell, LOG_WARNING, TELL_SESSION, f->name,
	     "the program that went on from the replica of %s on %s %s, before it had all of it; the replica is what it was",
	     f->name, f->out->node.name, why);
	fetch_free(f);
}

void fetch_lost(struct out *o)
{
	struct fetch *f, *next;

	for (f = LIST_FIRST(&o->d->fetches); f; f = next) {
		next = LIST_NEXT(f, entry);
		if (f->out == o)
			fail(f, "not-linked", "the link to its host was lost");
	}
}

void fetch_close(struct daemon *d)
{
	while (!LIST_EMPTY(&d->fetches))
		fetch_free(LIST_FIRST(&d->fetches));
}

/*
 * Beginning
 */

static struct fetch *fetch_of(struct out *o, u32 id)
{
	struct fetch *f;

	LIST_FOREACH(f, &o->d->fetches, entry)
		if (f->out == o && f->id == id)
			return f;
	return NULL;
}

/* On disk first: who takes a term that it may forget could be overtaken by itself. */
static void take(struct fetch *f)
{
	const struct msg_fetch_state *m = &f->there;
	struct daemon *d = f->d;
	const struct record *r = record_of(d, f->name);
	struct fetch_from from = { .generation = m->generation };
	struct record new = r ? *r : (struct record) {};

	f->had = r;
	f->before = new;
	memcpy(from.session, m->uuid, sizeof(from.session));
	memcpy(from.node, f->out->node.uuid, sizeof(from.node));
	strcpy(from.node_name, f->out->node.name);
	f->term = MAX(fence_highest(d, f->name, NULL), m->term) + 1;
	if (f->term >= CPTDEV_TERM_MAX) {
		fail(f, "failed", "no term is higher");
		return;
	}
	record_fetching(&new, f->name, f->term, d->self.uuid, d->boot, &from);
	record_own(&new, m->uid);
	if (records_write(d, &new)) {
		fail(f, "failed", "its record can't be written");
		return;
	}
	f->phase = FETCH_TAKING;
	ask(f, WIRE_FETCH_TAKE);
}

static void run(struct fetch *f)
{
	struct json_object *o = js_document();

	f->phase = FETCH_RUNNING;
	js_str(o, "name", f->name);
	js_u64(o, "generation", f->there.generation);
	js_u64(o, "term", f->term + 1);
	js_u64(o, "pages", f->there.pages);
	put_line(f, o);
	news_record(f->d, recorded_find(f->d, f->name), "fetching");
	tell(&f->d->tell, LOG_NOTICE, TELL_SESSION, f->name,
	     "%s goes on here from the replica on %s: generation %llu, %llu pages; nothing is acknowledged before all of it is here",
	     f->name, f->out->node.name, f->there.generation, f->there.pages);
	update(f);
}

/* What was begun is done, or is begun anew: the answer has said that nothing changed. */
static void refused(struct fetch *f, const struct fault *fault)
{
	restore_record(f);
	if (fault->code == WIRE_E_BUSY && clock_mono() < f->until) {
		f->phase = FETCH_ASKING;
		loop_arm(&f->d->loop, &f->timer, ASK_AGAIN_NS);
		return;
	}
	fail(f, fault->code == WIRE_E_BUSY ? "busy" : "failed", fault->text);
}

static void ask_again(struct timer *t)
{
	struct fetch *f = container_of(t, struct fetch, timer);

	ask(f, WIRE_FETCH_ASK);
}

static void asked(struct fetch *f, const struct msg_fetch_state *m)
{
	/* It is this user's there. */
	if (!f->may && f->uid != m->uid) {
		fail(f, "permission", "the replica belongs to another user");
		return;
	}
	if (!record_is_there(record_of(f->d, f->name), m->uuid, m->generation)) {
		fail(f, "outdated", "this host acknowledged data that the replica lacks");
		return;
	}
	f->there = *m;
	take(f);
}

/*
 * Running
 */

/* All of it is here, and the other host's replica is promoted no more. */
static void over(struct fetch *f)
{
	const struct record *r = record_of(f->d, f->name);
	struct fetch_answer a = { .what = FETCH_DONE };
	struct daemon *d = f->d;
	struct record new;
	struct known *k;

	if (!r || r->role != RECORD_TAKING || r->term != f->term) {
		fail(f, "failed", "this host knows a newer term");
		return;
	}
	new = *r;
	if (record_fetched(&new) || records_write(d, &new)) {
		fail(f, "failed", "its record can't be written");
		return;
	}
	tell(&d->tell, LOG_NOTICE, TELL_SESSION, f->name,
	     "all of %s is here from %s, after %llu ms: %llu KiB", f->name, f->out->node.name,
	     (clock_mono() - f->since) / NSEC_PER_MSEC, f->bytes >> 10);
	f->phase = FETCH_OVER;
	f->out = NULL;
	news_record(d, recorded_find(d, f->name), "fetched");
	records_decide(d, f->name);
	LIST_FOREACH(k, &d->sessions, entry)
		if (!strcmp(k->rec.name, f->name))
			fence_known_term(d, k);
	if (!put(f, &a, sizeof(a)))
		fetch_free(f);
	else
		update(f);
}

int fetch_frame(struct out *o, const u8 *payload, u32 len)
{
	struct fault *fault = &o->conn->fault;
	struct msg_fetch_state m;
	struct fetch *f;

	if (!(o->features & WIRE_FEATURE_FETCH))
		return fault_set(fault, WIRE_E_PROTOCOL, "FETCH_STATE, which wasn't agreed on");
	if (fetch_state_decode(payload, len, &m, fault) || fence_told(o->d, m.name, m.term, fault))
		return -1;
	/* Its program may have ended meanwhile. */
	f = fetch_of(o, m.id);
	if (!f)
		return 0;
	if (strcmp(m.name, f->name) || (m.what != WIRE_FETCH_ASK && m.term != f->term) ||
	    m.what != (f->phase == FETCH_ASKING ? WIRE_FETCH_ASK :
		       f->phase == FETCH_TAKING ? WIRE_FETCH_TAKE : WIRE_FETCH_DONE) ||
	    f->phase == FETCH_RUNNING)
		return fault_set(fault, WIRE_E_PROTOCOL, "%s: FETCH_STATE, which wasn't asked for",
				 m.name);
	if (m.fault.code != WIRE_OK && f->phase == FETCH_ENDING)
		fail(f, "failed", m.fault.text);
	else if (m.fault.code != WIRE_OK)
		refused(f, &m.fault);
	else if (f->phase == FETCH_ASKING)
		asked(f, &m);
	else if (f->phase == FETCH_ENDING)
		over(f);
	else if (m.generation == f->there.generation && uuid_same(m.uuid, f->there.uuid))
		run(f);
	else
		left(f, "met another generation there");
	return 0;
}

static bool put_list(struct fetch *f, const struct msg_pages *m)
{
	struct fetch_extent x;
	u32 i;

	for (i = 0; i < m->nr; i++) {
		u64 addr, len;

		pages_extent(m, i, &addr, &len);
		x = (struct fetch_extent) { addr, len };
		if (!put(f, &x, sizeof(x)))
			return false;
	}
	return true;
}

static bool put_answer(struct fetch *f, const struct msg_pages *m)
{
	struct fetch_answer a = { .what = m->what, .addr = m->addr, .len = m->len };

	if (m->code)
		a.err = -EIO;
	else if (m->what == WIRE_READ_LIST)
		a.follows = m->nr * sizeof(struct fetch_extent);
	else
		a.follows = m->len;
	if (!put(f, &a, sizeof(a)))
		return false;
	if (m->code)
		return true;
	if (m->what == WIRE_READ_LIST)
		return put_list(f, m);
	f->bytes += m->len;
	return put(f, m->content, m->len);
}

int fetch_pages(struct out *o, u32 id, const u8 *payload, u32 len)
{
	struct fault *fault = &o->conn->fault;
	const struct msg_read *q;
	struct msg_pages m;
	struct fetch *f;

	if (!(o->features & WIRE_FEATURE_FETCH))
		return fault_set(fault, WIRE_E_PROTOCOL, "PAGES, which wasn't agreed on");
	if (pages_decode(payload, len, o->d->self.page_size, &m, fault))
		return -1;
	f = fetch_of(o, id);
	if (!f)
		return 0;
	q = &f->asked[0];
	if (!f->nr_asked || q->what != m.what || q->addr != m.addr || q->len != m.len)
		return fault_set(fault, WIRE_E_PROTOCOL, "%s: PAGES, which weren't asked for", f->name);
	f->nr_asked--;
	memmove(f->asked, f->asked + 1, f->nr_asked * sizeof(f->asked[0]));
	if (m.code)
		tell(&o->d->tell, LOG_ERR, TELL_SESSION, f->name,
		     "%s: %s can't read the replica any more: %s", f->name, o->node.name,
		     wire_code_name(m.code));
	if (put_answer(f, &m))
		update(f);
	else
		left(f, "can't be sent its pages: no memory");
	return 0;
}

/* A request of the program. False: it breaks the rules. */
static bool request(struct fetch *f, const struct fetch_request *r)
{
	u64 page = f->d->self.page_size;
	u8 buf[32];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct msg_read m = { .what = r->what, .addr = r->addr, .len = r->len };

	if (f->phase != FETCH_RUNNING || r->reserved)
		return false;
	if (r->what == FETCH_DONE) {
		if (f->nr_asked)
			return false;
		f->phase = FETCH_ENDING;
		ask(f, WIRE_FETCH_DONE);
		return true;
	}
	if (r->what > FETCH_DONE || r->addr % page || r->addr >> 63 || r->len % page ||
	    r->len > FETCH_BYTES_MAX || !r->len != (r->what == FETCH_LIST))
		return false;
	f->asked[f->nr_asked++] = m;
	read_encode(&w, &m);
	conn_send(f->out->conn, WIRE_READ, f->id, &w);
	return true;
}

/* Each returns false when the program is to be dropped, and why. */
static bool program_read(struct fetch *f, const char **why)
{
	ssize_t n;

	while (f->nr_asked < FETCH_WINDOW) {
		n = recv(f->watch.fd, (u8 *)&f->in + f->in_len, sizeof(f->in) - f->in_len,
			 MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		*why = "has ended";
		if (n <= 0)
			return false;
		f->in_len += n;
		if (f->in_len < sizeof(f->in))
			continue;
		f->in_len = 0;
		*why = "has asked for what can't be";
		if (!request(f, &f->in))
			return false;
	}
	return true;
}

static bool program_write(struct fetch *f)
{
	ssize_t n = send(f->watch.fd, f->buf + f->sent, f->len - f->sent,
			 MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	f->sent += n;
	if (f->sent == f->len)
		f->len = f->sent = 0;
	return true;
}

static void program_event(struct watch *w, u32 events)
{
	struct fetch *f = container_of(w, struct fetch, watch);
	const char *why = "has ended";
	bool alive = !(events & EPOLLERR);

	if (alive && events & EPOLLOUT && f->len)
		alive = program_write(f);
	if (alive && events & EPOLLIN)
		alive = program_read(f, &why);
	else if (alive && events & EPOLLHUP)
		alive = false;
	/* It knows that it may go on. */
	if (!alive || (f->phase == FETCH_OVER && !f->len))
		left(f, why);
	else
		update(f);
}

static const char *refuse(const char *code, char *why, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static const char *refuse(const char *code, char *why, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return code;
}

static bool under_way(struct daemon *d, const char *name)
{
	struct fetch *f;

	LIST_FOREACH(f, &d->fetches, entry)
		if (!strcmp(f->name, name) && f->phase != FETCH_OVER)
			return true;
	return false;
}

static u32 how_many(struct daemon *d)
{
	struct fetch *f;
	u32 n = 0;

	LIST_FOREACH(f, &d->fetches, entry)
		n++;
	return n;
}

/* May a program of this host begin under the name? */
static const char *check_here(struct daemon *d, const char *name, const u8 *node, char *why,
			      size_t size)
{
	struct known *k = known_find_name(d, name);

	if (under_way(d, name))
		return refuse("busy", why, size, "another program goes on from that replica here");
	if (k && !(k->rec.flags & CPTDEV_GENL_SESSION_FENCED))
		return refuse("primary", why, size, "a program of this name runs on this host");
	if (records_damaged(d, name) || records_split(d, name) || records_overtaken(d, name))
		return refuse("failed", why, size,
			      "the record of this host needs a person's decision. Next: cptdevctl status");
	switch (record_may_fetch(record_of(d, name), node)) {
	case FETCHING_OK:
		return NULL;
	case FETCHING_LACKS:
		return refuse("outdated", why, size,
			      "this host acknowledged data that the other host's replica may lack. To lose it: %s",
			      ADVICE(d, "forget", name));
	case FETCHING_STANDS_STILL:
		return refuse("failed", why, size,
			      "the record of this host needs a person's decision. Next: cptdevctl status");
	case FETCHING_HAS:
		break;
	}
	return refuse("spare", why, size,
		      "this host has a replica that can be promoted. Start the program as the spare, then: %s",
		      ADVICE(d, "promote", name));
}

static const char *check_there(const struct peer *p, const char *from, char *why, size_t size)
{
	if (!p)
		return refuse("not-linked", why, size, "%s isn't a peer of this host", from);
	if (p->out.state != OUT_UP || strcmp(p->out.node.name, from))
		return refuse("not-linked", why, size,
			      "this host isn't linked to %s. Next: cptdevctl status", from);
	if (!(p->out.features & WIRE_FEATURE_FETCH))
		return refuse("version", why, size, "cptdevd on %s is too old", from);
	return NULL;
}

const char *fetch_begin(struct daemon *d, int fd, u32 uid, bool may, const char *name,
			const char *from, u64 wait_ns, char *why, size_t size)
{
	struct peer *p = peer_of_name(d, from);
	const char *code = check_there(p, from, why, size);
	struct fetch *f;

	if (!code)
		code = check_here(d, name, p->out.node.uuid, why, size);
	if (!code && how_many(d) >= FETCHES_MAX)
		code = refuse("busy", why, size, "%u programs go on from replicas of other hosts already",
			      FETCHES_MAX);
	f = code ? NULL : calloc(1, sizeof(*f));
	if (!code && !f)
		code = refuse("memory", why, size, "no memory");
	if (code) {
		close(fd);
		return code;
	}
	*f = (struct fetch) {
		.d = d, .out = &p->out, .uid = uid, .may = may, .since = clock_mono(),
		.until = clock_mono() + wait_ns, .watch = { .fd = -1, .fn = program_event },
		.timer = { .fn = ask_again },
	};
	f->id = ++d->last_fetch ?: ++d->last_fetch;
	strcpy(f->name, name);
	f->again = record_of(d, name) && record_asked_back(record_of(d, name));
	if (loop_watch(&d->loop, &f->watch, fd, EPOLLIN)) {
		close(fd);
		free(f);
		return refuse("memory", why, size, "no memory");
	}
	LIST_INSERT_HEAD(&d->fetches, f, entry);
	ask(f, WIRE_FETCH_ASK);
	return NULL;
}

struct json_object *fetch_json(struct daemon *d)
{
	static const char *const words[] = {
		[FETCH_ASKING] = "asking", [FETCH_TAKING] = "asking", [FETCH_RUNNING] = "running",
		[FETCH_ENDING] = "ending", [FETCH_OVER] = "over",
	};
	struct json_object *list = js_list(), *o;
	struct fetch *f = NULL;

	LIST_FOREACH(f, &d->fetches, entry) {
		if (f->phase == FETCH_OVER)
			continue;
		o = js_new();
		js_str(o, "name", f->name);
		js_u64(o, "uid", f->uid);
		js_str(o, "from", f->out->node.name);
		js_str(o, "phase", words[f->phase]);
		js_u64(o, "generation", f->there.generation);
		js_u64(o, "bytes", f->there.pages * d->self.page_size);
		js_u64(o, "here", f->bytes);
		json_object_array_add(list, o);
	}
	return list;
}
