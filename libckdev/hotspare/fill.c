// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: the pages of a lazy restart, see fill.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "arena.h"
#include "clock.h"
#include "fill.h"

/* The root, a class, its table, the pages: three ranges of each class, and the state area's. */
#define RANGES		(3 * HS_CLASSES + 32)
/* Before the speed of the store is known, and how much of the files is asked for at once. */
#define TRY_NS		(20ULL * 1000000)
#define AT_ONCE		(4UL << 20)
/* Of a batch the events come first: a copy fails while one waits. */
#define MESSAGES	1024
#define HOLD_MS		2

struct range {
	uint64_t start, end;
	uint64_t first;			/* bit of its first page */
};

static struct {
	int uffd;
	struct hs_index *ix;
	struct range v[RANGES];		/* by address */
	size_t nr;
	uint8_t *bits;			/* pages that get nothing from the files any more */
	/*
	 * The background begins with the records of the touch set: those of a class in the order of the
	 * files. @until: how many there are up to each look of its window, and @bytes of these.
	 */
	uint32_t *first;
	size_t nr_first, at_first;
	size_t wanted;			/* up to here the files are being read ahead */
	unsigned int looks;
	size_t until[HS_TOUCHED_LOOKS];
	uint64_t bytes[HS_TOUCHED_LOOKS], covers_us[HS_TOUCHED_LOOKS];
	/* Then it goes from the newest file to the oldest one, in each by address. */
	size_t file, record;
	struct hs_fill_stats stats;
} fill;

static _Atomic uint64_t missing;	/* pages */

/*
 * Pages
 */

