// SPDX-License-Identifier: GPL-2.0-or-later
/* A peer that breaks the rules, one after the other, towards the side that receives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "image.h"
#include "pack.h"
#include "raw.h"
#include "runs.h"

struct fixture {
	struct pair pair;	/* only B runs: the victim */
	struct raw *raw;
	u8 buf[8192];
	struct writer w;
};

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	host_open(&x->pair.b, "beta", free_port());
	x->pair.b.conf.allow = ALLOW_ANY;
	x->pair.b.conf.timeout_ms = 60000;
	host_start(&x->pair.b);
	x->raw = raw_connect(&x->pair, x->pair.b.conf.listen_port);
	x->w = (struct writer) { .p = x->buf, .cap = sizeof(x->buf) };
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	raw_close(x->raw);
	host_close(&x->pair.b);
	free(x);
	return 0;
}

/*
 * Frames that are right, unless a test spoils them
 */

static void session(struct fixture *x, u32 channel, const char *name)
{
	struct msg_session m = { .term = 1, .uid = 7 };

	memset(m.uuid, 0x77, sizeof(m.uuid));
	strcpy(m.name, name);
	x->w.len = 0;
	session_encode(&x->w, &m);
	raw_send_w(x->raw, WIRE_SESSION, channel, &x->w);
	assert_true(raw_receive(x->raw));
	assert_int_equal(x->raw->frame.type, WIRE_SESSION_STATE);
}

static void begin(struct fixture *x, u32 channel, u64 generation, u32 segments, u64 pages)
{
	struct msg_begin m = {
		.generation = generation, .base = generation - 1, .term = 1,
		.segments = segments, .pages = pages,
	};

	x->w.len = 0;
	begin_encode(&x->w, &m);
	raw_send_w(x->raw, WIRE_BEGIN, channel, &x->w);
}

static void layout(struct fixture *x, u32 channel, u64 addr, u32 pages)
{
	struct cptdev_segment s = {
		.addr = addr, .len = pages * 4096ULL, .kind = CPTDEV_SEGMENT_ANON,
	};

	x->w.len = 0;
	segment_encode(&x->w, &s);
	raw_send_w(x->raw, WIRE_LAYOUT, channel, &x->w);
}

static void data_page(struct fixture *x, u32 channel, u64 addr)
{
	struct cptdev_extent e = { .addr = addr, .len = 4096, .kind = 1 };

	x->w.len = 0;
	data_head_encode(&x->w, 1);
	extent_encode(&x->w, &e);
	memset(write_room(&x->w, 4096), 0x11, 4096);
	raw_send_w(x->raw, WIRE_DATA, channel, &x->w);
}

static void commit(struct fixture *x, u32 channel, u64 generation)
{
	x->w.len = 0;
	commit_encode(&x->w, generation);
	raw_send_w(x->raw, WIRE_COMMIT, channel, &x->w);
}

/* A delta of one page has begun on channel 1. */
static void begun(struct fixture *x, u64 pages)
{
	raw_greet(x->raw, "alpha");
	session(x, 1, "kv");
	begin(x, 1, 1, 1, pages);
	layout(x, 1, FAKE_BASE, 1000);
}

static void up(struct fixture *x)
{
	raw_greet(x->raw, "alpha");
}

/*
 * Pages that change on the way
 */

static void a_changed_bit(struct fixture *x, u32 where)
{
	begun(x, 1);
	x->raw->flip = 8 * where + 3;
	data_page(x, 1, FAKE_BASE);
	raw_refused(x->raw, "DATA number 5 on channel 1: wrong checksum");
	assert_int_equal(x->pair.b.fake.stages, 0);
}

static void a_page_that_changes_on_the_way_is_noticed(void **state)
{
	a_changed_bit(*state, 8 + 24 + 2000);
}

static void so_is_its_last_byte(void **state)
{
	a_changed_bit(*state, 8 + 24 + 4095);
}

static void and_its_address(void **state)
{
	a_changed_bit(*state, 8 + 1);
}

/* The sums of blocks are for those who agreed on them; who didn't is believed as before. */
static void without_blocks(struct fixture *x)
{
	x->pair.b.daemon.self.without = WIRE_FEATURE_BLOCKS;
	begun(x, 1);
	assert_int_equal(x->raw->block, 0);
}

