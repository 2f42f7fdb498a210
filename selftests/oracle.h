/* SPDX-License-Identifier: GPL-2.0-only */
/* What the oracle tests have in common: options, and a session with memory in it. */
#ifndef _CPTDEV_ORACLE_H
#define _CPTDEV_ORACLE_H

#include <getopt.h>
#include <sys/mount.h>

#include "cptdev_test.h"
#include "kselftest.h"

/*
 * From now on the kernel flushes ranges page by page, however large they are. A flush that
 * relied on a large range wouldn't be one of all of the address space.
 */
static inline void t_oracle_ceiling(void)
{
	if (mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL) && errno != EBUSY)
		ksft_exit_fail_msg("no debugfs\n");
	if (t_write_file("/sys/kernel/debug/x86/tlb_single_page_flush_ceiling", "2147483647"))
		ksft_exit_fail_msg("the ceiling can't be raised\n");
}

/* [-r ROUNDS], [-c], and one more option of a letter, or ""; true: it was given. */
static inline bool t_oracle_options(int argc, char **argv, unsigned long *rounds,
				    const char *more)
{
	bool given = false;
	char options[8];
	int opt;

	snprintf(options, sizeof(options), "cr:%s", more);
	while ((opt = getopt(argc, argv, options)) != -1) {
		if (opt == 'r')
			*rounds = strtoul(optarg, NULL, 0);
		else if (opt == 'c')
			t_oracle_ceiling();
		else if (*more && opt == *more)
			given = true;
		else
			ksft_exit_fail_msg("%s [-r ROUNDS] [-c] [-%s]\n", argv[0], more);
	}
	return given;
}

/* A session that tracks @len bytes at @mem. */
static inline int t_oracle_session(void *mem, size_t len)
{
	int fd = t_open();

	if (fd < 0)
		ksft_exit_fail_msg("%s: %s\n", CPTDEV_DEVICE, strerror(-fd));
	if (t_add(fd, mem, len))
		ksft_exit_fail_msg("RANGE_ADD fails\n");
	return fd;
}

#endif /* _CPTDEV_ORACLE_H */
