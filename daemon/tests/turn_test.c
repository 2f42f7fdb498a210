// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One turn of a connection is bounded by the pages that its frames were made from, or are about, not only
 * by the bytes on the wire: pages that are alike take next to none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "conn.h"
#include "loop.h"
#include "wire.h"

#define ENOUGH	64U
#define TURN	(4U << 20)

struct sender {
	unsigned int frames;
	size_t spends;			/* for each frame */
};

struct receiver {
	unsigned int frames;
	size_t takes;			/* for each frame */
};

/* A frame without content, of which there are always more; up to ENOUGH. */
static bool pull(struct conn *c)
{
	struct sender *s = c->owner;

	if (s->frames == ENOUGH)
		return false;
	conn_frame(c);
	conn_frame_end(c, WIRE_COMMIT, 1);
	c->spent += s->spends;
	s->frames++;
	return true;
}

static int frame(struct conn *c, const struct frame *f, const u8 *payload)
{
	(void)c;
	(void)f;
	(void)payload;
	return 0;
}

static void ended(struct conn *c, enum conn_end end)
{
	(void)c;
	(void)end;
}

static const struct conn_ops ops = { .frame = frame, .pull = pull, .end = ended };

/* Frames of one turn. */
static unsigned int frames_of_a_turn(size_t spends, unsigned int turns)
{
	struct sender s = { .spends = spends };
	struct conn *c;
	struct loop l;
	int fd[2];

	assert_int_equal(loop_open(&l), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	c = conn_new(&l, fd[0], &ops, &s);
	assert_non_null(c);
	assert_int_equal(conn_up(c), 0);
	while (turns--)
		conn_write(c);
	conn_close(c);
	loop_close(&l);
	close(fd[1]);
	return s.frames;
}

static void a_turn_ends_after_so_many_pages(void **state)
{
	(void)state;
	assert_int_equal(frames_of_a_turn(CONN_DATA_MAX, 1), TURN / CONN_DATA_MAX);
}

static void the_next_turn_goes_on(void **state)
{
	(void)state;
	assert_int_equal(frames_of_a_turn(CONN_DATA_MAX, 2), 2 * TURN / CONN_DATA_MAX);
}

static void frames_without_pages_cost_nothing(void **state)
{
	(void)state;
	assert_int_equal(frames_of_a_turn(0, 1), ENOUGH);
}

/*
 * Receiving
 */

static int frame_taken(struct conn *c, const struct frame *f, const u8 *payload)
{
	struct receiver *r = c->owner;

	(void)f;
	(void)payload;
	c->taken += r->takes;
	r->frames++;
	return 0;
}

static bool pull_nothing(struct conn *c)
{
	(void)c;
	return false;
}

static const struct conn_ops receiver_ops = {
	.frame = frame_taken, .pull = pull_nothing, .end = ended,
};

struct both {
	struct loop l;			/* the receiver's */
	struct loop other;
	struct sender s;
	struct receiver r;
	struct conn *from, *to;
};

/* All frames are on their way to @b->to, which has heard nothing yet. */
static void both_open(struct both *b, size_t takes)
{
	int fd[2];

	*b = (struct both) { .r.takes = takes };
	assert_int_equal(loop_open(&b->l) | loop_open(&b->other), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	b->from = conn_new(&b->other, fd[0], &ops, &b->s);
	b->to = conn_new(&b->l, fd[1], &receiver_ops, &b->r);
	assert_true(b->from && b->to);
	assert_int_equal(conn_up(b->from) | conn_up(b->to), 0);
	conn_write(b->from);
	assert_int_equal(b->s.frames, ENOUGH);
}

static void both_close(struct both *b)
{
	conn_close(b->from);
	conn_close(b->to);
	loop_close(&b->l);
	loop_close(&b->other);
}

static void so_many_pages_are_taken_in_a_turn(void **state)
{
	struct both b;

	(void)state;
	both_open(&b, CONN_DATA_MAX);
	conn_read(b.to);
	assert_int_equal(b.r.frames, TURN / CONN_DATA_MAX);
	conn_read(b.to);
	assert_int_equal(b.r.frames, 2 * TURN / CONN_DATA_MAX);
	both_close(&b);
}

/* Nothing else comes: what is in the buffer is taken without that. */
static void the_rest_is_not_forgotten(void **state)
{
	struct both b;
	unsigned int i;

	(void)state;
	both_open(&b, CONN_DATA_MAX);
	for (i = 0; i < 2 * ENOUGH && b.r.frames < ENOUGH; i++)
		assert_int_equal(loop_turn(&b.l, 100), 0);
	assert_int_equal(b.r.frames, ENOUGH);
	both_close(&b);
}

/* While this side can't send, too. */
static void nor_by_one_that_cannot_send(void **state)
{
	u8 junk[4096] = {};
	unsigned int i;
	struct both b;

	(void)state;
	both_open(&b, CONN_DATA_MAX);
	while (send(b.to->fd, junk, sizeof(junk), MSG_NOSIGNAL) > 0)
		;
	b.to->blocked = true;
	for (i = 0; i < 2 * ENOUGH && b.r.frames < ENOUGH; i++)
		assert_int_equal(loop_turn(&b.l, 100), 0);
	assert_int_equal(b.r.frames, ENOUGH);
	both_close(&b);
}

static void frames_about_nothing_are_taken_at_once(void **state)
{
	struct both b;

	(void)state;
	both_open(&b, 0);
	conn_read(b.to);
	assert_int_equal(b.r.frames, ENOUGH);
	both_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_turn_ends_after_so_many_pages),
		cmocka_unit_test(the_next_turn_goes_on),
		cmocka_unit_test(frames_without_pages_cost_nothing),
		cmocka_unit_test(so_many_pages_are_taken_in_a_turn),
		cmocka_unit_test(the_rest_is_not_forgotten),
		cmocka_unit_test(nor_by_one_that_cannot_send),
		cmocka_unit_test(frames_about_nothing_are_taken_at_once),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
