// SPDX-License-Identifier: GPL-2.0-or-later
/* What cptdevctl prints, from data that the test gives: text to the letter, and JSON. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/genetlink.h>

#include "fake.h"
#include "monitor.h"
#include "nlparse.h"
#include "primary.h"
#include "promote.h"
#include "problems.h"
#include "table.h"
#include "view.h"

static char *text;
static size_t text_len;
static FILE *to;
static struct ctl ctl;

/* In place of the C library's: what goes to the journal. */
static char journal[512];

void syslog(int level, const char *fmt, ...)
{
	va_list ap;

	(void)level;
	va_start(ap, fmt);
	vsnprintf(journal, sizeof(journal), fmt, ap);
	va_end(ap);
}

static int setup(void **state)
{
	(void)state;
	to = open_memstream(&text, &text_len);
	ctl = (struct ctl) {
		.out = to, .err = to, .page_size = 4096, .socket = "/nonexistent/control",
	};
	journal[0] = '\0';
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fclose(to);
	free(text);
	return 0;
}

static void printed(const char *want)
{
	fflush(to);
	if (strcmp(text, want))
		fail_msg("have:\n%s\nwant:\n%s", text, want);
}

#define NO_LIMITS \
	.user_held_max = UINT64_MAX, .user_held = 4096, .group_left = UINT64_MAX

static struct session_rec sessions[] = {
	{ .id = 3, .name = "kv", .uuid = { 0x11, [15] = 0x22 }, .pid = 812, .uid = 1000,
	  .term = 1, .generation = 121, .published = 120, .committed = 118,
	  .attached = 1, .ranges = 2, .bytes = 64 << 20, .held = 8192,
	  .held_max = 1 << 30, .last_pages = 2, .last_pause_ns = 41000,
	  .user_held_max = 512 << 20, .user_held = 12288, .group_left = 40 << 20 },
	{ .id = 4, .pid = 813, .term = 1, NO_LIMITS },
	{ .id = 12, .name = "ledger", .uuid = { 0x33 }, .pid = 900, .term = 2,
	  .generation = 7, .published = 7, .flags = CPTDEV_GENL_SESSION_FENCED, NO_LIMITS },
	{ .id = 13, .name = "queue", .uuid = { 0x44 }, .pid = 901, .term = 1,
	  .generation = 1, .published = 1, NO_LIMITS },
};

static struct replica_rec replicas[] = {
	{ .name = "other", .uid = 0, .term = 2, .generation = 9, .pages = 256, .waiters = 1,
	  .copied = 8, .behind = 3,
	  .commits = 9, .flags = CPTDEV_GENL_REPLICA_PROMOTED, .max_bytes = 1 << 30 },
	{ .name = "web", .uid = 33, .copied = UINT64_MAX, .behind = UINT64_MAX },
	{ .name = "zoo", .uid = 1, .term = 1, .generation = 4, .pages = 1, .commits = 4, .waiters = 1,
	  .copied = 4, .flags = CPTDEV_GENL_REPLICA_FROZEN },
};

static const char daemon_status[] =
	"{\"schema_version\":1,\"version\":\"1.0.0\",\"node\":{\"name\":\"alpha\"},"
	"\"last_promotion\":{\"name\":\"web\",\"generation\":7,\"term\":3,"
	"\"unix_ms\":1767323105678,\"by\":\"another process\"},"
	"\"uptime_ms\":75000,\"failover\":\"auto\",\"peers\":[{\"name\":\"beta\","
	"\"detector\":\"alive\",\"failover\":{\"decided_unix_ms\":1767323045678,\"silence_ms\":2003,\"promotion_us\":1500,"
	"\"replicas_promoted\":2,\"replicas_promoted_by_hand\":1,"
	"\"fence_command\":\"failed\",\"fence_error\":\"it failed with exit status 7\"},\"outgoing\":{\"state\":\"up\","
	"\"address\":\"192.0.2.2:7475\",\"last_heard_ms\":12,\"rtt_us\":340,"
	"\"bytes_sent\":5242880,\"bytes_per_second\":1048576,\"tls_key\":\"0123456789abcdef\",\"error\":null,"
	"\"page_bytes\":41943040,\"page_bytes_on_wire\":4194304,\"compression\":\"on\","
	"\"sessions\":[{\"name\":\"kv\",\"uuid\":\"11000000-0000-0000-0000-000000000022\","
	"\"lag_ms\":15,\"error\":null},"
	"{\"name\":\"queue\",\"uuid\":\"44000000-0000-0000-0000-000000000000\","
	"\"lag_ms\":900,\"error\":\"the spare keeps another session's memory\"}]},"
	"\"incoming\":{\"state\":\"down\",\"replicas\":[]}}],"
	"\"sessions\":[{\"name\":\"kv\",\"uuid\":\"11000000-0000-0000-0000-000000000022\","
	"\"state\":\"protected\",\"ack\":{\"policy\":\"2\",\"in_force\":false,\"acknowledged\":118,"
	"\"spares\":[{\"name\":\"beta\",\"state\":\"in-step\",\"committed\":119,\"lag_generations\":1},"
	"{\"name\":\"gamma\",\"state\":\"not-linked\",\"unsure\":true,\"lag_generations\":120}]}}]}";

static struct view view(void)
{
	return (struct view) {
		.has_info = true, .page_size = 4096,
		.info = { .abi_version = 1, .page_size = 4096, .held = 8192,
			  .held_max = 1 << 30, .replica = 1 << 20, .replica_max = 3ULL << 30 },
		.sessions = sessions, .nr_sessions = ARRAY_SIZE(sessions),
		.replicas = replicas, .nr_replicas = ARRAY_SIZE(replicas),
		.daemon = json_tokener_parse(daemon_status),
	};
}

