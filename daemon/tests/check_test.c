// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl check: machines that never were, and what is found about them. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "check.h"

static struct findings out;

static struct facts good(void)
{
	struct facts f = {
		.release = "6.1.0-18-amd64", .machine = "x86_64", .loaded = true,
		.installed = true, .headers = true, .secure_boot = NO, .lockdown = "none",
		.sig_enforce = NO, .device = true, .device_mode = 0660,
		.device_group = "cptdev", .root = true, .capable = true,
		.info = { .abi_version = CPTDEV_ABI_VERSION }, .thp = "madvise",
	};

	f.daemon = json_tokener_parse(
		"{\"version\":\"" VERSION "\",\"peers\":[{\"outgoing\":{\"state\":\"up\","
		"\"address\":\"192.0.2.2:7475\",\"rtt_us\":250,\"tls_key\":\"0123456789abcdef\"},"
		"\"incoming\":{\"state\":\"up\"}}]}");
	return f;
}

static const struct finding *find(const char *name)
{
	unsigned int i;

	for (i = 0; i < out.nr; i++)
		if (!strcmp(out.list[i].name, name))
			return &out.list[i];
	return NULL;
}

/* Apply the rules, and look for a finding of that level with these words. */
static void finds(struct facts *f, const char *name, enum level level, const char *words)
{
	const struct finding *found;

	rules_apply(f, &out);
	facts_free(f);
	found = find(name);
	if (!found)
		fail_msg("nothing about %s", name);
	if (found->level != level)
		fail_msg("%s: level %u: %s", name, found->level, found->text);
	if (!strstr(found->text, words) && !strstr(found->next, words))
		fail_msg("%s: '%s', next '%s': no word of '%s'", name, found->text,
			 found->next, words);
	if (level == LEVEL_FAIL && !*found->next)
		fail_msg("%s: no next step", name);
}

static void a_good_machine_passes(void **state)
{
	struct facts f = good();

	(void)state;
	rules_apply(&f, &out);
	facts_free(&f);
	assert_int_equal(findings_worst(&out), LEVEL_OK);
	assert_non_null(strstr(find("kernel")->text, "6.1.0-18-amd64 (Debian)"));
	assert_non_null(strstr(find("peer")->text, "192.0.2.2:7475, 0.2 ms away"));
}

/* One thing changed in a good machine. */
#define WITH(change, name, level, words)				\
	do {								\
		struct facts f = good();				\
		change;							\
		finds(&f, name, level, words);				\
	} while (0)

static void kernels(void **state)
{
	(void)state;
	WITH(strcpy(f.release, "5.10.0-28-amd64"), "kernel", LEVEL_FAIL, "older");
	WITH(strcpy(f.release, "6.0.1"), "kernel", LEVEL_FAIL, "6.1 or newer");
	WITH(strcpy(f.release, "6.12.9-cloud-amd64"), "kernel", LEVEL_OK, "cloud flavour");
	WITH(strcpy(f.release, "6.13.0-custom"), "kernel", LEVEL_OK, "not a stock");
	WITH(strcpy(f.machine, "aarch64"), "kernel", LEVEL_WARN, "only x86_64");
}

static void modules(void **state)
{
	(void)state;
	WITH(f.loaded = false, "module", LEVEL_FAIL, "modprobe cptdev");
	WITH((f.loaded = false, f.installed = false), "module", LEVEL_FAIL,
	     "modules_install");
	WITH((f.loaded = false, f.installed = false, f.headers = false), "module",
	     LEVEL_FAIL, "apt-get install linux-headers");
	WITH(f.headers = false, "headers", LEVEL_WARN, "apt-get install linux-headers");
	WITH(f.info.abi_version = 9, "abi", LEVEL_FAIL, "ABI 9");
}

/* As Debian's package leaves it: each cause has its own next step. */
static void a_build_that_failed(void **state)
{
	(void)state;
	WITH((f.loaded = false, f.installed = false, f.dkms = true), "module", LEVEL_FAIL,
	     "dkms autoinstall -k 6.1.0-18-amd64 && modprobe cptdev");
	WITH((f.loaded = false, f.installed = false, f.headers = false, f.dkms = true), "module",
	     LEVEL_FAIL, "apt-get install linux-headers-6.1.0-18-amd64 && dkms autoinstall");
	WITH((f.loaded = false, f.installed = false, f.dkms = true,
	      strcpy(f.build_log, "/var/lib/dkms/cptdev/1.1.0/build/make.log")), "module",
	     LEVEL_FAIL, "messages are in /var/lib/dkms/cptdev/1.1.0/build/make.log");
	/* The soft engine took its place. */
	WITH((f.loaded = false, f.installed = false, f.dkms = true, json_object_object_add(f.daemon,
	      "engine", json_object_new_string("soft"))), "module", LEVEL_FAIL, "dkms autoinstall");
}

