// SPDX-License-Identifier: GPL-2.0-only
/*
 * The netlink family: what dumps show, what errors say, which events come and in which
 * order.
 */
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <linux/cptdev_netlink.h>

#include "cptdev_test.h"
#include "harness.h"

#define LEN	(16 * PAGE)
#define PUBLISH	(CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD)

#define ATTR_MAX	(CPTDEV_A_SESSION_MAX | CPTDEV_A_REPLICA_MAX)	/* not less than either */

/* A message of ours, taken apart. */
struct message {
	uint8_t cmd;
	const struct nlattr *a[ATTR_MAX + 1];
	char copy[2048];
};

FIXTURE(genl) {
	struct mnl_socket *nl, *events;
	uint16_t family;
	uint32_t group;
	char buf[16384];
	struct message msg;
	char extack[256];
	int fd;
	char *m;
	char name[32];
};

/*
 * Talking
 */

static int family_attr(const struct nlattr *attr, void *data)
{
	FIXTURE_DATA(genl) *self = data;
	const struct nlattr *grp, *a;

	if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID)
		self->family = mnl_attr_get_u16(attr);
	if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GROUPS)
		mnl_attr_for_each_nested(grp, attr)
			mnl_attr_for_each_nested(a, grp)
				if (mnl_attr_get_type(a) == CTRL_ATTR_MCAST_GRP_ID)
					self->group = mnl_attr_get_u32(a);
	return MNL_CB_OK;
}

static int family_cb(const struct nlmsghdr *nlh, void *data)
{
	return mnl_attr_parse(nlh, sizeof(struct genlmsghdr), family_attr, data);
}

static int message_attr(const struct nlattr *attr, void *data)
{
	struct message *msg = data;

	if (mnl_attr_get_type(attr) <= ATTR_MAX)
		msg->a[mnl_attr_get_type(attr)] = attr;
	return MNL_CB_OK;
}

static int message_cb(const struct nlmsghdr *nlh, void *data)
{
	struct message *msg = data;
	const struct genlmsghdr *g = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;

	memset(msg, 0, sizeof(*msg));
	msg->cmd = g->cmd;
	memcpy(msg->copy, nlh, nlh->nlmsg_len);
	mnl_attr_for_each(attr, (struct nlmsghdr *)msg->copy, sizeof(*g))
		mnl_attr_parse_nested(attr, message_attr, msg);
	return MNL_CB_OK;
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

/* Send and read the answer up to its end. 0, or -errno with the text in extack. */
static int talk(FIXTURE_DATA(genl) *self, struct nlmsghdr *nlh, mnl_cb_t cb, void *data)
{
	int n, ret;

	self->extack[0] = 0;
	if (mnl_socket_sendto(self->nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		struct nlmsghdr *reply = (void *)self->buf;
		struct nlmsgerr *err;
		struct nlattr *attr;

		n = mnl_socket_recvfrom(self->nl, self->buf, sizeof(self->buf));
		if (n < 0)
			return -errno;
		err = mnl_nlmsg_get_payload(reply);
		if (reply->nlmsg_type == NLMSG_ERROR) {
			size_t skip = sizeof(*err);

			if (!(reply->nlmsg_flags & NLM_F_CAPPED))
				skip += err->msg.nlmsg_len - sizeof(err->msg);
			if (reply->nlmsg_flags & NLM_F_ACK_TLVS)
				mnl_attr_for_each(attr, reply, MNL_ALIGN(skip))
					if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG)
						snprintf(self->extack,
							 sizeof(self->extack), "%s",
							 mnl_attr_get_str(attr));
			return err->error;
		}
		ret = mnl_cb_run(self->buf, n, 1, mnl_socket_get_portid(self->nl), cb, data);
	} while (ret > MNL_CB_STOP && (((struct nlmsghdr *)self->buf)->nlmsg_flags &
				       NLM_F_MULTI));
	return ret < 0 ? -errno : 0;
}

static struct mnl_socket *open_socket(void)
{
	struct mnl_socket *nl = mnl_socket_open(NETLINK_GENERIC);
	int on = 1;

	if (nl && mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) == 0 &&
	    mnl_socket_setsockopt(nl, NETLINK_EXT_ACK, &on, sizeof(on)) == 0)
		return nl;
	return NULL;
}

