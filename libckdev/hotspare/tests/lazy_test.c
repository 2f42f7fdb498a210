// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A restart that continues before its memory is read. The program is this one: it leaves a chain of
 * checkpoints with holes, and is restarted from it in both ways. The eager way dumps all of its
 * memory, and the lazy way, while pages are missing, must find the same bytes in any order. The
 * background is stopped where a test needs that something is missing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "../arena.h"
#include "../fill.h"
#include "../hotspare.h"
#include "../lazy.h"
#include "../sections.h"
#include "../touched.h"
#include "program.h"

#define CLASS	5
#define OBJECTS	40
#define LARGE	(2UL << 20)
#define STEPS	6
#define ELSEWHERE_LEN	(3 * HS_PAGE)

/*
 * The program
 */

struct state {
	unsigned char *object[OBJECTS];
	size_t size[OBJECTS];
	unsigned char *large, *second;
};

struct piece {
	uint64_t addr, len;
};

static unsigned long number(const char *name)
{
	return strtoul(setting(name), NULL, 0);
}

static int write_piece(void *arg, void *addr, size_t len)
{
	const struct piece p = { (uintptr_t)addr, len };
	FILE *f = arg;

	return fwrite(&p, sizeof(p), 1, f) == 1 && fwrite(addr, len, 1, f) == 1 ? 0 : -1;
}

/* All of the memory into a file, which another process compares with its own. */
static void dump(const char *path)
{
	const struct piece p = { (uintptr_t)CHOSEN, ELSEWHERE_LEN };
	FILE *f = fopen(path, "we");

	CHECK(f && !hs_arena_pieces(write_piece, f));
	CHECK(fwrite(&p, sizeof(p), 1, f) == 1 && fwrite(CHOSEN, ELSEWHERE_LEN, 1, f) == 1);
	CHECK(!fclose(f));
}

struct page {
	const unsigned char *here, *there;
};

static struct page *pages;
static size_t nr_pages;

/* In memory that no checkpoint has. */
static void load_dump(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const unsigned char *map;
	const struct piece *p;
	struct stat st;
	off_t at;
	size_t i;

	CHECK(fd >= 0 && !fstat(fd, &st));
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(map != MAP_FAILED);
	close(fd);
	pages = calloc((size_t)st.st_size / HS_PAGE + 1, sizeof(*pages));
	CHECK(pages);
	for (at = 0; at < st.st_size; at += (off_t)(sizeof(*p) + p->len)) {
		p = (const void *)(map + at);
		for (i = 0; i < p->len; i += HS_PAGE)
			pages[nr_pages++] = (struct page) {
				(const unsigned char *)(uintptr_t)p->addr + i,
				(const unsigned char *)(p + 1) + i,
			};
	}
}

static void shuffle(unsigned int seed)
{
	struct page other;
	size_t i, k;

	srandom(seed);
	for (i = nr_pages; i > 1; i--) {
		k = (size_t)random() % i;
		other = pages[k];
		pages[k] = pages[i - 1];
		pages[i - 1] = other;
	}
}

static unsigned long differing(size_t from, size_t to)
{
	unsigned long n = 0;

	for (; from < to; from++)
		n += !!memcmp(pages[from].here, pages[from].there, HS_PAGE);
	return n;
}

/* The kernel accesses it first: it reads the page, or writes to it what it has anyway. */
static void by_kernel(const struct page *p, bool writes)
{
	unsigned char first = p->there[0];
	int ends[2];

	CHECK(!pipe2(ends, O_CLOEXEC));
	CHECK(write(ends[1], writes ? p->there : p->here, 1) == 1);
	CHECK(read(ends[0], writes ? (void *)(uintptr_t)p->here : &first, 1) == 1);
	CHECK(first == p->there[0]);
	close(ends[0]);
	close(ends[1]);
}

