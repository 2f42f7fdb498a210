// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl plot: pause, lag and rate of a session over time, from what monitor --json wrote. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "name.h"
#include "plot.h"

/* Events of the kernel and states of the daemon that are marked. */
static const char *const plot_words[] = {
	"new", "gone", "dropped", "fenced", "limit", "hung", "resync",
	"protected", "not-protected", "no-spare", "alone", "lease-over", "blocked", "switching-over",
};

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

/* Room for one more: a power of two at a time. */
static void *grown(void *p, size_t nr, size_t size)
{
	return nr & (nr - 1) ? p : must(reallocarray(p, nr ? nr * 2 : 1, size));
}

/* ns since the epoch; 0: not a time as monitor writes it. */
static u64 parse_time(const char *text)
{
	struct tm tm = {};
	unsigned int ms;
	const char *rest;
	int len = 0;
	time_t s;

	rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	if (!rest || sscanf(rest, ".%3uZ%n", &ms, &len) != 1 || len != 5 || rest[len])
		return 0;
	s = timegm(&tm);
	return s > 0 ? s * NSEC_PER_SEC + ms * NSEC_PER_MSEC : 0;
}

/* Since the first event. A clock that was set back is where it was. */
static double since_first(struct plot *p, u64 wall)
{
	if (!p->first)
		p->first = p->last = wall;
	p->last = MAX(p->last, wall);
	return (double)(p->last - p->first) / NSEC_PER_SEC;
}

static void add_lag(struct plot *p, double at)
{
	double seconds = p->oldest < p->nr_snapshots ? at - p->snapshots[p->oldest].at : 0;

	p->lags = grown(p->lags, p->nr_lags, sizeof(*p->lags));
	p->lags[p->nr_lags++] = (struct plot_lag) { at, seconds };
}

static void add_snapshot(struct plot *p, double at, struct json_object *s)
{
	u64 generation = js_get_u64(s, "published");

	if (generation <= p->newest)
		return;
	p->newest = generation;
	p->snapshots = grown(p->snapshots, p->nr_snapshots, sizeof(*p->snapshots));
	p->snapshots[p->nr_snapshots++] = (struct plot_snapshot) {
		.at = at, .generation = generation,
		.pause_ms = (double)js_get_u64(s, "last_pause_ns") / NSEC_PER_MSEC,
		.mib = (double)js_get_u64(s, "last_pages") * p->page_size / (1 << 20),
	};
}

static void acknowledge(struct plot *p, u64 generation)
{
	p->acknowledged = MAX(p->acknowledged, generation);
	while (p->oldest < p->nr_snapshots &&
	       p->snapshots[p->oldest].generation <= p->acknowledged)
		p->oldest++;
}

static void add_mark(struct plot *p, double at, const char *word)
{
	const char *before = p->nr_marks ? p->marks[p->nr_marks - 1].word : "";
	size_t i;

	for (i = 0; word && i < ARRAY_SIZE(plot_words); i++) {
		if (strcmp(word, plot_words[i]) || !strcmp(word, before))
			continue;
		p->marks = grown(p->marks, p->nr_marks, sizeof(*p->marks));
		p->marks[p->nr_marks++] = (struct plot_mark) { at, plot_words[i] };
	}
}

/* A session that begins anew counts its generations anew. */
static void begin_anew(struct plot *p)
{
	p->oldest = p->nr_snapshots;
	p->newest = p->acknowledged = 0;
}

static void session_event(struct plot *p, u64 wall, const char *event, struct json_object *s)
{
	double at = since_first(p, wall);

	if (!strcmp(event, "new"))
		begin_anew(p);
	add_lag(p, at);
	if (!strcmp(event, "snapshot"))
		add_snapshot(p, at, s);
	acknowledge(p, js_get_u64(s, "committed"));
	add_lag(p, at);
	add_mark(p, at, event);
}

static bool is_ours(const struct plot *p, struct json_object *s)
{
	const char *name = js_get_str(s, "name");

	return name && !strcmp(name, p->name);
}

int plot_line(struct plot *p, const char *line)
{
	struct json_object *o = json_tokener_parse(line), *s = js_at(o, "session");
	const char *object = js_get_str(o, "object"), *event = js_get_str(o, "event");
	u64 wall = parse_time(js_get_str(o, "time"));
	int ret = o && object && event && wall ? 0 : -1;

	if (!ret && !strcmp(object, "session") && is_ours(p, s))
		session_event(p, wall, event, s);
	else if (!ret && !strcmp(object, "session-state") && is_ours(p, s))
		add_mark(p, since_first(p, wall), js_get_str(s, "state"));
	else if (!ret && !strcmp(event, "resync") && p->first)
		add_mark(p, since_first(p, wall), event);
	json_object_put(o);
	return ret;
}

