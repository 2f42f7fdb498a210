// SPDX-License-Identifier: GPL-2.0-or-later
/* Two hosts on this machine, see two_hosts.h. */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-c/json.h>

#include <ckdev.h>

#include "two_hosts.h"

static char cptdevctl[256];

double patience_ms(const struct load *load)
{
	return 60e3 + 60.0 * (double)load->mib;
}

static void start_daemon(struct host *h, int i, const char *cptdevd, const char *dir)
{
	FILE *f;

	snprintf(h->conf, sizeof(h->conf), "%d.conf", i);
	snprintf(h->control, sizeof(h->control), "%s/%d.control", dir, i);
	snprintf(h->programs, sizeof(h->programs), "%s/%d.programs", dir, i);
	f = fopen(h->conf, "w");
	if (!f)
		err(1, "%s", h->conf);
	fprintf(f, "[node]\nname = host%d\nlog_level = error\nengine = soft\n", i);
	fprintf(f, "control = %s\nprograms = %s\nstate_dir = %s/%d.state\n", h->control, h->programs,
		dir, i);
	fprintf(f, "[listen]\naddress = 127.0.0.1\nport = %d\n", 7431 + i);
	fprintf(f, "[peer]\naddress = 127.0.0.1\nport = %d\ninsecure = yes\n", 7431 + !i);
	fprintf(f, "[failover]\nfailover = auto\nheartbeat_interval_ms = 100\ntimeout_ms = %d\n",
		TIMEOUT_MS);
	if (fclose(f))
		err(1, "%s", h->conf);
	h->daemon = fork();
	if (!h->daemon) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(cptdevd, "cptdevd", "--foreground", "--config", h->conf, NULL);
		err(1, "%s", cptdevd);
	}
}

void hosts_start(struct host *h, const char *cptdevd, const char *dir)
{
	int i;

	/* They are installed in one place. */
	snprintf(cptdevctl, sizeof(cptdevctl), "%.*sctl", (int)strlen(cptdevd) - 1, cptdevd);
	if (system("rm -rf ./*.state"))
		errx(1, "rm");
	saving_forget();
	for (i = 0; i < HOSTS; i++) {
		start_daemon(&h[i], i, cptdevd, dir);
		h[i].program = 0;
	}
}

void end(pid_t pid)
{
	if (!pid)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

void hosts_end(struct host *h)
{
	int i;

	for (i = 0; i < HOSTS; i++) {
		end(h[i].program);
		end(h[i].daemon);
	}
}

static void await_daemon(const struct host *h)
{
	double until = now_us() + 60e6;
	int fd;

	for (fd = -1; fd < 0 && now_us() < until; rest_us(1000))
		fd = ckdev_soft_open(h->programs);
	if (fd < 0)
		errx(1, "cptdevd doesn't answer");
	close(fd);
}

static void start_program(struct host *h, const char *role, const struct load *load,
			  const char *warm)
{
	char seconds[16];

	await_daemon(h);
	h->program = fork();
	if (h->program)
		return;
	setenv("CPTDEVD_PROGRAMS", h->programs, 1);
	setenv("CPTDEVD_CONTROL", h->control, 1);
	setenv("HOTSPARE_WARM", warm, 1);
	saving_describe(load);
	/* An attempt that gives up too early would be followed by another one, of everything. */
	snprintf(seconds, sizeof(seconds), "%.0f", patience_ms(load) / 1e3);
	execl("/proc/self/exe", "takeover", role, "-S", SAVING_NAME, "-t", seconds, "--", NULL);
	err(1, "/proc/self/exe");
}

void hosts_start_spare(struct host *h, const struct load *load, const char *warm)
{
	start_program(&h[SPARE], "-s", load, warm);
}

void hosts_start_primary(struct host *h, const struct load *load)
{
	double since;

	start_program(&h[PRIMARY], "-m", load, "no");
	saving_saved(&since, patience_ms(load));
}

/* What a person sees: cptdevctl replica list. */
unsigned long hosts_behind(const struct host *h)
{
	char command[512], text[8192];
	struct json_object *o, *r;
	unsigned long behind;
	size_t n;
	FILE *f;

	snprintf(command, sizeof(command), "%s --json --socket %s replica list", cptdevctl,
		 h->control);
	f = popen(command, "r");
	n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
	text[n] = '\0';
	if (!f || pclose(f))
		errx(1, "%s: %s", command, text);
	o = json_tokener_parse(text);
	r = json_object_array_get_idx(json_object_object_get(o, "replicas"), 0);
	if (!json_object_object_get(r, "behind"))
		errx(1, "%s doesn't tell how far the copy is: %s", command, text);
	behind = (unsigned long)json_object_get_int64(json_object_object_get(r, "behind"));
	json_object_put(o);
	return behind;
}