/* A part while nothing is filled but what is asked for, the rest while the background runs. */
static void compare(void)
{
	const unsigned int seed = (unsigned int)number("SEED");
	unsigned long n = 0;
	size_t i, part;

	load_dump(setting("DUMP"));
	shuffle(seed);
	part = nr_pages / 4;
	tell("missing", hs_restart_missing() / HS_PAGE);
	for (i = 0; i < 16; i++)
		by_kernel(&pages[i], i % 2);
	n = differing(0, part);
	hs_lazy_hold = false;
	n += differing(part, nr_pages);
	hs_restart_wait();
	CHECK(!hs_restart_missing());
	n += differing(0, nr_pages);
	tell("pages", nr_pages);
	tell("differ", n);
}

static unsigned long not_zero(const unsigned char *p, size_t len)
{
	unsigned long n = 0;
	size_t i;

	for (i = 0; i < len; i++)
		n += !!p[i];
	return n;
}

/* Memory that was given back, by the program itself, and by the library for it. */
static void give_back(struct state *s)
{
	unsigned char *a = (void *)(((uintptr_t)s->large + LARGE / 2) & ~(HS_PAGE - 1)), *again;
	const size_t len = 100 * HS_PAGE;
	unsigned long n;

	CHECK(!madvise(a, len, MADV_DONTNEED));
	n = not_zero(a, len / 2);
	CHECK(a[-1] == 'L' && a[len] == 'L');
	hs_free(CLASS, s->large);
	again = hs_calloc(CLASS, 1, LARGE);
	CHECK(again);
	tell("before", 1 + n + not_zero(again, LARGE / 4));
	hs_lazy_hold = false;
	hs_restart_wait();
	tell("after", 1 + not_zero(a, len) + not_zero(again, LARGE));
}

static void next_checkpoint(struct state *s)
{
	(void)s;
	CHECK(hs_cpt(HSCPT_ASYNC) == -1 && errno == EAGAIN);
	hs_lazy_hold = false;
	tell("next", 1 + (unsigned long)hs_cpt(0));
}

static _Atomic int child_is;		/* its number, or what came of it */

static void *fork_now(void *arg)
{
	pid_t pid;

	(void)arg;
	pid = fork();
	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		_exit(differing(0, nr_pages) ? 1 : 0);
	}
	child_is = pid;
	return NULL;
}

static void fork_while_missing(struct state *s)
{
	pthread_t t;
	int status;

	(void)s;
	load_dump(setting("DUMP"));
	CHECK(!pthread_create(&t, NULL, fork_now, NULL));
	while (!child_is && !hs_lazy_waiters)
		rest(1);
	hs_lazy_hold = false;
	CHECK(!pthread_join(t, NULL));
	CHECK(waitpid(child_is, &status, 0) == child_is);
	tell("child", 1 + (unsigned long)status);
}

/* A child of another kind than fork(3) has no memory there, rather than zeros. */
static void clone_while_missing(struct state *s)
{
	int status;
	pid_t pid;

	pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		_exit(s->large[HS_PAGE]);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	tell("signal", WIFSIGNALED(status) ? (unsigned long)WTERMSIG(status) : 0);
	hs_lazy_hold = false;
}

/* Mappings end within what a section of the file has. */
static void change_mappings(struct state *s)
{
	unsigned char *a = (void *)(((uintptr_t)s->large + 2 * HS_PAGE) & ~(HS_PAGE - 1));
	unsigned char *b = a + 40 * HS_PAGE;
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
	unsigned long n = 0;

	CHECK(!mprotect(a, 3 * HS_PAGE, PROT_READ));
	CHECK(!mprotect(a + 5 * HS_PAGE, HS_PAGE, PROT_NONE));
	CHECK(!mprotect(a + 300 * HS_PAGE, 100 * HS_PAGE, PROT_READ));
	CHECK(!munmap(b, 3 * HS_PAGE));
	CHECK(mmap(b, HS_PAGE, PROT_READ | PROT_WRITE, flags, -1, 0) == b);
	if (mlock(a + 100 * HS_PAGE, 8 * HS_PAGE))
		printf("# mlock: %s\n", strerrorname_np(errno));
	CHECK(a[0] == 'L' && a[HS_PAGE * 299] == 'L');
	hs_lazy_hold = false;
	hs_restart_wait();
	CHECK(!mprotect(a + 5 * HS_PAGE, HS_PAGE, PROT_READ));
	n += not_zero(b, HS_PAGE);
	n += a[5 * HS_PAGE] != 'L' || a[301 * HS_PAGE] != 'L' || b[3 * HS_PAGE] != 'L' || b[-1] != 'L';
	tell("mapped", 1 + n);
}

