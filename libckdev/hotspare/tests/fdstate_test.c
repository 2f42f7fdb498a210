// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the kernel keeps for a descriptor besides what it is. A child makes descriptors and saves
 * them; then it becomes another program, which makes them from what was saved. The oracle for
 * sockets is the kernel: every option that can be asked for, whatever its number, is as it was,
 * but for those that are named here. For locks and the like another process tries.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "../fd.h"
#include "../hotspare.h"
#include "../clock.h"
#include "child.h"

#define SAVED_FD	90
#define TRUTH_FD	91		/* what the oracle has said before */
#define FIRST		20

static int at(int number, int fd)
{
	CHECK(fd >= 0);
	CHECK(dup2(fd, number) == number);
	close(fd);
	return number;
}

static void in_child(void (*fn)(void))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		fn();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && !status);
}

/*
 * Options
 */

struct setting_of {
	int level, name;
	socklen_t len;
	union {
		int number;
		char text[16];
		struct linger linger;
		struct timeval time;
	} value;
};

#define N(level, name, n)	{ level, name, sizeof(int), { .number = n } }

static const struct setting_of settings[] = {
	N(SOL_SOCKET, SO_DONTROUTE, 1), N(SOL_SOCKET, SO_SNDBUF, 30000),
	N(SOL_SOCKET, SO_RCVBUF, 40000), N(SOL_SOCKET, SO_KEEPALIVE, 1),
	N(SOL_SOCKET, SO_OOBINLINE, 1), N(SOL_SOCKET, SO_NO_CHECK, 1),
	{ SOL_SOCKET, SO_LINGER, sizeof(struct linger), { .linger = { 1, 7 } } },
	{ SOL_SOCKET, SO_RCVTIMEO, sizeof(struct timeval), { .time = { 2, 500000 } } },
	{ SOL_SOCKET, SO_SNDTIMEO, sizeof(struct timeval), { .time = { 3, 0 } } },
	{ SOL_SOCKET, SO_BINDTODEVICE, 3, { .text = "lo" } },
	N(SOL_SOCKET, SO_PASSCRED, 1), N(SOL_SOCKET, SO_RCVLOWAT, 3), N(SOL_SOCKET, SO_MARK, 77),
	N(SOL_SOCKET, SO_TIMESTAMPNS, 1), N(SOL_SOCKET, SO_TIMESTAMPING, 0x18),
	N(SOL_SOCKET, SO_RXQ_OVFL, 1), N(SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1),
	N(SOL_SOCKET, SO_ZEROCOPY, 1), N(SOL_SOCKET, SO_MAX_PACING_RATE, 1000000),
	N(SOL_SOCKET, SO_WIFI_STATUS, 1), N(SOL_SOCKET, SO_BUSY_POLL, 50),
	N(SOL_SOCKET, SO_PEEK_OFF, 0), N(SOL_SOCKET, SO_REUSEPORT, 1), N(SOL_SOCKET, SO_BROADCAST, 1),
	N(SOL_SOCKET, 72, 3), N(SOL_SOCKET, 74, 0), N(SOL_SOCKET, 75, 1), N(SOL_SOCKET, 76, 1),
	N(SOL_SOCKET, 82, 1),

	N(IPPROTO_IP, IP_TOS, 0x10), N(IPPROTO_IP, IP_TTL, 33), N(IPPROTO_IP, IP_PKTINFO, 1),
	N(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO), N(IPPROTO_IP, IP_RECVERR, 1),
	N(IPPROTO_IP, IP_RECVTTL, 1), N(IPPROTO_IP, IP_RECVTOS, 1), N(IPPROTO_IP, IP_RECVOPTS, 1),
	N(IPPROTO_IP, IP_RETOPTS, 1), N(IPPROTO_IP, IP_FREEBIND, 1),
	N(IPPROTO_IP, IP_TRANSPARENT, 1), N(IPPROTO_IP, IP_RECVORIGDSTADDR, 1),
	N(IPPROTO_IP, IP_MINTTL, 5), N(IPPROTO_IP, IP_CHECKSUM, 1),
	N(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1), N(IPPROTO_IP, IP_RECVFRAGSIZE, 1),
	N(IPPROTO_IP, IP_MULTICAST_TTL, 9), N(IPPROTO_IP, IP_MULTICAST_LOOP, 0),
	N(IPPROTO_IP, IP_MULTICAST_ALL, 0), N(IPPROTO_IP, 26, 1),
	N(IPPROTO_IP, 51, (int)(40000U | 50000U << 16)),
	{ IPPROTO_IP, IP_MULTICAST_IF, 4, { .text = { 127, 0, 0, 1 } } },
	{ IPPROTO_IP, IP_UNICAST_IF, 4, { .text = { 0, 0, 0, 1 } } },
	{ IPPROTO_IP, IP_OPTIONS, 4, { .text = { 1, 1, 1, 1 } } },

	N(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9), N(IPPROTO_IPV6, IPV6_MULTICAST_IF, 1),
	N(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 4), N(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0),
	N(IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO), N(IPPROTO_IPV6, IPV6_RECVERR, 1),
	N(IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0), N(IPPROTO_IPV6, 11, 1), N(IPPROTO_IPV6, 33, 1),
	N(IPPROTO_IPV6, IPV6_RECVPKTINFO, 1), N(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1),
	N(IPPROTO_IPV6, IPV6_RECVRTHDR, 1), N(IPPROTO_IPV6, IPV6_RECVHOPOPTS, 1),
	N(IPPROTO_IPV6, IPV6_RECVDSTOPTS, 1), N(IPPROTO_IPV6, IPV6_RECVPATHMTU, 1),
	N(IPPROTO_IPV6, IPV6_DONTFRAG, 1), N(IPPROTO_IPV6, IPV6_RECVTCLASS, 1),
	N(IPPROTO_IPV6, IPV6_TCLASS, 0x20), N(IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 0),
	N(IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, 2), N(IPPROTO_IPV6, IPV6_MINHOPCOUNT, 3),
	N(IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 1), N(IPPROTO_IPV6, IPV6_TRANSPARENT, 1),
	N(IPPROTO_IPV6, IPV6_RECVFRAGSIZE, 1), N(IPPROTO_IPV6, IPV6_FREEBIND, 1),
	N(IPPROTO_IPV6, IPV6_V6ONLY, 1), N(IPPROTO_IPV6, IPV6_2292PKTINFO, 1),
	N(IPPROTO_IPV6, IPV6_2292HOPLIMIT, 1),
	{ IPPROTO_IPV6, IPV6_UNICAST_IF, 4, { .text = { 0, 0, 0, 1 } } },
	{ IPPROTO_IPV6, IPV6_DSTOPTS, 8, { .text = { 0, 0, 1, 4 } } },

	N(IPPROTO_TCP, TCP_NODELAY, 1), N(IPPROTO_TCP, TCP_MAXSEG, 1000),
	N(IPPROTO_TCP, TCP_CORK, 1), N(IPPROTO_TCP, TCP_KEEPIDLE, 111),
	N(IPPROTO_TCP, TCP_KEEPINTVL, 22), N(IPPROTO_TCP, TCP_KEEPCNT, 4),
	N(IPPROTO_TCP, TCP_SYNCNT, 3), N(IPPROTO_TCP, TCP_LINGER2, 17),
	N(IPPROTO_TCP, TCP_DEFER_ACCEPT, 9), N(IPPROTO_TCP, TCP_WINDOW_CLAMP, 20000),
	N(IPPROTO_TCP, TCP_QUICKACK, 0), N(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1),
	N(IPPROTO_TCP, TCP_USER_TIMEOUT, 12345), N(IPPROTO_TCP, TCP_FASTOPEN, 8),
	N(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 5000), N(IPPROTO_TCP, TCP_SAVE_SYN, 1),
	N(IPPROTO_TCP, TCP_INQ, 1), N(IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1),
	N(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1), N(IPPROTO_TCP, 44, 60000), N(IPPROTO_TCP, 45, 300000),
	N(IPPROTO_TCP, 46, 100000),
	{ IPPROTO_TCP, TCP_CONGESTION, 4, { .text = "reno" } },
	{ IPPROTO_TCP, TCP_FASTOPEN_KEY, 16, { .text = "0123456789abcdef" } },

	N(IPPROTO_UDP, UDP_CORK, 1), N(IPPROTO_UDP, 101, 1), N(IPPROTO_UDP, 102, 1),
	N(IPPROTO_UDP, UDP_SEGMENT, 500), N(IPPROTO_UDP, UDP_GRO, 1),
	N(SOL_SOCKET, SO_PRIORITY, 5),
};

