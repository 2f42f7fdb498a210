/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Figures as lines of JSON, as "make bench" wants them. */
#ifndef BENCH_FIGURES_H
#define BENCH_FIGURES_H

#define MOST_ROUNDS	101

/* One value of each round. */
struct figure {
	double v[MOST_ROUNDS];
	unsigned int nr;
};

/* Of this kernel are all that follow. */
void figures_kernel(const char *kernel);
void figure_add(struct figure *f, double v);
/* The median of one that has a value. */
double figure_median(struct figure *f);
/* Print the median, the least and the most. */
void figure_print(struct figure *f, const char *unit, const char *name, ...)
	__attribute__((format(printf, 3, 4)));
/* One value. */
void figure_value(double v, const char *unit, const char *name, ...) __attribute__((format(printf, 3, 4)));
/* One that is computed from medians of @nr rounds. */
void figure_ratio(double v, unsigned int nr, const char *name);

#endif /* BENCH_FIGURES_H */
