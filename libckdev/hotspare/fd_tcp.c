// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: TCP connections among the descriptors, and as text. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fd.h"
#include "js.h"
#include "tcp.h"

/*
 * As text
 */

static void put_queue(struct json_object *o, const char *key, const struct hs_tcp_queue *q)
{
	struct json_object *to = json_object_new_object();

	js_put_u64(to, "seq", q->seq);
	js_put_hex(to, "bytes", q->bytes, q->len);
	json_object_object_add(o, key, to);
}

struct json_object *hs_tcp_json(const struct hs_tcp *t)
{
	struct json_object *o = json_object_new_object();

	js_put_bool(o, "gone", t->gone);
	if (t->gone)
		return o;
	js_put_bool(o, "ended", t->fin);
	put_queue(o, "send", &t->send);
	js_put_u64(o, "unsent", t->unsent);
	put_queue(o, "receive", &t->receive);
	js_put_u64(o, "mss", t->mss);
	js_put_bool(o, "sack", t->sack);
	if (t->timestamps)
		js_put_u64(o, "timestamp", t->timestamp);
	if (t->scaled) {
		js_put_u64(o, "send_scale", t->send_scale);
		js_put_u64(o, "receive_scale", t->receive_scale);
	}
	js_put_u64(o, "snd_wl1", t->snd_wl1);
	js_put_u64(o, "snd_wnd", t->snd_wnd);
	js_put_u64(o, "max_window", t->max_window);
	js_put_u64(o, "rcv_wnd", t->rcv_wnd);
	js_put_u64(o, "rcv_wup", t->rcv_wup);
	js_put_u64(o, "buf_lock", t->buf_lock);
	js_put_bool(o, "reuse", t->reuse);
	return o;
}

static uint32_t get_u32(struct js_from *from, const char *key)
{
	return (uint32_t)js_get_i64(from, key, 0, UINT32_MAX);
}

static void get_queue(struct js_from *from, const char *key, struct hs_tcp_queue *q)
{
	struct js_from in = { .o = js_get(from, key, json_type_object, true) };

	if (!in.o)
		return;
	q->seq = get_u32(&in, "seq");
	q->bytes = js_get_hex(&in, "bytes", HS_TCP_QUEUE_MAX, &q->len);
	if (in.bad)
		from->bad = from->bad ?: key;
}

static void get_options(struct js_from *from, struct hs_tcp *t)
{
	t->mss = (uint32_t)js_get_i64(from, "mss", 1, 65535);
	t->sack = js_get_bool(from, "sack");
	t->timestamps = json_object_object_get(from->o, "timestamp");
	if (t->timestamps)
		t->timestamp = get_u32(from, "timestamp");
	t->scaled = json_object_object_get(from->o, "send_scale");
	if (!t->scaled)
		return;
	t->send_scale = (uint8_t)js_get_i64(from, "send_scale", 0, 14);
	t->receive_scale = (uint8_t)js_get_i64(from, "receive_scale", 0, 14);
}

struct hs_tcp *hs_tcp_parse(struct js_from *from)
{
	struct hs_tcp *t = calloc(1, sizeof(*t));

	if (!t) {
		from->bad = from->bad ?: "connection";
		return NULL;
	}
	t->gone = js_get_bool(from, "gone");
	if (t->gone || from->bad)
		return t;
	t->fin = js_get_bool(from, "ended");
	get_queue(from, "send", &t->send);
	get_queue(from, "receive", &t->receive);
	t->unsent = get_u32(from, "unsent");
	if (t->unsent > t->send.len)
		from->bad = from->bad ?: "unsent";
	get_options(from, t);
	t->snd_wl1 = get_u32(from, "snd_wl1");
	t->snd_wnd = get_u32(from, "snd_wnd");
	t->max_window = get_u32(from, "max_window");
	t->rcv_wnd = get_u32(from, "rcv_wnd");
	t->rcv_wup = get_u32(from, "rcv_wup");
	t->buf_lock = (uint32_t)js_get_i64(from, "buf_lock", 0, 3);
	t->reuse = js_get_bool(from, "reuse");
	return t;
}

