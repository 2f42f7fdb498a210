/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes as text, for vectors. */
#ifndef TESTS_HEX_H
#define TESTS_HEX_H

#include "types.h"

/* "01 02 ff" as bytes; blanks don't count. Returns how many. */
size_t hex_bytes(const char *text, u8 *to, size_t size);
/* Fail, and show both, unless @len bytes at @p are @want. */
void hex_assert(const u8 *p, size_t len, const char *want);

#endif
