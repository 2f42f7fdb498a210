// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Many sessions and many spares: real daemons on this host, linked over loopback, with the soft
 * engine, and one program that has all sessions. It measures what a session costs the daemons: memory,
 * processor time while nothing changes, and processor time for a checkpoint.
 *
 * daemon-scale			a test (TAP): few of both; nothing in it depends on the machine's speed
 * daemon-scale SESSIONS SPARES plain|tls SECONDS
 *				measures, "name value" lines; selftests/bench/scale runs it
 *
 * Each checkpoint is of one page, and must be on all spares before the session takes the next one.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"
#include "softwire.h"

#define NODES_MAX	17
#define SESSIONS_MAX	4096
#define THREADS		16
#define PAGE		4096UL
#define PAGES		16UL
#define BASE		0x200000000000UL
#define PATIENCE_NS	120000000000ULL
#define HEARTBEAT_MS	50
#define KEY		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

struct node {
	char name[8];
	char conf[80];
	char programs[80];
	unsigned int port;
	pid_t pid;
};

enum {
	CPU_S,
	RSS_KIB,		/* its own memory, without files such as replicas */
	WAKES,			/* it slept before each of them */
	FIGURES
};

struct usage {
	double v[FIGURES];
};

struct session {
	int fd;
	uint64_t generation;	/* the last that is on all spares */
};

static struct node nodes[NODES_MAX];
static struct session sessions[SESSIONS_MAX];
static unsigned int nr_sessions, nr_nodes;
static bool tls;
static char dir[] = "/tmp/cptdevd-scale.XXXXXX";

static void end_all(void)
{
	char cmd[96];
	unsigned int i;

	for (i = 0; i < nr_nodes; i++) {
		if (nodes[i].pid <= 0)
			continue;
		kill(nodes[i].pid, SIGTERM);
		waitpid(nodes[i].pid, NULL, 0);
	}
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd))
		fprintf(stderr, "# %s is left\n", dir);
}

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	end_all();
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/*
 * The daemons
 */

static unsigned int free_port(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&in, len) ||
	    getsockname(fd, (struct sockaddr *)&in, &len))
		die("no port: %s", strerror(errno));
	close(fd);
	return ntohs(in.sin_port);
}

static void conf_peer(FILE *f, const struct node *peer, bool first)
{
	if (!first)
		fprintf(f, "[peer %s]\n", peer->name);
	else if (tls)
		fprintf(f, "[peer]\npsk_file = %s/key\nname = %s\n", dir, peer->name);
	else
		fprintf(f, "[peer]\ninsecure = yes\nname = %s\n", peer->name);
	fprintf(f, "address = 127.0.0.1\nport = %u\n", peer->port);
}

/* The first has all sessions, the others are its spares. */
static void conf_write(const struct node *n)
{
	FILE *f = fopen(n->conf, "w");
	unsigned int i;

	if (!f)
		die("%s: %s", n->conf, strerror(errno));
	fprintf(f, "[node]\nname = %s\nlog_level = error\ncontrol = %s/%s.control\n"
		"state_dir = %s/%s.state\nengine = soft\nprograms = %s\n"
		"[listen]\naddress = 127.0.0.1\nport = %u\n"
		"[failover]\nheartbeat_interval_ms = %d\ntimeout_ms = 60000\nfailover = manual\n"
		"[sessions]\nack = all\n[limits]\nmax_sessions = %u\n", n->name, dir, n->name, dir, n->name,
		n->programs, n->port, HEARTBEAT_MS, nr_sessions);
	if (n == nodes)
		for (i = 1; i < nr_nodes; i++)
			conf_peer(f, &nodes[i], i == 1);
	else
		conf_peer(f, &nodes[0], true);
	fclose(f);
}

static void key_write(void)
{
	char path[80];
	FILE *f;

	snprintf(path, sizeof(path), "%s/key", dir);
	umask(077);
	f = fopen(path, "w");
	if (!f)
		die("%s: %s", path, strerror(errno));
	fprintf(f, "%s\n", KEY);
	fclose(f);
}

static void nodes_start(void)
{
	unsigned int i;

	key_write();
	for (i = 0; i < nr_nodes; i++) {
		struct node *n = &nodes[i];

		snprintf(n->name, sizeof(n->name), "n%u", i);
		snprintf(n->conf, sizeof(n->conf), "%.40s/%.7s.conf", dir, n->name);
		snprintf(n->programs, sizeof(n->programs), "%.40s/%.7s.programs", dir, n->name);
		n->port = free_port();
	}
	for (i = 0; i < nr_nodes; i++) {
		struct node *n = &nodes[i];

		conf_write(n);
		n->pid = fork();
		if (!n->pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			execl(CPTDEVD, "cptdevd", "--foreground", "--config", n->conf, NULL);
			_exit(127);
		}
	}
}

/* A number of a file in /proc/PID, behind @key. */
static double proc_number(pid_t pid, const char *file, const char *key)
{
	char path[64], line[256];
	double value = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			value = strtod(line + strlen(key), NULL);
	if (!f)
		die("the daemon %d has ended", (int)pid);
	fclose(f);
	return value;
}

