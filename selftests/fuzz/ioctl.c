// SPDX-License-Identifier: GPL-2.0-only
/*
 * The grammar of the ioctls: arguments with which each call should work, as far as one
 * can know, and the ways to spoil them. What a call may answer is what
 * Documentation/abi/ioctl.rst says.
 */
#include <stddef.h>

#include "fuzz.h"

/*
 * Pointers and numbers that are wrong, or at a border
 */

uint64_t fuzz_bad_pointer(struct thread *t)
{
	const uint64_t v[] = {
		0, 1, (unsigned long)t->arg_readonly, (unsigned long)t->arg + ARG_LEN,
		(unsigned long)t->arg + ARG_LEN - 3, (unsigned long)t->vec + VEC_LEN,
		0x7ffffffff000ULL - 4, 0x7ffffffff000ULL, 0x8000000000000000ULL,
		0xffff888000000000ULL, 0xffffffff81000000ULL, ~0ULL, ~0ULL - 7,
	};

	return v[rnd(t, sizeof(v) / sizeof(v[0]))];
}

static uint64_t border(struct thread *t, uint64_t was)
{
	const uint64_t v[] = {
		0, 1, was + 1, was - 1, was + PAGE, was - PAGE, was * 2, was | 0x800, ~0ULL,
		~0ULL << 12, 1ULL << 63, (1ULL << 63) - 1, (1ULL << 63) - PAGE, 0x7ffffffff000ULL,
		0x7fffffffe000ULL, 1ULL << 47, 1ULL << 32, 0xffffffffULL, 65536, 65537, 131072,
		131073, ARENA + ARENA_LEN, ARENA - PAGE, was ^ 1ULL << rnd(t, 64),
	};

	return v[rnd(t, sizeof(v) / sizeof(v[0]))];
}

/* Lengths are of arrays that have room for what can come, not for anything. */
static uint32_t bad_length(struct thread *t, uint32_t was)
{
	const uint32_t v[] = {
		0, 1, was + 1, was - 1, was * 2, 511, 512, 513, 1023, 65535, 65536, 65537, 131072,
		131073, 0x7fffffff, 0x80000000, 0xffffffff,
	};

	return v[rnd(t, sizeof(v) / sizeof(v[0]))];
}

/*
 * Arguments that work
 */

static void fill_nothing(struct thread *t, int fd, void *arg)
{
	(void)t;
	(void)fd;
	(void)arg;
}

void fuzz_name(struct thread *t, uint8_t *name)
{
	snprintf((char *)name, CPTDEV_NAME_MAX, "fuzz-%d", (int)rnd(t, FUZZ_NAMES));
}

static struct cptdev_info info_of(struct thread *t, int fd)
{
	struct cptdev_info info = { .size = sizeof(info) };

	if (fuzz_ioctl(t, "INFO", fd, &info))
		memset(&info, 0, sizeof(info));
	return info;
}

static struct cptdev_image_info image_of(struct thread *t, int fd)
{
	struct cptdev_image_info info = { .size = sizeof(info) };

	if (fuzz_ioctl(t, "replica IMAGE_INFO", fd, &info))
		memset(&info, 0, sizeof(info));
	return info;
}

static void fill_setup(struct thread *t, int fd, void *arg)
{
	struct cptdev_session_setup *a = arg;

	(void)fd;
	a->flags = rnd(t, 4) ? 0 : CPTDEV_SESSION_REPLACE;
	fuzz_name(t, a->name);
	a->term = rnd(t, 4);
	a->held_max = rnd(t, 3) ? 0 : rnd(t, 300) * PAGE;
}

static void fill_range(struct thread *t, int fd, void *arg)
{
	struct cptdev_range *a = arg;
	size_t len;

	(void)fd;
	a->addr = (unsigned long)fuzz_pages(t, &len);
	a->len = len;
}

static void fill_add(struct thread *t, int fd, void *arg)
{
	struct cptdev_range *a = arg;

	fill_range(t, fd, arg);
	if (!rnd(t, 8))
		a->flags = CPTDEV_RANGE_EXCL;
}

static void fill_list(struct thread *t, int fd, void *arg)
{
	struct cptdev_range_list *a = arg;

	(void)fd;
	a->vec = (unsigned long)t->vec;
	a->vec_len = rnd(t, 100);
	a->start = rnd(t, 2) ? 0 : ARENA + rnd(t, ARENA_LEN);
}

static void fill_scan(struct thread *t, int fd, void *arg)
{
	struct cptdev_scan *a = arg;
	size_t len;

	(void)fd;
	a->flags = rnd(t, 4);
	if (rnd(t, 2)) {
		a->start = (unsigned long)fuzz_pages(t, &len);
		a->end = rnd(t, 4) ? a->start + len : 0;
	}
	a->vec = (unsigned long)t->vec;
	a->vec_len = rnd(t, 3) ? rnd(t, 8) : rnd(t, 1200);
	a->anyof = rnd(t, 2) ? 0 : rnd(t, 64);
	a->report = rnd(t, 2) ? 0 : rnd(t, 64);
}

static void fill_snapshot(struct thread *t, int fd, void *arg)
{
	struct cptdev_snapshot *a = arg;

	if (rnd(t, 2))
		a->flags |= CPTDEV_SNAPSHOT_PUBLISH;
	if (a->flags && !rnd(t, 3))
		a->flags |= CPTDEV_SNAPSHOT_NOFD;
	if (a->flags && !rnd(t, 8)) {
		a->flags |= CPTDEV_SNAPSHOT_WAIT;
		a->timeout_ns = rnd(t, 2) * 300000;
	}
	if (!rnd(t, 3)) {
		a->flags |= CPTDEV_SNAPSHOT_SINCE;
		a->since = rnd(t, 2) ? 0 : rnd(t, info_of(t, fd).generation + 1);
	}
	if (!rnd(t, 3)) {
		a->meta = (unsigned long)t->vec;
		a->meta_len = rnd(t, 4) ? rnd(t, 100) : CPTDEV_META_MAX;
	}
}

