// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A spare that has nothing of a large session gets everything in rounds (CPTDEV_IOC_ROUND): parts
 * of the memory, while the program runs. A snapshot of everything would stop the program for
 * longer, and hold all of its memory until it is sent.
 *
 *   pass 1	all pages. Meanwhile the program goes on writing.
 *   pass 2...	what has changed since the pass before, but not what has changed only just now: such
 *		pages are sent once, at the end. There is another pass as long as each is much
 *		shorter than the one before.
 *   last	what was published since: the program's own snapshots. The first one that is newer than
 *		all rounds completes them, and is committed.
 *
 * For the peer all of this is one delta, in parts. Until the commit it has what it had before.
 */
#include <errno.h>

#include "daemon.h"
#include "log.h"
#include "sums.h"

/* The longest that a round stops the program. */
#define PAUSE_NS	(5 * NSEC_PER_MSEC)
#define AGAIN_NS	(20 * NSEC_PER_MSEC)
/* So often in a row the program's memory may be busy: it maps, or forks. The daemon waits for nobody. */
#define BUSY_MAX	100U
#define PASSES_MAX	8U
/* A pass with fewer pages isn't worth another one. */
#define WORTH_PAGES	256U

static void rounds_again(struct timer *t)
{
	struct ship *s = container_of(t, struct ship, rounds.again);

	ship_event(s, SHIP_SNAPSHOT);
}

void rounds_init(struct ship *s)
{
	s->rounds.again.fn = rounds_again;
}

static u64 round_bytes(const struct ship *s)
{
	return (u64)s->out->d->conf.round_mib << 20;
}

/* Is it large, and does everybody know of rounds? */
static bool rounds_wanted(const struct ship *s)
{
	const struct known *k = s->session;

	/* The first snapshot of a program has everything anyway, unless there is no room for it. */
	return s->rounds.step == ROUNDS_NONE && !s->since && !s->copying && !s->in_flight &&
		(k->rec.published || k->limited) &&
		round_bytes(s) && k->rec.bytes > round_bytes(s) &&
		s->out->features & WIRE_FEATURE_ROUNDS;
}

static void pass_begin(struct rounds *r, u64 base)
{
	r->step = ROUNDS_PASS;
	r->base = base;
	r->before = r->pages;
	r->pass = r->addr = r->pages = 0;
}

/* Is another pass worth it? What has changed becomes less, as a rule. */
static bool pass_again(const struct rounds *r)
{
	if (r->passes == 1)
		return true;
	return r->passes < PASSES_MAX && r->pages > WORTH_PAGES && r->pages <= r->before / 2;
}

static void pass_end(struct ship *s)
{
	struct rounds *r = &s->rounds;

	if (!r->over)
		r->over_base = r->base;
	r->over = r->pass;
	r->passes++;
	log_debug("session %s: pass %u of rounds had %llu pages", s->session->rec.name, r->passes,
		  r->pages);
	if (pass_again(r)) {
		pass_begin(r, r->pass);
		return;
	}
	r->step = ROUNDS_LAST;
	s->since = r->pass;
}

static int round_next(struct ship *s, struct cptdev_round *arg)
{
	struct daemon *d = s->out->d;
	struct rounds *r = &s->rounds;
	int fd;

	*arg = (struct cptdev_round) {
		.flags = r->base ? CPTDEV_ROUND_COOL : 0, .session_id = s->session->rec.id,
		.base = r->base, .pass = r->pass, .addr = r->addr,
		.pages = MAX(round_bytes(s) / d->self.page_size, CPTDEV_ROUND_MIN),
		.pause_ns = PAUSE_NS,
	};
	fd = kernel_round(d->kernel, s->dev, arg);
	if (fd < 0)
		return fd;
	r->busy = 0;
	r->pass = arg->pass;
	r->addr = arg->addr;
	r->pages += arg->pages;
	if (!arg->addr)
		pass_end(s);
	return fd;
}

int rounds_fetch(struct ship *s)
{
	struct rounds *r = &s->rounds;
	struct cptdev_round arg;
	int fd;

	r->round = false;
	if (rounds_wanted(s))
		pass_begin(r, 0);
	while (r->step == ROUNDS_PASS) {
		fd = round_next(s, &arg);
		if (fd == -EAGAIN && ++r->busy <= BUSY_MAX) {
			loop_arm(&s->out->d->loop, &r->again, AGAIN_NS);
			return -EAGAIN;
		}
		if (fd < 0 && r->open)
			return fd == -EAGAIN ? -EBUSY : fd;
		/* There is something better than rounds, or the kernel doesn't know them. */
		if (fd < 0) {
			r->step = ROUNDS_OFF;
			break;
		}
		r->round = arg.pages || !r->open;
		if (r->round)
			return fd;
		s->out->d->kernel->ops->close(s->out->d->kernel, fd);
	}
	return -ENODATA;
}

static bool others_follow(const struct ship *s)
{
	const struct ship *other;

	TAILQ_FOREACH(other, &s->session->ships, of_session)
		if (other != s && ship_follows(other))
			return true;
	return false;
}

int rounds_last(struct ship *s)
{
	struct kernel *k = s->out->d->kernel;
	u64 id = s->session->rec.id;

	if (others_follow(s))
		return kernel_delta(k, s->dev, id, s->since, CPTDEV_DELTA_OTHERS);
	return kernel_delta(k, s->dev, id, s->since, CPTDEV_DELTA_AFRESH);
}

/*
 * A pass was sent, and with it all changes up to its generation, but for pages that are sent once
 * more at the end.
 */
static void checksums(struct rounds *r, struct sums *sums)
{
	if (r->over && sums)
		sums_sent(sums, r->over_base, r->over);
	r->over = 0;
}

void rounds_part(struct ship *s)
{
	struct rounds *r = &s->rounds;
	struct delta *delta = s->delta;

	if (r->round)
		r->last = MAX(r->last, delta->info.generation);
	else
		checksums(r, delta->sums);
	delta->part = r->round || delta->info.generation <= r->last;
	delta->continues = r->open;
	/* For the peer it is a delta of everything. */
	delta->info.base = 0;
}

void rounds_sent(struct ship *s)
{
	const struct delta *delta = s->delta;
	struct rounds *r = &s->rounds;

	r->open = delta->part;
	if (!r->open)
		rounds_drop(s, false);
	else if (r->round)
		checksums(r, delta->sums);
	else if (delta->sums)
		sums_sent(delta->sums, delta->reach, delta->info.generation);
}

void rounds_drop(struct ship *s, bool tell)
{
	struct rounds *r = &s->rounds;
	enum rounds_step step = r->step == ROUNDS_OFF ? ROUNDS_OFF : ROUNDS_NONE;

	loop_disarm(&r->again);
	/* A delta that is under way is given up by itself. */
	if (tell && r->open && s->out->conn && !(s->delta && delta_unfinished(s->delta)))
		conn_send(s->out->conn, WIRE_ABORT, s->channel, NULL);
	*r = (struct rounds) { .again.fn = rounds_again, .step = step };
}

void rounds_failed(struct ship *s)
{
	if (s->rounds.open || s->rounds.round)
		s->rounds.step = ROUNDS_OFF;
}
