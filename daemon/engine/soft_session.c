// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The soft engine: sessions, what they published, and the spares that follow them. The rules
 * are those of the module (module/publish.c): each snapshot holds what changed since the one
 * before, what nobody has taken yet grows into a few instead of queueing up, and a spare that
 * lacks more than is kept makes the next one reach back to what it has.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "boottime.h"
#include "name.h"
#include "soft_parts.h"

static u64 session_held(const struct soft_session *se)
{
	struct soft_snap *snap;
	u64 pages = 0;

	TAILQ_FOREACH(snap, &se->published, entry)
		pages += snap->pages;
	return pages * SOFT_PAGE;
}

static u64 held(const struct soft *s)
{
	struct soft_session *se;
	u64 n = 0;

	LIST_FOREACH(se, &s->sessions, entry)
		n += session_held(se);
	return n;
}

const struct session_rec *soft_session_rec(struct soft_session *se)
{
	const struct soft_follow *f;

	se->rec.held = session_held(se);
	se->rec.attached = 0;
	LIST_FOREACH(f, &se->follows, entry)
		se->rec.attached++;
	return &se->rec;
}

static void show(struct soft_session *se)
{
	soft_state_rec(&se->state, &se->rec);
	soft_page_update(se);
}

static void tell(struct soft *s, struct soft_session *se, u8 cmd)
{
	show(se);
	soft_event(s, cmd, soft_session_rec(se), NULL);
	soft_program_session(s, se);
}

static struct soft_session *session_by_id(const struct soft *s, u64 id)
{
	struct soft_session *se;

	LIST_FOREACH(se, &s->sessions, entry)
		if (se->rec.id == id)
			return se;
	return NULL;
}

bool soft_session_of_other(const struct soft *s, const char *name, u32 uid)
{
	struct soft_session *se;

	LIST_FOREACH(se, &s->sessions, entry)
		if (!strcmp(se->rec.name, name))
			return se->rec.uid != uid;
	return false;
}

static int name_free(struct soft *s, const char *name, const struct soft_caller *who)
{
	const struct soft_replica *r = soft_replica_find(s, name);
	struct soft_session *se;
	u32 own = 0;

	LIST_FOREACH(se, &s->sessions, entry) {
		if (!strcmp(se->rec.name, name))
			return -EEXIST;
		own += se->rec.uid == who->uid;
	}
	/* A name is one user's, for sessions and replicas alike. */
	if (r && r->rec.uid != who->uid && !who->capable)
		return -EACCES;
	return own >= SOFT_USER_SESSIONS && !who->capable ? -EDQUOT : 0;
}

int soft_session_setup(struct soft *s, const struct cptdev_session_setup *arg,
		       const struct soft_caller *who, u32 pid, struct soft_session **sep)
{
	const char *name = (const char *)arg->name;
	struct soft_session *se;
	int ret;

	if (arg->flags & ~CPTDEV_SESSION_REPLACE)
		return -EOPNOTSUPP;
	if (!name_valid(name, strnlen(name, sizeof(arg->name))) ||
	    arg->term > CPTDEV_TERM_MAX)
		return -EINVAL;
	ret = name_free(s, name, who);
	if (ret)
		return ret;
	se = calloc(1, sizeof(*se));
	if (!se)
		return -ENOMEM;
	if (getrandom(se->rec.uuid, sizeof(se->rec.uuid), 0) != sizeof(se->rec.uuid)) {
		free(se);
		return -EIO;
	}
	TAILQ_INIT(&se->published);
	se->base = SOFT_NO_BASE;
	se->page_fd = -1;
	se->rec.id = ++s->last_id;
	memcpy(se->rec.name, name, strlen(name));
	se->rec.term = arg->term ? arg->term : 1;
	se->rec.pid = pid;
	se->rec.uid = who->uid;
	/* It knows no limits but its own. */
	se->rec.user_held_max = se->rec.user_held = se->rec.group_left = UINT64_MAX;
	se->rec.held_max = arg->held_max ? MIN(arg->held_max, s->held_max) : s->held_max;
	if (arg->flags & CPTDEV_SESSION_REPLACE)
		se->rec.flags |= CPTDEV_GENL_SESSION_REPLACE;
	LIST_INSERT_HEAD(&s->sessions, se, entry);
	*sep = se;
	if (s->output)
		s->output->begin(s->output, se->rec.name);
	tell(s, se, CPTDEV_CMD_SESSION_NEW_NTF);
	return 0;
}

