// SPDX-License-Identifier: GPL-2.0-or-later
/* Planned switch-overs, on the primary's host: the reasons to refuse one, and the next step of each. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon.h"

const char *switch_refuse(const char *code, char *why, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return code;
}

/* Nothing of that name is a primary here. */
static const char *refuse_name(struct daemon *d, const char *name, char *why, size_t size)
{
	const struct record *r = record_of(d, name);
	const struct peer *p = LIST_FIRST(&d->peers);

	if (records_damaged(d, name))
		return switch_refuse("damaged", why, size,
				     "its record is damaged and can't be read. Next: %s",
				     ADVICE(d, "forget", name));
	if (r && r->role == RECORD_SPARE)
		return switch_refuse("spare", why, size,
				     "this host is its spare. Next: on %s: cptdevctl switchover %s",
				     *p->node.name ? p->node.name : "the primary's host", name);
	return switch_refuse("no-session", why, size,
			     "no program of this host has that name. Next: cptdevctl status");
}

static const char *check_link(struct daemon *d, const struct out *o, const char *peer, char *why,
			      size_t size)
{
	if (o->state != OUT_UP)
		return switch_refuse("not-linked", why, size, "the spare's host isn't linked%s%s. Next: cptdevctl status; cptdevctl check",
				     *o->last.text ? ": " : "", o->last.text);
	if (peer && strcmp(peer, o->node.name))
		return switch_refuse("not-linked", why, size, "%s isn't linked, %s is. Next: cptdevctl status",
				     peer, o->node.name);
	if (!(o->features & WIRE_FEATURE_SWITCH))
		return switch_refuse("version", why, size,
				     "cptdevd of %s is too old for a switch-over. Next: install the same version there; or stop the program here, and promote there: %s",
				     o->node.name, ADVICE(d, "promote", "NAME"));
	return NULL;
}

struct ship *switch_spare(const struct known *k, const struct out *o)
{
	struct ship *s;

	TAILQ_FOREACH(s, &k->ships, of_session)
		if (s->out == o && ship_follows(s))
			return s;
	return NULL;
}

static const char *check_spare(struct daemon *d, const struct known *k, const struct out *o,
			       const char *name, char *why, size_t size)
{
	const struct ship *s = switch_spare(k, o);
	u64 behind;

	if (!s)
		return switch_refuse("no-spare", why, size,
				     "%s doesn't follow it. Next: cptdevctl status, which says why",
				     o->node.name);
	if (k->alone || s->outdated || s->lacks || !k->rec.published)
		return switch_refuse("not-in-step", why, size,
				     "%s isn't in step yet: it may not be promoted before it has everything. Next: cptdevctl status; try again when %s is protected",
				     o->node.name, name);
	behind = lag_ns(&s->lag, clock_mono());
	if (behind <= d->conf.timeout_ms * NSEC_PER_MSEC)
		return NULL;
	return switch_refuse("lags", why, size,
			     "%s lags by %llu generations and %llu ms: the program would be stopped for that time. Next: cptdevctl status; try again with less load",
			     o->node.name, k->rec.published - s->committed, behind / NSEC_PER_MSEC);
}

struct out *switch_out(struct daemon *d, const struct known *k, const char *peer)
{
	struct peer *named = peer ? peer_of_name(d, peer) : NULL;
	struct ship *s = k ? alone_spare(k) : NULL;

	if (named)
		return &named->out;
	return s ? s->out : &LIST_FIRST(&d->peers)->out;
}

const char *switch_check(struct daemon *d, const struct known *k, const char *name,
			 const char *peer, char *why, size_t size)
{
	const struct out *o = switch_out(d, k, peer);
	const struct switchover *sw = switch_find(d, name);
	const char *code;

	if (!k)
		return refuse_name(d, name, why, size);
	if (sw && sw->phase != SWITCH_OVER)
		return switch_refuse("busy", why, size, "it is being switched over. Next: cptdevctl status");
	if (k->rec.flags & CPTDEV_GENL_SESSION_FENCED)
		return switch_refuse("fenced", why, size,
				     "its program is fenced: another host has gone on. Next: cptdevctl status, on both hosts");
	if (*k->barred)
		return switch_refuse(records_split(d, name) ? "split-brain" :
			      records_overtaken(d, name) ? "overtaken" : "blocked", why, size,
			      "%s. Next: cptdevctl status, on both hosts", k->barred);
	if (k->off.until)
		return switch_refuse("held-off", why, size, "its checkpoints are held off. Next: cptdevctl release %s",
				     name);
	if (!k->decided || k->undecided || d->stopping)
		return switch_refuse("busy", why, size, "%s. Next: try again", d->stopping ?
				     "this daemon is being stopped" : "the program was just started");
	code = check_link(d, o, peer, why, size);
	return code ? code : check_spare(d, k, o, name, why, size);
}
