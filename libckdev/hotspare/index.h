/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: where in a whole checkpoint and its increments each page's content is. The files are
 * walked once, from section head to section head, without their memory; so it costs little, and
 * only the newest content of a page is ever read. What is read is compared with its checksum then.
 */
#ifndef HS_INDEX_H
#define HS_INDEX_H

#include "error.h"
#include "format.h"

/*
 * Each takes a safeguard away: tests/mutants.sh shows that it is missed.
 */
#define HS_LAZY_ZEROS		(1 << 0)	/* missing pages are zeros */
#define HS_LAZY_OLD		(1 << 1)	/* an older increment's page replaces a newer one's */
#define HS_LAZY_NO_REMOVE	(1 << 2)	/* memory that was given back gets its old content */
#define HS_LAZY_NO_SUM		(1 << 3)	/* checksums aren't compared */
#define HS_LAZY_NO_WAIT		(1 << 4)	/* checkpoints and fork(2) don't wait */
#define HS_LAZY_GO_ON		(1 << 5)	/* the program doesn't end when a file can't be read */
#define HS_LAZY_NO_ORDER	(1 << 6)	/* the touch set is ignored */
#ifdef HS_MUTANTS
extern unsigned int hs_lazy_mutant;
#define lazy_mutant(x)		(hs_lazy_mutant & (x))
#else
#define lazy_mutant(x)		0
#endif

/* A section with memory, or a hole. */
struct hs_record {
	uint64_t addr, len;
	uint64_t at;			/* in the file: of its struct hs_piece; 0: a hole */
	uint64_t sum;			/* that the section must have */
	uint32_t file;
};

/* The content of the pages from @start up to @end is in the record of that number. */
struct hs_extent {
	uint64_t start, end;
	uint32_t record;
};

struct hs_index_file {
	int fd;
	char *path;			/* for messages */
	size_t first;			/* of its records */
};

struct hs_index {
	size_t nr_files, nr_records, nr_extents;
	struct hs_index_file *files;	/* in the order of their generations */
	struct hs_record *records;	/* in the order of the files, holes behind memory */
	struct hs_extent *extents;	/* by address; none overlaps another */
	char *buf;			/* for one section */
	size_t buf_len;
	uint32_t loaded;		/* which one is in it */
	/* Where the content isn't in a file: what is at @addr; and when nothing more is needed. 0, or -1. */
	int (*load)(int fd, char *to, uint64_t addr, size_t len, struct hs_error *e);
	int (*done)(int fd, struct hs_error *e);
};

/* NULL: no memory. */
struct hs_index *hs_index_create(void);
void hs_index_free(struct hs_index *ix);
/*
 * A file that was read as far as its end. @whole: it replaces what there was. Takes over @records
 * (from malloc(3)) and a descriptor of its own. Returns 0, or -1 with errno: nothing has changed.
 */
int hs_index_add(struct hs_index *ix, int fd, const char *path, bool whole,
		 struct hs_record *records, size_t nr);
/* When all files were added. Returns 0, or -1 with errno and @e: EFBIG: a section is too long. */
int hs_index_build(struct hs_index *ix, struct hs_error *e);

/* Takes no memory from here on. The extent with @addr, or the first one behind it, or NULL. */
const struct hs_extent *hs_index_from(const struct hs_index *ix, uint64_t addr);
/* NULL: the page at @addr has no content: it is zero. */
static inline const struct hs_extent *hs_index_at(const struct hs_index *ix, uint64_t addr)
{
	const struct hs_extent *x = hs_index_from(ix, addr);

	return x && x->start <= addr ? x : NULL;
}
/* Nothing more is needed: 0, or -1 with errno and @e, and then it mustn't be used. */
int hs_index_done(struct hs_index *ix, struct hs_error *e);
/* The memory of a record, up to the next call; or NULL with errno and @e. */
const char *hs_index_load(struct hs_index *ix, uint32_t record, struct hs_error *e);
/* What there is of [@addr, @addr + @len) to @to, the rest of which stays as it is. */
int hs_index_read(struct hs_index *ix, char *to, uint64_t addr, size_t len, struct hs_error *e);

#endif /* HS_INDEX_H */
