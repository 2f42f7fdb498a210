// SPDX-License-Identifier: GPL-2.0-only
/*
 * For the two-host tests: a program that changes its memory without pause and publishes
 * it, and what its memory was in each generation, by ways that don't lead through cptdev.
 *
 *   ledger [-r] [-g MS] [-p PAGES] write NAME SEED
 *	Be the program. -r: replace what the spare has under the name. -g: the writes
 *	of a generation are spread over so much time. -p: how many pages they change.
 *	Prints, each as soon as it is so:
 *		gen G sum S held BYTES		memory in generation G, before it is published
 *		acked G				WAIT has said that the spare has it
 *		cancelled G, quota G		it was dropped, it wasn't taken: go on
 *		fenced				from then on it goes on publishing, in vain
 *   ledger [-p PAGES] replay SEED G [FILE]
 *	Do the writes of generations 1 to G in ordinary memory: "sum S"; and all of it
 *	into FILE.
 *   ledger read NAME [FILE]
 *	Freeze the replica and read all of it: "replica G sum S term T promoted P"; and
 *	into FILE likewise. Its layout must be that of the program.
 *   ledger wait NAME
 *	Be the program on the spare: "waiting"; "promoted G" when the replica is.
 *
 * The content is a function of seed and generation alone: the threads have pages of their
 * own, and the numbers that they draw begin anew with each generation.
 *
 * G counts what the program publishes, from 1. The module's numbers ascend, but may leave some out:
 * rounds for a new spare are cuts, too. So G travels in the meta-data.
 */
#include <poll.h>
#include <pthread.h>

#include "cptdev_test.h"

#define THREADS		4
#define SUM_START	0xcbf29ce484222325ULL
#define HELD_MAX	(48UL << 20)

struct piece {
	unsigned long addr;
	size_t len;
};

#define FIRST	0x200000000000UL
#define SECOND	0x200010000000UL
#define HOLE	(SECOND + 0x40000)

/* Two ranges; the second gets a hole. Pieces are what is mapped then. */
static const struct piece ranges[] = { { FIRST, 0x400000 }, { SECOND, 0x103000 } };
static const struct piece hole = { HOLE, 0x10000 };
static const struct piece pieces[] = {
	{ FIRST, 0x400000 }, { SECOND, 0x40000 }, { HOLE + 0x10000, 0xb3000 },
};

#define NR_RANGES	(sizeof(ranges) / sizeof(ranges[0]))
#define NR_PIECES	(sizeof(pieces) / sizeof(pieces[0]))

static unsigned long gap_ms = 80, pages_changed = 128;
static uint64_t seed;

static int fail(const char *what, int err)
{
	printf("error %s: %s\n", what, strerror(-err));
	return 1;
}

/*
 * Memory
 */

static unsigned long nr_pages(void)
{
	unsigned long n = 0, i;

	for (i = 0; i < NR_PIECES; i++)
		n += pieces[i].len / PAGE;
	return n;
}

static char *page_at(unsigned long n)
{
	unsigned long i;

	for (i = 0; n >= pieces[i].len / PAGE; i++)
		n -= pieces[i].len / PAGE;
	return (char *)pieces[i].addr + n * PAGE;
}

