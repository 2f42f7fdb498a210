/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lease of a primary (rule R7 of the failure model). Arithmetic alone: whoever calls says
 * what time it is, by CLOCK_BOOTTIME, which goes on while a machine is suspended.
 *
 * An answer of the spare lends the primary the time until it had *sent* what is answered, plus
 * the length of the lease, by the primary's clock. The spare *received* that later than it was
 * sent. So by its own clock the lease is over at the latest the length after that; the margin
 * is for clocks that don't run equally fast.
 */
#ifndef CPTDEVD_LEASE_H
#define CPTDEVD_LEASE_H

#include "types.h"

/* Nanoseconds, of the time-outs that the two ends of a link have told each other. */
u64 lease_length(u32 timeout_ms, u32 other_ms);
u64 lease_margin(u64 length);

/*
 * The spare: what was received at @received is answered. Nothing is promoted by time-out
 * before that time.
 */
u64 lease_lent_until(u64 received, u64 length);

#endif
