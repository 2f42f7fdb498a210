// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Programs with a session name, on one machine with the module; this test stands in for cptdevd:
 * it ships from the session to the replica of the same name, promotes and fences. Whoever goes
 * on has all that was told to be saved, of one instant: memory, variables that share pages with
 * other variables, sections, descriptors.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/syscall.h>

#include <ckdev.h>
#include <cmocka.h>

#include "../../tests/ship.h"
#include "program.h"
#include "published.h"

#define NAME	"publish-test"

/*
 * What a daemon does
 */

static int replica = -1;

static int make_replica(void **state)
{
	int dev = ckdev_open();

	(void)state;
	replica = ckdev_replica_open(dev, NAME, CPTDEV_REPLICA_CREATE | CPTDEV_REPLICA_WRITE, 0);
	/* The only session is that of the program. */
	close(dev);
	return replica < 0 ? -1 : 0;
}

static int remove_replica(void **state)
{
	int ret = clean(state);

	ckdev_replica_remove(replica);
	close(replica);
	return ret;
}

/* A program that looks for the module opens a session, too, for a moment: it has published nothing. */
static uint64_t find_published(int own)
{
	struct cptdev_info info = { .size = sizeof(info) };
	struct cptdev_delta d = { .size = sizeof(d) };
	int fd;

	if (ckdev_info(own, &info))
		return 0;
	for (d.session_id = 1; d.session_id < info.session_id; d.session_id++) {
		fd = ckdev_delta(own, &d);
		if (fd >= 0) {
			close(fd);
			return d.session_id;
		}
	}
	return 0;
}

/* The program's session, and a descriptor that is younger: only then it is found. */
static uint64_t find_session(int *own)
{
	uint64_t session;

	for (;;) {
		*own = ckdev_open();
		session = *own < 0 ? 0 : find_published(*own);
		if (session)
			return session;
		close(*own);
		usleep(1000);
	}
}

/* A descriptor of its own stands for the spare, as long as the process lives. */
static pid_t ship(void)
{
	uint64_t session;
	int own, ret;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid) {
		now_runs(0, pid);
		return pid;
	}
	end_with_parent();
	session = find_session(&own);
	/* A spare that looks at the replica freezes it. */
	do {
		usleep(100);
		ret = ship_once(own, session, replica);
	} while (ret >= 0 || ret == -EBUSY);
	/* The session is gone, or fenced. */
	pause();
	_exit(0);
}

static void promote(void)
{
	uint64_t term = 0, generation;

	assert_int_equal(ckdev_replica_promote(replica, &term, &generation), 0);
}

static bool has_replica(pid_t pid)
{
	char path[64], name[64];
	struct dirent *d;
	bool has = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && !has && (d = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), d->d_name, name, sizeof(name) - 1);

		name[n > 0 ? n : 0] = 0;
		has = strstr(name, "[cptdev-replica]");
	}
	if (dir)
		closedir(dir);
	return has;
}

