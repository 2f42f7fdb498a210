// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The configuration file. One table says which keys there are, what they hold and what
 * they may be; libinih takes the file apart.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ini.h>

#include "conf.h"
#include "conf_parse.h"
#include "conf_value.h"
#include "name.h"

/* These are known to others: who this host is, and where it is asked. */
#define RESTART(...)	KEY_(true, __VA_ARGS__)
#define KEY(...)	KEY_(false, __VA_ARGS__)
#define KEY_(rst, sec, nm, knd, field, lo, hi)				\
	{ .restart = rst, .section = sec, .name = nm, .kind = knd,			\
	  .offset = offsetof(struct conf, field),			\
	  .size = sizeof(((struct conf *)0)->field), .min = lo, .max = hi }

static const struct conf_key keys[] = {
	RESTART("node", "name", CONF_NAME, name, 0, 0),
	KEY("node", "log_level", CONF_LEVEL, log_level, 0, 0),
	RESTART("node", "control", CONF_PATH, control, 0, 0),
	RESTART("node", "engine", CONF_ENGINE, engine, 0, 0),
	RESTART("node", "programs", CONF_PATH, programs, 0, 0),
	RESTART("node", "state_dir", CONF_PATH, state_dir, 0, 0),
	KEY("node", "private", CONF_PRIVATE, private, 0, 0),
	KEY("listen", "address", CONF_ADDRESS, listen, 0, 0),
	KEY("listen", "port", CONF_NUMBER, listen_port, 0, 65535),
	KEY("listen", "allow", CONF_ALLOW, allow, 0, 0),
	{ .section = "peer", .name = "address", .kind = CONF_HOST,
	  .offset = offsetof(struct conf, peers),
	  .size = offsetof(struct conf_peer, port) },
	KEY("peer", "port", CONF_NUMBER, peers[0].port, 1, 65535),
	KEY("peer", "name", CONF_NAME, peers[0].name, 0, 0),
	KEY("peer", "psk_file", CONF_PATH, psk_file, 0, 0),
	KEY("peer", "pki_dir", CONF_PATH, pki_dir, 0, 0),
	KEY("peer", "insecure", CONF_INSECURE, insecure, 0, 0),
	KEY("peer", "compression", CONF_COMPRESSION, compression, 0, 0),
	KEY("peer", "round_mib", CONF_NUMBER, round_mib, 0, 65536),
	KEY("peer", "differences_mib", CONF_NUMBER, differences_mib, 0, 65536),
	KEY("failover", "heartbeat_interval_ms", CONF_NUMBER, heartbeat_ms, 10, 60000),
	KEY("failover", "timeout_ms", CONF_NUMBER, timeout_ms, 100, 600000),
	KEY("failover", "failover", CONF_FAILOVER, sessions.failover, 0, 0),
	KEY("failover", "on_promote", CONF_PATH, sessions.on_promote, 0, 0),
	KEY("failover", "fence_command", CONF_COMMAND, fence_command, 0, 0),
	KEY("failover", "fence_timeout_ms", CONF_NUMBER, fence_timeout_ms, 1000, 600000),
	KEY("sessions", "on_exit", CONF_ON_EXIT, sessions.on_exit, 0, 0),
	KEY("sessions", "on_hang", CONF_ON_HANG, sessions.on_hang, 0, 0),
	KEY("sessions", "alone", CONF_ALONE, sessions.alone, 0, 0),
	KEY("sessions", "on_restart", CONF_ON_RESTART, sessions.on_restart, 0, 0),
	KEY("sessions", "ack", CONF_ACK, sessions.ack, 0, 0),
	KEY("sessions", "spares", CONF_SPARES, sessions.spares, 0, 0),
	KEY("sessions", "history", CONF_NUMBER, sessions.history, 0, CPTDEV_HISTORY_MAX),
	KEY("sessions", "history_mib", CONF_NUMBER, sessions.history_mib, 0, 1 << 24),
	KEY("sessions", "keep", CONF_KEEP, sessions.keep, 0, 0),
	KEY("sessions", "keep_s", CONF_NUMBER, sessions.keep_s, 1, 86400),
	KEY("sessions", "keep_mib", CONF_NUMBER, sessions.keep_mib, 0, 1 << 24),
	KEY("sessions", "restart_s", CONF_NUMBER, sessions.restart_s, 0, 3600),
	RESTART("hold", "session", CONF_NAME, hold_session, 0, 0),
	RESTART("hold", "address", CONF_ADDRESS, hold_address, 0, 0),
	RESTART("hold", "port", CONF_NUMBER, hold_port, 1, 65535),
	RESTART("hold", "queue", CONF_NUMBER, hold_queue, 0, 65535),
	KEY("limits", "max_sessions", CONF_NUMBER, max_sessions, 1, 4096),
	KEY("limits", "checksums_mib", CONF_NUMBER, checksums_mib, 0, 65536),
	KEY("limits", "max_clients", CONF_NUMBER, max_clients, 1, 1024),
};

