// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: the cut as a snapshot by the cptdev module. What is tracked follows what is
 * saved: the two are compared at each cut, when the arena is locked.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ckdev.h>

#include "../internal.h"
#include "../softwire.h"
#include "arena.h"
#include "handover.h"
#include "hotspare.h"
#include "lock.h"
#include "module.h"
#include "own.h"
#include "private.h"
#include "watchdog.h"
#include "written.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE	23	/* Linux 5.14 */
#endif

/* A section with memory is no longer than this. */
#define MEMORY_MAX	(256UL << 10)
#define BATCH		128		/* entries that are read at a time */

static bool chosen, must;
static bool reopens;			/* the next session has what the last one had */
static enum hs_wish wanted;
static int session = -1;			/* of the module */
static int soft = -1;			/* of cptdevd's soft engine, always with a name */
static const struct cptdev_session_page *page;	/* NULL: it has none */
static struct hs_intervals tracked;
static const char *session_name;	/* NULL: it has none */
static uint64_t session_term;
static struct hs_error why_not;

/* The session isn't closed during a look at it (touch.c), which comes from another thread. */
HS_LOCK(session_lock);

static void close_session(void)
{
	hs_lock(&session_lock);
	hs_own_close(&session);
	hs_unlock(&session_lock);
}

/*
 * Which one
 */

int hs_backend_by_name(const char *name, enum hs_wish *to, struct hs_error *e)
{
	static const char *const names[] = {
		[HS_AUTO] = "auto", [HS_MODULE] = "module", [HS_PORTABLE] = "portable",
		[HS_COMPARE] = "compare",
	};
	unsigned int i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i]))
			continue;
		*to = (enum hs_wish)i;
		return 0;
	}
	return hs_fail(e, EINVAL, "backend '%.60s' isn't one of module, portable, compare, auto", name);
}

void hs_snapshot_name(const char *name, uint64_t term)
{
	session_name = name;
	session_term = term;
}

/* The soft engine's socket, if it was named: then it is wanted. NULL: cptdevd's usual place. */
static const char *soft_socket(void)
{
	return hs_private_programs() ?: secure_getenv(HS_PROGRAMS);
}

static bool no_module(int ret)
{
	return ret == -ENOENT || ret == -ENODEV || ret == -ENXIO;
}

int hs_engine_open(struct hs_error *e)
{
	const char *path = soft_socket();
	bool module = wanted == HS_MODULE && !hs_private_programs();
	int fd = -ENOENT;

	if (module || (wanted == HS_AUTO && !path))
		fd = ckdev_open();
	module |= !no_module(fd);
	if (!module)
		fd = ckdev_soft_open(path);
	if (fd >= 0)
		return fd;
	if (module)
		return hs_fail(e, -fd, "%s: %s", CPTDEV_DEVICE, ckdev_strerror(fd));
	return hs_fail(e, -fd, "%s%s: %s: run cptdevd there, with engine = soft, or load the module",
		       wanted == HS_AUTO && !path ? "there is no " CPTDEV_DEVICE ", and no cptdevd at " :
		       "no cptdevd at ", path ?: SOFT_SOCKET, strerror(-fd));
}

/* Returns a descriptor, or -errno and @e. */
static int open_named(struct hs_error *e)
{
	int fd = hs_private_keep(e) ? -1 : hs_engine_open(e), ret;

	if (fd < 0)
		return -errno;
	/* The same program as before, with all of its memory: another session of its has ended. */
	ret = ckdev_session(fd, session_name, session_term, reopens ? CPTDEV_SESSION_REPLACE : 0, 0);
	if (!ret) {
		reopens = true;
		return fd;
	}
	close(fd);
	hs_fail(e, -ret, "session '%s': %s", session_name, ret == -EEXIST ?
		"another program on this host has this name" : ckdev_strerror(ret));
	return ret;
}

