// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading the configuration anew. No link is broken for it, unless another host is the peer or the
 * key of the link is gone: what two daemons have agreed on stays until they greet each other again,
 * everything else counts at once. A configuration with a mistake changes nothing.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon.h"
#include "files.h"
#include "log.h"
#include "soft.h"
#include "tcp.h"

struct changes {
	bool listen;			/* where the peer connects to */
	bool peer;			/* where it is, or who */
};

static void change(const char *section, const char *name, bool restart, void *arg)
{
	struct changes *ch = arg;

	if (restart) {
		log_warn("configuration: [%s] %s has changed: the change takes effect when cptdevd is restarted",
			 section, name);
		return;
	}
	log_notice("configuration: [%s] %s has changed", section, name);
	ch->listen |= !strcmp(section, "listen") && strcmp(name, "allow");
	/* The rest of [peer] says how it is known: reload_keys(). */
	/* Those of [peer NAME]: peer_reload(). */
	ch->peer |= (!strcmp(section, "peer") && (!strcmp(name, "address") ||
		     !strcmp(name, "port") || !strcmp(name, "name"))) || !strcmp(name, "private");
}

/* What was written about mistakes, a line each. */
static void refuse(struct daemon *d, char *errors)
{
	char *rest = errors, *line;

	snprintf(d->conf_error, sizeof(d->conf_error), "%.*s", (int)strcspn(errors, "\n"),
		 errors);
	while ((line = strsep(&rest, "\n")))
		if (*line)
			log_err("%s", line);
	log_err("the new configuration has mistakes; the previous one stays in use");
}

/* Nothing but warnings was written, a line each. */
static void warn(char *warnings)
{
	char *rest = warnings, *line;

	while ((line = strsep(&rest, "\n")))
		if (*line)
			log_warn("%s", line);
}

static void relisten(struct daemon *d)
{
	listen_close(d);
	listen_again(d);
}

/* A link that is up keeps what it was made with. */
static void apply_to_peer(struct peer *p, const struct changes *ch)
{
	struct daemon *d = p->d;
	u64 timeout = d->conf.timeout_ms * NSEC_PER_MSEC;

	/* The peer beats as often as the old one demands; a shorter one waits for the next link. */
	if (!p->in || timeout > p->detector.timeout)
		p->detector.timeout = timeout;
	if (p->in) {
		p->in->heartbeat_ms = link_heartbeat_ms(&d->self, &p->in->node);
		tcp_tune(p->in->conn->fd, d->conf.timeout_ms);
	}
	out_reload(&p->out);
	if (ch->peer && !p->slot)
		peer_configured(p);
}

static void apply(struct daemon *d, struct conf *c)
{
	const struct conf was = d->conf;
	struct changes ch = {};
	struct peer *p;

	if (!conf_changes(c, &d->conf, change, &ch)) {
		log_notice("configuration: nothing has changed");
		return;
	}
	d->conf = *c;
	log_level(c->log_level);
	files_raise(c);
	soft_daemon()->clients_max = SOFT_CLIENTS(c->max_sessions);
	d->self.heartbeat_ms = c->heartbeat_ms;
	d->self.timeout_ms = c->timeout_ms;
	d->self.without = node_without(c);
	peer_reload(d, &was);
	LIST_FOREACH(p, &d->peers, entry) {
		apply_to_peer(p, &ch);
		lease_reload(&p->out);
		in_reload(p->in);
	}
	keep_reload(d);
	members_look_all(d);
	alone_look(d);
	if (ch.listen)
		relisten(d);
}

/* A link that couldn't be made any more ends now: whoever had the key may be a stranger. */
static void check_key(const struct conn *c, const struct tls_keys *k, const char *who)
{
	if (!k || (c->tls && tls_key_known(k, c->tls)))
		return;
	log_warn("the link %s is closed: it was made %s", who, c->tls ?
		 "with a key that isn't accepted here any more" :
		 "without TLS, which [peer] requires now");
	shutdown(c->fd, SHUT_RDWR);
}

/* The file is read anew even if its name is the same. */
static void reload_keys(struct daemon *d)
{
	struct peer *p;

	if (daemon_keys(d))
		return;
	LIST_FOREACH(p, &d->peers, entry) {
		if (p->in)
			check_key(p->in->conn, d->keys, "from the peer");
		if (p->out.state == OUT_UP)
			check_key(p->out.conn, d->keys, "to the peer");
	}
}

int daemon_reload(struct daemon *d, const char *path)
{
	struct conf c;
	char *errors = NULL;
	size_t len;
	FILE *to = open_memstream(&errors, &len);
	int ret;

	if (!to) {
		log_err("no memory to read the configuration; the previous one stays in use");
		return -1;
	}
	ret = conf_read(&c, path, to);
	fclose(to);
	if (ret) {
		refuse(d, errors);
	} else {
		*d->conf_error = '\0';
		warn(errors);
		apply(d, &c);
		reload_keys(d);
	}
	free(errors);
	return ret;
}
