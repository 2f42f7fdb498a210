// SPDX-License-Identifier: GPL-2.0-or-later
/* The configuration. */
#include "conf.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static FILE *null;
	struct conf *c = calloc(1, sizeof(*c));
	int fd;

	if (!null)
		null = fopen("/dev/null", "w");
	conf_read(c, fuzz_file(data, size, &fd), null);
	close(fd);
	free(c);
	return 0;
}
