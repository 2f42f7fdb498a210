/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TLS 1.3 on a connection, by OpenSSL. Both ends prove that they have the same pre-shared key
 * (RFC 8446, 2.2 and 4.2.11), or show certificates that the other one knows. The key exchange is
 * ephemeral either way (psk_dhe_ke), so that a key that becomes known later opens no older
 * recording. There are no tickets, and there is no early data.
 *
 * With a pre-shared key, the identity that the connecting side sends is "cptdev KEY-ID UUID": the first bytes of the
 * key's SHA-256, and the UUID of its node. A node refuses its own UUID: an attacker can't
 * connect a node to itself ("Selfie", Drucker and Gueron, 2019).
 */
#ifndef CPTDEVD_TLS_H
#define CPTDEVD_TLS_H

#include <sys/types.h>

#include <linux/cptdev.h>

#include "types.h"

/* A key file has so many lines at most: more than one while a new key comes into use. */
#define TLS_KEYS_MAX	4

struct tls_keys;
struct tls;

/*
 * The keys of a file: a line each, 64 hexadecimal digits; empty lines and those that begin
 * with # are skipped. A connection that is made here uses the first one, one that comes in may
 * use any. The file must belong to root or to this process's user, and nobody else may have
 * any right to it. NULL: @why says what is wrong.
 */
struct tls_keys *tls_keys_read(const char *path, const u8 *uuid, char *why, size_t size);
/*
 * Certificates in @dir (pki.h): that of this node, which is called @name, and which ones are taken.
 * NULL: @why says what is wrong.
 */
struct tls_keys *tls_pki_read(const char *dir, const char *name, char *why, size_t size);
/* One user less; may be NULL. Connections go on with the keys that they were made with. */
void tls_keys_put(struct tls_keys *k);

/* @fd is connected and doesn't block. NULL: no memory. */
struct tls *tls_new(struct tls_keys *k, int fd, bool accepts);
/* Closes nothing. May be NULL. */
void tls_free(struct tls *t);

/*
 * "0123456789abcdef": the id of the key that both have used, or that the other side's certificate
 * has; empty before the handshake is over.
 */
#define TLS_ID_TEXT_LEN	17
const char *tls_key_id(const struct tls *t);
/*
 * Does the kernel encrypt what is sent (kTLS)? It takes the bytes straight from the caller's buffer, which
 * after EAGAIN therefore has to be the same one.
 */
bool tls_by_kernel(const struct tls *t);
/* The node whose certificate the other side has; empty with a pre-shared key. */
const char *tls_peer_name(const struct tls *t);
/* Is it still one of these? */
bool tls_key_known(const struct tls_keys *k, const struct tls *t);

/* 0: both sides know each other; -EAGAIN: call again; else a negative errno, see tls_why(). */
int tls_handshake(struct tls *t);
/*
 * As recv(2) and send(2) on a socket that doesn't block: errno has the error,
 * EPROTO if it is one of TLS. After EAGAIN the same bytes have to be sent again.
 */
ssize_t tls_recv(struct tls *t, void *buf, size_t len);
ssize_t tls_send(struct tls *t, const void *buf, size_t len);
/* Tell the other end that nothing follows: without it an end is an error there. */
void tls_finish(struct tls *t);

/* The last EAGAIN was about room to send. */
bool tls_wants_write(const struct tls *t);
/* Bytes are here that no event of the descriptor will tell of. */
bool tls_pending(const struct tls *t);
/* The reason of the last EPROTO in words; empty if there was none. */
const char *tls_why(const struct tls *t);

#endif