static void wait_for_file(const char *name)
{
	while (access(name, F_OK))
		rest(1);
}

/* The test does something to the files meanwhile. */
static void touch(struct state *s)
{
	unsigned long n;

	tell("ready", 1);
	wait_for_file("go");
	if (*setting("BACKGROUND")) {
		hs_lazy_hold = false;
		hs_restart_wait();
	}
	n = s->large[LARGE / 2];
	hs_lazy_hold = false;
	hs_restart_wait();
	tell("touched", n + not_zero(s->large, LARGE));
}

static void crash(struct state *s)
{
	(void)s;
	signal(SIGABRT, SIG_DFL);
	abort();
}

static void count_descriptors(struct state *s)
{
	unsigned long n = 0;
	DIR *d = opendir("/proc/self/fd");

	(void)s;
	while (d && readdir(d))
		n++;
	closedir(d);
	tell("descriptors", n);
	hs_lazy_hold = false;
}

/* How often it had to wait for what it accesses first. */
static void touch_first(struct state *s)
{
	const unsigned char *large = s->large;
	const uint64_t before = hs_fill_stats()->faults;

	tell("ahead", hs_fill_stats()->ahead);
	tell("large", not_zero(large, LARGE));
	tell("late", hs_fill_stats()->faults - before);
	hs_lazy_hold = false;
	hs_restart_wait();
}

/* The window of a cut in which the program touched [@from, @from + @len), and that took a minute. */
static void set_touched(const void *from, size_t len)
{
	struct hs_interval all = {
		(uintptr_t)from & ~(HS_PAGE - 1), ((uintptr_t)from + len + HS_PAGE - 1) & ~(HS_PAGE - 1),
	};
	const struct hs_intervals list = { 1, &all }, none = { 0 };
	struct hs_touched t = { 0 };
	unsigned char *text;
	size_t n;

	CHECK(!hs_touched_begin(&t, &none, 1) && !hs_touched_look(&t, &list, 60000000));
	CHECK(!hs_touched_text(&t, &text, &n));
	CHECK(!hs_sections_put(HS_TOUCHED_NAME, text, n));
	free(text);
	hs_touched_free(&t);
}

static void invent_touched(const struct state *s)
{
	static char all_bits[200];

	memset(all_bits, 0xff, sizeof(all_bits));
	if (!strcmp(setting("TOUCH"), "right"))
		set_touched(s->large, LARGE);
	if (!strcmp(setting("TOUCH"), "wrong"))
		set_touched(s->object[1] ?: s->object[3], LARGE);
	if (!strcmp(setting("TOUCH"), "all"))
		set_touched((void *)HS_BASE, HS_END - HS_BASE);
	if (!strcmp(setting("TOUCH"), "garbage"))
		CHECK(!hs_sections_put(HS_TOUCHED_NAME, all_bits, sizeof(all_bits)));
}

static const struct mode {
	const char *name;
	void (*run)(struct state *s);
} modes[] = {
	{ "give", give_back }, { "next", next_checkpoint }, { "fork", fork_while_missing },
	{ "clone", clone_while_missing }, { "mappings", change_mappings }, { "touch", touch },
	{ "crash", crash }, { "descriptors", count_descriptors },
	{ "first", touch_first },
};

