// SPDX-License-Identifier: GPL-2.0-or-later
/* Values of the configuration: one function per kind. */
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "ack.h"
#include "command.h"
#include "conf_value.h"
#include "name.h"

struct word {
	const char *word;
	u32 value;
};

static const struct word levels[] = {
	{ "error", LOG_ERR }, { "warning", LOG_WARNING }, { "notice", LOG_NOTICE },
	{ "info", LOG_INFO }, { "debug", LOG_DEBUG }, {},
};

static const struct word failovers[] = {
	{ "manual", FAILOVER_MANUAL }, { "auto", FAILOVER_AUTO }, {},
};

static const struct word engines[] = {
	{ "auto", ENGINE_AUTO }, { "module", ENGINE_MODULE }, { "soft", ENGINE_SOFT }, {},
};

static const struct word on_exits[] = {
	{ "failover", ON_EXIT_FAILOVER }, { "stay", ON_EXIT_STAY }, {},
};

static const struct word on_hangs[] = {
	{ "stay", ON_HANG_STAY }, { "failover", ON_HANG_FAILOVER }, {},
};

static const struct word alones[] = {
	{ "block", CONF_BLOCK }, { "go-on", CONF_GO_ON }, {},
};

static const struct word on_restarts[] = {
	{ "spare", ON_RESTART_SPARE }, { "refuse", ON_RESTART_REFUSE },
	{ "take-back", ON_RESTART_TAKE_BACK }, {},
};

static const struct word keeps[] = {
	{ "no", KEEP_NO }, { "restart", KEEP_RESTART }, {},
};

static const struct word allows[] = {
	{ "peer", ALLOW_PEER }, { "any", ALLOW_ANY }, {},
};

static const struct word insecures[] = {
	{ "no", INSECURE_NO }, { "yes", INSECURE_YES }, { "yes anywhere", INSECURE_ANYWHERE }, {},
};

static const struct word compressions[] = {
	{ "auto", COMPRESSION_AUTO }, { "on", COMPRESSION_ON }, { "off", COMPRESSION_OFF }, {},
};

static const struct word privates[] = {
	{ "no", PRIVATE_NO }, { "spare", PRIVATE_SPARE }, { "master", PRIVATE_MASTER }, {},
};

static int take_word(const struct word *w, const char *value, void *to, char *why,
		     size_t size)
{
	size_t len = 0;

	for (; w->word; w++) {
		if (!strcmp(w->word, value)) {
			*(u32 *)to = w->value;
			return 0;
		}
		if (len < size)
			len += snprintf(why + len, size - len, "%s%s",
					len ? ", " : "allowed are ", w->word);
	}
	return -1;
}

static int take_number(const struct conf_key *key, const char *value, void *to, char *why,
		       size_t size)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (!errno && *value >= '0' && *value <= '9' && !*end && n >= key->min &&
	    n <= key->max) {
		*(u32 *)to = n;
		return 0;
	}
	snprintf(why, size, "allowed are whole numbers from %u to %u", key->min, key->max);
	return -1;
}

static int take_name(const struct conf_key *key, const char *value, char *to, char *why,
		     size_t size)
{
	if (name_valid(value, strlen(value))) {
		strncpy(to, value, key->size - 1);
		return 0;
	}
	snprintf(why, size, "a name has 1 to %d of the characters A-Z a-z 0-9 . _ -",
		 CPTDEV_NAME_MAX - 1);
	return -1;
}

static int take_path(const struct conf_key *key, const char *value, char *to, char *why,
		     size_t size)
{
	if (*value == '/' && strlen(value) < key->size) {
		memset(to, 0, key->size);
		strcpy(to, value);
		return 0;
	}
	snprintf(why, size, "allowed are absolute paths of less than %zu characters",
		 key->size);
	return -1;
}

/* There is no shell, and nothing is quoted: who thinks so is told. */
static int take_command(const struct conf_key *key, const char *value, char *to, char *why,
			size_t size)
{
	char line[512], *words[COMMAND_WORDS + 1];

	if (*value == '/' && strlen(value) < MIN(key->size, sizeof(line)) &&
	    !strpbrk(value, "\"'\\$`|&<>")) {
		strcpy(line, value);
		if (command_split(line, words) < COMMAND_WORDS) {
			memset(to, 0, key->size);
			strcpy(to, value);
			return 0;
		}
	}
	snprintf(why, size,
		 "allowed are an absolute path and arguments, less than %zu characters and %d words, none of \" ' \\ $ ` | & < > (there is no shell; a script may have them)",
		 key->size, COMMAND_WORDS);
	return -1;
}

