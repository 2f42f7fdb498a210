// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The configuration of sessions: [sessions] and [failover] for all, [session NAME] for one of
 * them. A key that isn't given there is as for all.
 */
#include <string.h>

#include "ack.h"
#include "conf_parse.h"
#include "conf_value.h"
#include "name.h"

#define SECTION	"session "

const char *conf_section_name(const char *section)
{
	const char *name = section + strlen(SECTION);

	if (strncmp(section, SECTION, strlen(SECTION)) || !name_valid(name, strlen(name)))
		return NULL;
	return name;
}

static struct conf_named *find(const struct conf *c, const char *name)
{
	u32 i;

	for (i = 0; i < c->nr_named; i++)
		if (!strcmp(c->named[i].name, name))
			return (struct conf_named *)&c->named[i];
	return NULL;
}

struct conf_named *conf_named(struct conf *c, const char *name)
{
	struct conf_named *n = find(c, name);

	if (n || c->nr_named == CONF_SESSIONS_MAX)
		return n;
	n = &c->named[c->nr_named++];
	strcpy(n->name, name);
	return n;
}

const struct conf_session *conf_session(const struct conf *c, const char *name)
{
	const struct conf_named *n = find(c, name);

	return n ? &n->session : &c->sessions;
}

static bool has_name(const char *names, const char *name)
{
	size_t len = strlen(name), n;

	while (*(names += strspn(names, " \t"))) {
		n = strcspn(names, " \t");
		if (n == len && !memcmp(names, name, n))
			return true;
		names += n;
	}
	return false;
}

bool conf_may_be_spare(const struct conf *c, const char *name, const char *node)
{
	const char *spares = conf_session(c, name)->spares;

	return !*spares || !*node || has_name(spares, node);
}

bool conf_key_per_session(const struct conf_key *key)
{
	size_t begin = offsetof(struct conf, sessions);

	return key->offset >= begin && key->offset < begin + sizeof(struct conf_session);
}

void conf_session_begins(struct parse *p, const char *name)
{
	struct conf_named *n = conf_named(p->conf, name);
	int *line;

	if (!n) {
		conf_mistake(p, p->line, "there are more than %d sections [session NAME]",
			     CONF_SESSIONS_MAX);
		return;
	}
	line = &p->named_line[n - p->conf->named];
	if (*line)
		conf_mistake(p, p->line,
			     "[session %s] begins in line %d already; put all its keys there", name,
			     *line);
	else
		*line = p->line;
}

struct conf_key conf_key_of(const struct conf *c, const struct conf_named *n,
			    const struct conf_key *key)
{
	struct conf_key k = *key;

	k.offset = (const char *)&n->session - (const char *)c +
		key->offset - offsetof(struct conf, sessions);
	return k;
}

static bool is_node(const struct conf *c, const char *name)
{
	u32 i;

	for (i = 0; i < c->nr_peers; i++)
		if (!strcmp(c->peers[i].name, name))
			return true;
	/* The file may be the same on each host. */
	return !strcmp(c->name, name);
}

/* The nodes that a value of ack or spares names. Returns their number. */
static u32 named(const char *value, struct ack_policy *names)
{
	char why[256];

	if (!*value || ack_parse(value, names, why, sizeof(why)) || names->kind != ACK_NAMED)
		return 0;
	return names->nr;
}

/* A name that is written wrong is never heard of. */
static void check_names(struct parse *p, int line, const char *section, const char *key,
			const char *value)
{
	struct ack_policy names;
	u32 i, nr = named(value, &names);

	/* Whatever it is called. */
	if (!*p->conf->peers[0].name)
		return;
	for (i = 0; i < nr; i++)
		if (!is_node(p->conf, names.names[i]))
			conf_warn(p, line,
				  "[%s] %s: %s is no peer of this host; as long as it has no section [peer %s], it can't be a spare of a session of this host",
				  section, key, names.names[i], names.names[i]);
}

/* Nothing would ever be acknowledged. */
static void check_ack_of_spares(struct parse *p, int line, const char *section,
				const struct conf_session *s)
{
	struct ack_policy names;
	u32 i, nr = named(s->ack, &names);

	for (i = 0; *s->spares && i < nr; i++)
		if (!has_name(s->spares, names.names[i]))
			conf_mistake(p, line,
				     "[%s] ack needs %s, which spares doesn't allow: name it in both, or in neither",
				     section, names.names[i]);
}

static void check_one(struct parse *p, const struct conf_named *n, int line)
{
	const struct conf_session *s = &n->session;
	char section[CPTDEV_NAME_MAX + sizeof(SECTION)];
	const char *why;

	snprintf(section, sizeof(section), SECTION "%s", n->name);
	if (conf_given(n, "failover", "on_promote") && *s->on_promote &&
	    !conf_program(s->on_promote, &why))
		conf_mistake(p, line, "[%s] on_promote = %s: can't be executed: %s", section,
			     s->on_promote, why);
	if (conf_given(n, "sessions", "on_exit") && s->on_exit == ON_EXIT_FAILOVER &&
	    s->failover != FAILOVER_AUTO)
		conf_warn(p, line,
			  "[%s] on_exit = failover has no effect on this host: with failover = manual only a person promotes",
			  section);
	if (conf_given(n, "sessions", "ack"))
		check_names(p, line, section, "ack", s->ack);
	if (conf_given(n, "sessions", "spares"))
		check_names(p, line, section, "spares", s->spares);
	if (conf_given(n, "sessions", "ack") || conf_given(n, "sessions", "spares"))
		check_ack_of_spares(p, line, section, s);
}

void conf_check_sessions(struct parse *p)
{
	const struct conf_session *all = &p->conf->sessions;
	int line = conf_line(p, "sessions", "spares");
	u32 i;

	check_names(p, conf_line(p, "sessions", "ack"), "sessions", "ack", all->ack);
	check_names(p, line, "sessions", "spares", all->spares);
	check_ack_of_spares(p, line, "sessions", all);
	for (i = 0; i < p->conf->nr_named; i++)
		check_one(p, &p->conf->named[i], p->named_line[i]);
}
