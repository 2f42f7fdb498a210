// SPDX-License-Identifier: GPL-2.0-or-later
/* What is shown, as text. */
#include <errno.h>
#include <string.h>

#include "holdoff.h"
#include "table.h"
#include "uuid.h"
#include "view.h"

/*
 * The daemon's view of a session
 */

struct json_object *view_shipped(const struct view *v, const struct session_rec *s)
{
	struct json_object *peers = js_at(v->daemon, "peers"), *list, *ship;
	char text[UUID_TEXT_LEN];
	size_t i, j;

	uuid_text(s->uuid, text);
	for (i = 0; peers && i < json_object_array_length(peers); i++) {
		list = js_at(js_at(json_object_array_get_idx(peers, i), "outgoing"),
			     "sessions");
		for (j = 0; list && j < json_object_array_length(list); j++) {
			const char *uuid;

			ship = json_object_array_get_idx(list, j);
			uuid = js_get_str(ship, "uuid");
			if (uuid && !strcmp(uuid, text))
				return ship;
		}
	}
	return NULL;
}

struct json_object *view_protection(const struct view *v, const struct session_rec *s)
{
	struct json_object *list = js_at(v->daemon, "sessions"), *o;
	char text[UUID_TEXT_LEN];
	const char *uuid;
	size_t i;

	uuid_text(s->uuid, text);
	for (i = 0; list && i < json_object_array_length(list); i++) {
		o = json_object_array_get_idx(list, i);
		uuid = js_get_str(o, "uuid");
		if (uuid && !strcmp(uuid, text))
			return o;
	}
	return NULL;
}

/* What the daemon knows beyond the kernel's record; NULL: nothing. */
static const char *daemon_state(const struct view *v, const struct session_rec *s)
{
	const char *word = js_get_str(view_protection(v, s), "state");
	static const struct {
		const char *word, *text;
	} known[] = {
		{ "blocked", "BLOCKED" }, { "alone", "ALONE" }, { "lease-over", "LEASE OVER" },
		{ "not-protected", "not protected" }, { "switching-over", "SWITCHING OVER" },
	};
	size_t i;

	for (i = 0; word && i < ARRAY_SIZE(known); i++)
		if (!strcmp(known[i].word, word))
			return known[i].text;
	return NULL;
}

const char *view_session_state(const struct view *v, const struct session_rec *s)
{
	const char *word = daemon_state(v, s);

	if (s->flags & CPTDEV_GENL_SESSION_FENCED)
		return "FENCED";
	if (!*s->name)
		return "no name, not shipped";
	if (s->flags & CPTDEV_GENL_SESSION_HUNG)
		return "HUNG";
	if (word)
		return word;
	if (js_at(view_protection(v, s), "held_off"))
		return "HELD OFF";
	if (s->attached)
		return "followed";
	if (js_get_str(view_shipped(v, s), "error"))
		return "refused, see below";
	return "no spare";
}

static void behind_cell(struct table *t, const struct session_rec *s,
			struct json_object *ship)
{
	u64 n = s->published > s->committed ? s->published - s->committed : 0;

	if (!n || !ship)
		table_cell(t, "%llu", n);
	else
		table_cell(t, "%llu (%llu ms)", n, js_get_u64(ship, "lag_ms"));
}

static void session_row(struct table *t, const struct view *v, const struct session_rec *s)
{
	struct json_object *ship = view_shipped(v, s);
	char size[16];

	table_cell(t, "%s", *s->name ? s->name : "-");
	table_cell(t, "%llu", s->id);
	table_cell(t, "%u", s->pid);
	table_cell(t, "%llu", s->term);
	table_cell(t, "%llu", s->generation);
	table_cell(t, "%llu", s->committed);
	behind_cell(t, s, ship);
	table_cell(t, "%s", size_text(s->bytes, size));
	table_cell(t, "%s", size_text(s->held, size));
	table_cell(t, "%s", view_session_state(v, s));
}

/* What others have is counted as well there: the limits are told only where they are. */
static void limits_text(const struct session_rec *s, FILE *to)
{
	char a[16], b[16];

	if (s->user_held_max != UINT64_MAX)
		fprintf(to, "  session %llu: the snapshots of user %u hold %s of %s\n", s->id,
			s->uid, size_text(s->user_held, a), size_text(s->user_held_max, b));
	if (s->group_left != UINT64_MAX)
		fprintf(to, "  session %llu: its control group has %s left for copies\n",
			s->id, size_text(s->group_left, a));
}