FIXTURE_SETUP(genl)
{
	struct nlmsghdr *nlh;

	snprintf(self->name, sizeof(self->name), "genl-%d", getpid());
	self->nl = open_socket();
	self->events = open_socket();
	ASSERT_NE(NULL, self->nl);
	nlh = request(self->buf, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);
	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, CPTDEV_GENL_NAME);
	ASSERT_EQ(0, talk(self, nlh, family_cb, self));
	ASSERT_NE(0, self->family);
	ASSERT_NE(0U, self->group);
	ASSERT_EQ(0, mnl_socket_setsockopt(self->events, NETLINK_ADD_MEMBERSHIP,
					   &self->group, sizeof(self->group)));
	self->fd = t_open();
	self->m = t_map(LEN);
	memset(self->m, 1, LEN);
}

FIXTURE_TEARDOWN(genl)
{
	close(self->fd);
}

static uint64_t u64(FIXTURE_DATA(genl) *self, int type)
{
	return self->msg.a[type] ? mnl_attr_get_u64(self->msg.a[type]) : ~0ULL;
}

static uint32_t u32(FIXTURE_DATA(genl) *self, int type)
{
	return self->msg.a[type] ? mnl_attr_get_u32(self->msg.a[type]) : ~0U;
}

static const char *str(FIXTURE_DATA(genl) *self, int type)
{
	return self->msg.a[type] ? mnl_attr_get_str(self->msg.a[type]) : "";
}

static int get_session(FIXTURE_DATA(genl) *self, uint64_t id)
{
	struct nlmsghdr *nlh = request(self->buf, self->family, CPTDEV_CMD_SESSION_GET, 0);
	struct nlattr *nest = mnl_attr_nest_start(nlh, CPTDEV_A_SESSION);

	mnl_attr_put_u64(nlh, CPTDEV_A_SESSION_ID, id);
	mnl_attr_nest_end(nlh, nest);
	return talk(self, nlh, message_cb, &self->msg);
}

static int get_replica(FIXTURE_DATA(genl) *self, const char *name)
{
	struct nlmsghdr *nlh = request(self->buf, self->family, CPTDEV_CMD_REPLICA_GET, 0);
	struct nlattr *nest = mnl_attr_nest_start(nlh, CPTDEV_A_REPLICA);

	mnl_attr_put_strz(nlh, CPTDEV_A_REPLICA_NAME, name);
	mnl_attr_nest_end(nlh, nest);
	return talk(self, nlh, message_cb, &self->msg);
}

/* Everybody may listen, so no event has a UUID or a term. */
static bool tells_secrets(const struct message *msg)
{
	const struct genlmsghdr *g =
		mnl_nlmsg_get_payload((const struct nlmsghdr *)msg->copy);
	const struct nlattr *nest = (const void *)((const char *)g + MNL_ALIGN(sizeof(*g)));

	if (mnl_attr_get_type(nest) == CPTDEV_A_SESSION)
		return msg->a[CPTDEV_A_SESSION_UUID] || msg->a[CPTDEV_A_SESSION_TERM];
	return msg->a[CPTDEV_A_REPLICA_UUID] || msg->a[CPTDEV_A_REPLICA_TERM];
}

static int event_within(FIXTURE_DATA(genl) *self, int timeout_ms)
{
	struct pollfd p = {
		.fd = mnl_socket_get_fd(self->events), .events = POLLIN,
	};
	int n;

	if (poll(&p, 1, timeout_ms) != 1)
		return 0;
	n = mnl_socket_recvfrom(self->events, self->buf, sizeof(self->buf));
	if (n < 0)
		return -errno;
	mnl_cb_run(self->buf, n, 0, 0, message_cb, &self->msg);
	return tells_secrets(&self->msg) ? -EACCES : self->msg.cmd;
}

/* The next event, or 0. A debug kernel on a busy machine takes seconds for one. */
static int event(FIXTURE_DATA(genl) *self)
{
	return event_within(self, 20000);
}

static bool no_event(FIXTURE_DATA(genl) *self)
{
	struct pollfd p = {
		.fd = mnl_socket_get_fd(self->events), .events = POLLIN,
	};

	return poll(&p, 1, 50) == 0;
}

static void publish_one(FIXTURE_DATA(genl) *self)
{
	t_snapshot(self->fd, PUBLISH, 0, NULL);
}

