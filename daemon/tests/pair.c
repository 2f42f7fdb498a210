// SPDX-License-Identifier: GPL-2.0-or-later
/* Two daemons in one process. */
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <setjmp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "answers.h"
#include "log.h"
#include "pair.h"
#include "tcp.h"

/* So many turns answer a question: connect, greet, ask, and some to spare. */
#define TURNS_MIN	10U

/* Sockets that are bound and don't listen, one for each port that was handed out. */
static int reserved[32];
static u32 nr_reserved;

/*
 * A port that is only looked up is soon somebody else's: another test's, or the source of a
 * connection. While a socket is bound to it, the kernel chooses it for nobody. With
 * SO_REUSEADDR on both (listen_on() sets it, too) a daemon can listen on it all the same.
 */
u16 free_port(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	socklen_t len = sizeof(in);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0 && nr_reserved < ARRAY_SIZE(reserved));
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	reserved[nr_reserved++] = fd;
	return ntohs(in.sin_port);
}

static void ports_release(void)
{
	while (nr_reserved)
		close(reserved[--nr_reserved]);
}

static void loopback(struct sockaddr_storage *ss, u16 port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ss;

	memset(ss, 0, sizeof(*ss));
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in->sin_port = htons(port);
}

void host_open(struct host *h, const char *name, u16 port)
{
	memset(h, 0, sizeof(*h));
	h->name = name;
	memset(h->deaf, 0xff, sizeof(h->deaf));
	h->looks = -1;
	strcpy(h->dir, "/tmp/cptdevd-test.XXXXXX");
	assert_non_null(mkdtemp(h->dir));
	h->conf = (struct conf) {
		.listen_port = port, .heartbeat_ms = 50, .timeout_ms = 1000,
		.fence_timeout_ms = 20000,
		.hold_queue = CONF_PORT,
		.sessions.keep_s = 60, .sessions.restart_s = 5,
		.max_sessions = 16, .max_clients = 4,
	};
	strcpy(h->conf.name, name);
	strcpy(h->conf.programs, PROGRAMS_SOCKET);
	snprintf(h->conf.control, sizeof(h->conf.control), "%s/control", h->dir);
	snprintf(h->conf.state_dir, sizeof(h->conf.state_dir), "%s/state", h->dir);
	loopback(&h->conf.listen, port);
	fake_init(&h->fake);
	log_level(getenv("VERBOSE") ? LOG_DEBUG : LOG_EMERG);
	signal(SIGPIPE, SIG_IGN);	/* as main() does */
}

/*
 * A listening socket whose queue is full drops what comes: nobody is there. The queue is full
 * with the first connection; the kernel may complete that one later than connect(2) returns.
 */
void host_lose(struct host *h)
{
	struct pollfd queue = { .events = POLLIN };
	u16 port = 0;
	u32 i;

	host_kill(h);
	h->deaf[0] = tcp_listen(&h->conf.listen, &port);
	assert_true(h->deaf[0] >= 0);
	assert_int_equal(listen(h->deaf[0], 0), 0);
	for (i = 1; i < ARRAY_SIZE(h->deaf); i++)
		h->deaf[i] = tcp_connect(&h->conf.listen, 1000);
	queue.fd = h->deaf[0];
	assert_int_equal(poll(&queue, 1, WAIT_MS), 1);
}

static void host_found(struct host *h)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(h->deaf); i++) {
		if (h->deaf[i] >= 0)
			close(h->deaf[i]);
		h->deaf[i] = -1;
	}
}

void host_start(struct host *h)
{
	host_found(h);
	assert_int_equal(daemon_open(&h->daemon, &h->conf, &h->fake.kernel), 0);
	h->runs = true;
	h->looks = answers_open(h->conf.control);
}

void host_kill(struct host *h)
{
	if (h->looks >= 0)
		close(h->looks);
	h->looks = -1;
	if (h->runs)
		daemon_close(&h->daemon);
	h->runs = false;
}

static void turn(struct host *h, int ms)
{
	if (!h->runs)
		return;
	loop_turn(&h->daemon.loop, ms);
	answers_look(h->looks);
}

void host_stop(struct host *h, struct host *other)
{
	u64 until = clock_mono() + NSEC_PER_SEC;

	daemon_stop(&h->daemon);
	while (daemon_busy(&h->daemon) && clock_mono() < until) {
		turn(h, 1);
		turn(other, 1);
	}
	host_kill(h);
}

/* Every record is gone, with the directory: a disk that was lost. */
void state_clear(struct host *h)
{
	DIR *dir = opendir(h->conf.state_dir);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		unlinkat(dirfd(dir), e->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(h->conf.state_dir);
}

void host_close(struct host *h)
{
	host_kill(h);
	host_found(h);
	assert_int_equal(fake_open_fds(&h->fake), 0);
	fake_free(&h->fake);
	state_clear(h);
	rmdir(h->dir);
	ports_release();
}

void pair_run(struct pair *p, u32 ms)
{
	u64 until = clock_mono() + ms * NSEC_PER_MSEC;
	u32 n = MIN(ms, TURNS_MIN);

	do {
		turn(&p->a, 0);
		turn(&p->b, 1);
	} while (clock_mono() < until || n-- > 1);
}

struct peer *host_peer(struct host *h)
{
	return LIST_FIRST(&h->daemon.peers);
}

bool host_linked(struct host *h)
{
	return h->runs && host_peer(h)->out.state == OUT_UP && host_peer(h)->in;
}

struct ship *host_ship(struct host *h, const char *name)
{
	struct ship *s;

	TAILQ_FOREACH(s, &host_peer(h)->out.ships, entry)
		if (!strcmp(s->session->rec.name, name))
			return s;
	return NULL;
}

void pair_open(struct pair *p)
{
	u16 port_a = free_port(), port_b = free_port();

	host_open(&p->a, "alpha", port_a);
	host_open(&p->b, "beta", port_b);
	loopback(&p->a.conf.peers[0].addr, port_b);
	loopback(&p->b.conf.peers[0].addr, port_a);
	host_start(&p->a);
	host_start(&p->b);
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
}

void pair_close(struct pair *p)
{
	host_close(&p->a);
	host_close(&p->b);
}

int pair_setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	pair_open(p);
	*state = p;
	return 0;
}

int pair_teardown(void **state)
{
	pair_close(*state);
	free(*state);
	return 0;
}

bool pair_committed(const struct fake_session *s)
{
	return s->rec.committed == s->rec.published;
}

void publish_some(struct host *h, struct fake_session *s, u32 page, u8 value)
{
	fake_write(s, page, value);
	fake_publish(&h->fake, s);
}