static void worker(void *arg)
{
	struct state *s = arg;
	size_t i;

	tell("lazy", hs_restart_missing() > 0);
	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(modes[i].name, setting("MODE")))
			modes[i].run(s);
	if (!strcmp(setting("MODE"), "dump"))
		dump(setting("DUMP"));
	if (!strcmp(setting("MODE"), "compare"))
		compare();
	exit(0);
}

static void change(struct state *s)
{
	unsigned int i = (unsigned int)random() % OBJECTS;
	int cls = CLASS + (int)i % 2;

	if (s->object[i] && random() % 3) {
		memset(s->object[i], (int)random(), s->size[i]);
		return;
	}
	hs_free(cls, s->object[i]);
	s->size[i] = (size_t)(random() % 8 ? random() % 9000 : random() % 1000000);
	s->object[i] = hs_malloc(cls, s->size[i] + 1);
	CHECK(s->object[i]);
	memset(s->object[i], (int)i, s->size[i]);
}

static void make_chain(struct state *s)
{
	char *elsewhere = mmap(CHOSEN, ELSEWHERE_LEN, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	unsigned int step, i;

	CHECK(elsewhere == CHOSEN);
	memset(elsewhere, 'e', ELSEWHERE_LEN);
	CHECK(!hs_range(elsewhere, ELSEWHERE_LEN));
	srandom((unsigned int)number("SEED"));
	s->large = hs_malloc(CLASS, LARGE);
	s->second = hs_malloc(CLASS, LARGE);
	CHECK(s->large && s->second);
	memset(s->large, 'x', LARGE);
	memset(s->second, 's', LARGE);
	for (step = 0; step < STEPS; step++) {
		for (i = 0; i < 20; i++)
			change(s);
		if (step == 1)
			memset(s->large, 'L', LARGE);
		if (step == 3)
			hs_free(CLASS, s->second);
		elsewhere[HS_PAGE * (step % 3)] = (char)step;
		if (step == STEPS - 1)
			invent_touched(s);
		CHECK(!hs_cpt(HSCPT_INCR));
	}
}

/* userfaultfd(2) fails with ERRNO. */
static void forbid(void)
{
	const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)number("ERRNO")),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { sizeof(code) / sizeof(code[0]), (void *)(uintptr_t)code };

	hs_lazy_device = "/nonexistent";
	CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

static int program(int argc, char **argv)
{
	struct state *s;

	open_out();
	dup2(OUT_FD, STDERR_FILENO);
	hs_lazy_hold = !*setting("NO_HOLD");
	if (*setting("ERRNO"))
		forbid();
	if (hs_init(argc, argv) < 0) {
		tell("init", (unsigned long)errno);
		return 3;
	}
	CHECK(!hs_malloc_create(CLASS, 1 << 16) && !hs_malloc_create(CLASS + 1, 4096));
	s = hs_calloc(CLASS, 1, sizeof(*s));
	CHECK(s && !hs_threadreg(worker, s));
	make_chain(s);
	return 0;
}

/*
 * The tests
 */

static bool possible;			/* userfaultfd(2) is permitted */

static bool was_said(const char *out, const char *words)
{
	char line[512];
	FILE *f = fopen(out, "r");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, words);
	if (f)
		fclose(f);
	return found;
}

static void show(const char *out)
{
	char line[512];
	FILE *f = fopen(out, "r");

	while (f && fgets(line, sizeof(line), f))
		printf("# %s", line);
	if (f)
		fclose(f);
}

#define assert_ends(status, out, ...) do {					\
		int is = end_of(start(out, __VA_ARGS__));			\
		if (is != (status)) {						\
			show(out);						\
			fail_msg("%s: %d instead of %d", out, is, status);	\
		}								\
	} while (0)

