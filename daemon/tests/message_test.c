// SPDX-License-Identifier: GPL-2.0-or-later
/* Small messages: fixed bytes, cut short at every byte, too long, each field wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fetch_frame.h"
#include "hex.h"
#include "message.h"

static const u8 uuid[CPTDEV_UUID_LEN] = {
	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
};

#define UUID_HEX "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f"

/* The decoders with one signature, so that one test does for all. */
#define ANY(fn, type)							\
	static int any_##fn(const u8 *p, size_t len, struct fault *f)	\
	{								\
		type m;							\
		return fn(p, len, &m, f);				\
	}

ANY(refuse_decode, struct msg_refuse)
ANY(heartbeat_decode, struct msg_heartbeat)
ANY(session_decode, struct msg_session)
ANY(state_decode, struct msg_state)
ANY(begin_decode, struct msg_begin)
ANY(commit_decode, u64)
ANY(committed_decode, struct msg_committed)
ANY(failed_decode, struct msg_failed)
ANY(term_decode, struct msg_term)
ANY(ended_decode, struct msg_ended)
ANY(take_back_decode, struct msg_take_back)
ANY(take_back_state_decode, struct msg_take_back_state)
ANY(switch_decode, struct msg_switch)
ANY(switch_state_decode, struct msg_switch_state)
ANY(fetch_decode, struct msg_fetch)
ANY(fetch_state_decode, struct msg_fetch_state)

static int any_read_decode(const u8 *p, size_t len, struct fault *f)
{
	struct msg_read m;

	return read_decode(p, len, 4096, &m, f);
}

static int any_pages_decode(const u8 *p, size_t len, struct fault *f)
{
	struct msg_pages m;

	return pages_decode(p, len, 4096, &m, f);
}

static const struct vector {
	int (*decode)(const u8 *p, size_t len, struct fault *f);
	const char *bytes;
} vectors[] = {
	{ any_refuse_decode, "03 00 00 00  02 00 00 00  6e 6f" },
	{ any_heartbeat_decode, "01 00 00 00 00 00 00 00  02 00 00 00 00 00 00 00"
				"03 00 00 00 00 00 00 00" },
	{ any_session_decode, UUID_HEX "05 00 00 00 00 00 00 00" UUID_HEX "01 00 00 00"
			      "e8 03 00 00  02 00  00 00  6b 76" },
	{ any_state_decode, "11 00 00 00  01 00 00 00" UUID_HEX
			    "09 00 00 00 00 00 00 00  02 00 00 00 00 00 00 00"
			    "02 00 00 00  6e 6f" },
	{ any_begin_decode, "08 00 00 00 00 00 00 00  09 00 00 00 00 00 00 00"
			    "02 00 00 00 00 00 00 00  01 00 00 00  03 00 00 00"
			    "04 00 00 00  00 00 00 00  05 00 00 00 00 00 00 00" },
	{ any_commit_decode, "09 00 00 00 00 00 00 00" },
	{ any_committed_decode, "09 00 00 00 00 00 00 00  07 00 00 00 00 00 00 00" },
	{ any_failed_decode, "09 00 00 00 00 00 00 00  15 00 00 00  03 00 00 00"
			     "67 61 70" },
	{ any_term_decode, "07 00 00 00 00 00 00 00" UUID_HEX "02 00  00 00  6b 76" },
	{ any_ended_decode, UUID_HEX "07 00 00 00 00 00 00 00" UUID_HEX
			    "09 00 00 00 00 00 00 00  02 00 00 00  02 00  00 00  6b 76"
			    "02 00  00 00  6e 6f" },
	{ any_take_back_decode, UUID_HEX "07 00 00 00 00 00 00 00  09 00 00 00 00 00 00 00"
				"01 00 00 00  02 00  00 00  6b 76" },
	{ any_take_back_state_decode, "07 00 00 00 00 00 00 00  10 00 00 00  02 00  00 00"
				      "6b 76  02 00  00 00  6e 6f" },
	{ any_switch_decode, UUID_HEX "07 00 00 00 00 00 00 00  09 00 00 00 00 00 00 00"
			     "01 00 00 00  02 00  00 00  6b 76" },
	{ any_switch_state_decode, "07 00 00 00 00 00 00 00  09 00 00 00 00 00 00 00"
				   "01 00 00 00  10 00 00 00  02 00  00 00  6b 76"
				   "02 00  00 00  6e 6f" },
	{ any_fetch_decode, "07 00 00 00 00 00 00 00  03 00 00 00  01 00 00 00  01 00 00 00"
			    "02 00  00 00  6b 76" },
	{ any_fetch_state_decode, UUID_HEX "07 00 00 00 00 00 00 00  09 00 00 00 00 00 00 00"
				  "05 00 00 00 00 00 00 00  e8 03 00 00  03 00 00 00"
				  "01 00 00 00  02 00  00 00  6b 76"
				  "10 00 00 00  02 00  00 00  6e 6f" },
	{ any_read_decode, "00 20 00 00 00 00 00 00  00 10 00 00 00 00 00 00"
			   "01 00 00 00  00 00 00 00" },
	{ any_pages_decode, "00 20 00 00 00 00 00 00  00 00 00 00 00 00 00 00"
			    "00 00 00 00  00 00 00 00  02 00 00 00  00 00 00 00"
			    "00 20 00 00 00 00 00 00  00 10 00 00 00 00 00 00"
			    "00 40 00 00 00 00 00 00  00 20 00 00 00 00 00 00" },
};