/* Of the moment, of the process, or an answer that does something. */
static const struct {
	int level, name;
} not_compared[] = {
	{ SOL_SOCKET, SO_ERROR }, { SOL_SOCKET, SO_INCOMING_CPU }, { SOL_SOCKET, SO_COOKIE },
	{ SOL_SOCKET, SO_PEERCRED }, { SOL_SOCKET, 77 /* SO_PEERPIDFD */ },
	{ SOL_SOCKET, SO_GET_FILTER },		/* is asked for in another way */
	{ SOL_SOCKET, SO_MEMINFO }, { IPPROTO_TCP, TCP_INFO }, { IPPROTO_TCP, TCP_TIMESTAMP },
	{ IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE }, { IPPROTO_TCP, TCP_CC_INFO },
	{ SOL_SOCKET, SO_TIMESTAMPING_NEW },	/* tells the same as the other */
};

#define LEVELS		6
#define NAMES		128
#define SOCKETS		8
static const int levels[LEVELS] = {
	SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP, 1000,
};

struct answer {
	int err;
	socklen_t len;
	unsigned char bytes[64];
};

static struct answer truth[SOCKETS][LEVELS][NAMES];

static bool is_compared(int level, int name)
{
	size_t i;

	for (i = 0; i < sizeof(not_compared) / sizeof(not_compared[0]); i++)
		if (not_compared[i].level == level && not_compared[i].name == name)
			return false;
	return true;
}

