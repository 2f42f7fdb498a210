/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: a checkpoint as bytes, in a file or on their way to the spare. A head, then
 * sections, the last of them says that it is the last. Numbers are little-endian. Each
 * part has a checksum (XXH3, 64 bits), so that damage is told by section; the last one
 * has the sum of all sums, so that none is missing or has changed its place.
 */
#ifndef HS_FORMAT_H
#define HS_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xxhash.h>

#define HS_IMAGE_MAGIC		"\x89HSIMG\r\n"
#define HS_IMAGE_VERSION	1U
#define HS_IMAGE_INCREMENT	(1U << 0)	/* what changed since @base */
#define HS_IMAGE_NAME		64
#define HS_SECTION_NAME		48
#define HS_SECTION_MAX		(1ULL << 40)
#define HS_SECTION_TEXT_MAX	(64UL << 20)	/* of one that is text */

struct hs_image_head {
	uint8_t magic[8];
	uint32_t version;
	uint32_t flags;			/* HS_IMAGE_* */
	uint64_t generation;
	uint64_t base;			/* 0: it is whole */
	uint64_t time_ns;		/* when it was taken, since 1970 */
	uint8_t run[16];		/* increments are of the run of their base */
	char app[HS_IMAGE_NAME];	/* the program's name for itself */
	uint64_t sum;			/* of what is before */
};

enum hs_section_type {
	HS_SECTION_END,			/* struct hs_end */
	HS_SECTION_BUILD,		/* what program and libraries it is of */
	HS_SECTION_RANGES,		/* what is saved besides the arena */
	HS_SECTION_MEMORY,		/* struct hs_piece, and as many bytes */
	HS_SECTION_HOLES,		/* struct hs_piece: without content */
	HS_SECTION_DESCRIPTORS,
	HS_SECTION_THREADS,
	HS_SECTION_SIGNALS,
	HS_SECTION_PROCESS,
	HS_SECTION_USER,		/* the application's, by name */
	HS_SECTION_HOOKS,
	HS_SECTION_TYPES
};

/* Behind it @len bytes, and their sum in eight more. */
struct hs_section_head {
	uint32_t type;			/* enum hs_section_type */
	uint32_t reserved;
	uint64_t len;
	char name[HS_SECTION_NAME];	/* or empty */
	uint64_t sum;			/* of what is before */
};

struct hs_piece {
	uint64_t addr;
	uint64_t len;
};

struct hs_end {
	uint64_t sections;		/* without this one */
	uint64_t sum;			/* of all sums in their order */
};

/*
 * Writing. The first error stays: it is enough to look at what hs_image_finish() says.
 * Between creating and freeing no memory is taken.
 */

struct hs_writer {
	int fd;
	int err;			/* errno, or 0 */
	uint64_t sections;
	uint64_t bytes;
	uint64_t left;			/* of the section */
	XXH3_state_t *part;		/* of the section */
	XXH3_state_t *sums;
};

int hs_writer_create(struct hs_writer *w);
void hs_writer_free(struct hs_writer *w);
void hs_image_begin(struct hs_writer *w, int fd, const struct hs_image_head *head);
void hs_section_begin(struct hs_writer *w, enum hs_section_type type, const char *name,
		      uint64_t len);
void hs_section_put(struct hs_writer *w, const void *buf, size_t len);
void hs_section(struct hs_writer *w, enum hs_section_type type, const char *name,
		const void *buf, size_t len);
/*
 * A section with the memory at @addr, of which @len bytes follow. It is named after the address, as
 * hs_memory_name() writes it: so a reader that passes over the content may trust the address.
 */
void hs_memory_begin(struct hs_writer *w, uint64_t addr, uint64_t len);
void hs_memory_name(char name[HS_SECTION_NAME], uint64_t addr);
int hs_image_finish(struct hs_writer *w);

/*
 * Reading, in one pass. What hs_reader_get() gave is to be trusted when hs_reader_next()
 * has returned after it. Who only looks may go on after damage: hs_reader_head() and
 * hs_reader_next() may be followed by another hs_reader_next() unless @lost.
 */

struct hs_reader {
	int fd;
	bool done;
	bool lost;			/* it isn't known where the next section begins */
	bool damaged;			/* something had another sum than it should */
	bool inside;			/* of a section */
	uint64_t offset;		/* bytes that were read */
	uint64_t at;			/* where the section began */
	struct hs_image_head head;
	struct hs_section_head section;	/* the one that we are in */
	uint64_t sections;
	uint64_t left;
	XXH3_state_t *part;
	XXH3_state_t *sums;
	char error[192];		/* what is wrong, and with which section */
};

/* Both of these at once, and closed again if it fails; or one after the other. */
int hs_reader_open(struct hs_reader *r, int fd);
int hs_reader_create(struct hs_reader *r, int fd);
int hs_reader_head(struct hs_reader *r);
int hs_reader_next(struct hs_reader *r);
int hs_reader_get(struct hs_reader *r, void *buf, size_t len);
/* Passes over what is left of the section, of a file: @sum is what its content must have. */
int hs_reader_skip(struct hs_reader *r, uint64_t *sum);
void hs_reader_close(struct hs_reader *r);
const char *hs_section_text(uint32_t type);
/* JSON, of which each checkpoint has one. */
bool hs_section_is_text(uint32_t type);

/*
 * A file: under another name until it is whole and on the disk.
 */

struct hs_file {
	int fd;
	int directory;
	char *path;
	char *temporary;
};

char *hs_file_absolute(const char *path);
int hs_file_create(struct hs_file *f, const char *path);
int hs_file_rename(struct hs_file *f);
void hs_file_done(struct hs_file *f);
int hs_file_publish(struct hs_file *f);
/* What killed processes have left of @path and its increments, and nothing else. */
void hs_files_clean(const char *path);
extern unsigned long hs_heads_read;

/* An increment beside a whole checkpoint: its number, and the run it is of, zeros if none. */
typedef void (*hs_increment_fn)(void *arg, int dir, const char *name, uint64_t number,
				const uint8_t run[16]);
void hs_increments(const char *path, hs_increment_fn fn, void *arg);
void hs_file_drop(struct hs_file *f);

#endif /* HS_FORMAT_H */
