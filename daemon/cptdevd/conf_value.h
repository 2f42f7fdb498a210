/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEVD_CONF_VALUE_H
#define CPTDEVD_CONF_VALUE_H

#include "conf.h"

enum conf_kind {
	CONF_NUMBER,		/* u32, from @min to @max */
	CONF_NAME,		/* char[], a node's name */
	CONF_PATH,		/* char[], absolute */
	CONF_COMMAND,		/* char[], an absolute path and arguments */
	CONF_ADDRESS,		/* struct sockaddr_storage, without the port */
	CONF_HOST,		/* struct conf_peer: the same, or a name */
	CONF_LEVEL,		/* u32, one of a list of words: */
	CONF_FAILOVER,
	CONF_ALLOW,
	CONF_INSECURE,
	CONF_COMPRESSION,
	CONF_ENGINE,
	CONF_ON_EXIT,
	CONF_ON_HANG,
	CONF_ALONE,
	CONF_ON_RESTART,
	CONF_KEEP,
	CONF_PRIVATE,
	CONF_ACK,		/* char[], see ack.h */
	CONF_SPARES,		/* char[], names of nodes; empty: all */
};

struct conf_key {
	bool restart;		/* a change takes effect at the next start only */
	const char *section;
	const char *name;
	enum conf_kind kind;
	size_t offset;
	size_t size;
	u32 min;
	u32 max;
};

/* Put @value where @key says. On -1 @why has what is wrong and what is allowed. */
int conf_value(const struct conf_key *key, const char *value, struct conf *c, char *why,
	       size_t size);

void conf_set_port(struct sockaddr_storage *ss, u32 port);

#endif
