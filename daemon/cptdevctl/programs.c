// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's side where the daemon's engine is soft: the daemon is asked, through the socket
 * of its programs. It tells of what happens on the control socket only.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client.h"
#include "internal.h"
#include "programs.h"
#include "softwire.h"

struct programs {
	struct kernel kernel;
	char path[108];
};

static int programs_open(struct kernel *k)
{
	return ckdev_soft_open(container_of(k, struct programs, kernel)->path);
}

static void programs_close(struct kernel *k, int fd)
{
	(void)k;
	close(fd);
}

static int programs_ioctl(struct kernel *k, int fd, unsigned int cmd, void *arg)
{
	(void)k;
	return ckdev_soft_ioctl(fd, cmd, arg);
}

/* Nothing ever comes from here. */
static int programs_listen(struct kernel *k)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	(void)k;
	return fd < 0 ? -errno : fd;
}

static int programs_events(struct kernel *k, kernel_event_fn fn, void *arg)
{
	(void)k;
	(void)fn;
	(void)arg;
	return 0;
}

/* The next of the records; 1, 0: there is none, or -errno. */
static int record(int fd, u8 cmd, void *rec, u32 size, u64 *next)
{
	struct cptdev_image_vec arg = {
		.size = sizeof(arg), .flags = cmd, .vec = (unsigned long)rec, .vec_len = size,
		.start = *next,
	};
	int ret = ckdev_soft_ioctl(fd, SOFT_LIST, &arg);

	*next = arg.next;
	if (ret || !arg.nr)
		return ret;
	/* A daemon of another version. */
	return arg.nr == size ? 1 : -EPROTO;
}

static int programs_dump(struct kernel *k, u8 cmd, kernel_event_fn fn, void *arg)
{
	union {
		struct session_rec session;
		struct replica_rec replica;
	} rec;
	bool sessions = cmd == CPTDEV_CMD_SESSION_GET;
	struct kernel_event ev = { .cmd = cmd };
	int fd = programs_open(k), ret = fd;
	u64 next = 0;

	if (sessions)
		ev.session = &rec.session;
	else
		ev.replica = &rec.replica;
	while (ret >= 0) {
		ret = record(fd, cmd, &rec, sessions ? sizeof(rec.session) : sizeof(rec.replica),
			     &next);
		if (ret <= 0)
			break;
		fn(&ev, arg);
	}
	if (fd >= 0)
		close(fd);
	return ret;
}

static const struct kernel_ops programs_ops = {
	.name	= "soft",
	.open	= programs_open,
	.close	= programs_close,
	.ioctl	= programs_ioctl,
	.listen	= programs_listen,
	.events	= programs_events,
	.dump	= programs_dump,
};

struct kernel *programs_kernel(const char *socket)
{
	static struct programs p = { .kernel = { .ops = &programs_ops } };
	const char *engine, *path;
	struct json_object *status;
	char why[256];
	int err;

	status = client_status(socket, &err, why, sizeof(why));
	engine = js_get_str(status, "engine");
	path = js_get_str(status, "programs");
	if (!engine || strcmp(engine, "soft") || !path || strlen(path) >= sizeof(p.path))
		path = NULL;
	else
		strcpy(p.path, path);
	json_object_put(status);
	return path ? &p.kernel : NULL;
}
