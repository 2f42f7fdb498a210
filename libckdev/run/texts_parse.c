// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: the state of a program from the sections of a checkpoint, see texts.h. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../hotspare/js.h"
#include "family.h"
#include "texts_words.h"
#include "timers.h"

#define LOWEST		0x1000UL
#define TID_MAX		4194304
#define THREADS_MAX	65536U
#define MAPS_MAX	65530U
#define FD_MAX		(1 << 20)

const char *const run_kind_text[RUN_MAP_KINDS] = { "memory", "shared", "file", "vvar", "vdso" };

static void get_fixed(struct js_from *from, const char *key, void *to, size_t len)
{
	uint32_t n = 0;
	char *bytes = js_get_hex(from, key, len, &n);

	if (n == len)
		memcpy(to, bytes, len);
	else
		from->bad = from->bad ?: key;
	free(bytes);
}

static void get_word(struct js_from *from, const char *key, char *to, size_t size)
{
	const char *text = js_get_text(from, key);

	if (strlen(text) >= size)
		from->bad = from->bad ?: key;
	snprintf(to, size, "%s", text);
}

static char *get_path(struct js_from *from, const char *key)
{
	const char *text = js_get_text(from, key);

	if (text[0] != '/' || strlen(text) >= PATH_MAX)
		from->bad = from->bad ?: key;
	return strdup(text);
}

static void get_pending(struct js_from *from, struct run_pending *p)
{
	uint32_t len = 0;

	p->v = (void *)js_get_hex(from, "pending", 1U << 20, &len);
	p->nr = len / sizeof(*p->v);
	if (len % sizeof(*p->v))
		from->bad = from->bad ?: "pending";
}

static void get_process(struct js_from *from, struct run_process *p)
{
	uint32_t len = 0;
	char *auxv;

	p->pid = (pid_t)js_get_i64(from, "pid", 2, TID_MAX);
	/* Older checkpoints are of one process, and don't have them. */
	if (json_object_object_get(from->o, "parent")) {
		p->parent = (pid_t)js_get_i64(from, "parent", 0, TID_MAX);
		p->session = (pid_t)js_get_i64(from, "session", 0, TID_MAX);
		p->group = (pid_t)js_get_i64(from, "group", 0, TID_MAX);
	}
	get_word(from, "comm", p->comm, sizeof(p->comm));
	p->exe = get_path(from, "exe");
	p->directory = get_path(from, "directory");
	p->umask = (mode_t)js_get_i64(from, "umask", 0, 0777);
	p->leads_session = js_get_bool(from, "leads_session");
	p->leads_group = js_get_bool(from, "leads_group");
	p->no_new_privileges = js_get_bool(from, "no_new_privileges");
	get_fixed(from, "mm", p->mm, sizeof(p->mm));
	auxv = js_get_hex(from, "auxv", sizeof(p->auxv), &len);
	if (auxv)
		memcpy(p->auxv, auxv, len);
	p->auxv_len = len & ~15U;
	free(auxv);
	get_fixed(from, "limits", p->limit, sizeof(p->limit));
	get_fixed(from, "timers", p->timer, sizeof(p->timer));
	run_timers_parse(&p->timers, from);
	get_pending(from, &p->pending);
	p->monotonic_ns = js_get_i64(from, "monotonic_ns", 0, INT64_MAX);
	p->boottime_ns = js_get_i64(from, "boottime_ns", 0, INT64_MAX);
	p->realtime_ns = js_get_i64(from, "realtime_ns", 0, INT64_MAX);
}

