// SPDX-License-Identifier: GPL-2.0-only
/*
 * Identities: the table of Documentation/security.rst, walked. A program of user 1000 has a
 * session with a published snapshot, and user 1000 owns a replica. Each of ten identities tries
 * each call, on descriptors of its own and on descriptors that were passed on to it.
 */
#include <grp.h>
#include <libmnl/libmnl.h>
#include <linux/capability.h>
#include <linux/genetlink.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/cptdev_netlink.h>

#include "cptdev_test.h"
#include "harness.h"

#define OWNER		1000
#define GROUP		997		/* of the device */
#define LEN		(4 * PAGE)
#define SESSION_NAME	"identity-session"

enum who {
	PROGRAM,	/* the session's own */
	CHILD,		/* after fork(), with its descriptors */
	OWNER_USER,	/* another process of the same user */
	OWNER_NS,	/* that user in a user namespace */
	ROOT,
	DAEMON,		/* a user of its own, with CAP_CHECKPOINT_RESTORE only */
	POWERLESS,	/* user 0 without capabilities */
	OTHER,		/* another user, of the device's group */
	NS_ROOT,	/* that one as root of a user namespace */
	OUTSIDE,	/* a user who isn't of the group */
	NR_WHO
};

static const char *const names[] = {
	"the program", "its child", "its user", "its user in a namespace", "root", "the daemon",
	"root without capabilities", "another user", "root of a namespace", "outside the group",
};

struct subject {
	int session;			/* passed on */
	int ro, rw;			/* of the replica, likewise */
	int root_socket;		/* netlink, opened by root */
	int other_socket;		/* ... by another user */
	uint64_t session_id;
	char replica[32];
	char *m;
	uint16_t family;
};

/*
 * Calls. Each opens what it needs, and returns 0 or -errno.
 */

static int r_open(int device, const char *name, uint32_t flags)
{
	struct cptdev_replica_open a = { .size = sizeof(a), .flags = flags };

	strncpy((char *)a.name, name, sizeof(a.name) - 1);
	return t_ioctl(device, CPTDEV_IOC_REPLICA_OPEN, &a) ?: a.fd;
}

static int r_remove(int fd)
{
	struct cptdev_replica_remove a = { .size = sizeof(a) };

	return t_ioctl(fd, CPTDEV_IOC_REPLICA_REMOVE, &a);
}