static void snap_unlist(struct soft_session *se, struct soft_snap *snap)
{
	TAILQ_REMOVE(&se->published, snap, entry);
	soft_snap_put(snap);
}

static struct soft_follow *follow_find(const struct soft_session *se, int fd)
{
	struct soft_follow *f;

	LIST_FOREACH(f, &se->follows, entry)
		if (f->fd == fd)
			return f;
	return NULL;
}

static void follow_remove(struct soft *s, struct soft_follow *f)
{
	soft_file(s, f->fd)->nr_follows--;
	LIST_REMOVE(f, entry);
	free(f);
}

/* Most devices follow nothing: they are opened for a call. */
void soft_session_unfollow(struct soft *s, int fd)
{
	struct soft_session *se;
	struct soft_follow *f;

	for (se = LIST_FIRST(&s->sessions); se && soft_file(s, fd)->nr_follows; se = LIST_NEXT(se, entry)) {
		f = follow_find(se, fd);
		if (f)
			follow_remove(s, f);
	}
}

void soft_session_end(struct soft *s, struct soft_session *se)
{
	soft_event(s, CPTDEV_CMD_SESSION_GONE_NTF, soft_session_rec(se), NULL);
	if (s->output)
		s->output->end(s->output, se->rec.name);
	while (!LIST_EMPTY(&se->follows))
		follow_remove(s, LIST_FIRST(&se->follows));
	while (!TAILQ_EMPTY(&se->published))
		snap_unlist(se, TAILQ_FIRST(&se->published));
	LIST_REMOVE(se, entry);
	soft_page_close(se);
	free(se);
}

/*
 * Publishing
 */

u64 soft_session_reach(const struct soft_session *se)
{
	return MIN(se->rec.published, se->base);
}

static u64 entries(const struct soft_snap *snap)
{
	return snap->pages + snap->nr_extents;
}

/*
 * Merging visits both, so a small one isn't merged into a large one each time. A waiting one
 * grows until it is half of the one before it.
 */
#define MERGE_ALWAYS	1024ULL

static bool merge_worthwhile(const struct soft_snap *waiting, const struct soft_snap *snap)
{
	return entries(waiting) <= MAX(MERGE_ALWAYS, 2 * entries(snap));
}

/* The waiting snapshot that @snap continues and should take in, or NULL. */
static struct soft_snap *pending(const struct soft_session *se, const struct soft_snap *snap)
{
	struct soft_snap *last;

	TAILQ_FOREACH_REVERSE(last, &se->published, soft_snaps, entry)
		if (last->generation <= snap->base)
			return last->generation == snap->base && !last->taken &&
				merge_worthwhile(last, snap) ? last : NULL;
	return NULL;
}

/* Take in those that wait, the newest first. Takes over @snap. */
static struct soft_snap *merge_all(struct soft_session *se, struct soft_snap *snap)
{
	struct soft_snap *old, *merged;

	while ((old = pending(se, snap))) {
		merged = soft_snap_merge(old, snap);
		if (!merged)
			break;
		soft_snap_put(snap);
		snap = merged;
	}
	return snap;
}

/* Give up what nobody has fetched: the next one reaches back, who waits is told. */
static bool drop_untaken(struct soft *s, struct soft_session *se)
{
	struct soft_snap *snap, *next;
	bool any = false;

	for (snap = TAILQ_FIRST(&se->published); snap; snap = next) {
		next = TAILQ_NEXT(snap, entry);
		if (snap->taken)
			continue;
		se->base = MIN(se->base, snap->base);
		se->cancelled = se->rec.published;
		snap_unlist(se, snap);
		any = true;
	}
	if (any)
		tell(s, se, CPTDEV_CMD_DROPPED_NTF);
	return any;
}

/*
 * Forget what was fetched and isn't open any more: it is on its way to a spare. A spare that needs
 * it all the same, a slow one of several or one whose link broke, asks, and then the next one
 * reaches back to it.
 */
static void forget_taken(struct soft_session *se)
{
	struct soft_snap *snap, *next;

	for (snap = TAILQ_FIRST(&se->published); snap; snap = next) {
		next = TAILQ_NEXT(snap, entry);
		if (snap->taken && snap->refs == 1)
			snap_unlist(se, snap);
	}
}