static void ask_all(struct answer to[LEVELS][NAMES], int fd)
{
	int l, n;

	for (l = 0; l < LEVELS; l++) {
		for (n = 0; n < NAMES; n++) {
			struct answer *a = &to[l][n];

			memset(a, 0, sizeof(*a));
			a->len = sizeof(a->bytes);
			if (is_compared(levels[l], n) &&
			    getsockopt(fd, levels[l], n, a->bytes, &a->len))
				a->err = errno;
		}
	}
}

static int make_sockets(void)
{
	static const struct {
		int domain, type;
	} kinds[] = {
		{ AF_INET, SOCK_STREAM }, { AF_INET, SOCK_DGRAM }, { AF_UNIX, SOCK_STREAM },
		{ AF_UNIX, SOCK_DGRAM }, { AF_INET6, SOCK_STREAM }, { AF_INET6, SOCK_DGRAM },
	};
	int nr = 0, fd;
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		fd = socket(kinds[i].domain, kinds[i].type, 0);
		if (fd < 0 && errno == EAFNOSUPPORT)
			continue;
		at(FIRST + nr++, fd);
	}
	return nr;
}

/* Bound, since that is another state, and listening. */
static void bind_and_register(int fd)
{
	struct sockaddr_storage a = { 0 };
	socklen_t len = sizeof(a), type_len = sizeof(int);
	int type;

	CHECK(!getsockname(fd, (struct sockaddr *)&a, &len));
	CHECK(!getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len));
	CHECK(!bind(fd, (struct sockaddr *)&a, a.ss_family == AF_UNIX ? sizeof(sa_family_t) : len));
	CHECK(type != SOCK_STREAM || !listen(fd, 5));
	CHECK(!hs_fdreg(fd));
}

/* Those that the kernel lets be changed. */
static unsigned int set_all(int fd)
{
	unsigned int nr = 0;
	size_t i;

	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		nr += !setsockopt(fd, settings[i].level, settings[i].name, &settings[i].value,
				  settings[i].len);
	return nr;
}

static void make_options(void)
{
	int i, nr = make_sockets(), p[2];
	unsigned int set = 0;

	for (i = 0; i < nr; i++) {
		set += set_all(FIRST + i);
		bind_and_register(FIRST + i);
	}
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	at(FIRST + nr, p[0]);
	at(FIRST + nr + 1, p[1]);
	set += set_all(FIRST + nr);
	CHECK(!hs_fdreg_pair(FIRST + nr, FIRST + nr + 1));
	nr += 2;
	printf("# %u options were set on %d sockets\n", set, nr);
	CHECK(set > 100);
	for (i = 0; i < nr; i++)
		ask_all(truth[i], FIRST + i);
	at(TRUTH_FD, memfd_create("truth", 0));
	CHECK(write(TRUTH_FD, truth, sizeof(truth)) == sizeof(truth));
}

static void look_options(void)
{
	struct answer now[LEVELS][NAMES];
	int i, l, n, bad = 0;

	CHECK(pread(TRUTH_FD, truth, sizeof(truth), 0) == sizeof(truth));
	for (i = 0; i < SOCKETS && fcntl(FIRST + i, F_GETFD) >= 0; i++) {
		ask_all(now, FIRST + i);
		for (l = 0; l < LEVELS; l++) {
			for (n = 0; n < NAMES; n++) {
				if (!memcmp(&now[l][n], &truth[i][l][n], sizeof(now[l][n])))
					continue;
				printf("# socket %d: level %d, option %d: %d, it was %d\n", i,
				       levels[l], n, *(int *)now[l][n].bytes,
				       *(int *)truth[i][l][n].bytes);
				bad++;
			}
		}
	}
	fflush(stdout);
	CHECK(!bad);
}

/*
 * Multicast groups and filters
 */

union filter {
	struct group_filter gf;
	char room[GROUP_FILTER_SIZE(4)];
};

static void set_address(struct sockaddr_storage *a, const char *text)
{
	a->ss_family = strchr(text, ':') ? AF_INET6 : AF_INET;
	CHECK(inet_pton(a->ss_family, text, a->ss_family == AF_INET ?
			(void *)&((struct sockaddr_in *)a)->sin_addr :
			(void *)&((struct sockaddr_in6 *)a)->sin6_addr) == 1);
}

static void join_group(int fd, const char *group, const char *source)
{
	struct group_source_req s = { .gsr_interface = if_nametoindex("lo") };
	struct group_req r = { .gr_interface = if_nametoindex("lo") };
	int level = strchr(group, ':') ? IPPROTO_IPV6 : IPPROTO_IP;

	set_address(&r.gr_group, group);
	set_address(&s.gsr_group, group);
	if (source) {
		set_address(&s.gsr_source, source);
		CHECK(!setsockopt(fd, level, MCAST_JOIN_SOURCE_GROUP, &s, sizeof(s)));
	} else {
		CHECK(!setsockopt(fd, level, MCAST_JOIN_GROUP, &r, sizeof(r)));
	}
}

