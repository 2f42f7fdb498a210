// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kvload: a connection. Requests go out as long as the window allows. When it is lost the
 * next address is tried, and all that wasn't answered is sent again in the same order
 * under the same numbers: the server knows what it has done.
 *
 * A TCP connection that is accepted says nothing: a forwarder may accept for a host that
 * is gone. Only an answer counts.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvclient.h"

#define RETRY_MS	100
#define REQUEST_MAX	320		/* seq, verb, key */

int client_init(struct client *c, struct load *load, unsigned int number,
		const char *id)
{
	size_t tokens = load->words.nr_tokens;

	c->load = load;
	c->number = number;
	c->fd = -1;
	c->nr = number < tokens ? (tokens - number - 1) / load->nr_clients + 1 : 0;
	snprintf(c->id, sizeof(c->id), "%s-%u", id, number);
	c->count = calloc(load->words.nr + 1, sizeof(*c->count));
	return c->count ? 0 : -ENOMEM;
}

bool client_done(const struct client *c)
{
	return c->acked == c->nr && (!c->want_dump || c->dumped);
}

static const char *client_address(const struct client *c)
{
	return c->load->address[c->address].text;
}

static struct word *client_word(const struct client *c, size_t index, uint32_t *nr)
{
	struct words *w = &c->load->words;

	*nr = w->token[c->number + index * c->load->nr_clients];
	return &w->word[*nr];
}

/* Who was never greeted wasn't connected: that is an attempt, no event. */
static void client_lose(struct client *c, const char *why)
{
	uint64_t now = now_ms();

	snprintf(c->why, sizeof(c->why), "%s: %s", client_address(c), why);
	if (c->greeted) {
		c->lost_ms = now;
		c->was_lost = true;
		c->attempts = 0;
		c->load->losses++;
		event("disconnected", "client=%u address=%s acked=%zu unanswered=%zu "
		      "reason=\"%s\"", c->number, client_address(c), c->acked,
		      c->sent - c->acked, why);
	}
	close(c->fd);
	c->fd = -1;
	c->connecting = false;
	c->greeted = false;
	c->address = (c->address + 1) % c->load->nr_addresses;
	c->retry_ms = now + RETRY_MS;
}

/*
 * Out
 */

/* The next word may be sent: the window has room, and its moment has come. */
static bool client_due(const struct client *c)
{
	const struct load *l = c->load;
	uint64_t token = (uint64_t)c->sent * l->nr_clients + c->number;

	if (c->sent == c->nr || c->sent - c->acked >= l->window)
		return false;
	return !l->rate || token * 1000 <= (now_ms() - l->began_ms) * l->rate;
}

static void client_fill(struct client *c)
{
	if (c->out_sent) {
		memmove(c->out, c->out + c->out_sent, c->out_len - c->out_sent);
		c->out_len -= c->out_sent;
		c->out_sent = 0;
	}
	/* The time in which nothing was asked isn't one without an answer. */
	if (c->greeted && c->sent == c->acked && !c->dump_sent)
		c->heard_ms = now_ms();
	while (CLIENT_OUT - c->out_len > REQUEST_MAX && client_due(c)) {
		uint32_t nr;
		const struct word *w = client_word(c, c->sent, &nr);

		c->sent++;
		c->out_len += (size_t)snprintf(c->out + c->out_len, REQUEST_MAX,
					       "%zu INCR %.*s\n", c->sent, (int)w->len,
					       w->text);
	}
	if (c->want_dump && !c->dump_sent && c->acked == c->nr) {
		c->out_len += (size_t)snprintf(c->out + c->out_len, REQUEST_MAX,
					       "%zu DUMP\n", c->nr + 1);
		c->dump_sent = true;
	}
}

static void client_send(struct client *c)
{
	ssize_t n;

	client_fill(c);
	if (c->out_len == 0)
		return;
	n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		client_lose(c, strerror(errno));
	else if (n > 0)
		c->out_sent = (size_t)n;
}

/*
 * In
 */

/* Rests of an outage end with the first answer. */
static void client_heard(struct client *c, uint64_t now)
{
	struct load *l = c->load;

	if (l->last_ack_ms && now - l->last_ack_ms > l->gap_ms) {
		l->gap_ms = now - l->last_ack_ms;
		l->gap_from_ms = l->last_ack_ms;
	}
	l->last_ack_ms = now;
	if (!c->was_lost)
		return;
	c->was_lost = false;
	event("first-answer", "client=%u address=%s gap_ms=%" PRIu64, c->number,
	      client_address(c), now - c->lost_ms);
}

static void client_acked(struct client *c, const char *line, uint64_t seq,
			 const char *verb, uint64_t count)
{
	uint32_t nr;
	struct word *w;

	if (c->acked == c->sent || seq != c->acked + 1)
		broken("client %u wants an answer to %zu and got: %s", c->number,
		       c->acked + 1, line);
	w = client_word(c, c->acked, &nr);
	/* An answer is a promise, also when another host has taken over. */
	if (count < c->count[nr] || count == 0 ||
	    (count == c->count[nr] && !strcmp(verb, "OK")))
		broken("client %u was told %" PRIu32 " for '%.*s' before, and now: %s",
		       c->number, c->count[nr], (int)w->len, w->text, line);
	c->count[nr] = (uint32_t)count;
	c->acked++;
	c->load->acked++;
	c->load->repeats += !strcmp(verb, "SEEN");
	w->acked++;
	client_heard(c, now_ms());
}

