/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between conf.c, which takes the file apart, and conf_check.c, which looks at the whole. */
#ifndef CPTDEVD_CONF_PARSE_H
#define CPTDEVD_CONF_PARSE_H

#include "conf.h"
#include "conf_value.h"

#define CONF_KEYS_MAX	64

struct parse {
	struct conf *conf;
	FILE *from;
	const char *name;
	FILE *errors;
	int line;
	bool cut;			/* in the rest of a line that is too long */
	unsigned int mistakes;
	int seen[CONF_KEYS_MAX];	/* line of each key, 0: not given */
	unsigned int peer_given[CONF_PEERS_MAX];	/* keys of [peer NAME], bits */
	int named_line[CONF_SESSIONS_MAX];	/* where each [session NAME] begins */
};

/* @line: 0 if it is about none of them. */
void conf_mistake(struct parse *p, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Something that has no effect: the configuration is in order all the same. */
void conf_warn(struct parse *p, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Where the key was given, 0: it wasn't. */
int conf_line(const struct parse *p, const char *section, const char *name);
/* Was the key given in this [session NAME] itself? */
bool conf_given(const struct conf_named *n, const char *section, const char *name);

/* conf_session.c */
/* The name in [session NAME], or NULL: it is another section. */
const char *conf_section_name(const char *section);
/* Is it a key that [session NAME] may have? */
bool conf_key_per_session(const struct conf_key *key);
/* [session NAME] begins in this line; each name has one. */
void conf_session_begins(struct parse *p, const char *name);
/* Values that can't work, or that have no effect. @p->named_line says where they are. */
void conf_check_sessions(struct parse *p);
/* What is configured for that name, also if it is new; NULL: there are too many. */
struct conf_named *conf_named(struct conf *c, const char *name);
/* A key for all sessions, as it is for one of them. */
struct conf_key conf_key_of(const struct conf *c, const struct conf_named *n,
			    const struct conf_key *key);

/* conf_peer.c */
/* The name in [peer NAME], or NULL: it is another section. */
const char *conf_peer_section(const char *section);
void conf_take_peer(struct parse *p, const char *section, const char *name, const char *value);
void conf_check_peers(struct parse *p);
/* Sections [peer NAME] that are new, gone, or say something else: their number. */
unsigned int conf_peer_changes(const struct conf *c, const struct conf *was, conf_change_fn fn,
			       void *arg);

/* Values that don't fit together, or can't work on this host. */
void conf_check(struct parse *p);
/* The file of a program, or why it can't be executed: false, and @why. */
bool conf_program(const char *path, const char **why);

#endif
