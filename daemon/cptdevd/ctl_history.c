// SPDX-License-Identifier: GPL-2.0-or-later
/* The control socket: the past generations of a replica. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "json.h"
#include "name.h"

const char ctl_history_loss[] =
	"all that was acknowledged after this generation is lost for good, on this host and then on the others; to lose it: --force";

/* Why a replica can't go back, or NULL: what is true of each promotion. */
const char *ctl_history_failure(int err)
{
	switch (err) {
	case ENODATA:
	case ESTALE:
		return "the replica doesn't have this generation, or not any more, or the term isn't higher than its term. Next: cptdevctl history";
	case EINVAL:
		return "this is the newest generation, so there is nothing to go back to: leave --generation away";
	case EBUSY:
		return "a program reads the replica; wait until it is done";
	case ENOTTY:
		return "the module is too old: it keeps no past generations";
	}
	return NULL;
}

static void put_past(struct json_object *list, const struct cptdev_past *p)
{
	struct json_object *o = js_new();

	js_u64(o, "generation", p->generation);
	js_u64(o, "term", p->term);
	js_u64(o, "committed_unix_ms", p->committed_ns / NSEC_PER_MSEC);
	js_u64(o, "pages", p->pages);
	json_object_array_add(list, o);
}

static struct json_object *document(struct kernel *k, int fd, const char *name)
{
	struct cptdev_replica_history h = { .vec_len = 2 * CPTDEV_HISTORY_MAX };
	struct cptdev_past *v = calloc(h.vec_len, sizeof(*v));
	struct json_object *o, *list;
	struct cptdev_image_info info;
	int ret = v ? 0 : -ENOMEM;
	u32 i;

	h.vec = (unsigned long)v;
	if (!ret)
		ret = kernel_image_info(k, fd, &info);
	if (!ret)
		ret = kernel_replica_history(k, fd, &h);
	if (ret) {
		free(v);
		return refusal("failed", ctl_history_failure(-ret) ?
			       ctl_history_failure(-ret) : strerror(-ret));
	}
	o = js_document();
	js_str(o, "name", name);
	js_u64(o, "generation", info.generation);
	js_u64(o, "keep", h.keep);
	js_u64(o, "max_bytes", h.max_bytes);
	js_u64(o, "bytes", h.bytes);
	list = js_list();
	for (i = 0; i < MIN(h.nr, h.vec_len); i++)
		put_past(list, &v[i]);
	js_put(o, "past", list);
	free(v);
	return o;
}

/* The user whose replica it is may ask. */
static bool may(const struct client *c, int fd)
{
	struct cptdev_image_info info;

	return client_may(c) ||
		(!kernel_image_info(c->d->kernel, fd, &info) && info.uid == c->cred.uid);
}

struct json_object *ctl_history(struct client *c, struct json_object *request)
{
	const char *name = js_get_str(request, "name");
	struct kernel *k = c->d->kernel;
	struct json_object *o;
	int fd;

	if (!name || !name_valid(name, strlen(name)))
		return refusal("bad-request", "\"name\" is missing, or isn't a name");
	fd = kernel_replica_open(k, name, 0);
	if (fd < 0)
		return refusal("no-replica", fd == -ENOENT ?
			       "this host has no replica of that name" : strerror(-fd));
	o = may(c, fd) ? document(k, fd, name) :
		refusal("permission", "the replica belongs to another user");
	k->ops->close(k, fd);
	return o;
}
