// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: descriptors of its own, see own.h. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "own.h"

/* There are 64 pipes with up to 6 each, and less than 16 others. */
#define OWN_MAX		400

static struct own {
	int fd;
	dev_t device;
	ino_t inode;
	const char *what;
} own[OWN_MAX];
static size_t nr;

static struct own *find(int fd)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (own[i].fd == fd)
			return &own[i];
	return NULL;
}

void hs_disown(int fd)
{
	struct own *o = find(fd);

	if (o)
		*o = own[--nr];
}

void hs_own(int fd, const char *what)
{
	struct stat st;

	hs_disown(fd);
	if (fd >= 0 && nr < OWN_MAX && !fstat(fd, &st))
		own[nr++] = (struct own) { fd, st.st_dev, st.st_ino, what };
}

static bool is_same(const struct own *o)
{
	struct stat st;

	return !fstat(o->fd, &st) && st.st_dev == o->device && st.st_ino == o->inode;
}

bool hs_owns(int fd)
{
	const struct own *o = find(fd);

	return o && is_same(o);
}

/* Leaves errno alone. */
void hs_own_close(int *fd)
{
	const struct own *o = find(*fd);
	int was = *fd, saved = errno;

	/* A child that is forked meanwhile must not close a number that is another thing by now. */
	*fd = -1;
	if (was >= 0 && (!o || is_same(o)))
		close(was);
	hs_disown(was);
	errno = saved;
}

int hs_own_move(int *fd, int least)
{
	const struct own *o = find(*fd);
	int to = fcntl(*fd, F_DUPFD_CLOEXEC, least);

	if (to < 0)
		return -1;
	hs_own(to, o ? o->what : "the library");
	hs_own_close(fd);
	*fd = to;
	return 0;
}

int hs_own_check(struct hs_error *e)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (!is_same(&own[i]))
			return hs_fail(e, EBADF, "the program has closed descriptor %d, which "
				       "belongs to the library (%s): close all descriptors before "
				       "hs_init(3)", own[i].fd,
				       own[i].what);
	return 0;
}
