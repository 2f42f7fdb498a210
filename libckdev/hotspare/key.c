// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: the key for links, see key.h. What a key looks like is cptdevd's to say. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "key.h"

#define KEY	"HOTSPARE_KEY"

static struct {
	char text[1024];
	size_t len;		/* 0: there is none */
	int fd;			/* that it came from; -1: from a file */
} key = { .fd = -1 };

/* The descriptor in "fd:N"; -1: it is a path, or nonsense. */
static int fd_in(const char *from)
{
	char *end;
	long n;

	if (strncmp(from, "fd:", 3) || from[3] < '0' || from[3] > '9')
		return -1;
	n = strtol(from + 3, &end, 10);
	return *end || n > INT_MAX ? -1 : (int)n;
}

/* All of it, or an error. */
static int take(int fd, const char *from, struct hs_error *e)
{
	ssize_t n = 0;

	key.len = 0;
	while (key.len < sizeof(key.text)) {
		n = read(fd, key.text + key.len, sizeof(key.text) - key.len);
		if (n <= 0)
			break;
		key.len += (size_t)n;
	}
	if (n < 0)
		return hs_fail(e, errno, "key %.100s: %s", from, strerror(errno));
	if (!key.len || key.len == sizeof(key.text)) {
		key.len = 0;
		return hs_fail(e, EINVAL, "key %.100s: this isn't a key; cptdevctl key makes one",
			       from);
	}
	return 0;
}

/* Whoever can read or write the file can be the other host. */
static int check_file(int fd, const char *from, struct hs_error *e)
{
	struct stat st;

	if (fstat(fd, &st))
		return hs_fail(e, errno, "key %.100s: %s", from, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return hs_fail(e, EINVAL, "key %.100s: it isn't a file", from);
	if (st.st_uid && st.st_uid != geteuid())
		return hs_fail(e, EACCES, "key %.100s: it belongs to user %u, neither root nor the user of this program",
			       from, st.st_uid);
	if (st.st_mode & 077)
		return hs_fail(e, EACCES, "key %.100s: others have rights to it (mode %04o): chmod 600", from,
			       st.st_mode & 07777);
	return 0;
}

int hs_key_read(const char *from, struct hs_error *e)
{
	int fd, ret;

	from = from ?: secure_getenv(KEY);
	if (!from)
		return 0;
	key.fd = fd = fd_in(from);
	if (fd < 0)
		fd = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return hs_fail(e, errno, "key %.100s: %s", from, strerror(errno));
	ret = (key.fd < 0 && check_file(fd, from, e)) || take(fd, from, e) ? -1 : 0;
	if (ret && errno == EBADF)
		return -1;
	return close(fd) ? hs_fail(e, errno, "key %.100s: %s", from, strerror(errno)) : ret;
}

bool hs_key_given(void)
{
	return key.len;
}

int hs_key_write(const char *path, struct hs_error *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t n;

	if (fd < 0)
		return hs_fail(e, errno, "%s: %s", path, strerror(errno));
	n = write(fd, key.text, key.len);
	if (close(fd) | (n != (ssize_t)key.len))
		return hs_fail(e, n < 0 ? errno : ENOSPC, "%s can't be written", path);
	return 0;
}

void hs_key_pass_on(void)
{
	int fd;

	if (key.fd < 0 || !key.len)
		return;
	fd = memfd_create("hotspare-key", 0);
	if (fd >= 0 && write(fd, key.text, key.len) == (ssize_t)key.len && !lseek(fd, 0, SEEK_SET) &&
	    (fd == key.fd || dup2(fd, key.fd) == key.fd))
		return;
	hs_say("libhotspare: the key can't be passed on: %s", strerror(errno));
}
