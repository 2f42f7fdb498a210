// SPDX-License-Identifier: GPL-2.0-only
/*
 * execd: the guest's end of the harness. It runs commands that arrive on a
 * virtio-serial port and answers there, so that a result can't be confused with the
 * console, which a crash writes to. init turns into it: it is process 1.
 *
 * Requests, several at a time if need be:
 *
 *	RUN <id> <seconds> <length>\n<shell command>	seconds 0: no limit
 *	PUT <id> <octal mode> <length of path> <length>\n<path><content>
 *	KILL <id> <signal>\n				to the command's process group
 *	POWEROFF\n
 *
 * Answers, a line each:
 *
 *	READY			at the start
 *	<id> O <base64>		standard output, as it comes: each piece is whole, padding
 *				and all, and base64(1) takes them one after the other
 *	<id> E <base64>		standard error
 *	<id> X exit <status>	the end, one of these
 *	<id> X signal <number>
 *	<id> X timeout <seconds>	killed
 *	<id> X output <bytes>	killed, it printed too much
 *	<id> X stuck <pid>	to be killed, but it doesn't die
 *	BYE			power off is next
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX	64
#define OUTPUT_MAX	(256L << 20)
/* How long a killed command may take to die, seconds. */
#define DEATH_MAX	10

struct stream {
	int fd;
	char tag;
};

struct job {
	bool used;
	unsigned int id;
	pid_t pid;
	struct stream out, err;
	long printed;
	long seconds;		/* limit, 0 for none */
	long deadline;		/* monotonic seconds */
	const char *killed;	/* why, or NULL */
};

static struct job jobs[JOBS_MAX];
static int port;

static void die(const char *what)
{
	fprintf(stderr, "execd: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static void write_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			die("port");
		if (n > 0) {
			buf += n;
			len -= n;
		}
	}
}

static void answer(const char *format, ...)
{
	char line[128];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	write_all(port, line, n);
}

static void base64(char *to, const unsigned char *from, int n)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned int v = from[0] << 16 | (n > 1 ? from[1] : 0) << 8 | (n > 2 ? from[2] : 0);

	to[0] = digit[v >> 18];
	to[1] = digit[v >> 12 & 63];
	to[2] = n > 1 ? digit[v >> 6 & 63] : '=';
	to[3] = n > 2 ? digit[v & 63] : '=';
}

static void stream_pass(struct job *job, struct stream *s, const unsigned char *buf, int len)
{
	char line[4096 + 64];
	int n, i;

	n = sprintf(line, "%u %c ", job->id, s->tag);
	for (i = 0; i < len; i += 3, n += 4)
		base64(line + n, buf + i, len - i);
	line[n++] = '\n';
	write_all(port, line, n);
}

static void job_kill(struct job *job, const char *why)
{
	if (job->killed)
		return;
	job->killed = why;
	job->deadline = now() + DEATH_MAX;
	kill(-job->pid, SIGKILL);
}

/* Returns false when there is nothing more to read now. */
static bool stream_read(struct job *job, struct stream *s)
{
	unsigned char buf[3000];
	ssize_t n = s->fd < 0 ? 0 : read(s->fd, buf, sizeof(buf));

	if (n > 0) {
		stream_pass(job, s, buf, n);
		job->printed += n;
		if (job->printed > OUTPUT_MAX)
			job_kill(job, "output");
		return true;
	}
	if (n == 0 && s->fd >= 0) {
		close(s->fd);
		s->fd = -1;
	}
	return false;
}

static void stream_end(struct job *job, struct stream *s)
{
	while (job->printed <= OUTPUT_MAX && stream_read(job, s))
		;
	if (s->fd >= 0)
		close(s->fd);
}

static void job_end(struct job *job, int status)
{
	stream_end(job, &job->out);
	stream_end(job, &job->err);
	if (job->killed)
		answer("%u X %s %ld\n", job->id, job->killed,
		       strcmp(job->killed, "timeout") ? job->printed : job->seconds);
	else if (WIFSIGNALED(status))
		answer("%u X signal %d\n", job->id, WTERMSIG(status));
	else
		answer("%u X exit %d\n", job->id, WEXITSTATUS(status));
	job->used = false;
}

static struct job *job_find(unsigned int id)
{
	for (int i = 0; i < JOBS_MAX; i++)
		if (jobs[i].used && jobs[i].id == id)
			return &jobs[i];
	return NULL;
}

static struct job *job_free(void)
{
	for (int i = 0; i < JOBS_MAX; i++)
		if (!jobs[i].used)
			return &jobs[i];
	return NULL;
}

static void child(const char *command, int out, int err)
{
	sigset_t none;
	int null = open("/dev/null", O_RDONLY);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	dup2(null, 0);
	dup2(out, 1);
	dup2(err, 2);
	execl("/bin/sh", "sh", "-c", command, NULL);
	_exit(127);
}

static void stream_open(struct stream *s, char tag, int pipes[2])
{
	if (pipe2(pipes, O_CLOEXEC))
		die("pipe");
	fcntl(pipes[0], F_SETFL, O_NONBLOCK);
	*s = (struct stream){ .fd = pipes[0], .tag = tag };
}

