// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The way to the spare: waiting, checkpoints, deltas, replicas.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ship.h"
#include "tap.h"

/*
 * Waiting for the spare
 */

static void on_alarm(int sig)
{
	(void)sig;
}

static int test_wait(void)
{
	struct itimerval soon = { .it_value.tv_usec = 50000 }, never = {
		.it_value.tv_usec = 0,
	};
	char *m = map_pages(NULL, 4);
	struct sigaction sa = { .sa_handler = on_alarm };
	uint64_t committed = 99, generation = 99;
	struct fixture f;

	CHECK(setup(&f, m, 4) == 0);
	CHECK_RET(ckdev_wait(f.fd, 0, 0, NULL), -EINVAL);
	CHECK_RET(ckdev_checkpoint(f.fd, NULL, 0, 0, &generation), -ETIMEDOUT);
	CHECK(generation == 1);
	CHECK_RET(ckdev_wait(f.fd, 2, 0, NULL), -EINVAL);
	CHECK_RET(ckdev_wait(f.fd, 1, 1000000, &committed), -ETIMEDOUT);
	CHECK(committed == 0);

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	CHECK_RET(ckdev_wait(f.fd, 1, CPTDEV_FOREVER, NULL), -EINTR);
	setitimer(ITIMER_REAL, &soon, NULL);
	CHECK_RET(ckdev_checkpoint(f.fd, NULL, 0, CPTDEV_FOREVER, &generation), -EINTR);
	setitimer(ITIMER_REAL, &never, NULL);
	CHECK(generation == 2);

	CHECK_RET(ship_once(f.spare, f.id, f.replica), 1);
	CHECK_RET(ckdev_wait(f.fd, 2, 0, &committed), 0);
	CHECK(committed == 2);
	CHECK_RET(ckdev_ack(f.spare, f.id, 3, 0), -EINVAL);
	CHECK_RET(ckdev_ack(f.spare, f.id, 0, CPTDEV_ACK_FENCED), 0);
	CHECK_RET(ckdev_wait(f.fd, 2, 0, NULL), 0);
	CHECK_RET(ckdev_wait(f.fd, 0, 0, NULL), -ESTALE);
	CHECK_RET(ckdev_checkpoint(f.fd, NULL, 0, CPTDEV_FOREVER, NULL), -ESTALE);
	teardown(&f);
	munmap(m, 4 * PAGE);
	return 0;
}

/* Until a generation after @since is published. */
static void await_published(int dev, uint64_t id, uint64_t since)
{
	struct cptdev_delta d = { .size = sizeof(d), .session_id = id, .since = since };
	int fd;

	while ((fd = ckdev_delta(dev, &d)) < 0)
		usleep(1000);
	close(fd);
}

/*
 * A spare in another process, which forgets all it has after the second generation: the
 * checkpoint that is under way then is dropped, and must be taken again.
 */
static void forgetful_spare(uint64_t id, const char *name)
{
	int dev = ckdev_open(), replica, done = 0;
	const unsigned int flags = CPTDEV_REPLICA_CREATE | CPTDEV_REPLICA_WRITE;

	replica = ckdev_replica_open(dev, name, flags, 0);
	for (;;) {
		int ret = ship_once(dev, id, replica);

		if (ret < 0)
			_exit(1);
		usleep(ret ? 0 : 1000);
		done += ret;
		if (ret && done == 2) {
			await_published(dev, id, 2);
			ckdev_replica_remove(replica);
			close(replica);
			replica = ckdev_replica_open(dev, name, flags, 0);
		}
	}
}

