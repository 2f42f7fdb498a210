// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * cptdev-run: the descriptors of a program. A process that shares our memory, but not our
 * descriptors, takes a copy of each (pidfd_getfd(2)) under the number that it has in the
 * program: so libhotspare's code asks there as it does within a program. Those of other processes
 * than the first get numbers above, see struct run_fds. The copies are gone before the program goes
 * on: a pipe that it closes is closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fds.h"
#include "fds_copy.h"
#include "mutants.h"
#include "pairs.h"
#include "proc.h"
#include "sockets.h"

#define STACK		(512U << 10)
#define MAJOR_MEMORY	1		/* null, zero, random ... */

void run_fds_free(struct run_fds *fds)
{
	hs_fds_free(&fds->list);
	free(fds->inherited);
	free(fds->places);
	*fds = (struct run_fds) { 0 };
}

void run_std_of(struct run_std *s, pid_t pid)
{
	char path[40];
	struct stat st;
	int i;

	*s = (struct run_std) { 0 };
	for (i = 0; i < RUN_STD; i++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, i);
		if (stat(path, &st))
			continue;
		s->is[i] = true;
		s->device[i] = st.st_dev;
		s->inode[i] = st.st_ino;
	}
}

/* What the two processes share. */
struct job {
	struct run_copies copies;
	const struct run_std *std;
	bool connections;
	struct run_fds *to;		/* of the first process */
	struct run_report *report;
	struct hs_error *e;
	int err;
};

static pid_t host_of(const struct job *j, const struct run_copy *c)
{
	return run_copies_host(&j->copies, c);
}

static struct run_fds *fds_of(const struct job *j, const struct run_copy *c)
{
	return &run_state_of(j->copies.state, c->of)->fds;
}

/*
 * In the other process
 */

static bool is_terminal(const struct stat *st)
{
	unsigned int nr = major(st->st_rdev);

	/* tty, console; serial lines; the slaves of pseudo terminals. */
	return S_ISCHR(st->st_mode) && (nr == 4 || nr == 5 || (nr >= 136 && nr <= 143)) &&
		st->st_rdev != makedev(5, 2);
}

/* Which of the three it is, or -1. Regular files and /dev/null are found by their names. */
static int inherited_from(const struct job *j, int fd, const struct stat *st)
{
	int i;

	if (S_ISREG(st->st_mode) || (S_ISCHR(st->st_mode) && major(st->st_rdev) == MAJOR_MEMORY))
		return -1;
	if (fd < RUN_STD && j->std->is[fd] && j->std->device[fd] == st->st_dev &&
	    j->std->inode[fd] == st->st_ino)
		return fd;
	for (i = 0; i < RUN_STD; i++)
		if (j->std->is[i] && j->std->device[i] == st->st_dev &&
		    j->std->inode[i] == st->st_ino)
			return i;
	return -1;
}

/* With the process that has it, if there are several. */
static const char *name_of(const struct job *j, const struct run_copy *c, char *text, size_t len)
{
	if (c->of)
		snprintf(text, len, "process %d: descriptor %d", host_of(j, c), c->fd);
	else
		snprintf(text, len, "descriptor %d", c->fd);
	return text;
}

static int inherit(struct job *j, const struct run_copy *c, int from)
{
	struct run_fds *to = fds_of(j, c);
	struct run_inherited *v = reallocarray(to->inherited, to->nr_inherited + 1, sizeof(*v));
	char name[64];

	if (!v)
		return hs_fail(j->e, ENOMEM, "no memory for the list of descriptors");
	to->inherited = v;
	v[to->nr_inherited++] = (struct run_inherited) {
		.fd = c->fd, .from = from, .cloexec = c->cloexec, .flags = fcntl(c->at, F_GETFL),
	};
	if (!tcgetattr(c->at, &j->to->termios[from]))
		j->to->has_termios[from] = true;
	run_covered(j->report, "%s: standard %s of cptdev-run", name_of(j, c, name, sizeof(name)),
		    from == 0 ? "input" : from == 1 ? "output" : "error");
	return 0;
}

/* Those of the process: a copy of the descriptor doesn't show them. */
static bool has_record_lock(const struct job *j, const struct run_copy *c)
{
	char file[40], text[128];

	snprintf(file, sizeof(file), "fdinfo/%d", c->fd);
	return !run_proc_line(host_of(j, c), file, "lock", text, sizeof(text)) && strstr(text, "POSIX");
}

