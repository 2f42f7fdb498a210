/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libhotspare: telling what is wrong. */
#ifndef HS_ERROR_H
#define HS_ERROR_H

/* Why a call failed: with what, and what to do. */
struct hs_error {
	char text[320];
};

/* Returns -1, with errno @err and the text in @e, which may be NULL. */
int hs_fail(struct hs_error *e, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Tell the user something, on standard error, as one line. A message that can't be written
 * is dropped: neither a reader that is gone nor one that doesn't read may stop or end the
 * program. What SIGPIPE does in the program stays its own business. errno is kept.
 */
void hs_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Never returns: memory is corrupted, or about to be. */
void hs_fatal(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif /* HS_ERROR_H */