static void the_status_of_a_host(void **state)
{
	struct view v = view();

	(void)state;
	view_text(&v, to);
	json_object_put(v.daemon);
	printed("Module: cptdev, ABI 1, snapshots hold 8.0 KiB of 1.0 GiB, replicas 1.0 MiB of 3.0 GiB\n"
		"Daemon: cptdevd 1.0.0, node alpha, up 75 s, failover auto\n"
		"Peer beta at 192.0.2.2:7475: alive\n"
		"  shipping: up, TLS with key 0123456789abcdef, heard 12 ms ago, round trip 0.3 ms, 5.0 MiB, 1.0 MiB/s, pages: 40.0 MiB sent as 4.0 MiB, compression on\n"
		"  receiving: down\n"
		"  last counted as dead: 2026-01-02T03:04:05Z, after 2003 ms of silence; 2 replicas promoted in 1.5 ms, 1 promoted by hand\n"
		"  fence command: failed: it failed with exit status 7\n"
		"Last promotion: 2026-01-02T03:05:05Z, web at generation 7 to term 3 by another process\n"
		"Sessions\n"
		"  NAME    ID  PID  TERM  GENERATION  COMMITTED  BEHIND      MEMORY    HELD     STATE\n"
		"  kv      3   812  1     121         118        2 (15 ms)   64.0 MiB  8.0 KiB  followed\n"
		"  -       4   813  1     0           0          0           0 B       0 B      no name, not shipped\n"
		"  ledger  12  900  2     7           0          7           0 B       0 B      FENCED\n"
		"  queue   13  901  1     1           0          1 (900 ms)  0 B       0 B      refused, see below\n"
		"  kv: acknowledged up to generation 118 by policy 2 (not in force yet: all have to have it)\n"
		"    spare beta: in-step, generation 119, behind by 1\n"
		"    spare gamma: not-linked, generation 0, behind by 120, may lack what is acknowledged\n"
		"    cptdevd promotes none of several: a cluster manager or a person does\n"
		"  session 3: the snapshots of user 1000 hold 12.0 KiB of 512.0 MiB\n"
		"  session 3: its control group has 40.0 MiB left for copies\n"
		"  queue: the spare keeps another session's memory\n"
		"Replicas\n"
		"  NAME   TERM  GENERATION  SIZE     OWNER  COMMITS  PROGRAM                STATE\n"
		"  other  2     9           1.0 MiB  0      9        warm, 12.0 KiB behind  PROMOTED\n"
		"  web    0     0           0 B      33     0        none                   empty\n"
		"  zoo    1     4           4.0 KiB  1      4        warm                   follows, frozen\n");
}

/* A session's section may say the same as the section for all. */
static void the_rules_of_single_sessions(void **state)
{
	struct view v = { .daemon = json_tokener_parse(
		"{\"version\":\"1.0.0\",\"node\":{\"name\":\"alpha\"},\"uptime_ms\":75000,\"failover\":\"auto\","
		"\"policies\":[{\"name\":null,\"failover\":\"auto\",\"on_promote\":\"/bin/true\",\"alone\":\"block\"},"
		"{\"name\":\"kv\",\"failover\":\"auto\",\"on_promote\":\"/bin/true\",\"alone\":\"block\"},"
		"{\"name\":\"db\",\"failover\":\"manual\",\"on_promote\":null,\"alone\":\"block\"},"
		"{\"name\":\"cache\",\"failover\":\"auto\",\"on_promote\":\"/bin/true\",\"alone\":\"go-on\"}]}") };

	(void)state;
	view_text(&v, to);
	json_object_put(v.daemon);
	printed("Module: cptdev is loaded\n"
		"Daemon: cptdevd 1.0.0, node alpha, up 75 s, failover auto\n"
		"Rules of db: failover = manual, on_promote = none\n"
		"Rules of cache: alone = go-on\n"
		"Sessions: none\n"
		"Replicas: none\n");
}

/* A program that waits has a copy or none; an older module doesn't tell. */
static void the_copy_of_a_program(void **state)
{
	struct replica_rec r = { .waiters = 1, .pages = 9, .behind = 9 };
	struct view v = { .page_size = 4096 };
	char copy[40];

	(void)state;
	assert_string_equal(view_copy(&v, &r, copy), "cold");
	r.copied = 3;
	assert_string_equal(view_copy(&v, &r, copy), "warm, 36.0 KiB behind");
	r.behind = 0;
	assert_string_equal(view_copy(&v, &r, copy), "warm");
	r.waiters = 0;
	assert_string_equal(view_copy(&v, &r, copy), "none");
	r = (struct replica_rec) { .waiters = 2, .copied = UINT64_MAX, .behind = UINT64_MAX };
	assert_string_equal(view_copy(&v, &r, copy), "waits");
	r.copied = 1;
	r.behind = UINT64_MAX / 4096;
	assert_string_equal(view_copy(&v, &r, copy), "warm, 16384.0 PiB behind");
}

static void the_status_without_module_and_daemon(void **state)
{
	struct view v = { .kernel_err = ENOENT, .daemon_err = ENOENT,
			  .daemon_why = "cptdevd isn't running (/run/x)" };

	(void)state;
	view_text(&v, to);
	printed("Module: cptdev isn't loaded\n"
		"  Next: modprobe cptdev; if that fails, cptdevctl check\n"
		"Daemon: cptdevd isn't running (/run/x)\n"
		"  Nothing is shipped or received. Next: systemctl start cptdevd\n");
}

static void the_status_of_an_idle_host(void **state)
{
	struct view v = { .daemon_err = EACCES, .daemon_why = "not open to you" };

	(void)state;
	view_text(&v, to);
	printed("Module: cptdev is loaded\n"
		"Daemon: not open to you\n"
		"Sessions: none\n"
		"Replicas: none\n");
}

static void record_parsed(const struct kernel_event *ev, void *arg)
{
	*(struct session_rec *)arg = *ev->session;
}

