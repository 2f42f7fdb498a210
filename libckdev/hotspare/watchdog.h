/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: signs of life, by the thread that takes checkpoints or asks whether it may serve, and
 * by no thread of the library's: that one would live on in a program that hangs.
 */
#ifndef HS_WATCHDOG_H
#define HS_WATCHDOG_H

#include <stdint.h>

/* Option -w of hs_init(3). 0: nothing is promised. */
void hs_watchdog_set(unsigned int seconds);
/* The session is new: the next sign is its first. */
void hs_watchdog_anew(void);
/* A sign for the session @fd, unless one was given a moment ago. */
void hs_watchdog_sign(int fd);
/* So long a call that waits may go without a sign; nanoseconds. */
uint64_t hs_watchdog_pause(void);

#endif /* HS_WATCHDOG_H */
