// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: writing and reading checkpoints as bytes. Whatever is read may have been
 * cut off, altered, or made up.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian, as it stands");
_Static_assert(sizeof(struct hs_image_head) == 128, "no holes");
_Static_assert(sizeof(struct hs_section_head) == 72, "no holes");

static const char *const type_text[HS_SECTION_TYPES] = {
	[HS_SECTION_END] = "end", [HS_SECTION_BUILD] = "build",
	[HS_SECTION_RANGES] = "ranges",
	[HS_SECTION_MEMORY] = "memory", [HS_SECTION_HOLES] = "holes",
	[HS_SECTION_DESCRIPTORS] = "descriptors", [HS_SECTION_THREADS] = "threads",
	[HS_SECTION_SIGNALS] = "signals", [HS_SECTION_PROCESS] = "process",
	[HS_SECTION_USER] = "user", [HS_SECTION_HOOKS] = "hooks",
};

const char *hs_section_text(uint32_t type)
{
	return type < HS_SECTION_TYPES ? type_text[type] : "unknown";
}

bool hs_section_is_text(uint32_t type)
{
	return type < HS_SECTION_TYPES && type != HS_SECTION_END && type != HS_SECTION_USER &&
		type != HS_SECTION_MEMORY && type != HS_SECTION_HOLES;
}

/* Of a head: of all that is before its sum, which comes last. */
static uint64_t head_sum(const void *head, size_t len)
{
	return XXH3_64bits(head, len - sizeof(uint64_t));
}

static int hashes_create(XXH3_state_t **part, XXH3_state_t **sums)
{
	*part = XXH3_createState();
	*sums = XXH3_createState();
	if (*part && *sums) {
		XXH3_64bits_reset(*part);
		XXH3_64bits_reset(*sums);
		return 0;
	}
	XXH3_freeState(*part);
	XXH3_freeState(*sums);
	*part = *sums = NULL;
	errno = ENOMEM;
	return -1;
}

static void hashes_free(XXH3_state_t *part, XXH3_state_t *sums)
{
	XXH3_freeState(part);
	XXH3_freeState(sums);
}

/*
 * Writing
 */

static void put(struct hs_writer *w, const void *buf, size_t len)
{
	const char *p = buf;
	ssize_t n;

	while (!w->err && len) {
		n = write(w->fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			w->err = n ? errno : EIO;
			return;
		}
		p += n;
		len -= (size_t)n;
		w->bytes += (uint64_t)n;
	}
}

/* All the memory it needs. Returns 0, or -1 with errno ENOMEM. */
int hs_writer_create(struct hs_writer *w)
{
	*w = (struct hs_writer) { .fd = -1 };
	return hashes_create(&w->part, &w->sums);
}

void hs_writer_free(struct hs_writer *w)
{
	hashes_free(w->part, w->sums);
	w->part = w->sums = NULL;
}

/* Its sum, magic and version are filled in. */
void hs_image_begin(struct hs_writer *w, int fd, const struct hs_image_head *head)
{
	struct hs_image_head h = *head;

	w->fd = fd;
	memcpy(h.magic, HS_IMAGE_MAGIC, sizeof(h.magic));
	h.version = HS_IMAGE_VERSION;
	h.sum = head_sum(&h, sizeof(h));
	XXH3_64bits_update(w->sums, &h.sum, sizeof(h.sum));
	put(w, &h, sizeof(h));
}

static void section_end(struct hs_writer *w)
{
	uint64_t sum = XXH3_64bits_digest(w->part);

	put(w, &sum, sizeof(sum));
	XXH3_64bits_update(w->sums, &sum, sizeof(sum));
}

/* Exactly @len bytes follow, by hs_section_put(); the last of them end it. */
void hs_section_begin(struct hs_writer *w, enum hs_section_type type, const char *name,
		      uint64_t len)
{
	struct hs_section_head h = { .type = type, .len = len };

	if (w->left || len > HS_SECTION_MAX || strlen(name) >= sizeof(h.name))
		w->err = w->err ?: EINVAL;
	strncpy(h.name, name, sizeof(h.name) - 1);
	h.sum = head_sum(&h, sizeof(h));
	w->sections++;
	w->left = len;
	XXH3_64bits_reset(w->part);
	XXH3_64bits_update(w->sums, &h.sum, sizeof(h.sum));
	put(w, &h, sizeof(h));
	if (!len)
		section_end(w);
}

