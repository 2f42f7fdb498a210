// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Several spares of real daemons: three on this host, linked over loopback, with the soft engine.
 * This process is the program. For each policy of acknowledgement a spare is killed and comes back;
 * in the end the replicas of both spares are compared with the program's memory, byte by byte.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "internal.h"
#include "machine.h"
#include "pair.h"

#define BASE	0x200000000000UL
#define PAGE	4096UL
#define PAGES	64UL
#define LEN	(PAGES * PAGE)
#define HOSTS	3U
#define SECONDS(n)	((n) * NSEC_PER_SEC)
/* For what has to happen. */
#define PATIENCE	SECONDS(120)
/* For what must not happen. */
#define MOMENT		(300 * NSEC_PER_MSEC)

static const char *const names[HOSTS] = { "alpha", "beta", "gamma" };

struct machine {
	char conf[80];
	char programs[80];
	u16 port;
	pid_t pid;
};

struct world {
	char dir[64];
	struct machine m[HOSTS];
	int fd;				/* the program's session */
	u64 generation;			/* that was published last */
	u8 memory[LEN];
	u64 changed[PAGES];		/* the generation that has it, as the program counts */
};

static u64 deadline(void)
{
	return clock_mono() + PATIENCE;
}

static void machine_conf(const struct world *w, u32 nr, const char *ack)
{
	const struct machine *m = &w->m[nr];
	FILE *f = fopen(m->conf, "w");
	u32 i, peers = 0;

	assert_non_null(f);
	fprintf(f, "[node]\nname = %s\nlog_level = %s\ncontrol = %s/%s.control\n"
		"state_dir = %s/%s.state\nengine = soft\nprograms = %s\n"
		"[listen]\naddress = 127.0.0.1\nport = %u\n"
		"[failover]\nheartbeat_interval_ms = 50\ntimeout_ms = 2000\nfailover = manual\n"
		"[sessions]\nack = %s\n",
		names[nr], getenv("VERBOSE") ? "info" : "error", w->dir, names[nr], w->dir,
		names[nr], m->programs, m->port, ack);
	for (i = 0; i < HOSTS; i++) {
		if (i == nr)
			continue;
		if (peers++)
			fprintf(f, "[peer %s]\n", names[i]);
		else
			fprintf(f, "[peer]\ninsecure = yes\nname = %s\n", names[i]);
		fprintf(f, "address = 127.0.0.1\nport = %u\n", w->m[i].port);
	}
	assert_int_equal(fclose(f), 0);
}

/* As soon as its daemon is there. */
static int session_open(const struct machine *m)
{
	u64 until = deadline();
	int fd;

	do {
		fd = ckdev_soft_open(m->programs);
	} while ((fd == -ENOENT || fd == -ECONNREFUSED) && clock_mono() < until &&
		 !usleep(1000));
	assert_true(fd >= 0);
	return fd;
}

static void machine_make(struct world *w, u32 nr)
{
	struct machine *m = &w->m[nr];

	m->port = free_port();
	snprintf(m->conf, sizeof(m->conf), "%s/%s.conf", w->dir, names[nr]);
	snprintf(m->programs, sizeof(m->programs), "%s/%s.programs", w->dir, names[nr]);
}

/*
 * The program
 */

static void change(struct world *w, u64 page, u8 value)
{
	memset(w->memory + page * PAGE, value, PAGE);
	w->changed[page] = w->generation + 1;
}

/* The pages that changed after @base. */
static int publish(struct world *w, u64 base, u64 *generation, u64 *reach)
{
	static const struct cptdev_segment layout = {
		.addr = BASE, .len = LEN, .kind = CPTDEV_SEGMENT_ANON, .prot = 3,
	};
	struct cptdev_extent e[PAGES];
	struct ckdev_soft_delta d = {
		.size = sizeof(d), .memfd = memfd_create("delta", MFD_ALLOW_SEALING | MFD_CLOEXEC),
		.base = base, .extents = e, .layout = &layout, .nr_segments = 1,
	};
	u64 p, pos = 0;
	int ret;

	for (p = 0; p < PAGES; p++) {
		if (base && w->changed[p] <= base)
			continue;
		e[d.nr_extents++] = (struct cptdev_extent) {
			.addr = BASE + p * PAGE, .len = PAGE, .kind = CPTDEV_EXTENT_DATA,
		};
		assert_int_equal(pwrite(d.memfd, w->memory + p * PAGE, PAGE, pos), PAGE);
		pos += PAGE;
	}
	ret = ckdev_soft_publish(w->fd, &d);
	close(d.memfd);
	*generation = d.generation;
	*reach = d.reach;
	return ret;
}

/* One that reaches back as far as the spares need. */
static void publish_next(struct world *w)
{
	u64 base = w->generation, generation, reach;
	int ret;

	do {
		ret = publish(w, base, &generation, &reach);
		base = MIN(base, reach);
	} while (ret == -EILSEQ);
	assert_int_equal(ret, 0);
	w->generation = generation;
}

/* Until the policy is fulfilled. Returns how often the program was told to take another one. */
static u32 checkpoint(struct world *w)
{
	u64 until = deadline();
	u32 again = 0;
	int ret;

	for (;;) {
		publish_next(w);
		ret = ckdev_wait(w->fd, w->generation, PATIENCE, NULL);
		if (ret != -ECANCELED || clock_mono() > until)
			break;
		again++;
	}
	assert_int_equal(ret, 0);
	return again;
}

/*
 * The replicas
 */

static int replica_open(const struct machine *m, int *session)
{
	int r;

	*session = session_open(m);
	r = ckdev_replica_open(*session, "kv", 0, 0);
	if (r < 0)
		close(*session);
	return r;
}

