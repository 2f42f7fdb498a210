// SPDX-License-Identifier: GPL-2.0-or-later
/* The handshake: bytes, and what two nodes agree on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "greeting.h"
#include "hex.h"

static const struct node self = {
	.uuid = { 0xaa, [15] = 0xbb }, .name = "beta", .page_size = 4096,
	.heartbeat_ms = 200, .timeout_ms = 2000,
};

static const struct node other = {
	.uuid = { 0x11, [15] = 0x22 }, .name = "alpha", .page_size = 4096,
	.heartbeat_ms = 500, .timeout_ms = 3000,
};

#define HELLO_BYTES							\
	"02 00  02 00  00 10 00 00  f4 ff 01 00 00 00 00 00"		\
	"00 00 00 00 00 00 00 00  11 00 00 00 00 00 00 00"		\
	"00 00 00 00 00 00 00 22  f4 01 00 00  b8 0b 00 00"		\
	"05 00  00 00  00 00 00 00  61 6c 70 68 61"

#define WELCOME_BYTES							\
	"02 00  00 00  00 10 00 00  f4 ff 01 00 00 00 00 00"		\
	"aa 00 00 00 00 00 00 00 00 00 00 00 00 00 00 bb"		\
	"c8 00 00 00  d0 07 00 00  04 00  00 00  00 00 00 00"		\
	"62 65 74 61"

static void greetings_are_these_bytes(void **state)
{
	u8 buf[256];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct welcome answer;
	struct hello hello;
	struct fault f;

	(void)state;
	hello_make(&hello, &other);
	hello_encode(&w, &hello);
	hex_assert(buf, w.len, HELLO_BYTES);
	assert_int_equal(hello_answer(&hello, &self, &answer, &f), 0);
	w.len = 0;
	welcome_encode(&w, &answer);
	hex_assert(buf, w.len, WELCOME_BYTES);
}

static void greetings_are_read_back(void **state)
{
	struct welcome w;
	struct hello h;
	struct fault f;
	u8 b[256];
	size_t n;

	(void)state;
	/* Between the fields, too. */
	memset(&h, 0, sizeof(h));
	memset(&w, 0, sizeof(w));
	n = hex_bytes(HELLO_BYTES, b, sizeof(b));
	assert_int_equal(hello_decode(b, n, &h, &f), 0);
	assert_memory_equal(&h.node, &other, sizeof(other));
	n = hex_bytes(WELCOME_BYTES, b, sizeof(b));
	assert_int_equal(welcome_decode(b, n, &w, &f), 0);
	assert_memory_equal(&w.node, &self, sizeof(self));
	assert_int_equal(welcome_check(&w, &other, &f), 0);
}

static void all_lengths_but_the_right_one_are_refused(void **state)
{
	u8 b[256] = {}, *exact;
	struct welcome w;
	struct hello h;
	struct fault f;
	size_t n, len;

	(void)state;
	for (len = 0; len < 80; len++) {
		exact = malloc(len);
		n = hex_bytes(HELLO_BYTES, b, sizeof(b));
		memcpy(exact, b, len);
		assert_int_equal(hello_decode(exact, len, &h, &f), len == n ? 0 : -1);
		n = hex_bytes(WELCOME_BYTES, b, sizeof(b));
		memcpy(exact, b, len);
		assert_int_equal(welcome_decode(exact, len, &w, &f), len == n ? 0 : -1);
		free(exact);
	}
}

static void hello_fails(size_t at, const char *bytes, const char *word)
{
	struct hello h;
	struct fault f;
	u8 b[256];
	size_t n = hex_bytes(HELLO_BYTES, b, sizeof(b));

	hex_bytes(bytes, b + at, sizeof(b) - at);
	assert_int_equal(hello_decode(b, n, &h, &f), -1);
	if (!strstr(f.text, word))
		fail_msg("'%s' doesn't say '%s'", f.text, word);
}

static void each_wrong_field_is_named(void **state)
{
	(void)state;
	hello_fails(0, "00 00", "versions 0 to 2");
	hello_fails(0, "03 00", "versions 3 to 2");
	hello_fails(40, "00 00 00 00", "heartbeat of 0 ms");
	hello_fails(40, "ff ff ff ff", "heartbeat of 4294967295 ms");
	hello_fails(44, "00 00 00 00", "time-out of 0 ms");
	hello_fails(44, "ff ff ff ff", "time-out of 4294967295 ms");
	hello_fails(48, "00 00", "bad node name");
	hello_fails(48, "06 00", "cut short");
	hello_fails(50, "01 00", "cut short");
	hello_fails(50, "ff ff", "tail of 65535 bytes");
	hello_fails(52, "01", "reserved");
	hello_fails(56, "0a", "bad node name");
}

