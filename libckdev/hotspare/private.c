// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: the private cptdevd, see private.h.
 *
 * It isn't a child of the program, which may wait for any child: a process between the two ends at
 * once. A socket ties it to the program: its standard input, of which only
 * the program has the other end. Its configuration, and the sockets that it makes, are in a
 * directory that it removes when it ends.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ckdev.h>
#include <linux/cptdev.h>

#include "control.h"
#include "hotspare.h"
#include "key.h"
#include "own.h"
#include "private.h"

#ifndef HS_CPTDEVD
#define HS_CPTDEVD	"/usr/local/sbin/cptdevd"
#endif
/* So long it may take until it lets programs in. */
#define START_MS	10000
/* Room for the names in the directory in a socket's address. */
#define DIR_MAX		88
#define TIMEOUT_MAX	600U

static struct {
	struct hs_private how;
	struct sockaddr_storage peer;	/* what @how points to */
	char host[NI_MAXHOST];		/* the peer in numbers; "": none is known */
	char dir[DIR_MAX];
	char conf[DIR_MAX + 16], key[DIR_MAX + 16], programs[DIR_MAX + 16], control[DIR_MAX + 16];
	char session[CPTDEV_NAME_MAX];
	/* Of its own also in a container, where all programs may have the same number. */
	unsigned long long node;
	int link;			/* the daemon ends when it is closed */
	pid_t pid;
} p = { .link = -1 };

const char *hs_private_programs(void)
{
	return p.link >= 0 ? p.programs : NULL;
}

const char *hs_private_control(void)
{
	return p.link >= 0 ? p.control : NULL;
}

const char *hs_private_session(void)
{
	return p.session;
}

void hs_private_absent(struct hs_error *e)
{
	if (p.host[0])
		hs_fail(e, ENOTCONN, "the spare at %s port %u isn't attached", p.host, p.how.port);
	else
		hs_fail(e, ENOTCONN, "the program was given no spare");
}

static struct json_object *first_of(struct json_object *o, const char *list)
{
	struct json_object *l = json_object_object_get(o, list);

	return json_object_is_type(l, json_type_array) ? json_object_array_get_idx(l, 0) : NULL;
}

/* Connecting hasn't failed, and a spare hasn't refused. */
bool hs_private_hopes(void)
{
	struct json_object *o = hs_control_ask(p.control, "{\"command\":\"status\"}\n", START_MS, NULL);
	struct json_object *link = json_object_object_get(first_of(o, "peers"), "outgoing");
	bool hopes = link && !json_object_object_get(link, "error") &&
		!json_object_object_get(first_of(link, "sessions"), "error");

	json_object_put(o);
	return hopes;
}

bool hs_private_has(int fd)
{
	return fd >= 0 && fd == p.link;
}

/*
 * Its configuration
 */

/* The program's name, in the characters that a session's may have. */
static void name_session(void)
{
	const char *from = program_invocation_short_name;
	size_t n = 0;

	for (; *from && n < sizeof(p.session) - 1; from++)
		p.session[n++] = strchr("._-", *from) || (*from >= '0' && *from <= '9') ||
			((*from | 32) >= 'a' && (*from | 32) <= 'z') ? *from : '_';
	p.session[n] = 0;
	if (!n)
		strcpy(p.session, "program");
}

static bool is_loopback(const struct sockaddr_storage *addr)
{
	const struct sockaddr_in *v4 = (const void *)addr;
	const struct in6_addr *v6 = &((const struct sockaddr_in6 *)addr)->sin6_addr;

	if (addr->ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == IN_LOOPBACKNET);
}

static int know_peer(const struct hs_private *how, struct hs_error *e)
{
	int err = 0;

	p.how = *how;
	p.host[0] = 0;
	if (how->peer) {
		memcpy(&p.peer, how->peer, how->peer_len);
		p.how.peer = (struct sockaddr *)&p.peer;
		err = getnameinfo(how->peer, how->peer_len, p.host, sizeof(p.host), NULL, 0,
				  NI_NUMERICHOST);
	}
	if (err)
		return hs_fail(e, EINVAL, "the other host's address: %s", gai_strerror(err));
	if (hs_key_given() || (!how->anywhere && (!how->peer || is_loopback(&p.peer))))
		return 0;
	return hs_fail(e, EACCES, "no key: without a key anybody on the network could read and "
		       "change the checkpoints: give both programs the same key with -k FILE; "
		       "cptdevctl key makes one");
}

