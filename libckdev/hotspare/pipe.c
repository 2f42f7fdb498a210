// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: the pool of pipes that checkpoints are written to. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fork.h"
#include "hooks.h"
#include "hotspare.h"
#include "own.h"
#include "pipe.h"
#include "publish.h"
#include "schedule.h"

#define PIPES_MAX	64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct hs_pipe *pipes;
static int most, nr;
static struct hs_target *targets;

void hs_pool_lock(void)
{
	pthread_mutex_lock(&lock);
}

void hs_pool_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

int hs_pool_size(void)
{
	return nr;
}

struct hs_pipe *hs_pool_at(int i)
{
	return &pipes[i];
}

/* The checkpoints of a file are those of a process that isn't this one. */
void hs_pool_in_child(bool goes_on)
{
	struct hs_target *t;

	lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	if (!goes_on) {
		targets = NULL;
		nr = 0;
	}
	for (t = targets; t; t = t->next)
		if (t->sums)
			hs_sums_forget(t->sums);
}

/* Who calls a hook around the cut has locked it. */
static int pool_enter(void)
{
	if (hs_in_hook()) {
		errno = EDEADLK;
		return -1;
	}
	if (hs_fork_child(hs_why()))
		return -1;
	hs_pool_lock();
	return 0;
}

int hs_cpipe_init(int ncon)
{
	int ret = -1;

	if (ncon < 1 || ncon > PIPES_MAX) {
		errno = EINVAL;
		return -1;
	}
	if (pool_enter())
		return -1;
	if (pipes) {
		errno = EEXIST;
	} else {
		pipes = calloc((size_t)ncon, sizeof(*pipes));
		most = ncon;
		if (pipes)
			ret = 0;
	}
	hs_pool_unlock();
	if (!ret)
		hs_fork_own();
	return ret;
}

static bool same_target(const struct hs_target *a, const struct hs_target *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == HS_TARGET_FILE)
		return !strcmp(a->path, b->path);
	return a->kind == HS_TARGET_PEER;
}

/* The one that there is, or a copy of @like. */
static struct hs_target *target_get(const struct hs_target *like)
{
	struct hs_target *t;

	for (t = targets; t; t = t->next)
		if (same_target(t, like))
			return t;
	t = malloc(sizeof(*t));
	if (!t)
		return NULL;
	*t = *like;
	if (t->path)
		t->path = strdup(t->path);
	if (t->kind == HS_TARGET_FILE)
		t->sums = hs_sums_create();
	if (t->kind == HS_TARGET_FILE && (!t->path || !t->sums)) {
		free(t->path);
		hs_sums_free(t->sums);
		free(t);
		return NULL;
	}
	t->next = targets;
	targets = t;
	return t;
}

static int pipe_add(const struct hs_target *like, int fd)
{
	struct hs_result *result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct hs_target *t = NULL;
	int ret = -1;

	if (result == MAP_FAILED)
		return -1;
	if (pool_enter()) {
		munmap(result, sizeof(*result));
		return -1;
	}
	if (!pipes)
		errno = ENOENT;
	else if (nr == most)
		errno = ENOSPC;
	else
		t = target_get(like);
	if (t) {
		pipes[nr++] = (struct hs_pipe) {
			.target = t, .fd = fd, .result = result, .ended = -1,
			.file = { .fd = -1, .directory = -1 },
		};
		ret = 0;
	}
	hs_pool_unlock();
	if (ret)
		munmap(result, sizeof(*result));
	return ret;
}

int hs_cpipe_load(int fd)
{
	const struct hs_target like = { .kind = HS_TARGET_FD };

	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -1;
	if ((flags & O_ACCMODE) == O_RDONLY) {
		errno = EBADF;
		return -1;
	}
	return pipe_add(&like, fd);
}

/* Returns 0 or errno. */
static int bad_address(const struct sockaddr *a, socklen_t len)
{
	if (!a || len < sizeof(sa_family_t) || len > sizeof(struct sockaddr_storage))
		return EINVAL;
	if (a->sa_family == AF_INET)
		return len < sizeof(struct sockaddr_in) ? EINVAL : 0;
	if (a->sa_family == AF_INET6)
		return len < sizeof(struct sockaddr_in6) ? EINVAL : 0;
	return EAFNOSUPPORT;
}

/* One more to the same spare lets one more asynchronous checkpoint be under way. */
int hs_cpipe_loadtcp(const struct sockaddr *target, socklen_t len)
{
	const struct hs_target like = { .kind = HS_TARGET_PEER };
	int err = bad_address(target, len);

	if (err) {
		errno = err;
		return -1;
	}
	if (pipe_add(&like, -1))
		return -1;
	if (!hs_publish_peer(target, len, hs_why()))
		return 0;
	err = errno;
	hs_pool_lock();
	nr--;
	munmap(pipes[nr].result, sizeof(*pipes[nr].result));
	hs_pool_unlock();
	errno = err;
	return -1;
}

