/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEVD_BACKGROUND_H
#define CPTDEVD_BACKGROUND_H

/*
 * Go on in the background. The parent waits for background_ready() of the child and
 * exits with 0, or with 1 when the child ends before. Returns a negative errno.
 */
int background(void);
void background_ready(void);

#endif
