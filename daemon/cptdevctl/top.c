// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl top: sessions, replicas and peers with their rates, each second anew. */
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "monitor.h"
#include "table.h"
#include "top.h"

/* A rate per second, as a cell: "-" if there is nothing to compare with, or it began anew. */
static void rate_cell(struct table *t, bool known, u64 before, u64 now, double seconds)
{
	if (!known || now < before || seconds <= 0)
		table_cell(t, "-");
	else
		table_cell(t, "%.1f", (now - before) / seconds);
}

static void bytes_rate_cell(struct table *t, bool known, u64 before, u64 now, double seconds)
{
	char size[16];

	if (!known || now < before || seconds <= 0)
		table_cell(t, "-");
	else
		table_cell(t, "%s", size_text((now - before) / seconds, size));
}

static const struct session_rec *same_session(const struct view *v, const struct session_rec *s)
{
	u32 i;

	for (i = 0; v && i < v->nr_sessions; i++)
		if (v->sessions[i].id == s->id &&
		    !memcmp(v->sessions[i].uuid, s->uuid, sizeof(s->uuid)))
			return &v->sessions[i];
	return NULL;
}

static void sessions(const struct view *old, const struct view *v, double seconds, FILE *to)
{
	static const char *const headings[] = {
		"SESSION", "STATE", "CHECKPOINTS/s", "BEHIND", "LAG ms", "PAUSE us", "PAGES",
		"MEMORY", "HELD",
	};
	struct table t;
	char size[16];
	u32 i;

	if (!v->nr_sessions)
		return;
	table_init(&t, headings, ARRAY_SIZE(headings));
	for (i = 0; i < v->nr_sessions; i++) {
		const struct session_rec *s = &v->sessions[i], *o = same_session(old, s);
		u64 behind = s->published > s->committed ? s->published - s->committed : 0;

		table_cell(&t, "%s", *s->name ? s->name : "-");
		table_cell(&t, "%s", view_session_state(v, s));
		rate_cell(&t, o, o ? o->generation : 0, s->generation, seconds);
		table_cell(&t, "%llu", behind);
		table_cell(&t, "%llu", behind ? js_get_u64(view_shipped(v, s), "lag_ms") : 0);
		table_cell(&t, "%.1f", s->last_pause_ns / 1e3);
		table_cell(&t, "%llu", s->last_pages);
		table_cell(&t, "%s", size_text(s->bytes, size));
		table_cell(&t, "%s", size_text(s->held, size));
	}
	fputc('\n', to);
	table_print(&t, to);
}

static const struct replica_rec *same_replica(const struct view *v, const struct replica_rec *r)
{
	u32 i;

	for (i = 0; v && i < v->nr_replicas; i++)
		if (!strcmp(v->replicas[i].name, r->name))
			return &v->replicas[i];
	return NULL;
}

static void replicas(const struct view *old, const struct view *v, double seconds, FILE *to)
{
	static const char *const headings[] = {
		"REPLICA", "STATE", "COMMITS/s", "GENERATION", "SIZE", "WAITING", "PROGRAM",
	};
	char size[16], copy[40];
	struct table t;
	u32 i;

	if (!v->nr_replicas)
		return;
	table_init(&t, headings, ARRAY_SIZE(headings));
	for (i = 0; i < v->nr_replicas; i++) {
		const struct replica_rec *r = &v->replicas[i], *o = same_replica(old, r);

		table_cell(&t, "%s", r->name);
		table_cell(&t, "%s", r->flags & CPTDEV_GENL_REPLICA_PROMOTED ? "PROMOTED" :
			   r->generation ? "follows" : "empty");
		rate_cell(&t, o, o ? o->commits : 0, r->commits, seconds);
		table_cell(&t, "%llu", r->generation);
		table_cell(&t, "%s", size_text(r->pages * v->page_size, size));
		table_cell(&t, "%u", r->waiters);
		table_cell(&t, "%s", view_copy(v, r, copy));
	}
	fputc('\n', to);
	table_print(&t, to);
}

/* By its address as long as it has no name. */
static const char *name_of(struct json_object *peer)
{
	const char *name = js_get_str(peer, "name");

	name = name ? name : js_get_str(js_at(peer, "outgoing"), "address");
	return name ? name : "-";
}