/*
 * Dumps and requests
 */

TEST_F(genl, session)
{
	struct cptdev_info info;

	ASSERT_EQ(0, t_setup(self->fd, self->name, 3, 1 << 20));
	ASSERT_EQ(0, t_add(self->fd, self->m, LEN));
	t_snapshot(self->fd, PUBLISH, 0, NULL);
	info = t_info(self->fd);
	ASSERT_EQ(0, get_session(self, info.session_id));
	EXPECT_EQ(CPTDEV_CMD_SESSION_GET, self->msg.cmd);
	EXPECT_EQ(info.session_id, u64(self, CPTDEV_A_SESSION_ID));
	EXPECT_STREQ(self->name, str(self, CPTDEV_A_SESSION_NAME));
	ASSERT_NE(NULL, self->msg.a[CPTDEV_A_SESSION_UUID]);
	EXPECT_EQ(0, memcmp(info.session_uuid,
			    mnl_attr_get_payload(self->msg.a[CPTDEV_A_SESSION_UUID]),
			    CPTDEV_UUID_LEN));
	EXPECT_EQ((uint32_t)getpid(), u32(self, CPTDEV_A_SESSION_PID));
	EXPECT_EQ(0U, u32(self, CPTDEV_A_SESSION_UID));
	EXPECT_EQ(3ULL, u64(self, CPTDEV_A_SESSION_TERM));
	EXPECT_EQ(1ULL, u64(self, CPTDEV_A_SESSION_GENERATION));
	EXPECT_EQ(1ULL, u64(self, CPTDEV_A_SESSION_PUBLISHED));
	EXPECT_EQ(0ULL, u64(self, CPTDEV_A_SESSION_COMMITTED));
	EXPECT_EQ(0U, u32(self, CPTDEV_A_SESSION_ATTACHED));
	EXPECT_EQ(1U, u32(self, CPTDEV_A_SESSION_RANGES));
	EXPECT_EQ(LEN, u64(self, CPTDEV_A_SESSION_BYTES));
	EXPECT_EQ(LEN, u64(self, CPTDEV_A_SESSION_HELD));
	EXPECT_EQ(1ULL << 20, u64(self, CPTDEV_A_SESSION_HELD_MAX));
	EXPECT_EQ(0U, u32(self, CPTDEV_A_SESSION_FLAGS));
	EXPECT_EQ(16ULL, u64(self, CPTDEV_A_SESSION_LAST_PAGES));
	EXPECT_NE(~0ULL, u64(self, CPTDEV_A_SESSION_LAST_PAUSE_NS));
}

/* The limits that netlink tells are those of INFO; 0: they are. */
static int limits_differ(FIXTURE_DATA(genl) *self, struct cptdev_info *info)
{
	*info = t_info(self->fd);
	if (get_session(self, info->session_id) ||
	    !self->msg.a[CPTDEV_A_SESSION_USER_HELD_MAX] ||
	    !self->msg.a[CPTDEV_A_SESSION_USER_HELD] ||
	    !self->msg.a[CPTDEV_A_SESSION_GROUP_LEFT])
		return 2;
	if (u64(self, CPTDEV_A_SESSION_USER_HELD_MAX) != info->user_held_max)
		return 3;
	return u64(self, CPTDEV_A_SESSION_USER_HELD) != info->user_held ? 4 : 0;
}

static int enter_group(const char *group)
{
	char path[128];

	t_write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	mkdir(group, 0755);
	snprintf(path, sizeof(path), "%s/memory.max", group);
	if (t_write_file(path, "67108864"))
		return 1;
	/* Swap that there is would count, and another test in this guest may have some. */
	snprintf(path, sizeof(path), "%s/memory.swap.max", group);
	t_write_file(path, "0");
	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	return t_write_file(path, "0");
}

/* A session of another user, who may be asked for it after he gave up what root has. */
static int open_as(uid_t uid)
{
	int fd;

	if (chmod(CPTDEV_DEVICE, 0666) || seteuid(uid))
		return -1;
	fd = t_open();
	return seteuid(0) || chmod(CPTDEV_DEVICE, 0660) ? -1 : fd;
}