/* Returns a descriptor, or -errno and @e. */
static int open_session(struct hs_error *e)
{
	int fd;

	fd = ckdev_open();
	if (fd < 0)
		hs_fail(e, -fd, "%s: %s%s", CPTDEV_DEVICE, strerror(-fd),
			fd == -EACCES ? "" : ": is the module loaded?");
	return fd;
}

/* Without the module: how it is known what changed. */
static void choose_portable(void)
{
	if (wanted == HS_COMPARE)
		hs_written_only(NULL);
	hs_fail(&why_not, 0, "as requested");
}

int hs_backend_wish(enum hs_wish wish, struct hs_error *e)
{
	const char *env = getenv("HOTSPARE_BACKEND");

	if (wish == HS_AUTO && env && hs_backend_by_name(env, &wish, e))
		return -1;
	wanted = wish;
	return 0;
}

/* The soft engine takes what changed from anybody: by the module, if there is one. */
static int choose_named(struct hs_error *e)
{
	int fd = open_named(e);

	if (fd < 0)
		return -1;
	hs_watchdog_anew();
	*(ckdev_is_soft(fd) ? &soft : &session) = fd;
	hs_own(fd, fd == soft ? "cptdevd's socket" : CPTDEV_DEVICE);
	/* A module that hasn't it tells the same by a call. */
	if (ckdev_session_page_heeded(fd, &page))
		page = NULL;
	return 0;
}

int hs_backend_choose(enum hs_wish wish, struct hs_error *e)
{
	int fd;

	if (hs_backend_wish(wish, e))
		return -1;
	chosen = true;
	must = wanted == HS_MODULE;
	if (session_name && choose_named(e))
		return -1;
	if (wanted == HS_PORTABLE || wanted == HS_COMPARE) {
		choose_portable();
		return 0;
	}
	if (session >= 0)
		return 0;
	fd = open_session(&why_not);
	if (fd >= 0) {
		session = fd;
		hs_own(session, CPTDEV_DEVICE);
		return 0;
	}
	return must ? hs_fail(e, -fd, "%s", why_not.text) : 0;
}

const struct cptdev_session_page *hs_session_page(void)
{
	return page;
}

void hs_backend_release(void)
{
	/* It holds the session as the descriptor does. */
	if (page)
		munmap((void *)(uintptr_t)page, HS_PAGE);
	page = NULL;
	close_session();
	hs_own_close(&soft);
	tracked.nr = 0;
	chosen = false;
}

/* The soft engine looks at the process only when it reads that the socket was closed. */
void hs_backend_leave(void)
{
	struct cptdev_info info = { .size = sizeof(info) };
	bool was_soft = soft >= 0;
	struct hs_error ignored;
	int fd;

	/* In order: a daemon of another user can't see that. */
	if (was_soft && hs_owns(soft))
		ckdev_session_end(fcntl(soft, F_DUPFD_CLOEXEC, 0));
	hs_backend_release();
	fd = was_soft ? hs_engine_open(&ignored) : -1;
	if (fd < 0)
		return;
	/* It answers in the order in which it is asked. */
	ckdev_info(fd, &info);
	close(fd);
}

void hs_backend_in_child(void)
{
	hs_backend_release();
	hs_handover_in_child();
}

int hs_snapshot_session(struct hs_error *e)
{
	if (session < 0 && soft < 0 && hs_backend_choose(wanted, e))
		return -1;
	return soft >= 0 ? soft : session;
}

bool hs_session_lost(void)
{
	struct pollfd p = { .fd = soft, .events = POLLIN };

	if (session >= 0)
		return false;
	return soft < 0 || (poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR | POLLNVAL));
}

static int make_room(int *fd, const struct hs_fds *fds, struct hs_error *e)
{
	if (*fd < 0 || !hs_fds_find(fds, *fd) || !hs_own_move(fd, fds->v[fds->nr - 1].fd + 1))
		return 0;
	return hs_fail(e, errno, "no descriptor: %s", strerror(errno));
}

int hs_backend_make_room(const struct hs_fds *fds, struct hs_error *e)
{
	int ret;

	hs_lock(&session_lock);
	ret = make_room(&session, fds, e) || make_room(&soft, fds, e) ? -1 : 0;
	hs_unlock(&session_lock);
	return ret;
}

