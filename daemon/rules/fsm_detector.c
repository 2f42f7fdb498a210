// SPDX-License-Identifier: GPL-2.0-or-later
/* Is the peer alive? No I/O. */
#include "fsm.h"

static const char *const detector_states[] = {
	[DET_UNKNOWN]	= "UNKNOWN",
	[DET_ALIVE]	= "ALIVE",
	[DET_LOST]	= "LOST",
	[DET_LEFT]	= "LEFT",
	[DET_DEAD]	= "DEAD",
	[DET_NO_DAEMON]	= "NO_DAEMON",
};

static const char *const detector_events[] = {
	[DET_UP]	= "UP",
	[DET_BROKEN]	= "BROKEN",
	[DET_BYE]	= "BYE",
	[DET_TIMEOUT]	= "TIMEOUT",
	[DET_ANSWERS]	= "ANSWERS",
};

static const char *const detector_actions[] = {
	[DET_DO_START - FSM_OWN]	= "start the clock",
	[DET_DO_STOP - FSM_OWN]	= "stop the clock",
	[DET_DO_DECIDE - FSM_OWN]	= "promote, or say so",
	[DET_DO_BACK - FSM_OWN]	= "start the clock, say so",
	[DET_DO_SAY - FSM_OWN]	= "say so, promote nothing",
};

static const struct fsm_cell detector_cells[][ARRAY_SIZE(detector_events)] = {
	[DET_UNKNOWN] = {
		[DET_UP]	= GO(DET_ALIVE, DET_DO_START),
		[DET_BROKEN]	= NEVER(DET_UNKNOWN),
		[DET_BYE]	= NEVER(DET_UNKNOWN),
		[DET_TIMEOUT]	= NEVER(DET_UNKNOWN),
		[DET_ANSWERS]	= NEVER(DET_UNKNOWN),
	},
	[DET_ALIVE] = {
		[DET_UP]	= GO(DET_ALIVE, DET_DO_START),
		[DET_BROKEN]	= GO(DET_LOST, DET_DO_START),
		[DET_BYE]	= GO(DET_LEFT, DET_DO_STOP),
		[DET_TIMEOUT]	= GO(DET_DEAD, DET_DO_DECIDE),
		[DET_ANSWERS]	= GO(DET_NO_DAEMON, DET_DO_SAY),
	},
	[DET_LOST] = {
		[DET_UP]	= GO(DET_ALIVE, DET_DO_BACK),
		[DET_BROKEN]	= STAY(DET_LOST),
		[DET_BYE]	= STAY(DET_LOST),
		[DET_TIMEOUT]	= GO(DET_DEAD, DET_DO_DECIDE),
		[DET_ANSWERS]	= GO(DET_NO_DAEMON, DET_DO_SAY),
	},
	[DET_LEFT] = {
		[DET_UP]	= GO(DET_ALIVE, DET_DO_BACK),
		[DET_BROKEN]	= STAY(DET_LEFT),
		[DET_BYE]	= STAY(DET_LEFT),
		[DET_TIMEOUT]	= NEVER(DET_LEFT),
		[DET_ANSWERS]	= NEVER(DET_LEFT),
	},
	[DET_DEAD] = {
		[DET_UP]	= GO(DET_ALIVE, DET_DO_BACK),
		[DET_BROKEN]	= STAY(DET_DEAD),
		[DET_BYE]	= STAY(DET_DEAD),
		[DET_TIMEOUT]	= NEVER(DET_DEAD),
		[DET_ANSWERS]	= NEVER(DET_DEAD),
	},
	[DET_NO_DAEMON] = {
		[DET_UP]	= GO(DET_ALIVE, DET_DO_BACK),
		[DET_BROKEN]	= STAY(DET_NO_DAEMON),
		[DET_BYE]	= STAY(DET_NO_DAEMON),
		[DET_TIMEOUT]	= GO(DET_DEAD, DET_DO_DECIDE),
		[DET_ANSWERS]	= STAY(DET_NO_DAEMON),
	},
};

const struct fsm fsm_detector = {
	.name = "detector",
	.title = "Failure detector",
	.states = detector_states,
	.nr_states = ARRAY_SIZE(detector_states),
	.events = detector_events,
	.nr_events = ARRAY_SIZE(detector_events),
	.actions = detector_actions,
	.nr_actions = ARRAY_SIZE(detector_actions),
	.cells = &detector_cells[0][0],
};
