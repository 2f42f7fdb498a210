// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module that warns when it is loaded: the harness must notice.
 */
#include <linux/module.h>

static int __init cptdev_warn_init(void)
{
	WARN(1, "on purpose\n");
	return 0;
}
module_init(cptdev_warn_init);

static void __exit cptdev_warn_exit(void)
{
}
module_exit(cptdev_warn_exit);

MODULE_DESCRIPTION("Warns, to test the test harness");
MODULE_AUTHOR("The cptdev authors");
MODULE_LICENSE("GPL");
