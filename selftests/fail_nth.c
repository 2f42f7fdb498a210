// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every allocation that a call makes fails once: the first, then the second, until the
 * call makes no more (/proc/thread-self/fail-nth). Each time the call either works or
 * says ENOMEM; then the same call works, and what it gives is exact. In the end nothing
 * is held. Leaks are for kmemleak to find, when the guest ends.
 */
#include <dirent.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <string.h>

#include <linux/cptdev_netlink.h>

#include "cptdev_test.h"
#include "kselftest.h"

#define PAGES	1200UL			/* three chunks, several blocks of lists */
#define LEN	(PAGES * PAGE)
#define BASE	0x10000000UL		/* of the replica */
#define NAME	"fail-nth"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

static struct {
	int dev;			/* the session */
	int daemon;			/* a session of the one that ships */
	int fd;				/* what the call gave, or is made on */
	int pipe[2];
	char *m;
	bool *dirty;			/* since the last scan */
	struct t_image *image;
	uint64_t seed;
	uint64_t generation;		/* of the replica */
	char *content;			/* what it must have */
	char *past;			/* the same of the generation before */
	char *staged;			/* what the next commit makes of it */
	char meta[3000];
	struct mnl_socket *nl, *events;
	uint16_t family;
	uint32_t group;
	char buf[16384];
} t;

/*
 * Failing
 */

static int fail_fd;

static void fail_setup(void)
{
	static const char * const zero[] = {
		"failslab/ignore-gfp-wait", "failslab/verbose",
		"fail_page_alloc/ignore-gfp-wait", "fail_page_alloc/ignore-gfp-highmem",
		"fail_page_alloc/min-order", "fail_page_alloc/verbose",
	};
	char path[128];
	unsigned int i;

	for (i = 0; i < sizeof(zero) / sizeof(*zero); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s", zero[i]);
		if (t_write_file(path, "0"))
			ksft_exit_fail_msg("%s: %s\n", path, strerror(errno));
	}
	fail_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fail_fd < 0)
		ksft_exit_fail_msg("this kernel has no fail-nth\n");
}

static void fail_arm(unsigned int nth)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%u", nth);

	if (pwrite(fail_fd, text, n, 0) != n)
		ksft_exit_fail_msg("fail-nth can't be written\n");
}

/* Did it come to the failure? */
static bool fail_happened(void)
{
	char text[16] = "";

	if (pread(fail_fd, text, sizeof(text) - 1, 0) <= 0)
		ksft_exit_fail_msg("fail-nth can't be read\n");
	fail_arm(0);
	return atoi(text) == 0;
}

/*
 * What is shared by the steps
 */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void scribble(unsigned int pages)
{
	while (pages--) {
		size_t page = t_random(&t.seed) % PAGES;

		t.m[page * PAGE + t_random(&t.seed) % PAGE] = t_random(&t.seed);
		t.dirty[page] = true;
	}
}

/* Memory that nobody knows yet, all of it written. */
static int fresh_memory(void)
{
	if (t.m)
		munmap(t.m, LEN);
	t.m = t_map(LEN);
	memset(t.m, 1, LEN);
	memset(t.dirty, true, PAGES * sizeof(*t.dirty));
	if (t.image)
		t_image_free(t.image);
	t.image = t_image_new(t.m, LEN);
	return 0;
}

static int fresh_session(void)
{
	close_fd(&t.fd);
	close_fd(&t.dev);
	fresh_memory();
	t.dev = t_open();
	return t.dev < 0 ? t.dev : 0;
}

static int fresh_range(void)
{
	return fresh_session() ?: t_add(t.dev, t.m, LEN);
}

/* Every second page a range: the next one makes the array of ranges grow. */
static int fresh_16_ranges(void)
{
	int i, ret = fresh_session();

	for (i = 0; !ret && i < 16; i++)
		ret = t_add(t.dev, t.m + i * 4 * PAGE, 3 * PAGE);
	return ret;
}

/* The spare of this test applies what the descriptor has. */
static int apply_fd(void)
{
	int ret = t_image_apply(t.image, t.fd);

	close_fd(&t.fd);
	return ret ?: t_image_differs(t.image, t.m) < 0 ? 0 : -EBADMSG;
}

static int take(uint32_t flags)
{
	struct cptdev_snapshot arg = {
		.size = sizeof(arg), .flags = flags, .meta = (unsigned long)t.meta,
		.meta_len = sizeof(t.meta),
	};
	int ret = t_ioctl(t.dev, CPTDEV_IOC_SNAPSHOT, &arg);

	if (ret)
		return arg.fd == -1 ? ret : -EBADF;
	t.fd = arg.fd;
	return 0;
}

/*
 * The session
 */

static int call_open(void)
{
	t.dev = t_open();
	return t.dev < 0 ? t.dev : 0;
}

