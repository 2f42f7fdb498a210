// SPDX-License-Identifier: GPL-2.0-or-later
/* Pre-shared keys: the file, and how OpenSSL is told of them. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "tls_keys.h"

/* The key schedule's hash belongs to it: both ends have to use the same one. */
#define SUITE		"TLS_AES_256_GCM_SHA384"
static const unsigned char suite_id[] = { 0x13, 0x02 };

#define IDENTITY	"cptdev "
#define SECRET_DIGITS	(2 * TLS_SECRET_LEN)
/* The key's id, a blank, and the UUID. */
#define IDENTITY_LEN	(sizeof(IDENTITY) - 1 + TLS_ID_TEXT_LEN + UUID_TEXT_LEN - 1)

/*
 * The identity
 */

static void identity(const struct tls_keys *k, const struct tls_key *key,
		     char text[IDENTITY_LEN + 1])
{
	char uuid[UUID_TEXT_LEN];

	snprintf(text, IDENTITY_LEN + 1, IDENTITY "%s %s", key->id, uuid_text(k->uuid, uuid));
}

/* The key that an identity names, of another node than this one; NULL: none. */
static const struct tls_key *key_of(const struct tls_keys *k, const u8 *id, size_t len)
{
	char own[IDENTITY_LEN + 1];
	size_t names = IDENTITY_LEN - (UUID_TEXT_LEN - 1);
	unsigned int i;

	for (i = 0; i < k->nr; i++) {
		identity(k, &k->key[i], own);
		if (len == IDENTITY_LEN && !memcmp(id, own, names))
			return memcmp(id, own, len) ? &k->key[i] : NULL;
	}
	return NULL;
}

static SSL_SESSION *session(SSL *ssl, const struct tls_key *key)
{
	const SSL_CIPHER *suite = SSL_CIPHER_find(ssl, suite_id);
	SSL_SESSION *s = SSL_SESSION_new();

	if (s && suite && SSL_SESSION_set1_master_key(s, key->secret, sizeof(key->secret)) &&
	    SSL_SESSION_set_cipher(s, suite) &&
	    SSL_SESSION_set_protocol_version(s, TLS1_3_VERSION)) {
		memcpy(((struct tls_seen *)SSL_get_app_data(ssl))->id, key->id, sizeof(key->id));
		return s;
	}
	SSL_SESSION_free(s);
	return NULL;
}

static const struct tls_keys *keys_of(SSL *ssl)
{
	return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

/* The client's side. The identity stays ours until the connection is freed. */
static int use_key(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *len,
		   SSL_SESSION **sess)
{
	const struct tls_keys *k = keys_of(ssl);

	(void)md;			/* there is one suite only */
	*id = (const unsigned char *)k->identity;
	*len = IDENTITY_LEN;
	*sess = session(ssl, &k->key[0]);
	return !!*sess;
}

/* The server's side. Without a session the handshake fails: there is no certificate. */
static int find_key(SSL *ssl, const unsigned char *id, size_t len, SSL_SESSION **sess)
{
	const struct tls_key *key = key_of(keys_of(ssl), id, len);

	*sess = key ? session(ssl, key) : NULL;
	return !key || *sess;
}

SSL_CTX *tls_context(struct tls_keys *k, const SSL_METHOD *method)
{
	SSL_CTX *c = SSL_CTX_new(method);

	if (!c)
		return NULL;
	SSL_CTX_set_app_data(c, k);
	SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
			 SSL_MODE_RELEASE_BUFFERS);
	/* By the kernel, where it has that: else it remains OpenSSL's. */
	SSL_CTX_set_options(c, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_ENABLE_KTLS);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	if (SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) &&
	    SSL_CTX_set_ciphersuites(c, SUITE) && SSL_CTX_set_num_tickets(c, 0))
		return c;
	SSL_CTX_free(c);
	return NULL;
}

static SSL_CTX *context(struct tls_keys *k, const SSL_METHOD *method)
{
	SSL_CTX *c = tls_context(k, method);

	if (c) {
		SSL_CTX_set_psk_use_session_callback(c, use_key);
		SSL_CTX_set_psk_find_session_callback(c, find_key);
	}
	return c;
}

/*
 * The file
 */

struct tls_keys *tls_keys_get(struct tls_keys *k)
{
	k->refs++;
	return k;
}