static void look_at_group(int fd, const char *group, unsigned int mode, unsigned int sources)
{
	int level = strchr(group, ':') ? IPPROTO_IPV6 : IPPROTO_IP;
	union filter u = { .gf = { .gf_interface = if_nametoindex("lo"), .gf_numsrc = 4 } };
	socklen_t len = sizeof(u);

	set_address(&u.gf.gf_group, group);
	CHECK(!getsockopt(fd, level, MCAST_MSFILTER, &u, &len));
	CHECK(u.gf.gf_fmode == mode && u.gf.gf_numsrc == sources);
}

static void make_groups(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);

	if (fd >= 0) {
		at(21, fd);
		join_group(21, "ff15::1234", NULL);
		CHECK(!hs_fdreg(21));
	}
	at(20, socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
	CHECK(!bind(20, (struct sockaddr *)&in, sizeof(in)));
	join_group(20, "239.1.2.3", NULL);
	join_group(20, "232.1.1.1", "127.0.0.1");
	/* Others are in this one. */
	at(80, socket(AF_INET, SOCK_DGRAM, 0));
	join_group(80, "239.7.7.7", NULL);
	CHECK(!hs_fdreg(20));
}

static void look_groups(void)
{
	union filter u = { .gf = { .gf_interface = if_nametoindex("lo"), .gf_numsrc = 4 } };
	struct sockaddr_in to = { .sin_family = AF_INET };
	const struct in_addr lo = { htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(to), u_len = sizeof(u);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	char byte;

	look_at_group(20, "239.1.2.3", MCAST_EXCLUDE, 0);
	look_at_group(20, "232.1.1.1", MCAST_INCLUDE, 1);
	if (fcntl(21, F_GETFD) >= 0)
		look_at_group(21, "ff15::1234", MCAST_EXCLUDE, 0);
	set_address(&u.gf.gf_group, "239.7.7.7");
	CHECK(getsockopt(20, IPPROTO_IP, MCAST_MSFILTER, &u, &u_len) && errno == EADDRNOTAVAIL);
	/* And what is sent there comes. */
	CHECK(!getsockname(20, (struct sockaddr *)&to, &len));
	CHECK(inet_pton(AF_INET, "239.1.2.3", &to.sin_addr) == 1);
	CHECK(!setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof(lo)));
	CHECK(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) == 1);
	CHECK(poll(&(struct pollfd) { 20, POLLIN, 0 }, 1, 10000) == 1);
	CHECK(recv(20, &byte, 1, 0) == 1 && byte == 'x');
	close(fd);
}

/* Datagrams that begin with 'y', behind the eight bytes of UDP. */
static void make_filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'y', 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffff), BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = { 4, code };
	const struct sockaddr_in in = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int one = 1;

	at(20, socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
	CHECK(!bind(20, (const struct sockaddr *)&in, sizeof(in)));
	CHECK(!setsockopt(20, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)));
	CHECK(!setsockopt(20, SOL_SOCKET, SO_LOCK_FILTER, &one, sizeof(one)));
	CHECK(!hs_fdreg(20));
}

static void look_filter(void)
{
	struct sockaddr_in to;
	socklen_t len = sizeof(to);
	char byte = 0;

	CHECK(!getsockname(20, (struct sockaddr *)&to, &len));
	CHECK(sendto(20, "n", 1, 0, (struct sockaddr *)&to, len) == 1);
	CHECK(sendto(20, "y", 1, 0, (struct sockaddr *)&to, len) == 1);
	CHECK(poll(&(struct pollfd) { 20, POLLIN, 0 }, 1, 10000) == 1);
	CHECK(recv(20, &byte, 1, 0) == 1 && byte == 'y');
	CHECK(setsockopt(20, SOL_SOCKET, SO_DETACH_FILTER, &byte, sizeof(int)) && errno == EPERM);
}

/*
 * Locks
 */

static void make_locks(void)
{
	struct flock range = { .l_type = F_WRLCK, .l_start = 10, .l_len = 10 };
	struct flock rest = { .l_type = F_RDLCK, .l_start = 5 };
	int fd;

	at(20, open("a", O_RDWR | O_CREAT, 0600));
	at(21, open("b", O_RDWR | O_CREAT, 0600));
	at(22, open("c", O_RDWR | O_CREAT, 0600));
	at(23, open("d", O_RDWR | O_CREAT, 0600));
	close(open("e", O_RDWR | O_CREAT, 0600));
	at(24, open("e", O_RDONLY));
	CHECK(dup2(20, 25) == 25);
	CHECK(!flock(20, LOCK_EX) && !flock(21, LOCK_SH));
	CHECK(!fcntl(22, F_OFD_SETLK, &range));
	CHECK(!fcntl(23, F_SETLK, &rest));
	range.l_start = 1;
	range.l_len = 1;
	CHECK(!fcntl(23, F_SETLK, &range));
	CHECK(!fcntl(24, F_SETLEASE, F_RDLCK));
	for (fd = 20; fd <= 25; fd++)
		CHECK(!hs_fdreg(fd));
}

