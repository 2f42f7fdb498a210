// SPDX-License-Identifier: GPL-2.0-or-later
/* The daemon's control socket: one line there, one line back. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client.h"

#define ANSWER_MAX	(16U << 20)

int client_connect(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	strcpy(un.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&un, sizeof(un)))
		return fd;
	err = errno;
	close(fd);
	return -err;
}

static struct json_object *client_ask(int fd)
{
	static const char request[] = "{\"command\":\"status\"}\n";
	struct json_object *answer = NULL;
	FILE *from = fdopen(fd, "r+");
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	if (!from) {
		close(fd);
		return NULL;
	}
	if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) ==
	    sizeof(request) - 1) {
		n = getline(&line, &size, from);
		if (n > 0 && n < ANSWER_MAX)
			answer = json_tokener_parse(line);
	}
	free(line);
	fclose(from);
	return answer;
}

struct json_object *client_status(const char *path, int *err, char *why, size_t size)
{
	struct json_object *o;
	int fd = client_connect(path);

	*err = 0;
	if (fd < 0) {
		*err = -fd;
		if (fd == -EACCES)
			snprintf(why, size,
				 "%s isn't open to you: be root or a member of its group",
				 path);
		else if (fd == -ENOENT || fd == -ECONNREFUSED)
			snprintf(why, size, "cptdevd isn't running (%s)", path);
		else
			snprintf(why, size, "%s: %s", path, strerror(-fd));
		return NULL;
	}
	o = client_ask(fd);
	if (o && !js_at(o, "error"))
		return o;
	*err = EPROTO;
	snprintf(why, size, "cptdevd didn't answer: %s", o && js_at(o, "error") ?
		 js_get_str(js_at(o, "error"), "message") : "the connection was closed");
	json_object_put(o);
	return NULL;
}
