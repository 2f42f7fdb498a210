// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Programs with a session name where there is no module: two cptdevd with the soft engine on this
 * machine, linked over loopback, and a program with its spare. Whoever goes on has all that was told
 * to be saved, of one instant.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

#include <ckdev.h>

#include "../control.h"
#include "program.h"
#include "published.h"

#define NAME	"handover-test"

/*
 * The two hosts
 */

struct host {
	const char *name;
	char programs[160], control[160]; /* NAME=VALUE of the environment */
	int port;
	pid_t pid;
};

static struct host hosts[2] = { { .name = "alpha" }, { .name = "beta" } };
static char dir[] = "/tmp/hotspare-handover-test.XXXXXX";
static const char *on_restart = "spare";

static void configure(const struct host *h, const struct host *other)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s.conf", h->name);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "[node]\nname = %s\nlog_level = error\ncontrol = %s/%s.control\n"
		"state_dir = %s/%s.state\nengine = soft\nprograms = %s/%s.programs\n"
		"[listen]\naddress = 127.0.0.1\nport = %d\n"
		"[peer]\naddress = 127.0.0.1\nport = %d\ninsecure = yes\n"
		"[sessions]\non_restart = %s\non_hang = failover\n"
		"[failover]\nheartbeat_interval_ms = 100\ntimeout_ms = 1500\nfailover = auto\n",
		h->name, dir, h->name, dir, h->name, dir, h->name, h->port, other->port, on_restart);
	assert_int_equal(fclose(f), 0);
}

static void host_start(struct host *h)
{
	char path[64];

	snprintf(path, sizeof(path), "%s.conf", h->name);
	fflush(NULL);
	h->pid = fork();
	if (!h->pid) {
		end_with_parent();
		execl(CPTDEVD, "cptdevd", "--foreground", "--config", path, NULL);
		_exit(127);
	}
	now_runs(0, h->pid);
}

/* A socket that was bound a moment ago is there, and lets nobody in. */
static bool lets_in(const char *path)
{
	int fd = ckdev_soft_open(path);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void wait_for_socket(const struct host *h)
{
	while (!lets_in(strchr(h->programs, '=') + 1) && !a_program_has_ended())
		rest(1);
	assert_false(a_program_has_ended());
}

static void host_end(struct host *h)
{
	kill_off(h->pid);
	h->pid = 0;
	/* Nobody takes it for one that runs. */
	unlink(strchr(h->programs, '=') + 1);
}

static int begin(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		hosts[i].port = own_port() + i;
		snprintf(hosts[i].programs, sizeof(hosts[i].programs), "CPTDEVD_PROGRAMS=%s/%s.programs",
			 dir, hosts[i].name);
		snprintf(hosts[i].control, sizeof(hosts[i].control), "CPTDEVD_CONTROL=%s/%s.control",
			 dir, hosts[i].name);
	}
	for (i = 0; i < 2; i++) {
		configure(&hosts[i], &hosts[!i]);
		host_start(&hosts[i]);
	}
	wait_for_socket(&hosts[0]);
	wait_for_socket(&hosts[1]);
	return 0;
}

#define start_on(h, out, ...)	start(out, (h)->programs, (h)->control, "-S", NAME, __VA_ARGS__)

/* The host of the program is lost: a host that lives would refuse connections. */
static void lose(struct host *h, pid_t program)
{
	assert_int_equal(kill(h->pid, SIGSTOP), 0);
	kill_off(program);
}

/*
 * Tests
 */

/* From one host to the other and back, as long as there is somebody to go on. */
static void there_and_back(void **state, const char *how, const char *backend)
{
	struct host *at = &hosts[0], *other = &hosts[1], *was;
	unsigned long saved;
	pid_t program, spare;
	int i;

	(void)state;
	spare = start_on(other, "spare", "-s", "-b", backend, how);
	program = start_on(at, "master", "-m", "-b", backend, how);
	wait_for("master", "saved", 20);
	for (i = 0; i < 3; i++) {
		const char *from = i % 2 ? "spare" : "master", *to = i % 2 ? "master" : "spare";

		rest((unsigned int)random() % 50);
		lose(at, program);
		saved = last(from, "saved");
		wait_for(to, "again", saved);
		/* The lost one comes back, as the spare. */
		host_end(at);
		unlink(from);
		host_start(at);
		wait_for_socket(at);
		program = spare;
		spare = start_on(at, from, "-s", "-b", backend, how);
		wait_for(to, "saved", last(to, "again") + 20);
		was = at;
		at = other;
		other = was;
	}
}