static void say(struct parse *p, int line, const char *kind, const char *fmt, va_list ap)
{
	if (line)
		fprintf(p->errors, "%s:%d: %s", p->name, line, kind);
	else
		fprintf(p->errors, "%s: %s", p->name, kind);
	vfprintf(p->errors, fmt, ap);
	fputc('\n', p->errors);
}

void conf_mistake(struct parse *p, int line, const char *fmt, ...)
{
	va_list ap;

	p->mistakes++;
	va_start(ap, fmt);
	say(p, line, "", fmt, ap);
	va_end(ap);
}

void conf_warn(struct parse *p, int line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(p, line, "warning: ", fmt, ap);
	va_end(ap);
}

/* The library for this format cuts the name of a longer section, in silence. */
#define SECTION_MAX	49

static void check_section(struct parse *p, const char *s)
{
	char section[SECTION_MAX + 1];
	size_t len;

	s += strspn(s, " \t");
	if (*s != '[')
		return;
	len = strcspn(s + 1, "]\n");
	if (len > SECTION_MAX) {
		conf_mistake(p, p->line,
			     "the name of section [%.*s] is longer than %d characters; a session with such a name can have no section of its own, only [sessions]",
			     (int)len, s + 1, SECTION_MAX);
		return;
	}
	snprintf(section, sizeof(section), "%.*s", (int)len, s + 1);
	if (conf_section_name(section))
		conf_session_begins(p, conf_section_name(section));
}

/* fgets() that counts lines, and that takes no line apart. */
static char *next_line(char *str, int num, void *stream)
{
	struct parse *p = stream;
	char *s = fgets(str, num, p->from);
	size_t len = s ? strlen(s) : 0;
	bool whole = len && s[len - 1] == '\n';

	if (!s)
		return NULL;
	if (!p->cut)
		p->line++;
	if (!whole && !feof(p->from) && !p->cut)
		conf_mistake(p, p->line, "the line is longer than %d characters", num - 2);
	if (p->cut || (!whole && !feof(p->from)))
		s[0] = '\0';
	check_section(p, s);
	p->cut = !whole;
	return s;
}

/* Of that section, or of [session NAME]. */
static bool is_of(const struct conf_key *key, const char *section)
{
	return conf_section_name(section) ? conf_key_per_session(key) :
		!strcmp(key->section, section);
}

static int key_find(const char *section, const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++)
		if (is_of(&keys[i], section) && !strcmp(keys[i].name, name))
			return i;
	return -1;
}

/* What could have been meant: the sections, or the keys of one of them. */
static void list_known(const char *section, char *buf, size_t size)
{
	const char *last = "";
	size_t i, len = 0;

	buf[0] = '\0';
	for (i = 0; i < ARRAY_SIZE(keys) && len < size; i++) {
		const char *what = section ? keys[i].name : keys[i].section;

		if (section ? !is_of(&keys[i], section) : !strcmp(last, what))
			continue;
		len += snprintf(buf + len, size - len, "%s%s", len ? ", " : "", what);
		last = what;
	}
}

/* The sections that have a key of this name, as "; 'name' belongs in [node] or [peer]". */
static void list_owners(const char *name, char *buf, size_t size)
{
	size_t i, len = 0;

	buf[0] = '\0';
	for (i = 0; i < ARRAY_SIZE(keys) && len < size; i++) {
		if (strcmp(keys[i].name, name))
			continue;
		if (!len)
			len = snprintf(buf, size, "; '%s' belongs in [%s]", name, keys[i].section);
		else
			len += snprintf(buf + len, size - len, " or [%s]", keys[i].section);
	}
}

