// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: the spare's copy. Memory is in a file without a name, sparse, where each
 * byte's offset is its address. What comes is staged in another such file, and counts
 * when the last sum was right and there is room for all of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ckdev.h>

#include "arena.h"
#include "js.h"
#include "lazy.h"
#include "mirror.h"
#include "warm.h"

/* What is read at a time. */
#define CHUNK		(256UL << 10)
/* What isn't larger is read before the program continues: the heads of classes, small tables. */
#define SMALL		(64UL << 10)

void hs_mirror_init(struct hs_mirror *m)
{
	*m = (struct hs_mirror) { .fd = -1, .replica = -1 };
}

void hs_mirror_close(struct hs_mirror *m)
{
	if (m->fd >= 0)
		close(m->fd);
	if (m->replica >= 0)
		close(m->replica);
	m->fd = m->replica = -1;
}

void hs_mirror_free(struct hs_mirror *m)
{
	hs_mirror_close(m);
	hs_state_free(&m->state);
	hs_index_free(m->index);
	hs_mirror_init(m);
}

static int memory_create(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, (off_t)HS_ADDR_END)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* All of it: @len bytes. */
static int pwrite_all(int fd, const char *buf, size_t len, off_t at)
{
	ssize_t n;

	for (; len; buf += n, len -= (size_t)n, at += n) {
		n = pwrite(fd, buf, len, at);
		if (n < 0 && errno == EINTR)
			n = 0;
		if (n < 0)
			return -1;
	}
	return 0;
}

static int pread_all(int fd, char *buf, size_t len, off_t at)
{
	ssize_t n;

	for (; len; buf += n, len -= (size_t)n, at += n) {
		n = pread(fd, buf, len, at);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n <= 0)
			return -1;
	}
	return 0;
}

/*
 * Reading one checkpoint
 */

struct holes {
	struct hs_piece *v;
	size_t nr;
};

struct coming {
	struct hs_reader r;
	struct hs_error *e;
	struct hs_state state;
	uint32_t seen;			/* types of sections */
	int stage;
	struct holes holes;
	struct hs_record *records;	/* with an index: of what was passed over */
	size_t nr_records;
	bool indexed;
	char *buf;			/* CHUNK */
};

static int bad_section(struct coming *c)
{
	return hs_fail(c->e, errno, "%s", c->r.error);
}

static int no_memory(struct coming *c)
{
	return hs_fail(c->e, ENOMEM, "no memory for section '%s'",
		       hs_section_text(c->r.section.type));
}

static int read_json(struct coming *c)
{
	uint64_t len = c->r.section.len;
	struct json_object *o;
	char *text;
	int ret;

	if (len > HS_SECTION_TEXT_MAX || c->seen & 1U << c->r.section.type)
		return hs_fail(c->e, EBADMSG, "section '%s' is invalid",
			       hs_section_text(c->r.section.type));
	c->seen |= 1U << c->r.section.type;
	text = calloc(1, len + 1);
	if (!text)
		return no_memory(c);
	ret = hs_reader_get(&c->r, text, len);
	if (ret) {
		free(text);
		return bad_section(c);
	}
	o = json_tokener_parse(text);
	free(text);
	ret = hs_state_parse(c->r.section.type, o, &c->state, c->e);
	json_object_put(o);
	return ret;
}

/* The application's own. */
static int read_own(struct coming *c)
{
	const struct hs_section_head *h = &c->r.section;
	struct hs_own *own = hs_sections_add(&c->state.own, h->name, h->len, c->e);

	if (!own)
		return -1;
	return hs_reader_get(&c->r, own->data, own->len) ? bad_section(c) : 0;
}

/* Whole pages. */
static int read_piece(struct coming *c, struct hs_piece *p)
{
	if (hs_reader_get(&c->r, p, sizeof(*p)))
		return bad_section(c);
	if (p->addr % HS_PAGE || p->len % HS_PAGE || !p->len || p->addr >= HS_ADDR_END ||
	    p->len > HS_ADDR_END - p->addr)
		return hs_fail(c->e, EBADMSG, "memory at %#llx is invalid",
			       (unsigned long long)p->addr);
	return 0;
}

