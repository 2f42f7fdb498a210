// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel that plays the module: descriptors, sessions, events. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boottime.h"
#include "fake.h"
#include "soft_parts.h"

static struct fake *to_fake(struct kernel *k)
{
	return container_of(k, struct fake, kernel);
}

static void session_event(struct fake *f, u8 cmd, const struct fake_session *s)
{
	soft_event(&f->soft, cmd, &s->rec, NULL);
}

/*
 * Sessions
 */

struct fake_session *fake_session(struct fake *f, const char *name, u32 pages)
{
	return fake_session_with(f, name, pages, 1, 0);
}

struct fake_session *fake_session_with(struct fake *f, const char *name, u32 pages,
				       u64 term, u32 flags)
{
	struct fake_session *s = f->session;
	u32 i;

	while (s->used)
		s++;
	memset(s, 0, sizeof(*s));
	s->used = true;
	s->pages = pages;
	s->segments = 1;
	s->lacked = s->base = ~0ULL;
	s->mem = calloc(pages, FAKE_PAGE);
	s->frozen = calloc(pages, FAKE_PAGE);
	s->changed = calloc(pages, sizeof(*s->changed));
	s->hole = calloc(pages, sizeof(*s->hole));
	s->hole_next = calloc(pages, sizeof(*s->hole_next));
	s->dirty = calloc(pages, sizeof(*s->dirty));
	for (i = 0; i < pages; i++)
		s->dirty[i] = true;
	s->rec.bytes = (u64)pages * FAKE_PAGE;
	s->rec.id = ++f->last_id;
	s->rec.term = term;
	s->rec.flags = flags;
	s->rec.pid = 4711;
	s->rec.uid = 1000;
	strcpy(s->rec.name, name);
	for (i = 0; i < CPTDEV_UUID_LEN; i++)
		s->rec.uuid[i] = rand();
	session_event(f, CPTDEV_CMD_SESSION_NEW_NTF, s);
	return s;
}

static void session_free(struct fake_session *s)
{
	free(s->mem);
	free(s->frozen);
	free(s->changed);
	free(s->dirty);
	free(s->hole);
	free(s->hole_next);
	s->used = false;
}

void fake_session_end_by(struct fake *f, struct fake_session *s, u32 end, u32 code)
{
	s->rec.end = end;
	s->rec.end_code = code;
	session_event(f, CPTDEV_CMD_SESSION_GONE_NTF, s);
	session_free(s);
}

void fake_session_end(struct fake *f, struct fake_session *s)
{
	fake_session_end_by(f, s, CPTDEV_END_CLOSED, 0);
}

void fake_write(struct fake_session *s, u32 page, u8 value)
{
	memset(s->mem + (size_t)page * FAKE_PAGE, value, FAKE_PAGE);
	s->dirty[page] = true;
	s->hole_next[page] = false;
}

void fake_noise(struct fake_session *s, u64 seed)
{
	u64 *to = (u64 *)s->mem;
	size_t i;

	for (i = 0; i < (size_t)s->pages * FAKE_PAGE / sizeof(*to); i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		to[i] = seed ^ seed >> 29;
	}
	for (i = 0; i < s->pages; i++) {
		s->dirty[i] = true;
		s->hole_next[i] = false;
	}
}

void fake_poke(struct fake_session *s, u32 page, u32 offset, u8 value, u32 len)
{
	memset(s->mem + (size_t)page * FAKE_PAGE + offset, value, len);
	s->dirty[page] = true;
	s->hole_next[page] = false;
}

void fake_punch(struct fake_session *s, u32 page)
{
	memset(s->mem + (size_t)page * FAKE_PAGE, 0, FAKE_PAGE);
	s->dirty[page] = true;
	s->hole_next[page] = true;
}

static void keep(struct fake *f, struct fake_session *s);

u64 fake_publish(struct fake *f, struct fake_session *s)
{
	u32 i;

	memcpy(s->frozen, s->mem, (size_t)s->pages * FAKE_PAGE);
	memcpy(s->hole, s->hole_next, s->pages * sizeof(*s->hole));
	s->rec.published = ++s->rec.generation;
	for (i = 0; i < s->pages; i++)
		if (s->dirty[i])
			s->changed[i] = s->rec.generation;
	memset(s->dirty, 0, s->pages * sizeof(*s->dirty));
	s->state.flags &= ~CPTDEV_STATE_WANTED;
	s->rec.flags &= ~CPTDEV_GENL_SESSION_WANTED;
	s->base = ~0ULL;
	if (s->reach_next) {
		s->reach = 0;
		s->base = s->lacked;
		s->lacked = ~0ULL;
	}
	s->reach_next = false;
	keep(f, s);
	session_event(f, CPTDEV_CMD_SNAPSHOT_NTF, s);
	return s->rec.generation;
}