void tls_keys_put(struct tls_keys *k)
{
	if (!k || --k->refs)
		return;
	SSL_CTX_free(k->client);
	SSL_CTX_free(k->server);
	OPENSSL_cleanse(k, sizeof(*k));
	free(k);
}

static int take_line(struct tls_keys *k, unsigned int line, char *text, char *why, size_t size)
{
	struct tls_key *key = &k->key[k->nr];
	u8 digest[EVP_MAX_MD_SIZE];
	size_t len, i;

	text[strcspn(text, "\r\n")] = '\0';
	if (!*text || *text == '#')
		return 0;
	if (k->nr == TLS_KEYS_MAX) {
		snprintf(why, size, "line %u: there are more than %d keys", line, TLS_KEYS_MAX);
		return -1;
	}
	if (strlen(text) != SECRET_DIGITS ||
	    !OPENSSL_hexstr2buf_ex(key->secret, TLS_SECRET_LEN, &len, text, '\0')) {
		snprintf(why, size, "line %u: a key has %d hexadecimal digits; cptdevctl key makes one",
			 line, SECRET_DIGITS);
		return -1;
	}
	if (!EVP_Digest(key->secret, TLS_SECRET_LEN, digest, NULL, EVP_sha256(), NULL)) {
		snprintf(why, size, "no SHA-256");
		return -1;
	}
	for (i = 0; i < sizeof(key->id) / 2; i++)
		snprintf(key->id + 2 * i, 3, "%02x", digest[i]);
	k->nr++;
	return 0;
}

static int take_lines(struct tls_keys *k, FILE *from, char *why, size_t size)
{
	char text[256];
	unsigned int line = 0;
	int ret = 0;

	while (!ret && fgets(text, sizeof(text), from))
		ret = take_line(k, ++line, text, why, size);
	OPENSSL_cleanse(text, sizeof(text));
	if (!ret && ferror(from)) {
		snprintf(why, size, "%s", strerror(errno));
		return -1;
	}
	if (!ret && !k->nr) {
		snprintf(why, size, "there is no key in it; cptdevctl key makes one");
		return -1;
	}
	return ret;
}

/* As whom the unit runs the daemon. Root looks at its files: cptdevd --check-config. */
static bool is_daemons(uid_t uid)
{
	const struct passwd *user = geteuid() ? NULL : getpwnam(DAEMON_USER);

	return user && user->pw_uid == uid;
}

/* Whoever can read a secret can be the peer, whoever can write it as well. */
FILE *tls_open(const char *path, bool secret, char *why, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), err = errno;
	struct stat st;
	FILE *f;

	if (fd < 0 || fstat(fd, &st)) {
		snprintf(why, size, "%s", strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		snprintf(why, size, "it isn't a file");
	} else if (st.st_uid && st.st_uid != geteuid() && !is_daemons(st.st_uid)) {
		snprintf(why, size, "it belongs to user %u; its owner has to be root or the user that cptdevd runs as",
			 st.st_uid);
	} else if (st.st_mode & (secret ? 077 : 022)) {
		snprintf(why, size, "others %s (mode %04o): chmod %s",
			 secret ? "have rights to it" : "can write it", st.st_mode & 07777,
			 secret ? "600" : "644");
	} else {
		f = fdopen(fd, "r");
		if (f)
			return f;
		snprintf(why, size, "%s", strerror(errno));
	}
	if (fd >= 0)
		close(fd);
	errno = fd < 0 ? err : EACCES;
	return NULL;
}

struct tls_keys *tls_keys_read(const char *path, const u8 *uuid, char *why, size_t size)
{
	FILE *from = tls_open(path, true, why, size);
	struct tls_keys *k = from ? calloc(1, sizeof(*k)) : NULL;
	int ret;

	if (!k) {
		if (from) {
			fclose(from);
			snprintf(why, size, "no memory");
		}
		return NULL;
	}
	k->refs = 1;
	memcpy(k->uuid, uuid, CPTDEV_UUID_LEN);
	ret = take_lines(k, from, why, size);
	fclose(from);
	if (!ret) {
		identity(k, &k->key[0], k->identity);
		k->client = context(k, TLS_client_method());
		k->server = context(k, TLS_server_method());
		/* A certificate instead of the key: nobody is trusted to have signed one. */
		if (k->client)
			SSL_CTX_set_verify(k->client, SSL_VERIFY_PEER, NULL);
		if (k->client && k->server)
			return k;
		snprintf(why, size, "OpenSSL can't be set up");
	}
	tls_keys_put(k);
	return NULL;
}
