// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptdevctl inspect: what it shows of checkpoints that are whole, damaged, cut off, or
 * made up. They are written by the library's own writer.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "hotspare/touched.h"
#include "inspect.h"

static char *text;
static size_t text_len;
static FILE *to;
static struct ctl ctl;

static int setup(void **state)
{
	(void)state;
	to = open_memstream(&text, &text_len);
	ctl = (struct ctl) { .out = to, .err = to, .page_size = 4096 };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fclose(to);
	free(text);
	return 0;
}

static const char *printed(void)
{
	fflush(to);
	return text;
}

static void printed_exactly(const char *want)
{
	if (strcmp(printed(), want))
		fail_msg("have:\n%s\nwant:\n%s", text, want);
}

/* Begin anew with what is printed. */
static void clear(void)
{
	teardown(NULL);
	setup(NULL);
}

/*
 * Files
 */

struct part {
	enum hs_section_type type;
	const char *name;
	const void *data;
	size_t len;
};

#define TEXT(type, data) { type, "", data, sizeof(data) - 1 }

static const struct hs_image_head whole = {
	.generation = 7, .run = { 0xab, [15] = 1 }, .app = "counter",
	.time_ns = 1767323045678000000ULL,
};

static const struct {
	struct hs_piece p;
	char bytes[32];
} memory = { { 0x200000000000, 32 }, "thirty-two bytes are the content" };

/* One that has something of each. */
static const struct part parts[] = {
	TEXT(HS_SECTION_BUILD, "[{\"name\":\"\",\"build_id\":\"00ff\",\"address\":4096}]"),
	TEXT(HS_SECTION_PROCESS, "{\"umask\":18,\"directory\":\"/tmp\",\"nice\":-5,"
	     "\"limits\":[[1,18446744073709551615]],\"uid\":[0,1,2]}"),
	TEXT(HS_SECTION_SIGNALS, "{\"actions\":[{\"signal\":10,\"handler\":65535,\"flags\":4,"
	     "\"mask\":[]}],\"blocked\":[15]}"),
	TEXT(HS_SECTION_DESCRIPTORS, "[{\"fd\":3,\"kind\":\"file\",\"what\":0,\"flags\":2,"
	     "\"path\":\"/tmp/x\"}]"),
	TEXT(HS_SECTION_THREADS, "[{\"worker\":4711,\"arg\":0,\"name\":\"one\","
	     "\"stack_size\":0,\"policy\":0,\"priority\":0}]"),
	TEXT(HS_SECTION_RANGES, "{\"saved\":[{\"start\":256,\"end\":512}],\"excluded\":[],"
	     "\"slots\":[]}"),
	TEXT(HS_SECTION_HOOKS, "[]"),
	{ HS_SECTION_USER, "app/state", "xyz", 3 },
	{ HS_SECTION_MEMORY, "", &memory, sizeof(memory) },
};

#define NR	ARRAY_SIZE(parts)
#define FILE_NAME	"image"

static void write_file(const char *path, const struct hs_image_head *head,
		       const struct part *v, size_t nr)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	struct hs_writer w;
	size_t i;

	assert_true(fd >= 0);
	assert_int_equal(hs_writer_create(&w), 0);
	hs_image_begin(&w, fd, head);
	for (i = 0; i < nr; i++)
		hs_section(&w, v[i].type, v[i].name, v[i].data, v[i].len);
	assert_int_equal(hs_image_finish(&w), 0);
	hs_writer_free(&w);
	close(fd);
}

static int inspect(const char *path)
{
	char *argv[] = { (char *)path };

	return verb_inspect(&ctl, 1, argv);
}

/* As JSON; its status is checked. */
static struct json_object *inspect_as_json(const char *path, int status)
{
	struct json_object *o;

	ctl.json = true;
	assert_int_equal(inspect(path), status);
	o = json_tokener_parse(printed());
	if (!o)
		fail_msg("no JSON:\n%s", text);
	clear();
	return o;
}

static struct json_object *at(struct json_object *o, const char *key, size_t index)
{
	return json_object_array_get_idx(js_at(o, key), index);
}

static struct json_object *file(struct json_object *o)
{
	return at(o, "files", 0);
}

static bool is_true(struct json_object *o, const char *key)
{
	return json_object_get_boolean(js_at(o, key));
}

