// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Master and spare: programs of their own, as which this one starts itself. The oracle is
 * what the master says before it is killed: what it was told to be delivered must be there
 * on the spare, and all of it of one instant.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../hotspare.h"
#include "../clock.h"
#include "program.h"

#define CLASS	3
#define CELLS	64			/* of a page each */
#define PAGE	4096
#define LARGE	(2UL << 20)
#define PIPES	4			/* at most */

/*
 * The program: it counts, in all its threads. Outside of sections that hold checkpoints off
 * all cells are equal, and each thing has its sum.
 */

struct thing {
	struct thing *next;
	unsigned long sum;
	size_t len;
	unsigned char data[];
};

struct cells {
	pthread_mutex_t lock;
	struct {
		unsigned long count;
		char rest[PAGE - sizeof(unsigned long)];
	} v[CELLS];
	struct thing *things;		/* that come and go */
	char *large;			/* its memory goes back to the system when it goes */
	int flags;			/* of hs_cpt() */
	unsigned long limit;		/* after which it ends */
	unsigned int low;		/* descriptors that are registered */
	int pair[2], epoll;		/* pair[1] is in it */
};

static unsigned long sum_of(const unsigned char *p, size_t len)
{
	unsigned long sum = 1;

	while (len--)
		sum = sum * 31 + *p++;
	return sum;
}

static void check_cells(struct cells *c)
{
	const struct thing *t;
	int i;

	pthread_mutex_lock(&c->lock);
	for (i = 1; i < CELLS; i++)
		CHECK(c->v[i].count == c->v[0].count);
	for (t = c->things; t; t = t->next)
		CHECK(t->sum == sum_of(t->data, t->len));
	pthread_mutex_unlock(&c->lock);
	CHECK(!hs_malloc_check(CLASS));
}

/* One more; and the one that came twenty before goes. */
static void change_things(struct cells *c)
{
	size_t len = (size_t)(c->v[0].count % 9 * 700), i;
	struct thing **at = &c->things, *t;
	int n;

	t = hs_malloc(CLASS, sizeof(*t) + len);
	CHECK(t);
	for (i = 0; i < len; i++)
		t->data[i] = (unsigned char)(c->v[0].count + i);
	t->next = c->things;
	t->len = len;
	t->sum = sum_of(t->data, len);
	c->things = t;
	for (n = 0; *at && n < 20; n++)
		at = &(*at)->next;
	t = *at;
	if (t) {
		*at = t->next;
		hs_free(CLASS, t);
	}
}

static void change_large(struct cells *c)
{
	if (c->v[0].count % 4) {
		hs_free(CLASS, c->large);
		c->large = NULL;
	} else if (!c->large) {
		c->large = hs_malloc(CLASS, LARGE);
		CHECK(c->large);
		memset(c->large, 1, LARGE);
	}
}

/* Whoever sees it half done sees it. */
static unsigned long step(struct cells *c)
{
	unsigned long now;
	int i;

	hs_hold();
	pthread_mutex_lock(&c->lock);
	for (i = 0; i < CELLS / 2; i++)
		c->v[i].count++;
	change_things(c);
	change_large(c);
	for (; i < CELLS; i++)
		c->v[i].count++;
	now = c->v[0].count;
	pthread_mutex_unlock(&c->lock);
	hs_release();
	return now;
}

static void register_events(struct cells *c)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 4711 };

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, c->pair));
	c->epoll = epoll_create1(EPOLL_CLOEXEC);
	CHECK(c->epoll >= 0 && !epoll_ctl(c->epoll, EPOLL_CTL_ADD, c->pair[1], &event));
	CHECK(!hs_fdreg_pair(c->pair[0], c->pair[1]) && !hs_fdreg(c->epoll));
}

/* What goes in at one end comes out at the other, and the epoll set tells. */
static void check_events(const struct cells *c)
{
	struct epoll_event event;
	char byte;

	CHECK(write(c->pair[0], "x", 1) == 1);
	CHECK(epoll_wait(c->epoll, &event, 1, 1000) == 1 && event.data.u64 == 4711);
	CHECK(read(c->pair[1], &byte, 1) == 1 && byte == 'x');
}

/* When one is taken, all but those before it that pipes may be busy with were delivered. */
static unsigned long delivered_before(unsigned long now)
{
	static unsigned long taken[PIPES + 1];

	memmove(taken + 1, taken, PIPES * sizeof(*taken));
	taken[0] = now;
	return taken[PIPES];
}

