// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>

#include <openssl/evp.h>

#include "pki.h"

int pki_digest(X509 *cert, u8 digest[PKI_DIGEST_LEN])
{
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	int ret = len > 0 && EVP_Digest(der, len, digest, NULL, EVP_sha256(), NULL) ? 0 : -1;

	OPENSSL_free(der);
	return ret;
}

const char *pki_text(const u8 *digest, char text[PKI_TEXT_LEN])
{
	size_t i;

	for (i = 0; i < PKI_DIGEST_LEN; i++)
		sprintf(text + 2 * i, "%02x", digest[i]);
	return text;
}
