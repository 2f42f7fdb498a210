/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvload: the words of a text, and how many of each were acknowledged.
 *
 * A word is as long a run of ASCII letters and digits as there is. The same list, and the
 * same counts, come from
 *
 *	LC_ALL=C tr -cs 'A-Za-z0-9' '\n' < FILE | grep . | sort | uniq -c
 */
#ifndef KVWORDS_H
#define KVWORDS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct word {
	const char *text;		/* not terminated */
	uint32_t len;
	uint32_t hash;
	uint64_t acked;
};

struct words {
	char *text;			/* the file */
	size_t text_len;
	struct word *word;		/* each once */
	size_t nr;
	uint32_t *token;		/* the text: indices of words */
	size_t nr_tokens;
	uint32_t *index;		/* hash table: index + 1 of a word, 0: empty */
	size_t index_size;		/* a power of two */
};

/* 0, or -errno; -E2BIG: a word is longer than @max, and *@long_word is its offset. */
int words_read(struct words *w, const char *path, size_t max, size_t *long_word);

/* The acknowledged words, sorted: "word count" lines. */
void words_write(const struct words *w, FILE *f);

#endif /* KVWORDS_H */