static void encoders_write_these_bytes(void **state)
{
	u8 buf[256];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct msg_refuse refuse = { { WIRE_E_VERSION, "no" } };
	struct msg_heartbeat heartbeat = { 1, 2, 3 };
	struct msg_session session = {
		.term = 5, .flags = WIRE_SESSION_REPLACE, .uid = 1000, .name = "kv",
	};
	struct msg_state st = {
		.flags = WIRE_STATE_PROMOTED, .generation = 9, .term = 2,
		.fault = { WIRE_E_OTHER, "no" },
	};
	struct msg_begin begin = {
		.base = 8, .generation = 9, .term = 2, .flags = WIRE_SESSION_REPLACE,
		.segments = 3, .meta_len = 4, .pages = 5,
	};
	struct msg_committed done = { 9, 7 };
	struct msg_failed failed = { 9, { WIRE_E_GAP, "gap" } };
	struct msg_term term = { .term = 7, .name = "kv" };
	struct msg_ended ended = {
		.term = 7, .generation = 9, .how = 2, .name = "kv", .text = "no",
	};

	struct msg_take_back back = {
		.term = 7, .generation = 9, .flags = WIRE_TAKE_BACK_AGAIN, .name = "kv",
	};
	struct msg_take_back_state given = {
		.term = 7, .name = "kv", .fault = { WIRE_E_FENCED, "no" },
	};

	struct msg_switch sw = {
		.term = 7, .generation = 9, .what = WIRE_SWITCH_GO, .name = "kv",
	};
	struct msg_switch_state sws = {
		.term = 7, .generation = 9, .what = WIRE_SWITCH_PROMOTED, .name = "kv",
		.fault = { WIRE_E_FENCED, "no" },
	};

	struct msg_fetch fetch = {
		.term = 7, .id = 3, .what = WIRE_FETCH_TAKE, .flags = WIRE_FETCH_AGAIN, .name = "kv",
	};
	struct msg_fetch_state lent = {
		.term = 7, .generation = 9, .pages = 5, .uid = 1000, .id = 3,
		.what = WIRE_FETCH_TAKE, .name = "kv", .fault = { WIRE_E_FENCED, "no" },
	};

	(void)state;
	memcpy(lent.uuid, uuid, sizeof(uuid));
	memcpy(sw.uuid, uuid, sizeof(uuid));
	memcpy(back.uuid, uuid, sizeof(uuid));
	memcpy(ended.uuid, uuid, sizeof(uuid));
	memcpy(ended.owner, uuid, sizeof(uuid));
	memcpy(session.uuid, uuid, sizeof(uuid));
	memcpy(session.owner, uuid, sizeof(uuid));
	memcpy(term.owner, uuid, sizeof(uuid));
	memcpy(st.uuid, uuid, sizeof(uuid));
#define CHECK(i, call)							\
	do {								\
		w.len = 0;						\
		call;							\
		assert_false(w.full);					\
		hex_assert(buf, w.len, vectors[i].bytes);		\
	} while (0)
	CHECK(0, refuse_encode(&w, &refuse));
	CHECK(1, heartbeat_encode(&w, &heartbeat));
	CHECK(2, session_encode(&w, &session));
	CHECK(3, state_encode(&w, &st));
	CHECK(4, begin_encode(&w, &begin));
	CHECK(5, commit_encode(&w, 9));
	CHECK(6, committed_encode(&w, &done));
	CHECK(7, failed_encode(&w, &failed));
	CHECK(8, term_encode(&w, &term));
	CHECK(9, ended_encode(&w, &ended));
	CHECK(10, take_back_encode(&w, &back));
	CHECK(11, take_back_state_encode(&w, &given));
	CHECK(12, switch_encode(&w, &sw));
	CHECK(13, switch_state_encode(&w, &sws));
	CHECK(14, fetch_encode(&w, &fetch));
	CHECK(15, fetch_state_encode(&w, &lent));
	CHECK(16, read_encode(&w, &(struct msg_read) { WIRE_READ_PAGES, 0x2000, 4096 }));
}