/* Numbers only: a name server mustn't have a say in whether the spare is found. */
static int take_address(const char *value, struct sockaddr_storage *to, char *why,
			size_t size)
{
	struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *ai;

	if (*value && !getaddrinfo(value, NULL, &hints, &ai)) {
		memset(to, 0, sizeof(*to));
		memcpy(to, ai->ai_addr, ai->ai_addrlen);
		freeaddrinfo(ai);
		return 0;
	}
	snprintf(why, size,
		 "allowed are IPv4 and IPv6 addresses in numbers (192.0.2.1, 2001:db8::1)");
	return -1;
}

/* Of letters, digits and hyphens; the last part isn't a number, or it would be an address. */
static bool host_valid(const char *name)
{
	const char *part = name, *at;
	bool number = true;

	for (at = name; ; at++) {
		size_t len = at - part;

		if (*at && *at != '.') {
			number &= *at >= '0' && *at <= '9';
			if (!strchr("-0123456789", *at) && !((*at | 32) >= 'a' && (*at | 32) <= 'z'))
				return false;
			continue;
		}
		if (!len || len > 63 || *part == '-' || at[-1] == '-')
			return false;
		if (!*at)
			return !number && at - name < 254;
		part = at + 1;
		number = true;
	}
}

static int take_host(const char *value, struct conf_peer *p, char *why, size_t size)
{
	if (!take_address(value, &p->addr, why, size))
		return 0;
	if (host_valid(value)) {
		memset(&p->addr, 0, sizeof(p->addr));
		strcpy(p->host, value);
		return 0;
	}
	snprintf(why, size,
		 "allowed are IPv4 and IPv6 addresses in numbers (192.0.2.1, 2001:db8::1) and names of hosts");
	return -1;
}

static int take_ack(const struct conf_key *key, const char *value, char *to, char *why,
		    size_t size)
{
	struct ack_policy p;

	if (ack_parse(value, &p, why, size))
		return -1;
	memset(to, 0, key->size);
	strcpy(to, value);
	return 0;
}

static int take_spares(const struct conf_key *key, const char *value, char *to, char *why,
		       size_t size)
{
	struct ack_policy p;
	char unused[256];

	if (ack_parse(value, &p, unused, sizeof(unused)) ||
	    (p.kind != ACK_ALL && p.kind != ACK_NAMED)) {
		snprintf(why, size,
			 "allowed are all, and names of up to %d nodes with blanks between them, in less than %d characters",
			 ACK_NODES_MAX, ACK_TEXT_MAX);
		return -1;
	}
	memset(to, 0, key->size);
	if (p.kind == ACK_NAMED)
		strcpy(to, value);
	return 0;
}

int conf_value(const struct conf_key *key, const char *value, struct conf *c, char *why,
	       size_t size)
{
	void *to = (char *)c + key->offset;

	switch (key->kind) {
	case CONF_NUMBER:
		return take_number(key, value, to, why, size);
	case CONF_NAME:
		return take_name(key, value, to, why, size);
	case CONF_PATH:
		return take_path(key, value, to, why, size);
	case CONF_COMMAND:
		return take_command(key, value, to, why, size);
	case CONF_ADDRESS:
		return take_address(value, to, why, size);
	case CONF_HOST:
		return take_host(value, to, why, size);
	case CONF_LEVEL:
		return take_word(levels, value, to, why, size);
	case CONF_FAILOVER:
		return take_word(failovers, value, to, why, size);
	case CONF_ENGINE:
		return take_word(engines, value, to, why, size);
	case CONF_ON_EXIT:
		return take_word(on_exits, value, to, why, size);
	case CONF_ON_HANG:
		return take_word(on_hangs, value, to, why, size);
	case CONF_ALONE:
		return take_word(alones, value, to, why, size);
	case CONF_ON_RESTART:
		return take_word(on_restarts, value, to, why, size);
	case CONF_KEEP:
		return take_word(keeps, value, to, why, size);
	case CONF_PRIVATE:
		return take_word(privates, value, to, why, size);
	case CONF_ALLOW:
		return take_word(allows, value, to, why, size);
	case CONF_INSECURE:
		return take_word(insecures, value, to, why, size);
	case CONF_ACK:
		return take_ack(key, value, to, why, size);
	case CONF_SPARES:
		return take_spares(key, value, to, why, size);
	case CONF_COMPRESSION:
		return take_word(compressions, value, to, why, size);
	}
	return -1;
}

void conf_set_port(struct sockaddr_storage *ss, u32 port)
{
	if (ss->ss_family == AF_INET)
		((struct sockaddr_in *)ss)->sin_port = htons(port);
	else if (ss->ss_family == AF_INET6)
		((struct sockaddr_in6 *)ss)->sin6_port = htons(port);
}