static void it_goes_on(void **state)
{
	there_and_back(state, "ASYNC=", "auto");
}

static void asynchronous_ones_too(void **state)
{
	there_and_back(state, "ASYNC=1", "portable");
}

static void by_comparison_too(void **state)
{
	there_and_back(state, "ASYNC=", "compare");
}

static void a_cold_spare_too(void **state)
{
	there_and_back(state, "HOTSPARE_WARM=no", "auto");
}

static bool says(const char *path, const char *text);

/* Until the host lists its replica with @copy: how far the copy of the program that waits is. */
static void wait_for_copy(const struct host *h, const char *copy)
{
	char command[400];

	snprintf(command, sizeof(command), "exec \"$(dirname %s)/cptdevctl\" --socket %s replica list >list",
		 CPTDEVD, strchr(h->control, '=') + 1);
	while (!a_program_has_ended() && (system(command) || !says("list", copy)))
		rest(10);
	assert_false(a_program_has_ended());
}

/* What the spare of a lost program said. */
static void take_over_with(const char *how, const char *copy)
{
	pid_t spare = start_on(&hosts[1], "spare", "-s", "ERR=errors", how), program;
	unsigned long saved;

	program = start_on(&hosts[0], "master", "-m");
	wait_for("master", "saved", 50);
	wait_for_copy(&hosts[1], copy);
	lose(&hosts[0], program);
	saved = last("master", "saved");
	wait_for("spare", "again", saved);
	kill_off(spare);
}

static void a_warm_spare_has_it_in_place(void **state)
{
	(void)state;
	take_over_with("HOTSPARE_WARM=yes", "  warm");
	assert_true(says("errors", " KiB of the memory were left to copy"));
	assert_false(says("errors", "only after the promotion"));
}

/* It says so, and takes over all the same. */
static void with_a_limit_it_is_cold(void **state)
{
	(void)state;
	take_over_with("HOTSPARE_WARM=0", "  cold  ");
	assert_true(says("errors", "only after the promotion: there is more of it than HOTSPARE_WARM allows"));
	assert_false(says("errors", "were left to copy"));
}

/* So the ledger would notice. */
static void what_is_not_saved_is_missed(void **state)
{
	pid_t spare = start_on(&hosts[1], "spare", "-s"), program;
	unsigned long saved, went_on;

	(void)state;
	program = start_on(&hosts[0], "master", "-m", "LIES=1", "-t", "1");
	wait_for("master", "saved", 20);
	/* Nothing reaches the spare any more. */
	assert_int_equal(kill(hosts[0].pid, SIGSTOP), 0);
	rest(300);
	kill_off(program);
	saved = last("master", "saved");
	wait_for("spare", "again", 1);
	went_on = last("spare", "again");
	assert_true(went_on < saved);
	kill_off(spare);
}

/* The spare has all that was saved when the first host is lost. */
static void take_over_from(pid_t program, pid_t spare)
{
	unsigned long saved;

	lose(&hosts[0], program);
	saved = last("master", "saved");
	wait_for("spare", "again", saved);
	kill_off(spare);
}

/* The daemon is started anew under a program that goes on: the program finds it again. */
static void a_daemon_is_replaced(void **state)
{
	pid_t spare = start_on(&hosts[1], "spare", "-s"), program;
	unsigned long saved;

	(void)state;
	program = start_on(&hosts[0], "master", "-m", "-t", "2");
	wait_for("master", "saved", 20);
	saved = last("master", "saved");
	kill(hosts[0].pid, SIGTERM);
	waitpid(hosts[0].pid, NULL, 0);
	now_runs(hosts[0].pid, 0);
	host_start(&hosts[0]);
	wait_for("master", "saved", saved + 20);
	take_over_from(program, spare);
}

/* Also one that nobody gives a reason to take a checkpoint. */
static void an_idle_program_finds_it_too(void **state)
{
	pid_t spare = start_on(&hosts[1], "spare", "-s"), program;

	(void)state;
	program = start_on(&hosts[0], "master", "-m", "-t", "2", "IDLE=30", "HEEDS=1");
	wait_for("master", "idle", 1);
	host_end(&hosts[0]);
	host_start(&hosts[0]);
	wait_for("master", "wanted", 1);
	lose(&hosts[0], program);
	wait_for("spare", "again", 30);
	kill_off(spare);
}

