// SPDX-License-Identifier: LGPL-2.1-or-later
/* cptdev-run: who has a file that has lost its name, see users.h. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "users.h"

struct file {
	dev_t device;
	ino_t inode;
};

/* Those that only the program has. */
static struct file *ours;
static size_t nr_ours;

static bool is_ours(const struct file *f)
{
	size_t i;

	for (i = 0; i < nr_ours; i++)
		if (ours[i].device == f->device && ours[i].inode == f->inode)
			return true;
	return false;
}

/* Without memory for it the next checkpoint looks again. */
static void keep(const struct file *f)
{
	struct file *v = reallocarray(ours, nr_ours + 1, sizeof(*v));

	if (!v)
		return;
	ours = v;
	v[nr_ours++] = *f;
}

static bool is_of_program(struct run_state *s, pid_t pid)
{
	uint32_t i;

	for (i = 0; i <= s->nr_others; i++)
		if (run_state_of(s, i)->process.host == pid)
			return true;
	return pid == getpid();
}

static bool maps_it(pid_t pid, const struct file *f)
{
	unsigned int major_nr, minor_nr;
	unsigned long long inode;
	char path[40], line[4096 + 128];
	bool found = false;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	while (maps && !found && fgets(line, sizeof(line), maps))
		found = sscanf(line, "%*x-%*x %*s %*x %x:%x %llu", &major_nr, &minor_nr, &inode) == 3 &&
			inode == f->inode && makedev(major_nr, minor_nr) == f->device;
	if (maps)
		fclose(maps);
	return found;
}

/* Links of other kinds aren't followed: some file systems take their time. */
static bool has_it_open(pid_t pid, const struct file *f)
{
	const char deleted[] = " (deleted)";
	char path[40], link[4096];
	struct dirent *entry;
	bool found = false;
	struct stat st;
	ssize_t n;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	d = opendir(path);
	while (d && !found && (entry = readdir(d))) {
		n = readlinkat(dirfd(d), entry->d_name, link, sizeof(link));
		if (n < (ssize_t)sizeof(deleted) ||
		    memcmp(link + n - (sizeof(deleted) - 1), deleted, sizeof(deleted) - 1))
			continue;
		found = !fstatat(dirfd(d), entry->d_name, &st, 0) && st.st_dev == f->device &&
			st.st_ino == f->inode;
	}
	if (d)
		closedir(d);
	return found;
}

pid_t run_users_outside(struct run_state *s, dev_t device, ino_t inode)
{
	const struct file f = { device, inode };
	struct dirent *entry;
	pid_t pid, found = 0;
	DIR *proc;

	if (is_ours(&f))
		return 0;
	proc = opendir("/proc");
	if (!proc)
		return -1;
	while (!found && (entry = readdir(proc))) {
		pid = (pid_t)atoi(entry->d_name);
		if (pid > 0 && !is_of_program(s, pid) && (maps_it(pid, &f) || has_it_open(pid, &f)))
			found = pid;
	}
	closedir(proc);
	if (!found)
		keep(&f);
	return found;
}
