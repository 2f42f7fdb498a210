// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: the state of a program as sections of a checkpoint, see texts.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "../hotspare/js.h"
#include "texts_words.h"
#include "timers.h"


void run_texts_free(struct run_texts *t)
{
	int i;

	for (i = 0; i < HS_SECTION_TYPES; i++)
		free(t->text[i]);
	*t = (struct run_texts) { 0 };
}

static bool has_shared(const struct run_state *s)
{
	uint32_t i, k;

	for (i = 0; i <= s->nr_others; i++) {
		const struct run_maps *maps = &run_state_of((struct run_state *)s, i)->maps;

		for (k = 0; k < maps->nr; k++)
			if (maps->v[k].kind == RUN_SHARED)
				return true;
	}
	return false;
}

static struct json_object *build_json(const struct run_state *s)
{
	struct json_object *o = json_object_new_object();
	struct utsname here;

	uname(&here);
	js_put_text(o, "made_by", RUN_MAKER);
	js_put_i64(o, "version", has_shared(s) ? RUN_VERSION_SHARED :
		   s->nr_others || s->nr_zombies ? RUN_VERSION_TREE : RUN_VERSION_ONE);
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
	js_put_i64(o, "parent", p->parent);
	js_put_i64(o, "session", p->session);
	js_put_i64(o, "group", p->group);
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
		js_put_text(o, "kind", run_kind_text[m->kind]);
		js_put_i64(o, "prot", m->prot);
		js_put_i64(o, "flags", m->flags);
		if (m->kind == RUN_FILE) {
			js_put_text(o, "path", m->path);
			js_put_u64(o, "offset", m->offset);
			js_put_u64(o, "bytes", m->size);
		}
		if (m->kind == RUN_SHARED) {
			js_put_u64(o, "object", m->object);
			js_put_bool(o, "owns", m->owns);
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

static struct json_object *places_json(const struct run_fds *fds)
{
	struct json_object *list = json_object_new_array(), *o;
	uint32_t i;

	for (i = 0; i < fds->nr_places; i++) {
		o = json_object_new_object();
		js_put_i64(o, "fd", fds->places[i].fd);
		js_put_i64(o, "at", fds->places[i].at);
		js_put_bool(o, "cloexec", fds->places[i].cloexec);
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
	if (fds->nr_places)
		json_object_object_add(o, "places", places_json(fds));
	for (i = 0; i < RUN_STD; i++)
		if (fds->has_termios[i])
			js_put_hex(o, names[i], &fds->termios[i], sizeof(fds->termios[i]));
	return o;
}

static struct json_object *actions_json(const struct run_process *p)
{
	struct json_object *o = json_object_new_object();

	js_put_hex(o, "actions", p->action, sizeof(p->action));
	return o;
}

/*
 * The whole
 */

/* By the names of the sections, which the first process has. */
static struct json_object *other_json(const struct run_state *s)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "process", process_json(&s->process));
	json_object_object_add(o, "signals", actions_json(&s->process));
	json_object_object_add(o, "ranges", maps_json(&s->maps));
	json_object_object_add(o, "threads", threads_json(&s->threads));
	json_object_object_add(o, "descriptors", fds_json(&s->fds));
	js_put_i64(o, "slot", s->slot);
	return o;
}

static struct json_object *zombie_json(const struct run_zombie *z)
{
	struct json_object *o = json_object_new_object();

	js_put_i64(o, "pid", z->pid);
	js_put_i64(o, "parent", z->parent);
	js_put_i64(o, "session", z->session);
	js_put_i64(o, "group", z->group);
	js_put_i64(o, "status", z->status);
	return o;
}

/* The first process has the others in its section. */
static struct json_object *first_json(const struct run_state *s)
{
	struct json_object *o = process_json(&s->process), *others, *ended;
	uint32_t i;

	if (!s->nr_others && !s->nr_zombies)
		return o;
	others = json_object_new_array();
	for (i = 0; i < s->nr_others; i++)
		json_object_array_add(others, other_json(&s->others[i]));
	json_object_object_add(o, "others", others);
	ended = json_object_new_array();
	for (i = 0; i < s->nr_zombies; i++)
		json_object_array_add(ended, zombie_json(&s->zombies[i]));
	json_object_object_add(o, "ended", ended);
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
	*t = (struct run_texts) { 0 };
	if (!(put(t, HS_SECTION_SIGNALS, actions_json(&s->process)) | put(t, HS_SECTION_BUILD, build_json(s)) |
	      put(t, HS_SECTION_PROCESS, first_json(s)) |
	      put(t, HS_SECTION_RANGES, maps_json(&s->maps)) |
	      put(t, HS_SECTION_THREADS, threads_json(&s->threads)) |
	      put(t, HS_SECTION_HOOKS, json_object_new_array()) |
	      put(t, HS_SECTION_DESCRIPTORS, fds_json(&s->fds))))
		return 0;
	run_texts_free(t);
	errno = ENOMEM;
	return -1;
}
