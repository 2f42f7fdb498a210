// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Planned switch-overs, on the spare's host. The primary's host asks whether this host could take
 * over, and later tells it to. The conditions are those of a promotion, and that a program waits. The
 * term is on this host's disk before the answer. After a refusal nothing follows from the question,
 * and the primary's program goes on.
 */
#include <errno.h>
#include <string.h>

#include "daemon.h"
#include "log.h"
#include "uuid.h"

static int refuse_record(struct in *in, const struct msg_switch *m, enum handover said,
			 struct fault *f)
{
	const struct record *r = record_of(in->d, m->name);
	const char *self = in->d->self.name;

	if (said == HAND_FENCED) {
		fence_send(in->d, in->conn, m->name, r->term, r->owner, 0);
		return fault_set(f, WIRE_E_FENCED, "%s knows term %llu of this session", self, r->term);
	}
	if (said == HAND_LACKS)
		return fault_set(f, WIRE_E_STALE,
				 "the replica on %s isn't in step: it lacks data that was acknowledged. Next: wait until it is protected",
				 self);
	if (said == HAND_ENDED)
		return fault_set(f, WIRE_E_OTHER, "%s was told that the session ended in order", self);
	return fault_set(f, WIRE_E_OTHER,
			 "%s has no replica of this session. Next: cptdevctl status, there", self);
}

static int check_replica(struct daemon *d, const struct msg_switch *m, struct fault *f)
{
	int fd = kernel_replica_open(d->kernel, m->name, 0), ret;
	struct cptdev_image_info info;

	if (fd < 0)
		return fault_set(f, WIRE_E_OTHER, "%s has no replica: %s", d->self.name,
				 strerror(-fd));
	ret = kernel_image_info(d->kernel, fd, &info);
	d->kernel->ops->close(d->kernel, fd);
	if (ret)
		return fault_set(f, WIRE_E_KERNEL, "%s can't look at its replica: %s", d->self.name,
				 strerror(-ret));
	if (info.state & CPTDEV_IMAGE_PROMOTED)
		return fault_set(f, WIRE_E_FENCED, "the replica on %s was promoted to term %llu",
				 d->self.name, info.term);
	if (!uuid_same(info.uuid, m->uuid) || !switch_has(info.generation, m->generation))
		return fault_set(f, WIRE_E_STALE,
				 "the replica on %s has generation %llu, %llu is needed",
				 d->self.name, info.generation, m->generation);
	if (info.state & CPTDEV_IMAGE_FROZEN)
		return fault_set(f, WIRE_E_BUSY,
				 "the replica on %s is frozen by a reader. Next: try again",
				 d->self.name);
	return 0;
}

static int check_program(struct daemon *d, const char *name, struct fault *f)
{
	struct held *h = held_refresh(d) ? NULL : held_find(d, name);

	if (h && h->waiters)
		return 0;
	return fault_set(f, WIRE_E_OTHER,
			 "no program waits for it on %s. Next: start it there as the spare, then try again",
			 d->self.name);
}

/* True: it was done before. */
static bool check(struct in *in, const struct msg_switch *m, struct fault *f)
{
	struct daemon *d = in->d;
	enum handover said;

	if (records_damaged(d, m->name) || records_split(d, m->name) ||
	    records_overtaken(d, m->name)) {
		fault_set(f, WIRE_E_OTHER,
			  "the record on %s needs a person's decision. Next: cptdevctl status, there",
			  d->self.name);
		return false;
	}
	said = record_handover(record_of(d, m->name), m->uuid, m->term, in->node.uuid,
			       d->self.uuid);
	if (said == HAND_DONE)
		return true;
	if (said != HAND_OK)
		refuse_record(in, m, said, f);
	else if (!check_replica(d, m, f))
		check_program(d, m->name, f);
	return false;
}

static int promote(struct in *in, const struct msg_switch *m, u64 *generation, struct fault *f)
{
	struct daemon *d = in->d;
	u64 term = m->term, began = clock_mono();
	int ret;

	/* It has the last generation, as check_replica() saw. */
	ret = records_sure(d, m->name);
	if (!ret)
		ret = promotion_do(d, m->name, &term, generation, false);
	if (ret)
		return fault_set(f, ret == -EBUSY ? WIRE_E_BUSY : WIRE_E_KERNEL,
				 "%s can't promote its replica: %s", d->self.name, strerror(-ret));
	/* The other host's program is stopped: no lease of it has to run out. */
	recorded_find(d, m->name)->old_ended = true;
	feeds_drop(in->peer, m->name);
	tell_event(&d->tell, EVENT_PROMOTED, LOG_NOTICE, TELL_REPLAY, m->name,
		   "%s hands %s over: promoted: generation %llu, term %llu, in %llu us", in->node.name,
		   m->name, *generation, term, (clock_mono() - began) / NSEC_PER_USEC);
	failover_command(d, m->name, *generation, term);
	return 0;
}

static void answer(struct conn *c, struct msg_switch_state *m)
{
	u8 buf[WIRE_TEXT_MAX + 128];
	struct writer w = { .p = buf, .cap = sizeof(buf) };

	switch_state_encode(&w, m);
	conn_send(c, WIRE_SWITCH_STATE, 0, &w);
}

static void asked(struct in *in, const struct msg_switch *m, struct msg_switch_state *a)
{
	struct daemon *d = in->d;
	bool done = check(in, m, &a->fault);

	a->what = WIRE_SWITCH_READY;
	if (a->fault.code == WIRE_OK && switch_promotes(m->what == WIRE_SWITCH_GO)) {
		a->what = WIRE_SWITCH_PROMOTED;
		if (!done)
			promote(in, m, &a->generation, &a->fault);
	}
	if (a->fault.code != WIRE_OK)
		tell(&d->tell, LOG_NOTICE, TELL_REPLAY, m->name,
		     "%s wants to hand %s over: refused: %s", in->node.name, m->name,
		     a->fault.text);
}

int handover_frame(struct in *in, const u8 *payload, u32 len)
{
	struct msg_switch_state a = {};
	struct msg_switch m;

	if (!(in->features & WIRE_FEATURE_SWITCH))
		return fault_set(&in->conn->fault, WIRE_E_PROTOCOL,
				 "SWITCH, which wasn't agreed on");
	if (switch_decode(payload, len, &m, &in->conn->fault) ||
	    fence_told(in->d, m.name, m.term, &in->conn->fault))
		return -1;
	a.term = m.term;
	strcpy(a.name, m.name);
	asked(in, &m, &a);
	answer(in->conn, &a);
	return 0;
}

void handover_taken(struct daemon *d, const struct known *k)
{
	struct msg_switch_state a = {
		.term = k->rec.term, .what = WIRE_SWITCH_TAKEN,
	};
	struct in *in;

	strcpy(a.name, k->rec.name);
	LIST_FOREACH(in, &d->ins, entry)
		if (in->state == IN_UP && in->features & WIRE_FEATURE_SWITCH)
			answer(in->conn, &a);
}
