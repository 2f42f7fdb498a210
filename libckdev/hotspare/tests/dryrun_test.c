// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Dry runs: a program makes one mistake at a time, and hs_check() must name it; one without
 * mistakes must be told none. And hs_run(), which begins as a spare does.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../hotspare.h"
#include "program.h"

#define CLASS	5
#define PAGE	4096

struct state {
	struct state *self;
	pthread_mutex_t lock;
	pthread_rwlock_t rwlock;
	void *anything;
	unsigned long numbers[64];
	pthread_t thread;
	int fd;
};

static volatile sig_atomic_t children;
static pthread_mutex_t variable_lock = PTHREAD_MUTEX_INITIALIZER;

static void worker(void *arg)
{
	const struct state *s = arg;

	tell("on", s->self == s);
}

static void hook(void *arg)
{
	(void)arg;
}

static void count_child(int sig)
{
	(void)sig;
	children++;
}

/*
 * The mistakes
 */

#ifdef __SANITIZE_ADDRESS__
/* Its malloc(3) has memory of its own, and its leak check doesn't see pointers in saved memory. */
#define OF_MALLOC	"looks like a pointer to memory at an address that"
#define OF_THE_KERNEL	OF_MALLOC

const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#else
#define OF_MALLOC	"looks like a pointer to memory of malloc(3)"
#define OF_THE_KERNEL	"looks like a pointer to memory at an address that the kernel"
#endif

static void none(struct state *s)
{
	const struct hs_hook h = { .before = hook, .restarted = hook };
	int i;

	/* Numbers of all sizes, text, pointers to functions and constants, and what was freed. */
	for (i = 0; i < 64; i++)
		s->numbers[i] = i < 47 ? 1UL << i : ~0UL << i;
	s->anything = (void *)worker;
	CHECK(!hs_hook(&h, s) && !hs_sigreg(SIGTERM));
	strcpy(hs_malloc(CLASS, 100), "text that means nothing");
	for (i = 0; i < 100; i++) {
		void **p = hs_malloc(CLASS, 64);

		*p = malloc(10);
		free(*p);
		hs_free(CLASS, p);
	}
}

static void no_thread(struct state *s)
{
	CHECK(!hs_threaddereg(worker, s));
}

static void pointer_to_heap(struct state *s)
{
	s->anything = malloc(100);
}

static void pointer_to_large(struct state *s)
{
	s->anything = (char *)malloc(1 << 20) + 5000;
}

static void pointer_to_stack(struct state *s)
{
	s->anything = &s;
}

static void many_pointers(struct state *s)
{
	int i;

	for (i = 0; i < 20; i++)
		s->numbers[i] = (unsigned long)malloc(10);
}

static void mutex_held(struct state *s)
{
	pthread_mutex_lock(&s->lock);
}

static void mutex_renewed(struct state *s)
{
	CHECK(!hs_syncreg(HSSYNC_MUTEX, &s->lock));
	mutex_held(s);
}

static void rwlock_held(struct state *s)
{
	pthread_rwlock_wrlock(&s->rwlock);
}

static void variable_held(struct state *s)
{
	(void)s;
	CHECK(!hs_range(&variable_lock, sizeof(variable_lock)));
	pthread_mutex_lock(&variable_lock);
}

static void forgotten_eventfd(struct state *s)
{
	s->fd = eventfd(0, EFD_CLOEXEC);
}