/* What a newer peer may append: known types aside, it is passed over. */
static size_t with_tail(u8 *b, size_t size, const char *tail)
{
	size_t n = hex_bytes(HELLO_BYTES, b, size), t;

	t = hex_bytes(tail, b + n, size - n);
	b[50] = t;
	return n + t;
}

static void the_tail_is_for_later_versions(void **state)
{
	struct hello h;
	struct fault f;
	u8 b[256];
	size_t n;

	(void)state;
	n = with_tail(b, sizeof(b), "01 00 03 00 61 62 63  77 00 00 00");
	assert_int_equal(hello_decode(b, n, &h, &f), 0);
	n = with_tail(b, sizeof(b), "01 80 01 00 61");
	assert_int_equal(hello_decode(b, n, &h, &f), -1);
	assert_int_equal(f.code, WIRE_E_FEATURE);
	n = with_tail(b, sizeof(b), "01 00 04 00 61 62 63");
	assert_int_equal(hello_decode(b, n, &h, &f), -1);
	assert_non_null(strstr(f.text, "tail is cut short"));
	n = with_tail(b, sizeof(b), "01 00 03");
	assert_int_equal(hello_decode(b, n, &h, &f), -1);
}

/* What a node with another processor than x86-64 appends. */
#define ARM64_TAIL	"03 80 02 00 01 00"

static void a_processor_is_said_and_read_back(void **state)
{
	struct node arm = other;
	struct writer w;
	struct hello h, back;
	struct fault f;
	u8 b[256], c[256];
	size_t n;

	(void)state;
	arm.machine = WIRE_MACHINE_ARM64;
	hello_make(&h, &arm);
	w = (struct writer) { .p = c, .cap = sizeof(c) };
	hello_encode(&w, &h);
	n = with_tail(b, sizeof(b), ARM64_TAIL);
	assert_int_equal(w.len, n);
	assert_memory_equal(c, b, n);
	assert_int_equal(hello_decode(b, n, &back, &f), 0);
	assert_int_equal(back.node.machine, WIRE_MACHINE_ARM64);
	/* A greeting of x86-64 doesn't keep what was there before. */
	n = hex_bytes(HELLO_BYTES, b, sizeof(b));
	assert_int_equal(hello_decode(b, n, &back, &f), 0);
	assert_int_equal(back.node.machine, WIRE_MACHINE_X86_64);
	n = with_tail(b, sizeof(b), "03 80 01 00 01");
	assert_int_equal(hello_decode(b, n, &back, &f), -1);
	assert_non_null(strstr(f.text, "processor of 1 bytes"));
}

static void answer_fails(const struct hello *h, u32 code, const char *word)
{
	struct welcome w;
	struct fault f;

	assert_int_equal(hello_answer(h, &self, &w, &f), -1);
	assert_int_equal(f.code, code);
	if (!strstr(f.text, word))
		fail_msg("'%s' doesn't say '%s'", f.text, word);
}

static void versions_have_to_meet(void **state)
{
	struct welcome w;
	struct hello h;
	struct fault f;

	(void)state;
	hello_make(&h, &other);
	h.version_max = 9;
	assert_int_equal(hello_answer(&h, &self, &w, &f), 0);
	assert_int_equal(w.version, WIRE_VERSION);
	h.version_min = 3;
	answer_fails(&h, WIRE_E_VERSION, "versions 3 to 9");
}

static void features_are_agreed_on(void **state)
{
	struct welcome w;
	struct hello h;
	struct fault f;

	(void)state;
	hello_make(&h, &other);
	h.offered = ~0ULL;
	assert_int_equal(hello_answer(&h, &self, &w, &f), 0);
	assert_int_equal(w.features, WIRE_FEATURES);
	h.offered = ~WIRE_FEATURES;
	assert_int_equal(hello_answer(&h, &self, &w, &f), 0);
	assert_int_equal(w.features, 0);
	h.required = WIRE_FEATURE_LZ4;
	answer_fails(&h, WIRE_E_FEATURE, "features 0x8");
	h.required = WIRE_FEATURE_STARTTLS;
	answer_fails(&h, WIRE_E_FEATURE, "authentication");
}

