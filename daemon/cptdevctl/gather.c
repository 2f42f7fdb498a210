// SPDX-License-Identifier: GPL-2.0-or-later
/* Asking the kernel and the daemon. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "view.h"

static void *grow(void *p, u32 nr, size_t size)
{
	/* In powers of two. */
	if (nr & (nr - 1))
		return p;
	p = reallocarray(p, nr ? 2 * nr : 1, size);
	if (!p)
		abort();
	return p;
}

static void add_record(const struct kernel_event *ev, void *arg)
{
	struct view *v = arg;

	if (ev->session) {
		v->sessions = grow(v->sessions, v->nr_sessions, sizeof(*v->sessions));
		v->sessions[v->nr_sessions++] = *ev->session;
	} else {
		v->replicas = grow(v->replicas, v->nr_replicas, sizeof(*v->replicas));
		v->replicas[v->nr_replicas++] = *ev->replica;
	}
}

static int by_session(const void *a, const void *b)
{
	const struct session_rec *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int by_replica(const void *a, const void *b)
{
	const struct replica_rec *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void gather_kernel(struct view *v, struct kernel *k)
{
	v->kernel_err = -k->ops->dump(k, CPTDEV_CMD_SESSION_GET, add_record, v);
	if (!v->kernel_err)
		v->kernel_err = -k->ops->dump(k, CPTDEV_CMD_REPLICA_GET, add_record, v);
	v->has_info = !v->kernel_err && !kernel_info(k, &v->info);
	if (v->nr_sessions)
		qsort(v->sessions, v->nr_sessions, sizeof(*v->sessions), by_session);
	if (v->nr_replicas)
		qsort(v->replicas, v->nr_replicas, sizeof(*v->replicas), by_replica);
}

void view_gather(struct view *v, struct kernel *k, const char *socket)
{
	memset(v, 0, sizeof(*v));
	v->page_size = sysconf(_SC_PAGESIZE);
	v->soft = k->ops->name && !strcmp(k->ops->name, "soft");
	gather_kernel(v, k);
	if (socket)
		v->daemon = client_status(socket, &v->daemon_err, v->daemon_why,
					  sizeof(v->daemon_why));
}

void view_free(struct view *v)
{
	free(v->sessions);
	free(v->replicas);
	json_object_put(v->daemon);
}