/* The range with @addr, or the first one behind it, or NULL. */
static const struct range *range_from(uint64_t addr)
{
	size_t low = 0, high = fill.nr, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (fill.v[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low < fill.nr ? &fill.v[low] : NULL;
}

static uint64_t bit_of(const struct range *r, uint64_t addr)
{
	return r->first + (addr - r->start) / HS_PAGE;
}

static bool is_done(const struct range *r, uint64_t addr)
{
	uint64_t bit = bit_of(r, addr);

	return fill.bits[bit / 8] >> bit % 8 & 1;
}

/* A page that the files have. */
static void set_done(const struct range *r, uint64_t addr)
{
	uint64_t bit = bit_of(r, addr);

	if (is_done(r, addr))
		return;
	fill.bits[bit / 8] |= (uint8_t)(1U << bit % 8);
	missing--;
}

/* For data of the files within one range. False: enough. */
typedef bool (*data_fn)(void *arg, const struct range *r, uint64_t start, uint64_t end,
			const struct hs_extent *x);

static bool each_data(uint64_t start, uint64_t end, data_fn fn, void *arg)
{
	const struct hs_extent *x = hs_index_from(fill.ix, start), *last;
	const struct range *r;
	uint64_t from, to;

	last = fill.ix->extents + fill.ix->nr_extents;
	for (; x && x < last && x->start < end; x++) {
		from = x->start > start ? x->start : start;
		for (r = range_from(from); r && r < fill.v + fill.nr && r->start < x->end; r++) {
			from = from > r->start ? from : r->start;
			to = x->end < r->end ? x->end : r->end;
			to = to < end ? to : end;
			if (from < to && !fn(arg, r, from, to, x))
				return false;
		}
	}
	return true;
}

static bool count(void *arg, const struct range *r, uint64_t start, uint64_t end,
		  const struct hs_extent *x)
{
	(void)arg;
	(void)r;
	(void)x;
	missing += (end - start) / HS_PAGE;
	return true;
}

/* The program gave it back: it is zero from now on. */
static bool forget(void *arg, const struct range *r, uint64_t start, uint64_t end,
		   const struct hs_extent *x)
{
	(void)arg;
	(void)x;
	for (; start < end; start += HS_PAGE)
		set_done(r, start);
	return true;
}

static bool all_done(void *arg, const struct range *r, uint64_t start, uint64_t end,
		     const struct hs_extent *x)
{
	const uint32_t *record = arg;

	if (record && x->record != *record)
		return true;
	while (start < end && is_done(r, start))
		start += HS_PAGE;
	return start == end;
}

/*
 * The end: nothing of the program runs any more, no handler and nothing that is registered for the end:
 * it might wait for a missing page.
 */
__attribute__((noreturn, format(printf, 1, 2)))
static void end_process(const char *fmt, ...)
{
	struct hs_error e;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e.text, sizeof(e.text), fmt, ap);
	va_end(ap);
	hs_say("libhotspare: the program ends, because %" PRIu64 " pages of its memory are missing: %s",
	       (uint64_t)missing, e.text);
	_exit(HS_FILL_STATUS);
}

/* It accesses its page once more, and reports that if it has to. */
static void wake(uint64_t page)
{
	struct uffdio_range r = { page, HS_PAGE };

	ioctl(fill.uffd, UFFDIO_WAKE, &r);
}

static void fill_with_zeros(uint64_t page)
{
	struct uffdio_zeropage z = { .range = { page, HS_PAGE } };

	if (!ioctl(fill.uffd, UFFDIO_ZEROPAGE, &z))
		return;
	if (errno == ENOMEM)
		end_process("there is no memory");
	/* It is there by now, or unmapped, or an event waits. */
	wake(page);
}

/* Returns false if an event has to be read first. */
static bool copy(const char *from, const struct range *r, uint64_t start, uint64_t end)
{
	uint64_t step = end - start;
	struct uffdio_copy c;

	while (start < end) {
		c = (struct uffdio_copy) {
			.dst = start, .src = (uintptr_t)from, .len = step < end - start ? step : end - start,
		};
		if (!ioctl(fill.uffd, UFFDIO_COPY, &c))
			c.copy = (int64_t)c.len;
		if (c.copy <= 0 && errno == EAGAIN)
			return false;
		if (c.copy <= 0 && errno != ENOENT)
			end_process("the page at %#" PRIx64 " can't be filled: %s", start,
				    strerror(errno));
		/* A mapping begins or ends in it: a page at a time. */
		if (c.copy <= 0 && step > HS_PAGE) {
			step = HS_PAGE;
			continue;
		}
		/* It was unmapped. */
		if (c.copy <= 0)
			c.copy = HS_PAGE;
		else
			fill.stats.pages += (uint64_t)c.copy / HS_PAGE;
		for (; c.copy > 0; c.copy -= (int64_t)HS_PAGE, start += HS_PAGE, from += HS_PAGE)
			set_done(r, start);
	}
	return true;
}

struct filling {
	uint32_t record;
	const char *memory;
};

static bool fill_piece(void *arg, const struct range *r, uint64_t start, uint64_t end,
		       const struct hs_extent *x)
{
	struct filling *f = arg;
	const char *from;
	uint64_t first;

	if (x->record != f->record)
		return true;
	while (start < end) {
		for (; start < end && is_done(r, start); start += HS_PAGE)
			;
		for (first = start; start < end && !is_done(r, start); start += HS_PAGE)
			;
		from = f->memory + (first - fill.ix->records[x->record].addr);
		if (first < start && !copy(from, r, first, start))
			return false;
	}
	return true;
}

/* What a mutant has instead. */
static const char *no_content(void)
{
	static const char zeros[1UL << 20];

	return zeros;
}

/* All that a section has and that is missing. Returns false if an event has to be read first. */
static bool fill_record(uint32_t record)
{
	const struct hs_record *r = &fill.ix->records[record];
	struct filling f = { .record = record };
	struct hs_error e;

	if (!r->at || each_data(r->addr, r->addr + r->len, all_done, &record))
		return true;
	f.memory = hs_index_load(fill.ix, record, &e);
	if (lazy_mutant(HS_LAZY_ZEROS) || (!f.memory && lazy_mutant(HS_LAZY_GO_ON)))
		f.memory = no_content();
	if (!f.memory)
		end_process("%s", e.text);
	return each_data(r->addr, r->addr + r->len, fill_piece, &f);
}

static void fault(uint64_t page)
{
	const struct range *r = range_from(page);
	const struct hs_extent *x = hs_index_at(fill.ix, page);
	uint64_t before = fill.stats.pages;

	if (!x || !r || r->start > page || is_done(r, page)) {
		fill_with_zeros(page);
		return;
	}
	fill.stats.faults++;
	if (!fill_record(x->record))
		wake(page);
	fill.stats.asked += fill.stats.pages - before;
}

/* The mapping keeps its registration, and nothing at its new place is known here. */
static void moved(const struct uffd_msg *m)
{
	uint64_t from = m->arg.remap.from;

	if (!each_data(from, from + m->arg.remap.len, all_done, NULL))
		end_process("memory at %#" PRIx64 " was moved by mremap(2)", from);
}

static void handle(const struct uffd_msg *m, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		if (m[i].event == UFFD_EVENT_REMOVE && !lazy_mutant(HS_LAZY_NO_REMOVE))
			each_data(m[i].arg.remove.start, m[i].arg.remove.end, forget, NULL);
		else if (m[i].event == UFFD_EVENT_REMAP)
			moved(&m[i]);
	}
	for (i = 0; i < nr; i++)
		if (m[i].event == UFFD_EVENT_PAGEFAULT)
			fault(m[i].arg.pagefault.address & ~(HS_PAGE - 1));
}

