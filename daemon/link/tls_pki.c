// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Certificates instead of a key that both have. Whose certificate is taken is said by pins: a
 * node's name and the SHA-256 of its public key (SubjectPublicKeyInfo, as in RFC 7469). The signer of a
 * certificate doesn't matter, so that a host needs no authority and may have one; the name in it
 * (subjectAltName) and its time do.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "name.h"
#include "pki.h"
#include "tls_keys.h"

void tls_id(const u8 *digest, char id[TLS_ID_TEXT_LEN])
{
	char text[PKI_TEXT_LEN];

	snprintf(id, TLS_ID_TEXT_LEN, "%.*s", TLS_ID_TEXT_LEN - 1, pki_text(digest, text));
}

/*
 * The other side's certificate
 */

static const struct tls_pin *pin_of(const struct tls_keys *k, const u8 *digest)
{
	u32 i;

	for (i = 0; i < k->nr_pins; i++)
		if (!memcmp(k->pins[i].digest, digest, PKI_DIGEST_LEN))
			return &k->pins[i];
	return NULL;
}

/* Why @cert isn't taken, as OpenSSL counts reasons, with words in @seen. */
static int check_certificate(const struct tls_keys *k, X509 *cert, struct tls_seen *seen)
{
	u8 digest[PKI_DIGEST_LEN];
	const struct tls_pin *pin;
	char text[PKI_TEXT_LEN];

	if (pki_digest(cert, digest))
		return X509_V_ERR_UNSPECIFIED;
	pin = pin_of(k, digest);
	if (!pin) {
		snprintf(seen->why, sizeof(seen->why),
			 "no listed peer has the key %s; cptdevctl pki add-peer lists a peer",
			 pki_text(digest, text));
		return X509_V_ERR_CERT_UNTRUSTED;
	}
	if (X509_check_host(cert, pin->name, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
			    X509_CHECK_FLAG_NO_WILDCARDS, NULL) != 1) {
		snprintf(seen->why, sizeof(seen->why),
			 "the certificate isn't of %s, whose key it has", pin->name);
		return X509_V_ERR_HOSTNAME_MISMATCH;
	}
	if (X509_cmp_current_time(X509_get0_notBefore(cert)) >= 0) {
		snprintf(seen->why, sizeof(seen->why), "the certificate of %s isn't valid yet",
			 pin->name);
		return X509_V_ERR_CERT_NOT_YET_VALID;
	}
	if (X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0) {
		snprintf(seen->why, sizeof(seen->why), "the certificate of %s has expired",
			 pin->name);
		return X509_V_ERR_CERT_HAS_EXPIRED;
	}
	tls_id(digest, seen->id);
	strcpy(seen->name, pin->name);
	return X509_V_OK;
}

static int verify(X509_STORE_CTX *ctx, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	X509 *cert = X509_STORE_CTX_get0_cert(ctx);
	int err = cert ? check_certificate(arg, cert, SSL_get_app_data(ssl)) :
		X509_V_ERR_UNSPECIFIED;

	X509_STORE_CTX_set_error(ctx, err);
	return err == X509_V_OK;
}

/*
 * Files
 */

static int take_pin(struct tls_keys *k, unsigned int line, char *text, char *why, size_t size)
{
	struct tls_pin *pin = &k->pins[k->nr_pins];
	char *name = strtok(text, " \t\r\n"), *key = strtok(NULL, " \t\r\n");
	size_t len;

	if (!name || *name == '#')
		return 0;
	if (k->nr_pins == TLS_PINS_MAX) {
		snprintf(why, size, "peers, line %u: there are more than %d", line, TLS_PINS_MAX);
		return -1;
	}
	if (!name_valid(name, strlen(name)) || *name == '.' || !key ||
	    strlen(key) != 2 * PKI_DIGEST_LEN || strtok(NULL, " \t\r\n") ||
	    !OPENSSL_hexstr2buf_ex(pin->digest, PKI_DIGEST_LEN, &len, key, '\0')) {
		snprintf(why, size, "peers, line %u: a line has a node's name and the %d hexadecimal digits of its key; cptdevctl pki add-peer writes it",
			 line, 2 * PKI_DIGEST_LEN);
		return -1;
	}
	strcpy(pin->name, name);
	k->nr_pins++;
	return 0;
}

