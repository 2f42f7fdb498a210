// SPDX-License-Identifier: GPL-2.0-or-later
/* The control socket: a person holds checkpoints of a session off, and releases it. */
#include <string.h>

#include "ctl.h"
#include "json.h"
#include "log.h"

static struct json_object *hold(struct client *c, const char *name, u64 seconds)
{
	const char *code;
	char why[400];

	if (seconds > HOLD_OFF_S_MAX)
		return refusal("bad-request", "\"seconds\" is a number from 1 to 3600");
	code = holdoff_begin(c->d, name, seconds ? seconds : HOLD_OFF_S, why, sizeof(why));
	if (code)
		return refusal(code, why);
	log_person(c->cred.uid, name, "checkpoints of %s are held off for at most %llu s by user %u", name,
		   seconds ? seconds : HOLD_OFF_S, c->cred.uid);
	return NULL;
}

static struct json_object *release(struct client *c, const char *name)
{
	const char *code;
	char why[400];

	code = holdoff_end(c->d, name, why, sizeof(why));
	if (code)
		return refusal(code, why);
	log_person(c->cred.uid, name, "checkpoints of %s are held off no longer, by word of user %u", name,
		   c->cred.uid);
	return NULL;
}

struct json_object *ctl_hold(struct client *c, const char *command, const char *name,
			     struct json_object *request)
{
	struct json_object *o;

	if (!strcmp(command, "hold"))
		o = hold(c, name, js_get_u64(request, "seconds"));
	else
		o = release(c, name);
	if (o)
		return o;
	o = js_document();
	js_str(o, "name", name);
	js_put(o, "held_off", status_holdoff(c->d, known_find_name(c->d, name)));
	return o;
}
