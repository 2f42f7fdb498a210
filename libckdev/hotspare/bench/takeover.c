// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How long a take-over takes, phase by phase: the host of a program is lost, and its spare goes on.
 * Two cptdevd with the soft engine on this machine, linked over loopback. Prints figures as lines
 * of JSON, as "make bench" wants them; Documentation/performance.rst says what they mean.
 *
 *   takeover KERNEL ROUNDS CPTDEVD
 *
 * The state of both daemons, with their records, is in a directory in TMPDIR.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <ckdev.h>
#include <linux/cptdev.h>

#include "../control.h"
#include "../hotspare.h"

#define CLASS		1
#define PAGE		4096UL
#define NAME		"takeover"
#define TIMEOUT_MS	1000
#define SAVES		5		/* before the host is lost */
#define MOST_ROUNDS	101
#define PATIENCE_MS	60000

enum phase { DETECTION, PROMOTION, CLAIM, RESTORE, ANSWER, WHOLE, PHASES };

static const char *const names[PHASES] = {
	"detection", "promotion", "claim", "restore", "answer", "whole",
};

/* With how much memory, and whether the spare copies ahead. The first is what others are compared with. */
static const struct shape {
	const char *name;
	unsigned long mib;
	const char *warm;
} shapes[] = {
	{ "64mib", 64, "no" },
	{ "warm_64mib", 64, "yes" },
	{ "warm_256mib", 256, "yes" },
};

struct host {
	char conf[16], control[96], programs[96];
	pid_t daemon, program;
};

/* In memory that is saved. */
struct work {
	unsigned long saved;
	char *memory;
	size_t pages;
};

static char dir[64];

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void rest(unsigned int us)
{
	const struct timespec t = { .tv_nsec = us * 1000L };

	nanosleep(&t, NULL);
}

/*
 * The program: it saves, then says so to whoever asks. What it says has the time at which it went on.
 */

static int answering(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "answers" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	unlink(un.sun_path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof(un)) || listen(fd, 8))
		err(1, "answers");
	return fd;
}

static void answer(int listener, unsigned long saved, double since)
{
	char text[64];
	int fd = accept(listener, NULL, NULL), len;

	if (fd < 0)
		err(1, "accept");
	while (hs_may_serve() <= 0)
		rest(100);
	len = snprintf(text, sizeof(text), "%lu %.3f", saved, since);
	if (write(fd, text, (size_t)len) != len)
		err(1, "answer");
	close(fd);
}

/* One per cent, in runs of four. */
static void change(struct work *w)
{
	size_t i;

	for (i = 0; i + 4 <= w->pages; i += 400)
		memset(w->memory + i * PAGE, (int)w->saved, 4 * PAGE);
}

static void work(void *arg)
{
	double since = now_us();
	struct work *w = arg;
	int fd;

	while (w->saved < SAVES) {
		w->saved++;
		change(w);
		while (hs_cpt(HSCPT_INCR))
			rest(10000);
	}
	fd = answering();
	for (;;)
		answer(fd, w->saved, since);
}

static int program(int argc, char **argv)
{
	size_t pages = strtoul(getenv("TAKEOVER_PROGRAM"), NULL, 10) << 20 >> 12;
	struct work *w;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (hs_init(argc, argv) < 0)
		return 1;
	if (hs_malloc_create(CLASS, pages * PAGE * 2))
		err(1, "hs_malloc_create");
	w = hs_calloc(CLASS, 1, sizeof(*w));
	w->memory = hs_aligned_alloc(CLASS, PAGE, pages * PAGE);
	if (!w->memory || hs_threadreg(work, w))
		err(1, "no memory");
	w->pages = pages;
	memset(w->memory, 1, pages * PAGE);
	/* The first one, of everything, waits for the spare. */
	while (hs_cpt(0))
		rest(10000);
	work(w);
	return 0;
}

/*
 * Two hosts
 */

