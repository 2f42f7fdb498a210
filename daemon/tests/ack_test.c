// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ACK, WAIT and the session page of the soft engine: what the daemon says, and what the program
 * sees of it. The engine runs in a thread of this process, the program uses libckdev.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "boottime.h"
#include "internal.h"
#include "soft.h"
#include "softwire.h"

#define BASE	0x200000000000UL
#define PAGE	4096UL
#define MS	NSEC_PER_MSEC

struct world {
	struct soft soft;
	pthread_mutex_t lock;
	pthread_t thread;
	bool over;
	u32 hung;			/* events */
	char dir[64];
	char path[80];
	int fd;				/* the program's */
	int dev;			/* the daemon's */
	u64 id;
	const struct cptdev_session_page *page;
};

static void seen(const struct kernel_event *ev, void *arg)
{
	struct world *w = arg;

	w->hung += ev->cmd == CPTDEV_CMD_SESSION_HUNG_NTF;
	if (ev->session)
		w->id = ev->session->id;
}

static void *pump(void *arg)
{
	struct world *w = arg;
	struct kernel *k = &w->soft.kernel;
	struct pollfd pfd = { .fd = k->ops->listen(k), .events = POLLIN };

	while (!__atomic_load_n(&w->over, __ATOMIC_RELAXED)) {
		poll(&pfd, 1, 10);
		pthread_mutex_lock(&w->lock);
		k->ops->events(k, seen, w);
		pthread_mutex_unlock(&w->lock);
	}
	return NULL;
}

/* As the daemon says it, on a descriptor of its own or on the one that is attached. */
static int ack_full(struct world *w, struct cptdev_ack *arg)
{
	struct kernel *k = &w->soft.kernel;
	int ret;

	arg->size = sizeof(*arg);
	pthread_mutex_lock(&w->lock);
	arg->session_id = w->id;
	ret = k->ops->ioctl(k, w->dev, CPTDEV_IOC_ACK, arg);
	pthread_mutex_unlock(&w->lock);
	return ret;
}

static int ack(struct world *w, u32 flags, u64 generation, u64 lease)
{
	struct cptdev_ack arg = {
		.flags = flags, .generation = generation, .lease_until_ns = lease,
	};

	return ack_full(w, &arg);
}

static void attach_from(struct world *w, u64 since)
{
	struct kernel *k = &w->soft.kernel;
	int fd;

	pthread_mutex_lock(&w->lock);
	fd = kernel_delta(k, w->dev, w->id, since, 0);
	if (fd >= 0)
		k->ops->close(k, fd);
	pthread_mutex_unlock(&w->lock);
}

static void attach(struct world *w)
{
	attach_from(w, 0);
}

static u64 publish(struct world *w, u64 base)
{
	static const u8 page[PAGE] = { 1 };
	const struct cptdev_segment layout = {
		.addr = BASE, .len = PAGE, .kind = CPTDEV_SEGMENT_ANON, .prot = 3,
	};
	struct cptdev_extent e = { .addr = BASE, .len = PAGE, .kind = CPTDEV_EXTENT_DATA };
	struct ckdev_soft_delta d = {
		.size = sizeof(d), .memfd = memfd_create("delta", MFD_ALLOW_SEALING | MFD_CLOEXEC),
		.base = base, .extents = &e, .nr_extents = 1, .layout = &layout, .nr_segments = 1,
	};

	assert_int_equal(pwrite(d.memfd, page, PAGE, 0), PAGE);
	assert_int_equal(ckdev_soft_publish(w->fd, &d), 0);
	close(d.memfd);
	return d.generation;
}

static int wait_state(struct world *w, u64 generation, u64 timeout_ns, u32 *state)
{
	struct cptdev_wait arg = {
		.size = sizeof(arg), .generation = generation, .timeout_ns = timeout_ns,
		.state = ~0U,
	};
	int ret;

	arg.state = 0;
	ret = ckdev_ioctl(w->fd, CPTDEV_IOC_WAIT, &arg);
	*state = arg.state;
	return ret;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct kernel *k;

	strcpy(w->dir, "/tmp/cptdev-ack.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/programs", w->dir);
	pthread_mutex_init(&w->lock, NULL);
	assert_int_equal(soft_open(&w->soft, 1 << 24), 0);
	assert_int_equal(soft_programs_open(&w->soft, w->path), 0);
	k = &w->soft.kernel;
	w->dev = k->ops->open(k);
	assert_int_equal(pthread_create(&w->thread, NULL, pump, w), 0);
	w->fd = ckdev_soft_open(w->path);
	assert_true(w->fd >= 0);
	assert_int_equal(ckdev_session(w->fd, "kv", 0, 0, 0), 0);
	while (!__atomic_load_n(&w->id, __ATOMIC_RELAXED))
		usleep(1000);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	close(w->fd);
	__atomic_store_n(&w->over, true, __ATOMIC_RELAXED);
	pthread_join(w->thread, NULL);
	soft_close(&w->soft);
	rmdir(w->dir);
	free(w);
	return 0;
}

