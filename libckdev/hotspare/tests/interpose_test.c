// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A program that has hs_malloc() in the place of malloc(3): what libraries and the C library take
 * is checkpoint memory then, and so is what libhotspare takes at the cut, when all of that is
 * locked. A hang runs into the alarm.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../hotspare.h"
#include "program.h"

#define CLASS	5
#define HANDS	2
#define CUTS	100
#define LIMIT_S	60

/*
 * As a program would do it
 */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t nr, size_t size);
extern void *__libc_realloc(void *addr, size_t size);
extern void __libc_free(void *addr);

/* After hs_init(): in a spare that is when the worker begins. */
static bool ready;

static bool ours(const void *addr)
{
	return (unsigned long)addr >= 0x200000000000 && (unsigned long)addr < 0x510000000000;
}

void *malloc(size_t size)
{
	return ready ? hs_malloc(CLASS, size) : __libc_malloc(size);
}

void *calloc(size_t nr, size_t size)
{
	return ready ? hs_calloc(CLASS, nr, size) : __libc_calloc(nr, size);
}

void *realloc(void *addr, size_t size)
{
	if (addr ? ours(addr) : ready)
		return hs_realloc(CLASS, addr, size);
	return __libc_realloc(addr, size);
}

void free(void *addr)
{
	if (ours(addr))
		hs_free(CLASS, addr);
	else
		__libc_free(addr);
}

/*
 * The program
 */

struct entry {
	struct entry *next;
	char *text;
};

static struct entry *list;
static unsigned long entries;
static atomic_bool over;

static void add(void)
{
	struct entry *e = malloc(sizeof(*e));

	CHECK(e && asprintf(&e->text, "entry %lu", entries) > 0);
	e->next = list;
	list = e;
	entries++;
}

static void worker(void *arg)
{
	unsigned long n = entries;
	struct entry *e;
	char text[32];

	(void)arg;
	ready = true;
	for (e = list; e; e = e->next) {
		snprintf(text, sizeof(text), "entry %lu", --n);
		CHECK(!strcmp(e->text, text));
	}
	CHECK(!n && !hs_malloc_check(CLASS));
	tell("on", entries);
	/* It goes on, and takes and gives back what was there before. */
	for (n = 0; n < 100; n++)
		add();
	while (list) {
		e = list->next;
		free(list->text);
		free(list);
		list = e;
	}
	CHECK(!hs_malloc_check(CLASS));
	exit(0);
}

static void *disturb(void *arg)
{
	char *p = NULL, *q;

	while (!over) {
		q = realloc(p, (size_t)random() % 5000);
		CHECK(q);
		p = q;
		free(strdup("something"));
	}
	free(p);
	return arg;
}

static int program(int argc, char **argv)
{
	pthread_t id[HANDS];
	pid_t pid;
	int i;

	alarm(LIMIT_S);
	open_out();
	if (hs_init(argc, argv) < 0)
		return 3;
	CHECK(!hs_malloc_create(CLASS, 1 << 20));
	ready = true;
	CHECK(!hs_range(&list, sizeof(list)) && !hs_range(&entries, sizeof(entries)));
	CHECK(!hs_threadreg(worker, NULL) && !hs_sigreg(SIGTERM) && !hs_fdreg(OUT_FD));
	CHECK(!hs_section_set("mine", "x", 1));
	for (i = 0; i < HANDS; i++)
		CHECK(!pthread_create(&id[i], NULL, disturb, NULL));
	for (i = 0; i < CUTS; i++) {
		add();
		CHECK(!hs_cpt(i % 10 ? HSCPT_INCR : 0));
		pid = fork();
		if (!pid) {
			add();
			_exit(0);
		}
		CHECK(pid > 0 && waitpid(pid, NULL, 0) == pid);
		tell("has", entries);
	}
	/* What the C library has taken has pointers of all kinds; but it can be restored. */
	CHECK(hs_check() >= 0);
	over = true;
	for (i = 0; i < HANDS; i++)
		pthread_join(id[i], NULL);
	CHECK(!hs_malloc_check(CLASS));
	return 0;
}

static void what_malloc_gives_comes_back(void **state)
{
	(void)state;
	if (!fixed_addresses())
		skip();
	assert_int_equal(end_of(start("out", "-m", "-f", "image")), 0);
	assert_int_equal(last("out", "has"), CUTS);
	assert_int_equal(end_of(start("again", "-m", "-r", "image")), 0);
	assert_int_equal(last("out", "on"), CUTS);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(what_malloc_gives_comes_back, clean),
	};
	char dir[] = "/tmp/hotspare-interpose-test.XXXXXX";
	int ret;

	if (is_program())
		return program(argc, argv);
	self = realpath("/proc/self/exe", NULL);
	snprintf(port, sizeof(port), "%d", own_port());
	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (chdir("/") || rmdir(dir))
		printf("# %s: %s\n", dir, strerrorname_np(errno));
	return ret;
}
