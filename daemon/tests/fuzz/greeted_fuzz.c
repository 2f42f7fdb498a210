// SPDX-License-Identifier: GPL-2.0-or-later
/* Frames behind the greeting. */
#include <errno.h>

#include "frames.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct pair *p = fuzz_daemon(NULL);
	struct raw *r = raw_connect(p, p->b.conf.listen_port);

	raw_greet(r, "alpha");
	frames_send(r, data, size);
	raw_close(r);
	pair_run(p, 0);
	return 0;
}
