// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What follows from a dead peer, or from a program of it that failed: the replicas that were fed,
 * and that a program waits for, are promoted, or somebody is told that they could be. The command
 * that is run for each promotion runs by itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "command.h"
#include "daemon.h"
#include "log.h"

/* While the peer is dead, so often it is asked whether a program waits by now. */
#define LOOK_AGAIN_NS	(500 * NSEC_PER_MSEC)

extern char **environ;

void failover_command(struct daemon *d, const char *name, u64 generation, u64 term)
{
	const char *command = conf_session(&d->conf, name)->on_promote;
	char gen_text[24], term_text[24];
	char *argv[] = { (char *)command, (char *)name, gen_text, term_text, NULL };
	pid_t pid;
	int ret;

	if (!*command)
		return;
	snprintf(gen_text, sizeof(gen_text), "%llu", generation);
	snprintf(term_text, sizeof(term_text), "%llu", term);
	ret = command_start(argv, environ, &pid, NULL);
	if (ret)
		log_err("can't run %s: %s", command, strerror(-ret));
	else
		log_info("running %s %s %s %s (pid %d)", argv[0], name, gen_text,
			 term_text, pid);
}

static bool is_of_a_peer(struct daemon *d, pid_t pid, int status)
{
	struct peer *p;

	LIST_FOREACH(p, &d->peers, entry)
		if (resolve_reaped(&p->out.resolver, pid) || fence_command_reaped(p, pid, status))
			return true;
	return false;
}

/* Commands that ended: SIGCHLD came. When one was started, its path and its pid were logged. */
void failover_ran(struct daemon *d)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (is_of_a_peer(d, pid, status))
			continue;
		if (WIFEXITED(status) && !WEXITSTATUS(status))
			log_info("the command of on_promote (pid %d) is done", pid);
		else if (WIFEXITED(status))
			log_err("the command of on_promote (pid %d) failed with exit status %d",
				pid, WEXITSTATUS(status));
		else
			log_err("the command of on_promote (pid %d) was killed by signal %d",
				pid, WTERMSIG(status));
	}
}

/* Is there anything to promote? */
static bool promotable(struct kernel *k, int fd)
{
	struct cptdev_image_info info;

	return !kernel_image_info(k, fd, &info) && info.generation &&
		!(info.state & CPTDEV_IMAGE_PROMOTED);
}

/* True when nothing is left to be done. */
static bool promote_failed(struct daemon *d, const char *name, int err)
{
	tell(&d->tell, LOG_ERR, TELL_SESSION, name, "can't promote %s: %s", name, strerror(err));
	return err == ENOENT || err == ENODATA || err == EREMCHG || err == ENOTUNIQ;
}

/* What is to be done about the replica, if a program waits for it or if none does. */
static enum takeover decide(const struct peer *p, const struct feed *f, bool waited)
{
	const struct conf_session *policy = conf_session(&p->d->conf, f->name);
	const struct takeover_facts facts = {
		.automatic = policy->failover == FAILOVER_AUTO,
		.failed = f->failed && policy->on_exit == ON_EXIT_FAILOVER,
		.dead = p->detector.state == DET_DEAD,
		.waited = waited,
		/* Programs over there may answer until then. */
		.lease_over = peer_lease_over(p),
		.fencing = p->fence.state,
		.others = records_has_others(p->d, f->name),
	};

	return f->decided ? TAKEOVER_NO : takeover_decide(&facts);
}

/* Is there anything to do, as far as is known without asking the kernel? */
static bool due(const struct peer *p, const struct feed *f)
{
	enum takeover t = decide(p, f, true);

	return t == TAKEOVER_NOW || t == TAKEOVER_FENCE;
}

static bool promote(struct peer *p, const char *name)
{
	struct daemon *d = p->d;
	u64 term = 0, generation = 0, began = clock_mono();
	int fd, ret;

	fd = kernel_replica_open(d->kernel, name, CPTDEV_REPLICA_WRITE);
	if (fd < 0)
		return promote_failed(d, name, -fd);
	ret = promotable(d->kernel, fd);
	d->kernel->ops->close(d->kernel, fd);
	if (!ret)
		return true;
	ret = promotion_do(d, name, &term, &generation, false);
	if (ret)
		return promote_failed(d, name, -ret);
	if (p->detector.state == DET_DEAD) {
		p->failover.promoted = clock_mono();
		p->failover.replicas++;
	}
	log_promoted(NULL, name, "promoted %s: generation %llu, term %llu, in %llu us", name,
		     generation, term, (clock_mono() - began) / NSEC_PER_USEC);
	failover_command(d, name, generation, term);
	return true;
}

/* A replica that can't be promoted in any case is no reason to switch a host off. */
static bool worth_fencing(struct daemon *d, const char *name)
{
	int fd;
	bool ret;

	if (records_is_outdated(d, name))
		return false;
	fd = kernel_replica_open(d->kernel, name, 0);
	if (fd < 0)
		return false;
	ret = promotable(d->kernel, fd);
	d->kernel->ops->close(d->kernel, fd);
	return ret;
}

