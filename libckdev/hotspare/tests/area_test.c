// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The state area: what is beside memory comes back from it as it was, whatever its size; a page
 * that holds what it held isn't written to; nonsense is refused.
 *
 * Each test runs in children: only a process without an arena can restore one.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "../area.h"
#include "../hotspare.h"
#include "../mirror.h"
#include "child.h"

#define LARGE	(300UL << 10)	/* of a section: more than a blob of the module's may have */
#define LARGES	20

static const struct hs_image_head head = { .generation = 7, .time_ns = 11, .app = "area_test" };

static void run(void (*fn)(void))
{
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		alarm(60);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* The program that the checkpoint is of */

static void worker(void *arg)
{
	(void)arg;
}

static void hook(void *arg)
{
	(void)arg;
}

static unsigned char large[LARGE];

static void fill_large(unsigned int which)
{
	size_t i;

	for (i = 0; i < LARGE; i++)
		large[i] = (unsigned char)(i * 7 + i / 256 + which);
}

static void set_large(unsigned int which)
{
	char name[16];

	snprintf(name, sizeof(name), "large%u", which);
	CHECK(!hs_section_set(name, large, LARGE));
}

static void be_a_program(void)
{
	static const struct hs_hook hooks = { .before = hook, .restarted = hook };
	unsigned int i;
	int p[2];

	CHECK(!hs_malloc_create(1, 4096) && hs_malloc(1, 100));
	CHECK(!hs_threadreg(worker, (void *)4711));
	CHECK(!hs_hook(&hooks, (void *)4712));
	CHECK(signal(SIGUSR1, SIG_IGN) != SIG_ERR && !hs_sigreg(SIGUSR1));
	CHECK(!pipe(p) && write(p[1], "in the pipe", 11) == 11);
	CHECK(!hs_fdreg(p[0]) && !hs_fdreg(p[1]));
	CHECK(!hs_section_set("small", "one", 3));
	for (i = 0; i < LARGES; i++) {
		fill_large(i);
		set_large(i);
	}
}

static void capture(struct hs_texts *t)
{
	struct hs_error e = { "" };

	if (hs_texts_capture(t, &e) || hs_texts_make(t, &e)) {
		fprintf(stderr, "# %s\n", e.text);
		_exit(1);
	}
}

static void write_area(const struct hs_texts *t)
{
	struct hs_error e = { "" };
	int ret;

	hs_arena_lock();
	ret = hs_area_write(t, &head, &e);
	hs_arena_unlock();
	if (ret) {
		fprintf(stderr, "# %s\n", e.text);
		_exit(1);
	}
}

/* As pread(2) of a replica, of this process. */
static int read_own(void *arg, void *buf, size_t len, uint64_t addr)
{
	(void)arg;
	memcpy(buf, (void *)(uintptr_t)addr, len);
	return 0;
}

static void same_text(json_object *a, json_object *b)
{
	CHECK(!strcmp(json_object_to_json_string(a), json_object_to_json_string(b)));
	json_object_put(a);
	json_object_put(b);
}

/* Read back, it is what @t was made of. */
static void check_area(const struct hs_texts *t)
{
	const struct hs_state *was = &t->state;
	struct hs_image_head got;
	struct hs_error e = { "" };
	struct hs_state now;
	uint32_t i;

	if (hs_area_read(read_own, NULL, &now, &got, &e)) {
		fprintf(stderr, "# %s\n", e.text);
		_exit(1);
	}
	CHECK(got.generation == head.generation && got.time_ns == head.time_ns &&
	      !strcmp(got.app, head.app));
	same_text(hs_process_json(&now.process), hs_process_json(&was->process));
	same_text(hs_signals_json(&now.signals), hs_signals_json(&was->signals));
	same_text(hs_fds_json(&now.fds), hs_fds_json(&was->fds));
	same_text(hs_threads_json(&now.threads), hs_threads_json(&was->threads));
	same_text(hs_ranges_json(&now.ranges), hs_ranges_json(&was->ranges));
	same_text(hs_hooks_json(&now.hooks), hs_hooks_json(&was->hooks));
	CHECK(now.threads.nr == 1 && now.hooks.nr == 1);
	CHECK(now.own.nr == was->own.nr);
	for (i = 0; i < now.own.nr; i++)
		CHECK(!strcmp(now.own.v[i]->name, was->own.v[i]->name) &&
		      now.own.v[i]->len == was->own.v[i]->len &&
		      !memcmp(now.own.v[i]->data, was->own.v[i]->data, was->own.v[i]->len));
	hs_state_free(&now);
}

static void written_and_read(void)
{
	struct hs_texts t;

	be_a_program();
	capture(&t);
	CHECK(t.state.own.nr == LARGES + 1);
	write_area(&t);
	check_area(&t);
	hs_texts_free(&t);
	/* Shorter than before, and fewer: nothing of the old ones is left. */
	CHECK(!hs_section_set("large3", NULL, 0) && !hs_section_set("large4", "x", 1));
	capture(&t);
	CHECK(t.state.own.nr == LARGES);
	write_area(&t);
	check_area(&t);
}

static void all_of_it_comes_back(void **state)
{
	(void)state;
	run(written_and_read);
}

/*
 * Pages that are written to: they can't be, but for the handler
 */

static volatile sig_atomic_t faults;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	uintptr_t page = (uintptr_t)info->si_addr & ~(HS_PAGE - 1);

	(void)sig;
	(void)context;
	if (page < HS_AREA || page >= HS_AREA + HS_AREA_LEN)
		_exit(2);
	faults++;
	if (mprotect((void *)page, HS_PAGE, PROT_READ | PROT_WRITE))
		_exit(3);
}

