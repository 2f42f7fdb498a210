// SPDX-License-Identifier: GPL-2.0-or-later
/* The rules about acknowledgements with several spares. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ack.h"
#include "name.h"

static int take_names(const char *text, struct ack_policy *p)
{
	const char *at = text;
	size_t len;

	p->kind = ACK_NAMED;
	while (*(at += strspn(at, " \t"))) {
		len = strcspn(at, " \t");
		if (p->nr == ACK_NODES_MAX || !name_valid(at, len))
			return -1;
		memcpy(p->names[p->nr++], at, len);
		at += len;
	}
	return p->nr ? 0 : -1;
}

int ack_parse(const char *text, struct ack_policy *p, char *why, size_t size)
{
	size_t digits = strspn(text, "0123456789");

	memset(p, 0, sizeof(*p));
	if (!strcmp(text, "all"))
		return 0;
	if (!strcmp(text, "any")) {
		p->kind = ACK_ANY;
		return 0;
	}
	if (digits && !text[digits]) {
		p->kind = ACK_NUMBER;
		p->number = digits < 4 ? atoi(text) : 0;
		if (p->number && p->number <= ACK_NODES_MAX)
			return 0;
	} else if (strlen(text) < ACK_TEXT_MAX && !take_names(text, p)) {
		return 0;
	}
	snprintf(why, size,
		 "allowed are all, any, a number from 1 to %d, and names of nodes with blanks between them, in less than %d characters",
		 ACK_NODES_MAX, ACK_TEXT_MAX);
	return -1;
}

static bool is_named(const struct ack_policy *p, const char *name)
{
	u32 i;

	for (i = 0; i < p->nr; i++)
		if (!strcmp(p->names[i], name))
			return true;
	return false;
}

bool ack_unsure(const struct ack_policy *p, const char *name, u32 members)
{
	switch (p->kind) {
	case ACK_ALL:
		return false;
	case ACK_ANY:
		return members > 1;
	case ACK_NUMBER:
		return p->number < members;
	case ACK_NAMED:
		return !is_named(p, name);
	}
	return true;
}

bool ack_in_force(const struct ack_policy *p, const struct ack_member *m, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++)
		if (ack_unsure(p, m[i].name, n) && !m[i].knows)
			return false;
	return true;
}

static u64 lowest(const struct ack_member *m, u32 n)
{
	u64 g = n ? m[0].committed : 0;
	u32 i;

	for (i = 1; i < n; i++)
		g = MIN(g, m[i].committed);
	return g;
}

/* What at least @k of them have. */
static u64 of_so_many(const struct ack_member *m, u32 n, u32 k)
{
	u64 g = 0;
	u32 i, j, have;

	for (i = 0; i < n; i++) {
		have = 0;
		for (j = 0; j < n; j++)
			have += m[j].committed >= m[i].committed;
		if (have >= k)
			g = MAX(g, m[i].committed);
	}
	return g;
}

static u64 of_named(const struct ack_policy *p, const struct ack_member *m, u32 n)
{
	u64 g = ~0ULL;
	u32 i, j;

	for (i = 0; i < p->nr; i++) {
		for (j = 0; j < n && strcmp(p->names[i], m[j].name); j++)
			;
		g = MIN(g, j < n ? m[j].committed : 0);
	}
	return g;
}

u64 ack_generation(const struct ack_policy *p, const struct ack_member *m, u32 n)
{
	u64 g = 0;

	switch (p->kind) {
	case ACK_ALL:
		return lowest(m, n);
	case ACK_ANY:
		g = of_so_many(m, n, 1);
		break;
	case ACK_NUMBER:
		g = of_so_many(m, n, p->number);
		break;
	case ACK_NAMED:
		g = of_named(p, m, n);
		break;
	}
	return ack_in_force(p, m, n) ? g : MIN(g, lowest(m, n));
}
