// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How long a take-over takes, phase by phase: the host of a program is lost, and its spare goes on.
 * And what a warm spare costs before. Prints figures as lines of JSON, as "make bench" wants them;
 * Documentation/performance.rst says what they mean.
 *
 *   takeover KERNEL ROUNDS CPTDEVD [WHAT...]
 *
 * WHAT: the name of a shape, or "commits": only these.
 * The state of both daemons, with their records, is in a directory in TMPDIR.
 */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ckdev.h>
#include <linux/cptdev.h>

#include "../control.h"
#include "../hotspare.h"
#include "commits.h"
#include "figures.h"
#include "two_hosts.h"

#define SAVES		5		/* before the host is lost */
/* At most so many take-overs of memory of this size: one takes minutes in an emulated guest. */
#define LARGE_MIB	1024
#define LARGE_ROUNDS	3
/* What changes in the library's own memory from checkpoint to checkpoint. */
#define OTHER_PAGES	64

enum phase { DETECTION, PROMOTION, CLAIM, RESTORE, ANSWER, WHOLE, IN_PLACE, PHASES };

static const char *const names[PHASES] = {
	"detection", "promotion", "claim", "restore", "answer", "whole", "in_place",
};

/* A warm spare lacks the last checkpoint when the host is lost: it is left to copy. */
struct shape {
	const char *name;
	struct load load;
	bool warm;
};

/* A hundredth of 256 MiB. */
#define SAME_PAGES	656

/* Each is compared with one before it. */
static const struct shape shapes[] = {
	{ "64mib", { 64, 164 }, false },
	{ "warm_64mib", { 64, 164 }, true },
	{ "warm_256mib", { 256, SAME_PAGES }, true },
	{ "warm_1024mib", { 1024, 2624 }, true },
	{ "warm_2048mib_656pages", { 2048, SAME_PAGES }, true },
	{ "warm_4096mib_656pages", { 4096, SAME_PAGES }, true },
};

#define NR_SHAPES	(sizeof(shapes) / sizeof(shapes[0]))

static const struct {
	const char *name, *above, *below;
	enum phase phase;
} ratios[] = {
	{ "takeover_warm_over_cold", "warm_64mib", "64mib", RESTORE },
	{ "takeover_growth_2gib", "warm_2048mib_656pages", "warm_256mib", IN_PLACE },
	{ "takeover_growth", "warm_4096mib_656pages", "warm_256mib", IN_PLACE },
};

static struct figure measured[NR_SHAPES][PHASES];
static const char *cptdevd;
static char dir[64];

static double number(struct json_object *o, const char *key)
{
	return (double)json_object_get_int64(json_object_object_get(o, key));
}

static int open_replica(const struct host *h)
{
	int dev = ckdev_soft_open(h->programs);
	int fd = dev < 0 ? dev : ckdev_replica_open(dev, SAVING_NAME, 0, 0);

	if (fd < 0)
		errx(1, "the replica can't be opened: %s", ckdev_strerror(fd));
	close(dev);
	return fd;
}

/* The daemon's own figures, and those of the engine. @woken: when the waiting program could go on. */
static void read_stamps(const struct host *h, double lost, double woken, double since,
			double *phase)
{
	struct cptdev_image_info info = { .size = sizeof(info) };
	struct hs_error e = { "" };
	struct json_object *o, *peer, *f;
	int fd = open_replica(h);
	double promoted;

	o = hs_control_ask(h->control, "{\"command\":\"status\"}\n", 10000, &e);
	peer = json_object_array_get_idx(json_object_object_get(o, "peers"), 0);
	f = json_object_object_get(peer, "failover");
	if (!f)
		errx(1, "status has no failover: %s", e.text);
	if (ckdev_image_info(fd, &info))
		errx(1, "the replica can't be looked at");
	promoted = (double)info.promoted_ns / 1e3;
	phase[PROMOTION] = number(f, "promotion_us");
	/* The replica is promoted at the end of that. */
	phase[DETECTION] = promoted - phase[PROMOTION] - lost;
	phase[CLAIM] = (double)info.taken_ns / 1e3 - (woken > promoted ? woken : promoted);
	phase[RESTORE] = since - (double)info.taken_ns / 1e3;
	phase[IN_PLACE] = phase[PROMOTION] + phase[CLAIM] + phase[RESTORE];
	json_object_put(o);
	close(fd);
}

static void await_copy(const struct host *h, const struct load *load)
{
	double until = now_us() + patience_ms(load) * 1e3;

	while (hosts_behind(h)) {
		if (now_us() > until)
			errx(1, "the spare doesn't copy");
		rest_us(20000);
	}
}

/* The last checkpoint comes while the waiting program is stopped: its copy lacks just that. */
static void save_behind(const struct host *h, const struct shape *shape)
{
	const struct load *load = &shape->load;
	unsigned long left;

	if (shape->warm) {
		await_copy(&h[SPARE], load);
		kill(h[SPARE].program, SIGSTOP);
	}
	saving_save(patience_ms(load));
	if (!shape->warm)
		return;
	left = hosts_behind(&h[SPARE]);
	if (left < load->changed || left > load->changed + OTHER_PAGES)
		errx(1, "%lu pages are left to copy, %zu changed", left, load->changed);
}

