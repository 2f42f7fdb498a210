// SPDX-License-Identifier: GPL-2.0-only
/*
 * Descriptors as files: read, write, splice, sendfile, mmap, seek, poll.
 */
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "fuzz.h"

static int64_t answer(int64_t ret)
{
	return ret < 0 ? -errno : ret;
}

static int end(struct thread *t, const struct kind *k, int64_t ret)
{
	return fuzz_end(t, k, ret < 0 ? ret : 0);
}

/* Where in a file: mostly where something is. */
static int64_t position(struct thread *t, enum slot slot)
{
	const int64_t v[] = {
		0, -1, PAGE - 1, 1LL << 40, INT64_MAX, INT64_MAX - PAGE, INT64_MIN, ARENA,
		ARENA + IMAGE_LEN - 1, ARENA + IMAGE_LEN, ARENA - 1,
	};

	if (!rnd(t, 5))
		return v[rnd(t, sizeof(v) / sizeof(v[0]))];
	if (slot == REPLICA)
		return ARENA + rnd(t, IMAGE_LEN);
	return rnd(t, 2) ? rnd(t, 64 * PAGE) : rnd(t, 4) * PAGE;
}

static char *buffer(struct thread *t)
{
	if (rnd(t, 8))
		return t->data;
	t->bad |= BAD_POINTER;
	return rnd(t, 2) ? (char *)fuzz_bad_pointer(t) : (char *)ARENA + rnd(t, ARENA_LEN);
}

static void begin(struct thread *t, const struct kind *k, int fd, uint64_t a, uint64_t b,
		  uint64_t c)
{
	const uint64_t words[8] = { a, b, c };

	fuzz_begin(t, k, fd, words);
}

static void run_read(struct thread *t, const struct kind *k)
{
	int fd = fuzz_slot(t, k->slot);
	size_t len = rnd(t, 4) ? rnd(t, 3 * PAGE) : rnd(t, DATA_LEN);
	int64_t pos = position(t, k->slot);
	struct iovec v[2];
	char *buf;

	t->bad = 0;
	buf = buffer(t);
	begin(t, k, fd, (unsigned long)buf, len, pos);
	switch (rnd(t, 4)) {
	case 0:
		end(t, k, answer(read(fd, buf, len)));
		break;
	case 1:
		v[0] = (struct iovec) { buf, len / 2 };
		v[1] = (struct iovec) { t->data, len - len / 2 };
		end(t, k, answer(preadv(fd, v, 2, pos)));
		break;
	default:
		end(t, k, answer(pread(fd, buf, len, pos)));
	}
}

static void run_write(struct thread *t, const struct kind *k)
{
	int fd = fuzz_slot(t, k->slot);
	size_t len = rnd(t, 2) ? PAGE : rnd(t, 3 * PAGE) + 1;
	int64_t pos = position(t, k->slot);
	char *buf;

	t->bad = 0;
	buf = buffer(t);
	begin(t, k, fd, (unsigned long)buf, len, pos);
	end(t, k, answer(pwrite(fd, buf, len, pos)));
}

static void run_seek(struct thread *t, const struct kind *k)
{
	int fd = fuzz_slot(t, k->slot), whence = rnd(t, 6);
	int64_t pos = position(t, k->slot);

	t->bad = 0;
	begin(t, k, fd, pos, whence, 0);
	end(t, k, answer(lseek(fd, pos, whence)));
}

static void run_poll(struct thread *t, const struct kind *k)
{
	struct pollfd p = { .fd = fuzz_slot(t, k->slot), .events = POLLIN | POLLPRI };

	t->bad = 0;
	begin(t, k, p.fd, 0, 0, 0);
	end(t, k, answer(poll(&p, 1, 0)));
}

static void drain(struct thread *t)
{
	while (read(t->pipe[0], t->data, DATA_LEN) > 0)
		;
}

static void run_splice_out(struct thread *t, const struct kind *k)
{
	int fd = fuzz_slot(t, k->slot);
	size_t len = rnd(t, 4) ? rnd(t, 20 * PAGE) : SIZE_MAX >> rnd(t, 64);
	off64_t pos = position(t, k->slot);

	t->bad = 0;
	begin(t, k, fd, len, pos, 0);
	end(t, k, answer(splice(fd, &pos, t->pipe[1], NULL, len, SPLICE_F_NONBLOCK)));
	drain(t);
}

static void run_splice_in(struct thread *t, const struct kind *k)
{
	int fd = fuzz_slot(t, k->slot);
	size_t len = rnd(t, 3 * PAGE) + 1;
	off64_t pos = position(t, k->slot);
	ssize_t n = write(t->pipe[1], t->data, len);

	t->bad = 0;
	begin(t, k, fd, n, pos, 0);
	end(t, k, answer(splice(t->pipe[0], NULL, fd, &pos, len, SPLICE_F_NONBLOCK)));
	drain(t);
}

/* To /dev/null, a pipe, a file, or a replica. */
static void run_sendfile(struct thread *t, const struct kind *k)
{
	int fd = fuzz_slot(t, k->slot), to = rnd(t, 4) ? OTHER_FD : fuzz_slot(t, REPLICA);
	off_t pos = position(t, k->slot);
	size_t len = rnd(t, 20 * PAGE);

	if (!rnd(t, 3))
		to = t->pipe[1];
	t->bad = 0;
	begin(t, k, fd, to, pos, len);
	end(t, k, answer(sendfile(to, fd, &pos, len)));
	drain(t);
}

