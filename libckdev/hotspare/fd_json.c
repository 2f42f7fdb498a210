// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: descriptors as text, and back. What is read may be anything: each field is
 * checked for its kind and range before it is believed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "fd.h"
#include "js.h"
#include "tcp.h"

static const char *const kind_text[HS_FD_KINDS] = {
	[HS_FD_FILE] = "file", [HS_FD_SOCKET] = "socket", [HS_FD_PAIR] = "pair",
	[HS_FD_PIPE] = "pipe", [HS_FD_EVENT] = "eventfd", [HS_FD_TIMER] = "timerfd",
	[HS_FD_SIGNAL] = "signalfd", [HS_FD_EPOLL] = "epoll",
};

/*
 * Writing
 */

static void put_address(struct json_object *o, const char *key, const struct hs_fd_address *a)
{
	const struct sockaddr_in6 *in6 = (const void *)&a->addr;
	const struct sockaddr_in *in = (const void *)&a->addr;
	const struct sockaddr_un *un = (const void *)&a->addr;
	struct json_object *to;
	char text[INET6_ADDRSTRLEN];

	if (!a->len)
		return;
	to = json_object_new_object();
	if (a->addr.ss_family == AF_INET) {
		js_put_text(to, "address", inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text)));
		js_put_u64(to, "port", ntohs(in->sin_port));
	} else if (a->addr.ss_family == AF_INET6) {
		js_put_text(to, "address", inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text)));
		js_put_u64(to, "port", ntohs(in6->sin6_port));
		js_put_u64(to, "scope", in6->sin6_scope_id);
	} else {
		/* A path, or an abstract name, which may have any bytes. */
		js_put_hex(to, "name", un->sun_path, a->len - offsetof(struct sockaddr_un, sun_path));
	}
	json_object_object_add(o, key, to);
}

static void put_type(struct json_object *o, int type)
{
	js_put_text(o, "type", type == SOCK_STREAM ? "stream" :
		    type == SOCK_DGRAM ? "dgram" : "seqpacket");
}

static void put_socket(struct json_object *o, const struct hs_fd_socket *s)
{
	js_put_text(o, "family", s->domain == AF_INET ? "inet" :
		    s->domain == AF_INET6 ? "inet6" : "unix");
	put_type(o, s->type);
	js_put_i64(o, "protocol", s->protocol);
	if (s->backlog >= 0)
		js_put_i64(o, "backlog", s->backlog);
	js_put_bool(o, "reuse_addr", s->reuse_addr);
	js_put_bool(o, "reuse_port", s->reuse_port);
	js_put_bool(o, "v6_only", s->v6_only);
	js_put_bool(o, "broadcast", s->broadcast);
	put_address(o, "name", &s->name);
	put_address(o, "peer", &s->peer);
	if (!s->tcp)
		return;
	json_object_object_add(o, "connection", hs_tcp_json(s->tcp));
	js_put_i64(o, "linger", s->linger.l_onoff ? s->linger.l_linger : -1);
}

static void put_data(struct json_object *o, const struct hs_fd *f)
{
	js_put_i64(o, "other", f->data.other);
	if (f->kind == HS_FD_PIPE)
		js_put_u64(o, "size", f->data.size);
	else
		put_type(o, f->data.type);
	if (f->data.shut)
		js_put_bool(o, "shut", true);
	js_put_hex(o, "waiting", f->data.bytes, f->data.len);
}

static void put_timer(struct json_object *o, const struct hs_fd_timer *t)
{
	js_put_i64(o, "clock", t->clock);
	js_put_u64(o, "set_flags", (unsigned int)t->set_flags);
	js_put_u64(o, "ticks", t->ticks);
	js_put_time(o, "value", &t->value.it_value);
	js_put_time(o, "interval", &t->value.it_interval);
}

static void put_epoll(struct json_object *o, const struct hs_fd_epoll *set)
{
	struct json_object *list = json_object_new_array(), *item;
	uint32_t i;

	for (i = 0; i < set->nr; i++) {
		item = json_object_new_object();
		js_put_i64(item, "fd", set->item[i].fd);
		js_put_u64(item, "events", set->item[i].event.events);
		js_put_u64(item, "data", set->item[i].event.data.u64);
		json_object_array_add(list, item);
	}
	json_object_object_add(o, "set", list);
}

