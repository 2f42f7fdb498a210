// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The other end of takeback.c: this host is the spare, and its primary's host has lost program and
 * memory. It asks for the replica with a term that is on its disk, and gets a copy of everything
 * on the link on which this host ships.
 *
 *   the question	the term is on this host's disk before it is answered
 *   on its way		the replica is frozen, and not promoted; that ends with the link
 *   the last frame	before COMMIT goes out, it is on disk that the replica is outdated: from then
 *			on the other host may go on with the copy. That ends with a commit of what
 *			the other host's next program ships, as for every replica that is outdated.
 *
 * The other host may ask again at any time. The replica itself isn't written to.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "log.h"
#include "uuid.h"

enum source_state {
	SOURCE_ASKING,		/* SESSION is sent */
	SOURCE_SENDING,
	SOURCE_SENT,		/* COMMIT is sent */
};

struct source {
	TAILQ_ENTRY(source) entry;
	struct out *out;
	char name[CPTDEV_NAME_MAX];
	u64 term;
	u32 channel;
	enum source_state state;
	struct delta *delta;
};

static struct source *source_find(struct out *o, const char *name)
{
	struct source *s;

	TAILQ_FOREACH(s, &o->sources, entry)
		if (!strcmp(s->name, name))
			return s;
	return NULL;
}

static struct source *source_of(struct out *o, u32 channel)
{
	struct source *s;

	TAILQ_FOREACH(s, &o->sources, entry)
		if (s->channel == channel)
			return s;
	return NULL;
}

/* Closing the replica thaws it. */
static void source_free(struct source *s)
{
	TAILQ_REMOVE(&s->out->sources, s, entry);
	delta_free(s->delta);
	free(s);
}

static void source_end(struct source *s, int level, const char *why)
{
	struct out *o = s->out;

	tell(&o->d->tell, level, TELL_SESSION, s->name, "%s (term %llu) to %s: %s", s->name,
	     s->term, o->node.name, why);
	if (s->state == SOURCE_SENDING && delta_unfinished(s->delta))
		conn_send(o->conn, WIRE_ABORT, s->channel, NULL);
	conn_send(o->conn, WIRE_GONE, s->channel, NULL);
	source_free(s);
}

void source_close(struct out *o)
{
	while (!TAILQ_EMPTY(&o->sources))
		source_free(TAILQ_FIRST(&o->sources));
}

bool source_gives(struct daemon *d, const char *name)
{
	struct peer *p;

	LIST_FOREACH(p, &d->peers, entry)
		if (source_find(&p->out, name))
			return true;
	return false;
}

void source_stop(struct daemon *d, const char *name, const char *why)
{
	struct source *s;
	struct peer *p;

	LIST_FOREACH(p, &d->peers, entry) {
		s = source_find(&p->out, name);
		if (s)
			source_end(s, LOG_WARNING, why);
	}
}

/*
 * The question
 */

static int refuse_record(struct in *in, const struct msg_take_back *m, enum record_source said,
			 struct fault *f)
{
	const struct record *r = record_of(in->d, m->name);

	if (said == SOURCE_FENCED) {
		fence_send(in->d, in->conn, m->name, r->term, r->owner, 0);
		return fault_set(f, WIRE_E_FENCED,
				 "%s has gone on with term %llu, or was told to", in->d->self.name,
				 r->term);
	}
	if (said == SOURCE_LACKS)
		return fault_set(f, WIRE_E_STALE,
				 "the replica on %s lacks data that was acknowledged",
				 in->d->self.name);
	return fault_set(f, WIRE_E_OTHER, "%s has no replica of that session", in->d->self.name);
}

