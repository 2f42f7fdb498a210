/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What "cptdevctl monitor --json" recorded of one session, as series over time. */
#ifndef CPTDEVCTL_PLOT_H
#define CPTDEVCTL_PLOT_H

#include "ctl.h"

/* A snapshot that was published. */
struct plot_snapshot {
	double at;			/* seconds since the first event of the session */
	u64 generation;
	double pause_ms;
	double mib;			/* of the pages that changed since the snapshot before */
};

/* The age of the oldest snapshot that isn't acknowledged; straight lines between. */
struct plot_lag {
	double at, seconds;
};

/* Something that happened to the session, or to the recording. */
struct plot_mark {
	double at;
	const char *word;		/* one of plot_words */
};

struct plot {
	char name[CPTDEV_NAME_MAX];
	u64 page_size;
	u64 first, last;		/* ns since the epoch; 0: no event yet */
	u64 newest, acknowledged;	/* generations */
	size_t oldest;			/* snapshot that isn't; nr_snapshots: all are */
	struct plot_snapshot *snapshots;
	struct plot_lag *lags;
	struct plot_mark *marks;
	size_t nr_snapshots, nr_lags, nr_marks;
};

/*
 * Add one line of the recording. Returns 0, or -1: it isn't such a line. Lines about others are
 * nothing to add.
 */
int plot_line(struct plot *p, const char *line);
/* The lag grows until the last event. */
void plot_end(struct plot *p);
void plot_free(struct plot *p);

struct json_object *plot_json(const struct plot *p);

/*
 * plot_draw.c: the picture, as SVG, to @to. Returns 0, or a negative errno: -ENOENT without gnuplot,
 * -EPROTO if it failed, which has told why on standard error. Nothing is written then.
 */
int plot_draw(const struct plot *p, FILE *to);

#endif
