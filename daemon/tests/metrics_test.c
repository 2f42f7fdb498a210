// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl metrics, wait and top, from data that the test gives; a parser reads the metrics. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "metrics.h"
#include "top.h"
#include "wait.h"

#define SAFE	"11000000-0000-0000-0000-000000000000"
#define BEHIND	"22000000-0000-0000-0000-000000000000"

static struct session_rec sessions[] = {
	{ .id = 3, .name = "kv", .uuid = { 0x11 }, .pid = 812, .term = 2, .generation = 121,
	  .published = 120, .committed = 120, .attached = 1, .bytes = 64 << 20, .held = 8192,
	  .last_pages = 2, .last_pause_ns = 41000 },
	{ .id = 4, .pid = 813, .term = 1 },
	{ .id = 5, .name = "queue", .uuid = { 0x22 }, .pid = 814, .term = 1, .published = 9,
	  .committed = 7, .attached = 1 },
	{ .id = 6, .name = "old", .pid = 815, .term = 1, .flags = CPTDEV_GENL_SESSION_FENCED },
	{ .id = 7, .name = "lone", .pid = 816, .term = 1 },
};

static struct replica_rec replicas[] = {
	{ .name = "web", .term = 3, .generation = 9, .pages = 256, .waiters = 1, .copied = 8,
	  .behind = 5,
	  .flags = CPTDEV_GENL_REPLICA_PROMOTED },
};

/* The names of a peer and its address come from elsewhere. */
static const char daemon_status[] =
	"{\"sessions\":[{\"uuid\":\"" SAFE "\",\"state\":\"protected\"},"
	"{\"uuid\":\"" BEHIND "\",\"state\":\"not-protected\"}],"
	"\"peers\":[{\"name\":\"a\\\"b\\\\c\\nd\",\"detector\":\"alive\","
	"\"outgoing\":{\"state\":\"up\",\"rtt_us\":340,\"last_heard_ms\":12,\"bytes_sent\":5242880,"
	"\"page_bytes\":41943040,\"page_bytes_on_wire\":4194304,"
	"\"sessions\":[{\"uuid\":\"" BEHIND "\",\"lag_ms\":1500}]},"
	"\"incoming\":{\"state\":\"down\"}},"
	"{\"outgoing\":{\"state\":\"connecting\",\"address\":\"192.0.2.2:7475\"}}]}";

static struct view view(void)
{
	return (struct view) {
		.has_info = true, .page_size = 4096,
		.info = { .held = 8192, .held_max = 1 << 30, .replica = 1 << 20,
			  .replica_max = 3ULL << 30 },
		.sessions = sessions, .nr_sessions = ARRAY_SIZE(sessions),
		.replicas = replicas, .nr_replicas = ARRAY_SIZE(replicas),
		.daemon = json_tokener_parse(daemon_status),
	};
}

static char *text_of(struct view *v)
{
	static char text[65536];
	FILE *to = fmemopen(text, sizeof(text), "w");

	metrics_text(v, to);
	assert_false(fclose(to));
	return text;
}

static void has(const char *text, const char *line)
{
	const char *at = strstr(text, line);

	if (!at || at == text || at[-1] != '\n' || at[strlen(line)] != '\n')
		fail_msg("no line '%s' in:\n%s", line, text);
}

