// SPDX-License-Identifier: GPL-2.0-or-later
/* The configuration: what is taken, and what every mistake is answered with. */
#include <ifaddrs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "conf.h"

/* In place of the C library's: the addresses of a host whose machine doesn't matter. */
#define MINE	"198.51.100.7"
#define MINE6	"2001:db8::7"

int getifaddrs(struct ifaddrs **list)
{
	static struct sockaddr_in in = { .sin_family = AF_INET };
	static struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	static struct ifaddrs i[3] = {
		{ .ifa_next = &i[1], .ifa_addr = NULL },
		{ .ifa_next = &i[2], .ifa_addr = (struct sockaddr *)&in },
		{ .ifa_addr = (struct sockaddr *)&in6 },
	};

	inet_pton(AF_INET, MINE, &in.sin_addr);
	inet_pton(AF_INET6, MINE6, &in6.sin6_addr);
	*list = i;
	return 0;
}

void freeifaddrs(struct ifaddrs *list)
{
	(void)list;
}

static char *errors;
static struct conf conf;

static int parse_as_is(const char *text)
{
	FILE *from = fmemopen((void *)text, strlen(text), "r"), *to;
	size_t len;
	int ret;

	free(errors);
	errors = NULL;
	to = open_memstream(&errors, &len);
	ret = conf_parse(&conf, from, "test.conf", to);
	fclose(to);
	fclose(from);
	return ret;
}

/* Keys of links are another matter, see links_have_a_key_or_stay_here(). */
static int parse(const char *text)
{
	char whole[1024];

	snprintf(whole, sizeof(whole), "%s\n[peer]\ninsecure = yes anywhere\n", text);
	return parse_as_is(whole);
}

static int teardown(void **state)
{
	(void)state;
	free(errors);
	errors = NULL;
	return 0;
}

#define PEER	"[peer]\naddress = 192.0.2.2\n"

static void a_peers_address_is_enough(void **state)
{
	char text[INET6_ADDRSTRLEN];
	struct sockaddr_in *in = (struct sockaddr_in *)&conf.peers[0].addr;

	(void)state;
	assert_int_equal(parse(PEER), 0);
	assert_string_equal(errors, "");
	assert_string_equal(inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text)),
			    "192.0.2.2");
	assert_int_equal(ntohs(in->sin_port), CONF_PORT);
	assert_int_equal(conf.listen.ss_family, AF_INET6);
	assert_int_equal(conf.heartbeat_ms, 200);
	assert_int_equal(conf.timeout_ms, 2000);
	assert_int_equal(conf.sessions.failover, FAILOVER_MANUAL);
	assert_int_equal(conf.allow, ALLOW_PEER);
	assert_int_equal(conf.log_level, LOG_INFO);
	assert_true(*conf.name);
}

static void a_session_may_go_on_alone(void **state)
{
	(void)state;
	assert_int_equal(parse(PEER), 0);
	assert_int_equal(conf_session(&conf, "kv")->alone, CONF_BLOCK);
	assert_int_equal(parse(PEER "[session kv]\nalone = block\n[sessions]\nalone = go-on\n"), 0);
	assert_int_equal(conf_session(&conf, "kv")->alone, CONF_BLOCK);
	assert_int_equal(conf_session(&conf, "db")->alone, CONF_GO_ON);
	assert_int_equal(parse(PEER "[session kv]\nalone = maybe\n"), -1);
	assert_non_null(strstr(errors, "allowed are block, go-on"));
}

static void held_output_has_a_service(void **state)
{
	(void)state;
	assert_int_equal(parse(PEER "[node]\nengine = soft\n[hold]\nsession = kv\nport = 1\n"), -1);
	assert_non_null(strstr(errors, "[hold] needs all of session, address and port"));
	assert_int_equal(parse(PEER "[node]\nengine = soft\n[hold]\nqueue = 1\n"), -1);
	assert_int_equal(parse(PEER "[hold]\nsession = kv\nport = 1\naddress = 192.0.2.9\n"), -1);
	assert_non_null(strstr(errors, "[hold] needs engine = soft"));
	assert_int_equal(parse(PEER "[node]\nengine = soft\n"
			       "[hold]\nsession = kv\nport = 1\naddress = 0.0.0.0\n"), -1);
	assert_non_null(strstr(errors, "no particular service"));
	assert_int_equal(parse(PEER "[node]\nengine = soft\n"
			       "[hold]\nsession = kv\nport = 1\naddress = fd00::9\n"), 0);
	assert_int_equal(conf.hold_queue, CONF_PORT);
}

