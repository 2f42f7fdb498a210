// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Commands that messages advise, as they are typed: a daemon whose control socket isn't where
 * cptdevctl looks, as that of one program, says where it is.
 */
#include <stdio.h>
#include <string.h>

#include "daemon.h"

/* A shell takes these as they are. */
#define PLAIN	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@%,="

const char *advice(const struct daemon *d, struct advice *a, const char *verb, const char *name)
{
	const char *socket = d->conf.control, *quote = socket[strspn(socket, PLAIN)] ? "'" : "";

	if (!*socket || !strcmp(socket, CONTROL_SOCKET))
		snprintf(a->text, sizeof(a->text), "cptdevctl %s %s", verb, name);
	else
		snprintf(a->text, sizeof(a->text), "cptdevctl %s %s --socket %s%s%s", verb, name,
			 quote, socket, quote);
	return a->text;
}
