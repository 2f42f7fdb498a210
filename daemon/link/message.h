/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is said about a session and its deltas. Decoders check every field alone; what
 * depends on the state is checked by who keeps the state.
 */
#ifndef CPTDEVD_MESSAGE_H
#define CPTDEVD_MESSAGE_H

#include "bytes.h"
#include "wire.h"

struct msg_refuse {			/* REFUSE */
	struct fault fault;
};

struct msg_heartbeat {			/* HEARTBEAT */
	u64 clock;			/* sender's, ns */
	u64 echo;			/* newest one heard from the receiver, 0: none */
	u64 held;			/* ns since that was heard */
};

struct msg_term {			/* TERM */
	u64 term;
	u8 owner[CPTDEV_UUID_LEN];	/* the node that raised it; zeros: not known */
	u16 flags;			/* WIRE_TERM_* */
	char name[CPTDEV_NAME_MAX];
};

struct msg_ended {			/* ENDED */
	u8 uuid[CPTDEV_UUID_LEN];	/* of the session */
	u64 term;
	u8 owner[CPTDEV_UUID_LEN];	/* of the term */
	u64 generation;			/* newest one that was acknowledged to it */
	u32 how;			/* enum end_how */
	char name[CPTDEV_NAME_MAX];
	char text[WIRE_TEXT_MAX + 1];	/* the same for people */
};

struct msg_take_back {			/* TAKE_BACK */
	u8 uuid[CPTDEV_UUID_LEN];	/* of the session whose content is lost */
	u64 term;			/* the next one, which is the sender's */
	u64 generation;			/* that was acknowledged at least */
	u32 flags;			/* WIRE_TAKE_BACK_* */
	char name[CPTDEV_NAME_MAX];
};

struct msg_take_back_state {		/* TAKE_BACK_STATE */
	u64 term;			/* of the question */
	char name[CPTDEV_NAME_MAX];
	struct fault fault;		/* WIRE_OK: the replica will be shipped, or isn't promoted: KEPT */
};

struct msg_switch {			/* SWITCH */
	u8 uuid[CPTDEV_UUID_LEN];	/* of the session that is handed over */
	u64 term;			/* the next one, which becomes the receiver's */
	u64 generation;			/* the last one; ASK: newest that was committed, or 0 */
	u32 what;			/* enum wire_switch */
	char name[CPTDEV_NAME_MAX];
};

struct msg_switch_state {		/* SWITCH_STATE */
	u64 term;			/* of the question; TAKEN: of the program */
	u64 generation;			/* that the receiver of SWITCH has, or goes on from */
	u32 what;			/* enum wire_switch_state */
	char name[CPTDEV_NAME_MAX];
	struct fault fault;		/* other than WIRE_OK: nothing was promoted, nor will be */
};

struct msg_session {			/* SESSION */
	u8 uuid[CPTDEV_UUID_LEN];
	u64 term;
	u8 owner[CPTDEV_UUID_LEN];	/* of the term */
	u32 flags;			/* WIRE_SESSION_* */
	u32 uid;
	char name[CPTDEV_NAME_MAX];
};

struct msg_state {			/* SESSION_STATE */
	u32 flags;			/* WIRE_STATE_* */
	u8 uuid[CPTDEV_UUID_LEN];
	u64 generation;
	u64 term;
	struct fault fault;		/* WIRE_OK: shipping may begin */
};

struct msg_begin {			/* BEGIN */
	u64 base;
	u64 generation;
	u64 term;
	u32 flags;			/* WIRE_SESSION_*, WIRE_BEGIN_* */
	u32 segments;
	u32 meta_len;
	u64 pages;
};

struct msg_committed {			/* COMMITTED */
	u64 generation;
	u64 pages;
};

struct msg_failed {			/* FAILED */
	u64 generation;
	struct fault fault;
};

/* A field of a frame of this type has a value that it can't have. */
int field_bad(struct fault *f, u16 type, const char *field, u64 value);
/* A name of @len bytes; @to has CPTDEV_NAME_MAX. */
int field_name(char *to, const u8 *name, u16 len, const char *frame, struct fault *f);

void refuse_encode(struct writer *w, const struct msg_refuse *m);
int refuse_decode(const u8 *p, size_t len, struct msg_refuse *m, struct fault *f);
void heartbeat_encode(struct writer *w, const struct msg_heartbeat *m);
int heartbeat_decode(const u8 *p, size_t len, struct msg_heartbeat *m, struct fault *f);
void term_encode(struct writer *w, const struct msg_term *m);
int term_decode(const u8 *p, size_t len, struct msg_term *m, struct fault *f);
void ended_encode(struct writer *w, const struct msg_ended *m);
int ended_decode(const u8 *p, size_t len, struct msg_ended *m, struct fault *f);
void take_back_encode(struct writer *w, const struct msg_take_back *m);
int take_back_decode(const u8 *p, size_t len, struct msg_take_back *m, struct fault *f);
void take_back_state_encode(struct writer *w, const struct msg_take_back_state *m);
int take_back_state_decode(const u8 *p, size_t len, struct msg_take_back_state *m,
			   struct fault *f);
void switch_encode(struct writer *w, const struct msg_switch *m);
int switch_decode(const u8 *p, size_t len, struct msg_switch *m, struct fault *f);
void switch_state_encode(struct writer *w, const struct msg_switch_state *m);
int switch_state_decode(const u8 *p, size_t len, struct msg_switch_state *m,
			struct fault *f);
void session_encode(struct writer *w, const struct msg_session *m);
int session_decode(const u8 *p, size_t len, struct msg_session *m, struct fault *f);
void state_encode(struct writer *w, const struct msg_state *m);
int state_decode(const u8 *p, size_t len, struct msg_state *m, struct fault *f);
void begin_encode(struct writer *w, const struct msg_begin *m);
int begin_decode(const u8 *p, size_t len, struct msg_begin *m, struct fault *f);
void commit_encode(struct writer *w, u64 generation);
int commit_decode(const u8 *p, size_t len, u64 *generation, struct fault *f);
void committed_encode(struct writer *w, const struct msg_committed *m);
int committed_decode(const u8 *p, size_t len, struct msg_committed *m, struct fault *f);
void failed_encode(struct writer *w, const struct msg_failed *m);
int failed_decode(const u8 *p, size_t len, struct msg_failed *m, struct fault *f);
/* Messages without content: BYE, LISTED, GONE. */
int empty_decode(u16 type, size_t len, struct fault *f);

#endif