/* A descriptor is as good as 0. */
static int closed(int fd)
{
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int op_open(struct subject *s)
{
	return closed(t_open());
}

static int setup(const char *name)
{
	int fd = t_open(), ret;

	if (fd < 0)
		return fd;
	ret = t_setup(fd, name, 0, 0);
	close(fd);
	return ret;
}

static int op_setup(struct subject *s)
{
	return setup("identity-new");
}

static int op_setup_taken(struct subject *s)
{
	return setup(SESSION_NAME);
}

static int op_setup_replica(struct subject *s)
{
	return setup(s->replica);
}

static int op_create(struct subject *s)
{
	int dev = t_open(), fd;

	if (dev < 0)
		return dev;
	fd = r_open(dev, SESSION_NAME, CPTDEV_REPLICA_CREATE | CPTDEV_REPLICA_EXCL);
	if (fd >= 0)
		r_remove(fd);
	close(dev);
	return closed(fd);
}

static int opened(struct subject *s, uint32_t flags)
{
	int dev = t_open(), fd;

	if (dev < 0)
		return dev;
	fd = r_open(dev, s->replica, flags);
	close(dev);
	return closed(fd);
}

static int op_open_replica(struct subject *s)
{
	return opened(s, 0);
}

static int op_open_write(struct subject *s)
{
	return opened(s, CPTDEV_REPLICA_WRITE);
}

static int op_delta(struct subject *s)
{
	int dev = t_open(), ret;

	if (dev < 0)
		return dev;
	ret = t_delta(dev, s->session_id, 0, NULL);
	close(dev);
	return closed(ret);
}

static int round_of(uint64_t session_id)
{
	/* A snapshot of everything is published: without a base there would be no need of rounds. */
	struct cptdev_round r = { .session_id = session_id, .base = 1, .pages = CPTDEV_ROUND_MIN };
	int dev = t_open(), ret;

	if (dev < 0)
		return dev;
	ret = t_round(dev, &r);
	close(dev);
	return closed(ret);
}

static int op_round(struct subject *s)
{
	return round_of(s->session_id);
}

/* Who mayn't call it doesn't learn from it which sessions there are. */
static int op_round_nobodys(struct subject *s)
{
	return round_of(s->session_id + (1ULL << 40));
}

static int op_ack(struct subject *s)
{
	int dev = t_open(), ret;

	if (dev < 0)
		return dev;
	ret = t_ack(dev, s->session_id, 0, CPTDEV_ACK_WANT);
	close(dev);
	return ret;
}

static int op_session_info(struct subject *s)
{
	struct cptdev_info info = { .size = sizeof(info) };

	return t_ioctl(s->session, CPTDEV_IOC_INFO, &info);
}

static int op_session_add(struct subject *s)
{
	int ret = t_add(s->session, s->m, PAGE);

	return ret ?: t_del(s->session, s->m, PAGE);
}

static int op_session_list(struct subject *s)
{
	struct cptdev_range_list a = { .size = sizeof(a) };

	return t_ioctl(s->session, CPTDEV_IOC_RANGE_LIST, &a);
}

static int op_session_scan(struct subject *s)
{
	struct cptdev_region r;
	struct cptdev_scan a = {
		.size = sizeof(a), .vec = (unsigned long)&r, .vec_len = 1,
		.report = CPTDEV_PAGE_DIRTY,
	};

	return t_ioctl(s->session, CPTDEV_IOC_SCAN, &a);
}

static int op_session_snapshot(struct subject *s)
{
	return closed(t_snapshot(s->session, 0, 0, NULL));
}

static int op_session_wait(struct subject *s)
{
	return t_wait(s->session, 0, 0, NULL);
}

static int op_session_alive(struct subject *s)
{
	struct cptdev_session_alive a = { .size = sizeof(a) };

	return t_ioctl(s->session, CPTDEV_IOC_SESSION_ALIVE, &a);
}

static int op_session_page(struct subject *s)
{
	void *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, s->session, 0);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, PAGE);
	return 0;
}

static int op_session_open_replica(struct subject *s)
{
	return closed(r_open(s->session, s->replica, 0));
}

static int op_replica_info(struct subject *s)
{
	struct cptdev_image_info a = { .size = sizeof(a) };

	return t_ioctl(s->ro, CPTDEV_IOC_IMAGE_INFO, &a);
}

static int image_vec(int fd, unsigned long cmd, size_t entry)
{
	char v[64];
	struct cptdev_image_vec a = {
		.size = sizeof(a), .vec = (unsigned long)v, .vec_len = sizeof(v) / entry,
	};

	return t_ioctl(fd, cmd, &a);
}

static int op_replica_read(struct subject *s)
{
	char byte;
	ssize_t n = t_pread(s->ro, &byte, 1, 0x10000000);
	int ret = n < 0 ? n : 0;

	ret = ret ?: image_vec(s->ro, CPTDEV_IOC_IMAGE_LAYOUT, sizeof(struct cptdev_segment));
	ret = ret ?: image_vec(s->ro, CPTDEV_IOC_IMAGE_EXTENTS, sizeof(struct cptdev_extent));
	return ret ?: image_vec(s->ro, CPTDEV_IOC_IMAGE_META, 1);
}

static int feed(int fd, uint64_t generation)
{
	struct cptdev_segment seg = {
		.addr = 0x10000000, .len = PAGE, .kind = CPTDEV_SEGMENT_ANON, .prot = 3,
	};
	struct cptdev_replica_begin b = {
		.size = sizeof(b), .uuid = { 7 }, .term = 1, .base = generation - 1,
		.generation = generation, .layout = (unsigned long)&seg, .layout_len = 1,
	};
	char page[PAGE] = { 1 };
	struct cptdev_extent e = { .addr = seg.addr, .len = PAGE, .kind = CPTDEV_EXTENT_DATA };
	struct cptdev_replica_stage st = {
		.size = sizeof(st), .vec = (unsigned long)&e, .vec_len = 1,
		.data = (unsigned long)page, .data_len = PAGE,
	};
	struct cptdev_replica_commit c = { .size = sizeof(c), .generation = generation };
	int ret = t_ioctl(fd, CPTDEV_IOC_REPLICA_BEGIN, &b);

	ret = ret ?: t_ioctl(fd, CPTDEV_IOC_REPLICA_STAGE, &st);
	return ret ?: t_ioctl(fd, CPTDEV_IOC_REPLICA_COMMIT, &c);
}

