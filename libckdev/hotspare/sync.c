// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: mutexes, condition variables and the like, as they are for threads that begin
 * anew. Each is remembered as it was when it was registered, and nobody held it or waited for
 * it; a restart makes it that again. Little is known here of what is inside, which is the C
 * library's: whether somebody holds it, and what belongs to the program (the value of a
 * semaphore, whether a once-control is done). It is the same C library on both sides, by its
 * build id.
 */
#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hotspare.h"
#include "js.h"
#include "ranges.h"
#include "list.h"
#include "lock.h"
#include "sync.h"

#define MAX_SYNCS	65536U		/* more are a mistake */

/* Of glibc: bits of a mutex's kind, of its lock, and of what owns it. */
#define KIND_ROBUST		16
#define KIND_CEILING		64	/* PTHREAD_PRIO_PROTECT */
#define LOCK_CEILING		0xfff80000U
#define OWNER_NOT_RECOVERABLE	0x7ffffffe
#define READER_SHIFT		3
#define ONCE_DONE		2

static const struct {
	const char *name;
	size_t size;
} kinds[HS_SYNC_KINDS] = {
	[HSSYNC_MUTEX] = { "mutex", sizeof(pthread_mutex_t) },
	[HSSYNC_COND] = { "cond", sizeof(pthread_cond_t) },
	[HSSYNC_RWLOCK] = { "rwlock", sizeof(pthread_rwlock_t) },
	[HSSYNC_BARRIER] = { "barrier", sizeof(pthread_barrier_t) },
	[HSSYNC_SEM] = { "sem", sizeof(sem_t) },
	[HSSYNC_ONCE] = { "once", sizeof(pthread_once_t) },
	[HSSYNC_SPIN] = { "spin", sizeof(pthread_spinlock_t) },
};

HS_LOCK(lock);
static struct hs_syncs registered;

/*
 * What is inside
 */

static unsigned int holder(const pthread_mutex_t *m)
{
	unsigned int word = (unsigned int)m->__data.__lock;

	return m->__data.__kind & KIND_CEILING ? word & ~LOCK_CEILING : word;
}

static bool is_held(int kind, const union hs_sync_object *o)
{
	switch (kind) {
	case HSSYNC_MUTEX:
		return holder(&o->mutex);
	case HSSYNC_RWLOCK:
		return o->rwlock.__data.__readers >> READER_SHIFT || o->rwlock.__data.__cur_writer;
	default:
		return false;
	}
}

/* Nobody is to have it any more: what can't be recovered stays so. */
static void renew_mutex(pthread_mutex_t *m, const pthread_mutex_t *fresh)
{
	bool held = holder(m);
	unsigned int ceiling = (unsigned int)m->__data.__lock & LOCK_CEILING;

	if (m->__data.__kind & KIND_ROBUST && m->__data.__owner == OWNER_NOT_RECOVERABLE)
		return;
	*m = *fresh;
	if (m->__data.__kind & KIND_CEILING)
		m->__data.__lock = (int)ceiling;
	/* As the kernel leaves it when a thread ends that has it: the next one is told. */
	else if (held && m->__data.__kind & KIND_ROBUST)
		m->__data.__lock = FUTEX_OWNER_DIED;
}

/* The number of those that wait is beside the value, which is first: see sem_getvalue(3). */
static void renew_sem(sem_t *sem, const sem_t *fresh)
{
	int value;

	sem_getvalue(sem, &value);
	*sem = *fresh;
	memcpy(sem, &value, sizeof(value));
}

static void renew(const struct hs_sync *s)
{
	union hs_sync_object *o = s->object;

	if (is_held(s->kind, o) && !(s->kind == HSSYNC_MUTEX &&
				     o->mutex.__data.__kind & KIND_ROBUST))
		fprintf(stderr, "libhotspare: the %s at %p was locked at the checkpoint, outside "
			"of hs_hold(): it is unlocked, and its data may be half changed\n",
			kinds[s->kind].name, (void *)o);
	if (s->kind == HSSYNC_MUTEX)
		renew_mutex(&o->mutex, &s->fresh.mutex);
	else if (s->kind == HSSYNC_SEM)
		renew_sem(&o->sem, &s->fresh.sem);
	else if (s->kind != HSSYNC_ONCE || !(o->once & ONCE_DONE))
		memcpy(o, &s->fresh, kinds[s->kind].size);
}

/*
 * The list
 */

static struct hs_sync *find(const void *object)
{
	uint32_t i;

	for (i = 0; i < registered.nr; i++)
		if (registered.v[i].object == object)
			return &registered.v[i];
	return NULL;
}

/* Returns 0 or errno. */
static int append(int kind, void *object)
{
	struct hs_sync s;

	if (find(object))
		return EEXIST;
	if (is_held(kind, object))
		return EBUSY;
	memset(&s, 0, sizeof(s));
	s.kind = kind;
	s.object = object;
	memcpy(&s.fresh, object, kinds[kind].size);
	/* One that is done needn't be anything else. */
	if (kind == HSSYNC_ONCE && !(s.fresh.once & ONCE_DONE))
		s.fresh.once = PTHREAD_ONCE_INIT;
	return hs_list_append(&registered, &s, MAX_SYNCS) ? errno : 0;
}

