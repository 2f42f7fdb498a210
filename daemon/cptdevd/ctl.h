/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Clients of the control socket: between ctl.c and ctl_client.c. */
#ifndef CPTDEVD_CTL_H
#define CPTDEVD_CTL_H

#include <sys/socket.h>

#include "daemon.h"

#define REQUEST_MAX	4096

struct client {
	LIST_ENTRY(client) entry;
	struct daemon *d;
	struct watch watch;
	struct timer idle;
	struct garbage garbage;
	struct ucred cred;		/* who it is: noted in the log */
	u64 since;			/* it waits for the client, ns as loop->now */
	bool monitors;			/* news are sent to it */
	bool over;			/* its connection is somebody else's: ctl_fetch.c */
	char in[REQUEST_MAX];
	size_t in_len;
	char *out;			/* NULL: there is nothing to be sent */
	size_t out_len;
	size_t out_sent;
};

/* An answer that says why something isn't done: a word for programs, and the cause for a person. */
struct json_object *refusal(const char *code, const char *message);

/* ctl_hold.c: the answer to "hold" and "release". */
struct json_object *ctl_hold(struct client *c, const char *command, const char *name,
			     struct json_object *request);

/* ctl_history.c: the answer to "history"; what going back costs; why it failed, or NULL. */
struct json_object *ctl_history(struct client *c, struct json_object *request);
extern const char ctl_history_loss[];
const char *ctl_history_failure(int err);

/* ctl_fetch.c: the answer to "fetch", or NULL: its connection is fetch.c's from now on. */
struct json_object *ctl_fetch(struct client *c, struct json_object *request);

/* May the client change something? That is for root, and for the user of the daemon. */
bool client_may(const struct client *c);
/* Takes over @fd when it returns 0. */
int client_new(struct daemon *d, int fd);
void client_drop(struct client *c);
/* Send one more line; a client that lags too far behind is dropped. */
void client_news(struct client *c, const char *line);

#endif
