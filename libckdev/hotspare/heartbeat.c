// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: asking this host's cptdevd by its control socket: a line of JSON, and so is the
 * answer. Whoever answers is listened to for a second at most, and may say anything.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "heartbeat.h"
#include "hotspare.h"
#include "js.h"

#define ANSWER_MS	1000
/* So long who asks may be kept from ending. */
#define SLICE_MS	50
/* Thousands of sessions make less. */
#define ANSWER_MAX	(4U << 20)

/* Returns NONE, with @e. */
static enum hs_heartbeat none(struct hs_error *e, const char *path, const char *why)
{
	hs_fail(e, 0, "%.60s: %.100s", path, why);
	return HS_HEARTBEAT_NONE;
}

/* It doesn't wait: a daemon that lets nobody in isn't one to rely on. Or -1 with errno. */
static int connect_to(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(un.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(un.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || !connect(fd, (struct sockaddr *)&un, sizeof(un)))
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

static const char *why_not(int err)
{
	switch (err) {
	case ENOENT:
	case ECONNREFUSED:
		return "cptdevd isn't running";
	case EACCES:
		return "it isn't open to this program: be root or a member of the group cptdev";
	case EAGAIN:
		return "cptdevd doesn't answer";
	}
	return strerror(err);
}

/* What has come, if there is anything before the end: 0 at the end, else -1. */
static ssize_t receive(int fd, char *to, size_t size, int64_t end, const atomic_bool *over)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	while (hs_now_ms() < end && !(over && *over)) {
		if (poll(&p, 1, SLICE_MS) <= 0)
			continue;
		n = recv(fd, to, size, 0);
		if (n >= 0 || (errno != EINTR && errno != EAGAIN))
			return n;
	}
	return -1;
}

/* As soon as it is whole; or NULL, when it is none. */
static struct json_object *parse(struct json_tokener *tok, int fd, const atomic_bool *over)
{
	int64_t end = hs_now_ms() + ANSWER_MS;
	struct json_object *answer;
	size_t total = 0;
	char part[4096];
	ssize_t n;

	while (total < ANSWER_MAX) {
		n = receive(fd, part, sizeof(part), end, over);
		if (n <= 0)
			return NULL;
		total += (size_t)n;
		answer = json_tokener_parse_ex(tok, part, (int)n);
		if (json_tokener_get_error(tok) != json_tokener_continue)
			return answer;
	}
	return NULL;
}

static struct json_object *get_status(int fd, const atomic_bool *over)
{
	static const char request[] = "{\"command\":\"status\"}\n";
	const ssize_t len = sizeof(request) - 1;
	struct json_object *answer = NULL;
	struct json_tokener *tok;

	if (send(fd, request, (size_t)len, MSG_NOSIGNAL) != len)
		return NULL;
	tok = json_tokener_new();
	if (tok) {
		answer = parse(tok, fd, over);
		json_tokener_free(tok);
	}
	return answer;
}

/* The daemon's word for it. A link that is lost isn't a peer that is dead. */
static enum hs_heartbeat meaning(const char *word, const char *path, struct hs_error *e)
{
	if (!strcmp(word, "alive") || !strcmp(word, "suspect") || !strcmp(word, "lost"))
		return HS_HEARTBEAT_ALIVE;
	if (!strcmp(word, "dead"))
		return HS_HEARTBEAT_DEAD;
	/* Its host answers: whether the master is alive only the connection can tell. */
	if (!strcmp(word, "no daemon"))
		return none(e, path, "the cptdevd of the other host is gone, its host isn't");
	if (!strcmp(word, "left"))
		return none(e, path, "the cptdevd of the other host was stopped");
	if (!strcmp(word, "never heard"))
		return none(e, path, "cptdevd has no link with the other host");
	return none(e, path, "cptdevd's answer makes no sense: is it another version?");
}

static enum hs_heartbeat look(struct json_object *status, const char *path, struct hs_error *e)
{
	struct js_from from = { .o = status }, peer;
	struct json_object *peers;

	if (!json_object_is_type(status, json_type_object))
		return none(e, path, "cptdevd doesn't answer");
	if (js_get(&from, "error", json_type_object, false))
		return none(e, path, "cptdevd refuses: has it enough max_clients?");
	peers = js_get(&from, "peers", json_type_array, true);
	if (!peers || json_object_array_length(peers) != 1)
		return none(e, path, "cptdevd hasn't one peer");
	peer = (struct js_from) { .o = json_object_array_get_idx(peers, 0) };
	if (!json_object_is_type(peer.o, json_type_object))
		return meaning("", path, e);
	return meaning(js_get_text(&peer, "detector"), path, e);
}

/*
 * @path: of the control socket. @over: what makes it return soon, or NULL. Returns what is
 * known; if that is nothing, @e says why.
 */
enum hs_heartbeat hs_heartbeat_ask(const char *path, const atomic_bool *over,
				   struct hs_error *e)
{
	enum hs_heartbeat state;
	struct json_object *o;
	int fd = connect_to(path);

	if (fd < 0)
		return none(e, path, why_not(errno));
	o = get_status(fd, over);
	close(fd);
	state = look(o, path, e);
	json_object_put(o);
	return state;
}

int hs_det_daemon(void *funcarg)
{
	static atomic_flag told = ATOMIC_FLAG_INIT;
	enum hs_heartbeat state;
	struct hs_error e;

	state = hs_heartbeat_ask(funcarg ?: HS_CONTROL, NULL, &e);
	if (state == HS_HEARTBEAT_NONE && !atomic_flag_test_and_set(&told))
		hs_say("libhotspare: cptdevd can't tell, and the master counts as alive: %s",
		       e.text);
	return state == HS_HEARTBEAT_DEAD;
}
