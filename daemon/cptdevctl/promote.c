// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl promote: without the daemon, which may be what is broken. */
#include "ctl.h"

static void promoted_text(struct ctl *c, const char *name, u64 generation, u64 term)
{
	fprintf(c->out, "promoted %s: generation %llu, term %llu\n", name, generation, term);
	fprintf(c->out,
		"A program that waits for it on this host takes over now. One that is started\n"
		"by hand restores the replica and names its session %s with term %llu; the\n"
		"program that it takes over from is refused from now on.\n", name, term);
}

static struct json_object *promoted_json(const char *name, u64 generation, u64 term)
{
	struct json_object *o = js_document();

	js_str(o, "name", name);
	js_u64(o, "generation", generation);
	js_u64(o, "term", term);
	return o;
}

int verb_promote(struct ctl *c, int argc, char **argv)
{
	u64 term = c->term, generation;
	int fd, ret;

	if (argc != 1)
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl replica list",
				"promote needs the name of one replica");
	ret = ctl_need_device(c);
	if (ret)
		return ret;
	fd = kernel_replica_open(c->kernel, argv[0], CPTDEV_REPLICA_WRITE);
	if (fd < 0)
		return ctl_fail_replica(c, argv[0], "promote", -fd);
	ret = kernel_replica_promote(c->kernel, fd, &term, &generation);
	c->kernel->ops->close(c->kernel, fd);
	if (ret)
		return ctl_fail_replica(c, argv[0], "promote", -ret);
	if (c->json)
		ctl_print_json(c, promoted_json(argv[0], generation, term));
	else
		promoted_text(c, argv[0], generation, term);
	return EXIT_DONE;
}