static int promote(int fd)
{
	struct cptdev_replica_promote a = { .size = sizeof(a) };

	return t_ioctl(fd, CPTDEV_IOC_REPLICA_PROMOTE, &a);
}

/* To begin, to stage, to commit, to abort and to write. */
static int op_replica_feed(struct subject *s)
{
	struct cptdev_replica_stage st = { .size = sizeof(st) };
	struct cptdev_replica_commit c = { .size = sizeof(c) };
	int ret = feed(s->ro, 2);

	if (ret != t_ioctl(s->ro, CPTDEV_IOC_REPLICA_STAGE, &st) ||
	    ret != t_ioctl(s->ro, CPTDEV_IOC_REPLICA_COMMIT, &c) ||
	    ret != t_ioctl(s->ro, CPTDEV_IOC_REPLICA_ABORT, &c) ||
	    ret != (int)t_pwrite(s->ro, "x", 1, 0x10000000))
		return 1;
	return ret;
}

static int op_replica_promote(struct subject *s)
{
	return promote(s->ro);
}

static int op_replica_freeze(struct subject *s)
{
	struct cptdev_replica_freeze a = { .size = sizeof(a) };

	return t_ioctl(s->ro, CPTDEV_IOC_REPLICA_FREEZE, &a);
}

static int op_replica_claim(struct subject *s)
{
	struct cptdev_replica_claim a = { .size = sizeof(a) };
	int ret = promote(s->rw);

	return ret ? 1 : t_ioctl(s->ro, CPTDEV_IOC_REPLICA_CLAIM, &a);
}

static int op_replica_copied(struct subject *s)
{
	struct cptdev_replica_copied a = { .size = sizeof(a) };

	return t_ioctl(s->ro, CPTDEV_IOC_REPLICA_COPIED, &a);
}

static int op_replica_history(struct subject *s)
{
	struct cptdev_replica_history a = { .size = sizeof(a) };

	return t_ioctl(s->ro, CPTDEV_IOC_REPLICA_HISTORY, &a);
}

static int op_replica_keep(struct subject *s)
{
	struct cptdev_replica_history a = { .size = sizeof(a), .flags = CPTDEV_HISTORY_SET };

	return t_ioctl(s->ro, CPTDEV_IOC_REPLICA_HISTORY, &a);
}

static int op_replica_at(struct subject *s)
{
	struct cptdev_replica_at a = { .size = sizeof(a) };

	return t_ioctl(s->ro, CPTDEV_IOC_REPLICA_AT, &a);
}

static int op_replica_remove(struct subject *s)
{
	return r_remove(s->ro);
}

static int op_write_feed(struct subject *s)
{
	return feed(s->rw, 2);
}

static int op_write_promote(struct subject *s)
{
	return promote(s->rw);
}

static int op_write_remove(struct subject *s)
{
	return r_remove(s->rw);
}

/*
 * Netlink
 */

static int family_attr(const struct nlattr *attr, void *data)
{
	if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID)
		*(uint16_t *)data = mnl_attr_get_u16(attr);
	return MNL_CB_OK;
}

static int family_cb(const struct nlmsghdr *nlh, void *data)
{
	return mnl_attr_parse(nlh, sizeof(struct genlmsghdr), family_attr, data);
}

static struct nlmsghdr *request(char *buf, uint16_t type, uint8_t cmd, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *g;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = 1;
	g = mnl_nlmsg_put_extra_header(nlh, sizeof(*g));
	g->cmd = cmd;
	g->version = CPTDEV_GENL_VERSION;
	return nlh;
}

static int netlink(void)
{
	struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);

	return fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) ? -errno : fd;
}

