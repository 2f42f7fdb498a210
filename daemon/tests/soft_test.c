// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The soft engine from end to end: two real daemons on this host, linked over loopback, and
 * programs that use libckdev, without any module. One publishes and is killed, its daemon falls
 * silent; its spare, on the other one, has every byte. And what a hostile program may try.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "internal.h"
#include "machine.h"
#include "pair.h"
#include "softwire.h"
#include "unix_bind.h"

#define BASE	0x200000000000UL
#define PAGE	4096UL
#define PAGES	64UL
#define LEN	(PAGES * PAGE)
#define SECONDS(n)	((n) * NSEC_PER_SEC)

struct machine {
	char conf[80];
	char programs[80];
	u16 port;
	pid_t pid;
};

struct world {
	char dir[64];
	struct machine a, b;
};

static void machine_conf(const struct world *w, struct machine *m, const char *name,
			 const struct machine *other, const char *failover)
{
	FILE *f = fopen(m->conf, "w");

	assert_non_null(f);
	fprintf(f, "[node]\nname = %s\nlog_level = %s\ncontrol = %s/%s.control\n"
		"state_dir = %s/%s.state\nengine = soft\nprograms = %s\n"
		"[listen]\naddress = 127.0.0.1\nport = %u\n"
		"[peer]\naddress = 127.0.0.1\nport = %u\ninsecure = yes\n"
		"[failover]\nheartbeat_interval_ms = 50\ntimeout_ms = 500\nfailover = %s\n",
		name, getenv("VERBOSE") ? "debug" : "error", w->dir, name, w->dir, name, m->programs, m->port,
		other->port, failover);
	assert_int_equal(fclose(f), 0);
}

