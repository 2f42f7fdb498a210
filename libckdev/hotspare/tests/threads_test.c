// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Threads that begin anew: all of them or none, with their arguments and attributes.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "../hotspare.h"
#include "../threads.h"

#define STACK	(1UL << 20)

static atomic_int called, wrong;
static pthread_t caller;

struct expected {
	const char *name;
	size_t stack;
};

/* In whatever thread it is: it has the attributes that @arg says. */
static void worker(void *arg)
{
	const struct expected *x = arg;
	pthread_attr_t attr;
	char name[16];
	size_t stack;

	called++;
	pthread_getname_np(pthread_self(), name, sizeof(name));
	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstacksize(&attr, &stack);
	pthread_attr_destroy(&attr);
	wrong += x->name && strcmp(name, x->name);
	wrong += x->stack && (stack < x->stack || stack > 2 * x->stack);
	wrong += pthread_equal(pthread_self(), caller) != 0;
}

static void alone(void *arg)
{
	called++;
	wrong += !pthread_equal(pthread_self(), caller) || arg != &called;
}

static void never(void *arg)
{
	(void)arg;
	wrong++;
}

/* Through text, as after a restart: what was registered isn't any more. */
static int go_on(struct hs_error *e)
{
	struct json_object *json;
	struct hs_threads list;
	uint32_t i;
	int ret;

	assert_int_equal(hs_threads_capture(&list), 0);
	json = hs_threads_json(&list);
	for (i = 0; i < list.nr; i++)
		assert_int_equal(hs_threaddereg(list.v[i].worker, list.v[i].arg), 0);
	hs_threads_free(&list);
	assert_int_equal(hs_threads_parse(&list, json, e), 0);
	json_object_put(json);
	called = wrong = 0;
	caller = pthread_self();
	hs_threads_adopt(&list);
	ret = hs_threads_run(e);
	assert_int_equal(wrong, 0);
	return ret;
}

static void each_is_called_with_its_argument(void **state)
{
	static struct expected x[8] = { { "one", STACK }, { "two", 0 } };
	struct hs_thread_attr one = { .name = "one", .stack_size = STACK };
	struct hs_thread_attr two = { .name = "two" };
	struct hs_error e = { "" };
	int i;

	(void)state;
	assert_int_equal(hs_threadreg_attr(worker, &x[0], &one), 0);
	assert_int_equal(hs_threadreg_attr(worker, &x[1], &two), 0);
	for (i = 2; i < 8; i++)
		assert_int_equal(hs_threadreg(worker, &x[i]), 0);
	assert_int_equal(go_on(&e), 0);
	assert_int_equal(called, 8);
	/* They are registered again. */
	for (i = 0; i < 8; i++)
		assert_int_equal(hs_threaddereg(worker, &x[i]), 0);
}

static void a_single_one_needs_no_thread(void **state)
{
	struct hs_error e = { "" };

	(void)state;
	assert_int_equal(hs_threadreg(alone, &called), 0);
	assert_int_equal(go_on(&e), 0);
	assert_int_equal(called, 1);
	assert_int_equal(hs_threaddereg(alone, &called), 0);
	/* And without any there is nothing to do. */
	assert_int_equal(go_on(&e), 0);
	assert_int_equal(called, 0);
}

static void none_begins_if_one_cannot_be_made(void **state)
{
	struct hs_thread_attr huge = { .stack_size = 1UL << 50 };
	struct hs_error e = { "" };

	(void)state;
	assert_int_equal(hs_threadreg(never, NULL), 0);
	assert_int_equal(hs_threadreg(never, &e), 0);
	assert_int_equal(hs_threadreg_attr(never, &huge, &huge), 0);
	assert_int_equal(go_on(&e), -1);
	assert_non_null(strstr(e.text, "a thread can't be created"));
	assert_int_equal(hs_threaddereg(never, NULL), 0);
	assert_int_equal(hs_threaddereg(never, &e), 0);
	assert_int_equal(hs_threaddereg(never, &huge), 0);
}

static void assert_refused(int ret, int err)
{
	assert_int_equal(ret, -1);
	assert_int_equal(errno, err);
}

static void wrong_arguments_are_refused(void **state)
{
	struct hs_thread_attr a = { .policy = 77 };

	(void)state;
	assert_refused(hs_threadreg(NULL, NULL), EINVAL);
	assert_refused(hs_threadreg_attr(worker, NULL, &a), EINVAL);
	a = (struct hs_thread_attr) { .priority = 1 };
	assert_refused(hs_threadreg_attr(worker, NULL, &a), EINVAL);
	a = (struct hs_thread_attr) { .policy = SCHED_FIFO };
	assert_refused(hs_threadreg_attr(worker, NULL, &a), EINVAL);
	a = (struct hs_thread_attr) { .stack_size = 1 };
	assert_refused(hs_threadreg_attr(worker, NULL, &a), EINVAL);
	memset(a.name, 'x', sizeof(a.name));
	a.stack_size = 0;
	assert_refused(hs_threadreg_attr(worker, NULL, &a), EINVAL);
	assert_refused(hs_threaddereg(worker, NULL), ENOENT);
	assert_int_equal(hs_threadreg(worker, NULL), 0);
	assert_refused(hs_threadreg(worker, NULL), EEXIST);
	assert_refused(hs_threaddereg(worker, &a), ENOENT);
	assert_int_equal(hs_threaddereg(worker, NULL), 0);
}

static int parse_text(const char *text)
{
	struct json_object *json = json_tokener_parse(text);
	struct hs_error e = { "" };
	struct hs_threads list;
	int ret = hs_threads_parse(&list, json, &e);

	assert_true(!ret || (errno == EBADMSG && e.text[0]));
	if (!ret)
		hs_threads_free(&list);
	json_object_put(json);
	return ret;
}

static void nonsense_is_refused(void **state)
{
	static const char sample[] = "[{\"worker\":1,\"arg\":2,\"name\":\"n\",\"stack_size\":0,"
		"\"policy\":0,\"priority\":0}]";
	static const char *const bad[] = { "{}", "null", "[1]", "[{}]" };
	static const char bytes[] = "\"{}[]:,0-9e.xnt ";
	char text[sizeof(sample)];
	size_t i, j;

	(void)state;
	assert_int_equal(parse_text(sample), 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse_text(bad[i]), -1);
	strcpy(text, sample);
	for (i = 0; text[i]; i++) {
		for (j = 0; j < sizeof(bytes) - 1; j++) {
			text[i] = bytes[j];
			parse_text(text);
		}
		text[i] = sample[i];
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_called_with_its_argument),
		cmocka_unit_test(a_single_one_needs_no_thread),
		cmocka_unit_test(none_begins_if_one_cannot_be_made),
		cmocka_unit_test(wrong_arguments_are_refused),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
