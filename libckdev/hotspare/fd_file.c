// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: which file a descriptor means. A restart has nothing but a name. At the cut the
 * name must lead to the file that is open, wherever it was moved; at the restart it must lead
 * to something of the same type, and what is different from then is told. A file may have
 * changed for good reasons, since it isn't part of the checkpoint: so a change is no error.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "fd.h"

/* The flags of open(2) that matter later. */
#define FILE_FLAGS	(O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | O_DIRECT | \
			 O_NOATIME | O_LARGEFILE)
/* null, zero, full, random and so on: each time they are opened they are the same. */
#define MAJOR_MEMORY	1

bool hs_is_file(mode_t mode)
{
	return S_ISREG(mode) || S_ISCHR(mode);
}

/* Numbers of inodes and devices are the same again as long as the kernel runs. */
static const char *boot_id(void)
{
	static char id[HS_FD_BOOT];
	FILE *f;

	if (id[0])
		return id;
	f = fopen("/proc/sys/kernel/random/boot_id", "re");
	if (f && !fgets(id, sizeof(id), f))
		id[0] = 0;
	if (f)
		fclose(f);
	id[strcspn(id, "\n")] = 0;
	return id;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool nothing_there(int err)
{
	return err == ENOENT || err == ENOTDIR;
}

/*
 * When it is registered
 */

/* /proc/123/... is of a process that won't be there, or will be another one. */
static bool is_of_a_process(const struct hs_fd *f)
{
	struct statfs fs;

	return !strncmp(f->file.path, "/proc/", 6) && isdigit((unsigned char)f->file.path[6]) &&
		!fstatfs(f->fd, &fs) && fs.f_type == PROC_SUPER_MAGIC;
}

/* The program has named it: that needn't be the name by which it was opened. */
static int check_named(const struct hs_fd *f, const char *given, struct hs_error *e)
{
	struct stat st;

	if (!stat(f->file.path, &st) && !hs_is_file(st.st_mode))
		return hs_fail(e, EPROTOTYPE, "descriptor %d: %s isn't a file", f->fd, given);
	return 0;
}

static int check_found(const struct hs_fd *f, const struct stat *st, struct hs_error *e)
{
	struct stat now;

	if (stat(f->file.path, &now) ? !nothing_there(errno) : same_file(st, &now))
		return 0;
	return hs_fail(e, ENOENT, "descriptor %d: its file has no name any more: deregister the "
		       "descriptor, or name a file (hs_fdreg_filefd)", f->fd);
}

static void tell_device(const struct hs_fd *f, const struct stat *st)
{
	if (!S_ISCHR(st->st_mode) || major(st->st_rdev) == MAJOR_MEMORY)
		return;
	fprintf(stderr, "libhotspare: descriptor %d: a restart opens %s again: the state that the "
		"device keeps for it isn't saved\n", f->fd, f->file.path);
}

/* @link: how the kernel names it; @path: how the program does, or NULL. */
int hs_fd_file_query(struct hs_fd *f, const struct stat *st, const char *path, const char *link,
		     struct hs_error *e)
{
	int ret, err;

	f->file.named = path;
	f->file.path = path ? realpath(path, NULL) : strdup(link);
	if (!f->file.path)
		return hs_fail(e, errno, "descriptor %d: %s: %s", f->fd, path ?: link,
			       strerror(errno));
	if (is_of_a_process(f))
		ret = hs_fail(e, EOPNOTSUPP, "descriptor %d: %s is a file of a process, and can't "
			      "be saved", f->fd, f->file.path);
	else
		ret = path ? check_named(f, path, e) : check_found(f, st, e);
	if (!ret) {
		tell_device(f, st);
		return 0;
	}
	err = errno;
	free(f->file.path);
	f->file.path = NULL;
	errno = err;
	return -1;
}

/*
 * At the cut
 */

/* Where it is now: it may have been renamed. What was deleted keeps the name that it had. */
static int follow(struct hs_fd *f, const struct stat *st, struct hs_error *e)
{
	char link[4096];
	struct stat now;
	char *path;

	if (hs_fd_link(f->fd, link, sizeof(link)))
		return hs_fail(e, errno, "descriptor %d: /proc can't be read: mount it", f->fd);
	if (!strcmp(link, f->file.path) || stat(link, &now) || !same_file(st, &now))
		return 0;
	path = strdup(link);
	if (!path)
		return hs_fail(e, ENOMEM, "descriptor %d: no memory", f->fd);
	free(f->file.path);
	f->file.path = path;
	return 0;
}

/* What has its name: @now. Better now than when it is missed: a restart opens it by its name. */
static int look(struct hs_fd *f, const struct stat *st, struct stat *now, struct hs_error *e)
{
	if (!stat(f->file.path, now)) {
		if (f->file.named && !hs_is_file(now->st_mode))
			return hs_fail(e, EPROTOTYPE, "descriptor %d: %.80s isn't a file any more: "
				       "deregister it (hs_fd_deregister)", f->fd, f->file.path);
		if (f->file.named || same_file(st, now))
			return 0;
		return hs_fail(e, ENOENT, "descriptor %d: %.80s is another file now: register this "
			       "file instead (hs_fd_deregister)", f->fd, f->file.path);
	}
	if (nothing_there(errno))
		return hs_fail(e, ENOENT, "descriptor %d: %.80s doesn't exist any more: deregister "
			       "it (hs_fd_deregister)", f->fd, f->file.path);
	/* Nobody tells, for instance in a directory that may not be searched any more. */
	*now = *st;
	return 0;
}

/* f->file.path is @f's own. */
int hs_fd_file_capture(struct hs_fd *f, const struct stat *st, struct hs_error *e)
{
	struct stat now;

	if ((!f->file.named && follow(f, st, e)) || look(f, st, &now, e))
		return -1;
	f->file.offset = lseek(f->fd, 0, SEEK_CUR);
	f->file.size = now.st_size;
	f->file.mtime = now.st_mtim;
	f->file.device = now.st_dev;
	f->file.inode = now.st_ino;
	f->file.special = S_ISCHR(now.st_mode) ? now.st_rdev : 0;
	f->file.is_special = S_ISCHR(now.st_mode);
	memcpy(f->file.boot, boot_id(), sizeof(f->file.boot));
	return 0;
}

/*
 * At the restart
 */

static const char *type_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "a file";
	case S_IFDIR:
		return "a directory";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	case S_IFBLK:
		return "a block device";
	default:
		return "a device";
	}
}

