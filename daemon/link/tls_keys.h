/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between tls.c and tls_keys.c. */
#ifndef CPTDEVD_TLS_KEYS_H
#define CPTDEVD_TLS_KEYS_H

#include <openssl/ssl.h>

#include "tls.h"
#include "uuid.h"

#define TLS_SECRET_LEN	32

struct tls_key {
	u8 secret[TLS_SECRET_LEN];
	char id[TLS_ID_TEXT_LEN];	/* the first bytes of its SHA-256 */
};

struct tls_keys {
	unsigned int refs;
	u8 uuid[CPTDEV_UUID_LEN];	/* of this node */
	unsigned int nr;
	struct tls_key key[TLS_KEYS_MAX];
	char identity[80];		/* what is sent with the first key */
	SSL_CTX *client;
	SSL_CTX *server;
};

struct tls_keys *tls_keys_get(struct tls_keys *k);

#endif