/*
 * Where it is. That is believed before the content is looked at, so the head of the section must say
 * the same, which has a checksum of its own.
 */
static int note_memory(struct coming *c, const struct hs_piece *p)
{
	struct hs_record *v, one = {
		.addr = p->addr, .len = p->len, .at = c->r.offset - sizeof(*p),
	};
	char name[HS_SECTION_NAME];

	hs_memory_name(name, p->addr);
	if (strcmp(c->r.section.name, name))
		return hs_fail(c->e, *c->r.section.name ? EBADMSG : EOPNOTSUPP, *c->r.section.name ?
			       "memory at %#llx is invalid" : "memory at %#llx has no address in its "
			       "section's head: an older version of the library wrote this file",
			       (unsigned long long)p->addr);
	if (hs_reader_skip(&c->r, &one.sum))
		return bad_section(c);
	v = reallocarray(c->records, c->nr_records + 1, sizeof(*v));
	if (!v)
		return no_memory(c);
	c->records = v;
	v[c->nr_records++] = one;
	return 0;
}

static int read_memory(struct coming *c)
{
	struct hs_piece p;
	size_t n;

	if (read_piece(c, &p))
		return -1;
	if (p.len != c->r.left)
		return hs_fail(c->e, EBADMSG, "memory at %#llx is invalid",
			       (unsigned long long)p.addr);
	if (c->indexed)
		return note_memory(c, &p);
	for (; p.len; p.addr += n, p.len -= n) {
		n = p.len < CHUNK ? p.len : CHUNK;
		if (hs_reader_get(&c->r, c->buf, n))
			return bad_section(c);
		if (pwrite_all(c->stage, c->buf, n, (off_t)p.addr))
			return no_memory(c);
	}
	return 0;
}

static int read_holes(struct coming *c)
{
	struct hs_piece *v;

	if (!(c->r.head.flags & HS_IMAGE_INCREMENT))
		return hs_fail(c->e, EBADMSG, "a whole checkpoint has no holes");
	while (c->r.left) {
		v = realloc(c->holes.v, (c->holes.nr + 1) * sizeof(*v));
		if (!v)
			return no_memory(c);
		c->holes.v = v;
		if (read_piece(c, &v[c->holes.nr]))
			return -1;
		c->holes.nr++;
	}
	return 0;
}

static int read_section(struct coming *c)
{
	switch (c->r.section.type) {
	case HS_SECTION_MEMORY:
		return read_memory(c);
	case HS_SECTION_HOLES:
		return read_holes(c);
	case HS_SECTION_USER:
		return read_own(c);
	default:
		return read_json(c);
	}
}

static int read_sections(struct coming *c)
{
	int ret, err = 0;
	uint32_t type;

	/* What can't be used is read to its end: another may come behind it. */
	while ((ret = hs_reader_next(&c->r)) > 0)
		if (!err && read_section(c))
			err = errno;
	if (err) {
		errno = err;
		return -1;
	}
	if (ret < 0)
		return bad_section(c);
	for (type = 0; type < HS_SECTION_TYPES; type++)
		if (hs_section_is_text(type) && !(c->seen & 1U << type))
			return hs_fail(c->e, EBADMSG, "section '%s' is missing",
				       hs_section_text(type));
	return 0;
}

/*
 * Taking it
 */

typedef int (*data_fn)(struct coming *c, int to, off_t at, size_t len);

/* Each piece of data in the stage. */
static int each_data(struct coming *c, int to, data_fn fn)
{
	off_t at = 0, end;
	size_t n;

	while ((at = lseek(c->stage, at, SEEK_DATA)) >= 0) {
		end = lseek(c->stage, at, SEEK_HOLE);
		if (end < 0)
			return -1;
		for (; at < end; at += (off_t)n) {
			n = end - at < (off_t)CHUNK ? (size_t)(end - at) : CHUNK;
			if (fn(c, to, at, n))
				return -1;
		}
	}
	return errno == ENXIO ? 0 : -1;
}

static int reserve(struct coming *c, int to, off_t at, size_t len)
{
	int ret;

	(void)c;
	do
		ret = fallocate(to, 0, at, (off_t)len);
	while (ret && errno == EINTR);
	return ret;
}

