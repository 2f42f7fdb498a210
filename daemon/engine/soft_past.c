// SPDX-License-Identifier: GPL-2.0-or-later
/* The soft engine: past generations of a replica, see soft_past.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "soft_parts.h"

struct soft_past {
	TAILQ_ENTRY(soft_past) entry;
	struct soft_state_of state;
	struct soft_set old;		/* pages that the next commit replaced */
	u64 at;				/* the first of them in the file */
	struct soft_set born;		/* that it brought where there was nothing */
};

static void state_free(struct soft_state_of *s)
{
	soft_layout_free(&s->layout);
	free(s->meta.v);
	memset(s, 0, sizeof(*s));
}

static int state_copy(struct soft_state_of *to, const struct soft_state_of *from)
{
	*to = *from;
	to->layout.v = malloc((from->layout.nr + 1) * sizeof(*to->layout.v));
	to->meta.v = malloc(from->meta.len + 1);
	if (!to->layout.v || !to->meta.v) {
		state_free(to);
		return -ENOMEM;
	}
	memcpy(to->layout.v, from->layout.v, from->layout.nr * sizeof(*to->layout.v));
	if (from->meta.len)
		memcpy(to->meta.v, from->meta.v, from->meta.len);
	return 0;
}

/* The state of the present generation: lists are the replica's. */
static struct soft_state_of present(const struct soft_replica *r)
{
	return (struct soft_state_of) {
		.number = r->rec.commits,
		.generation = r->rec.generation,
		.term = r->rec.term,
		.committed_ns = r->history.committed_ns,
		.pages = r->content.set.pages,
		.layout = r->layout,
		.meta = r->meta,
	};
}

void soft_past_init(struct soft_history *h)
{
	TAILQ_INIT(&h->past);
	h->fd = -1;
}

void soft_past_exit(struct soft_replica *r)
{
	soft_past_clear(r);
	if (r->history.fd >= 0)
		soft_close_pages(r->history.fd);
	r->history.fd = -1;
}

static void past_free(struct soft_past *p)
{
	if (!p)
		return;
	state_free(&p->state);
	soft_set_free(&p->old);
	soft_set_free(&p->born);
	free(p);
}

/*
 * A commit.
 */

/* Add the pages of @of to @result that are in @other, or with !@in those that aren't. */
static int select_pages(struct soft_set *result, const struct soft_set *of,
			const struct soft_set *other, bool in)
{
	u64 i, bit, bits;
	int ret = 0;

	for (i = 0; !ret && i < of->nr; i++) {
		bits = soft_set_bits(other, of->v[i].index);
		bits = of->v[i].bits & (in ? bits : ~bits);
		for (; !ret && bits; bits &= bits - 1) {
			bit = of->v[i].index * 64 + __builtin_ctzll(bits);
			ret = soft_set_add(result, bit, bit + 1);
		}
	}
	return ret;
}

/* The pages behind all others. */
static int past_store(struct soft_past *p, struct soft_replica *r)
{
	struct soft_history *h = &r->history;
	int ret;

	if (h->fd < 0)
		h->fd = soft_packed_file();
	if (h->fd < 0)
		return h->fd;
	p->at = h->end;
	ret = soft_pages_pack(&r->content, &p->old, h->fd, p->at);
	if (ret)
		soft_packed_drop(h->fd, p->at, p->old.pages);
	return ret;
}

/* The pages that the delta replaces: those that it has, and those that are gone after it. */
static int past_fill(struct soft_past *p, struct soft_replica *r)
{
	const struct soft_set *content = &r->content.set;
	struct soft_set after;
	int ret;

	ret = soft_pages_after(&r->content, &r->stage.data, &r->stage.holes, &r->stage.layout,
			       &after);
	if (ret)
		return ret;
	ret = select_pages(&p->old, content, &r->stage.data.set, true);
	if (!ret)
		ret = select_pages(&p->old, content, &after, false);
	if (!ret)
		ret = select_pages(&p->born, &after, content, false);
	soft_set_free(&after);
	return ret ? ret : past_store(p, r);
}

struct soft_past *soft_past_begin(struct soft_replica *r)
{
	const struct soft_state_of state = present(r);
	struct soft_past *p;

	if ((!r->history.keep && !r->history.shown) || !r->stage.base || r->stage.back)
		return NULL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	if (!state_copy(&p->state, &state) && !past_fill(p, r))
		return p;
	past_free(p);
	return NULL;
}

