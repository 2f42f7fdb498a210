// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The configuration of sessions: [sessions] for all, [session NAME] for one of them. What isn't
 * given there is as for all.
 */
#include <string.h>

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

struct conf_key conf_key_of(const struct conf *c, const struct conf_named *n,
			    const struct conf_key *key)
{
	struct conf_key k = *key;

	k.offset = (const char *)&n->session - (const char *)c +
		key->offset - offsetof(struct conf, sessions);
	return k;
}
