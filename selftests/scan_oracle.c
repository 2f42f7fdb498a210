// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCAN never misses a store. Three threads write; each round SCAN is asked what changed,
 * and only the pages that it names are copied. After the threads have stopped, and one
 * more round, the copy must equal the memory.
 *
 * A page that changed and wasn't named would keep its old content in the copy. To find
 * out at once, the threads are stopped between rounds, every now and then.
 *
 *   scan_oracle [-r ROUNDS] [-c] [-a]	-a: the accessed bit is cleared with it. -c: the kernel
 *					flushes ranges page by page
 */
#include <pthread.h>

#include "oracle.h"

#define THREADS		3
#define PAGES		768UL

static char *mem, *copy;
static int fd;
static bool accessed;
static volatile bool pause_all, stop;
static volatile int paused;

/* Who leaves looks once more before it writes: the next pause may have begun. */
static void *writer(void *arg)
{
	uint64_t seed = 77 + (unsigned long)arg;

	while (!stop) {
		if (__atomic_load_n(&pause_all, __ATOMIC_SEQ_CST)) {
			__atomic_add_fetch(&paused, 1, __ATOMIC_SEQ_CST);
			while (pause_all)
				;
			__atomic_sub_fetch(&paused, 1, __ATOMIC_SEQ_CST);
			continue;
		}
		/* Few pages: their TLB entries stay, and are used again. */
		mem[(t_random(&seed) % 16 * 48 + t_random(&seed) % 2) * PAGE +
		    t_random(&seed) % PAGE]++;
	}
	return NULL;
}

static int harvest(void)
{
	struct cptdev_region v[128];
	struct cptdev_scan s = {
		.size = sizeof(s), .flags = CPTDEV_SCAN_CLEAR_DIRTY,
		.vec = (unsigned long)v, .vec_len = 128,
		.anyof = CPTDEV_PAGE_DIRTY, .report = CPTDEV_PAGE_DIRTY,
	};
	unsigned long end = (unsigned long)mem + PAGES * PAGE;
	unsigned int i;
	int ret;

	if (accessed) {
		s.flags |= CPTDEV_SCAN_CLEAR_ACCESSED;
		s.anyof |= CPTDEV_PAGE_ACCESSED;
	}
	s.start = (unsigned long)mem;
	while (s.start < end) {
		s.end = end;
		ret = t_ioctl(fd, CPTDEV_IOC_SCAN, &s);
		if (ret)
			return ret;
		for (i = 0; i < s.nr; i++)
			if (v[i].categories & CPTDEV_PAGE_DIRTY)
				memcpy(copy + (v[i].start - (unsigned long)mem),
				       (void *)v[i].start, v[i].end - v[i].start);
		s.start = s.walk_end;
	}
	return 0;
}

static unsigned long differs(void)
{
	unsigned long n = 0, i;

	for (i = 0; i < PAGES; i++) {
		if (memcmp(copy + i * PAGE, mem + i * PAGE, PAGE)) {
			n++;
			memcpy(copy + i * PAGE, mem + i * PAGE, PAGE);
		}
	}
	return n;
}

int main(int argc, char **argv)
{
	unsigned long rounds = 1000, missed = 0, i;
	pthread_t thread[THREADS];
	int ret = 0;

	accessed = t_oracle_options(argc, argv, &rounds, "a");
	ksft_print_header();
	ksft_set_plan(2);
	mem = t_map(PAGES * PAGE);
	copy = t_map(PAGES * PAGE);
	memset(mem, 1, PAGES * PAGE);
	fd = t_oracle_session(mem, PAGES * PAGE);
	for (i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, writer, (void *)i);

	for (i = 0; !ret && i < rounds; i++) {
		ret = harvest();
		if (i % 2)
			continue;
		__atomic_store_n(&pause_all, true, __ATOMIC_SEQ_CST);
		while (paused < THREADS)
			;
		ret = ret ?: harvest();
		missed += differs();
		pause_all = false;
	}
	stop = true;
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	ksft_print_msg("%lu rounds, %lu pages missed\n", rounds, missed);
	ksft_test_result(missed == 0, "no store was missed\n");
	ksft_test_result(!ret, "no scan failed\n");
	ksft_finished();
}
