// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: SNAPSHOT and SCAN.
 */
#include <sys/wait.h>

#include "bench.h"

static int device, snap = -1;
static uint64_t snap_stamp;

static bool session_begin(void)
{
	device = t_open();
	if (device < 0 || t_add(device, t.m, t.pages * PAGE))
		die("no session");
	return true;
}

static bool cptdev_begin(void)
{
	session_begin();
	close(t_snapshot(device, 0, 0, NULL));
	snap = -1;
	return true;
}

static void cptdev_end(void)
{
	close(device);
}

/* What the snapshot has is what was written in its round, whatever was written since. */
static void snapshot_read(void)
{
	struct cptdev_extent *v;
	size_t nr, i, page, n;
	uint64_t stamp;
	off_t pos = 0;

	if (snap < 0)
		die("SNAPSHOT: %s", strerror(-snap));
	memset(t.found, 0, t.pages * sizeof(*t.found));
	v = t_extents(snap, &nr);
	for (i = 0; i < nr; i++) {
		page = (v[i].addr - (unsigned long)t.m) / PAGE;
		for (n = v[i].len / PAGE; n; n--, page++, pos += PAGE) {
			t.found[page] = true;
			if (pread(snap, &stamp, 8, pos) != 8 ||
			    (t.dirty[page] && stamp != snap_stamp))
				die("the snapshot has another page %zu", page);
		}
	}
	free(v);
}

static void snapshot_stop(void)
{
	snap = t_snapshot(device, 0, 0, NULL);
}

/* Shipped: nothing is held while the program goes on. */
static void snapshot_check(void)
{
	snap_stamp = t.stamp;
	snapshot_read();
	close(snap);
}

const struct method snapshot_method = {
	.name = "snapshot", .begin = cptdev_begin, .stop = snapshot_stop,
	.check = snapshot_check, .end = cptdev_end, .freezes = true, .finds = true,
};

/* Open while the program writes to the pages it has. */

static void snapshot_open_check(void)
{
	snap_stamp = t.stamp;
	snapshot_read();
}

static void snapshot_open_settle(void)
{
	if (snap < 0)
		return;
	snapshot_read();
	close(snap);
}

const struct method snapshot_open_method = {
	.name = "snapshot_open", .begin = cptdev_begin, .settle = snapshot_open_settle,
	.stop = snapshot_stop, .check = snapshot_open_check, .end = cptdev_end,
	.freezes = true, .finds = true,
};

/* Every page, changed or not */

static void snapshot_full_stop(void)
{
	snap = t_snapshot(device, CPTDEV_SNAPSHOT_SINCE, 0, NULL);
}

static void snapshot_full_check(void)
{
	size_t i;

	snapshot_check();
	for (i = 0; i < t.pages; i++)
		if (!t.found[i])
			die("the full snapshot has no page %zu", i);
}

const struct method snapshot_full_method = {
	.name = "snapshot_full", .begin = cptdev_begin, .stop = snapshot_full_stop,
	.check = snapshot_full_check, .end = cptdev_end, .freezes = true,
};

/* SCAN */

static void scan_stop(void)
{
	struct cptdev_scan scan = {
		.size = sizeof(scan), .flags = CPTDEV_SCAN_CLEAR_DIRTY,
		.vec = (unsigned long)t.region, .vec_len = t.max_regions,
		.anyof = CPTDEV_PAGE_DIRTY, .report = CPTDEV_PAGE_DIRTY,
	};
	int ret = t_ioctl(device, CPTDEV_IOC_SCAN, &scan);

	if (ret)
		die("SCAN: %s", strerror(-ret));
	t.nr_regions = scan.nr;
}

static bool scan_begin(void)
{
	session_begin();
	scan_stop();
	return true;
}

const struct method scan_method = {
	.name = "scan", .begin = scan_begin, .stop = scan_stop, .check = memory_found,
	.end = cptdev_end, .finds = true,
};

/* The first one of a session */

static void scan_first_settle(void)
{
	cptdev_end();
	session_begin();
}

const struct method scan_first_method = {
	.name = "scan_first", .begin = session_begin, .settle = scan_first_settle,
	.stop = scan_stop, .check = memory_found, .end = cptdev_end, .finds = true,
};

/*
 * What changed goes into a pipe, which somebody empties, while the program stands still.
 */

static int to_reader;
static pid_t reader;

static void pipe_reader(int fd)
{
	static char buf[65536];

	while (read(fd, buf, sizeof(buf)) > 0)
		;
	_exit(0);
}

static bool pipe_begin(void)
{
	int fd[2];

	if (pipe2(fd, O_CLOEXEC))
		die("pipe: %s", strerror(errno));
	reader = fork();
	if (reader < 0)
		die("fork: %s", strerror(errno));
	if (!reader) {
		close(fd[1]);
		pipe_reader(fd[0]);
	}
	close(fd[0]);
	to_reader = fd[1];
	memory_write_all();
	return scan_begin();
}

static void pipe_region(const struct cptdev_region *r)
{
	const char *from = (char *)(unsigned long)r->start;
	size_t left = r->end - r->start;
	ssize_t n;

	for (; left; left -= n, from += n) {
		n = write(to_reader, from, left);
		if (n < 0)
			die("pipe: %s", strerror(errno));
	}
}

static void pipe_stop(void)
{
	size_t i;

	scan_stop();
	for (i = 0; i < t.nr_regions; i++)
		pipe_region(&t.region[i]);
}

static void pipe_end(void)
{
	close(to_reader);
	waitpid(reader, NULL, 0);
	cptdev_end();
}

const struct method scan_pipe_method = {
	.name = "scan_pipe", .begin = pipe_begin, .stop = pipe_stop, .check = memory_found,
	.end = pipe_end, .freezes = true, .finds = true,
};