/* A message about session 3, as the module sends it; without the limits that is an event. */
static void parse(bool limits, struct session_rec *rec)
{
	char buf[512] = {};
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *g = mnl_nlmsg_put_extra_header(nlh, sizeof(*g));
	struct nlattr *nest;

	g->cmd = CPTDEV_CMD_SESSION_GET;
	nest = mnl_attr_nest_start(nlh, CPTDEV_A_SESSION);
	mnl_attr_put_u64(nlh, CPTDEV_A_SESSION_ID, 3);
	mnl_attr_put_u64(nlh, CPTDEV_A_SESSION_LEASE_UNTIL, 77);
	if (limits) {
		mnl_attr_put_u64(nlh, CPTDEV_A_SESSION_USER_HELD_MAX, 512 << 20);
		mnl_attr_put_u64(nlh, CPTDEV_A_SESSION_USER_HELD, 12288);
		mnl_attr_put_u64(nlh, CPTDEV_A_SESSION_GROUP_LEFT, 40 << 20);
	}
	mnl_attr_nest_end(nlh, nest);
	assert_true(nlparse_event(nlh, record_parsed, rec));
	assert_int_equal(rec->id, 3);
	assert_int_equal(rec->lease_until, 77);
}

static void limits_are_parsed(void **state)
{
	struct session_rec rec;

	(void)state;
	parse(true, &rec);
	assert_int_equal(rec.user_held_max, 512 << 20);
	assert_int_equal(rec.user_held, 12288);
	assert_int_equal(rec.group_left, 40 << 20);
	/* What isn't told is no limit of 0. */
	parse(false, &rec);
	assert_true(rec.user_held_max == UINT64_MAX && rec.user_held == UINT64_MAX);
	assert_true(rec.group_left == UINT64_MAX);
}

static struct json_object *at(struct json_object *o, const char *key, size_t index)
{
	return json_object_array_get_idx(js_at(o, key), index);
}

static void the_status_in_json(void **state)
{
	struct view v = view();
	struct json_object *o = view_json(&v), *s, *r;

	(void)state;
	assert_int_equal(js_get_u64(o, "schema_version"), 1);
	assert_true(json_object_get_boolean(js_at(js_at(o, "kernel"), "module")));
	assert_int_equal(json_object_array_length(js_at(o, "sessions")), 4);
	s = at(o, "sessions", 0);
	assert_string_equal(js_line(s),
		"{\"id\":3,\"name\":\"kv\",\"uuid\":\"11000000-0000-0000-0000-000000000022\","
		"\"pid\":812,\"uid\":1000,\"term\":1,\"generation\":121,\"published\":120,"
		"\"committed\":118,\"spares\":1,\"ranges\":2,\"bytes\":67108864,\"held\":8192,"
		"\"held_max\":1073741824,\"user_held_max\":536870912,\"user_held\":12288,"
		"\"group_left\":41943040,\"fenced\":false,\"replace\":false,\"alone\":false,\"blocked\":false,\"wanted\":false,\"hung\":false,\"last_pages\":2,"
		"\"last_pause_ns\":41000}");
	assert_null(js_at(at(o, "sessions", 1), "name"));
	assert_null(js_at(at(o, "sessions", 1), "user_held_max"));
	assert_int_equal(js_get_u64(at(o, "sessions", 1), "user_held"), 4096);
	assert_null(js_at(at(o, "sessions", 1), "group_left"));
	assert_true(json_object_get_boolean(js_at(at(o, "sessions", 2), "fenced")));
	r = at(o, "replicas", 0);
	assert_string_equal(js_line(r),
		"{\"name\":\"other\",\"uuid\":\"00000000-0000-0000-0000-000000000000\","
		"\"uid\":0,\"term\":2,\"generation\":9,\"staging\":0,\"pages\":256,"
		"\"bytes\":1048576,\"staged\":0,\"max_bytes\":1073741824,\"promoted\":true,"
		"\"frozen\":false,\"commits\":9,\"openers\":0,\"waiters\":1,\"copied\":8,"
		"\"behind\":3,\"behind_bytes\":12288}");
	assert_null(js_at(at(o, "replicas", 1), "copied"));
	assert_null(js_at(at(o, "replicas", 1), "behind"));
	assert_null(js_at(at(o, "replicas", 1), "behind_bytes"));
	assert_string_equal(js_get_str(js_at(o, "daemon"), "version"), "1.0.0");
	assert_null(js_at(o, "daemon_error"));
	json_object_put(o);
	json_object_put(v.daemon);
}

static void without_a_daemon_json_says_why(void **state)
{
	struct view v = { .kernel_err = ENOENT, .daemon_why = "cptdevd isn't running" };
	struct json_object *o = view_json(&v);

	(void)state;
	assert_false(json_object_get_boolean(js_at(js_at(o, "kernel"), "module")));
	assert_null(js_at(o, "daemon"));
	assert_string_equal(js_get_str(o, "daemon_error"), "cptdevd isn't running");
	json_object_put(o);
}

#define WALL	1767323045678000000ULL	/* 2026-01-02 03:04:05.678 UTC */

static void records_are_lines(void **state)
{
	struct kernel_event s = { CPTDEV_CMD_SNAPSHOT_NTF, &sessions[0], NULL };
	struct kernel_event r = { CPTDEV_CMD_REPLICA_PROMOTED_NTF, NULL, &replicas[0] };

	(void)state;
	monitor_record(&ctl, WALL, &s);
	monitor_record(&ctl, WALL, &r);
	monitor_note(&ctl, WALL, "module", "resync");
	printed("2026-01-02T03:04:05.678Z session kv id=3 snapshot term=1 generation=121 published=120 committed=118 spares=1 pages=2 pause_us=41\n"
		"2026-01-02T03:04:05.678Z replica other promoted term=2 generation=9 pages=256 promoted=yes\n"
		"2026-01-02T03:04:05.678Z module resync\n");
}

