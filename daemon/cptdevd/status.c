// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the daemon tells about itself. cptdevctl(8) describes the keys; the kernel's side
 * is asked of the kernel, not of the daemon.
 */
#include <string.h>

#include "daemon.h"
#include "json.h"
#include "tcp.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

static void lower(struct json_object *o, const char *key, const char *word)
{
	char text[32];
	size_t i;

	for (i = 0; word[i] && i < sizeof(text) - 1; i++)
		text[i] = word[i] >= 'A' && word[i] <= 'Z' ? word[i] + 32 : word[i];
	text[i] = '\0';
	js_str(o, key, text);
}

static void fault(struct json_object *o, const struct fault *f)
{
	if (f->code == WIRE_OK)
		js_null(o, "error");
	else
		js_str(o, "error", f->text);
}

static u64 ms_ago(struct daemon *d, u64 at)
{
	return d->loop.now > at ? (d->loop.now - at) / NSEC_PER_MSEC : 0;
}

static void link_stats(struct json_object *o, struct daemon *d, const struct conn *c,
		       const struct rate *r)
{
	js_u64(o, "last_heard_ms", ms_ago(d, c->heard_at));
	js_u64(o, "rtt_us", c->rtt_ns / NSEC_PER_USEC);
	js_u64(o, "bytes_sent", c->stats.bytes_out);
	js_u64(o, "bytes_received", c->stats.bytes_in);
	js_u64(o, "frames_sent", c->stats.frames_out);
	js_u64(o, "frames_received", c->stats.frames_in);
	js_u64(o, "bytes_per_second", r->per_second);
	if (c->tls)
		js_str(o, "tls_key", tls_key_id(c->tls));
	else
		js_null(o, "tls_key");
	js_bool(o, "ktls", c->tls && tls_by_kernel(c->tls));
}

static struct json_object *ship(struct ship *s)
{
	struct json_object *o = js_new();
	const struct session_rec *rec = &s->session->rec;
	u64 behind = rec->published > s->committed ? rec->published - s->committed : 0;

	js_str(o, "name", rec->name);
	js_uuid(o, "uuid", rec->uuid);
	js_u64(o, "uid", rec->uid);
	js_u64(o, "session_id", rec->id);
	lower(o, "state", fsm_ship.states[s->state]);
	js_u64(o, "published", rec->published);
	js_u64(o, "shipped", s->since);
	js_u64(o, "committed", s->committed);
	js_u64(o, "lag_generations", behind);
	js_u64(o, "lag_ms", lag_ns(&s->lag, s->out->d->loop.now) / NSEC_PER_MSEC);
	js_u64(o, "bytes_shipped", s->bytes);
	js_u64(o, "bytes_on_wire", s->wire);
	js_u64(o, "full_copies", s->full_copies);
	fault(o, &s->last);
	return o;
}

static bool in_step(const struct ship *s)
{
	return !s->lacks && !s->outdated;
}

/* One that is in step, if there is one. */
static const struct ship *best_spare(const struct known *k)
{
	const struct ship *s, *best = NULL;

	TAILQ_FOREACH(s, &k->ships, of_session)
		if (ship_follows(s) && (!best || in_step(s)))
			best = s;
	return best;
}

/* In which of these is it? The gravest first. */
static const char *protection(const struct known *k)
{
	const struct ship *s = best_spare(k);

	if (k->rec.flags & CPTDEV_GENL_SESSION_FENCED)
		return "fenced";
	if (*k->barred)
		return "blocked";
	if (k->stopping)
		return "switching-over";
	if (k->alone)
		return "alone";
	if (k->lease_until && clock_mono() >= k->lease_until)
		return "lease-over";
	if (!s)
		return "no-spare";
	if (s->lacks || s->outdated || !k->rec.published)
		return "not-protected";
	return "protected";
}

static struct json_object *last_verify(struct daemon *d, const struct known *k)
{
	const struct verify *v = verify_find(d, k->rec.name);

	return v && !memcmp(v->session, k->rec.uuid, sizeof(v->session)) ? verify_json(v) : NULL;
}

struct json_object *status_session(struct daemon *d, struct known *k)
{
	const struct record *r = record_of(d, k->rec.name);
	struct json_object *o = js_new();
	u64 now = clock_mono();