/* Is the replica what the record says, and at rest? */
static int check_replica(struct in *in, const struct msg_take_back *m,
			 const struct cptdev_image_info *info, struct fault *f)
{
	const char *self = in->d->self.name;

	if (info->state & CPTDEV_IMAGE_PROMOTED)
		return fault_set(f, WIRE_E_FENCED, "the replica on %s was promoted to term %llu",
				 self, info->term);
	if (!info->generation || info->term > m->term)
		return fault_set(f, WIRE_E_STALE, "the replica on %s is empty", self);
	if (!(m->flags & WIRE_TAKE_BACK_AGAIN) &&
	    (!uuid_same(info->uuid, m->uuid) || info->generation < m->generation))
		return fault_set(f, WIRE_E_STALE,
				 "the replica on %s has generation %llu, %llu was acknowledged", self,
				 info->generation, m->generation);
	if (info->staging || info->state & CPTDEV_IMAGE_FROZEN)
		return fault_set(f, WIRE_E_BUSY, "the replica on %s is in use", self);
	return 0;
}

static int open_replica(struct in *in, const struct msg_take_back *m,
			struct cptdev_image_info *info, struct fault *f)
{
	struct kernel *k = in->d->kernel;
	int fd = kernel_replica_open(k, m->name, 0), ret;

	if (fd < 0)
		return fault_set(f, WIRE_E_STALE, "%s has no replica: %s", in->d->self.name,
				 strerror(-fd));
	ret = kernel_image_info(k, fd, info);
	if (!ret && check_replica(in, m, info, f)) {
		k->ops->close(k, fd);
		return -1;
	}
	if (!ret)
		ret = kernel_replica_freeze(k, fd);
	if (!ret)
		return fd;
	k->ops->close(k, fd);
	return fault_set(f, WIRE_E_KERNEL, "%s can't read its replica: %s", in->d->self.name,
			 strerror(-ret));
}

/*
 * A copy has an id of its own, the session's with the term in it: what is left on the other host
 * of an earlier one, of the same generation, is another one.
 */
static void copy_id(u8 *uuid, u64 term)
{
	int i;

	for (i = 0; i < 8; i++)
		uuid[i] ^= term >> (8 * i);
}

static void source_ask(struct source *s, const struct cptdev_image_info *info)
{
	struct out *o = s->out;
	u8 buf[128];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct msg_session m = {
		.term = s->term, .uid = info->uid, .flags = WIRE_SESSION_TAKE_BACK,
	};

	memcpy(m.uuid, info->uuid, sizeof(m.uuid));
	copy_id(m.uuid, s->term);
	memcpy(m.owner, o->node.uuid, sizeof(m.owner));
	strcpy(m.name, s->name);
	session_encode(&w, &m);
	conn_send(o->conn, WIRE_SESSION, s->channel, &w);
}

static int source_new(struct out *o, const struct msg_take_back *m, int fd,
		      const struct cptdev_image_info *info, struct fault *f)
{
	struct source *s = calloc(1, sizeof(*s));
	int ret;

	if (!s) {
		o->d->kernel->ops->close(o->d->kernel, fd);
		return fault_set(f, WIRE_E_MEMORY, "no memory on %s", o->d->self.name);
	}
	ret = delta_open_replica(o->d->kernel, fd, out_thin(o), m->term, &s->delta);
	if (ret) {
		free(s);
		return fault_set(f, WIRE_E_KERNEL, "%s can't read its replica: %s",
				 o->d->self.name, strerror(-ret));
	}
	s->out = o;
	s->term = m->term;
	s->channel = o->next_channel++;
	strcpy(s->name, m->name);
	TAILQ_INSERT_TAIL(&o->sources, s, entry);
	source_ask(s, info);
	return 0;
}

/* The term of the question, on disk before anything is answered. */
static int write_term(struct daemon *d, const struct msg_take_back *m, struct fault *f)
{
	struct record new = *record_of(d, m->name);

	if (new.term == m->term)
		return 0;
	record_lends(&new, m->term);
	if (!records_write(d, &new))
		return 0;
	return fault_set(f, WIRE_E_KERNEL, "%s can't write its record", d->self.name);
}