static void a_page_for_a_node_that_knows_no_blocks(void **state)
{
	struct fixture *x = *state;

	without_blocks(x);
	data_page(x, 1, FAKE_BASE);
	commit(x, 1, 1);
	assert_true(raw_receive(x->raw));
	assert_int_equal(x->raw->frame.type, WIRE_COMMITTED);
}

static void which_notices_as_well(void **state)
{
	struct fixture *x = *state;

	without_blocks(x);
	x->raw->flip = 8 * 2000;
	data_page(x, 1, FAKE_BASE);
	raw_refused(x->raw, "DATA number 5 on channel 1: wrong checksum");
}

static void blocks_that_were_not_agreed_on_are_refused(void **state)
{
	struct fixture *x = *state;

	without_blocks(x);
	x->raw->block = 4096;
	data_page(x, 1, FAKE_BASE);
	raw_refused(x->raw, "DATA number 5 on channel 1: wrong checksum");
}

/*
 * PACKED
 */

static size_t packed(struct fixture *x, const struct cptdev_extent *e, u8 value, u8 *to)
{
	static struct pack pack;
	static u8 data[8 + 24 + 64 * 4096];
	struct writer w = { .p = data, .cap = sizeof(data) };
	const u8 *payload;
	size_t n;

	data_head_encode(&w, 1);
	extent_encode(&w, e);
	memset(write_room(&w, e->kind == 1 ? e->len : 0), value, e->kind == 1 ? e->len : 0);
	n = pack_encode(&pack, data, w.len, w.len + 100, &payload);
	memcpy(to, payload, n);
	pack_free(&pack);
	assert_true(n && n < sizeof(x->buf));
	return n;
}

static const struct cptdev_extent one_page = { .addr = FAKE_BASE, .len = 4096, .kind = 1 };

static void a_packed_page_arrives(void **state)
{
	struct fixture *x = *state;

	begun(x, 1);
	raw_send(x->raw, WIRE_PACKED, 1, x->buf, packed(x, &one_page, 0x42, x->buf));
	commit(x, 1, 1);
	assert_true(raw_receive(x->raw));
	assert_int_equal(x->raw->frame.type, WIRE_COMMITTED);
	assert_int_equal(fake_page(fake_replica(&x->pair.b.fake, "kv"), 0)[4095], 0x42);
}

static void a_packed_frame_that_lies_is_refused(void **state)
{
	struct fixture *x = *state;
	size_t n;

	begun(x, 1);
	n = packed(x, &one_page, 0x42, x->buf);
	store_le(x->buf, 1 << 20, 4);
	raw_send(x->raw, WIRE_PACKED, 1, x->buf, n);
	raw_refused(x->raw, "its content doesn't say so");
}

/* What it holds is looked at as if it had come as it is. */
static void the_content_of_a_packed_frame_is_checked(void **state)
{
	struct cptdev_extent e = { .addr = FAKE_BASE + 1, .len = 4096, .kind = 1 };
	struct fixture *x = *state;

	begun(x, 1);
	raw_send(x->raw, WIRE_PACKED, 1, x->buf, packed(x, &e, 0x42, x->buf));
	raw_refused(x->raw, "DATA: extent");
}

static void a_packed_frame_has_its_place(void **state)
{
	struct fixture *x = *state;

	raw_greet(x->raw, "alpha");
	session(x, 1, "kv");
	raw_send(x->raw, WIRE_PACKED, 1, x->buf, packed(x, &one_page, 0x42, x->buf));
	raw_refused(x->raw, "DATA while READY");
}

static void a_packed_frame_has_to_be_agreed_on(void **state)
{
	struct fixture *x = *state;

	x->pair.b.daemon.self.without = WIRE_FEATURE_ZSTD;
	begun(x, 1);
	raw_send(x->raw, WIRE_PACKED, 1, x->buf, packed(x, &one_page, 0x42, x->buf));
	raw_refused(x->raw, "PACKED, which wasn't agreed on");
}

/* Extents of zeros cost nothing to send: no more of them are taken than were announced. */
static void zeros_are_counted(void **state)
{
	struct cptdev_extent e = { .addr = FAKE_BASE, .len = 2 * 4096, .kind = WIRE_EXTENT_ZERO };
	struct fixture *x = *state;

	begun(x, 1);
	x->w.len = 0;
	data_head_encode(&x->w, 1);
	extent_encode(&x->w, &e);
	raw_send_w(x->raw, WIRE_DATA, 1, &x->w);
	commit(x, 1, 1);
	raw_refused(x->raw, "COMMIT after 2 pages, BEGIN said 1");
}

