// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptdevctl monitor: what there is, then what happens to it. When events were lost, or
 * the module came back, what there is is told anew, after a record that says so. The kernel
 * tells about sessions and replicas, the daemon about peers.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "monitor.h"

#define FOREVER		(~0ULL)

u64 monitor_clock(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static void show(const struct kernel_event *ev, void *arg)
{
	struct kernel_event whole = *ev;
	struct replica_rec replica;
	struct ctl *c = arg;

	if (ev->replica && ev->cmd != CPTDEV_CMD_REPLICA_GONE_NTF) {
		replica = *ev->replica;
		whole.replica = &replica;
		/* Its end is told, too. */
		if (kernel_replica_whole(c->kernel, &replica))
			return;
	}
	monitor_record(c, monitor_clock(CLOCK_REALTIME), &whole);
}

static int show_all(struct ctl *c)
{
	struct kernel *k = c->kernel;
	int ret = k->ops->dump(k, CPTDEV_CMD_SESSION_GET, show, c);

	if (!ret)
		ret = k->ops->dump(k, CPTDEV_CMD_REPLICA_GET, show, c);
	if (ret == -ENOENT) {
		monitor_note(c, monitor_clock(CLOCK_REALTIME), "module", "absent");
		ret = 0;
	}
	return ret;
}

/* Milliseconds until the end that --timeout sets, -1: none is set. */
static int left_ms(u64 until)
{
	u64 now = monitor_clock(CLOCK_MONOTONIC);

	if (until == FOREVER)
		return -1;
	return now >= until ? 0 : (until - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
}

static int from_kernel(struct ctl *c)
{
	int ret = c->kernel->ops->events(c->kernel, show, c);

	if (ret < 0 && ret != -ENOBUFS)
		return ret;
	if (!ret)
		return 0;
	monitor_note(c, monitor_clock(CLOCK_REALTIME), "module", "resync");
	return show_all(c);
}

/* Whoever reads the lines may be gone while nothing happens. */
static bool nobody_reads(const struct ctl *c, const struct pollfd *to)
{
	return ferror(c->out) || to->revents & (POLLERR | POLLHUP);
}

/* One wait; 1: the time is over, or nobody reads any more. */
static int step(struct ctl *c, int fd, struct monitor_daemon *m, u64 until)
{
	struct pollfd pfd[] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = m->fd, .events = POLLIN },
		{ .fd = fileno(c->out) },
	};
	int ret;

	ret = poll(pfd, ARRAY_SIZE(pfd), left_ms(m->fd < 0 ? MIN(until, m->retry_at) : until));
	if (ret < 0)
		return errno == EINTR ? 0 : -errno;
	if (monitor_clock(CLOCK_MONOTONIC) >= until || nobody_reads(c, &pfd[2]))
		return 1;
	if (pfd[1].revents)
		monitor_daemon_read(c, m);
	if (m->fd < 0 && monitor_clock(CLOCK_MONOTONIC) >= m->retry_at)
		monitor_daemon_open(c, m);
	return pfd[0].revents ? from_kernel(c) : 0;
}

int verb_monitor(struct ctl *c, int argc, char **argv)
{
	static struct monitor_daemon m;
	u64 until = c->timeout_s ?
		monitor_clock(CLOCK_MONOTONIC) + c->timeout_s * NSEC_PER_SEC : FOREVER;
	int fd, ret;

	(void)argc;
	(void)argv;
	c->streams = true;
	/* First listen, then ask: so nothing is missed in between. */
	fd = c->kernel->ops->listen(c->kernel);
	ret = fd < 0 ? fd : show_all(c);
	if (!ret)
		monitor_daemon_open(c, &m);
	while (!ret)
		ret = step(c, fd, &m, until);
	monitor_daemon_close(&m);
	if (ret > 0)
		return EXIT_DONE;
	return ctl_fail(c, EXIT_FAILED, "failed", NULL, "can't listen to the kernel: %s",
			strerror(-ret));
}
