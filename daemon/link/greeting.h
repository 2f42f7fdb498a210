/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The handshake: HELLO, answered by WELCOME or REFUSE. */
#ifndef CPTDEVD_GREETING_H
#define CPTDEVD_GREETING_H

#include "bytes.h"
#include "wire.h"

/* Who a node is and what it wants to know of itself told. */
struct node {
	u8 uuid[CPTDEV_UUID_LEN];
	char name[CPTDEV_NAME_MAX];
	u32 page_size;
	u16 machine;		/* its processor: enum wire_machine, or one that isn't known here */
	u32 heartbeat_ms;
	u32 timeout_ms;
	u64 without;		/* features that it doesn't want; not told as such */
};

struct hello {
	struct node node;
	u16 version_min;
	u16 version_max;
	u64 offered;
	u64 required;
};

struct welcome {
	struct node node;
	u16 version;
	u64 features;
};

void hello_encode(struct writer *w, const struct hello *m);
int hello_decode(const u8 *p, size_t len, struct hello *m, struct fault *f);
void welcome_encode(struct writer *w, const struct welcome *m);
int welcome_decode(const u8 *p, size_t len, struct welcome *m, struct fault *f);

/* What this node says first. */
void hello_make(struct hello *m, const struct node *self);
/* What the two have in common, or a fault for REFUSE. */
int hello_answer(const struct hello *peer, const struct node *self, struct welcome *m,
		 struct fault *f);
/* Is it the node of the configuration? @name: empty for any. */
int node_check(const struct node *n, const char *name, struct fault *f);
/* Is the answer one that this node can live with? */
int welcome_check(const struct welcome *m, const struct node *self, struct fault *f);

#endif