int hs_session_scan(struct cptdev_scan *s)
{
	int ret;

	hs_lock(&session_lock);
	ret = session < 0 ? -EBADF : ckdev_scan(session, s);
	hs_unlock(&session_lock);
	return ret;
}

bool hs_handed_over(void)
{
	return soft >= 0;
}

/* By the module, as it is. */
static bool published(void)
{
	return session_name && soft < 0;
}

bool hs_by_module(void)
{
	if (!chosen)
		hs_backend_choose(wanted, NULL);
	return session >= 0;
}

const char *hs_not_by_module(void)
{
	return hs_by_module() ? "" : why_not.text;
}

const char *hs_backend(void)
{
	return hs_by_module() ? "module" : "portable";
}

/*
 * SNAPSHOT said that there is no room, and for which @reason: name the limit and where it is set.
 * Memory that earlier snapshots of the session hold becomes free with time. A session that holds
 * nothing is too large for the limit.
 */
static int no_room(struct hs_error *e, unsigned int reason)
{
	struct cptdev_info i = { .size = sizeof(i) };
	char wait[128] = "";

	if (ckdev_info(session, &i))
		return hs_fail(e, EDQUOT, "no snapshot: %s", ckdev_strreason((int)reason));
	if (i.session_held)
		snprintf(wait, sizeof(wait), ", or wait: earlier checkpoints hold %llu MiB",
			 (unsigned long long)i.session_held >> 20);
	if (reason == CPTDEV_REASON_HELD && i.session_held_max && i.session_held_max < i.held_max)
		return hs_fail(e, EDQUOT, "no snapshot: the session's would hold more than %llu MiB, "
			       "the limit that it was given. Next: save less memory%s",
			       (unsigned long long)i.session_held_max >> 20, wait);
	if (reason == CPTDEV_REASON_HELD)
		return hs_fail(e, EDQUOT, "no snapshot: all snapshots would hold more than %llu MiB. "
			       "Next: raise /sys/module/cptdev/parameters/held_max_mib, save "
			       "less memory%s", (unsigned long long)i.held_max >> 20, wait);
	if (reason == CPTDEV_REASON_USER)
		return hs_fail(e, EDQUOT, "no snapshot: the user's would hold more than %llu MiB. "
			       "Next: raise /sys/module/cptdev/parameters/user_held_max_mib, save "
			       "less memory%s", (unsigned long long)i.user_held_max >> 20, wait);
	return hs_fail(e, EDQUOT, "no snapshot: the control group has %llu MiB left, too little for "
		       "copies of pages that are written later. Next: raise memory.max, save less "
		       "memory%s", (unsigned long long)i.group_left >> 20, wait);
}

/* Nothing is tracked any more; if it needn't be the module, it won't be. */
static int failed(struct hs_error *e, const char *what, int err,
		  const struct ckdev_refusal *r)
{
	struct hs_error text;

	if (r && r->addr)
		hs_fail(&text, err, "%s: %p: %s", what, r->addr,
			r->reason ? ckdev_strreason(r->reason) : strerror(err));
	else if (err == EDQUOT && r)
		no_room(&text, (unsigned int)r->reason);
	else
		hs_fail(&text, err, "%s: %s", what, strerror(err));
	ckdev_range_clear(session);
	tracked.nr = 0;
	if (!must) {
		close_session();
		why_not = text;
		hs_say("%s: checkpoints by fork from now on: %s",
		       program_invocation_short_name, text.text);
	}
	return hs_fail(e, err, "%s", text.text);
}

/*
 * What is tracked
 */

typedef int (*interval_fn)(uint64_t start, uint64_t end, struct ckdev_refusal *r);

/*
 * Pages that are a file's become pages of our own: what is published has to be complete, and a
 * snapshot leaves pages of files to the file.
 */