static int map_memory(void)
{
	unsigned long i;
	void *p;

	for (i = 0; i < NR_RANGES; i++) {
		p = mmap((void *)ranges[i].addr, ranges[i].len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (p != (void *)ranges[i].addr)
			return -errno;
		madvise(p, ranges[i].len, MADV_NOHUGEPAGE);
	}
	return 0;
}

static uint64_t sum_add(uint64_t sum, const void *data, size_t len)
{
	const uint64_t *w = data;
	size_t i;

	for (i = 0; i < len / sizeof(*w); i++)
		sum = (sum ^ w[i] ^ (sum >> 29)) * 0x100000001b3ULL;
	return sum;
}

static uint64_t sum_memory(void)
{
	uint64_t sum = SUM_START;
	unsigned long i;

	for (i = 0; i < NR_PIECES; i++)
		sum = sum_add(sum, (void *)pieces[i].addr, pieces[i].len);
	return sum;
}

/*
 * Writes
 */

static uint64_t draw_from(uint64_t generation, unsigned int thread)
{
	uint64_t state = seed * 0x9e3779b97f4a7c15ULL + generation * 0xbf58476d1ce4e5b9ULL +
		thread + 1;
	unsigned int i;

	state += !state;
	for (i = 0; i < 8; i++)
		t_random(&state);
	return state;
}

/* Some words, the whole page, or nothing is left of it. */
static void change_page(char *page, uint64_t *state)
{
	uint64_t *words = (uint64_t *)page, how = t_random(state) % 16;
	unsigned int i;

	if (!how) {
		madvise(page, PAGE, MADV_DONTNEED);
		return;
	}
	if (how < 4) {
		for (i = 0; i < PAGE / sizeof(*words); i++)
			words[i] = t_random(state);
		return;
	}
	for (i = 0; i < how; i++)
		words[t_random(state) % (PAGE / sizeof(*words))] = t_random(state);
}

/* What @thread does in a generation: all its pages in the first, then some of them. */
static void change(uint64_t generation, unsigned int thread, unsigned long pause_us)
{
	unsigned long own = nr_pages() / THREADS, i, n;
	uint64_t state = draw_from(generation, thread);

	n = generation == 1 ? own : pages_changed / THREADS;
	for (i = 0; i < n; i++) {
		unsigned long which = generation == 1 ? i : t_random(&state) % own;

		change_page(page_at(which * THREADS + thread), &state);
		if (pause_us && i % (n / 8 + 1) == 0)
			usleep(pause_us);
	}
}

/*
 * The program
 */

static pthread_barrier_t begin, end;
static uint64_t working_on;

/* The module's number of each that was published. */
#define LEDGER_MAX	(1UL << 20)
static _Atomic uint64_t number_of[LEDGER_MAX];
static _Atomic uint64_t newest;

/* The newest one that the module's @number covers. */
static uint64_t covered(uint64_t number)
{
	uint64_t g = newest;

	while (g && number_of[g] > number)
		g--;
	return g;
}

static void *writer(void *arg)
{
	unsigned int thread = (unsigned long)arg;

	for (;;) {
		pthread_barrier_wait(&begin);
		change(working_on, thread, gap_ms * 1000 / 8);
		pthread_barrier_wait(&end);
	}
	return NULL;
}

/* Tells what is acknowledged, and the end of it. */
static void *waiter(void *arg)
{
	uint64_t committed, told = 0, cancelled = 0;
	int fd = (unsigned long)arg, ret;

	do {
		ret = t_wait(fd, 0, 1000000000ULL, &committed);
		committed = covered(committed);
		if (ret != -EINVAL && committed > told) {
			told = committed;
			printf("acked %llu\n", (unsigned long long)told);
		}
		if (ret == -ECANCELED && cancelled != newest) {
			cancelled = newest;
			printf("cancelled %llu\n", (unsigned long long)cancelled);
		}
		usleep(10000);
	} while (ret != -ESTALE);
	puts("fenced");
	return NULL;
}

/* The line first: no replica may have a generation that isn't in the ledger. */
static int publish(int fd, uint64_t generation)
{
	struct cptdev_snapshot s = {
		.size = sizeof(s),
		.flags = CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD,
		.meta = (unsigned long)&generation, .meta_len = sizeof(generation),
	};
	int ret;

	printf("gen %llu sum %016llx held %llu\n", (unsigned long long)generation,
	       (unsigned long long)sum_memory(),
	       (unsigned long long)t_info(fd).session_held);
	ret = t_ioctl(fd, CPTDEV_IOC_SNAPSHOT, &s);
	if (ret == -EDQUOT) {
		printf("quota %llu\n", (unsigned long long)generation);
		return 0;
	}
	if (ret < 0)
		return fail("snapshot", ret);
	if (s.generation <= number_of[newest])
		return fail("an older generation", -EINVAL);
	number_of[generation] = s.generation;
	newest = generation;
	return 0;
}

static int session(const char *name, uint32_t flags)
{
	struct cptdev_session_setup arg = {
		.size = sizeof(arg), .flags = flags, .held_max = HELD_MAX,
	};
	int fd = t_open(), ret;
	unsigned long i;

	if (fd < 0)
		return fd;
	strncpy((char *)arg.name, name, sizeof(arg.name) - 1);
	ret = t_ioctl(fd, CPTDEV_IOC_SESSION_SETUP, &arg) ?: map_memory();
	for (i = 0; !ret && i < NR_RANGES; i++)
		ret = t_add(fd, (void *)ranges[i].addr, ranges[i].len);
	munmap((void *)hole.addr, hole.len);
	return ret ?: fd;
}

static int start_threads(int fd)
{
	pthread_t thread;
	unsigned long i;
	int ret;

	pthread_barrier_init(&begin, NULL, THREADS + 1);
	pthread_barrier_init(&end, NULL, THREADS + 1);
	ret = pthread_create(&thread, NULL, waiter, (void *)(unsigned long)fd);
	for (i = 0; !ret && i < THREADS; i++)
		ret = pthread_create(&thread, NULL, writer, (void *)i);
	return -ret;
}

static int do_write(const char *name, uint32_t flags)
{
	int fd = session(name, flags), ret;

	if (fd < 0)
		return fail("session", fd);
	ret = start_threads(fd);
	if (ret)
		return fail("threads", ret);
	do {
		if (++working_on == LEDGER_MAX)
			return fail("the ledger is full", -ENOSPC);
		pthread_barrier_wait(&begin);
		pthread_barrier_wait(&end);
		ret = publish(fd, working_on);
	} while (!ret);
	return ret;
}

/*
 * The other ways to know
 */

static int dump_open(const char *file)
{
	int fd = open(file ?: "/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	return fd < 0 ? -errno : fd;
}

static int do_replay(uint64_t generation, const char *file)
{
	int out = dump_open(file), ret = map_memory();
	unsigned int thread;
	unsigned long i;
	uint64_t g;

	if (ret || out < 0)
		return fail("replay", ret ?: out);
	for (g = 1; g <= generation; g++)
		for (thread = 0; thread < THREADS; thread++)
			change(g, thread, 0);
	for (i = 0; i < NR_PIECES; i++)
		if (write(out, (void *)pieces[i].addr, pieces[i].len) != (ssize_t)pieces[i].len)
			return fail(file, -EIO);
	printf("sum %016llx\n", (unsigned long long)sum_memory());
	return 0;
}

/* Neighbours of one kind may come in one segment or several. */
static int check_layout(int fd)
{
	struct piece found[NR_PIECES + 1] = { 0 };
	struct cptdev_segment *v;
	size_t nr, i, n = 0;

	v = t_layout(fd, &nr);
	if (!v)
		return -EIO;
	for (i = 0; i < nr && n <= NR_PIECES; i++) {
		if (v[i].kind == CPTDEV_SEGMENT_UNMAPPED)
			continue;
		if (n && found[n - 1].addr + found[n - 1].len == v[i].addr)
			found[n - 1].len += v[i].len;
		else
			found[n++] = (struct piece){ v[i].addr, v[i].len };
		if (v[i].kind != CPTDEV_SEGMENT_ANON ||
		    v[i].prot != (PROT_READ | PROT_WRITE))
			n = NR_PIECES + 1;
	}
	free(v);
	return n == NR_PIECES && !memcmp(found, pieces, sizeof(pieces)) ? 0 : -EBADMSG;
}

static int read_piece(int fd, const struct piece *p, int out, uint64_t *sum)
{
	static char buf[64 << 10];
	size_t done, n;

	for (done = 0; done < p->len; done += n) {
		n = p->len - done < sizeof(buf) ? p->len - done : sizeof(buf);
		if (pread(fd, buf, n, p->addr + done) != (ssize_t)n)
			return -EIO;
		*sum = sum_add(*sum, buf, n);
		if (write(out, buf, n) != (ssize_t)n)
			return -ENOSPC;
	}
	return 0;
}

static int replica_open(const char *name)
{
	struct cptdev_replica_open arg = { .size = sizeof(arg) };
	struct cptdev_replica_freeze freeze = { .size = sizeof(freeze) };
	int fd = t_open(), ret;

	if (fd < 0)
		return fd;
	strncpy((char *)arg.name, name, sizeof(arg.name) - 1);
	ret = t_ioctl(fd, CPTDEV_IOC_REPLICA_OPEN, &arg);
	close(fd);
	return ret ?: t_ioctl(arg.fd, CPTDEV_IOC_REPLICA_FREEZE, &freeze) ?: arg.fd;
}

/* Which one of the program's is it? 0: none. */
static uint64_t ledger_generation(int fd)
{
	uint64_t g = 0;
	struct cptdev_image_vec arg = {
		.size = sizeof(arg), .vec = (unsigned long)&g, .vec_len = sizeof(g),
	};

	return t_ioctl(fd, CPTDEV_IOC_IMAGE_META, &arg) || arg.nr != sizeof(g) ? 0 : g;
}

static int do_read(const char *name, const char *file)
{
	int fd = replica_open(name), out = dump_open(file), ret;
	struct cptdev_image_info info;
	uint64_t sum = SUM_START;
	unsigned long i;

	if (fd < 0 || out < 0)
		return fail("replica", fd < 0 ? fd : out);
	info = t_image_info(fd);
	if (!info.generation || !ledger_generation(fd))
		return fail("replica", -ENODATA);
	ret = check_layout(fd);
	if (ret)
		return fail("layout", ret);
	for (i = 0; !ret && i < NR_PIECES; i++)
		ret = read_piece(fd, &pieces[i], out, &sum);
	if (ret)
		return fail("reading", ret);
	if (t_image_info(fd).generation != info.generation)
		return fail("another generation, though it is frozen", -EILSEQ);
	printf("replica %llu sum %016llx term %llu promoted %d\n",
	       (unsigned long long)ledger_generation(fd), (unsigned long long)sum,
	       (unsigned long long)info.term, !!(info.state & CPTDEV_IMAGE_PROMOTED));
	return 0;
}

/* The program on the spare, which would take over. */
static int do_wait(const char *name)
{
	struct cptdev_replica_open arg = { .size = sizeof(arg), .flags = CPTDEV_REPLICA_CREATE };
	struct pollfd p = { .events = POLLPRI };
	int fd = t_open(), ret;

	if (fd < 0)
		return fail("device", fd);
	strncpy((char *)arg.name, name, sizeof(arg.name) - 1);
	ret = t_ioctl(fd, CPTDEV_IOC_REPLICA_OPEN, &arg);
	if (ret)
		return fail("replica", ret);
	p.fd = arg.fd;
	puts("waiting");
	if (poll(&p, 1, -1) != 1 || !(p.revents & POLLPRI))
		return fail("poll", -EIO);
	printf("promoted %llu\n", (unsigned long long)ledger_generation(arg.fd));
	return 0;
}

int main(int argc, char **argv)
{
	uint32_t flags = 0;
	char **arg;
	int opt;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((opt = getopt(argc, argv, "rg:p:")) > 0) {
		if (opt == 'r')
			flags |= CPTDEV_SESSION_REPLACE;
		else if (opt == 'g')
			gap_ms = strtoul(optarg, NULL, 0);
		else if (opt == 'p')
			pages_changed = strtoul(optarg, NULL, 0);
		else
			return 2;
	}
	argc -= optind;
	arg = argv + optind;
	if (argc == 3 && !strcmp(arg[0], "write")) {
		seed = strtoull(arg[2], NULL, 0);
		return do_write(arg[1], flags);
	}
	if (argc >= 3 && !strcmp(arg[0], "replay")) {
		seed = strtoull(arg[1], NULL, 0);
		return do_replay(strtoull(arg[2], NULL, 0), arg[3]);
	}
	if (argc >= 2 && !strcmp(arg[0], "read"))
		return do_read(arg[1], arg[2]);
	if (argc == 2 && !strcmp(arg[0], "wait"))
		return do_wait(arg[1]);
	fputs("usage: ledger write NAME SEED | replay SEED G [FILE] | read NAME [FILE] | wait NAME\n",
	      stderr);
	return 2;
}
