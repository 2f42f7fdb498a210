// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One client of the control socket: requests and answers are lines of JSON. Nobody is
 * waited for: a client that doesn't read has one answer, or the news of a while, kept for
 * it and is dropped after that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "json.h"
#include "log.h"
#include "name.h"

/* A client that takes longer to read its answer, or to ask, is dropped. */
#define CLIENT_NS	(60 * NSEC_PER_SEC)
/* News that are kept for a client that doesn't read them, in bytes. */
#define NEWS_MAX	(256U * 1024)

static void client_garbage(struct garbage *g)
{
	struct client *c = container_of(g, struct client, garbage);

	free(c->out);
	free(c);
}

void client_drop(struct client *c)
{
	int fd = c->watch.fd;

	loop_unwatch(&c->d->loop, &c->watch);
	close(fd);
	loop_disarm(&c->idle);
	LIST_REMOVE(c, entry);
	c->d->nr_clients--;
	c->d->nr_monitors -= c->monitors;
	loop_discard(&c->d->loop, &c->garbage, client_garbage);
}

static void client_slow(struct client *c, const char *what)
{
	tell(&c->d->tell, LOG_NOTICE, TELL_CONTROL, "slow",
	     "control socket: process %d (user %u) %s: its connection is closed",
	     c->cred.pid, c->cred.uid, what);
	client_drop(c);
}

static void client_idle(struct timer *t)
{
	struct client *c = container_of(t, struct client, idle);

	client_slow(c, c->out ? "doesn't read its answer" : "asks nothing");
}

/* From now on it is the client's turn. */
static void client_wait(struct client *c)
{
	c->since = c->d->loop.now;
	if (c->monitors && !c->out)
		loop_disarm(&c->idle);
	else
		loop_arm(&c->d->loop, &c->idle, CLIENT_NS);
}

/* Append a line to what is to be sent. */
static void client_line(struct client *c, const char *line)
{
	size_t len = strlen(line);
	char *out = realloc(c->out, c->out_len + len + 2);

	if (!out)
		return;
	if (!c->out) {
		c->out_len = 0;
		c->out_sent = 0;
	}
	memcpy(out + c->out_len, line, len);
	out[c->out_len + len] = '\n';
	c->out_len += len + 1;
	c->out = out;
}

static void client_answer(struct client *c, struct json_object *o)
{
	client_line(c, js_line(o));
	json_object_put(o);
}

struct json_object *refusal(const char *code, const char *message)
{
	struct json_object *o = js_document();

	js_error(o, code, message);
	return o;
}

bool client_may(const struct client *c)
{
	return c->cred.uid == 0 || c->cred.uid == geteuid();
}

/* UUIDs and terms of others are for those two only. */
static struct json_object *client_shown(struct client *c, struct json_object *o)
{
	if (!client_may(c))
		status_hide(o, c->cred.uid);
	return o;
}

static struct json_object *client_status(struct client *c)
{
	return client_shown(c, status_json(c->d));
}

static void present(struct json_object *o, void *arg)
{
	client_answer(arg, client_shown(arg, o));
}

/* Some places are always left for those who only ask. NULL: it was answered, by several lines. */
static struct json_object *client_monitor(struct client *c)
{
	struct daemon *d = c->d;

	if (!c->monitors && d->nr_monitors >= MAX(d->conf.max_clients / 2, 1U))
		return refusal("too-many-clients", "half of max_clients monitor already");
	d->nr_monitors += !c->monitors;
	c->monitors = true;
	news_present(d, present, c);
	return NULL;
}

static const char *failure(int err)
{
	switch (err) {
	case ENOENT:
		return "this host has nothing of that name";
	case ENODATA:
		return "nothing was committed to the replica yet";
	case EBADMSG:
		return "its record is damaged and can't be read. Next: cptdevctl forget";
	case EBUSY:
		return "the replica is being given back to the other host, whose program was started anew (on_restart = take-back); to promote it all the same: --force";
	case EINPROGRESS:
		return "it was kept for a restart of this host's program (keep = restart), and that program is alive, or the spare may have taken over. Next: start the program here, which asks the other host; if that host is off, and has promoted nothing: --force";
	case ESTALE:
		return "the term isn't higher than the highest known term";
	case ERANGE:
		return "the term is too far above the highest known term: other hosts would refuse it";
	case ENOTUNIQ:
		return "there are other spares, and one of them may have a newer generation that was acknowledged (policy ack). Next: cptdevctl status on each spare's host, compare the generations of the replica, and promote the newest one with --force";
	case EREMCHG:
		return "the replica is outdated: it lacks data that was acknowledged later (a program of this host went on from it, or another host has a higher term); to lose that data: --force";
	}
	return strerror(err);
}