static void every_key_is_taken(void **state)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&conf.peers[0].addr;

	(void)state;
	assert_int_equal(parse(
		"; a comment\n"
		"[node]\n"
		"name = alpha.1\n"
		"log_level = debug\n"
		"control = /run/x/control\n"
		"engine = soft\n"
		"programs = /run/x/programs\n"
		"[listen]\n"
		"address = 192.0.2.1\n"
		"port = 4000\n"
		"allow = any\n"
		"[peer]\n"
		"name = beta\n"
		"address = 2001:db8::2\n"
		"port = 4001\n"
		"compression = on\n"
		"round_mib = 3\n"
		"differences_mib = 1\n"
		"[failover]\n"
		"heartbeat_interval_ms = 10\n"
		"timeout_ms = 100\n"
		"failover = auto\n"
		"on_promote = /bin/true\n"
		"fence_command = /bin/true --plug=7  -o off\n"
		"fence_timeout_ms = 60000\n"
		"[sessions]\n"
		"on_exit = stay\n"
		"[hold]\n"
		"session = kv\n"
		"address = 192.0.2.9\n"
		"port = 7000\n"
		"queue = 0\n"
		"[limits]\n"
		"max_sessions = 4096\n"
		"max_clients = 1\n"), 0);
	assert_string_equal(errors, "");
	assert_string_equal(conf.name, "alpha.1");
	assert_int_equal(conf.log_level, LOG_DEBUG);
	assert_string_equal(conf.control, "/run/x/control");
	assert_int_equal(conf.engine, ENGINE_SOFT);
	assert_string_equal(conf.programs, "/run/x/programs");
	assert_int_equal(ntohs(((struct sockaddr_in *)&conf.listen)->sin_port), 4000);
	assert_int_equal(conf.allow, ALLOW_ANY);
	assert_string_equal(conf.peers[0].name, "beta");
	assert_int_equal(ntohs(in6->sin6_port), 4001);
	assert_int_equal(conf.compression, COMPRESSION_ON);
	assert_int_equal(conf.round_mib, 3);
	assert_int_equal(conf.differences_mib, 1);
	assert_int_equal(conf.heartbeat_ms, 10);
	assert_int_equal(conf.sessions.failover, FAILOVER_AUTO);
	assert_string_equal(conf.sessions.on_promote, "/bin/true");
	assert_string_equal(conf.fence_command, "/bin/true --plug=7  -o off");
	assert_int_equal(conf.fence_timeout_ms, 60000);
	assert_string_equal(conf.hold_session, "kv");
	assert_int_equal(conf.hold_address.ss_family, AF_INET);
	assert_int_equal(conf.hold_port, 7000);
	assert_int_equal(conf.hold_queue, 0);
	assert_int_equal(conf.max_sessions, 4096);
	assert_int_equal(conf.max_clients, 1);
}

static void says(const char *text, const char *word)
{
	assert_int_equal(parse(text), -1);
	if (!strstr(errors, word))
		fail_msg("'%s' doesn't say '%s'", errors, word);
}

static void what_isnt_known_is_refused(void **state)
{
	(void)state;
	says(PEER "compression = fast\n",
	     "test.conf:3: compression = fast: allowed are auto, on, off");
	says(PEER "[node]\nnome = x\n",
	     "test.conf:4: unknown key 'nome' in [node]; its keys are: name, log_level, control, engine, programs");
	says(PEER "[nodes]\nname = x\n",
	     "test.conf:4: unknown section [nodes]; the sections are: node, listen, peer, failover, sessions, hold, limits, peer NAME, session NAME");
	says("name = x\n" PEER, "test.conf:1: 'name' comes before the first section");
	says(PEER "\ngarbage\n", "test.conf:4: neither a [section] nor");
}

