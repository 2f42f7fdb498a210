// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kvload: words.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvwords.h"

/* Not isalnum(): that depends on the locale. */
static bool is_word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static uint32_t hash(const char *s, size_t len)
{
	uint32_t h = 2166136261U;
	size_t i;

	for (i = 0; i < len; i++)
		h = (h ^ (unsigned char)s[i]) * 16777619U;
	return h;
}

static uint32_t *slot(struct words *w, const char *text, size_t len, uint32_t h)
{
	size_t i = h & (w->index_size - 1);

	for (; w->index[i]; i = (i + 1) & (w->index_size - 1)) {
		const struct word *word = &w->word[w->index[i] - 1];

		if (word->hash == h && word->len == len && !memcmp(word->text, text, len))
			break;
	}
	return &w->index[i];
}

static int index_grow(struct words *w)
{
	size_t size = w->index_size ? w->index_size * 2 : 4096, i;
	struct word *word = realloc(w->word, size / 2 * sizeof(*word));
	uint32_t *index = calloc(size, sizeof(*index));

	if (word)
		w->word = word;
	if (!word || !index) {
		free(index);
		return -ENOMEM;
	}
	free(w->index);
	w->index = index;
	w->index_size = size;
	for (i = 0; i < w->nr; i++)
		*slot(w, word[i].text, word[i].len, word[i].hash) = (uint32_t)i + 1;
	return 0;
}

static int add(struct words *w, const char *text, size_t len)
{
	uint32_t h = hash(text, len), *s;

	if (w->nr == w->index_size / 2 && index_grow(w) < 0)
		return -ENOMEM;
	s = slot(w, text, len, h);
	if (!*s) {
		w->word[w->nr] = (struct word){
			.text = text, .len = (uint32_t)len, .hash = h,
		};
		w->nr++;
		*s = (uint32_t)w->nr;
	}
	w->token[w->nr_tokens++] = *s - 1;
	return 0;
}

static int file_read(struct words *w, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		ret = -errno;
	else if (!S_ISREG(st.st_mode))
		ret = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	else
		w->text = malloc((size_t)st.st_size + 1);
	if (ret == 0 && !w->text)
		ret = -ENOMEM;
	while (ret == 0 && w->text_len < (size_t)st.st_size) {
		ssize_t n = read(fd, w->text + w->text_len,
				 (size_t)st.st_size - w->text_len);

		if (n < 0)
			ret = -errno;
		if (n <= 0)
			break;
		w->text_len += (size_t)n;
	}
	close(fd);
	return ret;
}

int words_read(struct words *w, const char *path, size_t max, size_t *long_word)
{
	size_t i = 0, start;
	int ret;

	memset(w, 0, sizeof(*w));
	ret = file_read(w, path);
	if (ret < 0)
		return ret;
	/* At the most every other byte begins a word. */
	w->token = malloc((w->text_len / 2 + 1) * sizeof(*w->token));
	if (!w->token)
		return -ENOMEM;
	while (ret == 0 && i < w->text_len) {
		for (start = i; i < w->text_len && is_word_char(w->text[i]); i++)
			;
		if (i - start > max) {
			*long_word = start;
			ret = -E2BIG;
		} else if (i > start) {
			ret = add(w, w->text + start, i - start);
		} else {
			i++;
		}
	}
	return ret;
}

static int compare(const void *a, const void *b)
{
	const struct word *x = *(const struct word *const *)a;
	const struct word *y = *(const struct word *const *)b;
	int c = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);

	return c ? c : (x->len > y->len) - (x->len < y->len);
}

void words_write(const struct words *w, FILE *f)
{
	const struct word **sorted = malloc((w->nr + 1) * sizeof(*sorted));
	size_t i, n = 0;

	if (!sorted) {
		fprintf(f, "# no memory to sort\n");
		return;
	}
	for (i = 0; i < w->nr; i++)
		if (w->word[i].acked)
			sorted[n++] = &w->word[i];
	qsort(sorted, n, sizeof(*sorted), compare);
	for (i = 0; i < n; i++)
		fprintf(f, "%.*s %" PRIu64 "\n", (int)sorted[i]->len, sorted[i]->text,
			sorted[i]->acked);
	free(sorted);
}
