// SPDX-License-Identifier: GPL-2.0-or-later
/* Frames behind SESSION: a channel is open, and a replica waits for a delta. */
#include <errno.h>

#include "frames.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct msg_session m = { .term = 1, .uid = 7, .name = "kv" };
	struct pair *p = fuzz_daemon(NULL);
	struct raw *r = raw_connect(p, p->b.conf.listen_port);
	u8 buf[256];
	struct writer w = { .p = buf, .cap = sizeof(buf) };

	memset(m.uuid, 0x77, sizeof(m.uuid));
	raw_greet(r, "alpha");
	session_encode(&w, &m);
	raw_send_w(r, WIRE_SESSION, 1, &w);
	frames_send(r, data, size);
	raw_close(r);
	pair_run(p, 0);
	return 0;
}
