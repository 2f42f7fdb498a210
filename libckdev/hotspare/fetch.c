// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: going on from a replica of another host, see fetch.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/cptdev.h>

#include "../fetchwire.h"
#include "area.h"
#include "ask.h"
#include "control.h"
#include "fetch.h"
#include "js.h"
#include "lazy.h"

#define LINE_MAX_LEN	4096
/* The pages of one request, and of one section of the index. */
#define SECTION		FETCH_BYTES_MAX

/* Takes no memory and no lock. Returns 0, or -1 with errno. */
static int get(int fd, void *to, size_t len)
{
	char *p = to;
	ssize_t n;

	for (; len; p += n, len -= (size_t)n) {
		n = recv(fd, p, len, 0);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n <= 0) {
			errno = n ? errno : ECONNRESET;
			return -1;
		}
	}
	return 0;
}

/* The head of the answer. Returns 0, or -1 with errno. */
static int ask(int fd, uint32_t what, uint64_t addr, uint64_t len, struct fetch_answer *a)
{
	const struct fetch_request r = { .what = what, .addr = addr, .len = len };
	ssize_t n;

	do
		n = send(fd, &r, sizeof(r), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n != sizeof(r) || get(fd, a, sizeof(*a)))
		return -1;
	errno = a->err ? -a->err : EPROTO;
	return !a->err && a->what == what && a->addr == addr && a->len == len ? 0 : -1;
}

static int lost(struct hs_error *e)
{
	return hs_fail(e, errno, "the other host's replica can't be read any more: %s; see the log of "
		       "cptdevd", errno == ECONNRESET || errno == EPIPE ? "the connection was lost" :
		       strerror(errno));
}

/* For hs_index_load(). */
static int load(int fd, char *to, uint64_t addr, size_t len, struct hs_error *e)
{
	struct fetch_answer a;

	if (ask(fd, FETCH_PAGES, addr, len, &a) || a.follows != len || get(fd, to, len))
		return lost(e);
	return 0;
}

/* When the index isn't needed any more: nobody else goes on from the replica. */
static int done(int fd, struct hs_error *e)
{
	struct fetch_answer a;

	if (!ask(fd, FETCH_DONE, 0, 0, &a))
		return 0;
	return hs_fail(e, ESTALE, "the other host doesn't give its replica up: it was promoted, or the link "
		       "was lost");
}

/*
 * The list of pages
 */

struct records {
	struct hs_record *v;
	size_t nr;
};

static int add(struct records *r, const struct fetch_extent *x)
{
	const uint64_t end = x->addr + x->len;
	struct hs_record *v;
	uint64_t at, n;

	for (at = x->addr; at < end; at += n) {
		n = end - at < SECTION ? end - at : SECTION;
		if (r->nr % 1024 == 0) {
			v = reallocarray(r->v, r->nr + 1024, sizeof(*v));
			if (!v)
				return -1;
			r->v = v;
		}
		r->v[r->nr++] = (struct hs_record) { .addr = at, .len = n, .at = 1 };
	}
	return 0;
}

/* Whoever answers may say anything. */
static bool valid(const struct fetch_extent *x, uint64_t from)
{
	return x->len && x->addr >= from && x->addr % HS_PAGE == 0 && x->len % HS_PAGE == 0 &&
		x->addr < HS_ADDR_END && x->len <= HS_ADDR_END - x->addr;
}

static int take(struct records *r, const struct fetch_extent *x, uint64_t *from, struct hs_error *e)
{
	if (!valid(x, *from))
		return hs_fail(e, EBADMSG, "the replica has memory at %#" PRIx64 ", where no program has any",
			       (uint64_t)x->addr);
	if (add(r, x))
		return hs_fail(e, ENOMEM, "no memory for the list of pages");
	*from = x->addr + x->len;
	return 0;
}

/* As many extents from @*from on as are told at once, to @x. Returns their number, or -1. */
static int list_some(int fd, struct fetch_extent *x, struct records *r, uint64_t *from, struct hs_error *e)
{
	struct fetch_answer a;
	size_t i, nr;

	if (ask(fd, FETCH_LIST, *from, 0, &a))
		return lost(e);
	nr = a.follows / sizeof(*x);
	if (nr > FETCH_EXTENTS_MAX || a.follows % sizeof(*x) || get(fd, x, a.follows))
		return lost(e);
	for (i = 0; i < nr; i++)
		if (take(r, &x[i], from, e))
			return -1;
	return (int)nr;
}

