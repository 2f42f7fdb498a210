/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The soft engine: past generations of a replica (CPTDEV_IOC_REPLICA_HISTORY). Of each there are the
 * pages that the next commit replaced, all in one file, and the numbers of those that it brought where there
 * was nothing. So a page of a past generation is what the first commit after it says that touched the
 * page, or else what the content has.
 */
#ifndef CPTDEV_SOFT_PAST_H
#define CPTDEV_SOFT_PAST_H

struct soft;
struct soft_file;
struct soft_pages;
struct soft_replica;
struct soft_set;

struct soft_past;
TAILQ_HEAD(soft_pasts, soft_past);

/* What a replica has of its history. */
struct soft_history {
	int fd;				/* the pages that generations keep, packed; -1: none yet */
	u64 end;			/* the first page behind them */
	struct soft_pasts past;		/* the newest first */
	u32 nr;
	u32 keep;			/* how many of them */
	u64 pages;			/* that they have */
	u64 max_bytes;			/* most of these, 0: no limit */
	u64 committed_ns;		/* CLOCK_REALTIME: the present generation */
	u32 shown;			/* descriptors that show a generation */
};

void soft_past_init(struct soft_history *h);
void soft_past_exit(struct soft_replica *r);
void soft_past_clear(struct soft_replica *r);

/* Before a delta is committed: keep what it replaces; NULL: nothing is kept, and the history ends. */
struct soft_past *soft_past_begin(struct soft_replica *r);
void soft_past_cancel(struct soft_replica *r, struct soft_past *p);
/* The delta is the content. The fields of the generation are still those of the past one. */
void soft_past_add(struct soft_replica *r, struct soft_past *p);
void soft_past_trim(struct soft *s, struct soft_replica *r);
/*
 * There is no room for what is staged in @r: forget the oldest generation, of another replica only
 * with @all. False: there is none.
 */
bool soft_past_give_way(struct soft *s, struct soft_replica *r, bool all);

int soft_past_history(struct soft *s, struct soft_file *f, struct cptdev_replica_history *arg);
int soft_past_at(struct soft *s, struct soft_file *f, const struct cptdev_replica_at *arg);
/* The descriptor is closed. */
void soft_past_close(struct soft *s, struct soft_file *f);

/* Is what the descriptor shows there? 0, or -ESTALE. */
int soft_past_check(const struct soft_file *f);
/* Of what a descriptor shows that shows a past generation, and that was checked. */
int soft_past_set(const struct soft_file *f, struct soft_set *set);
int soft_past_read(const struct soft_file *f, u64 page, void *data);
/* Stage the way back, where nothing is staged. 0 or -errno. */
int soft_past_back(struct soft_file *f, int fd);

#endif
