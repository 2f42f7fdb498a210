/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counting by the module's tracepoints: what was done, by this task and by others. So a
 * test sees how much work a call is, whatever the machine does meanwhile.
 */
#ifndef _CPTDEV_TRACING_H
#define _CPTDEV_TRACING_H

#include "cptdev_test.h"

#define T_TRACING	"/sys/kernel/tracing"

static inline bool t_trace_clear(void)
{
	int fd = open(T_TRACING "/trace", O_WRONLY | O_TRUNC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static inline bool t_trace_begin(const char *event)
{
	char path[128];

	snprintf(path, sizeof(path), T_TRACING "/events/cptdev/%s/enable", event);
	return !t_write_file(path, "1") && t_trace_clear();
}

/* Of the lines of @event: the number behind @field, of this task's only if @own. */
static inline void t_trace_count(const char *event, const char *field, bool own,
				 uint64_t *sum, uint64_t *most)
{
	char line[1024], task[32], *p;
	FILE *f = fopen(T_TRACING "/trace", "r");

	*sum = 0;
	*most = 0;
	snprintf(task, sizeof(task), "-%d ", getpid());
	while (f && fgets(line, sizeof(line), f)) {
		uint64_t n;

		p = strstr(line, event);
		if (!p || (own && !strstr(line, task)) || !strstr(p, field))
			continue;
		n = strtoull(strstr(p, field) + strlen(field), NULL, 0);
		*sum += n;
		*most = n > *most ? n : *most;
	}
	if (f)
		fclose(f);
}

/*
 * The same, of any task. An event comes after what it tells of: a test that waits for the
 * one can be too early for the other, so it waits for the sum.
 */
static inline uint64_t t_trace_sum(const char *event, const char *field)
{
	uint64_t sum, most;

	t_trace_count(event, field, false, &sum, &most);
	return sum;
}

static inline void t_trace_end(const char *event)
{
	char path[128];

	snprintf(path, sizeof(path), T_TRACING "/events/cptdev/%s/enable", event);
	t_write_file(path, "0");
}

#endif /* _CPTDEV_TRACING_H */
