/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon of one program (private = spare or master), which has started it: libhotspare without
 * a cptdevd of the host. It ends with the program, and leaves nothing behind.
 */
#ifndef CPTDEVD_PRIVATE_H
#define CPTDEVD_PRIVATE_H

#include "daemon.h"

struct private {
	struct watch program;	/* standard input: closed when the program has ended */
	struct timer again;
	struct daemon *d;
};

/* 0 or a negative errno. */
int private_open(struct private *p, struct daemon *d);
/* The configuration @path, the key beside it and their directory go, if nothing else is in there. */
void private_close(struct private *p, const char *path);

#endif
