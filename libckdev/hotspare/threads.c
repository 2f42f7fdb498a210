// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: which threads there will be.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "js.h"
#include "list.h"
#include "lock.h"
#include "schedule.h"
#include "threads.h"

/* More than this many are a mistake. */
#define MAX_THREADS	65536U

HS_LOCK(lock);
static struct hs_threads registered;

static struct hs_thread *find(void (*worker)(void *), const void *arg)
{
	uint32_t i;

	for (i = 0; i < registered.nr; i++)
		if (registered.v[i].worker == worker && registered.v[i].arg == arg)
			return &registered.v[i];
	return NULL;
}

static int append(const struct hs_thread *t)
{
	if (find(t->worker, t->arg)) {
		errno = EEXIST;
		return -1;
	}
	return hs_list_append(&registered, t, MAX_THREADS);
}

static bool good_attr(const struct hs_thread_attr *a)
{
	int min = sched_get_priority_min(a->policy), max = sched_get_priority_max(a->policy);

	if (a->stack_size && a->stack_size < (size_t)PTHREAD_STACK_MIN)
		return false;
	return memchr(a->name, 0, sizeof(a->name)) && min >= 0 && a->priority >= min &&
		a->priority <= max;
}

int hs_threadreg_attr(void (*worker)(void *arg), void *arg, const struct hs_thread_attr *attr)
{
	struct hs_thread t = { .worker = worker, .arg = arg };
	int ret;

	if (!worker || !attr || !good_attr(attr)) {
		errno = EINVAL;
		return -1;
	}
	t.attr = *attr;
	hs_lock(&lock);
	ret = append(&t);
	hs_unlock(&lock);
	return ret;
}

int hs_threadreg(void (*worker)(void *arg), void *arg)
{
	const struct hs_thread_attr attr = { .policy = SCHED_OTHER };

	return hs_threadreg_attr(worker, arg, &attr);
}

int hs_threaddereg(void (*worker)(void *arg), void *arg)
{
	struct hs_thread *t;

	hs_lock(&lock);
	t = find(worker, arg);
	if (t)
		hs_list_remove(&registered, t);
	hs_unlock(&lock);
	if (t)
		return 0;
	errno = ENOENT;
	return -1;
}

void hs_threads_free(struct hs_threads *list)
{
	hs_list_free(list);
}

int hs_threads_capture(struct hs_threads *to)
{
	int ret;

	hs_lock(&lock);
	ret = hs_list_copy(to, &registered);
	hs_unlock(&lock);
	return ret;
}

/*
 * Going on
 */

/* All wait until it is known that there will be all of them. */
struct start {
	pthread_mutex_t lock;
	pthread_cond_t decided;
	int go;				/* 0: not yet, 1: yes, -1: no */
};

struct runner {
	pthread_t id;
	const struct hs_thread *thread;
	struct start *start;
};

static bool may_go(struct start *s)
{
	int go;

	pthread_mutex_lock(&s->lock);
	while (!s->go)
		pthread_cond_wait(&s->decided, &s->lock);
	go = s->go;
	pthread_mutex_unlock(&s->lock);
	return go > 0;
}

static void decide(struct start *s, int go)
{
	pthread_mutex_lock(&s->lock);
	s->go = go;
	pthread_cond_broadcast(&s->decided);
	pthread_mutex_unlock(&s->lock);
}

static void *run(void *arg)
{
	const struct runner *r = arg;

	if (may_go(r->start))
		r->thread->worker(r->thread->arg);
	return NULL;
}

static int set_attr(pthread_attr_t *to, const struct hs_thread_attr *a)
{
	const struct sched_param param = { .sched_priority = a->priority };
	int err = a->stack_size ? pthread_attr_setstacksize(to, a->stack_size) : 0;

	if (err || a->policy == SCHED_OTHER)
		return err;
	err = pthread_attr_setinheritsched(to, PTHREAD_EXPLICIT_SCHED);
	if (!err)
		err = pthread_attr_setschedpolicy(to, a->policy);
	return err ?: pthread_attr_setschedparam(to, &param);
}

static int create(struct runner *r)
{
	const struct hs_thread_attr *a = &r->thread->attr;
	pthread_attr_t attr;
	int err;

	pthread_attr_init(&attr);
	err = set_attr(&attr, a);
	if (!err)
		err = pthread_create(&r->id, &attr, run, r);
	if (!err && a->name[0])
		pthread_setname_np(r->id, a->name);
	pthread_attr_destroy(&attr);
	return err;
}

static bool plain(const struct hs_thread_attr *a)
{
	return !a->stack_size && !a->name[0] && a->policy == SCHED_OTHER;
}