int hs_syncreg(int kind, void *object)
{
	int err;

	if (kind < 0 || kind >= HS_SYNC_KINDS || !object || (uintptr_t)object % sizeof(int)) {
		errno = EINVAL;
		return -1;
	}
	hs_lock(&lock);
	err = append(kind, object);
	hs_unlock(&lock);
	errno = err;
	return err ? -1 : 0;
}

int hs_syncdereg(void *object)
{
	struct hs_sync *s;

	hs_lock(&lock);
	s = find(object);
	if (s)
		*s = registered.v[--registered.nr];
	hs_unlock(&lock);
	if (s)
		return 0;
	errno = ENOENT;
	return -1;
}

void hs_syncs_free(struct hs_syncs *list)
{
	hs_list_free(list);
}

static int check_saved(const struct hs_syncs *list, const struct hs_ranges *ranges,
		       struct hs_error *e)
{
	struct hs_intervals saved = { .nr = 0 };
	const struct hs_sync *s;
	int ret = 0;

	if (!list->nr)
		return 0;
	if (hs_saved_pages(&saved, ranges))
		return hs_fail(e, ENOMEM, "no memory for a list of ranges");
	for (s = list->v; !ret && s < list->v + list->nr; s++)
		if (!hs_intervals_have(&saved, (uintptr_t)s->object,
				       (uintptr_t)s->object + kinds[s->kind].size))
			ret = hs_fail(e, EFAULT, "the %s at %p that is registered with "
				      "hs_syncreg() isn't in saved memory: deregister it "
				      "(hs_syncdereg)", kinds[s->kind].name, (void *)s->object);
	free(saved.v);
	return ret;
}

int hs_syncs_capture(struct hs_syncs *to, const struct hs_ranges *ranges, struct hs_error *e)
{
	int ret;

	hs_lock(&lock);
	ret = hs_list_copy(to, &registered);
	hs_unlock(&lock);
	if (ret)
		return hs_fail(e, ENOMEM, "no memory for the list of mutexes");
	if (!check_saved(to, ranges, e))
		return 0;
	hs_syncs_free(to);
	return -1;
}

void hs_syncs_adopt(struct hs_syncs *list)
{
	uint32_t i;

	for (i = 0; i < list->nr; i++)
		renew(&list->v[i]);
	hs_lock(&lock);
	hs_list_adopt(&registered, list);
	hs_unlock(&lock);
}

/*
 * As text
 */

struct json_object *hs_syncs_json(const struct hs_syncs *list)
{
	struct json_object *all = json_object_new_array(), *o;
	const struct hs_sync *s;

	for (s = list->v; all && s < list->v + list->nr; s++) {
		o = json_object_new_object();
		js_put_text(o, "kind", kinds[s->kind].name);
		js_put_u64(o, "address", (uintptr_t)s->object);
		js_put_hex(o, "fresh", &s->fresh, kinds[s->kind].size);
		json_object_array_add(all, o);
	}
	return all;
}

static bool parse_one(struct hs_sync *s, struct json_object *o)
{
	const char *names[HS_SYNC_KINDS];
	struct js_from from = { .o = o };
	uint32_t len = 0;
	char *bytes;
	int i;

	if (!json_object_is_type(o, json_type_object))
		return false;
	for (i = 0; i < HS_SYNC_KINDS; i++)
		names[i] = kinds[i].name;
	s->kind = js_get_word(&from, "kind", names, HS_SYNC_KINDS);
	s->object = (union hs_sync_object *)(uintptr_t)js_get_u64(&from, "address");
	bytes = js_get_hex(&from, "fresh", sizeof(s->fresh), &len);
	if (bytes)
		memcpy(&s->fresh, bytes, len);
	free(bytes);
	return !from.bad && s->object && !((uintptr_t)s->object % sizeof(int)) &&
		len == kinds[s->kind].size;
}

/* Returns 0, or -1 with errno EBADMSG or ENOMEM, and @e. */
int hs_syncs_parse(struct hs_syncs *list, struct json_object *json, struct hs_error *e)
{
	size_t i, nr;

	*list = (struct hs_syncs) { 0 };
	if (!json_object_is_type(json, json_type_array))
		return hs_fail(e, EBADMSG, "the list of mutexes is invalid");
	nr = json_object_array_length(json);
	if (nr > MAX_SYNCS)
		return hs_fail(e, EBADMSG, "%zu mutexes are too many", nr);
	list->v = calloc(nr + 1, sizeof(*list->v));
	if (!list->v)
		return hs_fail(e, ENOMEM, "no memory for the list of mutexes");
	for (i = 0; i < nr; i++) {
		if (parse_one(&list->v[i], json_object_array_get_idx(json, i)))
			continue;
		hs_syncs_free(list);
		return hs_fail(e, EBADMSG, "mutex %zu in the checkpoint is invalid", i + 1);
	}
	list->nr = (uint32_t)nr;
	return 0;
}
