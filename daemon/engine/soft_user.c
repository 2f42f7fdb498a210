// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The soft engine: memory of the caller's. What the module answers EFAULT for must not end
 * the process: the kernel is asked to copy.
 */
#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "soft_parts.h"

static int result(ssize_t ret, u64 len)
{
	return ret >= 0 && (u64)ret == len ? 0 : -EFAULT;
}

int soft_user_read(void *to, u64 from, u64 len)
{
	struct iovec mine = { .iov_base = to, .iov_len = len };
	struct iovec its = { .iov_base = (void *)(unsigned long)from, .iov_len = len };

	return len ? result(process_vm_readv(getpid(), &mine, 1, &its, 1, 0), len) : 0;
}

int soft_user_write(u64 to, const void *from, u64 len)
{
	struct iovec mine = { .iov_base = (void *)from, .iov_len = len };
	struct iovec its = { .iov_base = (void *)(unsigned long)to, .iov_len = len };

	return len ? result(process_vm_writev(getpid(), &mine, 1, &its, 1, 0), len) : 0;
}