/*
 * Changes within pages
 */

/* One page of them, from @old to @old with a byte more. */
static void runs(struct fixture *x, u64 addr, u8 old)
{
	struct cptdev_extent e = { .addr = addr, .len = 4096, .kind = WIRE_EXTENT_RUNS };
	u8 a[4096], b[4096];

	memset(a, old, sizeof(a));
	memcpy(b, a, sizeof(b));
	b[1000]++;
	x->w.len = 0;
	data_head_encode(&x->w, 1);
	extent_encode(&x->w, &e);
	write_room(&x->w, runs_encode(a, b, 4096, x->w.p + x->w.len));
	raw_send_w(x->raw, WIRE_DATA, 1, &x->w);
}

/* Generation 1 has one page, of 0x11. */
static void first(struct fixture *x)
{
	begun(x, 1);
	data_page(x, 1, FAKE_BASE);
	commit(x, 1, 1);
	assert_true(raw_receive(x->raw));
	assert_int_equal(x->raw->frame.type, WIRE_COMMITTED);
}

static void second(struct fixture *x, u64 base, u64 generation)
{
	struct msg_begin m = {
		.generation = generation, .base = base, .term = 1, .segments = 1, .pages = 1,
	};

	x->w.len = 0;
	begin_encode(&x->w, &m);
	raw_send_w(x->raw, WIRE_BEGIN, 1, &x->w);
	layout(x, 1, FAKE_BASE, 1000);
}

static void changes_are_applied(void **state)
{
	struct fixture *x = *state;
	struct soft_replica *r;

	first(x);
	second(x, 1, 2);
	runs(x, FAKE_BASE, 0x11);
	commit(x, 1, 2);
	assert_true(raw_receive(x->raw));
	assert_int_equal(x->raw->frame.type, WIRE_COMMITTED);
	r = fake_replica(&x->pair.b.fake, "kv");
	assert_int_equal(fake_page(r, 0)[1000], 0x12);
	assert_int_equal(fake_page(r, 0)[1001], 0x11);
}

static void changes_fail(struct fixture *x, u64 generation, const char *words)
{
	struct msg_failed m;
	struct fault f;

	assert_true(raw_receive(x->raw));
	assert_int_equal(x->raw->frame.type, WIRE_FAILED);
	assert_int_equal(failed_decode(x->raw->payload, x->raw->frame.length, &m, &f), 0);
	assert_int_equal(m.fault.code, WIRE_E_BASE);
	assert_int_equal(m.generation, generation);
	if (!strstr(m.fault.text, words))
		fail_msg("'%s' doesn't say '%s'", m.fault.text, words);
	assert_int_equal(fake_replica(&x->pair.b.fake, "kv")->rec.generation, 1);
}

/* That is no crime, the page may have been lost; the session begins anew, the link stays. */
static void changes_of_another_page_fail(void **state)
{
	struct fixture *x = *state;

	first(x);
	second(x, 1, 2);
	runs(x, FAKE_BASE, 0x10);
	changes_fail(x, 2, "for another page than the replica on the spare has at 0x10000000");
	session(x, 1, "kv");
	second(x, 1, 2);
	runs(x, FAKE_BASE + 4096, 0x11);
	changes_fail(x, 2, "at 0x10001000");
	session(x, 1, "kv");
	second(x, 1, 2);
	data_page(x, 1, FAKE_BASE);
	commit(x, 1, 2);
	assert_true(raw_receive(x->raw));
	assert_int_equal(x->raw->frame.type, WIRE_COMMITTED);
}

/* The page would be right, but nothing says so: what BEGIN goes on from isn't what is there. */
static void changes_of_another_generation_fail(void **state)
{
	struct fixture *x = *state;

	first(x);
	second(x, 0, 3);
	runs(x, FAKE_BASE, 0x11);
	changes_fail(x, 3, "pages of generation 0, the replica on the spare has 1");
}

static void changes_have_to_be_agreed_on(void **state)
{
	struct fixture *x = *state;

	x->pair.b.daemon.self.without = WIRE_FEATURE_SUBPAGE;
	first(x);
	second(x, 1, 2);
	runs(x, FAKE_BASE, 0x11);
	raw_refused(x->raw, "is of kind 4");
}

