// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: the watchdog of a session. The program promises signs of life. If none comes in time,
 * the module sends one event. Time during which the machine is suspended doesn't count: neither
 * CLOCK_MONOTONIC nor jiffies advance then.
 *
 * session->pub_lock guards the state and the timer together, so the timer always belongs to the
 * newest promise. session->hung changes under cptdev_sessions_lock, and the event is sent under
 * the same lock: listeners get the events in the order of the changes, and none after the end of
 * the session.
 */
#include <linux/bits.h>
#include <linux/jiffies.h>

#include "cptdev.h"

/* So that the sum with the present time doesn't overflow: 146 years. */
#define LONGEST		BIT_ULL(62)

static void alive_arm(struct cptdev_session *s, u64 ns)
{
	/* A part of the first jiffy is over already. */
	mod_delayed_work(cptdev_wq, &s->alive_work, nsecs_to_jiffies(ns) + 1);
}

/* Count from now. A session that ended isn't watched any more. */
static void alive_restart(struct cptdev_session *s)
{
	lockdep_assert_held(&s->pub_lock);
	if (!s->alive_ns || s->ended) {
		cancel_delayed_work(&s->alive_work);
		return;
	}
	s->alive_until = ktime_get_ns() + s->alive_ns;
	alive_arm(s, s->alive_ns);
}

/* The promised time is over. False: it isn't, or nothing is promised any more. */
static bool alive_over(struct cptdev_session *s)
{
	u64 now = ktime_get_ns();

	lockdep_assert_held(&s->pub_lock);
	if (!s->alive_ns || s->ended)
		return false;
	if (now >= s->alive_until)
		return true;
	/* A sign of life came meanwhile, or the time is longer than a timer takes. */
	alive_arm(s, s->alive_until - now);
	return false;
}

static void alive_work(struct work_struct *work)
{
	struct cptdev_session *s = container_of(to_delayed_work(work),
						struct cptdev_session, alive_work);
	bool hung;

	mutex_lock(&cptdev_sessions_lock);
	spin_lock(&s->pub_lock);
	hung = !s->hung && alive_over(s);
	if (hung)
		s->hung = true;
	spin_unlock(&s->pub_lock);
	/* Nobody was told of a session that isn't listed. */
	if (hung && s->listed)
		cptdev_event_session(s, CPTDEV_CMD_SESSION_HUNG_NTF);
	mutex_unlock(&cptdev_sessions_lock);
}

/* It lives again. The event says that a flag has changed. */
static void alive_again(struct cptdev_session *s)
{
	bool was;

	mutex_lock(&cptdev_sessions_lock);
	spin_lock(&s->pub_lock);
	was = s->hung;
	s->hung = false;
	alive_restart(s);
	spin_unlock(&s->pub_lock);
	if (was && s->listed)
		cptdev_event_session(s, CPTDEV_CMD_COMMITTED_NTF);
	mutex_unlock(&cptdev_sessions_lock);
}

static void alive_now(struct cptdev_session *s)
{
	bool hung;

	spin_lock(&s->pub_lock);
	hung = s->hung;
	if (!hung)
		alive_restart(s);
	spin_unlock(&s->pub_lock);
	if (hung)
		alive_again(s);
}

/* A sign of life of the program, which may have promised none. */
void cptdev_alive_sign(struct cptdev_session *s)
{
	if (READ_ONCE(s->alive_ns))
		alive_now(s);
}

int cptdev_alive(struct cptdev_call *call, void *uarg)
{
	struct cptdev_session *s = call->filp->private_data;
	const struct cptdev_session_alive *arg = uarg;
	int ret;

	if (arg->flags)
		return -EOPNOTSUPP;
	ret = cptdev_session_enter(s);
	if (ret)
		return ret;
	spin_lock(&s->pub_lock);
	WRITE_ONCE(s->alive_ns, min(arg->timeout_ns, LONGEST));
	spin_unlock(&s->pub_lock);
	alive_now(s);
	return 0;
}

void cptdev_alive_init(struct cptdev_session *s)
{
	INIT_DELAYED_WORK(&s->alive_work, alive_work);
}

/* The session has ended: the timer isn't armed again after this. Waits for the worker. */
void cptdev_alive_stop(struct cptdev_session *s)
{
	cancel_delayed_work_sync(&s->alive_work);
}
