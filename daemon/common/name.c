// SPDX-License-Identifier: GPL-2.0-or-later
/* Names of sessions, replicas and nodes. */
#include <string.h>

#include <linux/cptdev.h>

#include "name.h"

/* Not isalnum(): what a name is doesn't hang on the locale. */
static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

bool name_valid(const char *name, size_t len)
{
	size_t i;

	if (len == 0 || len >= CPTDEV_NAME_MAX)
		return false;
	for (i = 0; i < len; i++)
		if (!name_char(name[i]))
			return false;
	return true;
}
