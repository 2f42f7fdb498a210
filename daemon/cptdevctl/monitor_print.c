// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl monitor: records as lines. */
#include <time.h>

#include "monitor.h"
#include "view.h"

#define TIME_LEN	32

const char *monitor_word(u8 cmd)
{
	switch ((enum cptdev_genl_cmd)cmd) {
	case CPTDEV_CMD_SESSION_GET:
	case CPTDEV_CMD_REPLICA_GET:
		return "present";
	case CPTDEV_CMD_SESSION_NEW_NTF:
	case CPTDEV_CMD_REPLICA_NEW_NTF:
		return "new";
	case CPTDEV_CMD_SESSION_GONE_NTF:
	case CPTDEV_CMD_REPLICA_GONE_NTF:
		return "gone";
	case CPTDEV_CMD_SNAPSHOT_NTF:
		return "snapshot";
	case CPTDEV_CMD_COMMITTED_NTF:
	case CPTDEV_CMD_REPLICA_COMMITTED_NTF:
		return "committed";
	case CPTDEV_CMD_DROPPED_NTF:
		return "dropped";
	case CPTDEV_CMD_FENCED_NTF:
		return "fenced";
	case CPTDEV_CMD_LIMIT_NTF:
		return "limit";
	case CPTDEV_CMD_REPLICA_PROMOTED_NTF:
		return "promoted";
	case CPTDEV_CMD_REPLICA_TAKEN_NTF:
		return "taken";
	case CPTDEV_CMD_SESSION_HUNG_NTF:
		return "hung";
	case CPTDEV_CMD_UNSPEC:
	case __CPTDEV_CMD_MAX:
		break;
	}
	return "unknown";
}

/* In UTC, so that the records of two hosts can be laid side by side. */
static char *time_text(u64 wall, char text[TIME_LEN])
{
	time_t s = wall / NSEC_PER_SEC;
	struct tm tm;
	size_t n;

	gmtime_r(&s, &tm);
	n = strftime(text, TIME_LEN, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, TIME_LEN - n, ".%03lluZ",
		 wall % NSEC_PER_SEC / NSEC_PER_MSEC);
	return text;
}

static void session_line(FILE *to, const struct session_rec *s, const char *word)
{
	fprintf(to, "session %s id=%llu %s term=%llu generation=%llu published=%llu committed=%llu spares=%u pages=%llu pause_us=%llu\n",
		*s->name ? s->name : "-", s->id, word, s->term, s->generation,
		s->published, s->committed, s->attached, s->last_pages,
		s->last_pause_ns / NSEC_PER_USEC);
}

static void replica_line(FILE *to, const struct replica_rec *r, const char *word)
{
	fprintf(to, "replica %s %s term=%llu generation=%llu pages=%llu promoted=%s\n",
		r->name, word, r->term, r->generation, r->pages,
		r->flags & CPTDEV_GENL_REPLICA_PROMOTED ? "yes" : "no");
}

static struct json_object *record(u64 wall, const char *object, const char *word)
{
	struct json_object *o = js_document();
	char text[TIME_LEN];

	js_str(o, "time", time_text(wall, text));
	js_str(o, "object", object);
	js_str(o, "event", word);
	return o;
}

static void print_line(struct ctl *c, struct json_object *o)
{
	fprintf(c->out, "%s\n", js_line(o));
	json_object_put(o);
}

static void record_json(struct ctl *c, u64 wall, const struct kernel_event *ev)
{
	const char *word = monitor_word(ev->cmd);
	struct json_object *o;

	if (ev->session) {
		o = record(wall, "session", word);
		js_put(o, "session", session_json(ev->session));
	} else {
		o = record(wall, "replica", word);
		js_put(o, "replica", replica_json(ev->replica, c->page_size));
	}
	print_line(c, o);
}

void monitor_record(struct ctl *c, u64 wall, const struct kernel_event *ev)
{
	char text[TIME_LEN];

	if (c->json) {
		record_json(c, wall, ev);
	} else {
		fprintf(c->out, "%s ", time_text(wall, text));
		if (ev->session)
			session_line(c->out, ev->session, monitor_word(ev->cmd));
		else
			replica_line(c->out, ev->replica, monitor_word(ev->cmd));
	}
	fflush(c->out);
}

static const char *word_or(struct json_object *o, const char *key, const char *otherwise)
{
	const char *word = js_get_str(o, key);

	return word && *word ? word : otherwise;
}

/* The daemon's word about a session of this host. */
static void monitor_protection(struct ctl *c, u64 wall, struct json_object *news)
{
	struct json_object *p = js_at(news, "session"), *o;
	const char *word = js_get_str(news, "event");
	char text[TIME_LEN];

	if (c->json) {
		o = record(wall, "session-state", word);
		js_put(o, "session", json_object_get(p));
		print_line(c, o);
	} else {
		fprintf(c->out, "%s session-state %s %s state=%s\n", time_text(wall, text),
			word_or(p, "name", "-"), word, word_or(p, "state", "-"));
	}
	fflush(c->out);
}

static void monitor_of_record(struct ctl *c, u64 wall, struct json_object *news)
{
	struct json_object *r = js_at(news, "record"), *o;
	const char *word = js_get_str(news, "event"), *error = js_get_str(r, "error");
	char text[TIME_LEN];

	if (c->json) {
		o = record(wall, "record", word);
		js_put(o, "record", json_object_get(r));
		print_line(c, o);
	} else {
		fprintf(c->out, "%s record %s %s state=%s%s%s\n", time_text(wall, text),
			word_or(r, "name", "-"), word, word_or(r, "state", "-"),
			error && *error ? " error=" : "", error ? error : "");
	}
	fflush(c->out);
}

void monitor_peer(struct ctl *c, u64 wall, struct json_object *news)
{
	struct json_object *p = js_at(news, "peer"), *o;
	const char *word = js_get_str(news, "event"), *error = js_get_str(p, "error");
	char text[TIME_LEN];

	if (js_at(news, "session")) {
		monitor_protection(c, wall, news);
		return;
	}
	if (js_at(news, "record")) {
		monitor_of_record(c, wall, news);
		return;
	}
	if (c->json) {
		o = record(wall, "peer", word);
		js_put(o, "peer", json_object_get(p));
		print_line(c, o);
	} else {
		fprintf(c->out, "%s peer %s %s detector=%s outgoing=%s incoming=%s address=%s%s%s\n",
			time_text(wall, text), word_or(p, "name", "-"), word,
			word_or(p, "detector", "-"), word_or(p, "outgoing", "-"),
			word_or(p, "incoming", "-"), word_or(p, "address", "-"),
			error && *error ? " error=" : "", error ? error : "");
	}
	fflush(c->out);
}

void monitor_note(struct ctl *c, u64 wall, const char *object, const char *word)
{
	char text[TIME_LEN];

	if (c->json)
		print_line(c, record(wall, object, word));
	else
		fprintf(c->out, "%s %s %s\n", time_text(wall, text), object, word);
	fflush(c->out);
}
