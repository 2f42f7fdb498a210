// SPDX-License-Identifier: GPL-2.0-or-later
/* The state machines' tables: whole, and with the properties that matter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fsm.h"

static const struct fsm *const machines[] = {
	&fsm_outgoing, &fsm_ship, &fsm_incoming, &fsm_channel, &fsm_detector,
};

static void every_cell_is_thought_of(void **state)
{
	const struct fsm *m;
	unsigned int i, s, e;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(machines); i++) {
		m = machines[i];
		for (s = 0; s < m->nr_states; s++) {
			for (e = 0; e < m->nr_events; e++) {
				const struct fsm_cell *c = fsm_cell(m, s, e);

				if (c->action == FSM_MISSING ||
				    c->action >= FSM_OWN + m->nr_actions ||
				    c->next >= m->nr_states)
					fail_msg("%s: %s, %s: action %u, next %u",
						 m->name, m->states[s], m->events[e],
						 c->action, c->next);
			}
		}
	}
}

static void everything_has_a_name(void **state)
{
	unsigned int i, n;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(machines); i++) {
		for (n = 0; n < machines[i]->nr_states; n++)
			assert_non_null(machines[i]->states[n]);
		for (n = 0; n < machines[i]->nr_events; n++)
			assert_non_null(machines[i]->events[n]);
		for (n = 0; n < machines[i]->nr_actions; n++)
			assert_non_null(machines[i]->actions[n]);
	}
}

/* A peer that breaks the rules, or a cell that can't be, doesn't move a machine. */
static void mistakes_stay_where_they_are(void **state)
{
	unsigned int i, s, e;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(machines); i++)
		for (s = 0; s < machines[i]->nr_states; s++)
			for (e = 0; e < machines[i]->nr_events; e++) {
				const struct fsm_cell *c = fsm_cell(machines[i], s, e);

				if (c->action == FSM_VIOLATION || c->action == FSM_BUG)
					assert_int_equal(c->next, s);
			}
}

/* From the first state all others can be reached. */
static void every_state_is_reached(void **state)
{
	unsigned int i, s, e, round;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(machines); i++) {
		const struct fsm *m = machines[i];
		bool reached[16] = { true };

		for (round = 0; round < m->nr_states; round++)
			for (s = 0; s < m->nr_states; s++)
				for (e = 0; reached[s] && e < m->nr_events; e++)
					reached[fsm_cell(m, s, e)->next] = true;
		for (s = 0; s < m->nr_states; s++)
			if (!reached[s])
				fail_msg("%s: %s is never reached", m->name, m->states[s]);
	}
}

static void check(const struct fsm *m, unsigned int from, unsigned int event,
		  unsigned int next, unsigned int action)
{
	unsigned int s = from, did = fsm_step(m, &s, event);

	if (s != next || did != action)
		fail_msg("%s: %s, %s: -> %s, %s", m->name, m->states[from],
			 m->events[event], m->states[s], fsm_action_name(m, did));
}

/* A walk through a table: where to, and what is done. */
#define WALK(m, from, ...)						\
	do {								\
		const struct { unsigned int event, next, action; } w_[] = __VA_ARGS__; \
		unsigned int at_ = from, i_;				\
		for (i_ = 0; i_ < ARRAY_SIZE(w_); i_++) {		\
			check(m, at_, w_[i_].event, w_[i_].next, w_[i_].action); \
			at_ = w_[i_].next;				\
		}							\
	} while (0)

static void a_link_comes_and_goes(void **state)
{
	(void)state;
	WALK(&fsm_outgoing, OUT_DOWN, {
		{ OUT_RETRY, OUT_CONNECTING, OUT_DO_CONNECT },
		{ OUT_LOST, OUT_DOWN, OUT_DO_CLOSE },
		{ OUT_RETRY, OUT_CONNECTING, OUT_DO_CONNECT },
		{ OUT_CONNECTED, OUT_GREETING, OUT_DO_GREET },
		{ OUT_CHANNEL, OUT_GREETING, FSM_VIOLATION },
		{ OUT_WELCOME, OUT_UP, OUT_DO_START },
		{ OUT_WELCOME, OUT_UP, FSM_VIOLATION },
		{ OUT_CHANNEL, OUT_UP, OUT_DO_DELIVER },
		{ OUT_MOVED, OUT_LEAVING, OUT_DO_PART },
		{ OUT_HEARTBEAT, OUT_LEAVING, FSM_NONE },
		{ OUT_LOST, OUT_DOWN, OUT_DO_NEXT },
		{ OUT_RETRY, OUT_CONNECTING, OUT_DO_CONNECT },
		{ OUT_MOVED, OUT_DOWN, OUT_DO_NEXT },
		{ OUT_RETRY, OUT_CONNECTING, OUT_DO_CONNECT },
		{ OUT_CONNECTED, OUT_GREETING, OUT_DO_GREET },
		{ OUT_WELCOME, OUT_UP, OUT_DO_START },
		{ OUT_SILENT, OUT_DOWN, OUT_DO_CLOSE },
		{ OUT_STOP, OUT_STOPPED, FSM_NONE },
		{ OUT_RETRY, OUT_STOPPED, FSM_NONE },
	});
}