/* A program that gives up its capabilities has a limit, as one in a group has. */
static int limited(FIXTURE_DATA(genl) *self, const char *group)
{
	struct cptdev_info info;

	close(self->fd);
	self->fd = open_as(65534);
	if (self->fd < 0 || enter_group(group) || t_add(self->fd, self->m, LEN))
		return 1;
	publish_one(self);
	if (limits_differ(self, &info) || info.user_held_max != UINT64_MAX)
		return 5;
	if (setuid(65534))
		return 1;
	publish_one(self);
	if (limits_differ(self, &info) || info.user_held_max == UINT64_MAX)
		return 6;
	/* What is used changes by itself, by little. */
	return info.group_left > 64UL << 20 ||
		u64(self, CPTDEV_A_SESSION_GROUP_LEFT) + (4UL << 20) < info.group_left ||
		u64(self, CPTDEV_A_SESSION_GROUP_LEFT) > info.group_left + (4UL << 20) ? 7 : 0;
}

TEST_F(genl, session_limits)
{
	const char *group = "/sys/fs/cgroup/cptdev-genl";
	struct cptdev_info info;
	int status;
	pid_t pid;

	ASSERT_EQ(0, t_add(self->fd, self->m, LEN));
	EXPECT_EQ(CPTDEV_CMD_SESSION_NEW_NTF, event(self));
	publish_one(self);
	EXPECT_EQ(CPTDEV_CMD_SNAPSHOT_NTF, event(self));
	EXPECT_EQ(NULL, self->msg.a[CPTDEV_A_SESSION_GROUP_LEFT]);	/* too dear */
	EXPECT_EQ(0, limits_differ(self, &info));
	EXPECT_EQ(UINT64_MAX, u64(self, CPTDEV_A_SESSION_USER_HELD_MAX));
	EXPECT_LE(LEN, u64(self, CPTDEV_A_SESSION_USER_HELD));
	EXPECT_EQ(UINT64_MAX, u64(self, CPTDEV_A_SESSION_GROUP_LEFT));
	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(limited(self, group));
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, WEXITSTATUS(status));
	rmdir(group);
}

static int open_replica(FIXTURE_DATA(genl) *self)
{
	struct cptdev_replica_open a = {
		.size = sizeof(a), .flags = CPTDEV_REPLICA_CREATE | CPTDEV_REPLICA_WRITE,
		.max_bytes = 1 << 20,
	};

	strcpy((char *)a.name, self->name);
	return t_ioctl(self->fd, CPTDEV_IOC_REPLICA_OPEN, &a) ?: a.fd;
}

static int commit(int fd, uint64_t generation)
{
	struct cptdev_replica_begin b = {
		.size = sizeof(b), .uuid = { 7 }, .term = 2, .generation = generation,
	};
	struct cptdev_replica_commit c = { .size = sizeof(c), .generation = generation };

	return t_ioctl(fd, CPTDEV_IOC_REPLICA_BEGIN, &b) ?:
		t_ioctl(fd, CPTDEV_IOC_REPLICA_COMMIT, &c);
}

/* The first @n pages, on top of the generation before. */
static int commit_pages(int fd, uint64_t generation, unsigned int n)
{
	struct cptdev_segment layout = {
		.addr = 0x100000, .len = 16 * PAGE, .kind = CPTDEV_SEGMENT_ANON, .prot = 3,
	};
	struct cptdev_replica_begin b = {
		.size = sizeof(b), .uuid = { 7 }, .term = 2, .base = generation - 1,
		.generation = generation, .layout = (unsigned long)&layout, .layout_len = 1,
	};
	struct cptdev_replica_commit c = { .size = sizeof(c), .generation = generation };
	int ret = t_ioctl(fd, CPTDEV_IOC_REPLICA_BEGIN, &b);

	while (!ret && n--)
		ret = t_pwrite(fd, "x", 1, layout.addr + n * PAGE) == 1 ? 0 : -EIO;
	return ret ?: t_ioctl(fd, CPTDEV_IOC_REPLICA_COMMIT, &c);
}

static int promote(int fd)
{
	struct cptdev_replica_promote a = { .size = sizeof(a) };

	return t_ioctl(fd, CPTDEV_IOC_REPLICA_PROMOTE, &a);
}

static int remove_replica(int fd)
{
	struct cptdev_replica_remove a = { .size = sizeof(a) };

	return t_ioctl(fd, CPTDEV_IOC_REPLICA_REMOVE, &a);
}

