/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HS_TESTS_DSO_LIB_H
#define HS_TESTS_DSO_LIB_H

#include <stddef.h>

extern int lib_data, lib_bss, lib_not_saved;
extern char lib_large[];
extern const char *lib_own;
extern void *(*lib_copy)(void *to, const void *from, size_t len);
extern void *(*lib_set)(void *p, int c, size_t len);
extern void (*lib_free)(void *p);

size_t lib_length(const char *s);

#endif /* HS_TESTS_DSO_LIB_H */
