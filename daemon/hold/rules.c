// SPDX-License-Identifier: GPL-2.0-or-later
/* Rules of the packet filter, see rules.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rules.h"

extern char **environ;

static bool is_v6(const struct service *s)
{
	return s->address.ss_family == AF_INET6;
}

static void address_text(const struct service *s, char text[INET6_ADDRSTRLEN])
{
	const struct sockaddr_in6 *in6 = (const void *)&s->address;
	const struct sockaddr_in *in = (const void *)&s->address;

	if (is_v6(s))
		inet_ntop(AF_INET6, &in6->sin6_addr, text, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET, &in->sin_addr, text, INET6_ADDRSTRLEN);
}

/* The descriptors 0 to 2 of the program: what it is told, and what it says. */
static int spawn(const char *const *argv, int in, int out, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none;
	int ret;

	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, in, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	posix_spawn_file_actions_adddup2(&files, out, 2);
	ret = posix_spawnp(pid, argv[0], &files, &attr, (char **)argv, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return ret;
}

/* The first line of what it has said. */
static void explain(const char *program, int out, char *why, size_t size)
{
	char said[128] = "";
	ssize_t n = pread(out, said, sizeof(said) - 1, 0);

	said[n > 0 ? n : 0] = '\0';
	said[strcspn(said, "\n")] = '\0';
	snprintf(why, size, "%s: %s", program, *said ? said : "it failed and said nothing");
}

static int run(const char *const *argv, const char *input, char *why, size_t size)
{
	int in = memfd_create("cptdev-rules", MFD_CLOEXEC);
	int out = memfd_create("cptdev-said", MFD_CLOEXEC);
	int status = -1, err;
	pid_t pid;

	if (in < 0 || out < 0 || pwrite(in, input, strlen(input), 0) != (ssize_t)strlen(input))
		err = errno;
	else
		err = spawn(argv, in, out, &pid);
	if (!err)
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	if (err)
		snprintf(why, size, "%s can't be run: %s: install it (package iptables)", argv[0],
			 strerror(err));
	else if (status)
		explain(argv[0], out, why, size);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return status ? -1 : 0;
}

static int restore(const struct service *s, const char *text, char *why, size_t size)
{
	const char *const argv[] = {
		is_v6(s) ? "ip6tables-restore" : "iptables-restore", "--noflush", "--wait", "10",
		NULL
	};

	return run(argv, text, why, size);
}

/* Is OUTPUT's first rule, or another one, ours already? */
static bool is_hooked(const struct service *s)
{
	const char *const argv[] = {
		is_v6(s) ? "ip6tables" : "iptables", "--wait", "10", "-C", "OUTPUT", "-j",
		RULES_CHAIN, NULL
	};
	char ignored[16];

	return !run(argv, "", ignored, sizeof(ignored));
}

int rules_make(const struct service *s, char *why, size_t size)
{
	char text[512], address[INET6_ADDRSTRLEN];

	address_text(s, address);
	snprintf(text, sizeof(text),
		 "*filter\n:" RULES_CHAIN " - [0:0]\n"
		 "-A " RULES_CHAIN " -s %s -p tcp -m tcp --sport %u "
		 "-j NFQUEUE --queue-num %u\n%sCOMMIT\n",
		 address, s->port, s->queue,
		 is_hooked(s) ? "" : "-I OUTPUT -j " RULES_CHAIN "\n");
	return restore(s, text, why, size);
}

int rules_remove(const struct service *s, char *why, size_t size)
{
	return restore(s, "*filter\n:" RULES_CHAIN " - [0:0]\n-D OUTPUT -j " RULES_CHAIN "\n"
		       "-X " RULES_CHAIN "\nCOMMIT\n", why, size);
}
