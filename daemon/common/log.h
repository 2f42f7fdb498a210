/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEVD_LOG_H
#define CPTDEVD_LOG_H

#include <stdbool.h>
#include <syslog.h>

enum log_to { LOG_TO_STDERR, LOG_TO_SYSLOG };

/* Messages up to @level (syslog(3)) are shown. */
void log_open(enum log_to to, int level);
void log_level(int level);
bool log_shows(int level);
/* A test's: each message that is shown goes there and nowhere else; NULL: as before. */
void log_sink(void (*fn)(int level, const char *text));

/*
 * For what this host decides, or what is told once. A message that others can cause again
 * and again goes through tell(), tell.h.
 */
void log_write(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_err(...)	log_write(LOG_ERR, __VA_ARGS__)
#define log_warn(...)	log_write(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)	log_write(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)	log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...)	log_write(LOG_DEBUG, __VA_ARGS__)

#endif