/*
 * The chain is made once, with what the eager way finds in it; each test has a copy. It is made here:
 * the directory of a checkpoint comes back.
 */
static void get_chain(void)
{
	static bool made;

	if (!made) {
		assert_ends(0, "first", "-m", "-f", "image", "-b", "portable", "SEED=1");
		assert_ends(0, "eager", "-m", "-r", "image", "MODE=dump", "DUMP=dump");
		assert_int_equal(last("eager", "lazy"), 0);
		assert_int_equal(system("mv image* dump ../chain"), 0);
		made = true;
	}
	assert_int_equal(system("cp ../chain/image* ../chain/dump ."), 0);
}

static void expect_told(const char *out, const char *what, unsigned long n)
{
	if (last(out, what) != n) {
		show(out);
		fail_msg("%s: '%s' is %lu instead of %lu", out, what, last(out, what), n);
	}
}

#define NEEDS_USERFAULTFD() do {						\
		if (!possible)							\
			skip();							\
	} while (0)

static void each_byte_is_as_in_the_eager_way(void **state)
{
	unsigned int seed;
	char text[24];

	(void)state;
	NEEDS_USERFAULTFD();
	for (seed = 1; seed <= 3; seed++) {
		get_chain();
		snprintf(text, sizeof(text), "SEED=%u", seed);
		assert_ends(0, "out", "-m", "-l", "-r", "image", "MODE=compare", "DUMP=dump", text);
		expect_told("out", "lazy", 1);
		assert_in_range(last("out", "missing"), LARGE / HS_PAGE, last("out", "pages"));
		expect_told("out", "differ", 0);
		assert_true(was_said("out", "of them on"));
		clean(NULL);
	}
}

static void the_environment_asks_for_it_too(void **state)
{
	(void)state;
	NEEDS_USERFAULTFD();
	get_chain();
	assert_ends(0, "out", "-m", "-r", "image", "HOTSPARE_LAZY=yes", "NO_HOLD=1", "MODE=compare", "DUMP=dump");
	assert_true(was_said("out", "read meanwhile"));
	expect_told("out", "differ", 0);
	assert_ends(3, "bad", "-m", "-r", "image", "HOTSPARE_LAZY=maybe");
	expect_told("bad", "init", EINVAL);
	assert_ends(3, "none", "-m", "-l");
	expect_told("none", "init", EINVAL);
}

#define PER_SECTION	(256UL << 10)

/* Returns how often the program waited; each byte is right in any case. */
static unsigned long late_with(const char *touch)
{
	assert_ends(0, "first", "-m", "-f", "image", "-b", "portable", "SEED=1", touch);
	assert_ends(0, "eager", "-m", "-r", "image", "MODE=dump", "DUMP=dump");
	assert_ends(0, "out", "-m", "-l", "-r", "image", "MODE=first");
	expect_told("out", "large", LARGE);
	assert_ends(0, "same", "-m", "-l", "-r", "image", "MODE=compare", "DUMP=dump", "SEED=1");
	expect_told("same", "differ", 0);
	return last("out", "late");
}

static void what_is_touched_first_is_there_first(void **state)
{
	(void)state;
	NEEDS_USERFAULTFD();
	assert_int_equal(late_with("TOUCH=right"), 0);
	assert_in_range(last("out", "ahead"), LARGE / HS_PAGE, LARGE / HS_PAGE + PER_SECTION / HS_PAGE);
	clean(NULL);
	assert_int_equal(late_with("TOUCH=all"), 0);
	assert_true(last("out", "ahead") > LARGE / HS_PAGE);
}

/* As if there were none: each section is waited for, and nothing else is different. */
static void a_wrong_touch_set_is_harmless(void **state)
{
	static const char *const sets[] = { "TOUCH=", "TOUCH=wrong", "TOUCH=garbage" };
	size_t i;

	(void)state;
	NEEDS_USERFAULTFD();
	for (i = 0; i < 3; i++) {
		assert_in_range(late_with(sets[i]), LARGE / PER_SECTION, LARGE / PER_SECTION + 2);
		assert_int_equal(was_said("out", "another order"), i == 2);
		assert_int_equal(last("out", "ahead") > 0, i == 1);
		clean(NULL);
	}
}

