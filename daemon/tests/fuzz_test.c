// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Frames that were changed at random: decoders must not read where nothing is, and the
 * daemon must stay on its feet. The same seed gives the same frames; FUZZ_ROUNDS and
 * FUZZ_SEED in the environment change both.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fetch_frame.h"
#include "greeting.h"
#include "image.h"
#include "pack.h"
#include "random.h"
#include "raw.h"
#include "runs.h"

#define ROUNDS		1000000ULL
#define LIVE_ROUNDS	20000ULL
#define PAGES		2U

static u64 env(const char *name, u64 otherwise)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 0) : otherwise;
}

/*
 * A good frame of each type
 */

struct sample {
	u16 type;
	u32 len;
	u8 bytes[WIRE_DATA_HEAD_LEN + 5 * WIRE_EXTENT_LEN + PAGES * 4096 + 2048];
};

static struct sample samples[24];
static u32 nr_samples;

static struct writer *sample(u16 type)
{
	static struct writer w;
	struct sample *s = &samples[nr_samples++];

	s->type = type;
	w = (struct writer) { .p = s->bytes, .cap = sizeof(s->bytes) };
	return &w;
}

static void sample_end(const struct writer *w)
{
	assert_false(w->full);
	samples[nr_samples - 1].len = w->len;
}

#define SAMPLE(type, call)						\
	do {								\
		struct writer *w = sample(type);			\
		call;							\
		sample_end(w);						\
	} while (0)

static void sample_data(struct writer *w)
{
	struct cptdev_extent e[] = {
		{ .addr = FAKE_BASE, .len = 4096, .kind = CPTDEV_EXTENT_DATA },
		{ .addr = FAKE_BASE + 4096, .len = 8192, .kind = CPTDEV_EXTENT_HOLE },
		{ .addr = FAKE_BASE + 3 * 4096, .len = 4096, .kind = CPTDEV_EXTENT_DATA },
		{ .addr = FAKE_BASE + 4 * 4096, .len = 4096, .kind = WIRE_EXTENT_ZERO },
		{ .addr = FAKE_BASE + 5 * 4096, .len = 4096, .kind = WIRE_EXTENT_RUNS },
	};
	static u8 old[4096], new[4096];
	u32 i;

	data_head_encode(w, ARRAY_SIZE(e));
	for (i = 0; i < ARRAY_SIZE(e); i++)
		extent_encode(w, &e[i]);
	memset(write_room(w, PAGES * 4096), 0x42, PAGES * 4096);
	memset(old, 0x42, sizeof(old));
	memset(new, 0x42, sizeof(new));
	new[100] = new[3000] = 0x43;
	write_room(w, runs_encode(old, new, 4096, w->p + w->len));
}

static void sample_packed(struct writer *w)
{
	static u8 data[sizeof(samples[0].bytes)];
	struct writer plain = { .p = data, .cap = sizeof(data) };
	static struct pack pack;
	const u8 *to;
	size_t n;

	sample_data(&plain);
	n = pack_encode(&pack, data, plain.len, plain.len - 1, &to);
	write_copy(w, to, n);
	pack_free(&pack);
}

static void sample_layout(struct writer *w)
{
	struct cptdev_segment seg = {
		.addr = FAKE_BASE, .len = 8 * 4096, .kind = CPTDEV_SEGMENT_ANON,
	};

	segment_encode(w, &seg);
}

static void sample_pages(struct writer *w)
{
	struct msg_pages m = { .what = WIRE_READ_LIST, .addr = FAKE_BASE, .nr = 1 };

	pages_encode(w, &m);
	write_u64(w, FAKE_BASE);
	write_u64(w, 4096);
}