static void a_session_is_shipped(void **state)
{
	(void)state;
	WALK(&fsm_ship, SHIP_ASKING, {
		{ SHIP_SNAPSHOT, SHIP_ASKING, FSM_NONE },
		{ SHIP_OK, SHIP_WAITING, SHIP_DO_RESUME },
		{ SHIP_NOTHING, SHIP_WAITING, FSM_NONE },
		{ SHIP_SNAPSHOT, SHIP_WAITING, SHIP_DO_FETCH },
		{ SHIP_DELTA, SHIP_SENDING, SHIP_DO_SEND },
		{ SHIP_SENT, SHIP_WAITING, SHIP_DO_FETCH },
		{ SHIP_DELTA, SHIP_SENDING, SHIP_DO_SEND },
		{ SHIP_SENT_FULL, SHIP_FULL, FSM_NONE },
		{ SHIP_COMMITTED, SHIP_WAITING, SHIP_DO_ACK_FETCH },
		{ SHIP_FAILED, SHIP_REFUSED, SHIP_DO_BACK_OFF },
		{ SHIP_COMMITTED, SHIP_REFUSED, FSM_NONE },
		{ SHIP_RETRY, SHIP_ASKING, SHIP_DO_ASK },
		{ SHIP_ENDED, SHIP_GONE, SHIP_DO_END },
	});
}

/* Nothing but the session's own end ends that. */
static void fenced_is_fenced(void **state)
{
	unsigned int e;

	(void)state;
	for (e = 0; e < fsm_ship.nr_events; e++)
		if (e != SHIP_ENDED)
			assert_int_equal(fsm_cell(&fsm_ship, SHIP_FENCED, e)->next,
					 SHIP_FENCED);
	for (e = SHIP_ASKING; e < SHIP_FENCED; e++)
		check(&fsm_ship, e, SHIP_FENCE, SHIP_FENCED, SHIP_DO_FENCE);
}

static void tls_is_not_there_yet(void **state)
{
	(void)state;
	check(&fsm_incoming, IN_GREETING, IN_STARTTLS, IN_CLOSING, IN_DO_REFUSE_TLS);
	check(&fsm_incoming, IN_UP, IN_STARTTLS, IN_UP, FSM_VIOLATION);
}

/* Before HELLO nobody gets anything done. */
static void a_stranger_may_only_greet(void **state)
{
	unsigned int e;

	(void)state;
	for (e = 0; e < fsm_incoming.nr_events; e++) {
		const struct fsm_cell *c = fsm_cell(&fsm_incoming, IN_GREETING, e);

		assert_int_not_equal(c->action, IN_DO_DELIVER);
		if (e != IN_HELLO)
			assert_int_not_equal(c->next, IN_UP);
	}
}

static void a_delta_is_replayed_in_order(void **state)
{
	(void)state;
	WALK(&fsm_channel, CHAN_NONE, {
		{ CHAN_BEGIN, CHAN_NONE, FSM_VIOLATION },
		{ CHAN_SESSION, CHAN_READY, CHAN_DO_OPEN },
		{ CHAN_DATA, CHAN_READY, FSM_VIOLATION },
		{ CHAN_BEGIN, CHAN_COLLECTING, CHAN_DO_COLLECT },
		{ CHAN_DATA, CHAN_COLLECTING, FSM_VIOLATION },
		{ CHAN_LAYOUT, CHAN_COLLECTING, CHAN_DO_LAYOUT },
		{ CHAN_META, CHAN_COLLECTING, CHAN_DO_META },
		{ CHAN_WHOLE, CHAN_STAGING, CHAN_DO_BEGIN },
		{ CHAN_LAYOUT, CHAN_STAGING, FSM_VIOLATION },
		{ CHAN_DATA, CHAN_STAGING, CHAN_DO_STAGE },
		{ CHAN_BEGIN, CHAN_COLLECTING, CHAN_DO_COLLECT },
		{ CHAN_WHOLE, CHAN_STAGING, CHAN_DO_BEGIN },
		{ CHAN_TROUBLE, CHAN_FAILED, CHAN_DO_FAIL },
		{ CHAN_DATA, CHAN_FAILED, FSM_NONE },
		{ CHAN_COMMIT, CHAN_FAILED, FSM_NONE },
		{ CHAN_SESSION, CHAN_READY, CHAN_DO_OPEN },
		{ CHAN_BEGIN, CHAN_COLLECTING, CHAN_DO_COLLECT },
		{ CHAN_WHOLE, CHAN_STAGING, CHAN_DO_BEGIN },
		{ CHAN_COMMIT, CHAN_READY, CHAN_DO_COMMIT },
		{ CHAN_GONE, CHAN_NONE, CHAN_DO_CLOSE },
	});
}

