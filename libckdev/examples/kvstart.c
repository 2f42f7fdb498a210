// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kvstore: asking before it begins. The control socket takes a line of JSON and answers with one
 * (cptdevctl(8)); "cptdevctl start" asks the same from a shell.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "kvstart.h"

#define ANSWER_MAX	4096

static int dial(const char *control)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	/* A daemon that hangs is none. */
	const struct timeval patience = { .tv_sec = 10 };
	int fd, err;

	if (strlen(control) >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	strcpy(un.sun_path, control);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
		return fd;
	err = errno;
	close(fd);
	return -err;
}

/* One line, without its end; or a negative errno. */
static int read_line(int fd, char *line, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size - 1) {
		n = recv(fd, line + len, size - 1 - len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (n == 0)
			return -ECONNRESET;
		len += (size_t)n;
		line[len] = '\0';
		if (strchr(line, '\n')) {
			*strchr(line, '\n') = '\0';
			return 0;
		}
	}
	return -EMSGSIZE;
}

/*
 * The value of a key of the answer, a flat object: what stands before a string's end, without
 * its escapes; or a number. NULL: it has no such key.
 */
static const char *value_of(const char *answer, const char *key, char *value, size_t size)
{
	char head[32];
	const char *at;
	size_t n = 0;

	snprintf(head, sizeof(head), "\"%s\":", key);
	at = strstr(answer, head);
	if (!at)
		return NULL;
	at += strlen(head);
	at += strspn(at, " \"");
	for (; *at && *at != '"' && n < size - 1; at++) {
		if (*at == '\\' && at[1])
			at++;
		value[n++] = *at;
	}
	value[n] = '\0';
	return value;
}

static enum kv_start meaning(const char *answer, uint64_t *term, char *text, size_t size)
{
	char word[32];

	if (!value_of(answer, "answer", word, sizeof(word))) {
		snprintf(text, size, "%s", answer);
		return START_UNKNOWN;
	}
	value_of(answer, "text", text, size);
	if (!strcmp(word, "spare"))
		return START_SPARE;
	if (!strcmp(word, "take-back"))
		return START_TAKE_BACK;
	if (strcmp(word, "fresh") != 0)
		return START_REFUSED;
	if (value_of(answer, "term", word, sizeof(word)))
		*term = strtoull(word, NULL, 10);
	return START_FRESH;
}

enum kv_start kv_start_ask(const char *control, const char *name, uint64_t *term, char *text,
			   size_t size)
{
	char request[256], answer[ANSWER_MAX];
	enum kv_start start = START_UNKNOWN;
	int fd = dial(control), len, ret = fd;

	*term = 0;
	*text = '\0';
	len = snprintf(request, sizeof(request), "{\"command\":\"start\",\"name\":\"%s\"}\n", name);
	if (fd >= 0) {
		ret = send(fd, request, (size_t)len, MSG_NOSIGNAL) == len ?
			read_line(fd, answer, sizeof(answer)) : -EIO;
		if (ret == 0)
			start = meaning(answer, term, text, size);
		close(fd);
	}
	if (ret < 0)
		snprintf(text, size, "%s: %s", control, strerror(-ret));
	return start;
}
