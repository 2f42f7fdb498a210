// SPDX-License-Identifier: LGPL-2.1-or-later
/* A library that has variables of all sorts, for ranges_test. */
#include <stdlib.h>
#include <string.h>

#include "dso_lib.h"

int lib_data = 7;
int lib_bss;
char lib_large[3 * 4096 + 100];
int lib_not_saved = 1;
const char *lib_own = lib_large + 5;

/* Which of them it is, the CPU decides. */
void *(*lib_copy)(void *to, const void *from, size_t len) = memcpy;
void *(*lib_set)(void *p, int c, size_t len) = memset;
void (*lib_free)(void *p) = free;

/* Through the table of calls. */
size_t lib_length(const char *s)
{
	return strlen(s);
}
