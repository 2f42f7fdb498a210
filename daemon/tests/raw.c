// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "raw.h"
#include "tcp.h"

static struct raw *raw_new(struct pair *p, int fd)
{
	struct raw *r = calloc(1, sizeof(*r));

	assert_true(fd >= 0);
	r->pair = p;
	r->fd = fd;
	r->hash = frame_hash_new();
	return r;
}

struct raw *raw_connect(struct pair *p, u16 port)
{
	struct sockaddr_storage ss = { .ss_family = AF_INET };
	struct sockaddr_in *in = (struct sockaddr_in *)&ss;

	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in->sin_port = htons(port);
	return raw_new(p, tcp_connect(&ss, 10000));
}

struct raw *raw_accept(struct pair *p, int listener)
{
	struct sockaddr_storage from;
	int fd = -1;

	WAIT_FOR(p, fd >= 0 || (fd = tcp_accept(listener, &from)) >= 0);
	return raw_new(p, fd);
}

void raw_close(struct raw *r)
{
	close(r->fd);
	frame_hash_free(r->hash);
	free(r);
}

void raw_bytes(struct raw *r, const void *p, size_t len)
{
	const char *at = p;
	ssize_t n;

	while (len) {
		n = send(r->fd, at, len, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN && errno != ENOTCONN)
			return;		/* closed: what follows will see it */
		if (n > 0) {
			at += n;
			len -= n;
		}
		pair_run(r->pair, 0);
	}
}

static u64 checksum(struct raw *r, const u8 *head, const void *payload, u32 len, u16 type)
{
	if (r->block && type == WIRE_DATA)
		return frame_checksum_blocks(r->hash, head, payload, len, r->block, NULL, 0);
	return frame_checksum(r->hash, head, payload, len, NULL, 0);
}

void raw_send(struct raw *r, u16 type, u32 channel, const void *payload, u32 len)
{
	struct frame f = {
		.type = type, .length = len, .channel = channel, .sequence = ++r->out,
	};
	u8 *bytes = malloc(WIRE_HEADER_LEN + len);

	frame_encode(bytes, &f);
	if (len)
		memcpy(bytes + WIRE_HEADER_LEN, payload, len);
	f.checksum = checksum(r, bytes, payload, len, type);
	frame_encode(bytes, &f);
	if (r->flip)
		bytes[WIRE_HEADER_LEN + r->flip / 8] ^= 1 << r->flip % 8;
	r->flip = 0;
	raw_bytes(r, bytes, WIRE_HEADER_LEN + len);
	free(bytes);
}

void raw_send_w(struct raw *r, u16 type, u32 channel, const struct writer *w)
{
	raw_send(r, type, channel, w->p, w->len);
}

static bool receive_bytes(struct raw *r, u8 *to, size_t len)
{
	u64 until = clock_mono() + WAIT_MS * NSEC_PER_MSEC;
	ssize_t n;

	while (len) {
		n = recv(r->fd, to, len, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != ENOTCONN))
			return false;
		if (n > 0) {
			to += n;
			len -= n;
			continue;
		}
		if (clock_mono() > until)
			fail_msg("nothing came");
		pair_run(r->pair, 0);
	}
	return true;
}

bool raw_receive(struct raw *r)
{
	u8 head[WIRE_HEADER_LEN];
	struct fault f;

	do {
		if (!receive_bytes(r, head, sizeof(head)))
			return false;
		if (frame_decode(head, WIRE_PAYLOAD_MAX, r->in + 1, &r->frame, &f))
			fail_msg("received: %s", f.text);
		r->in++;
		assert_true(receive_bytes(r, r->payload, r->frame.length));
		assert_true(checksum(r, head, r->payload, r->frame.length, r->frame.type) ==
			    r->frame.checksum);
	} while (r->frame.type == WIRE_HEARTBEAT);
	if (r->frame.type == WIRE_REFUSE)
		assert_int_equal(refuse_decode(r->payload, r->frame.length, &r->refuse,
					       &f), 0);
	return true;
}

void raw_greet(struct raw *r, const char *name)
{
	struct node self = {
		.page_size = 4096, .heartbeat_ms = 100, .timeout_ms = 60000,
	};
	u8 buf[256];
	struct writer w = { .p = buf, .cap = sizeof(buf) };
	struct welcome answer;
	struct fault f;
	struct hello m;

	strcpy(self.name, name);
	memcpy(self.uuid, name, strnlen(name, CPTDEV_UUID_LEN));
	hello_make(&m, &self);
	hello_encode(&w, &m);
	raw_send_w(r, WIRE_HELLO, 0, &w);
	assert_true(raw_receive(r));
	assert_int_equal(r->frame.type, WIRE_WELCOME);
	assert_int_equal(welcome_decode(r->payload, r->frame.length, &answer, &f), 0);
	r->block = answer.features & WIRE_FEATURE_BLOCKS ? self.page_size : 0;
}

void raw_refused(struct raw *r, const char *words)
{
	while (raw_receive(r) && r->frame.type != WIRE_REFUSE)
		;
	if (r->frame.type != WIRE_REFUSE)
		fail_msg("closed without a word instead of '%s'", words);
	if (!strstr(r->refuse.fault.text, words))
		fail_msg("'%s' doesn't say '%s'", r->refuse.fault.text, words);
	assert_false(raw_receive(r));
}
