// SPDX-License-Identifier: GPL-2.0-only
/*
 * mprotect() and a handler of SIGSEGV, as it is done without any help from the kernel.
 */
#include <signal.h>

#include "bench.h"

static void protect(char *start, size_t len, int prot)
{
	if (mprotect(start, len, prot))
		die("mprotect: %s", strerror(errno));
}

static void on_sigsegv(int sig, siginfo_t *info, void *context)
{
	size_t page = ((unsigned long)info->si_addr - (unsigned long)t.m) / PAGE;

	(void)context;
	if (page >= t.pages) {
		signal(sig, SIG_DFL);
		return;
	}
	memory_region(page);
	protect(t.m + page * PAGE, PAGE, PROT_READ | PROT_WRITE);
}

static bool sigsegv_begin(void)
{
	struct sigaction sa = { .sa_sigaction = on_sigsegv, .sa_flags = SA_SIGINFO };

	if (sigaction(SIGSEGV, &sa, NULL))
		die("sigaction: %s", strerror(errno));
	t.nr_regions = 0;
	protect(t.m, t.pages * PAGE, PROT_READ);
	return true;
}

static void sigsegv_stop(void)
{
	protect(t.m, t.pages * PAGE, PROT_READ);
}

static void sigsegv_check(void)
{
	memory_found();
	t.nr_regions = 0;
}

static void sigsegv_end(void)
{
	protect(t.m, t.pages * PAGE, PROT_READ | PROT_WRITE);
	signal(SIGSEGV, SIG_DFL);
}

const struct method sigsegv_method = {
	.name = "sigsegv", .begin = sigsegv_begin, .stop = sigsegv_stop,
	.copy = memory_copy, .check = sigsegv_check, .end = sigsegv_end, .finds = true,
};
