// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: hs_check(): a checkpoint is taken into a file without a name, and the program
 * starts itself as a process that restores it (dryrun.c). What only the program itself knows
 * is looked at here: its descriptors, its threads, its mappings.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "fork.h"
#include "handover.h"
#include "hotspare.h"
#include "pipe.h"
#include "private.h"
#include "schedule.h"
#include "written.h"

/*
 * Descriptors
 */

struct inherited {
	int fd;
	dev_t device;
	ino_t inode;
};

static struct inherited *inherited;
static size_t nr_inherited;

static void remember(int fd)
{
	struct inherited *v = realloc(inherited, (nr_inherited + 1) * sizeof(*v));
	struct stat st;

	if (!v)
		return;
	inherited = v;
	if (!fstat(fd, &st))
		v[nr_inherited++] = (struct inherited) { fd, st.st_dev, st.st_ino };
}

void hs_check_start(void)
{
	DIR *d = nr_inherited ? NULL : opendir("/proc/self/fd");
	struct dirent *entry;

	while (d && (entry = readdir(d)))
		if (atoi(entry->d_name) > STDERR_FILENO && atoi(entry->d_name) != dirfd(d))
			remember(atoi(entry->d_name));
	if (d)
		closedir(d);
}

static bool is_inherited(int fd)
{
	struct stat st;
	size_t i;

	for (i = 0; i < nr_inherited && !fstat(fd, &st); i++)
		if (inherited[i].fd == fd && inherited[i].device == st.st_dev &&
		    inherited[i].inode == st.st_ino)
			return true;
	return false;
}

/* By their names; those of the pool are asked for. */
static bool is_ours(int fd, const char *link)
{
	static const char *const names[] = {
		"/memfd:hotspare-", "/dev/cptdev", "anon_inode:[userfaultfd]", "anon_inode:[pidfd]",
	};
	size_t i, len = strlen(link);

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(link, names[i], strlen(names[i])))
			return true;
	if (!strncmp(link, "/proc/", 6) &&
	    ((len > 8 && !strcmp(link + len - 8, "/pagemap")) ||
	     (len > 9 && !strcmp(link + len - 9, "/ksm_stat"))))
		return true;
	return hs_pool_has(fd) || hs_written_has(fd) || hs_handover_has(fd) ||
		hs_private_has(fd);
}

static bool is_connection(int fd)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer), type_len = sizeof(int);
	int type = 0;

	return !getpeername(fd, (struct sockaddr *)&peer, &len) &&
		!getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) && type != SOCK_DGRAM;
}

static void check_descriptor(int fd, const char *link)
{
	if (is_ours(fd, link) || hs_fd_is_registered(fd) || is_inherited(fd))
		return;
	if (is_connection(fd))
		hs_say("libhotspare: check: note: descriptor %d is a connection: a take-over "
		       "closes it, and the client has to connect again", fd);
	else
		hs_finding("descriptor %d (%.80s) isn't registered: the spare won't have it: "
			   "register it (hs_fdreg(3)), or open it in a hook", fd, link);
}

static void check_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *entry;
	char link[256];
	ssize_t n;
	int fd;

	while (d && (entry = readdir(d))) {
		fd = atoi(entry->d_name);
		if (fd <= STDERR_FILENO || fd == dirfd(d))
			continue;
		n = readlinkat(dirfd(d), entry->d_name, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = 0;
		if (n > 0)
			check_descriptor(fd, link);
	}
	if (d)
		closedir(d);
}

/*
 * The other process
 */

struct dry_run {
	int image, maps;
	int result[2];
	char **env;
	char *tids;			/* NAME=1,2,3 */
};

/* NAME=1,2,3; NULL: no memory. */
static char *list_threads(void)
{
	struct dirent *entry;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	DIR *d = opendir("/proc/self/task");

	if (f)
		fprintf(f, "%s=", HS_CHECK_TIDS);
	while (f && d && (entry = readdir(d)))
		if (entry->d_name[0] != '.')
			fprintf(f, "%s,", entry->d_name);
	if (d)
		closedir(d);
	if (f)
		fclose(f);
	return text;
}

static int copy_maps(int to)
{
	int from = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	char buf[4096];
	ssize_t n = -1;

	while (from >= 0 && (n = read(from, buf, sizeof(buf))) > 0)
		if (write(to, buf, (size_t)n) != n)
			break;
	if (from >= 0)
		close(from);
	return n ? -1 : 0;
}