static struct json_object *command_promote(struct client *c, const char *name,
					   struct json_object *request)
{
	u64 term = js_get_u64(request, "term"), back = js_get_u64(request, "generation");
	bool force = js_get_bool(request, "force");
	const uid_t uid = c->cred.uid;
	struct json_object *o;
	u64 generation = back;
	int ret;

	if (back && !force)
		return refusal("goes-back", ctl_history_loss);
	ret = back ? promotion_back(c->d, name, &term, &generation) :
		promotion_do(c->d, name, &term, &generation, force);
	if (ret && back && ctl_history_failure(-ret))
		return refusal("failed", ctl_history_failure(-ret));
	if (ret)
		return refusal("failed", failure(-ret));
	log_promoted(&uid, name, "promoted %s by user %u: %sgeneration %llu, term %llu", name, uid,
		     back ? "back to " : "", generation, term);
	o = js_document();
	js_str(o, "name", name);
	js_u64(o, "generation", generation);
	js_u64(o, "term", term);
	return o;
}

static struct json_object *command_forget(struct client *c, const char *name, bool force)
{
	struct json_object *o;
	int ret;

	if (records_split(c->d, name) && !force)
		return refusal("split-brain",
			       "both hosts went on: the data of this host would be given up, its program fenced and its replica removed");
	if (records_overtaken(c->d, name) && !force)
		return refusal("overtaken",
			       "a program of this host is blocked, and its memory may be the last copy, which would be given up; to give up the data that the other host lost, run this command there");
	ret = records_forget(c->d, name);
	if (ret == -EBUSY)
		return refusal("primary",
			       "the program of this record runs on this host, and has the acknowledged data");
	if (ret == -EREMCHG)
		return refusal("outdated",
			       "the replica of this host lacks acknowledged data, and only the record keeps it from being promoted; cptdevctl replica remove deletes both");
	if (ret)
		return refusal("failed", failure(-ret));
	log_person(c->cred.uid, name, "the record of %s was given up by user %u", name,
		   c->cred.uid);
	o = js_document();
	js_str(o, "name", name);
	return o;
}

/* What it means is a part of the answer: who says it takes it upon them. */
static struct json_object *command_alone(struct client *c, const char *name, bool force)
{
	static const char meaning[] =
		"its data is on this host only, and is lost if this host is lost; a spare that is started again counts as outdated until it has everything. Make sure that no other host takes over meanwhile: its data would be older than the data that is acknowledged here";
	struct json_object *o;
	const char *why;

	if (alone_say(c->d, name, force, &why))
		return refusal(records_split(c->d, name) ? "split-brain" :
			       records_overtaken(c->d, name) ? "overtaken" : "failed", why);
	log_person(c->cred.uid, name, "%s goes on alone by word of user %u", name, c->cred.uid);
	o = js_document();
	js_str(o, "name", name);
	js_str(o, "state", "alone");
	js_str(o, "meaning", meaning);
	return o;
}

/* One that is under way now may be the next: whoever needs all that the program has done asks twice. */
static struct json_object *command_checkpoint(struct client *c, const char *name)
{
	struct cptdev_ack arg = { .flags = CPTDEV_ACK_WANT };
	struct known *k = known_find_name(c->d, name);
	struct json_object *o;
	int ret;

	if (!k || k->rec.flags & CPTDEV_GENL_SESSION_FENCED)
		return refusal("no-session", "no program has this session on this host");
	if (k->off.until)
		return refusal("held-off", "its checkpoints are held off");
	arg.session_id = k->rec.id;
	ret = kernel_tell(c->d->kernel, &arg);
	if (ret)
		return refusal("failed", failure(-ret));
	log_person(c->cred.uid, name, "a checkpoint of %s was asked for by user %u", name,
		   c->cred.uid);
	o = js_document();
	js_str(o, "name", name);
	return o;
}

/* An empty policy: as the configuration has it. */
static struct json_object *command_ack(struct client *c, const char *name,
				       struct json_object *request)
{
	const char *policy = js_get_str(request, "policy"), *why;
	const uid_t uid = c->cred.uid;
	struct json_object *o;

