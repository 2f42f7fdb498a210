// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: a process's attributes.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "js.h"
#include "process.h"

/* Whoever asks by umask(2) changes it for a moment, for all threads. */
static int get_umask(mode_t *mask)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned int value;
	char line[256];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "Umask: %o", &value) == 1;
	if (f)
		fclose(f);
	if (found)
		*mask = value;
	return found ? 0 : -1;
}

static int get_ids(struct hs_process *p)
{
	getresuid(&p->uid[0], &p->uid[1], &p->uid[2]);
	getresgid(&p->gid[0], &p->gid[1], &p->gid[2]);
	p->nr_groups = getgroups(0, NULL);
	p->groups = calloc((size_t)p->nr_groups + 1, sizeof(*p->groups));
	if (!p->groups)
		return -1;
	p->nr_groups = getgroups(p->nr_groups, p->groups);
	return p->nr_groups < 0 ? -1 : 0;
}

void hs_process_free(struct hs_process *p)
{
	free(p->directory);
	free(p->groups);
	*p = (struct hs_process) { 0 };
}

int hs_process_capture(struct hs_process *to, struct hs_error *e)
{
	int i;

	*to = (struct hs_process) { 0 };
	if (get_umask(&to->umask))
		return hs_fail(e, EIO, "/proc/self/status can't be read: mount /proc");
	to->directory = getcwd(NULL, 0);
	if (!to->directory || get_ids(to)) {
		hs_process_free(to);
		return hs_fail(e, errno, "the current directory, or the groups: %s",
			       strerror(errno));
	}
	to->layout = *hs_layout_here();
	hs_clocks_capture(&to->clocks);
	to->nice = getpriority(PRIO_PROCESS, 0);
	for (i = 0; i < RLIM_NLIMITS; i++)
		getrlimit((__rlimit_resource_t)i, &to->limit[i]);
	return 0;
}

/* All that can't be had is told, and the first one's errno is @e's; the others are done. */
static void tell(struct hs_error *e, int *err, const char *what)
{
	size_t len = *err ? strlen(e->text) : 0;
	int why = errno;

	snprintf(e->text + len, sizeof(e->text) - len, "%s%s can't be restored: %s",
		 len ? "; " : "", what, strerror(why));
	*err = *err ?: why;
}

static void set_limits(const struct hs_process *p, struct hs_error *e, int *err)
{
	struct rlimit now;
	char text[32];
	int i;

	for (i = 0; i < RLIM_NLIMITS; i++) {
		getrlimit((__rlimit_resource_t)i, &now);
		if (now.rlim_cur == p->limit[i].rlim_cur &&
		    now.rlim_max == p->limit[i].rlim_max)
			continue;
		snprintf(text, sizeof(text), "resource limit %d", i);
		if (setrlimit((__rlimit_resource_t)i, &p->limit[i]))
			tell(e, err, text);
	}
}

/* As the one that it was, where that is permitted; last of all, for it may take away the rest. */
static void set_credentials(const struct hs_process *p, struct hs_error *e, int *err)
{
	struct hs_process now = { 0 };

	if (get_ids(&now)) {
		tell(e, err, "the user");
		hs_process_free(&now);
		return;
	}
	if (now.nr_groups != p->nr_groups ||
	    memcmp(now.groups, p->groups, (size_t)p->nr_groups * sizeof(gid_t)))
		if (setgroups((size_t)p->nr_groups, p->groups))
			tell(e, err, "the list of groups");
	if (memcmp(now.gid, p->gid, sizeof(now.gid)) &&
	    setresgid(p->gid[0], p->gid[1], p->gid[2]))
		tell(e, err, "the group");
	if (memcmp(now.uid, p->uid, sizeof(now.uid)) &&
	    setresuid(p->uid[0], p->uid[1], p->uid[2]))
		tell(e, err, "the user");
	hs_process_free(&now);
}

/* Is there what it needs here? Returns 0, or -1 with errno and @e. */
int hs_process_missing(const struct hs_process *p, struct hs_error *e)
{
	if (!faccessat(AT_FDCWD, p->directory, X_OK, AT_EACCESS))
		return 0;
	return hs_fail(e, errno, "the current directory, %s: %s", p->directory, strerror(errno));
}

/* Returns 0, or -1 with errno and @e: what couldn't be had. All else is done then. */
int hs_process_restore(const struct hs_process *p, struct hs_error *e)
{
	int err = 0;

	hs_clocks_restore(&p->clocks);
	umask(p->umask);
	if (chdir(p->directory))
		tell(e, &err, p->directory);
	if (getpriority(PRIO_PROCESS, 0) != p->nice &&
	    setpriority(PRIO_PROCESS, 0, p->nice))
		tell(e, &err, "the nice value");
	set_limits(p, e, &err);
	set_credentials(p, e, &err);
	errno = err;
	return err ? -1 : 0;
}

/*
 * As text
 */

static void put_list(struct json_object *o, const char *key, const unsigned int *v, int nr)
{
	struct json_object *list = json_object_new_array();
	int i;

	for (i = 0; i < nr; i++)
		json_object_array_add(list, json_object_new_int64(v[i]));
	json_object_object_add(o, key, list);
}

static const char *const clock_text[HS_CLOCKS] = { "monotonic", "boottime" };

/* Each as it was at the cut, and by how much restarts have moved it before. */
static void put_clocks(struct json_object *o, const struct hs_clocks *c)
{
	struct json_object *clocks = json_object_new_object(), *pair;
	int i;

	for (i = 0; i < HS_CLOCKS; i++) {
		pair = json_object_new_array();
		json_object_array_add(pair, json_object_new_int64(c->at_cut[i]));
		json_object_array_add(pair, json_object_new_int64(c->moved_before[i]));
		json_object_object_add(clocks, clock_text[i], pair);
	}
	json_object_object_add(o, "clocks", clocks);
}

