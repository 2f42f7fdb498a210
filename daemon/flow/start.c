// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Programs that ask before they start: what is known of the name, and what follows. Nothing is
 * changed by asking; a program that doesn't ask is barred where it must not begin (records.c).
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
	struct in *in;

	LIST_FOREACH(in, &d->ins, entry)
		if (chan_find_name(in, name))
			return true;
	return false;
}

static void text_of(enum start_why why, const char *name, const struct record *r, char *text,
		    size_t size)
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
			 "what was acknowledged here up to generation %llu isn't in memory any more. To go on from the other host's replica, run there: cptdevctl promote %s; to lose it, here: cptdevctl forget %s",
			 r->generation, name, name);
	else if (why == WHY_PROMOTED)
		snprintf(text, size,
			 "the replica of this host was promoted to term %llu, and no program goes on with it. When this one waits: cptdevctl promote %s",
			 r->term, name);
	else if (why == WHY_DAMAGED)
		snprintf(text, size,
			 "its record is damaged, what it said isn't known. To begin without it: cptdevctl forget %s",
			 name);
	else if (why == WHY_SPLIT)
		snprintf(text, size,
			 "split brain: both hosts went on. To give up this host's data: cptdevctl forget --force %s",
			 name);
	else
		snprintf(text, size, "%s", texts[why]);
}

enum start_answer start_asked(struct daemon *d, const char *name, struct start_text *t)
{
	struct start_facts f = {};
	enum start_answer a;
	enum start_why why;

	/* How the last one ended may have been told a moment ago. */
	known_refresh(d);
	f.r = record_of(d, name);
	f.damaged = records_damaged(d, name);
	f.split = records_split(d, name);
	f.lives = lives(d, name);
	f.fed = fed(d, name);
	f.refuse = conf_session(&d->conf, name)->on_restart == ON_RESTART_REFUSE;
	a = start_ask(&f, &why);
	t->term = start_term(f.r);
	text_of(why, name, f.r, t->text, sizeof(t->text));
	return a;
}