static unsigned int errors;		/* failures that the call could not do without */

static int prepare_open(void)
{
	close_fd(&t.dev);
	return 0;
}

static int call_info(void)
{
	struct cptdev_info info = { .size = sizeof(info) };

	return t_ioctl(t.dev, CPTDEV_IOC_INFO, &info);
}

/* Once only: a second try that works means that the first had no effect. */
static int call_setup(void)
{
	return t_setup(t.dev, NAME, 0, 0);
}

static int call_add(void)
{
	return t_add(t.dev, t.m, LEN);
}

/* The first snapshot has all of it. */
static int check_full(void)
{
	return take(0) ?: apply_fd();
}

static int call_add_17th(void)
{
	return t_add(t.dev, t.m + 64 * PAGE, 3 * PAGE);
}

static int check_17(void)
{
	struct cptdev_info info = t_info(t.dev);

	return info.session_ranges == 17 && info.session_bytes == 51 * PAGE ? 0 : -EBADMSG;
}

static int call_del_middle(void)
{
	return t_del(t.dev, t.m + PAGE, PAGE);
}

static int check_del_middle(void)
{
	struct cptdev_info info = t_info(t.dev);

	return info.session_ranges == 17 && info.session_bytes == 47 * PAGE ? 0 : -EBADMSG;
}

static int call_clear(void)
{
	return t_range(t.dev, CPTDEV_IOC_RANGE_CLEAR, NULL, 0, 0);
}

static int call_list(void)
{
	struct cptdev_range_entry v[32];
	struct cptdev_range_list arg = {
		.size = sizeof(arg), .vec = (unsigned long)v, .vec_len = 32,
	};

	return t_ioctl(t.dev, CPTDEV_IOC_RANGE_LIST, &arg) ?: arg.nr == 16 ? 0 : -EBADMSG;
}

/* No mark is lost: what was written since the last scan that worked is reported. */
static int prepare_scan(void)
{
	scribble(20);
	return 0;
}

static struct cptdev_region regions[PAGES];
static unsigned int nr_regions;
static uint64_t scan_end;		/* where the last one stopped */

static int scan_from(uint64_t start)
{
	struct cptdev_scan arg = {
		.size = sizeof(arg), .flags = CPTDEV_SCAN_CLEAR_DIRTY, .start = start,
		.vec = (unsigned long)regions, .vec_len = PAGES,
		.anyof = CPTDEV_PAGE_DIRTY, .report = CPTDEV_PAGE_DIRTY,
	};
	int ret = t_ioctl(t.dev, CPTDEV_IOC_SCAN, &arg);

	nr_regions = ret ? 0 : arg.nr;
	scan_end = ret ? start : arg.walk_end;
	return ret;
}

/* An answer that ends early tells of the failure as an error does. */
static int call_scan(void)
{
	int ret = scan_from(0);

	errors += !ret && scan_end != (unsigned long)t.m + LEN;
	return ret;
}

static void note_regions(void)
{
	unsigned int i;
	size_t page;

	for (i = 0; i < nr_regions; i++)
		for (page = (regions[i].start - (unsigned long)t.m) / PAGE;
		     page < (regions[i].end - (unsigned long)t.m) / PAGE; page++)
			t.dirty[page] = false;
}

/*
 * A failure after the first pages ends the call there, and it succeeds: what it has looked
 * at is in the answer, and the next call, which begins there, has the rest.
 */
static int check_scan(void)
{
	uint64_t start = (unsigned long)t.m, end = start + LEN;
	size_t page;
	int ret;

	note_regions();
	for (page = 0; page < PAGES; page++)
		if (t.dirty[page] && start + page * PAGE < scan_end)
			return -EBADMSG;
	if (scan_end == end)
		return 0;
	ret = scan_from(scan_end);
	if (ret)
		return ret;
	note_regions();
	for (page = 0; page < PAGES; page++)
		if (t.dirty[page])
			return -EBADMSG;
	return scan_end == end ? 0 : -EBADMSG;
}

/*
 * Snapshots. The spare's image has each snapshot that worked, and none that failed: so
 * what a failed one had found must be in the next.
 */

static int call_snapshot(void)
{
	return take(0);
}

/* Something changed everywhere, and the layout as well. */
static int prepare_changed(void)
{
	static bool protect;

	protect = !protect;
	mprotect(t.m, PAGE, PROT_READ | PROT_WRITE);
	scribble(100);
	madvise(t.m + t_random(&t.seed) % PAGES * PAGE, PAGE, MADV_DONTNEED);
	return protect ? mprotect(t.m, PAGE, PROT_READ) : 0;
}

static int prepare_swapped(void)
{
	char *p = t.m + 700 * PAGE;

	mprotect(t.m, PAGE, PROT_READ | PROT_WRITE);
	scribble(30);
	memset(p, t_random(&t.seed), 2 * PAGE);
	return madvise(p, 2 * PAGE, MADV_PAGEOUT);
}

