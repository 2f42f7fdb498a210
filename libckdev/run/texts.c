// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: the state of a program as sections of a checkpoint, see texts.h. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>

#include "../hotspare/js.h"
#include "texts.h"
#include "timers.h"

#define MAKER		"cptdev-run"
#define VERSION_NOW	2
#define VERSION_MIN	1		/* without POSIX timers */
#define LOWEST		0x1000UL
#define TID_MAX		4194304
#define THREADS_MAX	65536U
#define MAPS_MAX	65530U

static const char *const kind_text[RUN_MAP_KINDS] = { "memory", "file", "vvar", "vdso" };

void run_texts_free(struct run_texts *t)
{
	int i;

	for (i = 0; i < HS_SECTION_TYPES; i++)
		free(t->text[i]);
	*t = (struct run_texts) { 0 };
}

/*
 * Writing
 */

static struct json_object *build_json(const struct run_state *s)
{
	struct json_object *o = json_object_new_object();
	struct utsname here;

	uname(&here);
	js_put_text(o, "made_by", MAKER);
	js_put_i64(o, "version", VERSION_NOW);
	js_put_text(o, "kernel", here.release);
	js_put_text(o, "cpu", s->process.cpu ?: "");
	return o;
}

static void put_pending(struct json_object *o, const struct run_pending *p)
{
	js_put_hex(o, "pending", p->v, p->nr * sizeof(*p->v));
}

static struct json_object *process_json(const struct run_process *p)
{
	struct json_object *o = json_object_new_object();

	js_put_i64(o, "pid", p->pid);
	js_put_text(o, "comm", p->comm);
	js_put_text(o, "exe", p->exe);
	js_put_text(o, "directory", p->directory);
	js_put_u64(o, "umask", p->umask);
	js_put_bool(o, "leads_session", p->leads_session);
	js_put_bool(o, "leads_group", p->leads_group);
	js_put_bool(o, "no_new_privileges", p->no_new_privileges);
	js_put_hex(o, "mm", p->mm, sizeof(p->mm));
	js_put_hex(o, "auxv", p->auxv, p->auxv_len);
	js_put_hex(o, "limits", p->limit, sizeof(p->limit));
	js_put_hex(o, "timers", p->timer, sizeof(p->timer));
	json_object_object_add(o, "posix_timers", run_timers_json(&p->timers));
	put_pending(o, &p->pending);
	js_put_i64(o, "monotonic_ns", p->monotonic_ns);
	js_put_i64(o, "boottime_ns", p->boottime_ns);
	js_put_i64(o, "realtime_ns", p->realtime_ns);
	return o;
}

static struct json_object *maps_json(const struct run_maps *maps)
{
	struct json_object *list = json_object_new_array(), *o;
	const struct run_map *m;