static void records_are_lines_of_json(void **state)
{
	struct kernel_event s = { CPTDEV_CMD_SESSION_GET, &sessions[0], NULL };
	struct json_object *o;
	char *line;

	(void)state;
	ctl.json = true;
	monitor_record(&ctl, WALL, &s);
	monitor_note(&ctl, WALL, "module", "loaded");
	fflush(to);
	line = strtok(text, "\n");
	o = json_tokener_parse(line);
	assert_int_equal(js_get_u64(o, "schema_version"), 1);
	assert_string_equal(js_get_str(o, "time"), "2026-01-02T03:04:05.678Z");
	assert_string_equal(js_get_str(o, "object"), "session");
	assert_string_equal(js_get_str(o, "event"), "present");
	assert_int_equal(js_get_u64(js_at(o, "session"), "id"), 3);
	json_object_put(o);
	line = strtok(NULL, "\n");
	assert_string_equal(line, "{\"schema_version\":1,\"time\":\"2026-01-02T03:04:05.678Z\",\"object\":\"module\",\"event\":\"loaded\"}");
	assert_null(strtok(NULL, "\n"));
}

static void every_event_has_a_word(void **state)
{
	u8 cmd;

	(void)state;
	for (cmd = 1; cmd <= CPTDEV_CMD_MAX; cmd++)
		assert_string_not_equal(monitor_word(cmd), "unknown");
}

static void errors_say_what_to_do(void **state)
{
	(void)state;
	assert_int_equal(ctl_fail(&ctl, EXIT_KERNEL, "no-module", "cptdevctl check",
				  "the module %s isn't loaded", "cptdev"), EXIT_KERNEL);
	printed("cptdevctl: the module cptdev isn't loaded\nNext: cptdevctl check\n");
}

static void errors_are_json_too(void **state)
{
	struct json_object *o, *e;

	(void)state;
	ctl.json = true;
	ctl_fail(&ctl, EXIT_FAILED, "failed", NULL, "can't");
	fflush(to);
	o = json_tokener_parse(text);
	e = js_at(o, "error");
	assert_int_equal(js_get_u64(o, "schema_version"), 1);
	assert_string_equal(js_get_str(e, "code"), "failed");
	assert_string_equal(js_get_str(e, "message"), "can't");
	assert_null(js_at(e, "next"));
	json_object_put(o);
}

/*
 * Verbs that change something, with a kernel in memory
 */

static struct fake *fake;

static int setup_fake(void **state)
{
	setup(state);
	fake = calloc(1, sizeof(*fake));
	fake_init(fake);
	ctl.kernel = &fake->kernel;
	return 0;
}

static int teardown_fake(void **state)
{
	assert_int_equal(fake_open_fds(fake), 0);
	fake_free(fake);
	free(fake);
	return teardown(state);
}

static void make_replica(u64 generation)
{
	fake->kernel.ops->create(&fake->kernel, "kv", 0);
	fake_replica(fake, "kv")->rec.generation = generation;
	fake_replica(fake, "kv")->rec.term = 1;
}

static void promote_tells_the_term(void **state)
{
	char *argv[] = { (char *)"kv" };

	(void)state;
	make_replica(120);
	assert_int_equal(verb_promote(&ctl, 1, argv), EXIT_DONE);
	assert_true(fake_replica(fake, "kv")->promoted);
	assert_true(ctl.changed);
	printed("cptdevctl: note: it isn't known whether the primary is alive: cptdevd isn't running (/nonexistent/control)\n"
		"cptdevctl: note: cptdevd doesn't run: the new term isn't on record until it is started\n"
		"promoted kv: generation 120, term 2\n"
		"A program of this host that waits for this replica takes over now. A program that\n"
		"you start by hand has to restore the replica, and to use the name kv and term 2\n"
		"for its session. The old program is refused from now on.\n");
}

static void promote_tells_the_term_in_json(void **state)
{
	char *argv[] = { (char *)"kv" };

	(void)state;
	make_replica(120);
	ctl.json = true;
	ctl.term = 7;
	assert_int_equal(verb_promote(&ctl, 1, argv), EXIT_DONE);
	printed("{\n  \"schema_version\": 1,\n  \"name\": \"kv\",\n  \"generation\": 120,\n  \"term\": 7,\n"
		"  \"primary\": \"cptdevd isn't running (/nonexistent/control)\"\n}\n");
}

static void make_replicas(void)
{
	make_replica(120);
	/* One that is promoted, one that is empty, and one of another peer. */
	fake->kernel.ops->create(&fake->kernel, "done", 0);
	fake_replica(fake, "done")->rec.generation = 1;
	fake_replica(fake, "done")->rec.flags |= CPTDEV_GENL_REPLICA_PROMOTED;
	fake_replica(fake, "done")->promoted = true;
	fake->kernel.ops->create(&fake->kernel, "empty", 0);
	fake->kernel.ops->create(&fake->kernel, "web", 0);
	fake_replica(fake, "web")->rec.generation = 7;
	fake_replica(fake, "web")->rec.term = 3;
}

static void promote_all(void **state)
{
	(void)state;
	make_replicas();
	ctl.all = true;
	assert_int_equal(verb_promote(&ctl, 0, NULL), EXIT_DONE);
	assert_true(fake_replica(fake, "kv")->promoted);
	assert_true(fake_replica(fake, "web")->promoted);
	assert_false(fake_replica(fake, "empty")->promoted);
	fflush(to);
	assert_non_null(strstr(text, "promoted kv: generation 120, term 2\n"));
	assert_non_null(strstr(text, "promoted web: generation 7, term 4\n"));
	assert_non_null(strstr(text, "2 of 2 replicas promoted\n"));
}

static void promote_all_of_nothing(void **state)
{
	(void)state;
	ctl.all = true;
	assert_int_equal(verb_promote(&ctl, 0, NULL), EXIT_FAILED);
	printed("cptdevctl: this host has no replica that could be promoted\n"
		"Next: cptdevctl replica list\n");
}

static void promote_of_a_peer_asks_the_daemon(void **state)
{
	(void)state;
	make_replicas();
	ctl.peer = "alpha";
	assert_int_equal(verb_promote(&ctl, 0, NULL), EXIT_DAEMON);
	assert_false(fake_replica(fake, "kv")->promoted);
	printed("cptdevctl: only the daemon knows which replicas are of peer alpha: cptdevd isn't running (/nonexistent/control)\n"
		"Next: cptdevctl promote NAME, or --all\n");
}

