/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: descriptors that come back under their numbers. What each is made of is
 * found out when it is registered; what changes (offsets, counters, what waits in a pipe)
 * is read at the cut, with nothing but system calls; as text it is written later.
 *
 *   fd.c		the list of those that are registered
 *   fd_query.c		what a descriptor is
 *   fd_file.c		which file it means
 *   fd_socket.c		what a socket is
 *   fd_options.c	what a socket has besides
 *   fd_groups.c	multicast groups of it
 *   fd_unix.c		names of Unix sockets
 *   fd_tcp.c		established TCP connections (tcp.h)
 *   fd_locks.c		locks, and who gets signals
 *   fd_restore.c	making one that is the same
 *   fd_json.c		both ways between here and a checkpoint's section
 */
#ifndef HS_FD_H
#define HS_FD_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "error.h"

struct hs_tcp;
struct json_object;
struct js_from;

enum hs_fd_kind {
	HS_FD_FILE,
	HS_FD_SOCKET,			/* UDP, TCP, Unix */
	HS_FD_PAIR,			/* an end of socketpair(2) */
	HS_FD_PIPE,			/* an end of pipe(2) */
	HS_FD_EVENT,
	HS_FD_TIMER,
	HS_FD_SIGNAL,
	HS_FD_EPOLL,
	HS_FD_KINDS
};

/* What is re-read at the cut. */
#define HS_FD_NAME	(1 << 0)	/* sockets: the own address */
#define HS_FD_PEER	(1 << 1)	/* the other's */
#define HS_FD_REFRESH	(1 << 2)	/* both again at each cut */
#define HS_FD_CONNECTED	(1 << 3)	/* of TCP: it may be saved (tcp.h) */
#define HS_FD_UNCONNECTED	(1 << 4)	/* of TCP: also if it isn't connected (any more) */

#define HS_FD_DATA_MAX	(1U << 20)	/* bytes in a pipe or a pair */

/* How a file differs from what it was at the cut. */
#define HS_FILE_OTHER	(1 << 0)	/* another one has its name */
#define HS_FILE_SIZE	(1 << 1)
#define HS_FILE_TIME	(1 << 2)
#define HS_FILE_SHORT	(1 << 3)	/* it ends before the offset */

#define HS_FD_BOOT	40		/* more than the kernel's name for this boot has */

struct hs_fd_file {
	char *path;
	bool named;			/* by the program */
	int64_t offset;
	/* Of what has the name, as it was at the cut, to notice a change. */
	bool is_special;		/* a character device, else a regular file */
	uint64_t special;		/* its number */
	int64_t size;
	struct timespec mtime;
	uint64_t device, inode;		/* of this boot: */
	char boot[HS_FD_BOOT];
	/* Found when it was restored. */
	int changed;			/* HS_FILE_* */
	int64_t size_now;
};

struct hs_fd_address {
	socklen_t len;			/* 0: none */
	struct sockaddr_storage addr;
};

struct hs_fd_socket {
	int domain, type, protocol;
	int backlog;			/* -1: it doesn't listen */
	bool reuse_addr, reuse_port, v6_only, broadcast;
	struct hs_fd_address name, peer;
	bool connected;			/* an established TCP connection: */
	struct hs_tcp *tcp;		/* as it was at the cut, or NULL */
	struct linger linger;		/* the program's: see hs_fd_connection_keep() */
	int made;			/* by hs_fds_prepare(), or -1 */
};

/* What lies in it unread; kept by the end that reads. */
struct hs_fd_data {
	int other;			/* the other end, registered as well; -1: a pipe's is closed */
	int type;			/* pairs: SOCK_STREAM ... */
	uint32_t size;			/* pipes: how much fits */
	uint32_t len;
	char *bytes;
	bool shut;			/* pairs: nothing comes in any more, shutdown(2) */
};

struct hs_fd_timer {
	int clock;
	int set_flags;			/* TFD_TIMER_ABSTIME ... */
	uint64_t ticks;			/* expired and not read */
	/* What is left; but a time of day stays one. */
	struct itimerspec value;
	bool sure;			/* all of it is of one moment */
	bool idle;			/* it wasn't set, as far as could be seen */
};

/* How a set polls devices: struct epoll_params of <linux/eventpoll.h>. */
struct hs_epoll_params {
	uint32_t busy_poll_usecs;
	uint16_t busy_poll_budget;
	uint8_t prefer_busy_poll;
	uint8_t reserved;
};

#define HS_EPOLL_SET	_IOW(0x8a, 0x01, struct hs_epoll_params)
#define HS_EPOLL_GET	_IOR(0x8a, 0x02, struct hs_epoll_params)

struct hs_fd_epoll {
	uint32_t nr;
	struct hs_fd_epoll_item {
		int fd;
		struct epoll_event event;
	} *item;
};

