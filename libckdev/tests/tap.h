/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests that report in TAP. A test is a function that returns 0 if it passed; its name
 * says what it shows.
 */
#ifndef TAP_H
#define TAP_H

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include <ckdev.h>

struct test {
	const char *name;
	int (*fn)(void);
};

/* Give up the test unless it is so. */
#define CHECK(cond)							\
	do {								\
		if (!(cond)) {						\
			printf("# %s:%d: not so: %s\n", __FILE__, __LINE__, #cond); \
			return 1;					\
		}							\
	} while (0)

/* The value of a call of the library. */
#define CHECK_RET(call, want)						\
	do {								\
		long got_ = (long)(call), want_ = (want);		\
		if (got_ != want_) {					\
			printf("# %s:%d: %s is %ld (%s), want %ld\n", __FILE__, \
			       __LINE__, #call, got_,			\
			       got_ < 0 ? strerror((int)-got_) : "ok", want_); \
			return 1;					\
		}							\
	} while (0)

/* A descriptor or count. */
#define CHECK_OK(call)							\
	do {								\
		long got_ = (long)(call);				\
		if (got_ < 0) {						\
			printf("# %s:%d: %s is %ld (%s)\n", __FILE__, __LINE__, \
			       #call, got_, strerror((int)-got_));	\
			return 1;					\
		}							\
	} while (0)

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* Exit status of a program that skips all. */
#define EXIT_SKIP	4

/*
 * tap.c: run them, each in a process of its own, and print a point for each. @number is
 * the last point's. Returns how many failed.
 */
unsigned int run_tests(const struct test *t, unsigned int nr, unsigned int *number);

/* The exit status, or -1: killed by a signal. */
int child_status(pid_t pid);

/* spare_test.c */
extern const struct test spare_tests[];
extern const unsigned int nr_spare_tests;

/* restore_test.c */
extern const struct test restore_tests[];
extern const unsigned int nr_restore_tests;

/* ahead_test.c */
extern const struct test ahead_tests[];
extern const unsigned int nr_ahead_tests;

/* ckdev_test.c: help for all. A session of its own for each test, with memory. */
#define PAGE	((size_t)4096)

struct fixture {
	int fd;				/* the session */
	int spare;			/* a descriptor that stands for the spare */
	int replica;			/* for writing; empty */
	uint64_t id;			/* of the session */
	char name[CPTDEV_NAME_MAX];
};

/* @pages of memory at @want (NULL: anywhere), none present, no huge ones. */
char *map_pages(void *want, size_t pages);
int setup(struct fixture *f, void *addr, size_t pages);
void teardown(struct fixture *f);
/* Publish a snapshot, bring it into the replica, and wait for that. */
int publish(struct fixture *f);

#endif /* TAP_H */
