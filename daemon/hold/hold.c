// SPDX-License-Identifier: GPL-2.0-or-later
/* Output commit, see hold.h. */
#include <errno.h>
#include <string.h>

#include "hold.h"
#include "log.h"

static bool is_ours(const struct hold *h, const char *name)
{
	return !strcmp(h->session, name);
}

static void drop_all(struct hold *h)
{
	queue_read(&h->queue);
	queue_drop(&h->queue, h->queue.last);
	h->released = h->queue.last;
	h->marks = (struct marks) { 0 };
}

/* Something waits that no generation under way covers: a checkpoint is wanted. */
static void ask_for_one(struct hold *h)
{
	if (h->active && h->queue.last != h->released && !marks_any(&h->marks))
		soft_output_waits(h->soft, h->session);
}

static void begin(struct soft_output *o, const char *name)
{
	struct hold *h = container_of(o, struct hold, output);

	if (!is_ours(h, name))
		return;
	drop_all(h);
	h->active = true;
}

/* With its program the connections end, which no client is to hear of from here. */
static void end(struct soft_output *o, const char *name)
{
	struct hold *h = container_of(o, struct hold, output);

	if (!is_ours(h, name))
		return;
	drop_all(h);
	h->active = false;
}

static bool mark(struct soft_output *o, const char *name)
{
	struct hold *h = container_of(o, struct hold, output);

	if (!is_ours(h, name))
		return false;
	queue_read(&h->queue);
	marks_cut(&h->marks, h->queue.last);
	return true;
}

static void published(struct soft_output *o, const char *name, u64 generation)
{
	struct hold *h = container_of(o, struct hold, output);

	if (is_ours(h, name))
		marks_published(&h->marks, generation);
}

static void committed(struct soft_output *o, const char *name, u64 generation)
{
	struct hold *h = container_of(o, struct hold, output);
	u32 id;

	if (!is_ours(h, name) || !marks_committed(&h->marks, generation, &id))
		return;
	if (id != h->released)
		queue_release(&h->queue, id);
	h->released = id;
	queue_read(&h->queue);
	ask_for_one(h);
}

static void packets(struct watch *w, u32 events)
{
	struct hold *h = container_of(w, struct hold, watch);

	(void)events;
	if (!h->active) {
		drop_all(h);
		return;
	}
	queue_read(&h->queue);
	ask_for_one(h);
}

int hold_open(struct hold *h, struct loop *l, struct soft *s, const struct service *service,
	      const char *session)
{
	char why[256];
	int ret;

	*h = (struct hold) {
		.output = {
			.begin = begin, .end = end, .mark = mark, .published = published,
			.committed = committed,
		},
		.soft = s, .loop = l, .service = *service, .watch = { .fd = -1, .fn = packets },
	};
	strcpy(h->session, session);
	ret = queue_open(&h->queue, service->queue);
	if (ret) {
		log_err("[hold] queue %u can't be opened: %s%s", service->queue, strerror(-ret),
			ret == -EPERM ? ": cptdevd needs CAP_NET_ADMIN for it" :
			ret == -EBUSY ? ": another process has it: choose another number" : "");
		return -1;
	}
	if (rules_make(service, why, sizeof(why))) {
		log_err("[hold] %s", why);
		queue_close(&h->queue);
		return -1;
	}
	ret = loop_watch(l, &h->watch, queue_fd(&h->queue), EPOLLIN);
	if (ret) {
		log_err("[hold] the queue can't be watched: %s", strerror(-ret));
		queue_close(&h->queue);
		return -1;
	}
	s->output = &h->output;
	log_notice("output of session '%s' is held until the spare has what it tells", session);
	return 0;
}

void hold_close(struct hold *h)
{
	char why[256];

	if (!h->queue.sock)
		return;
	h->soft->output = NULL;
	loop_unwatch(h->loop, &h->watch);
	queue_close(&h->queue);
	if (h->active)
		log_warn("[hold] session '%s' is there: what it sends is dropped until cptdevd is started again",
			 h->session);
	else if (rules_remove(&h->service, why, sizeof(why)))
		log_warn("[hold] the rules stay: %s", why);
}
