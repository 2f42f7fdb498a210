// SPDX-License-Identifier: GPL-2.0-or-later
/* Identities of sessions and nodes as text. */
#include <stdio.h>

#include "uuid.h"

const u8 uuid_none[CPTDEV_UUID_LEN];

char *uuid_text(const u8 uuid[CPTDEV_UUID_LEN], char text[UUID_TEXT_LEN])
{
	char *p = text;
	int i;

	for (i = 0; i < CPTDEV_UUID_LEN; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		p += sprintf(p, "%02x", uuid[i]);
	}
	return text;
}
