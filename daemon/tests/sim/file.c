// SPDX-License-Identifier: GPL-2.0-or-later
/* A sparse file in memory: few pages, found by a walk. A hole keeps its content. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "file.h"

#define PAGE	4096U
#define PAGES	64U

struct file {
	u32 nr;
	u64 index[PAGES];
	u8 *page[PAGES];
};

struct file *file_new(void)
{
	return calloc(1, sizeof(struct file));
}

void file_free(struct file *f)
{
	u32 i;

	for (i = 0; i < f->nr; i++)
		free(f->page[i]);
	free(f);
}

static u8 *page_of(struct file *f, u64 index, bool create)
{
	u32 i;

	for (i = 0; i < f->nr; i++)
		if (f->index[i] == index)
			return f->page[i];
	if (!create)
		return NULL;
	if (f->nr == PAGES)
		abort();
	f->index[f->nr] = index;
	return f->page[f->nr++] = calloc(1, PAGE);
}

ssize_t file_read(struct file *f, void *buf, size_t len, u64 pos)
{
	size_t done = 0, n;
	u8 *page;

	for (; done < len; done += n) {
		n = MIN(len - done, PAGE - (pos + done) % PAGE);
		page = page_of(f, (pos + done) / PAGE, false);
		if (page)
			memcpy((u8 *)buf + done, page + (pos + done) % PAGE, n);
		else
			memset((u8 *)buf + done, 0, n);
	}
	return len;
}

ssize_t file_write(struct file *f, const void *buf, size_t len, u64 pos)
{
	size_t done = 0, n;

	for (; done < len; done += n) {
		n = MIN(len - done, PAGE - (pos + done) % PAGE);
		memcpy(page_of(f, (pos + done) / PAGE, true) + (pos + done) % PAGE,
		       (const u8 *)buf + done, n);
	}
	return len;
}
