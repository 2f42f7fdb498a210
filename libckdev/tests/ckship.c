// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ckship: stands in for the daemon where primary and spare share a kernel. For tests.
 *
 *   ckship NAME		follow the first session there is, into the replica NAME
 *   ckship --promote NAME	promote the replica
 *   ckship --remove NAME	remove it
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <ckdev.h>

#include "ship.h"

static int fail(const char *what, int err)
{
	fprintf(stderr, "ckship: %s: %s: %s\n", what, strerror(-err), ckdev_strerror(err));
	return 1;
}

static int discard(int replica)
{
	int ret = ckdev_replica_remove(replica);

	return ret < 0 ? fail("remove", ret) : 0;
}

static int promote(int replica)
{
	uint64_t term = 0, generation = 0;
	int ret = ckdev_replica_promote(replica, &term, &generation);

	if (ret < 0)
		return fail("promote", ret);
	printf("ckship: promoted term=%llu generation=%llu\n", (unsigned long long)term,
	       (unsigned long long)generation);
	return 0;
}

static int follow(int dev, int replica)
{
	uint64_t session;

	while (!(session = ship_find(dev)))
		usleep(20000);
	printf("ckship: following session=%llu\n", (unsigned long long)session);
	fflush(stdout);
	for (;;) {
		int ret = ship_once(dev, session, replica);

		if (ret == 0)
			usleep(1000);
		if (ret < 0)
			return fail("ship", ret);
	}
}

int main(int argc, char **argv)
{
	const unsigned int create = CPTDEV_REPLICA_CREATE | CPTDEV_REPLICA_WRITE;
	bool promotes = argc == 3 && !strcmp(argv[1], "--promote");
	bool removes = argc == 3 && !strcmp(argv[1], "--remove");
	int dev, replica;

	if (argc != 2 + (promotes || removes)) {
		fprintf(stderr, "usage: ckship [--promote|--remove] NAME\n");
		return 2;
	}
	dev = ckdev_open();
	if (dev < 0)
		return fail(CPTDEV_DEVICE, dev);
	replica = ckdev_replica_open(dev, argv[argc - 1],
				     removes ? 0 : create, 0);
	if (replica < 0)
		return fail("replica", replica);
	if (promotes)
		return promote(replica);
	return removes ? discard(replica) : follow(dev, replica);
}
