// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: the attributes of a program that /proc tells, see proc.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proc.h"

void run_process_free(struct run_process *p)
{
	free(p->exe);
	free(p->directory);
	free(p->pending.v);
	free(p->cpu);
	run_timers_free(&p->timers);
	*p = (struct run_process) { 0 };
}

int64_t run_clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int run_proc_line(pid_t pid, const char *file, const char *key, char *text, size_t len)
{
	char path[64], line[4096];
	size_t n = strlen(key);
	int ret = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	f = fopen(path, "re");
	while (f && ret && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, n) || !strchr(": \t", line[n]))
			continue;
		line[strcspn(line, "\n")] = 0;
		snprintf(text, len, "%s", line + n + strspn(line + n, ": \t"));
		ret = 0;
	}
	if (f)
		fclose(f);
	return ret;
}

pid_t run_process_of(pid_t tid)
{
	char text[32];

	return run_proc_line(tid, "status", "Tgid", text, sizeof(text)) ? -1 : (pid_t)atoi(text);
}

/* The last one in the line: that of the innermost space. -1: there is no such line. */
static long last_number(pid_t pid, const char *key)
{
	char text[256], *last;

	if (run_proc_line(pid, "status", key, text, sizeof(text)))
		return -1;
	last = strrchr(text, '\t');
	return strtol(last ? last + 1 : text, NULL, 10);
}

pid_t run_number(pid_t pid, const char *key)
{
	return (pid_t)last_number(pid, key);
}

static uint64_t hex_number(pid_t pid, const char *key)
{
	char text[64];

	return run_proc_line(pid, "status", key, text, sizeof(text)) ? 0 : strtoull(text, NULL, 16);
}

static char *link_of(pid_t pid, const char *name)
{
	char path[64], text[PATH_MAX + 16];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	n = readlink(path, text, sizeof(text) - 1);
	if (n < 0)
		return NULL;
	text[n] = 0;
	return strdup(text);
}

static bool same_link(pid_t a, pid_t b, const char *name)
{
	char *x = link_of(a, name), *y = link_of(b, name);
	bool same = x && y && !strcmp(x, y);

	free(x);
	free(y);
	return same;
}

static bool same_line(pid_t a, pid_t b, const char *key)
{
	char x[4096], y[4096];

	return !run_proc_line(a, "status", key, x, sizeof(x)) &&
		!run_proc_line(b, "status", key, y, sizeof(y)) && !strcmp(x, y);
}

/*
 * What is refused
 */

static void check_likeness(pid_t pid, pid_t like, struct run_report *r)
{
	static const char *const spaces[] = { "mnt", "net", "uts", "ipc", "user" };
	static const char *const lines[] = { "Uid", "Gid", "Groups", "CapPrm", "CapEff" };
	char name[16];
	size_t i;

	for (i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
		snprintf(name, sizeof(name), "ns/%s", spaces[i]);
		if (!same_link(pid, like, name))
			run_refused(r, "process %d: it has a '%s' namespace of its own (unshare)", pid,
				    spaces[i]);
	}
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (!same_line(pid, like, lines[i]))
			run_refused(r, "process %d: its credentials (%s) differ from those of cptdev-run: "
				    "start cptdev-run as that user", pid, lines[i]);
	if (!same_link(pid, like, "root"))
		run_refused(r, "process %d: it has another root directory (chroot)", pid);
}

static void check_seccomp(pid_t pid, struct run_report *r)
{
	if (last_number(pid, "Seccomp") > 0)
		run_refused(r, "process %d: a seccomp filter, which may forbid what is needed", pid);
}

static void check_session(struct run_process *p, pid_t pid, const char *stat, struct run_report *r)
{
	int tty = 0;

	sscanf(stat, "%*c %*d %*d %*d %d", &tty);
	p->session = run_number(pid, "NSsid");
	p->group = run_number(pid, "NSpgid");
	p->leads_session = p->session == p->pid;
	p->leads_group = p->group == p->pid;
	if (p->leads_session && tty)
		run_refused(r, "process %d: it leads a session that has a terminal", pid);
}

/*
 * What is read
 */

/* What is behind the name in /proc/PID/stat, which begins with the third field. */
static int read_stat(pid_t pid, char *text, size_t len)
{
	char path[40], buf[2048], *name_end;
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	n = f ? fread(buf, 1, sizeof(buf) - 1, f) : 0;
	if (f)
		fclose(f);
	buf[n] = 0;
	name_end = strrchr(buf, ')');
	if (!name_end || !name_end[1])
		return -1;
	snprintf(text, len, "%s", name_end + 2);
	return 0;
}

int64_t run_stat(pid_t pid, int field)
{
	char stat[2048];
	const char *s = stat;

	if (read_stat(pid, stat, sizeof(stat)))
		return -1;
	for (; s && field > 3; field--) {
		s = strchr(s, ' ');
		s = s ? s + 1 : NULL;
	}
	return s ? strtoll(s, NULL, 10) : -1;
}