static bool fits(const struct soft *s, const struct soft_session *se, u64 pages)
{
	u64 more = pages * SOFT_PAGE;

	return session_held(se) + more <= se->rec.held_max && held(s) + more <= s->held_max;
}

/* Is there room, and does it reach back far enough? */
static int publish_check(struct soft *s, struct soft_session *se, const struct soft_snap *snap)
{
	if (snap->base > se->rec.published)
		return -EINVAL;
	if (!fits(s, se, snap->pages))
		forget_taken(se);
	if (!fits(s, se, snap->pages) && drop_untaken(s, se) &&
	    snap->base > soft_session_reach(se))
		return -EILSEQ;
	if (!fits(s, se, snap->pages))
		return -EDQUOT;
	return snap->base > soft_session_reach(se) ? -EILSEQ : 0;
}

static void publish_rec(struct soft_session *se, const struct soft_snap *snap)
{
	u32 i;

	se->rec.last_pages = snap->pages;
	se->rec.ranges = snap->layout.nr;
	se->rec.bytes = 0;
	for (i = 0; i < snap->layout.nr; i++)
		se->rec.bytes += snap->layout.v[i].len;
}

int soft_session_publish(struct soft *s, struct soft_session *se, struct soft_snap *snap)
{
	int ret = publish_check(s, se, snap);
	struct soft_snap *old, *next;

	if (ret) {
		soft_snap_put(snap);
		return ret;
	}
	/* Before anybody hears of it: who has its acknowledgement may go on from there. */
	soft_keep(s, se, snap);
	snap->generation = ++se->rec.generation;
	publish_rec(se, snap);
	snap = merge_all(se, snap);
	/* Older ones whose changes are all in this one are of no use any more. */
	for (old = TAILQ_FIRST(&se->published); old; old = next) {
		next = TAILQ_NEXT(old, entry);
		if (old->base >= snap->base)
			snap_unlist(se, old);
	}
	TAILQ_INSERT_TAIL(&se->published, snap, entry);
	se->rec.published = snap->generation;
	if (snap->base <= se->base)
		se->base = SOFT_NO_BASE;
	se->state.flags &= ~CPTDEV_STATE_WANTED;
	se->output_waits = false;
	if (s->output)
		s->output->published(s->output, se->rec.name, snap->generation);
	soft_program_alive(se);
	tell(s, se, CPTDEV_CMD_SNAPSHOT_NTF);
	return 0;
}

void soft_output_waits(struct soft *s, const char *name)
{
	struct soft_session *se;

	LIST_FOREACH(se, &s->sessions, entry)
		if (!strcmp(se->rec.name, name) && !se->output_waits) {
			se->output_waits = true;
			soft_page_update(se);
			soft_program_session(s, se);
		}
}

bool soft_session_wait(const struct soft_session *se, u64 wanted, bool newest, int *ret)
{
	const struct soft_waited w = {
		.wanted = wanted, .newest = newest, .published = se->rec.published,
		.committed = se->rec.committed, .cancelled = se->cancelled,
	};

	return soft_state_wait(&se->state, &w, clock_mono(), ret);
}

void soft_session_hung(struct soft *s, struct soft_session *se, bool hung)
{
	bool was = se->rec.flags & CPTDEV_GENL_SESSION_HUNG;

	if (hung == was)
		return;
	se->rec.flags ^= CPTDEV_GENL_SESSION_HUNG;
	/* The end of it has no event of its own. */
	soft_event(s, hung ? CPTDEV_CMD_SESSION_HUNG_NTF : CPTDEV_CMD_COMMITTED_NTF,
		   soft_session_rec(se), NULL);
}

int soft_session_hold_off(struct soft *s, u64 id, u64 until)
{
	struct soft_session *se = session_by_id(s, id);

	if (!se)
		return -ENOENT;
	if (!se->heeds)
		return -EOPNOTSUPP;
	se->held_off_until = until;
	soft_page_update(se);
	soft_program_session(s, se);
	return 0;
}

/*
 * The spares
 */

static int follow(struct soft *s, int fd, struct soft_session *se)
{
	struct soft_follow *f;

	if (follow_find(se, fd))
		return 0;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->fd = fd;
	LIST_INSERT_HEAD(&se->follows, f, entry);
	soft_file(s, fd)->nr_follows++;
	return 0;
}