static void promote_of_a_peer_takes_its_replicas(void **state)
{
	struct json_object *peer = json_tokener_parse("{\"feeds\":[\"kv\",\"empty\",\"done\"]}");

	(void)state;
	make_replicas();
	assert_true(promote_wants(&fake_replica(fake, "kv")->rec, peer));
	assert_false(promote_wants(&fake_replica(fake, "empty")->rec, peer));
	assert_false(promote_wants(&fake_replica(fake, "done")->rec, peer));
	assert_false(promote_wants(&fake_replica(fake, "web")->rec, peer));
	assert_true(promote_wants(&fake_replica(fake, "web")->rec, NULL));
	json_object_put(peer);
}

static void promote_names_one_thing(void **state)
{
	char *argv[] = { (char *)"kv" };

	(void)state;
	make_replicas();
	ctl.all = true;
	assert_int_equal(verb_promote(&ctl, 1, argv), EXIT_USAGE);
	ctl.peer = "alpha";
	assert_int_equal(verb_promote(&ctl, 0, NULL), EXIT_USAGE);
	ctl.peer = NULL;
	ctl.all = false;
	assert_int_equal(verb_promote(&ctl, 0, NULL), EXIT_USAGE);
	ctl.all = ctl.term_given = true;
	assert_int_equal(verb_promote(&ctl, 0, NULL), EXIT_USAGE);
	assert_false(fake_replica(fake, "kv")->promoted);
}

static void promote_leaves_a_trace(void **state)
{
	char *argv[] = { (char *)"kv" };

	(void)state;
	assert_int_equal(verb_promote(&ctl, 1, argv), EXIT_FAILED);
	assert_string_equal(journal, "");
	make_replica(120);
	ctl.force = true;
	setenv("SUDO_USER", "alice", 1);
	assert_int_equal(verb_promote(&ctl, 1, argv), EXIT_DONE);
	unsetenv("SUDO_USER");
	assert_non_null(strstr(journal, "promoted kv: generation 120, term 2, by user "));
	assert_non_null(strstr(journal, " for alice with --force; cptdevd isn't running"));
}

/*
 * A daemon that has only its status
 */

static char status_line[1024];
static char socket_path[64];
static pid_t answering;
/* To "promote" with force; NULL: the connection is closed. */
static const char *promote_answer;
/* Instead of the status. */
static const char *first_answer;

static int setup_daemon(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd;

	setup_fake(state);
	snprintf(socket_path, sizeof(socket_path), "/tmp/cptdevctl-test.%d", getpid());
	strcpy(un.sun_path, socket_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 1), 0);
	ctl.socket = socket_path;
	answering = -1;
	promote_answer = NULL;
	first_answer = NULL;
	*state = (void *)(long)fd;
	return 0;
}

static void answer_with(int fd, const char *peer)
{
	static const char *const wanted = "\"command\":\"promote\",\"name\":\"kv\",\"term\":0,\"force\":true";
	char line[128];
	ssize_t n;
	int c;

	snprintf(status_line, sizeof(status_line),
		 "{\"schema_version\":1,\"peers\":[%s]}\n", peer);
	if (first_answer)
		strcpy(status_line, first_answer);
	fflush(NULL);
	answering = fork();
	if (answering)
		return;
	c = accept(fd, NULL, NULL);
	if (recv(c, line, sizeof(line), 0) > 0 &&
	    send(c, status_line, strlen(status_line), MSG_NOSIGNAL) > 0)
		shutdown(c, SHUT_WR);
	while ((c = accept(fd, NULL, NULL)) >= 0) {
		n = recv(c, line, sizeof(line) - 1, 0);
		line[n > 0 ? n : 0] = '\0';
		if (promote_answer && strstr(line, wanted))
			n = send(c, promote_answer, strlen(promote_answer), MSG_NOSIGNAL);
		close(c);
	}
	_exit(0);
}

static int teardown_daemon(void **state)
{
	if (answering > 0) {
		kill(answering, SIGKILL);
		waitpid(answering, NULL, 0);
	}
	close((int)(long)*state);
	unlink(socket_path);
	return teardown_fake(state);
}

#define ALIVE "{\"name\":\"alpha\",\"detector\":\"alive\",\"incoming\":{\"state\":\"up\"," \
	"\"last_heard_ms\":12,\"replicas\":[{\"name\":\"kv\"}]}}"

static void a_living_primary_isnt_taken_over_from(void **state)
{
	char *argv[] = { (char *)"kv" };

	make_replica(120);
	answer_with((int)(long)*state, ALIVE);
	assert_int_equal(verb_promote(&ctl, 1, argv), EXIT_FAILED);
	assert_false(fake_replica(fake, "kv")->promoted);
	printed("cptdevctl: kv isn't promoted: peer alpha is linked, was heard 12 ms ago and feeds this replica\n"
		"Next: stop the program there; or, to take over from it while it runs, give --force\n");
}

static void force_takes_over_from_a_living_primary(void **state)
{
	char *argv[] = { (char *)"kv" };

	make_replica(120);
	ctl.force = true;
	promote_answer = "{\"name\":\"kv\",\"generation\":120,\"term\":9}\n";
	answer_with((int)(long)*state, ALIVE);
	assert_int_equal(verb_promote(&ctl, 1, argv), EXIT_DONE);
	assert_true(ctl.changed);
	assert_non_null(strstr(journal, "feeds this replica"));
	assert_non_null(strstr(journal, "generation 120, term 9"));
	/* By the daemon, not behind its back. */
	assert_false(fake_replica(fake, "kv")->promoted);
}

static int start_says(void **state, const char *answer)
{
	char *argv[] = { (char *)"kv" };

	first_answer = answer;
	answer_with((int)(long)*state, "");
	return verb_start(&ctl, 1, argv);
}