static void sessions_have_sections_of_their_own(void **state)
{
	(void)state;
	assert_int_equal(parse(PEER), 0);
	assert_int_equal(conf_session(&conf, "kv")->on_exit, ON_EXIT_FAILOVER);
	/* What isn't given for one is as for all, wherever that stands. */
	assert_int_equal(parse(PEER "[session kv]\non_exit = failover\n[session db]\n"
			       "[sessions]\non_exit = stay\n"), 0);
	assert_int_equal(conf_session(&conf, "kv")->on_exit, ON_EXIT_FAILOVER);
	assert_int_equal(conf_session(&conf, "db")->on_exit, ON_EXIT_STAY);
	assert_int_equal(conf_session(&conf, "other")->on_exit, ON_EXIT_STAY);
	says(PEER "[session kv]\non_exit = die\n",
	     "test.conf:4: on_exit = die: allowed are failover, stay");
	says(PEER "[session kv]\nnome = x\n",
	     "test.conf:4: unknown key 'nome' in [session kv]; its keys are: failover, on_promote, on_exit, on_hang, alone, on_restart, ack, spares, history, history_mib, keep, keep_s, keep_mib, restart_s\n");
	says(PEER "[session kv]\nname = x\n", "restart_s; 'name' belongs in [node] or [peer], for all sessions\n");
	says(PEER "[session kv]\ntimeout_ms = 900\n", "; 'timeout_ms' belongs in [failover], for all sessions\n");
	says(PEER "[sessions]\nfailover = auto\n",
	     "test.conf:4: unknown key 'failover' in [sessions]; its keys are: on_exit, on_hang, alone, on_restart, ack, spares, history, history_mib, keep, keep_s, keep_mib, restart_s; 'failover' belongs in [failover]\n");
	says(PEER "[session a234567890123456789012345678901234567890123]\non_exit = stay\n",
	     "is longer than 49 characters");
	assert_int_equal(parse(PEER "[session a2345678901234567890123456789012345678901]\non_exit = stay\n"), 0);
	says(PEER "[session a/b]\non_exit = stay\n", "unknown section [session a/b]");
	says(PEER "[session kv]\non_exit = stay\non_exit = stay\n",
	     "test.conf:5: 'on_exit' in [session kv] was given already");
	says(PEER "[session kv]\non_exit = stay\n[session db]\nalone = go-on\n[session kv]\nalone = go-on\n",
	     "test.conf:7: [session kv] begins in line 3 already; put all its keys there");
}

static void the_spares_of_a_session_are_named(void **state)
{
	(void)state;
	assert_int_equal(parse(PEER "[session kv]\nspares = beta\tgamma\n[session db]\nspares = all\n"
			       "[sessions]\nspares = delta\n"), 0);
	assert_string_equal(errors, "");
	assert_true(conf_may_be_spare(&conf, "kv", "beta"));
	assert_true(conf_may_be_spare(&conf, "kv", "gamma"));
	assert_false(conf_may_be_spare(&conf, "kv", "delta"));
	assert_false(conf_may_be_spare(&conf, "kv", "bet"));
	assert_false(conf_may_be_spare(&conf, "kv", "betaa"));
	/* One that wasn't heard yet. */
	assert_true(conf_may_be_spare(&conf, "kv", ""));
	assert_true(conf_may_be_spare(&conf, "db", "epsilon"));
	assert_true(conf_may_be_spare(&conf, "other", "delta"));
	assert_false(conf_may_be_spare(&conf, "other", "beta"));
	says(PEER "[session kv]\nspares = any\n",
	     "test.conf:4: spares = any: allowed are all, and names of up to 16 nodes with blanks between them, in less than 256 characters");
	says(PEER "[session kv]\nspares = 2\n", "test.conf:4: spares = 2: allowed are all, and names");
	says(PEER "[session kv]\nspares = a/b\n", "test.conf:4: spares = a/b: allowed are all, and names");
	/* Nothing would be acknowledged. */
	says(PEER "[session kv]\nspares = beta\nack = beta gamma\n",
	     "test.conf:3: [session kv] ack needs gamma, which spares doesn't allow: name it in both, or in neither\n");
	says(PEER "[session kv]\nspares = beta\n[sessions]\nack = gamma\n",
	     "test.conf:3: [session kv] ack needs gamma, which spares doesn't allow");
	says(PEER "[sessions]\nack = gamma\nspares = beta\n",
	     "test.conf:5: [sessions] ack needs gamma, which spares doesn't allow");
	assert_int_equal(parse(PEER "[session kv]\nspares = beta gamma\nack = gamma\n"), 0);
	assert_string_equal(errors, "");
	assert_int_equal(parse(PEER "name = beta\n[node]\nname = alpha\n[session kv]\nspares = alpha beta gama\n"), 0);
	assert_string_equal(errors, "test.conf:6: warning: [session kv] spares: gama is no peer of this host; as long as it has no section [peer gama], it can't be a spare of a session of this host\n");
}

