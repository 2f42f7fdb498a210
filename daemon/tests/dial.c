// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "dial.h"
#include "json.h"

int dial(struct host *h)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	strcpy(un.sun_path, h->conf.control);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}

struct json_object *answer(struct pair *p, int fd)
{
	static char buf[1 << 20];
	u64 until = clock_mono() + WAIT_MS * NSEC_PER_MSEC;
	size_t len = 0;
	ssize_t n;

	while (clock_mono() < until) {
		n = recv(fd, buf + len, 1, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return NULL;
		if (n > 0 && buf[len++] == '\n') {
			buf[len] = '\0';
			return json_tokener_parse(buf);
		}
		if (n < 0)
			pair_run(p, 0);
	}
	fail_msg("the daemon has said nothing");
	return NULL;
}

struct json_object *ask(struct pair *p, int fd, const char *line)
{
	assert_int_equal(send(fd, line, strlen(line), MSG_NOSIGNAL), strlen(line));
	return answer(p, fd);
}
