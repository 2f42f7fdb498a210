/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvload: one connection to the store, and what it does when it is lost.
 */
#ifndef KVCLIENT_H
#define KVCLIENT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "kvwords.h"

#define CLIENT_IN	8192
#define CLIENT_OUT	65536

struct address {
	const char *text;
	struct sockaddr_in sa;
};

/* What the clients share. */
struct load {
	struct words words;
	struct address *address;
	unsigned int nr_addresses;
	unsigned int nr_clients;
	size_t window;
	uint64_t rate;			/* words per second at most, 0: any number */
	uint64_t began_ms;
	uint64_t timeout_ms;
	uint64_t acked;
	uint64_t repeats;
	uint64_t losses;
	uint64_t last_ack_ms;
	uint64_t gap_ms;		/* the longest time without an answer, ... */
	uint64_t gap_from_ms;		/* ... and when it began */
};

struct client {
	struct load *load;
	unsigned int number;
	char id[64];
	unsigned int address;		/* of the load's */
	int fd;				/* -1: not connected */
	bool connecting;
	bool greeted;			/* HELLO was answered */
	bool was_lost;			/* nothing was answered since then */
	char why[128];			/* where and why the last attempt failed */
	uint64_t lost_ms;
	uint64_t attempts;		/* to connect, since then */
	uint64_t retry_ms;		/* when to try next */
	uint64_t heard_ms;
	/* Its words: tokens number, number + nr_clients, ... Requests have seq index + 1. */
	size_t nr;
	size_t sent;
	size_t acked;
	uint32_t *count;		/* of each word, as it was told last */
	char in[CLIENT_IN];
	size_t in_len;
	char out[CLIENT_OUT];
	size_t out_len;
	size_t out_sent;
	/* A DUMP, when all words are acknowledged. */
	bool want_dump;
	bool dump_sent;
	bool dump_begun;
	bool dumped;
	uint64_t dump_left;
	char **dump;			/* its lines */
	size_t nr_dump;
};

/* -errno. @id is put before the client's number. */
int client_init(struct client *c, struct load *load, unsigned int number,
		const char *id);

bool client_done(const struct client *c);

/* Time passes: connect, give up on who doesn't answer. */
void client_tick(struct client *c, uint64_t now);

/* For poll(). */
short client_events(const struct client *c);
void client_ready(struct client *c, short revents);

/* Let this one ask for a DUMP as well. */
void client_dump(struct client *c);

/* It has nothing to do: hang up. */
void client_rest(struct client *c);

/* kvload.c */
uint64_t now_ms(void);

/* A line for scripts; kept for the ledger. */
__attribute__((format(printf, 2, 3)))
void event(const char *what, const char *fmt, ...);

/* The server broke its word: nothing that follows is worth anything. */
__attribute__((format(printf, 1, 2), noreturn))
void broken(const char *fmt, ...);

#endif /* KVCLIENT_H */