void plot_end(struct plot *p)
{
	if (p->first)
		add_lag(p, (double)(p->last - p->first) / NSEC_PER_SEC);
}

void plot_free(struct plot *p)
{
	free(p->snapshots);
	free(p->lags);
	free(p->marks);
}

static void put_double(struct json_object *o, const char *key, double value)
{
	char text[32];

	snprintf(text, sizeof(text), "%.6f", value);
	js_put(o, key, must(json_object_new_double_s(value, text)));
}

struct json_object *plot_json(const struct plot *p)
{
	struct json_object *o = js_document(), *list = js_list(), *e;
	size_t i;

	js_str(o, "name", p->name);
	js_u64(o, "first_ns", p->first);
	js_u64(o, "last_ns", p->last);
	for (i = 0; i < p->nr_snapshots; i++) {
		e = js_new();
		put_double(e, "at", p->snapshots[i].at);
		js_u64(e, "generation", p->snapshots[i].generation);
		put_double(e, "pause_ms", p->snapshots[i].pause_ms);
		put_double(e, "mib", p->snapshots[i].mib);
		json_object_array_add(list, e);
	}
	js_put(o, "snapshots", list);
	list = js_list();
	for (i = 0; i < p->nr_lags; i++) {
		e = js_new();
		put_double(e, "at", p->lags[i].at);
		put_double(e, "seconds", p->lags[i].seconds);
		json_object_array_add(list, e);
	}
	js_put(o, "lag", list);
	list = js_list();
	for (i = 0; i < p->nr_marks; i++) {
		e = js_new();
		put_double(e, "at", p->marks[i].at);
		js_str(e, "event", p->marks[i].word);
		json_object_array_add(list, e);
	}
	js_put(o, "marks", list);
	return o;
}

#define RECORD	"cptdevctl monitor --json >FILE"

/* Returns the exit status of a failure that was told, or 0. */
static int read_all(struct ctl *c, struct plot *p, const char *path, FILE *f)
{
	char *line = NULL;
	size_t size = 0;
	u64 nr = 0;
	int ret = 0;
	ssize_t len;

	while (!ret && (len = getline(&line, &size, f)) > 0) {
		nr++;
		/* Whoever recorded may have been killed within a line, which is the last one then. */
		if (!plot_line(p, line) || line[len - 1] != '\n')
			continue;
		ret = ctl_fail(c, EXIT_FAILED, "not-a-recording", RECORD,
			       "%s, line %llu: that isn't a line of monitor --json", path, nr);
	}
	free(line);
	if (!ret && ferror(f))
		ret = ctl_fail(c, EXIT_FAILED, "failed", NULL, "%s can't be read: %s", path,
			       strerror(errno));
	plot_end(p);
	return ret;
}

static int print(struct ctl *c, const struct plot *p, const char *path)
{
	int ret;

	if (!p->nr_snapshots)
		return ctl_fail(c, EXIT_FAILED, "no-snapshots", "cptdevctl status",
				"%s has no snapshot of a session '%s'", path, p->name);
	if (c->json) {
		ctl_print_json(c, plot_json(p));
		return EXIT_DONE;
	}
	ret = plot_draw(p, c->out);
	if (ret == -ENOENT)
		return ctl_fail(c, EXIT_FAILED, "no-gnuplot",
				"install gnuplot (Debian's gnuplot-nox), or use --json",
				"gnuplot draws the picture, and isn't there");
	return ret ? ctl_fail(c, EXIT_FAILED, "failed", NULL, "gnuplot didn't draw the picture: %s",
			      ret == -EPROTO ? "see above" : strerror(-ret)) : EXIT_DONE;
}

int verb_plot(struct ctl *c, int argc, char **argv)
{
	struct plot p = { .page_size = c->page_size };
	const char *path = argc > 1 && strcmp(argv[1], "-") ? argv[1] : NULL;
	FILE *f;
	int ret;

	if (argc < 1 || argc > 2 || !name_valid(argv[0], strlen(argv[0])))
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl --help",
				"plot needs the name of a session, and a file that monitor --json wrote");
	if (!path && isatty(STDIN_FILENO))
		return ctl_fail(c, EXIT_USAGE, "usage", RECORD,
				"plot reads what monitor --json wrote: name a file, or use a pipe");
	if (!c->json && isatty(fileno(c->out)))
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl plot NAME FILE >picture.svg",
				"plot writes a picture: redirect it to a file");
	f = path ? fopen(path, "re") : stdin;
	if (!f)
		return ctl_fail(c, EXIT_FAILED, "failed", NULL, "%s can't be opened: %s", path,
				strerror(errno));
	strcpy(p.name, argv[0]);
	ret = read_all(c, &p, path ?: "standard input", f);
	if (path)
		fclose(f);
	if (!ret)
		ret = print(c, &p, path ?: "standard input");
	plot_free(&p);
	return ret;
}
