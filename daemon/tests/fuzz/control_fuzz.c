// SPDX-License-Identifier: GPL-2.0-or-later
/* Lines on the control socket. */
#include <errno.h>
#include <sys/un.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct pair *p = fuzz_daemon(NULL);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	u8 bytes[65536];
	u32 i;

	strcpy(un.sun_path, p->b.conf.control);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)))
		abort();
	if (send(fd, data, size, MSG_NOSIGNAL) > 0)
		send(fd, "\n", 1, MSG_NOSIGNAL);
	for (i = 0; i < 4; i++) {
		pair_run(p, 0);
		while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
			;
	}
	close(fd);
	pair_run(p, 0);
	return 0;
}
