/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A program of this host goes on from a replica of another host: fetch.c, and lend.c for that host. */
#ifndef CPTDEVD_FETCH_H
#define CPTDEVD_FETCH_H

#include "types.h"

struct daemon;
struct in;
struct json_object;
struct out;

/*
 * The program of user @uid at the other end of @fd wants the replica of @name that the node @from has; it
 * is asked for so long if it is in use. Takes over @fd. NULL, or the code of a refusal and @why.
 */
const char *fetch_begin(struct daemon *d, int fd, u32 uid, bool may, const char *name,
			const char *from, u64 wait_ns, char *why, size_t size);
void fetch_close(struct daemon *d);
/* The link is lost. */
void fetch_lost(struct out *o);
/* FETCH_STATE and PAGES: 0, or -1 with the connection's fault. */
int fetch_frame(struct out *o, const u8 *payload, u32 len);
int fetch_pages(struct out *o, u32 id, const u8 *payload, u32 len);
/* Those that are under way, an array. */
struct json_object *fetch_json(struct daemon *d);

/* lend.c */
/* FETCH and READ: the same. */
int lend_frame(struct in *in, const u8 *payload, u32 len);
int lend_read(struct in *in, u32 id, const u8 *payload, u32 len);
/* Does a program elsewhere go on from it? It isn't promoted meanwhile. */
bool lend_gives(struct daemon *d, const char *name);
void lend_stop(struct daemon *d, const char *name, const char *why);
/* The link is lost. */
void lend_close(struct in *in);

#endif
