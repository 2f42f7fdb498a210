// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "problems.h"
#include "uuid.h"

/* The gravest first: what can't be asked, a session in danger, a link. */
static int gravity(enum exit_status s)
{
	switch (s) {
	case EXIT_KERNEL:
		return 4;
	case EXIT_UNSAFE:
		return 3;
	case EXIT_DAEMON:
		return 2;
	case EXIT_LINK:
		return 1;
	default:
		return 0;
	}
}

static void problem(struct problems *p, enum exit_status status, const char *code,
		    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static void problem(struct problems *p, enum exit_status status, const char *code,
		    const char *fmt, ...)
{
	struct problem *new = &p->list[p->nr];
	va_list ap;

	if (gravity(status) > gravity(p->worst))
		p->worst = status;
	if (p->nr == PROBLEMS_MAX) {
		p->more++;
		return;
	}
	p->nr++;
	new->status = status;
	new->code = code;
	va_start(ap, fmt);
	vsnprintf(new->text, sizeof(new->text), fmt, ap);
	va_end(ap);
}

static bool is(const char *word, const char *want)
{
	return word && !strcmp(word, want);
}

/* Sessions without a name aren't meant for a spare. */
static void look_at_session(struct problems *p, const struct view *v,
			    const struct session_rec *s)
{
	const char *error = js_get_str(view_shipped(v, s), "error");
	const char *state = js_get_str(view_protection(v, s), "state");

	if (s->flags & CPTDEV_GENL_SESSION_FENCED)
		problem(p, EXIT_UNSAFE, "fenced",
			"session %s (pid %u) is fenced: its spare was promoted", s->name,
			s->pid);
	else if (is(state, "blocked"))
		problem(p, EXIT_UNSAFE, "blocked",
			"session %s (pid %u) gets no acknowledgement: %s", s->name, s->pid,
			js_get_str(view_protection(v, s), "error"));
	else if (is(state, "alone"))
		problem(p, EXIT_UNSAFE, "alone",
			"session %s (pid %u) goes on alone: its data is on this host only",
			s->name, s->pid);
	else if (is(state, "lease-over"))
		problem(p, EXIT_UNSAFE, "lease-over",
			"session %s (pid %u) neither acknowledges nor answers: its spare isn't heard, and may take over",
			s->name, s->pid);
	else if (is(state, "not-protected"))
		problem(p, EXIT_UNSAFE, "not-protected",
			"session %s (pid %u): its spare doesn't have its present state; the program's next checkpoint brings it",
			s->name, s->pid);
	else if (*s->name && !s->attached)
		problem(p, EXIT_UNSAFE, "no-spare", "session %s (pid %u) has no spare%s%s",
			s->name, s->pid, error ? ": " : "", error ? error : "");
	if (js_at(view_protection(v, s), "held_off"))
		problem(p, EXIT_UNSAFE, "held-off",
			"session %s (pid %u): its checkpoints are held off: what it does isn't saved. Next: cptdevctl release %s",
			s->name, s->pid, s->name);
	if (s->flags & CPTDEV_GENL_SESSION_HUNG)
		problem(p, EXIT_UNSAFE, "hung", "session %s (pid %u) gives no sign of life",
			s->name, s->pid);
}

static void look_at_peer(struct problems *p, struct json_object *peer)
{
	const char *name = js_get_str(peer, "name"), *error;
	const char *detector = js_get_str(peer, "detector");
	struct json_object *out = js_at(peer, "outgoing"), *in = js_at(peer, "incoming");

	name = name ? name : "(has no name yet)";
	error = js_get_str(out, "error");
	if (is(detector, "dead"))
		problem(p, EXIT_LINK, "peer-dead", "peer %s counts as dead", name);
	if (out && !is(js_get_str(out, "state"), "up"))
		problem(p, EXIT_LINK, "not-shipping", "peer %s: nothing is shipped to it%s%s",
			name, error && *error ? ": " : "", error ? error : "");
	if (out && !is(js_get_str(in, "state"), "up"))
		problem(p, EXIT_LINK, "not-receiving", "peer %s: nothing is received from it",
			name);
}

/* Nothing of these names goes on before a person has decided. */
static void look_at_records(struct problems *p, const struct view *v)
{
	struct json_object *o;
	const char *state;
	size_t i;

	for (i = 0; (o = view_record(v, i, &state)); i++)
		if (is(state, "split-brain") || is(state, "damaged") || is(state, "overtaken"))
			problem(p, EXIT_UNSAFE, is(state, "damaged") ? "damaged-record" : state,
				"record %s: %s: %s", js_get_str(o, "name"), state,
				js_get_str(o, "error"));
}

static void look_at_daemon(struct problems *p, const struct view *v)
{
	struct json_object *peers = js_at(v->daemon, "peers");
	const char *error = js_get_str(v->daemon, "listen_error");
	size_t i;

	if (!v->daemon) {
		problem(p, EXIT_DAEMON, "no-daemon", "%s", v->daemon_why);
		return;
	}
	if (error)
		problem(p, EXIT_LINK, "not-listening", "the peer can't connect: %s", error);
	for (i = 0; peers && i < json_object_array_length(peers); i++)
		look_at_peer(p, json_object_array_get_idx(peers, i));
}

void problems_find(const struct view *v, struct problems *p)
{
	u32 i;

	memset(p, 0, sizeof(*p));
	if (v->kernel_err == ENOENT)
		problem(p, EXIT_KERNEL, "no-module", "the module cptdev isn't loaded");
	else if (v->kernel_err)
		problem(p, EXIT_KERNEL, "failed", "the kernel can't be asked: %s",
			strerror(v->kernel_err));
	for (i = 0; i < v->nr_sessions; i++)
		look_at_session(p, v, &v->sessions[i]);
	look_at_records(p, v);
	look_at_daemon(p, v);
}

bool problems_session(const struct view *v, const struct session_rec *s, char *why, size_t size)
{
	struct problems p = { .worst = EXIT_DONE };

	look_at_session(&p, v, s);
	if (!*s->name)
		problem(&p, EXIT_UNSAFE, "no-name", "session %llu has no name, so it is never shipped",
			s->id);
	if (p.nr && why)
		snprintf(why, size, "%s", p.list[0].text);
	return p.nr;
}

void problems_text(const struct problems *p, FILE *to)
{
	unsigned int i;

	for (i = 0; i < p->nr; i++)
		fprintf(to, "Problem: %s\n", p->list[i].text);
	if (p->more)
		fprintf(to, "Problem: and %u more\n", p->more);
	if (!p->nr)
		fprintf(to, "No problem\n");
}

struct json_object *problems_json(const struct problems *p)
{
	struct json_object *list = js_list(), *o;
	unsigned int i;

	for (i = 0; i < p->nr; i++) {
		o = js_new();
		js_str(o, "code", p->list[i].code);
		js_u64(o, "status", p->list[i].status);
		js_str(o, "text", p->list[i].text);
		json_object_array_add(list, o);
	}
	return list;
}
