// SPDX-License-Identifier: GPL-2.0-or-later
/* Entries of the journal, as journald's native protocol has them: this test is the journal. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "journal.h"

static char path[] = "/tmp/cptdev-journal-XXXXXX/socket";
static int journald = -1;
static char got[8192];

static void stream(unsigned long long inode)
{
	char text[64];
	struct stat st;

	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(text, sizeof(text), "%llu:%llu", (unsigned long long)st.st_dev,
		 inode ?: (unsigned long long)st.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", text, 1), 0);
}

static int begin(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	(void)state;
	strcpy(a.sun_path, path);
	journald = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	stream(0);
	return bind(journald, (struct sockaddr *)&a, sizeof(a));
}

static int end(void **state)
{
	(void)state;
	journal_close();
	close(journald);
	return unlink(path);
}

static const char *entry(void)
{
	ssize_t n = recv(journald, got, sizeof(got) - 1, MSG_DONTWAIT);

	assert_true(n > 0);
	got[n] = '\0';
	return got;
}

static void only_where_standard_error_leads_there(void **state)
{
	(void)state;
	assert_true(journal_open(path));
	stream(1);
	assert_false(journal_open(path));
	setenv("JOURNAL_STREAM", "nonsense", 1);
	assert_false(journal_open(path));
	unsetenv("JOURNAL_STREAM");
	assert_false(journal_open(path));
}

static void a_message_alone(void **state)
{
	const struct log_about nothing = { 0 };

	(void)state;
	assert_true(journal_open(path));
	assert_true(journal_write(LOG_WARNING, &nothing, "no link to the peer: a=b"));
	assert_string_equal(entry(),
			    "PRIORITY=4\nSYSLOG_IDENTIFIER=cptdevd\nMESSAGE=no link to the peer: a=b\n");
}

static void an_event_and_who_it_is_about(void **state)
{
	const uid_t uid = 1000;
	const struct log_about a = {
		.event = EVENT_PROMOTED, .session = "orders", .peer = "beta", .user = &uid,
	};

	(void)state;
	assert_true(journal_open(path));
	assert_true(journal_write(LOG_NOTICE, &a, "promoted orders"));
	assert_string_equal(entry(), "PRIORITY=5\nSYSLOG_IDENTIFIER=cptdevd\n"
			    "MESSAGE=promoted orders\n"
			    "MESSAGE_ID=bcae8967bcf04831987eee8d3667b1b4\nCPTDEV_EVENT=promoted\n"
			    "CPTDEV_SESSION=orders\nCPTDEV_PEER=beta\nCPTDEV_USER=1000\n");
}

/* Text of somebody else can't add a field of its own. */
static void a_value_with_a_newline(void **state)
{
	static const char text[] = "it said:\nCPTDEV_EVENT=promoted";
	const struct log_about nothing = { 0 };
	const char *message;
	size_t len;

	(void)state;
	assert_true(journal_open(path));
	assert_true(journal_write(LOG_ERR, &nothing, text));
	message = strstr(entry(), "\nMESSAGE\n");
	assert_non_null(message);
	message += strlen("\nMESSAGE\n");
	/* Of eight bytes, little-endian. */
	len = (unsigned char)message[0];
	assert_int_equal(len, strlen(text));
	assert_memory_equal(message + 1, "\0\0\0\0\0\0\0", 7);
	assert_memory_equal(message + 8, text, len);
	assert_string_equal(message + 8 + len, "\n");
}

/* A monitor finds one kind by its number. */
static void each_event_has_a_number_of_its_own(void **state)
{
	char seen[EVENT_PERSON + 1][33];
	unsigned int e, i;
	const char *id;

	(void)state;
	assert_true(journal_open(path));
	for (e = EVENT_NONE + 1; e <= EVENT_PERSON; e++) {
		assert_true(journal_write(LOG_ERR, &(struct log_about) { .event = e }, "x"));
		id = strstr(entry(), "\nMESSAGE_ID=");
		assert_non_null(id);
		id += strlen("\nMESSAGE_ID=");
		assert_int_equal(strspn(id, "0123456789abcdef"), 32);
		memcpy(seen[e], id, 32);
		for (i = EVENT_NONE + 1; i < e; i++)
			assert_memory_not_equal(seen[i], seen[e], 32);
		assert_non_null(strstr(got, "\nCPTDEV_EVENT="));
	}
}

/* A journal that doesn't read, or is gone: the message goes to standard error instead. */
static void a_journal_that_takes_nothing(void **state)
{
	const struct log_about nothing = { 0 };
	unsigned int n = 0;

	assert_true(journal_open(path));
	while (journal_write(LOG_INFO, &nothing, "nobody reads this"))
		assert_true(++n < 1000000);
	assert_int_equal(errno, EAGAIN);
	assert_non_null(strstr(entry(), "nobody reads this"));
	assert_true(journal_write(LOG_INFO, &nothing, "there is room again"));
	assert_int_equal(end(state), 0);
	assert_int_equal(begin(state), 0);
	assert_true(journal_open(path));
	close(journald);
	assert_false(journal_write(LOG_INFO, &nothing, "nobody is there"));
	journald = -1;
}

#define test(name)	cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(only_where_standard_error_leads_there),
		test(a_message_alone),
		test(an_event_and_who_it_is_about),
		test(a_value_with_a_newline),
		test(each_event_has_a_number_of_its_own),
		test(a_journal_that_takes_nothing),
	};
	char *slash = strrchr(path, '/');
	int ret;

	*slash = '\0';
	if (!mkdtemp(path))
		return 1;
	*slash = '/';
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	*slash = '\0';
	rmdir(path);
	return ret;
}
