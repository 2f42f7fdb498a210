// SPDX-License-Identifier: GPL-2.0-only
/*
 * The chain: what a checkpoint costs on its way to the spare. Two daemons in this guest, the
 * primary's with the module, the spare's with the soft engine, and the loopback device between
 * them. The processor time of each is the kernel's account of the whole process; bytes are those
 * that the primary's daemon has sent, heartbeats too.
 */
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "bench.h"
#include "chain.h"

#define DIR		"/tmp/chain"
#define MIB_ALL		256
#define WAIT_NS		(60 * 1000000000ULL)

struct host spare = {
	.name = "spare",
	.conf = "[listen]\naddress = 127.0.0.2\nallow = any\n[peer]\ninsecure = yes\n",
};

struct host primary = {
	.name = "primary",
	/* Whole pages, as they are: what is saved by others is measured by bytes.c. */
	.conf = "[listen]\naddress = 127.0.0.1\n[peer]\naddress = 127.0.0.2\ninsecure = yes\n"
		"compression = off\ndifferences_mib = 0\n",
};

static void host_configure(const struct host *h, const char *path, const char *engine)
{
	FILE *f = fopen(path, "w");

	if (!f || fprintf(f, "[node]\nname = %s\ncontrol = " DIR "/%s.control\n"
			  "state_dir = " DIR "/%s\nengine = %s\n", h->name, h->name, h->name,
			  engine) < 0)
		die("%s: %s", path, strerror(errno));
	if (!strcmp(engine, "soft"))
		fprintf(f, "programs = " DIR "/%s.programs\n", h->name);
	if (fputs(h->conf, f) < 0 || fclose(f))
		die("%s: %s", path, strerror(errno));
}

void host_start(struct host *h, const char *engine)
{
	char path[64];

	mkdir(DIR, 0700);
	snprintf(path, sizeof(path), DIR "/%s.conf", h->name);
	host_configure(h, path, engine);
	h->pid = fork();
	if (h->pid < 0)
		die("fork: %s", strerror(errno));
	if (!h->pid) {
		struct sched_param none = { 0 };

		/* As a daemon runs: behind the program, which is waited for. */
		sched_setscheduler(0, SCHED_OTHER, &none);
		if (!freopen(DIR "/log", "a", stderr))
			_exit(1);
		execlp("cptdevd", "cptdevd", "-f", "-c", path, NULL);
		_exit(1);
	}
	if (clock_getcpuclockid(h->pid, &h->clock))
		die("no clock of the %s's daemon", h->name);
}

void host_end(struct host *h)
{
	int status;

	kill(h->pid, SIGTERM);
	if (waitpid(h->pid, &status, 0) != h->pid || status)
		die("the %s's daemon ended with status %d: see " DIR "/log", h->name, status);
}

double cpu_us(const struct host *h)
{
	struct timespec ts;

	if (clock_gettime(h->clock, &ts))
		die("the %s's daemon has ended: see " DIR "/log", h->name);
	return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

/* What the primary's daemon has sent to the spare's. */
double bytes_sent(void)
{
	FILE *f = popen("cptdevctl --socket " DIR "/primary.control --json status", "r");
	double sum = 0, n;
	char line[512];
	char *at;

	while (f && fgets(line, sizeof(line), f)) {
		at = strstr(line, "\"bytes_sent\":");
		if (at && sscanf(at, "\"bytes_sent\": %lf", &n) == 1)
			sum += n;
	}
	if (!f || pclose(f) || !sum)
		die("the primary's daemon doesn't say what it has sent");
	return sum;
}

/* A checkpoint, until the spare has it. Returns its pages. */
double publish(int device)
{
	struct cptdev_snapshot s;
	uint64_t committed;
	int ret = t_snapshot(device, CPTDEV_SNAPSHOT_PUBLISH, 0, &s);

	if (ret < 0)
		die("SNAPSHOT: %s", strerror(-ret));
	close(ret);
	ret = t_wait(device, s.generation, WAIT_NS, &committed);
	if (ret)
		die("the spare doesn't get it: %s", strerror(-ret));
	return s.pages;
}

struct costs {
	struct figure primary, spare;	/* us of processor for each MiB */
	struct figure wire;		/* bytes for each page */
	struct figure whole;		/* us until it is acknowledged, all on one processor */
};

static void checkpoint(int device, struct costs *c)
{
	double bytes = bytes_sent(), at, first = cpu_us(&primary), second = cpu_us(&spare), pages;

	at = now_us();
	pages = publish(device);
	figure_add(&c->whole, now_us() - at);
	figure_add(&c->primary, (cpu_us(&primary) - first) / (pages * PAGE / MIB));
	figure_add(&c->spare, (cpu_us(&spare) - second) / (pages * PAGE / MIB));
	figure_add(&c->wire, (bytes_sent() - bytes) / pages);
}

static void print(const struct costs *c, const char *label)
{
	figure_print(&c->primary, "us", "chain_primary_us_per_mib_%s", label);
	figure_print(&c->spare, "us", "chain_spare_us_per_mib_%s", label);
	figure_print(&c->wire, "bytes", "chain_wire_bytes_per_page_%s", label);
	figure_print(&c->whole, "us", "chain_acknowledged_us_%s", label);
}

static void measure_increments(int device, unsigned int pct)
{
	struct costs c = { 0 };
	char label[16];
	unsigned int i;

	memory_spread(t.pages * pct / 100);
	/* One round isn't counted. */
	for (i = 0; i <= rounds; i++) {
		memory_write();
		if (i)
			checkpoint(device, &c);
		else
			publish(device);
	}
	snprintf(label, sizeof(label), "%upct", pct);
	print(&c, label);
}

void chain_measure(void)
{
	struct costs full = { 0 };
	int device;

	host_start(&spare, "soft");
	host_start(&primary, "module");
	memory_get(MIB_ALL * MIB / PAGE, false);
	memory_write_all();
	device = t_open();
	if (device < 0 || t_setup(device, "chain", 0, 0) || t_add(device, t.m, t.pages * PAGE))
		die("no session");
	/* Until the link is there a first generation waits; then everything, once. */
	publish(device);
	memory_write_all();
	checkpoint(device, &full);
	print(&full, "100pct");
	measure_increments(device, 1);
	measure_increments(device, 10);
	close(device);
	memory_put();
	host_end(&primary);
	host_end(&spare);
}
