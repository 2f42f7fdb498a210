/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEVCTL_WAIT_H
#define CPTDEVCTL_WAIT_H

#include "view.h"

/* The session of that name, or NULL. Fenced ones belong to the past. */
const struct session_rec *wait_session(const struct view *v, const char *name);

/*
 * Has this host a session @name, and is it protected, if @protection is wanted? If not, @why gets
 * the reason.
 */
bool wait_is_over(const struct view *v, const char *name, bool protection, char *why, size_t size);

#endif