static void all_of_a_checkpoint(void **state)
{
	(void)state;
	write_file(FILE_NAME, &whole, parts, NR);
	assert_int_equal(inspect(FILE_NAME), EXIT_DONE);
	printed_exactly("image: 1.4 KiB, all sums are right\n"
		"  format:      version 1, flags 0\n"
		"  application: counter\n"
		"  run:         ab000000000000000000000000000001\n"
		"  generation:  7, whole\n"
		"  taken:       2026-01-02 03:04:05 UTC\n"
		"Sections\n"
		"  NO  KIND         NAME       OFFSET  SIZE  SUM  MEMORY\n"
		"  1   build        -          128     46    ok   -\n"
		"  2   process      -          254     91    ok   -\n"
		"  3   signals      -          425     78    ok   -\n"
		"  4   descriptors  -          583     59    ok   -\n"
		"  5   threads      -          722     77    ok   -\n"
		"  6   ranges       -          879     60    ok   -\n"
		"  7   hooks        -          1019    2     ok   -\n"
		"  8   user         app/state  1101    3     ok   -\n"
		"  9   memory       -          1184    48    ok   0x200000000000 +32\n"
		"Program and libraries\n"
		"  NAME  ADDRESS  BUILD ID\n"
		"  -     0x1000   00ff\n"
		"Descriptors\n"
		"  FD  KIND  FLAGS  MORE\n"
		"  3   file  0x2    what=0 path=\"/tmp/x\"\n"
		"Threads\n"
		"  NAME  WORKER  ARG  STACK  POLICY  PRIORITY\n"
		"  one   0x1267  0    0      0       0\n"
		"Hooks: none\n"
		"Signals\n"
		"  SIGNAL   HANDLER  FLAGS  MASK\n"
		"  SIGUSR1  0xffff   0x4    []\n"
		"Blocked signals\n"
		"  SIGNAL\n"
		"  SIGTERM\n"
		"Ranges\n"
		"  START  END\n"
		"  0x100  0x200\n"
		"Excluded: none\n"
		"Addresses in them that the loader puts there: 0\n"
		"Process\n"
		"  directory: \"/tmp\"\n"
		"  nice: -5\n"
		"  uid: [0,1,2]\n"
		"  umask: 022\n"
		"  LIMIT  SOFT  HARD\n"
		"  cpu    1     unlimited\n");
}

static void all_of_it_as_json(void **state)
{
	struct json_object *o, *f;

	(void)state;
	write_file(FILE_NAME, &whole, parts, NR);
	o = inspect_as_json(FILE_NAME, EXIT_DONE);
	f = file(o);
	assert_int_equal(js_get_u64(o, "schema_version"), 1);
	assert_true(is_true(o, "ok") && is_true(f, "ok"));
	assert_null(js_at(o, "chain"));
	assert_string_equal(js_get_str(f, "path"), FILE_NAME);
	assert_string_equal(js_line(js_at(f, "head")),
		"{\"version\":1,\"application\":\"counter\","
		"\"run\":\"ab000000000000000000000000000001\",\"generation\":7,\"base\":0,"
		"\"increment\":false,\"flags\":0,\"time_unix_ns\":1767323045678000000,"
		"\"damaged\":false}");
	assert_int_equal(json_object_array_length(js_at(f, "sections")), NR);
	assert_string_equal(js_line(at(f, "sections", 8)),
		"{\"section\":9,\"kind\":\"memory\",\"name\":\"\",\"offset\":1184,\"size\":48,"
		"\"sum\":\"ok\",\"address\":35184372088832,\"bytes\":32}");
	assert_string_equal(js_line(js_at(f, "descriptors")), parts[3].data);
	assert_string_equal(js_line(js_at(f, "process")), parts[1].data);
	assert_string_equal(js_line(js_at(f, "own")), "[{\"name\":\"app/state\",\"size\":3}]");
	assert_int_equal(json_object_array_length(js_at(f, "problems")), 0);
	json_object_put(o);
}

/*
 * Damage
 */

static off_t open_file(int *fd)
{
	write_file(FILE_NAME, &whole, parts, NR);
	*fd = open(FILE_NAME, O_RDWR);
	assert_true(*fd >= 0);
	return lseek(*fd, 0, SEEK_END);
}

static void assert_no_control(const char *p)
{
	for (; *p; p++)
		assert_true(*p == '\n' || (*p >= ' ' && *p <= '~'));
}

/* Both views of something that isn't whole: they tell, and neither harms a terminal. */
static struct json_object *look_at_bad(void)
{
	assert_int_equal(inspect(FILE_NAME), EXIT_FAILED);
	assert_non_null(strstr(printed(), "NOT a good checkpoint"));
	assert_non_null(strstr(text, "\nPROBLEMS\n"));
	assert_no_control(text);
	clear();
	return inspect_as_json(FILE_NAME, EXIT_FAILED);
}

