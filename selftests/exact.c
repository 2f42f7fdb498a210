// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exactness: an oracle in user space. Memory is changed in every way we know of, in
 * random mixes. In each epoch an incremental snapshot is applied to an image, as a spare
 * would do it, and the image must equal the memory byte for byte. SCAN is held to the
 * same: each page that differs from its shadow must have been reported.
 *
 * Data that memory, snapshots and SCAN had lost alike would not be missed by that. So the test
 * keeps what it stored in memory of its own, and compares: in each epoch, and at the end of
 * each forked child, whose memory must be what it was at the fork.
 *
 * Now and then a spare that has nothing gets everything in rounds, between the changes. In the
 * end it must have the memory, too.
 *
 * Pages that a snapshot has though they are what they were are counted, by cause. There is
 * a limit to these, in runs of at least ENOUGH epochs: each huge page that the kernel takes
 * apart is 512 of them, and there are few such events. Besides, each huge page that the kernel
 * made may be in a snapshot once as a whole, because one of its pages was written.
 *
 *   exact [-e EPOCHS] [-s SEED] [-l PERCENT] [-o OPERATION] [-v]
 *
 * With CPTDEV_LENGTH=soak in the environment it runs ten times as long, with another seed
 * each time; with CPTDEV_LENGTH=short a tenth.
 */
#include <getopt.h>
#include <signal.h>
#include <time.h>

#include "exact.h"
#include "kselftest.h"

#define ENOUGH		2000		/* epochs, for what is about shares */
#define KEEP		4		/* snapshots held open for a while */

struct exact t;

static const char * const cause_name[NR_CAUSES + 1] = {
	[CAUSE_FLIGHT] = "I/O was in flight",
	[CAUSE_RANGE] = "range added again",
	[CAUSE_SWAP] = "swapped out",
	[CAUSE_KSM] = "merged by KSM",
	[CAUSE_MOVED] = "moved",
	[CAUSE_NUMA] = "NUMA hinting",
	[CAUSE_PROTECT] = "protection changed",
	[CAUSE_HUGE] = "in a huge page",
	[CAUSE_SAME] = "written with the same",
	[CAUSE_NONE] = "not known",
};

struct kept {
	int fd;
	uint64_t die;			/* epoch */
	size_t len;
	char *copy;			/* what it showed when it was new */
};

static struct kept kept[KEEP];
static struct t_image *image;
static char *shadow;			/* the memory at the last scan */
static uint64_t missed, lost, reported, unchanged[NR_CAUSES + 1];
static bool verbose;

void fail(const char *what, long page)
{
	t.failed = true;
	ksft_print_msg("epoch %llu: %s, page %ld\n", (unsigned long long)t.epoch, what,
		       page);
}

static void kept_check(struct kept *k)
{
	char *now = malloc(k->len + 1);

	if (pread(k->fd, now, k->len, 0) != (ssize_t)k->len)
		fail("an open snapshot can't be read", -1);
	else if (memcmp(now, k->copy, k->len))
		fail("an open snapshot changed", -1);
	free(now);
	free(k->copy);
	close(k->fd);
	memset(k, 0, sizeof(*k));
}

/* Keep it open for some epochs, or close it. */
static void keep(int fd, uint64_t pages)
{
	struct kept *k = &kept[rnd(KEEP)];

	if (k->copy && k->die <= t.epoch)
		kept_check(k);
	if (k->copy || rnd(2)) {
		close(fd);
		return;
	}
	k->fd = fd;
	k->die = t.epoch + 1 + rnd(6);
	k->len = pages * PAGE;
	k->copy = malloc(k->len + 1);
	if (pread(fd, k->copy, k->len, 0) != (ssize_t)k->len)
		fail("a new snapshot can't be read", -1);
}

static enum cause cause_of(size_t page)
{
	enum cause why = 0;

	while (why < NR_CAUSES && !t.why[why][page])
		why++;
	return why;
}

static void count_page(size_t page, const char *content)
{
	enum cause why;

	reported++;
	if (memcmp(image->data + page * PAGE, content, PAGE))
		return;
	why = cause_of(page);
	unchanged[why]++;
	if (verbose)
		ksft_print_msg("%llu page %zu: %s\n", (unsigned long long)t.epoch, page,
			       cause_name[why]);
}

