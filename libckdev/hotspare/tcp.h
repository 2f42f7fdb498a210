/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: established TCP connections, by the kernel's TCP_REPAIR, which takes CAP_NET_ADMIN.
 *
 *   tcp_read.c		the state of a connection at the cut
 *   tcp_restore.c	a socket with that state
 *
 * Order at the cut: the program neither reads nor writes; the boundary in the held output is
 * marked; then connections are read. The network goes on meanwhile. That is right because only what
 * was sent before the mark leaves the host: its acknowledgments are not above the receive position
 * that is read after it, and its data not above the send position.
 *
 * Order at the restart: hs_tcp_make() for all, while the address isn't there; the address;
 * hs_tcp_go_on() for all. So no segment of a peer meets a host without the connection, which would
 * answer with a reset.
 */
#ifndef HS_TCP_H
#define HS_TCP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "error.h"

struct json_object;
struct js_from;

/* Bytes in one of its queues. */
#define HS_TCP_QUEUE_MAX	(16U << 20)

struct hs_tcp_queue {
	uint32_t seq;			/* of the byte behind the last one */
	uint32_t len;
	char *bytes;
};

struct hs_tcp {
	/* The peer has reset it, or it timed out: nothing but this is known. */
	bool gone;
	bool fin;			/* the peer has sent its end: CLOSE_WAIT */
	struct hs_tcp_queue send, receive;
	uint32_t unsent;		/* bytes at the end of @send that were never sent */
	uint32_t mss;
	uint32_t timestamp;		/* the clock of the timestamps that are sent */
	bool sack, timestamps, scaled;
	uint8_t send_scale, receive_scale;
	/* struct tcp_repair_window */
	uint32_t snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup;
	uint32_t buf_lock;		/* SO_BUF_LOCK */
	bool reuse;			/* SO_REUSEADDR */
};

/* Can the connection @fd be saved at all? Returns 0, or -1 with errno and @e. */
int hs_tcp_check(int fd, struct hs_error *e);
/* Could a connection be restored by this process? Returns 0, or -1 with errno and @e. */
int hs_tcp_missing(struct hs_error *e);
/* Its state now. The program doesn't use @fd meanwhile. Returns it, or NULL with errno and @e. */
struct hs_tcp *hs_tcp_read(int fd, struct hs_error *e);
void hs_tcp_free(struct hs_tcp *t);

/* The name of a state of the kernel's: "FIN_WAIT2". */
const char *hs_tcp_state_name(unsigned int state);

struct hs_tcp_ends {
	const struct sockaddr *name, *peer;
	socklen_t name_len, peer_len;
};

/*
 * Make @fd, a new socket with its options set, the connection: in repair mode, so that nothing is
 * sent; @ends may be addresses that the host doesn't have yet. Returns 0, or -1 with errno.
 */
int hs_tcp_make(int fd, const struct hs_tcp *t, const struct hs_tcp_ends *ends);
/* From here on it sends and receives. Returns 0, or -1 with errno. */
int hs_tcp_go_on(int fd, const struct hs_tcp *t, const struct hs_tcp_ends *ends);

/* fd_tcp.c: as text, and back; what makes no sense is in @from, and NULL returned. */
struct json_object *hs_tcp_json(const struct hs_tcp *t);
struct hs_tcp *hs_tcp_parse(struct js_from *from);

#endif /* HS_TCP_H */
