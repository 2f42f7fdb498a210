/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records on disk: a file of JSON for each name in the state directory. A file is either the
 * one before or the new one, whatever happens; when a call has returned, it is on the disk.
 */
#ifndef CPTDEVD_STATE_H
#define CPTDEVD_STATE_H

#include "record.h"

/*
 * The daemon of one program has no directory, but "": what it knows is gone with the program's
 * memory. Nothing is read or written then.
 */

/* Make the directory, with those above it. 0 or a negative errno. */
int state_dir_make(const char *dir);

/*
 * Call @fn for each name that is on record. @r is NULL for a file that can't be read or has no
 * record: what it said isn't known, @why says what is wrong.
 */
typedef void (*state_fn)(void *arg, const char *name, const struct record *r, const char *why);
int state_read_all(const char *dir, state_fn fn, void *arg);

/* 0 or a negative errno, and then the file is as before. */
int state_write(const char *dir, const struct record *r);
/* It is no error when there is none. */
int state_remove(const char *dir, const char *name);

#endif