	if (!policy)
		return refusal("bad-request", "\"policy\" is missing");
	if (members_set(c->d, name, policy, &why))
		return refusal("failed", why);
	log_person(uid, name, "session %s is acknowledged by policy %s, by word of user %u", name,
		   members_policy_text(c->d, name), uid);
	o = js_document();
	js_str(o, "name", name);
	js_put(o, "ack", status_members(c->d, known_find_name(c->d, name)));
	return o;
}

/* So long the program may go on being prepared, unless the request says otherwise. */
#define SWITCH_MS	10000U
#define SWITCH_MS_MAX	86400000U

static struct json_object *switch_document(const struct switchover *sw)
{
	struct json_object *o = js_document();

	js_put(o, "switchover", switch_json(sw));
	return o;
}

static struct json_object *switch_cancelled(struct client *c, const char *name, bool force)
{
	struct json_object *o;
	const char *code;
	char why[640];

	if (switch_cancel(c->d, name, force, &code, why, sizeof(why)))
		return refusal(code, why);
	log_person(c->cred.uid, name, "the switch-over of %s was cancelled by user %u", name,
		   c->cred.uid);
	o = js_document();
	js_str(o, "name", name);
	return o;
}

/* It goes on when the client is gone: "look" asks for how it stands. */
static struct json_object *command_switchover(struct client *c, const char *name,
					      struct json_object *request)
{
	u64 limit = js_get_u64(request, "timeout_ms");
	const char *code = "no-switch-over";
	char why[800] = "it isn't being switched over";
	struct switchover *sw;

	if (js_get_bool(request, "cancel"))
		return switch_cancelled(c, name, js_get_bool(request, "force"));
	limit = limit ? MIN(limit, SWITCH_MS_MAX) : SWITCH_MS;
	if (js_get_bool(request, "look"))
		sw = switch_find(c->d, name);
	else
		sw = switch_begin(c->d, name, js_get_str(request, "peer"),
				  limit * NSEC_PER_MSEC, &code, why, sizeof(why));
	if (sw && !js_get_bool(request, "look"))
		log_person(c->cred.uid, name, "%s is switched over to %s by word of user %u",
			   name, sw->to_name, c->cred.uid);
	return sw ? switch_document(sw) : refusal(code, why);
}

/* It goes on when the client is gone: "look" asks for how it stands. */
static struct json_object *command_verify(struct client *c, const char *name,
					  struct json_object *request)
{
	const char *code = "no-verify";
	char why[400] = "it wasn't verified";
	bool look = js_get_bool(request, "look");
	struct json_object *o;
	struct verify *v;

	if (look)
		v = verify_find(c->d, name);
	else
		v = verify_begin(c->d, name, js_get_bool(request, "force"), &code, why,
				 sizeof(why));
	if (!v)
		return refusal(code, why);
	if (!look)
		log_person(c->cred.uid, name, "the spares of %s are verified by word of user %u",
			   name, c->cred.uid);
	o = js_document();
	js_put(o, "verify", verify_json(v));
	return o;
}

/* The user whose name it is may ask: what follows is what the configuration says. */
static struct json_object *client_start(struct client *c, struct json_object *request)
{
	static const char *const words[] = {
		[ANSWER_FRESH] = "fresh", [ANSWER_SPARE] = "spare", [ANSWER_REFUSED] = "refused",
		[ANSWER_TAKE_BACK] = "take-back",
	};
	const char *name = js_get_str(request, "name");
	enum start_answer answer;
	struct json_object *o;
	struct start_text t;

	if (!name || !name_valid(name, strlen(name)))
		return refusal("bad-request", "\"name\" is missing, or isn't a name");
	if (!client_may(c) && record_of_other(record_of(c->d, name), c->cred.uid))
		return refusal("permission", "the name belongs to another user");
	answer = start_asked(c->d, name, &t);
	o = js_document();
	js_str(o, "name", name);
	js_str(o, "answer", words[answer]);
	js_u64(o, "term", t.term);
	js_str(o, "text", t.text);
	return o;
}

static struct json_object *client_change(struct client *c, const char *command,
					 struct json_object *request)
{
	const char *name = js_get_str(request, "name");
	bool force = js_get_bool(request, "force");

