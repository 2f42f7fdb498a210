// SPDX-License-Identifier: GPL-2.0-only
/*
 * The first image of a spare that has nothing, of a program that goes on writing: in one snapshot,
 * or in rounds. How long the program is stopped at a time, and how many pages are sent.
 */
#include "bench.h"

#define MIB_ALL		256
#define ROUND_PAGES	(64 * MIB / PAGE)	/* as the daemon's configuration has it */
#define PUBLISH		(CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD)

static struct figure once, longest, last, sent;
static int device, other;

static struct cptdev_snapshot publish(void)
{
	struct cptdev_snapshot s;
	int ret = t_snapshot(device, PUBLISH, 0, &s);

	if (ret != -1)
		die("SNAPSHOT: %s", strerror(-ret));
	return s;
}

static uint64_t id(void)
{
	return t_info(device).session_id;
}

/* The session is known, and nobody needs what was published before. */
static void begin(void)
{
	device = t_open();
	other = t_open();
	if (device < 0 || other < 0 || t_add(device, t.m, t.pages * PAGE))
		die("no session");
	publish();
	close(t_delta(other, id(), 0, NULL));
	if (t_ack(other, id(), t_info(device).published, 0))
		die("ACK");
}

static void write_on(void)
{
	t.stamp++;
	memory_write();
}

/* A pass; returns its generation. */
static uint64_t pass(uint64_t base, uint64_t *pages, uint64_t *pause)
{
	struct cptdev_round r = { .flags = base ? CPTDEV_ROUND_COOL : 0, .session_id = id() };
	int fd;

	do {
		r.base = base;
		r.pages = ROUND_PAGES;
		r.pause_ns = 0;
		fd = t_round(other, &r);
		if (fd < 0)
			die("ROUND: %s", strerror(-fd));
		close(fd);
		*pages += r.pages;
		if (r.pause_ns > *pause)
			*pause = r.pause_ns;
		write_on();
	} while (r.addr);
	return r.pass;
}

static void measure_one(bool counts)
{
	uint64_t pages = 0, pause = 0;
	struct cptdev_snapshot s;
	int fd;

	write_on();
	fd = t_snapshot(device, CPTDEV_SNAPSHOT_SINCE, 0, &s);
	if (fd < 0 || s.pages != t.pages)
		die("a snapshot of everything: %d, %llu pages", fd, (unsigned long long)s.pages);
	close(fd);
	if (counts)
		figure_add(&once, s.pause_ns / 1000.0);
	write_on();
	t_delta_flags(other, id(), pass(pass(0, &pages, &pause), &pages, &pause),
		      CPTDEV_DELTA_AFRESH, NULL);
	s = publish();
	if (!counts)
		return;
	figure_add(&longest, pause / 1000.0);
	figure_add(&last, s.pause_ns / 1000.0);
	figure_add(&sent, (double)(pages + s.pages) / t.pages);
}

void first_measure(void)
{
	unsigned int i;

	memory_get(MIB_ALL * MIB / PAGE, true);
	memory_spread(t.pages / 100);
	memory_write_all();
	begin();
	for (i = 0; i <= rounds; i++)
		measure_one(i);
	close(device);
	close(other);
	memory_put();
	figure_print(&once, "us", "first_once");
	figure_print(&longest, "us", "first_round");
	figure_print(&last, "us", "first_last");
	figure_print(&sent, "ratio", "rounds_pages_over_all");
	figure_ratio("round_pause_over_once", "first_round", "first_once");
}