static int populate(uint64_t start, uint64_t end, struct ckdev_refusal *r)
{
	if (!published() || (start >= HS_BASE && end <= HS_END) ||
	    !madvise((void *)(uintptr_t)start, end - start, MADV_POPULATE_WRITE))
		return 0;
	*r = (struct ckdev_refusal) { .addr = (void *)(uintptr_t)start };
	return -errno;
}

static int track(uint64_t start, uint64_t end, struct ckdev_refusal *r)
{
	int ret = populate(start, end, r);

	if (ret)
		return ret;
	return ckdev_range_add(session, (void *)(uintptr_t)start, end - start, 0, r);
}

static int untrack(uint64_t start, uint64_t end, struct ckdev_refusal *r)
{
	r->addr = NULL;
	return ckdev_range_del(session, (void *)(uintptr_t)start, end - start);
}

/* What is in @list and not in @without. Returns 0, or -errno. */
static int each_in(const struct hs_intervals *list, const struct hs_intervals *without,
		   interval_fn fn, struct ckdev_refusal *r)
{
	const struct hs_interval *out = without->v, *last = without->v + without->nr;
	uint64_t at, end;
	size_t i;
	int ret;

	for (i = 0; i < list->nr; i++) {
		for (at = list->v[i].start; at < list->v[i].end; at = end) {
			while (out < last && out->end <= at)
				out++;
			end = list->v[i].end;
			if (out < last && out->start <= at) {
				end = out->end;
				continue;
			}
			if (out < last && out->start < end)
				end = out->start;
			ret = fn(at, end, r);
			if (ret)
				return ret;
		}
	}
	return 0;
}

/* The pages of the arena that are excluded as a whole. */
int hs_excluded_pages(struct hs_intervals *out, const struct hs_ranges *ranges)
{
	const struct hs_intervals *l = &ranges->excluded;
	uint64_t start, end;
	size_t i;

	for (i = 0; i < l->nr; i++) {
		start = (l->v[i].start + HS_PAGE - 1) & ~(HS_PAGE - 1);
		end = l->v[i].end & ~(HS_PAGE - 1);
		if (start < HS_BASE)
			start = HS_BASE;
		if (end > HS_END)
			end = HS_END;
		if (start < end && hs_intervals_add(out, start, end))
			return -1;
	}
	return 0;
}

/* Whoever fetches what is published doesn't know of them: they aren't tracked. */
static int leave_out(struct hs_intervals *pages, const struct hs_ranges *ranges)
{
	struct hs_intervals out = { 0 };
	int ret = hs_excluded_pages(&out, ranges);
	size_t i;

	for (i = 0; !ret && i < out.nr; i++)
		ret = hs_intervals_remove(pages, out.v[i].start, out.v[i].end);
	free(out.v);
	return ret;
}

static int track_what_is_saved(const struct hs_ranges *ranges, struct hs_error *e)
{
	struct ckdev_refusal r = { .addr = NULL };
	struct hs_intervals now = { 0 };
	int ret;

	if (hs_saved_pages(&now, ranges) || (published() && leave_out(&now, ranges))) {
		free(now.v);
		return hs_fail(e, ENOMEM, "no memory");
	}
	ret = each_in(&tracked, &now, untrack, &r) ?: each_in(&now, &tracked, track, &r);
	free(ret ? now.v : tracked.v);
	if (ret)
		return failed(e, "the module can't track what is saved", -ret, &r);
	tracked = now;
	return 0;
}

int hs_tracked_arena(struct hs_intervals *to)
{
	if (hs_intervals_copy(to, &tracked))
		return -1;
	if (!hs_intervals_remove(to, 0, HS_BASE) && !hs_intervals_remove(to, HS_END, UINT64_MAX))
		return 0;
	free(to->v);
	*to = (struct hs_intervals) { 0 };
	return -1;
}

/*
 * Reading a snapshot's lists
 */

struct extents {
	int fd;
	struct cptdev_extent v[BATCH];
	int nr, at;
	uint64_t pos;
};