bool hs_private_is(const struct hs_private *how)
{
	return how->port == p.how.port && how->peer_len == p.how.peer_len &&
		!memcmp(how->peer, &p.peer, how->peer_len);
}

/* Once more at a take-over: the daemon reads it again then. */
static int write_conf(bool master, bool listens, struct hs_error *e)
{
	unsigned int timeout = p.how.timeout < TIMEOUT_MAX ? p.how.timeout : TIMEOUT_MAX;
	bool allow_any = p.how.anywhere || !p.host[0];
	FILE *f = fopen(p.conf, "we");

	if (!f)
		return hs_fail(e, errno, "%s: %s", p.conf, strerror(errno));
	fprintf(f, "# By libhotspare, for process %d.\n[node]\nname = hs-%016llx\nlog_level = error\n"
		"engine = soft\nprivate = %s\ncontrol = %s\nprograms = %s\n", (int)getpid(), p.node,
		master ? "master" : "spare", p.control, p.programs);
	fprintf(f, "[listen]\naddress = %s\nport = %u\nallow = %s\n",
		p.how.anywhere || p.host[0] ? "::" : "127.0.0.1", listens ? p.how.port : 0,
		allow_any ? "any" : "peer");
	fprintf(f, "[peer]\n");
	if (p.host[0])
		fprintf(f, "address = %s\nport = %u\n", p.host, p.how.port);
	if (hs_key_given())
		fprintf(f, "psk_file = %s\n", p.key);
	else
		fprintf(f, "insecure = yes\n");
	/*
	 * A spare that is known to be gone is no reason not to serve, but hs_cpt() says that it is. Whether
	 * the program can be seen to hang is up to the program.
	 */
	fprintf(f, "[sessions]\nalone = go-on\non_hang = failover\n[failover]\nfailover = %s\n"
		"heartbeat_interval_ms = 200\ntimeout_ms = %u\n",
		p.how.asked ? "manual" : "auto", timeout * 1000);
	if (ferror(f) | fclose(f))
		return hs_fail(e, errno, "%s can't be written: %s", p.conf, strerror(errno));
	return 0;
}

static int make_dir(struct hs_error *e)
{
	const char *const above[] = { getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp" };
	size_t i;

	for (i = 0; i < sizeof(above) / sizeof(above[0]); i++) {
		if (!above[i] || above[i][0] != '/' || strlen(above[i]) > DIR_MAX - 24)
			continue;
		snprintf(p.dir, sizeof(p.dir), "%s/hotspare.XXXXXX", above[i]);
		if (mkdtemp(p.dir))
			break;
	}
	if (i == sizeof(above) / sizeof(above[0]))
		return hs_fail(e, errno, "no directory can be made in /tmp: %s", strerror(errno));
	snprintf(p.conf, sizeof(p.conf), "%s/cptdevd.conf", p.dir);
	snprintf(p.key, sizeof(p.key), "%s/key", p.dir);
	snprintf(p.programs, sizeof(p.programs), "%s/programs", p.dir);
	snprintf(p.control, sizeof(p.control), "%s/control", p.dir);
	return 0;
}

/*
 * Starting it
 */

/* The file of the library, or of the program that it is a part of, whatever links lead there. */
static void find_own(char path[PATH_MAX])
{
	Dl_info info;

	if (dladdr(p.session, &info) && info.dli_fname && info.dli_fname[0] == '/' &&
	    realpath(info.dli_fname, path))
		return;
	if (!realpath("/proc/self/exe", path))
		path[0] = 0;
}

/* Somebody else may have put one there: a program in /tmp has directories of others above it. */
static bool is_program(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode) && (!st.st_uid || st.st_uid == geteuid()) &&
		!access(path, X_OK);
}