/* The generation of its replica, 0: there is none. */
static u64 generation_of(const struct machine *m)
{
	struct cptdev_image_info info = { .size = sizeof(info) };
	int fd, r = replica_open(m, &fd), ret;

	if (r < 0)
		return 0;
	ret = ckdev_image_info(r, &info);
	close(r);
	close(fd);
	return ret ? 0 : info.generation;
}

static void replica_read(const struct machine *m, u8 *to)
{
	int fd, r = replica_open(m, &fd), content;

	assert_true(r >= 0);
	assert_int_equal(ckdev_replica_freeze(r, NULL), 0);
	content = ckdev_replica_content(r);
	assert_true(content >= 0);
	assert_int_equal(pread(content, to, LEN, BASE), LEN);
	close(content);
	close(r);
	close(fd);
}

/* Until it has what was published last: has it every byte of the program's memory? */
static bool same(struct world *w, u32 nr)
{
	static u8 replica[LEN];
	u64 until = deadline();

	while (generation_of(&w->m[nr]) != w->generation) {
		if (clock_mono() > until)
			fail_msg("%s hasn't generation %llu", names[nr], w->generation);
		usleep(1000);
	}
	replica_read(&w->m[nr], replica);
	return !memcmp(replica, w->memory, LEN);
}

static struct world *world_open(const char *ack)
{
	struct world *w = calloc(1, sizeof(*w));
	u32 i;

	strcpy(w->dir, "/tmp/cptdevd-several.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	for (i = 0; i < HOSTS; i++)
		machine_make(w, i);
	for (i = 0; i < HOSTS; i++) {
		machine_conf(w, i, ack);
		w->m[i].pid = machine_start(w->m[i].conf);
	}
	w->fd = session_open(&w->m[0]);
	assert_int_equal(ckdev_session(w->fd, "kv", 0, 0, 0), 0);
	for (i = 0; i < PAGES; i++)
		change(w, i, i + 1);
	return w;
}

static void world_close(struct world *w)
{
	char cmd[96];
	u32 i;

	close(w->fd);
	for (i = 0; i < HOSTS; i++)
		machine_end(&w->m[i].pid, SIGTERM);
	snprintf(cmd, sizeof(cmd), "rm -r %s", w->dir);
	assert_int_equal(system(cmd), 0);
	free(w);
}

/* How many spares count, and have what was published, as the primary's daemon tells. */
static u32 in_step(const struct world *w)
{
	static char out[65536];
	char cmd[300];
	const char *at;
	u32 n = 0;
	FILE *f;

	snprintf(cmd, sizeof(cmd), "%s --socket %s/alpha.control --json status", CPTDEVCTL, w->dir);
	f = popen(cmd, "r");
	assert_non_null(f);
	out[fread(out, 1, sizeof(out) - 1, f)] = 0;
	pclose(f);
	for (at = out; (at = strstr(at, "\"state\": \"in-step\"")); at++)
		n++;
	return n;
}

/*
 * Until both spares have what was published last, and count. Returns how often the program was
 * told to take another snapshot instead of an acknowledgement.
 */
static u32 until_all_have_it(struct world *w)
{
	u64 until = deadline();
	u32 again = 0, i = 0;

	do {
		assert_true(clock_mono() < until);
		change(w, 20 + i % 20, i);
		i++;
		again += checkpoint(w);
	} while (generation_of(&w->m[1]) != w->generation ||
		 generation_of(&w->m[2]) != w->generation || in_step(w) != HOSTS - 1);
	return again;
}

/* The comparison sees a single byte, and a page of the generation before. */
static void differences_are_seen(struct world *w)
{
	w->memory[10 * PAGE + 7]++;
	assert_false(same(w, 1));
	assert_false(same(w, 2));
	w->memory[10 * PAGE + 7]--;
	assert_true(same(w, 1));
	assert_true(same(w, 2));
	w->memory[LEN - 1]++;
	assert_false(same(w, 2));
}

/* @goes_on: the other one is enough. */
static void one_is_killed_and_comes_back(const char *ack, bool goes_on)
{
	struct world *w = world_open(ack);
	u32 i, again;

	/* The first one that is linked is the only one for a moment. */
	until_all_have_it(w);
	change(w, 3, 0x33);
	checkpoint(w);
	assert_true(same(w, 1));
	assert_true(same(w, 2));
	/* Its replica is lost with it. */
	machine_end(&w->m[2].pid, SIGKILL);
	for (i = 0; i < 3; i++) {
		change(w, 4 + i, 0x40 + i);
		if (goes_on) {
			assert_int_equal(checkpoint(w), 0);
		} else {
			publish_next(w);
			assert_int_equal(ckdev_wait(w->fd, w->generation, MOMENT, NULL),
					 -ETIMEDOUT);
		}
		assert_true(same(w, 1));
	}
	w->m[2].pid = machine_start(w->m[2].conf);
	again = until_all_have_it(w);
	/* It lacks everything, and whoever waits for the other one isn't told of that. */
	if (goes_on)
		assert_int_equal(again, 0);
	assert_true(same(w, 1));
	assert_true(same(w, 2));
	differences_are_seen(w);
	world_close(w);
}

static void any_goes_on_with_the_other_one(void **state)
{
	(void)state;
	one_is_killed_and_comes_back("any", true);
}

static void all_waits_until_it_is_back(void **state)
{
	(void)state;
	one_is_killed_and_comes_back("all", false);
}

static void two_wait_until_it_is_back(void **state)
{
	(void)state;
	one_is_killed_and_comes_back("2", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_goes_on_with_the_other_one),
		cmocka_unit_test(all_waits_until_it_is_back),
		cmocka_unit_test(two_wait_until_it_is_back),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("several spares", tests, NULL, NULL);
}