static struct usage usage_of(const struct node *n)
{
	return (struct usage) { {
		[CPU_S] = proc_number(n->pid, "schedstat", "") * 1e-9,
		[RSS_KIB] = proc_number(n->pid, "status", "RssAnon:"),
		[WAKES] = proc_number(n->pid, "status", "voluntary_ctxt_switches:"),
	} };
}

static void usages(struct usage *u)
{
	unsigned int i;

	for (i = 0; i < nr_nodes; i++)
		u[i] = usage_of(&nodes[i]);
}

/*
 * The program
 */

static int session_open(unsigned int i)
{
	double until = now() + 60;
	char name[16];
	int fd, ret;

	do {
		fd = ckdev_soft_open(nodes[0].programs);
	} while ((fd == -ENOENT || fd == -ECONNREFUSED) && now() < until && !usleep(1000));
	if (fd < 0)
		return fd;
	snprintf(name, sizeof(name), "s%04u", i);
	ret = ckdev_session(fd, name, 0, 0, 0);
	sessions[i].fd = fd;
	return ret;
}

/* All pages without a base, else the first one. */
static int publish(int fd, uint64_t base, struct ckdev_soft_delta *d)
{
	static const struct cptdev_segment layout = {
		.addr = BASE, .len = PAGES * PAGE, .kind = CPTDEV_SEGMENT_ANON, .prot = 3,
	};
	size_t len = base ? PAGE : PAGES * PAGE;
	struct cptdev_extent e = { .addr = BASE, .len = len, .kind = CPTDEV_EXTENT_DATA };
	static _Atomic unsigned int changes;
	unsigned char page[PAGE];
	size_t pos;
	int ret;

	*d = (struct ckdev_soft_delta) {
		.size = sizeof(*d), .memfd = memfd_create("delta", MFD_ALLOW_SEALING | MFD_CLOEXEC),
		.base = base, .extents = &e, .nr_extents = 1, .layout = &layout, .nr_segments = 1,
	};
	memset(page, (int)atomic_fetch_add(&changes, 1), sizeof(page));
	for (pos = 0; pos < len; pos += PAGE)
		if (pwrite(d->memfd, page, PAGE, (off_t)pos) != (ssize_t)PAGE)
			return -errno;
	ret = ckdev_soft_publish(fd, d);
	close(d->memfd);
	return ret;
}

/* Until all spares have it. A link that isn't up yet, or another base: once more. */
static int checkpoint(struct session *s)
{
	uint64_t base = s->generation;
	double until = now() + 120;
	struct ckdev_soft_delta d;
	int ret;

	do {
		ret = publish(s->fd, base, &d);
		if (!ret)
			ret = ckdev_wait(s->fd, d.generation, PATIENCE_NS, NULL);
		if (d.reach < base)
			base = d.reach;
	} while ((ret == -ECANCELED || ret == -EILSEQ) && now() < until);
	if (!ret)
		s->generation = d.generation;
	return ret;
}

/* Threads share the sessions; each of them takes checkpoints until the time is over, or so many rounds. */
struct load {
	double until;
	unsigned int rounds;
	_Atomic unsigned long done;
	_Atomic int error;
};

struct worker {
	struct load *load;
	unsigned int first;
	pthread_t thread;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	struct load *l = w->load;
	unsigned int round, i;

	for (round = 0; round < l->rounds; round++)
		for (i = w->first; i < nr_sessions; i += THREADS) {
			int ret;

			if (l->error || (l->until && now() > l->until))
				return NULL;
			ret = checkpoint(&sessions[i]);
			if (ret)
				atomic_store(&l->error, ret);
			else
				atomic_fetch_add(&l->done, 1);
		}
	return NULL;
}

