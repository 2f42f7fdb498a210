// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The fence command of a host: it switches the other one off, or fails, or hangs. The linker puts
 * the functions here in place of those that start and kill processes.
 */
#include <signal.h>

#include "command.h"
#include "schedule.h"

/* Above every process number of Linux. */
#define PID	(1 << 30)

int __wrap_command_start(char *const argv[], char *const envp[], pid_t *pid, int *out);
void __wrap_command_kill(pid_t pid);

int __wrap_command_start(char *const argv[], char *const envp[], pid_t *pid, int *out)
{
	struct sim_host *h = sim.cur;
	u64 kind = rng_range(&sim.rng_prog, 0, 9);

	(void)argv;
	(void)envp;
	(void)out;
	*pid = PID + h->nr;
	h->fence = kind < 6 ? FENCE_OFF : kind < 8 ? FENCE_FAILS : FENCE_HANGS;
	h->fence_at = sim.now + MS(rng_range(&sim.rng_prog, 1, 1500));
	if (h->fence == FENCE_HANGS)
		h->fence_at = UINT64_MAX;
	story("%s runs its fence command, which %s", h->name,
	      h->fence == FENCE_OFF ? "will succeed" :
	      h->fence == FENCE_FAILS ? "will fail" : "hangs");
	return 0;
}

/* Its daemon hears of the end as of every other, unless it ends itself. */
void __wrap_command_kill(pid_t pid)
{
	struct sim_host *h = &sim.host[pid - PID];

	if (!h->fence)
		return;
	h->fence = h->dying ? FENCE_NONE : FENCE_KILLED;
	h->fence_at = sim.now;
}

u64 fence_next(const struct sim_host *h)
{
	if (!h->fence || !h->runs)
		return UINT64_MAX;
	return MAX(h->fence_at, h->stopped_until);
}

/* The host is off before anybody is told; a daemon that doesn't run is told later. */
void fence_step(struct sim_host *h)
{
	static const int status[] = {
		[FENCE_DONE] = 0, [FENCE_FAILS] = 1 << 8, [FENCE_KILLED] = SIGKILL,
	};
	enum sim_fence f;

	if (h->fence == FENCE_OFF && h->fence_at <= sim.now) {
		h->fence = FENCE_DONE;
		story("%s switches %s off", h->name, world_other(h)->name);
		schedule_power_off(world_other(h), MS(rng_range(&sim.rng_prog, 500, 3000)));
	}
	if (fence_next(h) > sim.now)
		return;
	f = h->fence;
	h->fence = FENCE_NONE;
	sim.cur = h;
	fence_command_reaped(LIST_FIRST(&h->daemon.peers), PID + h->nr, status[f]);
	sim.cur = NULL;
}