/* And under a spare: what the next daemon has is newer than what the program waited for. */
static void a_spare_s_daemon_is_replaced(void **state)
{
	pid_t spare = start_on(&hosts[1], "spare", "-s"), program;

	(void)state;
	program = start_on(&hosts[0], "master", "-m", "-t", "2");
	wait_for("master", "saved", 20);
	host_end(&hosts[1]);
	host_start(&hosts[1]);
	wait_for("master", "saved", last("master", "saved") + 200);
	take_over_from(program, spare);
}

/* Without a spare it is told so, and goes on when there is one. */
static void without_a_spare_it_is_told(void **state)
{
	pid_t program;

	(void)state;
	host_end(&hosts[1]);
	program = start_on(&hosts[0], "master", "-m", "-t", "1");
	wait_for("master", "alone", 5);
	assert_int_equal(last("master", "saved"), 0);
	host_start(&hosts[1]);
	wait_for("master", "saved", 20);
	kill_off(program);
}

/*
 * The mark of held output. LATE=PID: when the first one is asked for, that daemon is stopped, and answers
 * when the call has given up. COUNTS=1: the program doesn't notice.
 */

int __real_ckdev_soft_mark(int fd);
int __wrap_ckdev_soft_mark(int fd);

/* A daemon that a signal has reached may still run for a moment. */
static bool is_stopped(pid_t pid)
{
	char path[64], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	CHECK(f && fscanf(f, "%*d (%*[^)]) %c", &state) == 1 && !fclose(f));
	return state == 'T';
}

int __wrap_ckdev_soft_mark(int fd)
{
	const pid_t daemon = atoi(setting("LATE"));
	static bool stopped;
	int ret;

	if (!daemon || stopped)
		return __real_ckdev_soft_mark(fd);
	stopped = true;
	CHECK(!kill(daemon, SIGSTOP));
	while (!is_stopped(daemon))
		rest(1);
	ret = __real_ckdev_soft_mark(fd);
	CHECK(!kill(daemon, SIGCONT));
	return ret == -ETIME && *setting("COUNTS") ? 1 : ret;
}

/* Is the checkpoint with a late mark refused, and a later one taken? */
static bool refuses_a_late_mark(const char *counts)
{
	char late[32];
	pid_t program;
	bool refused;

	snprintf(late, sizeof(late), "LATE=%d", (int)hosts[0].pid);
	program = start_on(&hosts[0], "master", "-m", "LISTEN=1", "SAY=1", late, counts, "ERR=errors");
	wait_for("master", "saved", 20);
	refused = says("errors", "held output can't be marked");
	kill_off(program);
	return refused;
}

static void a_late_mark_is_refused(void **state)
{
	(void)state;
	assert_true(refuses_a_late_mark("COUNTS="));
}

/* The control. */
static void a_late_mark_that_counts_is_noticed(void **state)
{
	(void)state;
	assert_false(refuses_a_late_mark("COUNTS=1"));
}

static void the_name_is_one_program_s(void **state)
{
	pid_t program = start_on(&hosts[0], "master", "-m");

	(void)state;
	wait_for("master", "saved", 1);
	assert_int_equal(end_of(start_on(&hosts[0], "second", "-m")), 3);
	wait_for("master", "saved", last("master", "saved") + 2);
	kill_off(program);
}

static void without_a_daemon_it_does_not_begin(void **state)
{
	(void)state;
	host_end(&hosts[0]);
	assert_int_equal(end_of(start_on(&hosts[0], "master", "-m")), 3);
	assert_int_equal(end_of(start_on(&hosts[0], "spare", "-s")), 3);
}

/*
 * Masters that are started anew: they ask first.
 */

/* Dead, but not waited for: the soft engine has yet to see how it ended. */
static void crash(pid_t program)
{
	siginfo_t info;

	assert_int_equal(kill(program, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)program, &info, WEXITED | WNOWAIT), 0);
}

/* A master that has taken checkpoints which its spare has. */
static pid_t saving_master(void)
{
	pid_t program = start_on(&hosts[0], "master", "-m");

	wait_for("master", "saved", 20);
	return program;
}