TEST_F(genl, replica)
{
	int fd = open_replica(self);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, get_replica(self, self->name));
	EXPECT_EQ(0ULL, u64(self, CPTDEV_A_REPLICA_GENERATION));
	ASSERT_EQ(0, commit(fd, 5));
	ASSERT_EQ(0, promote(fd));
	ASSERT_EQ(0, get_replica(self, self->name));
	EXPECT_EQ(CPTDEV_CMD_REPLICA_GET, self->msg.cmd);
	EXPECT_STREQ(self->name, str(self, CPTDEV_A_REPLICA_NAME));
	EXPECT_EQ(5ULL, u64(self, CPTDEV_A_REPLICA_GENERATION));
	EXPECT_EQ(3ULL, u64(self, CPTDEV_A_REPLICA_TERM));
	EXPECT_EQ(1ULL, u64(self, CPTDEV_A_REPLICA_COMMITS));
	EXPECT_EQ(0ULL, u64(self, CPTDEV_A_REPLICA_STAGING));
	EXPECT_EQ(0ULL, u64(self, CPTDEV_A_REPLICA_PAGES));
	EXPECT_EQ(1ULL << 20, u64(self, CPTDEV_A_REPLICA_MAX_BYTES));
	EXPECT_EQ(1U, u32(self, CPTDEV_A_REPLICA_OPENERS));
	EXPECT_EQ((uint32_t)CPTDEV_GENL_REPLICA_PROMOTED, u32(self, CPTDEV_A_REPLICA_FLAGS));
	EXPECT_EQ(0, remove_replica(fd));
	EXPECT_EQ(-ENOENT, get_replica(self, self->name));
}

/* The events of which poll() asks; the answer of netlink after it. */
static uint32_t waiters_after(FIXTURE_DATA(genl) *self, int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	poll(&p, 1, 0);
	return get_replica(self, self->name) ? ~0U : u32(self, CPTDEV_A_REPLICA_WAITERS);
}

/* The attributes of copies after a report on @fd: "copied behind", or the error. */
static const char *copy_after(FIXTURE_DATA(genl) *self, int fd, uint64_t commits)
{
	struct cptdev_replica_copied a = { .size = sizeof(a), .commits = commits };
	static char text[64];
	int ret = fd < 0 ? 0 : t_ioctl(fd, CPTDEV_IOC_REPLICA_COPIED, &a);

	ret = ret ?: get_replica(self, self->name);
	if (ret)
		return strerrorname_np(-ret);
	snprintf(text, sizeof(text), "%llu %llu",
		 (unsigned long long)u64(self, CPTDEV_A_REPLICA_COPIED),
		 (unsigned long long)u64(self, CPTDEV_A_REPLICA_BEHIND));
	return text;
}

/* The number of the newest copy that programs report, until its descriptor is closed. */
TEST_F(genl, replica_copied)
{
	int fd = open_replica(self), other = open_replica(self);

	ASSERT_LE(0, fd);
	ASSERT_LE(0, other);
	EXPECT_STREQ("0 0", copy_after(self, -1, 0));
	ASSERT_EQ(0, commit_pages(fd, 1, 3));
	EXPECT_STREQ("0 3", copy_after(self, -1, 0));
	EXPECT_STREQ("1 0", copy_after(self, fd, 1));
	ASSERT_EQ(0, commit_pages(fd, 2, 2));
	EXPECT_STREQ("1 2", copy_after(self, -1, 0));
	EXPECT_STREQ("2 0", copy_after(self, other, 2));
	EXPECT_STREQ("2 0", copy_after(self, fd, 0));
	EXPECT_STREQ("EINVAL", copy_after(self, fd, 3));
	EXPECT_STREQ("2 0", copy_after(self, fd, 1));
	close(other);
	EXPECT_STREQ("1 2", copy_after(self, -1, 0));
	EXPECT_STREQ("0 3", copy_after(self, fd, 0));
	EXPECT_EQ(0, remove_replica(fd));
	EXPECT_STREQ("ENOENT", copy_after(self, fd, 1));
	close(fd);
}

