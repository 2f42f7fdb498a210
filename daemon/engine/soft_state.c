// SPDX-License-Identifier: GPL-2.0-or-later
/* The soft engine: the rules about the state of a session. */
#include <errno.h>

#include "soft_state.h"

#define ALL_FLAGS	(CPTDEV_ACK_FENCED | CPTDEV_ACK_DETACH | CPTDEV_ACK_LEASE | \
			 CPTDEV_ACK_ALONE | CPTDEV_ACK_WANT | CPTDEV_ACK_BLOCK | \
			 CPTDEV_ACK_UNBLOCK)
/* With these the generation is 0. */
#define NO_GENERATION	(CPTDEV_ACK_FENCED | CPTDEV_ACK_DETACH | CPTDEV_ACK_WANT | \
			 CPTDEV_ACK_BLOCK | CPTDEV_ACK_UNBLOCK)
#define BOTH_BLOCKS	(CPTDEV_ACK_BLOCK | CPTDEV_ACK_UNBLOCK)

int soft_state_check(const struct cptdev_ack *arg, u64 published, bool attached)
{
	u32 flags = arg->flags;
	bool spare = flags & CPTDEV_ACK_DETACH ||
		(arg->generation && !(flags & CPTDEV_ACK_ALONE));

	if (flags & ~ALL_FLAGS)
		return -EOPNOTSUPP;
	if (!flags && !arg->generation)
		return -EINVAL;
	if (flags & NO_GENERATION && arg->generation)
		return -EINVAL;
	if (arg->lease_until_ns && !(flags & CPTDEV_ACK_LEASE))
		return -EINVAL;
	if ((flags & BOTH_BLOCKS) == BOTH_BLOCKS || arg->generation > published)
		return -EINVAL;
	return spare && !attached ? -EINVAL : 0;
}

static void set_lease(struct soft_state *st, u64 until)
{
	if (!until || until > st->lease_until)
		st->lease_until = until;
}

void soft_state_ack(struct soft_state *st, const struct cptdev_ack *arg, u64 committed)
{
	u32 flags = arg->flags;

	if (flags & CPTDEV_ACK_LEASE)
		set_lease(st, arg->lease_until_ns);
	if (flags & CPTDEV_ACK_FENCED)
		st->flags |= CPTDEV_STATE_FENCED;
	if (flags & CPTDEV_ACK_WANT)
		st->flags |= CPTDEV_STATE_WANTED;
	if (flags & CPTDEV_ACK_BLOCK)
		st->flags |= CPTDEV_STATE_BLOCKED;
	if (flags & CPTDEV_ACK_UNBLOCK)
		st->flags &= ~CPTDEV_STATE_BLOCKED;
	if (flags & CPTDEV_ACK_ALONE)
		st->flags |= CPTDEV_STATE_ALONE;
	/* A spare that is behind what was acknowledged without it isn't all that is needed. */
	else if (arg->generation && arg->generation >= committed)
		st->flags &= ~CPTDEV_STATE_ALONE;
}

void soft_state_rec(const struct soft_state *st, struct session_rec *rec)
{
	static const struct {
		u32 state, flag;
	} shown[] = {
		{ CPTDEV_STATE_FENCED, CPTDEV_GENL_SESSION_FENCED },
		{ CPTDEV_STATE_ALONE, CPTDEV_GENL_SESSION_ALONE },
		{ CPTDEV_STATE_BLOCKED, CPTDEV_GENL_SESSION_BLOCKED },
		{ CPTDEV_STATE_WANTED, CPTDEV_GENL_SESSION_WANTED },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(shown); i++) {
		rec->flags &= ~shown[i].flag;
		if (st->flags & shown[i].state)
			rec->flags |= shown[i].flag;
	}
	rec->lease_until = st->lease_until;
}

bool soft_state_allows(const struct soft_state *st, u64 now)
{
	return !(st->flags & CPTDEV_STATE_BLOCKED) &&
		(!st->lease_until || now < st->lease_until);
}

bool soft_state_wait(const struct soft_state *st, const struct soft_waited *w, u64 now,
		     int *ret)
{
	bool done = w->wanted && w->wanted <= w->published && w->committed >= w->wanted &&
		soft_state_allows(st, now);

	/* Without a generation it is asked how the session stands. */
	if (st->flags & CPTDEV_STATE_FENCED && (w->newest || !done))
		*ret = -ESTALE;
	else if (!w->wanted || w->wanted > w->published)
		*ret = -EINVAL;
	else if (done)
		*ret = 0;
	else if (w->committed < w->wanted && w->cancelled >= w->wanted)
		*ret = -ECANCELED;
	else
		return false;
	return true;
}
