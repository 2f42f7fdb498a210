// SPDX-License-Identifier: GPL-2.0-or-later
/* The program whose host is lost, and its client, see saving.h. */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../hotspare.h"
#include "saving.h"

#define CLASS		1
#define PROGRAM		"TAKEOVER_PROGRAM"
#define SOCKET		"answers"
/* What a client asks for. */
#define TELL		't'
#define SAVE		's'
#define RUN		4UL

/* In memory that is saved. */
struct work {
	unsigned long saved;
	char *memory;
	size_t pages, changed;
};

double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

void rest_us(unsigned int us)
{
	const struct timespec t = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L };

	nanosleep(&t, NULL);
}

/*
 * The program
 */

static int answering(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = SOCKET };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	unlink(un.sun_path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof(un)) || listen(fd, 8))
		err(1, SOCKET);
	return fd;
}

/* Runs of four, spread evenly. */
static void change(struct work *w)
{
	size_t runs = w->changed / RUN, i;

	for (i = 0; i < runs; i++)
		memset(w->memory + w->pages / runs * i * PAGE, (int)w->saved, RUN * PAGE);
}

static void save(struct work *w)
{
	w->saved++;
	change(w);
	while (hs_cpt(HSCPT_INCR))
		rest_us(10000);
}

static void answer(int listener, struct work *w, double since)
{
	int fd = accept(listener, NULL, NULL), len;
	char text[64], asked;

	if (fd < 0)
		err(1, "accept");
	if (read(fd, &asked, 1) == 1) {
		if (asked == SAVE)
			save(w);
		while (hs_may_serve() <= 0)
			rest_us(100);
		len = snprintf(text, sizeof(text), "%lu %.3f", w->saved, since);
		if (write(fd, text, (size_t)len) != len)
			err(1, "answer");
	}
	close(fd);
}

static void work(void *arg)
{
	double since = now_us();
	int fd = answering();

	for (;;)
		answer(fd, arg, since);
}

void saving_describe(const struct load *load)
{
	char text[64];

	snprintf(text, sizeof(text), "%lu %zu", load->mib, load->changed);
	setenv(PROGRAM, text, 1);
}

bool saving_wanted(void)
{
	return getenv(PROGRAM);
}

int saving_main(int argc, char **argv)
{
	struct load load;
	struct work *w;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (sscanf(getenv(PROGRAM), "%lu %zu", &load.mib, &load.changed) != 2)
		errx(1, PROGRAM);
	if (hs_init(argc, argv) < 0)
		return 1;
	if (hs_malloc_create(CLASS, (load.mib << 20) * 2))
		err(1, "hs_malloc_create");
	w = hs_calloc(CLASS, 1, sizeof(*w));
	w->memory = hs_aligned_alloc(CLASS, PAGE, load.mib << 20);
	if (!w->memory || hs_threadreg(work, w))
		err(1, "no memory");
	w->pages = (load.mib << 20) / PAGE;
	w->changed = load.changed;
	memset(w->memory, 1, load.mib << 20);
	/* The first one, of everything, waits for the spare. */
	while (hs_cpt(HSCPT_INCR))
		rest_us(10000);
	work(w);
	return 0;
}

/*
 * Its client
 */

static int dial(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = SOCKET };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof(un))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* False: it gave no answer. */
static bool ask(char what, char *text, size_t size)
{
	int fd = dial();
	ssize_t n = 0;

	if (fd < 0)
		return false;
	if (write(fd, &what, 1) == 1)
		n = read(fd, text, size - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* As a client does: until there is an answer. */
static unsigned long ask_until(char what, double *since, double patience_ms)
{
	double until = now_us() + patience_ms * 1e3;
	unsigned long saved;
	char text[64];

	while (!ask(what, text, sizeof(text))) {
		if (now_us() > until)
			errx(1, "no answer in %.0f s: was a program killed for want of memory?",
			     patience_ms / 1e3);
		rest_us(200);
	}
	if (sscanf(text, "%lu %lf", &saved, since) != 2)
		errx(1, "an answer that makes no sense: %s", text);
	return saved;
}

unsigned long saving_saved(double *since, double patience_ms)
{
	return ask_until(TELL, since, patience_ms);
}

void saving_save(double patience_ms)
{
	double since;

	ask_until(SAVE, &since, patience_ms);
}

void saving_forget(void)
{
	unlink(SOCKET);
}
