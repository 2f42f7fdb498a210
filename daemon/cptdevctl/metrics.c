// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptdevctl metrics: the status as OpenMetrics text, for Prometheus and others. Families and
 * their meaning are in cptdevctl(8). The text format: OpenMetrics 1.0, "Text format".
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "metrics.h"
#include "problems.h"
#include "view.h"

struct metrics {
	const struct view *v;
	FILE *to;
};

static void family(const struct metrics *m, const char *name, const char *type, const char *unit,
		   const char *help)
{
	fprintf(m->to, "# TYPE %s %s\n", name, type);
	if (unit)
		fprintf(m->to, "# UNIT %s %s\n", name, unit);
	fprintf(m->to, "# HELP %s %s\n", name, help);
}

/* A text of the daemon's may have anything in it. */
static void label(FILE *to, const char *key, const char *value)
{
	fprintf(to, "%s=\"", key);
	for (; value && *value; value++) {
		if (*value == '\n')
			fputs("\\n", to);
		else
			fprintf(to, "%s%c", strchr("\\\"", *value) ? "\\" : "", *value);
	}
	fputc('"', to);
}

static void one(const struct metrics *m, const char *name, const char *unit, const char *help,
		u64 value)
{
	family(m, name, "gauge", unit, help);
	fprintf(m->to, "%s %llu\n", name, value);
}

static void host_metrics(const struct metrics *m)
{
	const struct view *v = m->v;
	struct problems p;

	one(m, "cptdev_kernel_up", NULL,
	    "Whether the module, or the daemon in its place, answers.", !v->kernel_err);
	one(m, "cptdev_daemon_up", NULL, "Whether the daemon answers.", !!v->daemon);
	problems_find(v, &p);
	one(m, "cptdev_problems", NULL, "The number of problems that status --check lists.",
	    p.nr + p.more);
	if (!v->has_info)
		return;
	one(m, "cptdev_held_bytes", "bytes", "The memory that snapshots hold.", v->info.held);
	one(m, "cptdev_held_max_bytes", "bytes", "The limit of cptdev_held_bytes.",
	    v->info.held_max);
	one(m, "cptdev_replica_memory_bytes", "bytes", "The memory of all replicas.",
	    v->info.replica);
	one(m, "cptdev_replica_memory_max_bytes", "bytes",
	    "The limit of cptdev_replica_memory_bytes.", v->info.replica_max);
}

/*
 * Sessions. Two may have one name, such as an old one that is fenced: so the number as well.
 */

typedef double (*session_fn)(const struct view *v, const struct session_rec *s);

static double session_protected(const struct view *v, const struct session_rec *s)
{
	return !problems_session(v, s, NULL, 0);
}

static double session_term(const struct view *v, const struct session_rec *s)
{
	(void)v;
	return s->term;
}

static double session_published(const struct view *v, const struct session_rec *s)
{
	(void)v;
	return s->published;
}

static double session_committed(const struct view *v, const struct session_rec *s)
{
	(void)v;
	return s->committed;
}

static double session_spares(const struct view *v, const struct session_rec *s)
{
	(void)v;
	return s->attached;
}

static double session_lag(const struct view *v, const struct session_rec *s)
{
	if (s->committed >= s->published)
		return 0;
	return js_get_u64(view_shipped(v, s), "lag_ms") / 1e3;
}

static double session_bytes(const struct view *v, const struct session_rec *s)
{
	(void)v;
	return s->bytes;
}

static double session_held(const struct view *v, const struct session_rec *s)
{
	(void)v;
	return s->held;
}

static double session_pause(const struct view *v, const struct session_rec *s)
{
	(void)v;
	return s->last_pause_ns / 1e9;
}

static double session_pages(const struct view *v, const struct session_rec *s)
{
	(void)v;
	return s->last_pages;
}

