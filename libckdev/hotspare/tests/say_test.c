// SPDX-License-Identifier: LGPL-2.1-or-later
/* Messages of the library, where nobody reads them: the program goes on as it was. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../error.h"
#include "child.h"

/* Standard error is what @arrange makes of it; @then looks at the process. */
static void in_a_child(void (*arrange)(void), void (*then)(void))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		signal(SIGPIPE, SIG_DFL);
		alarm(60);
		arrange();
		then();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("%s %d", WIFEXITED(status) ? "exit status" : "signal",
			 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

static void ends(int *fds)
{
	if (dup2(fds[1], STDERR_FILENO) < 0)
		_exit(2);
	close(fds[1]);
}

static void pipe_without_a_reader(void)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		_exit(2);
	ends(fds);
	close(fds[0]);
}

static void socket_without_a_reader(void)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		_exit(2);
	ends(fds);
	close(fds[0]);
}

static void full_pipe(void)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		_exit(2);
	while (write(fds[1], "x", 1) == 1)
		;
	fcntl(fds[1], F_SETFL, 0);
	ends(fds);
}

static void full_device(void)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	if (dup2(fd, STDERR_FILENO) < 0)
		_exit(2);
}

static void nothing_open(void)
{
	close(STDERR_FILENO);
}

/* Exit statuses say which, since there is nobody to tell it to. */
static void nothing_else_changes(void)
{
	struct sigaction act;
	sigset_t set;

	errno = ENOTTY;
	hs_say("the master is %s", "dead");
	if (errno != ENOTTY)
		_exit(10);
	if (sigaction(SIGPIPE, NULL, &act) || act.sa_handler != SIG_DFL)
		_exit(11);
	if (pthread_sigmask(SIG_BLOCK, NULL, &set) || sigismember(&set, SIGPIPE))
		_exit(12);
	if (sigpending(&set) || sigismember(&set, SIGPIPE))
		_exit(13);
}

static void nobody_reads(void **state)
{
	(void)state;
	in_a_child(pipe_without_a_reader, nothing_else_changes);
	in_a_child(socket_without_a_reader, nothing_else_changes);
}

static void nothing_can_be_written(void **state)
{
	(void)state;
	in_a_child(full_device, nothing_else_changes);
	in_a_child(nothing_open, nothing_else_changes);
}

static void nobody_is_waited_for(void **state)
{
	(void)state;
	in_a_child(full_pipe, nothing_else_changes);
}

/* The program blocked it and means to take it. */
static void what_was_pending_stays(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	raise(SIGPIPE);
	hs_say("lost");
	if (sigpending(&set) || !sigismember(&set, SIGPIPE))
		_exit(10);
}

static void the_programs_own_signal_is_left(void **state)
{
	(void)state;
	in_a_child(pipe_without_a_reader, what_was_pending_stays);
}

static void a_line_is_one_piece(void **state)
{
	char text[2048], want[2048];
	int fds[2];
	ssize_t n;
	pid_t pid;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		ends(fds);
		hs_say("a %s", "short one");
		memset(want, 'x', sizeof(want) - 1);
		want[sizeof(want) - 1] = '\0';
		hs_say("%s", want);
		_exit(0);
	}
	n = recv(fds[0], text, sizeof(text), 0);
	assert_int_equal(n, 12);
	assert_memory_equal(text, "a short one\n", 12);
	n = recv(fds[0], text, sizeof(text), 0);
	assert_in_range(n, 1000, 1024);
	assert_int_equal(text[n - 1], '\n');
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_reads),
		cmocka_unit_test(nothing_can_be_written),
		cmocka_unit_test(nobody_is_waited_for),
		cmocka_unit_test(the_programs_own_signal_is_left),
		cmocka_unit_test(a_line_is_one_piece),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("say", tests, NULL, NULL);
}
