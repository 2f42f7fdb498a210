/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEVD_FILES_H
#define CPTDEVD_FILES_H

#include "conf.h"

/* Descriptors that the daemon may need with this configuration. */
u64 files_needed(const struct conf *c);
/* Raise the limit to that as far as may be, and tell if it isn't enough. */
void files_raise(const struct conf *c);

#endif