static void fill_alive(struct thread *t, int fd, void *arg)
{
	struct cptdev_session_alive *a = arg;

	(void)fd;
	a->timeout_ns = rnd(t, 4) ? rnd(t, 4) * 1000000 : CPTDEV_FOREVER;
}

static void fill_wait(struct thread *t, int fd, void *arg)
{
	struct cptdev_wait *a = arg;

	a->generation = rnd(t, 2) ? 0 : info_of(t, fd).committed;
	a->timeout_ns = rnd(t, 16) ? rnd(t, 2) * 300000 : CPTDEV_FOREVER;
}

/* A session of this process, which the descriptor follows as a daemon's, or anybody's. */
static uint64_t session_id(struct thread *t, const struct cptdev_info *info)
{
	return rnd(t, 3) ? info->session_id : shared->ids[rnd(t, PROCS * DEVICES)];
}

static void fill_delta(struct thread *t, int fd, void *arg)
{
	struct cptdev_info info = info_of(t, fd);
	struct cptdev_delta *a = arg;
	const uint64_t since[] = { 0, 0, info.committed, info.published };

	a->session_id = session_id(t, &info);
	if (!rnd(t, 3))
		a->flags = rnd(t, 4);
	a->since = since[rnd(t, 4)];
}

/* Of a pass that begins, or that goes on if there was no other cut. */
static void fill_round(struct thread *t, int fd, void *arg)
{
	struct cptdev_info info = info_of(t, fd);
	struct cptdev_round *a = arg;
	size_t len;

	a->session_id = session_id(t, &info);
	if (info.generation && rnd(t, 2))
		a->base = rnd(t, info.generation + 1);
	if (a->base && rnd(t, 2))
		a->flags = CPTDEV_ROUND_COOL;
	if (a->base < info.generation && rnd(t, 2))
		a->pass = info.generation;
	if (rnd(t, 2))
		a->addr = (unsigned long)fuzz_pages(t, &len);
	a->pages = CPTDEV_ROUND_MIN + (rnd(t, 2) ? 0 : rnd(t, 2 * ARENA_PAGES));
	a->pause_ns = rnd(t, 3) ? 0 : 1 + rnd(t, 1000000);
}

static void fill_keep(struct thread *t, int fd, void *arg)
{
	struct cptdev_info info = info_of(t, fd);
	struct cptdev_keep *a = arg;

	a->session_id = session_id(t, &info);
	if (!rnd(t, 4))
		a->flags = CPTDEV_KEEP_STOP;
	else if (!rnd(t, 4))
		a->max_bytes = rnd(t, ARENA_PAGES) * PAGE;
}

static void fill_ack(struct thread *t, int fd, void *arg)
{
	struct cptdev_info info = info_of(t, fd);
	struct cptdev_ack *a = arg;

	a->session_id = session_id(t, &info);
	a->generation = rnd(t, 2) ? info.published : 1;
	if (!rnd(t, 16)) {
		a->flags = rnd(t, 4) ? CPTDEV_ACK_DETACH : CPTDEV_ACK_FENCED;
		a->generation = 0;
	} else if (!rnd(t, 4)) {
		a->flags = CPTDEV_ACK_LEASE << rnd(t, 5);
		if (!(a->flags & (CPTDEV_ACK_LEASE | CPTDEV_ACK_ALONE)) || rnd(t, 2))
			a->generation = 0;
		/* Some that are over, some that last. */
		if (a->flags & CPTDEV_ACK_LEASE)
			a->lease_until_ns = rnd(t, 3) * (1ULL << 40);
	}
}

static void fill_open(struct thread *t, int fd, void *arg)
{
	struct cptdev_replica_open *a = arg;

	(void)fd;
	fuzz_name(t, a->name);
	if (rnd(t, 4))
		a->flags |= CPTDEV_REPLICA_CREATE;
	if (rnd(t, t->privileged ? 8 : 2))
		a->flags |= CPTDEV_REPLICA_WRITE;
	if (a->flags & CPTDEV_REPLICA_CREATE && !rnd(t, 8))
		a->flags |= CPTDEV_REPLICA_EXCL;
	a->max_bytes = rnd(t, 3) ? 0 : rnd(t, 300) * PAGE;
}

static void fill_vec(struct thread *t, int fd, void *arg)
{
	struct cptdev_image_vec *a = arg;

	(void)fd;
	a->vec = (unsigned long)t->vec;
	a->vec_len = rnd(t, 3) ? rnd(t, 64) : rnd(t, 1200);
	a->start = rnd(t, 2) ? 0 : rnd(t, 40);
}

static void fill_replica_extents(struct thread *t, int fd, void *arg)
{
	struct cptdev_image_vec *a = arg;

	fill_vec(t, fd, arg);
	a->start = rnd(t, 2) ? 0 : ARENA + rnd(t, IMAGE_LEN / PAGE) * PAGE;
}

/* Three segments of the image: mostly the same, so that content stays. */
static uint32_t layout(struct thread *t, struct cptdev_segment *seg)
{
	uint64_t cut = ARENA + IMAGE_LEN / 2 + (rnd(t, 8) ? 0 : rnd(t, 16) * PAGE);

	seg[0] = (struct cptdev_segment) {
		.addr = ARENA, .len = cut - ARENA, .kind = CPTDEV_SEGMENT_ANON, .prot = 3,
	};
	seg[1] = (struct cptdev_segment) {
		.addr = cut, .len = ARENA + IMAGE_LEN - cut, .kind = CPTDEV_SEGMENT_FILE,
		.offset = 2 * PAGE, .prot = 1,
	};
	seg[2] = (struct cptdev_segment) {
		.addr = ARENA + IMAGE_LEN + PAGE, .len = 4 * PAGE,
		.kind = CPTDEV_SEGMENT_UNMAPPED,
	};
	return rnd(t, 32) ? 3 : rnd(t, 4);
}