/* The next one, or NULL, with errno 0: there are no more. */
static const struct cptdev_extent *next_extent(struct extents *x)
{
	if (x->at == x->nr) {
		x->at = 0;
		x->nr = ckdev_image_extents(x->fd, x->v, BATCH, &x->pos);
		if (x->nr <= 0) {
			errno = -x->nr;
			x->nr = 0;
			return NULL;
		}
	}
	return &x->v[x->at++];
}

/* Where files are mapped. Returns 0, or -1 with errno. */
static int read_files(int fd, struct hs_intervals *files)
{
	struct cptdev_segment v[BATCH];
	uint64_t pos = 0;
	int i, nr;

	while ((nr = ckdev_image_layout(fd, v, BATCH, &pos)) > 0)
		for (i = 0; i < nr; i++)
			if (v[i].kind == CPTDEV_SEGMENT_FILE &&
			    hs_intervals_add(files, v[i].addr, v[i].addr + v[i].len))
				return -1;
	errno = -nr;
	return nr ? -1 : 0;
}

static uint64_t overlap(const struct hs_intervals *list, uint64_t start, uint64_t end)
{
	uint64_t sum = 0, from, to;
	size_t i;

	for (i = 0; i < list->nr; i++) {
		from = list->v[i].start > start ? list->v[i].start : start;
		to = list->v[i].end < end ? list->v[i].end : end;
		sum += from < to ? to - from : 0;
	}
	return sum;
}

static uint64_t length(const struct hs_intervals *list)
{
	return overlap(list, 0, UINT64_MAX);
}

/* Does it lack pages of files? Returns 0 or 1, or -1 with errno. */
static int lacks_pages(int fd, bool whole, const struct hs_intervals *files)
{
	struct extents x = { .fd = fd };
	const struct cptdev_extent *p;
	uint64_t data = 0, holes = 0;

	while ((p = next_extent(&x)))
		*(p->kind == CPTDEV_EXTENT_DATA ? &data : &holes) +=
			overlap(files, p->addr, p->addr + p->len);
	if (errno)
		return -1;
	return whole ? data < length(files) : holes > 0;
}

/* They become pages of our own. */
static int fetch_pages(const struct hs_intervals *files)
{
	size_t i;

	for (i = 0; i < files->nr; i++)
		if (madvise((void *)(uintptr_t)files->v[i].start,
			    files->v[i].end - files->v[i].start, MADV_POPULATE_WRITE))
			return -1;
	return 0;
}

/*
 * Pages of a mapped file that nobody has written to are left to the file by a snapshot. What
 * is restored has no files to look them up in. Returns 1 if another snapshot has to be taken,
 * 0 if not, or -1 with errno.
 */
static int complete(int fd, bool whole)
{
	struct hs_intervals files = { 0 };
	int ret = read_files(fd, &files);

	if (!ret && files.nr)
		ret = lacks_pages(fd, whole, &files);
	if (ret > 0 && fetch_pages(&files))
		ret = -1;
	free(files.v);
	return ret;
}

/*
 * Taking it
 */

static int take(struct hs_snapshot *s, uint64_t since, struct hs_error *e)
{
	struct cptdev_snapshot snap;
	struct ckdev_refusal r;
	int ret, tries = 0;

	do {
		hs_snapshot_close(s);
		snap = (struct cptdev_snapshot) {
			.size = sizeof(snap), .flags = CPTDEV_SNAPSHOT_SINCE, .since = since,
		};
		ret = ckdev_snapshot(session, &snap);
		if (ret < 0) {
			r.addr = (void *)(uintptr_t)snap.bad_addr;
			r.reason = (int)snap.reason;
			return failed(e, "no snapshot", -ret, &r);
		}
		s->fd = ret;
		ret = !since || snap.holes ? complete(s->fd, !since) : 0;
	} while (ret > 0 && ++tries < 8);
	if (ret) {
		ret = ret > 0 ? EAGAIN : errno;
		hs_snapshot_close(s);
		return failed(e, "pages of files are missing", ret, NULL);
	}
	s->generation = snap.generation;
	s->since = since;
	return 0;
}