void hs_section_put(struct hs_writer *w, const void *buf, size_t len)
{
	if (len > w->left) {
		w->err = w->err ?: EINVAL;
		return;
	}
	XXH3_64bits_update(w->part, buf, len);
	put(w, buf, len);
	w->left -= len;
	if (len && !w->left)
		section_end(w);
}

void hs_section(struct hs_writer *w, enum hs_section_type type, const char *name,
		const void *buf, size_t len)
{
	hs_section_begin(w, type, name, len);
	hs_section_put(w, buf, len);
}

/* Without snprintf(3): a child that writes may take no lock. */
void hs_memory_name(char name[HS_SECTION_NAME], uint64_t addr)
{
	unsigned int i;

	for (i = 0; i < 16; i++)
		name[i] = "0123456789abcdef"[addr >> (60 - 4 * i) & 15];
	name[i] = 0;
}

void hs_memory_begin(struct hs_writer *w, uint64_t addr, uint64_t len)
{
	const struct hs_piece piece = { addr, len };
	char name[HS_SECTION_NAME];

	hs_memory_name(name, addr);
	hs_section_begin(w, HS_SECTION_MEMORY, name, sizeof(piece) + len);
	hs_section_put(w, &piece, sizeof(piece));
}

/* Returns 0, or -1 with errno: what happened first. */
int hs_image_finish(struct hs_writer *w)
{
	struct hs_end end = { .sections = w->sections };

	end.sum = XXH3_64bits_digest(w->sums);
	hs_section(w, HS_SECTION_END, "", &end, sizeof(end));
	if (!w->err)
		return 0;
	errno = w->err;
	return -1;
}

/*
 * Reading
 */

/* Which section it is, for who has to be told. */
static const char *where(const struct hs_reader *r, char *text, size_t len)
{
	if (r->section.name[0])
		snprintf(text, len, "section %llu (%s '%s')", (unsigned long long)r->sections,
			 hs_section_text(r->section.type), r->section.name);
	else
		snprintf(text, len, "section %llu (%s)", (unsigned long long)r->sections,
			 hs_section_text(r->section.type));
	return text;
}

__attribute__((format(printf, 3, 4)))
static int bad(struct hs_reader *r, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->error, sizeof(r->error), fmt, ap);
	va_end(ap);
	errno = err;
	return -1;
}

