// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: the spare whose copy is a replica, see takeover.h. */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ckdev.h>

#include "area.h"
#include "hotspare.h"
#include "module.h"
#include "takeover.h"

/* How often the replica is looked at while commits come, or an old promotion is in the way. */
#define LOOK_MS		1000

struct waiting {
	const char *name;
	int fd;
	bool told_old;
	uint64_t generation;		/* the state of this one was looked at */
	struct hs_error told;		/* what was told last */
};

static int open_replica(const char *name, struct hs_error *e)
{
	int dev = hs_engine_open(e), fd;

	if (dev < 0)
		return -1;
	fd = ckdev_replica_open(dev, name, CPTDEV_REPLICA_CREATE, 0);
	close(dev);
	if (fd == -EACCES)
		return hs_fail(e, EACCES, "the replica '%s' belongs to another user: run the spare as "
			       "that user, or remove the replica: cptdevctl replica remove", name);
	if (fd < 0)
		return hs_fail(e, -fd, "the replica '%s': %s", name, ckdev_strerror(fd));
	return fd;
}

/* Of hs_area_read(). */
static int read_replica(void *arg, void *buf, size_t len, uint64_t addr)
{
	const int *fd = arg;
	char *p = buf;
	ssize_t n;

	for (; len; p += n, addr += (uint64_t)n, len -= (size_t)n) {
		n = pread(*fd, p, len, (off_t)addr);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n <= 0) {
			errno = n ? errno : EIO;
			return -1;
		}
	}
	return 0;
}

static void tell(struct waiting *w, const struct hs_error *e)
{
	if (e->text[0] && strcmp(e->text, w->told.text))
		hs_say("libhotspare: to go on here the program would miss this: %s", e->text);
	w->told = *e;
}

/*
 * The state of the replica @fd, which stays frozen. Returns a descriptor of its memory, or -1
 * with errno and @e.
 */
static int read_state(int fd, uint64_t *generation, struct hs_state *state,
		      struct hs_image_head *head, struct hs_error *e)
{
	int ret = ckdev_replica_freeze(fd, generation), content, err;

	content = ret ? ret : ckdev_replica_content(fd);
	if (content < 0)
		return hs_fail(e, -content, "the replica can't be read: %s", ckdev_strerror(content));
	if (!hs_area_read(read_replica, &content, state, head, e))
		return content;
	err = errno;
	close(content);
	errno = err;
	return -1;
}

/* What the program would miss here: better known now than when the master is gone. */
static void look(struct waiting *w)
{
	struct cptdev_image_info info = { .size = sizeof(info) };
	struct hs_image_head head;
	struct hs_state state;
	struct hs_error e = { "" };
	int content;

	if (ckdev_image_info(w->fd, &info) || !info.generation || info.generation == w->generation)
		return;
	content = read_state(w->fd, &w->generation, &state, &head, &e);
	if (content >= 0) {
		close(content);
		if (!hs_process_missing(&state.process, &e))
			hs_fds_missing(&state.fds, &e);
		hs_state_free(&state);
	}
	ckdev_replica_thaw(w->fd);
	tell(w, &e);
}

static void rest(void)
{
	const struct timespec t = { .tv_sec = LOOK_MS / 1000, .tv_nsec = LOOK_MS % 1000 * 1000000L };

	nanosleep(&t, NULL);
}

/*
 * Returns 1: it is ours; 0: it isn't, go on waiting; or -1 with errno and @e. A promotion from
 * before this program waited is another program's: what the replica has may be long past. The
 * replica is a spare's again when the program that took over sends its first checkpoint.
 */
static int claim(struct waiting *w, uint64_t *term, struct hs_error *e)
{
	int ret;

	*term = 0;
	ret = ckdev_replica_claim(w->fd, term, NULL, 0);
	if (!ret)
		return 1;
	if (ret != -EALREADY && ret != -EINVAL)
		return hs_fail(e, -ret, "the promotion of '%s' can't be taken: %s", w->name,
			       ckdev_strerror(ret));
	if (ret == -EALREADY && !w->told_old) {
		hs_say("libhotspare: the replica '%s' was promoted before this spare was started, or another "
		       "program has taken over: waiting until a master sends checkpoints", w->name);
		w->told_old = true;
	}
	rest();
	return 0;
}

static int wait_for_promotion(struct waiting *w, uint64_t *term, struct hs_error *e)
{
	int ret;

	for (;;) {
		ret = ckdev_replica_wait(w->fd, CKDEV_WAIT_COMMITS, LOOK_MS * 1000000ULL);
		if (ret > 0 && ret & CKDEV_PROMOTED) {
			ret = claim(w, term, e);
			if (ret)
				return ret < 0 ? -1 : 0;
		} else if (ret > 0) {
			w->told_old = false;
			look(w);
			rest();
		} else if (ret != -ETIMEDOUT && ret != -EINTR) {
			return hs_fail(e, -ret, "the replica '%s': %s", w->name, ckdev_strerror(ret));
		}
	}
}

int hs_takeover_wait(const char *name, struct hs_mirror *m, uint64_t *term, struct hs_error *e)
{
	struct waiting w = { .name = name, .fd = open_replica(name, e) };
	struct cptdev_image_info info = { .size = sizeof(info) };
	uint64_t generation;
	int ret;

	if (w.fd < 0)
		return -1;
	m->replica = w.fd;
	ret = ckdev_image_info(w.fd, &info);
	if (ret)
		return hs_fail(e, -ret, "the replica '%s': %s", name, ckdev_strerror(ret));
	hs_say("%s: waiting for the promotion of '%s'", program_invocation_short_name, name);
	if (wait_for_promotion(&w, term, e))
		return -1;
	m->fd = read_state(m->replica, &generation, &m->state, &m->head, e);
	return m->fd < 0 ? -1 : 0;
}