/* Opening something else may wait for ever, or do something. */
static int check_type(const struct hs_fd *f, const struct stat *st, struct hs_error *e)
{
	const struct hs_fd_file *file = &f->file;

	if (!(file->is_special ? S_ISCHR(st->st_mode) : S_ISREG(st->st_mode)))
		return hs_fail(e, EPROTOTYPE, "descriptor %d: %.100s was %s at the checkpoint, and is "
			       "%s here", f->fd, file->path,
			       file->is_special ? "a device" : "a file", type_of(st->st_mode));
	if (!file->is_special || st->st_rdev == file->special)
		return 0;
	return hs_fail(e, EPROTOTYPE, "descriptor %d: %.100s was device %u:%u at the checkpoint, and "
		       "is %u:%u here", f->fd, file->path, major(file->special),
		       minor(file->special), major(st->st_rdev), minor(st->st_rdev));
}

static int mode_of(const struct hs_fd *f)
{
	static const int modes[] = {
		[O_RDONLY] = R_OK, [O_WRONLY] = W_OK, [O_RDWR] = R_OK | W_OK,
	};

	return (f->flags & O_ACCMODE) == O_ACCMODE ? F_OK : modes[f->flags & O_ACCMODE];
}

/* Could it be opened, if it had to be now? Returns 0, or -1 with errno and @e. */
int hs_fd_file_missing(const struct hs_fd *f, struct hs_error *e)
{
	struct stat st;

	if (stat(f->file.path, &st) || faccessat(AT_FDCWD, f->file.path, mode_of(f), AT_EACCESS))
		return hs_fail(e, errno, "descriptor %d: %s: %s", f->fd, f->file.path,
			       strerror(errno));
	return check_type(f, &st, e);
}

