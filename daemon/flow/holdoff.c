// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Checkpoints that a person holds off for a while (cptdevctl hold). The program reads the end of
 * that time from its session page, so the hold ends then whatever becomes of this daemon. It also
 * ends with this daemon, and with the program.
 */
#include <errno.h>
#include <string.h>

#include "daemon.h"
#include "log.h"

static void arm(struct daemon *d)
{
	u64 now = clock_mono(), next = 0;
	const struct known *k;

	LIST_FOREACH(k, &d->sessions, entry)
		if (k->off.until && (!next || k->off.until < next))
			next = k->off.until;
	if (next)
		loop_arm(&d->loop, &d->hold_off, next > now ? next - now : 0);
	else
		loop_disarm(&d->hold_off);
}

static void end(struct daemon *d, struct known *k)
{
	k->off.until = 0;
	kernel_hold_off(d->kernel, k->rec.id, 0);
	news_session(d, k, "released");
}

static void end_if_over(struct daemon *d, struct known *k)
{
	if (!k->off.until || k->off.until > clock_mono())
		return;
	tell(&d->tell, LOG_WARNING, TELL_SESSION, k->rec.name,
	     "session %s: its checkpoints are held off no longer: the time is over and nobody has released it",
	     k->rec.name);
	end(d, k);
}

static void expired(struct timer *t)
{
	struct daemon *d = container_of(t, struct daemon, hold_off);
	struct known *k;

	LIST_FOREACH(k, &d->sessions, entry)
		end_if_over(d, k);
	arm(d);
}

void holdoff_open(struct daemon *d)
{
	d->hold_off.fn = expired;
}

void holdoff_close(struct daemon *d)
{
	loop_disarm(&d->hold_off);
}

static struct known *session_of(struct daemon *d, const char *name)
{
	struct known *k = known_find_name(d, name);

	return k && !(k->rec.flags & CPTDEV_GENL_SESSION_FENCED) ? k : NULL;
}

static const char *refuse(struct daemon *d, const struct known *k, int err, char *why, size_t size)
{
	if (!k || err == -ENOENT)
		return switch_refuse("no-session", why, size,
				     "no program has this session on this host. Next: cptdevctl status");
	if (err == -ENOTTY)
		return switch_refuse("version", why, size,
				     "the engine \"%s\" can't tell a program to wait. Next: engine = soft in cptdevd.conf(5), or hs_hold(3) in the program",
				     d->kernel->ops->name);
	if (err == -EOPNOTSUPP)
		return switch_refuse("version", why, size,
				     "its program wouldn't know: it uses an older libhotspare or cptdev-run, or libckdev alone. Next: install the version of this daemon, and start the program anew");
	return switch_refuse("failed", why, size, "%s", strerror(-err));
}

const char *holdoff_begin(struct daemon *d, const char *name, u32 seconds, char *why, size_t size)
{
	struct known *k = session_of(d, name);
	u64 until = clock_mono() + seconds * NSEC_PER_SEC;
	int ret;

	if (k && k->stopping)
		return switch_refuse("busy", why, size, "it is being switched over. Next: cptdevctl status");
	ret = k ? kernel_hold_off(d->kernel, k->rec.id, until) : -ENOENT;
	if (ret)
		return refuse(d, k, ret, why, size);
	if (!k->off.until)
		k->off.since_wall = clock_wall();
	k->off.until = until;
	arm(d);
	news_session(d, k, "held-off");
	return NULL;
}

const char *holdoff_end(struct daemon *d, const char *name, char *why, size_t size)
{
	struct known *k = session_of(d, name);

	if (!k)
		return refuse(d, k, -ENOENT, why, size);
	if (!k->off.until)
		return switch_refuse("not-held-off", why, size,
				     "its checkpoints aren't held off: it may have been released, or the time is over. Next: cptdevctl status");
	end(d, k);
	arm(d);
	return NULL;
}