static void as_many_sessions_as_there_is_room_for(void **state)
{
	char many[4096] = PEER "insecure = yes anywhere\n";
	size_t len;
	u32 i;

	(void)state;
	for (i = 0; i <= CONF_SESSIONS_MAX; i++) {
		len = strlen(many);
		snprintf(many + len, sizeof(many) - len, "[session s%u]\nalone = go-on\n", i);
		assert_int_equal(parse_as_is(many), i < CONF_SESSIONS_MAX ? 0 : -1);
	}
	assert_string_equal(errors, "test.conf:132: there are more than 64 sections [session NAME]\n");
}

static void a_session_has_its_own_failover(void **state)
{
	(void)state;
	/* What isn't given is as in [failover], wherever that stands. */
	assert_int_equal(parse(PEER "[session kv]\nfailover = auto\n[session db]\n"
			       "on_promote = /bin/false\n[failover]\non_promote = /bin/true\n"), 0);
	assert_string_equal(errors, "");
	assert_int_equal(conf_session(&conf, "kv")->failover, FAILOVER_AUTO);
	assert_string_equal(conf_session(&conf, "kv")->on_promote, "/bin/true");
	assert_int_equal(conf_session(&conf, "db")->failover, FAILOVER_MANUAL);
	assert_string_equal(conf_session(&conf, "db")->on_promote, "/bin/false");
	assert_int_equal(conf_session(&conf, "other")->failover, FAILOVER_MANUAL);
	assert_string_equal(conf_session(&conf, "other")->on_promote, "/bin/true");
	says(PEER "[session kv]\nfailover = never\n",
	     "test.conf:4: failover = never: allowed are manual, auto");
	says(PEER "[session kv]\non_promote = /tmp\n",
	     "test.conf:3: [session kv] on_promote = /tmp: can't be executed: not a file");
	says(PEER "[session kv]\non_promote = x\n",
	     "test.conf:4: on_promote = x: allowed are absolute paths");
	/* One that is inherited is a mistake of [failover] alone. */
	assert_int_equal(parse(PEER "[failover]\non_promote = /tmp\n[session kv]\nalone = block\n"), -1);
	assert_null(strstr(errors, "[session kv]"));
}

/* In order, but somebody expects something of it. */
static void a_rule_without_effect_is_a_warning(void **state)
{
	(void)state;
	assert_int_equal(parse(PEER "[session kv]\non_exit = failover\n"), 0);
	assert_string_equal(errors, "test.conf:3: warning: [session kv] on_exit = failover has no effect on this host: with failover = manual only a person promotes\n");
	assert_int_equal(parse(PEER "[session kv]\non_exit = failover\nfailover = auto\n"), 0);
	assert_string_equal(errors, "");
	assert_int_equal(parse(PEER "[session kv]\nalone = go-on\n[sessions]\non_exit = failover\n"), 0);
	assert_string_equal(errors, "");
	assert_int_equal(parse(PEER "name = beta\n[node]\nname = alpha\n[session kv]\nack = alpha beta gama\n"), 0);
	assert_non_null(strstr(errors, "test.conf:6: warning: [session kv] ack: gama is no peer of this host"));
	assert_null(strstr(errors, "alpha"));
	/* A peer of any name. */
	assert_int_equal(parse(PEER "[session kv]\nack = beta\n"), 0);
	assert_string_equal(errors, "");
}

static void session_changed(const char *section, const char *name, bool restart, void *arg)
{
	char *text = arg;

	sprintf(text + strlen(text), "%s %s%s;", section, name, restart ? " restart" : "");
}

