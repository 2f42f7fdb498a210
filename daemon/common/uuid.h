/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEV_UUID_H
#define CPTDEV_UUID_H

#include <string.h>

#include <linux/cptdev.h>

#include "types.h"

#define UUID_TEXT_LEN	37

/* "00112233-4455-6677-8899-aabbccddeeff" into @text, which is returned. */
char *uuid_text(const u8 uuid[CPTDEV_UUID_LEN], char text[UUID_TEXT_LEN]);

/* Nobody's. */
extern const u8 uuid_none[CPTDEV_UUID_LEN];

static inline bool uuid_same(const u8 *a, const u8 *b)
{
	return !memcmp(a, b, CPTDEV_UUID_LEN);
}

#endif