static void fill_begin(struct thread *t, int fd, void *arg)
{
	struct cptdev_image_info info = image_of(t, fd);
	struct cptdev_replica_begin *a = arg;

	memcpy(a->uuid, info.uuid, sizeof(a->uuid));
	if (!rnd(t, 16))
		a->uuid[0]++;
	if (!rnd(t, 4))
		a->flags = CPTDEV_BEGIN_REPLACE;
	a->term = info.term + !!(info.state & CPTDEV_IMAGE_PROMOTED);
	if (!a->term || !rnd(t, 16))
		a->term++;
	a->base = rnd(t, 3) ? info.generation : 0;
	a->generation = info.generation + 1 + rnd(t, 2);
	/* What another thread stages is no less good. */
	if (info.staging && !rnd(t, 3)) {
		a->flags |= CPTDEV_BEGIN_CONTINUE;
		a->base = 0;
		a->generation = info.staging + rnd(t, 2);
	}
	a->layout = (unsigned long)t->vec;
	a->layout_len = layout(t, (void *)t->vec);
	a->meta = (unsigned long)t->data;
	a->meta_len = rnd(t, 4) ? rnd(t, 100) : CPTDEV_META_MAX;
}

static void fill_stage(struct thread *t, int fd, void *arg)
{
	struct cptdev_replica_stage *a = arg;
	struct cptdev_extent *e = (void *)t->vec;
	uint32_t i;

	(void)fd;
	a->vec = (unsigned long)t->vec;
	a->vec_len = 1 + rnd(t, 4);
	a->data = (unsigned long)t->data;
	for (i = 0; i < a->vec_len; i++) {
		uint64_t pages = 1 + rnd(t, 16);

		e[i] = (struct cptdev_extent) {
			.addr = ARENA + rnd(t, IMAGE_LEN / PAGE - 16) * PAGE, .len = pages * PAGE,
			.kind = rnd(t, 3) ? CPTDEV_EXTENT_DATA : CPTDEV_EXTENT_HOLE,
		};
		if (e[i].kind == CPTDEV_EXTENT_DATA)
			a->data_len += e[i].len;
	}
}

static void fill_commit(struct thread *t, int fd, void *arg)
{
	struct cptdev_replica_commit *a = arg;

	a->generation = image_of(t, fd).staging;
}

static void fill_freeze(struct thread *t, int fd, void *arg)
{
	struct cptdev_replica_freeze *a = arg;

	(void)fd;
	a->flags = rnd(t, 4) ? CPTDEV_FREEZE_THAW : 0;
}

static void fill_promote(struct thread *t, int fd, void *arg)
{
	struct cptdev_replica_promote *a = arg;

	a->flags = rnd(t, 2) ? CPTDEV_PROMOTE_AT : 0;
	a->term = rnd(t, 2) ? 0 : image_of(t, fd).term + 1;
}

static void fill_claim(struct thread *t, int fd, void *arg)
{
	struct cptdev_replica_claim *a = arg;

	a->flags = rnd(t, 2) ? CPTDEV_CLAIM_OLD : 0;
	a->term = rnd(t, 2) ? 0 : image_of(t, fd).term;
}

static void fill_copied(struct thread *t, int fd, void *arg)
{
	struct cptdev_replica_copied *a = arg;

	a->commits = rnd(t, image_of(t, fd).commits + 2);
}

static void fill_history(struct thread *t, int fd, void *arg)
{
	struct cptdev_replica_history *a = arg;

	(void)fd;
	a->flags = rnd(t, 2) ? CPTDEV_HISTORY_SET : 0;
	a->vec = (unsigned long)t->data;
	a->vec_len = rnd(t, 40);
	if (a->flags) {
		a->keep = rnd(t, 20);
		a->max_bytes = rnd(t, 3) ? 0 : rnd(t, 100) * PAGE;
	}
}

/* One that is there, mostly; or what the descriptor shows already. */
static void fill_at(struct thread *t, int fd, void *arg)
{
	struct cptdev_replica_at *a = arg;
	uint64_t newest = image_of(t, fd).generation;

	a->generation = rnd(t, 4) ? newest - rnd(t, newest < 8 ? newest + 1 : 8) : 0;
}

/*
 * What to do with an answer
 */

void fuzz_keep(struct thread *t, enum slot slot, int fd)
{
	dup3(fd, fuzz_slot(t, slot), rnd(t, 2) ? O_CLOEXEC : 0);
	close(fd);
}

static void done_info(struct thread *t, const void *arg)
{
	const struct cptdev_info *a = arg;

	shared->ids[t->proc * DEVICES + rnd(t, DEVICES)] = a->session_id;
}

static void done_snapshot(struct thread *t, const void *arg)
{
	const struct cptdev_snapshot *a = arg;

	if (a->fd >= 0)
		fuzz_keep(t, SNAPSHOT, a->fd);
}

static void done_delta(struct thread *t, const void *arg)
{
	const struct cptdev_delta *a = arg;

	fuzz_keep(t, SNAPSHOT, a->fd);
}

static void done_round(struct thread *t, const void *arg)
{
	const struct cptdev_round *a = arg;

	fuzz_keep(t, SNAPSHOT, a->fd);
}

static void done_open(struct thread *t, const void *arg)
{
	const struct cptdev_replica_open *a = arg;

	fuzz_keep(t, REPLICA, a->fd);
}

/*
 * The calls
 */

#define FIELD(s, m, t)	{ offsetof(struct s, m), sizeof(((struct s *)0)->m), t }
#define FIELDS(...)	((const struct field[]){ __VA_ARGS__, { 0 } })
#define NUMBER(s, m)	FIELD(s, m, F_NUMBER)
#define POINTER(s, m)	FIELD(s, m, F_POINTER)
#define LENGTH(s, m)	FIELD(s, m, F_LENGTH)
#define RESERVED(s, m)	FIELD(s, m, F_RESERVED)
#define NAME(s, m)	FIELD(s, m, F_NAME)
#define OUT(s, m)	FIELD(s, m, F_OUT)

static void run_ioctl(struct thread *t, const struct kind *k);

