// SPDX-License-Identifier: GPL-2.0-or-later
/* What is shown, as JSON. cptdevctl(8) describes the keys. */
#include "view.h"

/* UINT64_MAX: a limit that isn't there, or that nobody told. */
static void limit(struct json_object *o, const char *key, u64 n)
{
	if (n == UINT64_MAX)
		js_null(o, key);
	else
		js_u64(o, key, n);
}

struct json_object *session_json(const struct session_rec *s)
{
	struct json_object *o = js_new();

	js_u64(o, "id", s->id);
	if (*s->name)
		js_str(o, "name", s->name);
	else
		js_null(o, "name");
	js_uuid(o, "uuid", s->uuid);
	js_u64(o, "pid", s->pid);
	js_u64(o, "uid", s->uid);
	js_u64(o, "term", s->term);
	js_u64(o, "generation", s->generation);
	js_u64(o, "published", s->published);
	js_u64(o, "committed", s->committed);
	js_u64(o, "spares", s->attached);
	js_u64(o, "ranges", s->ranges);
	js_u64(o, "bytes", s->bytes);
	js_u64(o, "held", s->held);
	js_u64(o, "held_max", s->held_max);
	limit(o, "user_held_max", s->user_held_max);
	limit(o, "user_held", s->user_held);
	limit(o, "group_left", s->group_left);
	js_bool(o, "fenced", s->flags & CPTDEV_GENL_SESSION_FENCED);
	js_bool(o, "replace", s->flags & CPTDEV_GENL_SESSION_REPLACE);
	js_bool(o, "alone", s->flags & CPTDEV_GENL_SESSION_ALONE);
	js_bool(o, "blocked", s->flags & CPTDEV_GENL_SESSION_BLOCKED);
	js_bool(o, "wanted", s->flags & CPTDEV_GENL_SESSION_WANTED);
	js_bool(o, "hung", s->flags & CPTDEV_GENL_SESSION_HUNG);
	js_u64(o, "last_pages", s->last_pages);
	js_u64(o, "last_pause_ns", s->last_pause_ns);
	return o;
}

struct json_object *replica_json(const struct replica_rec *r, u64 page_size)
{
	struct json_object *o = js_new();

	js_str(o, "name", r->name);
	js_uuid(o, "uuid", r->uuid);
	js_u64(o, "uid", r->uid);
	js_u64(o, "term", r->term);
	js_u64(o, "generation", r->generation);
	js_u64(o, "staging", r->staging);
	js_u64(o, "pages", r->pages);
	js_u64(o, "bytes", r->pages * page_size);
	js_u64(o, "staged", r->staged);
	js_u64(o, "max_bytes", r->max_bytes);
	js_bool(o, "promoted", r->flags & CPTDEV_GENL_REPLICA_PROMOTED);
	js_bool(o, "frozen", r->flags & CPTDEV_GENL_REPLICA_FROZEN);
	js_u64(o, "commits", r->commits);
	js_u64(o, "openers", r->openers);
	js_u64(o, "waiters", r->waiters);
	limit(o, "copied", r->copied);
	limit(o, "behind", r->behind);
	limit(o, "behind_bytes", r->behind == UINT64_MAX ? r->behind : r->behind * page_size);
	return o;
}

static struct json_object *kernel_json(const struct view *v)
{
	struct json_object *o = js_new();

	js_bool(o, "module", !v->kernel_err);
	if (!v->has_info)
		return o;
	js_u64(o, "abi_version", v->info.abi_version);
	js_u64(o, "page_size", v->info.page_size);
	js_u64(o, "features", v->info.features);
	js_u64(o, "held", v->info.held);
	js_u64(o, "held_max", v->info.held_max);
	js_u64(o, "replica", v->info.replica);
	js_u64(o, "replica_max", v->info.replica_max);
	return o;
}

struct json_object *view_json(const struct view *v)
{
	struct json_object *o = js_document();
	struct json_object *sessions = js_list(), *replicas = js_list();
	u32 i;

	for (i = 0; i < v->nr_sessions; i++)
		json_object_array_add(sessions, session_json(&v->sessions[i]));
	for (i = 0; i < v->nr_replicas; i++)
		json_object_array_add(replicas, replica_json(&v->replicas[i],
							     v->page_size));
	js_put(o, "kernel", kernel_json(v));
	js_put(o, "sessions", sessions);
	js_put(o, "replicas", replicas);
	js_put(o, "daemon", json_object_get(v->daemon));
	if (v->daemon)
		js_null(o, "daemon_error");
	else
		js_str(o, "daemon_error", v->daemon_why);
	return o;
}