/* Beside the library or the program, as it was built or installed; or as it was configured. */
static const char *find_program(char path[PATH_MAX])
{
	static const char *const beside[] = { "../../daemon/cptdevd", "../sbin/cptdevd" };
	const char *named = secure_getenv("CPTDEVD");
	char *name;
	size_t i;

	if (named)
		return named;
	find_own(path);
	name = strrchr(path, '/');
	for (i = 0; name && i < sizeof(beside) / sizeof(beside[0]); i++) {
		snprintf(name + 1, PATH_MAX - (size_t)(name + 1 - path), "%s", beside[i]);
		if (is_program(path))
			return path;
	}
	return is_program(HS_CPTDEVD) ? HS_CPTDEVD : "cptdevd";
}

/* A daemon has to be free of this process's terminal, descriptors and addresses. */
static void become_daemon(const char *program, int link, int said)
{
	sigset_t none;

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	personality(PER_LINUX);
	dup2(link, STDIN_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	if (said != 3)
		dup2(said, 3);
	fcntl(3, F_SETFD, FD_CLOEXEC);
	close_range(4, ~0U, 0);
	execlp(program, "cptdevd", "--foreground", "--config", p.conf, NULL);
	(void)!write(3, &errno, sizeof(errno));
	_exit(127);
}

/* The one between, without a signal at its end. Returns 0, or -1 with errno. */
static int launch(const char *program, int link, int said)
{
	pid_t pid = (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, 0);
	int status;

	if (!pid) {
		pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
		if (!pid)
			become_daemon(program, link, said);
		pid = -pid;
		(void)!write(said, &pid, sizeof(pid));
		_exit(0);
	}
	if (pid < 0)
		return -1;
	while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
		;
	return 0;
}

/* Its pid, as a negative number, then nothing, or why there is none. */
static int hear(int said, const char *program, struct hs_error *e)
{
	int n = 0;

	p.pid = 0;
	while (read(said, &n, sizeof(n)) == sizeof(n)) {
		if (n >= 0)
			return hs_fail(e, n ?: EIO, "%s can't be run: %s: set CPTDEVD in the "
				       "environment to the path of cptdevd", program, strerror(n));
		p.pid = -n;
	}
	return p.pid > 1 ? 0 : hs_fail(e, EAGAIN, "no process for cptdevd");
}

static int run_it(int link, struct hs_error *e)
{
	char path[PATH_MAX];
	const char *program = find_program(path);
	int said[2], ret;

	if (pipe2(said, O_CLOEXEC))
		return hs_fail(e, errno, "no pipe: %s", strerror(errno));
	ret = launch(program, link, said[1]);
	close(said[1]);
	if (ret)
		hs_fail(e, errno, "no process for cptdevd: %s", strerror(errno));
	else
		ret = hear(said[0], program, e);
	close(said[0]);
	return ret;
}

/* Until it lets programs in. It says on stderr if something keeps it from that. */
static int wait_for_it(struct hs_error *e)
{
	struct pollfd link = { .fd = p.link };
	int i, fd;

	for (i = 0; i < START_MS; i++) {
		fd = ckdev_soft_open(p.programs);
		if (fd >= 0)
			return close(fd);
		if (poll(&link, 1, 1) > 0)
			return hs_fail(e, ECONNREFUSED, "the private cptdevd ended at once");
	}
	return hs_fail(e, ETIMEDOUT, "the private cptdevd doesn't answer");
}

static void remove_dir(void)
{
	unlink(p.conf);
	unlink(p.key);
	unlink(p.programs);
	unlink(p.control);
	rmdir(p.dir);
}

/* Listening is for the spare, and for a master that was one, see hs_private_took_over(). */
static int start(bool master, struct hs_error *e)
{
	int pair[2], ret, err;

	name_session();
	if (getrandom(&p.node, sizeof(p.node), 0) != sizeof(p.node))
		return hs_fail(e, errno, "no random numbers: %s", strerror(errno));
	if (make_dir(e))
		return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return hs_fail(e, errno, "no socket: %s", strerror(errno));
	p.link = pair[0];
	hs_own(p.link, "the private cptdevd");
	ret = (hs_key_given() && hs_key_write(p.key, e)) || write_conf(master, !master, e) ||
		run_it(pair[1], e) ? -1 : 0;
	close(pair[1]);
	if (!ret)
		ret = wait_for_it(e);
	if (!ret)
		return 0;
	err = errno;
	hs_private_end();
	remove_dir();
	errno = err;
	return -1;
}

int hs_private_master(const struct hs_private *how, struct hs_error *e)
{
	return know_peer(how, e) ? -1 : start(true, e);
}

int hs_private_keep(struct hs_error *e)
{
	struct pollfd link = { .fd = p.link };

	if (p.link < 0 || poll(&link, 1, 0) <= 0)
		return 0;
	hs_say("libhotspare: the private cptdevd has ended: starting another one");
	hs_own_close(&p.link);
	remove_dir();
	return start(true, e);
}

/*
 * The spare
 */

/* Can this process have the address? Returns 0, or -1 with errno. */
static int try_bind(const struct sockaddr *addr, socklen_t len)
{
	int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, ret, err;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	ret = hs_bind(fd, addr, len) || listen(fd, 1) ? -1 : 0;
	err = errno;
	close(fd);
	errno = err;
	return ret;
}

/* Better told by hs_init() than by a daemon. */
static int check_port(const struct hs_private *how, struct hs_error *e)
{
	const struct sockaddr_in here = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)how->port),
		.sin_addr.s_addr = htonl(how->peer || how->anywhere ? INADDR_ANY : INADDR_LOOPBACK),
	};

	if (!try_bind((const struct sockaddr *)&here, sizeof(here)))
		return 0;
	return hs_fail(e, errno, "port %u: %s", how->port, strerror(errno));
}