static void an_earlier_generation(void **state)
{
	(void)state;
	NEEDS_USERFAULTFD();
	get_chain();
	assert_int_equal(unlink("dump"), 0);
	assert_ends(0, "eager", "-m", "-r", "image", "-g", "3", "MODE=dump", "DUMP=dump");
	assert_ends(0, "out", "-m", "-l", "-r", "image", "-g", "3", "MODE=compare", "DUMP=dump");
	expect_told("out", "lazy", 1);
	expect_told("out", "differ", 0);
}

static void what_is_given_back_is_zero(void **state)
{
	(void)state;
	NEEDS_USERFAULTFD();
	get_chain();
	assert_ends(0, "out", "-m", "-l", "-r", "image", "MODE=give");
	expect_told("out", "before", 1);
	expect_told("out", "after", 1);
}

static void the_next_checkpoint_has_everything(void **state)
{
	(void)state;
	NEEDS_USERFAULTFD();
	get_chain();
	assert_ends(0, "out", "-m", "-l", "-r", "image", "-f", "other", "-b", "portable", "MODE=next");
	expect_told("out", "next", 1);
	assert_ends(0, "again", "-m", "-r", "other", "MODE=compare", "DUMP=dump", "SEED=1");
	expect_told("again", "differ", 0);
}

static void a_forked_child_has_everything(void **state)
{
	(void)state;
	NEEDS_USERFAULTFD();
	get_chain();
	assert_ends(0, "out", "-m", "-l", "-r", "image", "MODE=fork", "DUMP=dump");
	expect_told("out", "child", 1);
	assert_ends(0, "clone", "-m", "-l", "-r", "image", "MODE=clone");
	expect_told("clone", "signal", SIGSEGV);
}

static void mappings_may_change(void **state)
{
	(void)state;
	NEEDS_USERFAULTFD();
	get_chain();
	assert_ends(0, "out", "-m", "-l", "-r", "image", "MODE=mappings");
	expect_told("out", "mapped", 1);
}

static void flip(const char *path, off_t at)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	char c;

	assert_int_equal(pread(fd, &c, 1, at), 1);
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
	close(fd);
}

/* Somewhere in the file's largest run of the byte: a page's content. */
static off_t find_content(const char *path, char byte)
{
	static char buf[1 << 20];
	off_t at, found = -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n, i, run;

	for (at = 0; found < 0 && (n = pread(fd, buf, sizeof(buf), at)) > 0; at += n)
		for (i = run = 0; found < 0 && i < n; i++) {
			run = buf[i] == byte ? run + 1 : 0;
			if (run == 3 * (ssize_t)HS_PAGE)
				found = at + i;
		}
	close(fd);
	assert_true(found >= 0);
	return found;
}

static const struct lost {
	const char *what, *background, *said;
	bool at_start;
} lost[] = {
	{ "cut", "", "is cut off", false },
	{ "cut", "BACKGROUND=1", "is cut off", false },
	{ "flip", "", "is damaged", false },
	{ "flip", "BACKGROUND=1", "is damaged", false },
	{ "flip", "", "is damaged", true },
};

static void do_to(const char *what)
{
	if (!strcmp(what, "cut"))
		assert_int_equal(truncate("image.2", 5000), 0);
	else
		flip("image.2", find_content("image.2", 'L'));
}