static void world_open(struct world *w, const char *failover)
{
	memset(w, 0, sizeof(*w));
	strcpy(w->dir, "/tmp/cptdevd-soft.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->a.port = free_port();
	w->b.port = free_port();
	snprintf(w->a.conf, sizeof(w->a.conf), "%s/alpha.conf", w->dir);
	snprintf(w->b.conf, sizeof(w->b.conf), "%s/beta.conf", w->dir);
	snprintf(w->a.programs, sizeof(w->a.programs), "%s/alpha.programs", w->dir);
	snprintf(w->b.programs, sizeof(w->b.programs), "%s/beta.programs", w->dir);
	machine_conf(w, &w->a, "alpha", &w->b, failover);
	machine_conf(w, &w->b, "beta", &w->a, failover);
	w->a.pid = machine_start(w->a.conf);
	w->b.pid = machine_start(w->b.conf);
}

static void world_close(struct world *w)
{
	char cmd[96];

	machine_end(&w->a.pid, SIGTERM);
	machine_end(&w->b.pid, SIGTERM);
	snprintf(cmd, sizeof(cmd), "rm -r %s", w->dir);
	assert_int_equal(system(cmd), 0);
}

static u64 deadline(void)
{
	return clock_mono() + SECONDS(60);
}

/* As soon as the daemon is there. */
static int session_open(const struct machine *m)
{
	u64 until = deadline();
	int fd;

	do {
		fd = ckdev_soft_open(m->programs);
	} while ((fd == -ENOENT || fd == -ECONNREFUSED) && clock_mono() < until &&
		 !usleep(1000));
	return fd;
}

/*
 * A program: its memory, and a delta of it
 */

static u8 byte_of(u64 page, u64 generation)
{
	return page * 7 + generation * 31 + 1;
}

/* What the memory is in a generation: each third page changes in the second, two go away. */
static void fill(u8 *memory, u64 generation)
{
	u64 p;

	for (p = 0; p < PAGES; p++)
		memset(memory + p * PAGE, byte_of(p, generation == 2 && p % 3 == 0 ? 2 : 1), PAGE);
	if (generation == 2)
		memset(memory + 10 * PAGE, 0, 2 * PAGE);
}

static const struct cptdev_segment layout = {
	.addr = BASE, .len = LEN, .kind = CPTDEV_SEGMENT_ANON, .prot = 3,
};

static void add(struct ckdev_soft_delta *d, struct cptdev_extent *e, const u8 *memory, u64 page,
		u64 n, u32 kind)
{
	static u64 packed;

	if (!d->nr_extents)
		packed = 0;
	e[d->nr_extents++] = (struct cptdev_extent) {
		.addr = BASE + page * PAGE, .len = n * PAGE, .kind = kind,
	};
	if (kind == CPTDEV_EXTENT_HOLE)
		return;
	if (pwrite(d->memfd, memory + page * PAGE, n * PAGE, packed) != (ssize_t)(n * PAGE))
		abort();
	packed += n * PAGE;
}

static int publish(int fd, const u8 *memory, u64 base, struct ckdev_soft_delta *out)
{
	struct cptdev_extent e[PAGES];
	struct ckdev_soft_delta d = {
		.size = sizeof(d), .memfd = memfd_create("delta", MFD_ALLOW_SEALING | MFD_CLOEXEC),
		.base = base, .extents = e, .layout = &layout, .nr_segments = 1,
		.meta = "where we were", .meta_len = 14,
	};
	int ret;
	u64 p;

	if (!base)
		add(&d, e, memory, 0, PAGES, CPTDEV_EXTENT_DATA);
	for (p = 0; base && p < PAGES; p++) {
		if (p == 10 || p == 11)
			add(&d, e, memory, p, 1, CPTDEV_EXTENT_HOLE);
		else if (p % 3 == 0)
			add(&d, e, memory, p, 1, CPTDEV_EXTENT_DATA);
	}
	ret = ckdev_soft_publish(fd, &d);
	close(d.memfd);
	if (out)
		*out = d;
	return ret;
}

/* Until the spare has it, and reaching back as far as it needs. */
static int checkpoint(int fd, const u8 *memory, u64 base, u64 *generation)
{
	struct ckdev_soft_delta d;
	u64 until = deadline();
	int ret;

	do {
		ret = publish(fd, memory, base, &d);
		if (!ret)
			ret = ckdev_wait(fd, d.generation, SECONDS(60), NULL);
		base = MIN(base, d.reach);
	} while ((ret == -ECANCELED || ret == -EILSEQ) && clock_mono() < until);
	*generation = d.generation;
	return ret;
}

/* Publishes two generations, says so on @ready, and waits to be killed. */
static void primary(const struct machine *m, int ready)
{
	u8 *memory = malloc(LEN);
	int fd = session_open(m), ret = fd;
	u64 generation = 0;

	if (ret >= 0)
		ret = ckdev_session(fd, "kv", 0, 0, 0);
	fill(memory, 1);
	if (!ret)
		ret = checkpoint(fd, memory, 0, &generation);
	fill(memory, 2);
	if (!ret)
		ret = checkpoint(fd, memory, generation, &generation);
	if (write(ready, &ret, sizeof(ret)) == sizeof(ret))
		pause();
	_exit(1);
}

enum { SPARE_EXACT, SPARE_DIFFERS, SPARE_FAILED, SPARE_WAITS };

static int spare_open(int fd)
{
	u64 until = deadline();
	int r;

	do {
		r = ckdev_replica_open(fd, "kv", 0, 0);
	} while (r == -ENOENT && clock_mono() < until && !usleep(1000));
	return r;
}

/* The spare copies ahead, after each commit. */
static bool warm;

/* Until the promotion. @restore: what then makes the memory whole. */
static int wait_warm(int r, u64 timeout_ns, struct ckdev_restore *restore, uint64_t *commits)
{
	int ret, err = 0;

	do {
		ret = ckdev_replica_wait(r, warm ? CKDEV_WAIT_COMMITS : 0, timeout_ns);
		if (!warm || ret < 0)
			return ret;
		if (ret & CKDEV_COMMITTED) {
			restore->flags |= CKDEV_RESTORE_AHEAD;
			err = ckdev_restore_since(r, restore, commits);
			restore->flags = CKDEV_RESTORE_MAP;
			if (!err)
				err = ckdev_replica_copied(r, *commits, NULL);
		}
	} while (!err && !(ret & CKDEV_PROMOTED));
	return err ? err : *commits ? ret : -EIO;
}

/* Waits, restores and compares with @generation; the exit status says how it went. */
static void spare(const struct machine *m, u64 generation, u64 timeout_ns)
{
	struct ckdev_restore restore = {
		.size = sizeof(restore), .flags = CKDEV_RESTORE_MAP | CKDEV_RESTORE_EXCL,
	};
	u8 *want = malloc(LEN);
	uint64_t commits = 0;
	int fd = session_open(m), r = spare_open(fd);
	int ret = wait_warm(r, timeout_ns, &restore, &commits);

	if (ret == -ETIMEDOUT)
		_exit(SPARE_WAITS);
	if (ret > 0 && ret & CKDEV_PROMOTED)
		ret = ckdev_restore_since(r, &restore, &commits);
	if (ret) {
		fprintf(stderr, "# the spare: %s\n", ckdev_strerror(ret));
		_exit(SPARE_FAILED);
	}
	fill(want, generation);
	if (memcmp(want, (void *)BASE, LEN))
		_exit(SPARE_DIFFERS);
	/* It goes on from there, as who took over. */
	_exit(ckdev_session(fd, "kv", restore.term, 0, 0) ? SPARE_FAILED : SPARE_EXACT);
}

static pid_t start_primary(const struct machine *m)
{
	int ready[2], ret = -EIO;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		primary(m, ready[1]);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &ret, sizeof(ret)), sizeof(ret));
	close(ready[0]);
	assert_int_equal(ret, 0);
	return pid;
}