static int test_checkpoint(void)
{
	enum { N = 50 };
	char *m = map_pages(NULL, N), b[PAGE];
	struct cptdev_image_info info = { .size = sizeof(info) };
	struct fixture f;
	int i, replica;
	uint64_t generation;
	pid_t pid;

	CHECK(setup(&f, m, N) == 0);
	ckdev_replica_remove(f.replica);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		forgetful_spare(f.id, f.name);
	for (i = 1; i <= 10; i++) {
		memset(m + i * PAGE, i, 3 * PAGE);
		CHECK_RET(ckdev_checkpoint(f.fd, NULL, 0, 20000000000, &generation), 0);
	}
	kill(pid, SIGKILL);
	child_status(pid);
	/* More than ten snapshots: one was dropped and taken again. */
	CHECK(generation > 10);
	replica = ckdev_replica_open(f.fd, f.name, 0, 0);
	CHECK_OK(replica);
	CHECK_RET(ckdev_image_info(replica, &info), 0);
	CHECK(info.generation == generation);
	for (i = 0; i < N; i++) {
		CHECK(pread(replica, b, PAGE, (off_t)CKDEV_PTR(m + i * PAGE)) == PAGE);
		CHECK(!memcmp(b, m + i * PAGE, PAGE));
	}
	ckdev_replica_remove(replica);
	close(replica);
	teardown(&f);
	munmap(m, N * PAGE);
	return 0;
}

/*
 * Replicas
 */

static int test_delta(void)
{
	char *m = map_pages(NULL, 4);
	struct cptdev_delta d = { .size = sizeof(d) };
	struct fixture f;
	int fd;

	CHECK(setup(&f, m, 4) == 0);
	d.session_id = f.id;
	CHECK_RET(ckdev_delta(f.spare, &d), -ENODATA);
	d.session_id = 1ULL << 60;
	CHECK_RET(ckdev_delta(f.spare, &d), -ENOENT);
	CHECK(publish(&f) == 0);
	m[0] = 1;
	CHECK_RET(ckdev_checkpoint(f.fd, NULL, 0, 0, NULL), -ETIMEDOUT);
	d.session_id = f.id;
	d.since = 1;
	fd = ckdev_delta(f.spare, &d);
	CHECK_OK(fd);
	CHECK(fd == d.fd && d.generation == 2 && d.base == 1 && d.pages == 1);
	close(fd);
	d.since = 0;
	CHECK_RET(ckdev_delta(f.spare, &d), -ESTALE);
	d.since = 99;
	CHECK_RET(ckdev_delta(f.spare, &d), -EINVAL);
	CHECK_RET(ckdev_wait(f.fd, 2, 0, NULL), -ECANCELED);
	CHECK_RET(ckdev_ack(f.fd, f.id, 1, 0), -EINVAL);
	teardown(&f);
	munmap(m, 4 * PAGE);
	return 0;
}

/* The program writes meanwhile. Before the end, the replica has what it had. */
static int test_round(void)
{
	const size_t pages = 2 * CPTDEV_ROUND_MIN + 100, len = pages * PAGE;
	char *m = map_pages(NULL, pages), *back = malloc(len), *want = malloc(len);
	struct cptdev_image_info info = { .size = sizeof(info) };
	struct cptdev_round r = { .size = sizeof(r), .pages = CPTDEV_ROUND_MIN };
	uint64_t pass = 0;
	struct fixture f;
	int fd;

	CHECK(setup(&f, m, pages) == 0);
	memset(m, 'a', len);
	r.session_id = 1ULL << 60;
	CHECK_RET(ckdev_round(f.spare, &r), -ENOENT);
	r.session_id = f.id;
	CHECK_RET(ckdev_round(f.replica, &r), -ENOTTY);
	CHECK_RET(ckdev_round(-1, &r), -EBADF);
	r.pages--;
	CHECK_RET(ckdev_round(f.spare, &r), -EINVAL);
	r.pages++;
	r.pass = 99;
	CHECK_RET(ckdev_round(f.spare, &r), -EINVAL);
	CHECK(publish(&f) == 0);
	memset(m, 'b', len);
	r.pass = 0;
	fd = ckdev_round(f.spare, &r);
	CHECK_OK(fd);
	CHECK(fd == r.fd && r.pass == 2 && r.addr && r.pages && r.pages <= CPTDEV_ROUND_MIN);
	close(fd);

	CHECK_RET(ship_pass(f.spare, f.id, f.replica, &pass), 0);
	CHECK(pass == 3);
	memset(m + 7 * PAGE, 'c', PAGE);
	CHECK_RET(ckdev_image_info(f.replica, &info), 0);
	CHECK(info.generation == 1 && info.staged == pages);
	memset(want, 'a', len);
	CHECK(pread(f.replica, back, len, (off_t)CKDEV_PTR(m)) == (ssize_t)len);
	CHECK(memcmp(back, want, len) == 0);
	/* What completes the pass isn't published yet. */
	CHECK_RET(ship_rest(f.spare, f.id, f.replica, pass), -ENODATA);
	CHECK_RET(ckdev_checkpoint(f.fd, NULL, 0, 0, NULL), -ETIMEDOUT);
	memset(m, 'd', len);
	CHECK_RET(ship_rest(f.spare, f.id, f.replica, pass), 0);
	memset(want, 'b', len);
	memset(want + 7 * PAGE, 'c', PAGE);
	CHECK(pread(f.replica, back, len, (off_t)CKDEV_PTR(m)) == (ssize_t)len);
	CHECK(memcmp(back, want, len) == 0);
	CHECK_RET(ckdev_wait(f.fd, 4, 0, NULL), 0);
	teardown(&f);
	free(want);
	free(back);
	munmap(m, len);
	return 0;
}