struct json_object *hs_process_json(const struct hs_process *p)
{
	struct json_object *o = json_object_new_object(), *limits, *pair;
	int i;

	if (!o)
		return NULL;
	js_put_u64(o, "umask", p->umask);
	js_put_text(o, "directory", p->directory);
	js_put_i64(o, "nice", p->nice);
	limits = json_object_new_array();
	for (i = 0; i < RLIM_NLIMITS; i++) {
		pair = json_object_new_array();
		json_object_array_add(pair, json_object_new_uint64(p->limit[i].rlim_cur));
		json_object_array_add(pair, json_object_new_uint64(p->limit[i].rlim_max));
		json_object_array_add(limits, pair);
	}
	json_object_object_add(o, "limits", limits);
	put_list(o, "uid", p->uid, 3);
	put_list(o, "gid", p->gid, 3);
	put_list(o, "groups", p->groups, p->nr_groups);
	put_clocks(o, &p->clocks);
	json_object_object_add(o, "layout", hs_layout_json(&p->layout));
	return o;
}

/* Exactly @nr numbers. */
static void get_list(struct js_from *from, const char *key, unsigned int *v, size_t nr)
{
	struct json_object *list = js_get(from, key, json_type_array, true), *o;
	size_t i;

	if (!list || json_object_array_length(list) != nr) {
		from->bad = from->bad ?: key;
		return;
	}
	for (i = 0; i < nr; i++) {
		o = json_object_array_get_idx(list, i);
		if (!json_object_is_type(o, json_type_int) || json_object_get_int64(o) < 0 ||
		    json_object_get_int64(o) > UINT32_MAX)
			from->bad = from->bad ?: key;
		v[i] = (unsigned int)json_object_get_int64(o);
	}
}

static void get_groups_json(struct js_from *from, struct hs_process *p)
{
	struct json_object *list = js_get(from, "groups", json_type_array, true);
	size_t nr = list ? json_object_array_length(list) : 0;

	if (nr > 65536) {		/* NGROUPS_MAX */
		from->bad = from->bad ?: "groups";
		return;
	}
	p->nr_groups = (int)nr;
	p->groups = calloc(nr + 1, sizeof(*p->groups));
	if (p->groups)
		get_list(from, "groups", p->groups, nr);
	else
		from->bad = from->bad ?: "groups";
}

/* A kernel with more kinds of limits, or fewer, is no other world: those that both have. */
static void get_limits(struct js_from *from, struct hs_process *p)
{
	struct json_object *list = js_get(from, "limits", json_type_array, true), *pair;
	size_t i, nr = list ? json_object_array_length(list) : 0;

	for (i = 0; i < RLIM_NLIMITS; i++)
		getrlimit((__rlimit_resource_t)i, &p->limit[i]);
	for (i = 0; i < nr && i < RLIM_NLIMITS; i++) {
		pair = json_object_array_get_idx(list, i);
		if (!json_object_is_type(pair, json_type_array) ||
		    json_object_array_length(pair) != 2) {
			from->bad = from->bad ?: "limits";
			return;
		}
		p->limit[i].rlim_cur = json_object_get_uint64(json_object_array_get_idx(pair, 0));
		p->limit[i].rlim_max = json_object_get_uint64(json_object_array_get_idx(pair, 1));
		if (p->limit[i].rlim_cur > p->limit[i].rlim_max)
			from->bad = from->bad ?: "limits";
	}
}

static int64_t number_at(struct js_from *from, struct json_object *pair, size_t i, const char *key)
{
	struct json_object *o = json_object_array_get_idx(pair, i);
	int64_t n = json_object_get_int64(o);

	/* 146 years: so sums can't overflow. */
	if (json_object_is_type(o, json_type_int) && n > INT64_MIN / 2 && n < INT64_MAX / 2)
		return n;
	from->bad = from->bad ?: key;
	return 0;
}

static void get_clocks(struct js_from *from, struct hs_clocks *c)
{
	struct js_from in = { .o = js_get(from, "clocks", json_type_object, true) };
	struct json_object *pair;
	int i;

	for (i = 0; in.o && i < HS_CLOCKS; i++) {
		pair = js_get(&in, clock_text[i], json_type_array, true);
		if (!pair)
			break;
		c->at_cut[i] = number_at(&in, pair, 0, clock_text[i]);
		c->moved_before[i] = number_at(&in, pair, 1, clock_text[i]);
	}
	from->bad = from->bad ?: in.bad;
}

/* Returns 0, or -1 with errno EBADMSG and @e. */
int hs_process_parse(struct hs_process *p, struct json_object *json, struct hs_error *e)
{
	struct js_from from = { .o = json };

	*p = (struct hs_process) { 0 };
	if (!json_object_is_type(json, json_type_object))
		return hs_fail(e, EBADMSG, "the attributes of the process are invalid");
	p->umask = (mode_t)js_get_i64(&from, "umask", 0, 0777);
	p->directory = strdup(js_get_text(&from, "directory"));
	if (!p->directory || p->directory[0] != '/')
		from.bad = from.bad ?: "directory";
	p->nice = (int)js_get_i64(&from, "nice", -20, 19);
	get_limits(&from, p);
	get_list(&from, "uid", p->uid, 3);
	get_list(&from, "gid", p->gid, 3);
	get_groups_json(&from, p);
	get_clocks(&from, &p->clocks);
	hs_layout_parse(&p->layout, json_object_object_get(json, "layout"));
	if (!from.bad)
		return 0;
	hs_process_free(p);
	return hs_fail(e, EBADMSG, "the process in the checkpoint: '%s' is invalid",
		       from.bad);
}
