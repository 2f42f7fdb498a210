// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: a dry run: a checkpoint is restored in a process of its own, and what is found
 * is looked at: addresses of code, files, memory, and in it pointers to what isn't saved, and
 * locks that somebody has who won't be there.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arena.h"
#include "check.h"
#include "hotspare.h"
#include "where.h"

/* Of each kind so many are told one by one. */
#define TOLD_MOST	5U

static unsigned int findings;

void hs_finding(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	findings++;
	hs_say("libhotspare: check: %s", text);
}

unsigned int hs_findings(void)
{
	return findings;
}

/*
 * What isn't memory
 */

static bool is_code(const struct hs_maps *here, uint64_t addr)
{
	const struct hs_map *m = hs_maps_at(here, addr);

	return m && m->code;
}

static void check_code(const struct hs_maps *here, uintptr_t addr, const char *what, unsigned int nr)
{
	if (addr && !is_code(here, addr))
		hs_finding("%s %u is at %#lx, where no code is: load libraries (dlopen(3)) and "
			   "compile code before hs_init(3)", what, nr, (unsigned long)addr);
}

static bool restarts_by_hook(const struct hs_hooks *hooks)
{
	uint32_t i;

	for (i = 0; i < hooks->nr; i++)
		if (hooks->v[i].fn.restarted)
			return true;
	return false;
}

static void check_functions(const struct hs_state *s)
{
	struct hs_maps here;
	uint32_t i;
	int sig;

	if (!s->threads.nr && !restarts_by_hook(&s->hooks))
		hs_finding("no thread is registered: a spare that takes over ends at once: see "
			   "hs_threadreg(3)");
	if (hs_maps_read(&here, NULL))
		return;
	for (i = 0; i < s->threads.nr; i++)
		check_code(&here, (uintptr_t)s->threads.v[i].worker, "the function of thread", i + 1);
	for (i = 0; i < s->hooks.nr; i++) {
		check_code(&here, (uintptr_t)s->hooks.v[i].fn.before, "a function of hook", i + 1);
		check_code(&here, (uintptr_t)s->hooks.v[i].fn.after, "a function of hook", i + 1);
		check_code(&here, (uintptr_t)s->hooks.v[i].fn.restarted, "a function of hook", i + 1);
	}
	for (sig = 1; sig <= HS_SIGNALS; sig++)
		if (sigismember(&s->signals.which, sig) == 1 &&
		    s->signals.action[sig].sa_handler != SIG_IGN)
			check_code(&here, (uintptr_t)s->signals.action[sig].sa_handler,
				   "the handler of signal", (unsigned int)sig);
	hs_maps_free(&here);
}

/*
 * Nothing is opened: that a file is opened may have an effect. @live: whoever writes to it
 * goes on with that, and what is appended to is meant to grow.
 */
static void check_file(const struct hs_fd *f, bool live)
{
	struct hs_error e = { "" };
	struct stat st;

	if (hs_fd_file_missing(f, &e)) {
		hs_finding("%s", e.text);
		return;
	}
	if (stat(f->file.path, &st) || !S_ISREG(st.st_mode))
		return;
	if (st.st_size < f->file.offset)
		hs_finding("descriptor %d: %s has %lld bytes, and the offset is %lld",
			   f->fd, f->file.path,
			   (long long)st.st_size, (long long)f->file.offset);
	else if (live || (f->flags & O_APPEND && st.st_size >= f->file.size))
		return;
	else if (st.st_size != f->file.size || st.st_mtim.tv_sec != f->file.mtime.tv_sec ||
		 st.st_mtim.tv_nsec != f->file.mtime.tv_nsec)
		hs_finding("descriptor %d: %s was written to since the checkpoint", f->fd, f->file.path);
}

static void check_surroundings(const struct hs_state *s, bool live)
{
	struct hs_error e = { "" };
	uint32_t i;

	if (hs_process_missing(&s->process, &e))
		hs_finding("%s", e.text);
	for (i = 0; i < s->fds.nr; i++)
		if (s->fds.v[i].kind == HS_FD_FILE && s->fds.v[i].same_as < 0)
			check_file(&s->fds.v[i], live);
}

/*
 * Memory
 */

struct scan {
	struct hs_maps then;		/* of the program */
	struct hs_intervals saved;
	const struct hs_syncs *renewed;	/* made anew at a restart */
	pid_t *tid;
	size_t nr_tids;
	unsigned int pointers, locks;
	char where[96];			/* what is looked at */
};

static bool is_thread(const struct scan *s, int tid)
{
	size_t i;

	for (i = 0; tid > 0 && i < s->nr_tids; i++)
		if (s->tid[i] == tid)
			return true;
	return false;
}

/* Of the address sanitizer, in programs that are built with it. */
void __asan_get_shadow_mapping(size_t *scale, size_t *offset) __attribute__((weak));

/*
 * The sanitizer's shadow memory covers addresses from 2^31 on, most of 2^41 to 2^44 among them:
 * ordinary numbers. No program has a pointer to it.
 */
static bool is_shadow(uint64_t value)
{
	size_t scale, offset;

	if (!__asan_get_shadow_mapping)
		return false;
	__asan_get_shadow_mapping(&scale, &offset);
	return value >= offset && value - offset < HS_ADDR_END >> scale;
}

