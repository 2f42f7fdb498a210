/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The numbers of the wire format. Documentation/wire-format.rst describes it, byte by
 * byte; whatever changes here changes there, and the vectors in tests/frame.c say so.
 */
#ifndef CPTDEVD_WIRE_H
#define CPTDEVD_WIRE_H

#include <linux/cptdev.h>

#include "types.h"

#define WIRE_MAGIC		0x46545043U	/* "CPTF" */
/* 1 had no owners of terms; who speaks it is refused. */
#define WIRE_VERSION		2
#define WIRE_HEADER_LEN		32
#define WIRE_CHECKED_LEN	24		/* bytes of the header under the checksum */

/* Most bytes of pages and most extents of a DATA frame, most bytes of any payload. */
#define WIRE_DATA_BYTES		(1U << 20)
#define WIRE_DATA_EXTENTS	4096U
#define WIRE_EXTENT_LEN		24
#define WIRE_DATA_HEAD_LEN	8
#define WIRE_DATA_PAYLOAD_MAX	(WIRE_DATA_HEAD_LEN + \
				 WIRE_DATA_EXTENTS * WIRE_EXTENT_LEN + WIRE_DATA_BYTES)
#define WIRE_PAYLOAD_MAX	(1200U * 1024)
/* Kinds of extents of DATA beside the kernel's, which are below 3. */
#define WIRE_EXTENT_ZERO	3		/* WIRE_FEATURE_ZERO: all bytes are 0 */
#define WIRE_EXTENT_RUNS	4		/* WIRE_FEATURE_SUBPAGE: see runs.h */
/* Before the handshake is over nobody needs to be believed to have more. */
#define WIRE_GREETING_MAX	4096U

#define WIRE_SEGMENT_LEN	32
/* What this implementation puts into one LAYOUT; a peer may put more. */
#define WIRE_LAYOUT_PIECE	2048U

#define WIRE_TEXT_MAX		200
#define WIRE_TLV_MAX		2048

enum wire_type {
	/* the link itself: channel 0 */
	WIRE_HELLO		= 0x01,
	WIRE_WELCOME		= 0x02,
	WIRE_REFUSE		= 0x03,
	WIRE_STARTTLS		= 0x04,		/* reserved: answered with REFUSE */
	WIRE_HEARTBEAT		= 0x05,
	WIRE_BYE		= 0x06,
	WIRE_TERM		= 0x07,		/* these two: WIRE_FEATURE_TERMS */
	WIRE_LISTED		= 0x08,
	WIRE_ENDED		= 0x09,		/* WIRE_FEATURE_END */
	WIRE_TAKE_BACK		= 0x0a,		/* these two: WIRE_FEATURE_TAKE_BACK */
	WIRE_TAKE_BACK_STATE	= 0x0b,
	WIRE_SWITCH		= 0x0c,		/* these two: WIRE_FEATURE_SWITCH */
	WIRE_SWITCH_STATE	= 0x0d,
	WIRE_FETCH		= 0x0e,		/* these two: WIRE_FEATURE_FETCH */
	WIRE_FETCH_STATE	= 0x0f,
	/* a session: channel 1 and up */
	WIRE_SESSION		= 0x10,
	WIRE_SESSION_STATE	= 0x11,
	WIRE_GONE		= 0x12,
	/* a delta of it */
	WIRE_BEGIN		= 0x20,
	WIRE_LAYOUT		= 0x21,
	WIRE_META		= 0x22,
	WIRE_DATA		= 0x23,
	WIRE_COMMIT		= 0x24,
	WIRE_COMMITTED		= 0x25,
	WIRE_FAILED		= 0x26,
	WIRE_ABORT		= 0x27,
	WIRE_PACKED		= 0x28,		/* WIRE_FEATURE_ZSTD: DATA, compressed */
	/* checksums of pages that the replica has: WIRE_FEATURE_VERIFY */
	WIRE_VERIFY		= 0x30,
	WIRE_VERIFIED		= 0x31,
	/* pages of a replica that is fetched: WIRE_FEATURE_FETCH */
	WIRE_READ		= 0x40,
	WIRE_PAGES		= 0x41,
};

