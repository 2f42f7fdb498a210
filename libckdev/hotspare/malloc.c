// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: objects. Small ones lie in spans, some pages with objects of one size behind
 * a header that says which are free; others have pages of their own.
 *
 * An object and what is known of it are in one page mostly, and the lowest free place of a
 * span is taken first: fewer pages change than with lists through free objects. Freed
 * memory isn't written to either.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "lock.h"
#include "error.h"
#include "hotspare.h"

#define ALIGN		16UL
#define SMALL		8192UL		/* the largest size of a span's objects */
#define MAX_ALIGN	(1UL << 30)
#define MAX_SPAN	16U		/* pages */
#define SPAN_WORDS	4

struct span {
	uint16_t nr;			/* objects */
	uint16_t room;			/* of them free */
	uint32_t size;
	uint64_t free[SPAN_WORDS];	/* a bit for each object */
};

/*
 * Sizes: multiples of 16 up to 128, then four for each doubling
 */

static unsigned int size_index(size_t n)
{
	unsigned int lg;

	if (n <= 128)
		return n ? (unsigned int)(n - 1) / 16 : 0;
	lg = 31U - (unsigned int)__builtin_clz((unsigned int)n - 1);
	return 8 + (lg - 7) * 4 + ((((unsigned int)n - 1) >> (lg - 2)) & 3);
}

static uint32_t size_at(unsigned int index)
{
	unsigned int lg;

	if (index < 8)
		return (index + 1) * 16;
	lg = 7 + (index - 8) / 4;
	return (1U << lg) + (((index - 8) % 4 + 1) << (lg - 2));
}

static uint32_t span_objects(uint32_t size, uint32_t pages)
{
	return (uint32_t)((pages * HS_PAGE - sizeof(struct span)) / size);
}

/* As few as leave at most an eighth unused. */
static uint32_t span_pages(uint32_t size)
{
	uint32_t n = 1;

	while (n < MAX_SPAN && span_objects(size, n) * size < n * HS_PAGE / 8 * 7)
		n++;
	return n;
}

static uint32_t pages_for(size_t len)
{
	return (uint32_t)((len + HS_PAGE - 1) >> HS_PAGE_SHIFT);
}

/*
 * Mistakes: a class that looks for them keeps what was asked for at the end of each
 * object, and bytes that nobody may change from there on.
 */

#define GUARD		16UL		/* at least, of it the last eight for the size */
#define GUARD_BYTE	0xa5
#define FREED_BYTE	0xdb
#define SIZE_KEY	0x5ca1ab1e0ddba11ULL

static void guard_set(char *addr, size_t room, size_t asked)
{
	uint64_t word = asked ^ SIZE_KEY;

	memset(addr + asked, GUARD_BYTE, room - sizeof(word) - asked);
	memcpy(addr + room - sizeof(word), &word, sizeof(word));
}

/* False if something was written behind the object. */
static bool guard_get(const char *addr, size_t room, size_t *asked)
{
	uint64_t word;
	size_t i;

	memcpy(&word, addr + room - sizeof(word), sizeof(word));
	*asked = word ^ SIZE_KEY;
	if (*asked > room - GUARD)
		return false;
	for (i = *asked; i < room - sizeof(word); i++)
		if ((unsigned char)addr[i] != GUARD_BYTE)
			return false;
	return true;
}

/*
 * Finding
 */

/* An object: of a span, or pages of its own. */
struct object {
	char *addr;
	size_t room;
	uint32_t page;			/* the first of the span, or its own */
	uint32_t index;			/* in the span */
	struct span *span;		/* or NULL */
};

static char *span_object(const struct hs_class *c, uint32_t page, const struct span *s,
			 uint32_t index)
{
	size_t len = (size_t)hs_page(c, page)->pages << HS_PAGE_SHIFT;

	/* Up to the end, so that their alignment is that of the size. */
	return (char *)s + len - (size_t)(s->nr - index) * s->size;
}

