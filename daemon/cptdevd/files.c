// SPDX-License-Identifier: GPL-2.0-or-later
/* The limit on open descriptors. */
#include <sys/resource.h>

#include "files.h"
#include "log.h"

/* A session that is shipped: the device, and a delta for each place in the window. */
#define PER_SHIPPED	4
/* A session that is replayed: the replica, and the device while it is opened. */
#define PER_REPLAYED	2
/* The soft engine, for a session: the program's socket, process, memory map, watchdog, page, checkpoints. */
#define PER_SOFT_SESSION	8
/* For a replica: its content, and a program that waits for it. */
#define PER_SOFT_REPLICA	6
/* Links, greetings, listening sockets, netlink, the loop's own, those in reserve. */
#define OTHERS		64

u64 files_needed(const struct conf *c)
{
	u64 each = PER_SHIPPED + PER_REPLAYED;

	if (c->engine != ENGINE_MODULE)
		each += PER_SOFT_SESSION + PER_SOFT_REPLICA;
	return each * c->max_sessions + c->max_clients + OTHERS;
}

void files_raise(const struct conf *c)
{
	u64 needed = files_needed(c);
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur >= needed)
		return;
	r.rlim_cur = MIN((u64)r.rlim_max, needed);
	if (setrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur < needed)
		log_warn("max_sessions = %u may need %llu descriptors, %llu are allowed. Next: raise LimitNOFILE of the unit",
			 c->max_sessions, needed, (u64)r.rlim_cur);
}