/* Each step is told when it is delivered. After the restart: from where it goes on. */
static void work(void *arg)
{
	struct cells *c = arg;
	unsigned long now;
	int n;

	check_cells(c);
	for (n = 3; n < 12; n++)
		CHECK(!(c->low & 1U << n) || fcntl(n, F_GETFD) >= 0);
	check_events(c);
	if (c->v[0].count)
		tell("on", c->v[0].count);
	while (c->v[0].count < c->limit) {
		now = step(c);
		if (!hs_cpt(c->flags)) {
			tell("has", c->flags & HSCPT_ASYNC ? delivered_before(now) : now);
		} else if (errno != EAGAIN) {
			fprintf(stderr, "# %s\n", hs_error());
			tell("failed", (unsigned long)errno);
			usleep(20000);
		}
	}
	if (hs_stop())
		tell("failed", (unsigned long)errno);
	tell("end", c->v[0].count);
	exit(0);
}

/* Another that changes the same, as fast as it can. */
static void disturb(void *arg)
{
	for (;;)
		step(arg);
}

static void *disturb_thread(void *arg)
{
	disturb(arg);
	return NULL;
}

static int program(int argc, char **argv)
{
	struct cells *c;
	pthread_t id;
	int n;

	open_out();
	if (*setting("DETECT"))
		hs_det_reg(hs_det_file, (void *)setting("DETECT"));
	n = hs_init(argc, argv);
	if (n < 0)
		return 3;
	CHECK(!strcmp(argv[n], "--"));
	CHECK(!*setting("WHERE") || !chdir(setting("WHERE")));
	CHECK(!hs_malloc_create(CLASS, 1 << 20));
	c = hs_calloc(CLASS, 1, sizeof(*c));
	CHECK(c);
	c->flags = atoi(setting("FLAGS"));
	c->limit = strtoul(setting("LIMIT"), NULL, 0);
	pthread_mutex_init(&c->lock, NULL);
	CHECK(!hs_threadreg(work, c));
	register_events(c);
	/* Low numbers, which the spare has in use itself. */
	for (n = 3; n < 12; n++) {
		if (fcntl(n, F_GETFD) >= 0)
			continue;
		CHECK(dup2(OUT_FD, n) == n && !hs_fdreg(n));
		c->low |= 1U << n;
	}
	if (*setting("THREADS")) {
		CHECK(!hs_threadreg(disturb, c));
		CHECK(!pthread_create(&id, NULL, disturb_thread, c));
	}
	work(c);
	return 0;
}

/*
 * The test
 */

static bool alone;			/* in a network of our own */

static void what_was_delivered_survives(void **state)
{
	unsigned long n;
	pid_t spare, master;
	int i;

	(void)state;
	if (!fixed_addresses())
		skip();
	/* whole, increments, more than one thread */
	for (i = 0; i < 9; i++) {
		clean(NULL);
		spare = start("spare", "-s");
		master = start("master", "-m", "-a", "127.0.0.1", "LIMIT=10000000",
			       i % 3 ? "FLAGS=2" : "FLAGS=0", i % 3 == 2 ? "THREADS=1" : "THREADS=");
		wait_for("master", "has", 20);
		rest((unsigned int)i * 13);
		kill_off(master);
		n = last("master", "has");
		wait_for("spare", "on", 1);
		assert_true(last("spare", "on") >= n);
		if (i % 3 != 2)
			assert_true(last("spare", "on") <= n + 1);
		/* It goes on for a while, and would end if it found something wrong. */
		rest(200);
		kill_off(spare);
	}
}

static void it_goes_back_and_forth(void **state)
{
	const char *const out[] = { "first", "second", "third", "fourth" };
	unsigned long n = 0;
	pid_t master, spare;
	int i;

	(void)state;
	if (!fixed_addresses())
		skip();
	master = start(out[0], "-m", "-a", "127.0.0.1", "FLAGS=2", "LIMIT=10000000");
	for (i = 1; i < 4; i++) {
		/* The master finds it by itself. */
		spare = start(out[i], "-s", "-a", "127.0.0.1");
		wait_for(out[i - 1], "has", n + 50);
		kill_off(master);
		n = last(out[i - 1], "has");
		wait_for(out[i], "on", n);
		master = spare;
	}
	kill_off(master);
}

