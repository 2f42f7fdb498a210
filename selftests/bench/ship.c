// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the store to the spare's answer, in instructions. As chain.c, but both daemons have the
 * module: the spare's writes into a replica. They run in one guest, so each hears the events of
 * the other's, too.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "bench.h"
#include "chain.h"

#define MIB_ALL		256
#define INSTR_PER_US	500.0		/* see bench/run: 2 ns for each */
#define ANSWER		52		/* bytes: a header and COMMITTED */

/* The costs of a checkpoint: all of it, as the program waits, and the processor of each daemon. */
struct cost {
	double whole, primary, spare;
	double pages;
};

static struct cost cost_of(int device)
{
	struct cost c = { .primary = cpu_us(&primary), .spare = cpu_us(&spare) };
	double at = now_us();

	c.pages = publish(device);
	c.whole = (now_us() - at) * INSTR_PER_US;
	c.primary = (cpu_us(&primary) - c.primary) * INSTR_PER_US;
	c.spare = (cpu_us(&spare) - c.spare) * INSTR_PER_US;
	return c;
}

/*
 * A bare TCP connection with as many bytes
 */

static void all(ssize_t (*call)(int fd, void *buf, size_t len, int flags), int fd, char *buf,
		size_t len)
{
	ssize_t n;

	for (; len; buf += n, len -= n) {
		n = call(fd, buf, len, 0);
		if (n <= 0)
			die("a bare connection: %s", n ? strerror(errno) : "closed");
	}
}

static ssize_t call_send(int fd, void *buf, size_t len, int flags)
{
	return send(fd, buf, len, flags);
}

static void echo(int fd, char *buf, size_t len)
{
	struct sched_param none = { 0 };

	sched_setscheduler(0, SCHED_OTHER, &none);
	for (;;) {
		all(recv, fd, buf, len);
		all(call_send, fd, buf, ANSWER);
	}
}