static int source_begin(struct in *in, const struct msg_take_back *m, struct fault *f)
{
	struct out *o = &in->peer->out;
	struct cptdev_image_info info;
	struct source *s = source_find(o, m->name);
	int fd;

	if (s && s->term == m->term)
		return 0;
	if (s)
		source_end(s, LOG_NOTICE, "the state is asked for once more");
	if (o->state != OUT_UP || !(o->features & WIRE_FEATURE_TAKE_BACK))
		return fault_set(f, WIRE_E_BUSY, "%s isn't linked to the host that asks",
				 in->d->self.name);
	fd = open_replica(in, m, &info, f);
	if (fd < 0)
		return -1;
	if (write_term(in->d, m, f)) {
		in->d->kernel->ops->close(in->d->kernel, fd);
		return -1;
	}
	return source_new(o, m, fd, &info, f);
}

/*
 * The owner of the replica has all of it itself, and nothing is given back: this replica isn't promoted
 * any more, until it is fed again.
 */
static int source_yields(struct in *in, const struct msg_take_back *m, struct fault *f)
{
	const struct record *r = record_of(in->d, m->name);
	enum record_source said = record_yields(r, m->term, in->node.uuid);
	struct record new;

	if (said != SOURCE_OK)
		return refuse_record(in, m, said, f);
	if (!r)
		return 0;
	/* To the same host: one of its programs reads this replica, and goes on unless it ends. */
	if (lend_gives(in->d, m->name))
		return fault_set(f, WIRE_E_BUSY, "a program goes on from the replica on %s",
				 in->d->self.name);
	source_stop(in->d, m->name, "its owner goes on from a copy of its own");
	new = *r;
	record_yielded(&new, m->uuid, m->term, in->node.uuid);
	if (memcmp(&new, r, sizeof(new)) && records_write(in->d, &new))
		return fault_set(f, WIRE_E_KERNEL, "%s can't write its record", in->d->self.name);
	return 0;
}

static int source_asked(struct in *in, const struct msg_take_back *m, struct fault *f)
{
	bool again = m->flags & WIRE_TAKE_BACK_AGAIN;
	enum record_source said;

	if (records_damaged(in->d, m->name) || records_split(in->d, m->name))
		return fault_set(f, WIRE_E_OTHER, "the record on %s needs a person's decision",
				 in->d->self.name);
	if (m->flags & WIRE_TAKE_BACK_KEPT)
		return source_yields(in, m, f);
	said = record_source(record_of(in->d, m->name), m->uuid, m->term, in->node.uuid, again);
	if (said != SOURCE_OK)
		return refuse_record(in, m, said, f);
	return source_begin(in, m, f);
}

int source_frame(struct in *in, const u8 *payload, u32 len)
{
	u8 buf[WIRE_TEXT_MAX + 128];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct msg_take_back_state answer = {};
	struct msg_take_back m;

	if (!(in->features & WIRE_FEATURE_TAKE_BACK))
		return fault_set(&in->conn->fault, WIRE_E_PROTOCOL,
				 "TAKE_BACK, which wasn't agreed on");
	if (take_back_decode(payload, len, &m, &in->conn->fault) ||
	    fence_told(in->d, m.name, m.term, &in->conn->fault))
		return -1;
	if (m.flags & WIRE_TAKE_BACK_KEPT && !(in->features & WIRE_FEATURE_KEPT))
		return fault_set(&in->conn->fault, WIRE_E_PROTOCOL,
				 "TAKE_BACK of a kept state, which wasn't agreed on");
	if (source_asked(in, &m, &answer.fault))
		tell(&in->d->tell, LOG_NOTICE, TELL_REPLAY, m.name,
		     "%s asks for the state of %s back: refused: %s", in->node.name, m.name,
		     answer.fault.text);
	else if (m.flags & WIRE_TAKE_BACK_KEPT)
		tell(&in->d->tell, LOG_NOTICE, TELL_REPLAY, m.name,
		     "%s goes on with %s from a copy of its own, with a term after %llu: the replica of this host isn't promoted until it has the next generation",
		     in->node.name, m.name, m.term);
	else
		tell(&in->d->tell, LOG_NOTICE, TELL_REPLAY, m.name,
		     "%s takes the state of %s back, with term %llu", in->node.name, m.name,
		     m.term);
	answer.term = m.term;
	strcpy(answer.name, m.name);
	take_back_state_encode(&w, &answer);
	conn_send(in->conn, WIRE_TAKE_BACK_STATE, 0, &w);
	return 0;
}