static int test_replica(void)
{
	struct cptdev_segment seg = {
		.addr = 0x10000, .len = 4 * PAGE, .kind = CPTDEV_SEGMENT_ANON, .prot = 3,
	};
	struct cptdev_replica_begin b = {
		.size = sizeof(b), .uuid = { 1 }, .term = 5, .generation = 3,
		.layout = CKDEV_PTR(&seg), .layout_len = 1,
	};
	struct cptdev_extent e = {
		.addr = 0x11000, .len = PAGE, .kind = CPTDEV_EXTENT_DATA,
	};
	int dev = ckdev_open(), w, r;
	struct cptdev_past past;
	uint64_t generation, term, pages, pos = 0;
	char page[PAGE], back[PAGE];

	memset(page, 'p', PAGE);
	CHECK_RET(ckdev_replica_open(dev, "tr", 0, 0), -ENOENT);
	CHECK_RET(ckdev_replica_open(dev, "t/r", CPTDEV_REPLICA_CREATE, 0), -EINVAL);
	w = ckdev_replica_open(dev, "tr", CPTDEV_REPLICA_CREATE | CPTDEV_REPLICA_WRITE, 0);
	r = ckdev_replica_open(dev, "tr", 0, 0);
	CHECK_OK(w);
	CHECK_OK(r);
	CHECK_RET(ckdev_replica_open(dev, "tr", CPTDEV_REPLICA_CREATE |
				     CPTDEV_REPLICA_EXCL, 0), -EEXIST);
	CHECK_RET(ckdev_replica_begin(r, &b), -EBADF);
	CHECK_RET(ckdev_replica_promote(w, NULL, NULL), -ENODATA);
	CHECK_RET(ckdev_replica_claim(r, NULL, NULL, 0), -EINVAL);
	CHECK_RET(ckdev_replica_stage(w, &e, 1, page, PAGE), -EINVAL);
	CHECK_RET(ckdev_replica_abort(w), -EINVAL);

	CHECK_RET(ckdev_replica_begin(w, &b), 0);
	CHECK_RET(ckdev_replica_stage(w, &e, 1, page, PAGE - 1), -EINVAL);
	CHECK_RET(ckdev_replica_stage(w, &e, 1, page, PAGE), 0);
	CHECK_RET(ckdev_replica_commit(w, 4, NULL), -EINVAL);
	CHECK_RET(ckdev_replica_freeze(r, &generation), 0);
	CHECK(generation == 0);
	CHECK_RET(ckdev_replica_commit(w, 3, NULL), -EBUSY);
	CHECK_RET(ckdev_replica_thaw(r), 0);
	CHECK_RET(ckdev_replica_thaw(r), 0);
	CHECK_RET(ckdev_replica_commit(w, 3, &pages), 0);
	CHECK(pages == 1);
	CHECK(pread(r, back, PAGE, 0x11000) == PAGE && !memcmp(page, back, PAGE));

	CHECK_RET(ckdev_replica_copied(r, 0, &pages), 0);
	CHECK(pages == 1);
	CHECK_RET(ckdev_replica_copied(r, 1, &pages), 0);
	CHECK(pages == 0);
	CHECK_RET(ckdev_replica_copied(r, 2, NULL), -EINVAL);
	CHECK_RET(ckdev_replica_copied(dev, 0, NULL), -ENOTTY);

	CHECK_RET(ckdev_replica_keep(r, 3, 0), -EBADF);
	CHECK_RET(ckdev_replica_keep(w, CPTDEV_HISTORY_MAX + 1, 0), -EINVAL);
	CHECK_RET(ckdev_replica_keep(w, 3, 0), 0);
	CHECK_RET(ckdev_replica_history(r, &past, 1), 0);
	CHECK_RET(ckdev_replica_at(r, 99), -ENODATA);
	CHECK_RET(ckdev_replica_at(r, 0), 0);
	CHECK_RET(ckdev_replica_back(w, NULL, NULL), -EINVAL);
	CHECK_RET(ckdev_replica_back(r, NULL, NULL), -EBADF);
	CHECK_RET(ckdev_replica_history(dev, &past, 1), -ENOTTY);
	CHECK_RET(ckdev_replica_at(dev, 0), -ENOTTY);

	CHECK_RET(ckdev_replica_begin(w, &b), -ESTALE);
	b.base = 4;
	b.generation = 5;
	CHECK_RET(ckdev_replica_begin(w, &b), -EILSEQ);
	b.base = 3;
	CHECK_RET(ckdev_replica_begin(w, &b), 0);
	CHECK_RET(ckdev_replica_abort(w), 0);
	term = 5;
	CHECK_RET(ckdev_replica_promote(w, &term, NULL), -ESTALE);
	CHECK_RET(ckdev_replica_promote(r, NULL, NULL), -EBADF);
	term = 0;
	CHECK_RET(ckdev_replica_promote(w, &term, &generation), 0);
	CHECK(term == 6 && generation == 3);
	term = 5;
	CHECK_RET(ckdev_replica_claim(r, &term, NULL, 0), -ESTALE);
	CHECK(term == 6);
	CHECK_RET(ckdev_replica_claim(r, NULL, NULL, ~0U), -EOPNOTSUPP);
	generation = 0;
	CHECK_RET(ckdev_replica_claim(r, &term, &generation, 0), 0);
	CHECK(term == 6 && generation == 3);
	CHECK_RET(ckdev_replica_claim(w, NULL, NULL, CPTDEV_CLAIM_OLD), -EALREADY);
	CHECK_RET(ckdev_replica_begin(w, &b), -ESTALE);
	CHECK_RET(ckdev_image_extents(r, &e, 1, &pos), 1);
	CHECK(e.addr == 0x11000 && e.len == PAGE);
	CHECK_RET(ckdev_image_extents(r, &e, 1, &pos), 0);
	CHECK_RET(ckdev_snapshot_pread_at(r, back, 1, (void *)0x11000), -EINVAL);
	CHECK_RET(ckdev_replica_remove(r), 0);
	CHECK_RET(ckdev_replica_copied(r, 0, NULL), -ENOENT);
	CHECK_RET(ckdev_replica_open(dev, "tr", 0, 0), -ENOENT);
	close(w);
	close(r);
	close(dev);
	return 0;
}

