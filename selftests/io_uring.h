/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Just enough of io_uring to read into registered buffers: such buffers keep their
 * pages pinned for as long as they are registered.
 */
#ifndef CPTDEV_TEST_IO_URING_H
#define CPTDEV_TEST_IO_URING_H

#include <errno.h>
#include <linux/io_uring.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct t_uring {
	int fd;
	struct io_uring_params p;
	char *sq, *cq;
	struct io_uring_sqe *sqe;
	size_t sq_len, cq_len;
};

static inline void t_uring_close(struct t_uring *u)
{
	munmap(u->sq, u->sq_len);
	munmap(u->cq, u->cq_len);
	munmap(u->sqe, u->p.sq_entries * sizeof(*u->sqe));
	close(u->fd);
}

static inline int t_uring_open(struct t_uring *u)
{
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_POPULATE;

	memset(u, 0, sizeof(*u));
	u->fd = syscall(SYS_io_uring_setup, 4, &u->p);
	if (u->fd < 0)
		return -errno;
	u->sq_len = u->p.sq_off.array + u->p.sq_entries * sizeof(unsigned int);
	u->cq_len = u->p.cq_off.cqes + u->p.cq_entries * sizeof(struct io_uring_cqe);
	u->sq = mmap(NULL, u->sq_len, prot, flags, u->fd, IORING_OFF_SQ_RING);
	u->cq = mmap(NULL, u->cq_len, prot, flags, u->fd, IORING_OFF_CQ_RING);
	u->sqe = mmap(NULL, u->p.sq_entries * sizeof(*u->sqe), prot, flags, u->fd,
		      IORING_OFF_SQES);
	return 0;
}

static inline int t_uring_pin(struct t_uring *u, void *addr, size_t len)
{
	struct iovec iov = { .iov_base = addr, .iov_len = len };

	return syscall(SYS_io_uring_register, u->fd, IORING_REGISTER_BUFFERS, &iov, 1) < 0 ?
		-errno : 0;
}

static inline void t_uring_submit(struct t_uring *u, int op, int fd, void *addr, size_t len,
				  off_t offset)
{
	unsigned int *tail = (unsigned int *)(u->sq + u->p.sq_off.tail);
	unsigned int *array = (unsigned int *)(u->sq + u->p.sq_off.array);
	unsigned int slot = *tail & (u->p.sq_entries - 1);
	struct io_uring_sqe *sqe = &u->sqe[slot];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = op;
	sqe->fd = fd;
	sqe->addr = (unsigned long)addr;
	sqe->len = len;
	sqe->off = offset;
	array[slot] = slot;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	syscall(SYS_io_uring_enter, u->fd, 1, 0, 0, NULL, 0);
}

/* Is there a completion? */
static inline bool t_uring_ready(struct t_uring *u)
{
	unsigned int *head = (unsigned int *)(u->cq + u->p.cq_off.head);
	unsigned int *tail = (unsigned int *)(u->cq + u->p.cq_off.tail);

	return __atomic_load_n(tail, __ATOMIC_ACQUIRE) != *head;
}

/* Wait for one completion: its result. */
static inline int t_uring_wait(struct t_uring *u)
{
	unsigned int *head = (unsigned int *)(u->cq + u->p.cq_off.head);
	struct io_uring_cqe *cqe = (struct io_uring_cqe *)(u->cq + u->p.cq_off.cqes);
	int ret;

	while (!t_uring_ready(u))
		if (syscall(SYS_io_uring_enter, u->fd, 0, 1, IORING_ENTER_GETEVENTS,
			    NULL, 0) < 0 && errno != EINTR)
			return -errno;
	ret = cqe[*head & (u->p.cq_entries - 1)].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return ret;
}

static inline int t_uring_read_fixed(struct t_uring *u, int fd, void *addr, size_t len,
				     off_t offset)
{
	t_uring_submit(u, IORING_OP_READ_FIXED, fd, addr, len, offset);
	return t_uring_wait(u);
}

#endif /* CPTDEV_TEST_IO_URING_H */
