// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: init and exit, the misc device, the limits.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "cptdev.h"

#define CREATE_TRACE_POINTS
#include "trace.h"
#include "mutants.h"

static unsigned int held_max_mib;
module_param(held_max_mib, uint, 0644);
MODULE_PARM_DESC(held_max_mib,
		 "Most memory held by all snapshots, MiB (0: half of the memory)");

static unsigned int replica_max_mib;
module_param(replica_max_mib, uint, 0644);
MODULE_PARM_DESC(replica_max_mib,
		 "Most memory of all replicas, MiB (0: three quarters of the memory)");

struct workqueue_struct *cptdev_wq;
atomic64_t cptdev_held_pages;
atomic64_t cptdev_replica_pages;

static u64 mib_or(unsigned int mib, u64 pages)
{
	return mib ? (u64)mib << 20 : pages << PAGE_SHIFT;
}

u64 cptdev_held_max(void)
{
	return mib_or(READ_ONCE(held_max_mib), totalram_pages() / 2);
}

u64 cptdev_replica_max(void)
{
	return mib_or(READ_ONCE(replica_max_mib), totalram_pages() / 4 * 3);
}

/* May the caller see other processes' memory, and change replicas? */
bool cptdev_capable(void)
{
	return checkpoint_restore_ns_capable(&init_user_ns);
}

static struct miscdevice cptdev_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "cptdev",
	.fops	= &cptdev_fops,
	.mode	= 0660,
};

static int __init cptdev_init(void)
{
	int ret;

	cptdev_mutants_tell();
	cptdev_simd_init();
	ret = cptdev_chunks_init();
	if (ret)
		return ret;
	ret = cptdev_gone_init();
	if (ret)
		goto err_chunks;
	ret = cptdev_shrink_init();
	if (ret)
		goto err_gone;
	ret = cptdev_flush_init();
	if (ret)
		goto err_shrink;
	cptdev_wq = alloc_workqueue("cptdev", WQ_UNBOUND, 0);
	if (!cptdev_wq) {
		ret = -ENOMEM;
		goto err_flush;
	}
	ret = cptdev_genl_init();
	if (ret)
		goto err_wq;
	ret = misc_register(&cptdev_misc);
	if (ret)
		goto err_genl;
	return 0;

err_genl:
	cptdev_genl_exit();
err_wq:
	destroy_workqueue(cptdev_wq);
err_flush:
	cptdev_flush_exit();
err_shrink:
	cptdev_shrink_stop();
	cptdev_shrink_exit();
err_gone:
	cptdev_gone_exit();
err_chunks:
	cptdev_chunks_exit();
	return ret;
}

static void __exit cptdev_exit(void)
{
	misc_deregister(&cptdev_misc);
	/* It tells of events and leaves work to the workers. */
	cptdev_shrink_stop();
	cptdev_genl_exit();
	/*
	 * Sessions that are ending put their notifiers, whose last calls may queue work
	 * again: in this order nothing is left.
	 */
	flush_workqueue(cptdev_wq);
	mmu_notifier_synchronize();
	destroy_workqueue(cptdev_wq);
	cptdev_flush_exit();
	cptdev_gone_exit();
	cptdev_shrink_exit();
	cptdev_chunks_exit();
}

module_init(cptdev_init);
module_exit(cptdev_exit);

MODULE_DESCRIPTION("Checkpoints of a process's own memory");
MODULE_AUTHOR("The cptdev authors");
MODULE_LICENSE("GPL");
/* In a kernel tree the kernel's version says it. */
#ifdef CPTDEV_VERSION
MODULE_VERSION(CPTDEV_VERSION);
#endif
