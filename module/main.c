// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: init and exit, the misc device.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

static const struct file_operations cptdev_fops = {
	.owner	= THIS_MODULE,
	.llseek	= noop_llseek,
};

static struct miscdevice cptdev_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "cptdev",
	.fops	= &cptdev_fops,
	.mode	= 0660,
};
module_misc_device(cptdev_misc);

MODULE_DESCRIPTION("Checkpoints of a process's own memory");
MODULE_AUTHOR("The cptdev authors");
MODULE_LICENSE("GPL");