/* What libhotspare would take, but a restart without its library couldn't keep. */
static const char *why_not(const struct job *j, const struct run_copy *c, const struct stat *st,
			   const char *link)
{
	if (is_terminal(st))
		return "another terminal than standard input, output and error";
	if (S_ISCHR(st->st_mode) && major(st->st_rdev) != MAJOR_MEMORY)
		return "a device";
	if (S_ISDIR(st->st_mode))
		return "a directory";
	if (S_ISREG(st->st_mode) && !st->st_nlink)
		return "a file that was deleted";
	if (!strncmp(link, "anon_inode:[io_uring]", 21))
		return "io_uring: start the program with an option that avoids it";
	if (has_record_lock(j, c))
		return "a record lock (fcntl F_SETLK)";
	return NULL;
}

/*
 * Does each read of the eventfd take one (EFD_SEMAPHORE)? Kernels before 6.5 don't tell, so it is
 * tried. Nobody looks: the program is stopped. Afterwards the count is what it was.
 */
static bool takes_ones(int fd, uint64_t count)
{
	uint64_t more = count < 2 ? 2 - count : 0, got = 0, back;
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	if (more && write(fd, &more, sizeof(more)) != sizeof(more))
		got = 2;
	else if (read(fd, &got, sizeof(got)) != sizeof(got))
		got = 2;
	back = got == 1 ? (count >= 2) : count;
	if (back && write(fd, &back, sizeof(back)) != sizeof(back))
		back = 0;
	if (got == 1 && !count && read(fd, &back, sizeof(back)) != sizeof(back))
		back = 0;
	fcntl(fd, F_SETFL, flags);
	return got == 1;
}

static void look_at_event(const struct job *j, const struct run_copy *c, struct hs_fd *f)
{
	const pid_t pid = host_of(j, c);
	char file[40], text[64];

	snprintf(file, sizeof(file), "fdinfo/%d", c->fd);
	if (!run_proc_line(pid, file, "eventfd-semaphore", text, sizeof(text)) ||
	    run_proc_line(pid, file, "eventfd-count", text, sizeof(text)))
		return;
	f->kind = HS_FD_EVENT;
	f->event.semaphore = takes_ones(f->fd, strtoull(text, NULL, 16));
}

/* What libhotspare says of a copy, said of the descriptor. */
static void refuse(struct job *j, const struct run_copy *c, const char *text)
{
	char name[64];
	int at, n = 0;

	if (sscanf(text, "descriptor %d%n", &at, &n) == 1 && n && at == c->at)
		run_refused(j->report, "%s%s", name_of(j, c, name, sizeof(name)), text + n);
	else
		run_refused(j->report, "%s", text);
}

/* The one of the list that is the same open file, or -1. Within the first process hs_fds_link() finds it. */
static int same_as(const struct job *j, const struct run_copy *c, const struct stat *st)
{
	const struct hs_fds *list = &j->to->list;
	const pid_t pid = getpid();
	const struct hs_fd *f;

	for (f = list->v; c->of && f < list->v + list->nr; f++)
		if (f->device == st->st_dev && f->inode == st->st_ino &&
		    !syscall(SYS_kcmp, pid, pid, KCMP_FILE, f->fd, c->at))
			return f->fd;
	return -1;
}

static int place(struct job *j, const struct run_copy *c, int at)
{
	struct run_fds *to = fds_of(j, c);
	struct run_place *v;

	if (j->copies.nr_processes == 1)
		return 0;
	v = reallocarray(to->places, to->nr_places + 1, sizeof(*v));
	if (!v)
		return hs_fail(j->e, ENOMEM, "no memory for the list of descriptors");
	to->places = v;
	v[to->nr_places++] = (struct run_place) { .fd = c->fd, .at = at, .cloexec = c->cloexec };
	return 0;
}

static int capture(struct job *j, const struct run_copy *c, struct hs_fd *seen, const char *link)
{
	struct hs_error why = { { 0 } };
	char name[64];

	if (hs_fd_query(seen, NULL, &why)) {
		refuse(j, c, why.text);
		return 0;
	}
	run_tcp_look(seen);
	if (hs_fd_capture(seen, &j->to->list.v[j->to->list.nr], &why)) {
		refuse(j, c, why.text);
	} else {
		run_covered(j->report, "%s: %s%s", name_of(j, c, name, sizeof(name)), link,
			    hs_fd_is_connection(seen) ? " (TCP, not with --file)" : "");
		j->to->list.nr++;
	}
	hs_fd_clear(seen);
	return place(j, c, c->at);
}

