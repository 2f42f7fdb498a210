/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * State machines as tables: next = table[state][event], and an action that the caller
 * carries out. Machines do no I/O and know no clock. Every cell is filled in; a cell
 * without an action is a mistake that the tests find.
 */
#ifndef CPTDEVD_FSM_H
#define CPTDEVD_FSM_H

#include <stdio.h>

#include "types.h"

/* Actions that every machine has; its own begin after them. */
enum {
	FSM_MISSING,		/* nobody thought of this cell */
	FSM_NONE,		/* nothing to do */
	FSM_VIOLATION,		/* the peer mustn't say that now: the link is closed */
	FSM_BUG,		/* can't happen: the link is closed, and it is logged */
	FSM_OWN,
};

struct fsm_cell {
	u8 next;
	u8 action;
};

struct fsm {
	const char *name;
	const char *title;
	const char *const *states;
	const char *const *events;
	const char *const *actions;	/* from FSM_OWN on */
	u8 nr_states;
	u8 nr_events;
	u8 nr_actions;
	const struct fsm_cell *cells;	/* [state][event] */
};

const struct fsm_cell *fsm_cell(const struct fsm *m, unsigned int state,
				unsigned int event);
const char *fsm_action_name(const struct fsm *m, unsigned int action);

/* Go on: @state becomes the next one, the action is returned. */
unsigned int fsm_step(const struct fsm *m, unsigned int *state, unsigned int event);

/* The table as the documentation has it. */
void fsm_print(const struct fsm *m, FILE *to);

/* For the cells. STAY, BAD and NEVER take the state that the cell is in. */
#define GO(state, action)	{ state, action }
#define STAY(state)		{ state, FSM_NONE }
#define BAD(state)		{ state, FSM_VIOLATION }
#define NEVER(state)		{ state, FSM_BUG }

/* The machines, in the order of the documentation. */
extern const struct fsm fsm_outgoing, fsm_ship, fsm_incoming, fsm_channel, fsm_detector;

/*
 * The outgoing link: this node connects, greets, and ships its sessions.
 */
enum out_state { OUT_DOWN, OUT_CONNECTING, OUT_GREETING, OUT_UP, OUT_LEAVING, OUT_STOPPED };

enum out_event {
	OUT_RETRY,		/* the pause between attempts is over */
	OUT_CONNECTED,
	OUT_WELCOME,		/* frames: */
	OUT_REFUSE,
	OUT_CHANNEL,		/* SESSION_STATE, COMMITTED, FAILED, VERIFIED */
	OUT_HEARTBEAT,
	OUT_TERM,		/* TERM: a term that the peer knows */
	OUT_TAKE_BACK,		/* TAKE_BACK_STATE: does the peer give a replica back? */
	OUT_SWITCH,		/* SWITCH_STATE: does the peer take over in order? */
	OUT_FETCH,		/* FETCH_STATE, PAGES: of a replica that is fetched */
	OUT_BYE,
	OUT_LOST,		/* can't connect, end of file, error, a bad frame */
	OUT_SILENT,		/* the time-out passed without a byte */
	OUT_MOVED,		/* another node is the peer from now on */
	OUT_STOP,		/* this node shuts down */
};

enum out_action {
	OUT_DO_CONNECT = FSM_OWN,
	OUT_DO_GREET,		/* send HELLO */
	OUT_DO_START,		/* announce the sessions */
	OUT_DO_DELIVER,		/* give the frame to the session's machine */
	OUT_DO_ECHO,		/* note the heartbeat */
	OUT_DO_FENCE,		/* sessions with a lower term */
	OUT_DO_NOTE,		/* what the peer says about a replica that it was asked for */
	OUT_DO_HAND,		/* what the peer says about a session that is handed over */
	OUT_DO_FETCH,		/* to the program that goes on from the replica */
	OUT_DO_CLOSE,		/* detach the sessions, close, try again later */
	OUT_DO_PART,		/* send BYE, and wait until it is read */
	OUT_DO_NEXT,		/* close, connect to the new peer */
	OUT_DO_LEAVE,		/* send BYE, close for good */
};

/*
 * Shipping one session over the outgoing link.
 */
enum ship_state {
	SHIP_ASKING,		/* SESSION is sent */
	SHIP_WAITING,		/* for a snapshot to be published */
	SHIP_SENDING,		/* a delta is on its way out */
	SHIP_FULL,		/* as many deltas as may be are not yet committed */
	SHIP_REFUSED,		/* ask again later */
	SHIP_FENCED,		/* a newer term exists: never again */
	SHIP_GONE,		/* the session ended */
};

enum ship_event {
	SHIP_OK,		/* SESSION_STATE: go on from there */
	SHIP_REFUSAL,		/* SESSION_STATE: not now */
	SHIP_FENCE,		/* SESSION_STATE or FAILED: a newer term exists */
	SHIP_SNAPSHOT,		/* the kernel has something new */
	SHIP_DELTA,		/* a delta was fetched */
	SHIP_NOTHING,		/* there is none */
	SHIP_SENT,		/* all of it is handed over, the window has room */
	SHIP_SENT_FULL,		/* the same, and the window is full */
	SHIP_COMMITTED,
	SHIP_FAILED,
	SHIP_TROUBLE,		/* this node's kernel refused something */
	SHIP_RETRY,		/* the pause is over, or SESSION has something new to say */
	SHIP_ENDED,		/* the session is gone */
};