/* The rules are kept: it works. Otherwise the rest would prove nothing. */
static void a_good_peer_is_served(void **state)
{
	struct fixture *x = *state;

	up(x);
	session(x, 1, "kv");
	begin(x, 1, 1, 1, 1);
	layout(x, 1, FAKE_BASE, 2);
	data_page(x, 1, FAKE_BASE + 4096);
	commit(x, 1, 1);
	assert_true(raw_receive(x->raw));
	assert_int_equal(x->raw->frame.type, WIRE_COMMITTED);
	assert_int_equal(fake_replica(&x->pair.b.fake, "kv")->rec.generation, 1);
}

/*
 * The handshake
 */

static void noise_is_refused(void **state)
{
	struct fixture *x = *state;

	raw_bytes(x->raw, "GET /index.html HTTP/1.1\r\nHost: spare\r\n\r\n", 40);
	raw_refused(x->raw, "not a frame");
}

static void nothing_comes_before_hello(void **state)
{
	struct fixture *x = *state;
	struct msg_session m = { .term = 1, .name = "kv" };

	session_encode(&x->w, &m);
	raw_send_w(x->raw, WIRE_SESSION, 1, &x->w);
	raw_refused(x->raw, "CHANNEL while GREETING");
	assert_null(fake_replica(&x->pair.b.fake, "kv"));
}

static void a_long_hello_is_refused_at_its_header(void **state)
{
	struct fixture *x = *state;
	struct frame f = { .type = WIRE_HELLO, .length = WIRE_GREETING_MAX + 1,
			   .sequence = 1 };
	u8 head[WIRE_HEADER_LEN];

	frame_encode(head, &f);
	raw_bytes(x->raw, head, sizeof(head));
	raw_refused(x->raw, "at most 4096");
}

static void starttls_is_not_supported(void **state)
{
	struct fixture *x = *state;

	raw_send(x->raw, WIRE_STARTTLS, 0, NULL, 0);
	raw_refused(x->raw, "STARTTLS isn't supported");
	assert_int_equal(x->raw->refuse.fault.code, WIRE_E_FEATURE);
}

static void hello_is_said_once(void **state)
{
	struct fixture *x = *state;

	up(x);
	raw_send(x->raw, WIRE_HELLO, 0, NULL, 0);
	raw_refused(x->raw, "HELLO while UP");
}

static void the_other_sides_frames_are_refused(void **state)
{
	struct fixture *x = *state;

	up(x);
	raw_send(x->raw, WIRE_COMMITTED, 1, NULL, 0);
	raw_refused(x->raw, "COMMITTED from the shipping side");
}

static void another_node_doesnt_take_the_place(void **state)
{
	struct fixture *x = *state;
	struct raw *second;
	struct node self = { .page_size = 4096, .heartbeat_ms = 10, .timeout_ms = 100,
			     .name = "gamma", .uuid = { 3 } };
	struct hello m;

	up(x);
	second = raw_connect(&x->pair, x->pair.b.conf.listen_port);
	hello_make(&m, &self);
	hello_encode(&x->w, &m);
	raw_send_w(second, WIRE_HELLO, 0, &x->w);
	raw_refused(second, "another node, alpha, is linked here");
	raw_close(second);
	session(x, 1, "kv");
}

static void a_wrong_name_is_refused(void **state)
{
	struct fixture *x = *state;
	struct node self = { .page_size = 4096, .heartbeat_ms = 10, .timeout_ms = 100,
			     .name = "gamma", .uuid = { 3 } };
	struct hello m;

	strcpy(x->pair.b.daemon.conf.peers[0].name, "alpha");
	hello_make(&m, &self);
	hello_encode(&x->w, &m);
	raw_send_w(x->raw, WIRE_HELLO, 0, &x->w);
	raw_refused(x->raw, "alpha is expected here");
}

/* Only the peer's address may connect, unless it is said otherwise. */
static void strangers_are_closed_at_once(void **state)
{
	struct fixture *x = *state;
	struct sockaddr_in *in = (struct sockaddr_in *)&x->pair.b.daemon.conf.peers[0].addr;
	struct raw *second;

	x->pair.b.daemon.conf.allow = ALLOW_PEER;
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(0xc0000202);
	second = raw_connect(&x->pair, x->pair.b.conf.listen_port);
	assert_false(raw_receive(second));
	raw_close(second);
}