static void start_tells_by_its_exit_status(void **state)
{
	char *argv[] = { (char *)"kv" };

	assert_int_equal(verb_start(&ctl, 0, argv), EXIT_USAGE);
	assert_int_equal(start_says(state, "{\"answer\":\"spare\",\"text\":\"why\"}\n"), EXIT_SPARE);
	printed("cptdevctl: start needs the name of one session\nNext: cptdevctl status\n"
		"spare: why\n");
}

static void start_fresh(void **state)
{
	assert_int_equal(start_says(state, "{\"answer\":\"fresh\",\"text\":\"why\"}\n"), EXIT_DONE);
	printed("fresh: why\n");
}

static void start_refused(void **state)
{
	assert_int_equal(start_says(state, "{\"answer\":\"refused\",\"text\":\"why\"}\n"), EXIT_REFUSED);
	printed("refused: why\n");
}

static void start_without_an_answer(void **state)
{
	assert_int_equal(start_says(state, "{\"error\":{\"code\":\"unknown-command\",\"message\":\"what\"}}\n"),
			 EXIT_FAILED);
	printed("cptdevctl: it isn't known how kv may start: what\nNext: cptdevctl status\n");
}

/* It may do it yet: two promotions would be two terms. */
static void a_daemon_that_does_not_answer_is_not_gone_round(void **state)
{
	char *argv[] = { (char *)"kv" };

	make_replica(120);
	ctl.force = true;
	answer_with((int)(long)*state, ALIVE);
	assert_int_equal(verb_promote(&ctl, 1, argv), EXIT_DAEMON);
	assert_false(ctl.changed || fake_replica(fake, "kv")->promoted);
	fflush(to);
	assert_non_null(strstr(text, "didn't report whether it has promoted kv: no answer"));
}

/* What is known of the primary, and whether promote goes on without a word. */
static void known(const char *peer, enum primary want, const char *words)
{
	struct json_object *o;
	char about[256];

	snprintf(status_line, sizeof(status_line), "{\"peers\":[%s]}", peer);
	o = json_tokener_parse(status_line);
	assert_non_null(o);
	assert_int_equal(primary_look(o, "?", "kv", about, sizeof(about)), want);
	if (!strstr(about, words))
		fail_msg("'%s' doesn't say '%s'", about, words);
	json_object_put(o);
}

static void what_is_known_of_a_primary(void **state)
{
	char about[256];

	(void)state;
	known(ALIVE, PRIMARY_ALIVE, "feeds this replica");
	known("{\"name\":\"alpha\",\"incoming\":{\"state\":\"up\",\"replicas\":[]}}", PRIMARY_GONE,
	      "feeds other replicas or none");
	known("{\"name\":\"alpha\",\"detector\":\"dead\",\"incoming\":{\"state\":\"down\"}}",
	      PRIMARY_GONE, "counts as dead");
	known("{\"name\":\"alpha\",\"detector\":\"left\",\"incoming\":{\"state\":\"down\"}}",
	      PRIMARY_GONE, "shut down");
	known("{\"name\":\"alpha\",\"detector\":\"lost\",\"incoming\":{\"state\":\"down\"}}",
	      PRIMARY_UNLINKED, "isn't linked: lost");
	known("{\"detector\":\"never heard\",\"incoming\":{\"state\":\"down\"}}", PRIMARY_UNKNOWN,
	      "never heard");
	known("", PRIMARY_UNKNOWN, "no peer");
	/* Of several the one that lives counts. */
	known("{\"detector\":\"dead\",\"incoming\":{\"state\":\"down\"}}," ALIVE, PRIMARY_ALIVE, "alpha");
	assert_int_equal(primary_look(NULL, "not running", "kv", about, sizeof(about)),
			 PRIMARY_UNKNOWN);
	assert_string_equal(about, "not running");
}

/*
 * status --check
 */

static struct problems problems;

static enum exit_status check(struct view *v)
{
	problems_find(v, &problems);
	return problems.worst;
}

static void a_host_without_problems(void **state)
{
	struct session_rec s = { .name = "kv", .attached = 1 };
	struct view v = { .sessions = &s, .nr_sessions = 1 };

	(void)state;
	v.daemon = json_tokener_parse(
		"{\"peers\":[{\"name\":\"beta\",\"detector\":\"alive\","
		"\"outgoing\":{\"state\":\"up\"},\"incoming\":{\"state\":\"up\"}}]}");
	assert_int_equal(check(&v), EXIT_DONE);
	problems_text(&problems, to);
	printed("No problem\n");
	/* A session without a name asks for no spare. */
	s.name[0] = '\0';
	s.attached = 0;
	assert_int_equal(check(&v), EXIT_DONE);
	json_object_put(v.daemon);
}

static void each_problem_has_its_status(void **state)
{
	struct session_rec s = { .name = "kv", .pid = 7, .attached = 1 };
	struct view v = { .sessions = &s, .nr_sessions = 1, .daemon_why = "not running" };
	struct json_object *o;

	(void)state;
	assert_int_equal(check(&v), EXIT_DAEMON);
	s.attached = 0;
	assert_int_equal(check(&v), EXIT_UNSAFE);
	s.attached = 1;
	s.flags = CPTDEV_GENL_SESSION_FENCED;
	assert_int_equal(check(&v), EXIT_UNSAFE);
	assert_int_equal(problems.nr, 2);
	assert_string_equal(problems.list[0].code, "fenced");
	v.kernel_err = EPERM;
	assert_int_equal(check(&v), EXIT_KERNEL);
	v.kernel_err = 0;
	s.flags = 0;
	v.daemon = json_tokener_parse(
		"{\"listen_error\":\"Cannot assign\",\"peers\":[{\"name\":\"beta\",\"detector\":\"dead\","
		"\"outgoing\":{\"state\":\"down\",\"error\":\"refused\"},\"incoming\":{\"state\":\"down\"}}]}");
	assert_int_equal(check(&v), EXIT_LINK);
	problems_text(&problems, to);
	printed("Problem: the peer can't connect: Cannot assign\n"
		"Problem: peer beta counts as dead\n"
		"Problem: peer beta: nothing is shipped to it: refused\n"
		"Problem: peer beta: nothing is received from it\n");
	o = problems_json(&problems);
	assert_string_equal(js_get_str(json_object_array_get_idx(o, 1), "code"), "peer-dead");
	json_object_put(o);
	json_object_put(v.daemon);
}