static void assert_range(const char *name, short type, off_t at_byte, short has, off_t start,
			 off_t len)
{
	struct flock l = { .l_type = type, .l_start = at_byte, .l_len = 1 };
	int fd = open(name, O_RDWR);

	CHECK(fd >= 0 && !fcntl(fd, F_GETLK, &l) && l.l_type == has);
	CHECK(has == F_UNLCK || (l.l_start == start && l.l_len == len));
	close(fd);
}

static void try_locks(void)
{
	int a = open("a", O_RDWR), b = open("b", O_RDWR);

	CHECK(flock(a, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK);
	CHECK(flock(b, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK);
	CHECK(!flock(b, LOCK_SH | LOCK_NB));
	assert_range("c", F_RDLCK, 15, F_WRLCK, 10, 10);
	assert_range("c", F_RDLCK, 20, F_UNLCK, 0, 0);
	assert_range("d", F_WRLCK, 5000, F_RDLCK, 5, 0);
	assert_range("d", F_RDLCK, 5000, F_UNLCK, 0, 0);
	assert_range("d", F_RDLCK, 1, F_WRLCK, 1, 1);
}

static void look_locks(void)
{
	in_child(try_locks);
	CHECK(fcntl(24, F_GETLEASE) == F_RDLCK);
	/* Nobody else has it for us. */
	CHECK(!flock(25, LOCK_UN) && !flock(20, LOCK_EX | LOCK_NB));
}

/*
 * Signals
 */

static void make_async(void)
{
	const struct f_owner_ex thread = { F_OWNER_TID, getpid() }, group = { F_OWNER_PGRP, getpgrp() };
	int p[2], fd;

	for (fd = 20; fd < 26; fd += 2) {
		CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, p));
		at(fd, p[0]);
		at(fd + 1, p[1]);
		CHECK(!hs_fdreg_pair(fd, fd + 1));
	}
	CHECK(!fcntl(20, F_SETSIG, SIGRTMIN + 1) && !fcntl(20, F_SETOWN, getpid()));
	CHECK(!fcntl(20, F_SETFL, O_ASYNC | O_NONBLOCK));
	CHECK(!fcntl(22, F_SETOWN_EX, &thread) && !fcntl(24, F_SETOWN_EX, &group));
}

static void look_async(void)
{
	const struct timespec limit = { .tv_sec = 20 };
	struct f_owner_ex owner;
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	CHECK(fcntl(20, F_GETOWN) == getpid() && fcntl(20, F_GETSIG) == SIGRTMIN + 1);
	CHECK(fcntl(20, F_GETFL) & O_ASYNC && fcntl(20, F_GETFL) & O_NONBLOCK);
	CHECK(!(fcntl(21, F_GETFL) & O_ASYNC) && !fcntl(21, F_GETOWN) && !fcntl(21, F_GETSIG));
	CHECK(!fcntl(22, F_GETOWN_EX, &owner) && owner.type == F_OWNER_TID && owner.pid == getpid());
	CHECK(!fcntl(24, F_GETOWN_EX, &owner) && owner.type == F_OWNER_PGRP &&
	      owner.pid == getpgrp());
	CHECK(write(21, "x", 1) == 1);
	CHECK(sigtimedwait(&set, &info, &limit) == SIGRTMIN + 1 && info.si_fd == 20);
}

/*
 * Names of Unix sockets, pairs that are shut down, pipes of packets
 */

static void make_unix(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "name" };

	CHECK(!mkdir("one", 0700) && !mkdir("two", 0700) && !chdir("one"));
	at(20, socket(AF_UNIX, SOCK_STREAM, 0));
	umask(022);
	CHECK(!bind(20, (struct sockaddr *)&un, sizeof(un)) && !listen(20, 5));
	CHECK(!chmod("name", 0620));
	CHECK(!hs_fdreg(20) && !chdir("../two"));
}

static void look_unix(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "../one/name" };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct stat st;
	mode_t mask = umask(0);

	/* Nobody's directory or mask has changed. */
	umask(mask);
	CHECK(mask == 022 && !access("../two", F_OK) && access("name", F_OK));
	CHECK(!stat("../one/name", &st) && (st.st_mode & 07777) == 0620);
	CHECK(!connect(fd, (struct sockaddr *)&un, sizeof(un)) && accept(20, NULL, NULL) >= 0);
	CHECK(!system("rm -r ../one ../two"));
}

static void make_shut(void)
{
	int p[2];

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	at(20, p[0]);
	at(21, p[1]);
	CHECK(write(20, "last", 4) == 4 && !shutdown(20, SHUT_WR));
	CHECK(!hs_fdreg_pair(20, 21));
	CHECK(!pipe2(p, O_DIRECT | O_NONBLOCK));
	at(22, p[0]);
	at(23, p[1]);
	CHECK(!hs_fdreg(22) && !hs_fdreg(23));
}

