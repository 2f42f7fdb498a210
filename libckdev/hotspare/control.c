// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: asking a cptdevd, see control.h: a line of JSON, and so is the answer. Whoever
 * answers may say anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "control.h"

/* Thousands of sessions make less. */
#define ANSWER_MAX	(4U << 20)

/* It doesn't wait: a daemon that lets nobody in isn't one to rely on. Or -1 with errno. */
static int connect_to(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(un.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(un.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || !connect(fd, (struct sockaddr *)&un, sizeof(un)))
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

static const char *why_not(int err)
{
	switch (err) {
	case ENOENT:
	case ECONNREFUSED:
		return "cptdevd isn't running";
	case EACCES:
		return "it isn't open to this program: be root or a member of the group cptdev";
	case EAGAIN:
		return "cptdevd doesn't answer";
	}
	return strerror(err);
}

/* Returns the number of bytes that came before the end, 0 at the end of the answer, else -1. */
static ssize_t receive(int fd, char *to, size_t size, int64_t end)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int64_t left;
	ssize_t n;

	while ((left = end - hs_now_ms()) > 0) {
		if (poll(&p, 1, (int)left) <= 0)
			continue;
		n = recv(fd, to, size, 0);
		if (n >= 0 || (errno != EINTR && errno != EAGAIN))
			return n;
	}
	return -1;
}

/* As soon as it is whole; or NULL, when it is none. */
static struct json_object *parse(struct json_tokener *tok, int fd, int64_t end)
{
	struct json_object *answer;
	size_t total = 0;
	char part[4096];
	ssize_t n;

	while (total < ANSWER_MAX) {
		n = receive(fd, part, sizeof(part), end);
		if (n <= 0)
			return NULL;
		total += (size_t)n;
		answer = json_tokener_parse_ex(tok, part, (int)n);
		if (json_tokener_get_error(tok) != json_tokener_continue)
			return answer;
	}
	return NULL;
}

static struct json_object *get_answer(int fd, const char *request, int timeout_ms)
{
	const ssize_t len = (ssize_t)strlen(request);
	int64_t end = hs_now_ms() + timeout_ms;
	struct json_object *answer = NULL;
	struct json_tokener *tok;

	if (send(fd, request, (size_t)len, MSG_NOSIGNAL) != len)
		return NULL;
	tok = json_tokener_new();
	if (tok) {
		answer = parse(tok, fd, end);
		json_tokener_free(tok);
	}
	return answer;
}

int hs_control_connect(const char *path, struct hs_error *e)
{
	int fd = connect_to(path);

	if (fd >= 0 && !fcntl(fd, F_SETFL, 0))
		return fd;
	hs_fail(e, errno, "%.60s: %.100s", path, why_not(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

struct json_object *hs_control_ask(const char *path, const char *request, int timeout_ms,
				   struct hs_error *e)
{
	struct json_object *answer = NULL;
	int fd = connect_to(path);

	if (fd < 0) {
		hs_fail(e, errno, "%.60s: %.100s", path, why_not(errno));
		return NULL;
	}
	answer = get_answer(fd, request, timeout_ms);
	close(fd);
	if (json_object_is_type(answer, json_type_object))
		return answer;
	json_object_put(answer);
	hs_fail(e, EPROTO, "%.60s: cptdevd doesn't answer", path);
	return NULL;
}
