/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration file, cptdevd.conf(5). */
#ifndef CPTDEVD_CONF_H
#define CPTDEVD_CONF_H

#include <netinet/in.h>
#include <stdio.h>

#include <linux/cptdev.h>

#include "types.h"

#define CONF_DEFAULT	SYSCONFDIR "/cptdev/cptdevd.conf"
#define CONF_PORT	7475
#define CONF_HOST_MAX	256
#define CONF_PATH_MAX	108		/* what a unix socket's address holds */

enum conf_failover { FAILOVER_MANUAL, FAILOVER_AUTO };
enum conf_engine { ENGINE_AUTO, ENGINE_MODULE, ENGINE_SOFT };
/* The daemon of one program: it connects to nobody as long as that is the spare. */
enum conf_private { PRIVATE_NO, PRIVATE_SPARE, PRIVATE_MASTER };
enum conf_allow { ALLOW_PEER, ALLOW_ANY };
/* Links without TLS: none, between addresses of this host, on any network. */
enum conf_insecure { INSECURE_NO, INSECURE_YES, INSECURE_ANYWHERE };
enum conf_compression { COMPRESSION_AUTO, COMPRESSION_ON, COMPRESSION_OFF };
enum conf_on_exit { ON_EXIT_FAILOVER, ON_EXIT_STAY };
enum conf_on_hang { ON_HANG_STAY, ON_HANG_FAILOVER };
enum conf_alone { CONF_BLOCK, CONF_GO_ON };
enum conf_keep { KEEP_NO, KEEP_RESTART };
enum conf_on_restart { ON_RESTART_SPARE, ON_RESTART_REFUSE, ON_RESTART_TAKE_BACK };

#define CONF_ACK_MAX	256

/*
 * Of a session, or of a replica that a session feeds. For one of them: [session NAME]; for all:
 * [sessions], and the first two in [failover].
 */
struct conf_session {
	u32 failover;			/* enum conf_failover: its replica, if the host is lost */
	char on_promote[256];		/* run when its replica is promoted; empty: nothing is */
	u32 on_exit;			/* enum conf_on_exit: its program failed */
	u32 on_hang;			/* enum conf_on_hang: it gives no sign of life */
	u32 alone;			/* enum conf_alone: it has no spare */
	u32 on_restart;			/* enum conf_on_restart: it is started anew */
	char ack[CONF_ACK_MAX];		/* which spares must have it, see ack.h; empty: all */
	char spares[CONF_ACK_MAX];	/* nodes that may be its spares, by names; empty: all */
	u32 history;			/* past generations that a replica keeps */
	u32 history_mib;		/* most memory for them, 0: no limit of their own */
	u32 keep;			/* enum conf_keep: its last generation, on its own host */
	u32 keep_s;			/* so long, after its program has ended */
	u32 keep_mib;			/* most memory for it, 0: no limit of its own */
	u32 restart_s;			/* so long its program may take to be there again */
};

#define CONF_SESSIONS_MAX	64

struct conf_named {
	char name[CPTDEV_NAME_MAX];
	u64 given;			/* bits: numbers of keys */
	struct conf_session session;
};

/* Another host: [peer], [peer NAME]. */
struct conf_peer {
	struct sockaddr_storage addr;	/* ss_family 0: there is none, or it is a name: */
	char host[CONF_HOST_MAX];	/* empty: there is none */
	u32 port;
	char name[CPTDEV_NAME_MAX];	/* empty: any */
};

#define CONF_PEERS_MAX	16

struct conf {
	/* [node] */
	char name[CPTDEV_NAME_MAX];
	u32 log_level;			/* as syslog(3) has them */
	char control[CONF_PATH_MAX];
	u32 engine;			/* enum conf_engine */
	char programs[CONF_PATH_MAX];
	char state_dir[CONF_PATH_MAX];
	u32 private;			/* enum conf_private, see private.c */
	/* [listen] */
	struct sockaddr_storage listen;
	u32 listen_port;		/* 0: don't listen */
	u32 allow;			/* enum conf_allow */
	/* [peer] */
	struct conf_peer peers[CONF_PEERS_MAX];	/* [peer], then each [peer NAME] */
	u32 nr_peers;			/* 1 at least: the first may have no address */
	char psk_file[CONF_PATH_MAX];	/* see tls.h; empty: there is none */
	char pki_dir[CONF_PATH_MAX];	/* certificates: if there is no psk_file; empty: none */
	u32 insecure;			/* enum conf_insecure */
	u32 compression;		/* enum conf_compression */
	u32 round_mib;			/* of a first image, 0: all of it at once */
	u32 differences_mib;		/* memory for pages that were sent, 0: whole pages only */
	/* [failover] */
	u32 heartbeat_ms;
	u32 timeout_ms;
	char fence_command[512];	/* words with blanks between them; empty: there is none */
	u32 fence_timeout_ms;
	/* [sessions], two keys of [failover], and [session NAME]: see conf_session() */
	struct conf_session sessions;
	struct conf_named named[CONF_SESSIONS_MAX];
	u32 nr_named;
	/* [hold] */
	char hold_session[CPTDEV_NAME_MAX];	/* empty: no output is held */
	struct sockaddr_storage hold_address;
	u32 hold_port;
	u32 hold_queue;
	/* [limits] */
	u32 max_sessions;
	u32 max_clients;
	u32 checksums_mib;		/* memory for checksums of pages that were sent, 0: none */
};

/*
 * Read @path. Every mistake in it is told on @errors, a line each: where, what, and what
 * is allowed; and as a warning what has no effect. Returns 0 only when there was no mistake.
 */
int conf_read(struct conf *c, const char *path, FILE *errors);
/* The same from an open file, called @name in the messages. */
int conf_parse(struct conf *c, FILE *from, const char *name, FILE *errors);

/* What is configured for a session of this name. */
const struct conf_session *conf_session(const struct conf *c, const char *name);
/* May @node be a spare of the session @name? An empty name isn't known yet, and may be. */
bool conf_may_be_spare(const struct conf *c, const char *name, const char *node);

bool conf_peer_given(const struct conf_peer *p);

/*
 * Call @fn for each key whose value isn't the one that it @was; returns their number. What
 * needs a @restart is put back as it was.
 */
typedef void (*conf_change_fn)(const char *section, const char *name, bool restart, void *arg);
unsigned int conf_changes(struct conf *c, const struct conf *was, conf_change_fn fn, void *arg);

/* Each key on a line "section key", for the tests of the documentation. */
void conf_print_keys(FILE *to);

#endif
