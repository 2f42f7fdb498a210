// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptbench: three ways to take a checkpoint and to write it while the program goes on. A
 * thread writes a snapshot, a child writes what it inherited. What became of it is told
 * in shared memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <ckdev.h>
#include <sys/cpt.h>

#include "cptbench.h"

#define BUFFER	(256UL << 10)
#define BATCH	256

static int out;
static struct sent *sent;		/* shared with children, as is the image */
static char *image;			/* what all checkpoints so far lead to */
static uint32_t *expected;		/* stamps at the instant */
static bool spoil_this, left_out;
static double started_us;

static double clock_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/*
 * Writing. The first error stays.
 */

static void failed(int err)
{
	if (!sent->error)
		sent->error = err;
}

static void put(const void *data, size_t len)
{
	ssize_t n;

	for (; len && !sent->error; data = (const char *)data + n, len -= (size_t)n) {
		n = write(out, data, len);
		if (n < 0) {
			failed(errno);
			return;
		}
		sent->bytes += (uint64_t)n;
	}
}

/* As who receives it would: page by page, to where it belongs. */
static void receive(size_t index, const char *data, size_t len)
{
	size_t i;

	for (i = 0; i < len; i += work_page_size, index++) {
		if (spoil_this && knobs.spoil == SPOIL_PAGE && !left_out)
			left_out = true;
		else
			memcpy(image + index * work_page_size, data + i, work_page_size);
	}
}

static void put_pages(size_t index, const char *data, size_t len)
{
	put(data, len);
	sent->pages += len / work_page_size;
	if (image)
		receive(index, data, len);
}

static void verify(void)
{
	size_t i;

	if (!image)
		return;
	if (spoil_this && knobs.spoil == SPOIL_BYTE)
		image[work_pages / 2 * work_page_size + 123] ^= 1;
	for (i = 0; i < work_pages; i++)
		sent->wrong += !work_page_ok(image + i * work_page_size, i, expected[i]);
}

static void put_header(void)
{
	const struct header *header;
	size_t len = work_header(&header);

	put(header, len);
}

/* How long it took is told before it is verified. */
static void finished(void)
{
	sent->us = clock_us(CLOCK_MONOTONIC) - started_us;
	sent->cpu_us += clock_us(CLOCK_THREAD_CPUTIME_ID);
	verify();
}

/*
 * snapshot
 */

static int device = -1, snap = -1;
static pthread_t sender;
static char *buffer;

static void need(const char *what, int ret)
{
	if (ret < 0)
		die(EXIT_NO_MODULE, "%s: %s: %s. (--method fork needs no module)", what,
		    strerror(-ret), ckdev_strerror(ret));
}

static void snapshot_begin(void)
{
	unsigned int nr;
	size_t len;

	device = ckdev_open();
	need(CPTDEV_DEVICE, device);
	for (nr = 0; nr < knobs.regions; nr++) {
		const void *addr = work_range(nr, &len);

		need("range", ckdev_range_add(device, addr, len, 0, NULL));
	}
	buffer = malloc(BUFFER);
	if (!buffer)
		die(EXIT_FAILED, "no memory");
}

static void put_data(const struct cptdev_extent *e, off_t *offset)
{
	size_t index = work_index((void *)(uintptr_t)e->addr), done, n;

	for (done = 0; done < e->len && !sent->error; done += n) {
		n = e->len - done < BUFFER ? e->len - done : BUFFER;
		if (pread(snap, buffer, n, *offset) != (ssize_t)n)
			failed(errno ? errno : EIO);
		else
			put_pages(index + done / work_page_size, buffer, n);
		*offset += (off_t)n;
	}
}

/* Without a copy, if nobody wants to look at it. */
static void put_file(const struct cptdev_image_info *info)
{
	uint64_t left = info->pages * work_page_size;
	ssize_t n;

	for (; left && !sent->error; left -= (uint64_t)n) {
		n = sendfile(out, snap, NULL, left);
		if (n <= 0) {
			failed(n ? errno : EIO);
			return;
		}
		sent->bytes += (uint64_t)n;
	}
	sent->pages += info->pages;
}

static void *send_snapshot(void *arg)
{
	struct cptdev_image_info info = { .size = sizeof(info) };
	struct cptdev_extent vec[BATCH];
	uint64_t pos = 0;
	off_t offset = 0;
	int i, n;

	(void)arg;
	if (ckdev_image_info(snap, &info) < 0)
		failed(EIO);
	put_header();
	while ((n = ckdev_image_extents(snap, vec, BATCH, &pos)) > 0) {
		put(vec, (size_t)n * sizeof(vec[0]));
		for (i = 0; i < n && image; i++)
			if (vec[i].kind == CPTDEV_EXTENT_DATA)
				put_data(&vec[i], &offset);
	}
	if (n < 0)
		failed(-n);
	if (!image)
		put_file(&info);
	close(snap);
	finished();
	return NULL;
}