static void forgotten_file(struct state *s)
{
	s->fd = open("kept", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static void file_kept(struct state *s)
{
	forgotten_file(s);
	CHECK(write(s->fd, "12345", 5) == 5 && !hs_fdreg(s->fd));
}

static void file_gone(struct state *s)
{
	file_kept(s);
	CHECK(!unlink("kept"));
}

static void memory_gone(struct state *s)
{
	char *m = mmap(CHOSEN, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)s;
	CHECK(m == CHOSEN && !hs_range(m, PAGE) && !munmap(m, PAGE));
}

static void damage(struct state *s)
{
	char *p = hs_malloc(CLASS, 16);

	(void)s;
	/* The header of a span. */
	memset((void *)((unsigned long)p & ~4095UL), 0x11, 12);
}

/* A connection is none of the program's mistakes. */
static void connection(struct state *s)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(a);

	CHECK(!bind(l, (struct sockaddr *)&a, len) && !listen(l, 5));
	CHECK(!getsockname(l, (struct sockaddr *)&a, &len) && !hs_fdreg(l));
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(!connect(s->fd, (struct sockaddr *)&a, len));
}

static const struct mistake {
	const char *name;
	void (*make)(struct state *s);
	int found;
	const char *words;
} mistakes[] = {
	{ "none", none, 0, NULL },
	{ "no_thread", no_thread, 1, "no thread is registered" },
	{ "pointer_to_heap", pointer_to_heap, 1, OF_MALLOC },
	{ "pointer_to_large", pointer_to_large, 1, OF_THE_KERNEL },
	{ "pointer_to_stack", pointer_to_stack, 1, "looks like a pointer to the stack" },
	{ "many_pointers", many_pointers, 6, "and 15 more such pointers" },
	{ "mutex_held", mutex_held, 1, "looks like a lock of thread" },
	{ "mutex_renewed", mutex_renewed, 0, NULL },
	{ "rwlock_held", rwlock_held, 1, "looks like a lock of thread" },
	{ "variable_held", variable_held, 1, "in saved variables: at" },
	{ "forgotten_eventfd", forgotten_eventfd, 1, "(anon_inode:[eventfd]) isn't registered" },
	{ "forgotten_file", forgotten_file, 1, "/kept) isn't registered" },
	{ "file_kept", file_kept, 0, NULL },
	{ "file_gone", file_gone, 1, "no checkpoint can be taken" },
	{ "memory_gone", memory_gone, 1, "0x510000000000" },
	{ "damage", damage, 1, "memory of hs_malloc(3) is damaged" },
	{ "connection", connection, 0, "note: descriptor" },
};

static int run_it(struct state *s)
{
	tell("run", (unsigned long)hs_run());
	CHECK(!hs_threaddereg(worker, s) && hs_run() == -1 && errno == ENOENT);
	CHECK(strstr(hs_error(), "no thread is registered"));
	return 0;
}

static int program(int argc, char **argv)
{
	const struct mistake *m = mistakes;
	struct state *s;
	int ret;

	open_out();
	dup2(OUT_FD, STDERR_FILENO);
	if (hs_init(argc, argv) < 0)
		return 3;
	CHECK(signal(SIGCHLD, count_child) != SIG_ERR);
	CHECK(!hs_malloc_create(CLASS, 1 << 16));
	s = hs_calloc(CLASS, 1, sizeof(*s));
	CHECK(s && !hs_threadreg(worker, s) && !hs_fdreg(OUT_FD));
	s->self = s;
	pthread_mutex_init(&s->lock, NULL);
	pthread_rwlock_init(&s->rwlock, NULL);
	if (*setting("RUN"))
		return run_it(s);
	while (strcmp(m->name, setting("MISTAKE")))
		m++;
	m->make(s);
	ret = hs_check();
	if (ret < 0)
		fprintf(stderr, "# %s\n", hs_error());
	tell("found", (unsigned long)(ret + 1));
	/* All is as it was, and the program is told of no child. */
	CHECK(!children && waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	if (!ret && *setting("CPT"))
		CHECK(!hs_cpt(0));
	hs_hold();
	CHECK(hs_check() == -1 && errno == EDEADLK);
	hs_release();
	return 0;
}

/*
 * The tests
 */

static bool was_said(const char *words)
{
	char line[512];
	FILE *f = fopen("out", "r");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, words);
	if (f)
		fclose(f);
	return found;
}

static void each_mistake_is_named(void **state)
{
	char setting[64];
	size_t i;

	(void)state;
	if (!fixed_addresses())
		skip();
	for (i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		const struct mistake *m = &mistakes[i];

		clean(NULL);
		snprintf(setting, sizeof(setting), "MISTAKE=%s", m->name);
		if (end_of(start("out", "-m", setting)) ||
		    last("out", "found") != (unsigned long)m->found + 1 ||
		    (m->words && !was_said(m->words))) {
			(void)!system("sed 's/^/# /' out");
			fail_msg("%s: %ld findings, or not '%s'", m->name, (long)last("out", "found") - 1,
				 m->words ?: "");
		}
	}
}

static void a_file_is_checked_by_an_option(void **state)
{
	(void)state;
	if (!fixed_addresses())
		skip();
	assert_int_equal(end_of(start("out", "-m", "-f", "image", "MISTAKE=file_kept", "CPT=1")), 0);
	assert_int_equal(end_of(start("out", "-m", "-c", "-r", "image")), 0);
	assert_true(was_said("0 findings in"));
	assert_int_equal(truncate("kept", 2), 0);
	assert_int_equal(end_of(start("out", "-m", "-c", "-r", "image")), 1);
	assert_true(was_said("kept has 2 bytes, and the offset is 5"));
	assert_int_equal(unlink("kept"), 0);
	assert_int_equal(end_of(start("out", "-m", "--check", "-r", "image")), 1);
	/* It didn't go on. */
	assert_int_equal(last("out", "on"), 0);
	assert_int_equal(end_of(start("out", "-m", "-c")), 3);
}

static void a_master_begins_as_a_spare_does(void **state)
{
	(void)state;
	if (!fixed_addresses())
		skip();
	assert_int_equal(end_of(start("out", "-m", "RUN=1")), 0);
	assert_int_equal(last("out", "on"), 1);
	assert_true(was_said("run 0"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(each_mistake_is_named, clean),
		cmocka_unit_test_teardown(a_file_is_checked_by_an_option, clean),
		cmocka_unit_test_teardown(a_master_begins_as_a_spare_does, clean),
	};
	char dir[] = "/tmp/hotspare-dryrun-test.XXXXXX";
	int ret;

	if (is_program())
		return program(argc, argv);
	self = realpath("/proc/self/exe", NULL);
	snprintf(port, sizeof(port), "%d", own_port());
	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (chdir("/") || rmdir(dir))
		printf("# %s: %s\n", dir, strerrorname_np(errno));
	return ret;
}