static void silent_strangers_dont_lock_others_out(void **state)
{
	struct fixture *x = *state;
	struct raw *crowd[40];
	u32 i, n = 0;
	struct in *in;

	for (i = 0; i < ARRAY_SIZE(crowd); i++) {
		crowd[i] = raw_connect(&x->pair, x->pair.b.conf.listen_port);
		pair_run(&x->pair, 2);
	}
	LIST_FOREACH(in, &x->pair.b.daemon.ins, entry)
		n++;
	assert_in_range(n, 1, 8);
	raw_greet(crowd[ARRAY_SIZE(crowd) - 1], "alpha");
	for (i = 0; i < ARRAY_SIZE(crowd); i++)
		raw_close(crowd[i]);
}

/*
 * Frames
 */

static void a_damaged_frame_is_refused(void **state)
{
	struct fixture *x = *state;
	u8 head[WIRE_HEADER_LEN];
	struct frame f = { .type = WIRE_BYE, .sequence = 2, .checksum = 12345 };

	up(x);
	frame_encode(head, &f);
	raw_bytes(x->raw, head, sizeof(head));
	raw_refused(x->raw, "BYE number 2 on channel 0: wrong checksum");
	assert_int_equal(x->raw->refuse.fault.code, WIRE_E_CHECKSUM);
}

static void a_lost_or_repeated_frame_is_noticed(void **state)
{
	struct fixture *x = *state;

	up(x);
	x->raw->out++;
	raw_send(x->raw, WIRE_BYE, 0, NULL, 0);
	raw_refused(x->raw, "frame number 3, expected 2");
}

static void a_frame_that_is_too_long_is_refused(void **state)
{
	struct fixture *x = *state;
	u8 head[WIRE_HEADER_LEN];
	struct frame f = { .type = WIRE_DATA, .channel = 1, .sequence = 2,
			   .length = WIRE_PAYLOAD_MAX + 1 };

	up(x);
	frame_encode(head, &f);
	raw_bytes(x->raw, head, sizeof(head));
	raw_refused(x->raw, "at most 1228800");
}

/*
 * Ends
 */

/* As a version that doesn't know how sessions end. */
static void up_without_ends(struct fixture *x)
{
	struct node self = {
		.page_size = 4096, .heartbeat_ms = 100, .timeout_ms = 60000, .name = "alpha",
		.uuid = "alpha",
	};
	struct hello m;

	hello_make(&m, &self);
	m.offered &= ~WIRE_FEATURE_END;
	x->w.len = 0;
	hello_encode(&x->w, &m);
	raw_send_w(x->raw, WIRE_HELLO, 0, &x->w);
	assert_true(raw_receive(x->raw));
	assert_int_equal(x->raw->frame.type, WIRE_WELCOME);
}

static void ended(struct fixture *x, u8 uuid, u32 how)
{
	struct msg_ended m = { .term = 1, .how = how, .name = "kv", .text = "ended" };

	memset(m.uuid, uuid, sizeof(m.uuid));
	x->w.len = 0;
	ended_encode(&x->w, &m);
	raw_send_w(x->raw, WIRE_ENDED, 0, &x->w);
}

static bool feeds(struct fixture *x)
{
	pair_run(&x->pair, 20);
	return !LIST_EMPTY(&host_peer(&x->pair.b)->feeds);
}

/* Whoever knows no reasons says GONE for an end in order alone. */
static void a_channel_that_is_closed_by_an_old_peer(void **state)
{
	struct fixture *x = *state;

	up_without_ends(x);
	session(x, 1, "kv");
	assert_true(feeds(x));
	raw_send(x->raw, WIRE_GONE, 1, NULL, 0);
	assert_false(feeds(x));
	ended(x, 0x77, 1);
	raw_refused(x->raw, "ENDED, which wasn't agreed on");
}

static void a_channel_that_is_closed_is_no_end(void **state)
{
	struct fixture *x = *state;

	up(x);
	session(x, 1, "kv");
	raw_send(x->raw, WIRE_GONE, 1, NULL, 0);
	assert_true(feeds(x));
	/* Nor is that of another session, or of a name that nobody knows. */
	ended(x, 0x78, 1);
	assert_true(feeds(x));
	assert_false(record_of(&x->pair.b.daemon, "kv")->ended);
	ended(x, 0x77, 1);
	assert_false(feeds(x));
	assert_true(record_of(&x->pair.b.daemon, "kv")->ended);
}

