// SPDX-License-Identifier: GPL-2.0-or-later
/* The control: a mistake that has to be found, or nothing that the others say means anything. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u8 *copy = malloc(size);
	bool wrong = false;

	memcpy(copy, data, size);
	/* One byte too many, after a frame's first three. */
	if (size >= 3 && copy[0] == 'c' && copy[1] == 'p' && copy[2] == 't')
		wrong = ((volatile u8 *)copy)[size];
	free(copy);
	return wrong ? 0 : 0;
}
