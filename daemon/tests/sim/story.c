// SPDX-License-Identifier: GPL-2.0-or-later
/* The story of a seed: what happened, in words, a numbered line each. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "sim.h"

static bool shown;
static u32 line;
static u64 clients_from;

void story_show(bool show)
{
	shown = show;
	line = 0;
	/* Off, nothing is formatted. */
	log_level(show ? LOG_INFO : LOG_EMERG);
	log_sink(story_log);
}

static void begin(void)
{
	printf("# %4u  %8.3f s  ", ++line, (double)sim.now / NSEC_PER_SEC);
}

/* What clients do is told from then on. */
void story_clients(u64 from)
{
	clients_from = from;
}

void story_client(const char *fmt, ...)
{
	va_list ap;

	if (!shown || sim.now < clients_from)
		return;
	begin();
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void story(const char *fmt, ...)
{
	va_list ap;

	if (!shown)
		return;
	begin();
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void story_log(int level, const char *text)
{
	(void)level;
	/* There is none in any simulated host. */
	if (!shown || strstr(text, "control socket"))
		return;
	begin();
	printf("   cptdevd %s: %s\n", sim.cur ? sim.cur->name : "?", text);
}
