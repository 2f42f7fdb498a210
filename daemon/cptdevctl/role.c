// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl role: the role of this host for a name, one fact on a line. */
#include <string.h>

#include "role.h"

struct json_object *role_json(const struct role *r)
{
	struct json_object *o = js_document();

	js_str(o, "name", r->name);
	js_str(o, "node", r->node);
	js_str(o, "peer", r->peer);
	js_str(o, "role", r->role);
	js_str(o, "state", r->state);
	js_bool(o, "hung", r->hung);
	js_str(o, "replica", r->replica);
	js_u64(o, "waiters", r->waiters);
	js_u64(o, "term", r->term);
	js_u64(o, "generation", r->generation);
	js_str(o, "record", r->record);
	js_u64(o, "record_term", r->record_term);
	js_bool(o, "promotable", r->promotable);
	js_str(o, "primary", r->primary);
	js_bool(o, "linked", r->linked);
	js_str(o, "detector", r->detector);
	js_str(o, "failover", r->failover);
	js_str(o, "alone", r->alone);
	js_str(o, "on_restart", r->on_restart);
	js_str(o, "why", r->why);
	return o;
}

/* Of the values, a text of the daemon's may have anything in it; a line is a fact. */
static void line(FILE *to, const char *key, struct json_object *value)
{
	const char *text = json_object_get_string(value);

	if (json_object_is_type(value, json_type_boolean))
		text = json_object_get_boolean(value) ? "yes" : "no";
	fprintf(to, "%s=", key);
	for (; *text; text++)
		fputc((unsigned char)*text < ' ' ? ' ' : *text, to);
	fputc('\n', to);
}

void role_text(const struct role *r, FILE *to)
{
	struct json_object *o = role_json(r);

	json_object_object_del(o, "schema_version");
	json_object_object_foreach(o, key, value)
		line(to, key, value);
	json_object_put(o);
}

static void show(struct ctl *c, const struct role *r)
{
	if (c->json)
		ctl_print_json(c, role_json(r));
	else
		role_text(r, c->out);
}

int verb_role(struct ctl *c, int argc, char **argv)
{
	int ret = EXIT_DONE;
	struct role r;
	struct view v;

	if (argc != 1)
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl status",
				"role needs the name of one session");
	view_gather(&v, c->kernel, c->socket);
	if (!v.daemon)
		ret = ctl_fail(c, EXIT_DAEMON, "no-daemon", "systemctl start cptdevd", "%s",
			       v.daemon_why);
	else if (v.kernel_err)
		ret = ctl_fail(c, EXIT_KERNEL, "no-module", "cptdevctl check",
			       "the kernel's side can't be asked: %s", strerror(v.kernel_err));
	if (!ret) {
		role_look(&v, argv[0], &r);
		show(c, &r);
	}
	view_free(&v);
	return ret;
}