/* At once, as by a service manager. Nothing that was saved is lost, by two failures either. */
static void started_anew_it_is_the_spare(void **state)
{
	pid_t spare = start_on(&hosts[1], "spare", "-s"), program, anew;
	const time_t limit = seconds() + PATIENCE_S;
	unsigned long saved;

	(void)state;
	program = saving_master();
	crash(program);
	saved = last("master", "saved");
	anew = start_on(&hosts[0], "anew", "-m");
	while (last("spare", "again") < saved && seconds() < limit)
		rest(10);
	assert_int_equal(end_of(program), -SIGKILL);
	wait_for("spare", "saved", last("spare", "again") + 20);
	assert_int_equal(last("anew", "saved") + last("anew", "alone") + last("anew", "fenced"), 0);
	lose(&hosts[1], spare);
	saved = last("spare", "saved");
	wait_for("anew", "again", saved);
	kill_off(anew);
}

/* Nobody took over. Whatever becomes of it, it doesn't begin with nothing. */
static void started_anew_it_wipes_nothing(void **state)
{
	pid_t spare = start_on(&hosts[1], "spare", "-s"), program, anew;
	unsigned long saved;

	(void)state;
	program = saving_master();
	kill_off(spare);
	kill_off(program);
	saved = last("master", "saved");
	anew = start_on(&hosts[0], "anew", "-m", "-t", "1");
	rest(3000);
	assert_int_equal(last("anew", "alone"), 0);
	assert_true(!last("anew", "saved") || last("anew", "again") >= saved);
	kill_off(anew);
}

/* The control: one that doesn't ask begins with nothing, and is acknowledged nothing. */
static void one_that_cannot_ask_is_barred(void **state)
{
	pid_t spare = start_on(&hosts[1], "spare", "-s"), program, anew;

	(void)state;
	program = saving_master();
	kill_off(spare);
	kill_off(program);
	anew = start_on(&hosts[0], "anew", "-m", "-t", "1", "CPTDEVD_CONTROL=/nowhere");
	wait_for("anew", "alone", 3);
	assert_int_equal(last("anew", "saved"), 0);
	kill_off(anew);
}

static bool says(const char *path, const char *text)
{
	char line[1024];
	bool found = false;
	FILE *f = fopen(path, "r");

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, text);
	if (f)
		fclose(f);
	return found;
}

static void wait_for_words(const char *path, const char *text)
{
	const time_t limit = seconds() + PATIENCE_S;

	while (!says(path, text) && seconds() < limit)
		rest(10);
	assert_true(says(path, text));
}

/* As a person does with cptdevctl; @more of the request. */
static void tell_daemon_more(const struct host *h, const char *command, const char *more)
{
	struct hs_error e = { "" };
	struct json_object *answer;
	char request[160];

	snprintf(request, sizeof(request), "{\"command\":\"%s\",\"name\":\"" NAME "\",\"force\":true%s}\n",
		 command, more);
	answer = hs_control_ask(strchr(h->control, '=') + 1, request, 10000, &e);
	assert_non_null(answer);
	assert_null(json_object_object_get(answer, "error"));
	json_object_put(answer);
}

static void tell_daemon(const struct host *h, const char *command)
{
	tell_daemon_more(h, command, "");
}

static int begin_with(const char *policy, void **state)
{
	on_restart = policy;
	begin(state);
	on_restart = "spare";
	return 0;
}

static int refuse(void **state)
{
	return begin_with("refuse", state);
}

static int take_back(void **state)
{
	return begin_with("take-back", state);
}

/* Nobody took over: it goes on by itself, from what the spare's host has. */
static void started_anew_it_takes_its_state_back(void **state)
{
	pid_t spare = start_on(&hosts[1], "spare", "-s"), program;
	unsigned long saved;

	(void)state;
	program = saving_master();
	kill_off(spare);
	kill_off(program);
	saved = last("master", "saved");
	program = start_on(&hosts[0], "anew", "-m");
	wait_for("anew", "again", saved);
	wait_for("anew", "saved", last("anew", "again") + 20);
	kill_off(program);
}

/* The spare's host has forgotten it, so the state doesn't come: @timeout is borne. */
static pid_t refused_master(const char *timeout)
{
	pid_t spare = start_on(&hosts[1], "spare", "-s"), program;

	program = saving_master();
	kill_off(spare);
	kill_off(program);
	tell_daemon(&hosts[1], "forget");
	return start_on(&hosts[0], "anew", "-m", "-t", timeout, "ERR=errors");
}

