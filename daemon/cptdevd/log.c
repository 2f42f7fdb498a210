// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The log: to standard error, for a terminal with the time and for the journal with the
 * level in its own notation, or to syslog.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "log.h"

static enum log_to log_to = LOG_TO_STDERR;
static int log_max = LOG_INFO;
static int log_journal;

void log_level(int level)
{
	log_max = level;
}

void log_open(enum log_to to, int level)
{
	log_to = to;
	log_max = level;
	log_journal = getenv("JOURNAL_STREAM") != NULL;
	if (to == LOG_TO_SYSLOG)
		openlog("cptdevd", LOG_PID, LOG_DAEMON);
}

static void write_stderr(int level, const char *text)
{
	struct timespec ts;
	struct tm tm;
	char when[16];

	if (log_journal) {
		fprintf(stderr, "<%d>%s\n", level, text);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &ts);
	localtime_r(&ts.tv_sec, &tm);
	strftime(when, sizeof(when), "%H:%M:%S", &tm);
	fprintf(stderr, "%s.%03ld cptdevd: %s\n", when, ts.tv_nsec / 1000000, text);
}

void log_write(int level, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (level > log_max)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (log_to == LOG_TO_SYSLOG)
		syslog(level, "%s", text);
	else
		write_stderr(level, text);
}
