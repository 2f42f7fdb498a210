// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl check: looking at the machine. Nothing is changed and nothing is decided. */
#include <errno.h>
#include <glob.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/capability.h>

#include "check.h"
#include "client.h"

#define SECURE_BOOT \
	"/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

/* So long a link may take to be established, and so often is looked at it. */
#define LINKING_MAX_MS	5000
#define LINKING_STEP_MS	50

#ifndef CAP_CHECKPOINT_RESTORE
#define CAP_CHECKPOINT_RESTORE 40
#endif

/* The first line of a file without its end, false if it can't be read. */
static bool first_line(const char *path, char *line, size_t size)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(line, size, f);

	if (f)
		fclose(f);
	if (!ok)
		*line = '\0';
	line[strcspn(line, "\n")] = '\0';
	return ok;
}

/* The word in brackets of "always [madvise] never". */
static void bracketed(const char *path, char *word, size_t size)
{
	char line[128], *begin, *end;

	*word = '\0';
	if (!first_line(path, line, sizeof(line)))
		return;
	begin = strchr(line, '[');
	end = begin ? strchr(begin, ']') : NULL;
	if (!end)
		return;
	*end = '\0';
	snprintf(word, size, "%s", begin + 1);
}

static enum tri yes_or_no(const char *path)
{
	char line[16];

	if (!first_line(path, line, sizeof(line)))
		return UNKNOWN;
	return *line == 'Y' || *line == '1' ? YES : NO;
}

/* Four bytes of attributes, then the value. */
static enum tri secure_boot(void)
{
	FILE *f = fopen(SECURE_BOOT, "re");
	unsigned char value[5];
	bool ok = f && fread(value, sizeof(value), 1, f) == 1;

	if (f)
		fclose(f);
	return ok ? (value[4] ? YES : NO) : UNKNOWN;
}

/* Is there a line with the word in a file of /lib/modules? */
static bool depmod_knows(const char *release)
{
	char path[256], line[1024];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", release);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, "/cptdev.ko") != NULL;
	if (f)
		fclose(f);
	return found;
}

/*
 * The log of a build that failed: of one that worked, DKMS moves it elsewhere. Its first line names
 * the kernel. Only root may see it, as a rule.
 */
static void failed_build(struct facts *f)
{
	char line[512], words[160];
	glob_t logs;
	size_t i;

	snprintf(words, sizeof(words), " kernel %s ", f->release);
	if (glob("/var/lib/dkms/cptdev/*/build/make.log", 0, NULL, &logs))
		return;
	for (i = 0; i < logs.gl_pathc; i++)
		if (first_line(logs.gl_pathv[i], line, sizeof(line)) && strstr(line, words))
			snprintf(f->build_log, sizeof(f->build_log), "%s", logs.gl_pathv[i]);
	globfree(&logs);
}

static bool any(const char *pattern)
{
	glob_t found;
	bool there = !glob(pattern, 0, NULL, &found);

	if (there)
		globfree(&found);
	return there;
}

/* The module may be compressed: modinfo knows how to read it. */
static void source_found(char *text, size_t size)
{
	FILE *f = popen("PATH=$PATH:/usr/sbin:/sbin modinfo -F srcversion cptdev 2>/dev/null", "re");

	if (!f)
		return;
	if (!fgets(text, size, f))
		*text = '\0';
	text[strcspn(text, "\n")] = '\0';
	pclose(f);
}

static void gather_module(struct facts *f)
{
	char path[256];

	first_line("/sys/module/cptdev/srcversion", f->source_loaded, sizeof(f->source_loaded));
	source_found(f->source_found, sizeof(f->source_found));
	f->dkms = any("/usr/src/cptdev-*/dkms.conf");
	failed_build(f);
	f->loaded = !access("/sys/module/cptdev", F_OK);
	first_line("/sys/module/cptdev/version", f->version, sizeof(f->version));
	f->installed = depmod_knows(f->release);
	snprintf(path, sizeof(path), "/lib/modules/%s/build/Makefile", f->release);
	f->headers = !access(path, F_OK);
	f->secure_boot = secure_boot();
	f->sig_enforce = yes_or_no("/sys/module/module/parameters/sig_enforce");
	bracketed("/sys/kernel/security/lockdown", f->lockdown, sizeof(f->lockdown));
}