static void look_shut(void)
{
	char buf[16];

	CHECK(read(21, buf, sizeof(buf)) == 4 && !read(21, buf, sizeof(buf)));
	CHECK(send(20, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
	CHECK(write(21, "back", 4) == 4 && read(20, buf, sizeof(buf)) == 4);
	CHECK(fcntl(23, F_GETFL) & O_DIRECT);
	CHECK(write(23, "a", 1) == 1 && write(23, "bc", 2) == 2);
	CHECK(read(22, buf, sizeof(buf)) == 1 && read(22, buf, sizeof(buf)) == 2);
}

/*
 * Timers and epoll sets, of which /proc/self/fdinfo tells the rest
 */

/* Its lines that begin with @key, without what is another process's: positions and inodes. */
static void fdinfo(int fd, const char *key, char *text, size_t size)
{
	char path[40], line[256], *pos;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	CHECK(f);
	text[0] = 0;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, strlen(key)))
			continue;
		pos = strstr(line, " pos:");
		if (pos)
			strcpy(pos, "\n");
		CHECK(strlen(text) + strlen(line) < size);
		strcat(text, line);
	}
	fclose(f);
}

static void make_sets(void)
{
	struct epoll_event once = { .events = EPOLLIN | EPOLLONESHOT, .data.u64 = 11 };
	struct epoll_event other = { .events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLET, .data.u64 = 12 };
	struct itimerspec day = { .it_value = { .tv_sec = time(NULL) + 10000, .tv_nsec = 5 } };
	const struct hs_epoll_params params = { .busy_poll_usecs = 64, .busy_poll_budget = 8 };
	char text[4096];
	int p[2];

	CHECK(!pipe(p));
	at(21, p[0]);
	at(22, p[1]);
	at(23, eventfd(0, 0));
	at(20, epoll_create1(0));
	/* Since Linux 6.9. */
	if (ioctl(20, HS_EPOLL_SET, &params))
		printf("# no busy polling of epoll sets here\n");
	CHECK(!epoll_ctl(20, EPOLL_CTL_ADD, 21, &once) && !epoll_ctl(20, EPOLL_CTL_ADD, 23, &other));
	/* It has told it. */
	CHECK(write(22, "x", 1) == 1 && epoll_wait(20, &once, 1, 0) == 1);
	at(24, timerfd_create(CLOCK_REALTIME, 0));
	CHECK(!timerfd_settime(24, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &day, NULL));
	CHECK(!hs_fdreg(20) && !hs_fdreg(21) && !hs_fdreg(22) && !hs_fdreg_eventfd(23, 0) &&
	      !hs_fdreg(24));
	/* Needs privileges, and a clock that can wake the machine. */
	p[0] = timerfd_create(CLOCK_REALTIME_ALARM, 0);
	if (p[0] >= 0 && !timerfd_settime(p[0], TFD_TIMER_ABSTIME, &day, NULL)) {
		at(25, p[0]);
		CHECK(!hs_fdreg(25));
	}
	fdinfo(20, "tfd", text, sizeof(text));
	at(TRUTH_FD, memfd_create("truth", 0));
	CHECK(write(TRUTH_FD, text, sizeof(text)) == sizeof(text));
}

static void look_sets(void)
{
	char before[4096], now[4096];
	struct epoll_event event;
	struct hs_epoll_params params;
	struct itimerspec t;
	int fd;

	if (!ioctl(20, HS_EPOLL_GET, &params))
		CHECK(params.busy_poll_usecs == 64 && params.busy_poll_budget == 8);
	CHECK(pread(TRUTH_FD, before, sizeof(before), 0) == sizeof(before));
	fdinfo(20, "tfd", now, sizeof(now));
	CHECK(strlen(now) > 80 && strlen(now) == strlen(before));
	/* Errors are told whatever was asked for: EPOLLERR, EPOLLHUP. */
	CHECK(strstr(before, " 40000000") && strstr(before, " 90000019"));
	CHECK(strstr(now, " 40000018") && strstr(now, " 90000019"));
	CHECK(!epoll_wait(20, &event, 1, 0));
	fdinfo(24, "settime flags", now, sizeof(now));
	CHECK(strstr(now, "03"));
	for (fd = 24; fd <= 25; fd++) {
		if (timerfd_gettime(fd, &t) && fd == 25)
			break;
		CHECK(t.it_value.tv_sec > 9900 && t.it_value.tv_sec <= 10000);
		fdinfo(fd, "settime flags", now, sizeof(now));
		CHECK(strstr(now, fd == 24 ? "03" : "01"));
	}
}

/*
 * From one process to the next
 */

struct scene {
	const char *name;
	void (*make)(void);
	void (*look)(void);
};

static const struct scene scenes[] = {
	{ "options", make_options, look_options }, { "groups", make_groups, look_groups },
	{ "filter", make_filter, look_filter }, { "locks", make_locks, look_locks },
	{ "async", make_async, look_async }, { "unix", make_unix, look_unix },
	{ "shut", make_shut, look_shut }, { "sets", make_sets, look_sets },
};

static void save(void)
{
	struct hs_error e = { "" };
	struct json_object *json;
	struct hs_fds list;
	const char *text;

	if (hs_fds_capture(&list, &e)) {
		fprintf(stderr, "# %s\n", e.text);
		_exit(1);
	}
	json = hs_fds_json(&list);
	text = json_object_to_json_string(json);
	at(SAVED_FD, memfd_create("saved", 0));
	CHECK(write(SAVED_FD, text, strlen(text)) == (ssize_t)strlen(text));
	json_object_put(json);
	hs_fds_free(&list);
}