enum ship_action {
	SHIP_DO_ASK = FSM_OWN,	/* send SESSION */
	SHIP_DO_RESUME,		/* attach, tell the kernel what the spare has, fetch */
	SHIP_DO_FETCH,		/* ask the kernel for the next delta */
	SHIP_DO_SEND,
	SHIP_DO_ACK,		/* tell the kernel what is committed */
	SHIP_DO_ACK_FETCH,
	SHIP_DO_BACK_OFF,	/* drop the delta, ask again later */
	SHIP_DO_FENCE,		/* tell the kernel, give up */
	SHIP_DO_END,		/* send GONE, forget */
};

/*
 * The incoming link: the peer connects and ships.
 */
enum in_state { IN_GREETING, IN_UP, IN_CLOSING, IN_CLOSED };

enum in_event {
	IN_HELLO,		/* HELLO, and nothing speaks against it */
	IN_HELLO_BAD,		/* HELLO that is refused */
	IN_STARTTLS,
	IN_CHANNEL,		/* SESSION, GONE, BEGIN ... COMMIT, ABORT, VERIFY */
	IN_HEARTBEAT,
	IN_TERM,		/* TERM: a term that the peer knows */
	IN_LISTED,		/* every session of the peer was named */
	IN_ENDED,		/* ENDED: how a session of the peer ended */
	IN_TAKE_BACK,		/* TAKE_BACK: the peer has lost what a replica here has */
	IN_SWITCH,		/* SWITCH: the peer hands a session over */
	IN_FETCH,		/* FETCH, READ: a program of the peer goes on from a replica */
	IN_BYE,
	IN_REFUSE,		/* the peer objects to something and closes */
	IN_BROKEN,		/* a frame that isn't allowed, or is damaged */
	IN_LOST,		/* end of file, error */
	IN_SILENT,		/* the time-out passed without a byte */
	IN_REPLACED,		/* the same node connected anew */
	IN_FLUSHED,		/* the last frame is out */
	IN_STOP,		/* this node shuts down */
};

enum in_action {
	IN_DO_WELCOME = FSM_OWN,
	IN_DO_REFUSE,		/* send REFUSE with the reason, then close */
	IN_DO_REFUSE_TLS,	/* the same: not supported */
	IN_DO_DELIVER,		/* give the frame to the channel's machine */
	IN_DO_ECHO,
	IN_DO_FENCE,		/* sessions with a lower term */
	IN_DO_FORGET,		/* what isn't named isn't fed any more */
	IN_DO_END,		/* a session ended: is its replica promoted? */
	IN_DO_GIVE,		/* give the replica back, or say why not */
	IN_DO_TAKE,		/* promote the replica, or say why not */
	IN_DO_LEND,		/* let the peer have it, or its pages */
	IN_DO_FAREWELL,		/* the peer left in order: close, no promotion */
	IN_DO_LEAVE,		/* send BYE, then close */
	IN_DO_CLOSE,
};

/*
 * A channel of the incoming link: one session, replayed into its replica.
 */
enum chan_state {
	CHAN_NONE,		/* never announced, or gone */
	CHAN_READY,
	CHAN_COLLECTING,	/* layout and meta-data */
	CHAN_STAGING,
	CHAN_FAILED,		/* everything is dropped until the next SESSION */
};

enum chan_event {
	CHAN_SESSION,		/* frames: */
	CHAN_BEGIN,
	CHAN_LAYOUT,
	CHAN_META,
	CHAN_DATA,
	CHAN_COMMIT,
	CHAN_ABORT,
	CHAN_VERIFY,
	CHAN_GONE,
	CHAN_WHOLE,		/* layout and meta-data are complete */
	CHAN_REFUSED,		/* SESSION was answered with a refusal */
	CHAN_TROUBLE,		/* the kernel refused something */
};

enum chan_action {
	CHAN_DO_OPEN = FSM_OWN,	/* look at the replica, answer SESSION_STATE */
	CHAN_DO_COLLECT,	/* make room for layout and meta-data */
	CHAN_DO_LAYOUT,
	CHAN_DO_META,
	CHAN_DO_BEGIN,
	CHAN_DO_STAGE,
	CHAN_DO_COMMIT,		/* and answer COMMITTED */
	CHAN_DO_DROP,		/* forget what was begun */
	CHAN_DO_COMPARE,	/* checksums with the replica's pages, answer VERIFIED */
	CHAN_DO_FAIL,		/* abort, answer FAILED */
	CHAN_DO_CLOSE,
};

/*
 * Is the peer alive? One per peer, whichever link it uses at the time.
 */
enum det_state {
	DET_UNKNOWN,		/* never heard since this daemon was started */
	DET_ALIVE,
	DET_LOST,		/* the link broke, the clock runs */
	DET_LEFT,		/* said BYE */
	DET_DEAD,
	DET_NO_DAEMON,		/* its host lives, its daemon doesn't */
};

enum det_event {
	DET_UP,			/* a link is established */
	DET_BROKEN,		/* it broke without BYE */
	DET_BYE,
	DET_TIMEOUT,		/* silence for the time-out */
	DET_ANSWERS,		/* the same, but its host refuses connections */
};

enum det_action {
	DET_DO_START = FSM_OWN,	/* start the clock anew */
	DET_DO_STOP,		/* no clock runs */
	DET_DO_DECIDE,		/* the peer is dead: promote, or tell somebody */
	DET_DO_BACK,		/* start the clock, and say that it is back */
	DET_DO_SAY,		/* its programs may be alive: nothing is promoted */
};

#endif