static void page_map(struct world *w)
{
	int fd = ckdev_soft_session_page(w->fd, 0);

	assert_true(fd >= 0);
	w->page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(w->page, MAP_FAILED);
	close(fd);
}

static void flags_and_fields_have_to_go_together(void **state)
{
	struct world *w = *state;

	publish(w, 0);
	assert_int_equal(ack(w, 0, 0, 0), -EINVAL);
	assert_int_equal(ack(w, 1U << 7, 0, 0), -EOPNOTSUPP);
	assert_int_equal(ack(w, 0, 1, 0), -EINVAL);		/* not attached */
	assert_int_equal(ack(w, CPTDEV_ACK_DETACH, 0, 0), -EINVAL);
	assert_int_equal(ack(w, CPTDEV_ACK_LEASE, 1, 5), -EINVAL);
	assert_int_equal(ack(w, CPTDEV_ACK_ALONE, 2, 0), -EINVAL);	/* not published */
	assert_int_equal(ack(w, CPTDEV_ACK_WANT, 1, 0), -EINVAL);
	assert_int_equal(ack(w, CPTDEV_ACK_BLOCK, 1, 0), -EINVAL);
	assert_int_equal(ack(w, CPTDEV_ACK_ALONE, 0, 5), -EINVAL);	/* a lease without LEASE */
	assert_int_equal(ack(w, CPTDEV_ACK_BLOCK | CPTDEV_ACK_UNBLOCK, 0, 0), -EINVAL);
	attach(w);
	assert_int_equal(ack(w, 0, 2, 0), -EINVAL);
	assert_int_equal(ack(w, CPTDEV_ACK_LEASE, 1, 5), 0);
	assert_int_equal(ack(w, CPTDEV_ACK_DETACH, 0, 0), 0);
	w->id++;
	assert_int_equal(ack(w, CPTDEV_ACK_WANT, 0, 0), -ENOENT);
	w->id--;
}

static void a_generation_counts_only_while_the_lease_lasts(void **state)
{
	struct world *w = *state;
	u32 st;

	page_map(w);
	publish(w, 0);
	attach(w);
	assert_int_equal(ack(w, CPTDEV_ACK_LEASE, 1, 1), 0);
	assert_int_equal(wait_state(w, 1, 0, &st), -ETIMEDOUT);
	assert_int_equal(w->page->committed, 1);
	assert_int_equal(w->page->lease_until_ns, 1);
	assert_int_equal(ack(w, CPTDEV_ACK_LEASE, 0, clock_mono() + 60 * NSEC_PER_SEC), 0);
	assert_int_equal(wait_state(w, 1, 0, &st), 0);
	/* It never moves backwards, but out of use. */
	assert_int_equal(ack(w, CPTDEV_ACK_LEASE, 0, 1), 0);
	assert_true(w->page->lease_until_ns > 1);
	assert_int_equal(wait_state(w, 1, 0, &st), 0);
	assert_int_equal(ack(w, CPTDEV_ACK_LEASE, 0, 0), 0);
	assert_int_equal(w->page->lease_until_ns, 0);
	assert_int_equal(ack(w, CPTDEV_ACK_LEASE, 0, 1), 0);
	assert_int_equal(wait_state(w, 1, 0, &st), -ETIMEDOUT);
	/* A fence comes before: what may not be acknowledged now never will be. */
	assert_int_equal(ack(w, CPTDEV_ACK_FENCED, 0, 0), 0);
	assert_int_equal(wait_state(w, 1, 0, &st), -ESTALE);
	assert_int_equal(st, CPTDEV_STATE_FENCED);
	assert_int_equal(w->page->flags, CPTDEV_STATE_FENCED);
}

struct waiter {
	struct world *w;
	u64 generation;
	u32 state;
	int ret;
};

static void *waits(void *arg)
{
	struct waiter *x = arg;

	x->ret = wait_state(x->w, x->generation, 5 * NSEC_PER_SEC, &x->state);
	return NULL;
}

