// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who this host is to others. The identity is made of the machine's id and the node's
 * name: it stays over restarts, two nodes on one machine differ, and so do two machines
 * that were cloned but renamed.
 */
#include <string.h>
#include <unistd.h>

#include <systemd/sd-id128.h>
#include <xxhash.h>

#include "daemon.h"
#include "log.h"

/* This program's own, so that the machine's id isn't told to anybody. */
#define APP_ID	SD_ID128_MAKE(5e, 0c, 7a, 51, 94, 21, 4b, 0e, 9d, 6f, 2b, 8d, 30, 77, e4, c6)

static void node_uuid(u8 uuid[CPTDEV_UUID_LEN], const char *name)
{
	XXH128_canonical_t hash;
	sd_id128_t app = APP_ID, id;
	int i;

	XXH128_canonicalFromHash(&hash, XXH3_128bits(name, strlen(name)));
	for (i = 0; i < CPTDEV_UUID_LEN; i++)
		app.bytes[i] ^= hash.digest[i];
	if (sd_id128_get_machine_app_specific(app, &id) < 0) {
		log_notice("there is no /etc/machine-id: the node is identified by its name, '%s', only",
			   name);
		id = app;
	}
	memcpy(uuid, id.bytes, CPTDEV_UUID_LEN);
}

u64 node_without(const struct conf *conf)
{
	return conf->compression == COMPRESSION_OFF ? WIRE_FEATURE_ZSTD : 0;
}

/* This processor. Any other needs a number in link/wire.h before the daemon can be built for it. */
#if defined(__x86_64__)
#define MACHINE	WIRE_MACHINE_X86_64
#elif defined(__aarch64__)
#define MACHINE	WIRE_MACHINE_ARM64
#endif

void node_self(struct node *n, const struct conf *conf)
{
	*n = (struct node) {
		.page_size = sysconf(_SC_PAGESIZE),
		.machine = MACHINE,
		.heartbeat_ms = conf->heartbeat_ms,
		.timeout_ms = conf->timeout_ms,
		.without = node_without(conf),
	};
	strcpy(n->name, conf->name);
	node_uuid(n->uuid, n->name);
}