/* Each page of the mapping, or the signal that there is none. */
static void touch(struct thread *t, const char *m, size_t len)
{
	volatile char sum = 0;
	size_t i;

	if (!sigsetjmp(t->fault, 1)) {
		t->guarded = 1;
		for (i = 0; i < len; i += PAGE)
			sum += m[i];
	}
	t->guarded = 0;
}

static void run_mmap(struct thread *t, const struct kind *k)
{
	static const int prots[] = {
		PROT_READ, PROT_READ, PROT_READ, PROT_READ, PROT_READ | PROT_WRITE, PROT_NONE,
		PROT_READ | PROT_EXEC, PROT_WRITE,
	};
	int fd = fuzz_slot(t, k->slot), prot = prots[rnd(t, 8)];
	size_t len = (rnd(t, 3) ? rnd(t, 32) : rnd(t, 4096)) * PAGE;
	off_t pos = rnd(t, 3) ? rnd(t, 8) * PAGE : position(t, k->slot) & ~(PAGE - 1);
	int flags = rnd(t, 4) ? MAP_SHARED : MAP_PRIVATE;
	char *m;

	if (!rnd(t, 8))
		flags |= MAP_POPULATE;
	/* The session page is one. */
	if (k->slot == DEVICE && rnd(t, 4)) {
		len = PAGE;
		pos = 0;
	}
	t->bad = 0;
	begin(t, k, fd, len, pos, prot | flags << 8);
	m = mmap(NULL, len, prot, flags, fd, pos);
	end(t, k, m == MAP_FAILED ? -errno : 0);
	if (m == MAP_FAILED)
		return;
	touch(t, m, len > 64 * PAGE ? 64 * PAGE : len);
	if (!rnd(t, 3)) {
		madvise(m, len, rnd(t, 26));
		mprotect(m, PAGE, prots[rnd(t, 8)]);
		mlock(m, len);
		/* What is mapped can be read into, or not. */
		if (pread(OTHER_FD + 2, m, PAGE, 0) < 0 && len > PAGE)
			mremap(m, len, len - PAGE, 0);
	}
	munmap(m, len);
}

#define KIND(_name, _weight, _run, _slot, _flags, _errors)			\
	{ .name = _name, .weight = _weight, .run = _run, .slot = _slot,		\
	  .flags = _flags, .errors = _errors }

/* Before the file is asked, others are. */
#define MMAP_ERRORS	ERRORS(ENODEV, EINVAL, EOVERFLOW, EPERM, EACCES, EAGAIN)

static const struct kind files[] = {
	KIND("snapshot read", 8, run_read, SNAPSHOT, 0, ERRORS(EINVAL)),
	KIND("snapshot write", 1, run_write, SNAPSHOT, NEVER, ERRORS(EINVAL, ESPIPE)),
	KIND("snapshot lseek", 2, run_seek, SNAPSHOT, 0, ERRORS(EINVAL)),
	KIND("snapshot poll", 1, run_poll, SNAPSHOT, 0, ERRORS(EINTR)),
	KIND("snapshot splice", 4, run_splice_out, SNAPSHOT, 0, ERRORS(EINVAL, EAGAIN)),
	/* also what the target answers */
	KIND("snapshot sendfile", 4, run_sendfile, SNAPSHOT, 0,
	     ERRORS(EINVAL, EAGAIN, EFAULT, EDQUOT, EINTR, ENOENT)),
	KIND("snapshot mmap", 6, run_mmap, SNAPSHOT, 0,
	     ERRORS(EPERM, EACCES, EINVAL, EOVERFLOW, EAGAIN)),
	KIND("replica read", 8, run_read, REPLICA, 0,
	     ERRORS(EINVAL, EFAULT, ENODATA, ESTALE)),
	KIND("replica write", 6, run_write, REPLICA, 0, ERRORS(EINVAL, EFAULT, EDQUOT, ENOENT)),
	KIND("replica lseek", 1, run_seek, REPLICA, 0, ERRORS(EINVAL, ENXIO)),
	KIND("replica poll", 1, run_poll, REPLICA, 0, ERRORS(EINTR)),
	KIND("replica splice into", 4, run_splice_in, REPLICA, 0,
	     ERRORS(EINVAL, EFAULT, EDQUOT, EINTR, EAGAIN, ENOENT)),
	KIND("replica splice out of", 1, run_splice_out, REPLICA, NEVER, ERRORS(EINVAL)),
	KIND("replica mmap", 1, run_mmap, REPLICA, NEVER, MMAP_ERRORS),
	KIND("session poll", 2, run_poll, DEVICE, 0, ERRORS(EINTR)),
	KIND("session read", 1, run_read, DEVICE, NEVER, ERRORS(EINVAL)),
	KIND("session mmap", 4, run_mmap, DEVICE, 0,
	     ERRORS(EPERM, EACCES, EINVAL, EOVERFLOW, EAGAIN, EXDEV, ESRCH)),
};

const struct kind_group file_group = { files, sizeof(files) / sizeof(files[0]) };