static int list(int fd, struct records *r, struct hs_error *e)
{
	struct fetch_extent *x = calloc(FETCH_EXTENTS_MAX, sizeof(*x));
	uint64_t from = 0;
	int nr;

	if (!x)
		return hs_fail(e, ENOMEM, "no memory for the list of pages");
	do
		nr = list_some(fd, x, r, &from, e);
	while (nr > 0);
	free(x);
	return nr;
}

/*
 * Beginning
 */

static int read_line(int fd, char *line, struct hs_error *e)
{
	size_t n = 0;

	do {
		if (n == LINE_MAX_LEN - 1 || get(fd, line + n, 1))
			return hs_fail(e, EPROTO, "cptdevd doesn't answer");
	} while (line[n++] != '\n');
	line[n] = '\0';
	return 0;
}

static int read_answer(struct json_object *o, uint64_t *term, struct hs_error *e)
{
	struct js_from from = { .o = o };
	struct json_object *error = js_get(&from, "error", json_type_object, false), *text;

	if (error) {
		from = (struct js_from) { .o = error };
		text = js_get(&from, "message", json_type_string, false);
		return hs_fail(e, EBUSY, "%s", text ? json_object_get_string(text) : "refused");
	}
	*term = js_get(&from, "term", json_type_int, false) ? js_get_u64(&from, "term") : 0;
	return *term ? 0 : hs_fail(e, EPROTO, "cptdevd doesn't answer");
}

static int begin(int fd, const char *name, const char *node, unsigned int seconds,
		 uint64_t *term, struct hs_error *e)
{
	char line[LINE_MAX_LEN];
	struct json_object *o;
	int ret;

	snprintf(line, sizeof(line), "{\"command\":\"fetch\",\"name\":\"%s\",\"from\":\"%s\",\"wait_ms\":%u}\n",
		 name, node, seconds * 1000);
	if (send(fd, line, strlen(line), MSG_NOSIGNAL) != (ssize_t)strlen(line))
		return hs_fail(e, errno, "cptdevd doesn't answer");
	if (read_line(fd, line, e))
		return -1;
	o = json_tokener_parse(line);
	ret = read_answer(o, term, e);
	json_object_put(o);
	return ret;
}

/* Of hs_area_read(). */
static int read_area(void *arg, void *buf, size_t len, uint64_t addr)
{
	struct hs_error ignored;

	memset(buf, 0, len);
	return hs_index_read(arg, buf, addr, len, &ignored);
}

static int make_index(int fd, const char *node, struct hs_mirror *m, struct hs_error *e)
{
	struct records r = { 0 };

	m->index = hs_index_create();
	if (!m->index)
		return hs_fail(e, ENOMEM, "no memory for an index of the replica");
	if (list(fd, &r, e)) {
		free(r.v);
		return -1;
	}
	if (hs_index_add(m->index, fd, node, true, r.v, r.nr)) {
		free(r.v);
		return hs_fail(e, errno, "no memory for an index of the replica");
	}
	m->index->load = load;
	m->index->done = done;
	if (hs_mirror_indexed(m, e))
		return -1;
	return hs_area_read(read_area, m->index, &m->state, &m->head, e);
}

int hs_fetch(const char *name, const char *node, unsigned int seconds, struct hs_mirror *m,
	     uint64_t *term, struct hs_error *e)
{
	int fd, ret;

	if (strlen(name) >= CPTDEV_NAME_MAX || strlen(node) >= CPTDEV_NAME_MAX ||
	    strpbrk(name, "\"\\\n") || strpbrk(node, "\"\\\n"))
		return hs_fail(e, EINVAL, "'%.60s' or '%.60s' isn't a name", name, node);
	fd = hs_control_connect(secure_getenv(HS_ASKED) ?: HS_CONTROL, e);
	if (fd < 0)
		return -1;
	ret = begin(fd, name, node, seconds, term, e);
	/* Where it can't be lazy, the index is read at once. */
	if (!ret) {
		hs_lazy_start();
		ret = make_index(fd, node, m, e);
		if (ret)
			hs_lazy_end();
	}
	close(fd);
	return ret;
}
