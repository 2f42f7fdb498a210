// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The soft engine: staging and commit. What is staged is in a file of its own. A commit of
 * everything puts that in the place of the content; a commit of a delta copies it there,
 * once there is memory for all of it. The daemon has one thread: who reads by a call sees
 * one generation or the other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "boottime.h"
#include "bounds.h"
#include "log.h"
#include "soft_parts.h"
#include "uuid.h"

static void blob_free(struct soft_blob *b)
{
	free(b->v);
	memset(b, 0, sizeof(*b));
}

void soft_stage_drop(struct soft_replica *r)
{
	struct soft_stage *st = &r->stage;

	soft_pages_free(&st->data);
	soft_set_free(&st->holes);
	soft_layout_free(&st->layout);
	blob_free(&st->meta);
	st->owner = -1;
	st->failed = 0;
	st->back = false;
	r->rec.staging = 0;
}

static int begin_check(const struct soft_replica *r, const struct cptdev_replica_begin *b)
{
	bool other = r->rec.generation && !uuid_same(r->rec.uuid, b->uuid);

	if (b->base >= b->generation || !generation_valid(b->generation) || !b->term ||
	    b->term > CPTDEV_TERM_MAX)
		return -EINVAL;
	if (b->term < r->rec.term)
		return -ESTALE;
	if (term_jumps(r->rec.term, b->term))
		return -ERANGE;
	/* Another session may take over with a higher term, or when told to. */
	if (other && b->term == r->rec.term && !(b->flags & CPTDEV_BEGIN_REPLACE))
		return -EEXIST;
	/* What was promoted is in use: only who came after it may write. */
	if (r->promoted && b->term == r->rec.term)
		return -ESTALE;
	if (b->base && (other || b->base > r->rec.generation))
		return -EILSEQ;
	return !other && b->generation <= r->rec.generation ? -ESTALE : 0;
}

static int blob_read(struct soft_blob *b, u64 from, u32 len)
{
	int ret;

	if (len > CPTDEV_META_MAX)
		return -EMSGSIZE;
	b->v = malloc(len + 1);
	if (!b->v)
		return -ENOMEM;
	b->len = len;
	ret = soft_user_read(b->v, from, len);
	if (ret)
		blob_free(b);
	return ret;
}

/*
 * The delta goes on with another generation, layout and meta-data. Everything is sent, so no hole
 * is noted.
 */
static int begin_continue(struct soft_replica *r, int fd, const struct cptdev_replica_begin *b,
			  struct soft_layout *layout, struct soft_blob *meta)
{
	struct soft_stage *st = &r->stage;

	if (st->owner != fd || st->base || b->base || b->term != st->term ||
	    !uuid_same(b->uuid, st->uuid))
		return -EINVAL;
	if (st->failed)
		return st->failed;
	soft_pages_trim(&st->data, layout);
	soft_layout_free(&st->layout);
	blob_free(&st->meta);
	st->layout = *layout;
	st->meta = *meta;
	r->rec.staging = b->generation;
	return 0;
}

static void begin_anew(struct soft_replica *r, int fd, const struct cptdev_replica_begin *b,
		       const struct soft_layout *layout, const struct soft_blob *meta)
{
	soft_stage_drop(r);
	soft_since_trim(&r->since, r->rec.commits, &r->content.set);
	r->stage.owner = fd;
	r->stage.base = b->base;
	r->stage.term = b->term;
	r->stage.layout = *layout;
	r->stage.meta = *meta;
	memcpy(r->stage.uuid, b->uuid, CPTDEV_UUID_LEN);
	r->rec.staging = b->generation;
}

int soft_stage_begin(struct soft_replica *r, int fd, const struct cptdev_replica_begin *b)
{
	struct soft_layout layout;
	struct soft_blob meta = {};
	int ret;

	if (b->flags & ~(CPTDEV_BEGIN_REPLACE | CPTDEV_BEGIN_CONTINUE))
		return -EOPNOTSUPP;
	ret = soft_layout_read(&layout, b->layout, b->layout_len);
	if (!ret)
		ret = blob_read(&meta, b->meta, b->meta_len);
	if (!ret && !r->named)
		ret = -ENOENT;
	if (!ret && r->stage.owner >= 0 && r->stage.owner != fd)
		ret = -EBUSY;
	if (!ret)
		ret = begin_check(r, b);
	if (!ret && (b->flags & CPTDEV_BEGIN_CONTINUE))
		ret = begin_continue(r, fd, b, &layout, &meta);
	else if (!ret)
		begin_anew(r, fd, b, &layout, &meta);
	if (ret) {
		soft_layout_free(&layout);
		blob_free(&meta);
	}
	return ret;
}