static struct json_object *same_peer(const struct view *v, const char *name)
{
	struct json_object *peers = v ? js_at(v->daemon, "peers") : NULL, *p;
	size_t i;

	for (i = 0; peers && i < json_object_array_length(peers); i++) {
		p = json_object_array_get_idx(peers, i);
		if (!strcmp(name_of(p), name))
			return p;
	}
	return NULL;
}

static const char *word(struct json_object *o, const char *key, const char *other)
{
	const char *text = js_get_str(o, key);

	return text ? text : other;
}

static void peers(const struct view *old, const struct view *v, double seconds, FILE *to)
{
	static const char *const headings[] = {
		"PEER", "DETECTOR", "SHIPPING", "SENT/s", "ROUND TRIP ms", "HEARD ms AGO", "RECEIVING",
	};
	struct json_object *list = js_at(v->daemon, "peers"), *p, *out, *o;
	size_t i, n = list ? json_object_array_length(list) : 0;
	struct table t;

	if (!n)
		return;
	table_init(&t, headings, ARRAY_SIZE(headings));
	for (i = 0; i < n; i++) {
		p = json_object_array_get_idx(list, i);
		out = js_at(p, "outgoing");
		o = js_at(same_peer(old, name_of(p)), "outgoing");
		table_cell(&t, "%s", name_of(p));
		table_cell(&t, "%s", word(p, "detector", "-"));
		table_cell(&t, "%s", word(out, "state", "off"));
		bytes_rate_cell(&t, o, js_get_u64(o, "bytes_sent"), js_get_u64(out, "bytes_sent"),
				seconds);
		table_cell(&t, "%.1f", js_get_u64(out, "rtt_us") / 1e3);
		table_cell(&t, "%llu", js_get_u64(out, "last_heard_ms"));
		table_cell(&t, "%s", word(js_at(p, "incoming"), "state", "off"));
	}
	fputc('\n', to);
	table_print(&t, to);
}

static void head(const struct view *v, time_t now, FILE *to)
{
	char when[32];
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	fprintf(to, "%s  node %s  sessions %u  replicas %u", when,
		word(js_at(v->daemon, "node"), "name", "-"), v->nr_sessions, v->nr_replicas);
	if (v->has_info) {
		char a[16], b[16];

		fprintf(to, "  snapshots hold %s  replicas hold %s", size_text(v->info.held, a),
			size_text(v->info.replica, b));
	}
	fputc('\n', to);
	if (v->kernel_err)
		fprintf(to, "Module: can't be asked: %s\n", strerror(v->kernel_err));
	if (!v->daemon)
		fprintf(to, "Daemon: %s\n", v->daemon_why);
}

void top_text(const struct view *old, const struct view *v, double seconds, time_t now, FILE *to)
{
	head(v, now, to);
	sessions(old, v, seconds, to);
	replicas(old, v, seconds, to);
	peers(old, v, seconds, to);
}

bool top_next(FILE *to)
{
	struct pollfd pfd = { .fd = fileno(to) };

	poll(&pfd, 1, TOP_INTERVAL_MS);
	return !ferror(to) && !(pfd.revents & (POLLERR | POLLHUP));
}

int verb_top(struct ctl *c, int argc, char **argv)
{
	u64 began = monitor_clock(CLOCK_MONOTONIC), last = 0, now;
	u64 end = c->timeout_s ? began + c->timeout_s * NSEC_PER_SEC : ~0ULL;
	const bool screen = isatty(fileno(c->out));
	struct view old = {}, v;

	(void)argc;
	(void)argv;
	if (c->json)
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl status --json, or monitor --json",
				"top is for people; it has no JSON");
	c->streams = true;
	do {
		view_gather(&v, c->kernel, c->socket);
		now = monitor_clock(CLOCK_MONOTONIC);
		fputs(screen ? TOP_CLEAR : last ? "\n" : "", c->out);
		top_text(last ? &old : NULL, &v, (now - last) / 1e9, time(NULL), c->out);
		fflush(c->out);
		view_free(&old);
		old = v;
		last = now;
	} while (now + TOP_INTERVAL_MS * NSEC_PER_MSEC <= end && top_next(c->out));
	view_free(&old);
	return EXIT_DONE;
}