static struct fake_session *session_by_id(struct fake *f, u64 id)
{
	int i;

	for (i = 0; i < FAKE_SESSIONS; i++)
		if (f->session[i].used && f->session[i].rec.id == id)
			return &f->session[i];
	return NULL;
}

u32 fake_attached(const struct fake *f, const struct fake_session *s)
{
	u32 i, n = 0;

	for (i = 0; i < FAKE_FDS; i++)
		n += f->fd[i].kind == FAKE_DEVICE && f->fd[i].follows[s - f->session];
	return n;
}

u32 fake_open_fds(const struct fake *f)
{
	u32 i, n = 0;

	for (i = 0; i < FAKE_FDS; i++)
		n += f->fd[i].kind == FAKE_SNAPSHOT;
	for (i = 0; i < f->soft.nr_files; i++)
		n += !!f->soft.file[i];
	return n;
}

/*
 * Snapshots
 */

/* What it is: as it was published, or now. */
struct fake_content {
	const u8 *mem;
	const bool *hole;
};

static void snapshot_add(struct fake_fd *s, int fd, const struct fake_content *from, u32 page)
{
	u32 kind = from->hole[page] ? CPTDEV_EXTENT_HOLE : CPTDEV_EXTENT_DATA;
	u64 addr = FAKE_BASE + (u64)page * FAKE_PAGE;
	struct cptdev_extent *last = &s->extents[s->info.extents - 1];

	if (s->info.extents && last->kind == kind && last->addr + last->len == addr)
		last->len += FAKE_PAGE;
	else
		s->extents[s->info.extents++] = (struct cptdev_extent) {
			.addr = addr, .len = FAKE_PAGE, .kind = kind,
		};
	if (kind == CPTDEV_EXTENT_HOLE)
		return;
	if (pwrite(fd, from->mem + (size_t)page * FAKE_PAGE, FAKE_PAGE,
		   s->info.pages * FAKE_PAGE) != FAKE_PAGE)
		abort();
	s->info.pages++;
}

static int snapshot_empty(struct fake *f, struct fake_session *from, u64 since)
{
	int fd = memfd_create("fake", MFD_CLOEXEC);
	struct fake_fd *s;

	if (fd < 0 || fd >= FAKE_FDS)
		return -EMFILE;
	s = &f->fd[fd];
	*s = (struct fake_fd) { .kind = FAKE_SNAPSHOT };
	s->session = from;
	s->extents = calloc(from->pages + 1, sizeof(*s->extents));
	s->info.kind = CPTDEV_IMAGE_SNAPSHOT;
	memcpy(s->info.uuid, from->rec.uuid, CPTDEV_UUID_LEN);
	s->info.term = from->rec.term;
	s->info.generation = from->rec.published;
	s->info.base = since;
	s->info.segments = from->segments;
	s->info.meta_len = from->meta_len;
	if (from->rec.flags & CPTDEV_GENL_SESSION_REPLACE)
		s->info.state |= CPTDEV_IMAGE_REPLACE;
	return fd;
}

static int snapshot_new(struct fake *f, struct fake_session *from, u64 since)
{
	const struct fake_content content = { from->frozen, from->hole };
	int fd = snapshot_empty(f, from, since);
	u32 i;

	for (i = 0; fd >= 0 && i < from->pages; i++)
		if (from->changed[i] > since)
			snapshot_add(&f->fd[fd], fd, &content, i);
	if (fd < 0)
		return fd;
	from->deltas++;
	from->delta_pages += f->fd[fd].info.pages;
	return fd;
}

/* What a round takes: everything, what changed, or what changed and has not changed again. */
static bool round_takes(const struct fake_session *s, const struct cptdev_round *arg, u32 page)
{
	bool changed = s->changed[page] > arg->base;

	if (arg->flags & CPTDEV_ROUND_COOL)
		return changed && !s->dirty[page];
	return !arg->base || changed || s->dirty[page];
}

