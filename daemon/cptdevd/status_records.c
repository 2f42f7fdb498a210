// SPDX-License-Identifier: GPL-2.0-or-later
/* What the daemon tells about its records. cptdevctl(8) describes the keys. */
#include "daemon.h"
#include "json.h"

static const char *const roles[] = {
	[RECORD_PRIMARY] = "primary", [RECORD_SPARE] = "spare", [RECORD_PROMOTED] = "promoted",
	[RECORD_TAKING] = "taking-back",
};

/* The gravest first. */
static const char *state_of(struct daemon *d, const struct recorded *e)
{
	if (e->damaged)
		return "damaged";
	if (e->r.split)
		return "split-brain";
	if (e->r.lost_term)
		return "overtaken";
	/* Where another host has gone on, that isn't missed. */
	if ((record_lost(&e->r, d->boot) || record_gone(&e->r, d->self.uuid, d->boot)) &&
	    !e->r.outdated)
		return "lost";
	return e->r.outdated ? "outdated" : "ok";
}

static void error(struct json_object *o, struct daemon *d, const struct recorded *e)
{
	char text[STILL_TEXT_MAX] = "";

	if (e->damaged)
		snprintf(text, sizeof(text),
			 "its file in %s can't be used; nothing is started, fed or promoted under this name. Next, if its data may be lost: %s",
			 d->conf.state_dir, ADVICE(d, "forget", e->r.name));
	else if (record_stands_still(&e->r))
		records_still_text(d, &e->r, text);
	if (*text)
		js_str(o, "error", text);
	else
		js_null(o, "error");
}

struct json_object *status_record(struct daemon *d, const struct recorded *e)
{
	struct json_object *o = js_new();

	js_str(o, "name", e->r.name);
	js_str(o, "state", state_of(d, e));
	if (!e->damaged && e->r.owned)
		js_u64(o, "uid", e->r.uid);
	else
		js_null(o, "uid");
	if (!e->damaged) {
		js_u64(o, "term", e->r.term);
		js_uuid(o, "owner", e->r.owner);
		js_str(o, "role", roles[e->r.role]);
		js_u64(o, "generation", e->r.generation);
		js_bool(o, "ended", e->r.ended);
		js_bool(o, "failed", e->r.failed);
		js_bool(o, "unseen", e->r.unseen);
		js_bool(o, "others", e->r.role == RECORD_SPARE && e->r.others);
		js_bool(o, "unsure", e->r.role == RECORD_SPARE && e->r.unsure);
		js_bool(o, "source", e->r.source || source_gives(d, e->r.name));
		js_put(o, "kept", keep_json(d, e));
	}
	error(o, d, e);
	return o;
}

struct json_object *status_records(struct daemon *d)
{
	struct json_object *list = js_list();
	struct recorded *e;

	LIST_FOREACH(e, &d->records, entry)
		json_object_array_add(list, status_record(d, e));
	return list;
}
