/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libhotspare: taking checkpoints. */
#ifndef HS_CPT_H
#define HS_CPT_H

#include "image.h"

int hs_cpt_start(const struct hs_image_head *before);

#endif /* HS_CPT_H */