static int copy(struct coming *c, int to, off_t at, size_t len)
{
	if (pread_all(c->stage, c->buf, len, at))
		return -1;
	return pwrite_all(to, c->buf, len, at);
}

/*
 * Into the memory that is there. What needs memory comes first, and changes nothing; the
 * rest can't fail.
 */
static int merge(struct hs_mirror *m, struct coming *c)
{
	size_t i;

	if (each_data(c, m->fd, reserve))
		return hs_fail(c->e, errno, "no memory for an increment: %s", strerror(errno));
	if (each_data(c, m->fd, copy))
		hs_fatal("the copy can't be written: %s", strerror(errno));
	for (i = 0; i < c->holes.nr; i++)
		if (fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      (off_t)c->holes.v[i].addr, (off_t)c->holes.v[i].len))
			hs_fatal("the copy can't be written: %s", strerror(errno));
	return 0;
}

/* Holes come behind all memory of their file, as merge() has them. */
static int add_to_index(struct hs_mirror *m, struct coming *c)
{
	const bool whole = !(c->r.head.flags & HS_IMAGE_INCREMENT);
	struct hs_record *v;
	size_t i;

	v = reallocarray(c->records, c->nr_records + c->holes.nr + 1, sizeof(*v));
	if (!v)
		return hs_fail(c->e, ENOMEM, "no memory for an index of the checkpoint");
	c->records = v;
	for (i = 0; i < c->holes.nr; i++)
		v[c->nr_records++] = (struct hs_record) {
			.addr = c->holes.v[i].addr, .len = c->holes.v[i].len,
		};
	if (hs_index_add(m->index, c->r.fd, m->path ?: "the checkpoint", whole, v, c->nr_records))
		return hs_fail(c->e, errno, "the file can't be kept open: %s", strerror(errno));
	c->records = NULL;
	return 0;
}

static int take(struct hs_mirror *m, struct coming *c)
{
	if (m->index && add_to_index(m, c))
		return -1;
	if (!(c->r.head.flags & HS_IMAGE_INCREMENT)) {
		if (m->fd >= 0)
			close(m->fd);
		m->fd = c->stage;
		c->stage = -1;
	} else if (merge(m, c)) {
		return -1;
	}
	hs_state_free(&m->state);
	m->state = c->state;
	memset(&c->state, 0, sizeof(c->state));
	m->head = c->r.head;
	return HS_TOOK;
}

static bool same_run(const struct hs_mirror *m, const struct hs_image_head *h)
{
	return m->fd >= 0 && !memcmp(m->head.run, h->run, sizeof(h->run));
}

/* Can it follow what we have? */
static int check_head(const struct hs_mirror *m, struct coming *c)
{
	const struct hs_image_head *h = &c->r.head;

	if (!(h->flags & HS_IMAGE_INCREMENT))
		return 0;
	if (!same_run(m, h))
		return hs_fail(c->e, ESTALE, "this increment needs a checkpoint that isn't here");
	if (h->base != m->head.generation)
		return hs_fail(c->e, ESTALE, "this increment needs generation %llu, and here is "
			       "generation %llu", (unsigned long long)h->base,
			       (unsigned long long)m->head.generation);
	return 0;
}

static int read_one(struct hs_mirror *m, struct coming *c)
{
	int ret = read_sections(c);

	if (ret)
		return -1;
	if (same_run(m, &c->r.head) && c->r.head.generation <= m->head.generation)
		return HS_OLD;
	if (check_head(m, c))
		return -1;
	return take(m, c);
}

/*
 * One checkpoint, whole or not, up to its last byte. Returns enum hs_took, or -1 with errno
 * and @e: the mirror is what it was. errno: ESTALE: something is missing between. EBADMSG,
 * ENODATA, EINVAL, EPROTONOSUPPORT: see hs_reader_open(). ENOEXEC: it is of another
 * program. ENOMEM.
 */