static void start_daemon(struct host *h, int i, const char *cptdevd)
{
	FILE *f;

	snprintf(h->conf, sizeof(h->conf), "%d.conf", i);
	snprintf(h->control, sizeof(h->control), "%s/%d.control", dir, i);
	snprintf(h->programs, sizeof(h->programs), "%s/%d.programs", dir, i);
	f = fopen(h->conf, "w");
	if (!f)
		err(1, "%s", h->conf);
	fprintf(f, "[node]\nname = host%d\nlog_level = error\nengine = soft\ncontrol = %s\nprograms = %s\n"
		"state_dir = %s/%d.state\n[listen]\naddress = 127.0.0.1\nport = %d\n[peer]\naddress = 127.0.0.1\n"
		"port = %d\ninsecure = yes\n[failover]\nfailover = auto\nheartbeat_interval_ms = 100\ntimeout_ms = %d\n",
		i, h->control, h->programs, dir, i, 7431 + i, 7431 + !i, TIMEOUT_MS);
	if (fclose(f))
		err(1, "%s", h->conf);
	h->daemon = fork();
	if (!h->daemon) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(cptdevd, "cptdevd", "--foreground", "--config", h->conf, NULL);
		err(1, "%s", cptdevd);
	}
}

static int dial(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof(un))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void start_program(struct host *h, const char *role, const struct shape *shape)
{
	char mib[16];
	double until = now_us() + PATIENCE_MS * 1e3;
	int fd;

	for (fd = -1; fd < 0 && now_us() < until; rest(1000))
		fd = ckdev_soft_open(h->programs);
	if (fd < 0)
		errx(1, "cptdevd doesn't answer");
	close(fd);
	snprintf(mib, sizeof(mib), "%lu", shape->mib);
	h->program = fork();
	if (h->program)
		return;
	setenv("CPTDEVD_PROGRAMS", h->programs, 1);
	setenv("CPTDEVD_CONTROL", h->control, 1);
	setenv("TAKEOVER_PROGRAM", mib, 1);
	setenv("HOTSPARE_WARM", shape->warm, 1);
	execl("/proc/self/exe", "takeover", role, "-S", NAME, "--", NULL);
	err(1, "/proc/self/exe");
}

/* What a client does: it asks until there is an answer. */
static double ask(unsigned long *saved)
{
	double until = now_us() + PATIENCE_MS * 1e3, since = 0;
	char text[64];
	ssize_t n = 0;
	int fd;

	while (n <= 0 && now_us() < until) {
		fd = dial("answers");
		if (fd >= 0) {
			n = read(fd, text, sizeof(text) - 1);
			close(fd);
		}
		if (n <= 0)
			rest(200);
	}
	text[n > 0 ? n : 0] = '\0';
	if (sscanf(text, "%lu %lf", saved, &since) != 2)
		errx(1, "no answer");
	return since;
}

static double number(struct json_object *o, const char *key)
{
	return (double)json_object_get_int64(json_object_object_get(o, key));
}