/* What the program may have taken: NULL, or why it can't be. */
static const char *find(const struct hs_class *c, void *addr, struct object *o)
{
	size_t at = (size_t)((char *)addr - hs_page_addr(c, 0));
	const struct hs_page *p;
	char *first;

	if ((char *)addr < hs_page_addr(c, 1) || at >> HS_PAGE_SHIFT > c->pages)
		return "isn't memory of the class";
	o->addr = addr;
	o->page = (uint32_t)(at >> HS_PAGE_SHIFT);
	o->span = NULL;
	if (hs_page(c, o->page)->kind == HS_SPAN_PART)
		o->page -= hs_page(c, o->page)->pages;
	p = hs_page(c, o->page);
	if (p->kind == HS_LARGE && addr == hs_page_addr(c, o->page)) {
		o->room = (size_t)p->pages << HS_PAGE_SHIFT;
		return NULL;
	}
	if (p->kind != HS_SPAN)
		return "was freed already, or never allocated";
	o->span = (struct span *)hs_page_addr(c, o->page);
	first = span_object(c, o->page, o->span, 0);
	if ((char *)addr < first || (size_t)((char *)addr - first) % o->span->size)
		return "isn't the beginning of an object";
	o->index = (uint32_t)((size_t)((char *)addr - first) / o->span->size);
	o->room = o->span->size;
	if (o->span->free[o->index / 64] & 1ULL << o->index % 64)
		return "was freed already, or never allocated";
	return NULL;
}

static void find_or_die(const struct hs_class *c, void *addr, struct object *o,
			const char *call)
{
	const char *why = find(c, addr, o);
	size_t asked;

	if (why)
		hs_fatal("%s(%d, %p): this address %s", call, c->number, addr, why);
	if (c->debug && !guard_get(o->addr, o->room, &asked))
		hs_fatal("%s(%d, %p): the program wrote beyond the end of this object", call,
			 c->number, addr);
}

/*
 * Taking
 */

static bool span_create(struct hs_class *c, unsigned int index)
{
	uint32_t size = size_at(index), nr = span_pages(size), page, i;
	struct span *s;

	page = hs_pages_get(c, nr, 1);
	if (!page)
		return false;
	s = (struct span *)hs_page_addr(c, page);
	*s = (struct span) { .nr = (uint16_t)span_objects(size, nr), .size = size };
	s->room = s->nr;
	for (i = 0; i < s->nr; i++)
		s->free[i / 64] |= 1ULL << i % 64;
	*hs_page(c, page) = (struct hs_page) { .kind = HS_SPAN, .size = (uint8_t)index,
					       .pages = nr };
	for (i = 1; i < nr; i++)
		*hs_page(c, page + i) = (struct hs_page) { .kind = HS_SPAN_PART, .pages = i };
	hs_pages_list(c, &c->span[index], page);
	return true;
}

/* A span with room. */
static inline char *take_from(struct hs_class *c, unsigned int index, uint32_t page)
{
	struct span *s = (struct span *)hs_page_addr(c, page);
	uint32_t word = 0, bit;

	while (!s->free[word])
		word++;
	bit = (uint32_t)__builtin_ctzll(s->free[word]);
	s->free[word] &= ~(1ULL << bit);
	if (!--s->room)
		hs_pages_unlist(c, &c->span[index], page);
	c->objects++;
	c->bytes += s->size;
	return span_object(c, page, s, word * 64 + bit);
}

static char *take_small(struct hs_class *c, unsigned int index)
{
	if (!c->span[index] && !span_create(c, index))
		return NULL;
	return take_from(c, index, c->span[index]);
}

static char *take_large(struct hs_class *c, size_t len, size_t align)
{
	uint32_t nr = pages_for(len), page;

	page = hs_pages_get(c, nr, align > HS_PAGE ? (uint32_t)(align >> HS_PAGE_SHIFT) : 1);
	if (!page)
		return NULL;
	*hs_page(c, page) = (struct hs_page) { .kind = HS_LARGE, .pages = nr };
	c->objects++;
	c->bytes += (size_t)nr << HS_PAGE_SHIFT;
	return hs_page_addr(c, page);
}

/* The class is locked. */
static void *take(struct hs_class *c, size_t size, size_t align)
{
	size_t need = c->debug ? size + GUARD : size ?: 1;
	bool small = need <= SMALL && align <= HS_PAGE;
	unsigned int index = small ? size_index(need) : 0;
	char *addr;

	/*
	 * The end of a span is a page's, and each size a multiple of ALIGN. 4096 fits each that
	 * is allowed.
	 */
	while (small && align > ALIGN && size_at(index) % align)
		index++;
	addr = small ? take_small(c, index) : take_large(c, need, align);
	if (addr && c->debug)
		guard_set(addr, small ? size_at(index) : (size_t)pages_for(need) << HS_PAGE_SHIFT,
			  size);
	return addr;
}