static const struct session_family {
	const char *name, *unit, *help;
	session_fn value;
} session_families[] = {
	{ "cptdev_session_protected", NULL,
	  "Whether a spare has the session's acknowledged state and may take over.",
	  session_protected },
	{ "cptdev_session_spares", NULL, "The spares that follow the session.", session_spares },
	{ "cptdev_session_term", NULL, "The session's term.", session_term },
	{ "cptdev_session_published_generation", NULL, "The last generation that was published.",
	  session_published },
	{ "cptdev_session_committed_generation", NULL,
	  "The last generation that was acknowledged.", session_committed },
	{ "cptdev_session_lag_seconds", "seconds",
	  "The age of the oldest generation that isn't acknowledged yet.", session_lag },
	{ "cptdev_session_memory_bytes", "bytes", "The memory that is registered.",
	  session_bytes },
	{ "cptdev_session_held_bytes", "bytes", "The memory that the session's snapshots hold.",
	  session_held },
	{ "cptdev_session_last_pause_seconds", "seconds", "The pause of the last snapshot.",
	  session_pause },
	{ "cptdev_session_last_pages", NULL, "The pages in the last snapshot.", session_pages },
};

static void session_metrics(const struct metrics *m)
{
	const struct session_family *f;
	u32 i;

	for (f = session_families; f < session_families + ARRAY_SIZE(session_families); f++) {
		family(m, f->name, "gauge", f->unit, f->help);
		for (i = 0; i < m->v->nr_sessions; i++) {
			const struct session_rec *s = &m->v->sessions[i];

			fprintf(m->to, "%s{", f->name);
			label(m->to, "session", s->name);
			fprintf(m->to, ",id=\"%llu\"} %.17g\n", s->id, f->value(m->v, s));
		}
	}
}

/*
 * Replicas, each of another name
 */

static double replica_promoted(const struct view *v, const struct replica_rec *r)
{
	(void)v;
	return !!(r->flags & CPTDEV_GENL_REPLICA_PROMOTED);
}

static double replica_term(const struct view *v, const struct replica_rec *r)
{
	(void)v;
	return r->term;
}

static double replica_generation(const struct view *v, const struct replica_rec *r)
{
	(void)v;
	return r->generation;
}

static double replica_bytes(const struct view *v, const struct replica_rec *r)
{
	return (double)r->pages * v->page_size;
}

static double replica_waiters(const struct view *v, const struct replica_rec *r)
{
	(void)v;
	return r->waiters;
}

static double replica_warm(const struct view *v, const struct replica_rec *r)
{
	(void)v;
	return r->copied == UINT64_MAX ? NAN : r->waiters && r->copied;
}

static double replica_behind(const struct view *v, const struct replica_rec *r)
{
	return r->behind == UINT64_MAX ? NAN : (double)r->behind * v->page_size;
}

/* NAN: it isn't known, so there is no sample. */
static const struct replica_family {
	const char *name, *unit, *help;
	double (*value)(const struct view *v, const struct replica_rec *r);
} replica_families[] = {
	{ "cptdev_replica_promoted", NULL, "Whether the replica was promoted.",
	  replica_promoted },
	{ "cptdev_replica_term", NULL, "The replica's term.", replica_term },
	{ "cptdev_replica_generation", NULL, "The replica's generation.", replica_generation },
	{ "cptdev_replica_bytes", "bytes", "The replica's memory.", replica_bytes },
	{ "cptdev_replica_waiters", NULL, "The programs that wait for the promotion.",
	  replica_waiters },
	{ "cptdev_replica_warm", NULL,
	  "Whether a program that waits for the promotion has copied the replica ahead.",
	  replica_warm },
	{ "cptdev_replica_behind_bytes", "bytes",
	  "What the newest copy of the replica in a program lacks; without a copy all of it.",
	  replica_behind },
};

