// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hex.h"

size_t hex_bytes(const char *text, u8 *to, size_t size)
{
	unsigned int byte;
	size_t n = 0;

	while (*text) {
		if (isspace((unsigned char)*text)) {
			text++;
			continue;
		}
		assert_true(n < size);
		assert_int_equal(sscanf(text, "%2x", &byte), 1);
		to[n++] = byte;
		text += 2;
	}
	return n;
}

void hex_assert(const u8 *p, size_t len, const char *want)
{
	u8 bytes[1024];
	size_t n = hex_bytes(want, bytes, sizeof(bytes)), i;

	if (n == len && !memcmp(p, bytes, n))
		return;
	print_error("have:");
	for (i = 0; i < len; i++)
		print_error("%s%02x", i % 8 ? " " : "\n", p[i]);
	print_error("\nwant:");
	for (i = 0; i < n; i++)
		print_error("%s%02x", i % 8 ? " " : "\n", bytes[i]);
	print_error("\n");
	fail();
}