static void asynchronous_ones_come_in_their_order(void **state)
{
	pid_t spare, master;

	(void)state;
	if (!fixed_addresses())
		skip();
	spare = start("spare", "-s");
	wait_for_spare();
	master = start("master", "-m", "-a", "127.0.0.1", "-n", "4", "FLAGS=3", "LIMIT=3000",
		       "THREADS=1", "DETECT=");
	assert_int_equal(end_of(master), 0);
	assert_true(last("master", "end") >= 3000);
	assert_int_equal(last("master", "failed"), 0);
	/* The master has ended, and told so. */
	assert_int_equal(end_of(spare), 0);
	assert_int_equal(last("spare", "on"), 0);

	spare = start("spare", "-s");
	master = start("other", "-m", "-a", "127.0.0.1", "-n", "3", "FLAGS=3", "LIMIT=10000000");
	wait_for("other", "has", 20);
	kill_off(master);
	wait_for("spare", "on", last("other", "has"));
	kill_off(spare);
}

/* Where it is matters less than that it goes on. */
static void a_directory_that_is_gone_keeps_nobody(void **state)
{
	pid_t spare, master;
	unsigned long n;

	(void)state;
	if (!fixed_addresses())
		skip();
	assert_int_equal(mkdir("where", 0700), 0);
	spare = start("spare", "-s");
	master = start("master", "-m", "-a", "127.0.0.1", "FLAGS=2", "LIMIT=10000000", "WHERE=where");
	wait_for("master", "has", 10);
	kill(spare, SIGSTOP);
	kill_off(master);
	assert_int_equal(rename("where", "elsewhere"), 0);
	kill(spare, SIGCONT);
	n = last("master", "has");
	wait_for("spare", "on", n);
	kill_off(spare);
}

static void a_spare_may_come_and_go(void **state)
{
	pid_t spare, master;
	unsigned long n;

	(void)state;
	if (!fixed_addresses())
		skip();
	master = start("master", "-m", "-a", "127.0.0.1", "FLAGS=2", "LIMIT=10000000");
	wait_for("master", "failed", 1);
	spare = start("spare", "-s");
	wait_for("master", "has", 1);
	kill_off(spare);
	rest(200);
	spare = start("spare", "-s");
	n = last("master", "has");
	wait_for("master", "has", n + 20);
	kill_off(master);
	n = last("master", "has");
	wait_for("spare", "on", n);
	kill_off(spare);
}

static void a_function_says_when_the_master_is_dead(void **state)
{
	pid_t spare, master;
	int fd;

	(void)state;
	if (!fixed_addresses())
		skip();
	spare = start("spare", "-s", "DETECT=dead");
	master = start("master", "-m", "-a", "127.0.0.1", "FLAGS=2", "LIMIT=10000000");
	wait_for("master", "has", 10);
	kill_off(master);
	/* The connection is gone, but it isn't asked. */
	rest(600);
	assert_int_equal(last("spare", "on"), 0);
	fd = open("dead", O_CREAT | O_WRONLY, 0600);
	close(fd);
	wait_for("spare", "on", 10);
	assert_int_equal(access("dead", F_OK), -1);
	kill_off(spare);
}

/* Each has a cptdevd of its own, which doesn't stop with it. */
static void one_that_hangs_is_taken_over_from(void **state)
{
	pid_t spare, master;

	(void)state;
	if (!fixed_addresses())
		skip();
	spare = start("spare", "-s", "-w", "2");
	master = start("master", "-m", "-a", "127.0.0.1", "-w", "2", "FLAGS=2", "LIMIT=10000000");
	wait_for("master", "has", 10);
	assert_int_equal(kill(master, SIGSTOP), 0);
	wait_for("spare", "on", last("master", "has"));
	kill_off(master);
	kill_off(spare);
}

/* Connections to it are neither accepted nor refused. Returns its address. */
static struct sockaddr_in silent_host(void)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0), i;

	CHECK(!bind(fd, (struct sockaddr *)&addr, len) && !listen(fd, 0));
	CHECK(!getsockname(fd, (struct sockaddr *)&addr, &len));
	for (i = 0; i < 4; i++) {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fd, (struct sockaddr *)&addr, len);
	}
	return addr;
}

/* By what it says: to wait for it takes a minute, and is told as something else. */
static void a_host_that_says_nothing_keeps_nobody(void **state)
{
	struct sockaddr_in addr;
	pid_t pid;
	int i;

	(void)state;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		addr = silent_host();
		hs_set_timeout(60);
		CHECK(!hs_cpipe_init(1) && !hs_cpipe_loadtcp4(&addr));
		for (i = 0; i < 10; i++) {
			CHECK(hs_cpt(0) == -1 && errno == ENOTCONN);
			CHECK(strstr(hs_error(), "isn't attached"));
		}
		_exit(0);
	}
	assert_int_equal(end_of(pid), 0);
}