static int prepare_huge(void)
{
	int ret;

	if (((unsigned long)t.m & (HUGE - 1)) == 0) {
		memset(t.m, t_random(&t.seed), HUGE);
		madvise(t.m, HUGE, MADV_COLLAPSE);
		return 0;
	}
	ret = fresh_session();
	munmap(t.m, LEN);
	t.m = t_map_huge(3 * HUGE);
	memset(t.m, 1, LEN);
	t_image_free(t.image);
	t.image = t_image_new(t.m, LEN);
	return ret ?: t_add(t.dev, t.m, LEN);
}

static int call_publish(void)
{
	struct cptdev_snapshot arg = {
		.size = sizeof(arg),
		.flags = CPTDEV_SNAPSHOT_PUBLISH | CPTDEV_SNAPSHOT_NOFD,
		.meta = (unsigned long)t.meta, .meta_len = sizeof(t.meta),
	};

	return t_ioctl(t.dev, CPTDEV_IOC_SNAPSHOT, &arg);
}

static int call_delta(void)
{
	int fd = t_delta(t.daemon, t_info(t.dev).session_id, t.image->generation, NULL);

	t.fd = fd;
	return fd < 0 ? fd : 0;
}

/* One that waits, so that the call has something to merge with. */
static int prepare_publish(void)
{
	int ret;

	scribble(50);
	ret = call_publish();
	scribble(50);
	return ret;
}

/* Merged or not: all of it arrives. */
static int check_chain(void)
{
	int ret;

	while (!(ret = call_delta())) {
		ret = t_image_apply(t.image, t.fd);
		close_fd(&t.fd);
		if (ret)
			return ret;
	}
	if (ret != -ENODATA)
		return ret;
	ret = t_ack(t.daemon, t_info(t.dev).session_id, t.image->generation, 0);
	return ret ?: t_image_differs(t.image, t.m) < 0 ? 0 : -EBADMSG;
}

static int prepare_delta(void)
{
	close_fd(&t.fd);
	close_fd(&t.daemon);
	t.daemon = t_open();
	scribble(50);
	return t.daemon < 0 ? t.daemon : call_publish();
}

static int check_delta(void)
{
	int ret = t_image_apply(t.image, t.fd);

	close_fd(&t.fd);
	return ret ?: check_chain();
}

static int call_ack(void)
{
	return t_ack(t.daemon, t_info(t.dev).session_id, t.image->generation, 0);
}

/* Hung by then, or not: both ways there are. */
static int call_alive(void)
{
	struct cptdev_session_alive arg = { .size = sizeof(arg), .timeout_ns = 1 };

	return t_ioctl(t.dev, CPTDEV_IOC_SESSION_ALIVE, &arg);
}

static int call_wait(void)
{
	return t_wait(t.dev, t.image->generation, 0, NULL);
}

/* On the snapshot's descriptor. */
static int prepare_full(void)
{
	if (t.fd >= 0)
		return 0;
	return fresh_range() ?: take(0);
}

static int call_image(void)
{
	static const unsigned long cmd[] = {
		CPTDEV_IOC_IMAGE_LAYOUT, CPTDEV_IOC_IMAGE_EXTENTS, CPTDEV_IOC_IMAGE_META,
	};
	static char v[4096];
	struct cptdev_image_info info = { .size = sizeof(info) };
	int i, ret = t_ioctl(t.fd, CPTDEV_IOC_IMAGE_INFO, &info);

	for (i = 0; !ret && i < 3; i++) {
		struct cptdev_image_vec arg = {
			.size = sizeof(arg), .vec = (unsigned long)v, .vec_len = 4,
		};

		ret = t_ioctl(t.fd, cmd[i], &arg);
	}
	return ret;
}

static char *copy;

static int call_read(void)
{
	ssize_t n = pread(t.fd, copy, LEN, 0);

	return n == (ssize_t)LEN ? 0 : n < 0 ? -errno : -EIO;
}