static bool member_of(gid_t gid)
{
	gid_t list[1024];
	int n = getgroups(ARRAY_SIZE(list), list);

	if (getegid() == gid)
		return true;
	while (n > 0)
		if (list[--n] == gid)
			return true;
	return false;
}

static bool has_capability(void)
{
	char line[256];
	bool found = false;
	FILE *f = fopen("/proc/self/status", "re");
	u64 caps = 0;

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "CapEff: %llx", &caps) == 1;
	if (f)
		fclose(f);
	return caps & ((1ULL << CAP_CHECKPOINT_RESTORE) | (1ULL << CAP_SYS_ADMIN));
}

static void gather_device(struct facts *f, struct kernel *k)
{
	struct stat st;
	struct group *group;
	int fd;

	f->root = geteuid() == 0;
	f->capable = has_capability();
	f->device = !stat(CPTDEV_DEVICE, &st);
	if (f->device) {
		f->device_mode = st.st_mode & 07777;
		f->device_gid = st.st_gid;
		f->in_group = member_of(st.st_gid);
		group = getgrgid(st.st_gid);
		snprintf(f->device_group, sizeof(f->device_group), "%s",
			 group ? group->gr_name : "?");
	}
	fd = k->ops->open(k);
	f->open_err = fd < 0 ? -fd : 0;
	if (fd >= 0)
		k->ops->close(k, fd);
	f->info_err = -kernel_info(k, &f->info);
}

static void ignore(const struct kernel_event *ev, void *arg)
{
	(void)ev;
	(void)arg;
}

static u64 swap_kib(void)
{
	FILE *f = fopen("/proc/swaps", "re");
	u64 sum = 0, size;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %*s %llu", &size) == 1)
			sum += size;
	if (f)
		fclose(f);
	return sum;
}

/*
 * An attempt to link to a peer that is under way is no finding yet: right after the start of a
 * daemon, or of its peer, it is the rule.
 */
static bool linking(struct json_object *daemon)
{
	struct json_object *peers = js_at(daemon, "peers");
	size_t i, n = peers ? json_object_array_length(peers) : 0;
	const char *state;

	for (i = 0; i < n; i++) {
		state = js_get_str(js_at(json_object_array_get_idx(peers, i), "outgoing"), "state");
		if (state && (!strcmp(state, "connecting") || !strcmp(state, "greeting")))
			return true;
	}
	return false;
}

/* What the daemon says once it isn't linking any more, or after LINKING_MAX_MS. */
static void gather_daemon(struct facts *f)
{
	unsigned int waited = 0;

	f->daemon = client_status(f->socket, &f->daemon_err, f->daemon_why,
				  sizeof(f->daemon_why));
	while (f->daemon && linking(f->daemon) && waited < LINKING_MAX_MS) {
		usleep(LINKING_STEP_MS * 1000);
		waited += LINKING_STEP_MS;
		json_object_put(f->daemon);
		f->daemon = client_status(f->socket, &f->daemon_err, f->daemon_why,
					  sizeof(f->daemon_why));
	}
}

void facts_gather_module(struct facts *f)
{
	struct utsname uts;

	memset(f, 0, sizeof(*f));
	uname(&uts);
	snprintf(f->release, sizeof(f->release), "%s", uts.release);
	snprintf(f->machine, sizeof(f->machine), "%s", uts.machine);
	gather_module(f);
}

void facts_gather(struct facts *f, struct kernel *k, const char *socket)
{
	facts_gather_module(f);
	gather_device(f, k);
	f->family_err = -k->ops->dump(k, CPTDEV_CMD_SESSION_GET, ignore, NULL);
	bracketed("/sys/kernel/mm/transparent_hugepage/enabled", f->thp, sizeof(f->thp));
	f->ksm = yes_or_no("/sys/kernel/mm/ksm/run");
	f->swap_kib = swap_kib();
	snprintf(f->socket, sizeof(f->socket), "%s", socket);
	gather_daemon(f);
}

void facts_free(struct facts *f)
{
	json_object_put(f->daemon);
}
