/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cptdev-run: what both ways between the state and its sections have in common, see texts.h. */
#ifndef RUN_TEXTS_WORDS_H
#define RUN_TEXTS_WORDS_H

#include "texts.h"

#define RUN_MAKER		"cptdev-run"
#define RUN_VERSION_MIN		1	/* without POSIX timers */
#define RUN_VERSION_ONE		2	/* a program of one process */
#define RUN_VERSION_TREE	3
#define RUN_VERSION_SHARED	4

extern const char *const run_kind_text[RUN_MAP_KINDS];

#endif /* RUN_TEXTS_WORDS_H */