	js_str(o, "name", k->rec.name);
	js_uuid(o, "uuid", k->rec.uuid);
	js_u64(o, "uid", k->rec.uid);
	js_u64(o, "session_id", k->rec.id);
	js_str(o, "state", protection(k));
	js_str(o, "alone_policy", conf_session(&d->conf, k->rec.name)->alone == CONF_GO_ON ?
	       "go-on" : "block");
	js_u64(o, "alone_since_unix_s", r && k->alone ? r->alone_since : 0);
	js_bool(o, "checkpoint_wanted", k->rec.flags & CPTDEV_GENL_SESSION_WANTED);
	js_put(o, "held_off", status_holdoff(d, k));
	js_bool(o, "hung", k->rec.flags & CPTDEV_GENL_SESSION_HUNG);
	if (k->lease_until)
		js_u64(o, "lease_ms", k->lease_until > now ?
		       (k->lease_until - now) / NSEC_PER_MSEC : 0);
	else
		js_null(o, "lease_ms");
	js_put(o, "ack", status_members(d, k));
	js_put(o, "last_verify", last_verify(d, k));
	if (*k->barred)
		js_str(o, "error", k->barred);
	else
		js_null(o, "error");
	return o;
}

static void savings(struct json_object *j, const struct out *o)
{
	static const char *const words[] = {
		[THIN_PLAIN] = "off", [THIN_BY_GAIN] = "auto", [THIN_ALWAYS] = "on",
	};

	js_u64(j, "page_bytes", o->thin.pages);
	js_u64(j, "page_bytes_on_wire", o->thin.wire);
	js_str(j, "compression", words[out_packs(o)]);
}

static struct json_object *outgoing(struct out *o)
{
	struct json_object *j = js_new(), *list = js_list();
	char address[CONF_HOST_MAX + 8];
	struct ship *s;

	lower(j, "state", fsm_outgoing.states[o->state]);
	address_text(o, address, sizeof(address));
	js_str(j, "address", address);
	js_u64(j, "attempts", o->attempts);
	js_u64(j, "connects", o->connects);
	if (o->conn) {
		link_stats(j, o->d, o->conn, &o->rate);
		savings(j, o);
	}
	fault(j, &o->last);
	TAILQ_FOREACH(s, &o->ships, entry)
		json_object_array_add(list, ship(s));
	js_put(j, "sessions", list);
	return j;
}

static struct json_object *replayed(struct chan *c)
{
	struct json_object *o = js_new();

	js_str(o, "name", c->session.name);
	js_uuid(o, "uuid", c->session.uuid);
	js_u64(o, "uid", c->session.uid);
	lower(o, "state", fsm_channel.states[c->state]);
	js_u64(o, "committed", c->committed);
	js_u64(o, "staging", c->staging);
	js_u64(o, "term", c->session.term);
	fault(o, &c->last);
	return o;
}

static struct json_object *incoming(struct in *in)
{
	struct json_object *o = js_new(), *list = js_list();
	struct chan *c;

	lower(o, "state", in ? fsm_incoming.states[in->state] : "down");
	if (in) {
		js_str(o, "address", in->address);
		link_stats(o, in->d, in->conn, &in->rate);
		LIST_FOREACH(c, &in->channels, entry)
			json_object_array_add(list, replayed(c));
	}
	js_put(o, "replicas", list);
	return o;
}

/* Of the last time that the peer counted as dead. */
static struct json_object *failover(const struct peer *p)
{
	const struct failover_times *t = &p->failover;
	struct json_object *o;

	if (!t->decided)
		return NULL;
	o = js_new();
	js_u64(o, "decided_unix_ms", t->decided_wall / NSEC_PER_MSEC);
	js_u64(o, "silence_ms", (t->decided - t->heard) / NSEC_PER_MSEC);
	js_u64(o, "promotion_us", t->promoted ?
		 (t->promoted - t->decided) / NSEC_PER_USEC : 0);
	js_u64(o, "replicas_promoted", t->replicas);
	js_u64(o, "replicas_promoted_by_hand", t->by_hand);
	js_str(o, "fence_command", fencing_word(p->fence.state));
	if (*p->fence.error)
		js_str(o, "fence_error", p->fence.error);
	else
		js_null(o, "fence_error");
	return o;
}

static struct json_object *last_promotion(const struct promotion *p)
{
	struct json_object *o;

