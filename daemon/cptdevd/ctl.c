// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control socket: a request is a line of JSON, and so is its answer. Few clients,
 * short requests, and nobody is waited for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon.h"
#include "json.h"
#include "log.h"

#define REQUEST_MAX	4096
/* A client that takes longer to read its answer, or to ask, is dropped. */
#define CLIENT_NS	(60 * NSEC_PER_SEC)

struct client {
	LIST_ENTRY(client) entry;
	struct daemon *d;
	struct watch watch;
	struct timer idle;
	struct garbage garbage;
	struct ucred cred;		/* who it is: noted in the log */
	char in[REQUEST_MAX];
	size_t in_len;
	char *out;
	size_t out_len;
	size_t out_sent;
};

static void client_garbage(struct garbage *g)
{
	struct client *c = container_of(g, struct client, garbage);

	free(c->out);
	free(c);
}

static void client_drop(struct client *c)
{
	int fd = c->watch.fd;

	loop_unwatch(&c->d->loop, &c->watch);
	close(fd);
	loop_disarm(&c->idle);
	LIST_REMOVE(c, entry);
	c->d->nr_clients--;
	loop_discard(&c->d->loop, &c->garbage, client_garbage);
}

static void client_idle(struct timer *t)
{
	struct client *c = container_of(t, struct client, idle);

	log_debug("control: process %d is too slow, dropped", c->cred.pid);
	client_drop(c);
}

static void client_answer(struct client *c, struct json_object *o)
{
	const char *line = js_line(o);

	c->out_len = strlen(line) + 1;
	c->out_sent = 0;
	c->out = malloc(c->out_len + 1);
	if (c->out) {
		memcpy(c->out, line, c->out_len - 1);
		c->out[c->out_len - 1] = '\n';
	}
	json_object_put(o);
}

static struct json_object *refusal(const char *code, const char *message)
{
	struct json_object *o = js_document();

	js_error(o, code, message);
	return o;
}

static struct json_object *answer_to(struct daemon *d, const char *line)
{
	struct json_object *request = json_tokener_parse(line), *o;
	const char *command = js_get_str(request, "command");

	if (!command)
		o = refusal("bad-request",
			    "a request is a line like {\"command\":\"status\"}");
	else if (strcmp(command, "status"))
		o = refusal("unknown-command", "the only command is \"status\"");
	else
		o = status_json(d);
	json_object_put(request);
	return o;
}

/* The first line that is complete, if there is one. */
static void client_request(struct client *c)
{
	char *end = memchr(c->in, '\n', c->in_len);
	size_t len;

	if (!end && c->in_len == sizeof(c->in)) {
		c->in_len = 0;
		client_answer(c, refusal("bad-request", "the request is too long"));
	}
	if (!end)
		return;
	*end = '\0';
	len = end + 1 - c->in;
	client_answer(c, answer_to(c->d, c->in));
	c->in_len -= len;
	memmove(c->in, c->in + len, c->in_len);
}

/* Each returns false when the client is to be dropped. */
static bool client_read(struct client *c)
{
	ssize_t n = recv(c->watch.fd, c->in + c->in_len, sizeof(c->in) - c->in_len,
			 MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	c->in_len += n;
	return n > 0;
}

static bool client_write(struct client *c)
{
	ssize_t n = send(c->watch.fd, c->out + c->out_sent, c->out_len - c->out_sent,
			 MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	c->out_sent += n;
	if (c->out_sent == c->out_len) {
		free(c->out);
		c->out = NULL;
		loop_arm(&c->d->loop, &c->idle, CLIENT_NS);
	}
	return true;
}

static void client_event(struct watch *w, u32 events)
{
	struct client *c = container_of(w, struct client, watch);
	bool alive = true;

	if (!c->out && (events & (EPOLLIN | EPOLLHUP)))
		alive = client_read(c);
	while (alive && !c->out) {
		client_request(c);
		if (!c->out)
			break;
		alive = client_write(c);
	}
	if (alive && c->out && (events & EPOLLOUT))
		alive = client_write(c);
	if (alive && !(events & EPOLLERR))
		loop_change(&c->d->loop, w, c->out ? EPOLLOUT : EPOLLIN);
	else
		client_drop(c);
}

static int client_new(struct daemon *d, int fd)
{
	struct client *c = calloc(1, sizeof(*c));
	socklen_t len = sizeof(c->cred);

	if (!c)
		return -ENOMEM;
	c->d = d;
	c->watch = (struct watch) { .fd = -1, .fn = client_event };
	c->idle.fn = client_idle;
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c->cred, &len);
	log_debug("control: process %d of user %u", c->cred.pid, c->cred.uid);
	if (loop_watch(&d->loop, &c->watch, fd, EPOLLIN)) {
		free(c);
		return -ENOMEM;
	}
	LIST_INSERT_HEAD(&d->clients, c, entry);
	d->nr_clients++;
	loop_arm(&d->loop, &c->idle, CLIENT_NS);
	return 0;
}

static void too_many(int fd)
{
	static const char text[] =
		"{\"schema_version\":1,\"error\":{\"code\":\"too-many-clients\",\"message\":\"max_clients of the configuration is reached\"}}\n";
	ssize_t n = send(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);

	(void)n;
}

static void ctl_accept(struct watch *w, u32 events)
{
	struct daemon *d = container_of(w, struct daemon, control);
	int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0)
		return;
	if (d->nr_clients >= d->conf.max_clients)
		too_many(fd);
	else if (!client_new(d, fd))
		return;
	close(fd);
}

/* Under systemd the unit makes it; who starts the daemon by hand needn't know of it. */
static void ctl_directory(const char *path)
{
	char dir[CONF_PATH_MAX];

	strcpy(dir, path);
	*strrchr(dir, '/') = '\0';	/* it is absolute */
	if (dir[0] && !mkdir(dir, 0750))
		log_info("made %s for the control socket", dir);
}

/* For root and the daemon's group. */
static int ctl_bind(int fd, const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	mode_t mask;
	int ret;

	strcpy(un.sun_path, path);	/* of CONF_PATH_MAX */
	ctl_directory(path);
	unlink(path);
	mask = umask(0117);
	ret = bind(fd, (struct sockaddr *)&un, sizeof(un)) ? -errno : 0;
	umask(mask);
	if (!ret && listen(fd, 16))
		ret = -errno;
	return ret;
}

/* A socket that answers belongs to a daemon that runs. */
static bool ctl_taken(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool taken;

	if (fd < 0)
		return false;
	strcpy(un.sun_path, path);	/* of CONF_PATH_MAX */
	taken = !connect(fd, (struct sockaddr *)&un, sizeof(un)) || errno == EAGAIN;
	close(fd);
	return taken;
}

int ctl_open(struct daemon *d)
{
	int fd, ret;

	LIST_INIT(&d->clients);
	d->control = (struct watch) { .fd = -1, .fn = ctl_accept };
	if (ctl_taken(d->conf.control)) {
		log_err("another cptdevd answers on %s", d->conf.control);
		return -EADDRINUSE;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	ret = ctl_bind(fd, d->conf.control);
	if (!ret)
		ret = loop_watch(&d->loop, &d->control, fd, EPOLLIN);
	if (ret) {
		log_err("control socket %s: %s", d->conf.control, strerror(-ret));
		close(fd);
	}
	return ret;
}

void ctl_close(struct daemon *d)
{
	int fd = d->control.fd;

	while (!LIST_EMPTY(&d->clients))
		client_drop(LIST_FIRST(&d->clients));
	if (fd < 0)
		return;
	loop_unwatch(&d->loop, &d->control);
	close(fd);
	unlink(d->conf.control);
}