static void a_module_of_another_version(void **state)
{
	(void)state;
	WITH((strcpy(f.source_loaded, "AB12"), strcpy(f.source_found, "CD34")), "module",
	     LEVEL_WARN, "rmmod cptdev; modprobe cptdev");
	WITH((strcpy(f.source_loaded, "AB12"), strcpy(f.source_found, "AB12")), "module",
	     LEVEL_OK, "is loaded");
	/* Not known isn't different. */
	WITH(strcpy(f.source_loaded, "AB12"), "module", LEVEL_OK, "is loaded");
	WITH(strcpy(f.source_found, "AB12"), "module", LEVEL_OK, "is loaded");
}

static void a_daemon_of_another_version(void **state)
{
	(void)state;
	WITH(json_object_object_add(f.daemon, "version", json_object_new_string("0.9.0")), "daemon",
	     LEVEL_WARN, "systemctl restart cptdevd");
}

/* The check of the unit cptdev-module: nothing but the module. */
static void only_the_module(void **state)
{
	struct facts f = good();

	(void)state;
	json_object_put(f.daemon);
	f.daemon = NULL;
	f.device = false;
	rules_apply_module(&f, &out);
	assert_int_equal(findings_worst(&out), LEVEL_OK);
	f.loaded = false;
	f.installed = false;
	rules_apply_module(&f, &out);
	assert_int_equal(findings_worst(&out), LEVEL_FAIL);
	assert_null(find("daemon"));
	assert_null(find("device"));
}

/* On this machine, whatever it has: the module is looked at, and the daemon isn't asked. */
static void the_word_module(void **state)
{
	struct ctl ctl = { .socket = "/nonexistent/control" };
	char module_text[] = "module", other_text[] = "modules", *text;
	char *module = module_text, *two[] = { module_text, other_text };
	size_t len;
	int ret;

	(void)state;
	ctl.out = ctl.err = open_memstream(&text, &len);
	ret = verb_check(&ctl, 1, &module);
	assert_true(ret == EXIT_DONE || ret == EXIT_FAILED);
	fflush(ctl.out);
	assert_non_null(strstr(text, "  module      "));
	assert_null(strstr(text, "  daemon      "));
	assert_int_equal(verb_check(&ctl, 1, &two[1]), EXIT_USAGE);
	assert_int_equal(verb_check(&ctl, 2, two), EXIT_USAGE);
	fclose(ctl.out);
	assert_non_null(strstr(text, "check takes no argument but \"module\""));
	free(text);
}

static void signatures(void **state)
{
	(void)state;
	WITH((f.loaded = false, f.secure_boot = YES), "signature", LEVEL_FAIL,
	     "Required key not available");
	WITH((f.loaded = false, strcpy(f.lockdown, "integrity")), "signature", LEVEL_FAIL,
	     "lockdown integrity");
	WITH((f.loaded = false, f.sig_enforce = YES), "signature", LEVEL_FAIL, "mokutil");
	WITH(f.secure_boot = YES, "signature", LEVEL_OK, "only signed modules");
}

static void devices(void **state)
{
	(void)state;
	WITH(f.device = false, "device", LEVEL_FAIL, "isn't there");
	WITH(f.open_err = EACCES, "device", LEVEL_FAIL, "usermod -aG cptdev");
	WITH(strcpy(f.device_group, "root"), "group", LEVEL_WARN, "udevadm trigger");
	WITH(f.capable = false, "capability", LEVEL_WARN, "run as root");
	WITH(f.family_err = ENOENT, "netlink", LEVEL_FAIL, "network namespace");
}

static void memory(void **state)
{
	(void)state;
	WITH(f.ksm = YES, "ksm", LEVEL_WARN, "look changed");
	WITH(f.swap_kib = 2048, "swap", LEVEL_OK, "2 MiB of swap");
	WITH(strcpy(f.thp, "always"), "huge-pages", LEVEL_OK, "split by the first write");
}