/* The class, if it can have such an object at all. */
static struct hs_class *class_for(int cls, size_t size)
{
	struct hs_class *c = hs_class_find(cls);

	if (!c)
		errno = ENOENT;
	else if (size > HS_MAX_PAGES << HS_PAGE_SHIFT)
		errno = ENOMEM;
	else
		return c;
	return NULL;
}

/* Where it is, or the class that it must be of: then it may still be none of it. */
static struct hs_class *class_of(int cls, const void *addr)
{
	return hs_in_scratch(addr) ? hs_scratch() : hs_class_find(cls);
}

static void *take_aligned(int cls, size_t size, size_t align)
{
	struct hs_class *c = class_for(cls, size);
	void *addr;

	if (c && hs_inside)
		c = hs_scratch();
	if (!c)
		return NULL;
	hs_class_lock(c);
	addr = take(c, size, align);
	hs_class_unlock(c);
	return addr;
}

/* The most common requests, in few instructions; NULL: it takes more than that. */
static inline void *take_quick(struct hs_class *c, size_t size)
{
	unsigned int index = size_index(size);
	char *addr = NULL;
	uint32_t page;

	hs_class_lock(c);
	page = c->span[index];
	if (page)
		addr = take_from(c, index, page);
	hs_class_unlock(c);
	return addr;
}

void *hs_malloc(int cls, size_t size)
{
	struct hs_class *c = hs_class_find(cls);
	void *addr = NULL;

	if (c && size <= SMALL && !c->debug && !hs_inside)
		addr = take_quick(c, size);
	return addr ?: take_aligned(cls, size, ALIGN);
}

void *hs_aligned_alloc(int cls, size_t align, size_t size)
{
	if (!align || align & (align - 1) || align > MAX_ALIGN) {
		errno = EINVAL;
		return NULL;
	}
	return take_aligned(cls, size, align < ALIGN ? ALIGN : align);
}

void *hs_calloc(int cls, size_t nr, size_t size)
{
	size_t len;
	void *addr;

	if (__builtin_mul_overflow(nr, size, &len)) {
		errno = ENOMEM;
		return NULL;
	}
	addr = hs_malloc(cls, len);
	return addr ? memset(addr, 0, len) : NULL;
}

/*
 * Giving back
 */

static void put_small(struct hs_class *c, const struct object *o)
{
	struct hs_page *p = hs_page(c, o->page);
	uint32_t *head = &c->span[p->size], nr = p->pages, i;
	struct span *s = o->span;

	s->free[o->index / 64] |= 1ULL << o->index % 64;
	if (!s->room++)
		hs_pages_list(c, head, o->page);
	/* The last one with room stays, or a single object would make and end it. */
	if (s->room < s->nr || (*head == o->page && !p->next))
		return;
	hs_pages_unlist(c, head, o->page);
	for (i = 0; i < nr; i++)
		hs_page(c, o->page + i)->kind = HS_NOTHING;
	hs_pages_put(c, o->page, nr);
}

static void put(struct hs_class *c, const struct object *o)
{
	if (c->debug)
		memset(o->addr, FREED_BYTE, o->room);
	c->objects--;
	c->bytes -= o->room;
	if (o->span) {
		put_small(c, o);
		return;
	}
	hs_page(c, o->page)->kind = HS_NOTHING;
	hs_pages_put(c, o->page, (uint32_t)(o->room >> HS_PAGE_SHIFT));
}

/*
 * The same as find() and put() of an object that isn't the last one in its span. False: it is
 * another case, or a mistake.
 */
