// SPDX-License-Identifier: GPL-2.0-only
/*
 * For scripts: hold a descriptor of some kind until killed, or use everything once.
 *
 *   hold device|session|snapshot|replica|remove|all-and-exit
 */
#include "cptdev_test.h"

#define LEN	(64 * PAGE)

static int replica(int device)
{
	struct cptdev_replica_open a = {
		.size = sizeof(a), .name = "hold",
		.flags = CPTDEV_REPLICA_CREATE | CPTDEV_REPLICA_WRITE,
	};

	return t_ioctl(device, CPTDEV_IOC_REPLICA_OPEN, &a) ?: a.fd;
}

static int commit(int fd)
{
	static const struct cptdev_segment segment = {
		.addr = 0x100000, .len = LEN, .kind = CPTDEV_SEGMENT_ANON,
	};
	struct cptdev_replica_begin b = {
		.size = sizeof(b), .term = 1, .generation = 1,
		.layout = (unsigned long)&segment, .layout_len = 1,
	};
	struct cptdev_replica_commit c = { .size = sizeof(c), .generation = 1 };

	return t_ioctl(fd, CPTDEV_IOC_REPLICA_BEGIN, &b) ?:
		(pwrite(fd, "x", 1, 0x100000) == 1 ? 0 : -1) ?:
		t_ioctl(fd, CPTDEV_IOC_REPLICA_COMMIT, &c);
}

static int remove_replica(int fd)
{
	struct cptdev_replica_remove a = { .size = sizeof(a) };

	return t_ioctl(fd, CPTDEV_IOC_REPLICA_REMOVE, &a);
}

int main(int argc, char **argv)
{
	struct cptdev_scan scan = {
		.size = sizeof(scan), .flags = CPTDEV_SCAN_CLEAR_DIRTY,
	};
	const char *what = argc > 1 ? argv[1] : "";
	bool all = !strcmp(what, "all-and-exit");
	int device = t_open(), fd;
	char *m = t_map(LEN), path[64];
	FILE *f;

	if (device < 0)
		return 1;
	memset(m, 1, LEN);
	if ((all || !strcmp(what, "session") || !strcmp(what, "snapshot")) &&
	    t_add(device, m, LEN))
		return 1;
	if (all && t_ioctl(device, CPTDEV_IOC_SCAN, &scan))
		return 1;
	if (all || !strcmp(what, "snapshot")) {
		fd = t_snapshot(device, CPTDEV_SNAPSHOT_PUBLISH, 0, NULL);
		if (fd < 0 || mmap(NULL, LEN, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
			return 1;
		close(fd);
		if (!all)
			close(device);		/* the mapping alone holds it */
	}
	if (all || !strcmp(what, "replica")) {
		fd = replica(device);
		if (fd < 0 || commit(fd))
			return 1;
		/* A replica stays without anybody. */
		if (!all)
			close(device);
		if (all && remove_replica(fd))
			return 1;
	}
	if (!strcmp(what, "remove"))
		return remove_replica(replica(device)) ? 1 : 0;
	if (all)
		return 0;
	snprintf(path, sizeof(path), "/tmp/hold.%s", what);
	f = fopen(path, "w");
	fprintf(f, "ready\n");
	fclose(f);
	if (!strcmp(what, "replica"))
		return 0;
	for (;;)
		pause();
}