static void a_changed_section_is_noticed(void **state)
{
	struct conf was;
	char text[256] = "";

	(void)state;
	assert_int_equal(parse(PEER "[session a]\non_exit = stay\n[session b]\non_exit = stay\n"), 0);
	was = conf;
	assert_int_equal(parse(PEER "[session c]\non_exit = stay\n[session b]\non_exit = stay\n"), 0);
	assert_int_equal(conf_changes(&conf, &was, session_changed, text), 2);
	assert_string_equal(text, "session c on_exit;session a on_exit;");
	was = conf;
	assert_int_equal(conf_changes(&conf, &was, session_changed, text), 0);
	*text = '\0';
	assert_int_equal(parse(PEER "[session c]\non_exit = stay\nfailover = auto\n"
			       "[session b]\non_exit = stay\non_promote = /bin/true\n"), 0);
	assert_int_equal(conf_changes(&conf, &was, session_changed, text), 2);
	assert_string_equal(text, "session c failover;session b on_promote;");
}

static void one_peer_only(void **state)
{
	(void)state;
	says(PEER PEER, "test.conf:4: 'address' in [peer] was given in line 2 already; a further peer has a section [peer NAME]");
	says(PEER "[peer2]\naddress = 192.0.2.3\n", "unknown section [peer2]");
}

#define NAMED	PEER "name = beta\n"
#define GAMMA	"[peer gamma]\naddress = 192.0.2.3\n"

static void further_peers_have_sections_of_their_own(void **state)
{
	char text[256] = "", many[1024] = NAMED;
	struct conf was;
	size_t len;
	u32 i;

	(void)state;
	assert_int_equal(parse(NAMED GAMMA "port = 7000\n[peer delta]\naddress = delta.example.org\n"), 0);
	assert_int_equal(conf.nr_peers, 3);
	assert_string_equal(conf.peers[1].name, "gamma");
	assert_int_equal(((struct sockaddr_in *)&conf.peers[1].addr)->sin_port, htons(7000));
	assert_string_equal(conf.peers[2].host, "delta.example.org");
	assert_int_equal(conf.peers[2].port, CONF_PORT);
	was = conf;
	assert_int_equal(parse(NAMED "[peer delta]\naddress = 192.0.2.9\n[peer eta]\naddress = ::1\n"), 0);
	assert_int_equal(conf_changes(&conf, &was, session_changed, text), 3);
	assert_string_equal(text, "peer delta address;peer eta name;peer gamma name;");
	says(PEER GAMMA, "with sections [peer NAME], [peer] needs a name and an address");
	says("[peer]\nname = beta\n" GAMMA, "with sections [peer NAME], [peer] needs a name and an address");
	says(NAMED "[peer gamma]\nport = 7000\n", "[peer gamma] has no address");
	says(NAMED "[peer beta]\naddress = 192.0.2.3\n", "[peer beta] has the name of the peer in [peer]");
	says("[node]\nname = gamma\n" NAMED GAMMA, "[peer gamma] is the name of this node itself");
	says(NAMED GAMMA "address = 192.0.2.4\n", "'address' in [peer gamma] was given already");
	says(NAMED GAMMA "psk_file = /key\n", "unknown key 'psk_file' in [peer gamma]; it has: address, port");
	says(NAMED "[peer gamma]\naddress = 0.0.0.0\n", "[peer gamma] address: ");
	for (i = 0; i < CONF_PEERS_MAX; i++) {
		len = strlen(many);
		snprintf(many + len, sizeof(many) - len, "[peer p%u]\naddress = ::1\n", i);
	}
	says(many, "there are more than 16 peers");
}

static void policies_of_acknowledgement(void **state)
{
	(void)state;
	assert_int_equal(parse(PEER "[sessions]\nack = 2\n[session kv]\nack = beta gamma\n"), 0);
	assert_string_equal(conf_session(&conf, "kv")->ack, "beta gamma");
	assert_string_equal(conf_session(&conf, "other")->ack, "2");
	says(PEER "[sessions]\nack = 0\n", "ack = 0: allowed are all, any, a number from 1 to 16");
}