static void every_value(void **state)
{
	struct view v = view();
	char *text = text_of(&v);

	(void)state;
	has(text, "cptdev_kernel_up 1");
	has(text, "cptdev_daemon_up 1");
	has(text, "cptdev_held_bytes 8192");
	has(text, "cptdev_held_max_bytes 1073741824");
	has(text, "cptdev_replica_memory_bytes 1048576");
	has(text, "cptdev_replica_memory_max_bytes 3221225472");
	has(text, "cptdev_session_protected{session=\"kv\",id=\"3\"} 1");
	has(text, "cptdev_session_protected{session=\"\",id=\"4\"} 0");
	has(text, "cptdev_session_protected{session=\"queue\",id=\"5\"} 0");
	has(text, "cptdev_session_protected{session=\"old\",id=\"6\"} 0");
	has(text, "cptdev_session_protected{session=\"lone\",id=\"7\"} 0");
	has(text, "cptdev_session_spares{session=\"kv\",id=\"3\"} 1");
	has(text, "cptdev_session_term{session=\"kv\",id=\"3\"} 2");
	has(text, "cptdev_session_published_generation{session=\"queue\",id=\"5\"} 9");
	has(text, "cptdev_session_committed_generation{session=\"queue\",id=\"5\"} 7");
	has(text, "cptdev_session_lag_seconds{session=\"kv\",id=\"3\"} 0");
	has(text, "cptdev_session_lag_seconds{session=\"queue\",id=\"5\"} 1.5");
	has(text, "cptdev_session_memory_bytes{session=\"kv\",id=\"3\"} 67108864");
	has(text, "cptdev_session_held_bytes{session=\"kv\",id=\"3\"} 8192");
	has(text, "cptdev_session_last_pause_seconds{session=\"kv\",id=\"3\"} 4.1e-05");
	has(text, "cptdev_session_last_pages{session=\"kv\",id=\"3\"} 2");
	has(text, "cptdev_replica_promoted{replica=\"web\"} 1");
	has(text, "cptdev_replica_term{replica=\"web\"} 3");
	has(text, "cptdev_replica_generation{replica=\"web\"} 9");
	has(text, "cptdev_replica_bytes{replica=\"web\"} 1048576");
	has(text, "cptdev_replica_waiters{replica=\"web\"} 1");
	has(text, "cptdev_replica_warm{replica=\"web\"} 1");
	has(text, "cptdev_replica_behind_bytes{replica=\"web\"} 20480");
	has(text, "cptdev_peer_link_up{peer=\"a\\\"b\\\\c\\nd\",direction=\"outgoing\"} 1");
	has(text, "cptdev_peer_link_up{peer=\"a\\\"b\\\\c\\nd\",direction=\"incoming\"} 0");
	has(text, "cptdev_peer_link_up{peer=\"192.0.2.2:7475\",direction=\"outgoing\"} 0");
	has(text, "cptdev_peer_sent_bytes_total{peer=\"a\\\"b\\\\c\\nd\"} 5242880");
	has(text, "cptdev_peer_page_bytes_total{peer=\"a\\\"b\\\\c\\nd\"} 41943040");
	has(text, "cptdev_peer_page_wire_bytes_total{peer=\"a\\\"b\\\\c\\nd\"} 4194304");
	json_object_put(v.daemon);
}

static void what_cannot_be_asked(void **state)
{
	struct view v = { .kernel_err = ENOENT, .daemon_why = "no daemon" };
	char *text = text_of(&v);

	(void)state;
	has(text, "cptdev_kernel_up 0");
	has(text, "cptdev_daemon_up 0");
	has(text, "cptdev_problems 2");
	assert_null(strstr(text, "cptdev_held_bytes"));
}

/* An older module doesn't tell of copies: nothing is said, rather than a number that isn't so. */
static void what_nobody_tells(void **state)
{
	struct replica_rec r = { .name = "old", .waiters = 1, .copied = UINT64_MAX,
				 .behind = UINT64_MAX };
	struct view v = { .page_size = 4096, .replicas = &r, .nr_replicas = 1,
			  .daemon_why = "no daemon" };
	char *text = text_of(&v);

	(void)state;
	has(text, "cptdev_replica_waiters{replica=\"old\"} 1");
	assert_null(strstr(text, "cptdev_replica_warm{"));
	assert_null(strstr(text, "cptdev_replica_behind_bytes{"));
	r.copied = 0;
	r.behind = 1;
	text = text_of(&v);
	has(text, "cptdev_replica_warm{replica=\"old\"} 0");
	has(text, "cptdev_replica_behind_bytes{replica=\"old\"} 4096");
}

/* The number of samples, or -1. */
static int parsed(const char *text)
{
	char command[] =
		"/usr/bin/python3 -c 'import sys\n"
		"from prometheus_client.openmetrics.parser import text_string_to_metric_families as p\n"
		"sys.exit(min(100, sum(len(f.samples) for f in p(open(sys.argv[1]).read()))))' "
		"/tmp/cptdev-metrics-XXXXXX 2>/dev/null";
	char *path = strstr(command, "/tmp/"), *end = strchr(path, ' ');
	int fd, ret;

	*end = '\0';
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	*end = ' ';
	ret = system(command);
	*end = '\0';
	unlink(path);
	return WIFEXITED(ret) && WEXITSTATUS(ret) != 1 ? WEXITSTATUS(ret) : -1;
}

