/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The soft engine: what changed in a replica since a commit, as module/spare/since.c has it: a
 * number for each page, the number of the commit that brought it; and a record for each group of
 * 64 pages, so that a list of changes costs a look at each record.
 */
#ifndef CPTDEV_SOFT_SINCE_H
#define CPTDEV_SOFT_SINCE_H

#include <linux/cptdev.h>

#include "soft_set.h"

struct soft_group {
	u64 index;		/* of its first page, by 64 */
	u64 newest;		/* commit that changed it last */
	u64 number[64];		/* of each page that has data */
};

struct soft_since {
	struct soft_group **v;	/* ascending */
	u64 nr;
	u64 room;
	u64 max;		/* so many, then those that aren't needed are dropped */
	u64 min;		/* commits before it are forgotten */
};

/* The pages are staged: so that the rest can't fail. 0 or -ENOMEM. */
int soft_since_stage(struct soft_since *s, const struct soft_set *staged);
/* The commit @number replaced all content. */
void soft_since_all(struct soft_since *s, u64 number);
/* The commit @number brought @staged, and made @now of @old. */
void soft_since_commit(struct soft_since *s, u64 number, const struct soft_set *staged,
		       const struct soft_set *old, const struct soft_set *now);
/* Drop what is too much. @commits: that there were; @content: pages with data. */
void soft_since_trim(struct soft_since *s, u64 commits, const struct soft_set *content);
/* IMAGE_EXTENTS with @since. */
int soft_since_extents(const struct soft_since *s, u64 commits, const struct soft_set *content,
		       struct cptdev_image_vec *arg);
/* Pages with data that changed after @since; all of them, if that isn't known, or @since is 0. */
u64 soft_since_pages(const struct soft_since *s, const struct soft_set *content, u64 since);
void soft_since_free(struct soft_since *s);

#endif
