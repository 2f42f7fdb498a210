/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mistakes that end a program. Behind <cmocka.h>. */
#ifndef HS_TESTS_ABORTS_H
#define HS_TESTS_ABORTS_H

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a child, with an object of its own: it has to abort, with these words on stderr. */
static inline void t_aborts(void (*prepare)(void), void (*fn)(void), const char *words)
{
	char text[512] = "";
	int p[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(p), 0);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		signal(SIGABRT, SIG_DFL);
		dup2(p[1], STDERR_FILENO);
		prepare();
		fn();
		_exit(0);
	}
	close(p[1]);
	while ((n = read(p[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	close(p[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || !strstr(text, words))
		fail_msg("status %#x, said '%s' and not '%s'", status, text, words);
}

#endif /* HS_TESTS_ABORTS_H */