static int make_samples(void **state)
{
	struct node self = { .uuid = { 1 }, .name = "alpha", .page_size = 4096,
			     .heartbeat_ms = 100, .timeout_ms = 1000 };
	struct hello hello;
	struct welcome welcome = { .node = self, .version = 1 };
	struct msg_session session = { .term = 1, .name = "kv" };
	struct msg_state st = { .fault = { WIRE_E_OTHER, "text" } };
	struct msg_begin begin = { .generation = 1, .term = 1, .segments = 1,
				   .meta_len = 4, .pages = PAGES + 2 };
	struct msg_refuse refuse = { { WIRE_E_LIMIT, "text" } };
	struct msg_failed failed = { 1, { WIRE_E_GAP, "text" } };
	struct msg_committed done = { 1, 2 };
	struct msg_heartbeat beat = { 1, 2, 3 };
	struct msg_term term = { .term = 2, .name = "kv" };
	struct msg_ended ended = { .term = 2, .how = 2, .name = "kv", .text = "text" };
	struct msg_fetch fetch = { .term = 2, .id = 1, .what = WIRE_FETCH_TAKE, .name = "kv" };
	struct msg_fetch_state lent = { .term = 2, .id = 1, .generation = 1, .name = "kv" };
	struct msg_read read_ = { .what = WIRE_READ_PAGES, .addr = FAKE_BASE, .len = 4096 };

	(void)state;
	hello_make(&hello, &self);
	SAMPLE(WIRE_HELLO, hello_encode(w, &hello));
	SAMPLE(WIRE_WELCOME, welcome_encode(w, &welcome));
	SAMPLE(WIRE_REFUSE, refuse_encode(w, &refuse));
	SAMPLE(WIRE_HEARTBEAT, heartbeat_encode(w, &beat));
	SAMPLE(WIRE_SESSION, session_encode(w, &session));
	SAMPLE(WIRE_SESSION_STATE, state_encode(w, &st));
	SAMPLE(WIRE_BEGIN, begin_encode(w, &begin));
	SAMPLE(WIRE_LAYOUT, sample_layout(w));
	SAMPLE(WIRE_META, write_u32(w, 0x61746d65));
	SAMPLE(WIRE_DATA, sample_data(w));
	SAMPLE(WIRE_PACKED, sample_packed(w));
	SAMPLE(WIRE_COMMIT, commit_encode(w, 1));
	SAMPLE(WIRE_COMMITTED, committed_encode(w, &done));
	SAMPLE(WIRE_FAILED, failed_encode(w, &failed));
	SAMPLE(WIRE_TERM, term_encode(w, &term));
	SAMPLE(WIRE_ENDED, ended_encode(w, &ended));
	SAMPLE(WIRE_FETCH, fetch_encode(w, &fetch));
	SAMPLE(WIRE_FETCH_STATE, fetch_state_encode(w, &lent));
	SAMPLE(WIRE_READ, read_encode(w, &read_));
	SAMPLE(WIRE_PAGES, sample_pages(w));
	return 0;
}

/* A few bytes changed, or bits, or the length; interesting numbers more often. */
static u32 mutate(u8 *p, u32 len, u32 cap)
{
	static const u8 special[] = { 0, 1, 0x7f, 0x80, 0xff };
	u32 n = 1 + rnd(4), at;

	while (n--) {
		at = len ? rnd(len) : 0;
		switch (len ? rnd(5) : 4) {
		case 0:
			p[at] ^= 1 << rnd(8);
			break;
		case 1:
			p[at] = special[rnd(sizeof(special))];
			break;
		case 2:
			p[at] = rnd(256);
			break;
		case 3:
			len = rnd(len + 1);
			break;
		case 4:
			if (len < cap)
				p[len++] = rnd(256);
			break;
		}
	}
	return len;
}

/*
 * Decoders
 */

/* Whatever the changes are for, they aren't for this; and sometimes they are. */
static int old_page(void *arg, u64 addr, u8 *to, size_t len)
{
	(void)arg;
	memset(to, 0x42, len);
	return addr & 1ULL << 62 ? -1 : 0;
}

static void decode_any(u16 type, const u8 *p, u32 len)
{
	static struct cptdev_segment segs[8];
	static struct data data;
	static struct pack pack;
	const u8 *plain;
	union {
		struct hello hello;
		struct welcome welcome;
		struct msg_refuse refuse;
		struct msg_heartbeat heartbeat;
		struct msg_session session;
		struct msg_state st;
		struct msg_begin begin;
		struct msg_committed done;
		struct msg_failed failed;
		struct msg_term term;
		struct msg_ended ended;
		struct msg_fetch fetch;
		struct msg_fetch_state lent;
		struct msg_read read;
		struct msg_pages pages;
		u64 commit;
	} m;
	struct fault f;

	switch (type) {
	case WIRE_HELLO:
		hello_decode(p, len, &m.hello, &f);
		break;
	case WIRE_WELCOME:
		welcome_decode(p, len, &m.welcome, &f);
		break;
	case WIRE_REFUSE:
		refuse_decode(p, len, &m.refuse, &f);
		break;
	case WIRE_HEARTBEAT:
		heartbeat_decode(p, len, &m.heartbeat, &f);
		break;
	case WIRE_SESSION:
		session_decode(p, len, &m.session, &f);
		break;
	case WIRE_SESSION_STATE:
		state_decode(p, len, &m.st, &f);
		break;
	case WIRE_BEGIN:
		begin_decode(p, len, &m.begin, &f);
		break;
	case WIRE_LAYOUT:
		layout_decode(p, len, 4096, 0, segs, ARRAY_SIZE(segs), &f);
		break;
	case WIRE_DATA:
		if (!data_decode(p, len, 4096, 0, WIRE_FEATURES, &data, &f))
			data_expand(&data, 4096, old_page, NULL, &f);
		break;
	case WIRE_PACKED:
		pack_decode(&pack, p, len, &plain, &f);
		break;
	case WIRE_COMMIT:
		commit_decode(p, len, &m.commit, &f);
		break;
	case WIRE_COMMITTED:
		committed_decode(p, len, &m.done, &f);
		break;
	case WIRE_TERM:
		term_decode(p, len, &m.term, &f);
		break;
	case WIRE_ENDED:
		ended_decode(p, len, &m.ended, &f);
		break;
	case WIRE_FETCH:
		fetch_decode(p, len, &m.fetch, &f);
		break;
	case WIRE_FETCH_STATE:
		fetch_state_decode(p, len, &m.lent, &f);
		break;
	case WIRE_READ:
		read_decode(p, len, 4096, &m.read, &f);
		break;
	case WIRE_PAGES:
		pages_decode(p, len, 4096, &m.pages, &f);
		break;
	case WIRE_FAILED:
		failed_decode(p, len, &m.failed, &f);
		break;
	}
}