/* Before the image has them: which of the snapshot's pages are what they were? */
static void count_reported(int fd, size_t pages)
{
	char *content = malloc(pages * PAGE + 1), *p = content;
	struct cptdev_extent *v;
	size_t nr, i;
	uint64_t j;

	v = t_extents(fd, &nr);
	if (pread(fd, content, pages * PAGE, 0) != (ssize_t)(pages * PAGE))
		nr = 0;
	for (i = 0; i < nr; i++)
		for (j = 0; v[i].kind == CPTDEV_EXTENT_DATA && j < v[i].len; j += PAGE) {
			count_page(page_of((char *)v[i].addr + j), p);
			p += PAGE;
		}
	free(v);
	free(content);
	for (i = 0; i < sizeof(t.why); i++) {
		uint8_t *left = (uint8_t *)t.why + i;

		if (*left && *left != FOREVER)
			--*left;
	}
}

/*
 * A snapshot that is applied to the image, and not compared: memory may be written to
 * meanwhile. Returns its descriptor.
 */
int check_later(struct cptdev_snapshot *out)
{
	struct cptdev_snapshot s;
	bool since = t.skipped || rnd(4) == 0;
	int fd, ret;

	fd = t_snapshot(t.fd, since ? CPTDEV_SNAPSHOT_SINCE : 0,
			since ? image->generation : 0, &s);
	if (out)
		*out = s;
	t.skipped = false;
	if (fd < 0) {
		fail(strerror(-fd), (s.bad_addr - (unsigned long)t.m) / PAGE);
		return fd;
	}
	count_reported(fd, s.pages);
	if (verbose)
		ksft_print_msg("%llu snapshot: %llu pages, %llu copied, since %llu\n",
			       (unsigned long long)t.epoch, (unsigned long long)s.pages,
			       (unsigned long long)s.copied,
			       (unsigned long long)s.base);
	ret = t_image_apply(image, fd);
	if (ret)
		fail(strerror(-ret), -1);
	return fd;
}

/* The memory has what was stored there. */
void compare_truth(const char *what)
{
	size_t i;

	for (i = 0; i < PAGES; i++) {
		if (t.open[i] != CLOSED || !memcmp(t.truth + i * PAGE, t.m + i * PAGE, PAGE))
			continue;
		lost++;
		fail(what, i);
		return;
	}
}

/* An operation has ended, and what it changed is known. */
static void close_truth(void)
{
	size_t i;

	for (i = 0; i < PAGES; i++) {
		if (t.open[i] != CLOSED)
			memcpy(t.truth + i * PAGE, t.m + i * PAGE, PAGE);
		t.open[i] = CLOSED;
	}
}

/* A snapshot now, while nothing moves: the image must equal the memory. */
void check(void)
{
	struct cptdev_snapshot s;
	int fd = check_later(&s);
	long page;

	t.epoch++;
	if (fd < 0)
		return;
	page = t_image_differs(image, t.m);
	if (page >= 0) {
		missed++;
		fail("the snapshot missed a change", page);
		memcpy(image->data, t.m, PAGES * PAGE);
	}
	compare_truth("memory isn't what was stored");
	keep(fd, s.pages);
}

/* A snapshot that nobody looks at, of memory that can't be compared now. */
void skip(void)
{
	int fd = t_snapshot(t.fd, 0, 0, NULL);

	if (fd < 0)
		fail("a snapshot fails", fd);
	close(fd);
	t.skipped = true;
}

/*
 * A first image in rounds
 */

static struct {
	int device;
	struct t_image *image;
	struct cptdev_round r;
	bool begun;
	unsigned int passes;		/* that are still to come, after this one */
	uint64_t pass;			/* generation of the last one, 0: it isn't over */
	uint64_t done;
} first;

static void first_begin(void)
{
	memset(first.image->data, 0, PAGES * PAGE);
	first.r = (struct cptdev_round) { .session_id = t_info(t.fd).session_id };
	first.passes = rnd(3);
	first.pass = 0;
	first.begun = true;
}

static void first_pass_ends(void)
{
	uint64_t pass = first.r.pass;

	if (!first.passes) {
		first.pass = pass;
		return;
	}
	first.passes--;
	first.r = (struct cptdev_round) {
		.session_id = first.r.session_id, .flags = CPTDEV_ROUND_COOL, .base = pass,
	};
}

/* A round, or none. */
static void first_round(void)
{
	int fd, ret;

	if (!first.begun && rnd(8) == 0)
		first_begin();
	if (!first.begun || first.pass || rnd(2))
		return;
	first.r.pages = CPTDEV_ROUND_MIN;
	first.r.pause_ns = 0;
	fd = t_round(first.device, &first.r);
	if (fd < 0) {
		fail(strerror(-fd), -1);
		return;
	}
	ret = t_image_take(first.image, fd);
	if (ret)
		fail(strerror(-ret), -1);
	close(fd);
	if (!first.r.addr)
		first_pass_ends();
}

