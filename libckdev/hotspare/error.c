// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: telling what is wrong. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "error.h"

int hs_fail(struct hs_error *e, int err, const char *fmt, ...)
{
	va_list ap;

	if (e) {
		va_start(ap, fmt);
		vsnprintf(e->text, sizeof(e->text), fmt, ap);
		va_end(ap);
	}
	errno = err;
	return -1;
}

/* A reader that is only slow has so long. */
#define SAY_MS		100

/* A socket knows flags for what is wanted; of anything else room is waited for. */
static void write_line(const char *text, size_t len)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
	ssize_t n;

	if (poll(&p, 1, SAY_MS) != 1)
		return;
	n = send(STDERR_FILENO, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno == ENOTSOCK)
		n = write(STDERR_FILENO, text, len);
	(void)n;
}

/*
 * The signal of a write is for the thread that writes: it is held off, and taken if it came.
 * One that was pending before is somebody else's.
 */
static void write_quietly(const char *text, size_t len)
{
	const struct timespec none = { 0, 0 };
	sigset_t pipe_set, old, before;
	int saved = errno;

	sigemptyset(&pipe_set);
	sigaddset(&pipe_set, SIGPIPE);
	sigpending(&before);
	pthread_sigmask(SIG_BLOCK, &pipe_set, &old);
	write_line(text, len);
	if (!sigismember(&before, SIGPIPE))
		while (sigtimedwait(&pipe_set, NULL, &none) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = saved;
}

static void say(const char *before, const char *fmt, va_list ap)
{
	char text[1024];
	size_t n = (size_t)snprintf(text, sizeof(text), "%s", before);

	/* One character is left for the end of the line. */
	vsnprintf(text + n, sizeof(text) - n - 1, fmt, ap);
	n = strlen(text);
	text[n] = '\n';
	write_quietly(text, n + 1);
}

void hs_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("", fmt, ap);
	va_end(ap);
}

void hs_fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("libhotspare: ", fmt, ap);
	va_end(ap);
	abort();
}