/* In a block of exactly its size, so that a sanitizer sees the first byte too many. */
static void decoders_survive(void **state)
{
	static u8 bytes[sizeof(samples[0].bytes)];
	u64 rounds = env("FUZZ_ROUNDS", ROUNDS), i;
	u8 head[WIRE_HEADER_LEN];
	struct fault fault;
	struct frame f;

	(void)state;
	rng = env("FUZZ_SEED", 0x9e3779b97f4a7c15ULL);
	for (i = 0; i < rounds; i++) {
		const struct sample *s = &samples[rnd(nr_samples)];
		u32 len;
		u8 *p;

		memcpy(bytes, s->bytes, s->len);
		len = mutate(bytes, s->len, sizeof(bytes));
		p = malloc(len);
		memcpy(p, bytes, len);
		f = (struct frame) { .type = s->type, .length = len, .sequence = 1 };
		frame_encode(head, &f);
		mutate(head, WIRE_HEADER_LEN, WIRE_HEADER_LEN);
		if (!frame_decode(head, WIRE_PAYLOAD_MAX, 1, &f, &fault))
			decode_any(f.type, p, len);
		decode_any(s->type, p, len);
		free(p);
	}
}

/*
 * The daemon
 */

static struct raw *stranger(struct pair *p)
{
	struct raw *r = raw_connect(p, p->b.conf.listen_port);

	raw_greet(r, "alpha");
	raw_send(r, WIRE_SESSION, 1, samples[4].bytes, samples[4].len);
	return r;
}

/* With right numbers and checksums, so that it is the content that is looked at. */
static void send_mutated(struct raw *r)
{
	static u8 bytes[sizeof(samples[0].bytes)];
	const struct sample *s = &samples[rnd(nr_samples)];
	u32 len = s->len;

	memcpy(bytes, s->bytes, len);
	if (rnd(3) == 0)
		len = mutate(bytes, len, sizeof(bytes));
	raw_send(r, s->type, s->type < WIRE_SESSION ? 0 : 1 + rnd(2), bytes, len);
}

static bool closed(struct raw *r)
{
	u8 byte[4096];
	ssize_t n;

	do {
		n = recv(r->fd, byte, sizeof(byte), MSG_DONTWAIT);
	} while (n > 0);
	return n == 0 || (errno != EAGAIN);
}

static void the_daemon_survives(void **state)
{
	u64 rounds = env("FUZZ_ROUNDS", LIVE_ROUNDS * 50) / 50, i, links = 0;
	struct pair *p = calloc(1, sizeof(*p));
	struct raw *r = NULL;

	(void)state;
	rng = env("FUZZ_SEED", 0x9e3779b97f4a7c15ULL);
	host_open(&p->b, "beta", free_port());
	p->b.conf.allow = ALLOW_ANY;
	p->b.conf.timeout_ms = 60000;
	host_start(&p->b);
	for (i = 0; i < rounds; i++) {
		if (!r) {
			r = stranger(p);
			links++;
		}
		send_mutated(r);
		if (closed(r)) {
			raw_close(r);
			r = NULL;
		}
	}
	if (r)
		raw_close(r);
	assert_true(links > 10);
	/* And it still serves who behaves. */
	r = stranger(p);
	do {
		/* First it tells the terms that it was told. */
		assert_true(raw_receive(r));
	} while (r->frame.type == WIRE_TERM);
	assert_int_equal(r->frame.type, WIRE_SESSION_STATE);
	raw_close(r);
	host_close(&p->b);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decoders_survive),
		cmocka_unit_test(the_daemon_survives),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("mutated frames", tests, make_samples, NULL);
}