/* @before: end of the mapping below. */
static void get_map(struct js_from *from, struct run_map *m, uint64_t before)
{
	m->start = js_get_u64(from, "start");
	m->end = js_get_u64(from, "end");
	if (m->start < LOWEST || m->start < before || m->end <= m->start || m->end > RUN_TOP ||
	    m->start % RUN_PAGE || m->end % RUN_PAGE)
		from->bad = from->bad ?: "start";
	m->kind = (enum run_map_kind)js_get_word(from, "kind", run_kind_text, RUN_MAP_KINDS);
	m->prot = (int)js_get_i64(from, "prot", 0, PROT_READ | PROT_WRITE | PROT_EXEC);
	m->flags = (unsigned int)js_get_i64(from, "flags", 0, RUN_MAP_FLAGS);
	m->sum = js_get_u64(from, "sum");
	if (m->kind != RUN_FILE && m->flags & RUN_MAP_SHARED)
		from->bad = from->bad ?: "flags";
	if (m->kind != RUN_FILE && m->kind != RUN_SHARED)
		return;
	if (m->kind == RUN_SHARED) {
		m->object = js_get_u64(from, "object");
		m->owns = js_get_bool(from, "owns");
	} else {
		m->path = get_path(from, "path");
	}
	m->offset = js_get_u64(from, "offset");
	m->size = js_get_u64(from, "bytes");
	if (m->offset % RUN_PAGE || m->offset > INT64_MAX - (m->end - m->start))
		from->bad = from->bad ?: "offset";
}

static void get_thread(struct js_from *from, struct run_thread *t)
{
	get_word(from, "comm", t->comm, sizeof(t->comm));
	t->tid = (pid_t)js_get_i64(from, "tid", 2, TID_MAX);
	get_fixed(from, "registers", &t->regs, sizeof(t->regs));
	t->xstate = (uint8_t *)js_get_hex(from, "xstate", RUN_XSTATE_MAX, &t->xstate_len);
	t->mask = js_get_u64(from, "mask");
	get_fixed(from, "altstack", &t->altstack, sizeof(t->altstack));
	t->robust = js_get_u64(from, "robust");
	t->tid_address = js_get_u64(from, "tid_address");
	t->rseq = js_get_u64(from, "rseq");
	t->rseq_len = (uint32_t)js_get_i64(from, "rseq_len", 0, 4096);
	t->rseq_sig = (uint32_t)js_get_i64(from, "rseq_sig", 0, UINT32_MAX);
	t->nice = (int)js_get_i64(from, "nice", -20, 19);
	t->policy = (int)js_get_i64(from, "policy", 0, INT_MAX);
	t->priority = (int)js_get_i64(from, "priority", 0, 99);
	get_fixed(from, "cpus", &t->cpus, sizeof(t->cpus));
	get_pending(from, &t->pending);
}

static int complain(struct hs_error *e, const char *section, const char *key)
{
	return hs_fail(e, EBADMSG, "the checkpoint's section '%s' makes no sense ('%s'): use another "
		       "checkpoint", section, key);
}

static int parse_maps(struct json_object *list, struct run_maps *maps, struct hs_error *e)
{
	size_t nr = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	uint64_t before = 0;

	if (!nr || nr > MAPS_MAX)
		return complain(e, "ranges", "number");
	maps->v = calloc(nr, sizeof(*maps->v));
	if (!maps->v)
		return hs_fail(e, ENOMEM, "no memory for the list of mappings");
	for (; maps->nr < nr; before = maps->v[maps->nr - 1].end) {
		struct js_from from = { .o = json_object_array_get_idx(list, maps->nr) };

		if (!json_object_is_type(from.o, json_type_object))
			return complain(e, "ranges", "list");
		get_map(&from, &maps->v[maps->nr++], before);
		if (from.bad)
			return complain(e, "ranges", from.bad);
	}
	return 0;
}

static int parse_threads(struct json_object *list, struct run_threads *threads, struct hs_error *e)
{
	size_t nr = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	uint32_t i;

	if (!nr || nr > THREADS_MAX)
		return complain(e, "threads", "number");
	threads->v = calloc(nr, sizeof(*threads->v));
	if (!threads->v)
		return hs_fail(e, ENOMEM, "no memory for the list of threads");
	while (threads->nr < nr) {
		struct js_from from = { .o = json_object_array_get_idx(list, threads->nr) };
		struct run_thread *t = &threads->v[threads->nr++];

		if (!json_object_is_type(from.o, json_type_object))
			return complain(e, "threads", "list");
		get_thread(&from, t);
		for (i = 0; i + 1 < threads->nr; i++)
			if (threads->v[i].tid == t->tid)
				from.bad = from.bad ?: "tid";
		if (from.bad)
			return complain(e, "threads", from.bad);
	}
	return 0;
}

