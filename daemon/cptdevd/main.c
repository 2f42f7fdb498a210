// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptdevd: ships published snapshots of this host to the peer, and replays the peer's
 * into replicas here.
 *
 * Threading model: one thread and one epoll loop (loop.c). Sockets don't block; a frame
 * is received whole and then handled to its end. Three kinds of call are made straight
 * from the loop although they take a while, because each is bounded and nothing waits for
 * anybody in them: ioctls on snapshots and replicas (at most one frame's pages are
 * copied; a commit moves page pointers), netlink dumps, and the checksum over a frame. A
 * command of on_promote runs as a process of its own. A large file of the soft engine's is
 * closed by a thread that does nothing else (soft_close.c). Signals come through a signalfd.
 * So no data is shared between contexts and nothing here takes a lock.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "background.h"
#include "daemon.h"
#include "files.h"
#include "hold.h"
#include "log.h"
#include "notify.h"
#include "private.h"
#include "soft.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

/* So long the peers have to read the farewell. */
#define STOP_NS		NSEC_PER_SEC

enum { EXIT_CONFIG = 2 };

struct options {
	const char *config;
	bool foreground;
	bool check;
};

struct program {
	struct daemon daemon;
	struct watch signals;
	struct private private;
	struct hold hold;
	struct notify notify;
	const char *config;
};

static void usage(FILE *to)
{
	fprintf(to,
		"usage: cptdevd [options]\n"
		"Ships the checkpoints of this host's programs to its peer, and keeps the peer's.\n"
		"\n"
		"  -c, --config FILE    configuration (default " CONF_DEFAULT ")\n"
		"  -f, --foreground     stay in the foreground, log to standard error\n"
		"  -n, --check-config   read the configuration, say what is wrong, exit\n"
		"  -V, --version        print the version and exit\n"
		"  -h, --help           print this and exit\n"
		"\n"
		"See cptdevd(8) and cptdevd.conf(5).\n");
}

/* Returns an exit status, or -1 to go on. */
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longopts[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "check-config", no_argument, NULL, 'n' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:fnVh", longopts, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->config = optarg;
			break;
		case 'f':
			o->foreground = true;
			break;
		case 'n':
			o->check = true;
			break;
		case 'V':
			printf("cptdevd %s\n", VERSION);
			return EXIT_SUCCESS;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return EXIT_CONFIG;
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "cptdevd: unexpected argument '%s'\n", argv[optind]);
	usage(stderr);
	return EXIT_CONFIG;
}

static void on_signal(struct watch *w, u32 events)
{
	struct program *p = container_of(w, struct program, signals);
	struct signalfd_siginfo si;

	(void)events;
	if (read(w->fd, &si, sizeof(si)) != sizeof(si))
		return;
	switch (si.ssi_signo) {
	case SIGCHLD:
		failover_ran(&p->daemon);
		break;
	case SIGHUP:
		notify_reloading(&p->notify);
		daemon_reload(&p->daemon, p->config);
		notify_reloaded(&p->notify);
		break;
	default:
		log_notice("%s: shutting down", strsignal(si.ssi_signo));
		notify_stopping(&p->notify);
		daemon_stop(&p->daemon);
	}
}

static int catch_signals(struct program *p)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	p->signals = (struct watch) { .fd = -1, .fn = on_signal };
	return loop_watch(&p->daemon.loop, &p->signals, fd, EPOLLIN);
}

static int run(struct program *p)
{
	struct loop *l = &p->daemon.loop;
	u64 until;
	int ret = 0;

	while (!ret && !p->daemon.stopping)
		ret = loop_turn(l, -1);
	until = clock_mono() + STOP_NS;
	while (!ret && daemon_busy(&p->daemon) && clock_mono() < until)
		ret = loop_turn(l, 50);
	return ret;
}

/* Where programs find the engine is known before anything is shipped. */
static struct kernel *engine_soft(const struct conf *conf)
{
	struct soft *s = soft_daemon();
	int ret = soft_open(s, 0);