static int protect(void *arg, void *addr, size_t len)
{
	(void)arg;
	CHECK(!mprotect(addr, len, PROT_READ));
	return 0;
}

static int pages_written(const struct hs_texts *t)
{
	const struct sigaction a = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

	CHECK(!sigaction(SIGSEGV, &a, NULL));
	hs_arena_lock();
	hs_area_pieces(hs_arena_area(), protect, NULL);
	hs_arena_unlock();
	faults = 0;
	write_area(t);
	return faults;
}

static void written_again(void)
{
	struct hs_texts t;

	be_a_program();
	capture(&t);
	write_area(&t);
	CHECK(pages_written(&t) == 0);
	check_area(&t);
	hs_texts_free(&t);

	/* One byte of one section, and what the clocks say now. */
	fill_large(5);
	large[LARGE / 2] ^= 1;
	set_large(5);
	capture(&t);
	CHECK(pages_written(&t) == 2);
	check_area(&t);
	hs_texts_free(&t);

	/* The control: all pages of a section, and the clocks. */
	fill_large(99);
	set_large(5);
	capture(&t);
	CHECK(pages_written(&t) == (int)((LARGE + HS_PAGE - 1) / HS_PAGE) + 1);
	check_area(&t);
}

static void unchanged_pages_are_not_written(void **state)
{
	(void)state;
	run(written_again);
}

/*
 * With the arena, into another process
 */

static int image;

static void save(void)
{
	struct hs_writer w;
	struct hs_texts t;

	be_a_program();
	capture(&t);
	write_area(&t);
	hs_arena_lock();
	CHECK(!hs_writer_create(&w) && !hs_checkpoint_write(&w, image, &head, &t, NULL, NULL));
	hs_arena_unlock();
}

static void restore(void)
{
	struct hs_error e = { "" };
	struct hs_image_head got;
	struct hs_state now;
	struct hs_mirror m;
	struct hs_texts t;

	hs_mirror_init(&m);
	CHECK(!lseek(image, 0, SEEK_SET));
	if (hs_mirror_read(&m, image, &e) < 0 || hs_mirror_restore(&m, &e)) {
		fprintf(stderr, "# %s\n", e.text);
		_exit(1);
	}
	CHECK(!hs_area_read(read_own, NULL, &now, &got, &e));
	CHECK(now.own.nr == LARGES + 1 && now.threads.nr == 1);
	/* What goes on writes to the same area. */
	hs_sections_adopt(&now.own);
	hs_threads_adopt(&now.threads);
	hs_hooks_adopt(&now.hooks);
	capture(&t);
	write_area(&t);
	check_area(&t);
}

static void it_is_restored_with_the_arena(void **state)
{
	(void)state;
	image = memfd_create("image", 0);
	run(save);
	run(restore);
	close(image);
}

/* Nonsense */

struct wrong {
	size_t at, len;			/* of the area's first page */
	uint64_t value;
	int err;
};

#define WRONG(field, v, err)	{ offsetof(struct hs_area, field), \
				  sizeof(((struct hs_area *)0)->field), v, err }
#define SLOT(type, field)	slot[HS_SECTION_##type].field

static const struct wrong wrongs[] = {
	WRONG(magic, 1, EBADMSG),
	WRONG(version, 2, EPROTONOSUPPORT),
	WRONG(reserved, 1, EBADMSG),
	WRONG(slot[0].len, 1, EBADMSG),
	WRONG(SLOT(THREADS, len), 0, EBADMSG),
	WRONG(SLOT(THREADS, len), 1, EBADMSG),
	WRONG(SLOT(THREADS, len), UINT64_MAX, EBADMSG),
	WRONG(SLOT(THREADS, mapped), 1, EBADMSG),
	WRONG(SLOT(THREADS, mapped), 2 * HS_AREA_SLOT, EBADMSG),
	WRONG(SLOT(USER, len), 1000, EBADMSG),
	WRONG(SLOT(USER, len), UINT64_MAX / HS_AREA_USER + 2, EBADMSG),
};

static const struct wrong *wrong;

static int read_wrong(void *arg, void *buf, size_t len, uint64_t addr)
{
	read_own(arg, buf, len, addr);
	if (wrong && addr == HS_AREA)
		memcpy((char *)buf + wrong->at, &wrong->value, wrong->len);
	return 0;
}

static int read_root_only(void *arg, void *buf, size_t len, uint64_t addr)
{
	read_own(arg, buf, len, addr);
	if (!arg && addr != HS_BASE) {
		errno = EIO;
		return -1;
	}
	if (arg)
		memset(buf, 0, len);
	return 0;
}

static void read_nonsense(void)
{
	struct hs_image_head got;
	struct hs_error e = { "" };
	struct hs_state now;
	struct hs_texts t;
	size_t i;

	be_a_program();
	capture(&t);
	write_area(&t);
	CHECK(!hs_area_read(read_wrong, NULL, &now, &got, &e));
	hs_state_free(&now);
	for (i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		wrong = &wrongs[i];
		errno = 0;
		if (hs_area_read(read_wrong, NULL, &now, &got, &e) == -1 && errno == wrong->err &&
		    e.text[0])
			continue;
		fprintf(stderr, "# wrong value %zu: %s\n", i, strerrorname_np(errno));
		_exit(1);
	}
	CHECK(hs_area_read(read_root_only, NULL, &now, &got, &e) == -1 && errno == EIO);
	CHECK(hs_area_read(read_root_only, &now, &now, &got, &e) == -1 && errno == ENODATA);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	run(read_nonsense);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it_comes_back),
		cmocka_unit_test(unchanged_pages_are_not_written),
		cmocka_unit_test(it_is_restored_with_the_arena),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