static void decoders_read_what_was_written(void **state)
{
	struct msg_session session;
	struct msg_begin begin;
	struct msg_state st;
	struct fault f;
	u8 b[256];
	size_t n;

	(void)state;
	n = hex_bytes(vectors[2].bytes, b, sizeof(b));
	assert_int_equal(session_decode(b, n, &session, &f), 0);
	assert_memory_equal(session.uuid, uuid, sizeof(uuid));
	assert_int_equal(session.term, 5);
	assert_int_equal(session.uid, 1000);
	assert_int_equal(session.flags, WIRE_SESSION_REPLACE);
	assert_string_equal(session.name, "kv");

	n = hex_bytes(vectors[3].bytes, b, sizeof(b));
	assert_int_equal(state_decode(b, n, &st, &f), 0);
	assert_int_equal(st.fault.code, WIRE_E_OTHER);
	assert_string_equal(st.fault.text, "no");
	assert_int_equal(st.generation, 9);
	assert_int_equal(st.term, 2);

	n = hex_bytes(vectors[4].bytes, b, sizeof(b));
	assert_int_equal(begin_decode(b, n, &begin, &f), 0);
	assert_int_equal(begin.base, 8);
	assert_int_equal(begin.generation, 9);
	assert_int_equal(begin.term, 2);
	assert_int_equal(begin.segments, 3);
	assert_int_equal(begin.meta_len, 4);
	assert_int_equal(begin.pages, 5);
}

/* Each byte in a block of its own, so that the sanitizer sees a read behind the end. */
static void all_lengths_but_the_right_one_are_refused(void **state)
{
	struct fault f;
	size_t i, n, len;
	u8 b[256] = {}, *exact;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(vectors); i++) {
		n = hex_bytes(vectors[i].bytes, b, sizeof(b));
		assert_int_equal(vectors[i].decode(b, n, &f), 0);
		for (len = 0; len < n + 9; len++) {
			if (len == n)
				continue;
			exact = malloc(len);
			memcpy(exact, b, len);
			assert_int_equal(vectors[i].decode(exact, len, &f), -1);
			assert_int_equal(f.code, WIRE_E_PROTOCOL);
			free(exact);
		}
		memset(b, 0, sizeof(b));
	}
}

static void fails(const struct vector *v, size_t at, u8 value, const char *word)
{
	struct fault f;
	u8 b[256];
	size_t n = hex_bytes(v->bytes, b, sizeof(b));

	b[at] = value;
	assert_int_equal(v->decode(b, n, &f), -1);
	if (!strstr(f.text, word))
		fail_msg("'%s' doesn't say '%s'", f.text, word);
}