#define OP(_name, _weight, _cmd, _slot, _struct, _known, _flags, _fill, _done, _errors, _fields) \
	{ .name = _name, .weight = _weight, .run = run_ioctl, .flags = _flags,		\
	  .errors = _errors, .cmd = CPTDEV_IOC_##_cmd, .slot = _slot,			\
	  .size = sizeof(struct _struct), .known_flags = _known, .fill = _fill,		\
	  .done = _done, .fields = _fields }

static const struct field range_fields[] = {
	NUMBER(cptdev_range, addr), NUMBER(cptdev_range, len), OUT(cptdev_range, bad_addr),
	OUT(cptdev_range, reason), RESERVED(cptdev_range, reserved), { 0 }
};

static const struct field vec_fields[] = {
	POINTER(cptdev_image_vec, vec), LENGTH(cptdev_image_vec, vec_len),
	OUT(cptdev_image_vec, nr), NUMBER(cptdev_image_vec, start),
	OUT(cptdev_image_vec, next), { 0 }
};

static const struct kind ops[] = {
	OP("INFO", 3, INFO, DEVICE, cptdev_info, 0, 0, fill_nothing, done_info,
	   NO_ERRORS,
	   FIELDS(OUT(cptdev_info, session_id), OUT(cptdev_info, abi_version))),
	OP("SESSION_SETUP", 3, SESSION_SETUP, DEVICE, cptdev_session_setup,
	   CPTDEV_SESSION_REPLACE, OWN, fill_setup, NULL, ERRORS(EINVAL, EEXIST, EBUSY, EACCES),
	   FIELDS(NAME(cptdev_session_setup, name), NUMBER(cptdev_session_setup, term),
		  NUMBER(cptdev_session_setup, held_max))),
	OP("RANGE_ADD", 10, RANGE_ADD, DEVICE, cptdev_range, CPTDEV_RANGE_EXCL, OWN,
	   fill_add, NULL, ERRORS(EINVAL, EFAULT, EOPNOTSUPP, EEXIST, EBUSY, E2BIG),
	   range_fields),
	OP("RANGE_DEL", 4, RANGE_DEL, DEVICE, cptdev_range, 0, OWN, fill_range, NULL,
	   ERRORS(EINVAL, ENOENT, E2BIG),
	   range_fields),
	OP("RANGE_CLEAR", 1, RANGE_CLEAR, DEVICE, cptdev_range, 0, OWN, fill_nothing, NULL,
	   ERRORS(EINVAL),
	   range_fields),
	OP("RANGE_LIST", 4, RANGE_LIST, DEVICE, cptdev_range_list, 0, OWN, fill_list, NULL,
	   NO_ERRORS,
	   FIELDS(POINTER(cptdev_range_list, vec), LENGTH(cptdev_range_list, vec_len),
		  OUT(cptdev_range_list, nr), NUMBER(cptdev_range_list, start),
		  OUT(cptdev_range_list, total))),
	OP("SCAN", 8, SCAN, DEVICE, cptdev_scan,
	   CPTDEV_SCAN_CLEAR_DIRTY | CPTDEV_SCAN_CLEAR_ACCESSED, OWN, fill_scan, NULL,
	   ERRORS(EINVAL, EOPNOTSUPP),
	   FIELDS(NUMBER(cptdev_scan, start), NUMBER(cptdev_scan, end),
		  POINTER(cptdev_scan, vec), LENGTH(cptdev_scan, vec_len), OUT(cptdev_scan, nr),
		  NUMBER(cptdev_scan, anyof), NUMBER(cptdev_scan, report), OUT(cptdev_scan,
		  walk_end), OUT(cptdev_scan, dirty), OUT(cptdev_scan, pages))),
	OP("SNAPSHOT", 12, SNAPSHOT, DEVICE, cptdev_snapshot, 15, OWN | NEW_FD,
	   fill_snapshot, done_snapshot,
	   ERRORS(EINVAL, EMSGSIZE, EDQUOT, E2BIG, EOPNOTSUPP, EFAULT, ETIMEDOUT,
		  EINTR, ECANCELED, ESTALE),
	   FIELDS(NUMBER(cptdev_snapshot, since), POINTER(cptdev_snapshot, meta),
		  LENGTH(cptdev_snapshot, meta_len), OUT(cptdev_snapshot, fd),
		  NUMBER(cptdev_snapshot, timeout_ns), OUT(cptdev_snapshot, copied),
		  OUT(cptdev_snapshot, generation), OUT(cptdev_snapshot, bad_addr),
		  RESERVED(cptdev_snapshot, reserved))),
	OP("SESSION_ALIVE", 4, SESSION_ALIVE, DEVICE, cptdev_session_alive, 0, OWN, fill_alive,
	   NULL, NO_ERRORS,
	   FIELDS(NUMBER(cptdev_session_alive, timeout_ns))),
	OP("WAIT", 4, WAIT, DEVICE, cptdev_wait, 0, OWN, fill_wait, NULL,
	   ERRORS(EINVAL, ETIMEDOUT, EINTR, ECANCELED, ESTALE),
	   FIELDS(NUMBER(cptdev_wait, generation), NUMBER(cptdev_wait, timeout_ns),
		  OUT(cptdev_wait, committed), OUT(cptdev_wait, state),
		  RESERVED(cptdev_wait, reserved))),
	OP("DELTA", 6, DELTA, DEVICE, cptdev_delta, 3, CAP | NEW_FD, fill_delta, done_delta,
	   ERRORS(ENOENT, EINVAL, ENODATA, ESTALE),
	   FIELDS(NUMBER(cptdev_delta, session_id), NUMBER(cptdev_delta, since),
		  OUT(cptdev_delta, fd), RESERVED(cptdev_delta, reserved), OUT(cptdev_delta,
		  pages))),
	OP("ACK", 6, ACK, DEVICE, cptdev_ack, 127, CAP,
	   fill_ack, NULL, ERRORS(ENOENT, EINVAL),
	   FIELDS(NUMBER(cptdev_ack, session_id), NUMBER(cptdev_ack, generation),
		  NUMBER(cptdev_ack, lease_until_ns))),
	OP("ROUND", 8, ROUND, DEVICE, cptdev_round, CPTDEV_ROUND_COOL, CAP | NEW_FD, fill_round,
	   done_round,
	   ERRORS(ENOENT, ESRCH, ENODATA, EINVAL, EAGAIN, EDQUOT, E2BIG, EOPNOTSUPP, EFAULT),
	   FIELDS(NUMBER(cptdev_round, session_id), NUMBER(cptdev_round, base),
		  NUMBER(cptdev_round, pass), NUMBER(cptdev_round, addr),
		  NUMBER(cptdev_round, pages), NUMBER(cptdev_round, pause_ns),
		  OUT(cptdev_round, fd), RESERVED(cptdev_round, reserved))),
	OP("KEEP", 3, KEEP, DEVICE, cptdev_keep, CPTDEV_KEEP_STOP, CAP, fill_keep, NULL,
	   ERRORS(ENOENT),
	   FIELDS(NUMBER(cptdev_keep, session_id), NUMBER(cptdev_keep, max_bytes))),
	OP("REPLICA_OPEN", 10, REPLICA_OPEN, DEVICE, cptdev_replica_open, 7, CAP | NEW_FD,
	   fill_open, done_open, ERRORS(EINVAL, ENOENT, EEXIST, EACCES),
	   FIELDS(NAME(cptdev_replica_open, name), NUMBER(cptdev_replica_open, max_bytes),
		  OUT(cptdev_replica_open, fd), RESERVED(cptdev_replica_open, reserved))),

	OP("snapshot IMAGE_INFO", 3, IMAGE_INFO, SNAPSHOT, cptdev_image_info, 0, 0,
	   fill_nothing, NULL, NO_ERRORS,
	   FIELDS(OUT(cptdev_image_info, kind))),
	OP("snapshot IMAGE_LAYOUT", 3, IMAGE_LAYOUT, SNAPSHOT, cptdev_image_vec, 0, 0,
	   fill_vec, NULL, NO_ERRORS,
	   vec_fields),
	OP("snapshot IMAGE_EXTENTS", 3, IMAGE_EXTENTS, SNAPSHOT, cptdev_image_vec, 0, 0,
	   fill_vec, NULL, NO_ERRORS,
	   vec_fields),
	OP("snapshot IMAGE_META", 3, IMAGE_META, SNAPSHOT, cptdev_image_vec, 0, 0,
	   fill_vec, NULL, NO_ERRORS,
	   vec_fields),
	OP("replica IMAGE_INFO", 3, IMAGE_INFO, REPLICA, cptdev_image_info, 0, 0,
	   fill_nothing, NULL, ERRORS(ESTALE),
	   FIELDS(OUT(cptdev_image_info, kind))),
	OP("replica IMAGE_LAYOUT", 3, IMAGE_LAYOUT, REPLICA, cptdev_image_vec, 0, 0,
	   fill_vec, NULL, ERRORS(ESTALE),
	   vec_fields),
	OP("replica IMAGE_EXTENTS", 3, IMAGE_EXTENTS, REPLICA, cptdev_image_vec, 0, 0,
	   fill_replica_extents, NULL, ERRORS(ESTALE, EINVAL),
	   vec_fields),
	OP("replica IMAGE_META", 3, IMAGE_META, REPLICA, cptdev_image_vec, 0, 0,
	   fill_vec, NULL, ERRORS(ESTALE),
	   vec_fields),

	OP("REPLICA_BEGIN", 6, REPLICA_BEGIN, REPLICA, cptdev_replica_begin,
	   CPTDEV_BEGIN_REPLACE | CPTDEV_BEGIN_CONTINUE, 0, fill_begin, NULL,
	   ERRORS(EBADF, EBUSY, EINVAL, EEXIST, EILSEQ, ESTALE, E2BIG, EMSGSIZE,
	   ENOENT, ERANGE, EDQUOT),
	   FIELDS(NUMBER(cptdev_replica_begin, term), NUMBER(cptdev_replica_begin, base),
		  NUMBER(cptdev_replica_begin, generation), POINTER(cptdev_replica_begin, layout),
		  LENGTH(cptdev_replica_begin, layout_len), LENGTH(cptdev_replica_begin,
		  meta_len), POINTER(cptdev_replica_begin, meta))),
	OP("REPLICA_STAGE", 8, REPLICA_STAGE, REPLICA, cptdev_replica_stage, 0, 0,
	   fill_stage, NULL, ERRORS(EBADF, EINVAL, EFAULT, EDQUOT, ENOENT),
	   FIELDS(POINTER(cptdev_replica_stage, vec), POINTER(cptdev_replica_stage, data),
		  NUMBER(cptdev_replica_stage, data_len), LENGTH(cptdev_replica_stage, vec_len),
		  RESERVED(cptdev_replica_stage, reserved))),
	OP("REPLICA_COMMIT", 5, REPLICA_COMMIT, REPLICA, cptdev_replica_commit, 0, 0,
	   fill_commit, NULL, ERRORS(EBADF, EINVAL, EBUSY, EDQUOT, ENOENT),
	   FIELDS(NUMBER(cptdev_replica_commit, generation), OUT(cptdev_replica_commit,
		  pages))),
	OP("REPLICA_ABORT", 1, REPLICA_ABORT, REPLICA, cptdev_replica_commit, 0, 0,
	   fill_nothing, NULL, ERRORS(EBADF, EINVAL, ENOENT),
	   FIELDS(NUMBER(cptdev_replica_commit, generation), OUT(cptdev_replica_commit,
		  pages))),
	OP("REPLICA_FREEZE", 3, REPLICA_FREEZE, REPLICA, cptdev_replica_freeze,
	   CPTDEV_FREEZE_THAW, 0, fill_freeze, NULL, ERRORS(EACCES),
	   FIELDS(OUT(cptdev_replica_freeze, generation))),
	OP("REPLICA_PROMOTE", 2, REPLICA_PROMOTE, REPLICA, cptdev_replica_promote,
	   CPTDEV_PROMOTE_AT, 0, fill_promote, NULL, ERRORS(EBADF, ESTALE, ENODATA, EINVAL,
	   EOVERFLOW, ENOENT, ERANGE, EBUSY),
	   FIELDS(NUMBER(cptdev_replica_promote, term), OUT(cptdev_replica_promote,
		  generation))),
	OP("REPLICA_CLAIM", 3, REPLICA_CLAIM, REPLICA, cptdev_replica_claim,
	   CPTDEV_CLAIM_OLD, 0, fill_claim, NULL,
	   ERRORS(EINVAL, ESTALE, EALREADY, EACCES, ENOENT),
	   FIELDS(NUMBER(cptdev_replica_claim, term), OUT(cptdev_replica_claim, generation),
		  OUT(cptdev_replica_claim, promoted_ns))),
	OP("REPLICA_COPIED", 3, REPLICA_COPIED, REPLICA, cptdev_replica_copied, 0, 0,
	   fill_copied, NULL, ERRORS(EINVAL, EACCES, ENOENT),
	   FIELDS(NUMBER(cptdev_replica_copied, commits), OUT(cptdev_replica_copied, behind))),
	OP("REPLICA_HISTORY", 3, REPLICA_HISTORY, REPLICA, cptdev_replica_history,
	   CPTDEV_HISTORY_SET, 0, fill_history, NULL, ERRORS(EBADF, EINVAL, EFAULT),
	   FIELDS(POINTER(cptdev_replica_history, vec), LENGTH(cptdev_replica_history, vec_len),
		  OUT(cptdev_replica_history, nr), LENGTH(cptdev_replica_history, keep),
		  RESERVED(cptdev_replica_history, reserved),
		  NUMBER(cptdev_replica_history, max_bytes), OUT(cptdev_replica_history, bytes))),
	OP("REPLICA_AT", 4, REPLICA_AT, REPLICA, cptdev_replica_at, 0, 0, fill_at, NULL,
	   ERRORS(ENODATA, EACCES),
	   FIELDS(NUMBER(cptdev_replica_at, generation))),
	OP("REPLICA_REMOVE", 1, REPLICA_REMOVE, REPLICA, cptdev_replica_remove, 0, 0,
	   fill_nothing, NULL, ERRORS(EACCES),
	   FIELDS({ 0 })),
};