static void put_file(struct json_object *o, const struct hs_fd_file *file)
{
	js_put_text(o, "path", file->path);
	js_put_bool(o, "named", file->named);
	js_put_i64(o, "offset", file->offset);
	js_put_i64(o, "bytes", file->size);
	js_put_time(o, "mtime", &file->mtime);
	js_put_u64(o, "device", file->device);
	js_put_u64(o, "inode", file->inode);
	js_put_text(o, "boot", file->boot);
	if (file->is_special)
		js_put_u64(o, "special", file->special);
}

static void put_kind(struct json_object *o, const struct hs_fd *f)
{
	switch (f->kind) {
	case HS_FD_FILE:
		put_file(o, &f->file);
		break;
	case HS_FD_SOCKET:
		put_socket(o, &f->socket);
		break;
	case HS_FD_PAIR:
	case HS_FD_PIPE:
		put_data(o, f);
		break;
	case HS_FD_EVENT:
		js_put_u64(o, "count", f->event.count);
		js_put_bool(o, "semaphore", f->event.semaphore);
		break;
	case HS_FD_TIMER:
		put_timer(o, &f->timer);
		break;
	case HS_FD_SIGNAL:
		js_put_signals(o, "signals", &f->signals);
		break;
	default:
		put_epoll(o, &f->epoll);
	}
}

/* A list with an object for each. NULL: no memory. */
struct json_object *hs_fds_json(const struct hs_fds *list)
{
	struct json_object *all = json_object_new_array(), *o;
	uint32_t i;

	for (i = 0; all && i < list->nr; i++) {
		const struct hs_fd *f = &list->v[i];

		o = json_object_new_object();
		js_put_i64(o, "fd", f->fd);
		js_put_text(o, "kind", kind_text[f->kind]);
		js_put_i64(o, "what", f->what);
		js_put_u64(o, "flags", (unsigned int)f->flags);
		js_put_bool(o, "cloexec", f->cloexec);
		if (f->same_as >= 0)
			js_put_i64(o, "same_as", f->same_as);
		put_kind(o, f);
		if (f->extra)
			json_object_object_add(o, "extra", json_object_get(f->extra));
		json_object_array_add(all, o);
	}
	return all;
}

/*
 * Reading
 */

static void get_inet(struct js_from *from, int domain, struct hs_fd_address *a)
{
	struct sockaddr_in6 *in6 = (void *)&a->addr;
	struct sockaddr_in *in = (void *)&a->addr;
	const char *text = js_get_text(from, "address");
	in_port_t port = htons((uint16_t)js_get_i64(from, "port", 0, 65535));
	int ok;

	a->addr.ss_family = (sa_family_t)domain;
	if (domain == AF_INET) {
		a->len = sizeof(*in);
		in->sin_port = port;
		ok = inet_pton(AF_INET, text, &in->sin_addr);
	} else {
		a->len = sizeof(*in6);
		in6->sin6_port = port;
		in6->sin6_scope_id = (uint32_t)js_get_i64(from, "scope", 0, UINT32_MAX);
		ok = inet_pton(AF_INET6, text, &in6->sin6_addr);
	}
	if (ok != 1)
		from->bad = from->bad ?: "address";
}

static void get_address(struct js_from *from, const char *key, int domain,
			struct hs_fd_address *a)
{
	struct sockaddr_un *un = (void *)&a->addr;
	struct js_from in = { .o = js_get(from, key, json_type_object, false) };
	uint32_t len;
	char *name;

	memset(a, 0, sizeof(*a));
	if (!in.o)
		return;
	if (domain == AF_UNIX) {
		name = js_get_hex(&in, "name", sizeof(un->sun_path), &len);
		un->sun_family = AF_UNIX;
		memcpy(un->sun_path, name ?: "", len);
		a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
		free(name);
	} else {
		get_inet(&in, domain, a);
	}
	if (in.bad)
		from->bad = from->bad ?: key;
}

static int get_type(struct js_from *from)
{
	static const char *const words[] = { "stream", "dgram", "seqpacket" };
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };

	return types[js_get_word(from, "type", words, 3)];
}

static void get_connection(struct js_from *from, struct hs_fd_socket *s)
{
	struct js_from in = { .o = js_get(from, "connection", json_type_object, false) };

	s->made = -1;
	s->connected = in.o;
	if (!in.o)
		return;
	s->tcp = hs_tcp_parse(&in);
	s->linger.l_linger = (int)js_get_i64(from, "linger", -1, INT32_MAX);
	s->linger.l_onoff = s->linger.l_linger >= 0;
	if (in.bad || s->domain == AF_UNIX || s->type != SOCK_STREAM ||
	    s->protocol != IPPROTO_TCP || s->backlog >= 0 ||
	    (!s->tcp->gone && (!s->name.len || !s->peer.len)))
		from->bad = from->bad ?: "connection";
}