static inline bool put_quick(struct hs_class *c, char *addr)
{
	size_t at = (size_t)(addr - hs_page_addr(c, 0));
	uint32_t page = (uint32_t)(at >> HS_PAGE_SHIFT), size, offset, index;
	const struct hs_page *p;
	struct span *s;
	uint64_t bit;

	if (at < HS_PAGE || at >> HS_PAGE_SHIFT > c->pages)
		return false;
	p = hs_page(c, page);
	if (p->kind == HS_SPAN_PART) {
		page -= p->pages;
		p = hs_page(c, page);
	}
	if (p->kind != HS_SPAN)
		return false;
	s = (struct span *)hs_page_addr(c, page);
	size = s->size;
	/* Before the first one it is large. */
	offset = (uint32_t)(addr - span_object(c, page, s, 0));
	index = offset / size;
	bit = 1ULL << index % 64;
	if (index >= s->nr || index * size != offset || s->free[index / 64] & bit)
		return false;
	if (s->room + 1 == s->nr)
		return false;
	s->free[index / 64] |= bit;
	if (!s->room++)
		hs_pages_list(c, &c->span[p->size], page);
	c->objects--;
	c->bytes -= size;
	return true;
}

void hs_free(int cls, void *addr)
{
	struct hs_class *c;
	struct object o;

	if (!addr)
		return;
	c = class_of(cls, addr);
	if (!c)
		hs_fatal("hs_free(%d, %p): there is no such class", cls, addr);
	hs_class_lock(c);
	if (c->debug || !put_quick(c, addr)) {
		find_or_die(c, addr, &o, "hs_free");
		put(c, &o);
	}
	hs_class_unlock(c);
}

/*
 * Changing the size
 */

/* Without moving it. */
static bool resize_large(struct hs_class *c, struct object *o, size_t size)
{
	uint32_t have = (uint32_t)(o->room >> HS_PAGE_SHIFT), want = pages_for(size);

	if (o->span || size <= SMALL)
		return false;
	if (want > have && !hs_pages_extend(c, o->page, have, want))
		return false;
	hs_page(c, o->page)->pages = want;
	if (want < have)
		hs_pages_put(c, o->page + want, have - want);
	c->bytes += ((size_t)want << HS_PAGE_SHIFT) - o->room;
	return true;
}

/* What looks for mistakes moves it always: an old pointer is one. */
static bool resize(struct hs_class *c, struct object *o, size_t size)
{
	if (c->debug)
		return false;
	if (o->span)
		return size <= SMALL && size_at(size_index(size)) == o->room;
	return resize_large(c, o, size);
}

void *hs_realloc(int cls, void *addr, size_t size)
{
	struct hs_class *c = class_for(cls, size);
	void *to = addr;
	struct object o;
	size_t keep;

	if (!c || !addr)
		return c ? hs_malloc(cls, size) : NULL;
	if (hs_in_scratch(addr))
		c = hs_scratch();
	hs_class_lock(c);
	find_or_die(c, addr, &o, "hs_realloc");
	if (!resize(c, &o, size)) {
		keep = o.room;
		if (c->debug)
			guard_get(o.addr, o.room, &keep);
		to = take(c, size, ALIGN);
		if (to) {
			memcpy(to, addr, keep < size ? keep : size);
			put(c, &o);
		}
	}
	hs_class_unlock(c);
	return to;
}

/*
 * Classes
 */

static bool debug_wanted(void)
{
	const char *text = secure_getenv("HS_MALLOC_DEBUG");

	return text && *text && strcmp(text, "0");
}

int hs_malloc_create(int cls, size_t initial)
{
	if (initial > HS_SLOT - HS_DATA - 4 * HS_PAGE) {
		errno = ENOMEM;
		return -1;
	}
	return hs_class_create(cls, pages_for(initial) + MAX_SPAN, debug_wanted()) ? 0 : -1;
}

size_t hs_usable_size(void *addr)
{
	struct hs_class *c = hs_class_of(addr);
	struct object o;
	size_t n;

	if (!addr)
		return 0;
	if (!c)
		hs_fatal("hs_usable_size(%p): this address isn't memory of any class", addr);
	hs_class_lock(c);
	find_or_die(c, addr, &o, "hs_usable_size");
	n = o.room;
	if (c->debug)
		guard_get(o.addr, o.room, &n);
	hs_class_unlock(c);
	return n;
}

int hs_malloc_info(int cls, struct hs_malloc_info *info)
{
	struct hs_class *c = class_for(cls, 0);

	if (c && !info)
		errno = EINVAL;
	if (!c || !info)
		return -1;
	hs_class_lock(c);
	*info = (struct hs_malloc_info) {
		.objects = c->objects, .bytes = c->bytes,
		.pages = (uint64_t)c->used << HS_PAGE_SHIFT,
		.reserved = (uint64_t)c->pages << HS_PAGE_SHIFT,
	};
	hs_class_unlock(c);
	return 0;
}