static pid_t start_spare(const struct machine *m, u64 generation, u64 timeout_ns)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		spare(m, generation, timeout_ns);
	}
	return pid;
}

static int status_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What cptdevctl says to the daemon of the node @name. */
static void control(const struct world *w, const char *name, const char *args, char *out,
		    size_t size)
{
	char cmd[300];
	size_t n;
	FILE *f;

	snprintf(cmd, sizeof(cmd), "%s --socket %s/%s.control %s 2>&1", CPTDEVCTL, w->dir, name,
		 args);
	f = popen(cmd, "r");
	assert_non_null(f);
	n = fread(out, 1, size - 1, f);
	out[n] = 0;
	pclose(f);
}

static bool says(const struct world *w, const char *name, const char *args, const char *text)
{
	static char out[16384];

	control(w, name, args, out, sizeof(out));
	return strstr(out, text);
}

/* Until the spare's program is counted as one that waits. */
static void wait_for_waiter(const struct world *w)
{
	u64 until = deadline();

	while (!says(w, "beta", "--json replica list", "\"waiters\": 1"))
		assert_true(clock_mono() < until);
}

/* Until it is said how far the program's own copy is: it has everything, or there is none. */
static void wait_for_copy(const struct world *w)
{
	const char *text = warm ? "  warm  " : "  cold  ";
	u64 until = deadline();

	while (!says(w, "beta", "replica list", text))
		assert_true(clock_mono() < until);
	assert_true(says(w, "beta", "metrics", warm ? "cptdev_replica_warm{replica=\"kv\"} 1" :
			 "cptdev_replica_warm{replica=\"kv\"} 0"));
}

static int take_over(const char *failover, u64 generation, u64 timeout_ns)
{
	struct world w;
	pid_t program, other;
	int ret;

	world_open(&w, failover);
	program = start_primary(&w.a);
	other = start_spare(&w.b, generation, timeout_ns);
	wait_for_waiter(&w);
	/* One that gives up soon might be gone before the answer. */
	if (strcmp(failover, "manual"))
		wait_for_copy(&w);
	/* A host that doesn't even refuse a connection any more, with all that was on it. */
	kill(w.a.pid, SIGSTOP);
	machine_end(&program, SIGKILL);
	ret = status_of(other);
	machine_end(&w.a.pid, SIGKILL);
	world_close(&w);
	return ret;
}

static void a_spare_has_every_byte(void **state)
{
	(void)state;
	assert_int_equal(take_over("auto", 2, SECONDS(20)), SPARE_EXACT);
}

static void a_warm_spare_has_every_byte(void **state)
{
	(void)state;
	warm = true;
	assert_int_equal(take_over("auto", 2, SECONDS(20)), SPARE_EXACT);
	assert_int_equal(take_over("auto", 1, SECONDS(20)), SPARE_DIFFERS);
	warm = false;
}

/* The comparison sees a generation that is only one behind. */
static void an_older_generation_is_noticed(void **state)
{
	(void)state;
	assert_int_equal(take_over("auto", 1, SECONDS(20)), SPARE_DIFFERS);
}

static void nobody_is_promoted_unless_it_was_wanted(void **state)
{
	(void)state;
	assert_int_equal(take_over("manual", 2, SECONDS(2)), SPARE_WAITS);
}