#define RECORDS "{\"peers\":[],\"records\":["						\
	"{\"name\":\"a\",\"state\":\"ok\",\"error\":null},"				\
	"{\"name\":\"b\",\"state\":\"split-brain\",\"error\":\"both went on\"},"	\
	"{\"name\":\"c\",\"state\":\"damaged\",\"error\":\"not JSON\"},"			\
	"{\"name\":\"d\",\"state\":\"lost\",\"generation\":7,\"term\":2,\"error\":null}],"	\
	"\"sessions\":[{\"name\":\"b\",\"uuid\":\"00000000-0000-0000-0000-000000000000\"," \
	"\"state\":\"blocked\",\"error\":\"split brain: both went on\"}]}"

/* Each is a reason to look, whether or not a program of the name runs. */
static void records_that_need_a_person(void **state)
{
	struct session_rec s = { .name = "b", .pid = 7, .attached = 1 };
	struct view v = { .sessions = &s, .nr_sessions = 1 };

	(void)state;
	v.daemon = json_tokener_parse(RECORDS);
	records_text(&v, to);
	assert_int_equal(check(&v), EXIT_UNSAFE);
	problems_text(&problems, to);
	printed("Record b: SPLIT BRAIN: both went on\n"
		"Record c: DAMAGED: not JSON\n"
		"Record d: the data up to generation 7 of term 2 isn't in memory any more\n"
		"Problem: session b (pid 7) gets no acknowledgement: split brain: both went on\n"
		"Problem: record b: split-brain: both went on\n"
		"Problem: record c: damaged: not JSON\n");
	assert_string_equal(problems.list[0].code, "blocked");
	assert_string_equal(problems.list[1].code, "split-brain");
	assert_string_equal(problems.list[2].code, "damaged-record");
	v.nr_sessions = 0;
	assert_int_equal(check(&v), EXIT_UNSAFE);
	json_object_put(v.daemon);
}

static void news_of_a_record_are_lines(void **state)
{
	struct json_object *o = json_tokener_parse(
		"{\"event\":\"split-brain\",\"record\":{\"name\":\"kv\",\"state\":\"split-brain\","
		"\"error\":\"both went on\"}}");

	(void)state;
	monitor_peer(&ctl, WALL, o);
	ctl.json = true;
	monitor_peer(&ctl, WALL, o);
	printed("2026-01-02T03:04:05.678Z record kv split-brain state=split-brain error=both went on\n"
		"{\"schema_version\":1,\"time\":\"2026-01-02T03:04:05.678Z\",\"object\":\"record\",\"event\":\"split-brain\","
		"\"record\":{\"name\":\"kv\",\"state\":\"split-brain\",\"error\":\"both went on\"}}\n");
	json_object_put(o);
}

static void problems_are_bounded(void **state)
{
	static struct session_rec s[100];
	struct view v = { .sessions = s, .nr_sessions = 100 };
	int i;

	(void)state;
	for (i = 0; i < 100; i++)
		strcpy(s[i].name, "kv");
	assert_int_equal(check(&v), EXIT_UNSAFE);
	assert_int_equal(problems.nr + problems.more, 101);
}

static void news_of_a_peer_are_lines(void **state)
{
	struct json_object *o = json_tokener_parse(
		"{\"event\":\"outgoing-lost\",\"peer\":{\"name\":\"beta\",\"detector\":\"lost\","
		"\"outgoing\":\"down\",\"incoming\":\"up\",\"address\":\"192.0.2.2:7475\","
		"\"error\":\"Connection reset\"}}");

	(void)state;
	monitor_peer(&ctl, WALL, o);
	ctl.json = true;
	monitor_peer(&ctl, WALL, o);
	printed("2026-01-02T03:04:05.678Z peer beta outgoing-lost detector=lost outgoing=down incoming=up address=192.0.2.2:7475 error=Connection reset\n"
		"{\"schema_version\":1,\"time\":\"2026-01-02T03:04:05.678Z\",\"object\":\"peer\",\"event\":\"outgoing-lost\","
		"\"peer\":{\"name\":\"beta\",\"detector\":\"lost\",\"outgoing\":\"down\",\"incoming\":\"up\","
		"\"address\":\"192.0.2.2:7475\",\"error\":\"Connection reset\"}}\n");
	json_object_put(o);
}

static void promote_fails_with_the_cause(void **state)
{
	char *argv[] = { (char *)"kv" };

	(void)state;
	assert_int_equal(verb_promote(&ctl, 0, argv), EXIT_USAGE);
	assert_int_equal(verb_promote(&ctl, 1, argv), EXIT_FAILED);
	make_replica(0);
	assert_int_equal(verb_promote(&ctl, 1, argv), EXIT_FAILED);
	fake_replica(fake, "kv")->rec.generation = 5;
	ctl.term = 1;
	assert_int_equal(verb_promote(&ctl, 1, argv), EXIT_FAILED);
	fake->absent = true;
	assert_int_equal(verb_promote(&ctl, 1, argv), EXIT_KERNEL);
	printed("cptdevctl: promote needs the name of one replica, --all, or --peer NAME\n"
		"Next: cptdevctl replica list\n"
		"cptdevctl: can't promote kv: no replica has this name\n"
		"Next: cptdevctl replica list\n"
		"cptdevctl: note: it isn't known whether the primary is alive: cptdevd isn't running (/nonexistent/control)\n"
		"cptdevctl: can't promote kv: nothing was ever committed to it\n"
		"cptdevctl: note: it isn't known whether the primary is alive: cptdevd isn't running (/nonexistent/control)\n"
		"cptdevctl: can't promote kv: the term must be higher than the replica's\n"
		"Next: leave --term out, to use the next term\n"
		"cptdevctl: can't open /dev/cptdev: No such file or directory\n"
		"Next: cptdevctl check\n");
}

