// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: the environment at the start. Addresses must be the same in both processes, so
 * the program becomes itself once more without address randomisation. Whatever takes that back
 * takes it back each time: it is tried once, which a mark in the environment tells the second
 * start. The mark has the process's number, since children inherit it.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "arena.h"
#include "checkpoint.h"
#include "environment.h"
#include "js.h"

#define MARK	"HOTSPARE_STARTED"
/* Up to this the stack's limit doesn't move mappings: the kernel leaves that much in any case. */
#define LEAST_GAP	(128ULL << 20)

/*
 * Without address randomisation
 */

static bool tried_before(void)
{
	const char *mark = getenv(MARK);

	return mark && atol(mark) == (long)getpid();
}

static int taken_back(struct hs_error *e)
{
	unsetenv(MARK);
	if (getauxval(AT_SECURE))
		return hs_fail(e, EPERM, "address randomisation is always on in a program that "
			       "gains rights by exec (set-user-id, capabilities of its file): "
			       "start it without these rights, as the user as which it has to run");
	return hs_fail(e, EPERM, "address randomisation was switched off, and is on again after "
		       "exec: a security profile (seccomp, AppArmor) undoes this: allow "
		       "personality(2) with ADDR_NO_RANDOMIZE in the profile");
}

static void set_mark(void)
{
	char pid[24];

	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	setenv(MARK, pid, 1);
	/* Everything that the loader binds is bound at the start. */
	setenv("LD_BIND_NOW", "1", 1);
}

int hs_start_anew(char **argv, struct hs_error *e)
{
	int now = personality(0xffffffff);
	char path[PATH_MAX];
	ssize_t n;

	if (now >= 0 && now & ADDR_NO_RANDOMIZE) {
		unsetenv(MARK);
		return 0;
	}
	if (tried_before())
		return taken_back(e);
	if (now < 0 || personality((unsigned long)now | ADDR_NO_RANDOMIZE) < 0)
		return hs_fail(e, EPERM, "address randomisation can't be switched off here: a security "
			       "profile forbids personality(2): allow it, or start the program outside "
			       "of the profile with setarch -R");
	n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = 0;
	set_mark();
	fflush(NULL);
	/* With somebody else's rights a name may lead elsewhere by now. */
	if (!getauxval(AT_SECURE))
		execv(path, argv);
	execv("/proc/self/exe", argv);
	return hs_fail(e, errno, "the program can't be restarted: %s%s", strerror(errno),
		       n < 0 ? ": mount /proc" : "");
}

/*
 * The rest
 */

/* A file that has each byte at its address is as long as the highest one says. */
static int check_file_size(struct hs_error *e)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return 0;
	return hs_fail(e, EFBIG, "the size of files is limited, and memory is kept in sparse "
		       "files: remove the limit (ulimit -f)");
}

/* Each class has 256 GiB, of which nearly nothing is used. */
static int check_address_space(struct hs_error *e)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_AS, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return 0;
	return hs_fail(e, ENOMEM, "the size of the address space is limited, and each class of "
		       "memory reserves %lu GiB of it: remove the limit (ulimit -v)",
		       HS_SLOT >> 30);
}

static int check_page_size(struct hs_error *e)
{
	if (sysconf(_SC_PAGESIZE) == (long)HS_PAGE)
		return 0;
	return hs_fail(e, EOPNOTSUPP, "pages of this kernel have %ld bytes, and the library needs "
		       "%lu: use a kernel with such pages", sysconf(_SC_PAGESIZE), HS_PAGE);
}

/* vm.memfd_noexec = 2 allows none that isn't sealed, vm.memfd_noexec is newer than some. */
static int check_memfd(struct hs_error *e)
{
	int fd = memfd_create("hotspare-check", MFD_CLOEXEC);

	if (fd < 0)
		return hs_fail(e, errno, "memfd_create(2): %s%s", strerror(errno),
			       errno == EACCES ? ": set vm.memfd_noexec to 0 or 1" : "");
	close(fd);
	return 0;
}

static int check_proc(struct hs_error *e)
{
	if (!access("/proc/self/fdinfo", R_OK))
		return 0;
	return hs_fail(e, errno, "/proc can't be read, and the library needs it: mount it");
}

/* Nobody else's mappings where checkpoint memory will be. */
static int check_arena(struct hs_error *e)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long start, end, found = 0;
	char line[512], name[256];

	while (f && !found && fgets(line, sizeof(line), f)) {
		name[0] = 0;
		if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %255[^\n]", &start, &end, name) >= 2 &&
		    start < HS_END && end > HS_BASE)
			found = start;
	}
	if (f)
		fclose(f);
	if (!found)
		return 0;
	if (hs_layout_here()->legacy)
		return hs_fail(e, EEXIST, "at %#lx, where checkpoint memory has to be, is %.60s, "
			       "because mappings grow up here: set vm.legacy_va_layout to 0, and "
			       "don't use setarch -L", found, name[0] ? name : "other memory");
	return hs_fail(e, EEXIST, "at %#lx, where checkpoint memory has to be, there is %.60s: "
		       "ThreadSanitizer and MemorySanitizer can't be used, AddressSanitizer can; "
		       "other libraries must map their memory outside of %#lx-%#lx", found,
		       name[0] ? name : "other memory", HS_BASE, HS_END);
}

