// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: how signals are treated. Handlers are addresses: they are good in another
 * process because program and libraries are the same ones, at the same places.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "hotspare.h"
#include "js.h"
#include "lock.h"
#include "process.h"

HS_LOCK(lock);
static sigset_t registered;

/* 32 and 33 are the C library's own. */
static bool can_have_action(int sig)
{
	struct sigaction a;

	return sig > 0 && sig <= HS_SIGNALS && sig != SIGKILL && sig != SIGSTOP &&
		!sigaction(sig, NULL, &a);
}

static int change(int sig, bool wanted)
{
	int err = 0;

	if (!can_have_action(sig)) {
		errno = EINVAL;
		return -1;
	}
	hs_lock(&lock);
	if ((sigismember(&registered, sig) == 1) == wanted)
		err = wanted ? EEXIST : ENOENT;
	else if (wanted)
		sigaddset(&registered, sig);
	else
		sigdelset(&registered, sig);
	hs_unlock(&lock);
	if (!err)
		return 0;
	errno = err;
	return -1;
}

int hs_sigreg(int signum)
{
	return change(signum, true);
}

int hs_sigdereg(int signum)
{
	return change(signum, false);
}

void hs_signals_capture(struct hs_signals *to)
{
	int sig;

	memset(to, 0, sizeof(*to));
	hs_lock(&lock);
	to->which = registered;
	hs_unlock(&lock);
	for (sig = 1; sig <= HS_SIGNALS; sig++)
		if (sigismember(&to->which, sig) == 1)
			sigaction(sig, NULL, &to->action[sig]);
	pthread_sigmask(SIG_BLOCK, NULL, &to->blocked);
}

/* They are registered then, and the mask is the calling thread's. */
int hs_signals_restore(const struct hs_signals *s, struct hs_error *e)
{
	int sig;

	for (sig = 1; sig <= HS_SIGNALS; sig++)
		if (sigismember(&s->which, sig) == 1 && sigaction(sig, &s->action[sig], NULL))
			return hs_fail(e, errno, "signal %d: %s", sig, strerror(errno));
	hs_lock(&lock);
	registered = s->which;
	hs_unlock(&lock);
	pthread_sigmask(SIG_SETMASK, &s->blocked, NULL);
	return 0;
}

/*
 * As text
 */

static void put_handler(struct json_object *o, const struct sigaction *a)
{
	if (a->sa_handler == SIG_DFL)
		js_put_text(o, "handler", "default");
	else if (a->sa_handler == SIG_IGN)
		js_put_text(o, "handler", "ignore");
	else
		js_put_u64(o, "handler", (uintptr_t)a->sa_handler);
}

struct json_object *hs_signals_json(const struct hs_signals *s)
{
	struct json_object *all = json_object_new_object(), *list, *o;
	int sig;

	if (!all)
		return NULL;
	list = json_object_new_array();
	for (sig = 1; sig <= HS_SIGNALS; sig++) {
		if (sigismember(&s->which, sig) != 1)
			continue;
		o = json_object_new_object();
		js_put_i64(o, "signal", sig);
		put_handler(o, &s->action[sig]);
		js_put_u64(o, "flags", (unsigned int)s->action[sig].sa_flags);
		js_put_signals(o, "mask", &s->action[sig].sa_mask);
		json_object_array_add(list, o);
	}
	json_object_object_add(all, "actions", list);
	js_put_signals(all, "blocked", &s->blocked);
	return all;
}

static void get_handler(struct js_from *from, struct sigaction *a)
{
	static const char *const words[] = { "default", "ignore" };

	if (json_object_is_type(json_object_object_get(from->o, "handler"), json_type_string))
		a->sa_handler = js_get_word(from, "handler", words, 2) ? SIG_IGN : SIG_DFL;
	else
		a->sa_handler = (void (*)(int))(uintptr_t)js_get_u64(from, "handler");
}

/* Returns 0, or -1 with errno EBADMSG and @e. */
int hs_signals_parse(struct hs_signals *s, struct json_object *json, struct hs_error *e)
{
	struct js_from from = { .o = json };
	struct json_object *list;
	size_t i, nr;

	memset(s, 0, sizeof(*s));
	if (!json_object_is_type(json, json_type_object))
		return hs_fail(e, EBADMSG, "the signals in the checkpoint are invalid");
	js_get_signals(&from, "blocked", &s->blocked);
	list = js_get(&from, "actions", json_type_array, true);
	nr = list ? json_object_array_length(list) : 0;
	for (i = 0; !from.bad && i < nr; i++) {
		struct js_from one = { .o = json_object_array_get_idx(list, i) };
		int sig = (int)js_get_i64(&one, "signal", 1, HS_SIGNALS);
		struct sigaction *a = &s->action[sig];

		get_handler(&one, a);
		a->sa_flags = (int)(uint32_t)js_get_i64(&one, "flags", 0, UINT32_MAX);
		js_get_signals(&one, "mask", &a->sa_mask);
		if (one.bad || !can_have_action(sig) || sigismember(&s->which, sig) == 1)
			from.bad = "actions";
		sigaddset(&s->which, sig);
	}
	if (!from.bad)
		return 0;
	return hs_fail(e, EBADMSG, "signals in the checkpoint: '%s' is invalid", from.bad);
}