static void each_wrong_field_is_named(void **state)
{
	(void)state;
	/* REFUSE: the reserved field, the length of the text */
	fails(&vectors[0], 6, 1, "reserved");
	fails(&vectors[0], 4, 201, "text is 201");
	/* SESSION: term, flags, uid, reserved, name */
	fails(&vectors[2], 16, 0, "term is 0");
	fails(&vectors[2], 23, 0x80, "term is 9223372036854775813");
	fails(&vectors[2], 40, 128, "flags is 128");
	fails(&vectors[2], 50, 1, "reserved");
	fails(&vectors[2], 52, '/', "bad name");
	fails(&vectors[2], 53, 0, "bad name");
	/* SESSION_STATE */
	fails(&vectors[3], 4, 4, "flags is 4");
	fails(&vectors[3], 39, 0xff, "term is ");
	fails(&vectors[3], 42, 1, "reserved");
	/* BEGIN: base, term, flags, segments, meta-data, reserved */
	fails(&vectors[4], 0, 9, "base 9, generation 9");
	fails(&vectors[4], 16, 0, "term is 0");
	fails(&vectors[4], 23, 0xff, "term is ");
	fails(&vectors[4], 24, 2, "flags is 2");
	fails(&vectors[4], 31, 1, "segments");
	fails(&vectors[4], 35, 1, "meta-data");
	fails(&vectors[4], 36, 1, "reserved");
	/* ENDED: term, how, reserved, name */
	fails(&vectors[9], 16, 0, "term is 0");
	fails(&vectors[9], 48, 3, "how is 3");
	fails(&vectors[9], 54, 1, "reserved");
	fails(&vectors[9], 57, '/', "bad name");
	/* TAKE_BACK: term, flags, reserved, name; and its answer */
	fails(&vectors[10], 16, 0, "term is 0");
	fails(&vectors[10], 32, 4, "flags is 4");
	fails(&vectors[10], 38, 1, "reserved");
	fails(&vectors[10], 41, '/', "bad name");
	fails(&vectors[11], 0, 0, "term is 0");
	fails(&vectors[11], 14, 1, "reserved");
	fails(&vectors[11], 17, '/', "bad name");
	/* SWITCH: term, question, generation of GO, reserved, name; and its answer */
	fails(&vectors[12], 16, 0, "term is 0");
	fails(&vectors[12], 24, 0, "generation is 0");
	fails(&vectors[12], 31, 0x80, "generation is 9223372036854775817");
	fails(&vectors[12], 32, 2, "question is 2");
	fails(&vectors[12], 38, 1, "reserved");
	fails(&vectors[12], 41, '/', "bad name");
	fails(&vectors[13], 0, 0, "term is 0");
	fails(&vectors[13], 15, 0x80, "generation is 9223372036854775817");
	fails(&vectors[13], 16, 3, "answer is 3");
	fails(&vectors[13], 26, 1, "reserved");
	fails(&vectors[13], 29, '/', "bad name");
	/* FETCH: term, number, question, flags, reserved, name; and its answer */
	fails(&vectors[14], 0, 0, "term is 0");
	fails(&vectors[14], 12, 0, "term is 7");
	fails(&vectors[14], 7, 0x80, "term is 9223372036854775815");
	fails(&vectors[14], 8, 0, "number is 0");
	fails(&vectors[14], 12, 4, "question is 4");
	fails(&vectors[14], 16, 2, "flags is 2");
	fails(&vectors[14], 22, 1, "reserved");
	fails(&vectors[14], 25, '/', "bad name");
	fails(&vectors[15], 16, 0, "term is 0");
	fails(&vectors[15], 31, 0x80, "generation is 9223372036854775817");
	fails(&vectors[15], 44, 0, "number is 0");
	fails(&vectors[15], 48, 3, "question is 3");
	fails(&vectors[15], 54, 1, "reserved");
	fails(&vectors[15], 57, '/', "bad name");
	/* READ: address, length, question, reserved */
	fails(&vectors[16], 0, 1, "at 0x2001");
	fails(&vectors[16], 7, 0x80, "at 0x8000000000002000");
	fails(&vectors[16], 9, 0, "0 bytes");
	fails(&vectors[16], 9, 0x11, "4352 bytes");
	fails(&vectors[16], 10, 4, "266240 bytes");
	fails(&vectors[16], 16, 0, "READ: 0");
	fails(&vectors[16], 16, 2, "READ: 2");
	fails(&vectors[16], 20, 1, "reserved");
	/* PAGES: the question, reserved, how much follows, extents that ascend */
	fails(&vectors[17], 0, 1, "at 0x2001");
	fails(&vectors[17], 16, 2, "PAGES: 2");
	fails(&vectors[17], 28, 1, "reserved");
	fails(&vectors[17], 20, 16, "number of extents is 2");
	fails(&vectors[17], 24, 1, "32 bytes instead of 16");
	fails(&vectors[17], 26, 1, "number of extents is 65538");
	fails(&vectors[17], 33, 0x10, "extent 0x1000 of 0x1000 bytes after 0x2000");
	fails(&vectors[17], 41, 0, "0x0 bytes");
	fails(&vectors[17], 49, 0x20, "extent 0x2000 of 0x2000 bytes after 0x3000");
	fails(&vectors[17], 55, 0x80, "extent 0x8000000000004000");
	/* FAILED: a failure has a code */
	fails(&vectors[7], 8, 0, "code is 0");
}

