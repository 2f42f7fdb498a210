// SPDX-License-Identifier: GPL-2.0-only
/*
 * A library with every kind of memory that can be written: see the test "library" of
 * files.c. What is 0 or doesn't have to be relocated isn't written by the loader.
 */
#define PAGE	4096
#define PAGES	8

/* One word in each page is set by the loader, which then makes them read-only. */
struct constant {
	const char *word;
	char rest[PAGE - sizeof(char *)];
};

const struct constant files_relro[2] = { { .word = "one" }, { .word = "two" } };

char files_data[PAGES * PAGE] = { [0] = 1, [PAGES * PAGE - 1] = 2 };
char files_bss[PAGES * PAGE];