/* How many more pages there is room for. *@all: the limit of all replicas is the reason. */
static u64 room(const struct soft *s, const struct soft_replica *r, bool *all)
{
	u64 own = (r->content.set.pages + r->stage.data.set.pages + r->history.pages) * SOFT_PAGE;
	u64 sum = soft_replica_bytes(s), limit = soft_replica_limit(s, r);
	u64 own_room = own < limit ? (limit - own) / SOFT_PAGE : 0;
	u64 all_room = sum < s->replica_max ? (s->replica_max - sum) / SOFT_PAGE : 0;

	*all = all_room < own_room;
	return MIN(own_room, all_room);
}

/* The same when past generations have given way for @wanted pages. */
static u64 make_room(struct soft *s, struct soft_replica *r, u64 wanted)
{
	bool all;
	u64 left = room(s, r, &all);

	while (left < wanted && ((all && soft_keep_give_way(s, r)) || soft_past_give_way(s, r, all)))
		left = room(s, r, &all);
	return left;
}

bool soft_stage_fits(struct soft *s, struct soft_replica *r, u64 pages)
{
	return make_room(s, r, pages) >= pages;
}

/* Without these pages the delta isn't what the primary sent. */
static int stage_fail(struct soft_replica *r, int err)
{
	r->stage.failed = err;
	return err;
}

/* Stage whole pages, which the layout has; *@done: so many are there. */
static int stage_pages(struct soft *s, struct soft_replica *r, u64 page, const void *data,
		       u64 nr, u64 *done)
{
	u64 left, n = nr;
	int ret;

	*done = 0;
	left = make_room(s, r, n - soft_set_count(&r->stage.data.set, page, page + n));
	/* As many as there is room for: those that were staged before take none. */
	while (n && n - soft_set_count(&r->stage.data.set, page, page + n) > left)
		n--;
	if (n) {
		ret = soft_pages_write(&r->stage.data, page, data, n, done);
		soft_set_del(&r->stage.holes, page, page + *done);
		if (ret)
			return ret == -EFAULT ? ret : stage_fail(r, ret);
	}
	return n < nr ? stage_fail(r, -EDQUOT) : 0;
}

/* Pages that become holes: those with content need a note, the others nothing. */
static int stage_holes(struct soft_replica *r, u64 start, u64 end)
{
	u64 pos = start, from, to;
	int ret = 0;

	soft_pages_del(&r->stage.data, start, end);
	if (!r->stage.base)
		return 0;
	while (!ret && pos < end && soft_set_run(&r->content.set, pos, &from, &to) &&
	       from < end) {
		ret = soft_set_add(&r->stage.holes, from, MIN(to, end));
		pos = to;
	}
	return ret ? stage_fail(r, ret) : 0;
}

static int stage_extent(struct soft *s, struct soft_replica *r, const struct cptdev_extent *e,
			u64 *data, u64 *left)
{
	u64 page = e->addr / SOFT_PAGE, nr = e->len / SOFT_PAGE, done;
	int ret;

	if (e->addr % SOFT_PAGE || e->len % SOFT_PAGE || !e->len || e->reserved)
		return -EINVAL;
	if (e->kind != CPTDEV_EXTENT_DATA && e->kind != CPTDEV_EXTENT_HOLE)
		return -EINVAL;
	if (!soft_layout_covers(&r->stage.layout, e->addr, e->len))
		return -EFAULT;
	if (e->kind == CPTDEV_EXTENT_HOLE)
		return stage_holes(r, page, page + nr);
	if (*left < e->len)
		return -EINVAL;
	ret = stage_pages(s, r, page, (const void *)(unsigned long)*data, nr, &done);
	*data += e->len;
	*left -= e->len;
	return ret;
}

int soft_stage(struct soft *s, struct soft_replica *r, const struct cptdev_replica_stage *arg)
{
	u64 data = arg->data, left = arg->data_len;
	struct cptdev_extent e;
	int ret = 0;
	u32 i;

	if (arg->flags)
		return -EOPNOTSUPP;
	if (arg->reserved)
		return -EINVAL;
	for (i = 0; !ret && i < arg->vec_len; i++) {
		ret = soft_user_read(&e, arg->vec + i * sizeof(e), sizeof(e));
		if (!ret)
			ret = stage_extent(s, r, &e, &data, &left);
	}
	return ret ? ret : left ? -EINVAL : 0;
}

/* What a page has on which a part is written: what is staged, or else the content. */
static int stage_old(const struct soft_replica *r, u64 page, u8 *to)
{
	const struct soft_stage *st = &r->stage;
	bool empty = !st->base || soft_set_has(&st->holes, page);

	if (soft_set_has(&st->data.set, page))
		return soft_pages_read(&st->data, page, to);
	memset(to, 0, SOFT_PAGE);
	return empty ? 0 : soft_pages_read(&r->content, page, to);
}