static void get_inherited(struct js_from *from, struct run_inherited *n)
{
	n->fd = (int)js_get_i64(from, "fd", 0, FD_MAX);
	n->from = (int)js_get_i64(from, "from", 0, RUN_STD - 1);
	n->flags = (int)js_get_i64(from, "flags", 0, INT_MAX);
	n->cloexec = js_get_bool(from, "cloexec");
}

static int parse_inherited(struct json_object *list, struct run_fds *fds, struct hs_error *e)
{
	size_t nr = json_object_array_length(list);

	if (nr > FD_MAX)
		return complain(e, "descriptors", "inherited");
	fds->inherited = calloc(nr + 1, sizeof(*fds->inherited));
	if (!fds->inherited)
		return hs_fail(e, ENOMEM, "no memory for the list of descriptors");
	while (fds->nr_inherited < nr) {
		struct js_from from = { .o = json_object_array_get_idx(list, fds->nr_inherited) };

		get_inherited(&from, &fds->inherited[fds->nr_inherited++]);
		if (from.bad)
			return complain(e, "descriptors", from.bad);
	}
	return 0;
}

static int parse_places(struct json_object *list, struct run_fds *fds, struct hs_error *e)
{
	size_t nr = list ? json_object_array_length(list) : 0;

	if (nr > FD_MAX)
		return complain(e, "descriptors", "places");
	fds->places = calloc(nr + 1, sizeof(*fds->places));
	if (!fds->places)
		return hs_fail(e, ENOMEM, "no memory for the list of descriptors");
	while (fds->nr_places < nr) {
		struct js_from from = { .o = json_object_array_get_idx(list, fds->nr_places) };
		struct run_place *p = &fds->places[fds->nr_places++];

		p->fd = (int)js_get_i64(&from, "fd", 0, FD_MAX);
		p->at = (int)js_get_i64(&from, "at", 0, FD_MAX);
		p->cloexec = js_get_bool(&from, "cloexec");
		if (from.bad)
			return complain(e, "descriptors", from.bad);
	}
	return 0;
}

static int parse_fds(struct json_object *o, struct run_fds *fds, struct hs_error *e)
{
	static const char *const names[RUN_STD] = { "termios0", "termios1", "termios2" };
	struct js_from from = { .o = o };
	struct json_object *inherited = js_get(&from, "inherited", json_type_array, true);
	struct json_object *places = js_get(&from, "places", json_type_array, false);
	int i;

	if (from.bad)
		return complain(e, "descriptors", from.bad);
	if (parse_inherited(inherited, fds, e) || parse_places(places, fds, e))
		return -1;
	for (i = 0; i < RUN_STD; i++) {
		fds->has_termios[i] = json_object_object_get(o, names[i]);
		if (fds->has_termios[i])
			get_fixed(&from, names[i], &fds->termios[i], sizeof(fds->termios[i]));
	}
	if (from.bad)
		return complain(e, "descriptors", from.bad);
	return hs_fds_parse(&fds->list, json_object_object_get(o, "descriptors"), e);
}

static int parse_build(struct js_from *from, struct run_state *s, struct hs_error *e)
{
	const int64_t version = js_get_i64(from, "version", 0, INT_MAX);

	if (strcmp(js_get_text(from, "made_by"), RUN_MAKER))
		return hs_fail(e, ENOEXEC, "the checkpoint isn't one of cptdev-run: restart it by its own "
			       "program");
	if (version < RUN_VERSION_MIN || version > RUN_VERSION_SHARED)
		return hs_fail(e, EPROTONOSUPPORT, "the checkpoint is of another version of cptdev-run: "
			       "use that one");
	s->process.cpu = strdup(js_get_text(from, "cpu"));
	return 0;
}

static int parse_object(struct json_object *o, enum hs_section_type type, struct run_state *s,
			struct hs_error *e)
{
	struct js_from from = { .o = o };
	int ret = 0;

