/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is in a checkpoint of libhotspare. It is read in one place and shown in others.
 * Whatever comes from the file may be damaged or made up.
 */
#ifndef CPTDEVCTL_INSPECT_H
#define CPTDEVCTL_INSPECT_H

#include <stdio.h>

#include "ctl.h"
#include "hotspare/format.h"

enum inspect_sum {
	SUM_UNKNOWN,			/* the section is cut off */
	SUM_OK,
	SUM_DAMAGED,
};

struct inspect_section {
	u32 type;			/* enum hs_section_type */
	char name[HS_SECTION_NAME];
	u64 at;				/* of its head, in the file */
	u64 len;			/* of its content */
	enum inspect_sum sum;
	/* memory and holes: */
	bool has_piece;
	struct hs_piece piece;		/* the first one */
	u64 covered;			/* bytes, of all */
};

struct inspect_problem {
	u64 section;			/* 0: the head, or none */
	u64 at;				/* in the file */
	char text[256];
};

struct inspect_file {
	const char *path;
	bool has_head;			/* it can be shown, */
	bool head_good;			/* and believed */
	struct hs_image_head head;
	u64 size;
	struct inspect_section *sections;
	size_t nr_sections;
	struct json_object *text[HS_SECTION_TYPES];	/* what is right and could be read */
	bool seen[HS_SECTION_TYPES];
	struct json_object *touched;	/* NULL: there is no touch set */
	struct inspect_problem *problems;
	size_t nr_problems;
};

/* Never fails: what doesn't work is a problem of the file. */
void inspect_read(struct inspect_file *f, const char *path);
void inspect_free(struct inspect_file *f);
void inspect_problem(struct inspect_file *f, u64 section, u64 at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Several files. */
struct inspect_chain {
	u64 generation;			/* the last that fits, 0: there is none */
	struct json_object *problems;	/* a list: path text */
};

/* Sorts @f by generation. */
void inspect_chain(struct inspect_chain *c, struct inspect_file *f, size_t nr);

/* What a terminal might take for a command is \xNN; @text has @size bytes. */
const char *inspect_clean(const char *from, char *text, size_t size);
void inspect_text(const struct inspect_file *f, FILE *to);
struct json_object *inspect_json(const struct inspect_file *f);

#endif
