/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The soft engine: messages from programs, and answers to them. */
#ifndef CPTDEV_SOFT_RECEIVE_H
#define CPTDEV_SOFT_RECEIVE_H

#include "soft.h"
#include "softwire.h"

/* A request as it came; whatever it says may be wrong. */
struct soft_message {
	u32 cmd;
	u32 len;		/* of the struct, as the program has it */
	u32 pid;		/* of who sent it, 0: isn't known here */
	u32 uid;		/* likewise; ~0: isn't known */
	int reply;		/* socket for the answer */
	int file;		/* -1: none came */
	u64 arg[SOFT_STRUCT_MAX / sizeof(u64)];	/* the struct, zeros behind it */
};

/* 1: a request, 0: none now, -errno: the program is gone or talks nonsense. */
int soft_receive(int fd, struct soft_message *m);
void soft_message_end(struct soft_message *m);
/* As the module takes structs: @size is what we know, @min what it was born with. */
int soft_message_check(struct soft_message *m, u32 size, u32 min);
/* Entries follow the struct; @fd goes along, -1: none. It is closed if the program doesn't take it. */
void soft_answer(int reply, int err, const void *arg, u32 len, const void *entries, u32 bytes,
		 int fd);

#endif