void soft_past_cancel(struct soft_replica *r, struct soft_past *p)
{
	if (p)
		soft_packed_drop(r->history.fd, p->at, p->old.pages);
	past_free(p);
}

void soft_past_add(struct soft_replica *r, struct soft_past *p)
{
	if (!p) {
		soft_past_clear(r);
		return;
	}
	TAILQ_INSERT_HEAD(&r->history.past, p, entry);
	r->history.nr++;
	r->history.pages += p->old.pages;
	r->history.end += p->old.pages;
}

/*
 * Forgetting.
 */

static struct soft_past *oldest(const struct soft_replica *r)
{
	return TAILQ_LAST(&r->history.past, soft_pasts);
}

static bool past_drop(struct soft_replica *r)
{
	struct soft_past *p = oldest(r);

	if (!p)
		return false;
	TAILQ_REMOVE(&r->history.past, p, entry);
	r->history.nr--;
	r->history.pages -= p->old.pages;
	soft_packed_drop(r->history.fd, p->at, p->old.pages);
	past_free(p);
	return true;
}

void soft_past_clear(struct soft_replica *r)
{
	while (past_drop(r))
		;
}

/* The generation after this commit is there as a whole. */
static bool has(const struct soft_replica *r, u64 number)
{
	const struct soft_past *p = oldest(r);

	return number == r->rec.commits || (p && p->state.number <= number);
}

static bool is_shown(const struct soft *s, const struct soft_replica *r, const struct soft_past *p)
{
	u32 fd;

	for (fd = 0; fd < s->nr_files; fd++) {
		const struct soft_file *f = s->file[fd];

		if (f && f->replica == r && f->shows && f->state.number <= p->state.number &&
		    has(r, f->state.number))
			return true;
	}
	return false;
}

void soft_past_trim(struct soft *s, struct soft_replica *r)
{
	struct soft_history *h = &r->history;

	while (h->max_bytes && h->pages > MAX(h->max_bytes / SOFT_PAGE, 1ULL))
		past_drop(r);
	while (h->nr > h->keep && !is_shown(s, r, oldest(r)))
		past_drop(r);
}

bool soft_past_give_way(struct soft *s, struct soft_replica *r, bool all)
{
	struct soft_replica *other;

	if (past_drop(r))
		return true;
	if (!all)
		return false;
	LIST_FOREACH(other, &s->replicas, entry)
		if (past_drop(other))
			return true;
	return false;
}

/*
 * The calls.
 */

static int history_set(struct soft *s, struct soft_file *f,
		       const struct cptdev_replica_history *arg)
{
	if (!f->write)
		return -EBADF;
	if (arg->keep > CPTDEV_HISTORY_MAX)
		return -EINVAL;
	f->replica->history.keep = arg->keep;
	f->replica->history.max_bytes = arg->max_bytes;
	soft_past_trim(s, f->replica);
	return 0;
}

static int history_list(const struct soft_replica *r, struct cptdev_replica_history *arg)
{
	const struct soft_past *p;
	u32 n = 0;

	for (p = TAILQ_FIRST(&r->history.past); p; p = TAILQ_NEXT(p, entry)) {
		const struct cptdev_past e = {
			.generation = p->state.generation,
			.term = p->state.term,
			.committed_ns = p->state.committed_ns,
			.pages = p->old.pages,
		};

		if (n == arg->vec_len)
			break;
		if (soft_user_write(arg->vec + n++ * sizeof(e), &e, sizeof(e)))
			return -EFAULT;
	}
	arg->nr = r->history.nr;
	arg->keep = r->history.keep;
	arg->max_bytes = r->history.max_bytes;
	arg->bytes = r->history.pages * SOFT_PAGE;
	return 0;
}

int soft_past_history(struct soft *s, struct soft_file *f, struct cptdev_replica_history *arg)
{
	int ret = 0;

	if (arg->flags & ~CPTDEV_HISTORY_SET)
		return -EOPNOTSUPP;
	if (arg->reserved)
		return -EINVAL;
	if (arg->flags & CPTDEV_HISTORY_SET)
		ret = history_set(s, f, arg);
	else if (arg->keep || arg->max_bytes)
		ret = -EINVAL;
	return ret ? ret : history_list(f->replica, arg);
}

