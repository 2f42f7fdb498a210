// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: files that are there as a whole or not at all, also when the power fails.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format.h"

/* A name is on the disk when its directory is. */
static int open_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	int fd;

	if (!dir)
		return -1;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	return fd;
}

/*
 * The same file by a name that stays right when the program changes its directory, as
 * daemon(3) does. The file itself needn't exist; if it is a link the link is named. The
 * caller frees it. NULL: errno.
 */
char *hs_file_absolute(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	char directory[PATH_MAX], *parent, *all = NULL;

	if (!*path || !*name) {
		errno = *path ? EISDIR : EINVAL;
		return NULL;
	}
	parent = slash ? strndup(path, (size_t)(name - path)) : strdup(".");
	if (!parent)
		return NULL;
	if (realpath(parent, directory) &&
	    asprintf(&all, "%s/%s", directory[1] ? directory : "", name) < 0)
		all = NULL;
	free(parent);
	return all;
}

/*
 * Under this name until it is whole. Who writes it has it locked (flock(2)), or a child of
 * his: one that isn't locked was left by a process that was killed.
 */
#define UNFINISHED	".unfinished-"

/* Returns 0, or -1 with errno. Who created it publishes or drops it. */
int hs_file_create(struct hs_file *f, const char *path)
{
	*f = (struct hs_file) {
		.fd = -1, .directory = open_directory(path), .path = strdup(path),
	};
	if (!f->path || asprintf(&f->temporary, "%s" UNFINISHED "XXXXXX", path) < 0) {
		f->temporary = NULL;
		errno = ENOMEM;
	} else if (f->directory >= 0) {
		f->fd = mkostemp(f->temporary, O_CLOEXEC);
	}
	/* Where files can't be locked nobody takes them away, either. */
	if (f->fd >= 0) {
		flock(f->fd, LOCK_EX | LOCK_NB);
		return 0;
	}
	free(f->temporary);
	f->temporary = NULL;
	hs_file_drop(f);
	return -1;
}

/* Takes it away, unless it has its name. Leaves errno alone. */
void hs_file_drop(struct hs_file *f)
{
	int saved = errno;

	if (f->temporary)
		unlink(f->temporary);
	if (f->fd >= 0)
		close(f->fd);
	if (f->directory >= 0)
		close(f->directory);
	free(f->temporary);
	free(f->path);
	*f = (struct hs_file) { .fd = -1, .directory = -1 };
	errno = saved;
}

/*
 * Under its name from here on, in place of what had it. Returns 0, or -1 with errno: then
 * what was there is still there; or, if it was the directory that couldn't be synced, the
 * new one is, but may be gone when the power fails. Takes no memory.
 */
int hs_file_rename(struct hs_file *f)
{
	if (fsync(f->fd) || rename(f->temporary, f->path))
		return -1;
	return fsync(f->directory);
}

/* It has its name. */
void hs_file_done(struct hs_file *f)
{
	free(f->temporary);
	f->temporary = NULL;
	hs_file_drop(f);
}

/* The same at once, and it is dropped in any case. Returns 0, or -1 with errno. */
int hs_file_publish(struct hs_file *f)
{
	int ret = hs_file_rename(f);

	if (ret)
		hs_file_drop(f);
	else
		hs_file_done(f);
	return ret;
}

/*
 * What was left
 */

/* Is it the name of a file that isn't whole, for @base or an increment of it? */
static bool is_unfinished(const char *name, const char *base)
{
	size_t len = strlen(base), random;

	if (strncmp(name, base, len))
		return false;
	name += len;
	if (name[0] == '.' && name[1] >= '0' && name[1] <= '9')
		name += 1 + strspn(name + 1, "0123456789");
	if (strncmp(name, UNFINISHED, strlen(UNFINISHED)))
		return false;
	name += strlen(UNFINISHED);
	random = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
	return random == 6 && !name[random];
}

/* Nobody writes it, and as far as it goes it is a checkpoint. */
static bool is_left(int fd)
{
	struct stat st;
	char magic[8];
	ssize_t n;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || flock(fd, LOCK_EX | LOCK_NB))
		return false;
	n = pread(fd, magic, sizeof(magic), 0);
	return n >= 0 && !memcmp(magic, HS_IMAGE_MAGIC, (size_t)n);
}

static void clean_one(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return;
	if (is_left(fd))
		unlinkat(dir, name, 0);
	close(fd);
}

void hs_files_clean(const char *path)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	int fd = open_directory(path);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (d && (entry = readdir(d)))
		if (is_unfinished(entry->d_name, base))
			clean_one(fd, entry->d_name);
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
}

/*
 * Increments
 */

/* How many heads were read, for tests: a restart reads each once. */
unsigned long hs_heads_read;

static void look_at_increment(int dir, const char *name, uint64_t number, hs_increment_fn fn,
			      void *arg)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	struct hs_image_head head;

	hs_heads_read++;
	if (fd < 0 || read(fd, &head, sizeof(head)) != sizeof(head))
		memset(&head, 0, sizeof(head));
	if (fd >= 0)
		close(fd);
	fn(arg, dir, name, number, head.run);
}

/* Each file whose name is that of @path, a dot, and a number: in no order. */
void hs_increments(const char *path, hs_increment_fn fn, void *arg)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *rest;
	int fd = open_directory(path);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	size_t len = strlen(name);
	struct dirent *entry;

	while (d && (entry = readdir(d))) {
		rest = entry->d_name + len;
		if (strncmp(entry->d_name, name, len) || *rest++ != '.' || !*rest ||
		    rest[strspn(rest, "0123456789")])
			continue;
		look_at_increment(fd, entry->d_name, strtoull(rest, NULL, 10), fn, arg);
	}
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
}
