/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The directory of certificates: what daemon and tool both know of it. */
#ifndef CPTDEV_PKI_H
#define CPTDEV_PKI_H

#include <openssl/x509.h>

#include "types.h"

#define PKI_DIR		SYSCONFDIR "/cptdev/pki"
#define PKI_CERT	"cert.pem"		/* this node's; its name is in subjectAltName */
#define PKI_KEY		"key.pem"		/* the private key for it */
#define PKI_PEERS	"peers"			/* whose are taken: a line "NAME DIGEST" each */

#define PKI_DIGEST_LEN	32

/* The SHA-256 of the public key (SubjectPublicKeyInfo, as in RFC 7469). 0, or -1: no memory. */
int pki_digest(X509 *cert, u8 digest[PKI_DIGEST_LEN]);

#define PKI_TEXT_LEN	(2 * PKI_DIGEST_LEN + 1)
/* In hexadecimal digits. Returns @text. */
const char *pki_text(const u8 *digest, char text[PKI_TEXT_LEN]);

#endif
