// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The configuration as a whole: values that don't fit together, and addresses, names and
 * paths that can't work. What may come later (an address of this host, a directory, a name
 * that isn't known yet) is no mistake: the daemon waits for it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_parse.h"
#include "pki.h"
#include "tcp.h"
#include "tls.h"
#include "uuid.h"

static const struct in6_addr *in6_of(const struct sockaddr_storage *ss)
{
	return &((const struct sockaddr_in6 *)ss)->sin6_addr;
}

/* The IPv4 address, also of one that is written as IPv6; false: it is none. */
static bool in4_of(const struct sockaddr_storage *ss, u32 *addr)
{
	if (ss->ss_family == AF_INET)
		*addr = ntohl(((const struct sockaddr_in *)ss)->sin_addr.s_addr);
	else if (ss->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(in6_of(ss)))
		*addr = ntohl(in6_of(ss)->s6_addr32[3]);
	else
		return false;
	return true;
}

static bool is_any(const struct sockaddr_storage *ss)
{
	u32 addr;

	if (in4_of(ss, &addr))
		return !addr;
	return IN6_IS_ADDR_UNSPECIFIED(in6_of(ss));
}

static bool is_loopback(const struct sockaddr_storage *ss)
{
	u32 addr;

	if (in4_of(ss, &addr))
		return addr >> 24 == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(in6_of(ss));
}

/* Why no TCP connection can have this address, NULL: it can. */
static const char *no_host(const struct sockaddr_storage *ss)
{
	u32 addr;

	if (in4_of(ss, &addr)) {
		if (IN_MULTICAST(addr))
			return "a multicast address isn't the address of a host";
		if (addr == INADDR_BROADCAST)
			return "the broadcast address isn't the address of a host";
		if (addr >> 24 == 0 && addr)
			return "an address in 0.0.0.0/8 isn't the address of a host";
		return addr >> 28 == 15 ? "240.0.0.0/4 is reserved" : NULL;
	}
	if (IN6_IS_ADDR_MULTICAST(in6_of(ss)))
		return "a multicast address isn't the address of a host";
	if (IN6_IS_ADDR_LINKLOCAL(in6_of(ss)) &&
	    !((const struct sockaddr_in6 *)ss)->sin6_scope_id)
		return "a link-local address needs its interface: address%interface";
	return NULL;
}