static int call_mmap(void)
{
	char *p = mmap(NULL, LEN, PROT_READ, MAP_SHARED, t.fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	memcpy(copy, p, LEN);
	return munmap(p, LEN) ? munmap(p, LEN) : 0;	/* this may be what fails */
}

static int check_copy(void)
{
	int ret = memcmp(copy, t.m, LEN) ? -EBADMSG : 0;

	memset(copy, 0xee, LEN);
	return ret;
}

static int call_splice(void)
{
	loff_t pos = 0;
	ssize_t n = splice(t.fd, &pos, t.pipe[1], NULL, 8 * PAGE, 0);

	return n == (ssize_t)(8 * PAGE) ? 0 : n < 0 ? -errno : -EIO;
}

static int check_splice(void)
{
	ssize_t n = read(t.pipe[0], copy, 8 * PAGE);

	return n == (ssize_t)(8 * PAGE) && !memcmp(copy, t.m, 8 * PAGE) ? 0 : -EBADMSG;
}

/*
 * The replica
 */

static int call_replica_open(void)
{
	struct cptdev_replica_open arg = {
		.size = sizeof(arg), .name = NAME,
		.flags = CPTDEV_REPLICA_CREATE | CPTDEV_REPLICA_EXCL | CPTDEV_REPLICA_WRITE,
	};
	int ret = t_ioctl(t.dev, CPTDEV_IOC_REPLICA_OPEN, &arg);

	if (ret)
		return arg.fd == -1 ? ret : -EBADF;
	t.fd = arg.fd;
	return 0;
}

static int call_remove(void)
{
	struct cptdev_replica_remove arg = { .size = sizeof(arg) };

	return t_ioctl(t.fd, CPTDEV_IOC_REPLICA_REMOVE, &arg);
}

/* With EXCL it works again only if nothing was left by the one that failed. */
static int prepare_replica_open(void)
{
	int ret = t.fd >= 0 ? call_remove() : 0;

	close_fd(&t.fd);
	t.generation = 0;
	memset(t.content, 0, LEN);
	return ret;
}

static int call_begin(void)
{
	static const struct cptdev_segment segment = {
		.addr = BASE, .len = LEN, .kind = CPTDEV_SEGMENT_ANON,
	};
	struct cptdev_replica_begin arg = {
		.size = sizeof(arg), .term = 1, .base = t.generation,
		.generation = t.generation + 1,
		.layout = (unsigned long)&segment, .layout_len = 1,
		.meta = (unsigned long)t.meta, .meta_len = sizeof(t.meta),
	};
	int ret = t_ioctl(t.fd, CPTDEV_IOC_REPLICA_BEGIN, &arg);

	if (!ret)
		memcpy(t.staged, t.content, LEN);
	return ret;
}

static int stage(uint32_t kind, size_t pages)
{
	struct cptdev_extent e = { .addr = BASE, .len = pages * PAGE, .kind = kind };
	struct cptdev_replica_stage arg = {
		.size = sizeof(arg), .vec = (unsigned long)&e, .vec_len = 1,
		.data = (unsigned long)t.m,
		.data_len = kind == CPTDEV_EXTENT_DATA ? e.len : 0,
	};
	int ret = t_ioctl(t.fd, CPTDEV_IOC_REPLICA_STAGE, &arg);

	if (!ret && kind == CPTDEV_EXTENT_DATA)
		memcpy(t.staged, t.m, e.len);
	else if (!ret)
		memset(t.staged, 0, e.len);
	return ret;
}

static int call_stage(void)
{
	return stage(CPTDEV_EXTENT_DATA, 3);
}

static int call_hole(void)
{
	return stage(CPTDEV_EXTENT_HOLE, 1);
}

/* In the midst of two pages. */
static int call_write(void)
{
	ssize_t n = pwrite(t.fd, t.m + 10, PAGE, BASE + 5 * PAGE + 10);

	if (n != (ssize_t)PAGE)
		return n < 0 ? -errno : -ENOMEM;
	memcpy(t.staged + 5 * PAGE + 10, t.m + 10, PAGE);
	return 0;
}

static int call_replica_splice(void)
{
	loff_t pos = BASE;
	ssize_t n = write(t.pipe[1], t.m, PAGE);
	int ret;

	if (n != (ssize_t)PAGE)
		return n < 0 ? -errno : -EIO;
	n = splice(t.pipe[0], NULL, t.fd, &pos, PAGE, 0);
	if (n == (ssize_t)PAGE) {
		memcpy(t.staged, t.m, PAGE);
		return 0;
	}
	ret = n < 0 ? -errno : -EIO;
	n = read(t.pipe[0], copy, PAGE);	/* it is still there */
	return n == (ssize_t)PAGE ? ret : -EIO;
}

static int call_commit(void)
{
	struct cptdev_replica_commit arg = {
		.size = sizeof(arg), .generation = t.generation + 1,
	};
	int ret = t_ioctl(t.fd, CPTDEV_IOC_REPLICA_COMMIT, &arg);

	if (!ret) {
		t.generation++;
		memcpy(t.content, t.staged, LEN);
	}
	return ret;
}

static int call_abort(void)
{
	struct cptdev_replica_commit arg = { .size = sizeof(arg) };

	return t_ioctl(t.fd, CPTDEV_IOC_REPLICA_ABORT, &arg);
}

static int call_freeze(void)
{
	struct cptdev_replica_freeze arg = { .size = sizeof(arg) };
	int ret = t_ioctl(t.fd, CPTDEV_IOC_REPLICA_FREEZE, &arg);

	arg.flags = CPTDEV_FREEZE_THAW;
	return ret ?: t_ioctl(t.fd, CPTDEV_IOC_REPLICA_FREEZE, &arg);
}

static int call_copied(void)
{
	struct cptdev_replica_copied arg = { .size = sizeof(arg), .commits = 1 };

	return t_ioctl(t.fd, CPTDEV_IOC_REPLICA_COPIED, &arg);
}

static int call_promote(void)
{
	struct cptdev_replica_promote arg = { .size = sizeof(arg) };

	return t_ioctl(t.fd, CPTDEV_IOC_REPLICA_PROMOTE, &arg);
}

static int call_replica_read(void)
{
	ssize_t n = pread(t.fd, copy, LEN, BASE);

	return n == (ssize_t)LEN ? 0 : n < 0 ? -errno : -EIO;
}

static int check_content(void)
{
	int ret = call_replica_read();

	return ret ?: memcmp(copy, t.content, LEN) ? -EBADMSG : 0;
}

static int check_commit(void)
{
	return call_commit() ?: check_content();
}

/* A delta of which a part failed is never committed; the content stays as it was. */
static int begin_again(void)
{
	int ret = call_commit();

	return ret == -ENOMEM ? check_content() ?: call_begin() : -EBADMSG;
}

static int prepare_begin(void)
{
	unsigned int i;
	int ret = 0;

	if (t.fd < 0) {
		ret = fresh_session() ?: call_replica_open() ?: call_begin() ?:
			stage(CPTDEV_EXTENT_DATA, PAGES) ?: call_commit();
	}
	for (i = 0; i < 8; i++)
		t.m[i * PAGE + t_random(&t.seed) % PAGE]++;
	return ret;
}

static int prepare_stage(void)
{
	return prepare_begin() ?: call_begin();
}

/* In a replica that is new: it has no pages yet that an earlier commit replaced. */
static int prepare_first_stage(void)
{
	return prepare_replica_open() ?: prepare_stage();
}

static int retry_stage(void)
{
	return begin_again() ?: call_stage();
}

static int retry_hole(void)
{
	return begin_again() ?: call_hole();
}

static int retry_write(void)
{
	return begin_again() ?: call_write();
}

/* It may have failed before the replica was reached: then the delta is whole. */
static int retry_replica_splice(void)
{
	return call_begin() ?: call_replica_splice();
}

/* What became a hole comes back, so that there is something to become one. */
static int check_hole(void)
{
	return check_commit() ?: call_begin() ?: call_stage() ?: check_commit();
}

static int prepare_commit(void)
{
	return prepare_stage() ?: call_stage();
}

/*
 * Netlink
 */

static struct nlmsghdr *request(uint16_t type, uint8_t cmd, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(t.buf);
	struct genlmsghdr *g;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = 1;
	g = mnl_nlmsg_put_extra_header(nlh, sizeof(*g));
	g->cmd = cmd;
	g->version = 1;
	return nlh;
}

static unsigned int messages;

static int count_cb(const struct nlmsghdr *nlh, void *data)
{
	unsigned int *n = data;

	*n += nlh->nlmsg_type == t.family;
	return MNL_CB_OK;
}

static int family_cb(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attr, *group, *a;
	uint16_t *family = data;

	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID)
			*family = mnl_attr_get_u16(attr);
		if (mnl_attr_get_type(attr) != CTRL_ATTR_MCAST_GROUPS)
			continue;
		mnl_attr_for_each_nested(group, attr)
			mnl_attr_for_each_nested(a, group)
				if (mnl_attr_get_type(a) == CTRL_ATTR_MCAST_GRP_ID)
					t.group = mnl_attr_get_u32(a);
	}
	return MNL_CB_OK;
}

