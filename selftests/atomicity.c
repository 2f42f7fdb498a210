// SPDX-License-Identifier: GPL-2.0-only
/*
 * A snapshot is one instant, whichever thread wrote what. Threads write in an order that
 * anybody can check: counters that follow each other, on different pages, and a value
 * that is handed from thread to thread. A snapshot that has the later one without the
 * earlier one isn't an instant.
 *
 *   atomicity [-r ROUNDS] [-n]	-n: negative control, violations must be found
 */
#include <getopt.h>
#include <pthread.h>
#include <sched.h>

#include "cptdev_test.h"
#include "kselftest.h"

#define PAIRS		64		/* pages that a thread visits in turn */
#define THREADS		3
#define PAGES		(2 * PAIRS * THREADS + 3)

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
	return value((thread * PAIRS + i) * 2);
}

static volatile uint64_t *pair_y(unsigned int thread, unsigned int i)
{
	/* far from its x, so that the cut visits other pages in between */
	return value((thread * PAIRS + (i + PAIRS / 2) % PAIRS) * 2 + 1);
}

static volatile uint64_t *chain(unsigned int thread)
{
	return value(2 * PAIRS * THREADS + thread);
}

static void *writer(void *arg)
{
	unsigned int me = (unsigned long)arg, i = 0;

	while (!stop) {
		uint64_t n = *pair_x(me, i) + 1;

		__atomic_store_n(pair_x(me, i), n, __ATOMIC_SEQ_CST);
		__atomic_store_n(pair_y(me, i), n, __ATOMIC_SEQ_CST);
		i = (i + 1) % PAIRS;
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
	}
	for (me = 1; me < THREADS; me++)
		if (seen(im, chain(me)) > seen(im, chain(me - 1)))
			n++;
	return n;
}

int main(int argc, char **argv)
{
	unsigned long rounds = 400, bad = 0, moved = 0, failed = 0, i;
	uint64_t before, last = 0;
	pthread_t thread[THREADS];
	bool negative = false;
	struct t_image *im;
	int fd, snap, opt;

	while ((opt = getopt(argc, argv, "r:n")) != -1) {
		if (opt == 'r')
			rounds = strtoul(optarg, NULL, 0);
		else if (opt == 'n')
			negative = true;
		else
			ksft_exit_fail_msg("atomicity [-r ROUNDS] [-n]\n");
	}
	ksft_print_header();
	ksft_set_plan(3);
	fd = t_open();
	if (fd < 0)
		ksft_exit_fail_msg("%s: %s\n", CPTDEV_DEVICE, strerror(-fd));
	mem = t_map(PAGES * PAGE);
	memset(mem, 0, PAGES * PAGE);
	if (t_add(fd, mem, PAGES * PAGE))
		ksft_exit_fail_msg("RANGE_ADD fails\n");
	im = t_image_new(mem, PAGES * PAGE);
	for (i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, writer, (void *)i);

	for (i = 0; i < rounds; i++) {
		struct cptdev_snapshot s;

		snap = t_snapshot(fd, 0, 0, &s);
		before = *chain(0);
		if (snap < 0 || t_image_apply(im, snap)) {
			failed++;
			break;
		}
		close(snap);
		bad += violations(im);
		/* The counter goes on; what the snapshot has is from before now. */
		if (seen(im, chain(0)) > before)
			bad++;
		moved += seen(im, chain(0)) != last;
		last = seen(im, chain(0));
		if (i % 4 == 0)
			sched_yield();
	}
	stop = true;
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	ksft_print_msg("%lu snapshots, %lu violations, the counter moved in %lu\n", rounds,
		       bad, moved);
	if (negative)
		ksft_test_result(bad > 0, "the negative control is noticed\n");
	else
		ksft_test_result(bad == 0, "each snapshot is one instant\n");
	ksft_test_result(!failed, "no snapshot failed\n");
	ksft_test_result(negative || moved > rounds / 2, "memory was written meanwhile\n");
	ksft_finished();
}