int hs_mirror_read(struct hs_mirror *m, int fd, struct hs_error *e)
{
	struct coming c = { .e = e, .stage = -1, .indexed = m->index };
	int ret = -1, saved;

	m->whole_read = false;
	if (hs_reader_open(&c.r, fd))
		return hs_fail(e, errno, "%s", c.r.error);
	c.stage = memory_create("hotspare-stage");
	c.buf = malloc(CHUNK);
	if (c.stage < 0 || !c.buf)
		hs_fail(e, errno, "no memory for a checkpoint: %s", strerror(errno));
	else
		ret = read_one(m, &c);
	saved = errno;
	m->whole_read = c.r.done;
	hs_reader_close(&c.r);
	hs_state_free(&c.state);
	if (c.stage >= 0)
		close(c.stage);
	free(c.holes.v);
	free(c.records);
	free(c.buf);
	errno = saved;
	return ret;
}

/*
 * Restoring
 */

struct restore {
	struct hs_mirror *m;
	struct hs_error *e;
	uint64_t next;			/* up to here all was asked for */
	bool warm;			/* the arena's memory is in place */
};

static off_t next_in_replica(int fd, off_t from, off_t *end)
{
	uint64_t pos = (uint64_t)from;
	struct cptdev_extent x;
	int n;

	do
		n = ckdev_image_extents(fd, &x, 1, &pos);
	while (n == 1 && (x.kind != CPTDEV_EXTENT_DATA || x.addr + x.len <= (uint64_t)from));
	if (n != 1) {
		errno = n ? -n : ENXIO;
		return -1;
	}
	*end = (off_t)(x.addr + x.len);
	return x.addr > (uint64_t)from ? (off_t)x.addr : from;
}

static off_t next_in_index(const struct hs_index *ix, off_t from, off_t *end)
{
	const struct hs_extent *x = hs_index_from(ix, (uint64_t)from);

	if (!x) {
		errno = ENXIO;
		return -1;
	}
	*end = (off_t)x->end;
	return x->start > (uint64_t)from ? (off_t)x->start : from;
}

/* Where data begins, at or behind @from, and where that ends. Or -1, with errno ENXIO: nowhere. */
static off_t next_data(const struct hs_mirror *m, off_t from, off_t *end)
{
	off_t at;

	if (m->replica >= 0)
		return next_in_replica(m->replica, from, end);
	if (m->index)
		return next_in_index(m->index, from, end);
	at = lseek(m->fd, from, SEEK_DATA);
	if (at < 0)
		return -1;
	*end = lseek(m->fd, at, SEEK_HOLE);
	return *end < 0 ? -1 : at;
}

/* Between what was asked for there must be nothing. */
static int nothing_up_to(struct restore *r, uint64_t addr)
{
	off_t end, at = next_data(r->m, (off_t)r->next, &end);

	if (at >= 0 && (uint64_t)at < addr)
		return hs_fail(r->e, EBADMSG, "memory at %#llx isn't in the arena",
			       (unsigned long long)at);
	return 0;
}

/* Nor outside of the arena, but in pages that have a part of a range. */
static int nothing_else(struct restore *r)
{
	const struct hs_intervals *l = &r->m->state.ranges.saved;
	struct hs_intervals known = { .nr = 0 };
	int ret = hs_intervals_add(&known, HS_BASE, HS_END);
	size_t i;

	for (i = 0; !ret && i < l->nr; i++)
		ret = hs_intervals_add(&known, l->v[i].start & ~(HS_PAGE - 1),
				       (l->v[i].end + HS_PAGE - 1) & ~(HS_PAGE - 1));
	if (ret)
		hs_fail(r->e, ENOMEM, "no memory for a list of ranges");
	for (i = 0; !ret && i < known.nr; i++) {
		ret = nothing_up_to(r, known.v[i].start);
		r->next = known.v[i].end;
	}
	if (!ret)
		ret = nothing_up_to(r, HS_ADDR_END);
	free(known.v);
	return ret;
}

/* What is small is in before the program continues, and so is what can't be registered. */
static int fill_later(struct restore *r, void *addr, size_t len)
{
	if (len > SMALL && !hs_lazy_piece(addr, len))
		return 0;
	return hs_index_read(r->m->index, addr, (uintptr_t)addr, len, r->e);
}

