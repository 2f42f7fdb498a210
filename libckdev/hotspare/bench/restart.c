// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How soon a program answers that is restarted from a file: in the eager way, which reads all of its
 * memory first, in the lazy way, and in the lazy way with a touch set. And how much of what a program
 * accesses in a second the touch set of the second before foretells. The module is needed.
 *
 *   restart KERNEL ROUNDS DIRECTORY [WORK...]
 *
 * The files are in DIRECTORY, on a store whose speed is the caller's. The page cache forgets them
 * before each restart.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../arena.h"
#include "../fill.h"
#include "../hotspare.h"
#include "../touch.h"
#include "../touched.h"
#include "figures.h"
#include "work.h"

#define STARTED	"RESTART_BENCH"		/* in the environment of the program: when it was started, ms */
#define WORK	"RESTART_BENCH_WORK"
#define FORETELL "RESTART_BENCH_FORETELL"
#define RESULT	"result"
#define ANSWERS	16			/* steps, until the program counts as one that answers */
#define SECOND	1000

/* What a run says, in ms, pages and shares. */
struct result {
	double answer, total;		/* since it was started */
	double ahead, late;		/* pages read before it ran, accesses that waited */
	double missed, needless;	/* of the pages of a second, of those of the set */
	double pages;			/* of the set */
	double cut_us, page_ns;		/* what looks cost */
};

struct memory {
	void *state;
	unsigned long second;		/* steps of a second */
};

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static volatile unsigned long sink;

/*
 * The program
 */

static const struct work *work;

static void tell(const struct result *r)
{
	FILE *f = fopen(RESULT, "we");

	if (!f || fwrite(r, sizeof(*r), 1, f) != 1 || fclose(f))
		err(1, RESULT);
}

/* The first answers, then as much as the primary did in a second; all of the memory is there then. */
static void serve(void *arg)
{
	const double started = atof(getenv(STARTED) ?: "0");
	struct result r = { 0 };
	struct memory *m = arg;
	unsigned long i;

	for (i = 0; i < ANSWERS; i++)
		sink += work->step(m->state);
	r.answer = now_ms() - started;
	for (; i < m->second; i++)
		sink += work->step(m->state);
	hs_restart_wait();
	r.total = now_ms() - started;
	r.ahead = (double)hs_fill_stats()->ahead;
	r.late = (double)hs_fill_stats()->faults;
	tell(&r);
	exit(0);
}

static unsigned long go_on_for(struct memory *m, double ms)
{
	const double end = now_ms() + ms;
	unsigned long n = 0;

	for (; now_ms() < end; n++)
		sink += work->step(m->state);
	return n;
}

static void get_set(struct hs_touched *t)
{
	static unsigned char text[1 << 20];
	ssize_t len = hs_section_get(HS_TOUCHED_NAME, text, sizeof(text));

	if (len <= 0 || hs_touched_parse(t, text, (size_t)len, NULL))
		errx(1, "there is no touch set");
}

/* Pages of the window of @a that aren't in that of @b. */
static uint64_t pages_without(const struct hs_touched *a, const struct hs_touched *b)
{
	uint64_t pages = hs_touched_pages(a, HS_TOUCHED_LOOKS), from, to;
	size_t i, k = 0, n;

	for (i = 0; i < a->nr; i++) {
		if (a->v[i].when >= HS_TOUCHED_USED)
			continue;
		while (k < b->nr && b->v[k].end <= a->v[i].start)
			k++;
		for (n = k; n < b->nr && b->v[n].start < a->v[i].end; n++) {
			from = b->v[n].start > a->v[i].start ? b->v[n].start : a->v[i].start;
			to = b->v[n].end < a->v[i].end ? b->v[n].end : a->v[i].end;
			if (b->v[n].when < HS_TOUCHED_USED)
				pages -= (to - from) / HS_PAGE;
		}
	}
	return pages;
}

/* The set of a second, against what is accessed in the second after it. */
static void foretell(struct memory *m)
{
	struct hs_touched set, is;
	struct result r = { 0 };

	hs_touch_share = 0;
	if (hs_cpt(0))
		errx(1, "no checkpoint");
	go_on_for(m, 1.2 * SECOND);
	get_set(&set);
	if (hs_cpt(HSCPT_INCR))
		errx(1, "no checkpoint");
	go_on_for(m, 1.2 * SECOND);
	get_set(&is);
	r.pages = (double)hs_touched_pages(&set, HS_TOUCHED_LOOKS);
	r.missed = (double)pages_without(&is, &set) / (double)hs_touched_pages(&is, HS_TOUCHED_LOOKS);
	r.needless = (double)pages_without(&set, &is) / r.pages;
	r.cut_us = (double)hs_touch_cost / 1e3;
	r.page_ns = (double)hs_touch_cost / r.pages;
	tell(&r);
}

static int program(int argc, char **argv)
{
	struct memory *m;

	work = work_find(getenv(WORK) ?: "");
	if (!work || hs_init(argc, argv) < 0 || hs_malloc_create(WORK_CLASS, (work->mib + 16) << 8))
		return 1;
	if (work->begin)
		work->begin();
	m = hs_calloc(WORK_CLASS, 1, sizeof(*m));
	if (!m || hs_threadreg(serve, m))
		return 1;
	m->state = work->make((size_t)work->mib << 20);
	go_on_for(m, SECOND / 10.0);
	if (getenv(FORETELL)) {
		foretell(m);
		return 0;
	}
	if (hs_cpt(0))
		return 1;
	/* So many steps are a second's, and the window is over. */
	m->second = go_on_for(m, SECOND);
	go_on_for(m, SECOND / 2.0);
	return hs_cpt(HSCPT_INCR) ? 1 : 0;
}