/*
 * Looking for damage
 */

struct check {
	const struct hs_class *c;
	uint64_t objects, bytes;
	uint32_t used;
	unsigned int bad;
};

__attribute__((format(printf, 2, 3)))
static void damage(struct check *k, const char *fmt, ...)
{
	char text[192];
	va_list ap;

	k->bad++;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	hs_say("libhotspare: class %d: %s", k->c->number, text);
}

static void check_object(struct check *k, const char *addr, size_t room)
{
	size_t asked;

	k->objects++;
	k->bytes += room;
	if (k->c->debug && !guard_get(addr, room, &asked))
		damage(k, "the program wrote beyond the end of the object at %p", addr);
}

static void check_span(struct check *k, uint32_t page)
{
	const struct hs_page *p = hs_page(k->c, page);
	const struct span *s = (const struct span *)hs_page_addr(k->c, page);
	uint32_t size = p->size < HS_SIZES ? size_at(p->size) : 0, room = 0, i;

	if (!size || s->size != size || s->nr != span_objects(size, p->pages)) {
		damage(k, "the header of the objects at %p was overwritten", s);
		return;
	}
	for (i = 0; i < s->nr; i++) {
		if (s->free[i / 64] & 1ULL << i % 64)
			room++;
		else
			check_object(k, span_object(k->c, page, s, i), s->size);
	}
	if (room != s->room)
		damage(k, "the header of the objects at %p was overwritten", s);
}

static void check_class(struct check *k)
{
	const struct hs_class *c = k->c;
	uint32_t page, nr;

	for (page = 1; page <= c->pages; page += nr) {
		const struct hs_page *p = hs_page(c, page);

		nr = p->pages;
		if (!nr || nr > c->pages + 1 - page || p->kind == HS_NOTHING ||
		    p->kind > HS_SPAN) {
			damage(k, "the table of its pages was overwritten, at %p", p);
			return;
		}
		if (p->kind == HS_FREE)
			continue;
		k->used += nr;
		if (p->kind == HS_SPAN)
			check_span(k, page);
		else
			check_object(k, hs_page_addr(c, page), (size_t)nr << HS_PAGE_SHIFT);
	}
	if (k->used != c->used || k->objects != c->objects || k->bytes != c->bytes)
		damage(k, "its sums are wrong: the first of its pages was overwritten");
}

int hs_malloc_check(int cls)
{
	struct check k = { .c = class_for(cls, 0) };

	if (!k.c)
		return -1;
	hs_class_lock(k.c);
	check_class(&k);
	hs_class_unlock(k.c);
	if (k.bad)
		errno = EUCLEAN;
	return k.bad ? -1 : 0;
}

/*
 * Dry runs
 */

struct each {
	hs_object_fn fn;
	void *arg;
};

static void each_of_span(const struct hs_class *c, uint32_t page, const struct each *e)
{
	const struct span *s = (const struct span *)hs_page_addr(c, page);
	uint32_t i;

	for (i = 0; i < s->nr; i++)
		if (!(s->free[i / 64] & 1ULL << i % 64))
			e->fn(e->arg, c, span_object(c, page, s, i), s->size);
}

static void each_of_class(void *arg, const struct hs_class *c)
{
	const struct each *e = arg;
	const struct hs_page *p;
	uint32_t page;

	for (page = 1; page <= c->pages; page += p->pages) {
		p = hs_page(c, page);
		if (p->kind == HS_SPAN)
			each_of_span(c, page, e);
		else if (p->kind == HS_LARGE)
			e->fn(e->arg, c, hs_page_addr(c, page), (size_t)p->pages << HS_PAGE_SHIFT);
	}
}

/* Of classes that aren't damaged. */
void hs_objects_each(hs_object_fn fn, void *arg)
{
	struct each e = { fn, arg };

	hs_classes_each(each_of_class, &e);
}

static void check_one(void *arg, const struct hs_class *c)
{
	struct check k = { .c = c };

	check_class(&k);
	*(bool *)arg |= k.bad;
}

int hs_objects_check(void)
{
	bool bad = false;

	hs_classes_each(check_one, &bad);
	return bad ? -1 : 0;
}
