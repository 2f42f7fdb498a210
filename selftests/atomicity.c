// SPDX-License-Identifier: GPL-2.0-only
/*
 * A snapshot is one instant, whichever thread wrote what. Threads write in an order that
 * anybody can check: counters that follow each other, on different pages, a value that is
 * handed from thread to thread, and journals, each a ring of entries with a tail that
 * counts them. A snapshot that has the later one without the earlier one isn't an instant.
 *
 *   atomicity [-r ROUNDS] [-p] [-c]	-p: what is handed on, and the tails, are pinned for
 *					I/O. -c: the kernel flushes ranges page by page
 */
#include <pthread.h>
#include <sched.h>

#include "io_uring.h"
#include "oracle.h"

#define PAIRS		64		/* pages that a thread visits in turn */
#define RING		128		/* entries of a journal */
#define THREADS		3
/* The journals' entries, the pairs, what is handed on, the journals' tails. */
#define PAIRS_AT	(RING * THREADS)
#define CHAIN_AT	(PAIRS_AT + 2 * PAIRS * THREADS)
#define TAILS_AT	(CHAIN_AT + THREADS)
#define PAGES		(TAILS_AT + THREADS)

static char *mem;
static volatile bool stop;

/* Each value has a page of its own. */
static volatile uint64_t *value(unsigned int page)
{
	return (volatile uint64_t *)(mem + page * PAGE);
}

/* First x, then y: y <= x <= y + 1 at any time. */
static volatile uint64_t *pair_x(unsigned int thread, unsigned int i)
{
	return value(PAIRS_AT + (thread * PAIRS + i) * 2);
}

static volatile uint64_t *pair_y(unsigned int thread, unsigned int i)
{
	/* far from its x, so that the cut visits other pages in between */
	return value(PAIRS_AT + (thread * PAIRS + (i + PAIRS / 2) % PAIRS) * 2 + 1);
}

static volatile uint64_t *chain(unsigned int thread)
{
	return value(CHAIN_AT + thread);
}

/*
 * The tail is written all the time, an entry now and then: so the pages of the entries
 * aren't writable when their turn comes, and that of the tail is.
 */
static volatile uint64_t *entry(unsigned int thread, uint64_t n)
{
	return value(thread * RING + n % RING);
}

static volatile uint64_t *tail(unsigned int thread)
{
	return value(TAILS_AT + thread);
}

static void *writer(void *arg)
{
	unsigned int me = (unsigned long)arg, i = 0;

	while (!stop) {
		uint64_t n = *pair_x(me, i) + 1;

		__atomic_store_n(pair_x(me, i), n, __ATOMIC_SEQ_CST);
		__atomic_store_n(pair_y(me, i), n, __ATOMIC_SEQ_CST);
		i = (i + 1) % PAIRS;
		n = *tail(me) + 1;
		__atomic_store_n(entry(me, n), n, __ATOMIC_SEQ_CST);
		__atomic_store_n(tail(me), n, __ATOMIC_SEQ_CST);
		/* The first counts, the others pass on what they see. */
		if (me == 0)
			__atomic_fetch_add(chain(0), 1, __ATOMIC_SEQ_CST);
		else
			__atomic_store_n(chain(me),
					 __atomic_load_n(chain(me - 1), __ATOMIC_SEQ_CST),
					 __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static uint64_t seen(const struct t_image *im, volatile uint64_t *v)
{
	size_t offset = (const char *)v - mem;

	return *(uint64_t *)(im->data + offset);
}

/* All entries up to the tail, and perhaps the next one. */
static unsigned long journal_violations(const struct t_image *im, unsigned int me)
{
	uint64_t end = seen(im, tail(me)), last, have, i;
	unsigned long n = 0;

	for (i = 0; i < RING; i++) {
		have = seen(im, entry(me, i));
		last = end < i ? 0 : end - (end - i) % RING;
		if (have != last && (have != end + 1 || have % RING != i))
			n++;
	}
	return n;
}

static unsigned long violations(const struct t_image *im)
{
	unsigned long n = 0;
	unsigned int me, i;

	for (me = 0; me < THREADS; me++) {
		for (i = 0; i < PAIRS; i++) {
			uint64_t x = seen(im, pair_x(me, i));
			uint64_t y = seen(im, pair_y(me, i));

			if (y > x || x > y + 1)
				n++;
		}
		n += journal_violations(im, me);
	}
	for (me = 1; me < THREADS; me++)
		if (seen(im, chain(me)) > seen(im, chain(me - 1)))
			n++;
	return n;
}

int main(int argc, char **argv)
{
	unsigned long rounds = 400, bad = 0, moved = 0, failed = 0, copied = 0, i;
	uint64_t before, last = 0;
	pthread_t thread[THREADS];
	struct t_uring ring;
	struct t_image *im;
	bool pin;
	int fd, snap;

	pin = t_oracle_options(argc, argv, &rounds, "p");
	ksft_print_header();
	ksft_set_plan(4);
	mem = t_map(PAGES * PAGE);
	memset(mem, 0, PAGES * PAGE);
	fd = t_oracle_session(mem, PAGES * PAGE);
	if (pin && (t_uring_open(&ring) ||
		    t_uring_pin(&ring, mem + CHAIN_AT * PAGE, 2 * THREADS * PAGE)))
		ksft_exit_fail_msg("pages can't be pinned\n");
	im = t_image_new(mem, PAGES * PAGE);
	for (i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, writer, (void *)i);

	for (i = 0; i < rounds && !bad; i++) {
		struct cptdev_snapshot s;

		snap = t_snapshot(fd, 0, 0, &s);
		before = *chain(0);
		if (snap < 0 || t_image_apply(im, snap)) {
			failed++;
			break;
		}
		close(snap);
		copied += s.copied;
		bad += violations(im);
		/* The counter goes on; what the snapshot has is from before now. */
		if (seen(im, chain(0)) > before)
			bad++;
		moved += seen(im, chain(0)) != last;
		last = seen(im, chain(0));
		if (i % 4 == 0)
			sched_yield();
	}
	rounds = i;
	stop = true;
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	ksft_print_msg("%lu snapshots, %lu violations, %lu pages copied, counter moved in %lu\n",
		       rounds, bad, copied, moved);
	ksft_test_result(bad == 0, "each snapshot is one instant\n");
	ksft_test_result(!failed, "no snapshot failed\n");
	ksft_test_result(moved > rounds / 2, "memory was written meanwhile\n");
	ksft_test_result(copied >= (pin ? rounds : 0), "pinned pages were copied\n");
	ksft_finished();
}
