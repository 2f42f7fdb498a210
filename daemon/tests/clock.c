// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The linker puts the functions __wrap_* of this file in place of those that the daemon calls
 * (--wrap, see the Makefile).
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "clock.h"

/*
 * No wait of a test lasts longer. Every turn of a loop reads the clock, so a longer step is
 * time in which the process didn't run.
 */
#define STEP_MAX	(25 * NSEC_PER_MSEC)

u64 __real_clock_mono(void);
int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t len);

static u64 shown, real;

u64 __wrap_clock_mono(void)
{
	u64 now = __real_clock_mono();

	shown += real ? MIN(now - real, STEP_MAX) : now;
	real = now;
	return shown;
}

void clock_jump(u64 ns)
{
	__wrap_clock_mono();
	shown += ns;
}

/*
 * TCP_USER_TIMEOUT is measured by the kernel's clock, which doesn't stand still: a receiver
 * that doesn't run keeps its window closed, and the kernel gives up the sender's connection.
 */
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	if (level == IPPROTO_TCP && name == TCP_USER_TIMEOUT)
		return 0;
	return __real_setsockopt(fd, level, name, value, len);
}