static bool set(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);

	if (fd >= 0)
		close(fd);
	return done;
}

/* In a network of our own, where hosts can be made deaf. */
static void a_host_that_does_not_answer_is_dead(void **state)
{
	(void)state;
	if (!alone || !set("/proc/sys/net/ipv4/ping_group_range", "1 0"))
		skip();
	/* It can't be asked. */
	assert_int_equal(hs_det_ping4((char []) { "127.0.0.1" }), 0);
	assert_true(set("/proc/sys/net/ipv4/ping_group_range", "0 0"));
	assert_int_equal(hs_det_ping4((char []) { "127.0.0.1" }), 0);
	assert_int_equal(hs_det_ping6((char []) { "::1" }), 0);
	assert_true(set("/proc/sys/net/ipv4/icmp_echo_ignore_all", "1"));
	assert_int_not_equal(hs_det_ping4((char []) { "127.0.0.1" }), 0);
	assert_int_equal(hs_det_ping6((char []) { "::1" }), 0);
	assert_true(set("/proc/sys/net/ipv6/icmp/echo_ignore_all", "1"));
	assert_int_not_equal(hs_det_ping6((char []) { "::1" }), 0);
	/* No address at all. */
	assert_int_equal(hs_det_ping4((char []) { "nonsense" }), 0);
}

static void it_begins_as_files_were(void **state)
{
	unsigned long n, i;
	struct stat st;
	pid_t master;
	char name[64];

	(void)state;
	if (!fixed_addresses())
		skip();
	master = start("master", "-m", "-f", "image", "FLAGS=2", "LIMIT=10000000");
	wait_for("master", "has", 20);
	kill_off(master);
	n = last("master", "has");
	/* One whole, and increments. */
	assert_int_equal(stat("image", &st), 0);
	assert_int_equal(stat("image.20", &st), 0);
	master = start("again", "-m", "-r", "image");
	wait_for("again", "on", n);
	assert_true(last("again", "on") <= n + 1);
	kill_off(master);

	/* A damaged one is refused, by name. */
	snprintf(name, sizeof(name), "image.%lu", n / 2);
	assert_int_equal(truncate(name, 100), 0);
	assert_int_equal(end_of(start("again", "-m", "-r", "image")), 3);
	/* Without it the rest makes no sense. */
	assert_int_equal(unlink(name), 0);
	assert_int_equal(end_of(start("again", "-m", "-r", "image")), 3);
	for (i = n / 2 + 1; i <= n + 1; i++) {
		snprintf(name, sizeof(name), "image.%lu", i);
		unlink(name);
	}
	master = start("third", "-m", "-r", "image");
	wait_for("third", "on", n / 2 - 1);
	assert_int_equal(last("third", "on"), n / 2 - 1);
	kill_off(master);

	/* Who goes on as the files were can go on with them. */
	master = start("on", "-m", "-r", "image", "-f", "image");
	wait_for("on", "has", n / 2 + 20);
	kill_off(master);
	master = start("more", "-m", "-r", "image", "-f", "image");
	wait_for("more", "on", last("on", "has"));
	kill_off(master);

	/* A whole one takes their place, and the increments away. */
	master = start("fourth", "-m", "-f", "image", "FLAGS=0", "LIMIT=3");
	assert_int_equal(end_of(master), 0);
	assert_int_equal(stat("image.2", &st), -1);
	assert_int_equal(end_of(start("fifth", "-m", "-r", "image")), 0);
	assert_int_equal(last("fifth", "on"), 3);
}

