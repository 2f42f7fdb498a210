// SPDX-License-Identifier: GPL-2.0-or-later
/* The policies for sessions in the status. cptdevctl(8) describes the keys. */
#include "daemon.h"
#include "json.h"

static struct json_object *policy(const char *name, const struct conf_session *s)
{
	static const char *const restart[] = {
		[ON_RESTART_SPARE] = "spare", [ON_RESTART_REFUSE] = "refuse",
		[ON_RESTART_TAKE_BACK] = "take-back",
	};
	struct json_object *o = js_new();

	if (name)
		js_str(o, "name", name);
	else
		js_null(o, "name");
	js_str(o, "failover", s->failover == FAILOVER_AUTO ? "auto" : "manual");
	if (*s->on_promote)
		js_str(o, "on_promote", s->on_promote);
	else
		js_null(o, "on_promote");
	js_str(o, "on_exit", s->on_exit == ON_EXIT_FAILOVER ? "failover" : "stay");
	js_str(o, "on_hang", s->on_hang == ON_HANG_FAILOVER ? "failover" : "stay");
	js_str(o, "alone", s->alone == CONF_GO_ON ? "go-on" : "block");
	js_str(o, "ack", *s->ack ? s->ack : "all");
	js_str(o, "spares", *s->spares ? s->spares : "all");
	js_u64(o, "history", s->history);
	js_u64(o, "history_mib", s->history_mib);
	js_str(o, "on_restart", restart[s->on_restart]);
	js_str(o, "keep", s->keep == KEEP_RESTART ? "restart" : "no");
	js_u64(o, "keep_s", s->keep_s);
	js_u64(o, "keep_mib", s->keep_mib);
	js_u64(o, "restart_s", s->restart_s);
	return o;
}

struct json_object *status_policies(const struct conf *c)
{
	struct json_object *list = js_list();
	u32 i;

	json_object_array_add(list, policy(NULL, &c->sessions));
	for (i = 0; i < c->nr_named; i++)
		json_object_array_add(list, policy(c->named[i].name,
						   conf_session(c, c->named[i].name)));
	return list;
}