static void a_bad_value_names_the_good_ones(void **state)
{
	(void)state;
	says(PEER "port = 0\n", "test.conf:3: port = 0: allowed are whole numbers from 1 to 65535");
	says(PEER "port = 65536\n", "from 1 to 65535");
	says(PEER "port = 12x\n", "from 1 to 65535");
	says(PEER "port = -1\n", "from 1 to 65535");
	says(PEER "port =\n", "from 1 to 65535");
	says(PEER "port = 99999999999999999999\n", "from 1 to 65535");
	says("[peer]\naddress = spare_1\n",
	     "test.conf:2: address = spare_1: allowed are IPv4 and IPv6 addresses in numbers");
	says("[peer]\naddress =\n", "addresses in numbers");
	says(PEER "[listen]\naddress = spare.example.org\n",
	     "test.conf:4: address = spare.example.org: allowed are IPv4 and IPv6 addresses in numbers (192.0.2.1, 2001:db8::1)");
	says(PEER "[node]\nname = a b\n", "1 to 63 of the characters");
	says(PEER "[node]\nlog_level = loud\n", "allowed are error, warning, notice, info, debug");
	says(PEER "[node]\ncontrol = run/x\n", "absolute paths");
	says(PEER "[failover]\nfailover = yes\n", "allowed are manual, auto");
	says(PEER "[listen]\nallow = all\n", "allowed are peer, any");
	says(PEER "[failover]\non_promote = /nonexistent\n", "can't be executed");
	says(PEER "[failover]\nfence_command = /nonexistent -o off\n",
	     "fence_command = /nonexistent: can't be executed: No such file");
	says(PEER "[failover]\nfence_command = fence_ipmilan -o off\n", "an absolute path");
	says(PEER "[failover]\nfence_command = /bin/true -p 'a b'\n", "there is no shell");
	says(PEER "[failover]\nfence_timeout_ms = 999\n", "from 1000 to 600000");
}

static void values_have_to_fit_together(void **state)
{
	(void)state;
	says(PEER "[failover]\ntimeout_ms = 399\n",
	     "test.conf:4: timeout_ms = 399 must be at least twice heartbeat_interval_ms = 200");
	says("[listen]\nport = 0\n", "nothing to do");
	says("[listen]\nport = 1\n", "nobody may connect");
	assert_int_equal(parse("[listen]\nallow = any\n"), 0);
	assert_int_equal(parse(PEER "[listen]\nport = 0\n"), 0);
}

static void fits(const char *text)
{
	if (parse(text))
		fail_msg("%s", errors);
}

static void addresses_that_cant_work(void **state)
{
	(void)state;
	says("[peer]\naddress = 0.0.0.0\n", "test.conf:2: [peer] address: it stands for no particular host");
	says("[peer]\naddress = ::\n", "test.conf:2: [peer] address: it stands for no");
	says("[peer]\naddress = ::ffff:0.0.0.0\n", "it stands for no particular host");
	says("[peer]\naddress = 224.0.0.1\n", "multicast");
	says("[peer]\naddress = ff02::1\n", "multicast");
	says("[peer]\naddress = 255.255.255.255\n", "broadcast");
	says("[peer]\naddress = 0.1.2.3\n", "an address in 0.0.0.0/8 isn't the address of a host");
	says("[peer]\naddress = 250.1.2.3\n", "reserved");
	says("[peer]\naddress = fe80::1\n", "link-local address needs its interface");
	fits("[peer]\naddress = fe80::1%lo\n");
	says(PEER "[listen]\naddress = 239.1.1.1\n", "test.conf:4: [listen] address: a multicast");
	says(PEER "[listen]\naddress = fe80::2\n", "test.conf:4: [listen] address: a link-local");
	fits(PEER "[listen]\naddress = 0.0.0.0\n");
}

static void a_peer_may_have_a_name(void **state)
{
	char text[400] = "[peer]\naddress = ";

	(void)state;
	fits("[peer]\naddress = spare.example.org\n");
	assert_string_equal(conf.peers[0].host, "spare.example.org");
	assert_int_equal(conf.peers[0].addr.ss_family, AF_UNSPEC);
	fits("[peer]\naddress = s-1\n");
	fits(PEER);
	assert_string_equal(conf.peers[0].host, "");
	/* A number that is mistyped is no name. */
	says("[peer]\naddress = 192.0.2.300\n", "allowed are");
	says("[peer]\naddress = 192.0.2\n.2\n", "neither a [section]");
	says("[peer]\naddress = 2001:db8::g\n", "allowed are");
	says("[peer]\naddress = spare..org\n", "allowed are");
	says("[peer]\naddress = -spare\n", "allowed are");
	says("[peer]\naddress = spare-.org\n", "allowed are");
	says("[peer]\naddress = spare.org.\n", "allowed are");
	says("[peer]\naddress = spare org\n", "allowed are");
	memset(text + strlen(text), 'x', 64);
	strcat(text, "\n");
	says(text, "allowed are");
	/* This host's own. */
	says("[peer]\naddress = localhost\n", "test.conf:2: [peer] address = localhost and its port are those of this node");
	fits("[peer]\naddress = localhost\nport = 4000\n");
}

