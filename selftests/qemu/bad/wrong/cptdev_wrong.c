// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module that makes one mistake when it is loaded, which only a debug kernel sees: the
 * harness must notice.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>

static char *what = "";
module_param(what, charp, 0444);
MODULE_PARM_DESC(what, "leak, use_after_free, inversion or sleep");

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
static DEFINE_SPINLOCK(spin);

static void leak(void)
{
	char *p = kmalloc(100, GFP_KERNEL);

	if (p)
		p[0] = 1;
}

static void use_after_free(void)
{
	char *p = kmalloc(100, GFP_KERNEL);

	kfree(p);
	if (p)
		WRITE_ONCE(p[50], 1);
}

/* It would take two tasks to get stuck: lockdep sees it with one. */
static void inversion(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);
	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

static void sleep_in_atomic(void)
{
	spin_lock(&spin);
	kfree(kmalloc(100, GFP_KERNEL));
	spin_unlock(&spin);
}

static int __init cptdev_wrong_init(void)
{
	if (!strcmp(what, "leak"))
		leak();
	else if (!strcmp(what, "use_after_free"))
		use_after_free();
	else if (!strcmp(what, "inversion"))
		inversion();
	else if (!strcmp(what, "sleep"))
		sleep_in_atomic();
	else
		return -EINVAL;
	return 0;
}
module_init(cptdev_wrong_init);

static void __exit cptdev_wrong_exit(void)
{
}
module_exit(cptdev_wrong_exit);

MODULE_DESCRIPTION("Makes mistakes, to test the test harness");
MODULE_AUTHOR("The cptdev authors");
MODULE_LICENSE("GPL");
