// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: how far the programs' own copies of a replica are. A program that waits for the promotion
 * may copy the content ahead (since.c). It reports the last commit that its copy has, so that a
 * person sees how much is left to copy. The number is only shown: nothing else depends on it.
 */
#include "../cptdev.h"

/* Under replica->sem, for writing. */
void cptdev_copied_forget(struct cptdev_replica_file *rf)
{
	lockdep_assert_held_write(&rf->replica->sem);
	rf->copied = 0;
	list_del_init(&rf->copier);
}

/* Under replica->sem, for writing. */
static int copied_set(struct cptdev_replica_file *rf, u64 commits)
{
	struct cptdev_replica *r = rf->replica;

	if (READ_ONCE(r->removed))
		return -ENOENT;
	if (commits > r->commits)
		return -EINVAL;
	cptdev_copied_forget(rf);
	rf->copied = commits;
	if (commits)
		list_add(&rf->copier, &r->copiers);
	return 0;
}

int cptdev_copied(struct cptdev_call *call, void *uarg)
{
	struct cptdev_replica_file *rf = call->filp->private_data;
	struct cptdev_replica_copied *arg = uarg;
	int ret;

	if (arg->flags)
		return -EOPNOTSUPP;
	if (cptdev_replica_may(rf->replica))
		return -EACCES;
	down_write(&rf->replica->sem);
	ret = copied_set(rf, arg->commits);
	up_write(&rf->replica->sem);
	if (!ret)
		arg->behind = cptdev_since_pages(rf->replica, arg->commits);
	return ret;
}

/* The last commit that one of the copies has, 0: there is no copy. */
u64 cptdev_copied_newest(struct cptdev_replica *r)
{
	struct cptdev_replica_file *rf;
	u64 newest = 0;

	down_read(&r->sem);
	list_for_each_entry(rf, &r->copiers, copier)
		newest = max(newest, rf->copied);
	up_read(&r->sem);
	return newest;
}
