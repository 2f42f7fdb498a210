/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared by the fuzzers: a daemon with the engine that plays the module. It lives through many
 * inputs, and is made anew now and then, so that what an input leaves behind doesn't add up.
 * selftests/host/libfuzzer builds and runs them.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "log.h"
#include "raw.h"
#include "tcp.h"

#define INPUTS_PER_DAEMON	200

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

/* Only B runs. @key: a file, or NULL. */
static inline struct pair *fuzz_daemon(const char *key)
{
	static struct pair *p;
	static u32 inputs;

	if (p && ++inputs < INPUTS_PER_DAEMON)
		return p;
	if (p) {
		host_close(&p->b);
		free(p);
	}
	inputs = 0;
	p = calloc(1, sizeof(*p));
	log_open(LOG_TO_STDERR, LOG_CRIT);
	host_open(&p->b, "beta", free_port());
	p->b.conf.allow = ALLOW_ANY;
	p->b.conf.timeout_ms = 60000;
	if (key)
		strcpy(p->b.conf.psk_file, key);
	host_start(&p->b);
	return p;
}

/* A file with the input, by its name. */
static inline const char *fuzz_file(const u8 *data, size_t size, int *fd)
{
	static char path[64];

	*fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (*fd < 0 || write(*fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", *fd);
	return path;
}

#endif