/*
 * Sessions
 */

static void a_channel_has_to_be_opened(void **state)
{
	struct fixture *x = *state;

	up(x);
	begin(x, 5, 1, 1, 1);
	raw_refused(x->raw, "BEGIN on channel 5, which isn't open");
}

static void there_are_so_many_sessions_and_no_more(void **state)
{
	struct fixture *x = *state;
	struct msg_state m;
	struct fault f;
	char name[16];
	u32 i;

	up(x);
	for (i = 1; i <= 16; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		session(x, i, name);
	}
	/* Refused, as any session can be; the others go on. */
	session(x, 17, "s17");
	assert_int_equal(state_decode(x->raw->payload, x->raw->frame.length, &m, &f), 0);
	assert_int_equal(m.fault.code, WIRE_E_LIMIT);
	assert_non_null(strstr(m.fault.text, "max_sessions = 16"));
	assert_int_equal(host_peer(&x->pair.b)->in->nr_channels, 16);
	raw_send(x->raw, WIRE_GONE, 17, NULL, 0);
	session(x, 16, "s16");
	/* Its channel was never opened. */
	begin(x, 17, 1, 1, 1);
	raw_refused(x->raw, "BEGIN on channel 17, which isn't open");
}

static void pages_before_begin_are_refused(void **state)
{
	struct fixture *x = *state;

	up(x);
	session(x, 1, "kv");
	data_page(x, 1, FAKE_BASE);
	raw_refused(x->raw, "DATA while READY");
}

static void a_second_begin_is_refused(void **state)
{
	struct fixture *x = *state;

	up(x);
	session(x, 1, "kv");
	begin(x, 1, 1, 1, 1);
	begin(x, 1, 1, 1, 1);
	raw_refused(x->raw, "BEGIN while COLLECTING");
}

static void two_heads_at_once_are_refused(void **state)
{
	struct fixture *x = *state;

	up(x);
	session(x, 1, "kv");
	session(x, 2, "other");
	begin(x, 1, 1, 1, 1);
	begin(x, 2, 1, 1, 1);
	raw_refused(x->raw, "BEGIN on channel 2 while that of channel 1");
}

static void more_layout_than_announced_is_refused(void **state)
{
	struct fixture *x = *state;
	struct cptdev_segment s = { .addr = 0x1000, .len = 4096, .kind = 1 };

	up(x);
	session(x, 1, "kv");
	begin(x, 1, 1, 1, 1);
	x->w.len = 0;
	segment_encode(&x->w, &s);
	s.addr += 4096;
	segment_encode(&x->w, &s);
	raw_send_w(x->raw, WIRE_LAYOUT, 1, &x->w);
	raw_refused(x->raw, "more segments than BEGIN said");
}

static void a_layout_has_to_ascend_over_frames(void **state)
{
	struct fixture *x = *state;

	up(x);
	session(x, 1, "kv");
	begin(x, 1, 1, 2, 1);
	layout(x, 1, FAKE_BASE, 2);
	layout(x, 1, FAKE_BASE + 4096, 2);
	raw_refused(x->raw, "LAYOUT: segment");
}

static void meta_that_wasnt_announced_is_refused(void **state)
{
	struct fixture *x = *state;

	up(x);
	session(x, 1, "kv");
	begin(x, 1, 1, 1, 1);
	raw_send(x->raw, WIRE_META, 1, "x", 1);
	raw_refused(x->raw, "META before the layout");
}

static void extents_have_to_ascend_over_frames(void **state)
{
	struct fixture *x = *state;

	up(x);
	session(x, 1, "kv");
	begin(x, 1, 1, 1, 2);
	layout(x, 1, FAKE_BASE, 2);
	data_page(x, 1, FAKE_BASE + 4096);
	data_page(x, 1, FAKE_BASE);
	raw_refused(x->raw, "DATA: extent");
}

static void a_commit_of_another_generation_is_refused(void **state)
{
	struct fixture *x = *state;

	up(x);
	session(x, 1, "kv");
	begin(x, 1, 1, 1, 0);
	layout(x, 1, FAKE_BASE, 2);
	commit(x, 1, 2);
	raw_refused(x->raw, "COMMIT of generation 2, 1 was begun");
}

