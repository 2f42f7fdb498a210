/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_SIM_SCHEDULE_H
#define TESTS_SIM_SCHEDULE_H

#include "sim.h"

#define SCHEDULE_MAX	64
/* One seed of so many has a third host. */
#define THIRD_SEEDS	4

/* Run what the seed says, without the events of @dropped (bits). True: nothing was wrong. */
bool schedule_run(u64 seed, u64 dropped);
void schedule_settings(u64 seed, struct conf *conf, int host);
/* Both directions are cut for so long. */
void schedule_cut(u64 ns);
/* The host loses its power for so long. */
void schedule_power_off(struct sim_host *h, u64 ns);
/* Only from this host to the other one. */
void schedule_cut_one(struct sim_host *from, u64 ns);
/* How many events the seed has. */
u32 schedule_events(u64 seed);

/* fence.c */
u64 fence_next(const struct sim_host *h);
void fence_step(struct sim_host *h);
void schedule_power_back(struct sim_host *h);

/* third.c */
void third_reset(void);
/* The host that leaves in order for it, and is away for @ns; or NULL. */
struct sim_host *third_replace(u64 ns);
/* Its daemon has ended. */
void third_left(struct sim_host *h);
void third_empties(void);
/* Nobody else has everything: it is taken back. */
bool third_returns(void);

/* Both directions between the two that are configured for each other. */
void schedule_cut_pair(u64 ns);

/* split.c */
bool split_seed(u64 seed);
/* Both go on; then both know. So long it takes until something follows, 0: that isn't so. */
u64 split_begin(void);
u64 split_known(void);

/* verifying.c */
/* In every seed, not in one of seven. */
void verifying_everywhere(void);
bool verifying_seed(u64 seed);
void verifying_reset(u64 seed);
u64 verifying_next(void);
void verifying_step(void);
/* No comparison of this host's has found a difference. */
void verifying_check(const struct sim_host *h);

/* operator.c */
/* The service that was ended begins anew, 0: there is no such plan. */
extern u64 operator_begin_at;
void operator_begins(void);
/* Once in a second. */
void operator_looks(void);
/* When a person has done something last. */
u64 operator_done_at(void);
void operator_reset(void);
/* Who promotes by force has ended the other host's program: it would go on, perhaps alone. */
void operator_stops(struct sim_host *h);

#endif