/*
 * Among the others
 */

bool hs_fd_is_connection(const struct hs_fd *f)
{
	return f->kind == HS_FD_SOCKET && f->socket.connected;
}

static void end_at_once(int fd)
{
	const struct linger now = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

void hs_fd_connection_keep(struct hs_fd *f)
{
	socklen_t len = sizeof(f->socket.linger);

	if (!hs_fd_is_connection(f))
		return;
	getsockopt(f->fd, SOL_SOCKET, SO_LINGER, &f->socket.linger, &len);
	end_at_once(f->fd);
}

/* Leaves errno alone. */
void hs_fd_connection_leave(const struct hs_fd *f)
{
	const struct linger *l = &f->socket.linger;
	int err = errno;

	if (hs_fd_is_connection(f))
		setsockopt(f->fd, SOL_SOCKET, SO_LINGER, l, sizeof(*l));
	errno = err;
}

static struct hs_tcp_ends ends_of(const struct hs_fd_socket *s)
{
	return (struct hs_tcp_ends) {
		.name = (const struct sockaddr *)&s->name.addr, .name_len = s->name.len,
		.peer = (const struct sockaddr *)&s->peer.addr, .peer_len = s->peer.len,
	};
}

static int make(struct hs_fd *f, int above, struct hs_error *e);

/*
 * The kernel of this host has one with these addresses, which is still ended after its program was
 * killed here. A program that lacks one connection is better than none.
 */
static int make_lost(struct hs_fd *f, int above, struct hs_error *e)
{
	hs_say("libhotspare: descriptor %d: the connection is lost: this host hasn't ended yet what it "
	       "was here", f->fd);
	close(f->socket.made);
	f->socket.made = -1;
	free(f->socket.tcp->send.bytes);
	free(f->socket.tcp->receive.bytes);
	*f->socket.tcp = (struct hs_tcp) { .gone = true };
	return make(f, above, e);
}

static int make(struct hs_fd *f, int above, struct hs_error *e)
{
	struct js_from extra = { .o = f->extra };
	struct hs_fd_socket *s = &f->socket;
	const struct hs_tcp_ends ends = ends_of(s);
	int fd = socket(s->domain, SOCK_STREAM | SOCK_CLOEXEC, s->protocol);

	s->made = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, above);
	if (fd >= 0)
		close(fd);
	if (s->made < 0)
		return hs_fd_cannot(f, "socket", e);
	if (f->extra && hs_fd_options_set(f, s->made, &extra, e))
		return -1;
	end_at_once(s->made);
	if (!hs_tcp_make(s->made, s->tcp, &ends))
		return 0;
	if (errno == EADDRNOTAVAIL && !s->tcp->gone)
		return make_lost(f, above, e);
	if (errno == EPERM)
		return hs_fail(e, EPERM, "descriptor %d: to restore a TCP connection takes "
			       "CAP_NET_ADMIN: give the program this capability", f->fd);
	return hs_fd_cannot(f, "connection", e);
}

/*
 * Connections, before the host has their addresses: none of them sends anything yet. Then
 * hs_fds_restore() puts them in their places. Returns 0, or -1 with errno and @e.
 */
int hs_fds_prepare(struct hs_fds *list, struct hs_error *e)
{
	int above = list->nr ? list->v[list->nr - 1].fd + 1 : 0;
	struct hs_fd *f;

	for (f = list->v; f < list->v + list->nr; f++)
		if (hs_fd_is_connection(f) && f->same_as < 0 && make(f, above, e))
			return -1;
	return 0;
}

/* When the host has the addresses. One that can't go on is told; the others do. */
void hs_fds_go_on(struct hs_fds *list)
{
	struct hs_fd *f;

	for (f = list->v; f < list->v + list->nr; f++) {
		const struct hs_tcp_ends ends = ends_of(&f->socket);

		if (!hs_fd_is_connection(f) || f->same_as >= 0)
			continue;
		if (hs_tcp_go_on(f->fd, f->socket.tcp, &ends))
			hs_say("libhotspare: descriptor %d: the connection can't go on: %s", f->fd,
			       strerror(errno));
	}
}