static void a_parser_reads_them(void **state)
{
	struct view v = view(), empty = { .kernel_err = ENOENT, .daemon_why = "no daemon" };
	char *text = text_of(&v), *end;
	unsigned int samples = 0;

	(void)state;
	for (end = text; end; end = strchr(end, '\n'), end += !!end)
		samples += *end && *end != '#';
	assert_in_range(samples, 70, 99);
	assert_int_equal(parsed(text), samples);
	/* The control: without its last line it is cut off. */
	strstr(text, "# EOF")[0] = '\0';
	assert_int_equal(parsed(text), -1);
	json_object_put(v.daemon);
	text = text_of(&empty);
	assert_int_equal(parsed(text), 3);
}

static void waits(struct view *v, const char *name, bool protection, const char *want)
{
	char why[400] = "";
	bool over = wait_is_over(v, name, protection, why, sizeof(why));

	if (over != !want || (want && !strstr(why, want)))
		fail_msg("%s%s: %s, not: %s", name, protection ? " protected" : "",
			 over ? "over" : why, want ? want : "over");
}

static void what_is_waited_for(void **state)
{
	struct view v = view();

	(void)state;
	waits(&v, "kv", false, NULL);
	waits(&v, "kv", true, NULL);
	waits(&v, "queue", false, NULL);
	waits(&v, "queue", true, "its spare doesn't have its present state");
	waits(&v, "lone", true, "session lone (pid 816) has no spare");
	waits(&v, "nobody", false, "this host has no session nobody");
	/* A program that comes after it is another one. */
	waits(&v, "old", false, "this host has no session old");
	json_object_put(v.daemon);
	v.daemon = NULL;
	strcpy(v.daemon_why, "nobody listens");
	waits(&v, "kv", false, NULL);
	waits(&v, "kv", true, "nobody listens");
	v.kernel_err = EACCES;
	waits(&v, "kv", false, "Permission denied");
}

static void rates_since_the_last_look(void **state)
{
	struct session_rec sessions_before[ARRAY_SIZE(sessions)];
	struct replica_rec replica_before = replicas[0];
	struct view v = view(), old = view();
	static char text[16384];
	FILE *to;

	(void)state;
	memcpy(sessions_before, sessions, sizeof(sessions));
	sessions_before[0].generation -= 40;
	/* Another program, with the number of one that is gone. */
	sessions_before[2].uuid[1] = 1;
	replica_before.commits = replicas[0].commits = 50;
	replicas[0].commits += 3;
	old.sessions = sessions_before;
	old.replicas = &replica_before;
	json_object_object_add(js_at(json_object_array_get_idx(js_at(old.daemon, "peers"), 0),
				     "outgoing"), "bytes_sent", json_object_new_int64(1048576));
	to = fmemopen(text, sizeof(text), "w");
	top_text(&old, &v, 2, 1767323045, to);
	top_text(NULL, &v, 2, 1767323047, to);
	fclose(to);
	replicas[0].commits = 0;
	assert_non_null(strstr(text, "2026-01-02T03:04:05Z  node -  sessions 5  replicas 1"
			       "  snapshots hold 8.0 KiB  replicas hold 1.0 MiB\n"));
	has(text, "  SESSION  STATE                 CHECKPOINTS/s  BEHIND  LAG ms  PAUSE us  PAGES  MEMORY    HELD");
	has(text, "  kv       followed              20.0           0       0       41.0      2      64.0 MiB  8.0 KiB");
	has(text, "  queue    not protected         -              2       1500    0.0       0      0 B       0 B");
	has(text, "  old      FENCED                0.0            0       0       0.0       0      0 B       0 B");
	has(text, "  web      PROMOTED  1.5        9           1.0 MiB  1        warm, 20.0 KiB behind");
	has(text, "d         alive     up          2.0 MiB  0.3            12            down");
	/* Without an earlier look there are no rates. */
	has(text, "  kv       followed              -              0       0       41.0      2      64.0 MiB  8.0 KiB");
	has(text, "d         alive     up          -       0.3            12            down");
	json_object_put(v.daemon);
	json_object_put(old.daemon);
}

#define T(name)	cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_value),
		T(what_cannot_be_asked),
		T(what_nobody_tells),
		T(a_parser_reads_them),
		T(what_is_waited_for),
		T(rates_since_the_last_look),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