static int round_new(struct fake *f, struct fake_session *s, struct cptdev_round *arg)
{
	const struct fake_content content = { s->mem, s->hole_next };
	int fd = snapshot_empty(f, s, arg->base);
	u32 page = arg->addr ? (arg->addr - FAKE_BASE) / FAKE_PAGE : 0;
	u64 taken = 0;

	for (; fd >= 0 && page < s->pages && taken < arg->pages; page++) {
		if (!round_takes(s, arg, page))
			continue;
		if (arg->base || !s->hole_next[page])
			snapshot_add(&f->fd[fd], fd, &content, page);
		if (s->dirty[page])
			s->changed[page] = s->rec.generation;
		s->dirty[page] = false;
		taken++;
	}
	if (fd < 0)
		return fd;
	f->fd[fd].info.generation = s->rec.generation;
	f->fd[fd].info.meta_len = 0;
	arg->pages = f->fd[fd].info.pages;
	arg->addr = page < s->pages ? FAKE_BASE + (u64)page * FAKE_PAGE : 0;
	return fd;
}

static int snapshot_layout(const struct fake_session *s, u64 segments,
			   struct cptdev_image_vec *arg)
{
	struct cptdev_segment *seg = (void *)(unsigned long)arg->vec;
	u32 each = s->pages / segments;
	u64 i;

	arg->nr = 0;
	for (i = arg->start; i < segments && arg->nr < arg->vec_len; i++) {
		u32 pages = i + 1 == segments ? s->pages - i * each : each;

		seg[arg->nr++] = (struct cptdev_segment) {
			.addr = FAKE_BASE + i * each * FAKE_PAGE,
			.len = (u64)pages * FAKE_PAGE,
			.kind = CPTDEV_SEGMENT_ANON, .prot = 3,
		};
	}
	arg->next = i;
	return 0;
}

static int snapshot_ioctl(struct fake_fd *s, unsigned int cmd, void *uarg)
{
	struct cptdev_image_vec *arg = uarg;
	u64 left;

	switch (cmd) {
	case CPTDEV_IOC_IMAGE_INFO:
		*(struct cptdev_image_info *)uarg = s->info;
		return 0;
	case CPTDEV_IOC_IMAGE_LAYOUT:
		return snapshot_layout(s->session, s->info.segments, arg);
	case CPTDEV_IOC_IMAGE_EXTENTS:
		left = s->info.extents - arg->start;
		arg->nr = MIN(left, arg->vec_len);
		memcpy((void *)(unsigned long)arg->vec, s->extents + arg->start,
		       arg->nr * sizeof(*s->extents));
		arg->next = arg->start + arg->nr;
		return 0;
	case CPTDEV_IOC_IMAGE_META:
		arg->nr = s->info.meta_len;
		memcpy((void *)(unsigned long)arg->vec, s->session->meta, arg->nr);
		return 0;
	}
	return -ENOTTY;
}

/* What was published is kept by the soft engine's code: since what it has kept. */
static void keep(struct fake *f, struct fake_session *s)
{
	const struct soft_replica *r = soft_replica_find(&f->soft, s->rec.name);
	bool same = r && r->kept && !memcmp(r->rec.uuid, s->rec.uuid, CPTDEV_UUID_LEN);
	struct soft_session se = { .rec = s->rec, .state = s->state, .keeps = s->keeps };
	struct cptdev_segment seg[64];
	struct cptdev_image_vec vec = { .vec = (unsigned long)seg, .vec_len = ARRAY_SIZE(seg) };
	struct soft_snap snap = { .base = same ? r->rec.generation : 0 };
	int fd;

	if (!s->keeps)
		return;
	fd = snapshot_new(f, s, snap.base);
	s->deltas--;
	s->delta_pages -= f->fd[fd].info.pages;
	snapshot_layout(s, MIN(s->segments, ARRAY_SIZE(seg)), &vec);
	snap.fd = fd;
	snap.extents = f->fd[fd].extents;
	snap.nr_extents = f->fd[fd].info.extents;
	snap.layout = (struct soft_layout) { .v = seg, .nr = vec.nr };
	snap.meta = (struct soft_blob) { .v = s->meta, .len = s->meta_len };
	se.rec.generation--;
	soft_keep(&f->soft, &se, &snap);
	s->keeps = se.keeps;
	f->kernel.ops->close(&f->kernel, fd);
}

static int device_keep(struct fake *f, const struct cptdev_keep *arg)
{
	struct fake_session *s = session_by_id(f, arg->session_id);

	if (!s)
		return -ENOENT;
	s->keeps = !(arg->flags & CPTDEV_KEEP_STOP);
	return 0;
}

