// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptdevctl monitor: what there is, then what happens to it. When events were lost, or
 * the module came back, what there is is told anew, after a record that says so.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "monitor.h"

static u64 clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static void show(const struct kernel_event *ev, void *arg)
{
	monitor_record(arg, clock_ns(CLOCK_REALTIME), ev);
}

static int show_all(struct ctl *c)
{
	struct kernel *k = c->kernel;
	int ret = k->ops->dump(k, CPTDEV_CMD_SESSION_GET, show, c);

	if (!ret)
		ret = k->ops->dump(k, CPTDEV_CMD_REPLICA_GET, show, c);
	if (ret == -ENOENT) {
		monitor_note(c, clock_ns(CLOCK_REALTIME), "absent");
		ret = 0;
	}
	return ret;
}

/* Milliseconds until the end that --timeout sets, -1: none is set. */
static int left_ms(u64 until)
{
	u64 now = clock_ns(CLOCK_MONOTONIC);

	if (!until)
		return -1;
	return now >= until ? 0 : (until - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
}

/* One wait; 1: the time is over, or nobody reads any more. */
static int step(struct ctl *c, int fd, u64 until)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int ret = poll(&pfd, 1, left_ms(until));

	if (ret == 0 || ferror(c->out))
		return 1;
	if (ret < 0)
		return errno == EINTR ? 0 : -errno;
	ret = c->kernel->ops->events(c->kernel, show, c);
	if (ret < 0 && ret != -ENOBUFS)
		return ret;
	if (!ret)
		return 0;
	monitor_note(c, clock_ns(CLOCK_REALTIME), "resync");
	return show_all(c);
}

int verb_monitor(struct ctl *c, int argc, char **argv)
{
	u64 until = c->timeout_s ?
		clock_ns(CLOCK_MONOTONIC) + c->timeout_s * NSEC_PER_SEC : 0;
	int fd, ret;

	(void)argc;
	(void)argv;
	/* First listen, then ask: so nothing is missed in between. */
	fd = c->kernel->ops->listen(c->kernel);
	ret = fd < 0 ? fd : show_all(c);
	while (!ret)
		ret = step(c, fd, until);
	if (ret > 0)
		return EXIT_DONE;
	return ctl_fail(c, EXIT_FAILED, "failed", NULL, "can't listen to the kernel: %s",
			strerror(-ret));
}