static int prepare(struct dry_run *d, struct hs_error *e)
{
	size_t n = 0;

	while (environ[n])
		n++;
	d->env = calloc(n + 2, sizeof(*d->env));
	d->tids = list_threads();
	if (d->env && d->tids) {
		memcpy(d->env, environ, n * sizeof(*d->env));
		d->env[n] = d->tids;
	}
	d->image = memfd_create("hotspare-check", MFD_CLOEXEC);
	d->maps = memfd_create("hotspare-check", MFD_CLOEXEC);
	if (!d->env || !d->tids || d->image < 0 || d->maps < 0 || copy_maps(d->maps) ||
	    pipe2(d->result, O_CLOEXEC))
		return hs_fail(e, errno ?: ENOMEM, "no memory for a dry run");
	return 0;
}

static void release(struct dry_run *d)
{
	const int fd[] = { d->image, d->maps, d->result[0], d->result[1] };
	size_t i;

	for (i = 0; i < sizeof(fd) / sizeof(fd[0]); i++)
		if (fd[i] >= 0)
			close(fd[i]);
	free(d->env);
	free(d->tids);
}

/* Nothing but system calls: other threads may have had any lock. */
static void become_dry_run(const struct dry_run *d)
{
	char *const argv[] = { program_invocation_name, (char *)"-m", (char *)"-c", (char *)"-r",
			       (char *)"/proc/self/fd/3", (char *)"--", NULL };
	int image = fcntl(d->image, F_DUPFD, 10), maps = fcntl(d->maps, F_DUPFD, 10);
	int result = fcntl(d->result[1], F_DUPFD, 10), nothing = open("/dev/null", O_RDWR);
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	lseek(image, 0, SEEK_SET);
	lseek(maps, 0, SEEK_SET);
	dup2(nothing, STDIN_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	dup2(image, HS_CHECK_IMAGE);
	dup2(maps, HS_CHECK_MAPS);
	dup2(result, HS_CHECK_RESULT);
	syscall(SYS_close_range, HS_CHECK_RESULT + 1, ~0U, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve("/proc/self/exe", argv, d->env);
	_exit(127);
}

/*
 * By way of another process, whose end the program isn't told by SIGCHLD: exec would make that
 * the signal of the one that becomes the program.
 */
static pid_t start(const struct dry_run *d)
{
	pid_t pid = (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, 0), other;
	int status;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	other = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
	if (!other)
		become_dry_run(d);
	signal(SIGCHLD, SIG_DFL);
	syscall(SYS_close_range, 0, ~0U, 0);
	while (waitpid(other, &status, 0) < 0 && errno == EINTR)
		;
	_exit(0);
}

/* Returns 0, or -1 with errno and @e: it didn't come to an end. */
static int run(struct dry_run *d, unsigned int *found, struct hs_error *e)
{
	pid_t pid = start(d);
	char text[24];
	size_t len = 0;
	ssize_t n;

	if (pid < 0)
		return hs_fail(e, errno, "no process for a dry run: %s", strerror(errno));
	close(d->result[1]);
	d->result[1] = -1;
	while (len < sizeof(text) - 1 &&
	       ((n = read(d->result[0], text + len, sizeof(text) - 1 - len)) > 0 || (n < 0 && errno == EINTR)))
		len += n > 0 ? (size_t)n : 0;
	text[len] = 0;
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	if (!len || text[len - 1] != '\n')
		return hs_fail(e, ECHILD, "the process of the dry run ended too early: main() must "
			       "call hs_init(3) first of all");
	*found = (unsigned int)strtoul(text, NULL, 10);
	return 0;
}

static int check(struct hs_error *e)
{
	struct dry_run d = { .image = -1, .maps = -1, .result = { -1, -1 } };
	unsigned int before = hs_findings(), found = 0;
	int ret = prepare(&d, e), err;

	if (!ret && hs_cpt_to(d.image, e))
		hs_finding("no checkpoint can be taken: %s", e->text);
	else if (!ret)
		ret = run(&d, &found, e);
	err = errno;
	release(&d);
	if (!ret)
		check_descriptors();
	errno = err;
	return ret ? -1 : (int)(hs_findings() - before + found);
}

int hs_check(void)
{
	struct hs_error *why = hs_why();

	if (hs_fork_child(why) || hs_cpt_settle(why))
		return -1;
	hs_pool_unlock();
	return check(why);
}
