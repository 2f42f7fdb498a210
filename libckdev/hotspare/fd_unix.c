// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: names of Unix sockets in the file system. A relative one is meant from a directory,
 * which the program may have left since; and who may connect is what mode and owner say, which
 * bind(2) would make new ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "fd.h"
#include "js.h"

/* Its name in the file system, or NULL: it has another one, or none. */
static const char *path_of(const struct hs_fd_socket *s)
{
	const struct sockaddr_un *un = (const void *)&s->name.addr;

	return s->domain == AF_UNIX && s->name.len > sizeof(sa_family_t) && un->sun_path[0] ?
		un->sun_path : NULL;
}

static bool is_relative(const struct hs_fd_address *a)
{
	const struct sockaddr_un *un = (const void *)&a->addr;

	return a->addr.ss_family == AF_UNIX && a->len > sizeof(sa_family_t) && un->sun_path[0] &&
		un->sun_path[0] != '/';
}

/* In the registered one: relative names are meant from here. Returns 0, or -1 with errno. */
int hs_fd_unix_query(struct hs_fd *f)
{
	char here[PATH_MAX];

	if (!is_relative(&f->socket.name) && !is_relative(&f->socket.peer))
		return 0;
	if (!getcwd(here, sizeof(here)))
		return -1;
	f->extra = json_object_new_object();
	if (!f->extra) {
		errno = ENOMEM;
		return -1;
	}
	js_put_text(f->extra, "directory", here);
	return 0;
}

/* What stays of f->extra, in one that was restored. */
void hs_fd_unix_keep(struct hs_fd *f)
{
	struct json_object *directory = json_object_object_get(f->extra, "directory"), *kept = NULL;

	if (f->kind == HS_FD_SOCKET && directory) {
		kept = json_object_new_object();
		json_object_object_add(kept, "directory", json_object_get(directory));
	}
	json_object_put(f->extra);
	f->extra = kept;
}

static int stat_in(const char *directory, const char *path, struct stat *st)
{
	int at = directory ? open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC) : AT_FDCWD, ret;

	if (directory && at < 0)
		return -1;
	ret = fstatat(at, path, st, AT_SYMLINK_NOFOLLOW);
	if (directory)
		close(at);
	return ret;
}

/* Into @to->extra; a name that was removed is none whose mode matters. */
void hs_fd_unix_capture(const struct hs_fd *from, struct hs_fd *to)
{
	struct json_object *o = json_object_object_get(from->extra, "directory");
	const char *directory = o ? json_object_get_string(o) : NULL;
	const char *path = path_of(&to->socket);
	struct stat st;

	if (directory)
		js_put_text(to->extra, "directory", directory);
	if (!path || stat_in(*path == '/' ? NULL : directory, path, &st) || !S_ISSOCK(st.st_mode))
		return;
	js_put_u64(to->extra, "mode", st.st_mode & 07777);
	js_put_u64(to->extra, "uid", st.st_uid);
	js_put_u64(to->extra, "gid", st.st_gid);
}

/*
 * Around making the socket again
 */

/* Into the directory that its names are meant from. Returns 0, or -1 with errno. */
int hs_fd_unix_enter(const struct hs_fd *f, struct hs_fd_there *t)
{
	struct json_object *directory = json_object_object_get(f->extra, "directory");

	/* Nobody may connect before the mode is what it was. */
	t->umask = umask(0777);
	if (!path_of(&f->socket) || !json_object_object_get(f->extra, "mode"))
		umask(t->umask);
	t->back = -1;
	if (!directory)
		return 0;
	t->back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return t->back < 0 ? -1 : chdir(json_object_get_string(directory));
}

static int set_mode(const struct hs_fd *f)
{
	struct js_from from = { .o = f->extra };
	const char *path = path_of(&f->socket);
	struct stat st;

	if (!path || !json_object_object_get(f->extra, "mode"))
		return 0;
	if (lstat(path, &st))
		return -1;
	if ((st.st_uid != js_get_u64(&from, "uid") || st.st_gid != js_get_u64(&from, "gid")) &&
	    lchown(path, (uid_t)js_get_u64(&from, "uid"), (gid_t)js_get_u64(&from, "gid")))
		fprintf(stderr, "libhotspare: descriptor %d: the owner of %s can't be restored: "
			"%s\n", f->fd, path, strerror(errno));
	return chmod(path, (mode_t)js_get_u64(&from, "mode"));
}

/* And back. Leaves errno alone unless it fails. Returns 0, or -1 with errno. */
int hs_fd_unix_leave(const struct hs_fd *f, struct hs_fd_there *t, bool bound)
{
	int ret = bound ? set_mode(f) : 0, err = errno;

	umask(t->umask);
	if (t->back >= 0) {
		if (fchdir(t->back) && !ret) {
			err = errno;
			ret = -1;
		}
		close(t->back);
	}
	errno = err;
	return ret;
}

/* What makes no sense is in @from. */
void hs_fd_unix_check(struct js_from *from)
{
	if (json_object_object_get(from->o, "directory") && *js_get_text(from, "directory") != '/')
		from->bad = from->bad ?: "directory";
	if (!json_object_object_get(from->o, "mode"))
		return;
	js_get_i64(from, "mode", 0, 07777);
	js_get_i64(from, "uid", 0, UINT32_MAX);
	js_get_i64(from, "gid", 0, UINT32_MAX);
}
