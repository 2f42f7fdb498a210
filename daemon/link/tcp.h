/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEVD_TCP_H
#define CPTDEVD_TCP_H

#include <sys/socket.h>

#include "types.h"

/* Each returns a descriptor that doesn't block, or a negative errno. */
int tcp_listen(const struct sockaddr_storage *addr, u16 *port);
int tcp_connect(const struct sockaddr_storage *addr, u32 timeout_ms);
int tcp_accept(int listener, struct sockaddr_storage *from);

/* What every connection wants. */
void tcp_tune(int fd, u32 timeout_ms);
/* The errno of a connection that was being made, 0: it is there. */
int tcp_error(int fd);

/* The same host, whatever the port; IPv4 in IPv6 counts as IPv4. */
bool tcp_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b);
/* "192.0.2.1", without the port. */
void tcp_host(const struct sockaddr_storage *addr, char *text, size_t size);
/* "192.0.2.1:7475" or "[2001:db8::1]:7475". */
void tcp_text(const struct sockaddr_storage *addr, char *text, size_t size);

#endif