	if (!o || (type != HS_SECTION_RANGES && type != HS_SECTION_THREADS &&
		   !json_object_is_type(o, json_type_object)))
		return hs_fail(e, EBADMSG, "the checkpoint has no section '%s'", hs_section_text(type));
	if (type == HS_SECTION_BUILD)
		ret = parse_build(&from, s, e);
	else if (type == HS_SECTION_PROCESS)
		get_process(&from, &s->process);
	else if (type == HS_SECTION_SIGNALS)
		get_fixed(&from, "actions", s->process.action, sizeof(s->process.action));
	else if (type == HS_SECTION_RANGES)
		ret = parse_maps(o, &s->maps, e);
	else if (type == HS_SECTION_THREADS)
		ret = parse_threads(o, &s->threads, e);
	else
		ret = parse_fds(o, &s->fds, e);
	return !ret && from.bad ? complain(e, hs_section_text(type), from.bad) : ret;
}

/* 0: no thread is meant. */
static bool has_thread(const struct run_threads *threads, pid_t tid)
{
	uint32_t i;

	for (i = 0; tid && i < threads->nr; i++)
		if (threads->v[i].tid == tid)
			return true;
	return !tid;
}

/* What is between the parts of a process. */
static int check_process(const struct run_state *s, struct hs_error *e)
{
	uint32_t i, vdso = 0;

	for (i = 0; i < s->maps.nr; i++)
		vdso += s->maps.v[i].kind == RUN_VDSO;
	if (vdso != 1)
		return complain(e, "ranges", "vdso");
	if (s->threads.v[0].tid != s->process.pid)
		return complain(e, "threads", "tid");
	for (i = 0; i < s->process.timers.nr; i++)
		if (!has_thread(&s->threads, s->process.timers.v[i].tid))
			return complain(e, "process", "posix_timers");
	return 0;
}

/*
 * Several processes
 */