int hs_private_spare(const struct hs_private *how, struct hs_error *e)
{
	return check_port(how, e) || know_peer(how, e) ? -1 : start(false, e);
}

/* Is the other host this one? Then another spare wants the port. */
static bool peer_is_here(void)
{
	struct sockaddr_storage addr;

	memcpy(&addr, p.how.peer, p.how.peer_len);
	if (addr.ss_family == AF_INET)
		((struct sockaddr_in *)&addr)->sin_port = 0;
	else
		((struct sockaddr_in6 *)&addr)->sin6_port = 0;
	return !try_bind((struct sockaddr *)&addr, p.how.peer_len);
}

int hs_private_took_over(struct hs_error *e)
{
	bool listens = p.host[0] && !p.how.anywhere && !peer_is_here();

	if (p.how.anywhere)
		p.host[0] = 0;
	if (write_conf(true, listens, e))
		return -1;
	return kill(p.pid, SIGHUP) ? hs_fail(e, errno, "the private cptdevd: %s",
					     strerror(errno)) : 0;
}

int hs_private_promote(struct hs_error *e)
{
	char request[CPTDEV_NAME_MAX + 64];
	struct json_object *answer, *error;

	snprintf(request, sizeof(request), "{\"command\":\"promote\",\"name\":\"%s\"}\n", p.session);
	answer = hs_control_ask(p.control, request, START_MS, e);
	if (!answer)
		return -1;
	if (json_object_object_get_ex(answer, "error", &error))
		hs_fail(e, ENODATA, "the master is dead, and there is nothing to continue from: "
			"%.150s", json_object_to_json_string(error));
	else
		error = NULL;
	json_object_put(answer);
	return error ? -1 : 0;
}

int hs_private_make_room(const struct hs_fds *fds, struct hs_error *e)
{
	if (p.link < 0 || !hs_fds_find(fds, p.link) || !hs_own_move(&p.link, fds->v[fds->nr - 1].fd + 1))
		return 0;
	return hs_fail(e, errno, "no descriptor: %s", strerror(errno));
}

void hs_private_in_child(bool goes_on)
{
	if (!goes_on)
		hs_own_close(&p.link);
}

void hs_private_end(void)
{
	hs_own_close(&p.link);
}
