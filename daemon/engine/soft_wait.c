// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The soft engine: calls that wait. A program gives up by closing the socket that it wants
 * the answer on, so that no time is measured here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "soft_program.h"

/* As in ckdev.h. */
#define WAIT_COMMITS	1U
#define PROMOTED	1U
#define COMMITTED	2U

void soft_wait_free(struct soft_wait *w)
{
	int fd = w->reply.fd;

	soft_unwatch(w->client->s, &w->reply);
	close(fd);
	w->client->nr_waits--;
	LIST_REMOVE(w, entry);
	free(w);
}

static void gave_up(struct soft_watch *watch)
{
	soft_wait_free(container_of(watch, struct soft_wait, reply));
}

/* Keep the call; its socket for the answer is taken from @m. */
static int wait_later(struct soft_client *c, struct soft_message *m, struct soft_reply *r,
		      struct soft_wait **wp)
{
	struct soft_wait *w;
	int ret;

	if (c->nr_waits == SOFT_WAITS_MAX)
		return -EDQUOT;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->client = c;
	w->len = m->len;
	w->reply = (struct soft_watch) { .fd = -1, .fn = gave_up };
	ret = soft_watch(c->s, &w->reply, m->reply);
	if (ret) {
		free(w);
		return ret;
	}
	m->reply = -1;
	c->nr_waits++;
	LIST_INSERT_HEAD(&c->waits, w, entry);
	r->later = true;
	*wp = w;
	return 0;
}

static void wait_answer(struct soft_wait *w, int err, const void *arg, u32 size)
{
	soft_answer(w->reply.fd, err, arg, MIN(w->len, size), NULL, 0, -1);
	soft_wait_free(w);
}

/* Once, until the program asks how things are: then poll() tells it of the next. */
static void tell_news(struct soft_client *c)
{
	const struct soft_answer head = {};

	if (c->news)
		return;
	c->news = true;
	/* A program that doesn't read has a full queue, and news in it. */
	if (send(c->socket.fd, &head, sizeof(head), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

/*
 * Sessions
 */

static void show(const struct soft_session *se, struct cptdev_wait *arg)
{
	arg->committed = se->rec.committed;
	arg->state = se->state.flags;
}

int soft_wait_session(struct soft_client *c, struct soft_message *m, struct soft_reply *r)
{
	struct cptdev_wait *arg = (void *)m->arg;
	struct soft_session *se = c->session;
	struct soft_wait *w;
	u64 wanted;
	int ret;

	if (arg->flags)
		return -EOPNOTSUPP;
	if (!se)
		return -EINVAL;
	if (arg->reserved)
		return -EINVAL;
	c->news = false;
	show(se, arg);
	wanted = arg->generation ? arg->generation : se->rec.published;
	if (soft_session_wait(se, wanted, !arg->generation, &ret))
		return ret;
	if (!arg->timeout_ns)
		return -ETIMEDOUT;
	ret = wait_later(c, m, r, &w);
	if (ret)
		return ret;
	w->wanted = wanted;
	w->session = *arg;
	return 0;
}

void soft_program_answer(struct soft_session *se)
{
	struct soft_client *c = se->client;
	struct soft_wait *w, *next;
	int ret;

	for (w = c ? LIST_FIRST(&c->waits) : NULL; w; w = next) {
		next = LIST_NEXT(w, entry);
		if (!soft_session_wait(se, w->wanted, !w->session.generation, &ret))
			continue;
		show(se, &w->session);
		wait_answer(w, ret, &w->session, sizeof(w->session));
	}
}

void soft_program_session(struct soft *s, struct soft_session *se)
{
	(void)s;
	if (!se->client)
		return;
	soft_program_answer(se);
	tell_news(se->client);
}

/*
 * Replicas
 */

static bool replica_over(const struct soft_file *f, struct soft_replica_wait *arg, int *ret)
{
	const struct soft_replica *r = f->replica;

	arg->result = r->promoted ? PROMOTED : 0;
	if ((arg->flags & WAIT_COMMITS) && r->rec.commits != f->seen)
		arg->result |= COMMITTED;
	*ret = 0;
	if (arg->result)
		return true;
	*ret = -ENOENT;			/* it was removed: nothing will come */
	return !r->named;
}

int soft_wait_replica(struct soft_client *c, struct soft_message *m, struct soft_reply *r)
{
	struct soft_replica_wait *arg = (void *)m->arg;
	struct soft_file *f = soft_file(c->s, c->file);
	struct soft_wait *w;
	int ret;

	if (arg->flags & ~WAIT_COMMITS)
		return -EOPNOTSUPP;
	c->news = false;
	/* Until it is closed: between two calls the program waits as well. */
	f->replica->rec.waiters += !f->waits;
	f->waits = true;
	if (replica_over(f, arg, &ret))
		return ret;
	if (!arg->timeout_ns)
		return -ETIMEDOUT;
	ret = wait_later(c, m, r, &w);
	if (!ret)
		w->replica = *arg;
	return ret;
}

static void replica_news(struct soft_client *c, const struct soft_file *f)
{
	struct soft_wait *w, *next;
	int ret;

	for (w = LIST_FIRST(&c->waits); w; w = next) {
		next = LIST_NEXT(w, entry);
		if (replica_over(f, &w->replica, &ret))
			wait_answer(w, ret, &w->replica, sizeof(w->replica));
	}
	tell_news(c);
}

void soft_program_replica(struct soft *s, struct soft_replica *r)
{
	struct soft_client *c;

	for (c = LIST_FIRST(&s->clients); c; c = LIST_NEXT(c, entry)) {
		const struct soft_file *f = soft_file(s, c->file);

		if (f && f->replica == r)
			replica_news(c, f);
	}
}