/* Neither offered, nor agreed to, nor believed to be agreed on. */
static void a_node_may_do_without_a_feature(void **state)
{
	struct node plain = other;
	struct welcome w;
	struct hello h;
	struct fault f;

	(void)state;
	plain.without = WIRE_FEATURE_ZSTD;
	hello_make(&h, &plain);
	assert_int_equal(h.offered, WIRE_FEATURES & ~WIRE_FEATURE_ZSTD);
	assert_int_equal(hello_answer(&h, &self, &w, &f), 0);
	assert_int_equal(w.features, WIRE_FEATURES & ~WIRE_FEATURE_ZSTD);
	hello_make(&h, &self);
	assert_int_equal(hello_answer(&h, &plain, &w, &f), 0);
	assert_int_equal(w.features, WIRE_FEATURES & ~WIRE_FEATURE_ZSTD);
	w = (struct welcome) { .node = self, .version = WIRE_VERSION,
			       .features = WIRE_FEATURE_ZSTD };
	assert_int_equal(welcome_check(&w, &other, &f), 0);
	assert_int_equal(welcome_check(&w, &plain, &f), -1);
	assert_non_null(strstr(f.text, "features 0x4 that nobody offered"));
}

static void pages_and_identities_are_compared(void **state)
{
	struct hello h;

	(void)state;
	hello_make(&h, &other);
	h.node.page_size = 65536;
	answer_fails(&h, WIRE_E_PAGE_SIZE, "65536");
	hello_make(&h, &self);
	answer_fails(&h, WIRE_E_IDENTITY, "this node itself (beta)");
}

static void says_both(const struct fault *f, const char *theirs, const char *ours)
{
	char words[64];

	assert_int_equal(f->code, WIRE_E_MACHINE);
	snprintf(words, sizeof(words), "peer is a machine of %s, this node of %s,", theirs, ours);
	assert_non_null(strstr(f->text, words));
	assert_non_null(strstr(f->text, "Next: name a spare of the same processor"));
}

/* Each side refuses the other: whoever greets, and whoever answers. */
static void processors_have_to_be_the_same(void **state)
{
	struct node arm = other, arm_self = self;
	struct welcome w;
	struct hello h;
	struct fault f;

	(void)state;
	arm.machine = arm_self.machine = WIRE_MACHINE_ARM64;
	hello_make(&h, &arm);
	assert_int_equal(hello_answer(&h, &self, &w, &f), -1);
	says_both(&f, "arm64", "x86-64");
	hello_make(&h, &other);
	assert_int_equal(hello_answer(&h, &arm_self, &w, &f), -1);
	says_both(&f, "x86-64", "arm64");
	w = (struct welcome) { .node = self, .version = WIRE_VERSION };
	assert_int_equal(welcome_check(&w, &arm, &f), -1);
	says_both(&f, "x86-64", "arm64");
	w.node.machine = 777;
	assert_int_equal(welcome_check(&w, &other, &f), -1);
	says_both(&f, "777", "x86-64");

	hello_make(&h, &arm);
	assert_int_equal(hello_answer(&h, &arm_self, &w, &f), 0);
	assert_int_equal(w.node.machine, WIRE_MACHINE_ARM64);
	assert_int_equal(welcome_check(&w, &arm, &f), 0);
}

static void a_welcome_is_not_believed_blindly(void **state)
{
	struct welcome w = { .node = self, .version = WIRE_VERSION };
	struct fault f;

	(void)state;
	assert_int_equal(welcome_check(&w, &other, &f), 0);
	w.version = WIRE_VERSION + 1;
	assert_int_equal(welcome_check(&w, &other, &f), -1);
	w.version = WIRE_VERSION;
	w.features = WIRE_FEATURE_LZ4;
	assert_int_equal(welcome_check(&w, &other, &f), -1);
	w.features = 0;
	w.node.page_size = 16384;
	assert_int_equal(welcome_check(&w, &other, &f), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greetings_are_these_bytes),
		cmocka_unit_test(greetings_are_read_back),
		cmocka_unit_test(all_lengths_but_the_right_one_are_refused),
		cmocka_unit_test(each_wrong_field_is_named),
		cmocka_unit_test(the_tail_is_for_later_versions),
		cmocka_unit_test(a_processor_is_said_and_read_back),
		cmocka_unit_test(versions_have_to_meet),
		cmocka_unit_test(features_are_agreed_on),
		cmocka_unit_test(a_node_may_do_without_a_feature),
		cmocka_unit_test(pages_and_identities_are_compared),
		cmocka_unit_test(processors_have_to_be_the_same),
		cmocka_unit_test(a_welcome_is_not_believed_blindly),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("greetings", tests, NULL, NULL);
}
