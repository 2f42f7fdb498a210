// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: which mutants are active. Only in a module for tests, see mutants.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitops.h>
#include <linux/module.h>
#include <linux/string.h>

#include "mutants.h"

#define mutant(name)				\
	[CPTDEV_MUTANT_##name] = #name,
static const char *const mutant_names[] = {
#include "mutant_list.h"
};

unsigned long cptdev_mutants __ro_after_init;

static int mutant_number(const char *name, size_t len)
{
	int n;

	for (n = 0; n < ARRAY_SIZE(mutant_names); n++) {
		if (strlen(mutant_names[n]) == len && !memcmp(mutant_names[n], name, len))
			return n;
	}
	return -EINVAL;
}

/* An unknown name is an error: a test of it would show nothing. */
static int mutant_set(const char *val, const struct kernel_param *kp)
{
	unsigned long mutants = 0;

	for (;;) {
		size_t len = strcspn(val, "+");
		int n = mutant_number(val, len);

		if (n < 0) {
			pr_err("there is no mutant '%.*s'\n", (int)len, val);
			return n;
		}
		mutants |= BIT(n);
		if (!val[len])
			break;
		val += len + 1;
	}
	cptdev_mutants = mutants;
	return 0;
}

static const struct kernel_param_ops mutant_ops = {
	.set = mutant_set,
};
module_param_cb(mutant, &mutant_ops, NULL, 0);
MODULE_PARM_DESC(mutant, "Safeguards to switch off, joined by '+': for tests only");

void cptdev_mutants_tell(void)
{
	int n;

	pr_warn("built with mutants: for tests only\n");
	for_each_set_bit(n, &cptdev_mutants, ARRAY_SIZE(mutant_names))
		pr_warn("mutant %s is active\n", mutant_names[n]);
}