static void read_mm(struct run_process *p, const char *stat)
{
	static const struct {
		int field;
		enum run_mm mm;
	} of[] = {
		{ 26, RUN_START_CODE }, { 27, RUN_END_CODE }, { 28, RUN_START_STACK },
		{ 45, RUN_START_DATA }, { 46, RUN_END_DATA }, { 47, RUN_START_BRK },
		{ 48, RUN_ARG_START }, { 49, RUN_ARG_END }, { 50, RUN_ENV_START },
		{ 51, RUN_ENV_END },
	};
	uint64_t field[53] = { 0 };
	const char *s = stat;
	size_t i;
	int n;

	for (n = 3; n < 53 && s; n++) {
		field[n] = strtoull(s, NULL, 10);
		s = strchr(s, ' ');
		s = s ? s + 1 : NULL;
	}
	for (i = 0; i < sizeof(of) / sizeof(of[0]); i++)
		p->mm[of[i].mm] = field[of[i].field];
}

static int read_auxv(struct run_process *p, pid_t pid)
{
	char path[40];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, p->auxv, sizeof(p->auxv));
	if (fd >= 0)
		close(fd);
	p->auxv_len = n < 0 ? 0 : (uint32_t)n & ~15U;
	return n < 0 ? -1 : 0;
}

/* What a time namespace adds to the clock, in nanoseconds. */
static int64_t clock_offset(pid_t pid, const char *clock)
{
	char text[64];
	long long s, ns;

	if (run_proc_line(pid, "timens_offsets", clock, text, sizeof(text)) ||
	    sscanf(text, "%lld %lld", &s, &ns) != 2)
		return 0;
	return s * 1000000000LL + ns;
}

static void read_clocks(struct run_process *p, pid_t pid)
{
	p->realtime_ns = run_clock_ns(CLOCK_REALTIME);
	p->monotonic_ns = run_clock_ns(CLOCK_MONOTONIC) + clock_offset(pid, "monotonic") -
		clock_offset(getpid(), "monotonic");
	p->boottime_ns = run_clock_ns(CLOCK_BOOTTIME) + clock_offset(pid, "boottime") -
		clock_offset(getpid(), "boottime");
}

char *run_cpu_flags(void)
{
	char *line = NULL, *flags = NULL;
	size_t size = 0;
	FILE *f = fopen("/proc/cpuinfo", "re");

	while (f && !flags && getline(&line, &size, f) > 0)
		if (!strncmp(line, "flags", 5) && strchr(line, ':'))
			flags = strdup(strchr(line, ':') + 2);
	if (f)
		fclose(f);
	free(line);
	if (flags)
		flags[strcspn(flags, "\n")] = 0;
	return flags;
}

int run_thread_names(pid_t pid, struct run_thread *t)
{
	char file[40], text[256], *last;

	snprintf(file, sizeof(file), "task/%d/status", t->host);
	if (run_proc_line(pid, file, "NSpid", text, sizeof(text)))
		return -1;
	last = strrchr(text, '\t');
	t->tid = (pid_t)strtol(last ? last + 1 : text, NULL, 10);
	if (run_proc_line(pid, file, "Name", text, sizeof(text)))
		return -1;
	snprintf(t->comm, sizeof(t->comm), "%.15s", text);
	return 0;
}

static bool was_deleted(const char *path)
{
	size_t n = strlen(path), m = strlen(" (deleted)");

	return n > m && !strcmp(path + n - m, " (deleted)");
}

int run_process_read(struct run_process *p, pid_t pid, pid_t like, struct run_signs *signs,
		     struct run_report *r, struct hs_error *e)
{
	char stat[2048], text[256];
	int i;

	*p = (struct run_process) {
		.host = pid, .pid = run_number(pid, "NSpid"), .parent = p->parent,
	};
	p->exe = link_of(pid, "exe");
	p->directory = link_of(pid, "cwd");
	if (p->pid <= 0 || !p->exe || !p->directory || read_stat(pid, stat, sizeof(stat)) ||
	    read_auxv(p, pid) || run_proc_line(pid, "status", "Umask", text, sizeof(text)))
		return hs_fail(e, errno ?: ESRCH, "process %d: /proc can't be read: %s", pid,
			       strerror(errno ?: ESRCH));
	p->umask = (mode_t)strtoul(text, NULL, 8) & 0777;
	if (!run_proc_line(pid, "status", "Name", text, sizeof(text)))
		snprintf(p->comm, sizeof(p->comm), "%.15s", text);
	if (was_deleted(p->exe))
		run_refused(r, "the program's file %s was deleted or replaced: start the program "
			    "again", p->exe);
	if (was_deleted(p->directory))
		run_refused(r, "the current directory %s was deleted", p->directory);
	read_mm(p, stat);
	read_clocks(p, pid);
	for (i = 0; i < RLIM_NLIMITS; i++)
		prlimit(pid, (__rlimit_resource_t)i, NULL, &p->limit[i]);
	p->no_new_privileges = last_number(pid, "NoNewPrivs") > 0;
	signs->caught = hex_number(pid, "SigCgt");
	signs->ignored = hex_number(pid, "SigIgn");
	p->cpu = run_cpu_flags();
	check_likeness(pid, like, r);
	check_seccomp(pid, r);
	check_session(p, pid, stat, r);
	if (signs->ignored & 1ULL << (SIGTRAP - 1))
		run_refused(r, "process %d: it ignores SIGTRAP, which the tracer needs", pid);
	return 0;
}