/* A generation in ENDED that no replica has: the receiver lacks what was acknowledged. */
#define WIRE_GENERATION_LACKED	(~0ULL)

/* Features, offered and agreed on in the handshake. */
#define WIRE_FEATURE_STARTTLS	(1ULL << 0)	/* TLS 1.3 after STARTTLS */
#define WIRE_FEATURE_PSK	(1ULL << 1)	/* a key that both have */
#define WIRE_FEATURE_ZSTD	(1ULL << 2)	/* compressed DATA */
#define WIRE_FEATURE_LZ4	(1ULL << 3)
#define WIRE_FEATURE_SUBPAGE	(1ULL << 4)	/* differences within pages */
#define WIRE_FEATURE_TERMS	(1ULL << 5)	/* TERM and LISTED */
#define WIRE_FEATURE_LEASE	(1ULL << 6)	/* an answered HEARTBEAT lends time */
#define WIRE_FEATURE_END	(1ULL << 7)	/* ENDED says how a session ended */
#define WIRE_FEATURE_TAKE_BACK	(1ULL << 8)	/* a spare gives its replica back */
#define WIRE_FEATURE_SWITCH	(1ULL << 9)	/* a primary hands over in order */
#define WIRE_FEATURE_SPARES	(1ULL << 10)	/* a primary may have several spares */
#define WIRE_FEATURE_VERIFY	(1ULL << 11)	/* replicas are compared: VERIFY, VERIFIED */
#define WIRE_FEATURE_ROUNDS	(1ULL << 12)	/* a delta of everything in parts */
#define WIRE_FEATURE_BLOCKS	(1ULL << 13)	/* the checksum of DATA is of its blocks' checksums */
#define WIRE_FEATURE_FETCH	(1ULL << 14)	/* a program goes on from a replica that is elsewhere */
#define WIRE_FEATURE_KEPT	(1ULL << 15)	/* TAKE_BACK of a state that its host has itself */
#define WIRE_FEATURE_ZERO	(1ULL << 16)	/* extents of zeros in DATA */
/* What this implementation has. */
#define WIRE_FEATURES		(WIRE_FEATURE_TERMS | WIRE_FEATURE_LEASE | \
				 WIRE_FEATURE_END | WIRE_FEATURE_TAKE_BACK | \
				 WIRE_FEATURE_SWITCH | WIRE_FEATURE_SPARES | WIRE_FEATURE_ZERO | \
				 WIRE_FEATURE_ZSTD | WIRE_FEATURE_SUBPAGE | WIRE_FEATURE_VERIFY | \
				 WIRE_FEATURE_ROUNDS | WIRE_FEATURE_BLOCKS | WIRE_FEATURE_FETCH | \
				 WIRE_FEATURE_KEPT)

/* Types of the tail of HELLO and WELCOME. */
#define WIRE_TLV_AUTH_METHOD	1		/* reserved */
#define WIRE_TLV_AUTH_DATA	2		/* reserved */
#define WIRE_TLV_MACHINE	0x8003		/* u16: enum wire_machine, unless it is 0 */
#define WIRE_TLV_CRITICAL	0x8000		/* refuse it when it isn't known */

/*
 * Processors. x86-64 isn't said: the greetings of versions that know no other processor stay what
 * they are. The others have to be understood.
 */
enum wire_machine {
	WIRE_MACHINE_X86_64	= 0,
	WIRE_MACHINE_ARM64	= 1,
};

