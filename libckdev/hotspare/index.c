// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: an index of checkpoint files, see index.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arena.h"
#include "index.h"

/* Writers make sections of 256 KiB, older ones up to 4 MiB. A fault reads a whole section. */
#define SECTION_MOST	(16UL << 20)
#define NONE		UINT32_MAX

struct hs_index *hs_index_create(void)
{
	struct hs_index *ix = calloc(1, sizeof(*ix));

	if (ix)
		ix->loaded = NONE;
	return ix;
}

static void drop_files(struct hs_index *ix)
{
	size_t i;

	for (i = 0; i < ix->nr_files; i++) {
		if (ix->files[i].fd >= 0)
			close(ix->files[i].fd);
		free(ix->files[i].path);
	}
	free(ix->files);
	free(ix->records);
	ix->files = NULL;
	ix->records = NULL;
	ix->nr_files = ix->nr_records = 0;
}

/* Leaves errno alone. */
void hs_index_free(struct hs_index *ix)
{
	int saved = errno;

	if (!ix)
		return;
	drop_files(ix);
	free(ix->extents);
	if (ix->buf)
		munmap(ix->buf, ix->buf_len);
	free(ix);
	errno = saved;
}

/* Room for one more file and @nr records. */
static int make_room(struct hs_index *ix, size_t nr)
{
	struct hs_index_file *f;
	struct hs_record *r;

	f = reallocarray(ix->files, ix->nr_files + 1, sizeof(*f));
	if (!f)
		return -1;
	ix->files = f;
	r = reallocarray(ix->records, ix->nr_records + nr + 1, sizeof(*r));
	if (!r)
		return -1;
	ix->records = r;
	return 0;
}

int hs_index_add(struct hs_index *ix, int fd, const char *path, bool whole,
		 struct hs_record *records, size_t nr)
{
	struct hs_index_file f = { .fd = fcntl(fd, F_DUPFD_CLOEXEC, 3), .path = strdup(path) };
	size_t i;

	if (f.fd < 0 || !f.path || ix->nr_records + nr >= NONE || make_room(ix, nr)) {
		int err = f.fd < 0 ? errno : ENOMEM;

		if (f.fd >= 0)
			close(f.fd);
		free(f.path);
		errno = err;
		return -1;
	}
	if (whole) {
		struct hs_index old = *ix;

		ix->files = NULL;
		ix->records = NULL;
		ix->nr_files = ix->nr_records = 0;
		if (make_room(ix, nr)) {
			*ix = old;
			close(f.fd);
			free(f.path);
			errno = ENOMEM;
			return -1;
		}
		drop_files(&old);
	}
	for (i = 0; i < nr; i++)
		records[i].file = (uint32_t)ix->nr_files;
	if (nr)
		memcpy(ix->records + ix->nr_records, records, nr * sizeof(*records));
	posix_fadvise(f.fd, 0, 0, POSIX_FADV_NORMAL);
	f.first = ix->nr_records;
	ix->nr_records += nr;
	ix->files[ix->nr_files++] = f;
	free(records);
	return 0;
}

/*
 * Extents: runs of ascending records are lists already, and of two lists the newer one covers the
 * older one. That is done as a merge sort does it, since there may be many increments.
 */

struct list {
	size_t nr;
	struct hs_extent *v;
};

/* Of the older list: what begins below @limit, from the @i-th on. */
static size_t copy_below(struct list *to, struct list *from, size_t i, uint64_t limit)
{
	for (; i < from->nr && from->v[i].start < limit; i++) {
		to->v[to->nr] = from->v[i];
		if (from->v[i].end > limit) {
			to->v[to->nr++].end = limit;
			from->v[i].start = limit;
			break;
		}
		to->nr++;
	}
	return i;
}

static size_t skip_below(struct list *from, size_t i, uint64_t limit)
{
	while (i < from->nr && from->v[i].end <= limit)
		i++;
	if (i < from->nr && from->v[i].start < limit)
		from->v[i].start = limit;
	return i;
}

/* Frees both. @newer may cut each of @older in two. */
static int overlay(struct list *to, struct list *older, struct list *newer)
{
	size_t i = 0, k;

	*to = (struct list) { .v = calloc(older->nr + 2 * newer->nr + 1, sizeof(*to->v)) };
	for (k = 0; to->v && k < newer->nr; k++) {
		i = copy_below(to, older, i, newer->v[k].start);
		to->v[to->nr++] = newer->v[k];
		i = skip_below(older, i, newer->v[k].end);
	}
	if (to->v)
		copy_below(to, older, i, UINT64_MAX);
	free(older->v);
	free(newer->v);
	return to->v ? 0 : -1;
}

static bool follows(const struct hs_record *r)
{
	return r[0].addr + r[0].len <= r[1].addr;
}

/* The first record behind the run that begins with @i. */
static size_t run_end(const struct hs_index *ix, size_t i)
{
	while (i + 1 < ix->nr_records && follows(&ix->records[i]))
		i++;
	return i + 1;
}

static int list_run(const struct hs_index *ix, size_t from, size_t to, struct list *l)
{
	size_t i;

	*l = (struct list) { .v = calloc(to - from + 1, sizeof(*l->v)) };
	for (i = from; l->v && i < to; i++)
		l->v[l->nr++] = (struct hs_extent) {
			ix->records[i].addr, ix->records[i].addr + ix->records[i].len,
			(uint32_t)i,
		};
	return l->v ? 0 : -1;
}