/*
 * The bench
 */

static struct result run(const char *const *args)
{
	struct result r;
	char text[32];
	int status;
	pid_t pid;
	FILE *f;

	unlink(RESULT);
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		snprintf(text, sizeof(text), "%f", now_ms());
		setenv(STARTED, text, 1);
		execv("/proc/self/exe", (char **)(size_t)args);
		err(1, "exec");
	}
	if (waitpid(pid, &status, 0) != pid || status)
		errx(1, "%s: the program failed", getenv(WORK));
	f = fopen(RESULT, "re");
	if (!f || fread(&r, sizeof(r), 1, f) != 1)
		memset(&r, 0, sizeof(r));
	if (f)
		fclose(f);
	return r;
}

static void forget(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fsync(fd))
		err(1, "%s", path);
	errno = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (errno)
		err(1, "%s", path);
	close(fd);
}

static void each_file(const char *name, void (*fn)(const char *path))
{
	char pattern[64];
	glob_t g;
	size_t i;

	snprintf(pattern, sizeof(pattern), "%s*", name);
	if (glob(pattern, 0, NULL, &g))
		errx(1, "%s: there is no checkpoint", name);
	for (i = 0; i < g.gl_pathc; i++)
		fn(g.gl_pathv[i]);
	globfree(&g);
}

static void drop(const char *path)
{
	unlink(path);
}

enum way { EAGER, PLAIN, WITH_SET, WAYS };

static const char *const way_name[WAYS] = { "eager", "lazy_plain", "lazy" };

struct of_work {
	struct figure answer[WAYS], total[WAYS];
	struct result last[WAYS];
};

static void measure(struct of_work *w, enum way way)
{
	const char *image = way == WITH_SET ? "with" : "without";
	const char *const eager[] = { "restart", "-m", "-r", image, "--", NULL };
	const char *const lazy[] = { "restart", "-m", "-l", "-r", image, "--", NULL };

	each_file(image, forget);
	w->last[way] = run(way == EAGER ? eager : lazy);
	figure_add(&w->answer[way], w->last[way].answer);
	figure_add(&w->total[way], w->last[way].total);
}

static void measure_foretelling(const char *name)
{
	const char *const args[] = { "restart", "-m", "-b", "module", "-u", "1000", "-f", "foretell", "--", NULL };
	struct result r;

	setenv(FORETELL, "1", 1);
	r = run(args);
	unsetenv(FORETELL);
	each_file("foretell", drop);
	figure_value(r.pages, "pages", "touched_%s_pages", name);
	figure_value(r.missed, "share", "touched_%s_missed", name);
	figure_value(r.needless, "share", "touched_%s_needless", name);
	figure_value(r.cut_us, "us", "touched_%s_cut", name);
	figure_value(r.page_ns, "ns", "touched_%s_page", name);
}

/* Returns the answer of the lazy way over that of the eager way; @total: the same of the end. */
static double bench(const struct work *what, unsigned int rounds, double *total)
{
	const char *const with[] = { "restart", "-m", "-b", "module", "-f", "with", "--", NULL };
	const char *const without[] = { "restart", "-m", "-b", "module", "-u", "no", "-f", "without", "--", NULL };
	static struct of_work w;
	unsigned int i, way;

	memset(&w, 0, sizeof(w));
	setenv(WORK, what->name, 1);
	measure_foretelling(what->name);
	run(with);
	run(without);
	for (i = 0; i < rounds; i++)
		for (way = 0; way < WAYS; way++)
			measure(&w, way);
	each_file("with", drop);
	for (way = 0; way < WAYS; way++) {
		figure_print(&w.answer[way], "ms", "restart_%s_%s_answer", what->name, way_name[way]);
		figure_print(&w.total[way], "ms", "restart_%s_%s_total", what->name, way_name[way]);
	}
	figure_value(w.last[WITH_SET].ahead, "pages", "restart_%s_ahead", what->name);
	figure_value(w.last[WITH_SET].late, "faults", "restart_%s_late", what->name);
	figure_value(w.last[PLAIN].late, "faults", "restart_%s_late_plain", what->name);
	*total = figure_median(&w.total[WITH_SET]) / figure_median(&w.total[EAGER]);
	return figure_median(&w.answer[WITH_SET]) / figure_median(&w.answer[EAGER]);
}

static bool is_wanted(const char *name, int argc, char **argv)
{
	int i;

	for (i = 4; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return argc < 5;
}

int main(int argc, char **argv)
{
	double ratio, total, sum = 0, worst = 0;
	const struct work *w;
	unsigned int nr = 0, rounds;

	if (getenv(STARTED))
		return program(argc, argv);
	rounds = argc > 3 ? (unsigned int)strtoul(argv[2], NULL, 10) : 0;
	if (!rounds || rounds > MOST_ROUNDS)
		errx(1, "usage: restart KERNEL ROUNDS DIRECTORY [WORK...]");
	figures_kernel(argv[1]);
	if (chdir(argv[3]))
		err(1, "%s", argv[3]);
	for (w = works; w->name; w++) {
		if (!is_wanted(w->name, argc, argv))
			continue;
		ratio = bench(w, rounds, &total);
		if (!strcmp(w->name, "twentieth"))
			figure_ratio(ratio, rounds, "lazy_over_eager_5pct");
		sum += ratio;
		worst = total > worst ? total : worst;
		nr++;
	}
	figure_ratio(sum / nr, rounds, "lazy_over_eager_mean");
	figure_ratio(worst, rounds, "lazy_total_over_eager");
	unlink(RESULT);
	return 0;
}