int hs_snapshot_take(struct hs_snapshot *s, const struct hs_ranges *ranges, uint64_t since,
		     struct hs_error *e)
{
	s->fd = -1;
	return track_what_is_saved(ranges, e) ?: take(s, since, e);
}

int hs_snapshot_publish(struct hs_snapshot *s, const struct hs_ranges *ranges, struct hs_error *e)
{
	struct cptdev_snapshot snap = {
		.size = sizeof(snap),
		.flags = CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD,
	};
	struct ckdev_refusal r;
	int ret;

	if (track_what_is_saved(ranges, e))
		return -1;
	ret = ckdev_snapshot(session, &snap);
	if (ret == -EDQUOT)
		return no_room(e, snap.reason);
	if (ret < 0) {
		r.addr = (void *)(uintptr_t)snap.bad_addr;
		r.reason = (int)snap.reason;
		return failed(e, "no snapshot", -ret, &r);
	}
	s->generation = snap.generation;
	return 0;
}

void hs_snapshot_close(struct hs_snapshot *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

/*
 * Writing it. Pages of the arena that are excluded are holes.
 */

struct writing {
	struct hs_writer *w;
	int fd;
	const struct hs_intervals *out;	/* of the arena, whole pages */
	char *buf;			/* MEMORY_MAX */
};

static int write_data(struct writing *x, uint64_t addr, uint64_t len, off_t at)
{
	ssize_t n;

	for (; len; addr += (uint64_t)n, len -= (uint64_t)n, at += n) {
		n = pread(x->fd, x->buf, len < MEMORY_MAX ? len : MEMORY_MAX, at);
		if (n <= 0 || n % (ssize_t)HS_PAGE) {
			errno = n < 0 ? errno : EIO;
			return -1;
		}
		hs_memory_begin(x->w, addr, (uint64_t)n);
		hs_section_put(x->w, x->buf, (size_t)n);
	}
	return 0;
}

static void write_hole(struct writing *x, uint64_t addr, uint64_t len)
{
	const struct hs_piece piece = { addr, len };

	hs_section(x->w, HS_SECTION_HOLES, "", &piece, sizeof(piece));
}

/* What isn't excluded of it. */
static int write_extent(struct writing *x, const struct cptdev_extent *p, off_t at)
{
	uint64_t addr = p->addr, last = p->addr + p->len, end;
	size_t i;

	for (i = 0; i <= x->out->nr && addr < last; i++) {
		end = i < x->out->nr && x->out->v[i].start < last ? x->out->v[i].start : last;
		if (addr < end && write_data(x, addr, end - addr, at + (off_t)(addr - p->addr)))
			return -1;
		if (i < x->out->nr && x->out->v[i].end > addr)
			addr = x->out->v[i].end;
	}
	return 0;
}

static int write_extents(struct writing *x, bool increment)
{
	struct extents list = { .fd = x->fd };
	const struct cptdev_extent *p;
	off_t at = 0;
	size_t i;

	while ((p = next_extent(&list))) {
		if (p->kind == CPTDEV_EXTENT_DATA) {
			if (write_extent(x, p, at))
				return -1;
			at += (off_t)p->len;
		} else if (increment) {
			write_hole(x, p->addr, p->len);
		}
	}
	if (errno)
		return -1;
	for (i = 0; increment && i < x->out->nr; i++)
		write_hole(x, x->out->v[i].start, x->out->v[i].end - x->out->v[i].start);
	return 0;
}

int hs_snapshot_write(const struct hs_snapshot *s, struct hs_writer *w,
		      const struct hs_ranges *ranges)
{
	struct hs_intervals out = { 0 };
	struct writing x = { .w = w, .fd = s->fd, .out = &out, .buf = malloc(MEMORY_MAX) };
	int ret = -1;

	if (x.buf && !hs_excluded_pages(&out, ranges))
		ret = write_extents(&x, s->since);
	free(x.buf);
	free(out.v);
	return ret;
}