static void what_does_not_come_back_is_told(void **state)
{
	pid_t program = refused_master("3");
	const time_t began = seconds();

	(void)state;
	wait_for_words("errors", "asking again for 3 s: its state can't be taken back");
	assert_int_equal(end_of(program), 3);
	assert_in_range(seconds() - began, 2, 10);
	assert_int_equal(last("anew", "refused"), EBUSY);
	assert_true(says("errors", "cptdevctl forget " NAME));
}

static void if_it_is_given_up_the_program_begins(void **state)
{
	pid_t program = refused_master("60");

	(void)state;
	wait_for_words("errors", "asking again for 60 s: its state can't be taken back");
	assert_int_equal(last("anew", "again") + last("anew", "saved"), 0);
	assert_int_equal(last("anew", "alone"), 0);
	tell_daemon(&hosts[0], "forget");
	/* The other host keeps what it has until a person removes that, too. */
	wait_for("anew", "alone", 1);
	kill_off(program);
}

/*
 * In a child: whatever is asked on @path, the answers are those of @script, one by one: "t", the state is
 * taken back, or "r", refused; after the last one, "begin".
 */
static pid_t daemon_that_answers(const char *path, const char *script)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), to;
	const char *answer;
	char asked[256];
	pid_t pid;

	strcpy(un.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 4), 0);
	fflush(NULL);
	pid = fork();
	if (pid) {
		close(fd);
		return pid;
	}
	end_with_parent();
	for (;;) {
		to = accept(fd, NULL, NULL);
		CHECK(to >= 0 && recv(to, asked, sizeof(asked), 0) > 0);
		switch (*script) {
		case 't':
			answer = "{\"answer\":\"take-back\",\"text\":\"it comes\"}\n";
			break;
		case 'r':
			answer = "{\"answer\":\"refused\",\"text\":\"it doesn't come\"}\n";
			break;
		default:
			answer = "{\"answer\":\"fresh\",\"term\":1}\n";
			break;
		}
		script += *script != 0;
		CHECK(send(to, answer, strlen(answer), MSG_NOSIGNAL) > 0);
		close(to);
	}
}

#define ASKED	"scripted.control"

/* It asks once a second. Two answers in turn that the state comes end a refusal: the next one is a new one. */
static void a_refusal_that_is_mended_is_forgotten(void **state)
{
	pid_t daemon = daemon_that_answers(ASKED, "trrttrrttrrtt"), program;

	(void)state;
	program = start("anew", hosts[0].programs, "CPTDEVD_CONTROL=" ASKED, "-S", NAME, "-m", "-t", "5",
			"ERR=errors");
	wait_for("anew", "saved", 20);
	assert_true(says("errors", "asking again for 5 s: it doesn't come"));
	kill_off(program);
	kill_off(daemon);
	unlink(ASKED);
}

static void one_that_is_not_is_remembered(void **state)
{
	pid_t daemon = daemon_that_answers(ASKED, "trrtrrtrrtrrt"), program;

	(void)state;
	program = start("anew", hosts[0].programs, "CPTDEVD_CONTROL=" ASKED, "-S", NAME, "-m", "-t", "5",
			"ERR=errors");
	assert_int_equal(end_of(program), 3);
	assert_int_equal(last("anew", "refused"), EBUSY);
	kill_off(daemon);
	unlink(ASKED);
}

static void where_a_person_decides_it_does_not_begin(void **state)
{
	pid_t spare = start_on(&hosts[1], "spare", "-s"), program;

	(void)state;
	program = saving_master();
	kill_off(spare);
	kill_off(program);
	assert_int_equal(end_of(start_on(&hosts[0], "anew", "-m", "ERR=errors")), 3);
	assert_int_equal(last("anew", "refused"), EBUSY);
	assert_true(says("errors", "cptdevctl forget " NAME));
}

static void ended_in_order_it_begins_anew(void **state)
{
	pid_t spare = start_on(&hosts[1], "spare", "-s"), program;

	(void)state;
	assert_int_equal(end_of(start_on(&hosts[0], "master", "-m", "LIMIT=30")), 0);
	assert_int_equal(last("master", "saved"), 30);
	program = start_on(&hosts[0], "anew", "-m");
	wait_for("anew", "saved", 20);
	kill_off(spare);
	kill_off(program);
}