/*
 * The device
 */

static int device_delta(struct fake *f, int fd, struct cptdev_delta *arg)
{
	struct fake_session *s = session_by_id(f, arg->session_id);

	f->asked++;
	if (arg->flags & ~(CPTDEV_DELTA_OTHERS | CPTDEV_DELTA_AFRESH))
		return -EOPNOTSUPP;
	if (!s)
		return -ENOENT;
	if (f->fail_delta)
		return -f->fail_delta;
	f->fd[fd].follows[s - f->session] = true;
	if (arg->since > s->rec.generation)
		return -EINVAL;
	if (arg->since >= s->rec.published && !(arg->flags & CPTDEV_DELTA_AFRESH))
		return -ENODATA;
	if (arg->since >= s->rec.published) {
		s->cancelled = s->rec.published;
		session_event(f, CPTDEV_CMD_DROPPED_NTF, s);
		return -ESTALE;
	}
	if (arg->since < s->reach) {
		/* The next publication reaches back; the module tells each time. */
		s->reach_next = true;
		s->lacked = MIN(s->lacked, arg->since);
		if (!(arg->flags & CPTDEV_DELTA_OTHERS)) {
			s->cancelled = s->rec.published;
			session_event(f, CPTDEV_CMD_DROPPED_NTF, s);
		}
		return -ESTALE;
	}
	arg->fd = snapshot_new(f, s, MIN(arg->since, s->base));
	return arg->fd < 0 ? arg->fd : 0;
}

static int device_round(struct fake *f, struct cptdev_round *arg)
{
	struct fake_session *s = session_by_id(f, arg->session_id);

	if (!s)
		return -ENOENT;
	if (s->busy) {
		s->busy--;
		return -EAGAIN;
	}
	if (!arg->base && s->rec.published && !s->reach)
		return -ENODATA;
	if (arg->base > s->rec.generation || arg->pass > s->rec.generation ||
	    arg->pages < CPTDEV_ROUND_MIN || (arg->pass && arg->base >= arg->pass))
		return -EINVAL;
	if (!arg->pass || arg->pass != s->rec.generation)
		s->rec.generation++;
	if (!arg->pass)
		arg->pass = s->rec.generation;
	arg->fd = round_new(f, s, arg);
	if (arg->fd < 0)
		return arg->fd;
	s->rounds++;
	if (s->on_round)
		s->on_round(s);
	return 0;
}

void fake_limit(struct fake *f, struct fake_session *s)
{
	session_event(f, CPTDEV_CMD_LIMIT_NTF, s);
}

/* The engine's rules, and its answers to a caller that isn't attached. */
static int device_ack(struct fake *f, int fd, const struct cptdev_ack *arg)
{
	struct fake_session *s = session_by_id(f, arg->session_id);
	struct soft_state before;
	int ret;

	if (f->fail_ack)
		return -f->fail_ack;
	if (!s)
		return -ENOENT;
	ret = soft_state_check(arg, s->rec.published, f->fd[fd].follows[s - f->session]);
	if (ret)
		return ret;
	before = s->state;
	soft_state_ack(&s->state, arg, s->rec.committed);
	soft_state_rec(&s->state, &s->rec);
	if (arg->flags & CPTDEV_ACK_DETACH)
		f->fd[fd].follows[s - f->session] = false;
	s->rec.committed = MAX(s->rec.committed, arg->generation);
	s->fenced = s->state.flags & CPTDEV_STATE_FENCED;
	if (~before.flags & s->state.flags & CPTDEV_STATE_FENCED)
		session_event(f, CPTDEV_CMD_FENCED_NTF, s);
	else if (arg->generation || before.flags != s->state.flags)
		session_event(f, CPTDEV_CMD_COMMITTED_NTF, s);
	return 0;
}

void fake_hang(struct fake *f, struct fake_session *s, bool hung)
{
	s->rec.flags &= ~CPTDEV_GENL_SESSION_HUNG;
	if (hung)
		s->rec.flags |= CPTDEV_GENL_SESSION_HUNG;
	session_event(f, hung ? CPTDEV_CMD_SESSION_HUNG_NTF : CPTDEV_CMD_COMMITTED_NTF, s);
}

bool fake_allows(const struct fake_session *s)
{
	return soft_state_allows(&s->state, clock_mono());
}

/*
 * The table
 */

