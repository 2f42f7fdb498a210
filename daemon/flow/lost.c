// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Terms whose memory is lost (rule R9 of the failure model). A host went on from here with a
 * higher term, and was started anew since, or its program failed: what followed from that term is
 * gone. If the program that was overtaken is told to stop, the last copy of what was acknowledged
 * before is thrown away. If it goes on, what was acknowledged by the other host is lost in
 * silence. So it does neither: it is kept as it is and answers nobody, and a person gives up
 * one of the two (cptdevctl forget).
 */
#include <stdio.h>
#include <string.h>

#include "daemon.h"
#include "log.h"
#include "uuid.h"

u16 lost_flag(struct daemon *d, const char *name, u64 term)
{
	const struct record *r = record_of(d, name);

	return r && r->term == term && record_gone(r, d->self.uuid, d->boot) ? WIRE_TERM_LOST : 0;
}

/* A program of this host that hasn't been told to stop yet. */
static bool lives(struct daemon *d, const struct record *r)
{
	const struct known *k = known_find_name(d, r->name);

	return k && uuid_same(k->rec.uuid, r->session) && r->role == RECORD_PRIMARY &&
		!r->outdated && !(k->rec.flags & CPTDEV_GENL_SESSION_FENCED);
}

void lost_resolve(struct daemon *d, struct recorded *e)
{
	struct record new = e->r;

	record_resolved(&new);
	tell_event(&d->tell, EVENT_RESOLVED, LOG_NOTICE, TELL_SESSION, e->r.name,
		   e->r.split ? "the split brain of %s is resolved" :
		   "%s: the lost data is given up, this host goes on", e->r.name);
	records_still(d, e, &new);
	news_record(d, e, "resolved");
	records_decide(d, e->r.name);
}

bool lost_met(struct daemon *d, const struct msg_term *m, const char *who)
{
	struct recorded *e = recorded_find(d, m->name);
	char why[STILL_TEXT_MAX];
	struct record new;

	if (m->flags & WIRE_TERM_GIVEN_UP) {
		if (e && e->r.lost_term && e->r.lost_term <= m->term)
			lost_resolve(d, e);
		return true;
	}
	if (!e || e->damaged || e->r.split ||
	    record_meet(&e->r, m->term, m->owner) != MEET_HIGHER || !lives(d, &e->r))
		return false;
	e->told_again = true;
	if (e->r.lost_term == m->term)
		return true;
	new = e->r;
	record_overtaken(&new, m->term, m->owner, who);
	records_still(d, e, &new);
	records_still_text(d, &new, why);
	tell_event(&d->tell, EVENT_DATA_LOST, LOG_ERR, TELL_SESSION, m->name,
		   "%s is blocked: %s", m->name, why);
	news_record(d, e, "overtaken");
	records_decide(d, m->name);
	return true;
}

int lost_feed(struct daemon *d, const struct msg_session *m, struct fault *f)
{
	const struct record *r = record_of(d, m->name);

	if (!r || r->term <= m->term || !record_gone(r, d->self.uuid, d->boot))
		return 0;
	return fault_set(f, WIRE_E_OTHER,
			 "the spare went on with term %llu and has lost its memory since; to give up the lost data, run there: %s",
			 r->term, ADVICE(d, "forget --force", m->name));
}

void lost_begin(struct daemon *d)
{
	struct recorded *e;

	LIST_FOREACH(e, &d->records, entry)
		e->told_again = false;
}

/* What was given up while the hosts weren't linked isn't told any more. */
void lost_complete(struct daemon *d, const u8 *node)
{
	struct recorded *e;

	LIST_FOREACH(e, &d->records, entry)
		if (record_stands_still(&e->r) && !e->told_again &&
		    (e->r.lost_term || uuid_same(e->r.other, node)))
			lost_resolve(d, e);
}