static u64 sums(struct json_object *o, const char *word)
{
	struct json_object *list = js_at(file(o), "sections");
	u64 n = 0;
	size_t i;

	for (i = 0; i < json_object_array_length(list); i++)
		n += !strcmp(js_get_str(json_object_array_get_idx(list, i), "sum"), word);
	return n;
}

/* The section that byte @at is in, and whether in its head; 0: the head of all. */
static size_t section_of(off_t at, bool *in_head)
{
	off_t end = sizeof(struct hs_image_head);
	size_t i;

	*in_head = false;
	if (at < end)
		return 0;
	for (i = 0; i < NR; i++) {
		*in_head = at < end + (off_t)sizeof(struct hs_section_head);
		end += (off_t)(sizeof(struct hs_section_head) + parts[i].len + 8);
		if (at < end)
			break;
	}
	return i + 1;
}

static void check_flipped(struct json_object *o, off_t pos)
{
	struct json_object *problem = at(file(o), "problems", 0);
	bool in_head;
	size_t section = section_of(pos, &in_head);

	assert_int_equal(json_object_array_length(js_at(file(o), "problems")), 1);
	assert_int_equal(js_get_u64(problem, "section"), section);
	assert_true(js_get_u64(problem, "offset") <= (u64)pos);
	if (section > NR || (!section && pos >= 12)) {
		assert_int_equal(sums(o, "ok"), NR);
		return;
	}
	/* What is before it is right; what is behind it, if only the content is damaged. */
	if (in_head || !section) {
		assert_int_equal(sums(o, "ok"), section ? section - 1 : 0);
		return;
	}
	assert_int_equal(sums(o, "ok"), NR - 1);
	assert_int_equal(sums(o, "damaged"), 1);
	assert_string_equal(js_get_str(at(file(o), "sections", section - 1), "sum"), "damaged");
	if (section <= 7)
		assert_null(js_at(file(o), hs_section_text(parts[section - 1].type)));
}

static void each_byte_that_is_altered_is_told(void **state)
{
	struct json_object *o;
	off_t len, i;
	int fd;
	u8 was, now;

	(void)state;
	len = open_file(&fd);
	for (i = 0; i < len; i++) {
		assert_int_equal(pread(fd, &was, 1, i), 1);
		now = was ^ (u8)(1 << i % 8);
		assert_int_equal(pwrite(fd, &now, 1, i), 1);
		o = look_at_bad();
		check_flipped(o, i);
		json_object_put(o);
		assert_int_equal(pwrite(fd, &was, 1, i), 1);
	}
	close(fd);
	assert_int_equal(inspect(FILE_NAME), EXIT_DONE);
}

static void wherever_it_is_cut_off_is_told(void **state)
{
	struct json_object *o, *problem;
	size_t section;
	bool in_head;
	off_t len;
	int fd;

	(void)state;
	len = open_file(&fd);
	while (len--) {
		assert_int_equal(ftruncate(fd, len), 0);
		o = look_at_bad();
		problem = at(file(o), "problems", 0);
		section = section_of(len, &in_head);
		assert_int_equal(json_object_array_length(js_at(file(o), "problems")), 1);
		assert_non_null(strstr(js_get_str(problem, "text"), "cut off"));
		assert_int_equal(js_get_u64(problem, "section"), section);
		assert_int_equal(sums(o, "ok"), section ? section - 1 : 0);
		assert_int_equal(sums(o, "unknown"), section && section <= NR && !in_head);
		json_object_put(o);
	}
	close(fd);
}

static void damage_in_two_places_is_told_twice(void **state)
{
	int fd;

	(void)state;
	open_file(&fd);
	assert_int_equal(pwrite(fd, "?", 1, 254 + 72 + 5), 1);
	assert_int_equal(pwrite(fd, "?", 1, 1184 + 72 + 20), 1);
	close(fd);
	assert_int_equal(inspect(FILE_NAME), EXIT_FAILED);
	assert_non_null(strstr(printed(), "  2   process      -          254     91    DAMAGED"));
	assert_non_null(strstr(text, "Process: not readable\n"));
	assert_non_null(strstr(text, "  3   file  0x2    what=0 path=\"/tmp/x\"\n"));
	assert_non_null(strstr(text, "PROBLEMS\n"
		"  section 2 at 254: section 2 (process) is damaged\n"
		"  section 9 at 1184: section 9 (memory) is damaged\n"));
}

