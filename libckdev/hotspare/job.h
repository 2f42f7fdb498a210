/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: one checkpoint on its way. The caller schedules it (schedule.c), the cut makes it what
 * it is (cut.c), somebody writes it (job.c), and it is seen how that ended (reap.c).
 */
#ifndef HS_JOB_H
#define HS_JOB_H

#include <pthread.h>
#include <stdbool.h>

#include "checkpoint.h"
#include "module.h"
#include "pipe.h"

struct hs_job {
	struct hs_pipe *pipe;
	struct hs_writer w;
	struct hs_texts texts;
	struct hs_image_head head;
	struct hs_snapshot snap;	/* by the module, else fd -1 */
	bool publish;			/* for cptdevd: nobody writes it */
	int before;			/* of who writes to the same place, or -1 */
	/* a thread only */
	pthread_t thread;
	int ended;			/* eventfd */
	int err;
};

/* cut.c */
/* Hooks and all. Returns 0, or -1 with errno and @e. */
int hs_cut(struct hs_job *j, struct hs_error *e);
/* hs_cpt(3) is about to return 0. With the pool locked. */
void hs_cut_go_on(void);
/* Does this thread hold checkpoints off? */
bool hs_held(void);

/* job.c */
/* With nothing in it yet; NULL, with @e: no memory. */
struct hs_job *hs_job_new(struct hs_error *e);
void hs_job_wait(int ended);
uint64_t hs_job_known(const struct hs_sums *sums, bool by_module);
/* Writes the job, in whatever process or thread: returns 0 or errno. */
int hs_job_run(void *j);
/*
 * A child that does @run, which returns 0 or errno, after what is to be known of its parent's
 * memory. Returns a descriptor that can be read when it has ended, or -1 with errno and @e.
 */
int hs_job_fork(struct hs_result *result, int (*run)(void *arg), void *arg, struct hs_error *e);
int hs_job_thread(struct hs_job *j, struct hs_error *e);
void hs_job_free(struct hs_job *j);

/* reap.c */
/* Waits for the child of hs_job_fork() and closes *@ended: returns 0 or errno. */
int hs_reap_child(int *ended, struct hs_result *result);
int hs_reap_writer(struct hs_pipe *p);
int hs_reap(struct hs_pipe *p, struct hs_error *e);
void hs_reap_ended(void);
int hs_reap_failed(struct hs_error *e);

/* stats.c */
void hs_stats_cut(uint64_t ns);
void hs_stats_end(int err);

#endif /* HS_JOB_H */