static void get_socket(struct js_from *from, struct hs_fd_socket *s)
{
	static const char *const words[] = { "inet", "inet6", "unix" };
	static const int domains[] = { AF_INET, AF_INET6, AF_UNIX };

	s->domain = domains[js_get_word(from, "family", words, 3)];
	s->type = get_type(from);
	s->protocol = (int)js_get_i64(from, "protocol", 0, 255);
	s->backlog = -1;
	if (json_object_object_get(from->o, "backlog"))
		s->backlog = (int)js_get_i64(from, "backlog", 0, INT32_MAX);
	s->reuse_addr = js_get_bool(from, "reuse_addr");
	s->reuse_port = js_get_bool(from, "reuse_port");
	s->v6_only = js_get_bool(from, "v6_only");
	s->broadcast = js_get_bool(from, "broadcast");
	get_address(from, "name", s->domain, &s->name);
	get_address(from, "peer", s->domain, &s->peer);
	get_connection(from, s);
}

static void get_data(struct js_from *from, struct hs_fd *f)
{
	f->data.other = (int)js_get_i64(from, "other", f->kind == HS_FD_PIPE ? -1 : 0, INT32_MAX);
	if (f->kind == HS_FD_PIPE)
		f->data.size = (uint32_t)js_get_i64(from, "size", 0, INT32_MAX);
	else
		f->data.type = get_type(from);
	f->data.shut = json_object_object_get(from->o, "shut");
	f->data.bytes = js_get_hex(from, "waiting", HS_FD_DATA_MAX, &f->data.len);
}

static void get_timer(struct js_from *from, struct hs_fd_timer *t)
{
	t->clock = (int)js_get_i64(from, "clock", 0, 16);
	t->set_flags = (int)js_get_i64(from, "set_flags", 0, 3);
	t->ticks = js_get_u64(from, "ticks");
	t->value.it_value = js_get_time(from, "value");
	t->value.it_interval = js_get_time(from, "interval");
}

static void get_epoll(struct js_from *from, struct hs_fd_epoll *set)
{
	struct json_object *o = js_get(from, "set", json_type_array, true);
	size_t i, nr = o ? json_object_array_length(o) : 0;

	set->nr = 0;
	set->item = nr ? calloc(nr, sizeof(*set->item)) : NULL;
	if (nr && !set->item)
		from->bad = from->bad ?: "set";
	for (i = 0; set->item && i < nr; i++) {
		struct js_from in = { .o = json_object_array_get_idx(o, i) };
		struct hs_fd_epoll_item *item = &set->item[set->nr++];

		item->fd = (int)js_get_i64(&in, "fd", 0, INT32_MAX);
		item->event.events = (uint32_t)js_get_i64(&in, "events", 0, UINT32_MAX);
		item->event.data.u64 = js_get_u64(&in, "data");
		if (in.bad)
			from->bad = from->bad ?: "set";
	}
}

static void get_file(struct js_from *from, struct hs_fd_file *file)
{
	const char *boot;

	file->path = strdup(js_get_text(from, "path"));
	if (!file->path || file->path[0] != '/')
		from->bad = from->bad ?: "path";
	file->named = js_get_bool(from, "named");
	file->offset = js_get_i64(from, "offset", -1, INT64_MAX);
	file->size = js_get_i64(from, "bytes", 0, INT64_MAX);
	file->mtime = js_get_time(from, "mtime");
	file->device = js_get_u64(from, "device");
	file->inode = js_get_u64(from, "inode");
	boot = js_get_text(from, "boot");
	if (strlen(boot) >= sizeof(file->boot))
		from->bad = from->bad ?: "boot";
	else
		strcpy(file->boot, boot);
	file->is_special = json_object_object_get(from->o, "special");
	if (file->is_special)
		file->special = js_get_u64(from, "special");
}

