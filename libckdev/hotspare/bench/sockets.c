// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How much longer a cut stops a program for each TCP connection that it has registered. Prints figures as
 * lines of JSON, as "make bench" wants them; Documentation/performance.rst says what they mean.
 *
 *   sockets KERNEL ROUNDS CPTDEVD
 *
 * The program is a process of its own, with a session, and both ends of the connections; those of the server
 * are registered. Two cptdevd are on this machine, see two_hosts.h.
 */
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-c/json.h>

#include "../fd.h"
#include "../hotspare.h"
#include "../tcp.h"
#include "figures.h"
#include "two_hosts.h"

#define CONNECTIONS	100
#define BYTES		100		/* a request, an answer */
/* The first cuts find what all others have. */
#define FIRST		3

static struct {
	int server, client;
} v[CONNECTIONS];

static unsigned int rounds;

static void say(int from, int to)
{
	char bytes[BYTES] = "";

	if (write(from, bytes, sizeof(bytes)) != BYTES || read(to, bytes, sizeof(bytes)) != BYTES)
		err(1, "a connection");
}

static void connect_all(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), i;
	socklen_t len = sizeof(a);

	if (listener < 0 || bind(listener, (struct sockaddr *)&a, len) || listen(listener, CONNECTIONS) ||
	    getsockname(listener, (struct sockaddr *)&a, &len))
		err(1, "a listener");
	for (i = 0; i < CONNECTIONS; i++) {
		v[i].client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (v[i].client < 0 || connect(v[i].client, (struct sockaddr *)&a, len))
			err(1, "connect");
		v[i].server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (v[i].server < 0 || hs_fdreg(v[i].server))
			errx(1, "a connection isn't registered: %s", strerror(errno));
		say(v[i].client, v[i].server);
	}
}

/* Each has got a request and answered it since the cut before. */
static void talk(void)
{
	int i;

	for (i = 0; i < CONNECTIONS; i++) {
		say(v[i].client, v[i].server);
		say(v[i].server, v[i].client);
	}
}

static double pause_us(void)
{
	struct hs_stats s;

	if (hs_cpt(HSCPT_INCR | HSCPT_ASYNC) || hs_cpt_wait())
		errx(1, "no checkpoint: %s", hs_error());
	hs_stats(&s);
	return (double)s.pause_ns / 1e3;
}

static double measure(struct figure *f, void (*before)(void))
{
	unsigned int i;
	double us;

	for (i = 0; i < rounds + FIRST; i++) {
		if (before)
			before();
		us = pause_us();
		if (i >= FIRST)
			figure_add(f, us);
	}
	return figure_median(f);
}

/*
 * Parts of it: the kernel's state of each connection; that and all options; the text of all that.
 */
enum part { STATE, CAPTURE, TEXT, PARTS };

static const char *const part_names[PARTS] = { "socket_state_us", "socket_options_us", "socket_text_us" };

static void part_of(int fd, double *us)
{
	struct hs_fd seen = { .fd = fd, .same_as = -1, .what = HS_FD_CONNECTED }, taken;
	struct hs_fds list = { .nr = 1, .v = &taken };
	struct json_object *o;
	struct hs_error e;
	struct hs_tcp *t;
	double start;

	if (hs_fd_query(&seen, NULL, &e))
		errx(1, "%s", e.text);
	start = now_us();
	t = hs_tcp_read(fd, &e);
	us[STATE] += now_us() - start;
	hs_tcp_free(t);
	start = now_us();
	if (!t || hs_fd_capture(&seen, &taken, &e))
		errx(1, "%s", e.text);
	us[CAPTURE] += now_us() - start;
	start = now_us();
	o = hs_fds_json(&list);
	if (!o || !json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN))
		errx(1, "no memory");
	json_object_put(o);
	us[TEXT] += now_us() - start;
	hs_fd_clear(&taken);
	hs_fd_clear(&seen);
}

static void measure_parts(struct figure *f)
{
	double us[PARTS] = { 0 };
	int i;

	for (i = 0; i < CONNECTIONS; i++)
		part_of(v[i].server, us);
	us[CAPTURE] -= us[STATE];
	for (i = 0; i < PARTS; i++)
		figure_add(&f[i], us[i] / CONNECTIONS);
}

static void each(struct figure *f, double without, const char *name)
{
	unsigned int i;

	for (i = 0; i < f->nr; i++)
		f->v[i] = (f->v[i] - without) / CONNECTIONS;
	figure_print(f, "us", "%s", name);
}

static int program(int argc, char **argv)
{
	struct figure none = { .nr = 0 }, idle = { .nr = 0 }, busy = { .nr = 0 };
	struct figure part[PARTS] = { { .nr = 0 } };
	unsigned int i;
	double without;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* It may start this program anew. */
	if (hs_init(argc, argv) < 0)
		return 1;
	figures_kernel(getenv("SOCKETS_KERNEL"));
	rounds = (unsigned int)atoi(getenv("SOCKETS_ROUNDS"));
	if (hs_malloc_create(1, 1 << 20) || !hs_calloc(1, 1, PAGE))
		err(1, "no memory");
	/* It waits for the spare. */
	while (hs_cpt(0))
		rest_us(10000);
	without = measure(&none, NULL);
	connect_all();
	measure(&busy, talk);
	measure(&idle, NULL);
	for (i = 0; i < rounds; i++)
		measure_parts(part);
	figure_print(&none, "us", "socket_none_us");
	each(&busy, without, "socket_busy_us");
	each(&idle, without, "socket_idle_us");
	for (i = 0; i < PARTS; i++)
		figure_print(&part[i], "us", "%s", part_names[i]);
	return 0;
}

int main(int argc, char **argv)
{
	char dir[64], *cptdevd;
	struct host h[HOSTS];
	int status;
	pid_t pid;

	if (getenv("SOCKETS_KERNEL"))
		return program(argc, argv);
	if (argc != 4 || atoi(argv[2]) < 1 || atoi(argv[2]) > MOST_ROUNDS)
		errx(1, "usage: sockets KERNEL ROUNDS CPTDEVD");
	snprintf(dir, sizeof(dir), "%s/sockets.XXXXXX", getenv("TMPDIR") ?: "/tmp");
	cptdevd = realpath(argv[3], NULL);
	if (!cptdevd || !mkdtemp(dir) || chdir(dir))
		err(1, "%s or %s", argv[3], dir);
	hosts_start(h, cptdevd, dir);
	while (access(h[PRIMARY].programs, F_OK))
		rest_us(10000);
	setenv("CPTDEVD_PROGRAMS", h[PRIMARY].programs, 1);
	setenv("CPTDEVD_CONTROL", h[PRIMARY].control, 1);
	setenv("SOCKETS_KERNEL", argv[1], 1);
	setenv("SOCKETS_ROUNDS", argv[2], 1);
	pid = fork();
	if (!pid) {
		execl("/proc/self/exe", "sockets", "-m", "-S", "sockets", "-t", "60", "--", NULL);
		err(1, "/proc/self/exe");
	}
	if (waitpid(pid, &status, 0) != pid || status)
		errx(1, "the program ended with status 0x%x", status);
	hosts_end(h);
	if (system("rm -rf ./*") || chdir("/") || rmdir(dir))
		warn("%s", dir);
	return 0;
}