static int talk(struct nlmsghdr *nlh, mnl_cb_t cb, void *data)
{
	bool more = nlh->nlmsg_flags & NLM_F_DUMP;
	int n, ret;

	if (mnl_socket_sendto(t.nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		n = mnl_socket_recvfrom(t.nl, t.buf, sizeof(t.buf));
		if (n < 0)
			return -errno;
		ret = mnl_cb_run(t.buf, n, 1, mnl_socket_get_portid(t.nl), cb, data);
	} while (more && ret > MNL_CB_STOP);
	return ret < 0 ? -errno : 0;
}

static struct mnl_socket *open_socket(void)
{
	struct mnl_socket *nl = mnl_socket_open(NETLINK_GENERIC);

	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID))
		ksft_exit_fail_msg("no netlink\n");
	return nl;
}

static int fresh_socket(void)
{
	struct nlmsghdr *nlh;
	int ret;

	if (t.nl)
		mnl_socket_close(t.nl);
	t.nl = open_socket();
	nlh = request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);
	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, CPTDEV_GENL_NAME);
	ret = talk(nlh, family_cb, &t.family);
	messages = 0;
	return ret;
}

static int prepare_netlink(void)
{
	return fresh_socket() ?: fresh_range() ?: call_replica_open();
}

/*
 * A past generation: of all pages, the first three were another byte.
 */

