// SPDX-License-Identifier: GPL-2.0-or-later
/* The daemon's control socket: one line there, one line back. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
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

/* @request ends with a line feed. */
static struct json_object *client_ask(int fd, const char *request)
{
	static const struct timeval patience = { .tv_sec = 10 };
	struct json_object *answer = NULL;
	FILE *from = fdopen(fd, "r+");
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	if (!from) {
		close(fd);
		return NULL;
	}
	/* A daemon that hangs is none. */
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request)) {
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
				 "you may not open %s: run as root, or join its group",
				 path);
		else if (fd == -ENOENT || fd == -ECONNREFUSED)
			snprintf(why, size, "cptdevd isn't running (%s)", path);
		else
			snprintf(why, size, "%s: %s", path, strerror(-fd));
		return NULL;
	}
	o = client_ask(fd, "{\"command\":\"status\"}\n");
	if (o && !js_at(o, "error"))
		return o;
	*err = EPROTO;
	snprintf(why, size, "cptdevd didn't answer: %s", o && js_at(o, "error") ?
		 js_get_str(js_at(o, "error"), "message") : "the connection was closed");
	json_object_put(o);
	return NULL;
}

struct json_object *client_command(const char *path, struct json_object *request, int *err)
{
	struct json_object *answer = NULL;
	int fd = client_connect(path);
	char *line = NULL;

	*err = fd < 0 ? -fd : 0;
	if (fd >= 0 && asprintf(&line, "%s\n", js_line(request)) > 0)
		answer = client_ask(fd, line);
	else if (fd >= 0)
		close(fd);
	if (fd >= 0 && !answer)
		*err = EPROTO;
	free(line);
	json_object_put(request);
	return answer;
}
