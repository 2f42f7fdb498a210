// SPDX-License-Identifier: GPL-2.0-or-later
/* Checkpoints that are held off, in the status. cptdevctl(8) describes the keys. */
#include <string.h>

#include "daemon.h"
#include "json.h"

struct json_object *status_holdoff(struct daemon *d, const struct known *k)
{
	u64 now = clock_mono();
	struct json_object *o;

	if (!k->off.until)
		return NULL;
	o = js_new();
	js_u64(o, "since_unix_ms", k->off.since_wall / NSEC_PER_MSEC);
	js_u64(o, "left_ms", k->off.until > now ? (k->off.until - now) / NSEC_PER_MSEC : 0);
	/* One that was under way when it began counts. */
	js_u64(o, "generation", k->rec.published);
	js_bool(o, "output_held", !strcmp(d->conf.hold_session, k->rec.name));
	return o;
}
