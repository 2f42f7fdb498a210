// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptdevctl plot: the picture, by gnuplot. It reads a script with the data in it, and none of the
 * user's own settings. Only numbers, words of this program and a valid name of a session get there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "plot.h"

#define SECONDS(p)	((double)((p)->last - (p)->first) / NSEC_PER_SEC)

static void put_head(const struct plot *p, FILE *to)
{
	time_t s = p->first / NSEC_PER_SEC;
	char when[32];
	struct tm tm;

	gmtime_r(&s, &tm);
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	fprintf(to, "set terminal svg size 1000,900 noenhanced font 'sans,12' background '#ffffff'\n"
		"set multiplot layout 3,1 title 'Session %s, from %s UTC'\n"
		"set grid\nset xrange [0:%.3f]\nset lmargin 12\nset rmargin 4\n",
		p->name, when, MAX(SECONDS(p), 0.001));
}

/* In each of the pictures; the words only in the uppermost. */
static void put_marks(const struct plot *p, FILE *to, bool words)
{
	size_t i;

	fprintf(to, "unset arrow\nunset label\n");
	for (i = 0; i < p->nr_marks; i++) {
		const struct plot_mark *m = &p->marks[i];

		fprintf(to, "set arrow from %.3f, graph 0 to %.3f, graph 1 nohead lc rgb '#c04040' dt 2\n",
			m->at, m->at);
		if (words)
			fprintf(to, "set label '%s' at %.3f, graph 0.97 right rotate offset 0.7,0 tc rgb '#c04040'\n",
				m->word, m->at);
	}
}

/* One of the three pictures, as its points come. */
struct graph {
	FILE *to;
	double most;
};

static void begin_graph(struct graph *g)
{
	g->most = 0;
	fprintf(g->to, "$data << END\n");
}

static void put_point(struct graph *g, double at, double value)
{
	fprintf(g->to, "%.3f %.6f\n", at, value);
	g->most = MAX(g->most, value);
}

/* Without a range gnuplot complains about values that are all the same. */
static void end_graph(const struct plot *p, const struct graph *g, const char *label, const char *style,
		      bool words)
{
	fprintf(g->to, "END\nset ylabel '%s'\nset yrange [0:%.6f]\n", label,
		g->most > 0 ? g->most * 1.1 : 1);
	put_marks(p, g->to, words);
	fprintf(g->to, "plot $data with %s lw 1.5 lc rgb '#2060a0' notitle\n", style);
}

static void put_pauses(const struct plot *p, struct graph *g)
{
	size_t i;

	begin_graph(g);
	for (i = 0; i < p->nr_snapshots; i++)
		put_point(g, p->snapshots[i].at, p->snapshots[i].pause_ms);
	end_graph(p, g, "pause, ms", "impulses", true);
}

static void put_lags(const struct plot *p, struct graph *g)
{
	size_t i;

	begin_graph(g);
	for (i = 0; i < p->nr_lags; i++)
		put_point(g, p->lags[i].at, p->lags[i].seconds);
	end_graph(p, g, "lag, s", "lines", false);
}

/* Of each snapshot: the changes since the one before, over the time between them. */
static void put_rates(const struct plot *p, struct graph *g)
{
	double seconds;
	size_t i;

	begin_graph(g);
	put_point(g, 0, 0);
	for (i = 1; i < p->nr_snapshots; i++) {
		seconds = MAX(p->snapshots[i].at - p->snapshots[i - 1].at, 0.001);
		put_point(g, p->snapshots[i].at, p->snapshots[i].mib / seconds);
	}
	end_graph(p, g, "changed, MiB/s", "fsteps", false);
}

/* A file in memory, at its beginning; or a negative errno. */
static int script(const struct plot *p)
{
	int fd = memfd_create("plot", MFD_CLOEXEC), copy;
	struct graph g;
	FILE *to;

	if (fd < 0)
		return -errno;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	to = copy < 0 ? NULL : fdopen(copy, "w");
	if (!to) {
		if (copy >= 0)
			close(copy);
		close(fd);
		return -ENOMEM;
	}
	g.to = to;
	put_head(p, to);
	put_pauses(p, &g);
	put_lags(p, &g);
	fprintf(to, "set xlabel 'seconds'\n");
	put_rates(p, &g);
	if (fclose(to) || lseek(fd, 0, SEEK_SET)) {
		close(fd);
		return -ENOSPC;
	}
	return fd;
}

static int copy_to(int fd, FILE *to)
{
	char buf[65536];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (fwrite(buf, 1, n, to) != (size_t)n)
			return -errno;
	return n < 0 ? -errno : 0;
}

int plot_draw(const struct plot *p, FILE *to)
{
	const char *const gnuplot[] = { "gnuplot", "-d", NULL };
	int in = script(p), out, ret;

	if (in < 0)
		return in;
	out = memfd_create("picture", MFD_CLOEXEC);
	ret = out < 0 ? -errno : child_run(gnuplot, in, out, -1);
	if (ret > 0)
		ret = -EPROTO;
	if (!ret && lseek(out, 0, SEEK_END) <= 0)
		ret = -EPROTO;
	if (!ret && lseek(out, 0, SEEK_SET))
		ret = -errno;
	if (!ret)
		ret = copy_to(out, to);
	close(in);
	if (out >= 0)
		close(out);
	return ret;
}