/* The runs from @lo up to @hi, of which there is at least one. */
static int list_runs(const struct hs_index *ix, const size_t *begin, size_t lo, size_t hi,
		     struct list *l)
{
	struct list older, newer;

	if (hi - lo == 1)
		return list_run(ix, begin[lo], begin[hi], l);
	if (list_runs(ix, begin, lo, lo + (hi - lo) / 2, &older))
		return -1;
	if (list_runs(ix, begin, lo + (hi - lo) / 2, hi, &newer)) {
		free(older.v);
		return -1;
	}
	if (lazy_mutant(HS_LAZY_OLD))
		return overlay(l, &newer, &older);
	return overlay(l, &older, &newer);
}

static int make_extents(struct hs_index *ix)
{
	size_t nr = 0, i, k, *begin = calloc(ix->nr_records + 1, sizeof(*begin));
	struct list l = { 0 };
	int ret = -1;

	for (i = 0; begin && i < ix->nr_records; i = run_end(ix, i))
		begin[nr++] = i;
	if (begin) {
		begin[nr] = ix->nr_records;
		ret = nr ? list_runs(ix, begin, 0, nr, &l) : 0;
	}
	free(begin);
	if (ret)
		return -1;
	/* Holes have covered what was older. */
	for (i = k = 0; i < l.nr; i++)
		if (ix->records[l.v[i].record].at)
			l.v[k++] = l.v[i];
	free(ix->extents);
	ix->extents = l.v;
	ix->nr_extents = k;
	return 0;
}

int hs_index_build(struct hs_index *ix, struct hs_error *e)
{
	size_t longest = 0, i;

	for (i = 0; i < ix->nr_records; i++)
		if (ix->records[i].at && ix->records[i].len > longest)
			longest = ix->records[i].len;
	if (longest > SECTION_MOST)
		return hs_fail(e, EFBIG, "a section with memory has %zu MiB", longest >> 20);
	if (make_extents(ix))
		return hs_fail(e, ENOMEM, "no memory for an index of the checkpoint");
	/* What comes before the memory is at the end of the first page. */
	ix->buf_len = longest + HS_PAGE;
	ix->buf = mmap(NULL, ix->buf_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ix->buf != MAP_FAILED)
		return 0;
	ix->buf = NULL;
	return hs_fail(e, ENOMEM, "no memory for a section of the checkpoint");
}

/*
 * Content
 */

const struct hs_extent *hs_index_from(const struct hs_index *ix, uint64_t addr)
{
	size_t low = 0, high = ix->nr_extents, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (ix->extents[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low < ix->nr_extents ? &ix->extents[low] : NULL;
}

static int load(const struct hs_index_file *f, char *to, size_t len, uint64_t at,
		const struct hs_record *r, struct hs_error *e)
{
	ssize_t n;

	while (len) {
		n = pread(f->fd, to, len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return hs_fail(e, errno, "%.160s: the memory at %#llx can't be read: %s",
				       f->path, (unsigned long long)r->addr, strerror(errno));
		if (!n)
			return hs_fail(e, ENODATA, "%.160s: the memory at %#llx is cut off: the file "
				       "became shorter", f->path, (unsigned long long)r->addr);
		to += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

const char *hs_index_load(struct hs_index *ix, uint32_t record, struct hs_error *e)
{
	const struct hs_record *r = &ix->records[record];
	const struct hs_index_file *f = &ix->files[r->file];
	char *memory = ix->buf + HS_PAGE, *section = memory - sizeof(struct hs_piece);
	size_t len = sizeof(struct hs_piece) + r->len;

	if (ix->loaded == record)
		return memory;
	ix->loaded = NONE;
	if (ix->load) {
		if (ix->load(f->fd, memory, r->addr, r->len, e))
			return NULL;
		ix->loaded = record;
		return memory;
	}
	if (load(f, section, len, r->at, r, e))
		return NULL;
	if (XXH3_64bits(section, len) != r->sum && !lazy_mutant(HS_LAZY_NO_SUM)) {
		hs_fail(e, EBADMSG, "%.160s: the memory at %#llx is damaged: its checksum is wrong",
			f->path, (unsigned long long)r->addr);
		return NULL;
	}
	ix->loaded = record;
	return memory;
}

int hs_index_done(struct hs_index *ix, struct hs_error *e)
{
	return ix->done ? ix->done(ix->files[0].fd, e) : 0;
}

int hs_index_read(struct hs_index *ix, char *to, uint64_t addr, size_t len, struct hs_error *e)
{
	uint64_t end = addr + len, from, up_to;
	const struct hs_extent *x;
	const char *memory;

	for (x = hs_index_from(ix, addr); x < ix->extents + ix->nr_extents && x && x->start < end; x++) {
		from = x->start > addr ? x->start : addr;
		up_to = x->end < end ? x->end : end;
		memory = hs_index_load(ix, x->record, e);
		if (!memory)
			return -1;
		memcpy(to + (from - addr), memory + (from - ix->records[x->record].addr), up_to - from);
	}
	return 0;
}