static FILE *open_in(const char *dir, const char *name, bool secret, char *why, size_t size)
{
	char path[512], reason[160];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = tls_open(path, secret, reason, sizeof(reason));
	if (!f)
		snprintf(why, size, "%s: %s", name, reason);
	return f;
}

/* A peer that isn't known yet is no mistake: nobody is let in. */
static int take_pins(struct tls_keys *k, const char *dir, char *why, size_t size)
{
	FILE *f = open_in(dir, PKI_PEERS, false, why, size);
	char text[256];
	unsigned int line = 0;
	int ret = 0;

	if (!f)
		return errno == ENOENT ? 0 : -1;
	while (!ret && fgets(text, sizeof(text), f))
		ret = take_pin(k, ++line, text, why, size);
	if (!ret && ferror(f)) {
		snprintf(why, size, "peers: %s", strerror(errno));
		ret = -1;
	}
	fclose(f);
	return ret;
}

static X509 *read_certificate(const char *dir, char *why, size_t size)
{
	FILE *f = open_in(dir, PKI_CERT, false, why, size);
	X509 *cert = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

	if (f && !cert)
		snprintf(why, size, "%s: there is no certificate in it", PKI_CERT);
	if (f)
		fclose(f);
	return cert;
}

static EVP_PKEY *read_key(const char *dir, char *why, size_t size)
{
	FILE *f = open_in(dir, PKI_KEY, true, why, size);
	EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;

	if (f && !key)
		snprintf(why, size, "%s: there is no private key in it", PKI_KEY);
	if (f)
		fclose(f);
	return key;
}

static int check_own(X509 *cert, EVP_PKEY *key, const char *name, char *why, size_t size)
{
	if (X509_check_private_key(cert, key) != 1)
		snprintf(why, size, "%s and %s don't match", PKI_CERT, PKI_KEY);
	else if (X509_check_host(cert, name, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
				 X509_CHECK_FLAG_NO_WILDCARDS, NULL) != 1)
		snprintf(why, size, "%s isn't for %s, the name of this node", PKI_CERT, name);
	else if (X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0)
		snprintf(why, size, "%s has expired; cptdevctl pki renew makes a new one of the same key", PKI_CERT);
	else
		return 0;
	return -1;
}

static SSL_CTX *context(struct tls_keys *k, const SSL_METHOD *method, X509 *cert, EVP_PKEY *key)
{
	SSL_CTX *c = tls_context(k, method);

	if (!c)
		return NULL;
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(c, verify, k);
	if (SSL_CTX_use_certificate(c, cert) == 1 && SSL_CTX_use_PrivateKey(c, key) == 1)
		return c;
	SSL_CTX_free(c);
	return NULL;
}

static int take_files(struct tls_keys *k, const char *dir, const char *name, char *why, size_t size)
{
	X509 *cert = read_certificate(dir, why, size);
	EVP_PKEY *key = cert ? read_key(dir, why, size) : NULL;
	int ret = -1;

	if (key && !check_own(cert, key, name, why, size) && !take_pins(k, dir, why, size)) {
		k->client = context(k, TLS_client_method(), cert, key);
		k->server = context(k, TLS_server_method(), cert, key);
		ret = k->client && k->server ? 0 : -1;
		if (ret)
			snprintf(why, size, "OpenSSL can't be set up");
	}
	X509_free(cert);
	EVP_PKEY_free(key);
	return ret;
}

struct tls_keys *tls_pki_read(const char *dir, const char *name, char *why, size_t size)
{
	struct tls_keys *k = calloc(1, sizeof(*k));

	if (!k) {
		snprintf(why, size, "no memory");
		return NULL;
	}
	k->refs = 1;
	k->certificates = true;
	if (!take_files(k, dir, name, why, size))
		return k;
	tls_keys_put(k);
	return NULL;
}