static void unknown_key(struct parse *p, const char *section, const char *name)
{
	char known[256], owners[128];

	list_known(section, known, sizeof(known));
	list_owners(name, owners, sizeof(owners));
	if (*known) {
		conf_mistake(p, p->line, "unknown key '%s' in [%s]; its keys are: %s%s%s", name,
			     section, known, owners,
			     *owners && conf_section_name(section) ? ", for all sessions" : "");
		return;
	}
	list_known(NULL, known, sizeof(known));
	if (!*section)
		conf_mistake(p, p->line, "'%s' comes before the first section; the sections are: %s",
			name, known);
	else
		conf_mistake(p, p->line,
			     "unknown section [%s]; the sections are: %s, peer NAME, session NAME",
			     section, known);
}

static void repeated_key(struct parse *p, int i)
{
	bool peer = !strcmp(keys[i].section, "peer");

	conf_mistake(p, p->line, "'%s' in [%s] was given in line %d already%s", keys[i].name,
		keys[i].section, p->seen[i],
		peer ? "; a further peer has a section [peer NAME]" : "");
}

/* A key of [session NAME]. */
static void take_named(struct parse *p, const char *section, int i, const char *value)
{
	struct conf_named *n = conf_named(p->conf, conf_section_name(section));
	struct conf_key key;
	char why[256];

	/* Too many: a mistake was told where the section begins. */
	if (!n)
		return;
	if (n->given & 1ULL << i) {
		conf_mistake(p, p->line, "'%s' in [%s] was given already", keys[i].name, section);
		return;
	}
	n->given |= 1ULL << i;
	key = conf_key_of(p->conf, n, &keys[i]);
	if (conf_value(&key, value, p->conf, why, sizeof(why)))
		conf_mistake(p, p->line, "%s = %s: %s", keys[i].name, value, why);
}

/* What isn't given for one of them is as for all. */
static void fill_named(struct conf *c)
{
	struct conf_key key;
	u32 n;
	size_t i;

	for (n = 0; n < c->nr_named; n++) {
		for (i = 0; i < ARRAY_SIZE(keys); i++) {
			if (!conf_key_per_session(&keys[i]) || c->named[n].given & 1ULL << i)
				continue;
			key = conf_key_of(c, &c->named[n], &keys[i]);
			memcpy((char *)c + key.offset, (char *)c + keys[i].offset, key.size);
		}
	}
}

static int take_key(void *user, const char *section, const char *name, const char *value)
{
	struct parse *p = user;
	bool named = conf_section_name(section);
	int i = key_find(section, name);
	char why[256];

	if (conf_peer_section(section)) {
		conf_take_peer(p, section, name, value);
	} else if (i < 0) {
		unknown_key(p, section, name);
	} else if (named) {
		take_named(p, section, i, value);
	} else if (p->seen[i]) {
		repeated_key(p, i);
	} else {
		p->seen[i] = p->line;
		if (conf_value(&keys[i], value, p->conf, why, sizeof(why)))
			conf_mistake(p, p->line, "%s = %s: %s", name, value, why);
	}
	return 1;		/* the line as such was in order */
}

int conf_line(const struct parse *p, const char *section, const char *name)
{
	return p->seen[key_find(section, name)];
}

bool conf_given(const struct conf_named *n, const char *section, const char *name)
{
	return n->given & 1ULL << key_find(section, name);
}

/* The host's name as far as it can be a node's. */
static void default_name(struct conf *c)
{
	char host[HOST_NAME_MAX + 1] = "";
	size_t i, n = 0;

	gethostname(host, sizeof(host) - 1);
	for (i = 0; host[i] && host[i] != '.' && n < sizeof(c->name) - 1; i++)
		c->name[n++] = host[i];
	if (!name_valid(c->name, n))
		strcpy(c->name, "node");
}