/* Send and read up to the end of the answer, ACK or DONE. 0 or -errno. */
static int talk(int fd, struct nlmsghdr *nlh, mnl_cb_t cb, void *data)
{
	char buf[16384];
	int n, ret = MNL_CB_OK;

	if (send(fd, nlh, nlh->nlmsg_len, 0) < 0)
		return -errno;
	while (ret > MNL_CB_STOP) {
		n = recv(fd, buf, sizeof(buf), 0);
		if (n < 0)
			return -errno;
		ret = mnl_cb_run(buf, n, 1, 0, cb, data);
	}
	return ret < 0 ? -errno : 0;
}

struct listing {
	const struct subject *s;
	int found;
};

static int listed_attr(const struct nlattr *attr, void *data)
{
	struct listing *l = data;
	int type = mnl_attr_get_type(attr);

	if (type == CPTDEV_A_SESSION_ID && mnl_attr_get_payload_len(attr) == 8)
		l->found += mnl_attr_get_u64(attr) == l->s->session_id;
	if (type == CPTDEV_A_REPLICA_NAME && mnl_attr_get_payload_len(attr) != 8)
		l->found += !strcmp(mnl_attr_get_str(attr), l->s->replica);
	return MNL_CB_OK;
}

static int listed_cb(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr))
		mnl_attr_parse_nested(attr, listed_attr, data);
	return MNL_CB_OK;
}

/* What isn't in the dump is as good as refused. */
static int dumped(struct subject *s, int fd, uint8_t cmd)
{
	struct listing l = { .s = s };
	char buf[256];
	int ret = fd < 0 ? fd :
		talk(fd, request(buf, s->family, cmd, NLM_F_DUMP), listed_cb, &l);

	return ret ?: l.found == 1 ? 0 : l.found ? 1 : -EACCES;
}

static int op_dump_session(struct subject *s)
{
	int fd = netlink(), ret = dumped(s, fd, CPTDEV_CMD_SESSION_GET);

	close(fd);
	return ret;
}

static int op_dump_replica(struct subject *s)
{
	int fd = netlink(), ret = dumped(s, fd, CPTDEV_CMD_REPLICA_GET);

	close(fd);
	return ret;
}

static int get_session(struct subject *s, int fd)
{
	struct listing l = { .s = s };
	char buf[256];
	struct nlmsghdr *nlh = request(buf, s->family, CPTDEV_CMD_SESSION_GET, NLM_F_ACK);
	struct nlattr *nest = mnl_attr_nest_start(nlh, CPTDEV_A_SESSION);
	int ret;

	mnl_attr_put_u64(nlh, CPTDEV_A_SESSION_ID, s->session_id);
	mnl_attr_nest_end(nlh, nest);
	ret = fd < 0 ? fd : talk(fd, nlh, listed_cb, &l);
	return ret ?: l.found == 1 ? 0 : 1;
}

static int op_get_session(struct subject *s)
{
	int fd = netlink(), ret = get_session(s, fd);

	close(fd);
	return ret;
}

static int op_get_replica(struct subject *s)
{
	struct listing l = { .s = s };
	char buf[256];
	struct nlmsghdr *nlh = request(buf, s->family, CPTDEV_CMD_REPLICA_GET, NLM_F_ACK);
	struct nlattr *nest = mnl_attr_nest_start(nlh, CPTDEV_A_REPLICA);
	int fd = netlink(), ret;

	mnl_attr_put_strz(nlh, CPTDEV_A_REPLICA_NAME, s->replica);
	mnl_attr_nest_end(nlh, nest);
	ret = fd < 0 ? fd : talk(fd, nlh, listed_cb, &l);
	close(fd);
	return ret ?: l.found == 1 ? 0 : 1;
}

/* The answer goes to whoever has the socket: both count. */
static int op_root_socket(struct subject *s)
{
	return get_session(s, s->root_socket);
}

static int op_other_socket(struct subject *s)
{
	return get_session(s, s->other_socket);
}

static int op_other_dump(struct subject *s)
{
	return dumped(s, s->other_socket, CPTDEV_CMD_SESSION_GET);
}

/*
 * The table. Columns as in enum who.
 */

#define P	(-EPERM)
#define A	(-EACCES)
#define X	(-EXDEV)
#define B	(-EBADF)
#define E	(-EEXIST)
#define N	(-ENOENT)

