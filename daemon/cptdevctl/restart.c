// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptdevctl restart FILE: cptdev-run restarts here what it wrote. Of a checkpoint of libhotspare it is
 * told which program restarts it.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inspect.h"

#define RUN	"cptdev-run"

static bool made_by_run(const struct inspect_file *f)
{
	const char *by = js_get_str(f->text[HS_SECTION_BUILD], "made_by");

	return by && !strcmp(by, RUN);
}

/* Returns an exit status, or EXIT_DONE: cptdev-run can restart it. */
static int check(struct ctl *c, const struct inspect_file *f)
{
	const char *kind = f->head.flags & HS_IMAGE_INCREMENT ? "an increment" :
		"a whole checkpoint";
	char app[4 * HS_IMAGE_NAME + 8], next[HS_IMAGE_NAME * 4 + 600], path[520];

	inspect_clean(f->path, path, sizeof(path));
	snprintf(next, sizeof(next),
		 "cptdevctl inspect %s, which shows all that is wrong; restart an older checkpoint", path);
	if (!f->has_head)
		return ctl_fail(c, EXIT_FAILED, "file",
				"name a checkpoint, of cptdev-run --file or of libhotspare",
				"%.300s: %s", path, f->problems->text);
	if (f->nr_problems)
		return ctl_fail(c, EXIT_FAILED, "damaged", next,
				"%.300s can't be restarted: at byte %llu: %s", path,
				f->problems->at, f->problems->text);
	if (made_by_run(f))
		return EXIT_DONE;
	inspect_clean(f->head.app, app, sizeof(app));
	snprintf(next, sizeof(next), "%s -r %s", app, path);
	return ctl_fail(c, EXIT_FAILED, "own-program", next,
			"%.300s is %s of %.80s with libhotspare, and only this program can restart it, together with its other files (hs_init(3), -r)",
			path, kind, app);
}

/* In our place: the program has our terminal, and its exit status is ours. */
static int become_run(struct ctl *c, const char *file, int argc, char **argv)
{
	char **args = calloc((size_t)argc + 4, sizeof(*args));
	int i;

	if (!args)
		abort();
	args[0] = (char *)RUN;
	args[1] = (char *)"--restart";
	args[2] = (char *)file;
	for (i = 0; i < argc; i++)
		args[3 + i] = argv[i];
	fflush(c->out);
	signal(SIGPIPE, SIG_DFL);
	execvp(RUN, args);
	i = errno;
	free(args);
	signal(SIGPIPE, SIG_IGN);
	return ctl_fail(c, EXIT_FAILED, "no-cptdev-run",
			"install cptdev-run on this host, or restart the file on another one",
			RUN " can't be run: %s", strerror(i));
}

int verb_restart(struct ctl *c, int argc, char **argv)
{
	struct inspect_file f;
	int ret;

	if (argc < 1)
		return ctl_fail(c, EXIT_USAGE, "usage", NULL,
				"restart needs the name of a file with a checkpoint; options of cptdev-run follow behind --");
	inspect_read(&f, argv[0]);
	ret = check(c, &f);
	inspect_free(&f);
	return ret ? ret : become_run(c, argv[0], argc - 1, argv + 1);
}