/* Codes of REFUSE, SESSION_STATE and FAILED. */
enum wire_code {
	WIRE_OK			= 0,
	/* the link */
	WIRE_E_PROTOCOL		= 1,	/* a frame or field that isn't allowed there */
	WIRE_E_CHECKSUM		= 2,
	WIRE_E_VERSION		= 3,	/* no version in common */
	WIRE_E_FEATURE		= 4,	/* a required feature isn't there */
	WIRE_E_PAGE_SIZE	= 5,
	WIRE_E_IDENTITY		= 6,	/* not the node that is expected here */
	WIRE_E_LIMIT		= 7,	/* too many sessions or connections */
	WIRE_E_TIMEOUT		= 8,
	WIRE_E_MACHINE		= 9,	/* another processor */
	/* a session */
	WIRE_E_FENCED		= 16,	/* a newer term exists: stop */
	WIRE_E_OTHER		= 17,	/* another session's content is in the way */
	WIRE_E_CONFLICT		= 18,	/* a session of this name runs on the spare */
	WIRE_E_OWNER		= 19,	/* the replica belongs to another user */
	WIRE_E_BUSY		= 20,	/* the replica is frozen or staged by another */
	WIRE_E_GAP		= 21,	/* the delta starts after the replica */
	WIRE_E_STALE		= 22,	/* the generation isn't newer */
	WIRE_E_MEMORY		= 23,	/* no memory, or a limit */
	WIRE_E_KERNEL		= 24,	/* another error; the text has it */
	WIRE_E_BASE		= 25,	/* runs that are for another page: send it whole */
};

/* Flags of TERM. */
#define WIRE_TERM_LOST		(1U << 0)	/* what followed from it isn't in memory any more */
#define WIRE_TERM_GIVEN_UP	(1U << 1)	/* and a person has given that up */
#define WIRE_TERM_FLAGS		(WIRE_TERM_LOST | WIRE_TERM_GIVEN_UP)
/* Flags of SESSION and BEGIN. */
#define WIRE_SESSION_REPLACE	(1U << 0)
#define WIRE_SESSION_UNUSED	(1U << 1)	/* SESSION: see record_used() */
#define WIRE_SESSION_ALONE	(1U << 2)	/* SESSION: acknowledged without this spare */
#define WIRE_SESSION_GOES_ON	(1U << 3)	/* SESSION: goes on if the spare leaves in order */
#define WIRE_SESSION_TAKE_BACK	(1U << 4)	/* SESSION: a replica, which the receiver asked for */
#define WIRE_SESSION_OTHERS	(1U << 5)	/* SESSION: another host may be promoted as well */
#define WIRE_BEGIN_CONTINUE	(1U << 7)	/* BEGIN: of what is staged, see WIRE_FEATURE_ROUNDS */
#define WIRE_SESSION_UNSURE	(1U << 6)	/* SESSION: acknowledged, maybe, before this spare has it */
/* Flags of SESSION_STATE. */
#define WIRE_STATE_PROMOTED	(1U << 0)
#define WIRE_STATE_OUTDATED	(1U << 1)	/* not to be promoted before the next commit */

/* Flags of TAKE_BACK. */
#define WIRE_TAKE_BACK_AGAIN	(1U << 0)	/* nothing was acknowledged since it was asked for first */

#define WIRE_TAKE_BACK_KEPT	(1U << 1)	/* the sender has it: nothing is to be given back */

/* The questions of SWITCH. */
enum wire_switch {
	WIRE_SWITCH_ASK,		/* could this host take over? Nothing changes */
	WIRE_SWITCH_GO,			/* take over now: the sender's program is stopped */
	WIRE_SWITCH_MAX = WIRE_SWITCH_GO
};
/* The answers of SWITCH_STATE, if its code is WIRE_OK. */
enum wire_switch_state {
	WIRE_SWITCH_READY,		/* to ASK */
	WIRE_SWITCH_PROMOTED,		/* to GO: the term is this host's, on disk */
	WIRE_SWITCH_TAKEN,		/* a program of this host goes on with it; not asked for */
	WIRE_SWITCH_STATE_MAX = WIRE_SWITCH_TAKEN
};

/* How a session ended, of ENDED: enum end_how of rules/end.h. */
#define WIRE_HOW_MAX		2

/* A refusal, in the making or received. */
struct fault {
	u32 code;			/* enum wire_code */
	char text[WIRE_TEXT_MAX + 1];
};

/* Fill @f and return -1, so that a check can end with it. */
int fault_set(struct fault *f, u32 code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

const char *wire_type_name(u16 type);
const char *wire_code_name(u32 code);

#endif