static void ways_that_cant_work(void **state)
{
	(void)state;
	says(PEER "[listen]\naddress = 127.0.0.1\n", "test.conf:4: the [peer] can't connect: the [listen] address can be reached from this host only");
	says(PEER "[listen]\naddress = ::1\n", "from this host only");
	says(PEER "[listen]\naddress = 2001:db8::1\n", "test.conf:4: the [peer] can't connect: one address is IPv4");
	/* Somebody else may be meant. */
	fits(PEER "[listen]\nallow = any\naddress = 127.0.0.1\n");
	fits(PEER "[listen]\nallow = any\naddress = 2001:db8::1\n");
	fits(PEER "[listen]\naddress = 192.0.2.1\n");
	fits("[peer]\naddress = ::ffff:192.0.2.2\n[listen]\naddress = 192.0.2.1\n");
}

static void a_peer_that_is_this_node(void **state)
{
	char text[256];

	(void)state;
	says("[node]\nname = alpha\n" PEER "name = alpha\n",
	     "test.conf:5: [peer] name = alpha is the name of this node itself");
	assert_int_equal(parse(PEER), 0);
	snprintf(text, sizeof(text), PEER "name = %s\n", conf.name);
	says(text, "(its host name; [node] name gives it another one)");
	says("[peer]\naddress = 127.0.0.1\n", "test.conf:2: [peer] address and port are those of this node itself");
	says("[peer]\naddress = ::1\n", "this node itself");
	says("[peer]\naddress = 192.0.2.2\nport = 4000\n[listen]\naddress = 192.0.2.2\nport = 4000\n",
	     "test.conf:2: [peer] address and port");
	/* Two on one host have two ports, or two addresses. */
	fits("[peer]\naddress = 127.0.0.1\nport = 4000\n");
	fits("[peer]\naddress = 127.0.0.2\n[listen]\naddress = 127.0.0.1\n");
	fits("[peer]\naddress = 127.0.0.1\n[listen]\nport = 0\n");
}

static void an_address_of_an_interface_is_this_node(void **state)
{
	(void)state;
	says("[peer]\naddress = " MINE "\n",
	     "test.conf:2: [peer] address and port are those of this node itself");
	says("[peer]\naddress = ::ffff:" MINE "\n", "this node itself");
	says("[peer]\naddress = " MINE6 "\n", "this node itself");
	fits("[peer]\naddress = " MINE "\nport = 4000\n");
}

static void open_to_all(const char *text, const char *word)
{
	assert_int_equal(parse_as_is(text), -1);
	if (!strstr(errors, word))
		fail_msg("'%s' doesn't say '%s'", errors, word);
}

static void within(const char *text)
{
	if (parse_as_is(text))
		fail_msg("%s", errors);
}

#define PLAIN	"insecure = yes\n"