int hs_cpipe_loadtcp4(const struct sockaddr_in *target)
{
	if (!target || target->sin_family == AF_INET)
		return hs_cpipe_loadtcp((const struct sockaddr *)target, sizeof(*target));
	errno = EAFNOSUPPORT;
	return -1;
}

/* What a checkpoint may take the place of, or nothing. Returns 0 or errno. */
static int bad_file(const char *name)
{
	struct stat st;

	if (!name || !*name)
		return EINVAL;
	if (stat(name, &st) || S_ISREG(st.st_mode))
		return 0;
	return S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
}

/* It is found out now whether files can be made there. */
int hs_cpipe_loadfile(const char *filename)
{
	struct hs_target like = { .kind = HS_TARGET_FILE };
	int err = bad_file(filename), ret;
	struct hs_file f;

	if (err) {
		errno = err;
		return -1;
	}
	like.path = hs_file_absolute(filename);
	if (!like.path)
		return -1;
	ret = hs_file_create(&f, like.path);
	if (!ret) {
		hs_file_drop(&f);
		hs_files_clean(like.path);
		ret = pipe_add(&like, -1);
	}
	err = errno;
	free(like.path);
	errno = err;
	return ret;
}

bool hs_pool_has(int fd)
{
	bool has = false;
	int i;

	hs_pool_lock();
	for (i = 0; i < nr; i++)
		has |= fd == pipes[i].fd || fd == pipes[i].ended;
	hs_pool_unlock();
	return has;
}

/*
 * Before a checkpoint
 */

/* Whole checkpoints have the name itself, increments their generation behind it. */
static int open_file(struct hs_pipe *p, const struct hs_image_head *head, struct hs_error *e)
{
	const char *path = p->target->path;
	char *name = NULL;
	int ret;

	if (head->flags & HS_IMAGE_INCREMENT &&
	    asprintf(&name, "%s.%llu", path, (unsigned long long)head->generation) < 0)
		return hs_fail(e, ENOMEM, "no memory");
	ret = hs_file_create(&p->file, name ?: path);
	free(name);
	if (ret)
		return hs_fail(e, errno, "%s: %s", path, strerror(errno));
	hs_own(p->file.fd, "a checkpoint file");
	hs_own(p->file.directory, "the directory of a checkpoint");
	p->fd = p->file.fd;
	return 0;
}

/*
 * So that it can be written to. Files: @head is final. Returns 0, or -1 with errno and @e.
 */
int hs_pipe_open(struct hs_pipe *p, const struct hs_image_head *head, struct hs_error *e)
{
	return p->target->kind == HS_TARGET_FILE ? open_file(p, head, e) : 0;
}

/* All is written: is it where it shall be? Returns 0, or -1 with errno and @e. */
int hs_pipe_confirm(struct hs_pipe *p, struct hs_error *e)
{
	if (p->target->kind != HS_TARGET_FILE || !hs_file_rename(&p->file))
		return 0;
	return hs_fail(e, errno, "%s: %s", p->target->path, strerror(errno));
}

/* What the whole checkpoint has replaced. One that follows it may be there already. */
static void remove_replaced(void *arg, int dir, const char *name, uint64_t number,
			    const uint8_t run[16])
{
	const struct hs_pipe *p = arg;

	if (number <= p->generation || memcmp(run, p->run, sizeof(p->run)))
		unlinkat(dir, name, 0);
}

uint64_t hs_increments_most = 10000;
uint64_t hs_increments_bytes = 64 << 20;

bool hs_target_full(const struct hs_target *t)
{
	uint64_t bytes = t->whole_bytes > hs_increments_bytes ? t->whole_bytes : hs_increments_bytes;

	return t->kind == HS_TARGET_FILE &&
		(t->increments >= hs_increments_most || t->increment_bytes >= bytes);
}

static void count_file(struct hs_target *t, bool whole, int fd)
{
	struct stat st;
	uint64_t len = fstat(fd, &st) ? 0 : (uint64_t)st.st_size;

	if (whole) {
		t->whole_bytes = len;
		t->increments = t->increment_bytes = 0;
	} else {
		t->increments++;
		t->increment_bytes += len;
	}
}

static void file_done(struct hs_pipe *p, int err)
{
	hs_disown(p->file.fd);
	hs_disown(p->file.directory);
	if (err) {
		hs_file_drop(&p->file);
	} else {
		count_file(p->target, p->whole, p->file.fd);
		hs_file_done(&p->file);
		if (p->whole)
			hs_increments(p->target->path, remove_replaced, p);
	}
	p->fd = -1;
}

/* After a checkpoint. @err: why it wasn't written, or 0. */
void hs_pipe_done(struct hs_pipe *p, int err)
{
	if (p->target->kind == HS_TARGET_FILE)
		file_done(p, err);
	if (err && p->target->sums)
		hs_sums_forget(p->target->sums);
}
