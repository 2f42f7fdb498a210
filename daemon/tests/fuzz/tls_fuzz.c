// SPDX-License-Identifier: GPL-2.0-or-later
/* Bytes to a listening daemon with a key: what comes before, in the place of, or as a handshake. */
#include <errno.h>
#include <fcntl.h>

#include "fuzz.h"

static const char *key_file(void)
{
	static char path[] = "/tmp/cptdevd-fuzz.XXXXXX";
	static const char key[] =
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
	static bool made;
	int fd;

	if (made)
		return path;
	fd = mkstemp(path);
	if (fd < 0 || write(fd, key, sizeof(key) - 1) != (ssize_t)sizeof(key) - 1)
		abort();
	close(fd);
	made = true;
	return path;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct pair *p = fuzz_daemon(key_file());
	struct raw *r = raw_connect(p, p->b.conf.listen_port);
	u8 bytes[4096];

	raw_bytes(r, data, size);
	pair_run(p, 0);
	while (recv(r->fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	raw_close(r);
	pair_run(p, 0);
	return 0;
}
