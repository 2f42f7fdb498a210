// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The disks of the hosts: records, each whole, that stay when the power goes. And the number
 * of the boot, as the kernel of each host has it.
 */
#include <errno.h>
#include <string.h>

#include <systemd/sd-id128.h>

#include "mutants.h"
#include "sim.h"
#include "state.h"

#define RECORDS		4

static struct record disk[SIM_HOSTS][RECORDS];

static struct record *find(const char *dir, const char *name)
{
	struct record *r = disk[dir[0] - '0'];
	u32 i;

	for (i = 0; i < RECORDS; i++)
		if (!strcmp(r[i].name, name))
			return &r[i];
	return NULL;
}

void disk_reset(void)
{
	memset(disk, 0, sizeof(disk));
}

void disk_lose(struct sim_host *h)
{
	h->late_write = 0;
	memset(disk[h->nr], 0, sizeof(disk[h->nr]));
}

u64 disk_term(const struct sim_host *h)
{
	const struct record *r = find(h->conf.state_dir, SIM_NAME);

	return r ? r->term : 0;
}

int __wrap_state_dir_make(const char *dir)
{
	(void)dir;
	return 0;
}

int __wrap_state_read_all(const char *dir, state_fn fn, void *arg)
{
	struct record *r = disk[dir[0] - '0'];
	u32 i;

	for (i = 0; i < RECORDS; i++)
		if (*r[i].name)
			fn(arg, r[i].name, &r[i], "");
	return 0;
}

static int write_record(const char *dir, const struct record *r)
{
	struct record *to = find(dir, r->name);

	if (!to)
		to = find(dir, "");
	if (!to)
		return -ENOSPC;
	*to = *r;
	if (mutant == MUTANT_STILL_FORGOTTEN)
		record_resolved(to);
	return 0;
}

/* A daemon that is killed writes nothing any more. */
int __wrap_state_write(const char *dir, const struct record *r)
{
	struct sim_host *h = sim.cur;

	if (h->dying)
		return -EIO;
	if (mutant == MUTANT_TERM_LOST)
		return 0;
	if (mutant != MUTANT_TERM_LATE)
		return write_record(dir, r);
	h->late = *r;
	h->late_write = sim.now + MS(rng_range(&sim.rng_prog, 1, 400));
	return 0;
}

void disk_late(struct sim_host *h)
{
	h->late_write = 0;
	write_record(h->conf.state_dir, &h->late);
}

int __wrap_state_remove(const char *dir, const char *name)
{
	struct record *r = find(dir, name);

	if (r)
		memset(r, 0, sizeof(*r));
	return 0;
}

int __wrap_sd_id128_get_boot(sd_id128_t *id)
{
	*id = (sd_id128_t) { .qwords = { sim.cur->nr + 1, sim.cur->boot } };
	return 0;
}
