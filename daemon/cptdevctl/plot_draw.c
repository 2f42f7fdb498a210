// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptdevctl plot: the picture, by gnuplot. It reads a script with the data in it, and none of the
 * user's own settings. Only numbers, words of this program and a valid name of a session get there.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

/* Of $data. Without a range gnuplot complains about values that are all the same. */
static void put_plot(const struct plot *p, FILE *to, const char *label, const char *style,
		     double most)
{
	fprintf(to, "set ylabel '%s'\nset yrange [0:%.6f]\n", label, most > 0 ? most * 1.1 : 1);
	put_marks(p, to, !strcmp(style, "impulses"));
	fprintf(to, "plot $data with %s lw 1.5 lc rgb '#2060a0' notitle\n", style);
}

static void put_pauses(const struct plot *p, FILE *to)
{
	double most = 0;
	size_t i;

	fprintf(to, "$data << END\n");
	for (i = 0; i < p->nr_snapshots; i++) {
		fprintf(to, "%.3f %.6f\n", p->snapshots[i].at, p->snapshots[i].pause_ms);
		most = MAX(most, p->snapshots[i].pause_ms);
	}
	fprintf(to, "END\n");
	put_plot(p, to, "pause, ms", "impulses", most);
}

static void put_lags(const struct plot *p, FILE *to)
{
	double most = 0;
	size_t i;

	fprintf(to, "$data << END\n");
	for (i = 0; i < p->nr_lags; i++) {
		fprintf(to, "%.3f %.3f\n", p->lags[i].at, p->lags[i].seconds);
		most = MAX(most, p->lags[i].seconds);
	}
	fprintf(to, "END\n");
	put_plot(p, to, "lag, s", "lines", most);
}

/* What changed between two snapshots, over the time between them. */
static void put_rates(const struct plot *p, FILE *to)
{
	double most = 0, rate, seconds;
	size_t i;

	fprintf(to, "$data << END\n0 0\n");
	for (i = 1; i < p->nr_snapshots; i++) {
		seconds = MAX(p->snapshots[i].at - p->snapshots[i - 1].at, 0.001);
		rate = p->snapshots[i].mib / seconds;
		fprintf(to, "%.3f %.6f\n", p->snapshots[i].at, rate);
		most = MAX(most, rate);
	}
	fprintf(to, "END\nset xlabel 'seconds'\n");
	put_plot(p, to, "changed, MiB/s", "fsteps", most);
}

/* A file in memory, at its beginning; or a negative errno. */
static int script(const struct plot *p)
{
	int fd = memfd_create("plot", MFD_CLOEXEC), copy;
	FILE *to;

	if (fd < 0)
		return -errno;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	to = copy < 0 ? NULL : fdopen(copy, "w");
	if (!to) {
		close(fd);
		return -ENOMEM;
	}
	put_head(p, to);
	put_pauses(p, to);
	put_lags(p, to);
	put_rates(p, to);
	if (fclose(to) || lseek(fd, 0, SEEK_SET)) {
		close(fd);
		return -ENOSPC;
	}
	return fd;
}

static int run(int in, int out)
{
	const char *const argv[] = { "gnuplot", "-d", NULL };
	posix_spawn_file_actions_t actions;
	int status, ret;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	ret = -posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (ret)
		return ret;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status ? -EPROTO : 0;
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
	int in = script(p), out, ret;

	if (in < 0)
		return in;
	out = memfd_create("picture", MFD_CLOEXEC);
	ret = out < 0 ? -errno : run(in, out);
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
