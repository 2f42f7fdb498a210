// SPDX-License-Identifier: GPL-2.0-or-later
/* The incoming link: the peer connects and ships. No I/O. */
#include "fsm.h"

static const char *const incoming_states[] = {
	[IN_GREETING]	= "GREETING",
	[IN_UP]	= "UP",
	[IN_CLOSING]	= "CLOSING",
	[IN_CLOSED]	= "CLOSED",
};

static const char *const incoming_events[] = {
	[IN_HELLO]	= "HELLO",
	[IN_HELLO_BAD]	= "HELLO_BAD",
	[IN_STARTTLS]	= "STARTTLS",
	[IN_CHANNEL]	= "CHANNEL",
	[IN_HEARTBEAT]	= "HEARTBEAT",
	[IN_BYE]	= "BYE",
	[IN_REFUSE]	= "REFUSE",
	[IN_BROKEN]	= "BROKEN",
	[IN_LOST]	= "LOST",
	[IN_SILENT]	= "SILENT",
	[IN_REPLACED]	= "REPLACED",
	[IN_FLUSHED]	= "FLUSHED",
	[IN_STOP]	= "STOP",
};

static const char *const incoming_actions[] = {
	[IN_DO_WELCOME - FSM_OWN]	= "send WELCOME",
	[IN_DO_REFUSE - FSM_OWN]	= "send REFUSE",
	[IN_DO_REFUSE_TLS - FSM_OWN]	= "send REFUSE: not supported",
	[IN_DO_DELIVER - FSM_OWN]	= "to the channel's machine",
	[IN_DO_ECHO - FSM_OWN]	= "note the clock",
	[IN_DO_FAREWELL - FSM_OWN]	= "close, tell the detector",
	[IN_DO_LEAVE - FSM_OWN]	= "send BYE",
	[IN_DO_CLOSE - FSM_OWN]	= "close",
};

static const struct fsm_cell incoming_cells[][ARRAY_SIZE(incoming_events)] = {
	[IN_GREETING] = {
		[IN_HELLO]	= GO(IN_UP, IN_DO_WELCOME),
		[IN_HELLO_BAD]	= GO(IN_CLOSING, IN_DO_REFUSE),
		[IN_STARTTLS]	= GO(IN_CLOSING, IN_DO_REFUSE_TLS),
		[IN_CHANNEL]	= BAD(IN_GREETING),
		[IN_HEARTBEAT]	= BAD(IN_GREETING),
		[IN_BYE]	= GO(IN_CLOSED, IN_DO_CLOSE),
		[IN_REFUSE]	= GO(IN_CLOSED, IN_DO_CLOSE),
		[IN_BROKEN]	= GO(IN_CLOSING, IN_DO_REFUSE),
		[IN_LOST]	= GO(IN_CLOSED, IN_DO_CLOSE),
		[IN_SILENT]	= GO(IN_CLOSED, IN_DO_CLOSE),
		[IN_REPLACED]	= NEVER(IN_GREETING),
		[IN_FLUSHED]	= STAY(IN_GREETING),
		[IN_STOP]	= GO(IN_CLOSED, IN_DO_CLOSE),
	},
	[IN_UP] = {
		[IN_HELLO]	= BAD(IN_UP),
		[IN_HELLO_BAD]	= BAD(IN_UP),
		[IN_STARTTLS]	= BAD(IN_UP),
		[IN_CHANNEL]	= GO(IN_UP, IN_DO_DELIVER),
		[IN_HEARTBEAT]	= GO(IN_UP, IN_DO_ECHO),
		[IN_BYE]	= GO(IN_CLOSED, IN_DO_FAREWELL),
		[IN_REFUSE]	= GO(IN_CLOSED, IN_DO_CLOSE),
		[IN_BROKEN]	= GO(IN_CLOSING, IN_DO_REFUSE),
		[IN_LOST]	= GO(IN_CLOSED, IN_DO_CLOSE),
		[IN_SILENT]	= GO(IN_CLOSED, IN_DO_CLOSE),
		[IN_REPLACED]	= GO(IN_CLOSED, IN_DO_CLOSE),
		[IN_FLUSHED]	= STAY(IN_UP),
		[IN_STOP]	= GO(IN_CLOSING, IN_DO_LEAVE),
	},
	[IN_CLOSING] = {
		[IN_HELLO]	= STAY(IN_CLOSING),
		[IN_HELLO_BAD]	= STAY(IN_CLOSING),
		[IN_STARTTLS]	= STAY(IN_CLOSING),
		[IN_CHANNEL]	= STAY(IN_CLOSING),
		[IN_HEARTBEAT]	= STAY(IN_CLOSING),
		[IN_BYE]	= STAY(IN_CLOSING),
		[IN_REFUSE]	= GO(IN_CLOSED, IN_DO_CLOSE),
		[IN_BROKEN]	= STAY(IN_CLOSING),
		[IN_LOST]	= GO(IN_CLOSED, IN_DO_CLOSE),
		[IN_SILENT]	= GO(IN_CLOSED, IN_DO_CLOSE),
		[IN_REPLACED]	= GO(IN_CLOSED, IN_DO_CLOSE),
		[IN_FLUSHED]	= GO(IN_CLOSED, IN_DO_CLOSE),
		[IN_STOP]	= STAY(IN_CLOSING),
	},
	[IN_CLOSED] = {
		[IN_HELLO]	= STAY(IN_CLOSED),
		[IN_HELLO_BAD]	= STAY(IN_CLOSED),
		[IN_STARTTLS]	= STAY(IN_CLOSED),
		[IN_CHANNEL]	= STAY(IN_CLOSED),
		[IN_HEARTBEAT]	= STAY(IN_CLOSED),
		[IN_BYE]	= STAY(IN_CLOSED),
		[IN_REFUSE]	= STAY(IN_CLOSED),
		[IN_BROKEN]	= STAY(IN_CLOSED),
		[IN_LOST]	= STAY(IN_CLOSED),
		[IN_SILENT]	= STAY(IN_CLOSED),
		[IN_REPLACED]	= STAY(IN_CLOSED),
		[IN_FLUSHED]	= STAY(IN_CLOSED),
		[IN_STOP]	= STAY(IN_CLOSED),
	},
};

const struct fsm fsm_incoming = {
	.name = "incoming",
	.title = "Incoming link",
	.states = incoming_states,
	.nr_states = ARRAY_SIZE(incoming_states),
	.events = incoming_events,
	.nr_events = ARRAY_SIZE(incoming_events),
	.actions = incoming_actions,
	.nr_actions = ARRAY_SIZE(incoming_actions),
	.cells = &incoming_cells[0][0],
};