/* Whoever only appends doesn't care where the end is. */
static bool only_appends(const struct hs_fd *f)
{
	return f->flags & O_APPEND && (f->flags & O_ACCMODE) == O_WRONLY;
}

static int what_changed(const struct hs_fd *f, const struct stat *st)
{
	const struct hs_fd_file *file = &f->file;
	int changed = 0;

	if (file->is_special)
		return 0;
	if (file->boot[0] && !strcmp(file->boot, boot_id()) &&
	    (st->st_dev != file->device || st->st_ino != file->inode))
		changed |= HS_FILE_OTHER;
	if (st->st_size != file->size)
		changed |= HS_FILE_SIZE;
	if (st->st_mtim.tv_sec != file->mtime.tv_sec || st->st_mtim.tv_nsec != file->mtime.tv_nsec)
		changed |= HS_FILE_TIME;
	if (st->st_size < file->size && st->st_size < file->offset && !only_appends(f))
		changed |= HS_FILE_SHORT;
	return changed;
}

static int open_by_link(int name, int flags)
{
	char link[40];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", name);
	return open(link, flags | O_CLOEXEC | O_NOCTTY);
}

/* What has the name is looked at before it is opened. A descriptor, or -1 with errno and @e. */
int hs_fd_file_open(struct hs_fd *f, struct hs_error *e)
{
	int name = open(f->file.path, O_PATH | O_CLOEXEC), fd = -1, err;
	struct stat st;

	if (name < 0 || fstat(name, &st)) {
		hs_fail(e, errno, "descriptor %d: %s: %s", f->fd, f->file.path, strerror(errno));
	} else if (!check_type(f, &st, e)) {
		fd = open_by_link(name, f->flags & FILE_FLAGS);
		if (fd < 0 || (!f->file.is_special && f->file.offset >= 0 &&
			       lseek(fd, f->file.offset, SEEK_SET) < 0))
			hs_fail(e, errno, "descriptor %d: %s: %s", f->fd, f->file.path,
				strerror(errno));
		else
			f->file.changed = what_changed(f, &st);
		f->file.size_now = st.st_size;
	}
	err = errno;
	if (name >= 0)
		close(name);
	errno = err;
	return fd;
}

static const char *how_changed(const struct hs_fd_file *file, char *text, size_t size)
{
	const char *other = file->changed & HS_FILE_OTHER ? "another file has its name; " : "";

	if (file->changed & HS_FILE_SHORT)
		snprintf(text, size, "%sof %lld bytes %lld are left, and the program continues at "
			 "byte %lld", other, (long long)file->size, (long long)file->size_now,
			 (long long)file->offset);
	else if (file->changed & HS_FILE_SIZE)
		snprintf(text, size, "%sit had %lld bytes, and now has %lld", other,
			 (long long)file->size, (long long)file->size_now);
	else if (file->changed & HS_FILE_TIME)
		snprintf(text, size, "%sit was written to", other);
	else
		snprintf(text, size, "another file has its name");
	return text;
}

/* Those that aren't what they were at the checkpoint. */
void hs_fds_tell_changed(const struct hs_fds *list)
{
	const struct hs_fd *f;
	char text[192];

	for (f = list->v; f < list->v + list->nr; f++)
		if (f->kind == HS_FD_FILE && f->same_as < 0 && f->file.changed)
			fprintf(stderr, "libhotspare: descriptor %d: %s has changed since the "
				"checkpoint: %s\n", f->fd, f->file.path,
				how_changed(&f->file, text, sizeof(text)));
}
