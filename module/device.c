// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: /dev/cptdev. Its table of ioctls, and INFO. The handlers of the other ioctls are in
 * files of their own.
 */
#include <linux/module.h>

#include "track/track.h"

static void info_limits(struct cptdev_session *s, struct cptdev_info *info)
{
	u64 max = cptdev_user_held_max(cptdev_capable());

	info->user_held_max = max == U64_MAX ? max : max << PAGE_SHIFT;
	info->user_held = cptdev_user_held(s->user) << PAGE_SHIFT;
	mutex_lock(&cptdev_sessions_lock);
	info->group_left = cptdev_group_left(s);
	mutex_unlock(&cptdev_sessions_lock);
}

static void info_session(struct cptdev_session *s, struct cptdev_info *info)
{
	mutex_lock(&s->lock);
	info->session_id = s->id;
	export_uuid(info->session_uuid, &s->uuid);
	info->session_term = s->term;
	info->session_held_max = s->held_max ?: cptdev_held_max();
	info->session_held = atomic64_read(&s->held) << PAGE_SHIFT;
	info->session_ranges = s->nr_ranges;
	info->session_bytes = s->bytes;
	info->session_overhead = sizeof(*s) + s->max_ranges * sizeof(*s->ranges) +
		atomic64_read(&s->nr_chunks) * sizeof(struct cptdev_chunk) +
		atomic64_read(&s->nr_numbers) * CPTDEV_NUMBERS_SIZE;
	info->generation = s->generation;
	info->scans = s->nr_scans;
	info->snapshots = s->nr_snapshots;
	info->huge_kept = atomic64_read(&s->huge_kept);
	info->huge_split = atomic64_read(&s->huge_split);
	spin_lock(&s->pub_lock);
	info->published = s->pub_newest;
	info->committed = s->committed;
	info->attached = s->nr_followers;
	spin_unlock(&s->pub_lock);
	mutex_unlock(&s->lock);
}

static int device_info(struct cptdev_call *call, void *uarg)
{
	struct cptdev_info *info = uarg;
	u32 size = info->size;

	if (info->flags)
		return -EOPNOTSUPP;
	memset(info, 0, sizeof(*info));
	info->size = size;
	info->abi_version = CPTDEV_ABI_VERSION;
	info->page_size = PAGE_SIZE;
	info->features = CPTDEV_FEATURE_SCAN | CPTDEV_FEATURE_SNAPSHOT |
		CPTDEV_FEATURE_PUBLISH | CPTDEV_FEATURE_REPLICA |
		CPTDEV_FEATURE_MMAP | CPTDEV_FEATURE_CLAIM |
		CPTDEV_FEATURE_LEASE | CPTDEV_FEATURE_ALIVE | CPTDEV_FEATURE_SINCE |
		CPTDEV_FEATURE_COPIED | CPTDEV_FEATURE_HISTORY | CPTDEV_FEATURE_ROUND |
		CPTDEV_FEATURE_KEEP;
	info->range_flags = CPTDEV_RANGE_EXCL;
	info->scan_flags = CPTDEV_SCAN_FLAGS;
	info->scan_categories = CPTDEV_SCAN_CATEGORIES;
	info->snapshot_flags = CPTDEV_SNAPSHOT_FLAGS;
	info->session_flags = CPTDEV_SESSION_REPLACE;
	info->replica_flags = CPTDEV_REPLICA_FLAGS;
	info->held_max = cptdev_held_max();
	info->held = atomic64_read(&cptdev_held_pages) << PAGE_SHIFT;
	info->replica_max = cptdev_replica_max();
	info->replica = atomic64_read(&cptdev_replica_pages) << PAGE_SHIFT;
	info->sessions = cptdev_sessions_count();
	info->replicas = cptdev_replicas_count();
	info_session(call->filp->private_data, info);
	info_limits(call->filp->private_data, info);
	return 0;
}

static const struct cptdev_ioctl_op device_ops[] = {
	CPTDEV_OP(CPTDEV_IOC_INFO, device_info, cptdev_info, snapshots),
	CPTDEV_OP(CPTDEV_IOC_SESSION_SETUP, cptdev_session_setup,
		  cptdev_session_setup, held_max),
	CPTDEV_OP(CPTDEV_IOC_RANGE_ADD, cptdev_range_add, cptdev_range, reserved),
	CPTDEV_OP(CPTDEV_IOC_RANGE_DEL, cptdev_range_del, cptdev_range, reserved),
	CPTDEV_OP(CPTDEV_IOC_RANGE_CLEAR, cptdev_range_clear, cptdev_range, reserved),
	CPTDEV_OP(CPTDEV_IOC_RANGE_LIST, cptdev_range_list, cptdev_range_list, total),
	CPTDEV_OP(CPTDEV_IOC_SCAN, cptdev_scan, cptdev_scan, pages),
	CPTDEV_OP_FD(CPTDEV_IOC_SNAPSHOT, cptdev_snapshot, cptdev_snapshot, reserved),
	CPTDEV_OP(CPTDEV_IOC_SESSION_ALIVE, cptdev_alive, cptdev_session_alive,
		  timeout_ns),
	CPTDEV_OP(CPTDEV_IOC_WAIT, cptdev_wait, cptdev_wait, committed),
	CPTDEV_OP_FD(CPTDEV_IOC_DELTA, cptdev_delta, cptdev_delta, pages),
	CPTDEV_OP(CPTDEV_IOC_ACK, cptdev_ack, cptdev_ack, generation),
	CPTDEV_OP_FD(CPTDEV_IOC_ROUND, cptdev_round, cptdev_round, reserved),
	CPTDEV_OP(CPTDEV_IOC_KEEP, cptdev_keep_call, cptdev_keep, max_bytes),
	CPTDEV_OP_FD(CPTDEV_IOC_REPLICA_OPEN, cptdev_replica_open,
		     cptdev_replica_open, reserved),
};

static long device_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	return cptdev_ioctl(filp, cmd, arg, device_ops, ARRAY_SIZE(device_ops));
}

const struct file_operations cptdev_fops = {
	.owner		= THIS_MODULE,
	.open		= cptdev_session_open,
	.release	= cptdev_session_release,
	.unlocked_ioctl	= device_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.poll		= cptdev_session_poll,
	.mmap		= cptdev_session_mmap,
	.llseek		= noop_llseek,
};