static void a_person_sees_and_promotes(void **state)
{
	struct world w;
	pid_t program, other;

	(void)state;
	world_open(&w, "manual");
	program = start_primary(&w.a);
	other = start_spare(&w.b, 2, SECONDS(20));
	wait_for_waiter(&w);
	assert_true(says(&w, "alpha", "--json status", "\"name\": \"kv\""));
	assert_true(says(&w, "alpha", "status", "engine soft"));
	assert_true(says(&w, "alpha", "check", "engine soft"));
	machine_end(&program, SIGKILL);
	assert_false(says(&w, "beta", "promote kv --force", "can't"));
	assert_int_equal(status_of(other), SPARE_EXACT);
	world_close(&w);
}

/*
 * The lease of a program, with real daemons: this process is the program.
 */

static bool may_serve(const struct cptdev_session_page *page)
{
	u64 lease = __atomic_load_n(&page->lease_until_ns, __ATOMIC_ACQUIRE);
	u32 flags = __atomic_load_n(&page->flags, __ATOMIC_ACQUIRE);

	return !(flags & (CPTDEV_STATE_FENCED | CPTDEV_STATE_BLOCKED)) &&
		(!lease || clock_mono() < lease);
}

#define WAIT_UNTIL(cond) do {						\
	u64 until_ = deadline();					\
	while (!(cond) && clock_mono() < until_)			\
		usleep(1000);						\
	assert_true(cond);						\
} while (0)

/* A session with a checkpoint on beta, and its page. */
static int served(struct world *w, const struct cptdev_session_page **page)
{
	static u8 content[LEN];
	int fd = session_open(&w->a), map;
	u64 generation;

	assert_true(fd >= 0);
	assert_int_equal(ckdev_session(fd, "kv", 0, 0, 0), 0);
	fill(content, 1);
	assert_int_equal(checkpoint(fd, content, 0, &generation), 0);
	map = ckdev_soft_session_page(fd, 0);
	assert_true(map >= 0);
	*page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, map, 0);
	assert_ptr_not_equal(*page, MAP_FAILED);
	close(map);
	return fd;
}

static void a_lease_ends_though_the_daemon_is_stopped(void **state)
{
	const struct cptdev_session_page *page;
	struct world w;
	int fd;

	(void)state;
	world_open(&w, "auto");
	fd = served(&w, &page);
	assert_true(page->lease_until_ns);
	WAIT_UNTIL(may_serve(page));
	kill(w.a.pid, SIGSTOP);
	WAIT_UNTIL(!may_serve(page));
	/* Nobody waits on beta, so nothing was promoted. */
	kill(w.a.pid, SIGCONT);
	WAIT_UNTIL(may_serve(page));
	assert_int_equal(ckdev_wait(fd, 1, SECONDS(60), NULL), 0);
	close(fd);
	world_close(&w);
}

/* It finds the questions of that time when it goes on, and isn't confused by them. */
static void a_stopped_daemon_keeps_nobody(void **state)
{
	const struct cptdev_session_page *page;
	struct cptdev_info info = { .size = sizeof(info) };
	static u8 content[LEN];
	struct world w;
	time_t from;
	u64 generation;
	int fd;

	(void)state;
	world_open(&w, "auto");
	fd = served(&w, &page);
	kill(w.a.pid, SIGSTOP);
	/* Not by the clock of the tests, which stands still with this process. */
	from = time(NULL);
	assert_int_equal(ckdev_wait(fd, 2, SECONDS(1), NULL), -ETIMEDOUT);
	assert_true(time(NULL) - from < 10);
	assert_int_equal(ckdev_info(fd, &info), -ETIME);
	assert_true(time(NULL) - from >= 10);
	kill(w.a.pid, SIGCONT);
	assert_int_equal(ckdev_info(fd, &info), 0);
	assert_int_equal(info.published, 1);
	fill(content, 2);
	assert_int_equal(checkpoint(fd, content, 1, &generation), 0);
	close(fd);
	world_close(&w);
}