static void what_cannot_be_read_ends_the_program(void **state)
{
	const struct lost *l;
	pid_t pid;

	(void)state;
	NEEDS_USERFAULTFD();
	for (l = lost; l < lost + sizeof(lost) / sizeof(lost[0]); l++) {
		get_chain();
		if (l->at_start)
			do_to(l->what);
		pid = start("out", "-m", "-l", "-r", "image", "MODE=touch", *l->background ? l->background :
			    "BACKGROUND=");
		wait_for("out", "ready", 1);
		if (!l->at_start)
			do_to(l->what);
		assert_int_equal(mkdir("go", 0700), 0);
		if (end_of(pid) != HS_FILL_STATUS || !was_said("out", l->said)) {
			show("out");
			fail_msg("%s %s: it goes on, or doesn't say why not", l->what, l->background);
		}
		expect_told("out", "touched", 0);
		clean(NULL);
	}
}

/* They are open: what happens to their names doesn't matter. */
static void files_may_be_replaced(void **state)
{
	pid_t pid;

	(void)state;
	NEEDS_USERFAULTFD();
	get_chain();
	pid = start("out", "-m", "-l", "-r", "image", "MODE=touch");
	wait_for("out", "ready", 1);
	assert_int_equal(system("rm image.? && echo something else >new && mv new image"), 0);
	assert_int_equal(mkdir("go", 0700), 0);
	assert_int_equal(end_of(pid), 0);
	expect_told("out", "touched", LARGE + 'L');
}

static void a_file_that_is_cut_off_before_is_refused(void **state)
{
	struct stat st;

	(void)state;
	NEEDS_USERFAULTFD();
	get_chain();
	assert_int_equal(stat("image.4", &st), 0);
	assert_int_equal(truncate("image.4", st.st_size - 1), 0);
	assert_ends(3, "out", "-m", "-l", "-r", "image");
	assert_true(was_said("out", "-g 3"));
}

static void without_permission_it_is_the_eager_way(void **state)
{
	static const char *const errnos[] = { "ERRNO=1", "ERRNO=38" };
	size_t i;

	(void)state;
	get_chain();
	for (i = 0; i < 2; i++) {
		assert_ends(0, "out", "-m", "-l", "-r", "image", "MODE=compare", "DUMP=dump", errnos[i]);
		expect_told("out", "lazy", 0);
		expect_told("out", "differ", 0);
		assert_true(was_said("out", "all of the memory is read before the program continues"));
		unlink("out");
	}
}

static void a_crash_is_a_crash(void **state)
{
	(void)state;
	NEEDS_USERFAULTFD();
	get_chain();
	assert_ends(-SIGABRT, "out", "-m", "-l", "-r", "image", "MODE=crash");
}

static void the_program_has_none_of_its_descriptors(void **state)
{
	(void)state;
	NEEDS_USERFAULTFD();
	get_chain();
	assert_ends(0, "lazily", "-m", "-l", "-r", "image", "MODE=descriptors");
	assert_ends(0, "eagerly", "-m", "-r", "image", "MODE=descriptors");
	assert_int_equal(last("lazily", "lazy"), 1);
	assert_int_equal(last("lazily", "descriptors"), last("eagerly", "descriptors"));
}

/*
 * The index, against a map of pages
 */

#define MAP_PAGES	64
#define FILES		5

static void make_up(struct hs_index *ix, unsigned int *map, int fd, bool whole)
{
	struct hs_record *r = calloc(8, sizeof(*r));
	size_t nr = (size_t)random() % 9, i, p;

	if (whole)
		memset(map, 0, MAP_PAGES * sizeof(*map));
	for (i = 0; i < nr; i++) {
		size_t first = (size_t)random() % MAP_PAGES, len = 1 + (size_t)random() % (MAP_PAGES / 4);
		bool hole = !whole && !(random() % 3);

		len = len > MAP_PAGES - first ? MAP_PAGES - first : len;
		r[i] = (struct hs_record) {
			.addr = HS_BASE + first * HS_PAGE, .len = len * HS_PAGE, .at = hole ? 0 : 1,
		};
		for (p = first; p < first + len; p++)
			map[p] = hole ? 0 : (unsigned int)((whole ? 0 : ix->nr_records) + i + 1);
	}
	assert_int_equal(hs_index_add(ix, fd, "made up", whole, r, nr), 0);
}