static void tcp_pair(int fd[2])
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int l = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	socklen_t len = sizeof(a);

	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(l, (struct sockaddr *)&a, len) || listen(l, 1) ||
	    getsockname(l, (struct sockaddr *)&a, &len) ||
	    connect(fd[0], (struct sockaddr *)&a, len))
		die("a bare connection: %s", strerror(errno));
	fd[1] = accept(l, NULL, NULL);
	setsockopt(fd[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	close(l);
}

static void measure_tcp(size_t len)
{
	struct figure f = { 0 };
	char *buf = calloc(1, len + ANSWER);
	unsigned int i;
	int fd[2];
	double at;
	pid_t pid;

	tcp_pair(fd);
	pid = fork();
	if (!pid)
		echo(fd[1], buf, len);
	for (i = 0; i <= rounds; i++) {
		at = now_us();
		all(call_send, fd[0], buf, len);
		all(recv, fd[0], buf, ANSWER);
		if (i)
			figure_add(&f, (now_us() - at) * INSTR_PER_US);
	}
	figure_print(&f, "instructions", "tcp_1page_instr");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(fd[0]);
	close(fd[1]);
	free(buf);
}

/*
 * COMMIT alone, as the daemon calls it; a daemon listens to its event. The replica has 64 MiB.
 */

#define BASE	(1ULL << 44)
#define CONTENT	(64 * MIB)

static void stage(int fd, uint64_t base, uint64_t generation, uint64_t at, uint64_t len)
{
	struct cptdev_segment seg = { .addr = BASE, .len = CONTENT, .kind = CPTDEV_SEGMENT_ANON };
	struct cptdev_replica_begin begin = {
		.size = sizeof(begin), .base = base, .generation = generation, .term = 1,
		.layout = (unsigned long)&seg, .layout_len = 1, .uuid = { 1 },
	};
	struct cptdev_extent e = {
		.addr = BASE + at, .len = len, .kind = CPTDEV_EXTENT_DATA,
	};
	struct cptdev_replica_stage arg = {
		.size = sizeof(arg), .vec = (unsigned long)&e, .vec_len = 1,
		.data = (unsigned long)t.m, .data_len = len,
	};
	int ret = t_ioctl(fd, CPTDEV_IOC_REPLICA_BEGIN, &begin);

	ret = ret ?: t_ioctl(fd, CPTDEV_IOC_REPLICA_STAGE, &arg);
	if (ret)
		die("the replica takes nothing: %s", strerror(-ret));
}

static double commit(int fd, uint64_t generation)
{
	struct cptdev_replica_commit arg = { .size = sizeof(arg), .generation = generation };
	double at = now_us();
	int ret = t_ioctl(fd, CPTDEV_IOC_REPLICA_COMMIT, &arg);

	if (ret)
		die("COMMIT: %s", strerror(-ret));
	return now_us() - at;
}

static int replica_open(int device, const char *name, uint32_t flags)
{
	struct cptdev_replica_open open = {
		.size = sizeof(open), .flags = flags | CPTDEV_REPLICA_WRITE,
	};

	strcpy((char *)open.name, name);
	if (t_ioctl(device, CPTDEV_IOC_REPLICA_OPEN, &open))
		die("no replica %s", name);
	return open.fd;
}

static void replica_remove(int fd)
{
	struct cptdev_replica_remove gone = { .size = sizeof(gone) };

	t_ioctl(fd, CPTDEV_IOC_REPLICA_REMOVE, &gone);
	close(fd);
}

static void measure_commit(void)
{
	int device = t_open(), fd = replica_open(device, "commit", CPTDEV_REPLICA_CREATE);
	struct figure f = { 0 };
	unsigned int i;

	stage(fd, 0, 1, 0, CONTENT);
	commit(fd, 1);
	for (i = 0; i <= rounds; i++) {
		stage(fd, i + 1, i + 2, i * 100 * PAGE, PAGE);
		if (i)
			figure_add(&f, commit(fd, i + 2));
		else
			commit(fd, i + 2);
	}
	figure_print(&f, "us", "commit_1page_us");
	replica_remove(fd);
	close(device);
}

/*
 * A program that works and takes 20 synchronous checkpoints a second: it writes to one page
 * after the other of one per cent, and computes in between, so that it writes to each of them
 * once between two checkpoints if nothing keeps it.
 */

#define PERIOD_US	50000.0
#define PERIODS		20

static void compute(unsigned long n)
{
	while (n--)
		__asm__ volatile("" : "+r" (n));
}

static unsigned long compute_steps(double us)
{
	double at = now_us();

	compute(1000000);
	return us * 1000000 / (now_us() - at);
}

/* Pages written in a second, with checkpoints if there is a @device. */
static double work(int device, unsigned long steps)
{
	double at = now_us(), next = at;
	unsigned int i;
	size_t n = 0;

	for (i = 0; i < PERIODS; i++) {
		for (next += PERIOD_US; now_us() < next; n++) {
			*(volatile uint64_t *)memory_at(t.list[n % t.nr_dirty]) = ++t.stamp;
			compute(steps);
		}
		if (device >= 0)
			publish(device);
	}
	return n / (now_us() - at) * 1e6;
}

static void measure_work(int device, const double *alone, unsigned long steps)
{
	struct figure f = { 0 };
	unsigned int i;

	work(device, steps);
	for (i = 0; i < rounds; i++)
		figure_add(&f, work(device, steps) / alone[i]);
	figure_print(&f, "ratio", "sync_throughput");
}

/*
 * A synchronous checkpoint of one page, as in a row of them: right after a large one, threads of the
 * kernel free what that one replaced, on the same processor.
 */
#define IN_A_ROW	9

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double cost_of_one_page(int device)
{
	double whole[IN_A_ROW];
	unsigned int i;

	for (i = 0; i < IN_A_ROW; i++) {
		*(volatile uint64_t *)memory_at(t.list[0]) = i;
		whole[i] = cost_of(device).whole;
	}
	qsort(whole, IN_A_ROW, sizeof(whole[0]), ascending);
	return whole[IN_A_ROW / 2];
}

static void measure_increments(int device, double *bytes)
{
	struct figure one = { 0 }, page = { 0 }, first = { 0 }, second = { 0 };
	struct cost few, many, c;
	unsigned int i;
	double whole;

	for (i = 0; i <= rounds; i++) {
		t.stamp++;
		memory_spread(RUN);
		memory_write();
		publish(device);
		whole = cost_of_one_page(device);
		*(volatile uint64_t *)memory_at(t.list[0]) = 0;
		*bytes = bytes_sent();
		few = cost_of(device);
		*bytes = bytes_sent() - *bytes;
		memory_spread(t.pages / 100);
		memory_write();
		many = cost_of(device);
		memory_spread(t.pages / 10);
		memory_write();
		c = cost_of(device);
		if (!i)
			continue;
		figure_add(&one, whole);
		figure_add(&page, (many.primary + many.spare - few.primary - few.spare) /
			   (many.pages - few.pages));
		figure_add(&first, c.primary / (c.pages * PAGE / MIB));
		figure_add(&second, c.spare / (c.pages * PAGE / MIB));
	}
	figure_print(&one, "instructions", "sync_1page_instr");
	figure_print(&page, "instructions", "ship_page_instr");
	figure_print(&first, "instructions", "daemon_mib_instr_primary");
	figure_print(&second, "instructions", "daemon_mib_instr_spare");
}

void ship_measure(void)
{
	double alone[MAX_ROUNDS], bytes;
	struct figure full = { 0 };
	unsigned long steps;
	struct cost c;
	unsigned int i;
	int device;

	memory_get(MIB_ALL * MIB / PAGE, false);
	memory_write_all();
	memory_spread(t.pages / 100);
	steps = compute_steps(PERIOD_US / t.nr_dirty);
	for (i = 0; i < rounds; i++)
		alone[i] = work(-1, steps);
	host_start(&spare, "module");
	sleep(1);
	measure_commit();
	host_start(&primary, "module");
	device = t_open();
	if (device < 0 || t_setup(device, "ship", 0, 0) || t_add(device, t.m, t.pages * PAGE))
		die("no session");
	/* Until the link is there a first generation waits; then everything, once. */
	publish(device);
	for (i = 0; i < 2; i++) {
		t.stamp++;
		memory_write_all();
		c = cost_of(device);
		if (i)
			figure_add(&full, (c.primary + c.spare) / c.pages);
	}
	figure_print(&full, "instructions", "full_page_instr");
	measure_increments(device, &bytes);
	measure_tcp(bytes);
	memory_spread(t.pages / 100);
	measure_work(device, alone, steps);
	close(device);
	memory_put();
	host_end(&primary);
	host_end(&spare);
	/* Or the module can't be unloaded. */
	device = t_open();
	replica_remove(replica_open(device, "ship", 0));
	close(device);
}