static void a_commit_with_pages_missing_is_refused(void **state)
{
	struct fixture *x = *state;

	up(x);
	session(x, 1, "kv");
	begin(x, 1, 1, 1, 2);
	layout(x, 1, FAKE_BASE, 2);
	data_page(x, 1, FAKE_BASE);
	commit(x, 1, 1);
	raw_refused(x->raw, "COMMIT after 1 pages, BEGIN said 2");
	assert_int_equal(fake_replica(&x->pair.b.fake, "kv")->rec.generation, 0);
}

static void a_term_that_changes_is_refused(void **state)
{
	struct fixture *x = *state;
	struct msg_begin m = { .generation = 1, .term = 99 };

	up(x);
	session(x, 1, "kv");
	x->w.len = 0;
	begin_encode(&x->w, &m);
	raw_send_w(x->raw, WIRE_BEGIN, 1, &x->w);
	raw_refused(x->raw, "BEGIN with term 99");
}

/* A further part of the delta on channel 1. */
static void part(struct fixture *x, u64 base, u64 generation)
{
	struct msg_begin m = {
		.generation = generation, .base = base, .term = 1, .segments = 1, .pages = 1,
		.flags = WIRE_BEGIN_CONTINUE,
	};

	x->w.len = 0;
	begin_encode(&x->w, &m);
	raw_send_w(x->raw, WIRE_BEGIN, 1, &x->w);
}

static void a_delta_may_come_in_parts(void **state)
{
	struct fixture *x = *state;

	begun(x, 1);
	data_page(x, 1, FAKE_BASE);
	part(x, 0, 5);
	layout(x, 1, FAKE_BASE, 1000);
	data_page(x, 1, FAKE_BASE + 4096);
	commit(x, 1, 5);
	assert_true(raw_receive(x->raw));
	assert_int_equal(x->raw->frame.type, WIRE_COMMITTED);
	assert_non_null(fake_page(fake_replica(&x->pair.b.fake, "kv"), 0));
	assert_non_null(fake_page(fake_replica(&x->pair.b.fake, "kv"), 1));
}

static void a_part_of_nothing_is_refused(void **state)
{
	struct fixture *x = *state;

	up(x);
	session(x, 1, "kv");
	part(x, 0, 5);
	raw_refused(x->raw, "continues what hasn't begun");
}

static void a_part_of_changes_is_refused(void **state)
{
	struct fixture *x = *state;

	first(x);
	second(x, 1, 2);
	data_page(x, 1, FAKE_BASE);
	part(x, 0, 5);
	raw_refused(x->raw, "continues what hasn't begun");
}

static void a_part_with_a_base_is_refused(void **state)
{
	struct fixture *x = *state;

	begun(x, 1);
	data_page(x, 1, FAKE_BASE);
	part(x, 3, 5);
	raw_refused(x->raw, "base of a part");
}

static void a_part_after_missing_pages_is_refused(void **state)
{
	struct fixture *x = *state;

	begun(x, 2);
	data_page(x, 1, FAKE_BASE);
	part(x, 0, 5);
	raw_refused(x->raw, "the next part after 1 pages, BEGIN said 2");
}

static void a_part_that_wasnt_agreed_on_is_refused(void **state)
{
	struct fixture *x = *state;

	x->pair.b.daemon.self.without = WIRE_FEATURE_ROUNDS;
	begun(x, 1);
	data_page(x, 1, FAKE_BASE);
	part(x, 0, 5);
	raw_refused(x->raw, "which wasn't agreed on");
}

/* A refusal of the kernel's isn't the peer's fault: the link stays. */
static void pages_outside_the_layout_fail_the_delta_only(void **state)
{
	struct fixture *x = *state;
	struct msg_failed m;
	struct fault f;

	up(x);
	session(x, 1, "kv");
	begin(x, 1, 1, 1, 1);
	layout(x, 1, FAKE_BASE, 2);
	data_page(x, 1, FAKE_BASE + 10 * 4096);
	commit(x, 1, 1);
	assert_true(raw_receive(x->raw));
	assert_int_equal(x->raw->frame.type, WIRE_FAILED);
	assert_int_equal(failed_decode(x->raw->payload, x->raw->frame.length, &m, &f), 0);
	assert_int_equal(m.generation, 1);
	assert_int_equal(m.fault.code, WIRE_E_KERNEL);
	session(x, 1, "kv");
}

