/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEVCTL_METRICS_H
#define CPTDEVCTL_METRICS_H

#include <stdio.h>

struct view;

void metrics_text(const struct view *v, FILE *to);

#endif
