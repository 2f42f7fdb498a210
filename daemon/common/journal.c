// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The journal with fields, so that a monitor needn't read sentences: what happened (MESSAGE_ID,
 * CPTDEV_EVENT), to which session, with which peer, and by which user.
 *
 * The format is that of journald's native protocol: a datagram of lines FIELD=value; a value
 * with newlines in it is FIELD, a newline, the length in 64 bits little-endian, the value and a
 * newline. libsystemd's sd_journal_sendv() isn't used, because it waits for a journal that
 * doesn't read, and nobody who reads the log may stop the daemon.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "journal.h"
#include "types.h"

/* Made once, at random. cptdevd(8) has the same table: a monitor may look for them for ever. */
static const struct {
	const char *word, *id;
} events[] = {
	[EVENT_NONE] = { NULL, NULL },
	[EVENT_PROMOTED] = { "promoted", "bcae8967bcf04831987eee8d3667b1b4" },
	[EVENT_FENCED] = { "fenced", "c143de8e17904e7aa3fbe1e74675f5d8" },
	[EVENT_SPLIT_BRAIN] = { "split-brain", "ffd51e74bb654ac284f962cb596b1e61" },
	[EVENT_DATA_LOST] = { "data-lost", "d71445ca55ef4d05995aca0374b0480c" },
	[EVENT_RESOLVED] = { "resolved", "3a9dabf7e3eb41898fdc84d130e35324" },
	[EVENT_ALONE] = { "alone", "cefca5ddc5474e449da687851095acf8" },
	[EVENT_BLOCKED] = { "blocked", "b72f95efbece42ca960b37b7da1b9e58" },
	[EVENT_UNBLOCKED] = { "unblocked", "ba59bc2984e840d295b91757cd64ba81" },
	[EVENT_HUNG] = { "hung", "64047cba8e394fffb65a21fec885d694" },
	[EVENT_LINK_MADE] = { "link-made", "71a660b9f3e64e8d91d4e60a8fbe61b4" },
	[EVENT_LINK_LOST] = { "link-lost", "707b3dd311a74521a53a604e9fac2dba" },
	[EVENT_PEER_DEAD] = { "peer-dead", "fc9e488d59f74956b22c41e50059f252" },
	[EVENT_PERSON] = { "person", "52110a80b5f3408388e5e7a07458b3da" },
	[EVENT_VERIFY_MISMATCH] = { "verify-mismatch", "be9c385513bb45bc842ddc8b67b6d4e7" },
};

static int journal = -1;
static struct sockaddr_un address = { .sun_family = AF_UNIX };

/* Standard error may lead elsewhere by now: the variable has its device and inode. */
static bool is_stderr(const char *stream)
{
	unsigned long long dev, ino;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
	       !fstat(STDERR_FILENO, &st) && st.st_dev == dev && st.st_ino == ino;
}

bool journal_open(const char *path)
{
	journal_close();
	if (!is_stderr(getenv("JOURNAL_STREAM")) || strlen(path) >= sizeof(address.sun_path))
		return false;
	strcpy(address.sun_path, path);
	journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return journal >= 0;
}

void journal_close(void)
{
	if (journal >= 0)
		close(journal);
	journal = -1;
}

struct entry {
	char text[2400];
	size_t len;
};

/* A field that doesn't fit is left out. */
static void put(struct entry *e, const char *field, const char *value)
{
	size_t name = strlen(field), len = strlen(value);
	u64 le = htole64(len);
	char *to = e->text + e->len;

	if (name + len + sizeof(le) + 3 > sizeof(e->text) - e->len)
		return;
	to = mempcpy(to, field, name);
	if (strchr(value, '\n')) {
		*to++ = '\n';
		to = mempcpy(to, &le, sizeof(le));
	} else {
		*to++ = '=';
	}
	to = mempcpy(to, value, len);
	*to++ = '\n';
	e->len = to - e->text;
}

static void put_number(struct entry *e, const char *field, unsigned long long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", value);
	put(e, field, text);
}

bool journal_write(int level, const struct log_about *about, const char *text)
{
	struct entry e = { .len = 0 };

	put_number(&e, "PRIORITY", level);
	put(&e, "SYSLOG_IDENTIFIER", "cptdevd");
	put(&e, "MESSAGE", text);
	if (about->event) {
		put(&e, "MESSAGE_ID", events[about->event].id);
		put(&e, "CPTDEV_EVENT", events[about->event].word);
	}
	if (about->session)
		put(&e, "CPTDEV_SESSION", about->session);
	if (about->peer)
		put(&e, "CPTDEV_PEER", about->peer);
	if (about->user)
		put_number(&e, "CPTDEV_USER", *about->user);
	return sendto(journal, e.text, e.len, MSG_DONTWAIT | MSG_NOSIGNAL,
		      (struct sockaddr *)&address, sizeof(address)) == (ssize_t)e.len;
}