static void a_lease_that_goes_on_ends_the_wait(void **state)
{
	struct world *w = *state;
	struct waiter x = { .w = w, .generation = 1, .ret = 1 };
	pthread_t t;

	publish(w, 0);
	attach(w);
	assert_int_equal(ack(w, CPTDEV_ACK_LEASE, 1, 1), 0);
	assert_int_equal(pthread_create(&t, NULL, waits, &x), 0);
	usleep(50000);
	assert_int_equal(x.ret, 1);
	assert_int_equal(ack(w, CPTDEV_ACK_LEASE, 0, clock_mono() + 60 * NSEC_PER_SEC), 0);
	pthread_join(t, NULL);
	assert_int_equal(x.ret, 0);
}

static void a_block_ends_with_an_unblock_only(void **state)
{
	struct world *w = *state;
	u32 st;

	page_map(w);
	publish(w, 0);
	attach(w);
	assert_int_equal(ack(w, CPTDEV_ACK_BLOCK, 0, 0), 0);
	assert_int_equal(ack(w, 0, 1, 0), 0);
	assert_int_equal(wait_state(w, 1, 0, &st), -ETIMEDOUT);
	assert_int_equal(st, CPTDEV_STATE_BLOCKED);
	assert_int_equal(w->page->flags, CPTDEV_STATE_BLOCKED);
	assert_int_equal(ack(w, CPTDEV_ACK_UNBLOCK, 0, 0), 0);
	assert_int_equal(wait_state(w, 1, 0, &st), 0);
	assert_int_equal(st, 0);
}

static void alone_is_said_until_a_spare_has_something(void **state)
{
	struct world *w = *state;
	u32 st;

	publish(w, 0);
	publish(w, 1);
	attach_from(w, 0);
	assert_int_equal(ack(w, CPTDEV_ACK_ALONE, 2, 0), 0);
	/* A spare that is behind that. */
	assert_int_equal(ack(w, 0, 1, 0), 0);
	assert_int_equal(wait_state(w, 2, 0, &st), 0);
	assert_int_equal(st, CPTDEV_STATE_ALONE);
	publish(w, 2);
	assert_int_equal(wait_state(w, 3, 0, &st), -ETIMEDOUT);
	assert_int_equal(ack(w, CPTDEV_ACK_LEASE, 0, 0), 0);
	assert_int_equal(wait_state(w, 1, 0, &st), 0);
	assert_int_equal(st, CPTDEV_STATE_ALONE);
	assert_int_equal(ack(w, 0, 3, 0), 0);
	assert_int_equal(wait_state(w, 3, 0, &st), 0);
	assert_int_equal(st, 0);
}

static void what_is_wanted_is_told_until_it_is_published(void **state)
{
	struct world *w = *state;
	struct pollfd pfd = { .fd = w->fd, .events = POLLIN };
	u32 st;

	page_map(w);
	publish(w, 0);
	assert_int_equal(wait_state(w, 0, 0, &st), -ETIMEDOUT);
	assert_int_equal(poll(&pfd, 1, 0), 0);
	assert_int_equal(ack(w, CPTDEV_ACK_WANT, 0, 0), 0);
	assert_int_equal(poll(&pfd, 1, 1000), 1);
	assert_int_equal(wait_state(w, 0, 0, &st), -ETIMEDOUT);
	assert_int_equal(st, CPTDEV_STATE_WANTED);
	assert_int_equal(w->page->flags, CPTDEV_STATE_WANTED);
	publish(w, 1);
	assert_int_equal(wait_state(w, 0, 0, &st), -ETIMEDOUT);
	assert_int_equal(st, 0);
	assert_int_equal(w->page->flags, 0);
}

static int hold_off(struct world *w, u64 id, u64 until)
{
	int ret;

	pthread_mutex_lock(&w->lock);
	ret = kernel_hold_off(&w->soft.kernel, id, until);
	pthread_mutex_unlock(&w->lock);
	return ret;
}

/* Of a program that has said that it looks; while they are, none is wanted. */
static void checkpoints_are_held_off_on_the_page(void **state)
{
	const u64 until = clock_mono() + 3600 * NSEC_PER_SEC;
	struct world *w = *state;
	const struct soft_page_content *content;
	int fd;

	page_map(w);
	content = (const void *)w->page;
	assert_int_equal(hold_off(w, w->id, until), -EOPNOTSUPP);
	assert_int_equal(content->held_off_until_ns, 0);
	fd = ckdev_soft_session_page(w->fd, SOFT_PAGE_HEEDED);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(hold_off(w, w->id + 1, until), -ENOENT);
	assert_int_equal(ack(w, CPTDEV_ACK_WANT, 0, 0), 0);
	assert_int_equal(w->page->flags, CPTDEV_STATE_WANTED);
	assert_int_equal(hold_off(w, w->id, until), 0);
	assert_int_equal(content->held_off_until_ns, until);
	assert_int_equal(w->page->flags, 0);
	assert_int_equal(hold_off(w, w->id, 0), 0);
	assert_int_equal(content->held_off_until_ns, 0);
	assert_int_equal(w->page->flags, CPTDEV_STATE_WANTED);
	assert_int_equal(ckdev_soft_session_page(w->fd, SOFT_PAGE_HEEDED << 1), -EOPNOTSUPP);
}

