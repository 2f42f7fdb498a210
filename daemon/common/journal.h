/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEVD_JOURNAL_H
#define CPTDEVD_JOURNAL_H

#include <stdbool.h>

#include "log.h"

/* The socket on which journald receives entries. */
#define JOURNAL_SOCKET	"/run/systemd/journal/socket"

/*
 * Open the journal at @path, if standard error is connected to it (JOURNAL_STREAM). Returns
 * whether it is; then journal_write() is used instead of standard error.
 */
bool journal_open(const char *path);
void journal_close(void);
/* False: it couldn't be written. */
bool journal_write(int level, const struct log_about *about, const char *text);

#endif
