// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "tls.h"
#include "tls_keys.h"

struct tls {
	SSL *ssl;
	struct tls_keys *keys;
	bool wants_write;
	struct tls_seen seen;
	char why[160];
};

struct tls *tls_new(struct tls_keys *k, int fd, bool accepts)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->ssl = SSL_new(accepts ? k->server : k->client);
	if (!t->ssl || SSL_set_fd(t->ssl, fd) != 1) {
		SSL_free(t->ssl);
		free(t);
		return NULL;
	}
	t->keys = tls_keys_get(k);
	SSL_set_app_data(t->ssl, &t->seen);
	if (accepts)
		SSL_set_accept_state(t->ssl);
	else
		SSL_set_connect_state(t->ssl);
	return t;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	SSL_free(t->ssl);
	tls_keys_put(t->keys);
	free(t);
}

const char *tls_key_id(const struct tls *t)
{
	return t->seen.id;
}

const char *tls_peer_name(const struct tls *t)
{
	return t->seen.name;
}

bool tls_by_kernel(const struct tls *t)
{
	return BIO_get_ktls_send(SSL_get_wbio(t->ssl));
}

static bool pin_known(const struct tls_keys *k, const struct tls_seen *seen)
{
	char id[TLS_ID_TEXT_LEN];
	u32 i;

	for (i = 0; i < k->nr_pins; i++) {
		tls_id(k->pins[i].digest, id);
		if (!strcmp(id, seen->id) && !strcmp(k->pins[i].name, seen->name))
			return true;
	}
	return false;
}

bool tls_key_known(const struct tls_keys *k, const struct tls *t)
{
	unsigned int i;

	if (k->certificates)
		return pin_known(k, &t->seen);
	for (i = 0; i < k->nr; i++)
		if (!strcmp(k->key[i].id, t->seen.id) && !*t->seen.name)
			return true;
	return false;
}

bool tls_wants_write(const struct tls *t)
{
	return t->wants_write;
}

bool tls_pending(const struct tls *t)
{
	return SSL_has_pending(t->ssl);
}

const char *tls_why(const struct tls *t)
{
	return t->why;
}

/* What OpenSSL's words mean here. */
static const char *reason_of(unsigned long e)
{
	const char *reason = ERR_reason_error_string(e);

	switch (ERR_GET_REASON(e)) {
	/* The accepting side has no certificate, so that it needs none of the algorithms. */
	case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
		return "the other side has none of this host's keys";
	case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
		return "the other side doesn't have this host's key";
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
		return "the other side doesn't know this host's certificate: cptdevctl pki add-peer there";
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
		return "the other side says that this host's certificate isn't valid now";
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
		return "the other side wants a certificate";
	case SSL_R_WRONG_VERSION_NUMBER:
		return "the other side doesn't speak TLS";
	}
	return reason ? reason : "unknown error";
}

/* The first reason in the queue is the cause, those behind it are what followed. */
static void explain(struct tls *t)
{
	unsigned long e = ERR_get_error();

	/* The other end is gone: that is an error of the network. */
	if (ERR_GET_LIB(e) == ERR_LIB_SSL &&
	    ERR_GET_REASON(e) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
		errno = ECONNRESET;
		return;
	}
	snprintf(t->why, sizeof(t->why), "%s", *t->seen.why ? t->seen.why : reason_of(e));
	errno = EPROTO;
}

/* An answer of OpenSSL's that isn't success, as the system calls have it. */
static ssize_t failed(struct tls *t, int ret)
{
	int saved = errno;

	t->wants_write = false;
	switch (SSL_get_error(t->ssl, ret)) {
	case SSL_ERROR_WANT_WRITE:
		t->wants_write = true;
		errno = EAGAIN;
		break;
	case SSL_ERROR_WANT_READ:
		errno = EAGAIN;
		break;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		errno = saved ? saved : ECONNRESET;
		break;
	default:
		explain(t);
	}
	return -1;
}

static void begin(void)
{
	ERR_clear_error();
	errno = 0;
}

int tls_handshake(struct tls *t)
{
	int ret;

	begin();
	ret = SSL_do_handshake(t->ssl);
	if (ret != 1)
		return failed(t, ret) ? -errno : -ECONNRESET;
	/* Nothing but a key of both makes a session here; see it with our own eyes. */
	if (*t->seen.id && (t->keys->certificates || SSL_session_reused(t->ssl)))
		return 0;
	snprintf(t->why, sizeof(t->why), "the other side didn't prove its identity");
	return -EPROTO;
}

ssize_t tls_recv(struct tls *t, void *buf, size_t len)
{
	size_t n;
	int ret;

	begin();
	ret = SSL_read_ex(t->ssl, buf, len, &n);
	return ret == 1 ? (ssize_t)n : failed(t, ret);
}

ssize_t tls_send(struct tls *t, const void *buf, size_t len)
{
	ssize_t n;
	size_t sent;
	int ret;

	begin();
	ret = SSL_write_ex(t->ssl, buf, len, &sent);
	if (ret == 1)
		return sent;
	n = failed(t, ret);
	if (n)
		return n;
	errno = EPIPE;			/* it has said that it is through */
	return -1;
}

void tls_finish(struct tls *t)
{
	begin();
	SSL_shutdown(t->ssl);
}
