// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * cptdev-run: the descriptors of a program. A process that shares our memory, but not our
 * descriptors, takes a copy of each (pidfd_getfd(2)) under the number that it has in the
 * program: so libhotspare's code asks there as it does within a program. The copies are gone
 * before the program goes on: a pipe that it closes is closed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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
#include "pairs.h"
#include "proc.h"
#include "sockets.h"

#define STACK		(512U << 10)
#define MAJOR_MEMORY	1		/* null, zero, random ... */

void run_fds_free(struct run_fds *fds)
{
	hs_fds_free(&fds->list);
	free(fds->inherited);
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
	pid_t pid;
	int pidfd;
	const struct run_std *std;
	bool connections;
	uint32_t nr;
	struct {
		int fd;
		bool cloexec;
	} *v;
	struct run_fds *to;
	struct run_report *report;
	struct hs_error *e;
	int err;
};

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static int list_numbers(struct job *j)
{
	char path[40], text[64];
	struct dirent *entry;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", j->pid);
	d = opendir(path);
	if (!d)
		return -1;
	while ((entry = readdir(d))) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] == '.')
			continue;
		if (!(j->nr % 64))
			j->v = reallocarray(j->v, j->nr + 64, sizeof(*j->v)) ?: j->v;
		snprintf(path, sizeof(path), "fdinfo/%d", fd);
		if (run_proc_line(j->pid, path, "flags", text, sizeof(text)))
			continue;
		j->v[j->nr].fd = fd;
		j->v[j->nr++].cloexec = strtoul(text, NULL, 8) & O_CLOEXEC;
	}
	closedir(d);
	qsort(j->v, j->nr, sizeof(*j->v), compare);
	return 0;
}

/*
 * In the other process
 */

static int copy_all(struct job *j)
{
	int above = j->nr ? j->v[j->nr - 1].fd + 1 : 0, pidfd, fd;
	uint32_t i;

	pidfd = fcntl(j->pidfd, F_DUPFD_CLOEXEC, above);
	if (pidfd < 0)
		return hs_fail(j->e, errno, "descriptor %d: %s: raise the limit of open files of "
			       "cptdev-run (ulimit -n)", above, strerror(errno));
	for (i = 0; i < j->nr; i++) {
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, j->v[i].fd, 0);
		if (fd < 0)
			return hs_fail(j->e, errno, "descriptor %d can't be looked at: %s", j->v[i].fd,
				       strerror(errno));
		if (fd != j->v[i].fd) {
			dup2(fd, j->v[i].fd);
			close(fd);
		}
		fcntl(j->v[i].fd, F_SETFD, j->v[i].cloexec ? FD_CLOEXEC : 0);
	}
	return 0;
}

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

static int inherit(struct job *j, uint32_t i, int from)
{
	struct run_fds *to = j->to;
	struct run_inherited *v = reallocarray(to->inherited, to->nr_inherited + 1, sizeof(*v));

	if (!v)
		return hs_fail(j->e, ENOMEM, "no memory for the list of descriptors");
	to->inherited = v;
	v[to->nr_inherited++] = (struct run_inherited) {
		.fd = j->v[i].fd, .from = from, .cloexec = j->v[i].cloexec,
		.flags = fcntl(j->v[i].fd, F_GETFL),
	};
	if (!tcgetattr(j->v[i].fd, &to->termios[from]))
		to->has_termios[from] = true;
	run_covered(j->report, "descriptor %d: standard %s of cptdev-run", j->v[i].fd,
		    from == 0 ? "input" : from == 1 ? "output" : "error");
	return 0;
}

/* Those of the process: a copy of the descriptor doesn't show them. */
static bool has_record_lock(const struct job *j, int fd)
{
	char file[40], text[128];

	snprintf(file, sizeof(file), "fdinfo/%d", fd);
	return !run_proc_line(j->pid, file, "lock", text, sizeof(text)) && strstr(text, "POSIX");
}

/* What libhotspare would take, but a restart without its library couldn't keep. */
static const char *why_not(const struct job *j, int fd, const struct stat *st, const char *link)
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
	if (has_record_lock(j, fd))
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

static void look_at_event(const struct job *j, struct hs_fd *f)
{
	char file[40], text[64];

	snprintf(file, sizeof(file), "fdinfo/%d", f->fd);
	if (!run_proc_line(j->pid, file, "eventfd-semaphore", text, sizeof(text)) ||
	    run_proc_line(j->pid, file, "eventfd-count", text, sizeof(text)))
		return;
	f->kind = HS_FD_EVENT;
	f->event.semaphore = takes_ones(f->fd, strtoull(text, NULL, 16));
}

