/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One end of a connection, spoken by the test itself: right, wrong, or anything at all.
 */
#ifndef TESTS_RAW_H
#define TESTS_RAW_H

#include "frame.h"
#include "greeting.h"
#include "pair.h"

struct raw {
	struct pair *pair;		/* who runs while we wait */
	int fd;
	u64 out;			/* number of the last frame sent */
	u64 in;
	struct frame_hash *hash;
	u32 block;			/* of DATA's checksums, if that was agreed on */
	u32 flip;			/* a bit of the next payload changes on the way; 0: none does */
	struct frame frame;		/* the last one received */
	u8 payload[WIRE_PAYLOAD_MAX];
	struct msg_refuse refuse;	/* if it was one */
};

/* Connect to the port; or be connected to, on a listening socket. */
struct raw *raw_connect(struct pair *p, u16 port);
struct raw *raw_accept(struct pair *p, int listener);
void raw_close(struct raw *r);

void raw_bytes(struct raw *r, const void *p, size_t len);
/* A frame with the right number and checksum. */
void raw_send(struct raw *r, u16 type, u32 channel, const void *payload, u32 len);
void raw_send_w(struct raw *r, u16 type, u32 channel, const struct writer *w);
/* The next frame that isn't a heartbeat; false: the connection was closed. */
bool raw_receive(struct raw *r);

/* HELLO as node @name, and WELCOME. */
void raw_greet(struct raw *r, const char *name);
/* The other end must refuse with these words, and close. */
void raw_refused(struct raw *r, const char *words);

#endif