static void links_have_a_key_or_stay_here(void **state)
{
	static const char *const leave[] = {
		PEER PLAIN,
		"[peer]\naddress = spare.example.org\n" PLAIN,
		"[peer]\naddress = ::ffff:192.0.2.2\n" PLAIN,
		"[peer]\naddress = 2001:db8::2\n" PLAIN "[listen]\nport = 0\n",
		/* Anybody may connect, and from anywhere. */
		"[listen]\nallow = any\n[peer]\n" PLAIN,
		"[listen]\nallow = any\n[peer]\naddress = 127.0.0.1\nport = 4000\n" PLAIN,
		"[listen]\nallow = any\naddress = 192.0.2.2\n[peer]\n" PLAIN,
	};
	size_t i;

	(void)state;
	open_to_all(PEER, "test.conf: links have no key: make a certificate for this host ('cptdevctl pki init NAME'); or set psk_file in [peer] to a file that both hosts have ('cptdevctl key FILE' makes it); or set insecure = yes");
	open_to_all("[listen]\nallow = any\n", "links have no key");
	open_to_all("[peer]\naddress = 127.0.0.1\nport = 4000\n", "links have no key");
	open_to_all(PEER "insecure = no\n", "links have no key");
	open_to_all(PEER "insecure = maybe\n", "allowed are no, yes, yes anywhere");
	for (i = 0; i < sizeof(leave) / sizeof(leave[0]); i++)
		open_to_all(leave[i], "insecure = yes is for links within this host");
	within("[peer]\naddress = 127.0.0.1\nport = 4000\n" PLAIN);
	within("[peer]\naddress = ::1\nport = 4000\n" PLAIN);
	within("[peer]\naddress = ::ffff:127.0.0.2\nport = 4000\n" PLAIN);
	within("[peer]\naddress = localhost\nport = 4000\n" PLAIN "[listen]\naddress = 127.0.0.1\n");
	within("[listen]\naddress = ::1\nallow = any\n[peer]\n" PLAIN);
	within(PEER "insecure = yes anywhere\n");
	/* Nothing is linked: a program alone. */
	within("[node]\nprivate = master\n[listen]\nport = 0\n");
	open_to_all(PEER "psk_file = /nonexistent/key\n", "psk_file = /nonexistent/key: No such file");
	open_to_all(PEER "insecure = yes anywhere\npsk_file = /nonexistent/key\n",
		    "test.conf:3: psk_file and insecure exclude each other");
	open_to_all(PEER "pki_dir = /nonexistent\n", "test.conf:3: pki_dir = /nonexistent: cert.pem: No such file");
	open_to_all(PEER "insecure = yes anywhere\npki_dir = /nonexistent\n",
		    "test.conf:3: pki_dir and insecure exclude each other");
	open_to_all(PEER "psk_file = /nonexistent/key\npki_dir = /nonexistent\n",
		    "test.conf:4: psk_file and pki_dir exclude each other");
}

static void paths_that_cant_work(void **state)
{
	(void)state;
	says(PEER "[failover]\non_promote = /tmp\n", "test.conf:4: on_promote = /tmp: can't be executed: not a file");
	says(PEER "[node]\ncontrol = /run/cptdevd/\n", "test.conf:4: control = /run/cptdevd/: this is the name of a directory");
	says(PEER "[node]\ncontrol = /dev/null\n", "a file that isn't a socket is there");
	fits(PEER "[node]\ncontrol = /nonexistent/control\n");
}

static void all_mistakes_are_told_at_once(void **state)
{
	(void)state;
	says("[peer]\nport = 0\nfrob = 1\n[node]\nname = ?\n", "port = 0");
	assert_non_null(strstr(errors, "frob"));
	assert_non_null(strstr(errors, "name = ?"));
}

static void a_line_that_is_too_long_is_told(void **state)
{
	char text[600] = "[node]\nname = ";

	(void)state;
	memset(text + strlen(text), 'x', 400);
	strcat(text, "\n" PEER);
	says(text, "test.conf:2: the line is longer than");
	/* What comes after it is counted right. */
	strcat(text, "port = 0\n");
	says(text, "test.conf:5: port = 0");
}

static void a_file_that_isnt_there_is_told(void **state)
{
	FILE *to;
	size_t len;

	(void)state;
	to = open_memstream(&errors, &len);
	assert_int_equal(conf_read(&conf, "/nonexistent/file", to), -1);
	fclose(to);
	assert_non_null(strstr(errors, "/nonexistent/file: No such file"));
	assert_non_null(strstr(errors, "sample"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_teardown(fn, teardown)
		T(a_peers_address_is_enough),
		T(a_session_may_go_on_alone),
		T(held_output_has_a_service),
		T(every_key_is_taken),
		T(what_isnt_known_is_refused),
		T(sessions_have_sections_of_their_own),
		T(a_changed_section_is_noticed),
		T(one_peer_only),
		T(further_peers_have_sections_of_their_own),
		T(policies_of_acknowledgement),
		T(the_spares_of_a_session_are_named),
		T(as_many_sessions_as_there_is_room_for),
		T(a_session_has_its_own_failover),
		T(a_rule_without_effect_is_a_warning),
		T(a_bad_value_names_the_good_ones),
		T(values_have_to_fit_together),
		T(addresses_that_cant_work),
		T(a_peer_may_have_a_name),
		T(ways_that_cant_work),
		T(a_peer_that_is_this_node),
		T(an_address_of_an_interface_is_this_node),
		T(links_have_a_key_or_stay_here),
		T(paths_that_cant_work),
		T(all_mistakes_are_told_at_once),
		T(a_line_that_is_too_long_is_told),
		T(a_file_that_isnt_there_is_told),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("configuration", tests, NULL, NULL);
}
