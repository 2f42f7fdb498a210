// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One turn of a connection that sends is bounded by the pages that its frames were made from, not only
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_turn_ends_after_so_many_pages),
		cmocka_unit_test(the_next_turn_goes_on),
		cmocka_unit_test(frames_without_pages_cost_nothing),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
