// SPDX-License-Identifier: GPL-2.0-or-later
/* The spares of a session in the status, and its policy. cptdevctl(8) describes the keys. */
#include "ack.h"
#include "daemon.h"
#include "json.h"
#include "uuid.h"

/* As it stands to the session: the last word that fits. */
static const char *state_of(const struct ship *s, const struct record_follower *f)
{
	if (f && f->left)
		return "left";
	if (!s || !ship_follows(s))
		return "not-linked";
	/* What it lacks is on its way, in rounds. */
	if (s->rounds.step == ROUNDS_PASS || s->rounds.step == ROUNDS_LAST)
		return "catching-up";
	if (s->lacks)
		return "lacks";
	if (s->outdated || !s->member)
		return "catching-up";
	return "in-step";
}

static struct json_object *spare(const struct known *k, const char *name, const struct ship *s,
				 const struct record_follower *f)
{
	struct json_object *o = js_new();
	u64 has = s ? s->committed : 0;

	js_str(o, "name", name);
	js_str(o, "state", state_of(s, f));
	js_bool(o, "member", f && !f->left);
	js_bool(o, "unsure", f && f->unsure);
	js_u64(o, "committed", has);
	js_u64(o, "shipped", s ? s->since : 0);
	js_u64(o, "lag_generations", k->rec.published > has ? k->rec.published - has : 0);
	return o;
}

static struct json_object *spares(struct daemon *d, const struct known *k)
{
	const struct record *r = record_of(d, k->rec.name);
	struct json_object *list = js_list();
	struct ship *s;
	u32 i;

	for (i = 0; r && r->spare && i < r->nr_followers; i++)
		json_object_array_add(list, spare(k, r->followers[i].name,
						  ship_find(k, r->followers[i].node),
						  &r->followers[i]));
	TAILQ_FOREACH(s, &k->ships, of_session)
		if (s->followed && !s->member && !(r && record_follows(r, s->out->node.uuid)))
			json_object_array_add(list, spare(k, s->out->node.name, s, NULL));
	return list;
}

struct json_object *status_members(struct daemon *d, const struct known *k)
{
	const struct record *r = record_of(d, k->rec.name);
	struct ack_member m[RECORD_FOLLOWERS_MAX];
	struct json_object *o = js_new();
	struct ack_policy p;

	members_policy(d, k->rec.name, &p);
	js_str(o, "policy", members_policy_text(d, k->rec.name));
	js_str(o, "by", r && *r->ack ? "person" : "configuration");
	js_bool(o, "in_force", ack_in_force(&p, m, members_list(d, k, m)));
	js_u64(o, "acknowledged", k->rec.committed);
	js_put(o, "spares", spares(d, k));
	return o;
}