	if (!*p->name)
		return NULL;
	o = js_new();
	js_str(o, "name", p->name);
	js_u64(o, "generation", p->generation);
	js_u64(o, "term", p->term);
	js_u64(o, "unix_ms", p->wall / NSEC_PER_MSEC);
	js_str(o, "by", p->own ? "failover" : "another process");
	return o;
}

/* Who it is, and is it alive? */
static struct json_object *peer_head(struct peer *p)
{
	struct json_object *o = js_new();
	const struct node *n = p->in ? &p->node : &p->out.node;
	u64 now = clock_mono();

	if (!*n->name)
		n = &p->node;
	if (*n->name) {
		js_str(o, "name", n->name);
		js_uuid(o, "uuid", n->uuid);
	} else {
		js_null(o, "name");
		js_null(o, "uuid");
	}
	js_str(o, "detector", detector_word(&p->detector, now));
	js_u64(o, "silence_ms", p->detector.running ?
		 detector_silence(&p->detector, now) / NSEC_PER_MSEC : 0);
	return o;
}

struct json_object *status_peer(struct peer *p)
{
	struct json_object *o = peer_head(p);
	char address[CONF_HOST_MAX + 8];

	address_text(&p->out, address, sizeof(address));
	js_put(o, "address", address_given(&p->out) ? json_object_new_string(address) : NULL);
	lower(o, "outgoing", fsm_outgoing.states[p->out.state]);
	lower(o, "incoming", p->in ? fsm_incoming.states[p->in->state] : "down");
	fault(o, &p->out.last);
	return o;
}

/* Names of the replicas that the peer feeds, or fed when it was lost. */
static struct json_object *feeds(struct peer *p)
{
	struct json_object *list = js_list();
	struct feed *f;

	LIST_FOREACH(f, &p->feeds, entry)
		json_object_array_add(list, json_object_new_string(f->name));
	return list;
}

static struct json_object *peer(struct peer *p)
{
	struct json_object *o = peer_head(p);

	js_put(o, "configured_name", *peer_conf(p)->name ?
	       json_object_new_string(peer_conf(p)->name) : NULL);
	js_put(o, "failover", failover(p));
	js_put(o, "outgoing", address_given(&p->out) ? outgoing(&p->out) : NULL);
	js_put(o, "incoming", incoming(p->in));
	js_put(o, "feeds", feeds(p));
	return o;
}

static struct json_object *switchovers(struct daemon *d)
{
	struct json_object *list = js_list();
	struct switchover *sw;

	LIST_FOREACH(sw, &d->switches, entry)
		json_object_array_add(list, switch_json(sw));
	return list;
}

struct json_object *status_json(struct daemon *d)
{
	struct json_object *o = js_document(), *node = js_new(), *list = js_list();
	struct json_object *sessions = js_list();
	struct known *k;
	struct peer *p;

	d->loop.now = clock_mono();
	js_str(o, "version", VERSION);
	js_str(node, "name", d->self.name);
	js_uuid(node, "uuid", d->self.uuid);
	js_put(o, "node", node);
	js_u64(o, "uptime_ms", ms_ago(d, d->started));
	js_str(o, "engine", d->kernel->ops->name);
	js_str(o, "programs", d->conf.programs);
	js_bool(o, "module", d->module);
	js_u64(o, "listen_port", d->listen_port);
	if (d->listen_err)
		js_str(o, "listen_error", strerror(d->listen_err));
	else
		js_null(o, "listen_error");
	if (*d->conf_error)
		js_str(o, "configuration_error", d->conf_error);
	else
		js_null(o, "configuration_error");
	js_u64(o, "messages_suppressed", d->tell.suppressed);
	js_u64(o, "heartbeat_interval_ms", d->conf.heartbeat_ms);
	js_u64(o, "timeout_ms", d->conf.timeout_ms);
	js_str(o, "failover", d->conf.sessions.failover == FAILOVER_AUTO ? "auto" : "manual");
	js_put(o, "policies", status_policies(&d->conf));
	js_put(o, "last_promotion", last_promotion(&d->promotion));
	LIST_FOREACH(k, &d->sessions, entry)
		if (*k->rec.name)
			json_object_array_add(sessions, status_session(d, k));
	js_put(o, "sessions", sessions);
	js_put(o, "switchovers", switchovers(d));
	js_put(o, "fetches", fetch_json(d));
	LIST_FOREACH(p, &d->peers, entry)
		json_object_array_add(list, peer(p));
	js_put(o, "peers", list);
	js_put(o, "records", status_records(d));
	return o;
}