static int take(struct job *j, const struct run_copy *c)
{
	struct hs_fd seen = { .fd = c->at, .same_as = -1,
			      .what = HS_FD_NAME | HS_FD_PEER | HS_FD_REFRESH | HS_FD_UNCONNECTED };
	char link[4096] = "", name[64];
	const char *no;
	struct stat st;
	int from, type;

	if (fstat(seen.fd, &st) || hs_fd_link(seen.fd, link, sizeof(link)))
		return hs_fail(j->e, errno, "%s: %s", name_of(j, c, name, sizeof(name)), strerror(errno));
	from = inherited_from(j, c->fd, &st);
	if (from >= 0)
		return inherit(j, c, from);
	no = why_not(j, c, &st, link);
	from = no ? -1 : same_as(j, c, &st);
	if (from >= 0)
		return place(j, c, from);
	if (!no && S_ISSOCK(st.st_mode))
		no = run_tcp_why_not(j->to, seen.fd, j->connections);
	if (no) {
		run_refused(j->report, "%s (%.100s): %s", name_of(j, c, name, sizeof(name)), link, no);
		return 0;
	}
	if (!strcmp(link, "anon_inode:[eventfd]"))
		look_at_event(j, c, &seen);
	else if (S_ISSOCK(st.st_mode) && run_pair_is(seen.fd, &type))
		seen.kind = HS_FD_PAIR;
	if (seen.kind == HS_FD_PAIR)
		seen.data.type = type;
	seen.what |= j->connections ? HS_FD_CONNECTED : 0;
	return capture(j, c, &seen, link);
}

/* Descriptors that need each other. */
static void refuse_whole(struct job *j, const struct hs_error *why)
{
	const struct run_copy *c = NULL;
	char name[64];
	int at;

	if (sscanf(why->text, "descriptor %d", &at) == 1)
		c = run_copies_at(&j->copies, at);
	if (c && errno == EPIPE)
		run_refused(j->report, "%s: the other end of this pipe belongs to a process that isn't a part "
			    "of the program", name_of(j, c, name, sizeof(name)));
	else if (c)
		refuse(j, c, why->text);
	else
		run_refused(j->report, "%s", why->text);
}

/* What is in it is known by the numbers of the process that has put it in. */
static void check_sets(struct job *j)
{
	const struct hs_fd *f;
	const struct run_copy *c;
	char name[64];

	for (f = j->to->list.v; f < j->to->list.v + j->to->list.nr; f++) {
		c = f->kind == HS_FD_EPOLL && f->same_as < 0 ? run_copies_at(&j->copies, f->fd) : NULL;
		if (c && c->of)
			run_refused(j->report, "%s: an epoll set of another process than the first",
				    name_of(j, c, name, sizeof(name)));
	}
}

/* See mutants.h: what waits in pipes. */
static void forget_pipes(struct hs_fds *list)
{
	struct hs_fd *f;

	for (f = list->v; f < list->v + list->nr; f++)
		if (f->kind == HS_FD_PIPE)
			f->data.len = 0;
}

static int work(void *arg)
{
	struct hs_error why = { { 0 } };
	struct job *j = arg;
	int ret = run_copies_make(&j->copies, j->e);
	uint32_t i;

	for (i = 0; !ret && i < j->copies.nr; i++)
		ret = take(j, &j->copies.v[i]);
	if (!ret)
		run_pairs_settle(&j->to->list, j->report);
	if (!ret)
		check_sets(j);
	if (!ret && (hs_fds_settle(&j->to->list, &why) || hs_fds_link(&j->to->list, &why)))
		refuse_whole(j, &why);
	if (run_mutant("pipe"))
		forget_pipes(&j->to->list);
	j->err = ret ? errno ?: EIO : 0;
	return 0;
}

/*
 * The copies have the numbers of the program, so they need a table of their own; the list that is
 * made of them is ours. We wait (CLONE_VFORK).
 */
static int run_job(struct job *j)
{
	static void *stack;
	int status;
	pid_t pid;

	if (!stack) {
		stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (stack == MAP_FAILED) {
			stack = NULL;
			return hs_fail(j->e, errno, "no memory to look at descriptors");
		}
	}
	pid = clone(work, (char *)stack + STACK, CLONE_VM | CLONE_VFORK, j);
	if (pid < 0)
		return hs_fail(j->e, errno, "a process to look at descriptors: %s", strerror(errno));
	while (waitpid(pid, &status, __WCLONE) < 0 && errno == EINTR)
		;
	errno = j->err;
	return j->err ? -1 : 0;
}

static int read_all(struct job *j, struct run_state *s)
{
	if (run_copies_list(&j->copies, s, j->e))
		return -1;
	j->to->list.v = calloc(j->copies.nr + 1, sizeof(*j->to->list.v));
	if (!j->to->list.v)
		return hs_fail(j->e, ENOMEM, "no memory for the list of descriptors");
	return run_job(j);
}

int run_fds_read(struct run_state *s, const struct run_std *std, bool connections, struct run_report *r,
		 struct hs_error *e)
{
	struct job j = {
		.std = std, .connections = connections, .to = &s->fds, .report = r, .e = e,
	};
	int ret = read_all(&j, s), err = errno;

	run_copies_free(&j.copies);
	errno = err;
	return ret;
}