/* A descriptor that has waited for the promotion counts until it is closed. */
TEST_F(genl, replica_waiters)
{
	int fd = open_replica(self), other = open_replica(self);
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLPRI };

	ASSERT_LE(0, fd);
	ASSERT_LE(0, other);
	EXPECT_EQ(0U, waiters_after(self, fd, 0));
	EXPECT_EQ(0U, waiters_after(self, fd, POLLIN));
	EXPECT_EQ(1U, waiters_after(self, fd, POLLIN | POLLPRI));
	EXPECT_EQ(1U, waiters_after(self, fd, POLLPRI));
	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, other, &ev));
	EXPECT_EQ(2U, waiters_after(self, fd, POLLIN));
	EXPECT_EQ(2U, u32(self, CPTDEV_A_REPLICA_OPENERS));
	close(other);
	EXPECT_EQ(1U, waiters_after(self, fd, POLLIN));
	EXPECT_EQ(0, remove_replica(fd));
	close(epoll);
	close(fd);
}

static int count_cb(const struct nlmsghdr *nlh, void *data)
{
	struct message msg;
	unsigned int *n = data;

	message_cb(nlh, &msg);
	(*n)++;
	return MNL_CB_OK;
}

TEST_F(genl, dump)
{
	unsigned int n = 0, i;
	int fd[100];

	for (i = 0; i < 100; i++) {
		fd[i] = t_open();
		ASSERT_EQ(0, t_add(fd[i], t_map(PAGE), PAGE));
	}
	ASSERT_EQ(0, talk(self, request(self->buf, self->family, CPTDEV_CMD_SESSION_GET,
					NLM_F_DUMP), count_cb, &n));
	EXPECT_EQ(100U, n);			/* more than one message can take */
	for (i = 0; i < 100; i += 2)
		close(fd[i]);
	n = 0;
	ASSERT_EQ(0, talk(self, request(self->buf, self->family, CPTDEV_CMD_SESSION_GET,
					NLM_F_DUMP), count_cb, &n));
	EXPECT_EQ(50U, n);
	n = 0;
	ASSERT_EQ(0, talk(self, request(self->buf, self->family, CPTDEV_CMD_REPLICA_GET,
					NLM_F_DUMP), count_cb, &n));
	EXPECT_EQ(0U, n);
}

TEST_F(genl, errors_have_text)
{
	struct nlmsghdr *nlh;
	struct nlattr *nest;

	EXPECT_EQ(-ENOENT, get_session(self, 1ULL << 60));
	EXPECT_STREQ("cptdev: no session has this id", self->extack);
	EXPECT_EQ(-ENOENT, get_replica(self, "nobody"));
	EXPECT_STREQ("cptdev: no replica has this name", self->extack);

	nlh = request(self->buf, self->family, CPTDEV_CMD_SESSION_GET, 0);
	EXPECT_EQ(-EINVAL, talk(self, nlh, message_cb, &self->msg));
	EXPECT_STREQ("cptdev: which session? Its id is missing", self->extack);
	nlh = request(self->buf, self->family, CPTDEV_CMD_REPLICA_GET, 0);
	nest = mnl_attr_nest_start(nlh, CPTDEV_A_REPLICA);
	mnl_attr_nest_end(nlh, nest);
	EXPECT_EQ(-EINVAL, talk(self, nlh, message_cb, &self->msg));
	EXPECT_STREQ("cptdev: which replica? Its name is missing", self->extack);

	/* An id of the wrong type, an attribute that isn't for requests. */
	nlh = request(self->buf, self->family, CPTDEV_CMD_SESSION_GET, 0);
	nest = mnl_attr_nest_start(nlh, CPTDEV_A_SESSION);
	mnl_attr_put_u32(nlh, CPTDEV_A_SESSION_ID, 1);
	mnl_attr_nest_end(nlh, nest);
	EXPECT_GT(0, talk(self, nlh, message_cb, &self->msg));
	EXPECT_STRNE("", self->extack);
	nlh = request(self->buf, self->family, CPTDEV_CMD_SESSION_GET, 0);
	nest = mnl_attr_nest_start(nlh, CPTDEV_A_SESSION);
	mnl_attr_put_u64(nlh, CPTDEV_A_SESSION_TERM, 1);
	mnl_attr_nest_end(nlh, nest);
	EXPECT_GT(0, talk(self, nlh, message_cb, &self->msg));
	EXPECT_STRNE("", self->extack);
	EXPECT_EQ(-EOPNOTSUPP, talk(self, request(self->buf, self->family,
						  CPTDEV_CMD_SNAPSHOT_NTF, 0),
				    message_cb, &self->msg));
}