static int history_keep(void)
{
	struct cptdev_replica_history arg = {
		.size = sizeof(arg), .flags = CPTDEV_HISTORY_SET, .keep = 4,
	};

	return t_ioctl(t.fd, CPTDEV_IOC_REPLICA_HISTORY, &arg);
}

static int prepare_past_commit(void)
{
	return prepare_commit() ?: history_keep();
}

static int prepare_past(void)
{
	int ret = prepare_replica_open() ?: prepare_begin() ?: history_keep() ?: call_begin();

	if (ret)
		return ret;
	memcpy(t.past, t.content, LEN);
	t.m[PAGE]++;
	return call_stage() ?: call_commit();
}

static int call_history(void)
{
	struct cptdev_past v[4];
	struct cptdev_replica_history arg = {
		.size = sizeof(arg), .vec = (unsigned long)v, .vec_len = 4,
	};
	int ret = t_ioctl(t.fd, CPTDEV_IOC_REPLICA_HISTORY, &arg);

	return ret ?: arg.nr == 1 && v[0].generation == t.generation - 1 ? 0 : -EBADMSG;
}

static int call_at(void)
{
	struct cptdev_replica_at arg = { .size = sizeof(arg), .generation = t.generation - 1 };

	return t_ioctl(t.fd, CPTDEV_IOC_REPLICA_AT, &arg);
}

static int check_past(void)
{
	int ret = call_replica_read();

	return ret ?: memcmp(copy, t.past, LEN) ? -EBADMSG : 0;
}

/* It shows the past one; another one reads the content. */
static int prepare_back(void)
{
	return prepare_past() ?: call_at();
}

static int call_back(void)
{
	struct cptdev_replica_promote arg = {
		.size = sizeof(arg), .flags = CPTDEV_PROMOTE_AT,
	};
	int ret = t_ioctl(t.fd, CPTDEV_IOC_REPLICA_PROMOTE, &arg);

	if (ret)
		return arg.generation == t.generation && arg.term == 1 ? ret : -EBADMSG;
	t.generation--;
	memcpy(t.content, t.past, LEN);
	return 0;
}

/* What has failed before has left the history and the content as they were. */
static int retry_back(void)
{
	struct cptdev_replica_at newest = { .size = sizeof(newest) };

	return check_past() ?: t_ioctl(t.fd, CPTDEV_IOC_REPLICA_AT, &newest) ?:
		check_content() ?: call_at() ?: call_back();
}

static int call_dump_sessions(void)
{
	return talk(request(t.family, CPTDEV_CMD_SESSION_GET, NLM_F_DUMP), count_cb,
		    &messages);
}

static int call_dump_replicas(void)
{
	return talk(request(t.family, CPTDEV_CMD_REPLICA_GET, NLM_F_DUMP), count_cb,
		    &messages);
}

static int call_get(void)
{
	struct nlmsghdr *nlh = request(t.family, CPTDEV_CMD_REPLICA_GET, 0);
	struct nlattr *nest = mnl_attr_nest_start(nlh, CPTDEV_A_REPLICA);

	mnl_attr_put_strz(nlh, CPTDEV_A_REPLICA_NAME, NAME);
	mnl_attr_nest_end(nlh, nest);
	return talk(nlh, count_cb, &messages);
}

static int retry_dump_sessions(void)
{
	return fresh_socket() ?: call_dump_sessions();
}

static int retry_dump_replicas(void)
{
	return fresh_socket() ?: call_dump_replicas();
}

static int retry_get(void)
{
	return fresh_socket() ?: call_get();
}

static int check_one_message(void)
{
	int ret = messages == 1 ? 0 : -EBADMSG;

	call_remove();
	return ret;
}

/* A listener gets the event, or is told that it missed one. The call doesn't mind. */
static bool event_or_told(void)
{
	ssize_t n = recv(mnl_socket_get_fd(t.events), t.buf, sizeof(t.buf), MSG_DONTWAIT);

	return n > 0 || errno == ENOBUFS;
}

static int prepare_event(void)
{
	int ret = fresh_session();

	if (!t.events) {
		t.events = open_socket();
		mnl_socket_setsockopt(t.events, NETLINK_ADD_MEMBERSHIP, &t.group,
				      sizeof(t.group));
	}
	while (event_or_told())
		;
	return ret;
}

static int check_event(void)
{
	return event_or_told() ? check_full() : -EBADMSG;
}

static int call_nothing(void)
{
	return 0;
}

/*
 * The steps
 */

