// SPDX-License-Identifier: GPL-2.0-or-later
/* Messages that others can cause: tell.h has the rule. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "tell.h"

static struct told *told_find(struct teller *t, enum tell_cause cause, const char *who)
{
	struct told *m;

	LIST_FOREACH(m, &t->list, entry)
		if (m->cause == cause && !strncmp(m->who, who, sizeof(m->who) - 1))
			return m;
	return NULL;
}

static struct told *told_new(struct teller *t, enum tell_cause cause, const char *who)
{
	struct told *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->cause = cause;
	snprintf(m->who, sizeof(m->who), "%s", who);
	m->window = TELL_WINDOW_NS;
	m->gravest = LOG_DEBUG + 1;
	m->ends = t->loop->now + m->window;
	LIST_INSERT_HEAD(&t->list, m, entry);
	t->nr[cause]++;
	if (!t->timer.armed || t->timer.at > m->ends)
		loop_arm(t->loop, &t->timer, m->window);
	return m;
}

static void told_free(struct teller *t, struct told *m)
{
	t->nr[m->cause]--;
	LIST_REMOVE(m, entry);
	free(m);
}

/* The entry of this originator, or that of all who aren't told apart. */
static struct told *told_of(struct teller *t, enum tell_cause cause, const char *who)
{
	struct told *m = told_find(t, cause, who);

	if (!m && t->nr[cause] >= TELL_ORIGINATORS) {
		who = "";
		m = told_find(t, cause, who);
	}
	return m ? m : told_new(t, cause, who);
}

/* The originator is a session, a peer, or something else. */
static struct log_about about(const struct told *m)
{
	struct log_about a = { .event = m->event };

	switch (m->cause) {
	case TELL_SESSION:
	case TELL_REPLAY:
		a.session = *m->who ? m->who : NULL;
		break;
	case TELL_LINK:
	case TELL_PEER:
		a.peer = *m->who ? m->who : NULL;
		break;
	default:
		break;
	}
	return a;
}

void tell_event(struct teller *t, enum log_event event, int level, enum tell_cause cause,
		const char *who, const char *fmt, ...)
{
	struct told *m = log_shows(level) ? told_of(t, cause, who) : NULL;
	char text[sizeof(m->text)];
	struct log_about a;
	va_list ap;
	bool same;

	if (!m)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	same = !strcmp(text, m->text);
	m->level = level;
	m->event = event;
	strcpy(m->text, text);
	if (!same && (m->written < TELL_BURST || level < m->gravest)) {
		m->written++;
		m->gravest = MIN(m->gravest, level);
		a = about(m);
		log_about(level, &a, "%s", text);
	} else {
		m->suppressed++;
		t->suppressed++;
	}
}

/* What was suppressed in a window that is over. */
static void told_sum_up(const struct told *m)
{
	struct log_about a = about(m);

	if (m->suppressed == 1)
		log_about(m->level, &a, "%s", m->text);
	else
		log_about(m->level, &a, "%s (and %llu more messages of this kind, not shown)",
			  m->text, m->suppressed - 1);
}

static void tell_tick(struct timer *timer)
{
	struct teller *t = container_of(timer, struct teller, timer);
	u64 now = t->loop->now, next = ~0ULL;
	struct told *m, *following;

	for (m = LIST_FIRST(&t->list); m; m = following) {
		following = LIST_NEXT(m, entry);
		if (now >= m->ends && !m->suppressed) {
			told_free(t, m);
			continue;
		}
		if (now >= m->ends) {
			told_sum_up(m);
			m->suppressed = 0;
			m->written = 1;
			m->gravest = m->level;
			m->window = MIN(2 * m->window, TELL_WINDOW_MAX_NS);
			m->ends = now + m->window;
		}
		next = MIN(next, m->ends);
	}
	if (!LIST_EMPTY(&t->list))
		loop_arm(t->loop, timer, next - now);
}

void tell_open(struct teller *t, struct loop *l)
{
	*t = (struct teller) { .loop = l, .timer.fn = tell_tick };
	LIST_INIT(&t->list);
}

void tell_close(struct teller *t)
{
	struct told *m;

	while ((m = LIST_FIRST(&t->list))) {
		if (m->suppressed)
			told_sum_up(m);
		told_free(t, m);
	}
	if (t->loop)
		loop_disarm(&t->timer);
}
