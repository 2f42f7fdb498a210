// SPDX-License-Identifier: GPL-2.0-only
/*
 * userfaultfd: write-protect, and learn of the first write to each page. Since 6.7 the
 * kernel lifts the protection itself and leaves a bit in pagemap (WP_ASYNC); before, a
 * thread is told of each write and lifts it.
 */
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>

#include "bench.h"

#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED	(1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC		(1 << 15)
#endif

#define PAGEMAP_UFFD_WP	57

static int uffd, pagemap;
static pthread_t handler;
static bool async;

/* -1: the kernel doesn't have the features. */
static int uffd_open(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct uffdio_register reg = {
		.range = { .start = (unsigned long)t.m, .len = t.pages * PAGE },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0)
		die("userfaultfd: %s", strerror(errno));
	if (ioctl(fd, UFFDIO_API, &api)) {
		close(fd);
		return -1;
	}
	if (ioctl(fd, UFFDIO_REGISTER, &reg))
		die("UFFDIO_REGISTER: %s", strerror(errno));
	uffd_protect(fd, reg.range.start, reg.range.start + reg.range.len, true);
	return fd;
}

int uffd_async(void)
{
	return uffd_open(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED);
}

void uffd_protect(int fd, uint64_t start, uint64_t end, bool protect)
{
	struct uffdio_writeprotect arg = {
		.range = { .start = start, .len = end - start },
		.mode = protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	if (ioctl(fd, UFFDIO_WRITEPROTECT, &arg))
		die("UFFDIO_WRITEPROTECT: %s", strerror(errno));
}

/* Ends the read() of the handler. */
static void on_signal(int sig)
{
	(void)sig;
}

/* The program stands still while a region is added: it waits for its fault. */
static void *uffd_handle(void *unused)
{
	struct uffd_msg msg;
	unsigned long addr;

	while (read(uffd, &msg, sizeof(msg)) == sizeof(msg)) {
		addr = msg.arg.pagefault.address & ~(PAGE - 1);
		memory_region((addr - (unsigned long)t.m) / PAGE);
		uffd_protect(uffd, addr, addr + PAGE, false);
	}
	return unused;
}

static bool uffd_wp_begin(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGUSR1, &sa, NULL);
	uffd = uffd_async();
	async = uffd >= 0;
	if (!async)
		uffd = uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	if (uffd < 0)
		die("userfaultfd can't write-protect");
	pagemap = pagemap_open();
	t.nr_regions = 0;
	if (!async && pthread_create(&handler, NULL, uffd_handle, NULL))
		die("no thread");
	return true;
}

/* Only what changed is protected anew: cheaper than all. */
static void uffd_wp_stop(void)
{
	size_t i;

	if (async) {
		pagemap_read(pagemap);
		pagemap_regions(PAGEMAP_UFFD_WP, false);
	}
	for (i = 0; i < t.nr_regions; i++)
		uffd_protect(uffd, t.region[i].start, t.region[i].end, true);
}

static void uffd_wp_check(void)
{
	memory_found();
	t.nr_regions = 0;
}

static void uffd_wp_end(void)
{
	if (!async) {
		pthread_kill(handler, SIGUSR1);
		pthread_join(handler, NULL);
	}
	close(uffd);
	close(pagemap);
}

const struct method uffd_wp_method = {
	.name = "uffd_wp", .begin = uffd_wp_begin, .stop = uffd_wp_stop,
	.copy = memory_copy, .check = uffd_wp_check, .end = uffd_wp_end, .finds = true,
};