static void get_kind(struct js_from *from, struct hs_fd *f)
{
	switch (f->kind) {
	case HS_FD_FILE:
		get_file(from, &f->file);
		break;
	case HS_FD_SOCKET:
		get_socket(from, &f->socket);
		break;
	case HS_FD_PAIR:
	case HS_FD_PIPE:
		get_data(from, f);
		break;
	case HS_FD_EVENT:
		f->event.count = js_get_u64(from, "count");
		f->event.semaphore = js_get_bool(from, "semaphore");
		break;
	case HS_FD_TIMER:
		get_timer(from, &f->timer);
		break;
	case HS_FD_SIGNAL:
		js_get_signals(from, "signals", &f->signals);
		break;
	default:
		get_epoll(from, &f->epoll);
	}
}

/* Locks, owner, options: they stay as text until they are set. */
static void get_extra(struct js_from *from, struct hs_fd *f)
{
	struct json_object *o = js_get(from, "extra", json_type_object, false);
	struct js_from in = { .o = o };

	if (!o)
		return;
	f->extra = json_object_get(o);
	hs_fd_locks_set(f, -1, &in, NULL);
	if (f->kind == HS_FD_SOCKET || f->kind == HS_FD_PAIR)
		hs_fd_options_set(f, -1, &in, NULL);
	if (f->kind == HS_FD_SOCKET)
		hs_fd_unix_check(&in);
	if (in.bad)
		from->bad = from->bad ?: in.bad;
}

/* NULL, or what is wrong with it. What it points to is good in any case. */
static const char *parse_one(struct hs_fds *list, struct hs_fd *f, struct json_object *o)
{
	struct js_from from = { .o = o };

	if (!json_object_is_type(o, json_type_object))
		return "it is no object";
	f->same_as = -1;
	f->fd = (int)js_get_i64(&from, "fd", 0, INT32_MAX - 1);
	f->kind = (enum hs_fd_kind)js_get_word(&from, "kind", kind_text, HS_FD_KINDS);
	f->what = (int)js_get_i64(&from, "what", 0, HS_FD_NAME | HS_FD_PEER | HS_FD_REFRESH |
				  HS_FD_CONNECTED | HS_FD_UNCONNECTED);
	f->flags = (int)js_get_i64(&from, "flags", 0, INT32_MAX);
	f->cloexec = js_get_bool(&from, "cloexec");
	if (json_object_object_get(o, "same_as"))
		f->same_as = (int)js_get_i64(&from, "same_as", 0, INT32_MAX);
	get_kind(&from, f);
	get_extra(&from, f);
	if (list->nr && list->v[list->nr - 1].fd >= f->fd)
		from.bad = from.bad ?: "fd";
	return from.bad;
}

/* What they say of each other. */
static const char *check_links(const struct hs_fds *list, const struct hs_fd *f)
{
	const struct hs_fd *o;
	uint32_t i;

	if (f->same_as >= 0) {
		o = f->same_as < f->fd ? hs_fds_find(list, f->same_as) : NULL;
		return o && o->same_as < 0 && o->kind == f->kind ? NULL : "same_as";
	}
	if ((f->kind == HS_FD_PIPE && f->data.other >= 0) || f->kind == HS_FD_PAIR) {
		o = hs_fds_find(list, f->data.other);
		if (!o || o == f || o->kind != f->kind || o->same_as >= 0 ||
		    o->data.other != f->fd)
			return "other";
	}
	for (i = 0; f->kind == HS_FD_EPOLL && i < f->epoll.nr; i++)
		if (!hs_fds_find(list, f->epoll.item[i].fd))
			return "set";
	return NULL;
}

/* Returns 0, or -1 with errno EBADMSG or ENOMEM, and @e. */
int hs_fds_parse(struct hs_fds *list, struct json_object *json, struct hs_error *e)
{
	const char *bad = NULL;
	size_t i, nr;
	int fd = -1;

	*list = (struct hs_fds) { 0 };
	if (!json_object_is_type(json, json_type_array))
		return hs_fail(e, EBADMSG, "the list of descriptors is invalid");
	nr = json_object_array_length(json);
	list->v = calloc(nr + 1, sizeof(*list->v));
	if (!list->v)
		return hs_fail(e, ENOMEM, "no memory for the list of descriptors");
	for (i = 0; !bad && i < nr; i++) {
		bad = parse_one(list, &list->v[i], json_object_array_get_idx(json, i));
		fd = list->v[i].fd;
		list->nr++;
	}
	for (i = 0; !bad && i < nr; i++) {
		bad = check_links(list, &list->v[i]);
		fd = list->v[i].fd;
	}
	if (!bad)
		return 0;
	hs_fds_free(list);
	return hs_fail(e, EBADMSG, "descriptor %d in the checkpoint: '%s' is invalid", fd,
			  bad);
}