/* What has changed since the last pass, while nothing moves. */
static void first_check(void)
{
	int fd;
	long page;

	if (!first.pass)
		return;
	fd = t_snapshot(t.fd, CPTDEV_SNAPSHOT_SINCE, first.pass, NULL);
	t.skipped = true;
	first.begun = false;
	first.pass = 0;
	if (fd < 0 || t_image_take(first.image, fd)) {
		fail("what completes the rounds", -1);
		return;
	}
	close(fd);
	first.done++;
	page = t_image_differs(first.image, t.m);
	if (page < 0)
		return;
	missed++;
	fail("the rounds missed a change", page);
}

static void check_scan(void)
{
	struct cptdev_region v[64];
	struct cptdev_scan s = {
		.size = sizeof(s), .flags = CPTDEV_SCAN_CLEAR_DIRTY,
		.vec = (unsigned long)v, .vec_len = 64,
		.anyof = CPTDEV_PAGE_DIRTY, .report = CPTDEV_PAGE_DIRTY,
	};
	static bool dirty[PAGES];
	size_t i;
	int ret;

	memset(dirty, 0, sizeof(dirty));
	do {
		s.end = 0;
		ret = t_ioctl(t.fd, CPTDEV_IOC_SCAN, &s);
		if (ret) {
			fail("SCAN fails", ret);
			return;
		}
		for (i = 0; i < s.nr; i++)
			memset(dirty + page_of((char *)v[i].start), 1,
			       (v[i].end - v[i].start) / PAGE);
		s.start = s.walk_end;
	} while (s.nr);
	for (i = 0; i < PAGES; i++) {
		if (!memcmp(shadow + i * PAGE, t.m + i * PAGE, PAGE))
			continue;
		if (!dirty[i] && !t.silent[i]) {
			missed++;
			fail("SCAN missed a change", i);
		}
		memcpy(shadow + i * PAGE, t.m + i * PAGE, PAGE);
	}
	memset(t.silent, 0, sizeof(t.silent));
}

/*
 * The mix
 */

#define MAX_OPS	64

static const struct op *ops[MAX_OPS];
static uint64_t done[MAX_OPS];
static unsigned int nr_ops, weights;

static void add_ops(const struct op *op)
{
	for (; op->name; op++) {
		ops[nr_ops++] = op;
		weights += op->weight;
	}
}

static unsigned int pick(void)
{
	unsigned int at = rnd(weights), i;

	for (i = 0; at >= ops[i]->weight; i++)
		at -= ops[i]->weight;
	return i;
}

static int find_op(const char *name)
{
	unsigned int i;

	for (i = 0; i < nr_ops; i++)
		if (!strcmp(ops[i]->name, name))
			return i;
	return -1;
}

static void change(int only)
{
	unsigned int op = only < 0 ? pick() : (unsigned int)only;

	if (verbose)
		ksft_print_msg("%llu %s\n", (unsigned long long)t.epoch, ops[op]->name);
	ops[op]->fn();
	close_truth();
	done[op]++;
}

static void set_up(void)
{
	unsigned int i;
	char *small;

	helper_start();
	t.fd = t_open();
	if (t.fd < 0)
		ksft_exit_fail_msg("%s: %s\n", CPTDEV_DEVICE, strerror(-t.fd));
	t.mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	io_setup();
	numa_setup();
	khugepaged_setup();
	t_swap_on("/dev/vdb");
	t_write_file("/sys/kernel/mm/ksm/run", "1");
	t_write_file("/sys/kernel/mm/ksm/sleep_millisecs", "5");
	t_write_file("/proc/sys/vm/compaction_proactiveness", "0");

	/* One piece of memory: ordinary pages below, huge ones above the border. */
	small = t_map_huge(HUGE + HUGE_PAGES * PAGE);
	t.m = small + HUGE - SMALL_PAGES * PAGE;
	madvise(t.m, SMALL_PAGES * PAGE, MADV_NOHUGEPAGE);
	for (i = 0; i < PAGES; i++)
		if (rnd(4))
			t.m[i * PAGE] = i;
	if (t_add(t.fd, t.m, PAGES * PAGE))
		ksft_exit_fail_msg("RANGE_ADD fails\n");
	t.truth = malloc(PAGES * PAGE);
	memcpy(t.truth, t.m, PAGES * PAGE);
	image = t_image_new(t.m, PAGES * PAGE);
	first.device = t_open();
	first.image = t_image_new(t.m, PAGES * PAGE);
	shadow = malloc(PAGES * PAGE);
	memcpy(shadow, t.m, PAGES * PAGE);
	check_scan();
	/* The first one has everything. */
	check();
	reported = 0;
	memset(unchanged, 0, sizeof(unchanged));
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * part / whole : 0;
}