static int compare_numbers(const void *a, const void *b)
{
	const pid_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int parse_other(struct json_object *o, struct run_state *s, struct hs_error *e)
{
	static const enum hs_section_type order[] = {
		HS_SECTION_PROCESS, HS_SECTION_SIGNALS, HS_SECTION_RANGES, HS_SECTION_THREADS,
		HS_SECTION_DESCRIPTORS,
	};
	struct js_from from = { .o = o };
	size_t i;

	if (!json_object_is_type(o, json_type_object))
		return complain(e, "process", "others");
	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (parse_object(json_object_object_get(o, hs_section_text(order[i])), order[i], s, e))
			return -1;
	/* Older checkpoints are files, which don't need it. */
	if (json_object_object_get(o, "slot"))
		s->slot = (uint32_t)js_get_i64(&from, "slot", 1, RUN_SLOTS - 1);
	return from.bad ? complain(e, "process", from.bad) : check_process(s, e);
}

static int parse_zombie(struct json_object *o, struct run_zombie *z, struct hs_error *e)
{
	struct js_from from = { .o = o };

	z->pid = (pid_t)js_get_i64(&from, "pid", 2, TID_MAX);
	z->parent = (pid_t)js_get_i64(&from, "parent", 2, TID_MAX);
	z->session = (pid_t)js_get_i64(&from, "session", 0, TID_MAX);
	z->group = (pid_t)js_get_i64(&from, "group", 0, TID_MAX);
	z->status = (int)js_get_i64(&from, "status", 0, 0xffff);
	return from.bad ? complain(e, "process", "ended") : 0;
}

static int parse_list(struct js_from *from, const char *key, struct json_object **list, size_t *nr,
		      struct hs_error *e)
{
	*list = js_get(from, key, json_type_array, false);
	*nr = *list ? json_object_array_length(*list) : 0;
	return from->bad || *nr > RUN_PROCESSES_MAX ? complain(e, "process", key) : 0;
}

static int parse_others(struct json_object *process, struct run_state *s, struct hs_error *e)
{
	struct js_from from = { .o = process };
	struct json_object *others, *ended;
	size_t nr_others, nr_ended;

	if (parse_list(&from, "others", &others, &nr_others, e) ||
	    parse_list(&from, "ended", &ended, &nr_ended, e))
		return -1;
	s->others = calloc(nr_others + 1, sizeof(*s->others));
	s->zombies = calloc(nr_ended + 1, sizeof(*s->zombies));
	if (!s->others || !s->zombies)
		return hs_fail(e, ENOMEM, "no memory for the list of processes");
	while (s->nr_others < nr_others) {
		struct json_object *o = json_object_array_get_idx(others, s->nr_others);

		if (parse_other(o, &s->others[s->nr_others++], e))
			return -1;
	}
	while (s->nr_zombies < nr_ended) {
		struct json_object *o = json_object_array_get_idx(ended, s->nr_zombies);

		if (parse_zombie(o, &s->zombies[s->nr_zombies++], e))
			return -1;
	}
	return 0;
}

/* No two of them are the same. */
static int check_numbers(struct run_state *s, struct hs_error *e)
{
	size_t nr = s->nr_zombies, i, j;
	pid_t *v;
	int ret = 0;

	for (i = 0; i <= s->nr_others; i++)
		nr += run_state_of(s, (uint32_t)i)->threads.nr;
	v = calloc(nr, sizeof(*v));
	if (!v)
		return hs_fail(e, ENOMEM, "no memory for the list of processes");
	for (nr = 0; nr < s->nr_zombies; nr++)
		v[nr] = s->zombies[nr].pid;
	for (i = 0; i <= s->nr_others; i++)
		for (j = 0; j < run_state_of(s, (uint32_t)i)->threads.nr; j++)
			v[nr++] = run_state_of(s, (uint32_t)i)->threads.v[j].tid;
	qsort(v, nr, sizeof(*v), compare_numbers);
	for (i = 1; i < nr; i++)
		ret |= v[i] == v[i - 1];
	free(v);
	return ret ? complain(e, "threads", "tid") : 0;
}

/* Each is behind its parent; what it has of descriptors is in the list. */
static int check_family(struct run_state *s, struct hs_error *e)
{
	uint32_t i, j;
	bool before;

	for (i = 0; i < s->nr_others; i++) {
		int parent = run_family_parent(s, s->others[i].process.parent);

		if (parent < 0 || (uint32_t)parent > i || !run_family_fits(s, i, &before))
			return complain(e, "process", "parent");
	}
	for (i = 0; i < s->nr_zombies; i++)
		if (!run_family_fits_zombie(s, &s->zombies[i], &before))
			return complain(e, "process", "ended");
	for (i = 0; i <= s->nr_others; i++) {
		const struct run_fds *fds = &run_state_of(s, i)->fds;

		for (j = 0; j < fds->nr_places; j++)
			if (!hs_fds_find(&s->fds.list, fds->places[j].at))
				return complain(e, "descriptors", "places");
	}
	return check_numbers(s, e);
}

static int parse_text(const struct run_texts *t, enum hs_section_type type, struct run_state *s,
		      struct hs_error *e)
{
	struct json_object *o = t->text[type] ? json_tokener_parse(t->text[type]) : NULL;
	int ret = parse_object(o, type, s, e);

	if (!ret && type == HS_SECTION_PROCESS)
		ret = parse_others(o, s, e);
	json_object_put(o);
	return ret;
}

int run_texts_parse(const struct run_texts *t, struct run_state *s, struct hs_error *e)
{
	static const enum hs_section_type order[] = {
		HS_SECTION_BUILD, HS_SECTION_PROCESS, HS_SECTION_SIGNALS, HS_SECTION_RANGES,
		HS_SECTION_THREADS, HS_SECTION_DESCRIPTORS,
	};
	int ret = 0, err;
	size_t i;

	*s = (struct run_state) { 0 };
	for (i = 0; !ret && i < sizeof(order) / sizeof(order[0]); i++)
		ret = parse_text(t, order[i], s, e);
	if (!ret)
		ret = check_process(s, e) || check_family(s, e) ? -1 : 0;
	if (!ret)
		return 0;
	err = errno;
	run_state_free(s);
	errno = err;
	return -1;
}