static void a_person_lets_it_go_on_alone(void **state)
{
	const struct cptdev_session_page *page;
	struct world w;
	int fd;

	(void)state;
	world_open(&w, "auto");
	fd = served(&w, &page);
	assert_true(says(&w, "alpha", "alone kv", "the peer is linked"));
	machine_end(&w.b.pid, SIGKILL);
	WAIT_UNTIL(!may_serve(page));
	assert_true(says(&w, "alpha", "status --check", "neither acknowledges nor answers"));
	assert_true(says(&w, "alpha", "alone kv", "its data is on this host only"));
	assert_true(may_serve(page));
	assert_int_equal(ckdev_wait(fd, 1, 0, NULL), 0);
	assert_int_equal(page->flags, CPTDEV_STATE_ALONE);
	assert_true(says(&w, "alpha", "status", "ALONE"));
	assert_true(says(&w, "alpha", "--json status --check", "\"code\": \"alone\""));
	close(fd);
	world_close(&w);
}

/*
 * One daemon, and programs that make mistakes
 */

static struct world one;
static int session = -1;

static int one_setup(void **state)
{
	(void)state;
	world_open(&one, "manual");
	machine_end(&one.b.pid, SIGKILL);
	session = session_open(&one.a);
	assert_true(session >= 0);
	return 0;
}

static int one_teardown(void **state)
{
	(void)state;
	close(session);
	world_close(&one);
	return 0;
}

static u8 memory[LEN];

static void a_program_is_refused_what_the_module_refuses(void **state)
{
	struct ckdev_soft_delta d;
	struct cptdev_scan scan = { .size = sizeof(scan) };
	int other = session_open(&one.a);
	uint64_t committed;

	(void)state;
	assert_int_equal(ckdev_is_soft(session), 1);
	assert_int_equal(ckdev_is_soft(0), 0);
	assert_int_equal(publish(session, memory, 0, &d), -EINVAL);	/* no name */
	assert_int_equal(ckdev_session(session, "a/b", 0, 0, 0), -EINVAL);
	assert_int_equal(ckdev_session(session, "kv", 0, 2, 0), -EOPNOTSUPP);
	assert_int_equal(ckdev_session(session, "kv", 0, 0, 0), 0);
	assert_int_equal(ckdev_session(session, "kv", 0, 0, 0), -EBUSY);
	assert_int_equal(ckdev_session(other, "kv", 0, 0, 0), -EEXIST);
	assert_int_equal(ckdev_scan(session, &scan), -ENOTTY);
	assert_int_equal(ckdev_wait(session, 0, 0, NULL), -EINVAL);
	assert_int_equal(publish(session, memory, 1, &d), -EINVAL);	/* from the future */
	assert_int_equal(publish(session, memory, 0, &d), 0);
	assert_int_equal(d.generation, 1);
	assert_int_equal(d.reach, 1);
	assert_int_equal(ckdev_wait(session, 1, 0, &committed), -ETIMEDOUT);
	assert_int_equal(ckdev_wait(session, 1, 50 * NSEC_PER_MSEC, &committed), -ETIMEDOUT);
	assert_int_equal(committed, 0);
	assert_int_equal(ckdev_wait(session, 2, 0, NULL), -EINVAL);
	/* Nobody has fetched the first: the second takes it in, and there is one. */
	assert_int_equal(publish(session, memory, 1, &d), 0);
	assert_int_equal(d.generation, 2);
	close(other);
}

static void replicas_belong_to_who_made_them(void **state)
{
	struct cptdev_image_info info = { .size = sizeof(info) };
	int r = ckdev_replica_open(session, "own", CPTDEV_REPLICA_CREATE, 1 << 20), again;

	(void)state;
	assert_true(r >= 0);
	assert_int_equal(ckdev_image_info(r, &info), 0);
	assert_string_equal((char *)info.name, "own");
	assert_int_equal(info.max_bytes, 1 << 20);
	assert_int_equal(info.uid, getuid());
	assert_int_equal(ckdev_replica_wait(r, 0, 0), -ETIMEDOUT);
	assert_int_equal(ckdev_replica_content(r), -EINVAL);	/* not frozen */
	assert_int_equal(ckdev_wait(r, 0, 0, NULL), -ENOTTY);
	again = ckdev_replica_open(session, "own", 0, 0);
	assert_true(again >= 0);
	assert_int_equal(ckdev_replica_remove(again), 0);
	assert_int_equal(ckdev_replica_wait(r, 0, SECONDS(60)), -ENOENT);
	assert_int_equal(ckdev_replica_open(session, "own", 0, 0), -ENOENT);
	close(again);
	close(r);
}