/* What each checkpoint has to say. */
static int check_build(struct hs_error *e)
{
	return hs_build_text(e) ? 0 : -1;
}

int hs_environment_check(struct hs_error *e)
{
	return check_proc(e) || check_page_size(e) || check_file_size(e) ||
		check_address_space(e) || check_memfd(e) || check_arena(e) ||
		check_build(e) ? -1 : 0;
}

/*
 * Where mappings are
 */

static void get_text(char *to, size_t size, const char *name)
{
	const char *value = getenv(name);

	snprintf(to, size, "%.*s", (int)size - 1, value ?: "");
}

static bool sysctl_is_set(const char *path)
{
	FILE *f = fopen(path, "re");
	int c = f ? fgetc(f) : '0';

	if (f)
		fclose(f);
	return c != '0';
}

const struct hs_layout *hs_layout_here(void)
{
	static struct hs_layout here;
	struct utsname name;
	struct rlimit limit;
	int p;

	if (here.known)
		return &here;
	here.known = true;
	/* The kernel has looked at it when the program was started. */
	if (!getrlimit(RLIMIT_STACK, &limit))
		here.stack = limit.rlim_cur;
	p = personality(0xffffffff);
	here.legacy = (p >= 0 && p & ADDR_COMPAT_LAYOUT) ||
		sysctl_is_set("/proc/sys/vm/legacy_va_layout");
	if (!uname(&name))
		snprintf(here.kernel, sizeof(here.kernel), "%s", name.release);
	get_text(here.preload, sizeof(here.preload), "LD_PRELOAD");
	get_text(here.path, sizeof(here.path), "LD_LIBRARY_PATH");
	get_text(here.tunables, sizeof(here.tunables), "GLIBC_TUNABLES");
	return &here;
}

static void stack_text(uint64_t stack, char *text, size_t size)
{
	if (stack == RLIM_INFINITY)
		snprintf(text, size, "unlimited");
	else
		snprintf(text, size, "%llu KiB", (unsigned long long)(stack >> 10));
}

static uint64_t gap_of(const struct hs_layout *l)
{
	return l->stack < LEAST_GAP ? LEAST_GAP : l->stack;
}

static void differ(char *text, size_t size, const char *what, const char *there, const char *here)
{
	snprintf(text, size, "%s is '%.60s' in the checkpoint, here '%.60s': use the same for both "
		 "programs", what, there, here);
}

void hs_layout_explain(const struct hs_layout *there, char *text, size_t size)
{
	const struct hs_layout *here = hs_layout_here();
	char was[32], is[32];

	stack_text(there->stack, was, sizeof(was));
	stack_text(here->stack, is, sizeof(is));
	if (!there->known)
		snprintf(text, size, "start both programs with the same stack limit (ulimit -s) "
			 "and LD_* variables");
	else if (gap_of(there) != gap_of(here))
		snprintf(text, size, "the stack limit was %s at the checkpoint, here it is %s: "
			 "start both programs with the same limit (ulimit -s)", was, is);
	else if (there->legacy != here->legacy)
		snprintf(text, size, "mappings grow %s at the checkpoint, %s here: set "
			 "vm.legacy_va_layout to the same value",
			 there->legacy ? "up" : "down", here->legacy ? "up" : "down");
	else if (strcmp(there->preload, here->preload))
		differ(text, size, "LD_PRELOAD", there->preload, here->preload);
	else if (strcmp(there->tunables, here->tunables))
		differ(text, size, "GLIBC_TUNABLES", there->tunables, here->tunables);
	else if (strcmp(there->path, here->path))
		differ(text, size, "LD_LIBRARY_PATH", there->path, here->path);
	else if (strcmp(there->kernel, here->kernel))
		differ(text, size, "the kernel", there->kernel, here->kernel);
	else
		snprintf(text, size, "libraries were loaded in another order, or had another size");
}

/*
 * As text
 */

struct json_object *hs_layout_json(const struct hs_layout *l)
{
	struct json_object *o = json_object_new_object();

	if (!o)
		return NULL;
	js_put_u64(o, "stack", l->stack);
	js_put_bool(o, "legacy", l->legacy);
	js_put_text(o, "kernel", l->kernel);
	js_put_text(o, "preload", l->preload);
	js_put_text(o, "path", l->path);
	js_put_text(o, "tunables", l->tunables);
	return o;
}

static void parse_text(char *to, size_t size, struct js_from *from, const char *key)
{
	snprintf(to, size, "%.*s", (int)size - 1, js_get_text(from, key));
}

/* It is only to explain: what makes no sense explains nothing. */
void hs_layout_parse(struct hs_layout *l, struct json_object *json)
{
	struct js_from from = { .o = json };

	*l = (struct hs_layout) { .known = false };
	if (!json_object_is_type(json, json_type_object))
		return;
	l->stack = js_get_u64(&from, "stack");
	l->legacy = js_get_bool(&from, "legacy");
	parse_text(l->kernel, sizeof(l->kernel), &from, "kernel");
	parse_text(l->preload, sizeof(l->preload), &from, "preload");
	parse_text(l->path, sizeof(l->path), &from, "path");
	parse_text(l->tunables, sizeof(l->tunables), &from, "tunables");
	l->known = !from.bad;
}
