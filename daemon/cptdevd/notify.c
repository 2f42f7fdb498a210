// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Telling the service manager. The watchdog is fed from the loop, so that a loop that
 * hangs is noticed; without a manager nothing of this does anything.
 */
#include <string.h>

#include <systemd/sd-daemon.h>

#include "notify.h"

static u32 count_shipped(const struct out *o)
{
	struct ship *s;
	u32 n = 0;

	TAILQ_FOREACH(s, &o->ships, entry)
		n += s->dev >= 0;
	return n;
}

static void peer_status(const struct peer *p, char *text, size_t size)
{
	u32 replayed = p->in ? p->in->nr_channels : 0;
	const char *name = p->in ? p->node.name : p->out.node.name;

	if (p->out.state != OUT_UP && !p->in)
		snprintf(text, size, "no link to the peer");
	else
		snprintf(text, size, "%s %s: %u sessions shipped, %u replayed",
			 p->out.state == OUT_UP && p->in ? "linked with" :
			 p->in ? "linked from" : "linked to", name,
			 count_shipped(&p->out), replayed);
}

static void notify_status(struct notify *n)
{
	char text[256];

	if (!n->d->module)
		snprintf(text, sizeof(text), "waiting for the module cptdev; next: cptdevctl check");
	else if (n->d->listen_err)
		snprintf(text, sizeof(text), "waiting for the address to listen on: %s",
			 strerror(n->d->listen_err));
	else if (n->d->control_err)
		snprintf(text, sizeof(text), "no control socket: %s",
			 strerror(n->d->control_err));
	else
		peer_status(LIST_FIRST(&n->d->peers), text, sizeof(text));
	if (!strcmp(text, n->last))
		return;
	strcpy(n->last, text);
	sd_notifyf(0, "STATUS=%s", text);
}

static void notify_tick(struct timer *t)
{
	struct notify *n = container_of(t, struct notify, tick);

	notify_status(n);
	sd_notify(0, "WATCHDOG=1");
	loop_arm(&n->d->loop, t, n->interval);
}

void notify_ready(struct notify *n, struct daemon *d)
{
	uint64_t watchdog_us;

	*n = (struct notify) {
		.d = d, .tick.fn = notify_tick, .interval = NSEC_PER_SEC,
	};
	if (sd_watchdog_enabled(0, &watchdog_us) > 0)
		n->interval = MIN(n->interval, watchdog_us * NSEC_PER_USEC / 3);
	sd_notify(0, "READY=1");
	loop_arm(&d->loop, &n->tick, 0);
}

void notify_reloading(struct notify *n)
{
	(void)n;
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", clock_mono() / NSEC_PER_USEC);
}

void notify_reloaded(struct notify *n)
{
	sd_notify(0, "READY=1");
	/* The status line is lost meanwhile. */
	*n->last = '\0';
}

void notify_stopping(struct notify *n)
{
	loop_disarm(&n->tick);
	sd_notify(0, "STOPPING=1");
}
