// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: what a socket is, and its addresses.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "fd.h"
#include "tcp.h"

static int option(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value = 0;

	return getsockopt(fd, level, name, &value, &len) ? 0 : value;
}

static void query_addresses(struct hs_fd *f)
{
	struct hs_fd_socket *s = &f->socket;

	s->name.len = s->peer.len = 0;
	if (f->what & HS_FD_NAME) {
		s->name.len = sizeof(s->name.addr);
		if (getsockname(f->fd, (struct sockaddr *)&s->name.addr, &s->name.len))
			s->name.len = 0;
	}
	if (f->what & HS_FD_PEER) {
		s->peer.len = sizeof(s->peer.addr);
		/* ENOTCONN is no error: there is none, then. */
		if (getpeername(f->fd, (struct sockaddr *)&s->peer.addr, &s->peer.len))
			s->peer.len = 0;
	}
}

/* The kernel keeps it where connected sockets have what was acknowledged selectively. */
static int tcp_backlog(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
		return SOMAXCONN;
	return info.tcpi_sacked > INT32_MAX ? SOMAXCONN : (int)info.tcpi_sacked;
}

/* Others have what isn't known here. */
static bool is_known(const struct hs_fd_socket *s)
{
	if (s->domain == AF_UNIX)
		return true;
	if (s->type == SOCK_STREAM)
		return s->protocol == IPPROTO_TCP;
	return s->type == SOCK_DGRAM && (s->protocol == IPPROTO_UDP ||
					 s->protocol == IPPROTO_UDPLITE ||
					 s->protocol == IPPROTO_ICMP ||
					 s->protocol == IPPROTO_ICMPV6);
}

static void query_flags(struct hs_fd *f)
{
	struct hs_fd_socket *s = &f->socket;

	s->reuse_addr = option(f->fd, SOL_SOCKET, SO_REUSEADDR);
	s->reuse_port = option(f->fd, SOL_SOCKET, SO_REUSEPORT);
	s->broadcast = option(f->fd, SOL_SOCKET, SO_BROADCAST);
	s->v6_only = s->domain == AF_INET6 && option(f->fd, IPPROTO_IPV6, IPV6_V6ONLY);
	s->backlog = -1;
	if (option(f->fd, SOL_SOCKET, SO_ACCEPTCONN))
		s->backlog = s->domain == AF_UNIX ? SOMAXCONN : tcp_backlog(f->fd);
}

/* One that was reset, or was never connected, becomes a new socket. */
static bool counts_as_connected(const struct hs_fd *f, bool connected)
{
	const struct hs_fd_socket *s = &f->socket;

	if (s->protocol != IPPROTO_TCP || s->backlog >= 0)
		return false;
	return f->what & (connected ? HS_FD_CONNECTED : HS_FD_UNCONNECTED);
}

/* When it is registered. Returns 0, or -1 with errno and @e. */
int hs_fd_socket_query(struct hs_fd *f, struct hs_error *e)
{
	struct hs_fd_socket *s = &f->socket;
	struct hs_fd_address peer = { .len = sizeof(peer.addr) };
	bool connected = !getpeername(f->fd, (struct sockaddr *)&peer.addr, &peer.len);

	s->domain = option(f->fd, SOL_SOCKET, SO_DOMAIN);
	s->type = option(f->fd, SOL_SOCKET, SO_TYPE);
	s->protocol = option(f->fd, SOL_SOCKET, SO_PROTOCOL);
	query_flags(f);
	if (s->domain != AF_INET && s->domain != AF_INET6 && s->domain != AF_UNIX)
		return hs_fail(e, EPROTONOSUPPORT, "descriptor %d: a socket of family %d "
				  "can't be saved", f->fd, s->domain);
	if (s->type == SOCK_RAW)
		return hs_fail(e, EPROTONOSUPPORT, "descriptor %d: a raw socket can't be saved",
			       f->fd);
	if (!is_known(s))
		return hs_fail(e, EPROTONOSUPPORT, "descriptor %d: a socket of protocol %d can't be "
			       "saved", f->fd, s->protocol);
	s->made = -1;
	s->connected = counts_as_connected(f, connected);
	if (s->type != SOCK_DGRAM && connected && !s->connected)
		return hs_fail(e, EISCONN, "descriptor %d: a connection can't be saved, but those of "
				  "TCP by hs_fdreg(): clients have to connect again", f->fd);
	if (s->connected && hs_tcp_check(f->fd, e))
		return -1;
	if (!s->connected && s->backlog < 0 && s->type != SOCK_DGRAM)
		return hs_fail(e, ENOTCONN, "descriptor %d: this socket doesn't listen yet: "
			       "register it after listen(2)", f->fd);
	query_addresses(f);
	if (hs_fd_unix_query(f))
		return hs_fail(e, errno, "descriptor %d: the current directory: %s", f->fd,
			       strerror(errno));
	return 0;
}

/* Its addresses stay, also after the peer has reset it. */
static int capture_connection(struct hs_fd *f, struct hs_error *e)
{
	f->socket.tcp = hs_tcp_read(f->fd, e);
	return f->socket.tcp ? hs_fd_options_capture(f, e) : -1;
}

/* At the cut: @from is the registered one. Returns 0, or -1 with errno and @e. */
int hs_fd_socket_capture(const struct hs_fd *from, struct hs_fd *f, struct hs_error *e)
{
	query_flags(f);
	if (f->socket.connected)
		return capture_connection(f, e);
	if (f->socket.backlog < 0 && f->socket.type != SOCK_DGRAM)
		return hs_fail(e, ENOTCONN, "descriptor %d doesn't listen any more: deregister it "
			       "(hs_fd_deregister)", f->fd);
	if (f->what & HS_FD_REFRESH)
		query_addresses(f);
	hs_fd_unix_capture(from, f);
	return hs_fd_options_capture(f, e);
}

/* A program that has just died, or a spare that has just become master. */
int hs_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	const struct timespec little = { .tv_nsec = 10000000 };
	int i, ret;

	for (i = 0; (ret = bind(fd, addr, len)) && errno == EADDRINUSE && i < 200; i++)
		nanosleep(&little, NULL);
	return ret;
}