/* What there is of [addr, addr + len), which is zero. NULL: that was all. */
static int fill(void *arg, void *addr, size_t len)
{
	uint64_t start = (uintptr_t)addr, to = start + len;
	struct restore *r = arg;
	off_t at, end;

	if (nothing_up_to(r, addr ? start : HS_END))
		return -1;
	if (!addr)
		return 0;
	r->next = to;
	if (r->m->index)
		return fill_later(r, addr, len);
	for (at = (off_t)start; !r->warm && (at = next_data(r->m, at, &end)) >= 0; at = end) {
		if ((uint64_t)at >= to)
			break;
		if ((uint64_t)end > to)
			end = (off_t)to;
		if (pread_all(r->m->fd, (char *)(uintptr_t)at, (size_t)(end - at), at))
			return hs_fail(r->e, errno, "the copy can't be read: %s", strerror(errno));
	}
	return 0;
}

/* A program may have variables only, and no class. */
static bool has_arena(const struct hs_mirror *m)
{
	off_t end, at = next_data(m, (off_t)HS_BASE, &end);

	return at >= 0 && (uint64_t)at < HS_END;
}

/* What isn't in the arena, from the index into @m->fd, where a restore of it looks. */
static int read_elsewhere(struct hs_mirror *m, struct hs_error *e)
{
	char *buf = malloc(CHUNK);
	off_t at, end;
	int ret = buf ? 0 : hs_fail(e, ENOMEM, "no memory");

	for (at = 0; !ret && (at = next_data(m, at, &end)) >= 0; at = end) {
		if ((uint64_t)at >= HS_BASE && (uint64_t)at < HS_END) {
			end = (off_t)HS_END;
			continue;
		}
		if ((uint64_t)at < HS_BASE && (uint64_t)end > HS_BASE)
			end = (off_t)HS_BASE;
		if (end - at > (off_t)CHUNK)
			end = at + (off_t)CHUNK;
		ret = hs_index_read(m->index, buf, (uint64_t)at, (size_t)(end - at), e);
		if (!ret && pwrite_all(m->fd, buf, (size_t)(end - at), at))
			ret = hs_fail(e, errno, "no memory for a checkpoint: %s", strerror(errno));
	}
	free(buf);
	return ret;
}

int hs_mirror_indexed(struct hs_mirror *m, struct hs_error *e)
{
	if (m->fd < 0)
		m->fd = memory_create("hotspare-memory");
	if (m->fd < 0)
		return hs_fail(e, errno, "no memory for a checkpoint: %s", strerror(errno));
	return hs_index_build(m->index, e) || read_elsewhere(m, e) ? -1 : 0;
}

static int run_lazily(struct hs_mirror *m, struct hs_error *e)
{
	const struct hs_own *own = hs_sections_find(&m->state.own, HS_TOUCHED_NAME);
	struct hs_index *ix = m->index;
	struct hs_touched touched = { 0 };
	struct hs_error why;
	bool known = own && !hs_touched_parse(&touched, own->data, own->len, &why);
	int ret;

	if (own && !known)
		hs_say("libhotspare: the memory is read in another order than the program touches it: %s",
		       why.text);
	m->index = NULL;
	ret = hs_lazy_run(ix, known ? &touched : NULL, e);
	hs_touched_free(&touched);
	return ret;
}

/*
 * Its memory, into a process that has no arena yet. What m->state says is the caller's to
 * bring back. Returns 0, or -1 with errno and @e.
 */
int hs_mirror_restore(struct hs_mirror *m, struct hs_error *e)
{
	struct restore r = { .m = m, .e = e };
	bool arena;
	int ret;

	if (m->fd < 0)
		return hs_fail(e, ENODATA, "there is no checkpoint yet");
	if (nothing_else(&r))
		return -1;
	r.next = HS_BASE;
	e->text[0] = 0;
	arena = has_arena(m);
	r.warm = arena && m->replica >= 0 && hs_warm_last(m->replica, m->fd);
	if (!r.warm)
		hs_warm_end();
	ret = arena ? hs_arena_restore(fill, &r) : 0;
	if (!ret && hs_ranges_restore(&m->state.ranges, m->fd, e))
		return -1;
	if (!ret)
		return m->index ? run_lazily(m, e) : 0;
	if (m->index)
		hs_lazy_end();
	/* Whatever failed first has told why. */
	return e->text[0] ? -1 : hs_fail(e, errno, "the memory can't be restored: %s",
					 strerror(errno));
}