/*
 * Programs that hang
 */

/* SIGSTOP: the spare goes on, and the program that was stopped becomes its spare. */
static void one_that_is_stopped_is_taken_over_from(void **state)
{
	pid_t spare = start_on(&hosts[1], "spare", "-s", "-w", "2"), program;
	unsigned long saved;

	(void)state;
	program = start_on(&hosts[0], "master", "-m", "-w", "2");
	wait_for("master", "saved", 20);
	assert_int_equal(kill(program, SIGSTOP), 0);
	wait_for("spare", "again", last("master", "saved"));
	assert_int_equal(kill(program, SIGCONT), 0);
	wait_for("spare", "saved", last("spare", "again") + 20);
	lose(&hosts[1], spare);
	saved = last("spare", "saved");
	wait_for("master", "again", saved);
	kill_off(program);
}

static void one_in_an_endless_loop_too(void **state)
{
	pid_t spare = start_on(&hosts[1], "spare", "-s", "-w", "2"), program;

	(void)state;
	program = start_on(&hosts[0], "master", "-m", "-w", "2", "LOOP=30");
	wait_for("spare", "again", 30);
	kill_off(program);
	kill_off(spare);
}

/* It asks whether it may serve, as one that waits for requests does. */
static void one_that_is_idle_lives(void **state)
{
	pid_t spare = start_on(&hosts[1], "spare", "-s"), program;

	(void)state;
	program = start_on(&hosts[0], "master", "-m", "-w", "3", "IDLE=30");
	wait_for("master", "idle", 500);
	rest(2000);
	assert_int_equal(last("spare", "again"), 0);
	kill_off(program);
	kill_off(spare);
}

static void nobody_watches_one_that_promised_nothing(void **state)
{
	pid_t spare = start_on(&hosts[1], "spare", "-s"), program;

	(void)state;
	program = start_on(&hosts[0], "master", "-m", "LOOP=30");
	wait_for("master", "saved", 30);
	rest(3000);
	assert_int_equal(last("spare", "again"), 0);
	kill_off(program);
	kill_off(spare);
}

/*
 * What a fenced program had
 */

/* Is there a file in memory for it? It is copied to @to then. */
static bool is_kept(pid_t pid, const char *to)
{
	char command[256];

	snprintf(command, sizeof(command), "for f in /proc/%d/fd/*; do case $(readlink $f) in "
		 "*hotspare-kept*) cp $f %s; exit;; esac; done; exit 1", (int)pid, to);
	return !system(command);
}

/* Whoever took over is lost before it has sent anything: the second failure. */
static void what_was_fenced_is_kept(void **state)
{
	pid_t spare = start_on(&hosts[1], "spare", "-s", "PAUSE=1"), program;
	unsigned long saved;

	(void)state;
	program = start_on(&hosts[0], "master", "-m", "ERR=errors");
	wait_for("master", "saved", 20);
	tell_daemon(&hosts[1], "promote");
	wait_for("master", "fenced", 1);
	saved = last("master", "saved");
	while (!says("errors", "is kept in"))
		rest(100);
	lose(&hosts[1], spare);
	rest(500);
	assert_true(is_kept(program, "copy"));
	kill_off(program);
	program = start("anew", "-m", "-r", "copy");
	wait_for("anew", "again", saved);
	kill_off(program);
}

/*
 * A person holds checkpoints off
 */

/* The program takes none, and says why; then it is released. */
static void held_off(const char *how)
{
	pid_t spare = start_on(&hosts[1], "spare", "-s"), program;
	unsigned long saved;

	program = start_on(&hosts[0], "master", "-m", "-t", "1", how, "SAY=1", "ERR=errors");
	wait_for("master", "saved", 20);
	assert_false(says("errors", "held off"));
	tell_daemon_more(&hosts[0], "hold", ",\"seconds\":3600");
	wait_for_words("errors", "checkpoints are held off for at most");
	/* One that was under way has ended by now. */
	saved = last("master", "saved");
	wait_for("master", "alone", last("master", "alone") + 2);
	assert_int_equal(last("master", "saved"), saved);
	tell_daemon(&hosts[0], "release");
	wait_for("master", "saved", saved + 20);
	take_over_from(program, spare);
}

static void a_person_holds_checkpoints_off(void **state)
{
	(void)state;
	held_off("ASYNC=");
}

