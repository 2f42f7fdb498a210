// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: what a fenced program had, see kept.h. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ckdev.h>

#include "error.h"
#include "kept.h"
#include "hooks.h"
#include "job.h"
#include "own.h"
#include "schedule.h"

/* In the environment: its descriptor, and the term that it is of. */
#define KEPT	"HOTSPARE_KEPT"

static int kept = -1;
static uint64_t kept_term;

void hs_kept_make(uint64_t term)
{
	int fd = memfd_create("hotspare-kept", MFD_CLOEXEC);
	struct hs_error e = { "no memory" };
	char text[64];

	snprintf(text, sizeof(text), "%d %" PRIu64, fd, term);
	if (fd >= 0 && !hs_held() && !hs_in_hook() && !hs_cpt_to(fd, &e) && !setenv(KEPT, text, 1) && !fcntl(fd, F_SETFD, 0))
		return;
	hs_say("libhotspare: the memory of this program can't be kept until the other host has "
	       "everything: %s", e.text);
	unsetenv(KEPT);
	if (fd >= 0)
		close(fd);
}

void hs_kept_find(void)
{
	const char *text = getenv(KEPT);
	int fd;

	if (text && sscanf(text, "%d %" SCNu64, &fd, &kept_term) == 2 && fcntl(fd, F_GET_SEALS) >= 0 &&
	    !fcntl(fd, F_SETFD, FD_CLOEXEC)) {
		kept = fd;
		hs_own(kept, "the kept checkpoint");
		hs_say("libhotspare: the old memory of this program is kept in /proc/%d/fd/%d "
		       "until the program that took over has sent everything; if that program is "
		       "lost before, copy this file and start from the copy with -r",
		       (int)getpid(), kept);
	}
	unsetenv(KEPT);
}

void hs_kept_look(int fd)
{
	struct cptdev_image_info info = { .size = sizeof(info) };

	if (kept < 0 || ckdev_image_info(fd, &info) || !info.generation || info.term <= kept_term)
		return;
	hs_kept_drop();
}

void hs_kept_drop(void)
{
	hs_own_close(&kept);
}