static void defaults(struct conf *c)
{
	static const struct in6_addr any = IN6ADDR_ANY_INIT;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&c->listen;

	*c = (struct conf) {
		.log_level = 6,
		.control = CONTROL_SOCKET,
		.programs = PROGRAMS_SOCKET,
		.state_dir = STATE_DIR,
		.listen_port = CONF_PORT,
		.peers[0].port = CONF_PORT,
		.nr_peers = 1,
		.round_mib = 64,
		.differences_mib = 64,
		.checksums_mib = 256,
		.heartbeat_ms = 200,
		.timeout_ms = 2000,
		.fence_timeout_ms = 20000,
		.hold_queue = CONF_PORT,
		.sessions.keep_s = 60,
		.sessions.restart_s = 5,
		.max_sessions = 64,
		.max_clients = 16,
	};
	in6->sin6_family = AF_INET6;
	in6->sin6_addr = any;
	default_name(c);
}

int conf_parse(struct conf *c, FILE *from, const char *name, FILE *errors)
{
	struct parse p = { .conf = c, .from = from, .name = name, .errors = errors };
	int line;
	u32 i;

	_Static_assert(ARRAY_SIZE(keys) <= CONF_KEYS_MAX, "room for the line of each key");
	defaults(c);
	line = ini_parse_stream(next_line, &p, take_key, &p);
	if (line > 0)
		conf_mistake(&p, line, "neither a [section] nor a line 'key = value'");
	else if (line < 0)
		conf_mistake(&p, 0, "no memory");
	if (ferror(from))
		conf_mistake(&p, 0, "%s", strerror(errno));
	fill_named(c);
	conf_check(&p);
	/* Its memory is gone with it. */
	if (c->private)
		*c->state_dir = '\0';
	conf_set_port(&c->listen, c->listen_port);
	for (i = 0; i < c->nr_peers; i++)
		conf_set_port(&c->peers[i].addr, c->peers[i].port);
	return p.mistakes ? -1 : 0;
}

int conf_read(struct conf *c, const char *path, FILE *errors)
{
	FILE *from = fopen(path, "re");
	int ret;

	if (!from) {
		fprintf(errors, "%s: %s\n", path, strerror(errno));
		if (errno == ENOENT)
			fprintf(errors, "Copy the sample, %s.sample, and give the peer's address in it; cptdevd.conf(5) describes it.\n",
				CONF_DEFAULT);
		return -1;
	}
	ret = conf_parse(c, from, path, errors);
	fclose(from);
	return ret;
}

/* Sections [session NAME] that are new, gone, or say something else. */
static unsigned int named_changes(const struct conf *c, const struct conf *was,
				  conf_change_fn fn, void *arg)
{
	char section[CPTDEV_NAME_MAX + 16];
	unsigned int n = 0;
	u32 i;

	for (i = 0; i < c->nr_named + was->nr_named; i++) {
		const struct conf_named *one = i < c->nr_named ? &c->named[i] :
			&was->named[i - c->nr_named];
		const struct conf_session *old = conf_session(was, one->name);
		size_t k;

		/* Those of both are looked at once. */
		if (i >= c->nr_named && conf_session(c, one->name) != &c->sessions)
			continue;
		for (k = 0; k < ARRAY_SIZE(keys); k++) {
			size_t at = keys[k].offset - offsetof(struct conf, sessions);

			if (!conf_key_per_session(&keys[k]) ||
			    !memcmp((const char *)conf_session(c, one->name) + at,
				    (const char *)old + at, keys[k].size))
				continue;
			snprintf(section, sizeof(section), "session %s", one->name);
			fn(section, keys[k].name, false, arg);
			n++;
		}
	}
	return n;
}

unsigned int conf_changes(struct conf *c, const struct conf *was, conf_change_fn fn, void *arg)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		void *value = (char *)c + keys[i].offset;
		const void *old = (const char *)was + keys[i].offset;

		if (!memcmp(value, old, keys[i].size))
			continue;
		n++;
		fn(keys[i].section, keys[i].name, keys[i].restart, arg);
		if (keys[i].restart)
			memcpy(value, old, keys[i].size);
	}
	return n + named_changes(c, was, fn, arg) + conf_peer_changes(c, was, fn, arg);
}

void conf_print_keys(FILE *to)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++)
		fprintf(to, "%s %s\n", keys[i].section, keys[i].name);
}