static void a_gap_fails_the_delta_only(void **state)
{
	struct fixture *x = *state;
	struct msg_failed m;
	struct fault f;

	up(x);
	session(x, 1, "kv");
	begin(x, 1, 5, 1, 1);
	layout(x, 1, FAKE_BASE, 2);
	assert_true(raw_receive(x->raw));
	assert_int_equal(x->raw->frame.type, WIRE_FAILED);
	assert_int_equal(failed_decode(x->raw->payload, x->raw->frame.length, &m, &f), 0);
	assert_int_equal(m.fault.code, WIRE_E_GAP);
	session(x, 1, "kv");
}

/* Who asks and never listens is not listened to for ever. */
static void answers_that_nobody_reads_are_bounded(void **state)
{
	struct fixture *x = *state;
	struct msg_session m = { .term = 1, .uid = 7, .name = "kv" };
	struct conn *c;
	u32 i;

	up(x);
	session_encode(&x->w, &m);
	c = LIST_FIRST(&x->pair.b.daemon.ins)->conn;
	for (i = 0; i < 300000; i++) {
		struct frame f = { .type = WIRE_SESSION, .length = x->w.len,
				   .channel = 1, .sequence = ++x->raw->out };
		u8 bytes[256];

		frame_encode(bytes, &f);
		memcpy(bytes + WIRE_HEADER_LEN, x->w.p, x->w.len);
		f.checksum = frame_checksum(x->raw->hash, bytes, x->w.p, x->w.len, NULL, 0);
		frame_encode(bytes, &f);
		if (send(x->raw->fd, bytes, WIRE_HEADER_LEN + x->w.len, MSG_DONTWAIT) < 0)
			break;
		if (i % 64 == 0)
			pair_run(&x->pair, 0);
	}
	pair_run(&x->pair, 20);
	assert_in_range(c->queued, 60000, 70000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(a_page_that_changes_on_the_way_is_noticed),
		T(so_is_its_last_byte),
		T(and_its_address),
		T(a_page_for_a_node_that_knows_no_blocks),
		T(which_notices_as_well),
		T(blocks_that_were_not_agreed_on_are_refused),
		T(a_packed_page_arrives),
		T(a_packed_frame_that_lies_is_refused),
		T(the_content_of_a_packed_frame_is_checked),
		T(a_packed_frame_has_its_place),
		T(a_packed_frame_has_to_be_agreed_on),
		T(zeros_are_counted),
		T(changes_are_applied),
		T(changes_of_another_page_fail),
		T(changes_of_another_generation_fail),
		T(changes_have_to_be_agreed_on),
		T(a_good_peer_is_served),
		T(noise_is_refused),
		T(nothing_comes_before_hello),
		T(a_long_hello_is_refused_at_its_header),
		T(starttls_is_not_supported),
		T(hello_is_said_once),
		T(the_other_sides_frames_are_refused),
		T(another_node_doesnt_take_the_place),
		T(a_wrong_name_is_refused),
		T(strangers_are_closed_at_once),
		T(silent_strangers_dont_lock_others_out),
		T(a_damaged_frame_is_refused),
		T(a_lost_or_repeated_frame_is_noticed),
		T(a_frame_that_is_too_long_is_refused),
		T(a_channel_that_is_closed_by_an_old_peer),
		T(a_channel_that_is_closed_is_no_end),
		T(a_channel_has_to_be_opened),
		T(there_are_so_many_sessions_and_no_more),
		T(pages_before_begin_are_refused),
		T(a_second_begin_is_refused),
		T(two_heads_at_once_are_refused),
		T(more_layout_than_announced_is_refused),
		T(a_layout_has_to_ascend_over_frames),
		T(meta_that_wasnt_announced_is_refused),
		T(extents_have_to_ascend_over_frames),
		T(a_commit_of_another_generation_is_refused),
		T(a_commit_with_pages_missing_is_refused),
		T(a_term_that_changes_is_refused),
		T(a_delta_may_come_in_parts),
		T(a_part_of_nothing_is_refused),
		T(a_part_of_changes_is_refused),
		T(a_part_with_a_base_is_refused),
		T(a_part_after_missing_pages_is_refused),
		T(a_part_that_wasnt_agreed_on_is_refused),
		T(pages_outside_the_layout_fail_the_delta_only),
		T(a_gap_fails_the_delta_only),
		T(answers_that_nobody_reads_are_bounded),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("hostile senders", tests, NULL, NULL);
}
