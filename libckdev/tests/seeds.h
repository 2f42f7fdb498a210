/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of cptctl(), cptfork() and mwrwatch() share.
 */
#ifndef SEEDS_H
#define SEEDS_H

#include "tap.h"

/* Private memory, none of it present, no huge pages. NULL: anywhere. */
char *pages_at(void *want, size_t pages);
/* Memory that child processes share. */
char *shared_pages(size_t pages);

/* A call that must fail, and how. */
#define CHECK_FAILS(call, err)						\
	do {								\
		errno = 0;						\
		CHECK((call) == -1);					\
		CHECK_RET(-errno, -(err));				\
	} while (0)

extern const struct test cpt_tests[];
extern const unsigned int nr_cpt_tests;

extern const struct test watch_tests[];
extern const unsigned int nr_watch_tests;

#endif /* SEEDS_H */