static void restore(struct hs_fds *list)
{
	struct hs_error e = { "" };
	off_t len = lseek(SAVED_FD, 0, SEEK_END);
	char *text = calloc(1, (size_t)len + 1);
	struct json_object *json;

	CHECK(text && pread(SAVED_FD, text, (size_t)len, 0) == len);
	json = json_tokener_parse(text);
	if (hs_fds_parse(list, json, &e) || hs_fds_restore(list, &e)) {
		fprintf(stderr, "# %s\n", e.text);
		_exit(1);
	}
	hs_fds_arm(list);
	json_object_put(json);
	free(text);
}

/* What was restored is as good for the next restart. */
static int go_on(const char *name, bool again)
{
	struct hs_fds list;
	size_t i;
	int fd;

	restore(&list);
	if (again) {
		hs_fds_adopt(&list);
		close(SAVED_FD);
		save();
		for (fd = 3; fd < SAVED_FD; fd++)
			close(fd);
		execl("/proc/self/exe", "fdstate_test", "--go-on", name, NULL);
		_exit(127);
	}
	for (i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
		if (!strcmp(scenes[i].name, name))
			scenes[i].look();
	hs_fds_free(&list);
	return 0;
}

static void play(const char *name)
{
	const struct scene *s = scenes;
	int status, fd;
	pid_t pid;

	while (strcmp(s->name, name))
		s++;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		for (fd = 3; fd < 200; fd++)
			close(fd);
		s->make();
		save();
		fflush(NULL);
		for (fd = 3; fd < SAVED_FD; fd++)
			close(fd);
		execl("/proc/self/exe", "fdstate_test", "--again", s->name, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(system("rm -rf ./*"), 0);
	assert_int_equal(status, 0);
}

#define PLAY(test, name)							\
	static void test(void **state)						\
	{									\
		(void)state;							\
		play(name);							\
	}
PLAY(options_of_sockets_come_back, "options")
PLAY(multicast_groups_come_back, "groups")
PLAY(a_filter_comes_back, "filter")
PLAY(locks_and_leases_come_back, "locks")
PLAY(signals_about_descriptors_come_back, "async")
PLAY(a_unix_name_comes_back_in_its_directory, "unix")
PLAY(what_was_shut_down_stays_so, "shut")
PLAY(sets_and_timers_come_back_with_their_flags, "sets")

/*
 * What can't be
 */

static void assert_not_captured(int err, const char *words)
{
	struct hs_error e = { "" };
	struct hs_fds list;

	assert_int_equal(hs_fds_capture(&list, &e), -1);
	assert_int_equal(errno, err);
	if (!strstr(e.text, words))
		fail_msg("'%s' instead of '%s'", e.text, words);
}

static void drop(int fd)
{
	assert_int_equal(hs_fd_deregister(fd), 0);
	close(fd);
}

static void what_belongs_to_others_is_refused_at_the_cut(void **state)
{
	struct epoll_event in = { .events = EPOLLIN };
	int p[2], fd, other, set;

	(void)state;
	assert_int_equal(pipe2(p, O_DIRECT), 0);
	assert_int_equal(hs_fdreg(p[0]) | hs_fdreg(p[1]), 0);
	assert_int_equal(write(p[1], "x", 1), 1);
	assert_not_captured(EBUSY, "a packet waits in it");
	assert_int_equal(read(p[0], &fd, 1), 1);
	assert_int_equal(fcntl(p[0], F_SETOWN, getppid()), 0);
	assert_not_captured(EOPNOTSUPP, "its signals go to another process");
	assert_int_equal(fcntl(p[0], F_SETOWN, 0), 0);
	drop(p[0]);
	drop(p[1]);

	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(hs_fdreg(fd), 0);
	assert_int_equal(shutdown(fd, SHUT_RD), 0);
	assert_not_captured(ENOTCONN, "doesn't listen any more");
	drop(fd);

	/* The number is another one's; the set has what it was, which a copy keeps open. */
	fd = eventfd(0, 0);
	set = epoll_create1(0);
	assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, fd, &in), 0);
	other = dup(fd);
	close(fd);
	assert_int_equal(eventfd(0, 0), fd);
	assert_int_equal(hs_fdreg_eventfd(fd, 0) | hs_fdreg(set), 0);
	assert_not_captured(ENOENT, "before it was closed");
	drop(set);
	drop(fd);
	close(other);
}

static void assert_no_such_protocol(int fd)
{
	if (fd < 0)
		return;
	assert_int_equal(listen(fd, 5), 0);
	errno = 0;
	assert_int_equal(hs_fdreg(fd), -1);
	assert_int_equal(errno, EPROTONOSUPPORT);
	close(fd);
}