static void daemons(void **state)
{
	(void)state;
	WITH((json_object_put(f.daemon), f.daemon = NULL, f.daemon_err = ENOENT,
	      strcpy(f.daemon_why, "cptdevd isn't running")), "daemon", LEVEL_FAIL,
	     "systemctl start");
	WITH((json_object_put(f.daemon), f.daemon = NULL, f.daemon_err = EACCES,
	      strcpy(f.daemon_why, "not open")), "daemon", LEVEL_FAIL, "run as root");
	WITH((json_object_put(f.daemon), f.daemon = json_tokener_parse(
	      "{\"version\":\"1\",\"peers\":[{\"outgoing\":{\"state\":\"down\","
	      "\"address\":\"192.0.2.2:7475\",\"error\":\"can't connect: Connection refused\"},"
	      "\"incoming\":{\"state\":\"down\"}}]}")), "peer", LEVEL_FAIL,
	     "Connection refused");
	assert_int_equal(find("peer-in")->level, LEVEL_WARN);
	WITH((json_object_put(f.daemon), f.daemon = json_tokener_parse(
	      "{\"version\":\"1\",\"listen_error\":\"Cannot assign requested address\","
	      "\"configuration_error\":\"x.conf:3: unknown key\",\"peers\":[]}")), "listen",
	     LEVEL_FAIL, "Cannot assign");
	assert_int_equal(find("configuration")->level, LEVEL_WARN);
}

#define PEER(sessions)							\
	"{\"version\":\"1\",\"module\":true,\"peers\":[{\"outgoing\":{\"state\":\"up\","	\
	"\"address\":\"192.0.2.2:7475\",\"sessions\":[" sessions "]},"			\
	"\"incoming\":{\"state\":\"up\"}}]}"

/* A link of which nobody knows who is at the other end. */
#define ONE_LINK(address, key)						\
	"{\"version\":\"1\",\"module\":true,\"peers\":[{\"outgoing\":{\"state\":\"up\","	\
	"\"address\":\"" address "\",\"tls_key\":" key ",\"sessions\":[]},"	\
	"\"incoming\":{\"state\":\"up\"}}]}"

static void a_link_in_the_open(void **state)
{
	(void)state;
	WITH((json_object_put(f.daemon), f.daemon = json_tokener_parse(
	      ONE_LINK("192.0.2.2:7475", "null"))), "encryption", LEVEL_WARN,
	     "the link to 192.0.2.2:7475 is neither encrypted nor authenticated");
	WITH((json_object_put(f.daemon), f.daemon = json_tokener_parse(
	      ONE_LINK("192.0.2.2:7475", "\"0123456789abcdef\""))), "encryption", LEVEL_OK,
	     "under TLS with key 0123456789abcdef");
	WITH((json_object_put(f.daemon), f.daemon = json_tokener_parse(
	      ONE_LINK("127.0.0.2:7475", "null"))), "peer", LEVEL_OK, "linked to 127.0.0.2:7475");
	assert_null(find("encryption"));
}

#define NO_SPARE(name) "{\"name\":\"" name "\",\"state\":\"refused\",\"error\":"		\
	"\"spare: can't create the replica: No such file or directory (the module isn't loaded there)\"}"

#define FOLLOWED(name) "{\"name\":\"" name "\",\"state\":\"waiting\",\"error\":null}"

/* The link is up, and all that this host needs is there: the program answers nobody all the same. */
static void sessions_without_a_spare(void **state)
{
	(void)state;
	WITH((json_object_put(f.daemon), f.daemon = json_tokener_parse(
	      PEER(NO_SPARE("kv")))), "session", LEVEL_FAIL, "module isn't loaded there");
	WITH((json_object_put(f.daemon), f.daemon = json_tokener_parse(
	      PEER(FOLLOWED("a") "," FOLLOWED("b")))), "session", LEVEL_OK, "2 sessions");
	WITH((json_object_put(f.daemon), f.daemon = json_tokener_parse(
	      PEER(FOLLOWED("a") "," NO_SPARE("b")))), "session", LEVEL_FAIL, "session b");
	WITH((json_object_put(f.daemon), f.daemon = json_tokener_parse(
	      PEER(NO_SPARE("a") "," NO_SPARE("b") "," NO_SPARE("c") "," NO_SPARE("d") ","
		   NO_SPARE("e") "," NO_SPARE("f")))), "session", LEVEL_FAIL, "session a");
	assert_string_equal(out.list[out.nr - 1].text, "2 more sessions have no spare");
	assert_int_equal(findings_worst(&out), LEVEL_FAIL);
}

