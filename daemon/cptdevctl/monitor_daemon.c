// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptdevctl monitor: what the daemon tells about peers. The daemon may come and go while
 * the kernel is listened to.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "monitor.h"

#define RETRY_NS	NSEC_PER_SEC

static void lost(struct ctl *c, struct monitor_daemon *m)
{
	if (m->fd >= 0)
		close(m->fd);
	m->fd = -1;
	m->len = 0;
	m->retry_at = monitor_clock(CLOCK_MONOTONIC) + RETRY_NS;
	if (!m->absent)
		monitor_note(c, monitor_clock(CLOCK_REALTIME), "daemon", "absent");
	m->absent = true;
}

void monitor_daemon_open(struct ctl *c, struct monitor_daemon *m)
{
	static const char request[] = "{\"command\":\"monitor\"}\n";

	m->fd = client_connect(c->socket);
	if (m->fd < 0 || send(m->fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
		lost(c, m);
}

/* False: it isn't news, but a refusal. */
static bool show(struct ctl *c, struct monitor_daemon *m, const char *line)
{
	struct json_object *o = json_tokener_parse(line);
	bool news = js_get_str(o, "event");

	if (news)
		monitor_peer(c, monitor_clock(CLOCK_REALTIME), o);
	m->absent = m->absent && !news;
	json_object_put(o);
	return news;
}

/* All whole lines; a line that doesn't fit isn't the daemon's. */
static bool show_lines(struct ctl *c, struct monitor_daemon *m)
{
	char *end;
	size_t len;

	while ((end = memchr(m->buf, '\n', m->len))) {
		*end = '\0';
		len = end + 1 - m->buf;
		if (!show(c, m, m->buf))
			return false;
		m->len -= len;
		memmove(m->buf, m->buf + len, m->len);
	}
	return m->len < sizeof(m->buf);
}

void monitor_daemon_read(struct ctl *c, struct monitor_daemon *m)
{
	ssize_t n = recv(m->fd, m->buf + m->len, sizeof(m->buf) - m->len, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		m->len += n;
		if (show_lines(c, m))
			return;
	}
	lost(c, m);
}

void monitor_daemon_close(struct monitor_daemon *m)
{
	if (m->fd >= 0)
		close(m->fd);
	m->fd = -1;
}