static int test_replica_wait(void)
{
	struct cptdev_image_info info = { .size = sizeof(info) };
	char *m = map_pages(NULL, 4);
	struct fixture f;
	int r, ret;
	pid_t pid;

	CHECK(setup(&f, m, 4) == 0);
	r = ckdev_replica_open(f.fd, f.name, 0, 0);
	CHECK_OK(r);
	CHECK_RET(ckdev_replica_wait(f.fd, 0, 0), -ENOTTY);
	CHECK_RET(ckdev_replica_wait(r, 1U << 9, 0), -EINVAL);
	CHECK_RET(ckdev_replica_wait(r, CKDEV_WAIT_COMMITS, 1000000), -ETIMEDOUT);
	CHECK(publish(&f) == 0);
	CHECK_RET(ckdev_replica_wait(r, 0, 0), -ETIMEDOUT);
	CHECK_RET(ckdev_replica_wait(r, CKDEV_WAIT_COMMITS, CPTDEV_FOREVER),
		  CKDEV_COMMITTED);
	CHECK_RET(ckdev_image_info(r, &info), 0);
	CHECK_RET(ckdev_replica_wait(r, CKDEV_WAIT_COMMITS, 0), -ETIMEDOUT);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		usleep(100000);
		_exit(ckdev_replica_promote(f.replica, NULL, NULL) != 0);
	}
	ret = ckdev_replica_wait(r, 0, 20000000000);
	CHECK_RET(child_status(pid), 0);
	CHECK_RET(ret, CKDEV_PROMOTED);
	close(r);
	teardown(&f);
	munmap(m, 4 * PAGE);
	return 0;
}

