// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Programs that promised signs of life and give none (CPTDEV_IOC_SESSION_ALIVE). That is told; what
 * to do is for a person, unless on_hang = failover: then such a program counts as one that failed.
 * It may only be slow, so it is fenced first: when it runs again it finds that it must not answer.
 */
#include "ack.h"
#include "daemon.h"
#include "log.h"

static void take_over(struct daemon *d, struct known *k)
{
	const struct ship *s = alone_spare(k);
	struct ack_member members[RECORD_FOLLOWERS_MAX];
	struct peer *p;

	if (members_list(d, k, members) > 1) {
		tell(&d->tell, LOG_NOTICE, TELL_SESSION, k->rec.name,
		     "session %s isn't fenced in spite of on_hang = failover: more than one spare may be promoted, and cptdevd doesn't choose between them; to promote one, run cptdevctl promote %s on its host",
		     k->rec.name, k->rec.name);
		return;
	}
	/* Nobody could go on: a program that hangs is better than none. */
	if (!s || s->lacks || s->outdated || !k->rec.committed)
		return;
	fence_session(d, k, "it gave no sign of life (on_hang = failover)");
	if (*k->fence_why)
		return;
	ends_hung(d, k);
	LIST_FOREACH(p, &d->peers, entry)
		out_fence(&p->out, k, "it gave no sign of life");
}

static void hung_begin(struct daemon *d, struct known *k)
{
	tell_event(&d->tell, EVENT_HUNG, LOG_ERR, TELL_SESSION, k->rec.name,
		   "session %s (pid %u) HANGS: it gave no sign of life in the time that it had promised",
		   k->rec.name, k->rec.pid);
	news_session(d, k, "hung");
	if (conf_session(&d->conf, k->rec.name)->on_hang == ON_HANG_FAILOVER &&
	    !(k->rec.flags & CPTDEV_GENL_SESSION_FENCED))
		take_over(d, k);
}

void hung_look(struct daemon *d, struct known *k, bool was)
{
	bool is = k->rec.flags & CPTDEV_GENL_SESSION_HUNG;

	if (is == was || !*k->rec.name)
		return;
	if (is) {
		hung_begin(d, k);
		return;
	}
	tell(&d->tell, LOG_NOTICE, TELL_SESSION, k->rec.name,
	     "session %s (pid %u) gives signs of life again", k->rec.name, k->rec.pid);
	news_session(d, k, "alive");
}