#define NR_OPS	(sizeof(ops) / sizeof(ops[0]))

/*
 * Spoiling them
 */

struct call {
	unsigned long cmd;
	int fd;
	char *arg;
	bool compat;
};

static void bad_size(struct thread *t, const struct kind *k, struct call *c)
{
	const uint32_t v[] = {
		0, 4, k->size - 1, k->size + 1, k->size + 8, k->size + 100, 4095, 4096, 4097,
		0x80000000, ~0U,
	};
	uint32_t size = v[rnd(t, sizeof(v) / sizeof(v[0]))];

	t->bad |= BAD_SIZE;
	*(uint32_t *)c->arg = size;
	memset(c->arg + k->size, 0, 2 * PAGE - k->size);
	if (size > k->size && size <= PAGE && rnd(t, 2))
		c->arg[k->size + rnd(t, size - k->size)] = 1;
}

static void bad_flags(struct thread *t, const struct kind *k, struct call *c)
{
	uint32_t *flags = (uint32_t *)c->arg + 1;

	if (k->known_flags && rnd(t, 2)) {
		*flags ^= rnd(t, 16) & k->known_flags;
		t->bad |= BAD_FIELD;
		return;
	}
	*flags |= 1U << rnd(t, 32);
	if (*flags & ~k->known_flags)
		t->bad |= BAD_FLAGS;
}

