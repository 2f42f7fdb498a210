// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The soft engine: the session page, which a program maps and reads without a call. It is a file
 * in memory that only this process can write to, by a mapping that is older than the seals.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "soft_parts.h"
#include "softwire.h"

#define SEALS	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

#define SHOW(page, field, value) \
	__atomic_store_n(&(page)->field, value, __ATOMIC_RELEASE)

/*
 * A program that is blocked has something else to do than checkpoints for its output. While checkpoints
 * are held off, none is wanted.
 */
static u32 shown_flags(const struct soft_session *se)
{
	u32 flags = se->state.flags;

	if (se->output_waits && !(flags & CPTDEV_STATE_BLOCKED))
		flags |= CPTDEV_STATE_WANTED;
	return se->held_off_until ? flags & ~CPTDEV_STATE_WANTED : flags;
}

/*
 * What forbids comes before what it forbids: a program never sees a lease that is out of use
 * together with the flags of before.
 */
void soft_page_update(struct soft_session *se)
{
	struct cptdev_session_page *p = se->page;

	if (!p)
		return;
	SHOW((struct soft_page_content *)p, held_off_until_ns, se->held_off_until);
	SHOW(p, flags, shown_flags(se));
	SHOW(p, lease_until_ns, se->state.lease_until);
	SHOW(p, committed, se->rec.committed);
}

static int page_file(void)
{
	int fd = memfd_create("cptdev-session-page", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (!ftruncate(fd, SOFT_PAGE))
		return fd;
	close(fd);
	return -ENOMEM;
}

static int page_map(struct soft_session *se, int fd)
{
	void *p = mmap(NULL, SOFT_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	se->page = p;
	if (fcntl(fd, F_ADD_SEALS, SEALS))
		return -errno;
	se->page->size = sizeof(*se->page);
	soft_page_update(se);
	return 0;
}

int soft_page_fd(struct soft_session *se)
{
	int ret;

	if (se->page_fd >= 0)
		return se->page_fd;
	se->page_fd = page_file();
	if (se->page_fd < 0)
		return se->page_fd;
	ret = page_map(se, se->page_fd);
	if (ret)
		soft_page_close(se);
	return ret ? ret : se->page_fd;
}

/* The programs' mappings stay, and change no more. */
void soft_page_close(struct soft_session *se)
{
	if (se->page)
		munmap(se->page, SOFT_PAGE);
	if (se->page_fd >= 0)
		close(se->page_fd);
	se->page = NULL;
	se->page_fd = -1;
}
