// SPDX-License-Identifier: GPL-2.0-only
/*
 * channel: this machine's end of the port of execd (guest/execd.c describes the protocol), as
 * one program: to ask a guest something costs the start of one process here, not of a dozen.
 * vm-channel.sh uses it.
 *
 *	channel <directory> spawn <seconds> <command>	prints the number of the request
 *	channel <directory> run <seconds> <command>	spawn, and wait
 *	channel <directory> wait <number> <seconds>
 *	channel <directory> output <number> O|E		what came so far
 *
 * wait passes on what the command printed. Its status is that of the command, 128 and the
 * signal that ended it, 124 if its time was over, 255 if the guest is gone or doesn't answer.
 * A guest has 30 s more to answer than the command has to end.
 *
 * The directory is the guest's. Besides its ports there are
 *
 *	number			of the last request; number.lock
 *	lock			held while a request is written, which is thus undivided
 *	requests/<number>	the size of the file out before it
 *	requests/<number>.end	how it ended, and a value: the end of execd's last line
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOST		255
#define ANSWER_SECONDS	30
/* How often it is looked whether the guest lives, ms. */
#define LOOK_MS		200

static void die(const char *what)
{
	fprintf(stderr, "channel: %s: %s\n", what, strerror(errno));
	exit(LOST);
}

static FILE *must_open(const char *path, const char *mode)
{
	FILE *f = fopen(path, mode);

	if (!f)
		die(path);
	return f;
}

static void must_close(FILE *f, const char *path)
{
	if (fclose(f))
		die(path);
}

/* The number in a file, 0 if it isn't there. */
static long number_in(const char *path)
{
	FILE *f = fopen(path, "re");
	long n = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%ld", &n) != 1)
		n = 0;
	fclose(f);
	return n;
}

static void number_to(const char *path, long n)
{
	FILE *f = must_open(path, "we");

	fprintf(f, "%ld\n", n);
	must_close(f, path);
}

/* Held until it is closed. */
static int lock(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

	if (fd < 0 || flock(fd, LOCK_EX))
		die(path);
	return fd;
}

static long new_number(void)
{
	int fd = lock("number.lock");
	long n = number_in("number") + 1;

	number_to("number", n);
	close(fd);
	return n;
}

static const char *request_file(long number, const char *ending)
{
	static char name[64];

	snprintf(name, sizeof(name), "requests/%ld%s", number, ending);
	return name;
}

static void write_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno != EINTR)
			die("in");
		buf += n > 0 ? n : 0;
		len -= n > 0 ? n : 0;
	}
}

/* The answer can't come before the point of the file that is noted first. */
static long spawn(const char *seconds, const char *command)
{
	long number = new_number();
	struct stat st;
	char *request;
	int len, in, held;

	if (stat("out", &st))
		die("out");
	if (mkdir("requests", 0777) && errno != EEXIST)
		die("requests");
	number_to(request_file(number, ""), st.st_size);
	len = asprintf(&request, "RUN %ld %s %zu\n%s", number, seconds, strlen(command), command);
	if (len < 0)
		die("memory");
	held = lock("lock");
	/* For both, so that it doesn't wait for a reader that has died. */
	in = open("in", O_RDWR | O_CLOEXEC);
	if (in < 0)
		exit(LOST);
	write_all(in, request, len);
	close(in);
	close(held);
	free(request);
	return number;
}

static int digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? at - digits : -1;
}

/* A piece of base64, whole with its padding. */
static void print_piece(FILE *to, const char *piece)
{
	while (digit(piece[0]) >= 0 && digit(piece[1]) >= 0) {
		int c = digit(piece[2]), d = c < 0 ? -1 : digit(piece[3]);

		fputc(digit(piece[0]) << 2 | digit(piece[1]) >> 4, to);
		if (c >= 0)
			fputc((digit(piece[1]) & 15) << 4 | c >> 2, to);
		if (d >= 0)
			fputc((c & 3) << 6 | d, to);
		if (d < 0)
			return;
		piece += 4;
	}
}

/* The answers to a request, as far as they are there. */
struct answers {
	long number;
	FILE *out;
	long at;
	char *line;
	size_t size;
	char end[64];		/* the text behind X, or empty */
};

static void answers_open(struct answers *a, long number)
{
	*a = (struct answers){ .number = number, .out = must_open("out", "re"),
			       .at = number_in(request_file(number, "")) };
	fseek(a->out, a->at, SEEK_SET);
}