static void bad_kind(struct thread *t, const struct kind *k, struct call *c)
{
	enum slot slot;

	do {
		slot = rnd(t, 4);
	} while (slot == k->slot ||
		 (!strncmp(k->name + 8, " IMAGE", 6) || !strncmp(k->name + 7, " IMAGE", 6) ?
		  slot == SNAPSHOT || slot == REPLICA : false));
	c->fd = rnd(t, 8) ? fuzz_slot(t, slot) : (int)border(t, 0);
	/* A wrong number may be any descriptor, but of the process's own it is none. */
	if (c->fd >= 0 && c->fd < DEVICE_FD)
		c->fd = -1;
	t->bad |= BAD_KIND;
}

static void bad_command(struct thread *t, struct call *c)
{
	size_t i = 0;

	c->cmd = rnd(t, 2) ? _IO(CPTDEV_IOC_MAGIC, rnd(t, 256)) :
		c->cmd | (unsigned long)(1 + rnd(t, 0xffff)) << 16;
	while (i < NR_OPS && ops[i].cmd != c->cmd)
		i++;
	if (i < NR_OPS)
		c->cmd ^= 0x80;
	t->bad |= BAD_COMMAND;
}

/* Into memory that isn't there, or only in part, or can't be written. */
static void bad_argument(struct thread *t, const struct kind *k, struct call *c)
{
	t->bad |= BAD_POINTER | BAD_SIZE;
	switch (rnd(t, 3)) {
	case 0:
		c->arg = t->arg_readonly + (c->arg - t->arg);
		break;
	case 1:
		c->arg = (char *)fuzz_bad_pointer(t);
		break;
	default:
		c->arg = memmove(t->arg + ARG_LEN - k->size, c->arg, k->size);
		c->arg = t->arg + ARG_LEN - 1 - rnd(t, k->size - 1);
	}
}

static void bad_name(struct thread *t, char *name)
{
	static const char v[] = { '/', ' ', 0x7f, -1, '%', '\n' };

	/* Not a second time: it could become a good one. */
	if (t->bad & BAD_RESERVED)
		return;
	/* None of them is a name that is left in the end, but for the longest. */
	if (!rnd(t, 4))
		name[0] = 0;
	else if (rnd(t, 2))
		memset(name, 'x', CPTDEV_NAME_MAX - rnd(t, 2));
	else
		name[rnd(t, 6)] = v[rnd(t, sizeof(v))];
	/* 63 bytes are a name. */
	if (strnlen(name, CPTDEV_NAME_MAX) != CPTDEV_NAME_MAX - 1)
		t->bad |= BAD_RESERVED;
}

