// SPDX-License-Identifier: GPL-2.0-or-later
/* The outgoing link: this node connects, greets, ships. No I/O. */
#include "fsm.h"

static const char *const outgoing_states[] = {
	[OUT_DOWN]	= "DOWN",
	[OUT_CONNECTING]	= "CONNECTING",
	[OUT_GREETING]	= "GREETING",
	[OUT_UP]	= "UP",
	[OUT_STOPPED]	= "STOPPED",
};

static const char *const outgoing_events[] = {
	[OUT_RETRY]	= "RETRY",
	[OUT_CONNECTED]	= "CONNECTED",
	[OUT_WELCOME]	= "WELCOME",
	[OUT_REFUSE]	= "REFUSE",
	[OUT_CHANNEL]	= "CHANNEL",
	[OUT_HEARTBEAT]	= "HEARTBEAT",
	[OUT_TERM]	= "TERM",
	[OUT_BYE]	= "BYE",
	[OUT_LOST]	= "LOST",
	[OUT_SILENT]	= "SILENT",
	[OUT_STOP]	= "STOP",
};

static const char *const outgoing_actions[] = {
	[OUT_DO_CONNECT - FSM_OWN]	= "connect",
	[OUT_DO_GREET - FSM_OWN]	= "send HELLO",
	[OUT_DO_START - FSM_OWN]	= "announce the sessions",
	[OUT_DO_DELIVER - FSM_OWN]	= "to the session's machine",
	[OUT_DO_ECHO - FSM_OWN]	= "note the clock",
	[OUT_DO_FENCE - FSM_OWN]	= "fence lower terms",
	[OUT_DO_CLOSE - FSM_OWN]	= "close, try again later",
	[OUT_DO_LEAVE - FSM_OWN]	= "send BYE, close",
};

static const struct fsm_cell outgoing_cells[][ARRAY_SIZE(outgoing_events)] = {
	[OUT_DOWN] = {
		[OUT_RETRY]	= GO(OUT_CONNECTING, OUT_DO_CONNECT),
		[OUT_CONNECTED]	= NEVER(OUT_DOWN),
		[OUT_WELCOME]	= NEVER(OUT_DOWN),
		[OUT_REFUSE]	= NEVER(OUT_DOWN),
		[OUT_CHANNEL]	= NEVER(OUT_DOWN),
		[OUT_HEARTBEAT]	= NEVER(OUT_DOWN),
		[OUT_TERM]	= NEVER(OUT_DOWN),
		[OUT_BYE]	= NEVER(OUT_DOWN),
		[OUT_LOST]	= NEVER(OUT_DOWN),
		[OUT_SILENT]	= NEVER(OUT_DOWN),
		[OUT_STOP]	= GO(OUT_STOPPED, FSM_NONE),
	},
	[OUT_CONNECTING] = {
		[OUT_RETRY]	= NEVER(OUT_CONNECTING),
		[OUT_CONNECTED]	= GO(OUT_GREETING, OUT_DO_GREET),
		[OUT_WELCOME]	= NEVER(OUT_CONNECTING),
		[OUT_REFUSE]	= NEVER(OUT_CONNECTING),
		[OUT_CHANNEL]	= NEVER(OUT_CONNECTING),
		[OUT_HEARTBEAT]	= NEVER(OUT_CONNECTING),
		[OUT_TERM]	= NEVER(OUT_CONNECTING),
		[OUT_BYE]	= NEVER(OUT_CONNECTING),
		[OUT_LOST]	= GO(OUT_DOWN, OUT_DO_CLOSE),
		[OUT_SILENT]	= GO(OUT_DOWN, OUT_DO_CLOSE),
		[OUT_STOP]	= GO(OUT_STOPPED, OUT_DO_LEAVE),
	},
	[OUT_GREETING] = {
		[OUT_RETRY]	= NEVER(OUT_GREETING),
		[OUT_CONNECTED]	= NEVER(OUT_GREETING),
		[OUT_WELCOME]	= GO(OUT_UP, OUT_DO_START),
		[OUT_REFUSE]	= GO(OUT_DOWN, OUT_DO_CLOSE),
		[OUT_CHANNEL]	= BAD(OUT_GREETING),
		[OUT_HEARTBEAT]	= BAD(OUT_GREETING),
		[OUT_TERM]	= BAD(OUT_GREETING),
		[OUT_BYE]	= GO(OUT_DOWN, OUT_DO_CLOSE),
		[OUT_LOST]	= GO(OUT_DOWN, OUT_DO_CLOSE),
		[OUT_SILENT]	= GO(OUT_DOWN, OUT_DO_CLOSE),
		[OUT_STOP]	= GO(OUT_STOPPED, OUT_DO_LEAVE),
	},
	[OUT_UP] = {
		[OUT_RETRY]	= NEVER(OUT_UP),
		[OUT_CONNECTED]	= NEVER(OUT_UP),
		[OUT_WELCOME]	= BAD(OUT_UP),
		[OUT_REFUSE]	= GO(OUT_DOWN, OUT_DO_CLOSE),
		[OUT_CHANNEL]	= GO(OUT_UP, OUT_DO_DELIVER),
		[OUT_HEARTBEAT]	= GO(OUT_UP, OUT_DO_ECHO),
		[OUT_TERM]	= GO(OUT_UP, OUT_DO_FENCE),
		[OUT_BYE]	= GO(OUT_DOWN, OUT_DO_CLOSE),
		[OUT_LOST]	= GO(OUT_DOWN, OUT_DO_CLOSE),
		[OUT_SILENT]	= GO(OUT_DOWN, OUT_DO_CLOSE),
		[OUT_STOP]	= GO(OUT_STOPPED, OUT_DO_LEAVE),
	},
	[OUT_STOPPED] = {
		[OUT_RETRY]	= STAY(OUT_STOPPED),
		[OUT_CONNECTED]	= STAY(OUT_STOPPED),
		[OUT_WELCOME]	= STAY(OUT_STOPPED),
		[OUT_REFUSE]	= STAY(OUT_STOPPED),
		[OUT_CHANNEL]	= STAY(OUT_STOPPED),
		[OUT_HEARTBEAT]	= STAY(OUT_STOPPED),
		[OUT_TERM]	= STAY(OUT_STOPPED),
		[OUT_BYE]	= STAY(OUT_STOPPED),
		[OUT_LOST]	= STAY(OUT_STOPPED),
		[OUT_SILENT]	= STAY(OUT_STOPPED),
		[OUT_STOP]	= STAY(OUT_STOPPED),
	},
};

const struct fsm fsm_outgoing = {
	.name = "outgoing",
	.title = "Outgoing link",
	.states = outgoing_states,
	.nr_states = ARRAY_SIZE(outgoing_states),
	.events = outgoing_events,
	.nr_events = ARRAY_SIZE(outgoing_events),
	.actions = outgoing_actions,
	.nr_actions = ARRAY_SIZE(outgoing_actions),
	.cells = &outgoing_cells[0][0],
};
