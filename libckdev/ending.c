// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libckdev: a session of the soft engine reports its end. The module sees how a process ends; a
 * daemon of another user sees only that the process is gone. So the library reports what the
 * program does in order, and the daemon counts an end without a report as a failure (softwire.h,
 * SOFT_END).
 *
 * exit(3) runs the handler below; _exit(2) and signals don't. A child after fork() has the
 * handler too, but must not report for its parent. The number of a descriptor may be reused: the
 * cookie of the socket identifies it. The daemon checks the sender as well.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "internal.h"
#include "softwire.h"

/*
 * The argument of the handler, since the library keeps no state: the process, the descriptor, and
 * as much of the cookie as there is room for. A session with a higher descriptor promises nothing.
 */
#define PID_BITS	22
#define FD_BITS		16
#define COOKIE_BITS	26

static uint64_t low(uint64_t value, unsigned int bits)
{
	return value & ((1ULL << bits) - 1);
}

static bool pack(int fd, uint64_t *packed)
{
	uint64_t cookie = 0, pid = (uint64_t)getpid();
	socklen_t len = sizeof(cookie);
	int saved = errno;

	if (low((uint64_t)fd, FD_BITS) != (uint64_t)fd || low(pid, PID_BITS) != pid ||
	    ckdev_result(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), saved) < 0)
		return false;
	*packed = low(cookie, COOKIE_BITS) << (PID_BITS + FD_BITS) | pid << FD_BITS | (uint64_t)fd;
	return true;
}

static void tell_exit(int status, void *arg)
{
	uint64_t was = (uintptr_t)arg, now;
	int fd = (int)low(was, FD_BITS);

	if (ckdev_is_soft(fd) && pack(fd, &now) && now == was)
		ckdev_soft_say(fd, SOFT_END_EXITS, (unsigned int)status & 0xff, -1);
}

void ckdev_promise_end(int fd)
{
	int saved = errno, maps;
	uint64_t packed;

	if (!ckdev_is_soft(fd) || !pack(fd, &packed) || on_exit(tell_exit, ckdev_pointer(packed)))
		return;
	maps = (int)ckdev_result(open("/proc/self/maps", O_RDONLY | O_CLOEXEC), saved);
	ckdev_soft_say(fd, SOFT_END_PROMISED, 0, maps < 0 ? -1 : maps);
	if (maps >= 0)
		ckdev_close(maps);
}

int ckdev_session_end(int fd)
{
	if (ckdev_is_soft(fd))
		ckdev_soft_say(fd, SOFT_END_CLOSES, 0, -1);
	return ckdev_close(fd);
}
