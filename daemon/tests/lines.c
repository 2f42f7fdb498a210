// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lines.h"
#include "log.h"

#define LINES_MAX	4096

static char *lines[LINES_MAX];
static u32 nr;

static void keep(int level, const char *text)
{
	(void)level;
	if (nr == LINES_MAX)
		abort();
	lines[nr++] = strdup(text);
	if (getenv("VERBOSE"))
		fprintf(stderr, "# %s\n", text);
}

static void clear(void)
{
	while (nr)
		free(lines[--nr]);
}

void lines_keep(void)
{
	clear();
	log_level(LOG_INFO);
	log_sink(keep);
}

void lines_drop(void)
{
	clear();
	log_sink(NULL);
	log_level(LOG_EMERG);
}

u32 lines_with(const char *words)
{
	u32 i, n = 0;

	for (i = 0; i < nr; i++)
		n += strstr(lines[i], words) != NULL;
	return n;
}

const char *lines_last(void)
{
	return nr ? lines[nr - 1] : "";
}