/* Spares of a session that has several of them, or a policy of its own. */
static void spares_text(struct json_object *state, FILE *to)
{
	struct json_object *ack = js_at(state, "ack"), *spares = js_at(ack, "spares"), *s;
	size_t i, n = spares ? json_object_array_length(spares) : 0;
	const char *policy = js_get_str(ack, "policy");

	if (!policy || (n < 2 && !strcmp(policy, "all")))
		return;
	fprintf(to, "  %s: acknowledged up to generation %llu by policy %s%s\n",
		js_get_str(state, "name"), js_get_u64(ack, "acknowledged"), policy,
		js_get_bool(ack, "in_force") ? "" : " (not in force yet: all have to have it)");
	for (i = 0; i < n; i++) {
		s = json_object_array_get_idx(spares, i);
		fprintf(to, "    spare %s: %s, generation %llu, behind by %llu%s\n",
			js_get_str(s, "name"), js_get_str(s, "state"),
			js_get_u64(s, "committed"), js_get_u64(s, "lag_generations"),
			js_get_bool(s, "unsure") ? ", may lack what is acknowledged" : "");
	}
	if (n > 1)
		fprintf(to, "    cptdevd promotes none of several: a cluster manager or a person does\n");
}

static void sessions_text(const struct view *v, FILE *to)
{
	static const char *const headings[] = {
		"NAME", "ID", "PID", "TERM", "GENERATION", "COMMITTED", "BEHIND",
		"MEMORY", "HELD", "STATE",
	};
	struct table t;
	u32 i;

	if (!v->nr_sessions) {
		fprintf(to, "Sessions: none\n");
		return;
	}
	table_init(&t, headings, ARRAY_SIZE(headings));
	for (i = 0; i < v->nr_sessions; i++)
		session_row(&t, v, &v->sessions[i]);
	fprintf(to, "Sessions\n");
	table_print(&t, to);
	for (i = 0; i < v->nr_sessions; i++) {
		const char *error = js_get_str(view_shipped(v, &v->sessions[i]), "error");

		if (error)
			fprintf(to, "  %s: %s\n", v->sessions[i].name, error);
		spares_text(view_protection(v, &v->sessions[i]), to);
		holdoff_text(view_protection(v, &v->sessions[i]), to);
		limits_text(&v->sessions[i], to);
	}
}

const char *view_copy(const struct view *v, const struct replica_rec *r, char text[40])
{
	char size[16];

	if (!r->waiters)
		return "none";
	if (r->copied == UINT64_MAX)
		return "waits";
	if (!r->copied)
		return "cold";
	if (!r->behind)
		return "warm";
	snprintf(text, 40, "warm, %s behind", size_text(r->behind * v->page_size, size));
	return text;
}

static void replica_row(struct table *t, const struct view *v, const struct replica_rec *r)
{
	bool promoted = r->flags & CPTDEV_GENL_REPLICA_PROMOTED;
	bool frozen = r->flags & CPTDEV_GENL_REPLICA_FROZEN;
	char size[16], copy[40];

	table_cell(t, "%s", r->name);
	table_cell(t, "%llu", r->term);
	table_cell(t, "%llu", r->generation);
	table_cell(t, "%s", size_text(r->pages * v->page_size, size));
	table_cell(t, "%u", r->uid);
	table_cell(t, "%llu", r->commits);
	table_cell(t, "%s", view_copy(v, r, copy));
	if (!r->generation)
		table_cell(t, "empty");
	else
		table_cell(t, "%s%s", promoted ? "PROMOTED" : "follows",
			   frozen ? ", frozen" : "");
}

void replicas_text(const struct view *v, FILE *to)
{
	static const char *const headings[] = {
		"NAME", "TERM", "GENERATION", "SIZE", "OWNER", "COMMITS", "PROGRAM", "STATE",
	};
	struct table t;
	u32 i;

	if (!v->nr_replicas) {
		fprintf(to, "Replicas: none\n");
		return;
	}
	table_init(&t, headings, ARRAY_SIZE(headings));
	for (i = 0; i < v->nr_replicas; i++)
		replica_row(&t, v, &v->replicas[i]);
	fprintf(to, "Replicas\n");
	table_print(&t, to);
}

/*
 * Peers
 */

/* The savings on the pages that were shipped. */
static void savings_text(struct json_object *link, FILE *to)
{
	u64 pages = js_get_u64(link, "page_bytes"), wire = js_get_u64(link, "page_bytes_on_wire");
	const char *compression = js_get_str(link, "compression");
	char a[16], b[16];

	if (!pages || !compression)
		return;
	fprintf(to, ", pages: %s sent as %s, compression %s", size_text(pages, a),
		size_text(wire, b), compression);
}