/* Does it lead to what isn't there any more? */
static const struct hs_map *leads_outside(const struct scan *s, uint64_t value)
{
	const struct hs_map *m;

	if (value < HS_PAGE || (value >= HS_BASE && value < HS_END) || is_shadow(value) ||
	    hs_intervals_have(&s->saved, value, value + 1))
		return NULL;
	m = hs_maps_at(&s->then, value);
	if (!m || m->where == HS_WHERE_OBJECT || m->where == HS_WHERE_READ_ONLY)
		return NULL;
	return m;
}

static void look_at_pointer(struct scan *s, const uint64_t *at)
{
	const struct hs_map *m = leads_outside(s, *at);

	if (!m)
		return;
	if (s->pointers++ < TOLD_MOST)
		hs_finding("%s: at %p is %#llx, which looks like a pointer to %s: this memory "
			   "isn't saved", s->where,
			   (const void *)at, (unsigned long long)*at, hs_where_text(m->where));
}

static bool is_renewed(const struct scan *s, const void *lock)
{
	uint32_t i;

	for (i = 0; i < s->renewed->nr; i++)
		if ((const void *)s->renewed->v[i].object == lock)
			return true;
	return false;
}

/*
 * As the C library has them: a mutex: lock, depth, owner, users, kind; a rwlock: readers,
 * writers, two futexes, two empty, the writer, shared or not.
 */
static void look_at_lock(struct scan *s, const int32_t *w, size_t words)
{
	int owner = 0;
	uint32_t lock = (uint32_t)w[0];

	if (words >= 5 && lock && is_thread(s, w[2]) && w[3] > 0 && w[3] < 65536 &&
	    (uint32_t)w[1] < 65536 && !(w[4] & ~0x3ff) &&
	    (lock <= 2 || (lock & 0x3fffffff) == (uint32_t)w[2]))
		owner = w[2];
	else if (words >= 8 && lock & 1 && !w[4] && !w[5] && is_thread(s, w[6]) && !(w[7] & ~1))
		owner = w[6];
	if (!owner || is_renewed(s, w))
		return;
	if (s->locks++ < TOLD_MOST)
		hs_finding("%s: at %p is data that looks like a lock of thread %d: nothing unlocks "
			   "it after a take-over: take it between hs_hold(3) and hs_release(3), or "
			   "register it (hs_syncreg(3))", s->where,
			   (const void *)w, owner);
}

static void look_at(struct scan *s, uint64_t start, uint64_t end)
{
	uint64_t at = (start + 7) & ~7ULL;

	for (; at + 8 <= end; at += 8) {
		look_at_pointer(s, (const void *)(uintptr_t)at);
		look_at_lock(s, (const void *)(uintptr_t)at, (end - at) / 4);
	}
}

static void look_at_object(void *arg, const struct hs_class *c, const void *addr, size_t len)
{
	struct scan *s = arg;

	snprintf(s->where, sizeof(s->where), "in the object at %p of class %d", addr, c->number);
	look_at(s, (uintptr_t)addr, (uintptr_t)addr + len);
}

static void tell_rest(unsigned int nr, const char *what)
{
	if (nr > TOLD_MOST)
		hs_finding("and %u more %s", nr - TOLD_MOST, what);
}

static void look_at_all(struct scan *s)
{
	size_t i;

	hs_objects_each(look_at_object, s);
	for (i = 0; i < s->saved.nr; i++) {
		snprintf(s->where, sizeof(s->where), "in saved variables");
		look_at(s, s->saved.v[i].start, s->saved.v[i].end);
	}
	tell_rest(s->pointers, "such pointers");
	tell_rest(s->locks, "such locks");
}

static int read_tids(struct scan *s)
{
	const char *text = getenv(HS_CHECK_TIDS);
	pid_t *v;
	char *end;

	while (text && *text) {
		v = realloc(s->tid, (s->nr_tids + 1) * sizeof(*v));
		if (!v)
			return -1;
		s->tid = v;
		v[s->nr_tids++] = (pid_t)strtol(text, &end, 10);
		text = *end ? end + 1 : end;
	}
	return 0;
}

static void check_memory(struct hs_mirror *m, bool live)
{
	struct scan s = { .renewed = &m->state.syncs };
	struct hs_error e = { "" };
	char path[40];
	int ret = 0;
	size_t i;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", HS_CHECK_MAPS);
	if (live)
		ret = hs_maps_read(&s.then, path) || read_tids(&s) ? -1 : 0;
	for (i = 0; !ret && i < m->state.ranges.saved.nr; i++)
		ret = hs_intervals_add(&s.saved, m->state.ranges.saved.v[i].start,
				       m->state.ranges.saved.v[i].end);
	if (ret)
		hs_finding("no memory for a dry run");
	else if (hs_mirror_restore(m, &e))
		hs_finding("memory can't be restored: %s", e.text);
	else if (hs_objects_check())
		hs_finding("memory of hs_malloc(3) is damaged, see hs_malloc_check(3)");
	else if (live)
		look_at_all(&s);
}

void hs_dry_run(struct hs_mirror *m, bool live)
{
	/* Memory last: it takes away what was known of it. */
	check_functions(&m->state);
	check_surroundings(&m->state, live);
	check_memory(m, live);
}

void hs_dry_run_if_asked(void)
{
	struct hs_error e = { "" };
	struct hs_mirror m;

	if (!secure_getenv(HS_CHECK_TIDS))
		return;
	hs_mirror_init(&m);
	if (hs_mirror_read(&m, HS_CHECK_IMAGE, &e) < 0)
		hs_finding("the checkpoint can't be read: %s", e.text);
	else
		hs_dry_run(&m, true);
	dprintf(HS_CHECK_RESULT, "%u\n", findings);
	_exit(0);
}
