/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cptdev: mutants. Each safeguard can be removed at build time, to prove that a test
 * notices: make ... KCFLAGS=-DCPTDEV_MUTANT_NO_FLUSH. Documentation/testing.rst has the
 * list and the tests that catch them. Such a module says so when it is loaded; never use
 * one for anything else.
 */
#ifndef _CPTDEV_MUTANTS_H
#define _CPTDEV_MUTANTS_H

#include <linux/delay.h>
#include <linux/kconfig.h>

#define cptdev_mutant(name)	__is_defined(CPTDEV_MUTANT_##name)

/*
 * Some safeguards guard a window of a few instructions. WIDEN removes nothing: it holds
 * these windows open for some milliseconds, so that a test meets them. A mutant needs it
 * to be caught; without a mutant the same test must pass.
 */
#define cptdev_widen()							\
	do {								\
		if (cptdev_mutant(WIDEN))				\
			mdelay(20);					\
	} while (0)

#define CPTDEV_ANY_MUTANT						\
	(cptdev_mutant(NO_FLUSH) ||	/* the TLB isn't flushed */	\
	 cptdev_mutant(NO_EVENTS) ||	/* notifiers are ignored */	\
	 cptdev_mutant(NO_HOLES) ||	/* new pages must be writable */ \
	 cptdev_mutant(NO_PINNED) ||	/* plain references are ignored */ \
	 cptdev_mutant(COPY_EARLY) ||	/* ... or copied before the flush */ \
	 cptdev_mutant(NO_VMA_LOCK) ||	/* faults under the VMA lock go on */ \
	 cptdev_mutant(NO_WP_SEQ) ||	/* fast GUP goes on */		\
	 cptdev_mutant(PROTECT_LATE) ||	/* shared while it is writable */ \
	 cptdev_mutant(NO_RECHECK) ||	/* a PMD may change before the lock */ \
	 cptdev_mutant(COUNT_FAILED) ||	/* a failed snapshot counts as taken */ \
	 cptdev_mutant(WIDEN))		/* windows are held open */

#endif /* _CPTDEV_MUTANTS_H */