/* The text of the next line that is ours, with its tag in front; NULL if there is none yet. */
static char *answers_next(struct answers *a)
{
	ssize_t len;

	while ((len = getline(&a->line, &a->size, a->out)) > 0) {
		char *text;
		long n;

		if (a->line[len - 1] != '\n') {
			/* The rest is still to come. */
			fseek(a->out, a->at, SEEK_SET);
			return NULL;
		}
		a->at += len;
		a->line[len - 1] = '\0';
		n = strtol(a->line, &text, 10);
		if (text != a->line && n == a->number && *text == ' ')
			return text + 1;
	}
	clearerr(a->out);
	return NULL;
}

/* Passes on what has come: standard output to @out, errors to @err, if these aren't NULL. */
static void answers_pass(struct answers *a, FILE *out, FILE *err)
{
	const char *text;

	while (!a->end[0] && (text = answers_next(a))) {
		if (!strncmp(text, "X ", 2))
			snprintf(a->end, sizeof(a->end), "%s", text + 2);
		else if (!strncmp(text, "O ", 2) && out)
			print_piece(out, text + 2);
		else if (!strncmp(text, "E ", 2) && err)
			print_piece(err, text + 2);
	}
}

/* A process that ended and waits for its parent is no machine. */
static bool guest_alive(void)
{
	char path[64], line[512] = "";
	const char *state;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/stat", number_in("pid"));
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	state = strrchr(line, ')');
	return state && strlen(state) > 2 && state[2] != 'Z' && state[2] != 'X';
}

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Until the file is written to, or some time. */
static void wait_for_more(int watch)
{
	struct pollfd p = { .fd = watch, .events = POLLIN };
	char events[4096];

	if (poll(&p, 1, LOOK_MS) > 0 && read(watch, events, sizeof(events)) < 0)
		die("inotify");
}

/* Returns the status to exit with. */
static int end_status(const char *end)
{
	char how[16] = "";
	int value = 0;

	if (sscanf(end, "%15s %d", how, &value) < 1)
		return LOST;
	if (!strcmp(how, "exit"))
		return value;
	if (!strcmp(how, "signal"))
		return 128 + value;
	return !strcmp(how, "timeout") || !strcmp(how, "output") || !strcmp(how, "stuck") ?
	       124 : LOST;
}

static int wait_for(long number, long seconds)
{
	long end = now_ms() + seconds * 1000;
	int watch = inotify_init1(IN_CLOEXEC);
	struct answers a;
	const char *path;
	FILE *f;

	/* One of a guest that had this name before would never be answered. */
	if (access(request_file(number, ""), F_OK)) {
		fprintf(stderr, "channel: this guest got no request %ld\n", number);
		return LOST;
	}
	if (watch < 0 || inotify_add_watch(watch, "out", IN_MODIFY) < 0)
		die("inotify");
	answers_open(&a, number);
	for (;;) {
		bool alive = guest_alive();

		answers_pass(&a, stdout, stderr);
		fflush(stdout);
		if (a.end[0] || !alive || now_ms() >= end)
			break;
		wait_for_more(watch);
	}
	path = request_file(number, ".end");
	f = must_open(path, "we");
	fprintf(f, "%s\n", a.end[0] ? a.end : "lost 0");
	must_close(f, path);
	return end_status(a.end);
}

static int usage(void)
{
	fprintf(stderr, "channel: the head of channel.c tells how to use it\n");
	return LOST;
}

int main(int argc, char **argv)
{
	struct answers a;

	if (argc != 5)
		return usage();
	if (chdir(argv[1]))
		return LOST;
	if (!strcmp(argv[2], "spawn")) {
		printf("%ld\n", spawn(argv[3], argv[4]));
		return 0;
	}
	if (!strcmp(argv[2], "run"))
		return wait_for(spawn(argv[3], argv[4]), atol(argv[3]) + ANSWER_SECONDS);
	if (!strcmp(argv[2], "wait"))
		return wait_for(atol(argv[3]), atol(argv[4]));
	if (strcmp(argv[2], "output"))
		return usage();
	answers_open(&a, atol(argv[3]));
	answers_pass(&a, argv[4][0] == 'O' ? stdout : NULL, argv[4][0] == 'E' ? stdout : NULL);
	return 0;
}