static void bad_field(struct thread *t, const struct kind *k, struct call *c)
{
	const struct field *f = k->fields;
	uint64_t v = 0;
	size_t n = 0;

	while (f[n].width)
		n++;
	if (!n)
		return;
	f += rnd(t, n);
	if (f->type == F_NAME) {
		bad_name(t, c->arg + f->offset);
		t->bad |= BAD_FIELD;
		return;
	}
	memcpy(&v, c->arg + f->offset, f->width);
	switch (f->type) {
	case F_POINTER:
		v = fuzz_bad_pointer(t);
		t->bad |= BAD_POINTER;
		break;
	case F_LENGTH:
		/* What lies behind the array may be unmapped. */
		v = bad_length(t, v);
		t->bad |= BAD_FIELD | BAD_POINTER;
		break;
	case F_RESERVED:
		v = 1 + rnd(t, 0xffff);
		t->bad |= BAD_RESERVED;
		break;
	case F_OUT:
		v = t_random(&t->rng);
		break;
	default:
		v = border(t, v);
		t->bad |= BAD_FIELD;
	}
	memcpy(c->arg + f->offset, &v, f->width);
}

/* The lists that BEGIN and STAGE point to. */
static void bad_list(struct thread *t, const struct kind *k)
{
	uint64_t *word = (uint64_t *)t->vec + rnd(t, 12);

	if (k->cmd != CPTDEV_IOC_REPLICA_BEGIN && k->cmd != CPTDEV_IOC_REPLICA_STAGE)
		return;
	*word = border(t, *word);
	t->bad |= BAD_FIELD;
}

static void spoil(struct thread *t, const struct kind *k, struct call *c)
{
	unsigned int n = 1 + !rnd(t, 4);

	while (n--) {
		switch (rnd(t, 12)) {
		case 0:
			bad_size(t, k, c);
			break;
		case 1:
			bad_flags(t, k, c);
			break;
		case 2:
			bad_kind(t, k, c);
			break;
		case 3:
			if (!rnd(t, 4))
				bad_command(t, c);
			break;
		case 4:
			bad_argument(t, k, c);
			return;		/* nothing can be written there */
		case 5:
		case 6:
			bad_list(t, k);
			break;
		default:
			bad_field(t, k, c);
		}
	}
}

/*
 * Calling
 */

/* As a 32-bit program does it. */
static int compat_ioctl(int fd, unsigned long cmd, void *arg)
{
	long ret = 54;

#ifdef __x86_64__
	asm volatile("int $0x80" : "+a"(ret)
		     : "b"((long)fd), "c"(cmd), "d"(arg)
		     : "memory", "r8", "r9", "r10", "r11");
#endif
	return ret;
}

static int issue(struct thread *t, const struct kind *k, const struct call *c)
{
	bool readable = (unsigned long)(c->arg - t->arg) <= ARG_LEN - 512;
	int ret;

	fuzz_begin(t, k, c->fd, readable ? c->arg : NULL);
	ret = c->compat ? compat_ioctl(c->fd, c->cmd, c->arg) : t_ioctl(c->fd, c->cmd, c->arg);
	/* A kernel without 32-bit system calls. */
	if (c->compat && ret == -ENOSYS)
		ret = t_ioctl(c->fd, c->cmd, c->arg);
	return fuzz_end(t, k, ret);
}

static void run_ioctl(struct thread *t, const struct kind *k)
{
	struct call c = { .cmd = k->cmd, .fd = fuzz_slot(t, k->slot), .arg = t->arg };
	int ret;

	memset(c.arg, 0, 512);
	t->bad = 0;
	k->fill(t, c.fd, c.arg);
	*(uint32_t *)c.arg = k->size;
	t->bad = 0;
	if (!rnd(t, 3))
		spoil(t, k, &c);
	c.compat = (unsigned long)c.arg <= UINT32_MAX && !rnd(t, 16);
	ret = issue(t, k, &c);
	if (!ret && k->done && !(t->bad & BAD_COMMAND))
		k->done(t, c.arg);
}

/* One call, unspoilt, of a sequence. */
int fuzz_ioctl(struct thread *t, const char *name, int fd, void *arg)
{
	const struct kind *k = kind_named(name);
	unsigned int bad = t->bad;
	int ret;

	t->bad = 0;
	fuzz_begin(t, k, fd, arg);
	ret = fuzz_end(t, k, t_ioctl(fd, k->cmd, arg));
	t->bad = bad;
	return ret;
}

/*
 * Sequences
 */

/* @part: CPTDEV_BEGIN_CONTINUE if it belongs to what is staged already, else 0. */
static int ship_begin(struct thread *t, int to, const struct cptdev_image_info *from,
		      uint32_t segments, uint32_t part)
{
	struct cptdev_image_info info = image_of(t, to);
	struct cptdev_replica_begin a = {
		.size = sizeof(a), .flags = CPTDEV_BEGIN_REPLACE | part,
		.base = part ? 0 : from->base, .generation = from->generation,
		.layout = (unsigned long)t->vec, .layout_len = segments,
	};

	memcpy(a.uuid, from->uuid, sizeof(a.uuid));
	a.term = info.term + !!(info.state & CPTDEV_IMAGE_PROMOTED) + !info.term;
	return fuzz_ioctl(t, "REPLICA_BEGIN", to, &a);
}

static int ship_stage(struct thread *t, int to, uint32_t extents, size_t len)
{
	struct cptdev_replica_stage a = {
		.size = sizeof(a), .vec = (unsigned long)t->vec, .vec_len = extents,
		.data = (unsigned long)t->data, .data_len = len,
	};

	return fuzz_ioctl(t, "REPLICA_STAGE", to, &a);
}

static int ship_commit(struct thread *t, int to, uint64_t generation)
{
	struct cptdev_replica_commit a = { .size = sizeof(a), .generation = generation };

	return fuzz_ioctl(t, "REPLICA_COMMIT", to, &a);
}