/* The daemon's own figures, and those of the engine. */
static void read_stamps(const struct host *h, double lost, double since, double *phase)
{
	struct cptdev_image_info info = { .size = sizeof(info) };
	struct hs_error e = { "" };
	struct json_object *o = hs_control_ask(h->control, "{\"command\":\"status\"}\n", 10000, &e), *f;
	int dev = ckdev_soft_open(h->programs), fd;

	f = json_object_object_get(json_object_array_get_idx(json_object_object_get(o, "peers"), 0), "failover");
	if (!f)
		errx(1, "status has no failover: %s", e.text);
	fd = dev < 0 ? dev : ckdev_replica_open(dev, NAME, 0, 0);
	if (fd < 0 || ckdev_image_info(fd, &info))
		errx(1, "the replica can't be looked at");
	phase[PROMOTION] = number(f, "promotion_us");
	/* The replica is promoted at the end of that. */
	phase[DETECTION] = (double)info.promoted_ns / 1e3 - phase[PROMOTION] - lost;
	phase[CLAIM] = (double)(info.taken_ns - info.promoted_ns) / 1e3;
	phase[RESTORE] = since - (double)info.taken_ns / 1e3;
	json_object_put(o);
	close(fd);
	close(dev);
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void round_of(const char *cptdevd, const struct shape *shape, double *phase)
{
	struct host h[2] = { { .daemon = 0 } };
	double lost, answered, since;
	unsigned long saved;
	int i;

	if (system("rm -rf ./*.state answers"))
		errx(1, "rm");
	for (i = 0; i < 2; i++)
		start_daemon(&h[i], i, cptdevd);
	start_program(&h[1], "-s", shape);
	start_program(&h[0], "-m", shape);
	ask(&saved);
	/* Somebody who lives would refuse connections. */
	lost = now_us();
	kill(h[0].daemon, SIGSTOP);
	end(h[0].program);
	unlink("answers");
	since = ask(&saved);
	answered = now_us();
	if (saved != SAVES)
		errx(1, "%lu of %u are there", saved, SAVES);
	read_stamps(&h[1], lost, since, phase);
	phase[ANSWER] = answered - since;
	phase[WHOLE] = answered - lost;
	end(h[1].program);
	for (i = 0; i < 2; i++)
		end(h[i].daemon);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print(const char *kernel, const char *shape, enum phase p, double *v, unsigned int n)
{
	qsort(v, n, sizeof(*v), ascending);
	printf("{\"name\":\"takeover_%s_%s\",\"kernel\":\"%s\",\"value\":%.6g,\"unit\":\"ms\",\"n\":%u,"
	       "\"min\":%.6g,\"max\":%.6g}\n", shape, names[p], kernel, v[n / 2] / 1e3, n, v[0] / 1e3,
	       v[n - 1] / 1e3);
}

/* As many take-overs of the shape. Returns the median of the restore, in ms. */
static double measure(const char *kernel, const char *cptdevd, const struct shape *shape,
		      unsigned int rounds)
{
	static double v[PHASES][MOST_ROUNDS];
	double phase[PHASES];
	unsigned int i;
	int p;

	for (i = 0; i < rounds; i++) {
		round_of(cptdevd, shape, phase);
		for (p = 0; p < PHASES; p++)
			v[p][i] = phase[p];
	}
	for (p = 0; p < PHASES; p++)
		print(kernel, shape->name, (enum phase)p, v[p], rounds);
	return v[RESTORE][rounds / 2];
}

static void ratio(const char *kernel, const char *name, double v, unsigned int n)
{
	printf("{\"name\":\"%s\",\"kernel\":\"%s\",\"value\":%.6g,\"unit\":\"ratio\",\"n\":%u,"
	       "\"min\":%.6g,\"max\":%.6g}\n", name, kernel, v, n, v, v);
}

int main(int argc, char **argv)
{
	double restore[sizeof(shapes) / sizeof(shapes[0])];
	char *cptdevd;
	unsigned int rounds, i;

	if (getenv("TAKEOVER_PROGRAM"))
		return program(argc, argv);
	if (argc != 4 || atoi(argv[2]) < 1 || atoi(argv[2]) > MOST_ROUNDS)
		errx(1, "usage: takeover KERNEL ROUNDS CPTDEVD");
	rounds = (unsigned int)atoi(argv[2]);
	cptdevd = realpath(argv[3], NULL);
	snprintf(dir, sizeof(dir), "%s/takeover.XXXXXX", getenv("TMPDIR") ?: "/tmp");
	if (!cptdevd || !mkdtemp(dir) || chdir(dir))
		err(1, "%s or %s", argv[3], dir);
	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		restore[i] = measure(argv[1], cptdevd, &shapes[i], rounds);
	ratio(argv[1], "takeover_warm_over_cold", restore[1] / restore[0], rounds);
	ratio(argv[1], "takeover_growth", restore[2] / restore[1], rounds);
	if (system("rm -rf ./*") || chdir("/") || rmdir(dir))
		warn("%s", dir);
	return 0;
}