static const struct op {
	const char *name;
	int (*fn)(struct subject *s);
	int want[NR_WHO];
} ops[] = {
	/*				 program  user     root     powerless  ns root
	 *					child    in ns	  daemon     other	outside
	 */
	/* on a descriptor of its own */
	{ "open", op_open,		{ 0, 0, 0, 0, 0, 0, 0, 0, 0, A } },
	{ "setup", op_setup,		{ 0, 0, 0, 0, 0, 0, 0, 0, 0, A } },
	{ "setup, a session's name", op_setup_taken, { E, E, E, E, E, E, E, E, E, A } },
	{ "setup, a replica's name", op_setup_replica, { 0, 0, 0, 0, 0, 0, A, A, A, A } },
	{ "create, a session's name", op_create, { 0, 0, 0, 0, 0, 0, A, A, A, A } },
	{ "open the replica", op_open_replica, { 0, 0, 0, 0, 0, 0, A, A, A, A } },
	{ "open it to write", op_open_write, { P, P, P, P, 0, 0, P, P, P, A } },
	{ "delta", op_delta,		{ P, P, P, P, 0, 0, P, P, P, A } },
	{ "round", op_round,		{ P, P, P, P, 0, 0, P, P, P, A } },
	{ "round, no such session", op_round_nobodys, { P, P, P, P, N, N, P, P, P, A } },
	{ "ack", op_ack,		{ P, P, P, P, 0, 0, P, P, P, A } },
	/* on the session's, passed on */
	{ "session: info", op_session_info, { 0 } },
	{ "session: add, del", op_session_add, { 0, X, X, X, X, X, X, X, X, X } },
	{ "session: list", op_session_list, { 0, X, X, X, X, X, X, X, X, X } },
	{ "session: scan", op_session_scan, { 0, X, X, X, X, X, X, X, X, X } },
	{ "session: snapshot", op_session_snapshot, { 0, X, X, X, X, X, X, X, X, X } },
	{ "session: wait", op_session_wait, { -ETIMEDOUT, X, X, X, X, X, X, X, X, X } },
	{ "session: alive", op_session_alive, { 0, X, X, X, X, X, X, X, X, X } },
	{ "session: page", op_session_page, { 0, X, X, X, X, X, X, X, X, X } },
	{ "session: open the replica", op_session_open_replica,
					{ 0, 0, 0, 0, 0, 0, A, A, A, A } },
	/* on the replica's, opened to read, passed on */
	{ "replica: info", op_replica_info, { 0 } },
	{ "replica: read", op_replica_read, { 0 } },
	{ "replica: feed", op_replica_feed, { B, B, B, B, B, B, B, B, B, B } },
	{ "replica: promote", op_replica_promote, { B, B, B, B, B, B, B, B, B, B } },
	{ "replica: freeze", op_replica_freeze, { 0, 0, 0, 0, 0, 0, A, A, A, A } },
	{ "replica: claim", op_replica_claim, { 0, 0, 0, 0, 0, 0, A, A, A, A } },
	{ "replica: copied", op_replica_copied, { 0, 0, 0, 0, 0, 0, A, A, A, A } },
	{ "replica: history", op_replica_history, { 0 } },
	{ "replica: keep a history", op_replica_keep, { B, B, B, B, B, B, B, B, B, B } },
	{ "replica: at", op_replica_at, { 0, 0, 0, 0, 0, 0, A, A, A, A } },
	{ "replica: remove", op_replica_remove, { 0, 0, 0, 0, 0, 0, A, A, A, A } },
	/* opened to write, passed on: whoever has the capability gave the right away */
	{ "writable: feed", op_write_feed, { 0 } },
	{ "writable: promote", op_write_promote, { 0 } },
	{ "writable: remove", op_write_remove, { 0, 0, 0, 0, 0, 0, A, A, A, A } },
	/* netlink */
	{ "dump: session", op_dump_session, { 0, 0, 0, 0, 0, 0, A, A, A, A } },
	{ "dump: replica", op_dump_replica, { 0, 0, 0, 0, 0, 0, A, A, A, A } },
	{ "get: session", op_get_session, { 0, 0, 0, 0, 0, 0, A, A, A, A } },
	{ "get: replica", op_get_replica, { 0, 0, 0, 0, 0, 0, A, A, A, A } },
	{ "get, root's socket", op_root_socket, { 0, 0, 0, 0, 0, 0, A, A, A, A } },
	{ "get, another user's socket", op_other_socket, { A, A, A, A, A, A, A, A, A, A } },
	{ "dump, another user's socket", op_other_dump, { A, A, A, A, A, A, A, A, A, A } },
};

