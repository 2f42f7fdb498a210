/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program begins on a host from the replica of another host, before all of it is there: what the
 * records of the two hosts say (Documentation/failure-model.rst). No I/O and no clock.
 *
 *   asked for	the host of the program has the next term on its disk, and nothing else
 *   lent	the host of the replica has that term, too. Its replica stays what it was, and may be
 *		promoted when the link is lost: the program has acknowledged nothing, and ends
 *   given	all of it is there: the replica is outdated from now on, on disk
 *   gone on	the host of the program takes the term after that. Only now anything is acknowledged
 */
#ifndef CPTDEVD_FETCHING_H
#define CPTDEVD_FETCHING_H

#include "record.h"

/* May a program of this host begin from the replica of @node? @r may be NULL. */
enum fetching {
	FETCHING_OK,
	FETCHING_LACKS,			/* this host acknowledged what that replica may lack */
	FETCHING_STANDS_STILL,		/* a person has to decide first */
	FETCHING_HAS,			/* this host has the state itself, or gave it away */
};

enum fetching record_may_fetch(const struct record *r, const u8 *node);

struct fetch_from {
	u8 session[CPTDEV_UUID_LEN];	/* whose content the replica has */
	u64 generation;
	u8 node[CPTDEV_UUID_LEN];	/* where it is */
	char node_name[CPTDEV_NAME_MAX];
};

/* Is that what was acknowledged here, if anything was? @r may be NULL. */
bool record_is_there(const struct record *r, const u8 *session, u64 generation);
/* On disk before the other host is told. */
void record_fetching(struct record *r, const char *name, u64 term, const u8 *self,
		     const u8 *boot, const struct fetch_from *from);
/* All of it is there, and the other host has said that it gave it. 0, or -1: no term is higher. */
int record_fetched(struct record *r);
/* A session of that term has a part of its memory: it answers nobody. */
bool record_awaits(const struct record *r, u64 term);

/* The other host: @term of @owner, 0: it only asks. @r may be NULL. */
enum lending {
	LENDING_OK,
	LENDING_FENCED,			/* this host knows that term, or a higher one */
	LENDING_NONE,			/* it isn't a spare */
	LENDING_LACKS,			/* it may lack what was acknowledged */
};

enum lending record_may_lend(const struct record *r, u64 term, const u8 *owner, bool again);
void record_lend(struct record *r, u64 term, const u8 *owner);
/* When all of it is there: record_lent(). */

#endif
