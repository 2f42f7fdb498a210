/* SPDX-License-Identifier: GPL-2.0-only */
/* UFFDIO_MOVE for headers that are older: since 6.8. */
#ifndef _UFFD_MOVE_H
#define _UFFD_MOVE_H

#include <linux/userfaultfd.h>

#ifndef UFFDIO_MOVE
struct uffdio_move {
	__u64 dst;
	__u64 src;
	__u64 len;
	__u64 mode;
	__s64 move;
};

#define UFFDIO_MOVE		_IOWR(UFFDIO, 0x05, struct uffdio_move)
#define UFFD_FEATURE_MOVE	(1 << 16)
#endif

#endif /* _UFFD_MOVE_H */