/* The answer of a call in a child; errno as an exit status. */
static int in_a_child(int (*fn)(void))
{
	pid_t pid = fork();

	if (!pid)
		_exit(-fn());
	return -status_of(pid);
}

static int child_waits(void)
{
	return ckdev_wait(session, 0, 0, NULL);
}

static void a_child_is_another_program(void **state)
{
	(void)state;
	assert_int_equal(in_a_child(child_waits), -EXDEV);
}

/* What was passed on is for reading: whoever asks counts, not who opened it. */
static int passed;

static int stranger_freezes(void)
{
	uint64_t generation;

	return setuid(65534) ? -EIO : ckdev_replica_freeze(passed, &generation);
}

static int stranger_removes(void)
{
	return setuid(65534) ? -EIO : ckdev_replica_remove(passed);
}

static int stranger_opens(void)
{
	return setuid(65534) ? -EIO : ckdev_replica_open(session, "passed", 0, 0);
}

static int stranger_reads(void)
{
	struct cptdev_image_info info = { .size = sizeof(info) };

	return setuid(65534) ? -EIO : ckdev_image_info(passed, &info);
}

static void what_is_passed_on_is_for_reading(void **state)
{
	(void)state;
	passed = ckdev_replica_open(session, "passed", CPTDEV_REPLICA_CREATE, 0);
	assert_true(passed >= 0);
	assert_int_equal(in_a_child(stranger_reads), 0);
	assert_int_equal(in_a_child(stranger_freezes), -EACCES);
	assert_int_equal(in_a_child(stranger_opens), -EACCES);
	assert_int_equal(in_a_child(stranger_removes), -EACCES);
	assert_int_equal(ckdev_replica_remove(passed), 0);
	close(passed);
}

static int raw_publish(int file, const struct soft_publish *p)
{
	struct soft_request head = { .cmd = SOFT_PUBLISH, .len = sizeof(*p) };
	struct iovec iov[2] = {
		{ .iov_base = &head, .iov_len = sizeof(head) },
		{ .iov_base = (void *)p, .iov_len = sizeof(*p) },
	};
	struct soft_answer answer = { .err = -EIO };
	int pair[2], fds[2];
	char control[CMSG_SPACE(sizeof(fds))] = {};
	struct msghdr msg = {
		.msg_iov = iov, .msg_iovlen = 2, .msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	fds[0] = pair[1];
	fds[1] = file;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(c), fds, sizeof(fds));
	assert_true(sendmsg(session, &msg, MSG_NOSIGNAL) > 0);
	close(pair[1]);
	assert_true(recv(pair[0], &answer, sizeof(answer), 0) == sizeof(answer));
	close(pair[0]);
	return answer.err;
}