static void wrong_arguments_are_told(void **state)
{
	const struct rlimit little = { 1 << 20, RLIM_INFINITY }, none = { RLIM_INFINITY, RLIM_INFINITY };

	(void)state;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	assert_int_equal(end_of(start("out", "-s")), 3);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_int_equal(end_of(start("out", "-q")), 3);
	assert_int_equal(end_of(start("out", "-a", "127.0.0.1")), 3);
	assert_int_equal(end_of(start("out", "-m", "-s")), 3);
	assert_int_equal(end_of(start("out", "-m", "-a", "no.such.host.invalid")), 3);
	assert_int_equal(end_of(start("out", "-m", "-a", "0.0.0.0")), 3);
	assert_int_equal(end_of(start("out", "-s", "-p", "0")), 3);
	assert_int_equal(end_of(start("out", "-m", "-n", "65")), 3);
	assert_int_equal(end_of(start("out", "-m", "-n", "2x")), 3);
	assert_int_equal(end_of(start("out", "-s", "-r", "image")), 3);
	assert_int_equal(end_of(start("out", "-m", "-r", "no-such-file")), 3);
	assert_int_equal(hs_cpt(4), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(hs_cpt(0), -1);
	assert_int_equal(errno, ENOENT);
	assert_non_null(strstr(hs_error(), "no pipe"));
	assert_int_equal(hs_cpipe_load(1), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(hs_cpipe_init(0), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(hs_cpipe_init(1), 0);
	assert_int_equal(hs_cpipe_init(1), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(hs_cpipe_load(987), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(hs_cpipe_loadfile(""), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(hs_cpipe_loadfile("/no/such/directory"), -1);
	assert_int_equal(errno, ENOENT);
	hs_hold();
	hs_hold();
	assert_int_equal(hs_cpt(0), -1);
	assert_int_equal(errno, EDEADLK);
	hs_release();
	hs_release();
}

/* A disk of our own, of which nobody else sees anything. */
static bool mount_little_disk(void)
{
	return !unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
		!mount("none", "disk", "tmpfs", 0, "size=256k");
}

/* A disk is full: what was delivered stays. */
static void what_cannot_be_written_is_told(void **state)
{
	struct stat st;
	bool little;
	int i;

	(void)state;
	assert_int_equal(mkdir("disk", 0700), 0);
	little = mount_little_disk();
	assert_int_equal(hs_cpipe_loadfile("disk/image"), 0);
	assert_int_equal(hs_cpipe_loadfile("disk/image"), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(hs_cpt(0), 0);
	if (!little)
		skip();
	assert_int_equal(stat("disk/image", &st), 0);
	assert_int_equal(hs_malloc_create(CLASS, 1 << 20), 0);
	memset(hs_malloc(CLASS, 1 << 19), 1, 1 << 19);
	for (i = 0; i < 3; i++) {
		assert_int_equal(hs_cpt(i ? HSCPT_INCR : 0), -1);
		assert_int_equal(errno, ENOSPC);
		assert_non_null(strstr(hs_error(), "the checkpoint can't be written"));
	}
	assert_int_equal(hs_cpt(HSCPT_ASYNC), 0);
	assert_int_equal(hs_cpt_wait(), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(hs_cpt_wait(), 0);
	assert_int_equal(stat("disk/image", &st), 0);
	assert_true(st.st_size > 0 && st.st_size < 1 << 16);
	assert_int_equal(mount("none", "disk", "tmpfs", MS_REMOUNT, "size=2m"), 0);
	assert_int_equal(hs_cpt(HSCPT_INCR), 0);
	assert_int_equal(stat("disk/image", &st), 0);
	assert_true(st.st_size > 1 << 19);
	/* No file of another name is left. */
	assert_int_equal(system("test $(ls disk | wc -l) = 1"), 0);
	assert_int_equal(umount("disk"), 0);
	assert_int_equal(rmdir("disk"), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(what_was_delivered_survives, clean),
		cmocka_unit_test_teardown(it_goes_back_and_forth, clean),
		cmocka_unit_test_teardown(asynchronous_ones_come_in_their_order, clean),
		cmocka_unit_test_teardown(a_directory_that_is_gone_keeps_nobody, clean),
		cmocka_unit_test_teardown(a_spare_may_come_and_go, clean),
		cmocka_unit_test_teardown(a_function_says_when_the_master_is_dead, clean),
		cmocka_unit_test_teardown(one_that_hangs_is_taken_over_from, clean),
		cmocka_unit_test(a_host_that_does_not_answer_is_dead),
		cmocka_unit_test(a_host_that_says_nothing_keeps_nobody),
		cmocka_unit_test_teardown(it_begins_as_files_were, clean),
		cmocka_unit_test_teardown(wrong_arguments_are_told, clean),
		cmocka_unit_test_teardown(what_cannot_be_written_is_told, clean),
	};
	char dir[] = "/tmp/hotspare-pair-test.XXXXXX";
	int ret;

	if (is_program())
		return program(argc, argv);
	self = realpath("/proc/self/exe", NULL);
	alone = own_network();
	snprintf(port, sizeof(port), "%d", own_port());
	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (chdir("/") || rmdir(dir))
		printf("# %s: %s\n", dir, strerrorname_np(errno));
	return ret;
}