static int fake_open(struct kernel *k)
{
	struct fake *f = to_fake(k);
	int fd = f->absent ? -ENOENT : f->soft.kernel.ops->open(&f->soft.kernel);

	if (fd >= FAKE_FDS)
		abort();
	if (fd >= 0)
		f->fd[fd] = (struct fake_fd) { .kind = FAKE_DEVICE };
	return fd;
}

static void fake_close(struct kernel *k, int fd)
{
	struct fake *f = to_fake(k);
	bool snapshot = f->fd[fd].kind == FAKE_SNAPSHOT;

	if (!snapshot && !soft_file(&f->soft, fd))
		abort();
	free(f->fd[fd].extents);
	memset(&f->fd[fd], 0, sizeof(f->fd[fd]));
	if (snapshot)
		close(fd);
	else
		f->soft.kernel.ops->close(&f->soft.kernel, fd);
}

/* What a test wants to fail: errno, once. */
static int injected(int *fail)
{
	int ret = *fail;

	*fail = 0;
	return -ret;
}

/* What the engine answers, with the limits that the test wants it to have. */
static int soft_call(struct fake *f, int fd, unsigned int cmd, void *arg)
{
	struct kernel *soft = &f->soft.kernel;
	int ret;

	f->soft.replica_max = f->limit ? f->limit * FAKE_PAGE : FAKE_REPLICA_MAX;
	ret = soft->ops->ioctl(soft, fd, cmd, arg);
	if (cmd == CPTDEV_IOC_INFO && f->limit_hidden)
		((struct cptdev_info *)arg)->replica_max = 0;
	if (cmd == CPTDEV_IOC_IMAGE_INFO && f->limit_hidden)
		((struct cptdev_image_info *)arg)->max_bytes = FAKE_REPLICA_MAX;
	return ret == -EDQUOT && f->limit_hidden ? -ENOMEM : ret;
}

static int fake_ioctl(struct kernel *k, int fd, unsigned int cmd, void *arg)
{
	struct fake *f = to_fake(k);
	int ret = 0;

	if (f->fd[fd].kind == FAKE_SNAPSHOT)
		return snapshot_ioctl(&f->fd[fd], cmd, arg);
	switch (cmd) {
	case CPTDEV_IOC_DELTA:
		return device_delta(f, fd, arg);
	case CPTDEV_IOC_ROUND:
		return device_round(f, arg);
	case CPTDEV_IOC_ACK:
		return device_ack(f, fd, arg);
	case CPTDEV_IOC_KEEP:
		return device_keep(f, arg);
	case CPTDEV_IOC_REPLICA_STAGE:
		f->stages++;
		ret = injected(&f->fail_stage);
		break;
	case CPTDEV_IOC_REPLICA_COMMIT:
		ret = injected(&f->fail_commit);
		break;
	}
	return ret ? ret : soft_call(f, fd, cmd, arg);
}

static ssize_t fake_read(struct kernel *k, int fd, void *buf, size_t len, u64 pos)
{
	struct kernel *soft = &to_fake(k)->soft.kernel;

	return soft->ops->read(soft, fd, buf, len, pos);
}

static int fake_create(struct kernel *k, const char *name, u32 uid)
{
	struct kernel *soft = &to_fake(k)->soft.kernel;

	return soft->ops->create(soft, name, uid);
}

static int fake_listen(struct kernel *k)
{
	struct kernel *soft = &to_fake(k)->soft.kernel;

	return soft->ops->listen(soft);
}

void fake_lose_events(struct fake *f)
{
	f->overflow = true;
	eventfd_write(f->soft.eventfd, 1);
}

static void ignore(const struct kernel_event *ev, void *arg)
{
	(void)ev;
	(void)arg;
}

/* As the module's, which everybody may listen to: without UUID and term of a replica. */
struct listener {
	kernel_event_fn fn;
	void *arg;
};

static void event_bare(const struct kernel_event *ev, void *arg)
{
	const struct listener *l = arg;
	struct kernel_event bare = *ev;
	struct replica_rec rec;

	if (ev->replica) {
		rec = *ev->replica;
		rec.term = 0;
		memset(rec.uuid, 0, sizeof(rec.uuid));
		bare.replica = &rec;
	}
	l->fn(&bare, l->arg);
}

static int fake_replica_whole(struct kernel *k, struct replica_rec *rec)
{
	struct fake *f = to_fake(k);
	struct soft_replica *r = soft_replica_find(&f->soft, rec->name);

	f->replicas_asked++;
	if (!r)
		return -ENOENT;
	*rec = *soft_replica_rec(&f->soft, r);
	return 0;
}