/* A file of one page, an extent and a segment, with these seals. */
static int file_with(const struct cptdev_extent *e, int seals)
{
	int fd = memfd_create("bad", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	assert_int_equal(pwrite(fd, memory, PAGE, 0), PAGE);
	assert_int_equal(pwrite(fd, e, sizeof(*e), PAGE), sizeof(*e));
	assert_int_equal(pwrite(fd, &layout, sizeof(layout), PAGE + sizeof(*e)),
			 sizeof(layout));
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

/* A mistake in the configuration removes nobody's file. */
static void only_a_dead_socket_is_taken_away(void **state)
{
	char dir[] = "/tmp/cptdevd-bind.XXXXXX", path[64];
	int fd, again;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/programs", dir);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	assert_int_equal(unix_bind(path, SOCK_SEQPACKET), -EEXIST);
	assert_int_equal(unlink(path), 0);
	fd = unix_bind(path, SOCK_SEQPACKET);
	assert_true(fd >= 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(unix_bind(path, SOCK_SEQPACKET), -EADDRINUSE);
	close(fd);
	again = unix_bind(path, SOCK_SEQPACKET);
	assert_true(again >= 0);
	close(again);
	unlink(path);
	rmdir(dir);
}

static void hostile_files_are_refused(void **state)
{
	const struct cptdev_extent good = {
		.addr = BASE, .len = PAGE, .kind = CPTDEV_EXTENT_DATA,
	};
	const struct soft_publish ok = {
		.size = sizeof(ok), .pages = 1, .extents = 1, .segments = 1,
	};
	const int all = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;
	struct cptdev_extent e;
	struct soft_publish p;
	int fd;

	(void)state;
#define TRY(err, what, seals) do {					\
	p = ok;								\
	e = good;							\
	what;								\
	fd = file_with(&e, seals);					\
	if (raw_publish(fd, &p) != (err))				\
		fail_msg("%s is taken", #what);				\
	close(fd);							\
} while (0)
	TRY(0, e = good, all);
	TRY(-EINVAL, e = good, F_SEAL_GROW | F_SEAL_SHRINK);
	TRY(-EINVAL, e = good, F_SEAL_WRITE | F_SEAL_GROW);
	TRY(-EINVAL, p.pages = 2, all);
	TRY(-EINVAL, p.pages = 1ULL << 63, all);
	TRY(-EINVAL, p.extents = 2, all);
	TRY(-E2BIG, p.extents = ~0U, all);
	TRY(-E2BIG, p.segments = ~0U, all);
	TRY(-EMSGSIZE, p.meta_len = ~0U, all);
	TRY(-EOPNOTSUPP, p.flags = 1, all);
	TRY(-EINVAL, p.size = 7, all);
	TRY(-EINVAL, e.addr++, all);
	TRY(-EINVAL, e.len = 0, all);
	TRY(-EINVAL, e.len = 2 * PAGE, all);
	TRY(-EINVAL, e.kind = 3, all);
	TRY(-EINVAL, e.reserved = 1, all);
	TRY(-EFAULT, e.addr = BASE - PAGE, all);
	TRY(-EFAULT, e.len = -PAGE, all);
#undef TRY
	fd = open("/dev/zero", O_RDWR);
	assert_int_equal(raw_publish(fd, &ok), -EINVAL);
	close(fd);
}

/* Whatever comes over the socket: the daemon is there afterwards. */
static void noise_ends_the_connection_and_nothing_else(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct cptdev_info info = { .size = sizeof(info) };
	u8 noise[700];
	size_t i, n;
	int fd;

	(void)state;
	strncpy(un.sun_path, one.a.programs, sizeof(un.sun_path) - 1);
	srand(1);
	for (i = 0; i < 2000; i++) {
		fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
		for (n = 0; n < sizeof(noise); n++)
			noise[n] = rand();
		n = rand() % sizeof(noise);
		send(fd, noise, n, MSG_NOSIGNAL);
		close(fd);
	}
	assert_int_equal(ckdev_info(session, &info), 0);
	assert_int_equal(info.abi_version, CPTDEV_ABI_VERSION);
	assert_int_equal(info.sessions, 1);
}

static void end_of_the_daemon_is_told(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		int fd = session_open(&one.a), ret = ckdev_session(fd, "other", 0, 0, 0);

		if (!ret)
			ret = publish(fd, memory, 0, NULL);
		if (!ret)
			ret = ckdev_wait(fd, 1, CPTDEV_FOREVER, NULL);
		_exit(ret == -ECONNRESET ? 0 : 1);
	}
	usleep(100000);
	machine_end(&one.a.pid, SIGKILL);
	assert_int_equal(status_of(pid), 0);
	assert_int_equal(ckdev_wait(session, 0, 0, NULL), -ECONNRESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_spare_has_every_byte),
		cmocka_unit_test(a_warm_spare_has_every_byte),
		cmocka_unit_test(an_older_generation_is_noticed),
		cmocka_unit_test(nobody_is_promoted_unless_it_was_wanted),
		cmocka_unit_test(a_person_sees_and_promotes),
		cmocka_unit_test(a_lease_ends_though_the_daemon_is_stopped),
		cmocka_unit_test(a_person_lets_it_go_on_alone),
		cmocka_unit_test(a_program_is_refused_what_the_module_refuses),
		cmocka_unit_test(replicas_belong_to_who_made_them),
		cmocka_unit_test(what_is_passed_on_is_for_reading),
		cmocka_unit_test(a_child_is_another_program),
		cmocka_unit_test(only_a_dead_socket_is_taken_away),
		cmocka_unit_test(hostile_files_are_refused),
		cmocka_unit_test(noise_ends_the_connection_and_nothing_else),
		cmocka_unit_test(end_of_the_daemon_is_told),
		/* Behind those that compare leases with the clock of the tests. */
		cmocka_unit_test(a_stopped_daemon_keeps_nobody),
	};

	signal(SIGPIPE, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("the soft engine", tests, one_setup, one_teardown);
}