struct step {
	const char *name;
	int (*prepare)(void);
	int (*call)(void);		/* with the failure */
	int (*retry)(void);		/* without: NULL is the call again */
	int (*check)(void);
	bool allocates;			/* there is something to fail */
	int other;			/* an error that is as clear, instead of ENOMEM */
};

static const struct step steps[] = {
	{ .name = "open", .prepare = prepare_open, .call = call_open, .allocates = true },
	{ .name = "INFO", .prepare = fresh_session, .call = call_info },
	{ .name = "SESSION_SETUP", .prepare = fresh_session, .call = call_setup },
	{ .name = "RANGE_ADD, the first", .prepare = fresh_session, .call = call_add,
	  .check = check_full, .allocates = true },
	{ .name = "RANGE_ADD, the array grows", .prepare = fresh_16_ranges,
	  .call = call_add_17th, .check = check_17, .allocates = true },
	{ .name = "RANGE_DEL, the array grows", .prepare = fresh_16_ranges,
	  .call = call_del_middle, .check = check_del_middle, .allocates = true },
	{ .name = "RANGE_CLEAR", .prepare = fresh_16_ranges, .call = call_clear },
	{ .name = "RANGE_LIST", .prepare = fresh_16_ranges, .call = call_list },
	{ .name = "SCAN, the first", .prepare = fresh_range, .call = call_scan,
	  .check = check_scan, .allocates = true },
	{ .name = "SCAN", .prepare = prepare_scan, .call = call_scan, .check = check_scan },
	{ .name = "SNAPSHOT, full", .prepare = fresh_range, .call = call_snapshot,
	  .check = apply_fd, .allocates = true },
	{ .name = "SNAPSHOT, incremental", .prepare = prepare_changed, .call = call_snapshot,
	  .check = apply_fd, .allocates = true },
	{ .name = "SNAPSHOT, swapped out", .prepare = prepare_swapped, .call = call_snapshot,
	  .check = apply_fd, .allocates = true },
	{ .name = "SNAPSHOT, huge pages", .prepare = prepare_huge, .call = call_snapshot,
	  .check = apply_fd, .allocates = true },
	{ .name = "a session for a spare", .prepare = fresh_range, .call = call_nothing },
	{ .name = "DELTA", .prepare = prepare_delta, .call = call_delta, .check = check_delta,
	  .allocates = true },
	{ .name = "SNAPSHOT, published and merged", .prepare = prepare_publish,
	  .call = call_publish, .check = check_chain, .allocates = true },
	{ .name = "ACK", .prepare = call_nothing, .call = call_ack },
	{ .name = "SESSION_ALIVE", .prepare = call_nothing, .call = call_alive },
	{ .name = "WAIT", .prepare = call_nothing, .call = call_wait },
	{ .name = "IMAGE_*", .prepare = prepare_full, .call = call_image },
	{ .name = "read", .prepare = prepare_full, .call = call_read, .check = check_copy },
	{ .name = "mmap", .prepare = prepare_full, .call = call_mmap, .check = check_copy,
	  .allocates = true },
	{ .name = "splice", .prepare = prepare_full, .call = call_splice,
	  .check = check_splice },
	{ .name = "a session for a replica", .prepare = fresh_session, .call = call_nothing },
	{ .name = "REPLICA_OPEN", .prepare = prepare_replica_open, .call = call_replica_open,
	  .allocates = true },
	{ .name = "no replica", .prepare = prepare_replica_open, .call = call_nothing },
	{ .name = "REPLICA_BEGIN", .prepare = prepare_begin, .call = call_begin,
	  .check = check_commit, .allocates = true },
	{ .name = "REPLICA_STAGE", .prepare = prepare_first_stage, .call = call_stage,
	  .retry = retry_stage, .check = check_commit, .allocates = true },
	/* Nodes of arrays only: an array asks twice for one, and one failure isn't felt. */
	{ .name = "REPLICA_STAGE, a hole", .prepare = prepare_stage, .call = call_hole,
	  .retry = retry_hole, .check = check_hole },
	{ .name = "write to a replica", .prepare = prepare_first_stage, .call = call_write,
	  .retry = retry_write, .check = check_commit, .allocates = true },
	{ .name = "splice to a replica", .prepare = prepare_first_stage,
	  .call = call_replica_splice, .retry = retry_replica_splice,
	  .check = check_commit, .allocates = true },
	{ .name = "REPLICA_COMMIT", .prepare = prepare_commit, .call = call_commit,
	  .check = check_content },
	{ .name = "REPLICA_ABORT", .prepare = prepare_commit, .call = call_abort,
	  .check = check_content },
	{ .name = "REPLICA_FREEZE", .prepare = call_nothing, .call = call_freeze,
	  .check = check_content },
	{ .name = "REPLICA_COPIED", .prepare = call_nothing, .call = call_copied,
	  .check = check_content },
	{ .name = "IMAGE_* of a replica", .prepare = call_nothing, .call = call_image },
	{ .name = "read from a replica", .prepare = call_nothing, .call = call_replica_read,
	  .check = check_content },
	{ .name = "REPLICA_COMMIT with a history", .prepare = prepare_past_commit,
	  .call = call_commit, .check = check_content },
	{ .name = "REPLICA_HISTORY", .prepare = prepare_past, .call = call_history,
	  .check = check_content, .allocates = true },
	{ .name = "REPLICA_AT", .prepare = prepare_past, .call = call_at, .check = check_past,
	  .allocates = true },
	{ .name = "REPLICA_PROMOTE, back", .prepare = prepare_back, .call = call_back,
	  .retry = retry_back, .check = check_content, .allocates = true },
	{ .name = "REPLICA_PROMOTE", .prepare = call_nothing, .call = call_promote,
	  .check = check_content },
	{ .name = "REPLICA_REMOVE", .prepare = call_nothing, .call = call_remove },
	{ .name = "netlink, sessions", .prepare = prepare_netlink, .call = call_dump_sessions,
	  .retry = retry_dump_sessions, .check = check_one_message, .allocates = true,
	  .other = -ENOBUFS },
	{ .name = "netlink, replicas", .prepare = prepare_netlink, .call = call_dump_replicas,
	  .retry = retry_dump_replicas, .check = check_one_message, .allocates = true,
	  .other = -ENOBUFS },
	{ .name = "netlink, one replica", .prepare = prepare_netlink, .call = call_get,
	  .retry = retry_get, .check = check_one_message, .allocates = true,
	  .other = -ENOBUFS },
	{ .name = "an event", .prepare = prepare_event, .call = call_add, .check = check_event,
	  .allocates = true },
};