static int fake_events(struct kernel *k, kernel_event_fn fn, void *arg)
{
	struct listener l = { fn, arg };
	struct fake *f = to_fake(k);
	struct kernel *soft = &f->soft.kernel;

	if (f->fail_events)
		return -f->fail_events;
	if (f->overflow || f->family_changed) {
		int ret = f->overflow ? -ENOBUFS : 1;

		f->overflow = f->family_changed = false;
		soft->ops->events(soft, ignore, NULL);
		return ret;
	}
	return soft->ops->events(soft, event_bare, &l);
}

static int fake_dump(struct kernel *k, u8 cmd, kernel_event_fn fn, void *arg)
{
	struct fake *f = to_fake(k);
	struct kernel_event ev = { .cmd = cmd };
	int i;

	if (f->absent)
		return -ENOENT;
	f->dumps++;
	if (f->fail_dump)
		return -f->fail_dump;
	for (i = 0; cmd == CPTDEV_CMD_SESSION_GET && i < FAKE_SESSIONS; i++) {
		ev.session = &f->session[i].rec;
		if (f->session[i].used)
			fn(&ev, arg);
	}
	return f->soft.kernel.ops->dump(&f->soft.kernel, cmd, fn, arg);
}

static int fake_hold_off(struct kernel *k, u64 id, u64 until)
{
	struct fake *f = to_fake(k);
	int i;

	for (i = 0; i < FAKE_SESSIONS; i++) {
		if (!f->session[i].used || f->session[i].rec.id != id)
			continue;
		if (!f->session[i].deaf)
			f->session[i].held_off = until;
		return f->session[i].deaf ? -EOPNOTSUPP : 0;
	}
	return -ENOENT;
}

static const struct kernel_ops fake_ops = {
	.name	= "module",
	.lends	= true,
	.open	= fake_open,
	.close	= fake_close,
	.ioctl	= fake_ioctl,
	.read	= fake_read,
	.create	= fake_create,
	.listen	= fake_listen,
	.events	= fake_events,
	.dump	= fake_dump,
	.replica = fake_replica_whole,
	.hold_off = fake_hold_off,
};

void fake_init(struct fake *f)
{
	memset(f, 0, sizeof(*f));
	f->kernel.ops = &fake_ops;
	if (soft_open(&f->soft, FAKE_REPLICA_MAX))
		abort();
}

/* Descriptors that are still open lead nowhere from here on. */
void fake_free(struct fake *f)
{
	int i;

	for (i = 0; i < FAKE_SESSIONS; i++)
		if (f->session[i].used)
			session_free(&f->session[i]);
	soft_close(&f->soft);
}

/*
 * Replicas
 */

struct soft_replica *fake_replica(struct fake *f, const char *name)
{
	return soft_replica_find(&f->soft, name);
}

void fake_replica_remove(struct fake *f, struct soft_replica *r)
{
	soft_replica_remove(&f->soft, r);
}

u64 fake_replica_pages(const struct fake *f)
{
	return soft_replica_bytes(&f->soft) / FAKE_PAGE;
}

u8 *fake_page(const struct soft_replica *r, u32 page)
{
	static u8 data[FAKE_PAGE];
	u64 index = FAKE_BASE / FAKE_PAGE + page;

	if (!soft_set_has(&r->content.set, index))
		return NULL;
	if (soft_pages_read(&r->content, index, data))
		abort();
	return data;
}

void fake_flip(struct soft_replica *r, u32 page, u32 offset)
{
	u8 *data = fake_page(r, page);
	u64 done;

	data[offset] ^= 0x10;
	if (soft_pages_write(&r->content, FAKE_BASE / FAKE_PAGE + page, data, 1, &done))
		abort();
}

bool fake_same(const struct soft_replica *r, const struct fake_session *s)
{
	static const u8 zeros[FAKE_PAGE];
	u32 i;

	if (!r || r->rec.generation != s->rec.published)
		return false;
	for (i = 0; i < s->pages; i++) {
		const u8 *page = fake_page(r, i);

		if (memcmp(page ? page : zeros, s->frozen + (size_t)i * FAKE_PAGE, FAKE_PAGE))
			return false;
	}
	return r->layout.nr == s->segments && r->meta.len == s->meta_len &&
		!memcmp(r->meta.v, s->meta, s->meta_len);
}