struct hs_fd {
	int fd;
	enum hs_fd_kind kind;
	int what;			/* HS_FD_NAME ... */
	int flags;			/* fcntl(F_GETFL) */
	bool cloexec;
	int same_as;			/* a lower one with the same open file, or -1 */
	struct json_object *extra;	/* locks, owner, options of sockets ...; or NULL */
	uint64_t device, inode;		/* what it is of, here: to see what belongs together */
	union {
		struct hs_fd_file file;
		struct hs_fd_socket socket;
		struct hs_fd_data data;
		struct {
			uint64_t count;
			bool semaphore;
		} event;
		struct hs_fd_timer timer;
		sigset_t signals;
		struct hs_fd_epoll epoll;
	};
};

struct hs_fds {
	uint32_t nr;
	struct hs_fd *v;		/* in ascending order */
};

/* fd.c */
int hs_fds_capture(struct hs_fds *to, struct hs_error *e);
void hs_fds_adopt(struct hs_fds *list);
void hs_fds_free(struct hs_fds *list);
void hs_fd_clear(struct hs_fd *f);
bool hs_fd_is_registered(int fd);
/* Are TCP sockets registered? */
enum hs_fds_tcp { HS_FDS_NO_TCP, HS_FDS_LISTENING, HS_FDS_CONNECTED };
enum hs_fds_tcp hs_fds_tcp(void);
struct hs_fd *hs_fds_find(const struct hs_fds *list, int fd);

/* fd_file.c */
bool hs_is_file(mode_t mode);
int hs_fd_file_query(struct hs_fd *f, const struct stat *st, const char *path, const char *link,
		     struct hs_error *e);
int hs_fd_file_capture(struct hs_fd *f, const struct stat *st, struct hs_error *e);
int hs_fd_file_missing(const struct hs_fd *f, struct hs_error *e);
int hs_fd_file_open(struct hs_fd *f, struct hs_error *e);
void hs_fds_tell_changed(const struct hs_fds *list);

/* fd_query.c */
int hs_fd_link(int fd, char *link, size_t len);
int hs_fd_query(struct hs_fd *f, const char *path, struct hs_error *e);
int hs_fd_capture(const struct hs_fd *from, struct hs_fd *to, struct hs_error *e);
bool hs_fd_is_day(const struct hs_fd_timer *t);
int hs_fds_settle(struct hs_fds *list, struct hs_error *e);
int hs_fds_link(struct hs_fds *list, struct hs_error *e);

/* fd_socket.c */
/* As bind(2), with patience: who has the port may be about to go. */
int hs_bind(int fd, const struct sockaddr *addr, socklen_t len);
int hs_fd_socket_query(struct hs_fd *f, struct hs_error *e);
int hs_fd_socket_capture(const struct hs_fd *from, struct hs_fd *f, struct hs_error *e);

/* fd_options.c, fd_groups.c, fd_locks.c: what is in f->extra */
/* Says what of @f can't be made, with errno. Returns -1. */
int hs_fd_cannot(const struct hs_fd *f, const char *what, struct hs_error *e);
/* The number of an interface; 0: none has this name. */
unsigned int hs_fd_interface(const char *name);
int hs_fd_groups_capture(const struct hs_fd *f, int domain, struct json_object *to,
			 struct hs_error *e);
int hs_fd_groups_set(const struct hs_fd *f, int fd, struct js_from *from, struct hs_error *e);
int hs_fd_options_capture(struct hs_fd *f, struct hs_error *e);
int hs_fd_options_set(const struct hs_fd *f, int fd, struct js_from *from, struct hs_error *e);
int hs_fd_locks_capture(struct hs_fd *f, struct hs_error *e);
int hs_fd_locks_set(const struct hs_fd *f, int fd, struct js_from *from, struct hs_error *e);
int hs_fds_lock(const struct hs_fds *list, struct hs_error *e);
void hs_fds_arm(const struct hs_fds *list);

/* fd_tcp.c */
bool hs_fd_is_connection(const struct hs_fd *f);
/*
 * As long as it is registered, a connection ends at once with its program: what would be left of
 * it in the kernel could be in the way when the connection comes back to this host.
 */
void hs_fd_connection_keep(struct hs_fd *f);
void hs_fd_connection_leave(const struct hs_fd *f);
int hs_fds_prepare(struct hs_fds *list, struct hs_error *e);
void hs_fds_go_on(struct hs_fds *list);

/* fd_unix.c */
struct hs_fd_there {
	int back;			/* the directory that we were in, or -1 */
	mode_t umask;
};
int hs_fd_unix_query(struct hs_fd *f);
void hs_fd_unix_keep(struct hs_fd *f);
void hs_fd_unix_capture(const struct hs_fd *from, struct hs_fd *to);
int hs_fd_unix_enter(const struct hs_fd *f, struct hs_fd_there *t);
int hs_fd_unix_leave(const struct hs_fd *f, struct hs_fd_there *t, bool bound);
void hs_fd_unix_check(struct js_from *from);

/* fd_restore.c */
int hs_fds_restore(struct hs_fds *list, struct hs_error *e);
int hs_fds_missing(const struct hs_fds *list, struct hs_error *e);

/* fd_json.c: NULL or -1 and errno */
struct json_object *hs_fds_json(const struct hs_fds *list);
int hs_fds_parse(struct hs_fds *list, struct json_object *json, struct hs_error *e);

#endif /* HS_FD_H */
