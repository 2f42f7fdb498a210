// SPDX-License-Identifier: GPL-2.0-or-later
/* Errors: what, why, and the next step; as text, or as JSON on standard output. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "ctl.h"

void ctl_print_json(struct ctl *c, struct json_object *o)
{
	fprintf(c->out, "%s\n", json_object_to_json_string_ext(o,
		JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
		JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

static void fail_json(struct ctl *c, const char *code, const char *next, const char *text)
{
	struct json_object *o = js_document();

	js_error(o, code, text);
	if (next)
		js_str(js_at(o, "error"), "next", next);
	ctl_print_json(c, o);
}

int ctl_fail(struct ctl *c, enum exit_status status, const char *code, const char *next,
	     const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (c->json) {
		fail_json(c, code, next, text);
		return status;
	}
	fprintf(c->err, "cptdevctl: %s\n", text);
	if (next)
		fprintf(c->err, "Next: %s\n", next);
	return status;
}

int ctl_need_device(struct ctl *c)
{
	int fd = c->kernel->ops->open(c->kernel);

	if (fd >= 0) {
		c->kernel->ops->close(c->kernel, fd);
		return 0;
	}
	if (fd == -EACCES || fd == -EPERM)
		return ctl_fail(c, EXIT_KERNEL, "permission",
				"run it as root, or join the group cptdev",
				"you may not open %s", CPTDEV_DEVICE);
	return ctl_fail(c, EXIT_KERNEL, "no-module", "cptdevctl check",
			"can't open %s: %s", CPTDEV_DEVICE, strerror(-fd));
}

int ctl_fail_replica(struct ctl *c, const char *name, const char *what, int err)
{
	switch (err) {
	case ENOENT:
		return ctl_fail(c, EXIT_FAILED, "not-found", "cptdevctl replica list",
				"can't %s %s: no replica has this name", what, name);
	case EPERM:
		return ctl_fail(c, EXIT_KERNEL, "permission", "run it as root",
				"can't %s %s: CAP_CHECKPOINT_RESTORE is missing", what,
				name);
	case EACCES:
		return ctl_fail(c, EXIT_KERNEL, "permission",
				"run it as root or as the replica's owner",
				"can't %s %s: it belongs to another user", what, name);
	case ENODATA:
		return ctl_fail(c, EXIT_FAILED, "empty", NULL,
				"can't %s %s: nothing was ever committed to it", what,
				name);
	case ESTALE:
		return ctl_fail(c, EXIT_FAILED, "stale-term",
				"leave --term out, to use the next term",
				"can't %s %s: the term must be higher than the replica's",
				what, name);
	case EINVAL:
		return ctl_fail(c, EXIT_USAGE, "usage", NULL,
				"'%s' isn't a valid name: 1 to %d of the characters A-Z a-z 0-9 . _ -",
				name, CPTDEV_NAME_MAX - 1);
	}
	return ctl_fail(c, EXIT_FAILED, "failed", NULL, "can't %s %s: %s", what, name,
			strerror(err));
}
