/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between tls.c, tls_keys.c and tls_pki.c. */
#ifndef CPTDEVD_TLS_KEYS_H
#define CPTDEVD_TLS_KEYS_H

#include <openssl/ssl.h>

#include "pki.h"
#include "tls.h"
#include "uuid.h"

/* etc/cptdev.sysusers, etc/cptdevd.service.in */
#define DAEMON_USER	"cptdev"

#define TLS_SECRET_LEN	32
/* Peers whose certificates are taken. */
#define TLS_PINS_MAX	64

/* What OpenSSL's callbacks leave for the connection (SSL_get_app_data()). */
struct tls_seen {
	char id[TLS_ID_TEXT_LEN];
	char name[CPTDEV_NAME_MAX];	/* of the pin; empty without certificates */
	char why[160];			/* the other side isn't taken; empty: see OpenSSL's error */
};

struct tls_pin {
	char name[CPTDEV_NAME_MAX];
	u8 digest[PKI_DIGEST_LEN];
};

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
	bool certificates;
	u32 nr_pins;
	struct tls_pin pins[TLS_PINS_MAX];
	SSL_CTX *client;
	SSL_CTX *server;
};

struct tls_keys *tls_keys_get(struct tls_keys *k);

/* As all contexts here are: TLS 1.3, no tickets, no cache. */
SSL_CTX *tls_context(struct tls_keys *k, const SSL_METHOD *method);
/*
 * Nobody but its owner, root or this process's user, can write the file; @secret: or read it.
 * NULL: @why, and errno ENOENT if there is none.
 */
FILE *tls_open(const char *path, bool secret, char *why, size_t size);

/* tls_pki.c */
/* The first bytes as text. */
void tls_id(const u8 *digest, char id[TLS_ID_TEXT_LEN]);

#endif