/* Whatever a program does with the page's descriptor: it can only read. */
static void the_page_cannot_be_written_to(void **state)
{
	struct world *w = *state;
	int fd = ckdev_soft_session_page(w->fd, 0), again;
	char path[64];

	assert_true(fd >= 0);
	assert_ptr_equal(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 2 * PAGE), -1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	if (again >= 0) {
		assert_int_equal(pwrite(again, "x", 1, 0), -1);
		assert_ptr_equal(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, again, 0), MAP_FAILED);
		close(again);
	}
	close(fd);
	page_map(w);
	assert_int_equal(mprotect((void *)w->page, PAGE, PROT_READ | PROT_WRITE), -1);
	assert_int_equal(w->page->size, sizeof(*w->page));
}

static int alive(struct world *w, u64 timeout_ns)
{
	struct cptdev_session_alive arg = { .size = sizeof(arg), .timeout_ns = timeout_ns };

	return ckdev_ioctl(w->fd, CPTDEV_IOC_SESSION_ALIVE, &arg);
}

static u32 hung_events(struct world *w)
{
	return __atomic_load_n(&w->hung, __ATOMIC_RELAXED);
}

static bool shown_as_hung(struct world *w)
{
	bool hung;

	pthread_mutex_lock(&w->lock);
	hung = LIST_FIRST(&w->soft.sessions)->rec.flags & CPTDEV_GENL_SESSION_HUNG;
	pthread_mutex_unlock(&w->lock);
	return hung;
}

static void wait_hung(struct world *w, u32 nr)
{
	u64 until = clock_mono() + 5 * NSEC_PER_SEC;

	while (hung_events(w) < nr && clock_mono() < until)
		usleep(1000);
	assert_int_equal(hung_events(w), nr);
}

static void no_sign_of_life_is_told_once(void **state)
{
	struct world *w = *state;

	usleep(50000);
	assert_int_equal(hung_events(w), 0);
	assert_int_equal(alive(w, 20 * MS), 0);
	wait_hung(w, 1);
	usleep(60000);
	assert_int_equal(hung_events(w), 1);
	assert_true(shown_as_hung(w));
	/* A checkpoint is a sign of life, and the time begins anew. */
	publish(w, 0);
	assert_false(shown_as_hung(w));
	wait_hung(w, 2);
	assert_int_equal(alive(w, 0), 0);
	assert_false(shown_as_hung(w));
	usleep(60000);
	assert_int_equal(hung_events(w), 2);
}

static int delta_flags(struct world *w, int dev, u64 since, u32 flags)
{
	struct kernel *k = &w->soft.kernel;
	struct cptdev_delta arg = {
		.size = sizeof(arg), .flags = flags, .session_id = w->id, .since = since,
	};
	int ret;

	pthread_mutex_lock(&w->lock);
	ret = k->ops->ioctl(k, dev, CPTDEV_IOC_DELTA, &arg);
	if (!ret)
		k->ops->close(k, arg.fd);
	pthread_mutex_unlock(&w->lock);
	return ret;
}

static int open_spare(struct world *w)
{
	int dev;

	pthread_mutex_lock(&w->lock);
	dev = w->soft.kernel.ops->open(&w->soft.kernel);
	pthread_mutex_unlock(&w->lock);
	return dev;
}