static void add_name(char *names, size_t size, const char *name)
{
	size_t len;

	if (!names)
		return;
	len = strlen(names);
	snprintf(names + len, size - len, "%s%s", len ? " " : "", name);
}

static void look_at(struct peer *p, struct feed *f, bool waited, char *names, size_t size)
{
	enum takeover t = decide(p, f, waited);

	if (t == TAKEOVER_FENCE && worth_fencing(p->d, f->name))
		add_name(names, size, f->name);
	else if (t == TAKEOVER_NOW || (t == TAKEOVER_FENCE && peer_lease_over(p)))
		f->decided = promote(p, f->name);
	else if (t == TAKEOVER_OTHERS)
		tell(&p->d->tell, LOG_WARNING, TELL_PEER, f->name,
		     "%s isn't promoted by this daemon: another host has a replica that may be promoted as well. A cluster manager or a person decides. Next: compare cptdevctl status on the spares' hosts; then on one of them: %s",
		     f->name, ADVICE(p->d, "promote", f->name));
	else if (t == TAKEOVER_NOBODY)
		tell(&p->d->tell, LOG_WARNING, TELL_PEER, f->name,
		     "%s isn't promoted yet: no program of this host waits for it. Next: start the program here, or run: %s",
		     f->name, ADVICE(p->d, "promote", f->name));
}

/*
 * A promotion without a program that takes over fences the only one that may still live, when
 * not its host but the network is lost. So nothing is promoted that nobody waits for: a program
 * that waits has a descriptor of the replica, which it polls for the promotion.
 */
static void promote_waited(struct peer *p)
{
	struct daemon *d = p->d;
	int ret = held_refresh(d);
	size_t size = p->nr_feeds * (CPTDEV_NAME_MAX + 1) + 1;
	char *names = calloc(1, size);
	struct held *h;
	struct feed *f;

	p->looked_at = clock_mono();
	LIST_FOREACH(f, &p->feeds, entry) {
		h = ret ? NULL : held_find(d, f->name);
		look_at(p, f, h && h->waiters, names, size);
	}
	if (names && *names)
		fence_command_run(p, names);
	free(names);
}

void failover_look_again(struct peer *p)
{
	struct feed *f;

	if (p->looked_at && clock_mono() - p->looked_at < LOOK_AGAIN_NS)
		return;
	for (f = LIST_FIRST(&p->feeds); f; f = LIST_NEXT(f, entry)) {
		if (due(p, f)) {
			promote_waited(p);
			return;
		}
	}
}

/* Seconds and milliseconds since the epoch, to be compared with other hosts' logs. */
static void log_decision(const struct peer *p)
{
	const struct failover_times *t = &p->failover;
	u64 silence = (t->decided - t->heard) / NSEC_PER_MSEC;
	u64 wall_ms = t->decided_wall / NSEC_PER_MSEC;

	tell_event(&p->d->tell, EVENT_PEER_DEAD, LOG_WARNING, TELL_PEER, p->node.name,
		   "peer %s counts as dead: last heard %llu ms ago, at %llu.%03llu; decided at %llu.%03llu",
		   p->node.name, silence, (wall_ms - silence) / 1000,
		   (wall_ms - silence) % 1000, wall_ms / 1000, wall_ms % 1000);
}

void failover_decide(struct peer *p, u64 heard)
{
	struct feed *f;

	p->failover = (struct failover_times) {
		.heard = heard, .decided = clock_mono(), .decided_wall = clock_wall(),
	};
	log_decision(p);
	fence_command_dead(p);
	LIST_FOREACH(f, &p->feeds, entry) {
		f->decided = conf_session(&p->d->conf, f->name)->failover != FAILOVER_AUTO;
		if (f->decided)
			tell(&p->d->tell, LOG_WARNING, TELL_PEER, f->name,
			     "failover = manual: to go on with %s here, run: %s",
			     f->name, ADVICE(p->d, "promote", f->name));
	}
	p->looked_at = 0;
	promote_waited(p);
	if (LIST_EMPTY(&p->feeds))
		tell(&p->d->tell, LOG_NOTICE, TELL_PEER, p->node.name,
		     "peer %s fed nothing: there is nothing to promote", p->node.name);
}

/*
 * Its own daemon says so: nothing of it can answer any more, and no lease has to run out. The
 * other host doesn't let an empty program go on under that name.
 */
void failover_failed(struct peer *p, const char *name)
{
	const struct conf_session *policy = conf_session(&p->d->conf, name);
	struct feed *f;

	LIST_FOREACH(f, &p->feeds, entry)
		f->failed |= !strcmp(f->name, name);
	if (policy->failover != FAILOVER_AUTO || policy->on_exit != ON_EXIT_FAILOVER)
		tell(&p->d->tell, LOG_WARNING, TELL_PEER, name,
		     "%s: to go on with %s here, run: %s",
		     policy->failover != FAILOVER_AUTO ? "failover = manual" : "on_exit = stay",
		     name, ADVICE(p->d, "promote", name));
	promote_waited(p);
}
