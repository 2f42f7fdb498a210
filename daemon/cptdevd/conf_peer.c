// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The configuration of peers: [peer], and a section [peer NAME] for each further host. Keys that say how
 * links are protected, and what they save, are in [peer] for all of them.
 */
#include <string.h>

#include "conf_parse.h"
#include "conf_value.h"
#include "name.h"

#define SECTION	"peer "

const char *conf_peer_section(const char *section)
{
	const char *name = section + strlen(SECTION);

	if (strncmp(section, SECTION, strlen(SECTION)) || !name_valid(name, strlen(name)))
		return NULL;
	return name;
}

bool conf_peer_given(const struct conf_peer *p)
{
	return p->addr.ss_family || *p->host;
}

/* The one of that section, also if it is new; NULL: there are too many. */
static struct conf_peer *find(struct conf *c, const char *name)
{
	struct conf_peer *p;
	u32 i;

	for (i = 1; i < c->nr_peers; i++)
		if (!strcmp(c->peers[i].name, name))
			return &c->peers[i];
	if (c->nr_peers == CONF_PEERS_MAX)
		return NULL;
	p = &c->peers[c->nr_peers++];
	strcpy(p->name, name);
	p->port = CONF_PORT;
	return p;
}

void conf_take_peer(struct parse *p, const char *section, const char *name, const char *value)
{
	struct conf *c = p->conf;
	struct conf_peer *peer = find(c, conf_peer_section(section));
	struct conf_key key = { .kind = CONF_HOST };
	unsigned int bit = 1;
	char why[256];

	if (!peer) {
		conf_mistake(p, p->line, "there are more than %d peers", CONF_PEERS_MAX);
		return;
	}
	key.offset = (const char *)peer - (const char *)c;
	if (!strcmp(name, "port")) {
		bit = 2;
		key = (struct conf_key) {
			.kind = CONF_NUMBER, .min = 1, .max = 65535,
			.offset = (const char *)&peer->port - (const char *)c,
		};
	} else if (strcmp(name, "address")) {
		conf_mistake(p, p->line,
			     "unknown key '%s' in [%s]; it has: address, port (the others of [peer] are for all peers)",
			     name, section);
		return;
	}
	if (p->peer_given[peer - c->peers] & bit) {
		conf_mistake(p, p->line, "'%s' in [%s] was given already", name, section);
		return;
	}
	p->peer_given[peer - c->peers] |= bit;
	if (conf_value(&key, value, c, why, sizeof(why)))
		conf_mistake(p, p->line, "%s = %s: %s", name, value, why);
}

/* Several are told apart by their names. */
void conf_check_peers(struct parse *p)
{
	struct conf *c = p->conf;
	u32 i;

	if (c->nr_peers == 1)
		return;
	if (!*c->peers[0].name || !conf_peer_given(&c->peers[0]))
		conf_mistake(p, conf_line(p, "peer", "name"),
			     "with sections [peer NAME], [peer] needs a name and an address, too");
	for (i = 1; i < c->nr_peers; i++) {
		if (!conf_peer_given(&c->peers[i]))
			conf_mistake(p, 0, "[peer %s] has no address", c->peers[i].name);
		if (!strcmp(c->peers[i].name, c->name))
			conf_mistake(p, 0, "[peer %s] is the name of this node itself", c->name);
		if (!strcmp(c->peers[i].name, c->peers[0].name))
			conf_mistake(p, 0, "[peer %s] has the name of the peer in [peer]",
				     c->peers[i].name);
	}
}

static bool same_place(const struct conf_peer *a, const struct conf_peer *b)
{
	return !memcmp(&a->addr, &b->addr, sizeof(a->addr)) && !strcmp(a->host, b->host) &&
		a->port == b->port;
}

static const struct conf_peer *find_more(const struct conf *c, const char *name)
{
	u32 i;

	for (i = 1; i < c->nr_peers; i++)
		if (!strcmp(c->peers[i].name, name))
			return &c->peers[i];
	return NULL;
}

unsigned int conf_peer_changes(const struct conf *c, const struct conf *was, conf_change_fn fn,
			       void *arg)
{
	char section[CPTDEV_NAME_MAX + 8];
	const struct conf_peer *other;
	unsigned int n = 0;
	u32 i;

	for (i = 1; i < c->nr_peers; i++) {
		other = find_more(was, c->peers[i].name);
		if (other && same_place(other, &c->peers[i]))
			continue;
		snprintf(section, sizeof(section), "peer %s", c->peers[i].name);
		fn(section, other ? "address" : "name", false, arg);
		n++;
	}
	for (i = 1; i < was->nr_peers; i++) {
		if (find_more(c, was->peers[i].name))
			continue;
		snprintf(section, sizeof(section), "peer %s", was->peers[i].name);
		fn(section, "name", false, arg);
		n++;
	}
	return n;
}