static void replica_metrics(const struct metrics *m)
{
	const struct replica_family *f;
	u32 i;

	for (f = replica_families; f < replica_families + ARRAY_SIZE(replica_families); f++) {
		family(m, f->name, "gauge", f->unit, f->help);
		for (i = 0; i < m->v->nr_replicas; i++) {
			const struct replica_rec *r = &m->v->replicas[i];
			double value = f->value(m->v, r);

			if (isnan(value))
				continue;
			fprintf(m->to, "%s{", f->name);
			label(m->to, "replica", r->name);
			fprintf(m->to, "} %.17g\n", value);
		}
	}
}

/*
 * Peers. The daemon's keys: "outgoing" is absent where the peer only connects to this host.
 */

static const struct peer_family {
	const char *name, *type, *unit, *help;
	const char *key;		/* of the outgoing link; NULL: the links' states */
	double divisor;
} peer_families[] = {
	{ "cptdev_peer_link_up", "gauge", NULL,
	  "Whether the link to the peer (outgoing) or from it (incoming) is up.", NULL, 1 },
	{ "cptdev_peer_round_trip_seconds", "gauge", "seconds",
	  "The round trip of heartbeats on the outgoing link.", "rtt_us", 1e6 },
	{ "cptdev_peer_silence_seconds", "gauge", "seconds",
	  "The time since the peer was heard on the outgoing link.", "last_heard_ms", 1e3 },
	{ "cptdev_peer_sent_bytes", "counter", "bytes",
	  "What was sent on the outgoing link.", "bytes_sent", 1 },
	{ "cptdev_peer_page_bytes", "counter", "bytes",
	  "The pages that were shipped, before compression.", "page_bytes", 1 },
	{ "cptdev_peer_page_wire_bytes", "counter", "bytes",
	  "What was sent for the pages that were shipped.", "page_bytes_on_wire", 1 },
};

static void sample(const struct metrics *m, const struct peer_family *f, const char *peer,
		   const char *direction, double value)
{
	fprintf(m->to, "%s%s{", f->name, strcmp(f->type, "counter") ? "" : "_total");
	label(m->to, "peer", peer);
	if (direction) {
		fputc(',', m->to);
		label(m->to, "direction", direction);
	}
	fprintf(m->to, "} %.17g\n", value);
}

static bool is_up(struct json_object *link)
{
	const char *state = js_get_str(link, "state");

	return state && !strcmp(state, "up");
}

static void peer_samples(const struct metrics *m, const struct peer_family *f,
			 struct json_object *peer)
{
	struct json_object *out = js_at(peer, "outgoing"), *in = js_at(peer, "incoming");
	const char *name = js_get_str(peer, "name");

	/* Its address is all that is known of a peer that never answered. */
	name = name ? name : js_get_str(out, "address");
	if (f->key && js_at(out, f->key))
		sample(m, f, name, NULL, js_get_u64(out, f->key) / f->divisor);
	if (!f->key && out)
		sample(m, f, name, "outgoing", is_up(out));
	if (!f->key && in)
		sample(m, f, name, "incoming", is_up(in));
}

static void peer_metrics(const struct metrics *m)
{
	struct json_object *peers = js_at(m->v->daemon, "peers");
	const struct peer_family *f;
	size_t i;

	for (f = peer_families; f < peer_families + ARRAY_SIZE(peer_families); f++) {
		family(m, f->name, f->type, f->unit, f->help);
		for (i = 0; peers && i < json_object_array_length(peers); i++)
			peer_samples(m, f, json_object_array_get_idx(peers, i));
	}
}

void metrics_text(const struct view *v, FILE *to)
{
	const struct metrics m = { .v = v, .to = to };

	host_metrics(&m);
	session_metrics(&m);
	replica_metrics(&m);
	peer_metrics(&m);
	fputs("# EOF\n", to);
}

/* Whatever can't be asked is a metric itself, so this fails only where nothing can be written. */
int verb_metrics(struct ctl *c, int argc, char **argv)
{
	struct view v;

	(void)argc;
	(void)argv;
	view_gather(&v, c->kernel, c->socket);
	metrics_text(&v, c->out);
	view_free(&v);
	return EXIT_DONE;
}