/* Others are told nothing of it, neither here nor in a dump; identity.c has the whole table. */
TEST_F(genl, unprivileged)
{
	int status;
	pid_t pid;

	ASSERT_EQ(0, t_add(self->fd, self->m, LEN));
	fflush(NULL);
	pid = fork();
	if (!pid) {
		uint64_t id = t_info(self->fd).session_id;

		if (setuid(65534))
			_exit(9);
		if (get_session(self, id) != -EACCES)
			_exit(1);
		_exit(strstr(self->extack, "another user") ? 0 : 2);
	}
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, WEXITSTATUS(status));
}

/*
 * Events
 */

TEST_F(genl, session_events)
{
	uint64_t id = t_info(self->fd).session_id;
	struct cptdev_ack lease = {
		.size = sizeof(lease), .flags = CPTDEV_ACK_LEASE, .session_id = id,
		.lease_until_ns = 77,
	};
	int daemon = t_open();

	EXPECT_TRUE(no_event(self));
	ASSERT_EQ(0, t_add(self->fd, self->m, LEN));
	EXPECT_EQ(CPTDEV_CMD_SESSION_NEW_NTF, event(self));
	EXPECT_EQ(id, u64(self, CPTDEV_A_SESSION_ID));
	EXPECT_STREQ("", str(self, CPTDEV_A_SESSION_NAME));
	ASSERT_EQ(0, t_setup(self->fd, self->name, 0, 0));
	EXPECT_EQ(CPTDEV_CMD_SESSION_NEW_NTF, event(self));
	EXPECT_STREQ(self->name, str(self, CPTDEV_A_SESSION_NAME));
	close(t_snapshot(self->fd, 0, 0, NULL));
	EXPECT_TRUE(no_event(self));			/* private: nobody's business */
	t_snapshot(self->fd, PUBLISH, 0, NULL);
	EXPECT_EQ(CPTDEV_CMD_SNAPSHOT_NTF, event(self));
	EXPECT_EQ(2ULL, u64(self, CPTDEV_A_SESSION_PUBLISHED));
	close(t_delta(daemon, id, 0, NULL));
	ASSERT_EQ(0, t_ack(daemon, id, 2, 0));
	EXPECT_EQ(CPTDEV_CMD_COMMITTED_NTF, event(self));
	EXPECT_EQ(2ULL, u64(self, CPTDEV_A_SESSION_COMMITTED));
	EXPECT_EQ(1U, u32(self, CPTDEV_A_SESSION_ATTACHED));
	ASSERT_EQ(0, t_ack(daemon, id, 2, 0));
	EXPECT_TRUE(no_event(self));			/* no news */
	EXPECT_EQ(-ESTALE, t_delta(daemon, id, 0, NULL));
	EXPECT_EQ(CPTDEV_CMD_DROPPED_NTF, event(self));
	ASSERT_EQ(0, t_ack(daemon, id, 0, CPTDEV_ACK_FENCED));
	EXPECT_EQ(CPTDEV_CMD_FENCED_NTF, event(self));
	EXPECT_EQ((uint32_t)CPTDEV_GENL_SESSION_FENCED, u32(self, CPTDEV_A_SESSION_FLAGS));
	ASSERT_EQ(0, t_ack(daemon, id, 0, CPTDEV_ACK_FENCED));
	EXPECT_TRUE(no_event(self));			/* no news */
	ASSERT_EQ(0, t_ack(daemon, id, 0, CPTDEV_ACK_BLOCK | CPTDEV_ACK_ALONE |
			   CPTDEV_ACK_WANT));
	EXPECT_EQ(CPTDEV_CMD_COMMITTED_NTF, event(self));
	EXPECT_EQ((uint32_t)(CPTDEV_GENL_SESSION_FENCED | CPTDEV_GENL_SESSION_BLOCKED |
			     CPTDEV_GENL_SESSION_ALONE | CPTDEV_GENL_SESSION_WANTED),
		  u32(self, CPTDEV_A_SESSION_FLAGS));
	EXPECT_EQ(0ULL, u64(self, CPTDEV_A_SESSION_LEASE_UNTIL));
	ASSERT_EQ(0, t_ioctl(daemon, CPTDEV_IOC_ACK, &lease));
	EXPECT_TRUE(no_event(self));			/* they are many */
	ASSERT_EQ(0, get_session(self, id));
	EXPECT_EQ(77ULL, u64(self, CPTDEV_A_SESSION_LEASE_UNTIL));
	ASSERT_EQ(0, t_ack(daemon, id, 0, CPTDEV_ACK_UNBLOCK));
	EXPECT_EQ(CPTDEV_CMD_COMMITTED_NTF, event(self));
	EXPECT_EQ((uint32_t)(CPTDEV_GENL_SESSION_FENCED | CPTDEV_GENL_SESSION_ALONE |
			     CPTDEV_GENL_SESSION_WANTED), u32(self, CPTDEV_A_SESSION_FLAGS));
	close(self->fd);
	EXPECT_EQ(CPTDEV_CMD_SESSION_GONE_NTF, event(self));
	EXPECT_EQ(id, u64(self, CPTDEV_A_SESSION_ID));
	EXPECT_TRUE(no_event(self));
	self->fd = t_open();
	close(daemon);
	EXPECT_TRUE(no_event(self));			/* it had no ranges */
}

