/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libhotspare: being the spare. */
#ifndef HS_SPARE_H
#define HS_SPARE_H

#include <sys/socket.h>

#include "mirror.h"

struct hs_spare {
	int listener;
	const struct sockaddr *from;	/* only from there; NULL: from anywhere */
	struct hs_mirror mirror;
	struct hs_error missing;	/* what the program would miss here, as last told */
};

int hs_spare_wait(struct hs_spare *s, struct hs_error *e);

#endif /* HS_SPARE_H */
