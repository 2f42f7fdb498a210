/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a commit costs the spare's host, with and without a warm program that waits there. */
#ifndef BENCH_COMMITS_H
#define BENCH_COMMITS_H

void commits_measure(const char *cptdevd, const char *dir, unsigned int rounds);

#endif /* BENCH_COMMITS_H */
