/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small generator, so that a seed repeats a run. */
#ifndef TESTS_RANDOM_H
#define TESTS_RANDOM_H

#include "types.h"

static u64 rng;

static u32 rnd(u32 below)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng >> 11) % below;
}

#endif