/* The daemon doesn't find the module, whatever the tool sees. */
static void a_daemon_without_the_module(void **state)
{
	(void)state;
	WITH(json_object_object_add(f.daemon, "module", json_object_new_boolean(false)),
	     "netlink", LEVEL_OK, "answers");
	assert_int_equal(findings_worst(&out), LEVEL_FAIL);
}

/* A daemon that plays its part: one answer for each who connects, the last one for ever. */
#define LINK(state)	"{\"version\":\"1\",\"peers\":[{\"outgoing\":{\"state\":\"" state "\"}}]}\n"

static pid_t play(const char *path, const char *const *answers)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), to;
	char request[64];
	pid_t pid;

	strcpy(un.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 1), 0);
	pid = fork();
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!pid) {
		to = accept(fd, NULL, NULL);
		if (to < 0 || read(to, request, sizeof(request)) <= 0 ||
		    write(to, *answers, strlen(*answers)) < 0)
			_exit(1);
		close(to);
		answers += answers[1] != NULL;
	}
	close(fd);
	return pid;
}

/* Right after its start a daemon is linking: that is neither good nor bad. */
static void a_link_that_is_being_made_is_waited_for(void **state)
{
	static const char *const answers[] = {
		LINK("connecting"), LINK("greeting"), LINK("up"), NULL,
	};
	char dir[] = "/tmp/check_test.XXXXXX", path[64];
	struct facts f;
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/control", dir);
	pid = play(path, answers);
	facts_gather(&f, kernel_module(), path);
	assert_string_equal(js_get_str(js_at(json_object_array_get_idx(
		js_at(f.daemon, "peers"), 0), "outgoing"), "state"), "up");
	facts_free(&f);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(path);
	rmdir(dir);
}

static void records_are_looked_at(void **state)
{
	(void)state;
	WITH((json_object_put(f.daemon), f.daemon = json_tokener_parse(
	      "{\"version\":\"1\",\"peers\":[],\"records\":["
	      "{\"name\":\"kv\",\"state\":\"split-brain\"}]}")), "record", LEVEL_FAIL, "split brain of kv");
	WITH((json_object_put(f.daemon), f.daemon = json_tokener_parse(
	      "{\"version\":\"1\",\"peers\":[],\"records\":["
	      "{\"name\":\"kv\",\"state\":\"damaged\"}]}")), "record", LEVEL_FAIL, "is damaged");
}

static void findings_are_lines(void **state)
{
	struct facts f = good();
	struct json_object *o;
	char *text;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	(void)state;
	f.loaded = false;
	rules_apply(&f, &out);
	facts_free(&f);
	findings_text(&out, to);
	fclose(to);
	assert_non_null(strstr(text,
		"ok    kernel      6.1.0-18-amd64 (Debian)\n"
		"FAIL  module      cptdev is installed for this kernel, but not loaded\n"
		"                  Next: modprobe cptdev\n"));
	free(text);
	o = findings_json(&out);
	assert_false(json_object_get_boolean(js_at(o, "ok")));
	assert_string_equal(js_get_str(json_object_array_get_idx(js_at(o, "checks"), 1),
				       "result"), "fail");
	json_object_put(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_machine_passes),
		cmocka_unit_test(kernels),
		cmocka_unit_test(modules),
		cmocka_unit_test(a_build_that_failed),
		cmocka_unit_test(a_module_of_another_version),
		cmocka_unit_test(a_daemon_of_another_version),
		cmocka_unit_test(only_the_module),
		cmocka_unit_test(the_word_module),
		cmocka_unit_test(signatures),
		cmocka_unit_test(devices),
		cmocka_unit_test(memory),
		cmocka_unit_test(daemons),
		cmocka_unit_test(a_link_in_the_open),
		cmocka_unit_test(sessions_without_a_spare),
		cmocka_unit_test(records_are_looked_at),
		cmocka_unit_test(a_daemon_without_the_module),
		cmocka_unit_test(a_link_that_is_being_made_is_waited_for),
		cmocka_unit_test(findings_are_lines),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("cptdevctl check", tests, NULL, NULL);
}
