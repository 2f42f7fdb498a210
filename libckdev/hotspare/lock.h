/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: the library's locks. A child of a program with threads has only the thread that
 * called fork(2); a lock that another thread held would stay locked in the child for ever. So
 * fork.c takes each of these locks before the fork and gives them back in both processes.
 *
 * Lock order: checkpoints held off (cut.c), the arena, its classes, then one of these.
 */
#ifndef HS_LOCK_H
#define HS_LOCK_H

#include <pthread.h>

/* A lock of a file. The linker collects their addresses. */
#define HS_LOCK(name)								\
	static pthread_mutex_t name = PTHREAD_MUTEX_INITIALIZER;		\
	static pthread_mutex_t *const name##_at_fork				\
		__attribute__((section("hs_locks"), used)) = &name

/*
 * This thread is in the library, and may have the arena locked: what it takes by hs_malloc() isn't
 * the program's. That happens where the program has hs_malloc() in the place of malloc(3).
 */
extern __thread unsigned int hs_inside __attribute__((tls_model("initial-exec")));

void hs_lock(pthread_mutex_t *lock);
void hs_unlock(pthread_mutex_t *lock);

#endif /* HS_LOCK_H */