static void link_text(struct json_object *link, const char *what, const char *moved,
		      FILE *to)
{
	const char *state = js_get_str(link, "state");
	const char *error = js_get_str(link, "error");
	const char *key = js_get_str(link, "tls_key");
	char sum[16], rate[16];

	fprintf(to, "  %s: %s", what, state ? state : "off");
	if (state && !strcmp(state, "up"))
		fprintf(to, ", %s%s%s, heard %llu ms ago, round trip %.1f ms, %s, %s/s",
			key ? "TLS with key " : "not encrypted", key ? key : "",
			js_get_bool(link, "ktls") ? " (kernel)" : "",
			js_get_u64(link, "last_heard_ms"),
			js_get_u64(link, "rtt_us") / 1000.0,
			size_text(js_get_u64(link, moved), sum),
			size_text(js_get_u64(link, "bytes_per_second"), rate));
	savings_text(link, to);
	if (error && *error)
		fprintf(to, ": %s", error);
	fputc('\n', to);
}

static void failover_text(struct json_object *f, FILE *to)
{
	u64 own = js_get_u64(f, "replicas_promoted");
	u64 by_hand = js_get_u64(f, "replicas_promoted_by_hand");
	const char *fence = js_get_str(f, "fence_command");
	const char *error = js_get_str(f, "fence_error");
	char text[32];

	if (!f)
		return;
	fprintf(to, "  last counted as dead: %s, after %llu ms of silence; ",
		utc_text(js_get_u64(f, "decided_unix_ms"), text), js_get_u64(f, "silence_ms"));
	if (own)
		fprintf(to, "%llu replicas promoted in %.1f ms", own,
			js_get_u64(f, "promotion_us") / 1000.0);
	if (by_hand)
		fprintf(to, "%s%llu promoted by hand", own ? ", " : "", by_hand);
	fprintf(to, "%s\n", own || by_hand ? "" : "nothing was promoted");
	if (fence && strcmp(fence, "none"))
		fprintf(to, "  fence command: %s%s%s\n", fence, error ? ": " : "",
			error ? error : "");
}

static void promotion_text(struct json_object *p, FILE *to)
{
	char text[32];

	if (p)
		fprintf(to, "Last promotion: %s, %s at generation %llu to term %llu by %s\n",
			utc_text(js_get_u64(p, "unix_ms"), text), js_get_str(p, "name"),
			js_get_u64(p, "generation"), js_get_u64(p, "term"),
			js_get_str(p, "by"));
}

/* Of each name the last one. */
static void switchovers_text(struct json_object *list, FILE *to)
{
	struct json_object *sw;
	const char *error;
	size_t i;

	for (i = 0; list && i < json_object_array_length(list); i++) {
		sw = json_object_array_get_idx(list, i);
		error = js_get_str(sw, "error");
		fprintf(to, "Switch-over of %s to %s: ", js_get_str(sw, "name"),
			js_get_str(sw, "to"));
		if (strcmp(js_get_str(sw, "phase"), "over"))
			fprintf(to, "%s", js_get_str(sw, "phase"));
		else
			fprintf(to, "%s", js_get_str(sw, "result"));
		if (js_at(sw, "down_us"))
			fprintf(to, ", generation %llu, down for %.1f ms",
				js_get_u64(sw, "generation"), js_get_u64(sw, "down_us") / 1000.0);
		fprintf(to, "%s%s\n", error ? ": " : "", error ? error : "");
	}
}

#define BAR		20U

static void fetches_text(struct json_object *list, FILE *to)
{
	char bar[BAR + 1], here[16], all[16];
	struct json_object *f;
	u64 has, of;
	size_t i;

	for (i = 0; list && i < json_object_array_length(list); i++) {
		f = json_object_array_get_idx(list, i);
		has = js_get_u64(f, "here");
		of = js_get_u64(f, "bytes");
		memset(bar, '.', BAR);
		bar[BAR] = '\0';
		memset(bar, '#', of ? MIN(has / (of / BAR + 1), BAR) : 0);
		fprintf(to, "Program %s goes on from the replica on %s: %s", js_get_str(f, "name"),
			js_get_str(f, "from"), js_get_str(f, "phase"));
		if (of)
			fprintf(to, ", [%s] %s of %s are here", bar, size_text(has, here),
				size_text(of, all));
		fprintf(to, "; it answers nobody until then\n");
	}
}