/*
 * What is no checkpoint, or made up with all sums right
 */

static void expect(const char *path, const char *want)
{
	clear();
	assert_int_equal(inspect(path), EXIT_FAILED);
	if (!strstr(printed(), want))
		fail_msg("no '%s' in:\n%s", want, text);
	assert_no_control(text);
}

static void other_files_are_told(void **state)
{
	int fd;

	(void)state;
	expect("no-such-file", "it can't be opened: No such file or directory");
	expect(".", "the head can't be read: Is a directory");
	expect("/dev/null", "the head is cut off");
	expect("/dev/zero", "this isn't a checkpoint");
	open_file(&fd);
	assert_int_equal(pwrite(fd, "\7", 1, 8), 1);
	expect(FILE_NAME, "its format has version 7, this library supports version 1");
	assert_int_equal(pwrite(fd, "\1", 1, 8), 1);
	assert_int_equal(pwrite(fd, "x", 1, lseek(fd, 0, SEEK_END)), 1);
	expect(FILE_NAME, "there is more behind its end");
	close(fd);
}

static void usage_is_told(void **state)
{
	(void)state;
	assert_int_equal(verb_inspect(&ctl, 0, NULL), EXIT_USAGE);
	assert_non_null(strstr(printed(), "inspect needs the name of a file"));
}

static void expect_made_up(const struct part *more, size_t nr, const char *want)
{
	struct part v[NR + 2];

	memcpy(v, parts, sizeof(parts));
	memcpy(v + NR, more, nr * sizeof(*more));
	write_file(FILE_NAME, &whole, v, NR + nr);
	expect(FILE_NAME, want);
}

static void what_makes_no_sense_is_told(void **state)
{
	static const struct hs_piece long_piece = { 4096, 4096 }, wraps = { ~0ULL - 15, 16 };
	const struct part twice = parts[3];
	const struct part own[] = { { HS_SECTION_USER, "app/state", "a", 1 } };
	const struct part nameless = { HS_SECTION_USER, "", "a", 1 };
	const struct part too_long = { HS_SECTION_MEMORY, "", &long_piece, sizeof(long_piece) };
	const struct part too_short = { HS_SECTION_MEMORY, "", &long_piece, 3 };
	const struct part hole = { HS_SECTION_HOLES, "", &long_piece, sizeof(long_piece) };
	const struct part around = { HS_SECTION_HOLES, "", &wraps, sizeof(wraps) };
	const struct part half = { HS_SECTION_HOLES, "", &wraps, 9 };

	(void)state;
	expect_made_up(&twice, 1, "section 10 at 1312: section 'descriptors' is there twice");
	expect_made_up(own, 1, "section of that name is there twice");
	expect_made_up(&nameless, 1, "a section of the application's own has no name");
	expect_made_up(&too_long, 1, "its length doesn't match its range of memory");
	expect_made_up(&too_short, 1, "its length doesn't match its range of memory");
	expect_made_up(&hole, 1, "a whole checkpoint has no holes");
	expect_made_up(&around, 1, "its length doesn't match its range of memory");
	expect_made_up(&half, 1, "its length doesn't match its range of memory");
	write_file(FILE_NAME, &whole, parts, 6);
	expect(FILE_NAME, "section 'hooks' is missing");
	write_file(FILE_NAME, &whole, parts, 0);
	expect(FILE_NAME, "section 'build' is missing");
}

/* Whatever a section says is shown, or not: each kind, and JSON of each shape. */
static void no_content_confuses(void **state)
{
	static const char *const contents[] = {
		"", "[", "{}", "[]", "null", "true", "1", "-1", "1e99", "\"\"", "\"\\u0000x\"",
		"[[]]", "[{}]", "[null]", "[[1],[2,3]]", "[1,\"\\u001b[31m\",-3]",
		"[{\"name\":[1],\"fd\":{},\"signal\":-9,\"worker\":-1,\"start\":1.5}]",
		"[{\"\\u001b]0;x\\u0007\":\"\\u001b]0;x\\u0007\",\"kind\":\"\x9b\"}]",
		"{\"actions\":1,\"saved\":{},\"excluded\":[1],\"blocked\":[99,-1],\"slots\":1}",
		"{\"limits\":[[],[1],1,{}],\"umask\":-1,\"\\u001b\":\"\\u001b\"}",
		"{\"limits\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]}",
	};
	char deep[2001];
	struct part v[NR];
	size_t i, n;

	(void)state;
	for (n = 0; n <= ARRAY_SIZE(contents); n++) {
		memset(deep, '[', 1000);
		memset(deep + 1000, ']', 1000);
		deep[2000] = 0;
		memcpy(v, parts, sizeof(parts));
		for (i = 0; i < 7; i++) {
			v[i].data = n < ARRAY_SIZE(contents) ? contents[n] : deep;
			v[i].len = strlen(v[i].data);
		}
		write_file(FILE_NAME, &whole, v, NR);
		clear();
		inspect(FILE_NAME);
		assert_no_control(printed());
		clear();
		json_object_put(inspect_as_json(FILE_NAME, n && n != 1 && n != 4 &&
						n < ARRAY_SIZE(contents) ?
						EXIT_DONE : EXIT_FAILED));
	}
}