	s->clients_max = SOFT_CLIENTS(conf->max_sessions);
	if (!ret)
		ret = soft_programs_open(s, conf->programs);
	if (ret) {
		log_err("can't open the soft engine's socket %s: %s", conf->programs,
			strerror(-ret));
		soft_close(s);
		return NULL;
	}
	log_notice("engine soft: programs connect to %s; replicas are kept in this process",
		   conf->programs);
	return &s->kernel;
}

static struct kernel *engine_open(const struct conf *conf)
{
	bool soft = conf->engine == ENGINE_SOFT ||
		(conf->engine == ENGINE_AUTO && access(CPTDEV_DEVICE, F_OK));

	return soft ? engine_soft(conf) : kernel_module();
}

static void engine_close(const struct kernel *k)
{
	if (k == &soft_daemon()->kernel)
		soft_close(soft_daemon());
}

/* Before a program comes. */
static int hold_begin(struct program *p, const struct conf *conf)
{
	const struct service service = {
		.address = conf->hold_address, .port = conf->hold_port, .queue = conf->hold_queue,
	};

	return *conf->hold_session ? hold_open(&p->hold, &p->daemon.loop, soft_daemon(), &service,
					       conf->hold_session) : 0;
}

static int serve(const struct options *o, const struct conf *conf)
{
	static struct program p;
	struct kernel *engine;
	int ret;

	p.config = o->config;

	/* Before anything that a child wouldn't inherit. */
	ret = o->foreground ? 0 : background();
	if (ret) {
		fprintf(stderr, "cptdevd: can't go to the background: %s\n",
			strerror(-ret));
		return EXIT_FAILURE;
	}
	log_open(LOG_TO_STDERR, conf->log_level);
	files_raise(conf);
	log_notice("cptdevd %s, node %s", VERSION, conf->name);
	engine = engine_open(conf);
	if (!engine)
		return EXIT_FAILURE;
	if (daemon_open(&p.daemon, conf, engine) || hold_begin(&p, conf) || catch_signals(&p) ||
	    (conf->private && private_open(&p.private, &p.daemon))) {
		hold_close(&p.hold);
		daemon_close(&p.daemon);
		engine_close(engine);
		return EXIT_FAILURE;
	}
	if (!o->foreground)
		log_open(LOG_TO_SYSLOG, conf->log_level);
	background_ready();
	notify_ready(&p.notify, &p.daemon);
	ret = run(&p);
	if (ret)
		log_err("the event loop failed: %s", strerror(-ret));
	hold_close(&p.hold);
	daemon_close(&p.daemon);
	engine_close(engine);
	if (conf->private)
		private_close(&p.private, p.config);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* It is read again from another directory: in the background that is "/". */
static const char *whole_path(const char *path)
{
	char *here, *whole = NULL;

	if (*path == '/')
		return path;
	here = get_current_dir_name();
	if (!here || asprintf(&whole, "%s/%s", here, path) < 0)
		fprintf(stderr, "cptdevd: %s: %s\n", path, strerror(errno));
	free(here);
	return whole;
}

int main(int argc, char **argv)
{
	struct options o = { .config = CONF_DEFAULT };
	static struct conf conf;
	int status;

	/* A message that nobody reads is no reason to end. */
	signal(SIGPIPE, SIG_IGN);
	/* A replica's file is as long as an address; RLIMIT_FSIZE is an error of that write. */
	signal(SIGXFSZ, SIG_IGN);
	status = parse_options(argc, argv, &o);
	if (status >= 0)
		return status;
	o.config = whole_path(o.config);
	if (!o.config || conf_read(&conf, o.config, stderr))
		return EXIT_CONFIG;
	o.foreground |= conf.private;
	if (o.check) {
		printf("%s: ok\n", o.config);
		return EXIT_SUCCESS;
	}
	return serve(&o, &conf);
}
