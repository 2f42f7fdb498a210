// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The soft engine: closing files of pages. The last close of a file frees its memory, which takes a
 * tenth of a second for each GiB, and longer on a slow processor. No heartbeat is sent meanwhile: a
 * host that frees a large checkpoint would count as dead. So a thread of its own closes a large file.
 * The thread touches nothing else of the daemon's.
 */
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "soft_parts.h"

/* A smaller one is closed within a few milliseconds. */
#define LARGE	(16LL << 20)
#define STACK	(PTHREAD_STACK_MIN + 65536)

static void *close_it(void *fd)
{
	close((int)(intptr_t)fd);
	return NULL;
}

static int start(const pthread_attr_t *attr, int fd)
{
	sigset_t all, before;
	pthread_t thread;
	int ret;

	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = pthread_create(&thread, attr, close_it, (void *)(intptr_t)fd);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ret;
}

static int close_aside(int fd)
{
	pthread_attr_t attr;
	int ret = pthread_attr_init(&attr);

	if (ret)
		return ret;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK);
	ret = start(&attr, fd);
	pthread_attr_destroy(&attr);
	return ret;
}

void soft_close_pages(int fd)
{
	struct stat st;

	if (fstat(fd, &st) || (long long)st.st_blocks * 512 < LARGE || close_aside(fd))
		close(fd);
}
