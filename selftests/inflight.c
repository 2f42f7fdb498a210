// SPDX-License-Identifier: GPL-2.0-only
/*
 * Transfers that begin around a cut and land after it: O_DIRECT reads from a slow disk,
 * and process_vm_writev(), at random moments before, in and after the cut. They write
 * through references to pages, which no page table stops. Whatever the moment: a snapshot
 * doesn't change any more once it is taken, and what landed after it is in the next one.
 *
 *   inflight [-r ROUNDS]
 */
#include <pthread.h>
#include <sys/uio.h>
#include <time.h>

#include "oracle.h"
#include "slow.h"

#define DISK	"/dev/vda"
#define READERS	10
#define COPIERS	2
#define WRITERS	(READERS + COPIERS)
#define COPY	16UL			/* pages that a copier writes at once */
#define PAGES	(READERS + COPIERS * COPY)

static char *mem;
static int disk;
static volatile bool go;
static uint64_t seed = 1;

struct writer {
	pthread_t thread;
	unsigned int number;
	volatile pid_t tid;		/* of a reader, once it has begun */
	uint64_t delay_ns;
	bool failed;
};

static void wait_for(const struct writer *w)
{
	struct timespec t = {
		.tv_sec = w->delay_ns / 1000000000, .tv_nsec = w->delay_ns % 1000000000,
	};

	while (!go)
		usleep(50);
	nanosleep(&t, NULL);
}

static void *reader(void *arg)
{
	struct writer *w = arg;

	wait_for(w);
	w->tid = gettid();
	w->failed = pread(disk, mem + w->number * PAGE, PAGE,
			  (w->number % 2) * PAGE) != (ssize_t)PAGE;
	return NULL;
}

static void *copier(void *arg)
{
	static const char from[COPY * PAGE];
	struct writer *w = arg;
	struct iovec local = { .iov_base = (void *)from, .iov_len = sizeof(from) };
	struct iovec remote = {
		.iov_base = mem + (READERS + (w->number - READERS) * COPY) * PAGE,
		.iov_len = sizeof(from),
	};
	int i;

	wait_for(w);
	for (i = 0; i < 4; i++)
		w->failed |= process_vm_writev(getpid(), &local, 1, &remote, 1, 0) !=
			(ssize_t)sizeof(from);
	return NULL;
}

/* The first begins at once, all before twice the length of the last pause is over. */
static void begin(struct writer *w, uint64_t pause_ns)
{
	unsigned int i;

	go = false;
	for (i = 0; i < WRITERS; i++) {
		w[i] = (struct writer) {
			.number = i,
			.delay_ns = i ? t_random(&seed) % (2 * pause_ns + 100000) : 0,
		};
		pthread_create(&w[i].thread, NULL, i < READERS ? reader : copier, &w[i]);
	}
}

static unsigned int finish(struct writer *w)
{
	unsigned int failed = 0, i;

	for (i = 0; i < WRITERS; i++) {
		pthread_join(w[i].thread, NULL);
		failed += w[i].failed;
	}
	return failed;
}

static char *content(int fd, size_t len)
{
	char *p = malloc(len + 1);

	if (pread(fd, p, len, 0) != (ssize_t)len)
		memset(p, 0, len);
	return p;
}

struct sums {
	unsigned long copied, changed, missed, failed, transfers;
};

static void one_round(int fd, struct t_image *im, struct sums *sum)
{
	static uint64_t pause_ns = 200000;
	struct writer w[WRITERS];
	struct cptdev_snapshot s;
	char *first, *later;
	int snap, next;

	memset(mem, 'a' + t_random(&seed) % 20, PAGES * PAGE);
	begin(w, pause_ns);
	go = true;
	/* Every second time one is under way at the cut, however fast everybody is. */
	if (t_random(&seed) % 2)
		t_wait_for_disk(&w[0].tid);
	snap = t_snapshot(fd, 0, 0, &s);
	if (snap < 0 || t_image_apply(im, snap)) {
		sum->failed++;
		finish(w);
		return;
	}
	pause_ns = s.pause_ns;
	sum->copied += s.copied;
	first = content(snap, s.pages * PAGE);
	sum->transfers += finish(w);
	later = content(snap, s.pages * PAGE);
	sum->changed += !!memcmp(first, later, s.pages * PAGE);
	free(first);
	free(later);
	next = t_snapshot(fd, 0, 0, NULL);
	sum->failed += next < 0 || t_image_apply(im, next);
	sum->missed += t_image_differs(im, mem) >= 0;
	close(next);
	close(snap);
}

/* So that what lands differs from what the memory had. */
static void write_disk(void)
{
	char *p = aligned_alloc(PAGE, 2 * PAGE);
	int fd = open(DISK, O_RDWR | O_DIRECT);

	memset(p, 'Y', PAGE);
	memset(p + PAGE, 'Z', PAGE);
	if (fd < 0 || pwrite(fd, p, 2 * PAGE, 0) != (ssize_t)(2 * PAGE))
		ksft_exit_skip("there is no disk " DISK "\n");
	close(fd);
	free(p);
}

int main(int argc, char **argv)
{
	unsigned long rounds = 16, i;
	struct sums sum = { 0 };
	struct t_image *im;
	int fd;

	t_oracle_options(argc, argv, &rounds, "");
	ksft_print_header();
	write_disk();
	disk = open(DISK, O_RDONLY | O_DIRECT);
	/* So few that none is let through at once, however long nobody has read. */
	if (disk < 0 || t_slow_disk(DISK, 8))
		ksft_exit_skip("the disk can't be slowed down\n");
	ksft_set_plan(5);
	mem = t_map(PAGES * PAGE);
	memset(mem, 1, PAGES * PAGE);
	fd = t_oracle_session(mem, PAGES * PAGE);
	im = t_image_new(mem, PAGES * PAGE);
	for (i = 0; i < rounds && !sum.changed && !sum.missed; i++)
		one_round(fd, im, &sum);
	t_fast_disk();
	ksft_print_msg("%lu rounds, %lu pages copied, %lu snapshots changed, %lu misses\n", i,
		       sum.copied, sum.changed, sum.missed);
	ksft_test_result(!sum.changed, "no snapshot changed afterwards\n");
	ksft_test_result(!sum.missed, "no transfer was missed\n");
	ksft_test_result(!sum.failed, "no snapshot failed\n");
	ksft_test_result(!sum.transfers, "no transfer failed\n");
	ksft_test_result(sum.copied > 0, "transfers were under way at cuts\n");
	ksft_finished();
}