static long system_call_of(pid_t pid)
{
	char path[64];
	long n = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	f = fopen(path, "r");
	if (f && fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

/* A promotion from before it waits isn't its own. */
static void wait_until_it_waits(pid_t pid)
{
	const time_t limit = seconds() + PATIENCE_S;

	while (!has_replica(pid) || system_call_of(pid) != SYS_ppoll) {
		assert_true(seconds() < limit);
		rest(10);
	}
}

/*
 * Tests
 */

static unsigned int rounds(void)
{
	const char *text = getenv("ROUNDS");
	unsigned int n = text ? (unsigned int)atoi(text) / 5 : 3;

	return n ? n : 1;
}

/*
 * @stopped: nothing reaches the replica any more from some time before the master dies, so what
 * is called saved in that time without the spare is lost.
 */
static void master_dies(const char *how, unsigned int after_ms, bool stopped)
{
	pid_t spare = start("spare", "-s", "-S", NAME, how);
	pid_t master = start("master", "-m", "-S", NAME, how), shipper = ship();
	unsigned long saved;

	wait_for("master", "saved", 3);
	if (stopped)
		assert_int_equal(kill(shipper, SIGSTOP), 0);
	rest(after_ms);
	kill_off(master);
	saved = last("master", "saved");
	kill_off(shipper);
	promote();
	wait_for("spare", "again", 1);
	if (last("spare", "again") < saved)
		fail_msg("%lu was saved, %lu goes on", saved, last("spare", "again"));
	kill_off(spare);
}

/* Each time the replica is another one: here the spare's own session has nowhere to go. */
static void the_spare_goes_on(void **state)
{
	unsigned int i, after_ms;
	bool stopped;

	for (i = 0; i < rounds(); i++) {
		stopped = i / 2 % 2;
		after_ms = stopped ? 500 : (unsigned int)random() % 50;
		master_dies(i % 2 ? "ASYNC=1" : "ASYNC=", after_ms, stopped);
		assert_int_equal(remove_replica(state), 0);
		assert_int_equal(make_replica(state), 0);
	}
}

static void a_promotion_is_taken_once(void **state)
{
	pid_t spare[2] = { start("spare0", "-s", "-S", NAME), start("spare1", "-s", "-S", NAME) };
	pid_t master = start("master", "-m", "-S", NAME), shipper = ship(), late;

	(void)state;
	wait_for("master", "saved", 3);
	rest(1500);
	kill_off(master);
	kill_off(shipper);
	promote();
	while (!last("spare0", "again") && !last("spare1", "again") && !a_program_has_ended())
		rest(10);
	late = start("late", "-s", "-S", NAME);
	rest(3000);
	assert_false(a_program_has_ended());
	assert_true(!last("spare0", "again") != !last("spare1", "again"));
	assert_int_equal(last("late", "again"), 0);
	kill_off(late);
	kill_off(spare[0]);
	kill_off(spare[1]);
}


/* Fenced, it is the spare: and so goes on when it is its turn. */
static void who_is_fenced_becomes_the_spare(void **state)
{
	pid_t master = start("master", "-m", "-S", NAME), shipper = ship();
	unsigned long saved;
	uint64_t session;
	int own;

	(void)state;
	wait_for("master", "saved", 3);
	session = find_session(&own);
	assert_int_equal(ckdev_ack(own, session, 0, CPTDEV_ACK_FENCED), 0);
	close(own);
	wait_for("master", "fenced", 1);
	saved = last("master", "saved");
	kill_off(shipper);
	wait_until_it_waits(master);
	assert_int_equal(last("master", "again"), 0);
	promote();
	wait_for("master", "again", saved);
	kill_off(master);
}

/* A program without a spare is told so: after the timeout once, then at once, until there is one. */
static void without_a_spare_it_is_told(void **state)
{
	pid_t master = start("master", "-m", "-S", NAME, "-t", "2"), shipper;
	time_t began;

	(void)state;
	wait_for("master", "alone", 1);
	began = seconds();
	wait_for("master", "alone", 20);
	assert_true(seconds() - began < 20);
	assert_int_equal(last("master", "saved"), 0);
	shipper = ship();
	wait_for("master", "saved", 20);
	kill_off(master);
	kill_off(shipper);
}

static void the_name_is_one_program_s(void **state)
{
	pid_t master = start("master", "-m", "-S", NAME), shipper = ship();

	(void)state;
	wait_for("master", "saved", 1);
	assert_int_equal(end_of(start("second", "-m", "-S", NAME)), 3);
	wait_for("master", "saved", last("master", "saved") + 2);
	kill_off(master);
	kill_off(shipper);
}

static void set_parameter(const char *name, const char *value)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/module/cptdev/parameters/%s", name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(value, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static bool has_line(const char *path, const char *a, const char *b)
{
	FILE *f = fopen(path, "r");
	char line[512];
	bool has = false;

	while (f && !has && fgets(line, sizeof(line), f))
		has = strstr(line, a) && strstr(line, b);
	if (f)
		fclose(f);
	return has;
}

/* A checkpoint that can't be taken for lack of room: the limit, its value and its setting. */
static void a_limit_is_named(void **state)
{
	pid_t master = start("master", "-m", "-S", NAME, "LARGE=1", "ERR=err"), shipper = ship();
	const time_t limit = seconds() + PATIENCE_S;
	unsigned long saved;

	(void)state;
	wait_for("master", "saved", 2);
	set_parameter("held_max_mib", "1");
	while (!has_line("err", "would hold more than 1 MiB", "/parameters/held_max_mib") &&
	       seconds() < limit)
		rest(10);
	set_parameter("held_max_mib", "0");
	assert_true(seconds() < limit);
	/* It goes on as soon as there is room. */
	saved = last("master", "saved");
	wait_for("master", "saved", saved + 2);
	kill_off(master);
	kill_off(shipper);
}

#define test(name)	cmocka_unit_test_setup_teardown(name, make_replica, remove_replica)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		test(the_spare_goes_on),
		test(a_promotion_is_taken_once),
		test(who_is_fenced_becomes_the_spare),
		test(without_a_spare_it_is_told),
		test(the_name_is_one_program_s),
		test(a_limit_is_named),
	};
	char dir[] = "/tmp/hotspare-publish-test.XXXXXX";
	int ret;

	if (is_program())
		return program(argc, argv);
	self = realpath("/proc/self/exe", NULL);
	snprintf(port, sizeof(port), "%d", own_port());
	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (system("rm -rf ./*") || chdir("/") || rmdir(dir))
		printf("# %s: %s\n", dir, strerrorname_np(errno));
	return ret;
}
