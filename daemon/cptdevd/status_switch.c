// SPDX-License-Identifier: GPL-2.0-or-later
/* Switch-overs in the status and in the answer to the command. cptdevctl(8) describes the keys. */
#include "daemon.h"
#include "json.h"

static void put_us(struct json_object *o, const char *key, u64 from, u64 to)
{
	if (from && to)
		js_u64(o, key, (to - from) / NSEC_PER_USEC);
	else
		js_null(o, key);
}

struct json_object *switch_json(const struct switchover *sw)
{
	struct json_object *o = js_new();

	js_str(o, "name", sw->name);
	js_u64(o, "uid", sw->uid);
	js_str(o, "to", sw->to_name);
	js_str(o, "phase", switch_phase_word(sw->phase));
	js_str(o, "result", switch_end_word(sw->end));
	if (sw->end == SWITCH_FAILED || sw->end == SWITCH_UNKNOWN)
		js_str(o, "failed_phase", switch_phase_word(sw->until));
	else
		js_null(o, "failed_phase");
	js_u64(o, "unix_ms", sw->wall / NSEC_PER_MSEC);
	js_u64(o, "generation", sw->last);
	js_u64(o, "term", sw->term);
	js_bool(o, "last_checkpoint", sw->whole);
	put_us(o, "prepared_us", sw->began, sw->stopped);
	put_us(o, "stopped_us", sw->stopped, sw->taken_last);
	put_us(o, "shipped_us", sw->taken_last, sw->shipped);
	put_us(o, "promoted_us", sw->shipped, sw->promoted);
	put_us(o, "taken_us", sw->promoted, sw->taken);
	put_us(o, "down_us", sw->stopped, sw->taken);
	if (*sw->text)
		js_str(o, "error", sw->text);
	else
		js_null(o, "error");
	return o;
}
