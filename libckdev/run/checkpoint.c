// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: checkpoints of a program that runs, see run.h. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "capture.h"
#include "image.h"
#include "proc.h"
#include "run.h"

/* How soon a checkpoint that failed is tried again while output waits for it. */
#define AGAIN_NS	2000000LL
#define AGAIN_MAX_NS	100000000LL
/* So often the program is left the time to accept connections, and to take signals of timers. */
#define BUSY_TRIES	50U
/* With a session a failure is told when so many tries have failed in turn. */
#define QUIET_TRIES	3U

static void say_once(struct run *r, const char *what, const struct hs_error *e)
{
	char text[400];

	snprintf(text, sizeof(text), "%s: %s", what, e->text);
	if (!strncmp(text, r->told, sizeof(r->told) - 1))
		return;
	snprintf(r->told, sizeof(r->told), "%.300s", text);
	run_say(r, text);
}

/* The file is written while the program runs; the mirror waits for that. */
static void start_writer(struct run *r, struct run_state *s)
{
	struct hs_error e;

	r->writer = fork();
	if (r->writer < 0) {
		run_say(r, "a process that writes the checkpoint can't be made");
		return;
	}
	if (r->writer)
		return;
	if (!run_image_write(r->o.file, r->generation, s, &r->mirror, &e))
		_exit(0);
	run_say(r, e.text);
	_exit(1);
}

void run_on_writer(struct run *r, int status)
{
	r->writer = 0;
	r->written += WIFEXITED(status) && !WEXITSTATUS(status);
}

/* A program that was fenced must not go on: another one has its place. */
static void on_lost(struct run *r, int err, const struct hs_error *e)
{
	if (err == ESTALE) {
		run_say(r, "fenced: a spare has taken over: the program is killed");
		run_tree_kill(&r->tree);
		return;
	}
	say_once(r, "no checkpoint", e);
	if (err == ECONNRESET)
		run_link_drop(&r->link);
}

bool run_link_up(struct run *r)
{
	struct hs_error e = { { 0 } };
	int err;

	if (r->link.fd >= 0) {
		err = run_link_state(&r->link);
		if (!err)
			return true;
		hs_fail(&e, err, "cptdevd has ended");
		on_lost(r, err, &e);
		return false;
	}
	if (!run_link_open(&r->link, &e))
		return true;
	on_lost(r, errno, &e);
	return false;
}

static void send_on(struct run *r, struct run_state *s)
{
	struct hs_error e = { { 0 } };

	if (run_link_publish(&r->link, s, &r->mirror, &e))
		on_lost(r, errno, &e);
	else
		r->written++;
}

/*
 * Output that was marked waits: it isn't asked for again by itself. Mostly the reason passes: a file
 * of /proc that is open for a moment, a connection that ends, or one that isn't accepted yet; the
 * signal of a timer.
 */
static void try_again(struct run *r, int err)
{
	r->failed++;
	r->busy += err == EBUSY;
	r->again_ns = r->again_ns ? 2 * r->again_ns : AGAIN_NS;
	if (r->again_ns > AGAIN_MAX_NS)
		r->again_ns = AGAIN_MAX_NS;
	if (err == EBUSY)
		r->again_ns = AGAIN_NS;
	r->wanted_ns = run_clock_ns(CLOCK_MONOTONIC) + r->again_ns;
}

static void on_cut(struct run *r, const struct run_cut *cut)
{
	struct run_pause *pause = &r->pause[r->generation++ % RUN_PAUSES];

	r->told[0] = 0;
	r->again_ns = r->wanted_ns = 0;
	r->failed = r->busy = 0;
	pause->ns = cut->pause_ns;
	memcpy(pause->part_ns, cut->part_ns, sizeof(pause->part_ns));
	if (!cut->state.fds.nr_connections || cut->held || r->told_not_held)
		return;
	r->told_not_held = true;
	run_say(r, "it has TCP connections, but their output isn't held: after a takeover clients may wait "
	    "for ever: see [hold] in cptdevd.conf(5)");
}

void run_checkpoint(struct run *r)
{
	struct run_cut cut = {
		.like = r->init ?: getpid(), .std = &r->std, .mirror = &r->mirror, .session = r->link.fd,
		.patient = r->busy < BUSY_TRIES,
	};
	struct hs_error e = { { 0 } };
	int err;

	if (run_cut(&r->tree, &cut, &e)) {
		err = errno;
		if (err == ECHILD)
			return;
		if (err == EUCLEAN) {
			run_say(r, e.text);
			run_tree_kill(&r->tree);
			return;
		}
		try_again(r, err);
		/* The mirror may have changes by now that no delta has: the next one has everything. */
		if (cut.touched)
			r->link.generation = 0;
		r->refused++;
		if (r->linked ? r->failed > QUIET_TRIES : err != EBUSY || r->busy > BUSY_TRIES)
			say_once(r, "no checkpoint", &e);
		return;
	}
	on_cut(r, &cut);
	if (r->linked)
		send_on(r, &cut.state);
	else
		start_writer(r, &cut.state);
	run_state_free(&cut.state);
}