	if (!client_may(c))
		return refusal("permission", "only root and the daemon's user may do this");
	if (!name || !name_valid(name, strlen(name)))
		return refusal("bad-request", "\"name\" is missing, or isn't a name");
	if (!strcmp(command, "promote"))
		return command_promote(c, name, request);
	if (!strcmp(command, "ack"))
		return command_ack(c, name, request);
	if (!strcmp(command, "alone"))
		return command_alone(c, name, force);
	if (!strcmp(command, "checkpoint"))
		return command_checkpoint(c, name);
	if (!strcmp(command, "verify"))
		return command_verify(c, name, request);
	if (!strcmp(command, "switchover"))
		return command_switchover(c, name, request);
	if (!strcmp(command, "hold") || !strcmp(command, "release"))
		return ctl_hold(c, command, name, request);
	return command_forget(c, name, force);
}

static struct json_object *answer_to(struct client *c, const char *line)
{
	struct json_object *request = json_tokener_parse(line), *o;
	const char *command = js_get_str(request, "command");

	if (!command)
		o = refusal("bad-request",
			    "a request is a line like {\"command\":\"status\"}");
	else if (!strcmp(command, "status"))
		o = client_status(c);
	else if (!strcmp(command, "monitor"))
		o = client_monitor(c);
	else if (!strcmp(command, "start"))
		o = client_start(c, request);
	else if (!strcmp(command, "history"))
		o = ctl_history(c, request);
	else if (!strcmp(command, "fetch"))
		o = ctl_fetch(c, request);
	else if (!strcmp(command, "promote") || !strcmp(command, "forget") ||
		 !strcmp(command, "alone") || !strcmp(command, "switchover") ||
		 !strcmp(command, "ack") || !strcmp(command, "checkpoint") ||
		 !strcmp(command, "hold") || !strcmp(command, "release") ||
		 !strcmp(command, "verify"))
		o = client_change(c, command, request);
	else
		o = refusal("unknown-command",
			    "the commands are \"status\", \"monitor\", \"start\", \"promote\", \"forget\", \"alone\", \"switchover\", \"ack\", \"checkpoint\", \"hold\", \"release\", \"verify\", \"history\" and \"fetch\"");
	json_object_put(request);
	return o;
}

/* The first line that is complete, if there is one. */
static void client_request(struct client *c)
{
	char *end = memchr(c->in, '\n', c->in_len);
	struct json_object *o;
	size_t len;

	if (!end && c->in_len == sizeof(c->in)) {
		c->in_len = 0;
		client_answer(c, refusal("bad-request", "the request is too long"));
	}
	if (!end)
		return;
	*end = '\0';
	len = end + 1 - c->in;
	o = answer_to(c, c->in);
	if (o)
		client_answer(c, o);
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
		client_wait(c);
	}
	return true;
}

static void client_update(struct client *c)
{
	loop_change(&c->d->loop, &c->watch, c->out ? EPOLLOUT : EPOLLIN);
}

static void client_event(struct watch *w, u32 events)
{
	struct client *c = container_of(w, struct client, watch);
	bool alive = true;

	if (!c->out && (events & (EPOLLIN | EPOLLHUP)))
		alive = client_read(c);
	while (alive && !c->out) {
		client_request(c);
		alive = !c->over;
		if (!c->out)
			break;
		alive = client_write(c);
	}
	if (alive && c->out && (events & EPOLLOUT))
		alive = client_write(c);
	if (alive && !(events & EPOLLERR))
		client_update(c);
	else
		client_drop(c);
}

/* The line as this client may see it; to be freed. */
static char *seen_by(const struct client *c, const char *line)
{
	struct json_object *o;
	char *seen;

	if (client_may(c))
		return strdup(line);
	o = json_tokener_parse(line);
	status_hide(o, c->cred.uid);
	seen = strdup(js_line(o));
	json_object_put(o);
	return seen;
}

void client_news(struct client *c, const char *line)
{
	bool behind = c->out;
	char *seen;

	if (c->out && c->out_len - c->out_sent + strlen(line) > NEWS_MAX) {
		client_slow(c, "doesn't read the news that it asked for");
		return;
	}
	seen = seen_by(c, line);
	if (seen)
		client_line(c, seen);
	free(seen);
	if (behind || !c->out)
		return;
	client_wait(c);
	if (client_write(c))
		client_update(c);
	else
		client_drop(c);
}

int client_new(struct daemon *d, int fd)
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
	client_wait(c);
	return 0;
}
