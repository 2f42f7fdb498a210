// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: signs of life, see watchdog.h. Any thread may give one. */
#include <errno.h>
#include <stdatomic.h>

#include <ckdev.h>

#include "clock.h"
#include "error.h"
#include "watchdog.h"

static uint64_t promised;		/* the next one comes within as many nanoseconds; 0: none does */
static _Atomic uint64_t next;		/* not before: a program may ask very often */

void hs_watchdog_set(unsigned int seconds)
{
	promised = seconds * 1000000000ULL;
}

void hs_watchdog_anew(void)
{
	next = 0;
}

uint64_t hs_watchdog_pause(void)
{
	return promised ? promised / 4 : UINT64_MAX;
}

void hs_watchdog_sign(int fd)
{
	uint64_t now;
	int ret;

	if (!promised || fd < 0)
		return;
	now = hs_now_ns();
	if (now < next)
		return;
	next = now + hs_watchdog_pause();
	ret = ckdev_alive(fd, promised);
	if (ret != -EOPNOTSUPP && ret != -ENOTTY)
		return;
	hs_say("libhotspare: no watchdog (-w): the cptdev module is too old for it");
	promised = 0;
}