/* Stage @len bytes at @pos, all in one page. */
static int stage_part(struct soft *s, struct soft_replica *r, u64 pos, u64 from, size_t len)
{
	u8 page[SOFT_PAGE];
	u64 done;
	int ret;

	if (!soft_layout_find(&r->stage.layout, pos))
		return -EFAULT;
	ret = stage_old(r, pos / SOFT_PAGE, page);
	if (ret)
		return stage_fail(r, ret);
	ret = soft_user_read(page + pos % SOFT_PAGE, from, len);
	return ret ? ret : stage_pages(s, r, pos / SOFT_PAGE, page, 1, &done);
}

static int stage_owner(const struct soft_replica *r, int fd)
{
	if (!r->named)
		return -ENOENT;
	return r->stage.owner == fd ? 0 : -EINVAL;
}

ssize_t soft_replica_pwrite(struct soft *s, int fd, const void *buf, size_t len, u64 pos)
{
	struct soft_replica *r = soft_file(s, fd)->replica;
	int ret = stage_owner(r, fd);
	size_t done = 0;

	while (!ret && done < len) {
		size_t n = MIN(len - done, SOFT_PAGE - (pos + done) % SOFT_PAGE);

		ret = stage_part(s, r, pos + done, (unsigned long)buf + done, n);
		done += ret ? 0 : n;
	}
	return done ? (ssize_t)done : ret;
}

/*
 * A page that can't be written although there is memory for it: what was there is gone in
 * part, so that nobody may go on from it. The spare has nothing, and asks for everything.
 */
static void content_lost(struct soft_replica *r)
{
	log_err("replica '%s': a page could not be written; the whole replica is given up",
		r->rec.name);
	soft_pages_free(&r->content);
	soft_layout_free(&r->layout);
	blob_free(&r->meta);
	r->rec.generation = 0;
	soft_since_all(&r->since, r->rec.commits + 1);
	soft_past_clear(r);
}

static int commit_delta(struct soft_replica *r)
{
	struct soft_stage *st = &r->stage;
	struct soft_set old;
	int ret = soft_set_copy(&old, &r->content.set);

	if (ret)
		return ret;
	ret = soft_pages_apply(&r->content, &st->data, &st->holes, &st->layout);
	if (!ret)
		soft_since_commit(&r->since, r->rec.commits + 1, &st->data.set, &old,
				  &r->content.set);
	else if (ret == -EIO)
		content_lost(r);
	soft_set_free(&old);
	return ret;
}

static int commit_content(struct soft_replica *r)
{
	struct soft_stage *st = &r->stage;
	int ret = soft_since_stage(&r->since, &st->data.set);

	if (ret || st->base)
		return ret ? ret : commit_delta(r);
	soft_pages_free(&r->content);
	r->content = st->data;
	soft_pages_init(&st->data);
	soft_since_all(&r->since, r->rec.commits + 1);
	return 0;
}

/* What is staged becomes the content. */
static int stage_apply(struct soft *s, struct soft_replica *r)
{
	struct soft_stage *st = &r->stage;
	struct soft_past *past;
	int ret = r->frozen ? -EBUSY : st->failed;

	if (ret)
		return ret;
	past = soft_past_begin(r);
	ret = commit_content(r);
	if (ret) {
		soft_past_cancel(r, past);
		return ret;
	}
	soft_past_add(r, past);
	soft_layout_free(&r->layout);
	r->layout = st->layout;
	memset(&st->layout, 0, sizeof(st->layout));
	blob_free(&r->meta);
	r->meta = st->meta;
	memset(&st->meta, 0, sizeof(st->meta));
	memcpy(r->rec.uuid, st->uuid, CPTDEV_UUID_LEN);
	r->rec.generation = r->rec.staging;
	r->rec.term = st->term;
	r->promoted = false;
	r->promoted_ns = r->taken_ns = 0;
	r->history.committed_ns = clock_wall();
	r->rec.commits++;
	soft_stage_drop(r);
	soft_past_trim(s, r);
	return 0;
}

int soft_stage_commit(struct soft *s, struct soft_replica *r,
		      struct cptdev_replica_commit *arg)
{
	int ret;

	if (arg->flags)
		return -EOPNOTSUPP;
	if (arg->generation != r->rec.staging)
		return -EINVAL;
	ret = stage_apply(s, r);
	arg->pages = r->content.set.pages;
	r->kept &= ret != 0;
	if (!ret)
		soft_replica_tell(s, r, CPTDEV_CMD_REPLICA_COMMITTED_NTF);
	return ret;
}

int soft_stage_back(struct soft *s, struct soft_replica *r)
{
	int ret = stage_apply(s, r);

	if (ret)
		soft_stage_drop(r);
	return ret;
}

int soft_stage_abort(struct soft_replica *r, struct cptdev_replica_commit *arg)
{
	if (arg->flags)
		return -EOPNOTSUPP;
	if (arg->generation)
		return -EINVAL;
	soft_stage_drop(r);
	arg->pages = r->content.set.pages;
	return 0;
}