static void client_keep(struct client *c, const char *line)
{
	size_t n = c->nr_dump;
	char **dump = c->dump;

	/* At the powers of two there is no more room. */
	if (!(n & (n - 1)))
		dump = realloc(dump, (n ? n * 2 : 1) * sizeof(*dump));
	if (!dump)
		broken("no memory for the DUMP");
	c->dump = dump;
	dump[n] = strdup(line);
	if (!dump[n])
		broken("no memory for the DUMP");
	c->nr_dump++;
}

static void client_dump_line(struct client *c, const char *line)
{
	uint64_t seq;

	if (c->dump_begun) {
		client_keep(c, line);
		c->dump_left--;
	} else if (sscanf(line, "%" SCNu64 " DUMP %" SCNu64, &seq, &c->dump_left) == 2 &&
		   seq == c->nr + 1) {
		c->dump_begun = true;
	} else {
		broken("client %u wants a DUMP and got: %s", c->number, line);
	}
	c->dumped = c->dump_left == 0;
}

static void client_greeted(struct client *c, const char *line)
{
	uint64_t last;

	if (sscanf(line, "OK %" SCNu64, &last) != 1) {
		client_lose(c, line);
		return;
	}
	if (last < c->acked)
		broken("client %u has answers up to %zu, the server knows %" PRIu64
		       ": acknowledged words are lost", c->number, c->acked, last);
	c->greeted = true;
	event(c->was_lost ? "reconnected" : "connected", "client=%u address=%s attempts=%"
	      PRIu64 " last=%" PRIu64, c->number, client_address(c), c->attempts, last);
}

static void client_line(struct client *c, const char *line)
{
	uint64_t seq, count;
	char verb[8];

	c->heard_ms = now_ms();
	if (!c->greeted)
		client_greeted(c, line);
	else if (!c->dump_begun && !strncmp(line, "ERR ", 4))
		client_lose(c, line);	/* but in a DUMP it may be a word */
	else if (c->dump_sent)
		client_dump_line(c, line);
	else if (sscanf(line, "%" SCNu64 " %7s %" SCNu64, &seq, verb, &count) == 3 &&
		 (!strcmp(verb, "OK") || !strcmp(verb, "SEEN")))
		client_acked(c, line, seq, verb, count);
	else
		broken("client %u can't go on with the answer: %s", c->number, line);
}

static void client_receive(struct client *c)
{
	ssize_t n = recv(c->fd, c->in + c->in_len, CLIENT_IN - c->in_len - 1,
			 MSG_DONTWAIT);
	char *line = c->in, *end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_lose(c, n < 0 ? strerror(errno) : "closed by the server");
		return;
	}
	c->in_len += (size_t)n;
	while (c->fd >= 0 && (end = memchr(line, '\n', c->in_len))) {
		*end = '\0';
		client_line(c, line);
		c->in_len -= (size_t)(end + 1 - line);
		line = end + 1;
	}
	if (c->in_len == CLIENT_IN - 1)
		broken("client %u got a line without an end", c->number);
	memmove(c->in, line, c->in_len);
}

/*
 * Connecting
 */

static void client_start(struct client *c)
{
	int one = 1;

	c->in_len = 0;
	c->out_sent = 0;
	c->out_len = (size_t)snprintf(c->out, CLIENT_OUT, "HELLO %s\n", c->id);
	c->sent = c->acked;
	c->dump_sent = false;
	c->dump_begun = false;
	while (c->nr_dump)
		free(c->dump[--c->nr_dump]);
	c->connecting = false;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void client_connect(struct client *c, uint64_t now)
{
	const struct address *a = &c->load->address[c->address];

	c->attempts++;
	c->heard_ms = now;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		broken("no socket: %s", strerror(errno));
	if (connect(c->fd, (const struct sockaddr *)&a->sa, sizeof(a->sa)) == 0)
		client_start(c);
	else if (errno == EINPROGRESS)
		c->connecting = true;
	else
		client_lose(c, strerror(errno));
}

void client_tick(struct client *c, uint64_t now)
{
	if (client_done(c))
		return;
	if (c->fd < 0 && now >= c->retry_ms)
		client_connect(c, now);
	else if (c->fd >= 0 && now - c->heard_ms > c->load->timeout_ms &&
		 (!c->greeted || c->sent > c->acked || c->dump_sent))
		client_lose(c, "no answer in time");
}

short client_events(const struct client *c)
{
	if (c->connecting)
		return POLLOUT;
	if (c->out_len > c->out_sent || (c->want_dump && !c->dump_sent) ||
	    (c->load->rate && c->greeted && client_due(c)))
		return POLLIN | POLLOUT;
	return POLLIN;
}

static void client_connected(struct client *c)
{
	socklen_t len = sizeof(int);
	int err = 0;

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err)
		client_lose(c, strerror(err));
	else
		client_start(c);
}

void client_ready(struct client *c, short revents)
{
	if (c->connecting)
		client_connected(c);
	else if (revents & (POLLIN | POLLERR | POLLHUP))
		client_receive(c);
	if (c->fd >= 0 && !c->connecting)
		client_send(c);
}

void client_dump(struct client *c)
{
	c->want_dump = true;
	c->heard_ms = now_ms();
}

void client_rest(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->connecting = false;
	c->greeted = false;
}
