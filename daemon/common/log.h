/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEVD_LOG_H
#define CPTDEVD_LOG_H

#include <stdbool.h>
#include <sys/types.h>
#include <syslog.h>

/* Events that a monitor can look for in the journal. Each has a MESSAGE_ID: journal.c. */
enum log_event {
	EVENT_NONE,
	EVENT_PROMOTED,		/* a replica, here */
	EVENT_FENCED,		/* a session: it must stop serving */
	EVENT_SPLIT_BRAIN,
	EVENT_DATA_LOST,	/* what was acknowledged isn't on the host that went on */
	EVENT_RESOLVED,		/* one of these two */
	EVENT_ALONE,		/* a session acknowledges without a spare */
	EVENT_BLOCKED,		/* a session acknowledges nothing: its lease is over */
	EVENT_UNBLOCKED,
	EVENT_HUNG,		/* a program gives no sign of life */
	EVENT_LINK_MADE,
	EVENT_LINK_LOST,
	EVENT_PEER_DEAD,
	EVENT_PERSON,		/* somebody, @user, told the daemon to do something */
	EVENT_VERIFY_MISMATCH,	/* a replica isn't what was sent to it */
};

/* The fields of a message; NULL and EVENT_NONE: it has none. @user: by whose word. */
struct log_about {
	enum log_event event;
	const char *session, *peer;
	const uid_t *user;
};

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
void log_about(int level, const struct log_about *about, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_write(level, ...)	log_about(level, &(struct log_about) { 0 }, __VA_ARGS__)
#define log_err(...)	log_write(LOG_ERR, __VA_ARGS__)
#define log_warn(...)	log_write(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)	log_write(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)	log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...)	log_write(LOG_DEBUG, __VA_ARGS__)

/* A replica was promoted here, by word of the user *@uid, or NULL. */
#define log_promoted(uid, name, ...) \
	log_about(LOG_NOTICE, &(struct log_about) { \
		  .event = EVENT_PROMOTED, .session = (name), .user = (uid) }, __VA_ARGS__)

/* The user @uid told the daemon to do something with @name. */
#define log_person(uid, name, ...) \
	log_about(LOG_NOTICE, &(struct log_about) { \
		  .event = EVENT_PERSON, .session = (name), .user = &(uid_t) { uid } }, __VA_ARGS__)

#endif
