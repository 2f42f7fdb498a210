/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cptdev-run: the state of a program as the sections of a checkpoint, and back. They are the
 * sections of libhotspare's checkpoints, in the same files, with the content that a program as it
 * is needs. Whatever is read may have been altered or made up: it is checked before it is used.
 */
#ifndef RUN_TEXTS_H
#define RUN_TEXTS_H

#include "../hotspare/format.h"
#include "state.h"

/* JSON, by the type of the section; NULL: there is no such section. */
struct run_texts {
	char *text[HS_SECTION_TYPES];
};

/* Returns 0, or -1 with errno ENOMEM. */
int run_texts_make(struct run_texts *t, const struct run_state *s);
/* Returns 0, or -1 with errno and @e: EBADMSG: it makes no sense; ENOEXEC: not of cptdev-run. */
int run_texts_parse(const struct run_texts *t, struct run_state *s, struct hs_error *e);
void run_texts_free(struct run_texts *t);

#endif /* RUN_TEXTS_H */