/*
 * What the kernel did with huge pages since it runs, nearly all of it in this test. Returns how
 * many it made.
 */
static uint64_t tell_huge(void)
{
	FILE *f = fopen("/proc/vmstat", "r");
	unsigned long long value, made = 0;
	char line[128], name[64];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %llu", name, &value) != 2)
			continue;
		if (!strcmp(name, "thp_fault_alloc") || !strcmp(name, "thp_collapse_alloc"))
			made += value;
		else if (strcmp(name, "thp_split_page"))
			continue;
		ksft_print_msg("%s", line);
	}
	if (f)
		fclose(f);
	return made;
}

/* Returns how many pages were reported without need, except those of huge pages as a whole. */
static uint64_t tell(void)
{
	uint64_t sum = 0, whole;
	unsigned int i;

	for (i = 0; i < nr_ops; i++)
		ksft_print_msg("%-20s %llu\n", ops[i]->name, (unsigned long long)done[i]);
	for (i = 0; i <= NR_CAUSES; i++)
		sum += unchanged[i];
	ksft_print_msg("epochs %llu, pages %llu, of them unchanged %llu (%.2f %%):\n",
		       (unsigned long long)t.epoch, (unsigned long long)reported,
		       (unsigned long long)sum, percent(sum, reported));
	for (i = 0; i <= NR_CAUSES; i++)
		ksft_print_msg("  %-24s %6llu (%.2f %%)\n", cause_name[i],
			       (unsigned long long)unchanged[i], percent(unchanged[i], reported));
	ksft_print_msg("first images in rounds: %llu\n", (unsigned long long)first.done);
	ksft_print_msg("pages with I/O in flight at a cut: %llu\n", (unsigned long long)t.landed);
	whole = tell_huge() * (HUGE / PAGE);
	return sum - (unchanged[CAUSE_HUGE] < whole ? unchanged[CAUSE_HUGE] : whole);
}

int main(int argc, char **argv)
{
	uint64_t epochs = 1000, limit = 5, over;
	int opt, only = -1;
	unsigned int i;
	bool enough;

	add_ops(io_ops);
	add_ops(mm_ops);
	t.seed = 1;
	while ((opt = getopt(argc, argv, "e:s:l:o:v")) != -1) {
		if (opt == 'e')
			epochs = strtoull(optarg, NULL, 0);
		else if (opt == 's')
			t.seed = strtoull(optarg, NULL, 0);
		else if (opt == 'l')
			limit = strtoull(optarg, NULL, 0);
		else if (opt == 'o' && find_op(optarg) >= 0)
			only = find_op(optarg);
		else if (opt == 'v')
			verbose = true;
		else
			ksft_exit_fail_msg("exact [-e EPOCHS] [-s SEED] [-l PERCENT] [-o OP] [-v]\n");
	}
	if (t_length() == T_SOAK) {
		t.seed += time(NULL);
		epochs *= 10;
	} else if (t_length() == T_SHORT) {
		epochs /= 10;
	}
	enough = only < 0 && epochs >= ENOUGH;
	ksft_print_header();
	ksft_set_plan(enough ? 6 : 4);
	ksft_print_msg("seed %llu, %llu epochs\n", (unsigned long long)t.seed,
		       (unsigned long long)epochs);
	t.seed |= 1;
	set_up();
	while (t.epoch < epochs && !t.failed) {
		for (i = rnd(4) + 1; i; i--) {
			change(only);
			first_round();
		}
		check();
		first_check();
		if (rnd(4) == 0)
			check_scan();
	}
	for (i = 0; i < KEEP; i++)
		if (kept[i].copy)
			kept_check(&kept[i]);
	child_ends();
	over = tell();
	ksft_test_result(missed == 0, "no change was missed\n");
	ksft_test_result(lost == 0, "no data was lost\n");
	ksft_test_result(!t.failed, "nothing else failed\n");
	ksft_test_result(t.epoch >= epochs, "all epochs were run\n");
	if (enough) {
		ksft_test_result(over * 100 <= limit * reported,
				 "at most %llu %% were reported without need\n",
				 (unsigned long long)limit);
		ksft_test_result(t.landed, "I/O was in flight at cuts\n");
	}
	ksft_finished();
}