#define NR_STEPS	(sizeof(steps) / sizeof(*steps))

/* One failure. Says whether there was one, and puts the error into @bad. */
static bool step_once(const struct step *s, unsigned int nth, const char **where, int *bad)
{
	bool failed;
	int ret;

	*where = "before";
	*bad = s->prepare();
	if (*bad)
		return false;
	fail_arm(nth);
	ret = s->call();
	failed = fail_happened();
	*where = "the error";
	*bad = ret && (!failed || (ret != -ENOMEM && ret != s->other)) ? ret : 0;
	if (*bad)
		return failed;
	*where = "the next call";
	errors += !!ret;
	if (ret)
		*bad = s->retry ? s->retry() : s->call();
	if (*bad)
		return failed;
	*where = "what the call gave";
	*bad = s->check ? s->check() : 0;
	return failed;
}

static void step_run(const struct step *s)
{
	unsigned int nth = 1;
	const char *where;
	int bad, files = 0;

	errors = 0;
	while (step_once(s, nth, &where, &bad) && !bad) {
		/* From the second on nothing is opened for good any more. */
		if (nth == 2)
			files = open_files();
		if (nth > 2 && open_files() != files) {
			where = "descriptors left open";
			bad = -EMFILE;
			break;
		}
		nth++;
	}
	if (bad)
		ksft_print_msg("failure %u, %s: %s\n", nth, where, strerror(-bad));
	if (!bad && s->allocates && !errors)
		ksft_print_msg("nothing failed that the call needs\n");
	ksft_test_result(!bad && (errors || !s->allocates), "%s: %u failures, %u errors\n",
			 s->name, nth - 1, errors);
}

static bool nothing_left(void)
{
	struct cptdev_info info;

	close_fd(&t.fd);
	close_fd(&t.daemon);
	close_fd(&t.dev);
	t.dev = t_open();
	info = t_info(t.dev);
	ksft_print_msg("held %llu, replica %llu, sessions %llu, replicas %llu\n", info.held,
		       info.replica, info.sessions, info.replicas);
	return info.page_size && !info.held && !info.replica && !info.sessions &&
	       !info.replicas;
}

int main(void)
{
	unsigned int i;

	ksft_print_header();
	setlinebuf(stdout);
	ksft_set_plan(NR_STEPS + 1);
	t_swap_on("/dev/vda");
	t.dev = -1;
	t.daemon = -1;
	t.fd = -1;
	t.seed = 88172645463325252ULL;
	t.dirty = calloc(PAGES, sizeof(*t.dirty));
	copy = t_map(LEN);
	t.content = t_map(LEN);
	t.past = t_map(LEN);
	t.staged = t_map(LEN);
	memset(copy, 0, LEN);
	if (pipe(t.pipe))
		return 1;
	fail_setup();
	for (i = 0; i < NR_STEPS; i++)
		step_run(&steps[i]);
	ksft_test_result(nothing_left(), "nothing is held in the end\n");
	ksft_finished();
}