/*
 * Becoming somebody
 */

static int capabilities(uint64_t caps)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = {
		{ .effective = caps, .permitted = caps },
		{ .effective = caps >> 32, .permitted = caps >> 32 },
	};

	return syscall(SYS_capset, &h, d) ? -errno : 0;
}

static int user(uid_t uid, gid_t gid)
{
	return setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid) ?
		-errno : 0;
}

/* @inside: how the user is called there. */
static int user_ns(uid_t uid, uid_t inside)
{
	char map[64];
	int ret = user(uid, GROUP);

	/* /proc/self belongs to root after the change of the user. */
	if (ret || prctl(PR_SET_DUMPABLE, 1) || unshare(CLONE_NEWUSER))
		return ret ?: -errno;
	snprintf(map, sizeof(map), "%u %u 1", inside, uid);
	return t_write_file("/proc/self/uid_map", map);
}

static int become(enum who who)
{
	switch (who) {
	case OWNER_USER:
		return user(OWNER, GROUP);
	case OWNER_NS:
		return user_ns(OWNER, OWNER);
	case DAEMON:
		if (prctl(PR_SET_KEEPCAPS, 1))
			return -errno;
		return user(990, GROUP) ?: capabilities(1ULL << CAP_CHECKPOINT_RESTORE);
	case POWERLESS:
		return user(0, 0) ?: capabilities(0);
	case OTHER:
		return user(1001, GROUP);
	case NS_ROOT:
		return user_ns(1001, 0);
	case OUTSIDE:
		return user(1003, 1003);
	default:
		return 0;
	}
}

/*
 * The program: it makes the session, then does what it is told, with what is passed to it.
 */

struct order {
	int op, who;
	struct subject s;
};

static int pass(int to, const void *data, size_t len, const int *fds, int nr)
{
	union {
		char buf[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} u = {};
	struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf,
		.msg_controllen = CMSG_SPACE(nr * sizeof(int)),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(nr * sizeof(int));
	memcpy(CMSG_DATA(c), fds, nr * sizeof(int));
	return sendmsg(to, &msg, 0) == (ssize_t)len ? 0 : -errno;
}

static int take(int from, void *data, size_t len, int *fds, int nr)
{
	union {
		char buf[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} u = {};
	struct iovec iov = { .iov_base = data, .iov_len = len };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf,
		.msg_controllen = sizeof(u.buf),
	};
	struct cmsghdr *c;

	if (recvmsg(from, &msg, 0) != (ssize_t)len)
		return -EPIPE;
	c = CMSG_FIRSTHDR(&msg);
	if (!c || c->cmsg_len != CMSG_LEN(nr * sizeof(int)))
		return -EPROTO;
	memcpy(fds, CMSG_DATA(c), nr * sizeof(int));
	return 0;
}

static int in_child(int (*fn)(struct subject *), struct subject *s, enum who who)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		int ret = become(who);

		_exit(ret ? 200 : -fn(s));
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : 1;
}

static void program(int sock)
{
	int dev, fds[4], ret;
	struct cptdev_snapshot snap = {};
	struct order o = {};
	char *m;

	if (user(OWNER, GROUP))
		_exit(1);
	dev = t_open();
	m = t_map(2 * LEN);
	memset(m, 1, 2 * LEN);
	if (dev < 0 || t_setup(dev, SESSION_NAME, 0, 0) || t_add(dev, m, LEN) ||
	    (t_snapshot(dev, CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD, 0, &snap),
	     snap.generation != 1))
		_exit(2);
	o.s.session_id = t_info(dev).session_id;
	if (pass(sock, &o, sizeof(o), &dev, 1))
		_exit(3);
	while (!take(sock, &o, sizeof(o), fds, 4)) {
		o.s.session = dev;
		o.s.m = m + LEN;
		o.s.ro = fds[0];
		o.s.rw = fds[1];
		o.s.root_socket = fds[2];
		o.s.other_socket = fds[3];
		ret = o.who == CHILD ? in_child(ops[o.op].fn, &o.s, CHILD) : ops[o.op].fn(&o.s);
		for (int i = 0; i < 4; i++)
			close(fds[i]);
		if (write(sock, &ret, sizeof(ret)) != sizeof(ret))
			_exit(4);
	}
	_exit(0);
}

