// SPDX-License-Identifier: GPL-2.0-or-later
/* Sockets of this machine's, by a path. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"
#include "unix_bind.h"

static int unix_socket(int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

/* A socket that answers belongs to a daemon that runs. */
static bool taken(const struct sockaddr_un *un, int type)
{
	int fd = unix_socket(type);
	bool answers;

	if (fd < 0)
		return false;
	answers = !connect(fd, (const struct sockaddr *)un, sizeof(*un)) || errno == EAGAIN;
	close(fd);
	return answers;
}

/* Under systemd the unit makes it; a person who starts the daemon needn't know of it. */
static int directory(const char *path)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];

	strcpy(dir, path);
	*strrchr(dir, '/') = '\0';
	if (!dir[0] || !access(dir, F_OK))
		return 0;
	if (mkdir(dir, 0750))
		return errno == EEXIST ? 0 : -errno;
	log_info("created the directory %s for the socket %s", dir, path);
	return 0;
}

/* What a daemon that was killed left behind is in the way; nothing else is removed. */
static int clear(const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	return unlink(path) && errno != ENOENT ? -errno : 0;
}

static int bind_to(int fd, const struct sockaddr_un *un)
{
	mode_t mask = umask(0117);
	int ret = bind(fd, (const struct sockaddr *)un, sizeof(*un)) ? -errno : 0;

	umask(mask);
	return ret;
}

int unix_bind(const char *path, int type)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd, ret;

	strcpy(un.sun_path, path);
	if (taken(&un, type))
		return -EADDRINUSE;
	fd = unix_socket(type);
	if (fd < 0)
		return fd;
	ret = directory(path);
	if (!ret)
		ret = clear(path);
	if (!ret)
		ret = bind_to(fd, &un);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}