static void names_are_clean(void **state)
{
	const struct part evil = { HS_SECTION_USER, "\x1b[31m\xff", "a", 1 };
	struct hs_image_head head = whole;
	struct part v[NR + 1];
	struct json_object *o;

	(void)state;
	memcpy(v, parts, sizeof(parts));
	v[NR] = evil;
	strcpy(head.app, "\x1b]0;pwned\x07");
	write_file(FILE_NAME, &head, v, NR + 1);
	assert_int_equal(inspect(FILE_NAME), EXIT_DONE);
	assert_non_null(strstr(printed(), "  10  user         \\x1b[31m\\xff"));
	assert_non_null(strstr(text, "application: \\x1b]0;pwned\\x07\n"));
	assert_no_control(text);
	clear();
	o = inspect_as_json(FILE_NAME, EXIT_DONE);
	assert_string_equal(js_get_str(at(file(o), "own", 1), "name"), "\\x1b[31m\\xff");
	json_object_put(o);
}

/* A window of three pages, after one in which two others were used. */
static unsigned char *make_touched(size_t *len)
{
	struct hs_interval before = { 0x200000010000, 0x200000012000 }, in = { 0x200000020000, 0x200000023000 };
	const struct hs_intervals first = { 1, &before }, second = { 1, &in };
	struct hs_touched t = { 0 };
	unsigned char *made;

	assert_int_equal(hs_touched_begin(&t, &first, 6), 0);
	assert_int_equal(hs_touched_look(&t, &second, 16500), 0);
	assert_int_equal(hs_touched_text(&t, &made, len), 0);
	hs_touched_free(&t);
	return made;
}

static void the_touch_set_is_shown(void **state)
{
	struct part v[NR + 1], *set = &v[NR];
	struct json_object *o;
	unsigned char *made;

	(void)state;
	memcpy(v, parts, sizeof(parts));
	*set = (struct part) { .type = HS_SECTION_USER, .name = "hotspare.touched" };
	made = make_touched(&set->len);
	set->data = made;
	write_file(FILE_NAME, &whole, v, NR + 1);
	assert_int_equal(inspect(FILE_NAME), EXIT_DONE);
	assert_non_null(strstr(printed(), "Touch set: 3 pages in 16 ms after generation 6, 2 pages used before\n"));
	clear();
	o = inspect_as_json(FILE_NAME, EXIT_DONE);
	assert_string_equal(js_line(js_at(file(o), "touched")),
			    "{\"ok\":true,\"generation\":6,\"window_ms\":16,\"looks\":1,\"pages\":3,"
			    "\"used_before\":2}");
	json_object_put(o);
	clear();
	/* The file is as good as before. */
	set->len--;
	write_file(FILE_NAME, &whole, v, NR + 1);
	assert_int_equal(inspect(FILE_NAME), EXIT_DONE);
	assert_non_null(strstr(printed(), "Touch set: makes no sense, and is ignored\n"));
	free(made);
}

/*
 * Several files
 */

static void write_generation(const char *path, u64 generation, u64 base, u8 run)
{
	struct hs_image_head head = whole;

	head.generation = generation;
	head.base = base;
	head.flags = base ? HS_IMAGE_INCREMENT : 0;
	head.run[0] = run;
	write_file(path, &head, parts, NR);
}

#define inspect_all(...) inspect_list((const char *[]) { __VA_ARGS__, NULL })

static int inspect_list(const char **paths)
{
	int n = 0;

	clear();
	while (paths[n])
		n++;
	return verb_inspect(&ctl, n, (char **)paths);
}

