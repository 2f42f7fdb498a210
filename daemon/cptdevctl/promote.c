// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptdevctl promote: it asks the daemon whether the primary is alive, but works without it,
 * since the daemon may be what is broken. The journal keeps who did it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "client.h"
#include "ctl.h"
#include "primary.h"
#include "promote.h"

/* A primary that is alive goes on serving until it learns that it is fenced. */
static int ask_for_primary(struct ctl *c, const char *name, char *known, size_t size)
{
	struct json_object *daemon;
	enum primary p;
	char why[256];
	int err;

	daemon = client_status(c->socket, &err, why, sizeof(why));
	p = primary_look(daemon, why, name, known, size);
	json_object_put(daemon);
	if (p == PRIMARY_ALIVE && !c->force)
		return ctl_fail(c, EXIT_FAILED, "primary-alive",
				"stop the program there; or, to take over from it while it runs, give --force",
				"%s isn't promoted: %s", name, known);
	if (!c->json && p != PRIMARY_GONE)
		fprintf(c->err, "cptdevctl: note: %s%s\n", p == PRIMARY_UNKNOWN ?
			"it isn't known whether the primary is alive: " : "", known);
	return 0;
}

/* Whoever finds two programs that serve has to know when and by whom. */
static void note(const char *name, u64 generation, u64 term, const char *known, bool force)
{
	const char *sudo = getenv("SUDO_USER");

	openlog("cptdevctl", LOG_PID, LOG_DAEMON);
	syslog(LOG_NOTICE, "promoted %s: generation %llu, term %llu, by user %u%s%.32s%s; %s",
	       name, generation, term, getuid(), sudo ? " for " : "", sudo ? sudo : "",
	       force ? " with --force" : "", known);
	closelog();
}

static void promoted_text(struct ctl *c, const char *name, u64 generation, u64 term)
{
	fprintf(c->out, "promoted %s: generation %llu, term %llu\n", name, generation, term);
	fprintf(c->out,
		"A program of this host that waits for this replica takes over now. A program that\n"
		"you start by hand has to restore the replica, and to use the name %s and term %llu\n"
		"for its session. The old program is refused from now on.\n", name, term);
}

static struct json_object *promoted_json(const char *name, u64 generation, u64 term,
					 const char *known)
{
	struct json_object *o = js_document();

	js_str(o, "name", name);
	js_u64(o, "generation", generation);
	js_u64(o, "term", term);
	js_str(o, "primary", known);
	return o;
}

/* There is none. One that doesn't answer may promote all the same, a moment later. */
#define NO_DAEMON	(-1)

/* It writes down the term before the replica has it. An exit status, or NO_DAEMON. */
static int promote_by_daemon(struct ctl *c, const char *name, u64 *term, u64 *generation)
{
	struct json_object *request = js_new(), *answer;
	int err, ret = 0;

	js_str(request, "command", "promote");
	js_str(request, "name", name);
	js_u64(request, "term", *term);
	if (c->generation)
		js_u64(request, "generation", c->generation);
	js_bool(request, "force", c->force);
	answer = client_command(c->socket, request, &err);
	if (!answer && (err == ENOENT || err == ECONNREFUSED))
		return NO_DAEMON;
	if (!answer)
		return ctl_fail(c, EXIT_DAEMON, "no-answer",
				err == EACCES ? "run as root" :
				"cptdevctl replica list; if it isn't promoted: systemctl restart cptdevd",
				"cptdevd runs, but didn't report whether it has promoted %s: %s",
				name, err == EPROTO ? "no answer" : strerror(err));
	if (js_at(answer, "error"))
		ret = ctl_fail(c, EXIT_FAILED, js_get_str(js_at(answer, "error"), "code"),
			       "cptdevctl status; cptdevctl replica list",
			       "%s isn't promoted: %s", name,
			       js_get_str(js_at(answer, "error"), "message"));
	*term = js_get_u64(answer, "term");
	*generation = js_get_u64(answer, "generation");
	json_object_put(answer);
	return ret;
}

/* The daemon may be what is broken. It writes the term down when it is started. */
static int promote_alone(struct ctl *c, const char *name, int fd, u64 *term, u64 *generation)
{
	int ret = c->generation ? kernel_replica_at(c->kernel, fd, c->generation) : 0;

	if (ret == -ENODATA)
		return ctl_fail(c, EXIT_FAILED, "failed", NULL,
				"%s isn't promoted: the replica doesn't have generation %llu, or not any more",
				name, c->generation);
	if (!ret)
		ret = c->generation ? kernel_replica_back(c->kernel, fd, term, generation) :
			kernel_replica_promote(c->kernel, fd, term, generation);
	if (ret == -EINVAL && c->generation)
		return ctl_fail(c, EXIT_FAILED, "failed", "leave --generation away",
				"%s isn't promoted: generation %llu is the newest one, so there is nothing to go back to",
				name, c->generation);
	if (ret)
		return ctl_fail_replica(c, name, "promote", -ret);
	if (!c->json)
		fprintf(c->err, "cptdevctl: note: cptdevd doesn't run: the new term isn't on record until it is started\n");
	return 0;
}

static int promote(struct ctl *c, const char *name, int fd)
{
	u64 term = c->term, generation;
	char known[300];
	int ret;

	if (c->generation && !c->force)
		return ctl_fail(c, EXIT_FAILED, "goes-back", "cptdevctl history; then --force",
				"%s isn't promoted: all that was acknowledged after generation %llu would be lost for good",
				name, c->generation);
	ret = ask_for_primary(c, name, known, sizeof(known));
	if (ret)
		return ret;
	ret = promote_by_daemon(c, name, &term, &generation);
	if (ret == NO_DAEMON)
		ret = promote_alone(c, name, fd, &term, &generation);
	if (ret)
		return ret;
	c->changed = true;
	note(name, generation, term, known, c->force);
	if (c->json)
		ctl_print_json(c, promoted_json(name, generation, term, known));
	else
		promoted_text(c, name, generation, term);
	return EXIT_DONE;
}

int promote_one(struct ctl *c, const char *name)
{
	int fd, ret;

	fd = kernel_replica_open(c->kernel, name, CPTDEV_REPLICA_WRITE);
	if (fd < 0)
		return ctl_fail_replica(c, name, "promote", -fd);
	ret = promote(c, name, fd);
	c->kernel->ops->close(c->kernel, fd);
	return ret;
}

int verb_promote(struct ctl *c, int argc, char **argv)
{
	int ret;

	if (argc + c->all + !!c->peer != 1)
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl replica list",
				"promote needs the name of one replica, --all, or --peer NAME");
	if (c->generation && !argc)
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl history",
				"--generation is only for one replica");
	if (c->term_given && !argc)
		return ctl_fail(c, EXIT_USAGE, "usage", "leave --term away: each gets its next term",
				"--term is only for one replica");
	ret = ctl_need_device(c);
	if (ret)
		return ret;
	return argc ? promote_one(c, argv[0]) : promote_many(c);
}