/* The oldest snapshot that brings a spare with @since further, or NULL: *@ret says why. */
static struct soft_snap *delta_find(struct soft *s, struct soft_session *se,
				    const struct cptdev_delta *arg, int *ret)
{
	u64 since = arg->since;
	struct soft_snap *snap;

	TAILQ_FOREACH(snap, &se->published, entry)
		if (snap->generation > since && snap->base <= since)
			return snap;
	*ret = since > se->rec.published ? -EINVAL : -ENODATA;
	if (since >= se->rec.published)
		return NULL;
	/*
	 * Only a new snapshot can help this spare. A WAIT for an older one gets ECANCELED, unless
	 * other spares suffice.
	 */
	se->base = MIN(se->base, since);
	*ret = -ESTALE;
	if (arg->flags & CPTDEV_DELTA_OTHERS)
		return NULL;
	se->cancelled = se->rec.published;
	tell(s, se, CPTDEV_CMD_DROPPED_NTF);
	return NULL;
}

static int delta_open(struct soft *s, struct soft_snap *snap, struct cptdev_delta *arg)
{
	int fd = fcntl(snap->fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	fd = soft_file_add(s, fd, SOFT_SNAPSHOT);
	if (fd < 0)
		return fd;
	snap->taken = true;
	snap->refs++;
	soft_file(s, fd)->snap = snap;
	arg->fd = fd;
	arg->generation = snap->generation;
	arg->base = snap->base;
	arg->pages = snap->pages;
	return 0;
}

int soft_session_delta(struct soft *s, int fd, struct cptdev_delta *arg)
{
	struct soft_session *se = session_by_id(s, arg->session_id);
	struct soft_snap *snap;
	int ret;

	arg->fd = -1;
	if (arg->flags & ~CPTDEV_DELTA_OTHERS)
		return -EOPNOTSUPP;
	if (arg->reserved)
		return -EINVAL;
	if (!se)
		return -ENOENT;
	ret = follow(s, fd, se);
	if (ret)
		return ret;
	snap = delta_find(s, se, arg, &ret);
	return snap ? delta_open(s, snap, arg) : ret;
}

int soft_session_keep(struct soft *s, const struct cptdev_keep *arg)
{
	return soft_keep_ioctl(s, session_by_id(s, arg->session_id), arg);
}

static void ack_committed(struct soft_session *se, u64 generation)
{
	struct soft_snap *snap, *next;

	for (snap = TAILQ_FIRST(&se->published); snap; snap = next) {
		next = TAILQ_NEXT(snap, entry);
		if (snap->generation <= generation)
			snap_unlist(se, snap);
	}
	se->rec.committed = MAX(se->rec.committed, generation);
}

/* Those who listen hear of a change; a lease that goes on is none. */
static void ack_tell(struct soft *s, struct soft_session *se, u32 flags, u64 committed)
{
	u32 changed = se->state.flags ^ flags;

	if (changed & CPTDEV_STATE_FENCED)
		tell(s, se, CPTDEV_CMD_FENCED_NTF);
	else if (changed || se->rec.committed != committed)
		tell(s, se, CPTDEV_CMD_COMMITTED_NTF);
	else
		show(se);
	soft_program_answer(se);
}

int soft_session_ack(struct soft *s, int fd, const struct cptdev_ack *arg)
{
	struct soft_session *se = session_by_id(s, arg->session_id);
	struct soft_follow *f;
	u64 committed;
	u32 flags;
	int ret;

	/* The number of the session comes last, as in the module. */
	ret = soft_state_check(arg, se ? se->rec.published : arg->generation, true);
	if (ret)
		return ret;
	if (!se)
		return -ENOENT;
	f = follow_find(se, fd);
	ret = soft_state_check(arg, se->rec.published, f);
	if (ret)
		return ret;
	flags = se->state.flags;
	committed = se->rec.committed;
	if (arg->generation)
		ack_committed(se, arg->generation);
	soft_state_ack(&se->state, arg, committed);
	if (arg->flags & CPTDEV_ACK_DETACH)
		follow_remove(s, f);
	if (s->output && se->rec.committed != committed)
		s->output->committed(s->output, se->rec.name, se->rec.committed);
	ack_tell(s, se, flags, committed);
	return 0;
}
