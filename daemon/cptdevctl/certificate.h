/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A certificate of one's own, see pki.c. */
#ifndef CPTDEVCTL_CERTIFICATE_H
#define CPTDEVCTL_CERTIFICATE_H

#include <stdbool.h>

#include <openssl/x509.h>

/* Of @name, signed by its own key, valid from and to so many seconds from now. NULL: OpenSSL fails. */
X509 *pki_certificate(EVP_PKEY *key, const char *name, long from, long to);
/* Both into @dir, which is made if need be. @fresh: EEXIST if there is a key. 0 or an errno. */
int pki_write(const char *dir, EVP_PKEY *key, X509 *cert, bool fresh);

#endif
