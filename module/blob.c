// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: blobs. Meta-data of snapshots and replicas, shared by reference count.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "cptdev.h"

static struct cptdev_blob *blob_alloc(u32 len)
{
	struct cptdev_blob *b = kvmalloc(struct_size(b, data, len), GFP_KERNEL_ACCOUNT);

	if (!b)
		return NULL;
	refcount_set(&b->ref, 1);
	b->len = len;
	return b;
}

void cptdev_blob_put(struct cptdev_blob *b)
{
	if (b && refcount_dec_and_test(&b->ref))
		kvfree(b);
}

/* NULL for no bytes. */
struct cptdev_blob *cptdev_blob_from_user(u64 uptr, u32 len)
{
	struct cptdev_blob *b;

	if (!len)
		return NULL;
	if (len > CPTDEV_META_MAX)
		return ERR_PTR(-EMSGSIZE);
	b = blob_alloc(len);
	if (!b)
		return ERR_PTR(-ENOMEM);
	if (copy_from_user(b->data, u64_to_user_ptr(uptr), len)) {
		cptdev_blob_put(b);
		return ERR_PTR(-EFAULT);
	}
	return b;
}

/* CPTDEV_IOC_IMAGE_META; @b may be NULL. */
int cptdev_blob_read(const struct cptdev_blob *b, struct cptdev_image_vec *arg)
{
	u32 len = b ? b->len : 0, from = min_t(u64, arg->start, len);

	if (arg->flags)
		return -EOPNOTSUPP;
	if (arg->since)
		return -EINVAL;
	arg->nr = min(arg->vec_len, len - from);
	arg->next = from + arg->nr;
	if (arg->nr && copy_to_user(u64_to_user_ptr(arg->vec), b->data + from, arg->nr))
		return -EFAULT;
	return 0;
}
