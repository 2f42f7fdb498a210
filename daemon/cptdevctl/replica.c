// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl replica list, replica remove */
#include <errno.h>
#include <string.h>

#include "view.h"

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

static int replica_remove(struct ctl *c, const char *name)
{
	struct json_object *o;
	int fd, ret = ctl_need_device(c);

	if (ret)
		return ret;
	fd = kernel_replica_open(c->kernel, name, 0);
	if (fd < 0)
		return ctl_fail_replica(c, name, "remove", -fd);
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
