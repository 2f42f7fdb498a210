// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl replica list, replica remove */
#include <errno.h>
#include <string.h>

#include "client.h"
#include "uuid.h"
#include "view.h"

static bool is(const char *word, const char *want)
{
	return word && !strcmp(word, want);
}

static struct json_object *list_json(const struct view *v)
{
	struct json_object *o = js_document(), *list = js_list();
	u32 i;

	for (i = 0; i < v->nr_replicas; i++)
		json_object_array_add(list, replica_json(&v->replicas[i], v->page_size));
	js_put(o, "replicas", list);
	return o;
}

static int replica_list(struct ctl *c)
{
	struct view v;
	int status = EXIT_DONE;

	view_gather(&v, c->kernel, NULL);
	if (v.kernel_err == ENOENT)
		status = ctl_fail(c, EXIT_KERNEL, "no-module", "cptdevctl check",
				  "the module cptdev isn't loaded");
	else if (v.kernel_err)
		status = ctl_fail(c, EXIT_KERNEL, "failed", NULL,
				  "can't ask the kernel: %s", strerror(v.kernel_err));
	else if (c->json)
		ctl_print_json(c, list_json(&v));
	else
		replicas_text(&v, c->out);
	view_free(&v);
	return status;
}

/* Who of the daemon's peers is linked and has the session that this replica is of, or NULL. */
static const char *feeder_of(struct json_object *daemon, const struct cptdev_image_info *info,
			     const char *name)
{
	struct json_object *peers = js_at(daemon, "peers"), *peer, *list, *r;
	char uuid[UUID_TEXT_LEN];
	size_t i, j;

	uuid_text(info->uuid, uuid);
	for (i = 0; peers && i < json_object_array_length(peers); i++) {
		peer = json_object_array_get_idx(peers, i);
		list = js_at(js_at(peer, "incoming"), "replicas");
		for (j = 0; list && j < json_object_array_length(list); j++) {
			r = json_object_array_get_idx(list, j);
			if (is(js_get_str(r, "name"), name) && is(js_get_str(r, "uuid"), uuid))
				return js_get_str(peer, "name");
		}
	}
	return NULL;
}

/*
 * What a living session is acknowledged for would be lost, and the program goes on without a
 * spare until its next checkpoint. What was promoted, is empty, or is of a session that is
 * gone is nobody's spare.
 */
static int ask_for_session(struct ctl *c, const char *name, int fd)
{
	struct json_object *daemon;
	struct cptdev_image_info info;
	const char *feeder;
	char why[256];
	int err, ret;

	ret = kernel_image_info(c->kernel, fd, &info);
	if (ret)
		return ctl_fail_replica(c, name, "remove", -ret);
	if (!info.generation || info.state & CPTDEV_IMAGE_PROMOTED || c->force)
		return 0;
	daemon = client_status(c->socket, &err, why, sizeof(why));
	feeder = feeder_of(daemon, &info, name);
	if (feeder)
		ret = ctl_fail(c, EXIT_FAILED, "session-alive",
			       "stop the program there; or, to leave it without a spare until its next checkpoint, give --force",
			       "%s isn't removed: it is the spare of a session that is alive on %s",
			       name, feeder);
	else if (!daemon && !c->json)
		fprintf(c->err, "cptdevctl: note: it isn't known whether its session is alive: %s\n",
			why);
	json_object_put(daemon);
	return ret;
}

static int replica_remove(struct ctl *c, const char *name)
{
	struct json_object *o;
	int fd, ret = ctl_need_device(c);

	if (ret)
		return ret;
	fd = kernel_replica_open(c->kernel, name, 0);
	if (fd < 0)
		return ctl_fail_replica(c, name, "remove", -fd);
	ret = ask_for_session(c, name, fd);
	if (ret) {
		c->kernel->ops->close(c->kernel, fd);
		return ret;
	}
	ret = kernel_replica_remove(c->kernel, fd);
	c->kernel->ops->close(c->kernel, fd);
	if (ret)
		return ctl_fail_replica(c, name, "remove", -ret);
	c->changed = true;
	if (!c->json) {
		fprintf(c->out, "removed %s\n", name);
		return EXIT_DONE;
	}
	o = js_document();
	js_str(o, "removed", name);
	ctl_print_json(c, o);
	return EXIT_DONE;
}

int verb_replica(struct ctl *c, int argc, char **argv)
{
	if (argc == 1 && !strcmp(argv[0], "list"))
		return replica_list(c);
	if (argc == 2 && !strcmp(argv[0], "remove"))
		return replica_remove(c, argv[1]);
	return ctl_fail(c, EXIT_USAGE, "usage", NULL,
			"replica needs 'list', or 'remove' and a name");
}
