/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: the copy that a spare keeps, and that a restart from files is made of: a
 * whole checkpoint, and the increments that came after it. It is one generation or the
 * next, never something between.
 */
#ifndef HS_MIRROR_H
#define HS_MIRROR_H

#include "checkpoint.h"
#include "index.h"

struct hs_mirror {
	int replica;			/* of an engine, frozen: it tells what @fd has; -1: @fd does */
	int fd;				/* the byte of address n is at offset n; -1: nothing yet */
	struct hs_image_head head;	/* of the generation that it has */
	struct hs_state state;		/* of the same one */
	bool whole_read;		/* the last hs_mirror_read() got to the end of one */
	/*
	 * Not NULL: memory isn't read, but where it is is noted here, and hs_mirror_restore() lets
	 * the program continue without it. @path: of what is read next.
	 */
	struct hs_index *index;
	const char *path;
};

enum hs_took {
	HS_TOOK,			/* the mirror has this generation now */
	HS_OLD				/* it had this one, or a later one, already */
};

void hs_mirror_init(struct hs_mirror *m);
void hs_mirror_free(struct hs_mirror *m);
/* The memory is restored: the descriptors aren't needed any more. */
void hs_mirror_close(struct hs_mirror *m);
int hs_mirror_read(struct hs_mirror *m, int fd, struct hs_error *e);
/* With an index, when all was read. Returns 0, or -1 with errno and @e. */
int hs_mirror_indexed(struct hs_mirror *m, struct hs_error *e);
/* What m->state says but ranges is the caller's to bring back. */
int hs_mirror_restore(struct hs_mirror *m, struct hs_error *e);

#endif /* HS_MIRROR_H */
