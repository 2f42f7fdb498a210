// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl version: of everything that takes part. */
#include "client.h"
#include "ctl.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

static void print_text(struct ctl *c, u32 abi, const char *daemon)
{
	fprintf(c->out, "cptdevctl %s, ABI %u\n", VERSION, CPTDEV_ABI_VERSION);
	if (abi)
		fprintf(c->out, "module: ABI %u\n", abi);
	else
		fprintf(c->out, "module: not loaded, or not open to you\n");
	fprintf(c->out, "cptdevd: %s\n", daemon ? daemon : "not running, or not open to you");
}

static void print_json(struct ctl *c, u32 abi, const char *daemon)
{
	struct json_object *o = js_document();

	js_str(o, "version", VERSION);
	js_u64(o, "abi_version", CPTDEV_ABI_VERSION);
	if (abi)
		js_u64(o, "module_abi_version", abi);
	else
		js_null(o, "module_abi_version");
	if (daemon)
		js_str(o, "daemon_version", daemon);
	else
		js_null(o, "daemon_version");
	ctl_print_json(c, o);
}

int verb_version(struct ctl *c, int argc, char **argv)
{
	struct json_object *status;
	struct cptdev_info info;
	const char *daemon;
	char why[256];
	int err;
	u32 abi;

	(void)argc;
	(void)argv;
	abi = kernel_info(c->kernel, &info) ? 0 : info.abi_version;
	status = client_status(c->socket, &err, why, sizeof(why));
	daemon = js_get_str(status, "version");
	if (c->json)
		print_json(c, abi, daemon);
	else
		print_text(c, abi, daemon);
	json_object_put(status);
	return EXIT_DONE;
}