/* What was asked for and what happened, if anything. */
static void look(int timeout_ms)
{
	static struct uffd_msg m[MESSAGES];
	struct pollfd p = { .fd = fill.uffd, .events = POLLIN };
	ssize_t n;

	if (timeout_ms)
		poll(&p, 1, timeout_ms);
	while ((n = read(fill.uffd, m, sizeof(m))) > 0)
		handle(m, (size_t)n / sizeof(*m));
}

static size_t end_of_file(size_t file)
{
	const struct hs_index *ix = fill.ix;

	return file + 1 < ix->nr_files ? ix->files[file + 1].first : ix->nr_records;
}

/* How many of the records behind the @at-th are its neighbours in its file. Returns where they end. */
static uint64_t neighbours(size_t *at)
{
	const struct hs_record *r = &fill.ix->records[fill.first[*at]], *next;
	const uint64_t from = r->at, most = from + AT_ONCE;
	/* What is between two of them: a sum and a head. */
	const uint64_t between = sizeof(uint64_t) + sizeof(struct hs_section_head) + sizeof(struct hs_piece);

	while (++*at < fill.nr_first) {
		next = &fill.ix->records[fill.first[*at]];
		if (next->file != r->file || next->at > r->at + r->len + 2 * between || next->at > most)
			break;
		r = next;
	}
	return r->at + sizeof(struct hs_piece) + r->len;
}

/* The store gets them as one large piece. */
static void read_ahead(void)
{
	const struct hs_record *r = &fill.ix->records[fill.first[fill.at_first]];
	uint64_t end;

	if (fill.at_first < fill.wanted)
		return;
	fill.wanted = fill.at_first;
	end = neighbours(&fill.wanted);
	posix_fadvise(fill.ix->files[r->file].fd, (off_t)r->at, (off_t)(end - r->at), POSIX_FADV_WILLNEED);
}

/* One section of those that come first. */
static void next_of_first(void)
{
	read_ahead();
	fill.at_first += fill_record(fill.first[fill.at_first]);
}

/* One section. */
static void go_on(void)
{
	if (fill.at_first < fill.nr_first) {
		next_of_first();
	} else if (fill.record < end_of_file(fill.file)) {
		fill.record += fill_record((uint32_t)fill.record);
	} else if (fill.file) {
		fill.file--;
		fill.record = fill.ix->files[fill.file].first;
	} else {
		end_process("they are in no file");
	}
}

void hs_fill_step(bool background)
{
	look(background ? 0 : HOLD_MS);
	if (background && missing)
		go_on();
}

/* The first look up to which all arrives in the time that it covers, or fill.looks. */
static unsigned int look_in_time(uint64_t bytes, uint64_t ns)
{
	unsigned int i;

	for (i = 0; i < fill.looks; i++)
		if ((double)fill.bytes[i] / (double)bytes * (double)ns <= (double)fill.covers_us[i] * 1000)
			break;
	return i;
}