static unsigned long checkpoints(double seconds, unsigned int rounds)
{
	struct load l = { .until = seconds ? now() + seconds : 0, .rounds = rounds };
	struct worker w[THREADS];
	unsigned int i;

	for (i = 0; i < THREADS; i++) {
		w[i] = (struct worker) { .load = &l, .first = i };
		if (pthread_create(&w[i].thread, NULL, work, &w[i]))
			die("no thread");
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(w[i].thread, NULL);
	if (l.error)
		die("a checkpoint: %s", ckdev_strerror(l.error));
	return l.done;
}

static void sessions_open(void)
{
	unsigned int i;
	int ret;

	for (i = 0; i < nr_sessions; i++) {
		ret = session_open(i);
		if (ret)
			die("session %u: %s", i, ckdev_strerror(ret));
	}
	checkpoints(0, 1);
}

/* Descriptors: one a session here, three in a daemon. */
static void more_files(void)
{
	struct rlimit r;

	if (!getrlimit(RLIMIT_NOFILE, &r)) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static void begin(unsigned int nr, unsigned int spares)
{
	nr_sessions = nr;
	nr_nodes = spares + 1;
	more_files();
	if (!mkdtemp(dir))
		die("%s: %s", dir, strerror(errno));
	nodes_start();
}

/*
 * Measuring
 */

/* After this the daemon has nothing to do any more. */
#define SETTLE_US	5000000

static double spares_mean(const struct usage *a, const struct usage *b, int figure)
{
	double sum = 0;
	unsigned int i;

	for (i = 1; i < nr_nodes; i++)
		sum += b[i].v[figure] - a[i].v[figure];
	return sum / (nr_nodes - 1);
}

static void measure(double seconds)
{
	struct usage u[4][NODES_MAX];
	unsigned long done;
	double took;

	/* One session first, so that the links are up. */
	if (session_open(0) || checkpoint(&sessions[0]))
		die("the daemons don't answer");
	close(sessions[0].fd);
	sessions[0] = (struct session) {};
	usages(u[0]);
	sessions_open();
	usleep(SETTLE_US);
	usages(u[1]);
	usleep((useconds_t)(seconds * 1e6));
	usages(u[2]);
	took = now();
	done = checkpoints(seconds, UINT32_MAX);
	took = now() - took;
	usages(u[3]);
	printf("memory_kib_primary %.1f\n", (u[1][0].v[RSS_KIB] - u[0][0].v[RSS_KIB]) / nr_sessions);
	printf("memory_kib_spare %.1f\n",
	       spares_mean(u[0], u[1], RSS_KIB) / nr_sessions);
	printf("idle_percent_primary %.2f\n", 100 * (u[2][0].v[CPU_S] - u[1][0].v[CPU_S]) / seconds);
	printf("idle_percent_spare %.2f\n",
	       100 * spares_mean(u[1], u[2], CPU_S) / seconds);
	printf("checkpoints_per_s %.0f\n", (double)done / took);
	printf("checkpoint_us_primary %.1f\n", 1e6 * (u[3][0].v[CPU_S] - u[2][0].v[CPU_S]) / (double)done);
	printf("checkpoint_us_spare %.1f\n",
	       1e6 * spares_mean(u[2], u[3], CPU_S) / (double)done);
	printf("busy_percent_primary %.0f\n", 100 * (u[3][0].v[CPU_S] - u[2][0].v[CPU_S]) / took);
}

/*
 * The test
 */

static int points;

static bool point(bool ok, const char *name)
{
	printf("%sok %d %s\n", ok ? "" : "not ", ++points, name);
	return ok;
}

/*
 * Two connections to each spare have heartbeats in both directions, and timers that watch them. A timer of
 * each session's own, or a message for each session, would be far more. A busy machine makes it less.
 */
#define WAKES_PER_HEARTBEAT	6
/* After the load, which leaves records to be written, and news. */
#define QUIET_S			30

/* Woken more often than that, for @seconds? */
static bool is_woken(double seconds)
{
	const double allowed = 1000.0 / HEARTBEAT_MS * WAKES_PER_HEARTBEAT * (nr_nodes - 1);
	struct usage before = usage_of(&nodes[0]), after;
	double from = now(), took;

	usleep((useconds_t)(seconds * 1e6));
	took = now() - from;
	after = usage_of(&nodes[0]);
	printf("# woken %.0f times a second, %.0f are allowed\n", (after.v[WAKES] - before.v[WAKES]) / took, allowed);
	return (after.v[WAKES] - before.v[WAKES]) / took > allowed;
}

static bool gets_quiet(void)
{
	double until = now() + QUIET_S;
	bool woken;

	do {
		woken = is_woken(2);
	} while (woken && now() < until);
	return !woken;
}

static int test(void)
{
	bool ok = true;

	printf("TAP version 13\n1..3\n");
	begin(600, 2);
	sessions_open();
	ok &= point(true, "600 sessions are on 2 spares");
	ok &= point(checkpoints(0, 3) == 3UL * nr_sessions, "each of them takes 3 checkpoints more");
	ok &= point(gets_quiet(), "while nothing changes, sessions don't wake the daemon");
	end_all();
	return !ok;
}

int main(int argc, char **argv)
{
	double seconds;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 1)
		return test();
	if (argc != 5 || (strcmp(argv[3], "plain") && strcmp(argv[3], "tls"))) {
		fprintf(stderr, "usage: %s [SESSIONS SPARES plain|tls SECONDS]\n", argv[0]);
		return 2;
	}
	tls = !strcmp(argv[3], "tls");
	nr_sessions = (unsigned int)strtoul(argv[1], NULL, 10);
	nr_nodes = (unsigned int)strtoul(argv[2], NULL, 10) + 1;
	seconds = strtod(argv[4], NULL);
	if (!nr_sessions || nr_sessions > SESSIONS_MAX || nr_nodes < 2 || nr_nodes > NODES_MAX ||
	    seconds < 1 || seconds > 3600) {
		fprintf(stderr, "%s: 1 to %d sessions, 1 to %d spares, 1 to 3600 seconds\n", argv[0],
			SESSIONS_MAX, NODES_MAX - 1);
		return 2;
	}
	begin(nr_sessions, nr_nodes - 1);
	measure(seconds);
	end_all();
	return 0;
}