static void an_index_has_the_newest_of_each_page(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	unsigned int map[MAP_PAGES], round, p, i;
	const struct hs_extent *x;
	struct hs_error e = { "" };
	struct hs_index *ix;

	(void)state;
	srandom(7);
	for (round = 0; round < 3000; round++) {
		ix = hs_index_create();
		assert_non_null(ix);
		for (i = 0; i < 1 + round % FILES; i++)
			make_up(ix, map, fd, !i || !(random() % 8));
		assert_int_equal(hs_index_build(ix, &e), 0);
		for (p = 0; p < MAP_PAGES; p++) {
			x = hs_index_at(ix, HS_BASE + p * HS_PAGE);
			assert_int_equal(x ? x->record + 1 : 0, map[p]);
		}
		for (i = 1; i < ix->nr_extents; i++)
			assert_true(ix->extents[i - 1].end <= ix->extents[i].start);
		hs_index_free(ix);
	}
	close(fd);
}

#ifdef HS_MUTANTS
unsigned int hs_lazy_mutant;

/* In the order in which index.h has them. */
static void take_away(const char *name)
{
	static const char *const all[] = { "zeros", "old", "no_remove", "no_sum", "no_wait", "go_on",
		"no_order" };
	unsigned int i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!strcmp(name, all[i]))
			hs_lazy_mutant |= 1U << i;
}
#else
static void take_away(const char *name)
{
	(void)name;
}
#endif

static bool can_be_lazy(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0)
		fd = open(hs_lazy_device, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		printf("# userfaultfd: %s\n", strerrorname_np(errno));
	return fd >= 0 && !close(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_index_has_the_newest_of_each_page),
		cmocka_unit_test_teardown(each_byte_is_as_in_the_eager_way, clean),
		cmocka_unit_test_teardown(the_environment_asks_for_it_too, clean),
		cmocka_unit_test_teardown(what_is_touched_first_is_there_first, clean),
		cmocka_unit_test_teardown(a_wrong_touch_set_is_harmless, clean),
		cmocka_unit_test_teardown(an_earlier_generation, clean),
		cmocka_unit_test_teardown(what_is_given_back_is_zero, clean),
		cmocka_unit_test_teardown(the_next_checkpoint_has_everything, clean),
		cmocka_unit_test_teardown(a_forked_child_has_everything, clean),
		cmocka_unit_test_teardown(mappings_may_change, clean),
		cmocka_unit_test_teardown(what_cannot_be_read_ends_the_program, clean),
		cmocka_unit_test_teardown(files_may_be_replaced, clean),
		cmocka_unit_test_teardown(a_file_that_is_cut_off_before_is_refused, clean),
		cmocka_unit_test_teardown(without_permission_it_is_the_eager_way, clean),
		cmocka_unit_test_teardown(a_crash_is_a_crash, clean),
		cmocka_unit_test_teardown(the_program_has_none_of_its_descriptors, clean),
	};
	char dir[] = "/tmp/hotspare-lazy-test.XXXXXX";
	int ret;

	take_away(getenv("MUTANT") ?: "");
	if (is_program())
		return program(argc, argv);
	self = realpath("/proc/self/exe", NULL);
	snprintf(port, sizeof(port), "%d", own_port());
	if (!fixed_addresses())
		return 4;
	possible = can_be_lazy();
	if (!mkdtemp(dir) || chdir(dir) || mkdir("chain", 0700) || mkdir("work", 0700) || chdir("work"))
		return 1;
	if (getenv("ONLY"))
		cmocka_set_test_filter(getenv("ONLY"));
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (chdir(dir) || system("rm -rf chain work") || rmdir(dir))
		printf("# %s: %s\n", dir, strerrorname_np(errno));
	return ret;
}