/* Only COMMIT after staging commits. */
static void nothing_else_commits(void **state)
{
	unsigned int s, e, n = 0;

	(void)state;
	for (s = 0; s < fsm_channel.nr_states; s++)
		for (e = 0; e < fsm_channel.nr_events; e++)
			n += fsm_cell(&fsm_channel, s, e)->action == CHAN_DO_COMMIT;
	assert_int_equal(n, 1);
	check(&fsm_channel, CHAN_STAGING, CHAN_COMMIT, CHAN_READY, CHAN_DO_COMMIT);
}

/* Death is decided by silence alone, and not for who was never heard or has left. */
static void only_silence_kills(void **state)
{
	unsigned int s, e;

	(void)state;
	for (s = 0; s < fsm_detector.nr_states; s++)
		for (e = 0; e < fsm_detector.nr_events; e++)
			if (fsm_cell(&fsm_detector, s, e)->action == DET_DO_DECIDE) {
				assert_int_equal(e, DET_TIMEOUT);
				assert_true(s == DET_ALIVE || s == DET_LOST ||
					    s == DET_NO_DAEMON);
			}
}

static void tables_are_printed(void **state)
{
	char *text;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	(void)state;
	fsm_print(&fsm_detector, to);
	fclose(to);
	assert_string_equal(text,
		"Failure detector::\n"
		"\n"
		"   state       event       next        action\n"
		"\n"
		"   UNKNOWN     UP          ALIVE       start the clock\n"
		"\n"
		"   ALIVE       UP          ALIVE       start the clock\n"
		"   ALIVE       BROKEN      LOST        start the clock\n"
		"   ALIVE       BYE         LEFT        stop the clock\n"
		"   ALIVE       TIMEOUT     DEAD        promote, or say so\n"
		"   ALIVE       ANSWERS     NO_DAEMON   say so, promote nothing\n"
		"\n"
		"   LOST        UP          ALIVE       start the clock, say so\n"
		"   LOST        BROKEN      LOST        -\n"
		"   LOST        BYE         LOST        -\n"
		"   LOST        TIMEOUT     DEAD        promote, or say so\n"
		"   LOST        ANSWERS     NO_DAEMON   say so, promote nothing\n"
		"\n"
		"   LEFT        UP          ALIVE       start the clock, say so\n"
		"   LEFT        BROKEN      LEFT        -\n"
		"   LEFT        BYE         LEFT        -\n"
		"\n"
		"   DEAD        UP          ALIVE       start the clock, say so\n"
		"   DEAD        BROKEN      DEAD        -\n"
		"   DEAD        BYE         DEAD        -\n"
		"\n"
		"   NO_DAEMON   UP          ALIVE       start the clock, say so\n"
		"   NO_DAEMON   BROKEN      NO_DAEMON   -\n"
		"   NO_DAEMON   BYE         NO_DAEMON   -\n"
		"   NO_DAEMON   TIMEOUT     DEAD        promote, or say so\n"
		"   NO_DAEMON   ANSWERS     NO_DAEMON   -\n"
		"\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell_is_thought_of),
		cmocka_unit_test(everything_has_a_name),
		cmocka_unit_test(mistakes_stay_where_they_are),
		cmocka_unit_test(every_state_is_reached),
		cmocka_unit_test(a_link_comes_and_goes),
		cmocka_unit_test(a_session_is_shipped),
		cmocka_unit_test(fenced_is_fenced),
		cmocka_unit_test(tls_is_not_there_yet),
		cmocka_unit_test(a_stranger_may_only_greet),
		cmocka_unit_test(a_delta_is_replayed_in_order),
		cmocka_unit_test(nothing_else_commits),
		cmocka_unit_test(only_silence_kills),
		cmocka_unit_test(tables_are_printed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("state tables", tests, NULL, NULL);
}
