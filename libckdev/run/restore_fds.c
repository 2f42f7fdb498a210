// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * cptdev-run: the descriptors of a program made from its state, see fds.h. The first process makes
 * them; its descendants get them by fork(2), and each one keeps those that it has.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fds.h"
#include "sockets.h"

static bool has_number(const struct run_fds *fds, bool first, int fd)
{
	uint32_t i;

	for (i = 0; i < fds->nr_inherited; i++)
		if (fds->inherited[i].fd == fd)
			return true;
	for (i = 0; i < fds->nr_places; i++)
		if (fds->places[i].fd == fd)
			return true;
	return first && !fds->nr_places && hs_fds_find(&fds->list, fd);
}

static int close_others(const struct run_fds *fds, bool first, int keep)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *entry;
	int fd;

	if (!d)
		return -1;
	while ((entry = readdir(d))) {
		fd = atoi(entry->d_name);
		if (entry->d_name[0] != '.' && fd != keep && fd != dirfd(d) && !has_number(fds, first, fd))
			close(fd);
	}
	closedir(d);
	return 0;
}

static int place_inherited(const struct run_fds *fds, const struct run_fds *first, const int *own,
			   struct hs_error *e)
{
	uint32_t i;

	for (i = 0; i < fds->nr_inherited; i++) {
		const struct run_inherited *n = &fds->inherited[i];

		if (own[n->from] < 0 || dup3(own[n->from], n->fd, n->cloexec ? O_CLOEXEC : 0) < 0)
			return hs_fail(e, errno ?: EBADF, "descriptor %d: the program had descriptor "
				       "%d of cptdev-run, which isn't open now", n->fd, n->from);
		if (n->flags & O_NONBLOCK)
			fcntl(n->fd, F_SETFL, fcntl(n->fd, F_GETFL) | O_NONBLOCK);
		if (first->has_termios[n->from] && isatty(n->fd))
			tcsetattr(n->fd, TCSANOW, &first->termios[n->from]);
	}
	return 0;
}

/* By way of numbers that nobody wants: each one may be in the way of another. */
static int place_own(const struct run_fds *fds, int above, struct hs_error *e)
{
	int *aside = calloc(fds->nr_places + 1, sizeof(*aside)), ret = 0;
	uint32_t i;

	if (!aside)
		return hs_fail(e, ENOMEM, "no memory for the list of descriptors");
	for (i = 0; !ret && i < fds->nr_places; i++) {
		aside[i] = fcntl(fds->places[i].at, F_DUPFD_CLOEXEC, above);
		ret = aside[i] < 0;
	}
	for (i = 0; !ret && i < fds->nr_places; i++)
		ret = dup3(aside[i], fds->places[i].fd, fds->places[i].cloexec ? O_CLOEXEC : 0) < 0;
	free(aside);
	return ret ? hs_fail(e, errno, "descriptor %d: %s", fds->places[i - 1].fd, strerror(errno)) : 0;
}

static int above_of(const struct run_fds *fds, int above)
{
	uint32_t i;

	for (i = 0; i < fds->nr_inherited; i++)
		above = fds->inherited[i].fd >= above ? fds->inherited[i].fd + 1 : above;
	for (i = 0; i < fds->nr_places; i++)
		above = fds->places[i].fd >= above ? fds->places[i].fd + 1 : above;
	if (fds->list.nr && fds->list.v[fds->list.nr - 1].fd >= above)
		above = fds->list.v[fds->list.nr - 1].fd + 1;
	return above;
}

int run_fds_above(const struct run_state *s)
{
	int above = above_of(&s->fds, RUN_STD);
	uint32_t i;

	for (i = 0; i < s->nr_others; i++)
		above = above_of(&s->others[i].fds, above);
	return above;
}

int run_fds_prepare(struct run_fds *fds, struct hs_error *e)
{
	return hs_fds_prepare(&fds->list, e);
}

/* Our own three are moved away first: the program may have others under these numbers. */
int run_fds_make(struct run_fds *fds, int own[RUN_STD], int above, struct hs_error *e)
{
	int i;

	for (i = 0; i < RUN_STD; i++)
		own[i] = fcntl(i, F_DUPFD_CLOEXEC, above);
	return hs_fds_restore(&fds->list, e);
}

int run_fds_place(const struct run_fds *fds, const struct run_fds *first, const int own[RUN_STD], int above,
		  int keep, struct hs_error *e)
{
	if (place_own(fds, above, e) || place_inherited(fds, first, own, e))
		return -1;
	if (close_others(fds, fds == first, keep))
		return hs_fail(e, errno, "/proc/self/fd can't be read: %s", strerror(errno));
	return 0;
}