	for (m = maps->v; m < maps->v + maps->nr; m++) {
		o = json_object_new_object();
		js_put_u64(o, "start", m->start);
		js_put_u64(o, "end", m->end);
		js_put_text(o, "kind", kind_text[m->kind]);
		js_put_i64(o, "prot", m->prot);
		js_put_i64(o, "flags", m->flags);
		if (m->kind == RUN_FILE) {
			js_put_text(o, "path", m->path);
			js_put_u64(o, "offset", m->offset);
			js_put_u64(o, "bytes", m->size);
		}
		js_put_u64(o, "sum", m->sum);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *threads_json(const struct run_threads *threads)
{
	struct json_object *list = json_object_new_array(), *o;
	const struct run_thread *t;

	for (t = threads->v; t < threads->v + threads->nr; t++) {
		o = json_object_new_object();
		js_put_i64(o, "tid", t->tid);
		js_put_text(o, "comm", t->comm);
		js_put_hex(o, "registers", &t->regs, sizeof(t->regs));
		js_put_hex(o, "xstate", t->xstate, t->xstate_len);
		js_put_u64(o, "mask", t->mask);
		js_put_hex(o, "altstack", &t->altstack, sizeof(t->altstack));
		js_put_u64(o, "robust", t->robust);
		js_put_u64(o, "tid_address", t->tid_address);
		js_put_u64(o, "rseq", t->rseq);
		js_put_u64(o, "rseq_len", t->rseq_len);
		js_put_u64(o, "rseq_sig", t->rseq_sig);
		js_put_i64(o, "nice", t->nice);
		js_put_i64(o, "policy", t->policy);
		js_put_i64(o, "priority", t->priority);
		js_put_hex(o, "cpus", &t->cpus, sizeof(t->cpus));
		put_pending(o, &t->pending);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *fds_json(const struct run_fds *fds)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array(), *n;
	static const char *const names[RUN_STD] = { "termios0", "termios1", "termios2" };
	uint32_t i;

	json_object_object_add(o, "descriptors", hs_fds_json(&fds->list));
	for (i = 0; i < fds->nr_inherited; i++) {
		n = json_object_new_object();
		js_put_i64(n, "fd", fds->inherited[i].fd);
		js_put_i64(n, "from", fds->inherited[i].from);
		js_put_i64(n, "flags", fds->inherited[i].flags);
		js_put_bool(n, "cloexec", fds->inherited[i].cloexec);
		json_object_array_add(list, n);
	}
	json_object_object_add(o, "inherited", list);
	for (i = 0; i < RUN_STD; i++)
		if (fds->has_termios[i])
			js_put_hex(o, names[i], &fds->termios[i], sizeof(fds->termios[i]));
	return o;
}

static int put(struct run_texts *t, enum hs_section_type type, struct json_object *o)
{
	const char *text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN) : NULL;

	t->text[type] = text ? strdup(text) : NULL;
	json_object_put(o);
	return t->text[type] ? 0 : -1;
}

int run_texts_make(struct run_texts *t, const struct run_state *s)
{
	struct json_object *actions = json_object_new_object();

	*t = (struct run_texts) { 0 };
	js_put_hex(actions, "actions", s->process.action, sizeof(s->process.action));
	if (!(put(t, HS_SECTION_SIGNALS, actions) | put(t, HS_SECTION_BUILD, build_json(s)) |
	      put(t, HS_SECTION_PROCESS, process_json(&s->process)) |
	      put(t, HS_SECTION_RANGES, maps_json(&s->maps)) |
	      put(t, HS_SECTION_THREADS, threads_json(&s->threads)) |
	      put(t, HS_SECTION_HOOKS, json_object_new_array()) |
	      put(t, HS_SECTION_DESCRIPTORS, fds_json(&s->fds))))
		return 0;
	run_texts_free(t);
	errno = ENOMEM;
	return -1;
}

/*
 * Reading
 */

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
	m->kind = (enum run_map_kind)js_get_word(from, "kind", kind_text, RUN_MAP_KINDS);
	m->prot = (int)js_get_i64(from, "prot", 0, PROT_READ | PROT_WRITE | PROT_EXEC);
	m->flags = (unsigned int)js_get_i64(from, "flags", 0, RUN_MAP_FLAGS);
	m->sum = js_get_u64(from, "sum");
	if (m->kind != RUN_FILE) {
		if (m->flags & RUN_MAP_SHARED)
			from->bad = from->bad ?: "flags";
		return;
	}
	m->path = get_path(from, "path");
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
	n->fd = (int)js_get_i64(from, "fd", 0, 1 << 20);
	n->from = (int)js_get_i64(from, "from", 0, RUN_STD - 1);
	n->flags = (int)js_get_i64(from, "flags", 0, INT_MAX);
	n->cloexec = js_get_bool(from, "cloexec");
}

static int parse_fds(struct json_object *o, struct run_fds *fds, struct hs_error *e)
{
	static const char *const names[RUN_STD] = { "termios0", "termios1", "termios2" };
	struct js_from from = { .o = o };
	struct json_object *list = js_get(&from, "inherited", json_type_array, true);
	size_t nr = list ? json_object_array_length(list) : 0;
	int i;

	if (from.bad || nr > 1 << 20)
		return complain(e, "descriptors", "inherited");
	fds->inherited = calloc(nr + 1, sizeof(*fds->inherited));
	if (!fds->inherited)
		return hs_fail(e, ENOMEM, "no memory for the list of descriptors");
	while (fds->nr_inherited < nr) {
		struct js_from in = { .o = json_object_array_get_idx(list, fds->nr_inherited) };

		get_inherited(&in, &fds->inherited[fds->nr_inherited++]);
		from.bad = from.bad ?: in.bad;
	}
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

	if (strcmp(js_get_text(from, "made_by"), MAKER))
		return hs_fail(e, ENOEXEC, "the checkpoint isn't one of cptdev-run: restart it by its own "
			       "program");
	if (version < VERSION_MIN || version > VERSION_NOW)
		return hs_fail(e, EPROTONOSUPPORT, "the checkpoint is of another version of cptdev-run: "
			       "use that one");
	s->process.cpu = strdup(js_get_text(from, "cpu"));
	return 0;
}

static int parse_one(const struct run_texts *t, enum hs_section_type type, struct run_state *s,
		     struct hs_error *e)
{
	struct json_object *o = t->text[type] ? json_tokener_parse(t->text[type]) : NULL;
	struct js_from from = { .o = o };
	int ret = 0;

	if (!o || (type != HS_SECTION_RANGES && type != HS_SECTION_THREADS &&
		   !json_object_is_type(o, json_type_object))) {
		json_object_put(o);
		return hs_fail(e, EBADMSG, "the checkpoint has no section '%s'", hs_section_text(type));
	}
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
	if (!ret && from.bad)
		ret = complain(e, hs_section_text(type), from.bad);
	json_object_put(o);
	return ret;
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

/* What is between the parts. */
static int check_whole(const struct run_state *s, struct hs_error *e)
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
		ret = parse_one(t, order[i], s, e);
	if (!ret)
		ret = check_whole(s, e);
	if (!ret)
		return 0;
	err = errno;
	run_state_free(s);
	errno = err;
	return -1;
}