static void peer_text(struct json_object *p, FILE *to)
{
	const char *name = js_get_str(p, "name");
	const char *address = js_get_str(js_at(p, "outgoing"), "address");

	fprintf(to, "Peer %s", name ? name : "(has no name yet)");
	if (address)
		fprintf(to, " at %s", address);
	fprintf(to, ": %s\n", js_get_str(p, "detector"));
	link_text(js_at(p, "outgoing"), "shipping", "bytes_sent", to);
	link_text(js_at(p, "incoming"), "receiving", "bytes_received", to);
	failover_text(js_at(p, "failover"), to);
}

static bool engine_soft(struct json_object *daemon)
{
	const char *engine = js_get_str(daemon, "engine");

	return engine && !strcmp(engine, "soft");
}

/* A session with a section of its own: the keys whose values aren't those of all sessions. */
static void rules_of_one(struct json_object *own, struct json_object *all, FILE *to)
{
	const char *word, *before = ":";

	json_object_object_foreach(own, key, value) {
		if (!strcmp(key, "name") || json_object_equal(value, js_at(all, key)))
			continue;
		word = json_object_is_type(value, json_type_string) ?
			json_object_get_string(value) : "none";
		if (*before == ':')
			fprintf(to, "Rules of %s", js_get_str(own, "name"));
		fprintf(to, "%s %s = %s", before, key, word);
		before = ",";
	}
	if (*before == ',')
		fputc('\n', to);
}

static void rules_text(struct json_object *policies, FILE *to)
{
	struct json_object *all = NULL, *one;
	size_t i, n = policies ? json_object_array_length(policies) : 0;

	for (i = 0; i < n; i++) {
		one = json_object_array_get_idx(policies, i);
		if (!js_get_str(one, "name"))
			all = one;
	}
	for (i = 0; all && i < n; i++) {
		one = json_object_array_get_idx(policies, i);
		if (js_get_str(one, "name"))
			rules_of_one(one, all, to);
	}
}

static void daemon_text(const struct view *v, FILE *to)
{
	struct json_object *peers = js_at(v->daemon, "peers");
	size_t i;

	if (!v->daemon) {
		fprintf(to, "Daemon: %s\n", v->daemon_why);
		if (v->daemon_err == ENOENT || v->daemon_err == ECONNREFUSED)
			fprintf(to, "  Nothing is shipped or received. Next: systemctl start cptdevd\n");
		return;
	}
	fprintf(to, "Daemon: cptdevd %s, node %s, up %llu s, failover %s%s\n",
		js_get_str(v->daemon, "version"),
		js_get_str(js_at(v->daemon, "node"), "name"),
		js_get_u64(v->daemon, "uptime_ms") / 1000,
		js_get_str(v->daemon, "failover"),
		engine_soft(v->daemon) ? ", engine soft" : "");
	if (js_get_str(v->daemon, "listen_error"))
		fprintf(to, "  waiting for the address to listen on: %s\n",
			js_get_str(v->daemon, "listen_error"));
	if (js_get_str(v->daemon, "configuration_error"))
		fprintf(to, "  the last change of the configuration isn't in use: %s\n",
			js_get_str(v->daemon, "configuration_error"));
	rules_text(js_at(v->daemon, "policies"), to);
	for (i = 0; peers && i < json_object_array_length(peers); i++)
		peer_text(json_object_array_get_idx(peers, i), to);
	promotion_text(js_at(v->daemon, "last_promotion"), to);
	switchovers_text(js_at(v->daemon, "switchovers"), to);
	fetches_text(js_at(v->daemon, "fetches"), to);
	verifies_text(js_at(v->daemon, "sessions"), to);
	records_text(v, to);
}

static void kernel_text(const struct view *v, FILE *to)
{
	char a[16], b[16], c[16], d[16];

	if (v->kernel_err == ENOENT)
		fprintf(to, "Module: cptdev isn't loaded\n  Next: modprobe cptdev; if that fails, cptdevctl check\n");
	else if (v->kernel_err)
		fprintf(to, "Module: can't be asked: %s\n", strerror(v->kernel_err));
	else if (v->has_info)
		fprintf(to, "%s, ABI %u, snapshots hold %s of %s, replicas %s of %s\n",
			v->soft ? "Engine: soft" : "Module: cptdev", v->info.abi_version, size_text(v->info.held, a),
			size_text(v->info.held_max, b), size_text(v->info.replica, c),
			size_text(v->info.replica_max, d));
	else
		fprintf(to, "Module: cptdev is loaded\n");
}

void view_text(const struct view *v, FILE *to)
{
	kernel_text(v, to);
	daemon_text(v, to);
	if (v->kernel_err)
		return;
	sessions_text(v, to);
	replicas_text(v, to);
}
