// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Programs that ask before they start: what is known of the name, and what follows. Asking changes
 * nothing, but that a state which is to be taken back is fetched from then on; a program that
 * doesn't ask is barred where it must not begin (records.c).
 */
#include <string.h>

#include "daemon.h"
#include "start.h"
#include "uuid.h"

static bool lives(struct daemon *d, const char *name)
{
	struct known *k;

	LIST_FOREACH(k, &d->sessions, entry)
		if (!strcmp(k->rec.name, name) &&
		    !(k->rec.flags & CPTDEV_GENL_SESSION_FENCED) && !*k->barred)
			return true;
	return false;
}

static bool fed(struct daemon *d, const char *name)
{
	struct chan *c;
	struct in *in;

	for (in = LIST_FIRST(&d->ins); in; in = LIST_NEXT(in, entry)) {
		c = chan_find_name(in, name);
		/* A state that comes back is of no program. */
		if (c && !(c->session.flags & WIRE_SESSION_TAKE_BACK))
			return true;
	}
	return false;
}

/* Is it linked, and can't give anything back? */
static bool no_feature(struct daemon *d, const struct record *r)
{
	const struct out *o = &takeback_peer(d, r)->out;

	return o->state == OUT_UP && !(o->features & WIRE_FEATURE_TAKE_BACK);
}

/* on_restart = take-back; what the other host has said is told once, then it is asked again. */
static bool text_of_back(struct daemon *d, enum start_why why, struct recorded *e,
			 enum start_answer a, char *text, size_t size)
{
	const struct peer *p = takeback_peer(d, &e->r);
	const char *name = e->r.name, *because;

	if (why == WHY_KEPT) {
		snprintf(text, size,
			 "its last generation was kept on this host: wait for the promotion, as a spare does, and claim it%s",
			 record_has_rival(&e->r) && p->out.state != OUT_UP ?
			 ". The promotion comes when the hosts are linked, since the spare may have taken over" :
			 "");
		return true;
	}
	if (a == ANSWER_TAKE_BACK) {
		snprintf(text, size,
			 "its state is taken back from the other host%s: wait for the promotion, as a spare does, and claim it",
			 p->out.state == OUT_UP ? "" : ", as soon as the hosts are linked");
		return true;
	}
	if (why == WHY_LACKS)
		because = "this host acknowledged data without its spare, or took over and lost its memory, or had several spares";
	else if (why == WHY_OTHER_HOST)
		because = "the linked host isn't the spare that followed last";
	else if (why == WHY_NO_FEATURE)
		because = "the other host's cptdevd is too old to give it back";
	else if (why == WHY_NOT_GIVEN)
		because = e->not_given;
	else
		return false;
	snprintf(text, size,
		 "its state can't be taken back: %s. To go on from the other host's replica all the same, run there: cptdevctl promote %s; to lose the data of this host: %s",
		 because, name, ADVICE(d, "forget", name));
	*e->not_given = '\0';
	return true;
}

static void text_of(struct daemon *d, enum start_why why, const char *name,
		    const struct record *r, char *text, size_t size)
{
	static const char *const texts[] = {
		[WHY_NOTHING]	= "nothing was acknowledged under this name",
		[WHY_ENDED]	= "the last program of this name ended in order",
		[WHY_OVERTAKEN]	= "the other host has gone on without this one",
		[WHY_REPLICA]	= "this host is the spare of the program on the other host",
		[WHY_LIVES]	= "a program of this name runs on this host",
	};

	if (why == WHY_LOST)
		snprintf(text, size,
			 "data that was acknowledged here, up to generation %llu, isn't in memory any more. To go on from the other host's replica, run there: cptdevctl promote %s; to lose that data, run here: %s",
			 r->generation, name, ADVICE(d, "forget", name));
	else if (why == WHY_PROMOTED)
		snprintf(text, size,
			 "the replica of this host was promoted to term %llu, and no program goes on from it. When this program waits, run: %s",
			 r->term, ADVICE(d, "promote", name));
	else if (why == WHY_DAMAGED)
		snprintf(text, size,
			 "its record is damaged and can't be read. To begin without it: %s",
			 ADVICE(d, "forget", name));
	else if (why == WHY_TAKING)
		snprintf(text, size,
			 "this host asked for the lost state, with term %llu, and doesn't fetch it any more (on_restart). To go on from the other host's replica, run there: cptdevctl promote %s; to lose that data, run here: %s",
			 r->term, name, ADVICE(d, "forget", name));
	else if (why == WHY_SPLIT)
		snprintf(text, size,
			 "split brain: both hosts went on. To give up this host's data: %s",
			 ADVICE(d, "forget --force", name));
	else
		snprintf(text, size, "%s", texts[why]);
}

enum start_answer start_asked(struct daemon *d, const char *name, struct start_text *t)
{
	u32 policy = conf_session(&d->conf, name)->on_restart;
	struct start_facts f = {};
	struct recorded *e;
	enum start_answer a;
	enum start_why why;

	/* How the last one ended may have been told a moment ago. */
	known_refresh(d);
	f.r = record_of(d, name);
	f.damaged = records_damaged(d, name);
	f.split = records_split(d, name);
	f.lives = lives(d, name);
	f.fed = fed(d, name);
	f.refuse = policy == ON_RESTART_REFUSE;
	f.take_back = policy == ON_RESTART_TAKE_BACK;
	f.no_feature = no_feature(d, f.r);
	f.other_host = f.r && takeback_elsewhere(d, f.r);
	e = recorded_find(d, name);
	f.not_given = e && *e->not_given;
	f.kept = keep_offers(d, f.r);
	a = start_ask(&f, &why);
	t->term = start_term(f.r);
	if (a == ANSWER_TAKE_BACK)
		takeback_want(d, name);
	if (!e || !text_of_back(d, why, e, a, t->text, sizeof(t->text)))
		text_of(d, why, name, f.r, t->text, sizeof(t->text));
	/* Told once, then the other host is asked again. */
	if (e && f.kept)
		*e->not_given = '\0';
	return a;
}