static bool enough(uint64_t bytes, uint64_t ns)
{
	unsigned int i;

	if (ns < TRY_NS)
		return false;
	i = look_in_time(bytes, ns);
	return i == fill.looks || fill.at_first >= fill.until[i];
}

void hs_fill_ahead(void)
{
	const uint64_t since = hs_now_ns();
	uint64_t bytes = 0;

	while (missing && fill.looks && fill.at_first < fill.until[fill.looks - 1] &&
	       (!bytes || !enough(bytes, hs_now_ns() - since))) {
		look(0);
		bytes += fill.ix->records[fill.first[fill.at_first]].len;
		next_of_first();
	}
	fill.stats.ahead = fill.stats.pages;
}

/*
 * The order
 */

struct ordering {
	uint8_t *seen;			/* records */
	uint64_t bytes;
};

static bool put_in_order(void *arg, const struct range *r, uint64_t start, uint64_t end,
			 const struct hs_extent *x)
{
	struct ordering *o = arg;

	(void)r;
	(void)start;
	(void)end;
	if (o->seen[x->record / 8] >> x->record % 8 & 1)
		return true;
	o->seen[x->record / 8] |= (uint8_t)(1U << x->record % 8);
	o->bytes += fill.ix->records[x->record].len;
	fill.first[fill.nr_first++] = x->record;
	return true;
}

static int by_record(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void order_class(const struct hs_touched *t, unsigned int when, struct ordering *o)
{
	const size_t before = fill.nr_first;
	size_t i;

	for (i = 0; i < t->nr; i++)
		if (t->v[i].when == when)
			each_data(t->v[i].start, t->v[i].end, put_in_order, o);
	qsort(fill.first + before, fill.nr_first - before, sizeof(*fill.first), by_record);
}

static int make_order(const struct hs_touched *t)
{
	struct ordering o = { .seen = calloc(1, fill.ix->nr_records / 8 + 1) };
	unsigned int when;

	fill.first = calloc(fill.ix->nr_records + 1, sizeof(*fill.first));
	if (!o.seen || !fill.first) {
		free(o.seen);
		return -1;
	}
	for (when = 0; when < HS_TOUCHED_CLASSES; when++) {
		order_class(t, when, &o);
		if (when >= t->looks)
			continue;
		fill.until[when] = fill.nr_first;
		fill.bytes[when] = o.bytes;
		fill.covers_us[when] = t->end_us[when];
		fill.looks = when + 1;
	}
	free(o.seen);
	return 0;
}

/*
 * Ranges
 */

bool hs_fill_add(uint64_t start, uint64_t end)
{
	if (fill.nr == RANGES)
		return false;
	fill.v[fill.nr++] = (struct range) { start, end, 0 };
	return true;
}

void hs_fill_each(void (*fn)(void *arg, void *start, size_t len), void *arg)
{
	size_t i;

	for (i = 0; i < fill.nr; i++)
		fn(arg, (void *)(uintptr_t)fill.v[i].start, fill.v[i].end - fill.v[i].start);
}

int hs_fill_begin(int uffd, struct hs_index *ix, const struct hs_touched *touched)
{
	uint64_t bits = 0;
	size_t i;

	for (i = 0; i < fill.nr; i++) {
		fill.v[i].first = bits;
		bits += (fill.v[i].end - fill.v[i].start) / HS_PAGE;
	}
	fill.bits = calloc(1, bits / 8 + 1);
	if (!fill.bits)
		return -1;
	fill.uffd = uffd;
	fill.ix = ix;
	fill.file = ix->nr_files;
	fill.record = ix->nr_records;
	each_data(HS_BASE, HS_END, count, NULL);
	return touched && !lazy_mutant(HS_LAZY_NO_ORDER) ? make_order(touched) : 0;
}

const struct hs_fill_stats *hs_fill_end(void)
{
	free(fill.bits);
	fill.bits = NULL;
	free(fill.first);
	fill.first = NULL;
	fill.nr_first = fill.looks = 0;
	fill.nr = 0;
	missing = 0;
	return &fill.stats;
}

const struct hs_fill_stats *hs_fill_stats(void)
{
	return &fill.stats;
}

uint64_t hs_fill_missing(void)
{
	return missing;
}
