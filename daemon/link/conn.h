/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection: frames in, frames out, on a socket that never blocks. What it takes is
 * bounded: one frame in, one buffer out, and a queue of small messages; while that is
 * long, nothing is read.
 */
#ifndef CPTDEVD_CONN_H
#define CPTDEVD_CONN_H

#include "bytes.h"
#include "frame.h"
#include "loop.h"
#include "message.h"
#include "tls.h"

struct conn;
struct conn_msg;

enum conn_end {
	CONN_EOF,
	CONN_ERROR,		/* @error has the errno */
	CONN_FAULT,		/* @fault: the peer broke the rules */
	CONN_FLUSHED,		/* conn_finish() is through */
};

struct conn_ops {
	/* A frame with everything right but its content. -1: @fault says what is wrong. */
	int (*frame)(struct conn *c, const struct frame *f, const u8 *payload);
	/* Nothing else is to be sent: add a frame, or return false. */
	bool (*pull)(struct conn *c);
	/*
	 * No more frames. The owner closes, now or, after CONN_FAULT, when it has said
	 * why: nothing else is told to it then.
	 */
	void (*end)(struct conn *c, enum conn_end end);
};

struct conn_stats {
	u64 bytes_in;
	u64 bytes_out;
	u64 frames_in;
	u64 frames_out;
};

struct conn {
	struct loop *loop;
	struct watch watch;
	struct chore flush;
	struct garbage garbage;
	const struct conn_ops *ops;
	void *owner;
	int fd;
	struct tls *tls;		/* NULL: everybody on the way can read and change it */
	bool shaking;			/* TLS isn't there yet: nothing goes in or out */
	bool up;			/* the handshake is over */
	bool finishing;			/* see conn_finish() */
	bool shut;			/* and the last byte is out */
	bool deaf;			/* after CONN_FAULT: what comes is thrown away */
	bool ended;
	bool more;			/* pull() may have something */

	u8 *rx;
	size_t rx_cap;
	size_t rx_len;
	u32 rx_max;			/* longest payload that is taken */
	bool rx_held;			/* frames wait until the queue is shorter */
	size_t taken;			/* bytes of pages that frames of this turn were about */
	u64 rx_sequence;		/* of the last frame */
	u64 heard_at;			/* when the last byte came, ns */

	STAILQ_HEAD(conn_msg_list, conn_msg) queue;
	size_t queued;			/* bytes in it */
	struct writer tx;
	size_t tx_sent;
	size_t spent;			/* bytes that frames of this turn were made from */
	size_t tx_frame;		/* where the frame that is being built begins */
	u64 tx_sequence;
	/* These bytes of @tx are in a file, too: see conn_frame_lend(). */
	struct {
		int fd;
		u64 pos;
		size_t at;
		size_t len;		/* 0: there are none */
	} lent;
	bool blocked;			/* the socket takes no more */

	struct frame_hash *hash;
	u32 block;			/* of DATA's checksums, see frame_checksum_blocks(); 0: as others */
	struct fault fault;
	int error;
	struct conn_stats stats;

	u64 peer_clock;			/* of its last heartbeat */
	u64 peer_clock_at;
	u64 rtt_ns;			/* 0: not yet known */
	u64 answered;			/* when the newest of ours that was answered was sent */
};

/* Takes over @fd, which is connected or connecting. */
struct conn *conn_new(struct loop *l, int fd, const struct conn_ops *ops, void *owner);
/*
 * Nothing is sent or taken that isn't covered by TLS with one of these keys. The first thing to
 * do after conn_new(). 0 or -ENOMEM.
 */
int conn_secure(struct conn *c, struct tls_keys *k, bool accepts);
/* The node @name is the one that the certificate is of, if there is one. 0, or -1 and @f. */
int conn_identify(const struct conn *c, const char *name, struct fault *f);
/* What CONN_ERROR was about. */
const char *conn_why(const struct conn *c);
/* The handshake is over: long frames from now on. */
int conn_up(struct conn *c);
/* There is something to pull. */
void conn_kick(struct conn *c);
/* Send what is queued, nothing else, and take nothing any more; then CONN_FLUSHED. */
void conn_finish(struct conn *c);
void conn_close(struct conn *c);

/* Queue a small message. */
void conn_send(struct conn *c, u16 type, u32 channel, const struct writer *payload);
void conn_heartbeat(struct conn *c);
int conn_heartbeat_in(struct conn *c, const u8 *payload, u32 len);
void conn_refuse(struct conn *c, const struct fault *f);

/*
 * So many bytes of pages are written into a frame: they are read, summed and given to the
 * socket while they are in the processor's second cache.
 */
#define CONN_DATA_MAX	(256U * 1024)

/* For pull(): begin a frame, write its payload, end it. */
struct writer *conn_frame(struct conn *c);
void conn_frame_cancel(struct conn *c);
void conn_frame_end(struct conn *c, u16 type, u32 channel);
/* The same if the payload ends with @nr pages whose checksums, page_sum(), are known. */
void conn_frame_end_pages(struct conn *c, u16 type, u32 channel, const u64 *sums, u32 nr);

/*
 * The last @len bytes of the frame that was ended are those of the file @fd from @pos on, whose content
 * never changes: the socket may take them from there. The file is kept open for that.
 */
void conn_frame_lend(struct conn *c, int fd, u64 pos, size_t len);

/* Between conn.c, conn_rx.c and conn_tx.c. */
bool conn_listens(const struct conn *c);
/* Go on with TLS's handshake; true: bytes can be exchanged. */
bool conn_shake(struct conn *c);
void conn_read(struct conn *c);
void conn_write(struct conn *c);
void conn_update(struct conn *c);
void conn_end(struct conn *c, enum conn_end end);
void conn_tx_free(struct conn *c);
u64 conn_checksum(struct conn *c, const u8 *head, const u8 *payload, const struct frame *f,
		  const u64 *sums, u32 nr);

#endif