static int say(struct fixture *f, unsigned int flags, uint64_t until)
{
	struct cptdev_ack arg = {
		.size = sizeof(arg), .flags = flags, .session_id = f->id,
		.lease_until_ns = until,
	};

	return ioctl(f->spare, CPTDEV_IOC_ACK, &arg);
}

static int test_page(void)
{
	const struct cptdev_session_page *p = NULL;
	char *m = map_pages(NULL, 4);
	struct fixture f;

	CHECK(setup(&f, m, 4) == 0);
	CHECK_RET(ckdev_session_page(f.replica, &p), -ENOTTY);
	CHECK_RET(ckdev_session_page(f.fd, &p), 0);
	CHECK(ckdev_may_serve(p));
	CHECK(say(&f, CPTDEV_ACK_LEASE, ckdev_boottime() - 1) == 0);
	CHECK(!ckdev_may_serve(p));
	CHECK(say(&f, CPTDEV_ACK_LEASE, ckdev_boottime() + 60000000000) == 0);
	CHECK(ckdev_may_serve(p));
	CHECK(say(&f, CPTDEV_ACK_BLOCK, 0) == 0);
	CHECK(!ckdev_may_serve(p));
	CHECK(say(&f, CPTDEV_ACK_UNBLOCK, 0) == 0);
	CHECK(ckdev_may_serve(p));
	CHECK_RET(ckdev_ack(f.spare, f.id, 0, CPTDEV_ACK_FENCED), 0);
	CHECK(!ckdev_may_serve(p));
	munmap((void *)(uintptr_t)p, PAGE);
	teardown(&f);
	munmap(m, 4 * PAGE);
	return 0;
}

/* The time that was promised is over, or not: the session works on in either case. */
static int test_alive(void)
{
	char *m = map_pages(NULL, 4);
	struct fixture f;
	pid_t pid;
	int ret;

	CHECK(setup(&f, m, 4) == 0);
	CHECK_RET(ckdev_alive(f.replica, 0), -ENOTTY);
	CHECK_RET(ckdev_alive(-1, 0), -EBADF);
	CHECK_RET(ckdev_alive(f.fd, 1), 0);
	usleep(20000);
	CHECK_RET(ckdev_alive(f.fd, CPTDEV_FOREVER), 0);
	pid = fork();
	if (pid == 0)
		_exit(ckdev_alive(f.fd, 1) == -EXDEV ? 0 : 1);
	ret = child_status(pid);
	CHECK_RET(ret, 0);
	CHECK_RET(ckdev_alive(f.fd, 0), 0);
	teardown(&f);
	munmap(m, 4 * PAGE);
	return 0;
}

const struct test spare_tests[] = {
	{ "wait: time-out, signal, commit, fence", test_wait },
	{ "checkpoint survives a spare that forgets everything", test_checkpoint },
	{ "delta and ack say what is wrong", test_delta },
	{ "a replica gets everything in rounds", test_round },
	{ "the session page says whether to serve", test_page },
	{ "signs of life are the session's own", test_alive },
	{ "a replica is staged, committed, frozen, promoted", test_replica },
	{ "replica_wait sees commits and the promotion", test_replica_wait },
};
const unsigned int nr_spare_tests = ARRAY_SIZE(spare_tests);
