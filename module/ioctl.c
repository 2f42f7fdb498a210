// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: ioctls. This file checks sizes and copies arguments, so a handler gets a complete
 * struct of the kernel's size, in kernel memory.
 */
#include <linux/build_bug.h>
#include <linux/file.h>
#include <linux/uaccess.h>

#include "abi.h"
#include "cptdev.h"

static const struct cptdev_ioctl_op *ioctl_find(const struct cptdev_ioctl_op *ops,
						unsigned int nr_ops,
						unsigned int cmd)
{
	unsigned int i;

	for (i = 0; i < nr_ops; i++)
		if (ops[i].cmd == cmd)
			return &ops[i];
	return NULL;
}

static int ioctl_call(struct cptdev_call *call, const struct cptdev_ioctl_op *op,
		      void __user *uarg, u32 size)
{
	s32 *fdp = (s32 *)(call->arg.raw + op->fd_offset);
	int fd = -1, ret;

	if (op->fd_offset) {
		fd = get_unused_fd_flags(O_CLOEXEC);
		if (fd < 0)
			return fd;
		*fdp = -1;
	}
	ret = op->fn(call, call->arg.raw);
	if (call->new_file && !ret)
		*fdp = fd;
	if (copy_to_user(uarg, call->arg.raw, min(size, op->size)) && !ret) {
		ret = -EFAULT;
		if (call->undo)
			call->undo(call, call->arg.raw);
	}

	/* With the answer on its way nothing can fail any more. */
	if (call->new_file && !ret) {
		fd_install(fd, call->new_file);
		return 0;
	}
	if (call->new_file)
		fput(call->new_file);
	if (fd >= 0)
		put_unused_fd(fd);
	return ret;
}

long cptdev_ioctl(struct file *filp, unsigned int cmd, unsigned long arg,
		  const struct cptdev_ioctl_op *ops, unsigned int nr_ops)
{
	const struct cptdev_ioctl_op *op = ioctl_find(ops, nr_ops, cmd);
	void __user *uarg = (void __user *)arg;
	struct cptdev_call call = { .filp = filp };
	u32 size;
	int ret;

	if (!op)
		return -ENOTTY;
	if (get_user(size, (u32 __user *)uarg))
		return -EFAULT;
	if (size < op->min_size)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	ret = copy_struct_from_user(call.arg.raw, op->size, uarg, size);
	if (ret)
		return ret;
	/*
	 * An answer that can't be delivered isn't sought: nothing has happened. That the
	 * memory goes away later, during the call, is the caller's own doing; calls that
	 * would lose something even then have an undo.
	 */
	if (copy_to_user(uarg, call.arg.raw, min(size, op->size)))
		return -EFAULT;
	return ioctl_call(&call, op, uarg, size);
}

/* A name as the ABI wants it; the caller's array is NUL-terminated then. */
int cptdev_check_name(const u8 *name)
{
	unsigned int len = strnlen(name, CPTDEV_NAME_MAX), i;

	if (len == 0 || len == CPTDEV_NAME_MAX)
		return -EINVAL;
	/* The kernel's isalnum() knows the letters of Latin-1, too. */
	for (i = 0; i < len; i++)
		if (!isascii(name[i]) ||
		    (!isalnum(name[i]) && !strchr("._-", name[i])))
			return -EINVAL;
	return 0;
}