TEST_F(genl, process_ends)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		t_add(t_open(), self->m, LEN);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, NULL, 0);
	EXPECT_EQ(CPTDEV_CMD_SESSION_NEW_NTF, event(self));
	EXPECT_EQ((uint32_t)pid, u32(self, CPTDEV_A_SESSION_PID));
	EXPECT_EQ(CPTDEV_CMD_SESSION_GONE_NTF, event(self));
	EXPECT_EQ((uint32_t)pid, u32(self, CPTDEV_A_SESSION_PID));
	EXPECT_TRUE(no_event(self));
}

TEST_F(genl, replica_events)
{
	struct cptdev_replica_claim c = { .size = sizeof(c) };
	int fd = open_replica(self);

	EXPECT_EQ(CPTDEV_CMD_REPLICA_NEW_NTF, event(self));
	EXPECT_STREQ(self->name, str(self, CPTDEV_A_REPLICA_NAME));
	ASSERT_EQ(0, commit(fd, 1));
	EXPECT_EQ(CPTDEV_CMD_REPLICA_COMMITTED_NTF, event(self));
	EXPECT_EQ(1ULL, u64(self, CPTDEV_A_REPLICA_GENERATION));
	ASSERT_EQ(0, promote(fd));
	EXPECT_EQ(CPTDEV_CMD_REPLICA_PROMOTED_NTF, event(self));
	EXPECT_EQ((uint32_t)CPTDEV_GENL_REPLICA_PROMOTED, u32(self, CPTDEV_A_REPLICA_FLAGS));
	close(open_replica(self));
	EXPECT_TRUE(no_event(self));
	ASSERT_EQ(0, t_ioctl(fd, CPTDEV_IOC_REPLICA_CLAIM, &c));
	EXPECT_EQ(CPTDEV_CMD_REPLICA_TAKEN_NTF, event(self));
	EXPECT_EQ((uint32_t)(CPTDEV_GENL_REPLICA_PROMOTED | CPTDEV_GENL_REPLICA_TAKEN),
		  u32(self, CPTDEV_A_REPLICA_FLAGS));
	EXPECT_EQ(-EALREADY, t_ioctl(fd, CPTDEV_IOC_REPLICA_CLAIM, &c));
	EXPECT_TRUE(no_event(self));
	ASSERT_EQ(0, remove_replica(fd));
	EXPECT_EQ(CPTDEV_CMD_REPLICA_GONE_NTF, event(self));
	close(fd);
	EXPECT_TRUE(no_event(self));
}

/* A listener that is too slow is told that it missed something. */
TEST_F(genl, slow_listener)
{
	int size = 4096, i;

	setsockopt(mnl_socket_get_fd(self->events), SOL_SOCKET, SO_RCVBUF, &size,
		   sizeof(size));
	for (i = 0; i < 200; i++) {
		int fd = t_open();

		t_add(fd, self->m, PAGE);
		close(fd);
	}
	do {
		i = event(self);
	} while (i > 0);
	EXPECT_EQ(-ENOBUFS, i);
}

#include "genl_ends.h"
#include "genl_alive.h"

TEST_HARNESS_MAIN