static void run(unsigned int id, long seconds, const char *command)
{
	struct job *job = job_free();
	int out[2], err[2];

	if (!job) {
		answer("%u X exit 126\n", id);
		return;
	}
	*job = (struct job){ .used = true, .id = id, .seconds = seconds,
			     .deadline = seconds ? now() + seconds : 0 };
	stream_open(&job->out, 'O', out);
	stream_open(&job->err, 'E', err);
	job->pid = fork();
	if (job->pid < 0)
		die("fork");
	if (!job->pid)
		child(command, out[1], err[1]);
	close(out[1]);
	close(err[1]);
}

static void put(unsigned int id, int mode, const char *path, const char *content, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	bool good = fd >= 0;

	while (good && len) {
		ssize_t n = write(fd, content, len);

		good = n > 0;
		content += n;
		len -= good ? n : 0;
	}
	if (good)
		good = !fchmod(fd, mode);
	if (fd >= 0)
		close(fd);
	answer("%u X exit %d\n", id, good ? 0 : 1);
}

/* A whole answer was sent once write() returned: the host has it. */
static void power_off(void)
{
	answer("BYE\n");
	sync();
	reboot(RB_POWER_OFF);
}

/* What was read from the port and not yet used. */
static struct {
	char buf[65536];
	size_t start, end;
} input;

static void input_fill(void)
{
	ssize_t n = read(port, input.buf, sizeof(input.buf));

	if (n < 0 && errno != EINTR && errno != EAGAIN)
		die("port");
	/* 0: nobody is at the other end yet. */
	if (n <= 0)
		poll(NULL, 0, 10);
	input.start = 0;
	input.end = n > 0 ? n : 0;
}

/* @line: stop behind a newline. */
static void port_read(char *to, size_t len, bool line)
{
	while (len--) {
		while (input.start == input.end)
			input_fill();
		*to = input.buf[input.start++];
		if (line && *to == '\n')
			break;
		to++;
	}
}

static char *port_take(size_t len)
{
	char *buf = malloc(len + 1);

	if (!buf)
		die("malloc");
	port_read(buf, len, false);
	buf[len] = 0;
	return buf;
}

static void request_run(unsigned int id, long seconds, size_t len)
{
	char *command = port_take(len);

	run(id, seconds, command);
	free(command);
}

static void request_put(unsigned int id, int mode, size_t path_len, size_t len)
{
	char *path = port_take(path_len), *content = port_take(len);

	put(id, mode, path, content, len);
	free(path);
	free(content);
}

static void request(void)
{
	char line[128] = "";
	unsigned int id, mode;
	size_t len, path_len;
	struct job *job;
	long seconds;
	int sig;

	port_read(line, sizeof(line) - 1, true);
	if (sscanf(line, "RUN %u %ld %zu", &id, &seconds, &len) == 3) {
		request_run(id, seconds, len);
	} else if (sscanf(line, "PUT %u %o %zu %zu", &id, &mode, &path_len, &len) == 4) {
		request_put(id, mode, path_len, len);
	} else if (sscanf(line, "KILL %u %d", &id, &sig) == 2) {
		job = job_find(id);
		if (job)
			kill(-job->pid, sig);
	} else if (!strcmp(line, "POWEROFF\n")) {
		power_off();
	} else {
		fprintf(stderr, "execd: not a request: %s\n", line);
	}
}

/* Process 1 reaps everybody's children. */
static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (int i = 0; i < JOBS_MAX; i++)
			if (jobs[i].used && jobs[i].pid == pid)
				job_end(&jobs[i], status);
}

/* Whoever reads the console later wants to know what everybody waited for. */
static void show_blocked(void)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		write_all(fd, "w", 1);
		close(fd);
	}
}

static void check_deadline(struct job *job)
{
	if (!job->used || !job->deadline || now() < job->deadline)
		return;
	if (!job->killed) {
		show_blocked();
		job_kill(job, "timeout");
		return;
	}
	answer("%u X stuck %d\n", job->id, job->pid);
	job->deadline = 0;
}

static void poll_streams(int sigfd)
{
	struct pollfd p[2 + 2 * JOBS_MAX] = { { .fd = port, .events = POLLIN },
					      { .fd = sigfd, .events = POLLIN } };
	struct signalfd_siginfo info;
	int i;

	for (i = 0; i < JOBS_MAX; i++) {
		p[2 + 2 * i] = (struct pollfd){ .fd = jobs[i].used ? jobs[i].out.fd : -1,
						.events = POLLIN };
		p[3 + 2 * i] = (struct pollfd){ .fd = jobs[i].used ? jobs[i].err.fd : -1,
						.events = POLLIN };
	}
	poll(p, 2 + 2 * JOBS_MAX, 500);
	for (i = 0; i < JOBS_MAX; i++) {
		if (p[2 + 2 * i].revents)
			stream_read(&jobs[i], &jobs[i].out);
		if (p[3 + 2 * i].revents)
			stream_read(&jobs[i], &jobs[i].err);
		check_deadline(&jobs[i]);
	}
	if (p[1].revents && read(sigfd, &info, sizeof(info)) > 0)
		reap();
	if (p[0].revents & POLLIN)
		do
			request();
		while (input.start != input.end);
}

int main(int argc, char **argv)
{
	sigset_t set;
	int sigfd;

	if (argc != 2) {
		fprintf(stderr, "usage: execd /dev/vportNpM\n");
		return 1;
	}
	port = open(argv[1], O_RDWR | O_CLOEXEC);
	if (port < 0)
		die(argv[1]);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (sigfd < 0)
		die("signalfd");
	signal(SIGPIPE, SIG_IGN);
	answer("READY\n");
	for (;;)
		poll_streams(sigfd);
}