static void snapshot_stop(void)
{
	const struct header *header;
	struct cptdev_snapshot arg = {
		.size = sizeof(arg),
		.flags = knobs.full ? CPTDEV_SNAPSHOT_SINCE : 0,
	};

	arg.meta_len = (uint32_t)work_header(&header);
	arg.meta = CKDEV_PTR(header);
	snap = ckdev_snapshot(device, &arg);
	if (snap < 0)
		die(EXIT_FAILED, "snapshot: %s: %s", strerror(-snap), ckdev_strerror(snap));
	/* Starting a thread belongs to it, as making a process does. */
	if (pthread_create(&sender, NULL, send_snapshot, NULL))
		die(EXIT_FAILED, "can't start a thread");
}

static void snapshot_finish(void)
{
	pthread_join(sender, NULL);
}

static void snapshot_end(void)
{
	free(buffer);
	close(device);
}

/*
 * fork(): the child doesn't know what changed, so it writes all.
 */

static pid_t child;

static void fork_begin(void)
{
}

static void put_memory(void)
{
	unsigned int nr;
	size_t len;

	for (nr = 0; nr < knobs.regions; nr++) {
		const char *data = work_region(nr, &len);

		put_pages(work_index(data), data, len);
	}
}

static void fork_stop(void)
{
	child = fork();
	if (child < 0)
		die(EXIT_FAILED, "fork: %s", strerror(errno));
	if (child)
		return;
	put_header();
	put_memory();
	finished();
	_exit(0);
}

static void fork_finish(void)
{
	int status;

	if (waitpid(child, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status))
		die(EXIT_FAILED, "the child that writes the checkpoint died");
}

static void fork_end(void)
{
}

/*
 * cptfork(): the child asks what changed. It isn't the program's to wait for.
 */

static int done[2];

static void cptfork_begin(void)
{
	struct cpt_range r;
	unsigned int nr;

	for (nr = 0; nr < knobs.regions; nr++) {
		r.addr = work_range(nr, &r.len);
		if (cptctl(&r, 1, CPT_INSTALL))
			need("cptctl", -errno);
	}
}

static void put_changes(void)
{
	ssize_t n = cptctl(NULL, 0, CPT_QUERY), i;
	struct cpt_range *r = n < 0 ? NULL : calloc((size_t)n + 1, sizeof(*r));

	if (!r || cptctl(r, (size_t)n, CPT_QUERY) != n) {
		failed(errno);
		return;
	}
	put(r, (size_t)n * sizeof(*r));
	for (i = 0; i < n; i++)
		put_pages(work_index(r[i].addr), r[i].addr, r[i].len);
}

static void cptfork_stop(void)
{
	if (pipe(done))
		die(EXIT_FAILED, "pipe: %s", strerror(errno));
	child = cptfork();
	if (child < 0)
		die(EXIT_FAILED, "cptfork: %s: %s", strerror(errno), ckdev_strerror(errno));
	if (child)
		return;
	put_header();
	put_changes();
	finished();
	if (write(done[1], "", 1) != 1)
		_exit(1);
	_exit(0);
}

static void cptfork_finish(void)
{
	char c;

	close(done[1]);
	if (read(done[0], &c, 1) != 1)
		die(EXIT_FAILED, "the child that writes the checkpoint died");
	close(done[0]);
}

static void cptfork_end(void)
{
	cptctl(NULL, 0, CPT_PURGE_ALL);
}

const struct method methods[NR_METHODS] = {
	{ "snapshot", "ckdev_snapshot(), what changed", snapshot_begin, snapshot_stop,
	  snapshot_finish, snapshot_end },
	{ "cptfork", "a child that writes what changed", cptfork_begin, cptfork_stop,
	  cptfork_finish, cptfork_end },
	{ "fork", "a child that writes all; needs no module", fork_begin, fork_stop,
	  fork_finish, fork_end },
};

/*
 * Around a checkpoint
 */

static void *shared(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die(EXIT_FAILED, "no memory for what is shared with children: %s",
		    strerror(errno));
	return p;
}

void method_prepare(void)
{
	out = open(knobs.output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (out < 0)
		die(EXIT_FAILED, "--output %s: %s", knobs.output, strerror(errno));
	sent = shared(sizeof(*sent));
	if (!knobs.verify)
		return;
	image = shared(work_pages * work_page_size);
	expected = calloc(work_pages, sizeof(*expected));
	if (!expected)
		die(EXIT_FAILED, "no memory");
}

/* Nothing was received yet. */
void method_begin(const struct method *method)
{
	if (image)
		memset(image, 0, work_pages * work_page_size);
	method->begin();
}

void method_round(bool last)
{
	memset(sent, 0, sizeof(*sent));
	if (expected)
		memcpy(expected, work_stamps, work_pages * sizeof(*expected));
	spoil_this = last && knobs.spoil;
	left_out = false;
	started_us = clock_us(CLOCK_MONOTONIC);
}

const struct sent *method_sent(void)
{
	return sent;
}