/* Returns 0, or -1: @what is cut off, or can't be read. */
static int get(struct hs_reader *r, void *buf, size_t len, const char *what)
{
	char *p = buf;
	ssize_t n;

	r->lost = true;
	while (len) {
		n = read(r->fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return bad(r, errno, "%s can't be read: %s", what,
				   errno == EAGAIN ? "no more data came" : strerror(errno));
		if (!n)
			return bad(r, ENODATA, "%s is cut off", what);
		p += n;
		len -= (size_t)n;
		r->offset += (uint64_t)n;
	}
	r->lost = false;
	return 0;
}

/*
 * Returns 0, or -1 and r->error. errno: EINVAL: not a checkpoint. EPROTONOSUPPORT: another
 * version. EBADMSG: damaged. ENODATA: cut off. ENOMEM. Or what read(2) said.
 */
int hs_reader_head(struct hs_reader *r)
{
	struct hs_image_head *h = &r->head;

	if (get(r, h, sizeof(*h), "the head"))
		return -1;
	r->lost = true;
	if (memcmp(h->magic, HS_IMAGE_MAGIC, sizeof(h->magic)))
		return bad(r, EINVAL, "this isn't a checkpoint");
	/* Before its sum, which another version may have elsewhere. */
	if (h->version != HS_IMAGE_VERSION)
		return bad(r, EPROTONOSUPPORT, "its format has version %u, this library supports "
			   "version %u: use the library version that made it",
			   h->version, HS_IMAGE_VERSION);
	r->lost = false;
	XXH3_64bits_update(r->sums, &h->sum, sizeof(h->sum));
	r->damaged = h->sum != head_sum(h, sizeof(*h));
	if (r->damaged)
		return bad(r, EBADMSG, "the head is damaged");
	if (h->app[HS_IMAGE_NAME - 1] || h->flags & ~HS_IMAGE_INCREMENT ||
	    !(h->flags & HS_IMAGE_INCREMENT) != !h->base)
		return bad(r, EBADMSG, "the head is invalid");
	return 0;
}

/* All the memory it needs. Returns 0, or -1 with errno ENOMEM. */
int hs_reader_create(struct hs_reader *r, int fd)
{
	memset(r, 0, sizeof(*r));
	r->fd = fd;
	if (hashes_create(&r->part, &r->sums))
		return bad(r, ENOMEM, "no memory");
	return 0;
}

/* As hs_reader_head(). */
int hs_reader_open(struct hs_reader *r, int fd)
{
	if (hs_reader_create(r, fd))
		return -1;
	if (!hs_reader_head(r))
		return 0;
	hs_reader_close(r);
	return -1;
}

void hs_reader_close(struct hs_reader *r)
{
	hashes_free(r->part, r->sums);
	r->part = r->sums = NULL;
}

/* Bytes of the section that we are in: all of them, or -1 as hs_reader_open(). */
int hs_reader_get(struct hs_reader *r, void *buf, size_t len)
{
	char text[96];

	if (len > r->left)
		return bad(r, EBADMSG, "%s is too short", where(r, text, sizeof(text)));
	if (get(r, buf, len, where(r, text, sizeof(text))))
		return -1;
	XXH3_64bits_update(r->part, buf, len);
	r->left -= len;
	return 0;
}

/* Only the sum at its end is read. That is part of the sum of all sums, the content isn't looked at. */
int hs_reader_skip(struct hs_reader *r, uint64_t *sum)
{
	char text[96];

	r->lost = true;
	if (lseek(r->fd, (off_t)r->left, SEEK_CUR) < 0)
		return bad(r, errno, "%s can't be passed over: %s", where(r, text, sizeof(text)),
			   strerror(errno));
	r->offset += r->left;
	r->left = 0;
	if (get(r, sum, sizeof(*sum), where(r, text, sizeof(text))))
		return -1;
	r->inside = false;
	XXH3_64bits_update(r->sums, sum, sizeof(*sum));
	return 0;
}

/* What is left of the section, and its sum. */
static int section_close(struct hs_reader *r)
{
	char buf[16384], text[96];
	uint64_t sum;

	while (r->left)
		if (hs_reader_get(r, buf, r->left < sizeof(buf) ? r->left : sizeof(buf)))
			return -1;
	if (get(r, &sum, sizeof(sum), where(r, text, sizeof(text))))
		return -1;
	r->inside = false;
	XXH3_64bits_update(r->sums, &sum, sizeof(sum));
	if (sum == XXH3_64bits_digest(r->part))
		return 0;
	r->damaged = true;
	return bad(r, EBADMSG, "%s is damaged", where(r, text, sizeof(text)));
}

static int section_open(struct hs_reader *r)
{
	struct hs_section_head *h = &r->section, now;
	char text[48];

	r->sections++;
	r->at = r->offset;
	snprintf(text, sizeof(text), "the head of section %llu",
		 (unsigned long long)r->sections);
	if (get(r, &now, sizeof(now), text))
		return -1;
	r->lost = true;
	if (now.sum != head_sum(&now, sizeof(now)))
		return bad(r, EBADMSG, "%s is damaged", text);
	if (now.name[HS_SECTION_NAME - 1] || now.reserved || now.type >= HS_SECTION_TYPES ||
	    now.len > HS_SECTION_MAX)
		return bad(r, EBADMSG, "%s is invalid", text);
	r->lost = false;
	r->inside = true;
	*h = now;
	r->left = h->len;
	XXH3_64bits_reset(r->part);
	return 0;
}

static int check_end(struct hs_reader *r)
{
	uint64_t sections = r->sections - 1, sum = XXH3_64bits_digest(r->sums);
	struct hs_end end;

	if (r->left != sizeof(end))
		return bad(r, EBADMSG, "the end is invalid");
	if (hs_reader_get(r, &end, sizeof(end)) || section_close(r))
		return -1;
	/* Of what is damaged no more can be said. */
	if (end.sections != sections || (end.sum != sum && !r->damaged))
		return bad(r, EBADMSG, "sections are missing, or in the wrong order");
	return 0;
}

/* Whatever is wrong with it, nothing is behind it. */
static int read_end(struct hs_reader *r)
{
	int ret = check_end(r);

	r->lost = ret;
	r->done = !ret;
	return ret;
}

/*
 * On to the next section. Returns 1, 0 behind the last (all that was read is as it was
 * written), or -1 as hs_reader_open().
 */
int hs_reader_next(struct hs_reader *r)
{
	if (r->done)
		return 0;
	if (r->inside && section_close(r))
		return -1;
	if (section_open(r))
		return -1;
	if (r->section.type == HS_SECTION_END)
		return read_end(r);
	XXH3_64bits_update(r->sums, &r->section.sum, sizeof(r->section.sum));
	return 1;
}
