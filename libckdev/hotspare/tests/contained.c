// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * contained [-p] COMMAND [ARGUMENT]...
 *
 * Runs a command as the runtimes of containers do by default: as process 1 of namespaces of its own,
 * with fourteen capabilities, and without the system calls that their seccomp profiles leave out. Of
 * these, the ones that a program here could want are listed below (Docker's default profile, 2022 to
 * 2025). The network stays the caller's. -p allows what Documentation/containers.rst adds.
 */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>

static const int kept[] = {
	CAP_AUDIT_WRITE, CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_KILL, CAP_MKNOD,
	CAP_NET_BIND_SERVICE, CAP_NET_RAW, CAP_SETFCAP, CAP_SETGID, CAP_SETPCAP, CAP_SETUID,
	CAP_SYS_CHROOT,
};

static const int denied[] = {
	SCMP_SYS(add_key), SCMP_SYS(bpf), SCMP_SYS(get_mempolicy), SCMP_SYS(io_uring_setup),
	SCMP_SYS(keyctl), SCMP_SYS(mbind), SCMP_SYS(mount), SCMP_SYS(move_pages),
	SCMP_SYS(perf_event_open), SCMP_SYS(pidfd_getfd), SCMP_SYS(pivot_root),
	SCMP_SYS(process_madvise), SCMP_SYS(request_key), SCMP_SYS(set_mempolicy), SCMP_SYS(setns),
	SCMP_SYS(syslog), SCMP_SYS(umount2), SCMP_SYS(unshare), SCMP_SYS(userfaultfd),
};

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "contained: %s: %s\n", what, strerror(errno));
	exit(126);
}

static void drop_capabilities(void)
{
	bool keep[CAP_LAST_CAP + 1] = { false };
	size_t i;

	for (i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		keep[kept[i]] = true;
	/* A number that the kernel doesn't know ends the list. exec() drops what isn't in the set. */
	for (i = 0; i <= CAP_LAST_CAP && prctl(PR_CAPBSET_READ, i) >= 0; i++)
		if (!keep[i] && prctl(PR_CAPBSET_DROP, i))
			fail("a capability can't be dropped");
}

/* @profile: without the two that the page's profile allows. */
static void deny(bool profile)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	size_t i;
	int ret = filter ? 0 : -ENOMEM;

	for (i = 0; !ret && i < sizeof(denied) / sizeof(denied[0]); i++)
		ret = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), denied[i], 0);
	/* The C library uses clone() then. */
	if (!ret)
		ret = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (!ret && !profile)
		ret = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(kcmp), 0);
	if (!ret && !profile)
		ret = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(personality), 1,
				       SCMP_A0(SCMP_CMP_MASKED_EQ, ADDR_NO_RANDOMIZE | 1U << 31,
					       ADDR_NO_RANDOMIZE));
	if (!ret)
		ret = seccomp_load(filter);
	seccomp_release(filter);
	if (ret) {
		errno = -ret;
		fail("the filter of system calls can't be set");
	}
}

static _Noreturn void inside(bool profile, char **argv)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
		fail("/proc can't be mounted");
	drop_capabilities();
	deny(profile);
	execvp(argv[0], argv);
	fail(argv[0]);
}

int main(int argc, char **argv)
{
	bool profile = argc > 1 && !strcmp(argv[1], "-p");
	int status;
	pid_t pid;

	argv += 1 + profile;
	if (!*argv) {
		fprintf(stderr, "usage: contained [-p] COMMAND [ARGUMENT]...\n");
		return 2;
	}
	if (unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS))
		fail("there are no namespaces here");
	pid = fork();
	if (!pid)
		inside(profile, argv);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		fail("no process");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