static void expect_broken(const char *want)
{
	char all[300];

	snprintf(all, sizeof(all), "The files don't follow one another:\n  %s\n", want);
	if (!strstr(printed(), all))
		fail_msg("no '%s' in:\n%s", all, text);
}

static void increments_follow_one_another(void **state)
{
	struct json_object *o;

	(void)state;
	write_generation("i", 9, 0, 1);
	write_generation("i.10", 10, 9, 1);
	write_generation("i.12", 12, 10, 1);
	/* In whatever order a shell gives them. */
	assert_int_equal(inspect_all("i.10", "i.12", "i"), EXIT_DONE);
	assert_non_null(strstr(printed(), "  generation:  12, what changed since 10\n"));
	assert_non_null(strstr(text, "The files follow one another; a restart continues from generation 12."));
	assert_int_equal(inspect_all("i.10", "i.12"), EXIT_FAILED);
	expect_broken("i.10: an increment, and no whole checkpoint comes before it\n"
		      "  i.12: an increment, and no whole checkpoint comes before it");
	assert_int_equal(inspect_all("i.12", "i"), EXIT_FAILED);
	expect_broken("i.12: an increment of generation 10, but the file before it has generation 9");
	assert_int_equal(inspect_all("i", "i.10", "i.10"), EXIT_FAILED);
	expect_broken("i.10: generation 10 is there twice");
	write_generation("i.12", 12, 10, 2);
	assert_int_equal(inspect_all("i", "i.10", "i.12"), EXIT_FAILED);
	expect_broken("i.12: the file is of another run of the program than i.10");
	assert_int_equal(truncate("i.10", 500), 0);
	assert_int_equal(inspect_all("i", "i.10"), EXIT_FAILED);
	expect_broken("i.10: it can't be used, see above");
	clear();
	ctl.json = true;
	assert_int_equal(verb_inspect(&ctl, 2, (char *[]) { (char *)"i", (char *)"i.10" }),
			 EXIT_FAILED);
	o = json_tokener_parse(printed());
	assert_false(is_true(o, "ok"));
	assert_true(is_true(at(o, "files", 0), "ok"));
	assert_false(is_true(at(o, "files", 1), "ok"));
	assert_string_equal(js_line(js_at(o, "chain")), "{\"ok\":false,\"generation\":9,"
		"\"problems\":[{\"path\":\"i.10\",\"text\":\"it can't be used, see above\"}]}");
	json_object_put(o);
}

/* The verb that it has in common with "inspect": the file is read before anything is started. */
static int restart(const char *path, const char *said)
{
	int ret;

	clear();
	ret = verb_restart(&ctl, 1, (char *[]) { (char *)path });
	if (!strstr(printed(), said))
		fail_msg("no '%s' in:\n%s", said, text);
	return ret;
}

static void what_cannot_be_restarted_here_is_told(void **state)
{
	(void)state;
	write_file(FILE_NAME, &whole, parts, NR);
	assert_int_equal(restart(FILE_NAME, "is a whole checkpoint of counter with libhotspare"), EXIT_FAILED);
	assert_non_null(strstr(text, "Next: counter -r image"));
	assert_int_equal(truncate(FILE_NAME, 500), 0);
	assert_int_equal(restart(FILE_NAME, "image can't be restarted: at byte"), EXIT_FAILED);
	assert_non_null(strstr(text, "Next: cptdevctl inspect image"));
	write_generation("i.10", 10, 9, 1);
	assert_int_equal(restart("i.10", "is an increment of"), EXIT_FAILED);
	assert_int_equal(restart("nowhere", "it can't be opened"), EXIT_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(all_of_a_checkpoint),
		T(all_of_it_as_json),
		T(each_byte_that_is_altered_is_told),
		T(wherever_it_is_cut_off_is_told),
		T(damage_in_two_places_is_told_twice),
		T(other_files_are_told),
		T(usage_is_told),
		T(what_makes_no_sense_is_told),
		T(no_content_confuses),
		T(names_are_clean),
		T(the_touch_set_is_shown),
		T(increments_follow_one_another),
		T(what_cannot_be_restarted_here_is_told),
	};
	char dir[] = "/tmp/cptdevctl-inspect-test.XXXXXX";
	int ret;

	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	ret = cmocka_run_group_tests_name("inspect", tests, NULL, NULL);
	if (system("rm -f ./*") || chdir("/") || rmdir(dir))
		printf("# %s: %s\n", dir, strerrorname_np(errno));
	return ret;
}
