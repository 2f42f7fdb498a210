// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The program that waits for a promotion, against a replica that the test plays. A commit may come
 * at each of its calls. Whenever that is, the last commit is copied ahead without waiting for another
 * one.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <ckdev.h>

#include "../error.h"
#include "../kept.h"
#include "../mirror.h"
#include "../module.h"
#include "../takeover.h"
#include "../warm.h"

#define REPLICA		1000	/* a descriptor that nobody has */
#define IDLE		5	/* so many waits in which nothing comes, and then the promotion */

static struct {
	uint64_t commits;
	uint64_t seen;			/* at the last look */
	unsigned int moments;		/* calls so far */
	unsigned int at;		/* the last commit comes in this one */
	unsigned int idle;
	uint64_t passed;		/* the commit that the last pass was begun with */
} replica;

static void moment(void)
{
	if (replica.moments++ == replica.at)
		replica.commits++;
}

int __wrap_hs_engine_open(struct hs_error *e);
int __wrap_ckdev_replica_open(int dev, const char *name, unsigned int flags, uint64_t max_bytes);
int __wrap_ckdev_image_info(int fd, struct cptdev_image_info *info);
int __wrap_ckdev_replica_wait(int fd, unsigned int flags, uint64_t timeout_ns);
int __wrap_ckdev_replica_claim(int fd, uint64_t *term, uint64_t *generation, unsigned int flags);
int __wrap_ckdev_replica_freeze(int fd, uint64_t *generation);
void __wrap_hs_warm_pass(int fd);
void __wrap_hs_kept_look(int fd);

int __wrap_hs_engine_open(struct hs_error *e)
{
	(void)e;
	return 1001;
}

int __wrap_ckdev_replica_open(int dev, const char *name, unsigned int flags, uint64_t max_bytes)
{
	(void)dev;
	(void)name;
	(void)flags;
	(void)max_bytes;
	return REPLICA;
}

/* As the engines: a look takes the event away. */
int __wrap_ckdev_image_info(int fd, struct cptdev_image_info *info)
{
	assert_int_equal(fd, REPLICA);
	moment();
	info->commits = replica.commits;
	info->generation = replica.commits;
	replica.seen = replica.commits;
	return 0;
}

int __wrap_ckdev_replica_wait(int fd, unsigned int flags, uint64_t timeout_ns)
{
	(void)timeout_ns;
	assert_int_equal(fd, REPLICA);
	moment();
	if (flags & CKDEV_WAIT_COMMITS && replica.commits != replica.seen)
		return CKDEV_COMMITTED;
	if (replica.moments <= replica.at)
		return -ETIMEDOUT;
	return replica.idle++ < IDLE ? -ETIMEDOUT : CKDEV_PROMOTED;
}

/* That is the end of it. */
int __wrap_ckdev_replica_claim(int fd, uint64_t *term, uint64_t *generation, unsigned int flags)
{
	(void)fd;
	(void)term;
	(void)generation;
	(void)flags;
	return -EIO;
}

int __wrap_ckdev_replica_freeze(int fd, uint64_t *generation)
{
	(void)fd;
	(void)generation;
	moment();
	return -ENODATA;
}

void __wrap_hs_warm_pass(int fd)
{
	struct cptdev_image_info info;

	__wrap_ckdev_image_info(fd, &info);
	replica.passed = info.commits;
	moment();
}

void __wrap_hs_kept_look(int fd)
{
	struct cptdev_image_info info;

	moment();
	__wrap_ckdev_image_info(fd, &info);
}

static void the_last_commit_is_copied_whenever_it_comes(void **state)
{
	struct hs_mirror m = { 0 };
	struct hs_error e = { "" };
	uint64_t term = 0;
	unsigned int at;

	(void)state;
	for (at = 0; at < 100; at++) {
		replica = (typeof(replica)) { .commits = 1, .at = at };
		assert_int_equal(hs_takeover_wait("kv", 0, &m, &term, &e), -1);
		if (replica.passed != 2)
			fail_msg("a commit in call %u isn't copied", at);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_commit_is_copied_whenever_it_comes),
	};

	return cmocka_run_group_tests_name("takeover", tests, NULL, NULL);
}