/* Stage a small snapshot in a replica, as the daemon does it. */
static int ship(struct thread *t, int from, int to, uint32_t part)
{
	struct cptdev_image_vec vec = {
		.size = sizeof(vec), .vec = (unsigned long)t->vec, .vec_len = 1024,
	};
	struct cptdev_image_info info = { .size = sizeof(info) };
	ssize_t len;

	if (fuzz_ioctl(t, "snapshot IMAGE_INFO", from, &info) || info.pages > DATA_LEN / PAGE)
		return -1;
	if (fuzz_ioctl(t, "snapshot IMAGE_LAYOUT", from, &vec) ||
	    ship_begin(t, to, &info, vec.nr, part))
		return -1;
	vec.start = 0;
	if (fuzz_ioctl(t, "snapshot IMAGE_EXTENTS", from, &vec))
		return -1;
	len = pread(from, t->data, DATA_LEN, 0);
	return len < 0 ? -1 : ship_stage(t, to, vec.nr, len);
}

static void run_ship(struct thread *t, const struct kind *k)
{
	int fd = fuzz_slot(t, DEVICE), snap = fuzz_slot(t, SNAPSHOT), to = fuzz_slot(t, REPLICA);
	struct cptdev_info info = info_of(t, fd);
	struct cptdev_snapshot s = {
		.size = sizeof(s), .flags = CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD,
	};
	struct cptdev_delta d = {
		.size = sizeof(d), .session_id = info.session_id,
		.since = info.committed,
	};
	struct cptdev_ack a = { .size = sizeof(a), .session_id = info.session_id };
	int ret;

	fuzz_ioctl(t, "SNAPSHOT", fd, &s);
	ret = fuzz_ioctl(t, "DELTA", fd, &d);
	if (!ret) {
		dup3(d.fd, snap, O_CLOEXEC);
		close(d.fd);
		ret = ship(t, snap, to, 0) ?: ship_commit(t, to, d.generation);
		a.generation = d.generation;
		fuzz_ioctl(t, "ACK", fd, &a);
	}
	t->bad = 0;
	fuzz_begin(t, k, fd, NULL);
	fuzz_end(t, k, ret);
}

/* A pass, as far as the replica takes it. */
static int ship_pass(struct thread *t, int fd, int snap, int to, struct cptdev_round *r)
{
	uint32_t part = 0;
	int ret;

	do {
		r->size = sizeof(*r);
		r->pages = CPTDEV_ROUND_MIN;
		r->pause_ns = 0;
		ret = fuzz_ioctl(t, "ROUND", fd, r);
		if (ret)
			return ret;
		dup3(r->fd, snap, O_CLOEXEC);
		close(r->fd);
		ret = ship(t, snap, to, part);
		part = CPTDEV_BEGIN_CONTINUE;
	} while (!ret && r->addr);
	return ret;
}

/* A replica gets everything in rounds, and what changed meanwhile with the next snapshot. */
static void run_ship_rounds(struct thread *t, const struct kind *k)
{
	int fd = fuzz_slot(t, DEVICE), snap = fuzz_slot(t, SNAPSHOT), to = fuzz_slot(t, REPLICA);
	struct cptdev_snapshot s = {
		.size = sizeof(s), .flags = CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD,
	};
	struct cptdev_round r = { .session_id = info_of(t, fd).session_id };
	struct cptdev_delta d = { .size = sizeof(d), .session_id = r.session_id };
	struct cptdev_ack a = { .size = sizeof(a), .session_id = r.session_id };
	int ret = ship_pass(t, fd, snap, to, &r);

	if (!ret) {
		d.since = r.pass;
		d.flags = rnd(t, 4) ? CPTDEV_DELTA_AFRESH : 0;
		if (!fuzz_ioctl(t, "DELTA", fd, &d))
			close(d.fd);
		fuzz_ioctl(t, "SNAPSHOT", fd, &s);
		d.flags = 0;
		ret = fuzz_ioctl(t, "DELTA", fd, &d);
	}
	if (!ret) {
		dup3(d.fd, snap, O_CLOEXEC);
		close(d.fd);
		ret = ship(t, snap, to, CPTDEV_BEGIN_CONTINUE) ?:
			ship_commit(t, to, d.generation);
		a.generation = d.generation;
		fuzz_ioctl(t, "ACK", fd, &a);
	}
	t->bad = 0;
	fuzz_begin(t, k, fd, NULL);
	fuzz_end(t, k, ret);
}

/* Another session in a slot; with a range, so that it is of use. */
static void run_open(struct thread *t, const struct kind *k)
{
	int slot = fuzz_slot(t, DEVICE), fd;
	struct cptdev_session_setup s = { .size = sizeof(s), .term = rnd(t, 3) };
	struct cptdev_range r = { .size = sizeof(r) };
	size_t len;

	/* A child's would be its own. */
	if (t->foreign)
		return;
	t->bad = 0;
	fuzz_begin(t, k, slot, NULL);
	fd = t_open();
	fuzz_end(t, k, fd < 0 ? fd : 0);
	if (fd < 0)
		return;
	dup3(fd, slot, rnd(t, 2) ? O_CLOEXEC : 0);
	close(fd);
	fuzz_name(t, s.name);
	if (rnd(t, 2))
		fuzz_ioctl(t, "SESSION_SETUP", slot, &s);
	r.addr = (unsigned long)fuzz_pages(t, &len);
	r.len = len;
	fuzz_ioctl(t, "RANGE_ADD", slot, &r);
}

const struct kind_group ioctl_group = { ops, NR_OPS };

static const struct kind sequences[] = {
	{ .name = "open", .weight = 2, .run = run_open, .errors = NO_ERRORS, .flags = NEW_FD },
	/* What it calls is checked there. */
	{ .name = "ship", .weight = 2, .run = run_ship, .flags = AROUND },
	{ .name = "ship by rounds", .weight = 2, .run = run_ship_rounds, .flags = AROUND },
};

const struct kind_group sequence_group = { sequences, sizeof(sequences) / sizeof(sequences[0]) };
