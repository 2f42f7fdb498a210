// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Programs that know cptctl(), cptfork() and mwrwatch() from their manual pages, against
 * the module. Without it everything is skipped (exit status 4).
 */
#include <sys/mman.h>
#include <unistd.h>

#include "seeds.h"

char *pages_at(void *want, size_t pages)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | (want ? MAP_FIXED : 0);
	char *m = mmap(want, pages * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (m == MAP_FAILED)
		return NULL;
	/* One that changes would make 512 of them dirty. */
	madvise(m, pages * PAGE, MADV_NOHUGEPAGE);
	return m;
}

char *shared_pages(size_t pages)
{
	char *m = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return m == MAP_FAILED ? NULL : m;
}

int main(void)
{
	unsigned int number = 0, failed;

	printf("TAP version 13\n");
	if (access(CPTDEV_DEVICE, R_OK | W_OK)) {
		printf("1..0 # SKIP no %s\n", CPTDEV_DEVICE);
		return EXIT_SKIP;
	}
	printf("1..%u\n", nr_cpt_tests + nr_watch_tests);
	failed = run_tests(cpt_tests, nr_cpt_tests, &number);
	failed += run_tests(watch_tests, nr_watch_tests, &number);
	return failed ? 1 : 0;
}