/* They are registered: the next checkpoint has them too. */
void hs_threads_adopt(struct hs_threads *list)
{
	hs_lock(&lock);
	hs_list_adopt(&registered, list);
	hs_unlock(&lock);
}

/*
 * Those that are registered. Returns 0 when all have returned, or -1 with errno and @e: a
 * thread couldn't be made, then none has begun. A single one without attributes is called
 * as it is, in this thread.
 */
int hs_threads_run(struct hs_error *e)
{
	struct start start = {
		.lock = PTHREAD_MUTEX_INITIALIZER, .decided = PTHREAD_COND_INITIALIZER,
	};
	struct hs_threads all;
	struct runner *runner;
	uint32_t i;
	int err = 0;

	if (hs_threads_capture(&all))
		return hs_fail(e, ENOMEM, "no memory for the list of threads");
	if (all.nr == 1 && plain(&all.v[0].attr)) {
		all.v[0].worker(all.v[0].arg);
		hs_threads_free(&all);
		return 0;
	}
	runner = calloc(all.nr + 1, sizeof(*runner));
	for (i = 0; runner && !err && i < all.nr; i++) {
		runner[i] = (struct runner) { .thread = &all.v[i], .start = &start };
		err = create(&runner[i]);
	}
	err = runner ? err : ENOMEM;
	decide(&start, err ? -1 : 1);
	/* The last one isn't there if it couldn't be made. */
	for (i -= err && i; runner && i; i--)
		pthread_join(runner[i - 1].id, NULL);
	free(runner);
	hs_threads_free(&all);
	return err ? hs_fail(e, err, "a thread can't be created: %s", strerror(err)) : 0;
}

int hs_run(void)
{
	bool any;

	hs_lock(&lock);
	any = registered.nr;
	hs_unlock(&lock);
	if (!any)
		return hs_fail(hs_why(), ENOENT, "no thread is registered: see hs_threadreg(3)");
	return hs_threads_run(hs_why());
}

/*
 * As text
 */

struct json_object *hs_threads_json(const struct hs_threads *list)
{
	struct json_object *all = json_object_new_array(), *o;
	uint32_t i;

	for (i = 0; all && i < list->nr; i++) {
		const struct hs_thread *t = &list->v[i];

		o = json_object_new_object();
		js_put_u64(o, "worker", (uintptr_t)t->worker);
		js_put_u64(o, "arg", (uintptr_t)t->arg);
		js_put_text(o, "name", t->attr.name);
		js_put_u64(o, "stack_size", t->attr.stack_size);
		js_put_i64(o, "policy", t->attr.policy);
		js_put_i64(o, "priority", t->attr.priority);
		json_object_array_add(all, o);
	}
	return all;
}

static bool parse_one(struct hs_thread *t, struct json_object *o)
{
	struct js_from from = { .o = o };
	const char *name;

	if (!json_object_is_type(o, json_type_object))
		return false;
	t->worker = (void (*)(void *))(uintptr_t)js_get_u64(&from, "worker");
	t->arg = (void *)(uintptr_t)js_get_u64(&from, "arg");
	name = js_get_text(&from, "name");
	if (strlen(name) >= sizeof(t->attr.name))
		return false;
	strcpy(t->attr.name, name);
	t->attr.stack_size = js_get_u64(&from, "stack_size");
	t->attr.policy = (int)js_get_i64(&from, "policy", 0, 16);
	t->attr.priority = (int)js_get_i64(&from, "priority", 0, 99);
	return !from.bad && t->worker && good_attr(&t->attr);
}

/* Returns 0, or -1 with errno EBADMSG or ENOMEM, and @e. */
int hs_threads_parse(struct hs_threads *list, struct json_object *json, struct hs_error *e)
{
	size_t i, nr;

	*list = (struct hs_threads) { 0 };
	if (!json_object_is_type(json, json_type_array))
		return hs_fail(e, EBADMSG, "the list of threads is invalid");
	nr = json_object_array_length(json);
	if (nr > MAX_THREADS)
		return hs_fail(e, EBADMSG, "%zu threads are too many", nr);
	list->v = calloc(nr + 1, sizeof(*list->v));
	if (!list->v)
		return hs_fail(e, ENOMEM, "no memory for the list of threads");
	for (i = 0; i < nr; i++) {
		if (parse_one(&list->v[i], json_object_array_get_idx(json, i)))
			continue;
		hs_threads_free(list);
		return hs_fail(e, EBADMSG, "thread %zu in the checkpoint is invalid", i + 1);
	}
	list->nr = (uint32_t)nr;
	return 0;
}
