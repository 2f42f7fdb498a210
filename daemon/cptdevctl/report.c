// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptdevctl report: one archive for a report of a problem. Each file in it is the output of one
 * command, with what the command said of errors and how it ended. No file of a key is read.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "ctl.h"

#define SELF	"/proc/self/exe"

/* Each command takes that long at most, unless --timeout says otherwise; timeout(1) ends it. */
#define COMMAND_S	20

static const struct part {
	const char *file;
	const char *argv[8];		/* behind "timeout SECONDS" */
} parts[] = {
	{ "version.txt", { SELF, "version" } },
	{ "check.txt", { SELF, "check" } },
	{ "status.txt", { SELF, "status", "--check" } },
	{ "status.json", { SELF, "status", "--json" } },
	{ "metrics.txt", { SELF, "metrics" } },
	{ "cptdevd.conf", { "cat", SYSCONFDIR "/cptdev/cptdevd.conf" } },
	{ "daemon.txt", { "systemctl", "--no-pager", "show", "cptdevd.service" } },
	{ "journal.txt", { "journalctl", "--no-pager", "-o", "short-iso-precise", "-n", "5000",
			   "-ucptdevd" } },
	{ "kernel.txt", { "sh", "-c", "dmesg --time-format iso | grep -iE 'cptdev|warning|bug:|oops|oom' || test $? = 1" } },
	{ "module.txt", { "sh", "-c", "modinfo cptdev; grep -r . /sys/module/cptdev/parameters" } },
	{ "uname.txt", { "uname", "-a" } },
	{ "os-release.txt", { "cat", "/etc/os-release" } },
	{ "meminfo.txt", { "cat", "/proc/meminfo" } },
};

/* Its last lines tell how a command ended that failed: that is a fact as well. */
static int add(const struct ctl *c, int dir, const char *self, const struct part *p)
{
	char seconds[16];
	const char *argv[16] = { "timeout", seconds };
	size_t i, n = 2;
	int fd, ret;

	snprintf(seconds, sizeof(seconds), "%u", c->timeout_s ? c->timeout_s : COMMAND_S);
	fd = openat(dir, p->file, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	for (i = 0; i < ARRAY_SIZE(p->argv) && p->argv[i]; i++)
		argv[n++] = i || strcmp(p->argv[i], SELF) ? p->argv[i] : self;
	if (argv[2] == self) {
		argv[n++] = "--socket";
		argv[n++] = c->socket;
	}
	ret = child_run(argv, -1, fd, fd);
	if (ret < 0)
		dprintf(fd, "[%s couldn't be run: %s]\n", argv[0], strerror(-ret));
	else if (ret)
		dprintf(fd, "[exit status %d]\n", ret);
	return close(fd) ? -errno : 0;
}

static void remove_all(int dir, const char *path)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(parts); i++)
		unlinkat(dir, parts[i].file, 0);
	rmdir(path);
}

/* Collects the parts in @path, and packs them into @fd, which is a new file. */
static int collect(const struct ctl *c, const char *path, int fd)
{
	const char *const tar[] = { "tar", "-C", path, "-cz", ".", NULL };
	char self[PATH_MAX];
	int dir, ret = 0;
	ssize_t len;
	size_t i;

	len = readlink(SELF, self, sizeof(self) - 1);
	if (len < 0)
		return -errno;
	self[len] = '\0';
	dir = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	for (i = 0; i < ARRAY_SIZE(parts) && !ret; i++)
		ret = add(c, dir, self, &parts[i]);
	if (!ret)
		ret = child_run(tar, -1, fd, fd);
	remove_all(dir, path);
	close(dir);
	if (!ret && fsync(fd) && errno != EINVAL)
		ret = -errno;
	return ret > 0 ? -EIO : ret;
}

static void name_now(char *name, size_t size)
{
	char host[64] = "host", when[32];
	time_t now = time(NULL);
	struct tm tm;

	gethostname(host, sizeof(host) - 1);
	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
	snprintf(name, size, "cptdev-report-%s-%s.tar.gz", host, when);
}

static int write_report(const struct ctl *c, const char *name)
{
	char path[] = "/tmp/cptdev-report-XXXXXX";
	int fd, ret;

	/* It shows what runs on this host: nobody else's to read. */
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	ret = mkdtemp(path) ? collect(c, path, fd) : -errno;
	if (close(fd) && !ret)
		ret = -errno;
	if (ret)
		unlink(name);
	return ret;
}

int verb_report(struct ctl *c, int argc, char **argv)
{
	char made[160];
	const char *name = made;
	int ret;

	if (argc > 1)
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl --help",
				"report takes one file to write");
	if (argc)
		name = argv[0];
	else
		name_now(made, sizeof(made));
	ret = write_report(c, name);
	if (ret)
		return ctl_fail(c, EXIT_FAILED, "file", ret == -EEXIST ? "choose another name" :
				"cptdevctl report FILE, in a directory that you may write to",
				"no report was written to %s: %s", name, strerror(-ret));
	c->changed = true;
	if (c->json) {
		struct json_object *o = js_document();

		js_str(o, "file", name);
		ctl_print_json(c, o);
	} else {
		fprintf(c->out, "%s: a report. It has names, addresses and log lines of this host, and no keys: read it before you send it\n",
			name);
	}
	return EXIT_DONE;
}