static int take(struct job *j, uint32_t i)
{
	struct hs_fd seen = { .fd = j->v[i].fd, .same_as = -1,
			      .what = HS_FD_NAME | HS_FD_PEER | HS_FD_REFRESH | HS_FD_UNCONNECTED };
	struct hs_error why = { { 0 } };
	char link[4096] = "";
	const char *no;
	struct stat st;
	int from, type;

	if (fstat(seen.fd, &st) || hs_fd_link(seen.fd, link, sizeof(link)))
		return hs_fail(j->e, errno, "descriptor %d: %s", seen.fd, strerror(errno));
	from = inherited_from(j, seen.fd, &st);
	if (from >= 0)
		return inherit(j, i, from);
	no = why_not(j, seen.fd, &st, link);
	if (!no && S_ISSOCK(st.st_mode))
		no = run_tcp_why_not(j->to, seen.fd, j->connections);
	if (no) {
		run_refused(j->report, "descriptor %d (%.100s): %s", seen.fd, link, no);
		return 0;
	}
	if (!strcmp(link, "anon_inode:[eventfd]"))
		look_at_event(j, &seen);
	else if (S_ISSOCK(st.st_mode) && run_pair_is(seen.fd, &type))
		seen.kind = HS_FD_PAIR;
	if (seen.kind == HS_FD_PAIR)
		seen.data.type = type;
	seen.what |= j->connections ? HS_FD_CONNECTED : 0;
	if (hs_fd_query(&seen, NULL, &why)) {
		run_refused(j->report, "%s", why.text);
		return 0;
	}
	run_tcp_look(&seen);
	if (hs_fd_capture(&seen, &j->to->list.v[j->to->list.nr], &why)) {
		run_refused(j->report, "%s", why.text);
	} else {
		run_covered(j->report, "descriptor %d: %s%s", seen.fd, link,
			    hs_fd_is_connection(&seen) ? " (TCP, not with --file)" : "");
		j->to->list.nr++;
	}
	hs_fd_clear(&seen);
	return 0;
}

/* Descriptors that need each other. */
static void refuse_whole(struct job *j, const struct hs_error *why)
{
	int fd;

	if (errno == EPIPE && sscanf(why->text, "descriptor %d", &fd) == 1)
		run_refused(j->report, "descriptor %d: the other end of this pipe is closed, or belongs to "
			    "another process", fd);
	else
		run_refused(j->report, "%s", why->text);
}

static int work(void *arg)
{
	struct hs_error why = { { 0 } };
	struct job *j = arg;
	int ret = copy_all(j);
	uint32_t i;

	for (i = 0; !ret && i < j->nr; i++)
		ret = take(j, i);
	if (!ret)
		run_pairs_settle(&j->to->list, j->report);
	if (!ret && (hs_fds_settle(&j->to->list, &why) || hs_fds_link(&j->to->list, &why)))
		refuse_whole(j, &why);
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

int run_fds_read(struct run_fds *to, pid_t pid, const struct run_std *std, bool connections,
		 struct run_report *r, struct hs_error *e)
{
	struct job j = {
		.pid = pid, .std = std, .connections = connections, .to = to, .report = r, .e = e,
	};
	int ret;

	*to = (struct run_fds) { 0 };
	j.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (j.pidfd < 0 || list_numbers(&j)) {
		ret = hs_fail(e, errno, "process %d: its descriptors: %s", pid, strerror(errno));
	} else {
		to->list.v = calloc(j.nr + 1, sizeof(*to->list.v));
		ret = to->list.v ? run_job(&j) :
			hs_fail(e, ENOMEM, "no memory for the list of descriptors");
	}
	if (j.pidfd >= 0)
		close(j.pidfd);
	free(j.v);
	if (ret)
		run_fds_free(to);
	return ret;
}

/*
 * At the restart
 */

static int close_others(const struct run_fds *fds, int keep)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *entry;
	uint32_t i;
	int fd;

	if (!d)
		return -1;
	while ((entry = readdir(d))) {
		fd = atoi(entry->d_name);
		if (entry->d_name[0] == '.' || fd == keep || fd == dirfd(d) ||
		    hs_fds_find(&fds->list, fd))
			continue;
		for (i = 0; i < fds->nr_inherited && fds->inherited[i].fd != fd; i++)
			;
		if (i == fds->nr_inherited)
			close(fd);
	}
	closedir(d);
	return 0;
}

/* Our own three are moved away first: the program may have others under these numbers. */
static int place_inherited(const struct run_fds *fds, const int *own, struct hs_error *e)
{
	uint32_t i;

	for (i = 0; i < fds->nr_inherited; i++) {
		const struct run_inherited *n = &fds->inherited[i];

		if (own[n->from] < 0 || dup3(own[n->from], n->fd, n->cloexec ? O_CLOEXEC : 0) < 0)
			return hs_fail(e, errno ?: EBADF, "descriptor %d: the program had descriptor "
				       "%d of cptdev-run, which isn't open now", n->fd, n->from);
		if (n->flags & O_NONBLOCK)
			fcntl(n->fd, F_SETFL, fcntl(n->fd, F_GETFL) | O_NONBLOCK);
		if (fds->has_termios[n->from] && isatty(n->fd))
			tcsetattr(n->fd, TCSANOW, &fds->termios[n->from]);
	}
	return 0;
}

static int highest(const struct run_fds *fds)
{
	int max = RUN_STD;
	uint32_t i;

	if (fds->list.nr && fds->list.v[fds->list.nr - 1].fd > max)
		max = fds->list.v[fds->list.nr - 1].fd;
	for (i = 0; i < fds->nr_inherited; i++)
		max = fds->inherited[i].fd > max ? fds->inherited[i].fd : max;
	return max;
}

int run_fds_prepare(struct run_fds *fds, struct hs_error *e)
{
	return hs_fds_prepare(&fds->list, e);
}

int run_fds_restore(struct run_fds *fds, int keep, struct hs_error *e)
{
	int own[RUN_STD], above = highest(fds) + 1, i, ret;

	for (i = 0; i < RUN_STD; i++)
		own[i] = fcntl(i, F_DUPFD_CLOEXEC, above);
	ret = hs_fds_restore(&fds->list, e);
	if (!ret)
		ret = place_inherited(fds, own, e);
	if (!ret && close_others(fds, keep))
		ret = hs_fail(e, errno, "/proc/self/fd can't be read: %s", strerror(errno));
	if (!ret)
		run_tcp_go_on(&fds->list);
	return ret;
}