/* Does one of this host's interfaces have it now? */
static bool is_here(const struct sockaddr_storage *ss)
{
	struct ifaddrs *list, *i;
	bool here = is_loopback(ss);

	if (here || getifaddrs(&list))
		return here;
	for (i = list; i && !here; i = i->ifa_next) {
		struct sockaddr_storage one = {};

		if (!i->ifa_addr || (i->ifa_addr->sa_family != AF_INET &&
				     i->ifa_addr->sa_family != AF_INET6))
			continue;
		memcpy(&one, i->ifa_addr, i->ifa_addr->sa_family == AF_INET ?
		       sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
		here = tcp_same_host(&one, ss);
	}
	freeifaddrs(list);
	return here;
}

static void check_addresses(struct parse *p)
{
	struct conf *c = p->conf;
	int listen = conf_line(p, "listen", "address"), peer = conf_line(p, "peer", "address");
	const char *why;
	u32 i;

	why = no_host(&c->listen);
	if (why)
		conf_mistake(p, listen, "[listen] address: %s", why);
	for (i = 0; i < c->nr_peers; i++) {
		const struct conf_peer *at = &c->peers[i];

		if (!at->addr.ss_family)
			continue;
		why = is_any(&at->addr) ? "it stands for no particular host" : no_host(&at->addr);
		if (why)
			conf_mistake(p, i ? 0 : peer, "[peer%s%s] address: %s", i ? " " : "",
				     i ? at->name : "", why);
	}
}

/* The peer's connections can't arrive, or are turned away. */
static void check_ways(struct parse *p)
{
	struct conf *c = p->conf;
	int line = conf_line(p, "listen", "address");
	u32 addr;

	if (!c->peers[0].addr.ss_family || !c->listen_port || c->allow != ALLOW_PEER ||
	    is_any(&c->listen))
		return;
	if (is_loopback(&c->listen) && !is_loopback(&c->peers[0].addr))
		conf_mistake(p, line,
			     "the [peer] can't connect: the [listen] address can be reached from this host only, and only the peer may connect (allow = peer)");
	else if (in4_of(&c->listen, &addr) != in4_of(&c->peers[0].addr, &addr))
		conf_mistake(p, line,
			     "the [peer] can't connect: one address is IPv4, the other IPv6, and only the peer may connect (allow = peer)");
}

/* The host's name, as it is or up to the first dot, or the one that each host has. */
static bool is_own_name(const char *host)
{
	char own[HOST_NAME_MAX + 1] = "";

	gethostname(own, sizeof(own) - 1);
	if (!strcasecmp(host, "localhost") || !strcasecmp(host, own))
		return true;
	own[strcspn(own, ".")] = '\0';
	return !strcasecmp(host, own);
}

/* A peer that is this host itself. */
static void check_self(struct parse *p)
{
	struct conf *c = p->conf;

	if (c->private == PRIVATE_SPARE)
		return;
	if (*c->peers[0].name && !strcmp(c->peers[0].name, c->name))
		conf_mistake(p, conf_line(p, "peer", "name"),
			     "[peer] name = %s is the name of this node itself%s", c->name,
			     conf_line(p, "node", "name") ? "" :
			     " (its host name; [node] name gives it another one)");
	if (!c->listen_port || c->listen_port != c->peers[0].port)
		return;
	if (*c->peers[0].host && is_any(&c->listen) && is_own_name(c->peers[0].host))
		conf_mistake(p, conf_line(p, "peer", "address"),
			     "[peer] address = %s and its port are those of this node itself",
			     c->peers[0].host);
	if (!c->peers[0].addr.ss_family || is_any(&c->peers[0].addr))
		return;
	if (tcp_same_host(&c->peers[0].addr, &c->listen) ||
	    (is_any(&c->listen) && is_here(&c->peers[0].addr)))
		conf_mistake(p, conf_line(p, "peer", "address"),
			     "[peer] address and port are those of this node itself");
}

bool conf_program(const char *path, const char **why)
{
	struct stat st;

	if (access(path, X_OK) || stat(path, &st))
		*why = strerror(errno);
	else
		*why = S_ISREG(st.st_mode) ? NULL : "not a file";
	return !*why;
}

/* A key of [failover]; @path is empty if it wasn't given. */
static void check_program(struct parse *p, const char *key, const char *path)
{
	const char *why;

	if (*path && !conf_program(path, &why))
		conf_mistake(p, conf_line(p, "failover", key), "%s = %s: can't be executed: %s",
			     key, path, why);
}

static void check_paths(struct parse *p)
{
	char fence[sizeof(p->conf->fence_command)];
	struct conf *c = p->conf;
	size_t len = strlen(c->control);
	struct stat st;
	int line = conf_line(p, "node", "control");

	if (len && c->control[len - 1] == '/')
		conf_mistake(p, line, "control = %s: this is the name of a directory", c->control);
	else if (line && !lstat(c->control, &st) && !S_ISSOCK(st.st_mode))
		conf_mistake(p, line, "control = %s: a file that isn't a socket is there",
			     c->control);
	check_program(p, "on_promote", c->sessions.on_promote);
	snprintf(fence, sizeof(fence), "%.*s", (int)strcspn(c->fence_command, " \t"),
		 c->fence_command);
	check_program(p, "fence_command", fence);
}

static void check_times(struct parse *p)
{
	struct conf *c = p->conf;

	if (c->timeout_ms < 2 * c->heartbeat_ms)
		conf_mistake(p, MAX(conf_line(p, "failover", "timeout_ms"),
				    conf_line(p, "failover", "heartbeat_interval_ms")),
			     "timeout_ms = %u must be at least twice heartbeat_interval_ms = %u",
			     c->timeout_ms, c->heartbeat_ms);
}

static void check_purpose(struct parse *p)
{
	struct conf *c = p->conf;

	bool given = c->peers[0].addr.ss_family || *c->peers[0].host;

	/* A program without a spare. */
	if (c->private)
		return;
	if (!given && !c->listen_port)
		conf_mistake(p, conf_line(p, "listen", "port"),
			     "nothing to do: [peer] address isn't given and [listen] port is 0");
	if (!given && c->listen_port && c->allow == ALLOW_PEER)
		conf_mistake(p, conf_line(p, "listen", "allow"),
			     "nobody may connect: [peer] address isn't given; give it, or say allow = any in [listen]");
}

/*
 * Whether links are protected
 */

static bool peer_here(const struct conf_peer *p)
{
	return p->addr.ss_family ? is_loopback(&p->addr) :
		!*p->host || !strcasecmp(p->host, "localhost");
}

/* Nobody but processes of this host can be at the other end. */
static bool stays_here(const struct conf *c)
{
	u32 i;

	for (i = 0; i < c->nr_peers; i++)
		if (!peer_here(&c->peers[i]))
			return false;
	return !c->listen_port || is_loopback(&c->listen) ||
		(c->allow == ALLOW_PEER && c->peers[0].addr.ss_family);
}

/* One way to know the other host, or none. */
static void check_insecure(struct parse *p)
{
	struct conf *c = p->conf;
	int line = conf_line(p, "peer", "insecure");

	if (c->insecure == INSECURE_YES && !stays_here(c))
		conf_mistake(p, line,
			     "insecure = yes is for links within this host (127.0.0.1, ::1): without TLS anybody on the network can read and change the memory that is shipped; set psk_file in [peer]; 'yes anywhere' allows links without TLS on any network");
	if (c->insecure && (*c->psk_file || *c->pki_dir))
		conf_mistake(p, line, "%s and insecure exclude each other: links use TLS, or they don't",
			     *c->psk_file ? "psk_file" : "pki_dir");
	if (*c->psk_file && *c->pki_dir)
		conf_mistake(p, conf_line(p, "peer", "pki_dir"),
			     "psk_file and pki_dir exclude each other: use one key for both hosts, or a certificate for each");
}

static void check_psk(struct parse *p)
{
	struct tls_keys *keys;
	char why[160];

	keys = tls_keys_read(p->conf->psk_file, uuid_none, why, sizeof(why));
	if (!keys)
		conf_mistake(p, conf_line(p, "peer", "psk_file"), "psk_file = %s: %s",
			     p->conf->psk_file, why);
	tls_keys_put(keys);
}

static void check_pki(struct parse *p)
{
	int line = conf_line(p, "peer", "pki_dir");
	struct tls_keys *keys;
	char why[160];

	keys = tls_pki_read(p->conf->pki_dir, p->conf->name, why, sizeof(why));
	if (!keys)
		conf_mistake(p, line, "pki_dir = %s: %s", p->conf->pki_dir, why);
	tls_keys_put(keys);
}

/* Without a word about it, the certificates are where the tool puts them. */
static void check_keys(struct parse *p)
{
	struct conf *c = p->conf;
	bool linked = c->listen_port || c->peers[0].addr.ss_family || *c->peers[0].host;

	check_insecure(p);
	if (*c->psk_file) {
		check_psk(p);
	} else if (*c->pki_dir) {
		check_pki(p);
	} else if (!c->insecure && !c->private && !access(PKI_DIR "/" PKI_CERT, F_OK)) {
		strcpy(c->pki_dir, PKI_DIR);
		check_pki(p);
	} else if (!c->insecure && linked) {
		conf_mistake(p, 0,
			     "links have no key: make a certificate for this host ('cptdevctl pki init NAME'); or set psk_file in [peer] to a file that both hosts have ('cptdevctl key FILE' makes it); or set insecure = yes there, for links without TLS within this host");
	}
}

/* A service is an address and a port, of one session. */
static void check_hold(struct parse *p)
{
	static const char *const keys[] = { "session", "address", "port" };
	struct conf *c = p->conf;
	int line = conf_line(p, "hold", "queue"), given = 0;
	const char *why;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		given += !!conf_line(p, "hold", keys[i]);
		line = MAX(line, conf_line(p, "hold", keys[i]));
	}
	if (!line)
		return;
	if (given < (int)ARRAY_SIZE(keys)) {
		conf_mistake(p, line, "[hold] needs all of session, address and port");
		return;
	}
	why = is_any(&c->hold_address) ? "it stands for no particular service" :
		no_host(&c->hold_address);
	if (why)
		conf_mistake(p, conf_line(p, "hold", "address"), "[hold] address: %s", why);
	if (c->engine != ENGINE_SOFT)
		conf_mistake(p, line, "[hold] needs engine = soft in [node]: programs tell that engine when a cut comes");
}

void conf_check(struct parse *p)
{
	check_times(p);
	check_purpose(p);
	conf_check_peers(p);
	check_addresses(p);
	check_ways(p);
	check_self(p);
	check_paths(p);
	check_keys(p);
	check_hold(p);
	conf_check_sessions(p);
}