static int find(const struct soft_replica *r, u64 generation, struct soft_state_of *to)
{
	const struct soft_state_of now = present(r);
	const struct soft_past *p;

	if (generation == now.generation)
		return state_copy(to, &now);
	for (p = TAILQ_FIRST(&r->history.past); p; p = TAILQ_NEXT(p, entry))
		if (p->state.generation == generation)
			return state_copy(to, &p->state);
	return -ENODATA;
}

static void show_newest(struct soft *s, struct soft_file *f)
{
	if (!f->shows)
		return;
	f->shows = false;
	f->replica->history.shown--;
	state_free(&f->state);
	soft_past_trim(s, f->replica);
}

int soft_past_at(struct soft *s, struct soft_file *f, const struct cptdev_replica_at *arg)
{
	struct soft_state_of state;
	int ret;

	if (arg->flags)
		return -EOPNOTSUPP;
	if (!arg->generation) {
		show_newest(s, f);
		return 0;
	}
	ret = find(f->replica, arg->generation, &state);
	if (ret)
		return ret;
	/* What is shown next mustn't be forgotten in between. */
	state_free(&f->state);
	f->state = state;
	f->replica->history.shown += !f->shows;
	f->shows = true;
	soft_past_trim(s, f->replica);
	return 0;
}

void soft_past_close(struct soft *s, struct soft_file *f)
{
	show_newest(s, f);
}

/*
 * The generation that a descriptor shows.
 */

int soft_past_check(const struct soft_file *f)
{
	return !f->shows || has(f->replica, f->state.number) ? 0 : -ESTALE;
}

int soft_past_set(const struct soft_file *f, struct soft_set *set)
{
	const struct soft_past *p;
	int ret = soft_set_copy(set, &f->replica->content.set);

	for (p = TAILQ_FIRST(&f->replica->history.past); p; p = TAILQ_NEXT(p, entry)) {
		if (ret || p->state.number < f->state.number)
			break;
		soft_set_without(set, &p->born);
		ret = soft_set_with(set, &p->old);
	}
	if (ret)
		soft_set_free(set);
	return ret;
}

int soft_past_read(const struct soft_file *f, u64 page, void *data)
{
	const struct soft_past *p;

	/* The oldest commits first: the first that touched the page has it. */
	for (p = oldest(f->replica); p; p = TAILQ_PREV(p, soft_pasts, entry)) {
		if (p->state.number < f->state.number)
			continue;
		if (soft_set_has(&p->old, page))
			return soft_packed_read(f->replica->history.fd, p->at, &p->old, page,
						data);
		if (soft_set_has(&p->born, page)) {
			memset(data, 0, SOFT_PAGE);
			return 0;
		}
	}
	return soft_pages_read(&f->replica->content, page, data);
}

/*
 * The way back: a delta of what has changed since. The oldest commits come last, and count.
 */

static int back_pages(struct soft_file *f, struct soft_stage *st)
{
	const struct soft_past *p;
	int ret = 0;

	for (p = TAILQ_FIRST(&f->replica->history.past); p; p = TAILQ_NEXT(p, entry)) {
		if (ret || p->state.number < f->state.number)
			break;
		soft_set_without(&st->data.set, &p->born);
		soft_set_without(&st->holes, &p->old);
		ret = soft_set_with(&st->holes, &p->born);
		if (!ret)
			ret = soft_pages_unpack(&st->data, &p->old, f->replica->history.fd, p->at);
	}
	return ret;
}

int soft_past_back(struct soft_file *f, int fd)
{
	struct soft_replica *r = f->replica;
	struct soft_stage *st = &r->stage;
	struct soft_state_of state;
	int ret;

	if (!f->shows || f->state.number == r->rec.commits)
		return -EINVAL;
	ret = soft_past_check(f);
	if (!ret && r->frozen)
		ret = -EBUSY;
	if (!ret)
		ret = state_copy(&state, &f->state);
	if (ret)
		return ret;
	soft_stage_drop(r);
	st->owner = fd;
	st->base = state.generation;
	st->back = true;
	st->term = r->rec.term;
	st->layout = state.layout;
	st->meta = state.meta;
	memcpy(st->uuid, r->rec.uuid, CPTDEV_UUID_LEN);
	r->rec.staging = state.generation;
	ret = back_pages(f, st);
	if (ret)
		soft_stage_drop(r);
	return ret;
}