static void nobody_is_user_minus_one(void **state)
{
	struct msg_session m;
	struct fault f;
	u8 b[256];
	size_t n = hex_bytes(vectors[2].bytes, b, sizeof(b));

	(void)state;
	memset(b + 44, 0xff, 4);
	assert_int_equal(session_decode(b, n, &m, &f), -1);
	assert_non_null(strstr(f.text, "uid is 4294967295"));
}

static void names_have_at_most_63_characters(void **state)
{
	u8 buf[256];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct msg_session m = { .term = 1 }, out;
	struct fault f;

	(void)state;
	memset(m.name, 'x', 63);
	session_encode(&w, &m);
	assert_int_equal(session_decode(buf, w.len, &out, &f), 0);
	buf[48] = 64;
	buf[w.len] = 'x';
	assert_int_equal(session_decode(buf, w.len + 1, &out, &f), -1);
	buf[48] = 0;
	assert_int_equal(session_decode(buf, 52, &out, &f), -1);
}

/* What a peer says may end in a terminal. */
static void a_peers_text_is_made_harmless(void **state)
{
	u8 buf[256];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct msg_refuse m = { { WIRE_E_LIMIT, "a\033[2Jb\n\x80z" } }, out;
	struct fault f;

	(void)state;
	refuse_encode(&w, &m);
	assert_int_equal(refuse_decode(buf, w.len, &out, &f), 0);
	assert_string_equal(out.fault.text, "a?[2Jb??z");
}

static void an_unknown_code_is_taken(void **state)
{
	struct msg_failed m;
	struct fault f;
	u8 b[256];
	size_t n = hex_bytes(vectors[7].bytes, b, sizeof(b));

	(void)state;
	b[11] = 0x7f;
	assert_int_equal(failed_decode(b, n, &m, &f), 0);
	assert_string_equal(wire_code_name(m.fault.code), "unknown");
}

static void empty_messages_are_empty(void **state)
{
	struct fault f;

	(void)state;
	assert_int_equal(empty_decode(WIRE_BYE, 0, &f), 0);
	assert_int_equal(empty_decode(WIRE_BYE, 1, &f), -1);
	assert_non_null(strstr(f.text, "BYE: 1 bytes too many"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encoders_write_these_bytes),
		cmocka_unit_test(decoders_read_what_was_written),
		cmocka_unit_test(all_lengths_but_the_right_one_are_refused),
		cmocka_unit_test(each_wrong_field_is_named),
		cmocka_unit_test(nobody_is_user_minus_one),
		cmocka_unit_test(names_have_at_most_63_characters),
		cmocka_unit_test(a_peers_text_is_made_harmless),
		cmocka_unit_test(an_unknown_code_is_taken),
		cmocka_unit_test(empty_messages_are_empty),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("messages", tests, NULL, NULL);
}
