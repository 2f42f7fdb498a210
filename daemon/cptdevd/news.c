// SPDX-License-Identifier: GPL-2.0-or-later
/* What happens to peers, sessions and records, as lines for clients that monitor. cptdevctl(8) has the words. */
#include <string.h>

#include "daemon.h"
#include "json.h"

/* A document without "event" would be an answer to something else. */
static struct json_object *news(struct daemon *d, const char *object, const char *event)
{
	struct json_object *o = js_document(), *node = js_new();

	js_str(o, "object", object);
	js_str(o, "event", event);
	js_str(node, "name", d->self.name);
	js_put(o, "node", node);
	return o;
}

static void present(struct daemon *d, const char *object, const char *key,
		    struct json_object *state, void (*fn)(struct json_object *o, void *arg),
		    void *arg)
{
	struct json_object *o = news(d, object, "present");

	js_put(o, key, state);
	fn(o, arg);
}

/* @state is of a session or a record, and freed if there is nothing to say of it. */
static bool is(struct json_object *state, const char *good)
{
	if (strcmp(js_get_str(state, "state"), good))
		return false;
	json_object_put(state);
	return true;
}

void news_present(struct daemon *d, void (*fn)(struct json_object *o, void *arg), void *arg)
{
	struct json_object *state;
	struct recorded *e;
	struct known *k;
	struct peer *p;

	LIST_FOREACH(p, &d->peers, entry)
		present(d, "peer", "peer", status_peer(p), fn, arg);
	LIST_FOREACH(k, &d->sessions, entry) {
		if (!*k->rec.name)
			continue;
		state = status_session(d, k);
		if (!is(state, "protected"))
			present(d, "session-state", "session", state, fn, arg);
	}
	LIST_FOREACH(e, &d->records, entry) {
		state = status_record(d, e);
		if (!is(state, "ok"))
			present(d, "record", "record", state, fn, arg);
	}
}

void news_peer(struct peer *p, const char *event)
{
	struct json_object *o;

	if (!p->d->nr_monitors)
		return;
	o = news(p->d, "peer", event);
	js_put(o, "peer", status_peer(p));
	ctl_news(p->d, js_line(o));
	json_object_put(o);
}

void news_record(struct daemon *d, const struct recorded *e, const char *event)
{
	struct json_object *o;

	if (!d->nr_monitors)
		return;
	o = news(d, "record", event);
	js_put(o, "record", status_record(d, e));
	ctl_news(d, js_line(o));
	json_object_put(o);
}

void news_session(struct daemon *d, struct known *k, const char *event)
{
	struct json_object *o;

	if (!d->nr_monitors)
		return;
	o = news(d, "session-state", event);
	js_put(o, "session", status_session(d, k));
	ctl_news(d, js_line(o));
	json_object_put(o);
}
