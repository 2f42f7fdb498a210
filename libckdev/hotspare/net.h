/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libhotspare: connections between a program and its spare, and what a spare answers. */
#ifndef HS_NET_H
#define HS_NET_H

#include <stdint.h>
#include <sys/socket.h>

#include "error.h"

#define HS_ANSWER_MAGIC	"\x89HSANS\r\n"
#define HS_TIMEOUT	5		/* seconds, by default */

/* What a connection is for: the first byte that the master sends. */
#define HS_FOR_DATA	'C'		/* checkpoints, each with an answer */
#define HS_FOR_LIFE	'L'		/* the master lives as long as it is open ... */
#define HS_BYE		'B'		/* ... or ends, as it should */

/* What a spare has, when it is connected to; and what it says of each checkpoint. */
struct hs_answer {
	uint8_t magic[8];
	uint64_t generation;		/* that it has now; 0: none */
	uint8_t run[16];
	uint32_t err;			/* errno; 0: it has taken it */
	uint32_t reserved;
	char text[192];			/* why not */
};

void hs_set_timeout(unsigned int seconds);
unsigned int hs_timeout(void);
const char *hs_addr_text(const struct sockaddr *addr, socklen_t len, char *text, size_t size);
void hs_be_patient(int fd);
int hs_bind(int fd, const struct sockaddr *addr, socklen_t len);
int hs_connect_start(const struct sockaddr *addr, socklen_t len);
int hs_connect_wait(int fd, unsigned int ms);
int hs_greet(int fd, char what_for, struct hs_answer *has, struct hs_error *e);
int hs_listen(const struct sockaddr *addr, socklen_t len, struct hs_error *e);
int hs_send_answer(int fd, const struct hs_answer *a);
int hs_get_answer(int fd, struct hs_answer *a, struct hs_error *e);

#endif /* HS_NET_H */