/*
 * On its way
 */

bool source_takes(struct out *o, u32 channel)
{
	return source_of(o, channel);
}

static int answer_state(struct source *s, const u8 *payload, u32 len)
{
	struct msg_state m;

	if (state_decode(payload, len, &m, &s->out->conn->fault))
		return -1;
	if (s->state != SOURCE_ASKING)
		return fault_set(&s->out->conn->fault, WIRE_E_PROTOCOL,
				 "%s: SESSION_STATE, which wasn't asked for", s->name);
	if (m.fault.code != WIRE_OK) {
		source_end(s, LOG_WARNING, m.fault.text);
		return 0;
	}
	s->state = SOURCE_SENDING;
	conn_kick(s->out->conn);
	return 0;
}

static int answer_committed(struct source *s, const u8 *payload, u32 len)
{
	struct msg_committed m;

	if (committed_decode(payload, len, &m, &s->out->conn->fault))
		return -1;
	if (s->state != SOURCE_SENT || m.generation != s->delta->info.generation)
		return fault_set(&s->out->conn->fault, WIRE_E_PROTOCOL,
				 "%s: COMMITTED of generation %llu, out of order", s->name,
				 m.generation);
	source_end(s, LOG_NOTICE, "the state is there");
	return 0;
}

static int answer_failed(struct source *s, const u8 *payload, u32 len)
{
	struct msg_failed m;

	if (failed_decode(payload, len, &m, &s->out->conn->fault))
		return -1;
	source_end(s, LOG_WARNING, m.fault.text);
	return 0;
}

int source_answer(struct out *o, const struct frame *f, const u8 *payload)
{
	struct source *s = source_of(o, f->channel);

	if (f->type == WIRE_SESSION_STATE)
		return answer_state(s, payload, f->length);
	if (f->type == WIRE_COMMITTED)
		return answer_committed(s, payload, f->length);
	if (f->type == WIRE_VERIFIED)
		return fault_set(&o->conn->fault, WIRE_E_PROTOCOL,
				 "VERIFIED of a replica that goes back");
	return answer_failed(s, payload, f->length);
}

static struct source *next_sending(struct out *o)
{
	struct source *s;

	TAILQ_FOREACH(s, &o->sources, entry)
		if (s->state == SOURCE_SENDING)
			return s;
	return NULL;
}

bool source_in_head(struct out *o)
{
	struct source *s = next_sending(o);

	return s && delta_in_head(s->delta);
}

/* From the next frame on the other host may go on with what it has. 0 or a negative errno. */
static int hand_over(struct source *s)
{
	struct daemon *d = s->out->d;
	const struct record *r = record_of(d, s->name);
	struct cptdev_image_info info;
	struct record new;
	int ret = kernel_image_info(d->kernel, s->delta->fd, &info);

	if (ret)
		return ret;
	if (!r || r->role != RECORD_SPARE || r->term != s->term ||
	    info.state & (CPTDEV_IMAGE_PROMOTED | CPTDEV_IMAGE_REMOVED))
		return -ESTALE;
	new = *r;
	record_lent(&new);
	return records_write(d, &new);
}

bool source_pull(struct out *o)
{
	struct source *s = next_sending(o);
	int ret;

	if (!s)
		return false;
	ret = s->delta->phase == DELTA_COMMIT ? hand_over(s) : 0;
	if (!ret)
		ret = delta_frame(s->delta, o->conn, s->channel);
	if (ret)
		source_end(s, LOG_WARNING, strerror(-ret));
	else if (s->delta->phase == DELTA_DONE)
		s->state = SOURCE_SENT;
	/* The ABORT and GONE that are sent instead are queued. */
	return !ret;
}