/* It goes on at the promotion. Returns when that was. */
static double wake(const struct host *h, const struct load *load)
{
	int fd = open_replica(h), ret;
	double woken;

	ret = ckdev_replica_wait(fd, 0, (uint64_t)(patience_ms(load) * 1e6));
	if (ret < 0)
		errx(1, "nothing is promoted: %s", ckdev_strerror(ret));
	woken = now_us();
	kill(h->program, SIGCONT);
	close(fd);
	return woken;
}

static void round_of(const struct shape *shape, double *phase)
{
	const struct load *load = &shape->load;
	double lost, answered, since, woken = 0;
	struct host h[HOSTS];
	unsigned long saved;
	int i;

	hosts_start(h, cptdevd, dir);
	hosts_start_spare(h, load, shape->warm ? "yes" : "no");
	hosts_start_primary(h, load);
	for (i = 1; i < SAVES; i++)
		saving_save(patience_ms(load));
	save_behind(h, shape);
	/* Somebody who lives would refuse connections. */
	lost = now_us();
	kill(h[PRIMARY].daemon, SIGSTOP);
	end(h[PRIMARY].program);
	h[PRIMARY].program = 0;
	saving_forget();
	if (shape->warm)
		woken = wake(&h[SPARE], load);
	saved = saving_saved(&since, patience_ms(load));
	answered = now_us();
	if (saved != SAVES)
		errx(1, "%lu of %u are there", saved, SAVES);
	read_stamps(&h[SPARE], lost, woken, since, phase);
	phase[ANSWER] = answered - since;
	phase[WHOLE] = answered - lost;
	hosts_end(h);
}

/* The memory is there four times: program, checkpoint on its way, replica, and the spare's copy. */
static bool fits(const struct shape *shape)
{
	long pages = sysconf(_SC_PHYS_PAGES);

	return (unsigned long)pages / (1048576 / PAGE) >= shape->load.mib * 4 + 512;
}

static void measure(const struct shape *shape, struct figure *of, unsigned int rounds)
{
	double phase[PHASES];
	int p;

	if (shape->load.mib >= LARGE_MIB && rounds > LARGE_ROUNDS)
		rounds = LARGE_ROUNDS;
	while (rounds--) {
		round_of(shape, phase);
		for (p = 0; p < PHASES; p++)
			figure_add(&of[p], phase[p] / 1e3);
	}
	for (p = 0; p < PHASES; p++)
		figure_print(&of[p], "ms", "takeover_%s_%s", shape->name, names[p]);
}

static bool is_wanted(char **wanted, const char *name)
{
	char **w;

	for (w = wanted; *w; w++)
		if (!strcmp(*w, name))
			return true;
	return w == wanted;
}

static struct figure *figure_of(const char *shape, enum phase phase)
{
	size_t i;

	for (i = 0; i < NR_SHAPES; i++)
		if (!strcmp(shapes[i].name, shape))
			break;
	return &measured[i][phase];
}

static void print_ratios(void)
{
	size_t i;

	for (i = 0; i < sizeof(ratios) / sizeof(ratios[0]); i++) {
		struct figure *above = figure_of(ratios[i].above, ratios[i].phase);
		struct figure *below = figure_of(ratios[i].below, ratios[i].phase);

		if (above->nr && below->nr)
			figure_ratio(figure_median(above) / figure_median(below), above->nr,
				     ratios[i].name);
	}
}

int main(int argc, char **argv)
{
	unsigned int rounds;
	size_t i;

	if (saving_wanted())
		return saving_main(argc, argv);
	if (argc < 4 || atoi(argv[2]) < 1 || atoi(argv[2]) > MOST_ROUNDS)
		errx(1, "usage: takeover KERNEL ROUNDS CPTDEVD [WHAT...]");
	figures_kernel(argv[1]);
	rounds = (unsigned int)atoi(argv[2]);
	cptdevd = realpath(argv[3], NULL);
	snprintf(dir, sizeof(dir), "%s/takeover.XXXXXX", getenv("TMPDIR") ?: "/tmp");
	if (!cptdevd || !mkdtemp(dir) || chdir(dir))
		err(1, "%s or %s", argv[3], dir);
	signal(SIGPIPE, SIG_IGN);
	if (is_wanted(argv + 4, "commits"))
		commits_measure(cptdevd, dir, rounds);
	for (i = 0; i < NR_SHAPES; i++) {
		if (!is_wanted(argv + 4, shapes[i].name))
			continue;
		if (fits(&shapes[i]))
			measure(&shapes[i], measured[i], rounds);
		else
			warnx("there is too little memory for %s", shapes[i].name);
	}
	print_ratios();
	if (system("rm -rf ./*") || chdir("/") || rmdir(dir))
		warn("%s", dir);
	return 0;
}