FIXTURE(identity) {
	int sock;
	pid_t pid;
	struct stat device;
	struct subject s;
};

static int make_replica(struct subject *s)
{
	int dev = t_open(), fd = r_open(dev, s->replica, CPTDEV_REPLICA_CREATE |
					CPTDEV_REPLICA_EXCL);

	return fd < 0 ? fd : 0;
}

static int make_socket(struct subject *s)
{
	int fd = netlink(), ret;

	ret = fd < 0 ? fd : pass(s->other_socket, "", 1, &fd, 1);
	return ret;
}

FIXTURE_SETUP(identity)
{
	int pair[2], fd = netlink();
	struct nlmsghdr *nlh;
	struct order o;
	char buf[256], c;

	ASSERT_EQ(0, stat(CPTDEV_DEVICE, &self->device));
	ASSERT_EQ(0, chown(CPTDEV_DEVICE, 0, GROUP));
	ASSERT_EQ(0, chmod(CPTDEV_DEVICE, 0660));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	self->pid = fork();
	if (!self->pid) {
		close(pair[0]);
		program(pair[1]);
	}
	close(pair[1]);
	self->sock = pair[0];
	ASSERT_EQ(0, take(self->sock, &o, sizeof(o), &self->s.session, 1));
	self->s.session_id = o.s.session_id;
	self->s.m = t_map(LEN);
	nlh = request(buf, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK);
	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, CPTDEV_GENL_NAME);
	ASSERT_EQ(0, talk(fd, nlh, family_cb, &self->s.family));
	self->s.root_socket = fd;
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	self->s.other_socket = pair[1];
	ASSERT_EQ(0, in_child(make_socket, &self->s, OTHER));
	ASSERT_EQ(0, take(pair[0], &c, 1, &self->s.other_socket, 1));
	close(pair[0]);
	close(pair[1]);
}

FIXTURE_TEARDOWN(identity)
{
	int status;

	close(self->sock);
	waitpid(self->pid, &status, 0);
	EXPECT_EQ(0, status);
	close(self->s.session);
	chown(CPTDEV_DEVICE, self->device.st_uid, self->device.st_gid);
	chmod(CPTDEV_DEVICE, self->device.st_mode & 07777);
}

static int told(FIXTURE_DATA(identity) *self, int op, int who)
{
	struct order o = { .op = op, .who = who, .s = self->s };
	int fds[] = { self->s.ro, self->s.rw, self->s.root_socket, self->s.other_socket };
	int ret;

	if (pass(self->sock, &o, sizeof(o), fds, 4) ||
	    read(self->sock, &ret, sizeof(ret)) != sizeof(ret))
		return 1;
	return ret;
}

/* One cell: on a replica of its own, as some take it away. */
static int cell(FIXTURE_DATA(identity) *self, int op, int who)
{
	struct subject *s = &self->s;
	int dev = t_open(), ret;

	snprintf(s->replica, sizeof(s->replica), "identity-%d-%d", op, who);
	ret = in_child(make_replica, s, OWNER_USER);
	s->rw = r_open(dev, s->replica, CPTDEV_REPLICA_WRITE);
	s->ro = r_open(dev, s->replica, 0);
	close(dev);
	if (ret || s->rw < 0 || s->ro < 0 || feed(s->rw, 1))
		return 1;
	ret = who <= CHILD ? told(self, op, who) : in_child(ops[op].fn, s, who);
	r_remove(s->rw);
	close(s->ro);
	close(s->rw);
	return ret;
}

TEST_F_TIMEOUT(identity, table, 300)
{
	int op, who, got, wrong = 0;

	for (op = 0; op < (int)(sizeof(ops) / sizeof(*ops)); op++) {
		for (who = 0; who < NR_WHO; who++) {
			got = cell(self, op, who);
			if (got == ops[op].want[who])
				continue;
			wrong++;
			printf("# %s: %s: %d, not %d\n", ops[op].name, names[who], got,
			       ops[op].want[who]);
		}
	}
	EXPECT_EQ(0, wrong);
}

TEST_HARNESS_MAIN