static void a_replica_is_removed(void **state)
{
	char *argv[] = { (char *)"remove", (char *)"kv" };

	(void)state;
	make_replica(1);
	assert_int_equal(verb_replica(&ctl, 2, argv), EXIT_DONE);
	assert_null(fake_replica(fake, "kv"));
	assert_int_equal(verb_replica(&ctl, 2, argv), EXIT_FAILED);
	assert_int_equal(verb_replica(&ctl, 1, argv), EXIT_USAGE);
	printed("cptdevctl: note: it isn't known whether its session is alive: cptdevd isn't running (/nonexistent/control)\n"
		"removed kv\n"
		"cptdevctl: can't remove kv: no replica has this name\n"
		"Next: cptdevctl replica list\n"
		"cptdevctl: replica needs 'list', or 'remove' and a name\n");
}

#define FEEDS(uuid) "{\"name\":\"alpha\",\"detector\":\"alive\",\"incoming\":{\"state\":\"up\"," \
	"\"replicas\":[{\"name\":\"kv\",\"uuid\":\"00000000-0000-0000-0000-0000000000" uuid "\"}]}}"

static int remove_kv(void **state, const char *peer)
{
	char *argv[] = { (char *)"remove", (char *)"kv" };

	answer_with((int)(long)*state, peer);
	return verb_replica(&ctl, 2, argv);
}

static void the_replica_of_a_living_session_stays(void **state)
{
	make_replica(120);
	assert_int_equal(remove_kv(state, FEEDS("00")), EXIT_FAILED);
	assert_non_null(fake_replica(fake, "kv"));
	printed("cptdevctl: kv isn't removed: it is the spare of a session that is alive on alpha\n"
		"Next: stop the program there; or, to leave it without a spare until its next checkpoint, give --force\n");
}

/* Its session waits for that: cptdevd told to remove it. */
static void the_replica_of_another_session_goes(void **state)
{
	make_replica(120);
	assert_int_equal(remove_kv(state, FEEDS("07")), EXIT_DONE);
	assert_null(fake_replica(fake, "kv"));
}

static void with_force_it_goes(void **state)
{
	char *argv[] = { (char *)"remove", (char *)"kv" };

	(void)state;
	make_replica(120);
	ctl.force = true;
	assert_int_equal(verb_replica(&ctl, 2, argv), EXIT_DONE);
	assert_null(fake_replica(fake, "kv"));
}

/* The session that fed it is fenced, or about to be. */
static void what_was_promoted_goes(void **state)
{
	char *argv[] = { (char *)"remove", (char *)"kv" };

	(void)state;
	make_replica(120);
	fake_replica(fake, "kv")->promoted = true;
	assert_int_equal(verb_replica(&ctl, 2, argv), EXIT_DONE);
	assert_null(fake_replica(fake, "kv"));
}

static void columns_are_as_wide_as_needed(void **state)
{
	static const char *const headings[] = { "A", "LONG", "B" };
	struct table t;

	(void)state;
	table_init(&t, headings, 3);
	table_cell(&t, "%s", "wide cell");
	table_cell(&t, "%d", 1);
	table_cell(&t, "%s", "x");
	table_print(&t, to);
	printed("  A          LONG  B\n"
		"  wide cell  1     x\n");
}

static void sizes_have_units(void **state)
{
	char size[16];

	(void)state;
	assert_string_equal(size_text(0, size), "0 B");
	assert_string_equal(size_text(1023, size), "1023 B");
	assert_string_equal(size_text(1024, size), "1.0 KiB");
	assert_string_equal(size_text(1ULL << 40, size), "1.0 TiB");
	assert_string_equal(size_text(~0ULL, size), "16384.0 PiB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define F(fn) cmocka_unit_test_setup_teardown(fn, setup_fake, teardown_fake)
#define D(fn) cmocka_unit_test_setup_teardown(fn, setup_daemon, teardown_daemon)
		T(the_status_of_a_host),
		T(the_copy_of_a_program),
		T(the_status_without_module_and_daemon),
		T(the_status_of_an_idle_host),
		T(the_rules_of_single_sessions),
		T(the_status_in_json),
		T(limits_are_parsed),
		T(without_a_daemon_json_says_why),
		T(records_are_lines),
		T(records_are_lines_of_json),
		T(every_event_has_a_word),
		T(errors_say_what_to_do),
		T(errors_are_json_too),
		F(promote_tells_the_term),
		F(promote_all),
		F(promote_all_of_nothing),
		F(promote_of_a_peer_asks_the_daemon),
		F(promote_of_a_peer_takes_its_replicas),
		F(promote_names_one_thing),
		F(promote_tells_the_term_in_json),
		F(promote_fails_with_the_cause),
		F(promote_leaves_a_trace),
		D(a_living_primary_isnt_taken_over_from),
		D(force_takes_over_from_a_living_primary),
		D(start_tells_by_its_exit_status),
		D(start_fresh),
		D(start_refused),
		D(start_without_an_answer),
		D(a_daemon_that_does_not_answer_is_not_gone_round),
		T(what_is_known_of_a_primary),
		T(a_host_without_problems),
		T(each_problem_has_its_status),
		T(records_that_need_a_person),
		T(news_of_a_record_are_lines),
		T(problems_are_bounded),
		T(news_of_a_peer_are_lines),
		F(a_replica_is_removed),
		D(the_replica_of_a_living_session_stays),
		D(the_replica_of_another_session_goes),
		F(with_force_it_goes),
		F(what_was_promoted_goes),
		T(columns_are_as_wide_as_needed),
		T(sizes_have_units),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("cptdevctl", tests, NULL, NULL);
}
