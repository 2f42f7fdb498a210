// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The log: to the journal with fields, to standard error (for a terminal with the time, for what
 * else reads it as the journal does with the level in its notation), or to syslog.
 *
 * A message that can't be written is dropped: neither a reader that is gone nor one that
 * doesn't read may stop the daemon. How many were dropped is written as soon as writing
 * works again. main() ignores SIGPIPE.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "journal.h"
#include "log.h"

static enum log_to log_to = LOG_TO_STDERR;
static int log_max = LOG_INFO;
static bool log_levels, log_journal;
static unsigned long log_dropped;
static void (*log_fn)(int level, const char *text);

void log_level(int level)
{
	log_max = level;
}

bool log_shows(int level)
{
	return level <= log_max;
}

void log_sink(void (*fn)(int level, const char *text))
{
	log_fn = fn;
}

void log_open(enum log_to to, int level)
{
	log_to = to;
	log_max = level;
	log_levels = getenv("JOURNAL_STREAM") != NULL;
	log_journal = to == LOG_TO_STDERR && journal_open(JOURNAL_SOCKET);
	if (to == LOG_TO_SYSLOG)
		openlog("cptdevd", LOG_PID, LOG_DAEMON);
}

/*
 * Write without waiting: a socket takes MSG_DONTWAIT; a pipe that polls writable has room
 * for PIPE_BUF bytes, and no line is longer. O_NONBLOCK would change the descriptor of
 * everybody who shares it.
 */
static bool write_now(const char *text, size_t len)
{
	struct pollfd pfd = { .fd = STDERR_FILENO, .events = POLLOUT };
	ssize_t n = send(STDERR_FILENO, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno == ENOTSOCK && poll(&pfd, 1, 0) == 1)
		n = write(STDERR_FILENO, text, len);
	return n == (ssize_t)len;
}

static bool write_line(int level, const char *text)
{
	char line[1200], when[16];
	struct timespec ts;
	struct tm tm;
	int len;

	if (log_levels) {
		len = snprintf(line, sizeof(line), "<%d>%s\n", level, text);
	} else {
		clock_gettime(CLOCK_REALTIME, &ts);
		localtime_r(&ts.tv_sec, &tm);
		strftime(when, sizeof(when), "%H:%M:%S", &tm);
		len = snprintf(line, sizeof(line), "%s.%03ld cptdevd: %s\n", when,
			       ts.tv_nsec / 1000000, text);
	}
	return write_now(line, len);
}

static void write_stderr(int level, const char *text)
{
	char dropped[80];

	if (log_dropped) {
		snprintf(dropped, sizeof(dropped), "%lu messages could not be written",
			 log_dropped);
		if (write_line(LOG_WARNING, dropped))
			log_dropped = 0;
	}
	if (log_dropped || !write_line(level, text))
		log_dropped++;
}

void log_about(int level, const struct log_about *about, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (level > log_max)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (log_fn)
		log_fn(level, text);
	else if (log_to == LOG_TO_SYSLOG)
		syslog(level, "%s", text);
	else if (!log_journal || !journal_write(level, about, text))
		write_stderr(level, text);
}
