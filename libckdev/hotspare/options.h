/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libhotspare: the options of hs_init(3), up to "--". */
#ifndef HS_OPTIONS_H
#define HS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "command.h"
#include "error.h"
#include "module.h"

#define PORT	7411
/* In the environment of a program that hs_rejoin() has started anew. */
#define REJOIN	"HOTSPARE_REJOIN"
/* "yes": as -l, wherever there is -r. */
#define LAZY	"HOTSPARE_LAZY"

struct options {
	bool master, spare, takes_back, check, lazy;
	const char *address, *file, *from, *key, *restart, *session;
	uint64_t term;			/* of the promotion that was taken */
	char *absolute;			/* what @file is then */
	/* the newest checkpoint that -r begins from; 0: any */
	long generation;
	struct hs_command command;
	long port, pipes, timeout, watchdog;
	enum hs_wish backend;
	/* what @address says */
	struct sockaddr_storage peer;
	socklen_t peer_len;
	bool anywhere;
};

/* Read them, and see whether they make sense. Returns 0, or -1 with errno and @e. */
int hs_options_parse(int argc, char **argv, struct options *o, struct hs_error *e);
/* The address and the file, as of now. Returns 0, or -1 with errno and @e. */
int hs_options_resolve(struct options *o, struct hs_error *e);

#endif /* HS_OPTIONS_H */