/* A second spare lacks everything, while the first one goes on. */
static void a_spare_that_lacks_cancels_nothing_that_another_commits(void **state)
{
	struct world *w = *state;
	int other = open_spare(w);
	u32 st;

	publish(w, 0);
	assert_int_equal(delta_flags(w, w->dev, 0, CPTDEV_DELTA_OTHERS), 0);
	assert_int_equal(ack(w, 0, 1, 0), 0);
	publish(w, 1);
	assert_int_equal(delta_flags(w, other, 0, 2), -EOPNOTSUPP);
	assert_int_equal(delta_flags(w, other, 0, CPTDEV_DELTA_OTHERS), -ESTALE);
	assert_int_equal(wait_state(w, 2, 0, &st), -ETIMEDOUT);
	assert_int_equal(delta_flags(w, w->dev, 1, 0), 0);
	assert_int_equal(ack(w, 0, 2, 0), 0);
	assert_int_equal(wait_state(w, 2, 0, &st), 0);
	/* The next one reaches back all the same. */
	assert_int_equal(publish(w, 0), 3);
	assert_int_equal(delta_flags(w, other, 0, CPTDEV_DELTA_OTHERS), 0);
	/* Without the flag who waits is told. */
	assert_int_equal(delta_flags(w, w->dev, 2, 0), 0);
	assert_int_equal(ack(w, 0, 3, 0), 0);
	publish(w, 3);
	assert_int_equal(delta_flags(w, other, 0, 0), -ESTALE);
	assert_int_equal(wait_state(w, 4, 0, &st), -ECANCELED);
}

/* The session of the test is another one, with room for so many pages. */
static void with_room_for(struct world *w, u64 pages)
{
	u64 before = w->id;

	close(w->fd);
	w->fd = ckdev_soft_open(w->path);
	assert_true(w->fd >= 0);
	assert_int_equal(ckdev_session(w->fd, "small", 0, 0, pages * PAGE), 0);
	while (__atomic_load_n(&w->id, __ATOMIC_RELAXED) == before)
		usleep(1000);
}

static u64 held(struct world *w)
{
	struct cptdev_info info = { .size = sizeof(info) };

	assert_int_equal(ckdev_info(w->fd, &info), 0);
	return info.session_held;
}

/* A snapshot that one spare has fetched is kept for the other one, but not beyond the limit. */
static void a_slow_spare_does_not_stop_the_program(void **state)
{
	struct world *w = *state;
	int slow = open_spare(w);
	u64 generation;
	u32 st;

	with_room_for(w, 4);
	publish(w, 0);
	assert_int_equal(delta_flags(w, w->dev, 0, CPTDEV_DELTA_OTHERS), 0);
	assert_int_equal(delta_flags(w, slow, 0, CPTDEV_DELTA_OTHERS), 0);
	for (generation = 2; generation < 50; generation++) {
		assert_int_equal(publish(w, generation - 1), generation);
		assert_int_equal(delta_flags(w, w->dev, generation - 1, CPTDEV_DELTA_OTHERS), 0);
		assert_true(held(w) <= 4 * PAGE);
	}
	/* A snapshot that is on its way isn't cancelled for that. */
	assert_int_equal(wait_state(w, 49, 0, &st), -ETIMEDOUT);
	assert_int_equal(delta_flags(w, slow, 1, CPTDEV_DELTA_OTHERS), -ESTALE);
	assert_int_equal(publish(w, 1), 50);
	assert_int_equal(delta_flags(w, slow, 1, CPTDEV_DELTA_OTHERS), 0);
	assert_int_equal(ack(w, 0, 50, 0), 0);
	assert_int_equal(wait_state(w, 50, 0, &st), 0);
	assert_int_equal(held(w), 0);
}

/* A snapshot that no spare has fetched is given up only if there is no other way; WAIT tells it. */
static void what_nobody_fetched_is_cancelled(void **state)
{
	struct world *w = *state;
	u64 generation;
	u32 st;

	with_room_for(w, 1);
	publish(w, 0);
	assert_int_equal(wait_state(w, 1, 0, &st), -ETIMEDOUT);
	generation = publish(w, 0);
	assert_int_equal(wait_state(w, 1, 0, &st), -ECANCELED);
	assert_int_equal(wait_state(w, generation, 0, &st), -ETIMEDOUT);
}

#define CASE(fn)	cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(flags_and_fields_have_to_go_together),
		CASE(a_generation_counts_only_while_the_lease_lasts),
		CASE(a_lease_that_goes_on_ends_the_wait),
		CASE(a_block_ends_with_an_unblock_only),
		CASE(alone_is_said_until_a_spare_has_something),
		CASE(what_is_wanted_is_told_until_it_is_published),
		CASE(checkpoints_are_held_off_on_the_page),
		CASE(the_page_cannot_be_written_to),
		CASE(no_sign_of_life_is_told_once),
		CASE(a_spare_that_lacks_cancels_nothing_that_another_commits),
		CASE(a_slow_spare_does_not_stop_the_program),
		CASE(what_nobody_fetched_is_cancelled),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("acknowledgements", tests, NULL, NULL);
}
