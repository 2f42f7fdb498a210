// SPDX-License-Identifier: GPL-2.0-or-later
/* A program that goes on from a replica of another host: its connection is fetch.c's from then on. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "ctl.h"
#include "json.h"
#include "name.h"

/* So long a replica that is in use is asked for, unless the request says otherwise. */
#define WAIT_MS		10000U
#define WAIT_MS_MAX	600000U

struct json_object *ctl_fetch(struct client *c, struct json_object *request)
{
	const char *name = js_get_str(request, "name"), *from = js_get_str(request, "from"), *code;
	u64 wait = js_get_u64(request, "wait_ms");
	char why[400];
	int fd;

	if (!name || !name_valid(name, strlen(name)))
		return refusal("bad-request", "\"name\" is missing, or isn't a name");
	if (!from || !name_valid(from, strlen(from)))
		return refusal("bad-request", "\"from\" is missing, or isn't the name of a node");
	if (!client_may(c) && record_of_other(record_of(c->d, name), c->cred.uid))
		return refusal("permission", "the name belongs to another user");
	wait = wait ? MIN(wait, WAIT_MS_MAX) : WAIT_MS;
	fd = fcntl(c->watch.fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return refusal("failed", strerror(errno));
	code = fetch_begin(c->d, fd, c->cred.uid, client_may(c), name, from,
			   wait * NSEC_PER_MSEC, why, sizeof(why));
	c->over = !code;
	return code ? refusal(code, why) : NULL;
}
