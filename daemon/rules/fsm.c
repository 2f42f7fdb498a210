// SPDX-License-Identifier: GPL-2.0-or-later
/* Looking into the tables, and printing them. */
#include "fsm.h"

static const char *const common_actions[] = {
	[FSM_MISSING]	= "MISSING",
	[FSM_NONE]	= "-",
	[FSM_VIOLATION]	= "protocol error",
	[FSM_BUG]	= "can't happen",
};

const struct fsm_cell *fsm_cell(const struct fsm *m, unsigned int state,
				unsigned int event)
{
	return &m->cells[state * m->nr_events + event];
}

const char *fsm_action_name(const struct fsm *m, unsigned int action)
{
	if (action < FSM_OWN)
		return common_actions[action];
	return m->actions[action - FSM_OWN];
}

unsigned int fsm_step(const struct fsm *m, unsigned int *state, unsigned int event)
{
	const struct fsm_cell *c = fsm_cell(m, *state, event);

	*state = c->next;
	return c->action;
}

static void print_state(const struct fsm *m, unsigned int state, FILE *to)
{
	unsigned int e;

	for (e = 0; e < m->nr_events; e++) {
		const struct fsm_cell *c = fsm_cell(m, state, e);

		if (c->action == FSM_BUG)
			continue;
		fprintf(to, "   %-11s %-10s  %-11s %s\n", m->states[state],
			m->events[e], m->states[c->next],
			fsm_action_name(m, c->action));
	}
}

void fsm_print(const struct fsm *m, FILE *to)
{
	unsigned int s;

	fprintf(to, "%s::\n\n", m->title);
	fprintf(to, "   %-11s %-10s  %-11s %s\n", "state", "event", "next", "action");
	for (s = 0; s < m->nr_states; s++) {
		fputc('\n', to);
		print_state(m, s, to);
	}
	fputc('\n', to);
}