static void asynchronous_ones_do_not_wait_for_that(void **state)
{
	(void)state;
	held_off("ASYNC=1");
}

/* The daemon is killed meanwhile: the next one holds nothing off. */
static void a_lost_daemon_holds_nothing_off(void **state)
{
	pid_t program = start_on(&hosts[0], "master", "-m", "-t", "1", "SAY=1", "ERR=errors");
	unsigned long saved;

	(void)state;
	wait_for("master", "saved", 20);
	tell_daemon_more(&hosts[0], "hold", ",\"seconds\":3600");
	wait_for_words("errors", "checkpoints are held off for at most");
	saved = last("master", "saved");
	host_end(&hosts[0]);
	host_start(&hosts[0]);
	wait_for("master", "saved", saved + 20);
	kill_off(program);
}

/* Until the spare has everything. */
static void then_it_is_dropped(void **state)
{
	pid_t spare = start_on(&hosts[1], "spare", "-s"), program;

	(void)state;
	program = saving_master();
	tell_daemon(&hosts[1], "promote");
	wait_for("master", "fenced", 1);
	wait_for("spare", "saved", last("spare", "again") + 20);
	while (is_kept(program, "/dev/null"))
		rest(100);
	kill_off(program);
	kill_off(spare);
}

/* Only the module can freeze the memory of another process, whoever asks for it. */
static void without_the_module_there_are_no_rounds(void **state)
{
	struct cptdev_round r = { .size = sizeof(r), .session_id = 1, .pages = CPTDEV_ROUND_MIN };
	int fd = ckdev_soft_open(strchr(hosts[0].programs, '=') + 1);
	struct cptdev_info info = { .size = sizeof(info) };

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ckdev_info(fd, &info), 0);
	assert_int_equal(info.features & CPTDEV_FEATURE_ROUND, 0);
	assert_int_equal(ckdev_round(fd, &r), -ENOTTY);
	close(fd);
}

#define test(name)	cmocka_unit_test_setup_teardown(name, begin, clean)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		test(it_goes_on),
		test(asynchronous_ones_too),
		test(by_comparison_too),
		test(a_cold_spare_too),
		test(a_warm_spare_has_it_in_place),
		test(with_a_limit_it_is_cold),
		test(what_is_not_saved_is_missed),
		test(a_daemon_is_replaced),
		test(an_idle_program_finds_it_too),
		test(a_spare_s_daemon_is_replaced),
		test(without_a_spare_it_is_told),
		test(a_late_mark_is_refused),
		test(a_late_mark_that_counts_is_noticed),
		test(the_name_is_one_program_s),
		test(without_a_daemon_it_does_not_begin),
		test(started_anew_it_is_the_spare),
		test(started_anew_it_wipes_nothing),
		test(one_that_cannot_ask_is_barred),
		cmocka_unit_test_setup_teardown(where_a_person_decides_it_does_not_begin, refuse, clean),
		cmocka_unit_test_setup_teardown(started_anew_it_takes_its_state_back, take_back, clean),
		cmocka_unit_test_setup_teardown(what_does_not_come_back_is_told, take_back, clean),
		cmocka_unit_test_setup_teardown(if_it_is_given_up_the_program_begins, take_back, clean),
		test(a_refusal_that_is_mended_is_forgotten),
		test(one_that_is_not_is_remembered),
		test(ended_in_order_it_begins_anew),
		test(one_that_is_stopped_is_taken_over_from),
		test(one_in_an_endless_loop_too),
		test(one_that_is_idle_lives),
		test(nobody_watches_one_that_promised_nothing),
		test(a_person_holds_checkpoints_off),
		test(asynchronous_ones_do_not_wait_for_that),
		test(a_lost_daemon_holds_nothing_off),
		test(what_was_fenced_is_kept),
		test(then_it_is_dropped),
		test(without_the_module_there_are_no_rounds),
	};
	int ret;

	if (is_program())
		return program(argc, argv);
	if (!fixed_addresses())
		return 0;
	self = realpath("/proc/self/exe", NULL);
	snprintf(port, sizeof(port), "%d", own_port());
	own_network();
	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	if (getenv("ONLY"))
		cmocka_set_test_filter(getenv("ONLY"));
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (chdir("/") || rmdir(dir))
		printf("# %s: %s\n", dir, strerrorname_np(errno));
	return ret;
}