static void what_has_unknown_state_is_refused(void **state)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = 2,
		.insns = (uintptr_t)code, .license = (uintptr_t)"GPL",
	};
	int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)), fd;

	(void)state;
	assert_no_such_protocol(socket(AF_INET, SOCK_STREAM, 262 /* IPPROTO_MPTCP */));
	assert_no_such_protocol(socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP));
	if (program < 0) {
		printf("# no eBPF here: %s\n", strerrorname_np(errno));
		return;
	}
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof(program)), 0);
	assert_int_equal(hs_fdreg(fd), 0);
	assert_not_captured(EOPNOTSUPP, "an eBPF filter can't be saved");
	drop(fd);
	close(program);
}

/* A child holds the lock: until it is killed, or for a moment. Its pid. */
static pid_t hold_lock(unsigned int ms)
{
	int p[2], fd;
	char byte;
	pid_t pid;

	assert_int_equal(pipe(p), 0);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		end_with_parent();
		fd = open("lock", O_RDWR);
		CHECK(!flock(fd, LOCK_EX) && write(p[1], "x", 1) == 1);
		if (ms)
			usleep(ms * 1000);
		else
			pause();
		_exit(0);
	}
	assert_int_equal(read(p[0], &byte, 1), 1);
	close(p[0]);
	close(p[1]);
	return pid;
}

/* It isn't taken for had: not at once, for whoever was killed may have left a child. */
static void a_lock_that_another_has_is_waited_for_and_missed(void **state)
{
	int fd = open("lock", O_RDWR | O_CREAT, 0600);
	struct hs_error e = { "" };
	struct hs_fds list;
	pid_t pid;

	(void)state;
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(hs_fdreg(fd), 0);
	assert_int_equal(hs_fds_capture(&list, &e), 0);
	assert_int_equal(flock(fd, LOCK_UN), 0);
	pid = hold_lock(0);
	hs_set_timeout(1);
	assert_int_equal(hs_fds_restore(&list, &e), -1);
	assert_int_equal(errno, EAGAIN);
	assert_non_null(strstr(e.text, "another process holds its lock (flock) here"));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	pid = hold_lock(200);
	hs_set_timeout(60);
	assert_int_equal(hs_fds_restore(&list, &e), 0);
	waitpid(pid, NULL, 0);
	hs_fds_free(&list);
	drop(fd);
	assert_int_equal(system("rm -rf ./*"), 0);
}

/* What is in it is altered byte by byte: neither crash nor leak. */
static void nonsense_is_refused(void **state)
{
	static const char bytes[] = "\"{}[]:,0-9e.xnt ";
	char text[] =
		"[{\"fd\":4,\"kind\":\"socket\",\"what\":7,\"flags\":2,\"cloexec\":false,"
		"\"family\":\"inet\",\"type\":\"dgram\",\"protocol\":17,\"reuse_addr\":false,"
		"\"reuse_port\":false,\"v6_only\":false,\"broadcast\":false,\"extra\":{\"signal\":3,"
		"\"owner\":\"group\",\"locks\":[{\"kind\":\"flock\",\"write\":true,\"start\":0,"
		"\"end\":9}],\"options\":{\"SO_KEEPALIVE\":\"01000000\",\"SO_RCVBUF\":\"01000000\","
		"\"IPV6_MULTICAST_IF\":\"lo\"},\"filter\":\"0600000000000000\",\"groups\":["
		"{\"interface\":\"lo\",\"group\":\"239.1.1.1\",\"include\":true,\"sources\":[\"1.2.3.4\"]}],"
		"\"directory\":\"/\",\"mode\":3,\"uid\":4,\"gid\":5}}]";
	size_t i, j, good = 0;
	char was;

	(void)state;
	for (i = 0; text[i]; i++) {
		was = text[i];
		for (j = 0; j < sizeof(bytes) - 1; j++) {
			struct json_object *json;
			struct hs_error e = { "" };
			struct hs_fds list;

			text[i] = bytes[j];
			json = json_tokener_parse(text);
			if (!hs_fds_parse(&list, json, &e)) {
				good++;
				hs_fds_free(&list);
			}
			json_object_put(json);
		}
		text[i] = was;
	}
	assert_true(good < strlen(text) * 8);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_of_sockets_come_back),
		cmocka_unit_test(multicast_groups_come_back),
		cmocka_unit_test(a_filter_comes_back),
		cmocka_unit_test(locks_and_leases_come_back),
		cmocka_unit_test(signals_about_descriptors_come_back),
		cmocka_unit_test(a_unix_name_comes_back_in_its_directory),
		cmocka_unit_test(what_was_shut_down_stays_so),
		cmocka_unit_test(sets_and_timers_come_back_with_their_flags),
		cmocka_unit_test(what_belongs_to_others_is_refused_at_the_cut),
		cmocka_unit_test(what_has_unknown_state_is_refused),
		cmocka_unit_test(a_lock_that_another_has_is_waited_for_and_missed),
		cmocka_unit_test(nonsense_is_refused),
	};
	char dir[] = "/tmp/hotspare-fdstate-test.XXXXXX";
	int ret;

	if (argc == 3 && !strncmp(argv[1], "--", 2))
		return go_on(argv[2], !strcmp(argv[1], "--again"));
	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	own_network();
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (chdir("/") || rmdir(dir))
		printf("# %s: %s\n", dir, strerrorname_np(errno));
	return ret;
}
